//! A work tree that was opened: the rules of who may be read hold for each one that is made.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use super::{
    disk::{self, Stat},
    error::GitError,
    objects::Objects,
    pin_settings,
    place::Place,
    repository::{OpenError, Owners, check_owner},
    settings::{Format, Settings},
};

/// A work tree that may be looked at, before it is known whether it can be read.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) place: Place,
    /// The work tree's root, without links.
    pub(super) root: PathBuf,
    /// The format, when it is not read here.
    pub(super) format: Option<Format>,
    stamp: [Option<Stat>; 5],
}

impl Site {
    /// Finds the work tree whose root this is.
    pub(super) fn find(root: &Path, owners: &Owners) -> Result<Self, GitError> {
        let unreadable = |part, source| GitError::unreadable(root, part, source);
        let place = Place::find(root).map_err(|source| unreadable("directory", source))?;
        let not_one = || OpenError::NotARepository { path: root.into() };
        let place = place.ok_or_else(not_one)?;
        let work_tree = place
            .work_tree
            .clone()
            .filter(|work_tree| work_tree == root)
            .ok_or_else(not_one)?;
        check_owner(&place, owners)?;
        let stamp = stamp(&place);
        let local = Settings::local(&place).map_err(|_| damaged(root))?;
        if local.flag("core.bare") == Some(true) && place.git_dir == place.common_dir {
            return Err(not_one().into());
        }
        check_worktree(&place, &work_tree, local.path("core.worktree"))?;
        Ok(Self {
            root: work_tree,
            format: Format::unsupported(&local),
            place,
            stamp,
        })
    }
}

/// Neither a line nor a name of what was read: it may be a file of somebody else.
pub(super) fn damaged(root: &Path) -> GitError {
    GitError::unreadable(
        root,
        "configuration",
        std::io::Error::other("it is damaged"),
    )
}

/// A work tree, its repository and its settings. It is found by its descriptor, wherever it is moved.
#[derive(Debug)]
pub(super) struct Checkout {
    pub(super) place: Place,
    /// The work tree's root, without links.
    pub(super) root: PathBuf,
    pub(super) directory: OwnedFd,
    pub(super) objects: Objects,
    pub(super) settings: Settings,
    /// The files of settings as they were when they were read.
    stamp: [Option<Stat>; 5],
}

impl Checkout {
    /// Opens the work tree whose root this is.
    pub(super) fn open(root: &Path, owners: &Owners) -> Result<Self, GitError> {
        Self::of(Site::find(root, owners)?)
    }

    /// Opens a work tree that was found.
    pub(super) fn of(site: Site) -> Result<Self, GitError> {
        pin_settings();
        if let Some(format) = &site.format {
            return Err(OpenError::Unsupported {
                path: site.place.git_dir,
                format: format.to_string(),
            }
            .into());
        }
        let unreadable = |part, source| GitError::unreadable(&site.root, part, source);
        let settings = Settings::read(&site.place).map_err(|_| damaged(&site.root))?;
        let objects = Objects::open(&site.place.common_dir.join("objects"));
        Ok(Self {
            directory: disk::open_root(&site.root)
                .map_err(|source| unreadable("work tree", source))?,
            objects: objects.map_err(|source| unreadable("objects", source))?,
            root: site.root,
            place: site.place,
            settings,
            stamp: site.stamp,
        })
    }

    /// Whether it lies where it lay, with the settings that were read.
    pub(super) fn is_current(&self) -> bool {
        let there = Stat::of_path(&self.root)
            .ok()
            .zip(Stat::of_file(&self.directory).ok());
        let same = there
            .is_some_and(|(now, opened)| (now.device, now.inode) == (opened.device, opened.inode));
        same && self.stamp == stamp(&self.place)
            && Place::find(&self.root).is_ok_and(|place| place.as_ref() == Some(&self.place))
    }
}

/// The files whose change is a change of settings. The user's are looked at when the repository is opened.
fn stamp(place: &Place) -> [Option<Stat>; 5] {
    let files = [
        place.common_dir.join("config"),
        place.git_dir.join("config.worktree"),
        place.common_dir.join("info/exclude"),
        place.common_dir.join("info/attributes"),
        place.git_dir.join("commondir"),
    ];
    files.map(|file| Stat::of_path(&file).ok())
}

/// A repository that could name another work tree could show any directory. A linked one is not asked: git looks at the shared
/// configuration for the main one alone.
fn check_worktree(
    place: &Place,
    work_tree: &Path,
    named: Option<PathBuf>,
) -> Result<(), OpenError> {
    let Some(named) = named.filter(|_| place.git_dir == place.common_dir) else {
        return Ok(());
    };
    match place.git_dir.join(named).canonicalize() {
        Ok(named) if named == *work_tree => Ok(()),
        _ => Err(OpenError::WorktreeElsewhere {
            path: work_tree.into(),
        }),
    }
}
