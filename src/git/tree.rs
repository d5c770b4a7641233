//! Trees of commits, and where one differs from the index or from another one.

use std::collections::BTreeMap;

use super::{
    error::GitError,
    guard::Guard,
    index::{Index, Known},
    objects::{Id, ObjectKind, Objects},
};

/// Largest tree that is read, in bytes.
const MAX_TREE: u64 = 64 << 20;
/// Trees below each other.
const MAX_DEPTH: usize = 512;
/// Files that are listed.
const MOST_FILES: usize = 4_000_000;

/// The mode of a directory.
pub(super) const DIRECTORY: u32 = 0o040_000;

/// A content, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Side {
    pub(super) mode: u32,
    pub(super) id: Id,
}

/// What a tree names.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) name: Vec<u8>,
    pub(super) side: Side,
}

impl Item {
    fn is_directory(&self) -> bool {
        self.side.mode == DIRECTORY
    }

    /// Trees and the index are sorted as if a slash stood behind directories.
    fn key(&self) -> impl Iterator<Item = u8> + '_ {
        let slash = self.is_directory().then_some(b'/');
        self.name.iter().copied().chain(slash)
    }
}

/// Paths that differ, and what each side has there.
pub(super) type Differences = BTreeMap<Vec<u8>, (Option<Side>, Option<Side>)>;

/// Reads trees for one piece of work.
#[derive(Debug)]
pub(super) struct Trees<'a> {
    pub(super) objects: &'a Objects,
    pub(super) guard: &'a Guard,
    /// For the error.
    pub(super) root: &'a std::path::Path,
}

impl Trees<'_> {
    /// What a tree names, in its order.
    pub(super) fn read(&self, id: Id) -> Result<Vec<Item>, GitError> {
        self.guard.check()?;
        let bytes = self.objects.read(id, ObjectKind::Tree, MAX_TREE);
        let bytes = bytes.map_err(|error| self.unreadable(error))?;
        parse(&bytes).ok_or_else(|| self.unreadable("a tree is damaged"))
    }

    fn unreadable(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> GitError {
        GitError::unreadable(self.root, "objects", source)
    }

    /// What lies at a path of a tree.
    pub(super) fn find(&self, tree: Id, path: &[u8]) -> Result<Option<Side>, GitError> {
        let mut side = Side {
            mode: DIRECTORY,
            id: tree,
        };
        for name in path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
        {
            if side.mode != DIRECTORY {
                return Ok(None);
            }
            let items = self.read(side.id)?;
            match items.into_iter().find(|item| item.name == name) {
                Some(item) => side = item.side,
                None => return Ok(None),
            }
        }
        Ok(Some(side))
    }

    /// All files below a tree, as paths from there.
    pub(super) fn files(&self, tree: Id) -> Result<Vec<(Vec<u8>, u32, Id)>, GitError> {
        let mut found = Differences::new();
        self.compare_trees(Some(tree), None, &mut Vec::new(), 0, &mut found)?;
        let files = found.into_iter();
        Ok(files
            .filter_map(|(path, (side, _))| side.map(|side| (path, side.mode, side.id)))
            .collect())
    }

    /// Where two trees differ. A missing one is empty.
    pub(super) fn compare(
        &self,
        old: Option<Id>,
        new: Option<Id>,
    ) -> Result<Differences, GitError> {
        let mut found = Differences::new();
        self.compare_trees(old, new, &mut Vec::new(), 0, &mut found)?;
        Ok(found)
    }

    fn compare_trees(
        &self,
        old: Option<Id>,
        new: Option<Id>,
        prefix: &mut Vec<u8>,
        depth: usize,
        found: &mut Differences,
    ) -> Result<(), GitError> {
        if old == new {
            return Ok(());
        }
        self.check(depth, found)?;
        let items = |id: Option<Id>| id.map_or(Ok(Vec::new()), |id| self.read(id));
        let (old, new) = (items(old)?, items(new)?);
        let (mut left, mut right) = (old.iter().peekable(), new.iter().peekable());
        loop {
            let order = match (left.peek(), right.peek()) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(left), Some(right)) => left.key().cmp(right.key()),
            };
            let left = if order.is_le() { left.next() } else { None };
            let right = if order.is_ge() { right.next() } else { None };
            let item = left.or(right).expect("one of them is there");
            let length = push(prefix, &item.name);
            let sides = (left.map(|item| item.side), right.map(|item| item.side));
            if item.is_directory() {
                let id = |side: Option<Side>| side.map(|side| side.id);
                self.compare_trees(id(sides.0), id(sides.1), prefix, depth + 1, found)?;
            } else if sides.0 != sides.1 {
                note(found, prefix, sides);
            }
            prefix.truncate(length);
        }
    }

    fn check(&self, depth: usize, found: &Differences) -> Result<(), GitError> {
        self.guard.check()?;
        if depth > MAX_DEPTH || found.len() > MOST_FILES {
            return Err(self.unreadable("a tree has too many entries"));
        }
        Ok(())
    }

    /// Where the index differs from a tree. Conflicts always do.
    pub(super) fn compare_index(
        &self,
        tree: Option<Id>,
        index: &Index,
    ) -> Result<Differences, GitError> {
        let mut found = Differences::new();
        let all = 0..index.entries.len();
        self.compare_part(
            tree,
            index,
            all,
            index.known.as_ref(),
            &mut Vec::new(),
            0,
            &mut found,
        )?;
        Ok(found)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the two sides, where in them, and what is known of one"
    )]
    fn compare_part(
        &self,
        tree: Option<Id>,
        index: &Index,
        range: std::ops::Range<usize>,
        known: Option<&Known>,
        prefix: &mut Vec<u8>,
        depth: usize,
        found: &mut Differences,
    ) -> Result<(), GitError> {
        if let (Some(tree), Some(known)) = (tree, known)
            && known.id == Some(tree)
        {
            return Ok(());
        }
        self.check(depth, found)?;
        let items = tree.map_or(Ok(Vec::new()), |id| self.read(id))?;
        let mut items = items.iter().peekable();
        let mut at = range.start;
        loop {
            let part = (at < range.end).then(|| part(index, at, range.end, prefix.len()));
            let order = match (items.peek(), &part) {
                (None, None) => return Ok(()),
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(item), Some(part)) => item.key().cmp(part.key()),
            };
            let item = if order.is_le() { items.next() } else { None };
            let part = part.filter(|_| order.is_ge());
            let name = item
                .map(|item| &item.name[..])
                .or(part.as_ref().map(|part| part.name));
            let length = push(prefix, name.expect("one of them is there"));
            if let Some(part) = &part {
                at = part.end;
            }
            let is_directory = item.map_or_else(
                || part.as_ref().is_some_and(|part| part.is_directory),
                Item::is_directory,
            );
            if is_directory {
                let below = part.map_or(at..at, |part| part.start..part.end);
                let known = known
                    .and_then(|known| known.enter(&prefix[length + usize::from(length > 0)..]));
                let tree = item.map(|item| item.side.id);
                self.compare_part(tree, index, below, known, prefix, depth + 1, found)?;
            } else {
                let side = part.as_ref().and_then(|part| part.side(index));
                let sides = (item.map(|item| item.side), side);
                if sides.0 != sides.1 || part.is_some_and(|part| part.is_special(index)) {
                    note(found, prefix, sides);
                }
            }
            prefix.truncate(length);
        }
    }
}

