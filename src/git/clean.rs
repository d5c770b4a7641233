//! Contents as git would store them: ends of lines, `$Id$`, and what needs a program and is therefore not known.

use super::{
    attributes::{FileAttributes, Value},
    settings::{AutoCrlf, Settings},
};

/// Bytes of which the start of a content is looked at for a zero.
const BINARY_START: usize = 8000;

/// What happens to the ends of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    Kept,
    Text,
    /// Only of what looks like text, and had none in the index.
    Guessed,
}

/// How a file is turned into what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cleaning {
    ends: Ends,
    ident: bool,
    /// A program would decide.
    pub(super) filtered: bool,
    /// That program is the one of Git LFS.
    pub(super) is_lfs: bool,
    /// Whether it is binary, when attributes say so.
    pub(super) binary: Option<bool>,
}

impl Cleaning {
    /// What attributes and settings say.
    pub(super) fn new(found: &FileAttributes, settings: &Settings) -> Self {
        let filter = match &found.filter {
            Value::Text(name) => Some(name),
            _ => None,
        };
        let encoded = match &found.encoding {
            Value::Text(name) => !name.is_empty() && !is_utf8(name),
            _ => false,
        };
        Self {
            ends: ends(found, settings),
            ident: found.ident == Value::True,
            filtered: encoded || filter.is_some_and(|name| settings.has_filter(name)),
            is_lfs: !encoded && filter.is_some_and(|name| name == b"lfs"),
            binary: match &found.diff {
                Value::False => Some(true),
                Value::True => Some(false),
                Value::Text(driver) => settings.driver_is_binary(driver),
                Value::Unspecified => None,
            },
        }
    }

    /// Whether it changes nothing.
    pub(super) fn is_plain(self) -> bool {
        self.ends == Ends::Kept && !self.ident
    }

    /// A content as it would be stored. `in_index` is asked for what is stored now.
    pub(super) fn apply(
        self,
        mut bytes: Vec<u8>,
        in_index: impl FnOnce() -> Option<Vec<u8>>,
    ) -> Vec<u8> {
        self.convert_ends(&mut bytes, in_index);
        if self.ident {
            bytes = without_ids(&bytes);
        }
        bytes
    }

    fn convert_ends(self, bytes: &mut Vec<u8>, in_index: impl FnOnce() -> Option<Vec<u8>>) {
        if self.ends == Ends::Kept {
            return;
        }
        let counts = Counts::of(bytes);
        if counts.both == 0 {
            return;
        }
        if self.ends == Ends::Guessed {
            let had = |stored: Vec<u8>| {
                let counts = Counts::of(&stored);
                !counts.is_binary() && counts.both > 0
            };
            if counts.is_binary() || in_index().is_some_and(had) {
                return;
            }
        }
        let mut last = 0;
        let mut kept = Vec::with_capacity(bytes.len());
        for at in memchr::memchr_iter(b'\r', bytes) {
            if bytes.get(at + 1) == Some(&b'\n') {
                kept.extend_from_slice(&bytes[last..at]);
                last = at + 1;
            }
        }
        kept.extend_from_slice(&bytes[last..]);
        *bytes = kept;
    }
}

fn is_utf8(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"utf8")
}

fn ends(found: &FileAttributes, settings: &Settings) -> Ends {
    let of = |value: &Value| match value {
        Value::True => Some(Ends::Text),
        Value::False => Some(Ends::Kept),
        Value::Text(word) if word == b"input" => Some(Ends::Text),
        Value::Text(word) if word == b"auto" => Some(Ends::Guessed),
        _ => None,
    };
    let asked = of(&found.text).or_else(|| of(&found.crlf));
    let has_eol = matches!(&found.eol, Value::Text(word) if word == b"lf" || word == b"crlf");
    match asked {
        Some(ends) => ends,
        None if has_eol => Ends::Text,
        None if settings.auto_crlf == AutoCrlf::Off => Ends::Kept,
        None => Ends::Guessed,
    }
}

/// What bytes a content is made of.
#[derive(Debug, Default)]
struct Counts {
    /// `\r\n`
    both: usize,
    lone_return: usize,
    zero: usize,
    printable: usize,
    other: usize,
}

impl Counts {
    fn of(bytes: &[u8]) -> Self {
        let mut counts = Self::default();
        let mut bytes_left = bytes.iter().peekable();
        while let Some(byte) = bytes_left.next() {
            match byte {
                b'\r' if bytes_left.peek() == Some(&&b'\n') => {
                    counts.both += 1;
                    bytes_left.next();
                }
                b'\r' => counts.lone_return += 1,
                b'\n' => {}
                0x08 | b'\t' | 0x1b | 0x0c => counts.printable += 1,
                0 => {
                    counts.zero += 1;
                    counts.other += 1;
                }
                0x7f | 1..=0x1f => counts.other += 1,
                _ => counts.printable += 1,
            }
        }
        if bytes.last() == Some(&0x1a) {
            counts.other -= 1;
        }
        counts
    }

    fn is_binary(&self) -> bool {
        self.lone_return > 0 || self.zero > 0 || (self.printable >> 7) < self.other
    }
}

/// `$Id: …$` becomes `$Id$`, within one line.
fn without_ids(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'$', rest) {
        out.extend_from_slice(&rest[..=at]);
        rest = &rest[at + 1..];
        if !rest.starts_with(b"Id:") {
            continue;
        }
        let Some(end) = memchr::memchr(b'$', &rest[3..]) else {
            break;
        };
        if !rest[3..3 + end].contains(&b'\n') {
            out.extend_from_slice(b"Id$");
            rest = &rest[3 + end + 1..];
        }
    }
    out.extend_from_slice(rest);
    out
}

/// Whether git takes a content for binary.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    memchr::memchr(0, &bytes[..bytes.len().min(BINARY_START)]).is_some()
}

/// Hash and size that a pointer of Git LFS names.
pub(super) fn read_pointer(pointer: &[u8]) -> Option<(Vec<u8>, u64)> {
    let text = std::str::from_utf8(pointer.get(..pointer.len().min(1024))?).ok()?;
    if !text.starts_with("version https://git-lfs.github.com/spec/") {
        return None;
    }
    let line = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let digits = line("oid sha256:")?.as_bytes();
    let hash = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok()?;
        u8::from_str_radix(pair, 16).ok()
    });
    let hash: Vec<u8> = hash.collect::<Option<_>>()?;
    (hash.len() == 32).then_some((hash, line("size ")?.trim().parse().ok()?))
}
