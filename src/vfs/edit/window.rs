//! Passes 2 and 3: runs of lines that match the lines of a search, found in one walk over the file.
//!
//! Knuth, Morris and Pratt, "Fast pattern matching in strings" (1977), with lines for letters. After a mismatch the
//! table says with how many lines of the search the walk goes on, so no file line is read again. Entries whose next
//! line would mismatch just as well are left out of the table, so each file line is compared at most a logarithmic
//! number of times, and twice on average.

use std::ops::Range;

use super::{
    MAX_LINES, Pass,
    lines::{Line, Lines, written_lines},
};

/// What is overlooked when two lines are compared. Their endings always are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tolerance {
    /// Spaces and TABs at the end.
    LineEnds,
    /// White space at both ends.
    BothEnds,
}

impl Tolerance {
    pub(super) fn pass(self) -> Pass {
        match self {
            Tolerance::LineEnds => Pass::LineEnds,
            Tolerance::BothEnds => Pass::BothEnds,
        }
    }

    fn key(self, line: Line<'_>) -> &[u8] {
        match self {
            Tolerance::LineEnds => line.trimmed_right(),
            Tolerance::BothEnds => line.trimmed(),
        }
    }
}

/// A run of lines in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) range: Range<usize>,
    /// The number of its first line, from 1.
    pub(super) line: usize,
    /// It ends with the file, behind no newline: on the last line of a file that ends without one, or on the empty
    /// line behind the last newline.
    pub(super) open_end: bool,
}

/// All windows of a search, counted.
#[derive(Debug)]
pub(super) struct Tally {
    pub(super) first: Option<Window>,
    pub(super) count: usize,
    /// Where the first [`MAX_LINES`] begin.
    pub(super) lines: Vec<usize>,
}

/// The lines of a search, ready to be looked for.
#[derive(Debug)]
pub(super) struct Pattern<'a> {
    tolerance: Tolerance,
    keys: Vec<&'a [u8]>,
    /// With how many matched lines to go on when the line at this place mismatches; `None`: with the next file line.
    fallback: Vec<Option<usize>>,
}

impl<'a> Pattern<'a> {
    pub(super) fn of(search: &'a [u8], tolerance: Tolerance) -> Pattern<'a> {
        let keys: Vec<_> = written_lines(search)
            .into_iter()
            .map(|line| tolerance.key(line))
            .collect();
        Pattern {
            tolerance,
            fallback: fallbacks(&keys),
            keys,
        }
    }

    /// The windows in a file, from its start, without overlap.
    pub(super) fn windows<'c>(&self, content: &'c [u8]) -> Windows<'_, 'c> {
        Windows {
            pattern: self,
            content,
            lines: Lines::of(content),
            number: 0,
        }
    }

    pub(super) fn tally(&self, content: &[u8]) -> Tally {
        let mut tally = Tally {
            first: None,
            count: 0,
            lines: Vec::new(),
        };
        for window in self.windows(content) {
            tally.count += 1;
            if tally.lines.len() < MAX_LINES {
                tally.lines.push(window.line);
            }
            tally.first.get_or_insert(window);
        }
        tally
    }

    /// How many lines match behind a file line, of which `matched` did before it.
    fn step(&self, matched: usize, key: &[u8]) -> usize {
        let mut state = Some(matched);
        while let Some(matched) = state {
            if equal(self.keys[matched], key) {
                return matched + 1;
            }
            state = self.fallback[matched];
        }
        0
    }
}

/// The table of Knuth, Morris and Pratt (their `next`).
fn fallbacks(keys: &[&[u8]]) -> Vec<Option<usize>> {
    let mut table = Vec::with_capacity(keys.len());
    let mut border = None;
    for (at, key) in keys.iter().enumerate() {
        // `border`: the longest run of lines before `at` that the search also begins with.
        let entry = match border {
            Some(border) if equal(key, keys[border]) => table[border],
            border => border,
        };
        table.push(entry);
        border = Some(grow(border, key, &keys[..at], &table));
    }
    table
}

/// The border of one line more.
fn grow(mut border: Option<usize>, key: &[u8], before: &[&[u8]], table: &[Option<usize>]) -> usize {
    while let Some(length) = border {
        if before.get(length).is_some_and(|other| equal(other, key)) {
            return length + 1;
        }
        border = table[length];
    }
    0
}

/// Iterates over the windows of a search in a file.
#[derive(Debug)]
pub(super) struct Windows<'p, 'c> {
    pattern: &'p Pattern<'p>,
    content: &'c [u8],
    lines: Lines<'c>,
    /// The line read last, from 1.
    number: usize,
}

