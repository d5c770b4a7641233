//! Watching trees: what was made, changed, renamed and removed, to many clients, with nothing missed in silence.
//!
//! ```text
//!   Watcher of each provider ──notices──▶ Forest (which directories are watched) ──changes──▶ Ring ──▶ clients
//!        one directory at a time            looks at what was touched, and tells         65,536 changes,
//!                                           how it differs from what was told            read by position
//! ```
//!
//! One thread owns the watchers and the forest of a root and feeds its ring; all clients of the root read the same ring at their own
//! pace ([`Subscription`]). The thread ends 60 s after the last client, so that a client which comes back finds its place.
//!
//! States of a ring: *setting up* (watches are being set, nobody is told anything), *ready*, *idle* (ready, without a client),
//! *over* (the thread has ended, because the root is gone or nobody came back; its positions are unknown to the next ring).

pub mod coalesce;
pub mod filter;
mod forest;
mod ring;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use uuid::Uuid;

pub use self::ring::{Position, Subscription};
use self::ring::{Ring, RingKey};
use super::{
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    path::TreePath,
    view::{Opened, View},
};

/// Roots that are watched at a time, idle ones included.
pub const MAX_RINGS: usize = 64;

/// What happened at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// It was made, or moved in.
    Create,
    /// Its content changed, or it was replaced.
    Modify,
    /// Its mode, owner or times changed.
    Attrib,
    /// It was removed, or moved out.
    Remove,
    /// It came from another name below the root; of a directory, with all its contents.
    Rename,
    /// Below it changes were lost: list it again.
    Overflow(Lost),
}

/// Why changes were lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The kernel's queue was full.
    Kernel,
    /// The position is older than what the ring holds.
    Ring,
    /// The client reads more slowly than things happen.
    Slow,
    /// The position is of a watch that has ended.
    Restart,
    /// The machine watches no more directories: what is below the path is not covered.
    WatchLimit,
    /// Rules of gitignore changed, or other rules hold at a new place: other entries are chosen.
    Rules,
}

impl Lost {
    /// The word for it on the wire.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kernel => "kernel",
            Self::Ring => "ring",
            Self::Slow => "slow",
            Self::Restart => "restart",
            Self::WatchLimit => "watch_limit",
            Self::Rules => "rules",
        }
    }

    /// What cures it, when something does.
    pub fn cure(self) -> Option<&'static str> {
        let cure = "the part is not watched; `sysctl fs.inotify.max_user_watches` raises the limit";
        (self == Self::WatchLimit).then_some(cure)
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What happened.
    pub kind: ChangeKind,
    /// Where.
    pub path: TreePath,
    /// From where, of a rename.
    pub from: Option<TreePath>,
    /// Whether a file was at the new name of a rename.
    pub over: bool,
    /// What it is, when that is known.
    pub entry: Option<EntryKind>,
    /// When it was noticed.
    pub time: SystemTime,
}

impl Change {
    /// A change that is noticed now.
    fn now(kind: ChangeKind, path: TreePath, entry: Option<EntryKind>) -> Self {
        Self {
            kind,
            path,
            from: None,
            over: false,
            entry,
            time: SystemTime::now(),
        }
    }

    /// What happened below a path is lost.
    fn overflow(path: TreePath, lost: Lost) -> Self {
        Self::now(ChangeKind::Overflow(lost), path, None)
    }
}

/// All watches of a tree. Clones are the same.
#[derive(Clone, Debug)]
pub struct Watches(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Tells the positions of this run from those of others.
    run: Uuid,
    /// Held for a look, an entry or a removal; threads are started under it, never joined.
    rings: Mutex<HashMap<RingKey, Arc<Ring>>>,
}

impl Default for Watches {
    fn default() -> Self {
        Self(Arc::new(Shared {
            run: Uuid::now_v7(),
            rings: Mutex::default(),
        }))
    }
}

impl Watches {
    fn rings(&self) -> MutexGuard<'_, HashMap<RingKey, Arc<Ring>>> {
        self.0.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Subscribes to what happens below a directory, or directly in it. Blocks until all watches are set; nothing that happens after
    /// it returns is missed without a record that says so. A position continues there, when it is of the same ring.
    pub fn subscribe(
        &self,
        view: &View,
        root: Opened,
        recursive: bool,
        position: Option<Position>,
    ) -> Result<Subscription> {
        let identity = root.directory.attributes()?.identity;
        let key = RingKey::new(view, &root.path, identity, recursive);
        let ring = self.ring(key, view, root, recursive)?;
        let subscription = ring.subscribe(self.0.run, position);
        subscription.ready()?;
        Ok(subscription)
    }

    fn ring(&self, key: RingKey, view: &View, root: Opened, recursive: bool) -> Result<Arc<Ring>> {
        let mut rings = self.rings();
        if let Some(ring) = rings.get(&key).filter(|ring| ring.join()) {
            return Ok(Arc::clone(ring));
        }
        rings.retain(|_, ring| !ring.is_over());
        if rings.len() >= MAX_RINGS {
            // The one that nobody has come back to for longest.
            let idle = rings
                .iter()
                .filter_map(|(key, ring)| Some((ring.idle_since()?, key)));
            let oldest = idle
                .min_by_key(|(since, _)| *since)
                .map(|(_, key)| key.clone());
            if let Some(ring) = oldest.and_then(|key| rings.remove(&key)) {
                ring.stop();
            }
        }
        if rings.len() >= MAX_RINGS {
            let path = root.path.to_bytes();
            return Err(Fault::new(Kind::MountBusy, "watch", path)
                .because(format!("{MAX_RINGS} directories are watched already")));
        }
        let ring = Ring::start(view.clone(), root, recursive)?;
        rings.insert(key, Arc::clone(&ring));
        Ok(ring)
    }

    /// Something was mounted at a path, or is no longer: watches that it concerns end, and their clients are told to come back.
    pub fn remounted(&self, at: &TreePath) {
        self.rings().retain(|_, ring| {
            let outdated = ring.concerns(at);
            if outdated {
                ring.outdate();
            }
            !outdated
        });
    }

    /// Roots that are watched now.
    pub fn count(&self) -> usize {
        self.rings().values().filter(|ring| !ring.is_over()).count()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let rings = self.rings.get_mut().unwrap_or_else(PoisonError::into_inner);
        for ring in rings.values() {
            ring.stop();
        }
    }
}
