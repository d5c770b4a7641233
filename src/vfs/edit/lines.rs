//! Lines as the matcher sees them: lead, body, trail and ending, over bytes of any encoding.

use std::ops::Range;

/// How a line ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The last line of a text that does not end in a newline.
    None,
    Lf,
    CrLf,
}

impl Ending {
    pub(super) fn bytes(self) -> &'static [u8] {
        match self {
            Ending::None => b"",
            Ending::Lf => b"\n",
            Ending::CrLf => b"\r\n",
        }
    }

    pub(super) fn is_newline(self) -> bool {
        self != Ending::None
    }
}

/// One line: its text without the ending, and the ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) text: &'a [u8],
    pub(super) ending: Ending,
}

impl<'a> Line<'a> {
    /// The line that `bytes` are, its newline included.
    fn of(bytes: &'a [u8]) -> Line<'a> {
        let (text, ending) = match bytes {
            [text @ .., b'\r', b'\n'] => (text, Ending::CrLf),
            [text @ .., b'\n'] => (text, Ending::Lf),
            text => (text, Ending::None),
        };
        Line { text, ending }
    }

    /// The spaces and TABs that it begins with; all of a line that has nothing else.
    pub(super) fn lead(self) -> &'a [u8] {
        &self.text[..self.text.len() - trim_blanks_left(self.text).len()]
    }

    /// What stands between lead and trail.
    pub(super) fn body(self) -> &'a [u8] {
        trim_blanks_right(trim_blanks_left(self.text))
    }

    /// The spaces and TABs behind the body; none when there is no body.
    pub(super) fn trail(self) -> &'a [u8] {
        let rest = trim_blanks_left(self.text);
        &rest[trim_blanks_right(rest).len()..]
    }

    /// The text without the spaces and TABs at its end.
    pub(super) fn trimmed_right(self) -> &'a [u8] {
        trim_blanks_right(self.text)
    }

    /// The text without white space at either end.
    pub(super) fn trimmed(self) -> &'a [u8] {
        trim(self.text)
    }
}

/// The lines of a text, split behind each LF. A text that ends in LF, like the empty one, has one more, empty, line.
#[derive(Clone, Debug)]
pub(super) struct Lines<'a> {
    text: &'a [u8],
    /// Where the next line begins; `None` behind the last.
    next: Option<usize>,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a [u8]) -> Lines<'a> {
        let next = Some(0);
        Lines { text, next }
    }
}

impl<'a> Iterator for Lines<'a> {
    /// Where the line stands, its ending included, and the line.
    type Item = (Range<usize>, Line<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.next?;
        let end = memchr::memchr(b'\n', &self.text[start..]).map(|at| start + at + 1);
        self.next = end;
        let range = start..end.unwrap_or(self.text.len());
        let line = Line::of(&self.text[range.clone()]);
        Some((range, line))
    }
}

/// The lines of a search or a replacement: without the empty one behind a final LF. The empty text has none.
pub(super) fn written_lines(text: &[u8]) -> Vec<Line<'_>> {
    let mut lines: Vec<_> = Lines::of(text).map(|(_, line)| line).collect();
    lines.pop_if(|last| last.text.is_empty() && last.ending == Ending::None);
    lines
}

/// The one ending of a text of two or more lines that all end alike; a missing last ending is not held against it.
pub(super) fn internal_ending(text: &[u8]) -> Option<Ending> {
    let mut ends = memchr::memchr_iter(b'\n', text).map(|at| ending_at(text, at));
    let first = ends.next()?;
    let mut newlines = 1;
    for end in ends {
        if end != first {
            return None;
        }
        newlines += 1;
    }
    let lines = newlines + usize::from(!text.ends_with(b"\n"));
    (lines >= 2).then_some(first)
}

/// What most newlines of a file are: CRLF if more lines end so than in LF alone, else LF.
pub(super) fn dominant_ending(content: &[u8]) -> Ending {
    let (mut crlf, mut lf) = (0_usize, 0_usize);
    for at in memchr::memchr_iter(b'\n', content) {
        match ending_at(content, at) {
            Ending::CrLf => crlf += 1,
            Ending::Lf | Ending::None => lf += 1,
        }
    }
    if crlf > lf { Ending::CrLf } else { Ending::Lf }
}

/// The number of the line, from 1, that the byte at `offset` stands in.
pub(super) fn line_number(content: &[u8], offset: usize) -> usize {
    memchr::memchr_iter(b'\n', &content[..offset]).count() + 1
}

/// Whether there is nothing but white space.
pub(super) fn is_white_space(text: &[u8]) -> bool {
    trim_left(text).is_empty()
}

