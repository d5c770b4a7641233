//! What can go wrong with input.

use std::{error::Error, sync::Arc};

use super::action::TextReport;
use crate::desktop::keys::Keysym;

/// Cause below, shared between the jobs that fail of it.
pub type Cause = Arc<dyn Error + Send + Sync>;

/// Why an action was not done, or not in full. Whatever the action had pressed is released.
#[derive(Clone, Debug, thiserror::Error)]
pub enum InputError {
    /// The queue of actions is full: nothing was done.
    #[error("too many input actions are waiting")]
    Busy,
    /// The action was called off, by its caller or by a reset.
    #[error("the input action was cancelled")]
    Cancelled,
    /// The injector has ended: nothing was done. Why it ended, `Input::closed` tells.
    #[error("input has been stopped")]
    Stopped,
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
    /// The display lacks an extension that input needs.
    #[error("the display has no {0} extension")]
    MissingExtension(&'static str),
    /// The text holds a control character that no key enters. Nothing was typed.
    #[error("control character U+{code:04X} at position {position} of the text cannot be typed")]
    ControlCharacter {
        /// Counted in characters from 0.
        position: usize,
        /// Its code point.
        code: u32,
    },
    /// A text was delivered in part: its first characters.
    #[error("the text broke off after {} characters", report.characters)]
    TextBroke {
        /// What was delivered.
        report: TextReport,
        /// Why no more was.
        source: Arc<InputError>,
    },
    /// The keyboard has no such key and no spare one that could be made it.
    #[error("the keyboard has no key for {0} and none to spare")]
    NoKey(Keysym),
}

impl InputError {
    /// Whether the sink is of no further use.
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::ConnectionLost { .. } | Self::Stopped => true,
            Self::TextBroke { source, .. } => source.is_fatal(),
            _ => false,
        }
    }
}
