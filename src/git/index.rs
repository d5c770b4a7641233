//! The index, as it lies on disk (gitformat-index(5)), read and never written. It is read by us because the library refuses some
//! of what it can hold, and because half of a scan would be spent on copying it.

use std::{cmp::Ordering, io, ops::Range, path::Path};

use super::{
    disk::{self, Stat},
    objects::Id,
    split::Link,
};

/// Longest index that is read.
const MAX_INDEX: u64 = 1 << 30;
/// Directories below each other in the part that remembers trees.
const MAX_DEPTH: usize = 256;

/// A tracked path. Times are seconds and nanoseconds; the rest of what was known of the file is cut to 32 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    start: u32,
    length: u32,
    pub(super) changed: (u32, u32),
    pub(super) modified: (u32, u32),
    device: u32,
    inode: u32,
    pub(super) mode: u32,
    user: u32,
    group: u32,
    pub(super) size: u32,
    pub(super) id: Id,
    /// 0, or which side of a conflict.
    pub(super) stage: u8,
    /// What is in the work tree does not count: skip-worktree, assume-unchanged.
    pub(super) blind: bool,
    /// Only the intent to add it.
    pub(super) intent: bool,
}

impl Entry {
    /// Whether a file looks like the one that was added. It does not say so of one that could have been changed since without
    /// a trace.
    pub(super) fn looks_like(&self, stat: &Stat) -> bool {
        let times = |time: (i64, u32)| (truncated(time.0.cast_unsigned()), time.1);
        self.size == truncated(stat.size)
            && same_time(self.modified, times(stat.modified))
            && same_time(self.changed, times(stat.changed))
            && self.inode == truncated(stat.inode)
            && self.user == stat.user
            && self.group == stat.group
    }
}

impl Entry {
    /// Whether nothing about it but where its name is kept differs.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let start = self.start;
        *self
            == Self {
                start,
                ..other.clone()
            }
    }
}

/// Some programs write no nanoseconds.
fn same_time(kept: (u32, u32), found: (u32, u32)) -> bool {
    kept.0 == found.0 && (kept.1 == found.1 || kept.1 == 0)
}

fn truncated(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).expect("cut to 32 bits")
}

/// A directory of which the index knows the tree.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    name: Vec<u8>,
    /// None: something below it was changed since.
    pub(super) id: Option<Id>,
    below: Vec<Known>,
}

impl Known {
    /// What is known of a directory in this one.
    pub(super) fn enter(&self, name: &[u8]) -> Option<&Self> {
        self.below.iter().find(|known| known.name == name)
    }
}

/// The tracked paths, sorted by their bytes and then by the side of a conflict.
#[derive(Debug, Default)]
pub(super) struct Index {
    names: Vec<u8>,
    pub(super) entries: Vec<Entry>,
    pub(super) known: Option<Known>,
    /// When it was written; none without a file.
    pub(super) written: Option<Stat>,
}

/// Why an index cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    #[error("failed to read the index")]
    Read(#[from] io::Error),
    #[error("the index is damaged")]
    Damaged,
    #[error("the index has the extension {0}")]
    Unsupported(String),
}

impl Index {
    /// Reads a file; no file is an empty index.
    pub(super) fn read(path: &Path) -> Result<Self, IndexError> {
        let Some(written) = look(path)? else {
            return Ok(Self::default());
        };
        let bytes = disk::read_path(path, MAX_INDEX)?.ok_or(IndexError::Damaged)?;
        let Parsed {
            mut index,
            link,
            nameless,
        } = parse(&bytes)?;
        let shared = link.and_then(|link| link.file().map(|file| (link, file)));
        if let Some((link, file)) = shared {
            let shared = disk::read_path(&path.with_file_name(file), MAX_INDEX)?;
            let base = parse(&shared.ok_or(IndexError::Damaged)?)?;
            if base.nameless > 0 || base.link.is_some() {
                return Err(IndexError::Damaged);
            }
            index = link.join(base.index, index, nameless)?;
        } else if nameless > 0 {
            return Err(IndexError::Damaged);
        }
        index.written = Some(written);
        Ok(index)
    }

