//! Characters that look alike: a search with straight quotes in a file with curly ones, a no-break space, a BOM.
//!
//! Both texts are *folded*: each such character becomes the plain one that it looks like, or nothing. If the folded
//! search is in the folded file, the two texts are walked side by side to name what differs.

use std::fmt;

use memchr::memmem;

use crate::vfs::edit::{
    lines::{Line, Lines, line_number, written_lines},
    window::{Pattern, Tolerance},
};

/// Differences that are named.
const MAX_PAIRS: usize = 4;

/// Where the search stands but for characters that look alike.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// The first line, from 1.
    pub(super) line: usize,
    /// What differs, each once.
    pub(super) pairs: Vec<Pair>,
}

/// What the search has, and what the file has in its place; `None` is nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    searched: Option<char>,
    stands: Option<char>,
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |char: Option<char>| match char {
            Some(char) => format!("U+{:04X}{}", u32::from(char), name(char)),
            None => String::from("nothing"),
        };
        let (searched, stands) = (named(self.searched), named(self.stands));
        write!(f, "the search has {searched}, the file {stands}")
    }
}

/// Looks for the folded search in the folded file: as bytes, or else as lines with white space aside.
pub(super) fn find(content: &[u8], search: &[u8]) -> Option<Found> {
    let (folded, wanted) = (fold(content), fold(search));
    let mut walk = Walk::default();
    let line = if wanted.is_empty() {
        return None;
    } else if let Some(at) = memmem::find(&folded, &wanted) {
        walk.along(search, unfolded(content, at));
        line_number(&folded, at)
    } else {
        let tolerance = Tolerance::BothEnds;
        let window = Pattern::of(&wanted, tolerance).tally(&folded).first?;
        let lines = Lines::of(content).skip(window.line - 1);
        for (searched, (_, stands)) in written_lines(search).into_iter().zip(lines) {
            let (searched, stands) = (Line::trimmed(searched), Line::trimmed(stands));
            walk.along(searched, stands);
        }
        window.line
    };
    (!walk.pairs.is_empty()).then_some(Found {
        line,
        pairs: walk.pairs,
    })
}

/// Collects where two texts with the same fold differ.
#[derive(Default)]
struct Walk {
    pairs: Vec<Pair>,
}

impl Walk {
    /// Walks until the first text has ended.
    fn along(&mut self, searched: &[u8], stands: &[u8]) {
        let (mut searched, mut stands) = (letters(searched).peekable(), letters(stands).peekable());
        loop {
            // What folds to nothing has no counterpart.
            while let Some(letter) = searched.next_if(|letter| letter.is_dropped()) {
                self.add(letter.char(), None);
            }
            if searched.peek().is_none() {
                return;
            }
            while let Some(letter) = stands.next_if(|letter| letter.is_dropped()) {
                self.add(None, letter.char());
            }
            let (Some(one), Some(other)) = (searched.next(), stands.next()) else {
                return;
            };
            if one != other {
                self.add(one.char(), other.char());
            }
        }
    }

    fn add(&mut self, searched: Option<char>, stands: Option<char>) {
        let pair = Pair { searched, stands };
        if self.pairs.len() < MAX_PAIRS && !self.pairs.contains(&pair) {
            self.pairs.push(pair);
        }
    }
}

/// A character, or a byte that belongs to none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Letter {
    Char(char),
    Byte(u8),
}

impl Letter {
    fn char(self) -> Option<char> {
        match self {
            Letter::Char(char) => Some(char),
            Letter::Byte(_) => None,
        }
    }

    fn is_dropped(self) -> bool {
        self.char().is_some_and(|char| plain(char).is_none())
    }

    fn len(self) -> usize {
        self.char().map_or(1, char::len_utf8)
    }

    /// How many bytes it folds to.
    fn folded_len(self) -> usize {
        match self {
            Letter::Char(char) => plain(char).map_or(0, char::len_utf8),
            Letter::Byte(_) => 1,
        }
    }
}

