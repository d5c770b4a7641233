//! What `git status --porcelain=v2 -z --branch` prints (git-status(1), "PORCELAIN FORMAT VERSION 2").

use std::io::{self, BufRead, Read};

use super::Marks;
use crate::git::standing::Standing;

/// Tracked files that may have changed.
const MOST_CHANGED: usize = 200_000;
/// Longest record: a path and what stands before it.
const MOST_RECORD: u64 = 64 * 1024;

/// What is said of a tracked file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    /// Index and HEAD differ.
    pub(super) staged: bool,
    /// Work tree and index differ.
    pub(super) unstaged: bool,
    pub(super) kind: Kind,
}

/// Who has a tracked file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// HEAD.
    #[default]
    Known,
    /// The index alone.
    Added,
    /// Both sides of a merge that could not be finished.
    Conflicted,
}

/// Where a repository stands, and its files that have changed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) standing: Standing,
    pub(super) marks: Marks,
    pub(super) untracked: Vec<Vec<u8>>,
    /// There are more.
    pub(super) cut: bool,
    records: usize,
}

impl Listing {
    /// Reads until the end, or until it has that many files.
    pub(super) fn read(output: &mut impl BufRead, most_untracked: usize) -> io::Result<Self> {
        let mut listing = Self::default();
        let mut record = Vec::new();
        loop {
            record.clear();
            output.take(MOST_RECORD).read_until(0, &mut record)?;
            if record.pop() != Some(0) {
                listing.untracked.sort();
                return Ok(listing);
            }
            listing.records += 1;
            listing.take(&record).ok_or_else(|| {
                io::Error::new(io::ErrorKind::InvalidData, "its status is not understood")
            })?;
            listing.cut =
                listing.untracked.len() > most_untracked || listing.marks.len() > MOST_CHANGED;
            if listing.cut {
                listing.untracked.truncate(most_untracked);
                listing.untracked.sort();
                return Ok(listing);
            }
        }
    }

    /// Whether nothing was printed at all.
    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    fn take(&mut self, record: &[u8]) -> Option<()> {
        let (kind, rest) = record.split_at_checked(2)?;
        match kind {
            b"# " => self.take_standing(std::str::from_utf8(rest).ok()?),
            b"1 " => self.mark(rest, 8),
            b"u " => self.mark(rest, 10),
            b"? " => {
                // A repository in it that is no submodule ends with a slash.
                if !rest.ends_with(b"/") {
                    self.untracked.push(rest.to_vec());
                }
                Some(())
            }
            _ => None,
        }
    }

    fn mark(&mut self, rest: &[u8], fields: usize) -> Option<()> {
        let mut all = rest.splitn(fields, |byte| *byte == b' ');
        let [index, work] = *all.next()? else {
            return None;
        };
        let path = all.nth(fields - 2)?;
        let mark = Mark {
            staged: index != b'.',
            unstaged: work != b'.',
            kind: match index {
                _ if fields == 10 => Kind::Conflicted,
                b'A' => Kind::Added,
                _ => Kind::Known,
            },
        };
        self.marks.insert(path.to_vec(), mark);
        Some(())
    }

    fn take_standing(&mut self, line: &str) -> Option<()> {
        let (key, value) = line.split_once(' ')?;
        let standing = &mut self.standing;
        match key {
            "branch.oid" if value == "(initial)" => {}
            "branch.oid" => standing.head = Some(value.to_owned()),
            "branch.head" if value == "(detached)" => {}
            "branch.head" => value.clone_into(&mut standing.branch),
            "branch.upstream" => standing.upstream = Some(value.to_owned()),
            "branch.ab" => {
                let (ahead, behind) = value.split_once(' ')?;
                let count = |text: &str, sign| text.strip_prefix(sign)?.parse().ok();
                standing.ahead_behind = Some((count(ahead, '+')?, count(behind, '-')?));
            }
            _ => {}
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_understood() {
        let text = b"# branch.oid ab\0# branch.head main\0# branch.upstream o/main\0# branch.ab +1 -2\0# stash 3\0\
            1 .M N... 100644 100644 100644 aa bb a b\0\
            1 A. N... 000000 100644 100644 00 bb \xff\n\0\
            u UU N... 100644 100644 100644 100644 aa bb cc both\0? new file\0? inner/\0";
        let listing = Listing::read(&mut &text[..], 10).expect("understood");
        let standing = &listing.standing;
        assert_eq!(
            (standing.head.as_deref(), standing.branch.as_str()),
            (Some("ab"), "main")
        );
        assert_eq!(
            (standing.upstream.as_deref(), standing.ahead_behind),
            (Some("o/main"), Some((1, 2)))
        );
        assert!(
            listing.marks[&b"a b"[..]].unstaged
                && listing.marks[&b"\xff\n"[..]].kind == Kind::Added
        );
        assert!(listing.marks[&b"both"[..]].kind == Kind::Conflicted && !listing.cut);
        assert_eq!(listing.untracked, [b"new file"]);
    }

    #[test]
    fn more_than_is_kept_is_told() {
        let text = b"? a\0? b\0? c\0";
        let listing = Listing::read(&mut &text[..], 2).expect("understood");
        assert!(listing.cut && listing.untracked.len() == 2);
    }

    #[test]
    fn what_is_none_is_refused() {
        for text in [&b"1 x\0"[..], b"x\0", b"u UU \0", b"# branch.ab 1\0"] {
            assert!(Listing::read(&mut &text[..], 2).is_err(), "{text:?}");
        }
    }
}