fn note(found: &mut Differences, path: &[u8], sides: (Option<Side>, Option<Side>)) {
    let entry = found.entry(path.to_vec()).or_default();
    entry.0 = entry.0.or(sides.0);
    entry.1 = entry.1.or(sides.1);
}

/// Appends a name to a path; gives back its length before.
fn push(path: &mut Vec<u8>, name: &[u8]) -> usize {
    let length = path.len();
    if length > 0 {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    length
}

/// What of the index has one name in a directory: a file, or all below a directory.
struct Part<'a> {
    name: &'a [u8],
    is_directory: bool,
    start: usize,
    end: usize,
}

fn part(index: &Index, start: usize, until: usize, prefix: usize) -> Part<'_> {
    let skip = prefix + usize::from(prefix > 0);
    let rest = |at: usize| &index.path(&index.entries[at])[skip..];
    let first = rest(start);
    let slash = memchr::memchr(b'/', first);
    let name = &first[..slash.unwrap_or(first.len())];
    let same = |at: &usize| {
        let other = rest(*at);
        match slash {
            Some(slash) => other.get(..=slash) == Some(&first[..=slash]),
            None => other == first,
        }
    };
    let count = (start..until).take_while(same).count();
    Part {
        name,
        is_directory: slash.is_some(),
        start,
        end: start + count,
    }
}

impl Part<'_> {
    fn key(&self) -> impl Iterator<Item = u8> + '_ {
        let slash = self.is_directory.then_some(b'/');
        self.name.iter().copied().chain(slash)
    }

    /// What is in the index: nothing in a conflict, or when it only will be added.
    fn side(&self, index: &Index) -> Option<Side> {
        let entry = &index.entries[self.start];
        (entry.stage == 0 && !entry.intent).then_some(Side {
            mode: entry.mode,
            id: entry.id,
        })
    }

    fn is_special(&self, index: &Index) -> bool {
        let entry = &index.entries[self.start];
        entry.stage != 0 || entry.intent
    }
}

/// The modes that git has; old ones are read as what they mean.
fn normal(mode: u32) -> u32 {
    match mode & 0o170_000 {
        0o040_000 => DIRECTORY,
        0o120_000 => 0o120_000,
        0o160_000 => 0o160_000,
        _ if mode & 0o100 != 0 => 0o100_755,
        _ => 0o100_644,
    }
}

fn parse(mut bytes: &[u8]) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    while !bytes.is_empty() {
        let space = memchr::memchr(b' ', bytes)?;
        let mode = u32::from_str_radix(std::str::from_utf8(&bytes[..space]).ok()?, 8).ok()?;
        let rest = &bytes[space + 1..];
        let zero = memchr::memchr(0, rest)?;
        let id = rest.get(zero + 1..zero + 21)?;
        let name = rest[..zero].to_vec();
        if name.is_empty() || name.contains(&b'/') {
            return None;
        }
        let id = Id::from_bytes(id.try_into().ok()?);
        items.push(Item {
            name,
            side: Side {
                mode: normal(mode),
                id,
            },
        });
        bytes = &rest[zero + 21..];
    }
    Some(items)
}
