//! What can go wrong with windows.

use std::time::Duration;

use super::WindowId;
use crate::desktop::clipboard::error::Cause;

/// Why windows were not listed, or nothing became of what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WindowError {
    /// No window manager has such a window, or it is gone.
    #[error("there is no window {0}")]
    NoSuchWindow(WindowId),
    /// No window manager, or one without EWMH.
    #[error("the desktop has no window manager that lists its windows")]
    NotSupported,
    /// It was asked, and no effect was seen; it may still come.
    #[error("the window {id} did not {verb} within {waited:?}")]
    NoEffect {
        /// Which.
        id: WindowId,
        /// What it should do.
        verb: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// Too many wait already. Nothing was done.
    #[error("too many requests for windows are waiting")]
    Busy,
    /// There is no connection to the display. Nothing was done.
    #[error("there is no connection to the display")]
    Unreachable(#[source] Cause),
    /// The connection to the display broke.
    #[error("the connection to the display was lost during {operation}")]
    ConnectionLost {
        /// What was being done.
        operation: &'static str,
        /// What broke.
        source: Cause,
    },
    /// The display refused a request.
    #[error("the display refused {operation}")]
    Refused {
        /// What was asked.
        operation: &'static str,
        /// What it answered.
        source: Cause,
    },
}

impl WindowError {
    /// Whether nothing was done because the display is not there, so that another one may be tried.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}
