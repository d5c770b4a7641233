//! One file through ripgrep's searcher: which lines match, with what around them.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use grep_matcher::Matcher;
use grep_regex::RegexMatcher;
use grep_searcher::{
    BinaryDetection, Searcher, SearcherBuilder, Sink, SinkContext, SinkContextKind, SinkFinish,
    SinkMatch,
};

use super::{Line, MAX_LINE, Query};
use crate::vfs::{pool::Wanted, provider::OpenFile};

/// Largest file of a search over the ends of lines, which holds it in memory.
const MAX_MULTILINE: usize = 64 * 1024 * 1024;

/// The searcher for a query.
pub(super) fn searcher(query: &Query) -> Searcher {
    let binary = if query.binary_as_text {
        BinaryDetection::none()
    } else {
        BinaryDetection::quit(0)
    };
    SearcherBuilder::new()
        .line_number(true)
        .multi_line(query.multiline)
        .heap_limit(query.multiline.then_some(MAX_MULTILINE))
        .before_context(query.before)
        .after_context(query.after)
        .binary_detection(binary)
        .build()
}

/// Reads an opened file from its start, as long as somebody wants it.
pub(super) struct Reader<'a> {
    pub(super) file: &'a dyn OpenFile,
    pub(super) offset: u64,
    /// Fewer bytes came than were asked for: it need not be asked again.
    pub(super) ended: bool,
    pub(super) wanted: &'a dyn Fn() -> bool,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if !(self.wanted)() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        if self.ended {
            return Ok(0);
        }
        let count = self
            .file
            .read_at(buffer, self.offset)
            .map_err(io::Error::other)?;
        self.offset += count as u64;
        self.ended = count < buffer.len();
        Ok(count)
    }
}

/// Takes lines as they are found; false when no more are wanted.
pub(super) type Give<'a> = &'a mut dyn FnMut(Line) -> bool;

/// What a file was.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Outcome {
    pub(super) bytes: u64,
    pub(super) binary: bool,
}

pub(super) struct Lines<'a> {
    matcher: &'a RegexMatcher,
    before: usize,
    after: usize,
    give: Give<'a>,
    /// The match whose lines after are still to come.
    held: Option<Line>,
    /// Lines since the last match, the newest last; no more than are asked for before a match.
    recent: VecDeque<Vec<u8>>,
    stopped: bool,
    outcome: Outcome,
}

impl<'a> Lines<'a> {
    pub(super) fn new(query: &'a Query, give: Give<'a>) -> Self {
        Self {
            matcher: &query.matcher,
            before: query.before,
            after: query.after,
            give,
            held: None,
            recent: VecDeque::new(),
            stopped: false,
            outcome: Outcome::default(),
        }
    }

    /// Gives what is held; false when no more is wanted.
    fn flush(&mut self) -> bool {
        if let Some(line) = self.held.take()
            && !self.stopped
        {
            self.stopped = !(self.give)(line);
        }
        !self.stopped
    }

    /// What the file was, when it has been searched.
    pub(super) fn finish(mut self) -> Outcome {
        self.flush();
        self.outcome
    }
}

impl Sink for Lines<'_> {
    type Error = io::Error;

    fn matched(&mut self, _: &Searcher, found: &SinkMatch<'_>) -> io::Result<bool> {
        if !self.flush() {
            return Ok(false);
        }
        let mut line = line(self.matcher, found)?;
        line.before = self.recent.drain(..).collect();
        self.held = Some(line);
        Ok(self.after > 0 || self.flush())
    }

    fn context(&mut self, _: &Searcher, context: &SinkContext<'_>) -> io::Result<bool> {
        let text = cut(without_ending(context.bytes()), MAX_LINE).to_vec();
        if *context.kind() == SinkContextKind::After
            && let Some(held) = &mut self.held
            && held.after.len() < self.after
        {
            held.after.push(text.clone());
        }
        if self.before > 0 {
            if self.recent.len() == self.before {
                self.recent.pop_front();
            }
            self.recent.push_back(text);
        }
        Ok(!self.stopped)
    }

    fn context_break(&mut self, _: &Searcher) -> io::Result<bool> {
        self.recent.clear();
        Ok(self.flush())
    }

    fn binary_data(&mut self, _: &Searcher, _: u64) -> io::Result<bool> {
        self.outcome.binary = true;
        Ok(true)
    }

    fn finish(&mut self, _: &Searcher, finish: &SinkFinish) -> io::Result<()> {
        self.outcome.bytes = finish.byte_count();
        self.outcome.binary |= finish.binary_byte_offset().is_some();
        Ok(())
    }
}

fn line(matcher: &RegexMatcher, found: &SinkMatch<'_>) -> io::Result<Line> {
    let bytes = without_ending(found.bytes());
    let mut spans = Vec::new();
    matcher
        .find_iter(bytes, |span| {
            spans.push((span.start(), span.end()));
            true
        })
        .map_err(io::Error::other)?;
    let first = spans.first().map_or(0, |span| span.0);
    let (from, to) = window(bytes, spans.first().copied().unwrap_or_default());
    let inside = spans.iter().filter(|span| span.0 >= from && span.0 <= to);
    Ok(Line {
        number: found.line_number().unwrap_or(1),
        column: first as u64 + 1,
        text: bytes[from..to].to_vec(),
        spans: inside
            .map(|span| (span.0 - from, span.1.min(to) - from))
            .collect(),
        cut: (from, to) != (0, bytes.len()),
        before: Vec::new(),
        after: Vec::new(),
    })
}

fn without_ending(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}

/// The part of a line that is given: all of a short one, else what is around its first match, cut at whole characters.
fn window(bytes: &[u8], span: (usize, usize)) -> (usize, usize) {
    if bytes.len() <= MAX_LINE {
        return (0, bytes.len());
    }
    let length = (span.1 - span.0).min(MAX_LINE);
    let mut from = span.0.saturating_sub((MAX_LINE - length) / 2);
    let mut to = (from + MAX_LINE).min(bytes.len());
    from = from.min(to.saturating_sub(MAX_LINE));
    while from < to && is_inside(bytes[from]) {
        from += 1;
    }
    while to < bytes.len() && to > from && is_inside(bytes[to]) {
        to -= 1;
    }
    (from, to)
}

fn cut(bytes: &[u8], most: usize) -> &[u8] {
    if bytes.len() <= most {
        return bytes;
    }
    let mut end = most;
    while end > 0 && is_inside(bytes[end]) {
        end -= 1;
    }
    &bytes[..end]
}

/// Whether a byte continues a character of UTF-8.
fn is_inside(byte: u8) -> bool {
    byte & 0xc0 == 0x80
}

/// Whether a search goes on: its caller is there, and it has time left.
pub(super) fn goes_on(wanted: &Wanted, query: &Query) -> bool {
    wanted.check().is_ok() && std::time::Instant::now() < query.deadline
}
