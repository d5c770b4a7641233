//! Opens repositories: the only place that does.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fmt,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use git2::{Config, ConfigLevel, ErrorClass, ErrorCode};

use super::{
    objects::{Id, Objects},
    pin_settings,
    pipes::{self, Stores},
    place::Place,
    reach,
};

/// Longest revision that is looked up, in bytes.
const MAX_REVISION: usize = 4096;

/// Why a repository, or something that it must have, cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none.
    #[error("{} is not a git repository", path.display())]
    NotARepository {
        /// What was to be opened.
        path: PathBuf,
    },
    /// Somebody else could have written it.
    #[error(
        "{} belongs to user {owner}; allow it with: git config --global --add safe.directory {}",
        path.display(), repository.display()
    )]
    UnsafeOwner {
        /// The directory or link that is another's.
        path: PathBuf,
        /// Whose.
        owner: u32,
        /// What `safe.directory` would have to name.
        repository: PathBuf,
    },
    /// Its configuration says that its files lie somewhere else.
    #[error("core.worktree of {} names another directory", path.display())]
    WorktreeElsewhere {
        /// The work tree.
        path: PathBuf,
    },
    /// It has a format that the library does not read.
    #[error("{} cannot be read: {format}", path.display())]
    Unsupported {
        /// The git directory.
        path: PathBuf,
        /// Which one.
        format: String,
    },
    /// It is damaged, or the machine does not let us.
    #[error("failed to read the {part} of {}", path.display())]
    Unreadable {
        /// The repository.
        path: PathBuf,
        /// Of what: `configuration`, `objects`, `revision`, `directory`.
        part: &'static str,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No commit has this name.
    #[error("the repository has no commit {revision:?}")]
    UnknownRevision {
        /// What was asked for.
        revision: String,
    },
}

/// Whose repositories are opened.
#[derive(Clone, Debug, Default)]
pub struct Owners(Vec<u32>);

impl Owners {
    /// Those of these users. Those that the user's or the system's `safe.directory` names are opened as well.
    pub fn new(users: impl IntoIterator<Item = u32>) -> Self {
        Self(users.into_iter().collect())
    }
}

/// A commit, as far as its tree is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: Id,
    /// The id of its tree.
    pub tree: Id,
    /// When it was made: seconds since 1970.
    pub time: i64,
}

