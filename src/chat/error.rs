//! What goes wrong with chats and tokens.

use std::{io, path::PathBuf};

use super::{MAX_CHATS, MAX_LEVELS, MAX_TOKENS};

/// Why a chat is not as it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChatError {
    /// Not known, or not the caller's to see.
    #[error("the chat was not found")]
    NotFound,
    /// The parent is the chat itself or below it.
    #[error("the parent is the chat itself or below it")]
    Cycle,
    /// The tree would have too many levels.
    #[error("chats are at most {MAX_LEVELS} levels deep")]
    TooDeep,
    /// The parent is archived and the chat would not be.
    #[error("the parent is archived")]
    ParentArchived,
    /// It has children, which were not to be deleted with it.
    #[error("the chat has children")]
    HasChildren,
    /// It is being deleted.
    #[error("the chat is being deleted")]
    Deleting,
    /// There are as many as there may be, and none can go.
    #[error("there are {MAX_CHATS} chats, and none of them can go")]
    Full,
}

/// Why a token was not made or revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// There are as many as there may be.
    #[error("there are {MAX_TOKENS} live tokens, which is the limit")]
    Full,
    /// No live token has the id.
    #[error("the token was not found")]
    NotFound,
    /// The system gave no random bytes.
    #[error("failed to make a token: {0}")]
    Random(getrandom::Error),
    /// It could not be written down.
    #[error("failed to write {path}")]
    Save {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}
