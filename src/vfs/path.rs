//! Paths of clients: bytes that become checked names once, at the edge. Below this point no client's string is a path.

use std::{fmt, sync::Arc};

/// Longest path that is taken, in bytes.
pub const MAX_PATH: usize = 4096;
/// Longest name, in bytes.
pub const MAX_NAME: usize = 255;

/// One name of a directory's entry, cheap to clone: bytes; not empty, not `.` or `..`, at most [`MAX_NAME`], without `/` and NUL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<[u8]>);

impl Name {
    /// Checks bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, PathError> {
        match bytes {
            b"" | b"." | b".." => Err(PathError::NotAName),
            _ if bytes.contains(&b'/') => Err(PathError::NotAName),
            _ if bytes.contains(&0) => Err(PathError::Nul),
            _ if bytes.len() > MAX_NAME => Err(PathError::NameTooLong(bytes.len())),
            _ => Ok(Self(bytes.into())),
        }
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.0))
    }
}

/// Why bytes are no path, or no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Nothing was given.
    #[error("the path is empty")]
    Empty,
    /// It does not begin with `/`.
    #[error("the path must be absolute")]
    NotAbsolute,
    /// It has a NUL.
    #[error("the path has a NUL byte")]
    Nul,
    /// It is longer than [`MAX_PATH`].
    #[error("the path has {0} bytes, at most {MAX_PATH} are taken")]
    TooLong(usize),
    /// One of its names is longer than [`MAX_NAME`].
    #[error("a name of the path has {0} bytes, at most {MAX_NAME} are taken")]
    NameTooLong(usize),
    /// A single name was due.
    #[error("a single name is due")]
    NotAName,
}

/// A step of a path that has not been walked yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To an entry of the directory.
    Name(Name),
    /// To the parent.
    Up,
}

/// A path as a client gave it: absolute, checked, not yet walked. Repeated `/`, `.` and a trailing `/` are dropped; `..` stays,
/// because it is applied after links were followed.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientPath {
    given: Box<[u8]>,
    steps: Vec<Step>,
}

impl ClientPath {
    /// Checks a path. A relative one is refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.is_empty() {
            return Err(PathError::Empty);
        }
        if bytes[0] != b'/' {
            return Err(PathError::NotAbsolute);
        }
        let steps = steps(bytes)?;
        Ok(Self {
            given: bytes.into(),
            steps,
        })
    }

    /// The path of the names, which need no walk to be known as plain.
    pub fn of(names: &TreePath) -> Self {
        let steps = names.names().iter().cloned().map(Step::Name).collect();
        Self {
            given: names.to_bytes().into(),
            steps,
        }
    }

    /// The bytes that the client sent.
    pub fn given(&self) -> &[u8] {
        &self.given
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The names, as the client spelled them, when there is no `..` among them. Some of them may be links.
    pub fn spelled(&self) -> Option<TreePath> {
        let names = self.steps.iter().map(|step| match step {
            Step::Name(name) => Some(name.clone()),
            Step::Up => None,
        });
        names.collect::<Option<Vec<_>>>().map(TreePath)
    }

    /// The path with one more name.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let mut given = self.given.to_vec();
        if given.last() != Some(&b'/') {
            given.push(b'/');
        }
        given.extend_from_slice(name.as_bytes());
        let mut steps = self.steps.clone();
        steps.push(Step::Name(name.clone()));
        Self {
            given: given.into(),
            steps,
        }
    }
}

impl fmt::Debug for ClientPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.given))
    }
}

/// Splits a path or the target of a link. An absolute target is for the caller to notice.
pub fn steps(bytes: &[u8]) -> Result<Vec<Step>, PathError> {
    if bytes.contains(&0) {
        return Err(PathError::Nul);
    }
    if bytes.len() > MAX_PATH {
        return Err(PathError::TooLong(bytes.len()));
    }
    bytes
        .split(|byte| *byte == b'/')
        .filter(|part| !matches!(*part, b"" | b"."))
        .map(|part| {
            if part == b".." {
                Ok(Step::Up)
            } else {
                Name::new(part).map(Step::Name)
            }
        })
        .collect()
}

/// A path in the tree that needs no walk: names from the root, no link and no `..` among them when it was made.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TreePath(Vec<Name>);

impl TreePath {
    /// The root.
    pub fn root() -> Self {
        Self::default()
    }

    /// A path of these names.
    pub fn new(names: Vec<Name>) -> Self {
        Self(names)
    }

