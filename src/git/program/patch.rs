//! What `git diff --raw -z --patch` prints: first what has changed, then the diff of each in the same order (git-diff(1), "RAW
//! OUTPUT FORMAT", "GENERATING PATCH TEXT WITH -P").

use std::io::{self, BufRead, Read};

use sha2::{Digest, Sha256};

use crate::git::{
    quote,
    render::Rendered,
    text::{Counts, Text},
};

/// Changed files that are taken in.
const MOST_ENTRIES: usize = 200_000;
/// Longest record: a path, or the ids and modes before it.
const MOST_RECORD: u64 = 64 * 1024;
/// Lines of the head of a part.
const HEAD: [&[u8]; 5] = [
    b"diff --git ",
    b"old mode ",
    b"new mode ",
    b"new file ",
    b"deleted file ",
];
/// Bytes that are looked at together; the names and modes of a head are shorter.
const PIECE: u64 = 1 << 20;

/// A file that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// `A`, `D`, `M`, `R`, `T` or `U`.
    pub(super) letter: u8,
    pub(super) modes: (u32, u32),
    pub(super) path: Vec<u8>,
    pub(super) old_path: Option<Vec<u8>>,
}

/// The diff of one file.
#[derive(Debug)]
pub(super) struct Part {
    /// The line `diff --git` and the lines of modes.
    head: Vec<u8>,
    text: Text,
    counts: Counts,
    binary: bool,
}

impl Part {
    pub(super) fn rendered(self) -> Rendered {
        Rendered {
            head: self.head,
            size: self.text.size,
            text: self.text.bytes.into(),
            counts: (!self.binary).then_some(self.counts),
            binary: self.binary,
            ..Rendered::default()
        }
    }
}

/// A diff that is being read.
#[derive(Debug)]
pub(super) struct Patch<R> {
    output: R,
    /// Bytes of one file's text that are kept.
    limit: u64,
    /// The first line of the next part.
    next: Vec<u8>,
}

impl<R: BufRead> Patch<R> {
    pub(super) fn new(output: R, limit: u64) -> Self {
        Self {
            output,
            limit,
            next: Vec::new(),
        }
    }

    /// What has changed. Must be read first.
    pub(super) fn entries(&mut self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        while self.output.fill_buf()?.first() == Some(&b':') {
            let record = self.record()?;
            let (letter, modes) = meaning(&record).ok_or_else(not_understood)?;
            let path = self.record()?;
            let (path, old_path) = match letter {
                b'R' | b'C' => (self.record()?, Some(path)),
                _ => (path, None),
            };
            if entries.len() >= MOST_ENTRIES {
                return Err(io::Error::other("too many files have changed"));
            }
            entries.push(Entry {
                letter,
                modes,
                path,
                old_path,
            });
        }
        if !entries.is_empty() && !self.record()?.is_empty() {
            return Err(not_understood());
        }
        Ok(entries)
    }

    /// The next part, which must be of this file. Its bytes are hashed, also those that are not kept.
    pub(super) fn part(&mut self, entry: &Entry, hash: &mut Sha256) -> io::Result<Part> {
        let mut line = std::mem::take(&mut self.next);
        while line.is_empty() || !line.starts_with(b"diff --git ") {
            // Before the first part stands what has none.
            line.clear();
            if self
                .output
                .by_ref()
                .take(PIECE)
                .read_until(b'\n', &mut line)?
                == 0
            {
                return Err(not_understood());
            }
        }
        if line != first_line(entry) {
            return Err(not_understood());
        }
        let mut part = Part {
            head: Vec::new(),
            text: Text::new(self.limit),
            counts: Counts::default(),
            binary: false,
        };
        let (mut in_hunks, mut begins) = (false, true);
        loop {
            if begins {
                in_hunks |= line.starts_with(b"@@ ");
                part.note(&line, in_hunks);
            }
            hash.update(&line);
            part.text.push(&line);
            begins = line.ends_with(b"\n");
            line.clear();
            self.output
                .by_ref()
                .take(PIECE)
                .read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok(part);
            }
            if begins && line.starts_with(b"diff --git ") {
                self.next = line;
                return Ok(part);
            }
            if begins && line.starts_with(b"* ") {
                line.clear();
            }
        }
    }

    fn record(&mut self) -> io::Result<Vec<u8>> {
        let mut record = Vec::new();
        self.output
            .by_ref()
            .take(MOST_RECORD)
            .read_until(0, &mut record)?;
        match record.pop() {
            Some(0) => Ok(record),
            _ => Err(not_understood()),
        }
    }
}

impl Part {
    fn note(&mut self, line: &[u8], in_hunks: bool) {
        if in_hunks {
            self.counts.additions += u64::from(line[0] == b'+');
            self.counts.deletions += u64::from(line[0] == b'-');
            return;
        }
        if HEAD.iter().any(|start| line.starts_with(start)) {
            self.head.extend_from_slice(line);
        }
        self.binary |= line.starts_with(b"Binary files ");
    }
}

fn not_understood() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "its diff is not understood")
}

/// `:100644 100644 55531aa 0000000 M`
fn meaning(record: &[u8]) -> Option<(u8, (u32, u32))> {
    let text = std::str::from_utf8(record).ok()?.strip_prefix(':')?;
    let mut fields = text.split(' ');
    let mut mode = || u32::from_str_radix(fields.next()?, 8).ok();
    let modes = (mode()?, mode()?);
    let letter = *fields.nth(2)?.as_bytes().first()?;
    Some((letter, modes))
}

fn first_line(entry: &Entry) -> Vec<u8> {
    let mut line = b"diff --git ".to_vec();
    quote::push(
        &mut line,
        "a/",
        entry.old_path.as_ref().unwrap_or(&entry.path),
    );
    line.push(b' ');
    quote::push(&mut line, "b/", &entry.path);
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_those_of_the_entries() {
        let text = b":100644 100644 aa bb M\0a\0:100644 100644 aa bb R050\0old\0n\xc3\xa4w\0:100644 100755 aa aa M\0m\0\0\
            * Unmerged path x\ndiff --git a/a b/a\nindex aa..bb 100644\n--- a/a\n+++ b/a\n@@ -1 +1,2 @@\n-x\n+diff --git\n+\n\
            diff --git a/old \"b/n\\303\\244w\"\nsimilarity index 50%\nBinary files a and b differ\n\
            diff --git a/m b/m\nold mode 100644\nnew mode 100755\n";
        let mut patch = Patch::new(&text[..], 1000);
        let entries = patch.entries().expect("understood");
        assert_eq!(
            entries.iter().map(|entry| entry.letter).collect::<Vec<_>>(),
            b"MRM"
        );
        let mut hash = Sha256::new();
        let parts: Vec<_> = entries
            .iter()
            .map(|entry| patch.part(entry, &mut hash).expect("a part"))
            .collect();
        let counts = parts[0].counts;
        assert_eq!((counts.additions, counts.deletions), (2, 1));
        assert!(parts[1].binary && !parts[0].binary);
        assert_eq!(
            parts[2].head,
            b"diff --git a/m b/m\nold mode 100644\nnew mode 100755\n"
        );
    }

    #[test]
    fn a_diff_of_another_file_is_refused() {
        let text = b":100644 100644 aa bb M\0a\0\0diff --git a/b b/b\n";
        let mut patch = Patch::new(&text[..], 1000);
        let entries = patch.entries().expect("understood");
        assert!(patch.part(&entries[0], &mut Sha256::new()).is_err());
    }
}
