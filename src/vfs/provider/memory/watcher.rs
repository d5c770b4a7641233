//! Tells of changes in a memory mount. Nothing changes but by its own verbs, so each is told where it is done.

use std::{
    collections::HashSet,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use rustix::event::{EventfdFlags, eventfd};

use super::{
    super::{
        Directory,
        watcher::{Notice, WatchKey, Watcher},
    },
    Shared,
    directory::MemoryDirectory,
    node::Event,
};
use crate::vfs::fault::{Fault, Kind, Result};

/// Notices that are kept for who does not take them. One more, and all that is told is that there were too many.
const MAX_NOTICES: usize = 16_384;

/// What a watcher has heard.
#[derive(Debug)]
pub(super) struct Ear {
    /// Readable from the first notice until they are taken.
    bell: OwnedFd,
    /// Held for a glance.
    heard: Mutex<Heard>,
}

#[derive(Debug, Default)]
struct Heard {
    watched: HashSet<u64>,
    notices: Vec<Notice>,
}

impl Ear {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hear(&self, event: &Event) {
        let mut heard = self.heard();
        if !heard.watched.contains(&event.at) || heard.notices.last() == Some(&Notice::Overflow) {
            return;
        }
        if heard.notices.len() >= MAX_NOTICES {
            heard.notices = vec![Notice::Overflow];
        } else {
            let (key, name) = (WatchKey(event.at), event.name.clone());
            heard.notices.push(Notice::Entry {
                key,
                name,
                happened: event.happened,
            });
        }
        // It fails only when it rings already.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }
}

/// Tells who made it, until it is dropped. It does not keep the mount.
#[derive(Debug)]
pub(super) struct MemoryWatcher {
    shared: Weak<Shared>,
    ear: Arc<Ear>,
}

impl MemoryWatcher {
    pub(super) fn new(shared: &Arc<Shared>) -> Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .map_err(|errno| Fault::from_errno(errno, "watch", b""))?;
        let ear = Arc::new(Ear {
            bell,
            heard: Mutex::default(),
        });
        shared.listen(Arc::downgrade(&ear));
        Ok(Self {
            shared: Arc::downgrade(shared),
            ear,
        })
    }
}

impl Watcher for MemoryWatcher {
    fn add(&self, directory: &dyn Directory) -> Result<WatchKey> {
        let ours = |directory: &&MemoryDirectory| {
            Weak::ptr_eq(&Arc::downgrade(&directory.shared), &self.shared)
        };
        let directory = directory.as_any().downcast_ref().filter(ours);
        let directory = directory.ok_or_else(|| Fault::new(Kind::NotSupported, "watch", b"."))?;
        // A directory that is gone has nothing to tell.
        directory.attributes()?;
        self.ear.heard().watched.insert(directory.number);
        Ok(WatchKey(directory.number))
    }

    fn forget(&self, key: WatchKey) {
        self.ear.heard().watched.remove(&key.0);
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.ear.bell.as_fd()
    }

    fn take(&self, into: &mut Vec<Notice>) -> Result<()> {
        let mut heard = self.ear.heard();
        // It fails only when nothing has rung.
        let _ = rustix::io::read(&self.ear.bell, &mut [0; 8]);
        into.append(&mut heard.notices);
        Ok(())
    }
}
