//! What the library would wait for: it opens files by their names, and a FIFO among them never ends. So they are looked for
//! before it opens anything, where it would look itself.

use std::{
    ffi::OsStr,
    fs::{self, FileType, Metadata},
    io,
    os::{
        fd::AsFd,
        unix::{
            ffi::OsStrExt,
            fs::{FileTypeExt, MetadataExt},
        },
    },
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{disk, place::Place};

/// Longest list of alternates, in bytes.
const MAX_ALTERNATES: u64 = 1 << 20;
/// Alternates of alternates, as in git.
const MOST_NESTED: usize = 5;
/// Directories of objects.
const MOST_STORES: usize = 64;
/// Between looks at whether anything has come or gone.
const APART: Duration = Duration::from_millis(100);
/// Entries that are looked at.
const MOST_ENTRIES: usize = 200_000;

/// Where objects lie, when nothing there has to be waited for.
#[derive(Debug)]
pub(super) struct Stores {
    /// The first is where the repository has its own.
    directories: Vec<PathBuf>,
    stamp: Vec<Option<Stamp>>,
    looked: Mutex<Instant>,
}

type Stamp = (u64, i64, i64);

impl Stores {
    /// Looks at a directory of objects, and at all that its `alternates` lead to.
    pub(super) fn look(objects: &Path) -> io::Result<Self> {
        let mut directories = vec![objects.to_owned()];
        let mut due = vec![(objects.to_owned(), 0)];
        while let Some((directory, depth)) = due.pop() {
            look_at_all(&directory.join("pack"))?;
            look_at_all(&directory.join("info"))?;
            look_at_all(&directory.join("info/commit-graphs"))?;
            let list = disk::read_path(&directory.join("info/alternates"), MAX_ALTERNATES)?;
            for line in list.unwrap_or_default().split(|byte| *byte == b'\n') {
                if line.is_empty() || line[0] == b'#' || depth >= MOST_NESTED {
                    continue;
                }
                let other = directory.join(OsStr::from_bytes(line));
                if directories.len() < MOST_STORES && !directories.contains(&other) {
                    directories.push(other.clone());
                    due.push((other, depth + 1));
                }
            }
        }
        let stamp = stamp(&directories);
        let looked = Mutex::new(Instant::now());
        Ok(Self {
            directories,
            stamp,
            looked,
        })
    }

    /// Whether no name has come or gone since. Not looked at more often than ten times a second: thousands of objects are read
    /// one after the other.
    pub(super) fn is_current(&self) -> bool {
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.elapsed() < APART {
            return true;
        }
        *looked = Instant::now();
        self.stamp == stamp(&self.directories)
    }

    /// Whether a FIFO lies where an object's own file would. `own` is the first directory.
    pub(super) fn waits_for(&self, own: impl AsFd, hex: &str) -> bool {
        let path = format!("{}/{}", &hex[..2], &hex[2..]);
        let found = rustix::fs::statat(own, &path, rustix::fs::AtFlags::empty());
        let is_file =
            |mode| rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile;
        let is_none = |path: PathBuf| fs::metadata(path).is_ok_and(|metadata| !metadata.is_file());
        found.is_ok_and(|stat| !is_file(stat.st_mode))
            || self.directories[1..]
                .iter()
                .any(|other| is_none(other.join(&path)))
    }
}

fn stamp(directories: &[PathBuf]) -> Vec<Option<Stamp>> {
    let of = |metadata: Metadata| (metadata.ino(), metadata.ctime(), metadata.ctime_nsec());
    let look = |path: PathBuf| fs::metadata(path).ok().map(of);
    let pairs = directories.iter();
    pairs
        .flat_map(|directory| [directory.join("pack"), directory.join("info")])
        .map(look)
        .collect()
}

/// Looks at what a revision can lead to: the files of the git directory itself, and references.
pub(super) fn look_at_references(place: &Place) -> io::Result<()> {
    look_at_all(&place.git_dir)?;
    look_at_all(&place.common_dir)?;
    let mut due = vec![place.common_dir.join("refs"), place.git_dir.join("refs")];
    let mut seen = 0;
    while let Some(directory) = due.pop() {
        for entry in listed(&directory)? {
            let entry = entry?;
            seen += 1;
            if seen > MOST_ENTRIES {
                return Err(io::Error::other("there are too many references"));
            }
            if entry.file_type()?.is_dir() {
                due.push(entry.path());
            } else {
                look_at(&entry)?;
            }
        }
    }
    Ok(())
}

fn listed(directory: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => None,
        entries => Some(entries?),
    };
    Ok(entries.into_iter().flatten())
}

fn look_at_all(directory: &Path) -> io::Result<()> {
    for entry in listed(directory)? {
        look_at(&entry?)?;
    }
    Ok(())
}

fn look_at(entry: &fs::DirEntry) -> io::Result<()> {
    let mut kind = entry.file_type()?;
    if kind.is_symlink() {
        let Ok(target) = fs::metadata(entry.path()) else {
            return Ok(());
        };
        kind = target.file_type();
    }
    if waits(kind) {
        return Err(io::Error::other("a file of it is none"));
    }
    Ok(())
}

fn waits(kind: FileType) -> bool {
    kind.is_fifo() || kind.is_char_device() || kind.is_block_device()
}
