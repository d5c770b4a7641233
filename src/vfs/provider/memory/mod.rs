//! Scratch space: files, directories and links in memory, within a quota.
//!
//! ```text
//! Memory ──▶ Shared ──▶ State (one lock): nodes by number        Ledger ──▶ Budget of all memory mounts
//!              ▲                   │ a file's content               ▲
//!  handles ────┘                   └──▶ Content: pieces ──▶ Charge ─┘
//! ```
//!
//! The lock is held for a step in the tree, never while contents are read or a draft is filled: a reader holds the version
//! that it opened, a draft its own. Whatever holds bytes has a charge for them, which goes back when the last holder goes: so
//! replaced contents count until nobody reads them, and a draft counts as it grows. Nothing is left when the mount and what
//! it handed out are dropped. What counts is content, texts of links, and names.

mod content;
mod directory;
mod draft;
mod file;
mod ledger;
mod node;
mod state;
#[cfg(test)]
mod tests;
mod watcher;

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak},
    time::{SystemTime, UNIX_EPOCH},
};

pub use self::ledger::Budget;
use self::{
    directory::MemoryDirectory,
    ledger::Ledger,
    node::{Body, Node, Refusal},
    state::{ROOT, State},
    watcher::{Ear, MemoryWatcher},
};
use super::{Capabilities, Directory, Provider, Usage, watcher::Watcher};
use crate::vfs::{
    entry::{Attributes, Identity, Time},
    fault::{Fault, Kind, Result},
};

/// What a memory mount may hold, and what its entries look like.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Bytes of content and names.
    pub quota_bytes: u64,
    /// Entries, the root not counted.
    pub max_entries: u64,
    /// First half of the identity of its entries: the mount's number with the highest bit set.
    pub device: u64,
    /// User and group that own every entry.
    pub owner: (u32, u32),
    /// Permissions that new entries lack when none are named.
    pub umask: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            quota_bytes: 64 << 20,
            max_entries: 100_000,
            device: 1 << 63,
            owner: (0, 0),
            umask: 0o022,
        }
    }
}

/// A memory mount, empty at first.
#[derive(Debug)]
pub struct Memory {
    config: Config,
    ledger: Arc<Ledger>,
    /// None once it is closed. Held for a glance.
    shared: Mutex<Option<Arc<Shared>>>,
}

impl Memory {
    /// Makes one, within the budget that all share.
    pub fn new(config: Config, budget: Budget) -> Self {
        let ledger = Ledger::new(config.quota_bytes, budget);
        let state = State::new(
            ledger.clone(),
            config.max_entries,
            0o777 & !config.umask,
            now(),
        );
        let shared = Shared {
            config,
            ledger: ledger.clone(),
            state: RwLock::new(state),
            ears: Mutex::default(),
        };
        Self {
            config,
            ledger,
            shared: Mutex::new(Some(Arc::new(shared))),
        }
    }

    fn open(&self) -> Result<Arc<Shared>> {
        let closed = || Fault::new(Kind::NotFound, "open", b"/").because("the mount is closed");
        self.shared().ok_or_else(closed)
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Provider for Memory {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: true,
            conditional_commit: true,
            atomic_rename: true,
            links: true,
            modes: true,
            set_times: true,
            cheap_seek: true,
            sorted_list: true,
            watch: true,
            ..Capabilities::default()
        }
    }

    fn root(&self) -> Result<Arc<dyn Directory>> {
        let shared = self.open()?;
        Ok(Arc::new(MemoryDirectory {
            shared,
            number: ROOT,
        }))
    }

    fn usage(&self) -> Usage {
        Usage {
            files: Some(self.shared().map_or(0, |shared| shared.read().entries())),
            bytes: Some(self.ledger.used()),
            quota_bytes: Some(self.config.quota_bytes),
            skipped: None,
        }
    }

    fn watcher(&self) -> Result<Option<Box<dyn Watcher>>> {
        let watcher = MemoryWatcher::new(&self.open()?)?;
        Ok(Some(Box::new(watcher)))
    }

    fn close(&self) {
        self.shared
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

/// What the handles of one mount share.
#[derive(Debug)]
struct Shared {
    config: Config,
    ledger: Arc<Ledger>,
    /// The tree. Never held while bytes of files are read; for an append while they are copied.
    state: RwLock<State>,
    /// Who wants to be told. Taken after the tree's lock, held for a glance.
    ears: Mutex<Vec<Weak<Ear>>>,
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is done to the tree is told before anybody else does something to it.
    fn write(&self) -> Writing<'_> {
        let state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        Writing {
            state,
            ears: &self.ears,
        }
    }

    fn listen(&self, ear: Weak<Ear>) {
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        ears.retain(|ear| ear.strong_count() > 0);
        ears.push(ear);
    }

    fn attributes(&self, number: u64, node: &Node) -> Attributes {
        let (size, target) = match &node.body {
            Body::File(content) => (content.len(), None),
            Body::Dir(_) => (0, None),
            Body::Link(text) => (text.bytes.len() as u64, Some(text.bytes.clone())),
        };
        Attributes {
            kind: node.kind(),
            size,
            mode: node.mode,
            uid: self.config.owner.0,
            gid: self.config.owner.1,
            links: 1,
            mtime: node.mtime,
            identity: Identity {
                device: self.config.device,
                inode: number,
            },
            version: node.version(),
            target,
            magic: false,
            commit: None,
        }
    }
}

/// The tree, to be changed.
struct Writing<'a> {
    state: RwLockWriteGuard<'a, State>,
    ears: &'a Mutex<Vec<Weak<Ear>>>,
}

impl Deref for Writing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        let events = self.state.take_events();
        let ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        for ear in ears.iter().filter_map(Weak::upgrade) {
            for event in &events {
                ear.hear(event);
            }
        }
    }
}

fn now() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Time {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos(),
    }
}

/// Makes a refusal of the tree a failure of an operation.
fn fault(refusal: impl Into<Refusal>, operation: &'static str, name: impl AsRef<[u8]>) -> Fault {
    let refusal = refusal.into();
    let fault = Fault::new(refusal.kind, operation, name);
    match refusal.detail {
        Some(detail) => fault.because(detail),
        None => fault,
    }
}