    /// Checks a plain path: absolute, without `..`.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        let path = ClientPath::parse(bytes)?;
        let names = path.steps.into_iter().map(|step| match step {
            Step::Name(name) => Ok(name),
            Step::Up => Err(PathError::NotAName),
        });
        names.collect::<Result<_, _>>().map(Self)
    }

    /// The names from the root.
    pub fn names(&self) -> &[Name] {
        &self.0
    }

    /// Adds a name.
    pub fn push(&mut self, name: Name) {
        self.0.push(name);
    }

    /// Adds names.
    pub fn extend(&mut self, names: &[Name]) {
        self.0.extend_from_slice(names);
    }

    /// Takes the last name away. The root stays the root.
    pub fn pop(&mut self) -> Option<Name> {
        self.0.pop()
    }

    /// The path with one more name.
    #[must_use]
    pub fn join(&self, name: &Name) -> Self {
        let mut names = Vec::with_capacity(self.0.len() + 1);
        names.extend_from_slice(&self.0);
        names.push(name.clone());
        Self(names)
    }

    /// Whether this is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The bytes, absolute.
    pub fn to_bytes(&self) -> Vec<u8> {
        if self.0.is_empty() {
            return b"/".to_vec();
        }
        let mut bytes = Vec::with_capacity(self.0.iter().map(|name| name.0.len() + 1).sum());
        for name in &self.0 {
            bytes.push(b'/');
            bytes.extend_from_slice(&name.0);
        }
        bytes
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.to_bytes()))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quoted(&self.to_bytes()))
    }
}

/// A path or name for messages, diffs and logs: as it is when it is harmless text; else in double quotes, with the escapes of
/// C and octal bytes, as git quotes (`core.quotePath=false`). So no name can forge a line.
pub fn quoted(bytes: &[u8]) -> String {
    let harmless = |text: &str| {
        !text
            .chars()
            .any(|c| c.is_control() || c == '"' || c == '\\')
    };
    match str::from_utf8(bytes) {
        Ok(text) if harmless(text) => return text.to_owned(),
        _ => {}
    }
    let mut out = String::with_capacity(bytes.len() + 8);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_escaped(&mut out, c);
        }
        for byte in chunk.invalid() {
            push_octal(&mut out, *byte);
        }
    }
    out.push('"');
    out
}

fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        _ if c.is_control() => {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes)
                .bytes()
                .for_each(|byte| push_octal(out, byte));
        }
        _ => out.push(c),
    }
}

fn push_octal(out: &mut String, byte: u8) {
    use fmt::Write;
    write!(out, "\\{byte:03o}").expect("a String takes everything");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(path: &[u8]) -> Vec<Step> {
        ClientPath::parse(path).expect("a good path").steps
    }

    #[test]
    fn what_says_nothing_is_dropped_and_up_stays() {
        let a = Step::Name(Name::new(b"a").expect("good"));
        let b = Step::Name(Name::new(b"b").expect("good"));
        assert_eq!(names(b"/"), []);
        assert_eq!(names(b"//a/./b//"), [a.clone(), b.clone()]);
        assert_eq!(names(b"/../a/../b"), [Step::Up, a, Step::Up, b]);
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_reason() {
        let parse = |bytes: &[u8]| ClientPath::parse(bytes).expect_err("refused");
        assert_eq!(parse(b""), PathError::Empty);
        assert_eq!(parse(b"x"), PathError::NotAbsolute);
        assert_eq!(parse(b"./x"), PathError::NotAbsolute);
        assert_eq!(parse(b"/a\0b"), PathError::Nul);
        assert_eq!(
            parse(&[&b"/"[..], &[b'a'; 256]].concat()),
            PathError::NameTooLong(256)
        );
        assert_eq!(parse(&b"/a".repeat(2049)), PathError::TooLong(4098));
        assert!(ClientPath::parse(&[&b"/"[..], &[b'a'; 255]].concat()).is_ok());
        assert!(ClientPath::parse(&b"/a".repeat(2048)).is_ok());
    }

    #[test]
    fn names_that_could_forge_a_line_are_quoted() {
        assert_eq!(quoted("/ä b".as_bytes()), "/ä b");
        assert_eq!(quoted(b"/a\nb\"\\\x1b\xff"), r#""/a\nb\"\\\033\377""#);
        assert_eq!(quoted("/\u{85}".as_bytes()), r#""/\302\205""#);
    }

    proptest! {
        #[test]
        fn a_quoted_path_is_one_line_without_control_characters(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(!quoted(&bytes).chars().any(char::is_control));
        }

        #[test]
        fn names_come_back_as_they_were_given(parts in proptest::collection::vec("[^/\0]{1,9}", 0..6)) {
            let parts: Vec<_> = parts.iter().filter(|part| !matches!(part.as_str(), "." | "..")).cloned().collect();
            let bytes = format!("/{}", parts.join("/")).into_bytes();
            prop_assert_eq!(TreePath::parse(&bytes).expect("plain").to_bytes(), bytes);
        }
    }
}
