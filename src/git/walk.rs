//! One walk through a work tree: which tracked files may have changed, and which files are not tracked.

use std::{ops::Range, os::fd::OwnedFd};

use rustix::fs::FileType;

use super::{
    disk::{self, Name, Stat},
    error::GitError,
    eyes::Eyes,
    guard::Guard,
    ignore::Ignore,
    index::{Entry, Index},
    settings::Settings,
};

/// Directories below each other; what is deeper is not looked at.
const MAX_DEPTH: usize = 512;
/// Untracked files that are remembered; further ones are counted.
const MOST_UNTRACKED: usize = 100_000;

/// The mode of a submodule.
pub(super) const SUBMODULE: u32 = 0o160_000;
/// The mode of a link.
pub(super) const LINK: u32 = 0o120_000;

/// What is at a tracked path that does not look as it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Nothing that git would track: no file, or a FIFO, a socket, a device.
    Missing,
    /// A regular file or a link, with the mode that git would give it.
    File(Stat, u32),
    /// A submodule, to be looked into.
    Submodule,
    /// It may not be looked at.
    Unreadable,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Finds {
    /// By the place in the index.
    pub(super) suspects: Vec<(usize, Seen)>,
    /// Regular files and links that git would show as untracked.
    pub(super) untracked: Vec<(Vec<u8>, Stat)>,
    /// How many more of them there are.
    pub(super) further: u64,
}

/// A walk.
pub(super) struct Walk<'a> {
    pub(super) index: &'a Index,
    pub(super) settings: &'a Settings,
    pub(super) guard: &'a Guard,
    pub(super) eyes: &'a dyn Eyes,
    /// Rules of the directories from the top to where the walk is.
    pub(super) ignore: Ignore,
    pub(super) finds: Finds,
}

/// The mode that git gives a file. None: it tracks no such thing.
pub(super) fn mode_of(stat: &Stat, tracked: Option<&Entry>, settings: &Settings) -> Option<u32> {
    let executable = if stat.mode & 0o100 == 0 {
        0o100_644
    } else {
        0o100_755
    };
    match (stat.kind(), tracked) {
        (FileType::Symlink, _) => Some(LINK),
        (FileType::RegularFile, Some(entry)) if entry.mode == LINK && !settings.symlinks => {
            Some(LINK)
        }
        (FileType::RegularFile, Some(entry)) if !settings.file_mode => {
            let kept = entry.mode == 0o100_755;
            Some(if kept { entry.mode } else { 0o100_644 })
        }
        (FileType::RegularFile, None) if !settings.file_mode => Some(0o100_644),
        (FileType::RegularFile, _) => Some(executable),
        _ => None,
    }
}

/// Whether a directory is the work tree of a repository of its own.
pub(super) fn is_repository(directory: &OwnedFd) -> bool {
    let kind = |parent: &OwnedFd, name| {
        Stat::of_name(parent, name)
            .ok()
            .flatten()
            .map(|stat| stat.kind())
    };
    match kind(directory, c".git") {
        Some(FileType::RegularFile) => true,
        Some(FileType::Directory) => {
            let inner = disk::open_directory(directory, c".git").ok().flatten();
            inner.is_some_and(|inner| {
                [c"HEAD", c"objects", c"refs"]
                    .iter()
                    .all(|name| kind(&inner, name).is_some())
            })
        }
        _ => false,
    }
}

/// A name in a directory, as the index has it.
struct Tracked<'n> {
    name: &'n [u8],
    is_directory: bool,
    range: Range<usize>,
}

impl<'a> Walk<'a> {
    /// Walks a directory and all below it. The range is what the index has there; `path` is `""` for the top. What is not
    /// tracked in an ignored one is left out.
    pub(super) fn directory(
        &mut self,
        directory: &OwnedFd,
        path: &mut Vec<u8>,
        range: Range<usize>,
        ignored: bool,
        depth: usize,
    ) -> Result<(), GitError> {
        self.guard.check()?;
        if !ignored || !range.is_empty() {
            self.eyes.directory(path);
        }
        let names = disk::names(directory).unwrap_or_default();
        let has_rules = names
            .iter()
            .any(|name| name.name.as_bytes() == b".gitignore");
        let level = has_rules.then(|| self.ignore.enter(directory, path));
        let mut tracked = self.tracked(path, range);
        for tracked in &tracked {
            if tracked.is_directory {
                self.enter_tracked(directory, path, tracked, ignored, depth)?;
            } else {
                self.look_at_tracked(directory, tracked);
            }
        }
        if !ignored {
            tracked.sort_unstable_by(|left, right| left.name.cmp(right.name));
            for name in &names {
                let at = tracked.partition_point(|tracked| tracked.name < name.name.as_bytes());
                let same = tracked[at..]
                    .iter()
                    .take_while(|tracked| tracked.name == name.name.as_bytes());
                self.look_at_name(directory, path, name, same, depth)?;
            }
        }
        if let Some(level) = level {
            self.ignore.leave(level);
        }
        Ok(())
    }

