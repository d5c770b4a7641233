//! Why the tree could not be made, or a mount of it.

use std::{io, path::PathBuf};

use crate::vfs::{
    fault::Fault,
    intent::IntentError,
    path::TreePath,
    provider::{
        git::MountError,
        host::{NotesError, ReservedError},
    },
    table::TableError,
};

/// Why there is no tree.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The daemon's directories cannot be kept from clients.
    #[error("failed to reserve the directories of the daemon")]
    Reserve(#[source] ReservedError),
    /// What a killed daemon left cannot be read.
    #[error("failed to open the notes on unfinished files")]
    Notes(#[source] NotesError),
    /// What a killed daemon was about to do cannot be read.
    #[error("failed to open the intents")]
    Intents(#[source] IntentError),
    /// A directory is not there, or cannot be reached.
    #[error("failed to find the directory {path}")]
    Find {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A mount cannot be made.
    #[error("failed to mount {at}")]
    Mount {
        /// Where.
        at: TreePath,
        /// Why.
        source: MakeError,
    },
    /// A mount has no place.
    #[error("failed to mount {at}")]
    Place {
        /// Where.
        at: TreePath,
        /// Why.
        source: TableError,
    },
}

/// Why a mount cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum MakeError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Its repository or commit cannot be used.
    #[error(transparent)]
    Git(#[from] MountError),
    /// A client asks for more than it reaches.
    #[error("{path} may not be mounted: neither a host mount nor --allow-mount leads there")]
    NotAllowed {
        /// What.
        path: String,
    },
    /// The way to the mount point has a link.
    #[error("the mount point {at} cannot be used: {link} is a link")]
    PointIsLink {
        /// The mount point.
        at: TreePath,
        /// The link.
        link: TreePath,
    },
    /// There is no place for it.
    #[error(transparent)]
    Table(#[from] TableError),
    /// What must be a directory of the machine is none.
    #[error("{path} is not on a host mount but in one of the provider {provider}")]
    NotOnHost {
        /// What.
        path: TreePath,
        /// Where it is.
        provider: &'static str,
    },
}
