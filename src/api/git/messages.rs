//! Messages of a git watch, none of them larger than clients take.

use std::{path::PathBuf, sync::Arc, time::SystemTime};

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use serde_json::json;

use crate::{
    api::{
        error::git::of_git,
        types::git::{RepositoryBody, path_text, timestamp},
    },
    git::{
        Snapshot,
        watch::{Latest, Outcome},
    },
    proc::excerpt::clean,
};

/// Largest message, in bytes: 4 MiB less room for what carries it.
const LARGEST: usize = 4 * 1024 * 1024 - 64 * 1024;
/// Room for the frame of a message, and for its errors.
const FRAME: usize = 1024;
/// Bytes of errors that are told.
const MOST_ERRORS: usize = 256 * 1024;

/// What stands before the entries of a message, and behind them.
const LIST: &str = r#""repositories":["#;
const END: &str = "]}";

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message(pub Utf8Bytes);

/// The answer to what was not understood.
pub fn error_message(text: &str) -> String {
    json!({"type": "error", "message": text}).to_string()
}

/// The messages that tell of changes, all of one time, and the errors in them. At least one.
pub fn messages(
    at: SystemTime,
    entries: &[Arc<Latest>],
    removed: &[PathBuf],
    failed: &[(PathBuf, Arc<Latest>)],
) -> (Vec<Message>, Vec<Arc<str>>) {
    let errors = errors(failed);
    if let [latest] = entries
        && latest.at == at
        && removed.is_empty()
        && errors.is_empty()
        && let Some(message) = message(latest)
    {
        return (vec![Message(text(message.clone()))], errors);
    }
    let room = LARGEST - FRAME - errors.iter().map(|error| error.len() + 1).sum::<usize>();
    let gone: Vec<String> = removed.iter().map(|root| removed_entry(root)).collect();
    let entries = entries.iter().filter_map(entry);
    let entries = entries.chain(gone.iter().map(String::as_str));
    let mut parts: Vec<Vec<&str>> = vec![Vec::new()];
    let mut size = 0;
    for entry in entries {
        if size + entry.len() + 1 > room && size > 0 {
            parts.push(Vec::new());
            size = 0;
        }
        size += entry.len() + 1;
        parts.last_mut().expect("there is one").push(entry);
    }
    let at = timestamp(at);
    let texts = parts
        .iter()
        .map(|entries| Message(frame(&at, entries, &errors).into()));
    (texts.collect(), errors)
}

fn frame(at: &str, entries: &[&str], errors: &[Arc<str>]) -> String {
    let mut text = format!(
        r#"{{"type":"changes","scanned_at":"{at}",{LIST}{}{END}"#,
        entries.join(",")
    );
    text.pop();
    if !errors.is_empty() {
        text.push_str(r#","errors":["#);
        text.push_str(&errors.join(","));
        text.push(']');
    }
    text.push('}');
    text
}

fn errors(failed: &[(PathBuf, Arc<Latest>)]) -> Vec<Arc<str>> {
    let mut size = 0;
    let mut all: Vec<Arc<str>> = Vec::new();
    for (root, latest) in failed {
        let Outcome::Failed(error) = &latest.outcome else {
            continue;
        };
        let body = of_git(error).into_body();
        let text =
            json!({"repo_root": path_text(root), "code": body.code, "message": body.message})
                .to_string();
        size += text.len();
        if size > MOST_ERRORS {
            break;
        }
        all.push(text.into());
    }
    all
}

fn removed_entry(root: &std::path::Path) -> String {
    json!({
        "repo_root": path_text(root), "branch": "", "unified_diff": "", "removed": true, "head": "", "files": [], "scan_ms": 0.0,
    })
    .to_string()
}

/// The message of a scan alone, made once for all who watch.
fn message(latest: &Latest) -> Option<&Bytes> {
    let Outcome::Scanned(snapshot) = &latest.outcome else {
        return None;
    };
    let make = || frame(&timestamp(latest.at), &[&encode(snapshot)], &[]).into();
    Some(latest.encoded.get_or_init(make))
}

/// Its entry.
fn entry(latest: &Arc<Latest>) -> Option<&str> {
    let message = std::str::from_utf8(message(latest)?).expect("it was made of text");
    let (_, list) = message.split_once(LIST)?;
    list.strip_suffix(END)
}

fn text(message: Bytes) -> Utf8Bytes {
    Utf8Bytes::try_from(message).expect("it was made of text")
}

/// An entry that fits into a message: else it loses the end of its files, and then diffs.
fn encode(snapshot: &Snapshot) -> String {
    let room = LARGEST - FRAME - MOST_ERRORS;
    let whole = to_text(&RepositoryBody::with_diff(snapshot));
    if whole.len() <= room {
        return whole;
    }
    let mut body = RepositoryBody::new(snapshot);
    body.truncated = true;
    let files = std::mem::take(&mut body.files);
    let bare = to_text(&body).len() + 64;
    // A part may be three times as long as what it is made of, when it is not valid text.
    let cost = |bytes: &[u8]| to_text(&clean(bytes)).len();
    let mut diff = cost(&snapshot.diff);
    body.unified_diff = Some(clean(&snapshot.diff));
    if bare + diff > room {
        let shorter = snapshot.shortened(room - bare, cost);
        diff = cost(&shorter);
        body.unified_diff = Some(clean(&shorter));
    }
    let mut left = room.saturating_sub(bare + diff);
    for file in files {
        let size = to_text(&file).len() + 1;
        if size > left {
            break;
        }
        left -= size;
        body.files.push(file);
    }
    to_text(&body)
}

fn to_text(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).expect("plain data")
}
