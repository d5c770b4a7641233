//! What commits say: lists of them, one with its diff, a file as it was.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    checkout::Checkout,
    commits::{CommitInfo, Commits},
    error::GitError,
    guard::Guard,
    objects::{Id, ObjectError, ObjectKind},
    refs, report,
    repository::{OpenError, Owners, Repository},
    snapshot::{FileChange, Order},
    tree::{DIRECTORY, Trees},
    walk::SUBMODULE,
};

/// Largest file of a commit that is handed out.
pub const MAX_BLOB: u64 = 64 << 20;

/// A list of commits.
#[derive(Clone, Debug)]
pub struct Log {
    /// The work tree's root.
    pub root: PathBuf,
    /// Newest first.
    pub commits: Vec<CommitInfo>,
    /// There are further ones.
    pub more: bool,
}

/// A commit and what it changed.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The work tree's root.
    pub root: PathBuf,
    /// The commit.
    pub commit: CommitInfo,
    /// Against its first parent.
    pub files: Arc<[FileChange]>,
    /// Any bytes.
    pub diff: Arc<[u8]>,
    /// Something was cut by a limit.
    pub truncated: bool,
}

/// What a directory of a commit has.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Any bytes.
    pub name: Vec<u8>,
    /// As git has it.
    pub mode: u32,
    /// Of the object.
    pub id: Id,
    /// Of a file.
    pub size: Option<u64>,
}

/// What lies at a path of a commit.
#[derive(Clone, Debug)]
pub enum At {
    /// A file, a link or the id of a submodule.
    File {
        /// Of the content.
        id: Id,
        /// As git has it.
        mode: u32,
        /// The content.
        bytes: Arc<[u8]>,
    },
    /// A directory.
    Directory(Vec<Listed>),
}

/// Commits from a revision on. Without a commit HEAD has none.
pub fn log(
    root: &Path,
    owners: &Owners,
    revision: &str,
    (skip, limit): (usize, usize),
    guard: &Guard,
) -> Result<Log, GitError> {
    let checkout = Checkout::open(root, owners)?;
    let commits = Commits::new(&checkout.objects, &checkout.place, root, guard);
    let root = checkout.root.clone();
    let Some(from) = resolve(&checkout, owners, revision)? else {
        return Ok(Log {
            root,
            commits: Vec::new(),
            more: false,
        });
    };
    let names = names(&checkout, &commits);
    let (commits, more) = commits.log(from, skip, limit, &names)?;
    Ok(Log {
        root,
        commits,
        more,
    })
}

/// A commit, its files and its diff.
pub fn show(
    root: &Path,
    owners: &Owners,
    revision: &str,
    order: &Order,
    guard: &Guard,
) -> Result<Shown, GitError> {
    let checkout = Checkout::open(root, owners)?;
    let (mut commit, commits) = commit(&checkout, owners, revision, guard)?;
    commit.refs = names(&checkout, &commits)
        .remove(&commit.id)
        .unwrap_or_default();
    let parent = commit
        .parents
        .first()
        .map(|parent| commits.read(*parent))
        .transpose()?;
    let trees = Trees {
        objects: &checkout.objects,
        guard,
        root: &checkout.root,
    };
    let differences = trees.compare(parent.map(|parent| parent.tree), Some(commit.tree))?;
    let (files, diff, truncated) = report::between(&checkout, &differences, order, guard)?;
    Ok(Shown {
        root: checkout.root.clone(),
        commit,
        files,
        diff,
        truncated,
    })
}