impl Iterator for Windows<'_, '_> {
    type Item = Window;

    fn next(&mut self) -> Option<Window> {
        let length = self.pattern.keys.len();
        if length == 0 {
            return None;
        }
        let mut matched = 0;
        for (range, line) in self.lines.by_ref() {
            self.number += 1;
            matched = self.pattern.step(matched, self.pattern.tolerance.key(line));
            if matched == length {
                return Some(Window {
                    range: lines_back(self.content, range.start, length - 1)..range.end,
                    line: self.number + 1 - length,
                    open_end: !line.ending.is_newline(),
                });
            }
        }
        None
    }
}

/// Where the line begins that stands `count` lines before the one that begins at `start`.
fn lines_back(content: &[u8], start: usize, count: usize) -> usize {
    (0..count).fold(start, |start, _| {
        memchr::memrchr(b'\n', &content[..start - 1]).map_or(0, |at| at + 1)
    })
}

fn equal(one: &[u8], other: &[u8]) -> bool {
    #[cfg(test)]
    tests::COMPARISONS.set(tests::COMPARISONS.get() + 1);
    one == other
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        pub(super) static COMPARISONS: Cell<usize> = const { Cell::new(0) };
    }

    /// The same by definition: every place is tried.
    fn naive(content: &[u8], search: &[u8], tolerance: Tolerance) -> Vec<usize> {
        let keys = Pattern::of(search, tolerance).keys;
        let lines: Vec<_> = Lines::of(content)
            .map(|(_, line)| tolerance.key(line))
            .collect();
        let mut found = Vec::new();
        let mut at = 0;
        while at + keys.len() <= lines.len() && !keys.is_empty() {
            if lines[at..at + keys.len()] == keys {
                found.push(at + 1);
                at += keys.len();
            } else {
                at += 1;
            }
        }
        found
    }

    /// Comparisons that a search costs, its table included, for each line of file and search.
    fn cost(content: &str, search: &str) -> f64 {
        COMPARISONS.set(0);
        let pattern = Pattern::of(search.as_bytes(), Tolerance::BothEnds);
        pattern.tally(content.as_bytes());
        let lines = content.lines().count() + search.lines().count();
        f64::from(u32::try_from(COMPARISONS.get()).expect("few enough"))
            / f64::from(u32::try_from(lines).expect("few enough"))
    }

    #[test]
    fn no_text_makes_the_walk_quadratic() {
        let equal = "a\n".repeat(20_000);
        let almost = format!("{}b\n", "a\n".repeat(5_000));
        let period = "a\nb\n".repeat(10_000);
        let (mut one, mut two) = (String::from("b\n"), String::from("a\n"));
        while two.len() < 20_000 {
            // Fibonacci strings have the longest chains of fallbacks.
            (one, two) = (two.clone(), two + &one);
        }
        for (content, search) in [
            (&equal, &almost),
            (&equal, &"a\n".repeat(5_000)),
            (&period, &format!("{}c\n", "a\nb\n".repeat(2_000))),
            (&almost.repeat(4), &format!("{}c\n", "a\n".repeat(4_999))),
            (&two.repeat(4), &format!("{two}c\n")),
            (&almost, &almost.repeat(2)),
        ] {
            let cost = cost(content, search);
            assert!(cost <= 3.0, "{cost} comparisons a line");
        }
    }

    #[test]
    fn a_window_may_end_on_the_line_behind_the_last_newline() {
        let pattern = Pattern::of(b"b\n\n", Tolerance::LineEnds);
        let windows: Vec<_> = pattern.windows(b"a\nb \n").collect();
        assert_eq!(
            windows,
            [Window {
                range: 2..5,
                line: 2,
                open_end: true
            }]
        );
    }

    proptest! {
        #[test]
        fn the_walk_finds_what_a_look_at_every_place_finds(
            content in "([ab ]?\r?\n){0,30}[ab]?",
            search in "([ab ]?\r?\n){0,4}[ab]?",
        ) {
            for tolerance in [Tolerance::LineEnds, Tolerance::BothEnds] {
                let pattern = Pattern::of(search.as_bytes(), tolerance);
                let windows: Vec<_> = pattern.windows(content.as_bytes()).collect();
                let found: Vec<_> = windows.iter().map(|window| window.line).collect();
                prop_assert_eq!(found, naive(content.as_bytes(), search.as_bytes(), tolerance));
                for window in windows {
                    let before = &content[..window.range.start];
                    prop_assert_eq!(before.matches('\n').count() + 1, window.line);
                    prop_assert!(before.is_empty() || before.ends_with('\n'));
                }
            }
        }
    }
}
