//! A page of numbered lines: read from a place in the file, cut and counted against its budgets.

use super::index::{BLOCK, Index};
use crate::vfs::{fault::Result, read::Source};

/// What is appended to a line that was cut.
pub const CUT_MARK: &[u8] = b"... [truncated]";

/// Which lines, and how much of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wish {
    /// The first line, from 1.
    pub first: u64,
    /// Lines wanted at most.
    pub limit: u64,
    /// Bytes of a line that are given.
    pub max_line_bytes: usize,
    /// Lines that are given.
    pub max_lines: u64,
    /// Bytes that are given, numbers and line ends counted.
    pub max_bytes: usize,
    /// A budget that is reached ends the page, instead of being a failure.
    pub partial: bool,
}

/// How the lines of a page end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// None of them ends.
    #[default]
    None,
    /// LF.
    Lf,
    /// CRLF.
    Crlf,
    /// Some like this, some like that.
    Mixed,
}

/// Lines that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Number, TAB, text; joined by LF.
    pub content: Vec<u8>,
    /// How many they are.
    pub lines: u64,
    /// The first line that is not among them, when there is one.
    pub next: Option<u64>,
    /// Numbers of those that were cut.
    pub cut: Vec<u64>,
    /// Numbers of those that are not clean text.
    pub unclean: Vec<u64>,
    /// How they end.
    pub ending: Ending,
}

/// A budget that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Of bytes.
    Bytes(usize),
    /// Of lines.
    Lines(u64),
}

/// Reads a page. The lines up to the first must have been scanned.
pub(super) fn read(
    source: &Source,
    length: u64,
    index: &Index,
    wish: &Wish,
) -> Result<Result<Page, Over>> {
    let start = index.start_of(wish.first - 1);
    let mut reader = Reader::new(source, length, start.offset);
    for passed in start.line_feeds..wish.first - 1 {
        reader.line(0, index, passed + 1)?;
    }
    let mut page = Page::default();
    let mut number = wish.first;
    while reader.more {
        if page.lines == wish.limit {
            page.next = Some(number);
            break;
        }
        let line = reader.line(wish.max_line_bytes, index, number)?;
        if let Err(over) = page.add(number, line, wish) {
            if !wish.partial {
                return Ok(Err(over));
            }
            page.next = Some(number);
            break;
        }
        number += 1;
    }
    Ok(Ok(page))
}

impl Page {
    fn add(&mut self, number: u64, line: Line, wish: &Wish) -> Result<(), Over> {
        let first = self.lines == 0;
        let head = format!("{}{number}\t", if first { "" } else { "\n" });
        let mut text = line.text;
        let mut cut = line.length > text.len() as u64;
        if cut {
            text.extend_from_slice(CUT_MARK);
        }
        let room = wish
            .max_bytes
            .saturating_sub(self.content.len() + head.len());
        if text.len() > room || head.len() + self.content.len() > wish.max_bytes {
            if !(first && wish.partial) {
                return Err(Over::Bytes(wish.max_bytes));
            }
            text.truncate(whole_characters(&text, room.saturating_sub(CUT_MARK.len())));
            text.extend_from_slice(CUT_MARK);
            cut = true;
        }
        if self.lines == wish.max_lines {
            return Err(Over::Lines(wish.max_lines));
        }
        if cut {
            self.cut.push(number);
        }
        if text.contains(&0) || str::from_utf8(&text).is_err() {
            self.unclean.push(number);
        }
        self.ending = self.ending.with(line.ending);
        self.content.extend_from_slice(head.as_bytes());
        self.content.extend_from_slice(&text);
        self.lines += 1;
        Ok(())
    }
}

impl Ending {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (same, Self::None) => same,
            (Self::None, other) => other,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }
}

