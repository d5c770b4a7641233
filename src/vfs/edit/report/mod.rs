//! What a caller is told about a search that was not found: the place that is nearest to it, and hints why it failed.
//!
//! None of it decides anything, so it is bounded on all sides: a clock that the caller passes in, [`MAX_TEXT`] of text
//! a report, and the [`Room`] that all reports of a request share.

mod alike;
mod hints;
mod nearest;
mod ratio;
mod runs;

use super::{Edit, Refusal};

/// Bytes of the file that one report shows.
const MAX_TEXT: usize = 4096;

/// Lines of the file that one report shows.
const MAX_TEXT_LINES: usize = 40;

/// Bytes shown of one line that differs.
const MAX_LINE: usize = 512;

/// Hints in one report.
const MAX_HINTS: usize = 3;

/// What is said of one search that was not found. Texts are bytes of the search and of the file, cut at whole
/// characters: whoever puts them into JSON cleans them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// The place in the file that is most like the search.
    pub nearest: Option<Nearest>,
    /// Time ran out: there may be a nearer place, or one at all.
    pub incomplete: bool,
    /// Why it may have failed: at most three sentences, without a full stop.
    pub hints: Vec<String>,
    /// No line of the search is in the file, nor one that is like its first.
    pub nothing_similar: bool,
}

/// A run of file lines that is like a search. Lines are counted from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    pub start_line: usize,
    /// The last line, not the one behind it.
    pub end_line: usize,
    /// Between 0 and 1: the mean over the lines of the search.
    pub score: f64,
    /// The lines as they are, as far as there is room.
    pub text: Vec<u8>,
    pub first_difference: Option<Difference>,
}

/// The first line of the search that is not as the file has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// From 1, in the search.
    pub search_line: usize,
    /// From 1, in the file; `None` where the file has no line any more.
    pub file_line: Option<usize>,
    /// The line of the search; with its ending only where nothing else differs.
    pub expected: Vec<u8>,
    pub found: Vec<u8>,
}

/// Reports on a refused edit. `content` is the text that the edit was given; `expired` tells when to stop looking, and
/// is asked now and then. Only a search that was not found has anything to be told.
pub fn report(
    content: &[u8],
    edit: &Edit<'_>,
    refusal: &Refusal,
    room: &mut Room,
    expired: &dyn Fn() -> bool,
) -> Report {
    if *refusal != Refusal::NotFound {
        return Report::default();
    }
    let mut budget = Budget::new(expired);
    let mut report = Report {
        hints: hints::hints(content, edit, &mut budget),
        ..Report::default()
    };
    report.hints.retain(|hint| room.admit(hint.len()));
    let outcome = nearest::look(content, edit.search, &mut budget);
    report.incomplete = outcome.incomplete;
    report.nothing_similar = outcome.place.is_none() && !outcome.incomplete;
    report.nearest = outcome
        .place
        .and_then(|place| nearest::show(content, edit.search, &place, room));
    report
}

impl Report {
    /// What follows the sentence of the refusal, on its line; empty when there is nothing to say.
    pub fn explanation(&self) -> String {
        let similar = "no line of the search is in the file";
        let similar = self.nothing_similar.then_some(similar);
        let sentences = self.hints.iter().map(String::as_str).chain(similar);
        sentences.flat_map(|sentence| ["; ", sentence]).collect()
    }

    /// What stands below the messages, in several lines; empty when nothing is near.
    pub fn excerpt(&self) -> Vec<u8> {
        let Some(nearest) = &self.nearest else {
            return Vec::new();
        };
        let (start, end) = (nearest.start_line, nearest.end_line);
        let score = nearest.score;
        let mut out = format!("nearest: lines {start} to {end} (score {score:.2})\n").into_bytes();
        out.extend_from_slice(&nearest.text);
        if !out.ends_with(b"\n") {
            out.push(b'\n');
        }
        if let Some(difference) = &nearest.first_difference {
            let at = match difference.file_line {
                Some(line) => format!("line {line} of the file is"),
                None => String::from("the file has no line"),
            };
            let line = difference.search_line;
            out.extend_from_slice(format!("line {line} of the search is:\n").as_bytes());
            out.extend_from_slice(&difference.expected);
            out.extend_from_slice(format!("\n{at}:\n").as_bytes());
            out.extend_from_slice(&difference.found);
            out.push(b'\n');
        }
        out
    }
}

/// The bytes that the reports of one request may still show.
#[derive(Debug)]
pub struct Room(usize);

impl Default for Room {
    /// 16 KiB.
    fn default() -> Room {
        Room(16 * 1024)
    }
}

impl Room {
    /// Takes what a text needs; if there is not as much, nothing.
    fn admit(&mut self, bytes: usize) -> bool {
        let left = self.0.checked_sub(bytes);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }

    /// As much of a text as there is room for, and no more than `most` bytes; no character is split.
    fn cut(&mut self, text: &[u8], most: usize) -> Vec<u8> {
        let mut end = text.len().min(most).min(self.0);
        let is_inside = |at: usize| text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80);
        let start = (end.saturating_sub(3)..=end)
            .rev()
            .find(|at| !is_inside(*at));
        end = start.unwrap_or(end);
        self.0 -= end;
        text[..end].to_vec()
    }
}

/// Time, in steps of about the same length: the clock is asked once in many.
pub(super) struct Budget<'a> {
    expired: &'a dyn Fn() -> bool,
    /// Steps until the clock is asked again.
    left: usize,
    over: bool,
}

/// The clock has stopped a search for something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OutOfTime;

/// Steps between two looks at the clock: some microseconds.
const STEPS: usize = 8192;

impl<'a> Budget<'a> {
    pub(super) fn new(expired: &'a dyn Fn() -> bool) -> Budget<'a> {
        Budget {
            expired,
            left: STEPS,
            over: false,
        }
    }

    /// Takes so many steps, and one.
    fn spend(&mut self, steps: usize) -> Result<(), OutOfTime> {
        if self.over {
            return Err(OutOfTime);
        }
        if let Some(left) = self.left.checked_sub(steps + 1) {
            self.left = left;
            return Ok(());
        }
        self.left = STEPS;
        self.over = (self.expired)();
        if self.over { Err(OutOfTime) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_shared_and_splits_no_character() {
        let mut room = Room(10);
        assert_eq!(room.cut("aé─".as_bytes(), 100), "aé─".as_bytes());
        assert_eq!(room.cut("a─b".as_bytes(), 3), b"a");
        assert!(!room.admit(4));
        assert!(room.admit(3));
        assert_eq!(room.cut(b"x", 1), b"");
        assert_eq!(
            Room(10).cut(&[0x80; 9], 5),
            [0x80; 5],
            "no character is there"
        );
    }

    #[test]
    fn the_clock_is_asked_now_and_then_and_once_too_late() {
        let asked = std::cell::Cell::new(0);
        let expired = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        let mut budget = Budget::new(&expired);
        let mut steps = 0;
        while budget.spend(0).is_ok() {
            steps += 1;
        }
        assert!(budget.spend(0).is_err());
        assert_eq!(asked.get(), 3);
        assert!(steps > 2 * STEPS, "{steps}");
    }
}