/// What lies at a path of a commit; the empty path is its top.
pub fn at(
    root: &Path,
    owners: &Owners,
    revision: &str,
    path: &[u8],
    guard: &Guard,
) -> Result<At, GitError> {
    let checkout = Checkout::open(root, owners)?;
    let (commit, _) = commit(&checkout, owners, revision, guard)?;
    let trees = Trees {
        objects: &checkout.objects,
        guard,
        root: &checkout.root,
    };
    let found = trees.find(commit.tree, path)?;
    let side = found.ok_or_else(|| GitError::FileNotFound {
        path: String::from_utf8_lossy(path).into_owned(),
    })?;
    let size = |id: Id| checkout.objects.header(id).ok().map(|(_, size)| size);
    match side.mode {
        DIRECTORY => {
            let listed = |item: super::tree::Item| Listed {
                size: if item.side.mode & 0o170_000 == 0o100_000 {
                    size(item.side.id)
                } else {
                    None
                },
                name: item.name,
                mode: item.side.mode,
                id: item.side.id,
            };
            Ok(At::Directory(
                trees.read(side.id)?.into_iter().map(listed).collect(),
            ))
        }
        SUBMODULE => {
            let bytes = side.id.to_string().into_bytes().into();
            Ok(At::File {
                id: side.id,
                mode: side.mode,
                bytes,
            })
        }
        mode => match checkout.objects.read(side.id, ObjectKind::Blob, MAX_BLOB) {
            Ok(bytes) => Ok(At::File {
                id: side.id,
                mode,
                bytes,
            }),
            Err(ObjectError::TooLarge { size, .. }) => Err(GitError::BlobTooLarge {
                size,
                limit: MAX_BLOB,
            }),
            Err(error) => Err(GitError::unreadable(&checkout.root, "objects", error)),
        },
    }
}

/// The commit and the tree that a revision means; none for HEAD before the first commit.
pub fn base(
    root: &Path,
    owners: &Owners,
    revision: &str,
    guard: &Guard,
) -> Result<Option<(Id, Id)>, GitError> {
    let checkout = Checkout::open(root, owners)?;
    let commits = Commits::new(&checkout.objects, &checkout.place, root, guard);
    let Some(id) = resolve(&checkout, owners, revision)? else {
        return Ok(None);
    };
    commits
        .read(id)
        .map(|commit| Some((commit.id, commit.tree)))
}

fn commit<'a>(
    checkout: &'a Checkout,
    owners: &Owners,
    revision: &str,
    guard: &'a Guard,
) -> Result<(CommitInfo, Commits<'a>), GitError> {
    let commits = Commits::new(&checkout.objects, &checkout.place, &checkout.root, guard);
    let id = resolve(checkout, owners, revision)?;
    let id = id.ok_or_else(|| unknown(revision))?;
    Ok((commits.read(id)?, commits))
}

fn unknown(revision: &str) -> OpenError {
    OpenError::UnknownRevision {
        revision: revision.chars().take(200).collect(),
    }
}

/// The commit of a revision. None: HEAD has none yet.
fn resolve(checkout: &Checkout, owners: &Owners, revision: &str) -> Result<Option<Id>, GitError> {
    if revision == "HEAD" || revision == "@" {
        let head = refs::head(&checkout.place);
        return Ok(head
            .map_err(|error| GitError::unreadable(&checkout.root, "HEAD", error))?
            .commit);
    }
    match Repository::open(&checkout.root, owners) {
        Ok(repository) => Ok(Some(repository.commit(revision)?.id)),
        // The library does not open it: names and whole ids are understood without it.
        Err(OpenError::Unsupported { .. }) => by_name(checkout, revision).map(Some),
        Err(error) => Err(error.into()),
    }
}

fn by_name(checkout: &Checkout, revision: &str) -> Result<Id, GitError> {
    if let Some(id) = Id::parse(revision.as_bytes()) {
        return Ok(id);
    }
    for start in ["", "refs/", "refs/tags/", "refs/heads/", "refs/remotes/"] {
        let found = refs::resolve(&checkout.place, &format!("{start}{revision}"));
        if let Ok(Some(id)) = found {
            return Ok(id);
        }
    }
    Err(unknown(revision).into())
}

/// The references that point to each commit.
fn names(checkout: &Checkout, commits: &Commits<'_>) -> BTreeMap<Id, Vec<String>> {
    let mut names: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for (name, id) in refs::all(&checkout.place) {
        // Tags that are objects of their own name a commit.
        let id = if name.starts_with("refs/tags/") {
            match commits.read(id) {
                Ok(commit) => commit.id,
                Err(_) => continue,
            }
        } else {
            id
        };
        names.entry(id).or_default().push(name);
    }
    names
}
