//! Trees as tar, tar.gz and zip: out as a stream, in as a whole or not at all.
//!
//! Out: every entry is written as it is met, at constant memory. In: everything is unpacked into a staging directory, checked on the
//! way, and then renamed into place:
//!
//! ```text
//!   bytes ──▶ entries, checked ──▶ staging directory ──▶ look for what is in the way ──▶ renames
//!                 │ refused            │ failed                 │ refused                 │ failed
//!                 └────────────────────┴── staging goes ────────┘             renames are undone, staging goes
//! ```
//!
//! A record in the state directory says where the staging directory is, and, before the first rename, that all is ready: after
//! a kill the next start removes it, or does what is left of the renames first.

mod merge;
pub mod pack;
mod stage;
mod tail;
pub mod unpack;

pub(super) use self::stage::finish;
use super::{fault::Fault, path::TreePath};

/// What an archive is written as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// POSIX tar, with the long names of GNU.
    #[default]
    Tar,
    /// The same, compressed by gzip.
    TarGz,
    /// Zip, deflated.
    Zip,
}

/// Why an archive was not unpacked. What was there is as it was.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It could not be done.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// An entry would reach out of the directory, or is not what it says.
    #[error("the entry {name} is not safe: {why}")]
    Unsafe {
        /// As the archive has it, quoted.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// It is no archive, or not a whole one.
    #[error("the archive cannot be read: {0}")]
    Bad(String),
    /// It holds more than is allowed.
    #[error("the archive holds more than {0}")]
    TooLarge(String),
    /// A link is where a directory is needed.
    #[error("{0} is a link where a directory is needed")]
    LinkInTheWay(TreePath),
    /// Something is there, and is not to be replaced, or is of another kind.
    #[error("{0} is there already")]
    Exists(TreePath),
}
