//! What has happened to one repository since its last scan: one slot, however much it is.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use tokio::sync::Notify;

use crate::git::Extent;

/// With more paths, everything is looked at.
const MOST_PATHS: usize = 2000;

/// How much may have changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Much {
    /// A scan is not due.
    #[default]
    Nothing,
    /// The paths, and what the git directory says.
    Paths,
    /// Anything.
    Everything,
}

/// Why a scan is due.
#[derive(Debug, Default)]
pub(super) struct Due {
    paths: BTreeSet<Vec<u8>>,
    much: Much,
    /// Notifications were lost: what is watched is not known any more.
    pub(super) lost: bool,
    /// Somebody asked for it, and it is to be a new one.
    pub(super) asked: bool,
}

/// Filled by who notices something, emptied by the scanner.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    due: Mutex<Due>,
    filled: Notify,
}

impl Mailbox {
    fn note(&self, change: impl FnOnce(&mut Due)) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.much = due.much.max(Much::Paths);
        change(&mut due);
        drop(due);
        self.filled.notify_one();
    }

    /// A path below the root has changed.
    pub(super) fn path(&self, path: Vec<u8>) {
        self.note(|due| {
            if due.much < Much::Everything {
                due.paths.insert(path);
            }
            if due.paths.len() > MOST_PATHS {
                due.paths.clear();
                due.much = Much::Everything;
            }
        });
    }

    /// Something in the git directory has changed: HEAD, the index, a reference.
    pub(super) fn git(&self) {
        self.note(|_| {});
    }

    /// Anything may have changed.
    pub(super) fn everything(&self) {
        self.note(|due| due.much = Much::Everything);
    }

    /// Anything may have changed, and directories may have moved, without a notification.
    pub(super) fn lost(&self) {
        self.note(|due| {
            due.much = Much::Everything;
            due.lost = true;
        });
    }

    /// A new scan is wanted.
    pub(super) fn ask(&self) {
        self.note(|due| {
            due.much = Much::Everything;
            due.asked = true;
        });
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        let due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.much == Much::Nothing
    }

    /// Whether somebody waits for a new scan.
    pub(super) fn is_asked(&self) -> bool {
        self.due
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .asked
    }

    /// Takes what waits.
    pub(super) fn take(&self) -> Due {
        std::mem::take(&mut *self.due.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Resolves when something was noted since the last time. Safe to drop.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}

impl Due {
    /// What is to be looked at.
    pub(super) fn extent(self) -> Extent {
        if self.is_full() {
            Extent::Full
        } else {
            Extent::Paths(self.paths)
        }
    }

    /// Whether everything is.
    pub(super) fn is_full(&self) -> bool {
        self.much == Much::Everything
    }
}
