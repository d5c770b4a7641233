//! Configuration files of git, read by us: an included file that would never end, or that is no configuration, harms nobody and
//! shows up nowhere (git-config(1), "CONFIGURATION FILE").

use std::{
    ffi::OsStr,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{disk, wild};

/// Longest file that is read.
const MAX_FILE: u64 = 4 * 1024 * 1024;
/// Files that include each other, one below the other.
const MAX_DEPTH: u32 = 10;
/// Files in all.
const MAX_FILES: u32 = 200;

/// Settings of several files, in the order in which they were read: later ones win.
#[derive(Clone, Debug, Default)]
pub(super) struct Config {
    /// Section and key in lower case, the part between them as it was: `branch.Main.remote`.
    values: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    files: u32,
}

/// A line that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {0} is not one of a configuration")]
pub(super) struct BadLine(usize);

impl Config {
    /// Adds a file when it is there. What it includes is added in its place.
    pub(super) fn add_file(&mut self, path: &Path, git_dir: &Path) -> io::Result<()> {
        let Some(bytes) = disk::read_path(path, MAX_FILE)? else {
            return Ok(());
        };
        let settings = parse(&bytes).map_err(io::Error::other)?;
        self.add(settings, path, git_dir, 0);
        Ok(())
    }

    fn add(&mut self, settings: Settings, path: &Path, git_dir: &Path, depth: u32) {
        for (key, value) in settings {
            let target = value.clone().filter(|_| is_include(&key, git_dir, path));
            self.values.push((key, value));
            if let Some(target) = target {
                self.include(&target, path, git_dir, depth + 1);
            }
        }
    }

    /// What cannot be read or understood adds nothing.
    fn include(&mut self, target: &[u8], from: &Path, git_dir: &Path, depth: u32) {
        self.files += 1;
        if depth > MAX_DEPTH || self.files > MAX_FILES {
            return;
        }
        let target = expand(target);
        let target = from
            .parent()
            .map_or_else(|| target.clone(), |base| base.join(&target));
        if let Ok(Some(bytes)) = disk::read_path(&target, MAX_FILE)
            && let Ok(settings) = parse(&bytes)
        {
            self.add(settings, &target, git_dir, depth);
        }
    }

    /// The last value of a key. `Some(None)`: it stands there without one.
    #[expect(
        clippy::option_option,
        reason = "a key may stand there without a value"
    )]
    fn last(&self, key: &str) -> Option<Option<&[u8]>> {
        let found = self
            .values
            .iter()
            .rev()
            .find(|(name, _)| name == key.as_bytes());
        found.map(|(_, value)| value.as_deref())
    }

    /// A value.
    pub(super) fn bytes(&self, key: &str) -> Option<&[u8]> {
        self.last(key).flatten()
    }

    /// A value, as text.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        self.bytes(key)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// All values of a key, first to last.
    pub(super) fn all(&self, key: &str) -> impl Iterator<Item = &[u8]> {
        let values = self
            .values
            .iter()
            .filter(move |(name, _)| name == key.as_bytes());
        values.filter_map(|(_, value)| value.as_deref())
    }

    /// All keys that have a value, in the order in which they were read.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let values = self.values.iter();
        values.filter_map(|(key, value)| Some((&key[..], value.as_deref()?)))
    }

    /// The names of the keys that begin so, without that.
    pub(super) fn names(&self, start: &str) -> impl Iterator<Item = String> {
        let rest = self
            .values
            .iter()
            .filter_map(move |(name, _)| name.strip_prefix(start.as_bytes()));
        rest.map(|name| String::from_utf8_lossy(name).into_owned())
    }

    /// A path; `~/` is the user's home.
    pub(super) fn path(&self, key: &str) -> Option<PathBuf> {
        self.bytes(key).map(expand)
    }

    /// A yes or no. What is neither counts as not given.
    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        match self.last(key)? {
            None => Some(true),
            Some(value) => match value.to_ascii_lowercase().as_slice() {
                b"true" | b"yes" | b"on" => Some(true),
                b"false" | b"no" | b"off" | b"" => Some(false),
                number => std::str::from_utf8(number)
                    .ok()?
                    .parse::<i64>()
                    .ok()
                    .map(|number| number != 0),
            },
        }
    }
}

type Settings = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// Whether a key names a file to include here.
fn is_include(key: &[u8], git_dir: &Path, from: &Path) -> bool {
    if key == b"include.path" {
        return true;
    }
    let condition = key
        .strip_prefix(b"includeif.")
        .and_then(|rest| rest.strip_suffix(b".path"));
    let Some(pattern) = condition.and_then(|condition| condition.strip_prefix(b"gitdir:")) else {
        return false;
    };
    let mut pattern = match pattern.strip_prefix(b"./") {
        Some(rest) => {
            let base = from.parent().unwrap_or(Path::new("/"));
            [base.as_os_str().as_bytes(), b"/", rest].concat()
        }
        None => expand(pattern).into_os_string().as_bytes().to_vec(),
    };
    if !pattern.starts_with(b"/") {
        pattern.splice(0..0, *b"**/");
    }
    if pattern.ends_with(b"/") {
        pattern.extend_from_slice(b"**");
    }
    wild::matches(&pattern, git_dir.as_os_str().as_bytes(), true)
}

/// A path of a setting: `~/` is the directory in which the user's configuration lies.
fn expand(path: &[u8]) -> PathBuf {
    let rest = path.strip_prefix(b"~/");
    let home = git2::Config::find_global().ok();
    match (rest, home.as_deref().and_then(Path::parent)) {
        (Some(rest), Some(home)) => home.join(OsStr::from_bytes(rest)),
        _ => OsStr::from_bytes(path).into(),
    }
}