    /// What the index has in a directory, name by name.
    fn tracked(&self, path: &[u8], range: Range<usize>) -> Vec<Tracked<'a>> {
        let index = self.index;
        let skip = path.len() + usize::from(!path.is_empty());
        let mut all: Vec<Tracked<'a>> = Vec::new();
        for at in range {
            let rest = &index.path(&index.entries[at])[skip..];
            let slash = memchr::memchr(b'/', rest);
            let name = &rest[..slash.unwrap_or(rest.len())];
            match all.last_mut() {
                Some(last) if last.name == name && last.is_directory == slash.is_some() => {
                    last.range.end = at + 1;
                }
                _ => all.push(Tracked {
                    name,
                    is_directory: slash.is_some(),
                    range: at..at + 1,
                }),
            }
        }
        all
    }

    fn look_at_tracked(&mut self, directory: &OwnedFd, tracked: &Tracked<'_>) {
        let at = tracked.range.start;
        if let Some(seen) = self.see(directory, tracked.name, at) {
            self.finds.suspects.push((at, seen));
        }
    }

    /// Looks at a tracked file. None: it is as it was added.
    pub(super) fn see(&self, directory: &OwnedFd, name: &[u8], at: usize) -> Option<Seen> {
        let entry = &self.index.entries[at];
        if entry.blind && entry.stage == 0 {
            return None;
        }
        let stat = disk::c_name(name).and_then(|name| Stat::of_name(directory, &name));
        let stat = match stat {
            Ok(Some(stat)) => stat,
            Ok(None) => return Some(Seen::Missing),
            Err(_) => return Some(Seen::Unreadable),
        };
        if entry.mode == SUBMODULE && stat.kind() == FileType::Directory {
            return Some(Seen::Submodule);
        }
        let Some(mode) = mode_of(&stat, Some(entry), self.settings) else {
            return Some(Seen::Missing);
        };
        let same = entry.stage == 0
            && !entry.intent
            && mode == entry.mode
            && entry.looks_like(&stat)
            && !self.index.is_racy(entry);
        (!same).then_some(Seen::File(stat, mode))
    }

    fn enter_tracked(
        &mut self,
        directory: &OwnedFd,
        path: &mut Vec<u8>,
        tracked: &Tracked<'_>,
        ignored: bool,
        depth: usize,
    ) -> Result<(), GitError> {
        let length = push(path, tracked.name);
        let range = tracked.range.clone();
        match disk::c_name(tracked.name).and_then(|name| disk::open_directory(directory, &name)) {
            Ok(Some(below)) if depth < MAX_DEPTH => {
                let ignored = ignored || self.ignore.covers(path, true);
                self.directory(&below, path, range, ignored, depth + 1)?;
            }
            Ok(None) => self.all_are(range, Seen::Missing),
            Ok(Some(_)) | Err(_) => self.all_are(range, Seen::Unreadable),
        }
        path.truncate(length);
        Ok(())
    }

    /// Looks at one path and what is below it. Gives back the path for which that speaks: of one inside of a submodule, the
    /// submodule.
    pub(super) fn path(&mut self, root: &OwnedFd, path: &[u8]) -> Result<Vec<u8>, GitError> {
        self.guard.check()?;
        let outer = self.ignore.depth();
        let found = self.descend(root, path);
        self.ignore.leave(outer);
        found
    }

    fn descend(&mut self, root: &OwnedFd, path: &[u8]) -> Result<Vec<u8>, GitError> {
        let mut here: Vec<u8> = Vec::new();
        let mut directory = root.try_clone().map_err(|_| GitError::TimedOut)?;
        let mut ignored = false;
        let names: Vec<&[u8]> = path
            .split(|byte| *byte == b'/')
            .filter(|name| !name.is_empty())
            .collect();
        let Some((last, above)) = names.split_last() else {
            let all = 0..self.index.entries.len();
            self.directory(&directory, &mut here, all, false, 0)?;
            return Ok(here);
        };
        for name in above {
            self.ignore.enter(&directory, &here);
            push(&mut here, name);
            let tracked = self.index.find(&here);
            if tracked
                .clone()
                .next()
                .is_some_and(|at| self.index.entries[at].mode == SUBMODULE)
            {
                let name = name.to_vec();
                self.look_at_path(&directory, &here, &name, tracked.start, ignored)?;
                return Ok(here);
            }
            ignored |= self.ignore.covers(&here, true);
            let below = disk::c_name(name).and_then(|name| disk::open_directory(&directory, &name));
            let Ok(Some(below)) = below else {
                self.all_are(self.index.find(path), Seen::Missing);
                self.all_are(self.index.below(path), Seen::Missing);
                return Ok(path.to_vec());
            };
            // Another repository's files are none of ours, unless the index has them.
            ignored |= self.index.below(&here).is_empty() && is_repository(&below);
            directory = below;
        }
        self.ignore.enter(&directory, &here);
        push(&mut here, last);
        let at = self.index.find(&here).start;
        self.look_at_path(&directory, &here, last, at, ignored)?;
        Ok(here)
    }

    /// Looks at a name in a directory as the walk would.
    fn look_at_path(
        &mut self,
        directory: &OwnedFd,
        path: &[u8],
        name: &[u8],
        at: usize,
        ignored: bool,
    ) -> Result<(), GitError> {
        let is_tracked = self
            .index
            .entries
            .get(at)
            .is_some_and(|entry| self.index.path(entry) == path);
        let mut all = Vec::new();
        if is_tracked {
            all.push(Tracked {
                name,
                is_directory: false,
                range: at..at + 1,
            });
        }
        let below = self.index.below(path);
        if !below.is_empty() {
            all.push(Tracked {
                name,
                is_directory: true,
                range: below,
            });
        }
        let mut parent = path[..path.len().saturating_sub(name.len() + 1)].to_vec();
        let depth = memchr::memchr_iter(b'/', path).count();
        for tracked in &all {
            if tracked.is_directory {
                self.enter_tracked(directory, &mut parent, tracked, ignored, depth)?;
            } else {
                self.look_at_tracked(directory, tracked);
            }
        }
        let Ok(name) = disk::c_name(name) else {
            return Ok(());
        };
        if !ignored {
            let name = Name {
                name,
                kind: FileType::Unknown,
            };
            self.look_at_name(directory, &mut parent, &name, all.iter(), depth)?;
        }
        Ok(())
    }

    /// Says the same of all tracked files of a range.
    pub(super) fn all_are(&mut self, range: Range<usize>, seen: Seen) {
        let mut last: &[u8] = b"";
        for at in range {
            let entry = &self.index.entries[at];
            let path = self.index.path(entry);
            if path != last && !(entry.blind && entry.stage == 0) {
                self.finds.suspects.push((at, seen));
            }
            last = path;
        }
    }

    /// Looks at a name that is on disk: whether it is untracked, or has untracked files below it.
    fn look_at_name<'t, 'n: 't>(
        &mut self,
        directory: &OwnedFd,
        path: &mut Vec<u8>,
        name: &Name,
        tracked: impl Iterator<Item = &'t Tracked<'n>>,
        depth: usize,
    ) -> Result<(), GitError> {
        if name.name.as_bytes().eq_ignore_ascii_case(b".git") {
            return Ok(());
        }
        let (mut file, mut below) = (None, false);
        for tracked in tracked {
            below |= tracked.is_directory;
            if !tracked.is_directory {
                file = Some(self.index.entries[tracked.range.start].mode);
            }
        }
        let mut stat = None;
        let mut kind = name.kind;
        if kind == FileType::Unknown {
            stat = Stat::of_name(directory, &name.name).ok().flatten();
            kind = stat.map_or(FileType::Unknown, |stat| stat.kind());
        }
        let length = push(path, name.name.as_bytes());
        match kind {
            FileType::Directory if below || file == Some(SUBMODULE) => {}
            FileType::Directory => self.enter_untracked(directory, path, name, depth)?,
            FileType::RegularFile | FileType::Symlink
                if file.is_none() && !self.ignore.covers(path, false) =>
            {
                self.note_untracked(directory, path, name, stat);
            }
            _ => {}
        }
        path.truncate(length);
        Ok(())
    }

    fn enter_untracked(
        &mut self,
        directory: &OwnedFd,
        path: &mut Vec<u8>,
        name: &Name,
        depth: usize,
    ) -> Result<(), GitError> {
        if depth >= MAX_DEPTH || self.ignore.covers(path, true) {
            return Ok(());
        }
        match disk::open_directory(directory, &name.name) {
            Ok(Some(below)) if !is_repository(&below) => {
                self.directory(&below, path, 0..0, false, depth + 1)
            }
            _ => Ok(()),
        }
    }

    fn note_untracked(
        &mut self,
        directory: &OwnedFd,
        path: &[u8],
        name: &Name,
        stat: Option<Stat>,
    ) {
        let stat = stat.or_else(|| Stat::of_name(directory, &name.name).ok().flatten());
        match stat {
            Some(stat) if self.finds.untracked.len() < MOST_UNTRACKED => {
                self.finds.untracked.push((path.to_vec(), stat));
            }
            Some(_) => self.finds.further += 1,
            None => {}
        }
    }
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