    /// This one with the entries of another, whose first ones replace some of its own and keep their names.
    pub(super) fn overlaid(
        mut self,
        mut top: Self,
        nameless: usize,
        gone: &[bool],
        replaced: &[bool],
    ) -> Result<Self, IndexError> {
        let shift = self.names.len();
        if shift + top.names.len() > u32::MAX as usize {
            return Err(IndexError::Damaged);
        }
        self.names.append(&mut top.names);
        let mut new = top.entries.split_off(nameless);
        for entry in &mut new {
            entry.start += offset(shift);
        }
        let mut substitutes = top.entries.into_iter();
        let mut entries = Vec::with_capacity(self.entries.len() + new.len());
        for (at, entry) in std::mem::take(&mut self.entries).into_iter().enumerate() {
            let (start, length) = (entry.start, entry.length);
            let entry = if replaced[at] {
                let substitute = substitutes.next().ok_or(IndexError::Damaged)?;
                Entry {
                    start,
                    length,
                    ..substitute
                }
            } else {
                entry
            };
            if !gone[at] {
                entries.push(entry);
            }
        }
        // Behind the old one of the same path, which it replaces.
        entries.extend(new);
        let key = |names: &[u8], entry: &Entry| {
            let path = &names[entry.start as usize..][..entry.length as usize];
            (path.to_vec(), entry.stage)
        };
        entries.sort_by_cached_key(|entry| key(&self.names, entry));
        entries.reverse();
        entries.dedup_by_key(|entry| key(&self.names, entry));
        entries.reverse();
        self.entries = entries;
        self.known = top.known;
        Ok(self)
    }

    /// The path of an entry.
    pub(super) fn path(&self, entry: &Entry) -> &[u8] {
        &self.names[entry.start as usize..][..entry.length as usize]
    }

    /// The entries of a path: none, one, or the sides of a conflict.
    pub(super) fn find(&self, path: &[u8]) -> Range<usize> {
        let from = self
            .entries
            .partition_point(|entry| self.path(entry) < path);
        let count = self.entries[from..]
            .iter()
            .take_while(|entry| self.path(entry) == path)
            .count();
        from..from + count
    }

    /// The entries in a directory and below it. `""` is the top.
    pub(super) fn below(&self, directory: &[u8]) -> Range<usize> {
        if directory.is_empty() {
            return 0..self.entries.len();
        }
        let order = |entry: &Entry| {
            let path = self.path(entry);
            let head = &path[..path.len().min(directory.len())];
            match head.cmp(directory) {
                Ordering::Equal => path.get(directory.len()).copied().cmp(&Some(b'/')),
                order => order,
            }
        };
        let from = self
            .entries
            .partition_point(|entry| order(entry) == Ordering::Less);
        let until = self
            .entries
            .partition_point(|entry| order(entry) != Ordering::Greater);
        from..until
    }

    /// Whether a file could have been written after it was added, at what looks like the same time.
    pub(super) fn is_racy(&self, entry: &Entry) -> bool {
        let Some(written) = &self.written else {
            return true;
        };
        let at = (
            truncated(written.modified.0.cast_unsigned()),
            written.modified.1,
        );
        // A file system may keep whole seconds only, or the ticks of a clock.
        entry.modified >= at || (at.0 == entry.modified.0 && (at.1 == 0 || entry.modified.1 == 0))
    }

    /// Replaces a directory that stands for all below it by what is in it. Those count as not checked out.
    pub(super) fn expand(
        &mut self,
        mut files: impl FnMut(Id) -> Result<Vec<(Vec<u8>, u32, Id)>, super::error::GitError>,
    ) -> Result<(), super::error::GitError> {
        if !self.entries.iter().any(|entry| entry.mode == 0o040_000) {
            return Ok(());
        }
        let mut entries = Vec::with_capacity(self.entries.len());
        for entry in std::mem::take(&mut self.entries) {
            if entry.mode != 0o040_000 {
                entries.push(entry);
                continue;
            }
            let prefix = self.path(&entry).to_vec();
            for (path, mode, id) in files(entry.id)? {
                let start = offset(self.names.len());
                self.names.extend_from_slice(&prefix);
                self.names.extend_from_slice(&path);
                let length = offset(prefix.len() + path.len());
                entries.push(Entry {
                    start,
                    length,
                    mode,
                    id,
                    blind: true,
                    ..entry.clone()
                });
            }
        }
        self.entries = entries;
        self.known = None;
        Ok(())
    }
}

