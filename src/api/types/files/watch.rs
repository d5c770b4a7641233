//! What a watch says.

use serde::Serialize;
use utoipa::ToSchema;

use super::{names::shown, time};
use crate::vfs::{
    entry::{EntryKind, Time},
    watch::{Change, ChangeKind, Lost, Position},
};

/// A message of a watch.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WatchMessage {
    /// Where to continue.
    pub cursor: String,
    /// On the first message: all watches are set, and nothing after it is missed in silence.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ready: bool,
    /// Beside `ready`: some of it lies on a file system that tells of no changes, and is looked at every 2 s.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub polled: bool,
    /// What happened, in order; at most 500.
    pub events: Vec<WatchEvent>,
}

/// One thing that happened.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WatchEvent {
    /// `create`, `modify`, `attrib`, `remove`, `rename`, `overflow`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Where. Of an `overflow`: below it changes were lost, list it again.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// From where, of a `rename`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The bytes of `from` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_b64: Option<String>,
    /// What it is, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_type: Option<&'static str>,
    /// Why changes were lost: `kernel`, `ring`, `slow`, `restart`, `watch_limit`, `rules`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// What cures it, when something does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<&'static str>,
    /// When it was noticed.
    pub time: String,
}

impl From<&Change> for WatchEvent {
    fn from(change: &Change) -> Self {
        let path = shown(&change.path.to_bytes());
        let from = change.from.as_ref().map(|from| shown(&from.to_bytes()));
        let (kind, lost) = match change.kind {
            ChangeKind::Create => ("create", None),
            ChangeKind::Modify => ("modify", None),
            ChangeKind::Attrib => ("attrib", None),
            ChangeKind::Remove => ("remove", None),
            ChangeKind::Rename => ("rename", None),
            ChangeKind::Overflow(lost) => ("overflow", Some(lost)),
        };
        let (from, from_b64) = from.map_or((None, None), |from| (Some(from.text), from.base64));
        Self {
            kind,
            path: path.text,
            path_base64: path.base64,
            from,
            from_b64,
            entry_type: change.entry.map(EntryKind::word),
            reason: lost.map(Lost::word),
            detail: lost.and_then(Lost::cure),
            time: time::format(since_epoch(change.time)),
        }
    }
}

fn since_epoch(time: std::time::SystemTime) -> Time {
    let since = time
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Time {
        seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        nanos: since.subsec_nanos(),
    }
}

/// A position as clients keep it.
pub fn format_cursor(position: &Position) -> String {
    format!(
        "{}.{}.{}",
        position.run.simple(),
        position.ring.simple(),
        position.next
    )
}

/// A position from a client; `None` when it is none of ours.
pub fn parse_cursor(text: &str) -> Option<Position> {
    let mut parts = text.split('.');
    let position = Position {
        run: parts.next()?.parse().ok()?,
        ring: parts.next()?.parse().ok()?,
        next: parts.next()?.parse().ok()?,
    };
    parts.next().is_none().then_some(position)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_cursor_comes_back_and_nothing_else_is_one() {
        let position = Position {
            run: Uuid::now_v7(),
            ring: Uuid::now_v7(),
            next: 7,
        };
        let text = format_cursor(&position);
        assert_eq!(parse_cursor(&text), Some(position));
        for bad in ["", "x", "1.2.3", &format!("{text}.1"), &text[1..]] {
            assert_eq!(parse_cursor(bad), None, "{bad}");
        }
    }
}
