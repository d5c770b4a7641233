//! Each vendor's words for computer use, to the one [`Action`](crate::desktop::input::Action). Pure.

pub mod anthropic;
pub mod check;
pub mod coder;
pub mod neutral;
pub mod openai;

use std::time::Duration;

/// How long `hold_key` holds when nobody says.
pub const DEFAULT_HOLD: Duration = Duration::from_secs(1);
/// The longest that one action may hold a key or wait.
pub const MAX_HOLD: Duration = Duration::from_mins(5);
/// Wheel clicks of a `scroll` that does not say.
pub const DEFAULT_SCROLL: i64 = 3;