/// An opened repository. It is read, never changed; no program is run for it and no network asked.
pub struct Repository {
    inner: git2::Repository,
    place: Place,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl Repository {
    /// Opens what a path of the machine names: a work tree, linked ones too, its `.git`, or a bare repository.
    pub fn open(path: &Path, owners: &Owners) -> Result<Self, OpenError> {
        pin_settings();
        let place = Place::find(path).map_err(|source| unreadable(path, "directory", source))?;
        let place = place.ok_or_else(|| OpenError::NotARepository { path: path.into() })?;
        check_owner(&place, owners)?;
        pipes::look_at_references(&place)
            .and_then(|()| Stores::look(&place.common_dir.join("objects")))
            .map_err(|source| unreadable(&place.git_dir, "directory", source))?;
        let inner =
            git2::Repository::open_bare(&place.git_dir).map_err(|error| refused(&place, error))?;
        let repository = Self { inner, place };
        repository.check_worktree()?;
        Ok(repository)
    }

    /// Every place of the machine that reading it may touch, without links: where it lies, where links in it lead, and what
    /// its `alternates` name. For who may not read everywhere. It looks at each directory of objects and references.
    pub fn reach(&self) -> Result<BTreeSet<PathBuf>, OpenError> {
        reach::reach(&self.place)
            .map_err(|source| unreadable(&self.place.git_dir, "directory", source))
    }

    /// Resolves any spelling of a commit that git understands.
    pub fn commit(&self, revision: &str) -> Result<Commit, OpenError> {
        let unknown = || OpenError::UnknownRevision {
            revision: revision.chars().take(200).collect(),
        };
        if revision.len() > MAX_REVISION || revision.contains('\0') {
            return Err(unknown());
        }
        let object = self.inner.revparse_single(revision).map_err(|error| {
            match (error.code(), error.class()) {
                (
                    ErrorCode::GenericError,
                    ErrorClass::Os | ErrorClass::Zlib | ErrorClass::Odb | ErrorClass::Object,
                ) => unreadable(&self.place.git_dir, "revision", error),
                _ => unknown(),
            }
        })?;
        let commit = object.peel_to_commit().map_err(|_| unknown())?;
        Ok(Commit {
            id: Id::new(commit.id()),
            tree: Id::new(commit.tree_id()),
            time: commit.time().seconds(),
        })
    }

    /// Its objects, for any thread. They stay opened when the repository is moved or closed.
    pub fn objects(&self) -> Result<Objects, OpenError> {
        let directory = self.place.common_dir.join("objects");
        Objects::open(&directory)
            .map_err(|source| unreadable(&self.place.git_dir, "objects", source))
    }

    /// A repository that could name another work tree could show any directory. A linked work tree is not asked: git looks
    /// at the shared configuration for the main one alone.
    fn check_worktree(&self) -> Result<(), OpenError> {
        let Some(work_tree) = &self.place.work_tree else {
            return Ok(());
        };
        if self.place.git_dir != self.place.common_dir {
            return Ok(());
        }
        let named = self
            .inner
            .config()
            .and_then(|config| config.open_level(ConfigLevel::Local));
        let named = match named.and_then(|config| config.get_string("core.worktree")) {
            Ok(named) => self.place.git_dir.join(named),
            Err(error) if error.code() == ErrorCode::NotFound => return Ok(()),
            Err(error) => return Err(unreadable(&self.place.git_dir, "configuration", error)),
        };
        match named.canonicalize() {
            Ok(named) if named == *work_tree => Ok(()),
            _ => Err(OpenError::WorktreeElsewhere {
                path: work_tree.clone(),
            }),
        }
    }
}

fn unreadable(
    path: &Path,
    part: &'static str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> OpenError {
    OpenError::Unreadable {
        path: path.into(),
        part,
        source: source.into(),
    }
}

/// Why the library refused: for what it tells of formats its own words are used, which name nothing but them.
fn refused(place: &Place, error: git2::Error) -> OpenError {
    let path = place.git_dir.clone();
    match (error.code(), error.class()) {
        (ErrorCode::NotFound, _) => OpenError::NotARepository { path },
        (_, ErrorClass::Repository) => OpenError::Unsupported {
            path,
            format: error.message().to_owned(),
        },
        (_, ErrorClass::Config) => unreadable(&path, "configuration", error),
        _ => unreadable(&path, "directory", error),
    }
}

/// As git does, but with a second user: each directory must belong to somebody trusted, unless the user's or the system's
/// `safe.directory` names the first.
pub(super) fn check_owner(place: &Place, owners: &Owners) -> Result<(), OpenError> {
    let foreign = place.foreign(&owners.0);
    let foreign = foreign.map_err(|source| unreadable(&place.git_dir, "directory", source))?;
    let Some((path, owner)) = foreign else {
        return Ok(());
    };
    let repository = place.owned().next().expect("a repository has a directory");
    if is_named_safe(repository) {
        return Ok(());
    }
    Err(OpenError::UnsafeOwner {
        path: path.into(),
        owner,
        repository: repository.into(),
    })
}

/// Whether `safe.directory` names a repository. What cannot be read names none.
fn is_named_safe(repository: &Path) -> bool {
    // The user's and the system's files alone: no repository's.
    let Ok(config) = Config::open_default() else {
        return false;
    };
    let Ok(entries) = config.multivar("safe.directory", None) else {
        return false;
    };
    let mut values = Vec::new();
    let read = entries.for_each(|entry| values.push(entry.value_bytes().to_vec()));
    read.is_ok() && is_safe(repository.as_os_str().as_bytes(), &values)
}

/// The rules of `safe.directory` (git-config(1)): an empty value forgets those before it, `*` is every directory, `/*` at the
/// end every one below.
fn is_safe(repository: &[u8], values: &[Vec<u8>]) -> bool {
    values
        .iter()
        .fold(false, |safe, value| match value.as_slice() {
            b"" => false,
            b"*" => true,
            value => safe || names(value, repository),
        })
}

fn names(value: &[u8], repository: &[u8]) -> bool {
    let value = if value.starts_with(b"~/") {
        home(value)
    } else {
        value.to_vec()
    };
    match value.strip_suffix(b"/*") {
        Some(above) => repository
            .strip_prefix(above)
            .is_some_and(|rest| rest.len() > 1 && rest[0] == b'/'),
        None => value == repository,
    }
}

/// `~/` is where the user's configuration lies.
fn home(value: &[u8]) -> Vec<u8> {
    let file = Config::find_global().ok();
    match file.as_deref().and_then(Path::parent) {
        Some(home) => home
            .join(OsStr::from_bytes(&value[2..]))
            .into_os_string()
            .into_vec(),
        None => value.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safe_directories_are_named_as_git_has_it() {
        let safe = |values: &[&str]| {
            let values: Vec<_> = values
                .iter()
                .map(|value| value.as_bytes().to_vec())
                .collect();
            is_safe(b"/srv/repo", &values)
        };
        assert!(
            safe(&["/srv/repo"])
                && safe(&["*"])
                && safe(&["/srv/*"])
                && safe(&["/elsewhere", "/srv/repo", "/x"])
        );
        assert!(!safe(&[]) && !safe(&["/srv"]) && !safe(&["/srv/rep*"]) && !safe(&["/srv/repo/*"]));
        assert!(!safe(&["/srv/repo", ""]) && safe(&["", "/srv/repo"]) && !safe(&["/s/*"]));
    }
}
