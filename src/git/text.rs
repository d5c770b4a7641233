//! The text of a diff as git prints it: lines of hunks behind `@@`, of contents that are in memory.

use git2::{DiffOptions, Patch};

/// Lines of both sides that are compared; the memory for it is many times theirs.
const MOST_LINES: usize = 1_000_000;
/// Bytes of the line that stands behind `@@`.
const MAX_HEADING: usize = 80;
const NO_NEWLINE: &[u8] = b"\n\\ No newline at end of file\n";

/// A text that is counted, and kept as long as it is no longer than allowed.
#[derive(Clone, Debug, Default)]
pub(super) struct Text {
    /// Empty once it is too long.
    pub(super) bytes: Vec<u8>,
    /// How long it is.
    pub(super) size: u64,
    pub(super) limit: u64,
}

impl Text {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        if self.fits() {
            self.bytes.extend_from_slice(bytes);
        } else if !self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
    }

    pub(super) fn fits(&self) -> bool {
        self.size <= self.limit
    }
}

/// How many lines were added and removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) additions: u64,
    pub(super) deletions: u64,
}

/// Why there are no hunks.
#[derive(Debug)]
pub(super) struct TooManyLines;

/// The hunks between two contents. `begin` is what stands before the first of them.
pub(super) fn hunks(
    old: &[u8],
    new: &[u8],
    context: u32,
    begin: &[u8],
    out: &mut Text,
) -> Result<Counts, TooManyLines> {
    match (old.is_empty(), new.is_empty()) {
        (true, true) => Ok(Counts::default()),
        (true, false) => {
            out.push(begin);
            Ok(Counts {
                additions: whole(new, b'+', out),
                deletions: 0,
            })
        }
        (false, true) => {
            out.push(begin);
            Ok(Counts {
                additions: 0,
                deletions: whole(old, b'-', out),
            })
        }
        (false, false) => between(old, new, context, begin, out),
    }
}

/// All lines of a content, added or removed.
fn whole(content: &[u8], sign: u8, out: &mut Text) -> u64 {
    let count = lines(content) as u64;
    let side = if count == 1 {
        "1".to_owned()
    } else {
        format!("1,{count}")
    };
    let head = match sign {
        b'+' => format!("@@ -0,0 +{side} @@\n"),
        _ => format!("@@ -{side} +0,0 @@\n"),
    };
    out.push(head.as_bytes());
    if out.size + content.len() as u64 + count > out.limit {
        let end = if content.ends_with(b"\n") {
            0
        } else {
            NO_NEWLINE.len() as u64
        };
        out.size += content.len() as u64 + count + end;
        out.bytes = Vec::new();
        return count;
    }
    for line in content.split_inclusive(|byte| *byte == b'\n') {
        out.push(&[sign]);
        out.push(line);
    }
    if !content.ends_with(b"\n") {
        out.push(NO_NEWLINE);
    }
    count
}

fn lines(content: &[u8]) -> usize {
    let ends = memchr::memchr_iter(b'\n', content).count();
    ends + usize::from(!content.is_empty() && !content.ends_with(b"\n"))
}

fn between(
    old: &[u8],
    new: &[u8],
    context: u32,
    begin: &[u8],
    out: &mut Text,
) -> Result<Counts, TooManyLines> {
    if lines(old) + lines(new) > MOST_LINES {
        return Err(TooManyLines);
    }
    let mut options = DiffOptions::new();
    options
        .context_lines(context)
        .indent_heuristic(true)
        .force_text(true);
    let Ok(patch) = Patch::from_buffers(old, None, new, None, Some(&mut options)) else {
        return Err(TooManyLines);
    };
    let mut headings = Headings::of(old);
    let mut counts = Counts::default();
    for hunk in 0..patch.num_hunks() {
        if hunk == 0 {
            out.push(begin);
        }
        let (head, lines) = patch.hunk(hunk).map_err(|_| TooManyLines)?;
        let heading = headings.before(head.old_start(), head.old_lines());
        out.push(b"@@ -");
        out.push(side(head.old_start(), head.old_lines()).as_bytes());
        out.push(b" +");
        out.push(side(head.new_start(), head.new_lines()).as_bytes());
        out.push(b" @@");
        if !heading.is_empty() {
            out.push(b" ");
            out.push(heading);
        }
        out.push(b"\n");
        for line in 0..lines {
            let line = patch.line_in_hunk(hunk, line).map_err(|_| TooManyLines)?;
            match line.origin() {
                '+' => {
                    counts.additions += 1;
                    out.push(b"+");
                }
                '-' => {
                    counts.deletions += 1;
                    out.push(b"-");
                }
                ' ' => out.push(b" "),
                _ => {}
            }
            out.push(line.content());
        }
    }
    Ok(counts)
}

fn side(start: u32, lines: u32) -> String {
    if lines == 1 {
        start.to_string()
    } else {
        format!("{start},{lines}")
    }
}

/// Which line stands behind `@@`: the nearest one above that begins like the name of something.
struct Headings<'a> {
    old: &'a [u8],
    /// Where lines begin, as far as they were looked at.
    starts: Vec<usize>,
    /// Lines that were looked at before.
    seen: usize,
    last: &'a [u8],
}

impl<'a> Headings<'a> {
    fn of(old: &'a [u8]) -> Self {
        Self {
            old,
            starts: Vec::new(),
            seen: 0,
            last: b"",
        }
    }

    fn before(&mut self, start: u32, lines: u32) -> &'a [u8] {
        if self.starts.is_empty() {
            self.starts.push(0);
            self.starts
                .extend(memchr::memchr_iter(b'\n', self.old).map(|at| at + 1));
        }
        let first = start as usize - usize::from(lines > 0 && start > 0);
        for line in (self.seen..first).rev() {
            let Some(from) = self.starts.get(line) else {
                continue;
            };
            let until = self.starts.get(line + 1).copied().unwrap_or(self.old.len());
            let text = &self.old[*from..until];
            if text
                .first()
                .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'$'))
            {
                let text = &text[..text.len().min(MAX_HEADING)];
                let blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
                let end = text
                    .iter()
                    .rposition(|byte| !blank(byte))
                    .map_or(0, |at| at + 1);
                self.last = &text[..end];
                break;
            }
        }
        self.seen = first.max(self.seen);
        self.last
    }
}
