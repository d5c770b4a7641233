//! Where a repository lies: work tree, git directory, common directory.

use std::{
    ffi::OsStr,
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

use super::disk;

/// Longest file that names a directory.
const MAX_LINK: u64 = 16 * 1024;

/// The directories of a repository, without links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Where `.git` was found; none of a bare one.
    pub(super) work_tree: Option<PathBuf>,
    /// `.git` itself, where it is a file or a link.
    pub(super) link: Option<PathBuf>,
    /// What belongs to this work tree alone: HEAD.
    pub(super) git_dir: PathBuf,
    /// What all work trees share: objects, references, configuration.
    pub(super) common_dir: PathBuf,
}

impl Place {
    /// Looks at a path: a work tree, its `.git`, or a bare repository. None: it is none of them. Nothing above it is tried.
    pub(super) fn find(path: &Path) -> io::Result<Option<Self>> {
        let path = match fs::canonicalize(path) {
            Err(error) if is_missing(&error) => return Ok(None),
            path => path?,
        };
        let named_git = path.file_name() == Some(OsStr::new(".git"));
        if !path.is_dir() {
            let work_tree = path.parent().filter(|_| named_git);
            return work_tree.map_or(Ok(None), Self::of_work_tree);
        }
        if let Some(place) = Self::of_work_tree(&path)? {
            return Ok(Some(place));
        }
        let work_tree = path.parent().filter(|_| named_git).map(Path::to_owned);
        Self::of_git_dir(work_tree, None, path)
    }

    fn of_work_tree(path: &Path) -> io::Result<Option<Self>> {
        let dot_git = path.join(".git");
        let is_link = match fs::symlink_metadata(&dot_git) {
            Ok(metadata) => !metadata.is_dir(),
            Err(error) if is_missing(&error) => return Ok(None),
            Err(error) => return Err(error),
        };
        let git_dir = if fs::metadata(&dot_git).is_ok_and(|metadata| metadata.is_dir()) {
            fs::canonicalize(&dot_git)?
        } else {
            let Some(target) = read_link(&dot_git, b"gitdir: ")? else {
                return Ok(None);
            };
            match fs::canonicalize(path.join(target)) {
                Err(error) if is_missing(&error) => return Ok(None),
                git_dir => git_dir?,
            }
        };
        Self::of_git_dir(Some(path.to_owned()), is_link.then_some(dot_git), git_dir)
    }

    fn of_git_dir(
        work_tree: Option<PathBuf>,
        link: Option<PathBuf>,
        git_dir: PathBuf,
    ) -> io::Result<Option<Self>> {
        let common_dir = match read_link(&git_dir.join("commondir"), b"")? {
            Some(target) => match fs::canonicalize(git_dir.join(target)) {
                Err(error) if is_missing(&error) => return Ok(None),
                common_dir => common_dir?,
            },
            None => git_dir.clone(),
        };
        // A FIFO instead of HEAD would never end; a link there is what old versions of git made.
        let has_head = fs::symlink_metadata(git_dir.join("HEAD"))
            .is_ok_and(|head| head.is_file() || head.is_symlink());
        let is_whole = has_head
            && is_regular_or_missing(&common_dir.join("config"))
            && ["objects", "refs"]
                .iter()
                .all(|name| common_dir.join(name).is_dir());
        Ok(is_whole.then_some(Self {
            work_tree,
            link,
            git_dir,
            common_dir,
        }))
    }

    /// What must belong to somebody trusted: the first is what a person would name.
    pub(super) fn owned(&self) -> impl Iterator<Item = &Path> {
        let all = [
            self.work_tree.as_ref(),
            self.link.as_ref(),
            Some(&self.git_dir),
            Some(&self.common_dir),
        ];
        all.into_iter().flatten().map(PathBuf::as_path)
    }

    /// The first directory or link of another owner than those, with that owner.
    pub(super) fn foreign(&self, users: &[u32]) -> io::Result<Option<(&Path, u32)>> {
        for path in self.owned() {
            let owner = fs::symlink_metadata(path)?.uid();
            if !users.contains(&owner) {
                return Ok(Some((path, owner)));
            }
        }
        Ok(None)
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn is_regular_or_missing(path: &Path) -> bool {
    match fs::metadata(path) {
        Ok(metadata) => metadata.is_file(),
        Err(error) => is_missing(&error),
    }
}

/// Reads a file that names a directory. None: it is no such file.
fn read_link(path: &Path, start: &[u8]) -> io::Result<Option<PathBuf>> {
    let Some(bytes) = disk::read_path(path, MAX_LINK)? else {
        return Ok(None);
    };
    let target = bytes.strip_prefix(start).map(<[u8]>::trim_ascii_end);
    let target = target.filter(|target| !target.is_empty() && !target.contains(&0));
    Ok(target.map(|target| OsStr::from_bytes(target).into()))
}
