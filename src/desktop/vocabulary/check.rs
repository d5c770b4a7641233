//! Checks that the vocabularies share, and how a refusal is worded.

use crate::desktop::{
    geometry::Point,
    input::{self, Action, MAX_SCROLL},
    keys::{self, Combo},
};

/// Why an action is refused. The message alone says what is wrong; message and detail together say what to send
/// instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadAction {
    /// A sentence for the caller.
    pub message: String,
    /// The field it is about.
    pub field: &'static str,
    /// More, where there is more to say.
    pub detail: Option<String>,
    /// Of what kind it is.
    pub fault: Fault,
}

impl BadAction {
    /// Message and detail, for a reader who sees nothing else.
    pub fn explanation(&self) -> String {
        match &self.detail {
            Some(detail) => format!("{} {detail}", self.message),
            None => self.message.clone(),
        }
    }
}

/// Kinds of faults that clients tell apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The field is missing, or not as it should be.
    Field,
    /// The text holds a character that no key enters.
    ControlCharacter,
    /// A point or region does not lie in the declared frame.
    OutOfFrame,
}

/// Where a wheel turns to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScrollDirection {
    Up,
    Down,
    Left,
    Right,
}

impl ScrollDirection {
    /// Absent and empty mean down.
    pub(super) fn parse(word: Option<&str>) -> Result<Self, BadAction> {
        Ok(match word {
            None | Some("" | "down") => Self::Down,
            Some("up") => Self::Up,
            Some("left") => Self::Left,
            Some("right") => Self::Right,
            Some(other) => {
                let message = format!(
                    "Invalid \"scroll_direction\" {:?} for scroll action.",
                    shown(other)
                );
                let detail = Some("It is one of up, down, left, right.".to_owned());
                return Err(bad(message, "scroll_direction", detail));
            }
        })
    }

    /// So many clicks there, or the other way; no more than [`MAX_SCROLL`].
    pub(super) fn scroll(self, at: Option<Point>, clicks: i64) -> Action {
        let most = i64::from(MAX_SCROLL);
        let clicks = i32::try_from(clicks.clamp(-most, most)).expect("at most a hundred");
        let (right, down) = match self {
            Self::Up => (0, -clicks),
            Self::Down => (0, clicks),
            Self::Left => (-clicks, 0),
            Self::Right => (clicks, 0),
        };
        Action::Scroll { at, right, down }
    }
}

pub(super) fn bad(
    message: impl Into<String>,
    field: &'static str,
    detail: Option<String>,
) -> BadAction {
    BadAction {
        message: message.into(),
        field,
        detail,
        fault: Fault::Field,
    }
}

pub(super) fn missing(field: &'static str, action: &str) -> BadAction {
    let message = format!("Missing \"{field}\" for {action} action.");
    bad(message, field, form(field, action).map(ToOwned::to_owned))
}

/// What a field is to hold.
fn form(field: &str, action: &str) -> Option<&'static str> {
    Some(match (field, action) {
        ("coordinate" | "start_coordinate", _) => "Send [x, y] in pixels of the screenshot.",
        ("x" | "y", _) => "Send x and y in pixels of the screenshot.",
        ("text", "type" | "paste") => {
            "Send the characters to enter; to clear a field, press ctrl+a and BackSpace."
        }
        ("text", _) => "Send key names, as in Return or ctrl+shift+t.",
        ("keys", _) => "Send key names, as in [\"CTRL\", \"C\"].",
        ("scroll_direction", _) => "Send up, down, left or right.",
        ("path", _) => "Send the points to pass, the first where to press.",
        ("duration", _) => "Send how long.",
        _ => return None,
    })
}

pub(super) fn unknown(action: &str, known: &[&str]) -> BadAction {
    if action.is_empty() {
        return bad("Missing \"action\".", "action", None);
    }
    let known = format!("Known actions: {}.", known.join(", "));
    let message = format!("Unknown action {:?}.", shown(action));
    bad(message, "action", Some(known))
}

/// No more than a name's length of what a client sent.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// A text that must be there and hold something.
pub(super) fn text<'a>(text: Option<&'a str>, action: &str) -> Result<&'a str, BadAction> {
    let text = text.filter(|text| !text.is_empty());
    text.ok_or_else(|| missing("text", action))
}

pub(super) fn typable(text: &str) -> Result<String, BadAction> {
    input::typable(text).map_err(|error| BadAction {
        fault: Fault::ControlCharacter,
        ..bad(
            "Invalid \"text\" for type action.",
            "text",
            Some(error.to_string()),
        )
    })
}

pub(super) fn combos(text: &str) -> Result<Vec<Combo>, BadAction> {
    keys::parse(text).map_err(|error| {
        bad(
            "Invalid \"text\": it names no keys.",
            "text",
            Some(error.to_string()),
        )
    })
}

/// A point as sent; what lies beyond the numbers of pixels is far outside.
pub(super) fn point([x, y]: [i64; 2]) -> Point {
    let saturate = |c: i64| i32::try_from(c).unwrap_or(if c < 0 { i32::MIN } else { i32::MAX });
    Point {
        x: saturate(x),
        y: saturate(y),
    }
}
