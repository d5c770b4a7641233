//! How a provider tells of changes: one directory at a time, without recursion. Whatever watches
//! whole trees is built on it.

use std::{fmt::Debug, os::fd::BorrowedFd};

use super::Directory;
use crate::vfs::{fault::Result, path::Name};

/// Which watched directory a notice is of. The same directory added twice has one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WatchKey(pub u64);

/// What happened to an entry of a watched directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// It was made.
    Created {
        /// Whether it is a directory.
        directory: bool,
    },
    /// Its content changed.
    Modified,
    /// Its mode, owner or times changed.
    Attributes,
    /// It was removed.
    Removed,
    /// It went to another name; both halves of a rename have the same number.
    MovedFrom(u32),
    /// It came from another name, or from outside, when no other half has the number.
    MovedTo {
        /// The number.
        pair: u32,
        /// Whether it is a directory.
        directory: bool,
    },
    /// The directory itself is gone, and with it its watch.
    Gone,
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// To an entry of a directory; without a name, to the directory itself.
    Entry {
        /// The directory.
        key: WatchKey,
        /// The entry.
        name: Option<Name>,
        /// What.
        happened: Happened,
    },
    /// More happened than could be kept: what is known must be read again.
    Overflow,
}

/// Tells of changes in directories of one provider. Dropping it ends all its watches.
pub trait Watcher: Debug + Send + Sync {
    /// Begins to tell of a directory's entries. What happens after it returns is told. At the machine's limit:
    /// [`Kind::NoSpace`](crate::vfs::fault::Kind::NoSpace), and the detail says how to raise it.
    fn add(&self, directory: &dyn Directory) -> Result<WatchKey>;

    /// Ends telling of a directory.
    fn forget(&self, key: WatchKey);

    /// Readable when there are notices.
    fn descriptor(&self) -> BorrowedFd<'_>;

    /// Takes what has happened, in order, without waiting.
    fn take(&self, into: &mut Vec<Notice>) -> Result<()>;
}
