//! Pass 1: the search as bytes.

use std::borrow::Cow;

use memchr::memmem::Finder;

use super::{
    Applied, Edit, Found, MAX_LINES, Pass, Refusal, Style,
    lines::{Ending, Lines},
    sink::Sink,
};

/// Replaces the search where its bytes stand; `None` when they stand nowhere.
pub(super) fn apply(
    content: &[u8],
    edit: &Edit<'_>,
    style: Style,
    limit: usize,
) -> Option<Result<Applied, Refusal>> {
    let finder = Finder::new(edit.search);
    let places = occurrences(content, &finder);
    let found = Found {
        pass: Pass::Bytes,
        line: *places.lines.first()?,
        count: places.count,
        lines: places.lines,
    };
    if found.count > 1 && !edit.replace_all {
        return Some(Err(Refusal::Ambiguous {
            pass: found.pass,
            count: found.count,
            lines: found.lines,
        }));
    }
    let replacement = in_style(edit.replace, style);
    let replaced = replace(content, &finder, &replacement, limit);
    Some(replaced.map(|content| Applied { content, found }))
}

/// How often a text occurs.
#[derive(Debug)]
pub(super) struct Occurrences {
    pub(super) count: usize,
    /// Lines of the first [`MAX_LINES`].
    pub(super) lines: Vec<usize>,
}

/// Counts from the start, without overlap.
pub(super) fn occurrences(content: &[u8], finder: &Finder<'_>) -> Occurrences {
    let mut lines = Vec::new();
    let mut count = 0;
    let (mut line, mut counted_to) = (1, 0);
    for at in finder.find_iter(content) {
        count += 1;
        if lines.len() < MAX_LINES {
            line += memchr::memchr_iter(b'\n', &content[counted_to..at]).count();
            counted_to = at;
            lines.push(line);
        }
    }
    Occurrences { count, lines }
}

fn replace(
    content: &[u8],
    finder: &Finder<'_>,
    replacement: &[u8],
    limit: usize,
) -> Result<Vec<u8>, Refusal> {
    let mut out = Sink::new(content.len() + replacement.len(), limit);
    let mut kept_to = 0;
    for at in finder.find_iter(content) {
        out.put(&content[kept_to..at])?;
        out.put(replacement)?;
        kept_to = at + finder.needle().len();
    }
    out.put(&content[kept_to..])?;
    Ok(out.into_bytes())
}

/// The replacement with the file's endings inside, unless the caller wants others. Its last line stays as it is.
fn in_style(replacement: &[u8], style: Style) -> Cow<'_, [u8]> {
    let Some(forced) = style.forced.filter(|_| !style.intent) else {
        return Cow::Borrowed(replacement);
    };
    let mut out = Vec::with_capacity(replacement.len() + replacement.len() / 16);
    for (range, line) in Lines::of(replacement) {
        out.extend_from_slice(line.text);
        let last = matches!(line.ending, Ending::None) || range.end == replacement.len();
        let ending = if last { line.ending } else { forced };
        out.extend_from_slice(ending.bytes());
    }
    Cow::Owned(out)
}
