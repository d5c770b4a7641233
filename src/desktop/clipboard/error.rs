//! What can go wrong with the clipboard. No error holds anything of what lies there.

use std::{error::Error, sync::Arc, time::Duration};

use super::{Kind, Selection};

/// Cause below, shared between all who wait for the same connection.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why something was not read or not put onto a selection.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ClipboardError {
    /// Nobody owns it.
    #[error("nothing lies on the {0} selection")]
    Empty(Selection),
    /// What lies there is of other kinds.
    #[error("what lies on the {selection} selection is not of the kind that was asked for")]
    NoSuchKind {
        /// Which selection.
        selection: Selection,
        /// What its owner offers.
        offered: Vec<Kind>,
    },
    /// It is larger than [`super::MAX_BYTES`].
    #[error("it is larger than the {limit} bytes that the clipboard carries")]
    TooLarge {
        /// Most bytes.
        limit: usize,
    },
    /// The program that owns the selection does not answer, or stopped in the middle.
    #[error("the program that owns the {selection} selection did not answer within {waited:?}")]
    OwnerSilent {
        /// Which selection.
        selection: Selection,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The program that owned the selection ended while it was asked.
    #[error("the program that owned the {0} selection ended before it gave all of it")]
    OwnerGone(Selection),
    /// Another program took the selection at the same moment.
    #[error("another program took the {0} selection at the same moment")]
    Contested(Selection),
    /// Too many wait already. Nothing was done.
    #[error("too many requests for the clipboard are waiting")]
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

impl ClipboardError {
    /// Whether nothing was done because the display is not there, so that another one may be tried.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}
