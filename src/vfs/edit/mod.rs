//! The edit matcher: finds the text that a caller wants replaced, strictly or with patience, and replaces it. Pure:
//! bytes in, bytes or a typed refusal out.
//!
//! Callers are often language models. They copy text out of a file and lose what cannot be seen: TABs become spaces,
//! blanks at line ends go, CRLF becomes LF. So a search is tried in three passes, from strict to patient, and the
//! first that finds anything decides:
//!
//! ```text
//!                 found once, or replace_all          found more often
//!  1 bytes  ─────────────────────────────▶ replaced  ──────────────────▶ Ambiguous
//!     │ not found
//!     ├── only white space ───▶ Blank            (it would match between any two lines)
//!     ├── fuzzy is off ───────▶ NotFound
//!     ├── other endings are asked for ──▶ NotFound   ("intent": search LF, replacement CRLF)
//!     ▼
//!  2 lines, blanks at their ends aside ──▶ the same
//!     ▼
//!  3 lines, white space at both ends aside ──▶ the same, else NotFound
//! ```
//!
//! Pass 1 replaces bytes. Passes 2 and 3 find *windows*: runs of file lines that match the lines of the search. There
//! the replacement is not pasted over the window. It is *spliced*: each of its lines is set against a line of the
//! search, and so against a line of the window, and takes from the file what the caller did not mean to change. If
//! search and replacement agree about a lead (the blanks before the text), the file's lead stays; a line that is new
//! is indented in the file's units; endings are the file's.
//!
//! ```text
//!  file         search       replacement          result
//!  →if a {      ␠␠if a {     ␠␠if a {             →if a {      equal line: the file's lead
//!  →→b();       ␠␠␠␠b();     ␠␠␠␠c();             →→c();       paired line: the leads agree, the file's lead
//!  →}                        ␠␠␠␠d();             →→d();       inserted line: two of the caller's units, two TABs
//!               ␠␠}          ␠␠}                  →}
//! ```
//!
//! Everything is matched as bytes, and only the replaced part changes: whatever encoding the rest is in, it stays.
//! Each pass is linear in the file (substring search in pass 1, Knuth-Morris-Pratt over lines in 2 and 3).
//!
//! - `lines` cuts text into lines, `exact` is pass 1, `window` finds for passes 2 and 3, `splice` and `indent` replace.
//! - [`report`](mod@report) says of a search that was not found what is nearest to it, and why it may have failed.
//! - [`unified`] shows what became of a file.

mod diff;
mod exact;
mod indent;
mod lines;
mod refusal;
pub mod report;
mod sink;
mod splice;
#[cfg(test)]
mod tests;
mod window;

use std::borrow::Cow;

pub use self::{diff::unified, refusal::Refusal};
use self::{
    lines::{Ending, dominant_ending, internal_ending, is_white_space},
    splice::Splice,
    window::{Pattern, Tolerance},
};

/// How many line numbers a result or a refusal names.
pub const MAX_LINES: usize = 20;

/// What a caller wants replaced, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit<'a> {
    pub search: &'a [u8],
    pub replace: &'a [u8],
    /// Replace every occurrence; otherwise there must be just one.
    pub replace_all: bool,
    /// Try passes 2 and 3 when the bytes are not found.
    pub fuzzy: bool,
}

/// What an edit did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The whole text, as it is now.
    pub content: Vec<u8>,
    pub found: Found,
}

/// Where an edit found its search. Lines are counted from 1, in the text that the edit was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub pass: Pass,
    /// Where the first replacement begins.
    pub line: usize,
    /// How many places were replaced.
    pub count: usize,
    /// Where the first [`MAX_LINES`] of them begin.
    pub lines: Vec<usize>,
}

/// The pass that found the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    Bytes,
    /// Lines, but for spaces and TABs at their ends.
    LineEnds,
    /// Lines, but for white space at both ends.
    BothEnds,
}

