//! What gitattributes(5) says of a file, as far as it changes what is compared and shown.

use std::{collections::HashMap, os::fd::OwnedFd, path::Path, rc::Rc};

use super::{disk, pattern::Pattern};

/// Largest file of attributes; git reads no larger one either.
const MAX_FILE: u64 = 100 * 1024 * 1024;
/// Longest line; git passes over longer ones.
const MAX_LINE: usize = 2048;
/// Macros that expand to each other.
const MAX_DEPTH: u32 = 8;

/// The value of an attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Value {
    #[default]
    Unspecified,
    True,
    False,
    Text(Vec<u8>),
}

/// What is known of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct FileAttributes {
    pub(super) text: Value,
    pub(super) crlf: Value,
    pub(super) eol: Value,
    pub(super) ident: Value,
    pub(super) filter: Value,
    pub(super) encoding: Value,
    pub(super) diff: Value,
}

type Settings = Vec<(Vec<u8>, Value)>;

#[derive(Debug)]
struct Line {
    pattern: Pattern,
    settings: Settings,
}

type Lines = Rc<Vec<Line>>;

/// All rules of a work tree; those of a directory are read when a file in it is asked for.
#[derive(Debug)]
pub(super) struct Attributes {
    macros: HashMap<Vec<u8>, Settings>,
    /// The system's and the user's.
    outer: Vec<Line>,
    /// `info/attributes` of the repository.
    inner: Vec<Line>,
    directories: HashMap<Vec<u8>, Lines>,
}

impl Attributes {
    /// The rules from outside of the work tree.
    pub(super) fn new(info: &Path, user: Option<&Path>) -> Self {
        let mut all = Self {
            macros: HashMap::new(),
            outer: Vec::new(),
            inner: Vec::new(),
            directories: HashMap::new(),
        };
        all.parse(b"[attr]binary -diff -merge -text", true);
        let read = |path: &Path| {
            disk::read_path(path, MAX_FILE)
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        let mut outer = all.parse(&read(Path::new("/etc/gitattributes")), true);
        outer.extend(
            user.map(|path| all.parse(&read(path), true))
                .unwrap_or_default(),
        );
        all.outer = outer;
        all.inner = all.parse(&read(info), true);
        all
    }

    /// Those of a file, by its path. A directory without rules on disk has those that the index holds.
    pub(super) fn of(
        &mut self,
        root: &OwnedFd,
        path: &[u8],
        in_index: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> FileAttributes {
        let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut bases = vec![0];
        bases.extend(slashes.map(|(at, _)| at));
        let levels: Vec<(usize, Lines)> = bases
            .into_iter()
            .map(|base| (base, self.directory(root, &path[..base], in_index)))
            .collect();
        let mut found = FileAttributes::default();
        self.outer
            .iter()
            .for_each(|line| self.apply(line, path, &mut found));
        for (base, lines) in &levels {
            let below = &path[base + usize::from(*base > 0)..];
            lines
                .iter()
                .for_each(|line| self.apply(line, below, &mut found));
        }
        self.inner
            .iter()
            .for_each(|line| self.apply(line, path, &mut found));
        found
    }

    fn directory(
        &mut self,
        root: &OwnedFd,
        path: &[u8],
        in_index: &dyn Fn(&[u8]) -> Option<Vec<u8>>,
    ) -> Lines {
        if let Some(lines) = self.directories.get(path) {
            return Rc::clone(lines);
        }
        let file = if path.is_empty() {
            b".gitattributes".to_vec()
        } else {
            [path, b"/.gitattributes"].concat()
        };
        let on_disk = disk::open_parent(root, &file).ok().flatten();
        let bytes = on_disk
            .and_then(|(parent, name)| disk::read_start(parent, &name, MAX_FILE).ok().flatten());
        let bytes = bytes.or_else(|| in_index(&file)).unwrap_or_default();
        let lines = Rc::new(self.parse(&bytes, path.is_empty()));
        self.directories.insert(path.to_vec(), Rc::clone(&lines));
        lines
    }

    fn parse(&mut self, bytes: &[u8], may_have_macros: bool) -> Vec<Line> {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut lines = Vec::new();
        for line in bytes
            .split(|byte| *byte == b'\n')
            .filter(|line| line.len() < MAX_LINE)
        {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let (name, rest) = split_name(line);
            let settings = parse_settings(rest);
            if let Some(name) = name.strip_prefix(b"[attr]") {
                if may_have_macros {
                    self.macros.insert(name.to_vec(), settings);
                }
            } else if let Some(pattern) = Pattern::parse(&name).filter(|pattern| !pattern.negated) {
                lines.push(Line { pattern, settings });
            }
        }
        lines
    }

    fn apply(&self, line: &Line, path: &[u8], found: &mut FileAttributes) {
        if line.pattern.matches(path, false) {
            self.set(&line.settings, found, 0);
        }
    }

    fn set(&self, settings: &Settings, found: &mut FileAttributes, depth: u32) {
        for (name, value) in settings {
            let place = match name.as_slice() {
                b"text" => &mut found.text,
                b"crlf" => &mut found.crlf,
                b"eol" => &mut found.eol,
                b"ident" => &mut found.ident,
                b"filter" => &mut found.filter,
                b"working-tree-encoding" => &mut found.encoding,
                b"diff" => &mut found.diff,
                name => {
                    if *value == Value::True
                        && depth < MAX_DEPTH
                        && let Some(settings) = self.macros.get(name)
                    {
                        self.set(settings, found, depth + 1);
                    }
                    continue;
                }
            };
            *place = value.clone();
        }
    }
}

/// The pattern in front of a line; it may stand in quotes, with escapes.
fn split_name(line: &[u8]) -> (Vec<u8>, &[u8]) {
    if line.first() == Some(&b'"')
        && let Some((name, rest)) = unquote(&line[1..])
    {
        return (name, rest);
    }
    let end = line
        .iter()
        .position(u8::is_ascii_whitespace)
        .unwrap_or(line.len());
    (line[..end].to_vec(), &line[end..])
}

fn unquote(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut name = Vec::new();
    let mut at = 0;
    loop {
        match *text.get(at)? {
            b'"' => return Some((name, &text[at + 1..])),
            b'\\' => {
                at += 1;
                let letter = *text.get(at)?;
                name.push(match letter {
                    b'a' => 7,
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    b'"' | b'\\' => letter,
                    b'0'..=b'3' => {
                        let digits = std::str::from_utf8(text.get(at..at + 3)?).ok()?;
                        at += 2;
                        u8::from_str_radix(digits, 8).ok()?
                    }
                    _ => return None,
                });
            }
            byte => name.push(byte),
        }
        at += 1;
    }
}

fn parse_settings(text: &[u8]) -> Settings {
    let words = text
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    words
        .map(|word| match word {
            [b'-', name @ ..] => (name.to_vec(), Value::False),
            [b'!', name @ ..] => (name.to_vec(), Value::Unspecified),
            word => match word.iter().position(|byte| *byte == b'=') {
                Some(at) => (word[..at].to_vec(), Value::Text(word[at + 1..].to_vec())),
                None => (word.to_vec(), Value::True),
            },
        })
        .collect()
}
