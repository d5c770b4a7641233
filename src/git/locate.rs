//! From a path of the machine to the work tree that it is in.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
};

use super::place::Place;

/// The root of the nearest work tree that encloses a path, without links. A path that is no directory stands for its nearest
/// ancestor that is one. None: there is none, or the path is inside of a git directory.
///
/// As in git, the way up does not leave a file system.
pub fn locate(path: &Path) -> io::Result<Option<PathBuf>> {
    let Some(start) = nearest_directory(&cleaned(path)) else {
        return Ok(None);
    };
    let device = fs::metadata(&start)?.dev();
    for directory in start.ancestors() {
        if fs::metadata(directory)?.dev() != device || is_git_directory(directory) {
            return Ok(None);
        }
        let place = match Place::find(directory) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => None,
            place => place?,
        };
        if place.is_some_and(|place| place.work_tree.as_deref() == Some(directory)) {
            return Ok(Some(directory.to_owned()));
        }
    }
    Ok(None)
}

/// Without `.` and `..`; what is above the top is the top.
fn cleaned(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    clean
}

fn nearest_directory(path: &Path) -> Option<PathBuf> {
    path.ancestors()
        .find(|path| path.is_dir())
        .and_then(|path| path.canonicalize().ok())
}

/// Whether a directory is one that git keeps its own files in: `.git` of a work tree, or a bare repository.
fn is_git_directory(directory: &Path) -> bool {
    directory.join("HEAD").symlink_metadata().is_ok()
        && directory.join("objects").is_dir()
        && directory.join("refs").is_dir()
        && (directory.file_name().is_some_and(|name| name == ".git")
            || directory.join("config").is_file())
}