/// The largest length up to `limit` that splits no character of UTF-8. Of bytes that are none, just `limit`.
fn whole_characters(bytes: &[u8], limit: usize) -> usize {
    if bytes.len() <= limit {
        return bytes.len();
    }
    let is_inner = |byte: u8| byte & 0xC0 == 0x80;
    if !is_inner(bytes[limit]) {
        return limit;
    }
    let lead = (limit.saturating_sub(3)..limit)
        .rev()
        .find(|at| !is_inner(bytes[*at]));
    match lead {
        Some(at)
            if at + width(bytes[at]) > limit
                && str::from_utf8(&bytes[at..(at + width(bytes[at])).min(bytes.len())]).is_ok() =>
        {
            at
        }
        _ => limit,
    }
}

/// Bytes of a character that begins with this one.
fn width(lead: u8) -> usize {
    match lead {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    }
}

#[derive(Debug, Default)]
struct Line {
    /// As much as was asked for, in whole characters.
    text: Vec<u8>,
    /// Bytes of the whole line, without its line feed.
    length: u64,
    ending: Ending,
}

struct Reader<'a> {
    source: &'a Source,
    length: u64,
    buffer: Vec<u8>,
    used: usize,
    /// Offset of the buffer's end.
    at: u64,
    /// Whether there is a further line.
    more: bool,
}

impl<'a> Reader<'a> {
    fn new(source: &'a Source, length: u64, at: u64) -> Self {
        Self {
            source,
            length,
            buffer: Vec::new(),
            used: 0,
            at,
            more: true,
        }
    }

    /// Reads further bytes when all were used. False at the end.
    fn fill(&mut self) -> Result<bool> {
        if self.used < self.buffer.len() {
            return Ok(true);
        }
        let end = self.length.min(self.at + BLOCK);
        if end <= self.at {
            return Ok(false);
        }
        self.buffer = self.source.read(self.at..end)?.into();
        self.at = end;
        self.used = 0;
        Ok(true)
    }

    /// Takes the next line, and keeps so many of its bytes. What lies between is jumped over where the index knows.
    fn line(&mut self, keep: usize, index: &Index, number: u64) -> Result<Line> {
        let mut line = Line::default();
        let mut last = None;
        // What follows the last byte shows whether a character is split.
        let spare = keep.saturating_add(4);
        loop {
            if !self.fill()? {
                self.more = false;
                break;
            }
            let rest = &self.buffer[self.used..];
            let found = memchr::memchr(b'\n', rest);
            let part = &rest[..found.unwrap_or(rest.len())];
            let kept = part.len().min(spare.saturating_sub(line.text.len()));
            line.text.extend_from_slice(&part[..kept]);
            line.length += part.len() as u64;
            last = part.last().copied().or(last);
            self.used += part.len();
            if found.is_some() {
                self.used += 1;
                line.ending = match last {
                    Some(b'\r') => Ending::Crlf,
                    _ => Ending::Lf,
                };
                break;
            }
            if line.text.len() == spare {
                line.length += self.jump(index, number);
            }
        }
        let size = whole_characters(&line.text, keep);
        line.text.truncate(size);
        Ok(line)
    }

    /// Goes to the block in which the line feed of this number can lie at the earliest, when that is further on. Gives how far it
    /// went. The byte before that block is read again: it tells how the line ends when the line feed is the block's first.
    fn jump(&mut self, index: &Index, number: u64) -> u64 {
        let to = index.start_of(number).offset.saturating_sub(1);
        if to <= self.at {
            return 0;
        }
        let far = to - self.at;
        self.at = to;
        self.buffer.clear();
        self.used = 0;
        far
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_splits_no_character_and_leaves_broken_bytes_alone() {
        let text = "aé€𝄞".as_bytes();
        let cuts: Vec<_> = (0..=text.len())
            .map(|limit| whole_characters(text, limit))
            .collect();
        assert_eq!(cuts, [0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10]);
        assert_eq!(whole_characters(b"a\x80\x80\x80\x80", 3), 3);
        assert_eq!(
            whole_characters(b"a\xe2\x82", 2),
            2,
            "an unfinished one is none"
        );
    }
}