/// Without white space (the Unicode property) at either end. Bytes that are not UTF-8 are no white space.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    trim_right(trim_left(text))
}

fn trim_left(mut text: &[u8]) -> &[u8] {
    loop {
        match text {
            [byte, rest @ ..] if byte.is_ascii() => {
                if !char::from(*byte).is_whitespace() {
                    return text;
                }
                text = rest;
            }
            _ => match first_char(text) {
                Some(char) if char.is_whitespace() => text = &text[char.len_utf8()..],
                _ => return text,
            },
        }
    }
}

fn trim_right(mut text: &[u8]) -> &[u8] {
    loop {
        match text {
            [rest @ .., byte] if byte.is_ascii() => {
                if !char::from(*byte).is_whitespace() {
                    return text;
                }
                text = rest;
            }
            _ => match last_char(text) {
                Some(char) if char.is_whitespace() => {
                    text = &text[..text.len() - char.len_utf8()];
                }
                _ => return text,
            },
        }
    }
}

/// The character that the text begins with, if that is valid UTF-8.
fn first_char(text: &[u8]) -> Option<char> {
    let head = &text[..text.len().min(4)];
    head.utf8_chunks().next()?.valid().chars().next()
}

/// The character that the text ends with, if that is valid UTF-8.
fn last_char(text: &[u8]) -> Option<char> {
    let is_start = |byte: &u8| byte & 0xc0 != 0x80;
    let back = text.iter().rev().take(4).position(is_start)?;
    let tail = std::str::from_utf8(&text[text.len() - 1 - back..]).ok()?;
    tail.chars().next()
}

fn trim_blanks_left(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| is_blank(**byte)).count();
    &text[blanks..]
}

fn trim_blanks_right(text: &[u8]) -> &[u8] {
    let blanks = text.iter().rev().take_while(|byte| is_blank(**byte));
    &text[..text.len() - blanks.count()]
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// The ending that the LF at `at` makes.
fn ending_at(text: &[u8], at: usize) -> Ending {
    if at > 0 && text[at - 1] == b'\r' {
        Ending::CrLf
    } else {
        Ending::Lf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_lead_body_trail_and_ending() {
        let (range, line) = Lines::of(b"\t x y\t \r\nz").next().expect("a line");
        assert_eq!(range, 0..9);
        assert_eq!(line.lead(), b"\t ");
        assert_eq!(line.body(), b"x y");
        assert_eq!(line.trail(), b"\t ");
        assert_eq!(line.ending, Ending::CrLf);
    }

    #[test]
    fn a_line_of_blanks_is_all_lead() {
        let (_, line) = Lines::of(b" \t\n").next().expect("a line");
        assert_eq!(
            (line.lead(), line.body(), line.trail()),
            (&b" \t"[..], &b""[..], &b""[..])
        );
    }

    #[test]
    fn a_file_has_a_line_behind_its_last_newline_and_a_search_has_not() {
        assert_eq!(Lines::of(b"a\n").count(), 2);
        assert_eq!(Lines::of(b"").count(), 1);
        assert_eq!(written_lines(b"a\n").len(), 1);
        assert_eq!(written_lines(b"a\n\n").len(), 2);
        assert_eq!(written_lines(b"").len(), 0);
    }

    #[test]
    fn two_lines_that_end_alike_have_an_internal_ending() {
        assert_eq!(internal_ending(b"a\n"), None);
        assert_eq!(internal_ending(b"a\nb"), Some(Ending::Lf));
        assert_eq!(internal_ending(b"a\r\nb\r\n"), Some(Ending::CrLf));
        assert_eq!(internal_ending(b"a\r\nb\n"), None);
        assert_eq!(internal_ending(b"a\n\n"), Some(Ending::Lf));
        assert_eq!(internal_ending(b""), None);
    }

    #[test]
    fn white_space_is_what_unicode_says() {
        assert_eq!(trim("\u{a0}\u{2003} x \u{3000}\r".as_bytes()), b"x");
        assert_eq!(
            trim("\u{feff}x\u{200b}".as_bytes()),
            "\u{feff}x\u{200b}".as_bytes()
        );
        assert_eq!(trim(b"\xa0x\xa0"), b"\xa0x\xa0", "Latin-1 is not UTF-8");
        assert_eq!(trim(b" \xff "), b"\xff");
        assert!(is_white_space(b"\t\n \x0c"));
        assert!(is_white_space(b""));
    }

    #[test]
    fn lf_wins_when_the_endings_are_even() {
        assert_eq!(dominant_ending(b"a\r\nb\n"), Ending::Lf);
        assert_eq!(dominant_ending(b"a\r\nb\r\nc\n"), Ending::CrLf);
        assert_eq!(dominant_ending(b""), Ending::Lf);
    }
}
