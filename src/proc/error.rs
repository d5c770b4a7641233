//! What goes wrong with processes.

use super::record::Window;

/// Why nothing was started, or why it is not known.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The token was used with other parameters, or by another chat.
    #[error("the client token was used for another start")]
    TokenConflict,
    /// The wait for another start of the token was given up.
    #[error("the wait for another start of the client token was given up")]
    WaitAborted,
    /// The limit cannot be applied here.
    #[error("the limit {limit} cannot be applied on this machine")]
    LimitUnavailable {
        /// Its field.
        limit: String,
    },
    /// As many as there may be run, or are remembered.
    #[error("too many processes")]
    TooMany,
    /// No such account.
    #[error("the user {user} is not known on this machine")]
    UnknownUser {
        /// As it was asked for.
        user: String,
    },
    /// The daemon is not root.
    #[error("this daemon may not run programs as another user")]
    UserNotPermitted,
    /// Fork or exec failed, or the directory cannot be entered. Nothing ran.
    #[error("the process could not be started")]
    Spawn {
        /// The system's words.
        detail: String,
    },
    /// The chat is being deleted.
    #[error("the chat is being deleted")]
    ChatDeleting,
    /// The daemon stops.
    #[error("deskd is stopping")]
    ShuttingDown,
}

/// Why a signal was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// It has exited, and its output is closed.
    #[error("the process has exited")]
    Exited,
    /// The system refused.
    #[error("the signal could not be sent")]
    Failed {
        /// The system's words.
        detail: String,
    },
    /// The daemon stops.
    #[error("deskd is stopping")]
    ShuttingDown,
}

/// Why input was not taken, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// Started without, or closed already, or exited.
    #[error("standard input is not open")]
    NotOpen,
    /// The reader went away.
    #[error("the process has closed its standard input")]
    Closed {
        /// Bytes that were taken before.
        written: u64,
    },
    /// Nothing was taken for a long time.
    #[error("the process does not read its standard input")]
    Stalled {
        /// Bytes that were taken before.
        written: u64,
    },
    /// As many bodies as may wait, wait.
    #[error("too many requests write to this standard input")]
    Busy,
    /// It has no terminal.
    #[error("the process has no terminal")]
    NoTerminal,
    /// It has exited, and its terminal with it.
    #[error("the process has exited")]
    Exited,
}

/// A cursor that lies behind the last byte.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the cursor {cursor} is beyond the end at {}", window.total)]
pub struct BeyondEnd {
    /// As it was asked for.
    pub cursor: u64,
    /// What there is.
    pub window: Window,
}