fn parse(bytes: &[u8]) -> Result<Settings, BadLine> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut parser = Parser {
        bytes,
        at: 0,
        line: 1,
        section: Vec::new(),
    };
    let mut settings = Vec::new();
    while let Some(byte) = parser.next() {
        match byte {
            b'\n' | b' ' | b'\t' | b'\r' => {}
            b'#' | b';' => parser.skip_line(),
            b'[' => parser.section()?,
            byte if byte.is_ascii_alphabetic() => settings.push(parser.setting(byte)?),
            _ => return Err(BadLine(parser.line)),
        }
    }
    Ok(settings)
}

struct Parser<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    /// With a dot at its end; empty before the first.
    section: Vec<u8>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        match self.bytes.get(self.at..)? {
            [b'\r', b'\n', ..] => Some(b'\n'),
            rest => rest.first().copied(),
        }
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += if self.bytes[self.at] == byte { 1 } else { 2 };
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn skip_line(&mut self) {
        while self.next().is_some_and(|byte| byte != b'\n') {}
    }

    fn bad<T>(&self) -> Result<T, BadLine> {
        Err(BadLine(self.line))
    }

    /// Behind `[`.
    fn section(&mut self) -> Result<(), BadLine> {
        self.section.clear();
        loop {
            match self.next() {
                Some(b']') if !self.section.is_empty() => break,
                Some(b' ' | b'\t') => {
                    self.subsection()?;
                    break;
                }
                Some(byte) if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') => {
                    self.section.push(byte.to_ascii_lowercase());
                }
                _ => return self.bad(),
            }
        }
        self.section.push(b'.');
        Ok(())
    }

    /// ` "name"]`
    fn subsection(&mut self) -> Result<(), BadLine> {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.next();
        }
        if self.next() != Some(b'"') {
            return self.bad();
        }
        self.section.push(b'.');
        loop {
            match self.next() {
                Some(b'"') => break,
                Some(b'\\') => match self.next() {
                    Some(byte) if byte != b'\n' => self.section.push(byte),
                    _ => return self.bad(),
                },
                Some(b'\n') | None => return self.bad(),
                Some(byte) => self.section.push(byte),
            }
        }
        if self.next() == Some(b']') {
            Ok(())
        } else {
            self.bad()
        }
    }

    /// A key that begins with a letter, and its value.
    fn setting(&mut self, first: u8) -> Result<(Vec<u8>, Option<Vec<u8>>), BadLine> {
        let mut key = self.section.clone();
        key.push(first.to_ascii_lowercase());
        while let Some(byte) = self
            .peek()
            .filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        {
            key.push(byte.to_ascii_lowercase());
            self.next();
        }
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.next();
        }
        match self.next() {
            None | Some(b'\n') => Ok((key, None)),
            Some(b'#' | b';') => {
                self.skip_line();
                Ok((key, None))
            }
            Some(b'=') => Ok((key, Some(self.value()?))),
            Some(_) => self.bad(),
        }
    }

    /// Behind `=`, to the end of the line.
    fn value(&mut self) -> Result<Vec<u8>, BadLine> {
        let mut value = Vec::new();
        let (mut quoted, mut kept) = (false, 0);
        loop {
            match self.next() {
                None | Some(b'\n') if quoted => return self.bad(),
                None | Some(b'\n') => break,
                Some(b'#' | b';') if !quoted => {
                    self.skip_line();
                    break;
                }
                Some(b'"') => {
                    quoted = !quoted;
                    kept = value.len();
                }
                Some(b'\\') => {
                    match self.next() {
                        Some(b'\n') => continue,
                        Some(b'n') => value.push(b'\n'),
                        Some(b't') => value.push(b'\t'),
                        Some(b'b') => value.push(0x08),
                        Some(byte @ (b'"' | b'\\')) => value.push(byte),
                        _ => return self.bad(),
                    }
                    kept = value.len();
                }
                Some(b' ' | b'\t') if !quoted && value.is_empty() && kept == 0 => {}
                Some(byte) => {
                    value.push(byte);
                    if quoted || !matches!(byte, b' ' | b'\t' | b'\r') {
                        kept = value.len();
                    }
                }
            }
        }
        value.truncate(kept);
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config {
            values: parse(text.as_bytes()).expect("a configuration"),
            files: 0,
        }
    }

    #[test]
    fn files_are_read_as_git_reads_them() {
        let config = config(
            "\u{feff}# x\n[Core]\r\n\tFileMode = false ; no\n\tbare\n[remote \"O\\\"r\"] url = \" a b \"c \\\n d  # e\n\
             [branch.Main]\nmerge=x\ty\n[a]k=1\nk=2\nk=\n",
        );
        assert_eq!(config.flag("core.filemode"), Some(false));
        assert_eq!(config.flag("core.bare"), Some(true));
        assert_eq!(config.bytes("remote.O\"r.url"), Some(&b" a b c  d"[..]));
        assert_eq!(config.text("branch.main.merge").as_deref(), Some("x\ty"));
        assert_eq!(config.all("a.k").count(), 3);
        assert_eq!(config.flag("a.k"), Some(false));
    }

    #[test]
    fn what_is_none_is_told_by_its_line() {
        for text in ["[a\n", "[a]\nk = \"x\n", "[a]\n\n=\n", "[a \"x]\n", "[]\n"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        assert_eq!(parse(b"[a]\n\n?\n"), Err(BadLine(3)));
    }
}
