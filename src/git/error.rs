//! Why a repository cannot be looked at.

use std::path::{Path, PathBuf};

use super::repository::OpenError;

/// What went wrong with a scan or a request.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// The repository cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Part of it is damaged, or the machine does not let us read it.
    #[error("failed to read the {part} of {}", root.display())]
    Unreadable {
        /// The work tree.
        root: PathBuf,
        /// Of what: `HEAD`, `index`, `objects`, `work tree`.
        part: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It took longer than it may.
    #[error("looking at the repository took too long")]
    TimedOut,
    /// Nobody waits for it any more.
    #[error("nobody waits for the answer any more")]
    Cancelled,
    /// A commit has no such file.
    #[error("the commit has no {path:?}")]
    FileNotFound {
        /// What was asked for.
        path: String,
    },
    /// A content is larger than what is handed out.
    #[error("the file has {size} bytes, at most {limit} are read")]
    BlobTooLarge {
        /// How large.
        size: u64,
        /// How much may be.
        limit: u64,
    },
    /// A diff that was asked for whole is larger than allowed.
    #[error("the diff has more than {limit} bytes")]
    DiffTooLarge {
        /// How much may be.
        limit: u64,
    },
}

impl GitError {
    /// Part of a repository cannot be read.
    pub(super) fn unreadable(
        root: &Path,
        part: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Unreadable {
            root: root.into(),
            part,
            source: source.into(),
        }
    }
}