fn letters(text: &[u8]) -> impl Iterator<Item = Letter> {
    text.utf8_chunks().flat_map(|chunk| {
        let chars = chunk.valid().chars().map(Letter::Char);
        chars.chain(chunk.invalid().iter().copied().map(Letter::Byte))
    })
}

fn fold(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for letter in letters(text) {
        match letter {
            Letter::Char(char) => {
                let mut buffer = [0; 4];
                let plain = plain(char).map(|plain| plain.encode_utf8(&mut buffer));
                out.extend_from_slice(plain.map_or(&[], |plain| plain.as_bytes()));
            }
            Letter::Byte(byte) => out.push(byte),
        }
    }
    out
}

/// The text from where its fold has come to `at`.
fn unfolded(text: &[u8], at: usize) -> &[u8] {
    let (mut folded, mut offset) = (0, 0);
    for letter in letters(text) {
        if folded >= at && !letter.is_dropped() {
            break;
        }
        folded += letter.folded_len();
        offset += letter.len();
    }
    &text[offset..]
}

/// The character that it looks like; `None` for those that cannot be seen.
fn plain(char: char) -> Option<char> {
    Some(match char {
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => ' ',
        '\u{2018}'..='\u{201b}' | '\u{2032}' | '\u{b4}' | '\u{ff07}' => '\'',
        '\u{201c}'..='\u{201f}' | '\u{2033}' | '\u{ff02}' => '"',
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{ff0d}' => '-',
        '\u{feff}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{ad}' => return None,
        other => other,
    })
}

/// What the most usual of them are called.
fn name(char: char) -> &'static str {
    match char {
        ' ' => " (space)",
        '\'' => " (apostrophe)",
        '"' => " (quotation mark)",
        '-' => " (hyphen-minus)",
        '\u{a0}' => " (no-break space)",
        '\u{202f}' => " (narrow no-break space)",
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' => " (curly quote)",
        '\u{2010}' | '\u{2011}' => " (hyphen)",
        '\u{2013}' => " (en dash)",
        '\u{2014}' => " (em dash)",
        '\u{2212}' => " (minus)",
        '\u{feff}' => " (byte order mark)",
        '\u{200b}' => " (zero-width space)",
        '\u{ad}' => " (soft hyphen)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str, search: &str) -> Option<(usize, Vec<String>)> {
        let found = find(content.as_bytes(), search.as_bytes())?;
        Some((
            found.line,
            found.pairs.iter().map(Pair::to_string).collect(),
        ))
    }

    #[test]
    fn what_looks_alike_is_named_by_code_point() {
        let expected = [
            "the search has U+0022 (quotation mark), the file U+201C (curly quote)",
            "the search has U+0020 (space), the file U+00A0 (no-break space)",
            "the search has U+0022 (quotation mark), the file U+201D (curly quote)",
        ];
        assert_eq!(
            found("x\nsay(“a\u{a0}b”)\n", "say(\"a b\")"),
            Some((2, expected.map(String::from).to_vec()))
        );
    }

    #[test]
    fn what_cannot_be_seen_is_against_nothing() {
        let expected = ["the search has U+FEFF (byte order mark), the file nothing"];
        assert_eq!(
            found("a\nbc\n", "\u{feff}bc"),
            Some((2, expected.map(String::from).to_vec()))
        );
        let expected = ["the search has nothing, the file U+200B (zero-width space)"];
        assert_eq!(
            found("a\nb\u{200b}c\n", "bc\n"),
            Some((2, expected.map(String::from).to_vec()))
        );
    }

    #[test]
    fn it_is_seen_with_other_indentation_too() {
        let expected = ["the search has U+002D (hyphen-minus), the file U+2013 (en dash)"];
        assert_eq!(
            found("\ta – b\n\tc\n", "    a - b\n    c\n"),
            Some((1, expected.map(String::from).to_vec()))
        );
    }

    #[test]
    fn other_differences_are_none() {
        assert_eq!(found("a – b\n", "a - c"), None);
        assert_eq!(found("é\n", "\u{feff}"), None);
        assert_eq!(find(b"\xa0x\n", b" x"), None, "a byte looks like nothing");
    }
}