/// What the file looks like now. None: there is none.
pub(super) fn look(path: &Path) -> io::Result<Option<Stat>> {
    match Stat::of_path(path) {
        Ok(stat) => Ok(Some(stat)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn offset(length: usize) -> u32 {
    u32::try_from(length).expect("an index has less than 4 GiB of names")
}

/// What one file holds.
#[derive(Default)]
struct Parsed {
    index: Index,
    /// Most of it lies in another file.
    link: Option<Link>,
    /// The first entries that are named there.
    nameless: usize,
}

fn parse(bytes: &[u8]) -> Result<Parsed, IndexError> {
    let damaged = || IndexError::Damaged;
    let body = bytes.len().checked_sub(20).ok_or_else(damaged)?;
    let mut reader = Reader {
        bytes: &bytes[..body],
        at: 0,
    };
    if reader.take(4)? != b"DIRC" {
        return Err(damaged());
    }
    let version = reader.number()?;
    if !(2..=4).contains(&version) {
        return Err(IndexError::Unsupported(format!("version {version}")));
    }
    let count = reader.number()? as usize;
    if count > body / 60 + 1 && version < 4 || count > body {
        return Err(damaged());
    }
    let mut index = Index {
        entries: Vec::with_capacity(count),
        ..Index::default()
    };
    for _ in 0..count {
        reader.entry(version, &mut index)?;
    }
    let nameless = index.entries.iter().take_while(|entry| entry.length == 0);
    let nameless = nameless.count();
    let sorted = index.entries[nameless..]
        .windows(2)
        .all(|pair| (index.path(&pair[0]), pair[0].stage) < (index.path(&pair[1]), pair[1].stage));
    if !sorted {
        return Err(damaged());
    }
    let link = reader.extensions(&mut index)?;
    Ok(Parsed {
        index,
        link,
        nameless,
    })
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], IndexError> {
        let end = self.at.checked_add(count).ok_or(IndexError::Damaged)?;
        let taken = self.bytes.get(self.at..end).ok_or(IndexError::Damaged)?;
        self.at = end;
        Ok(taken)
    }

    fn number(&mut self) -> Result<u32, IndexError> {
        let bytes = self.take(4)?;
        Ok(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
    }

    fn id(&mut self) -> Result<Id, IndexError> {
        let bytes = self.take(20)?;
        Ok(Id::from_bytes(bytes.try_into().expect("twenty bytes")))
    }

    fn short(&mut self) -> Result<u16, IndexError> {
        let bytes = self.take(2)?;
        Ok(u16::from_be_bytes(bytes.try_into().expect("two bytes")))
    }

    fn entry(&mut self, version: u32, index: &mut Index) -> Result<(), IndexError> {
        let begin = self.at;
        let mut numbers = [0; 10];
        for number in &mut numbers {
            *number = self.number()?;
        }
        let id = self.id()?;
        let flags = self.short()?;
        let more = if flags & 0x4000 == 0 {
            0
        } else {
            self.short()?
        };
        let start = index.names.len();
        self.name(version, begin, index)?;
        let path = &index.names[start..];
        // Without a name it stands for one of the shared file.
        if !is_path(path) && !path.is_empty() && numbers[6] != 0o040_000 {
            return Err(IndexError::Damaged);
        }
        index.entries.push(Entry {
            start: offset(start),
            length: offset(path.len()),
            changed: (numbers[0], numbers[1]),
            modified: (numbers[2], numbers[3]),
            device: numbers[4],
            inode: numbers[5],
            mode: numbers[6],
            user: numbers[7],
            group: numbers[8],
            size: numbers[9],
            id,
            stage: u8::try_from((flags >> 12) & 3).expect("two bits"),
            blind: flags & 0x8000 != 0 || more & 0x4000 != 0,
            intent: more & 0x2000 != 0,
        });
        Ok(())
    }

    /// A name, ended by a zero: padded to eight bytes, or, from version 4 on, what differs from the one before.
    fn name(&mut self, version: u32, begin: usize, index: &mut Index) -> Result<(), IndexError> {
        let kept = if version < 4 { 0 } else { self.kept(index)? };
        let rest = &self.bytes[self.at..];
        let length = memchr::memchr(0, rest).ok_or(IndexError::Damaged)?;
        let start = index.names.len();
        if kept > 0 {
            let last = index.entries.last().ok_or(IndexError::Damaged)?;
            let from = last.start as usize;
            index.names.extend_from_within(from..from + kept);
        }
        index.names.extend_from_slice(&rest[..length]);
        if index.names.len() > u32::MAX as usize || index.names.len() - start > 64 * 1024 {
            return Err(IndexError::Damaged);
        }
        self.take(length + 1)?;
        if version < 4 {
            let padding = (8 - (self.at - begin) % 8) % 8;
            self.take(padding)?;
        }
        Ok(())
    }

    /// How much of the name before is kept: its length less a number of varying length.
    fn kept(&mut self, index: &Index) -> Result<usize, IndexError> {
        let mut byte = self.take(1)?[0];
        let mut number = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.take(1)?[0];
            number = number
                .checked_add(1)
                .and_then(|number| number.checked_mul(128))
                .ok_or(IndexError::Damaged)?;
            number += usize::from(byte & 0x7f);
        }
        let before = index
            .entries
            .last()
            .map_or(0, |entry| entry.length as usize);
        before.checked_sub(number).ok_or(IndexError::Damaged)
    }

    fn extensions(&mut self, index: &mut Index) -> Result<Option<Link>, IndexError> {
        let mut link = None;
        while self.at < self.bytes.len() {
            let name = self.take(4)?;
            let length = self.number()? as usize;
            let body = self.take(length)?;
            match name {
                b"TREE" => index.known = known(&mut Reader { bytes: body, at: 0 }, 0),
                b"sdir" => {}
                b"link" => link = Some(Link::read(body)?),
                name if name[0].is_ascii_uppercase() => {}
                name => {
                    return Err(IndexError::Unsupported(
                        String::from_utf8_lossy(name).into_owned(),
                    ));
                }
            }
        }
        Ok(link)
    }
}

/// A relative path without `.`, `..`, `.git` and empty names.
fn is_path(path: &[u8]) -> bool {
    path.split(|byte| *byte == b'/')
        .all(|name| !matches!(name, b"" | b"." | b"..") && !name.eq_ignore_ascii_case(b".git"))
}

/// A directory of the extension `TREE`, with those below it. None: it is damaged, and only costs time.
fn known(reader: &mut Reader<'_>, depth: usize) -> Option<Known> {
    if depth > MAX_DEPTH {
        return None;
    }
    let rest = &reader.bytes[reader.at..];
    let name = rest[..memchr::memchr(0, rest)?].to_vec();
    reader.take(name.len() + 1).ok()?;
    let rest = &reader.bytes[reader.at..];
    let line = &rest[..memchr::memchr(b'\n', rest)?];
    reader.take(line.len() + 1).ok()?;
    let (entries, below) = std::str::from_utf8(line).ok()?.split_once(' ')?;
    let (entries, below): (i64, usize) = (entries.parse().ok()?, below.parse().ok()?);
    let id = if entries < 0 {
        None
    } else {
        Some(reader.id().ok()?)
    };
    let mut all = Vec::new();
    for _ in 0..below {
        all.push(known(reader, depth + 1)?);
    }
    Some(Known {
        name,
        id,
        below: all,
    })
}
