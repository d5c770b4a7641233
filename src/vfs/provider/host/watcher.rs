//! Changes on the machine, by inotify(7). Watches are set on opened directories, never on paths of clients.

use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};

use crate::vfs::{
    fault::{Fault, Kind, Result},
    path::Name,
    provider::{
        Directory,
        watcher::{Happened, Notice, WatchKey, Watcher},
    },
};

/// Bytes of notices that are read at once.
const BUFFER: usize = 64 * 1024;

/// Tells of changes in directories of the machine.
#[derive(Debug)]
pub(super) struct HostWatcher(OwnedFd);

impl HostWatcher {
    pub(super) fn new() -> Result<Self> {
        inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map(Self)
            .map_err(|errno| match errno {
                Errno::MFILE => limit("fs.inotify.max_user_instances"),
                _ => Fault::from_errno(errno, "watch", b""),
            })
    }
}

fn limit(sysctl: &str) -> Fault {
    Fault::new(Kind::NoSpace, "watch", b"")
        .because(format!("`sysctl {sysctl}` is the limit of the machine"))
}

impl Watcher for HostWatcher {
    fn add(&self, directory: &dyn Directory) -> Result<WatchKey> {
        let host = directory
            .host()
            .ok_or_else(|| Fault::new(Kind::NotSupported, "watch", b""))?;
        let path = format!("/proc/self/fd/{}", host.descriptor.as_raw_fd());
        let flags = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::ONLYDIR
            | WatchFlags::EXCL_UNLINK;
        match inotify::add_watch(&self.0, path, flags) {
            Ok(watch) => Ok(WatchKey(
                u64::try_from(watch).expect("watches count from 1"),
            )),
            Err(Errno::NOSPC) => Err(limit("fs.inotify.max_user_watches")),
            Err(errno) => Err(Fault::from_errno(
                errno,
                "watch",
                host.path.as_os_str().as_encoded_bytes(),
            )),
        }
    }

    fn forget(&self, key: WatchKey) {
        if let Ok(watch) = i32::try_from(key.0) {
            // The directory may be gone, and its watch with it.
            let _ = inotify::remove_watch(&self.0, watch);
        }
    }

    fn descriptor(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    fn take(&self, into: &mut Vec<Notice>) -> Result<()> {
        let mut buffer: Box<[MaybeUninit<u8>]> = Box::new_uninit_slice(BUFFER);
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => into.extend(notice(&event)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(Fault::from_errno(errno, "watch", b"")),
            }
        }
    }
}

fn notice(event: &inotify::Event<'_>) -> Option<Notice> {
    let flags = event.events();
    if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
        return Some(Notice::Overflow);
    }
    let key = WatchKey(u64::try_from(event.wd()).ok()?);
    let name = match event.file_name() {
        Some(name) => Some(Name::new(name.to_bytes()).ok()?),
        None => None,
    };
    let directory = flags.contains(ReadFlags::ISDIR);
    let happened = if flags.contains(ReadFlags::CREATE) {
        Happened::Created { directory }
    } else if flags.contains(ReadFlags::MODIFY) {
        Happened::Modified
    } else if flags.contains(ReadFlags::ATTRIB) {
        Happened::Attributes
    } else if flags.contains(ReadFlags::DELETE) {
        Happened::Removed
    } else if flags.contains(ReadFlags::MOVED_FROM) {
        Happened::MovedFrom(event.cookie())
    } else if flags.contains(ReadFlags::MOVED_TO) {
        Happened::MovedTo {
            pair: event.cookie(),
            directory,
        }
    } else if flags.intersects(ReadFlags::DELETE_SELF | ReadFlags::IGNORED) {
        Happened::Gone
    } else {
        return None;
    };
    Some(Notice::Entry {
        key,
        name,
        happened,
    })
}