impl Pass {
    /// 1, 2 or 3.
    pub fn number(self) -> u8 {
        match self {
            Pass::Bytes => 1,
            Pass::LineEnds => 2,
            Pass::BothEnds => 3,
        }
    }
}

/// What several edits made of one text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    pub content: Vec<u8>,
    /// One for each edit, in order.
    pub found: Vec<Found>,
}

/// The edit of several that ended them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its place, from 0.
    pub edit: usize,
    pub refusal: Refusal,
    /// The text that it was given: what the edits before it had made. Only a [`report`](mod@report) needs it.
    pub content: Vec<u8>,
}

/// Applies one edit to a text. A result of more than `limit` bytes is refused before it is made.
pub fn apply(content: &[u8], edit: &Edit<'_>, limit: usize) -> Result<Applied, Refusal> {
    if edit.search.is_empty() {
        return Err(Refusal::EmptySearch);
    }
    let style = Style::of(content, edit);
    if let Some(outcome) = exact::apply(content, edit, style, limit) {
        return outcome;
    }
    if style.intent || !edit.fuzzy {
        return Err(Refusal::NotFound);
    }
    if is_white_space(edit.search) {
        return Err(Refusal::Blank);
    }
    for tolerance in [Tolerance::LineEnds, Tolerance::BothEnds] {
        if let Some(outcome) = by_lines(content, edit, style, tolerance, limit) {
            return outcome;
        }
    }
    Err(Refusal::NotFound)
}

/// Applies edits, each to the result of the one before. All or nothing: the first refusal ends it.
pub fn apply_all(
    content: &[u8],
    edits: &[Edit<'_>],
    limit: usize,
) -> Result<Sequence, Box<Failed>> {
    let mut content = Cow::Borrowed(content);
    let mut found = Vec::with_capacity(edits.len());
    for (number, edit) in edits.iter().enumerate() {
        match apply(&content, edit, limit) {
            Ok(applied) => {
                content = Cow::Owned(applied.content);
                found.push(applied.found);
            }
            Err(refusal) => {
                return Err(Box::new(Failed {
                    edit: number,
                    refusal,
                    content: content.into_owned(),
                }));
            }
        }
    }
    Ok(Sequence {
        content: content.into_owned(),
        found,
    })
}

/// One of the tolerant passes; `None` when it finds no window.
fn by_lines(
    content: &[u8],
    edit: &Edit<'_>,
    style: Style,
    tolerance: Tolerance,
    limit: usize,
) -> Option<Result<Applied, Refusal>> {
    let pattern = Pattern::of(edit.search, tolerance);
    let tally = pattern.tally(content);
    let pass = tolerance.pass();
    let first = tally.first?;
    if tally.count > 1 && !edit.replace_all {
        return Some(Err(Refusal::Ambiguous {
            pass,
            count: tally.count,
            lines: tally.lines,
        }));
    }
    let found = Found {
        pass,
        line: first.line,
        count: tally.count,
        lines: tally.lines,
    };
    let splice = Splice::new(content, edit, style.forced);
    let replaced = if found.count == 1 {
        splice.replace([first], limit)
    } else {
        splice.replace(pattern.windows(content), limit)
    };
    Some(replaced.map(|content| Applied { content, found }))
}

/// What search, replacement and file say about line endings.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// The ending that every inner line of the replacement gets: the file's, if the replacement has inner lines.
    forced: Option<Ending>,
    /// Search and replacement end their lines differently: the ending is what the caller wants changed.
    intent: bool,
}

impl Style {
    fn of(content: &[u8], edit: &Edit<'_>) -> Style {
        let replaced = internal_ending(edit.search);
        let replacing = internal_ending(edit.replace);
        Style {
            forced: replacing.map(|_| dominant_ending(content)),
            intent: replaced.is_some() && replacing.is_some() && replaced != replacing,
        }
    }
}
