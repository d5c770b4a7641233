//! Which places of the machine the reading of a repository may touch: where it lies, where links in it lead, and what its
//! `alternates` name. For who may not read everywhere, and must not by a repository that points elsewhere.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use super::{disk, place::Place};

/// How many entries are looked at.
const MAX_ENTRIES: usize = 1_000_000;
/// Longest list of alternates, in bytes.
const MAX_ALTERNATES: u64 = 1 << 20;
/// What is read of a git directory and of the common one; hooks and other repositories are not.
const READ: [&str; 7] = [
    "HEAD",
    "commondir",
    "config",
    "packed-refs",
    "refs",
    "objects",
    "logs",
];

/// All those places, without links.
pub(super) fn reach(place: &Place) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = Reach::default();
    for directory in [&place.git_dir, &place.common_dir] {
        found.places.insert(directory.clone());
        for name in READ {
            found.look(directory.join(name))?;
        }
    }
    while let Some(next) = found.due.pop() {
        found.enter(&next)?;
    }
    Ok(found.places)
}

#[derive(Default)]
struct Reach {
    places: BTreeSet<PathBuf>,
    /// Directories that were not looked into yet.
    due: Vec<PathBuf>,
    seen: usize,
}

impl Reach {
    /// Looks at an entry. What is not there is not read either.
    fn look(&mut self, path: PathBuf) -> io::Result<()> {
        self.seen += 1;
        if self.seen > MAX_ENTRIES {
            return Err(io::Error::other("the repository has too many files"));
        }
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => self.follow(&path),
            Ok(metadata) if metadata.is_dir() => {
                self.due.push(path);
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Goes where a link leads, once.
    fn follow(&mut self, path: &Path) -> io::Result<()> {
        let target = match fs::canonicalize(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            target => target?,
        };
        if self.places.insert(target.clone()) && target.is_dir() {
            self.due.push(target);
        }
        Ok(())
    }

    fn enter(&mut self, directory: &Path) -> io::Result<()> {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            // Most are files, of which the listing says so.
            if entry.file_type()?.is_file() {
                self.seen += 1;
            } else {
                self.look(entry.path())?;
            }
        }
        self.alternates(directory)
    }

    /// What a directory of objects names in `info/alternates`: one a line, relative ones from itself (gitrepository-layout(5)).
    fn alternates(&mut self, objects: &Path) -> io::Result<()> {
        let list = objects.join("info/alternates");
        match fs::metadata(&list) {
            Ok(metadata) if metadata.len() > MAX_ALTERNATES => {
                return Err(io::Error::other("the list of alternates is too long"));
            }
            Ok(metadata) if metadata.is_file() => {}
            _ => return Ok(()),
        }
        let Some(lines) = disk::read_path(&list, MAX_ALTERNATES)? else {
            return Ok(());
        };
        let lines = lines.split(|byte| matches!(byte, b'\n' | b'\r'));
        for line in lines.filter(|line| !line.is_empty() && line[0] != b'#') {
            self.follow(&objects.join(OsStr::from_bytes(line)))?;
        }
        Ok(())
    }
}
