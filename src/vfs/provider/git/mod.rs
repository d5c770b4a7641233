//! The tree of a commit, straight from the object store: no checkout, no index, no filter, no text conversion.
//!
//! The revision is resolved once; what a branch does later changes nothing. What lies there is shown as it is stored:
//! pointers of LFS, `export-ignore` and ends of lines mean nothing here. A submodule is an empty directory. Objects that are
//! not there are told, never fetched.

mod cache;
mod contents;
mod directory;
mod file;
mod store;
#[cfg(test)]
mod tests;
mod tree;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use self::{directory::GitDirectory, store::Store};
use super::{Capabilities, Directory, Provider, Usage, watcher::Watcher};
use crate::{
    git::{Commit, OpenError, Owners, Repository},
    vfs::{
        fault::{Fault, Kind, Result},
        path::Name,
    },
};

/// What the entries of a mount look like.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// First half of the identity of its entries: the mount's number with the highest bit set.
    pub device: u64,
    /// User and group that own every entry.
    pub owner: (u32, u32),
}

/// Why there is no such mount.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// Of the repository.
    #[error(transparent)]
    Repository(#[from] OpenError),
    /// The commit has no such directory.
    #[error("failed to open the subdirectory")]
    Subdirectory(#[source] Fault),
}

/// A commit that is mounted.
#[derive(Debug)]
pub struct Git {
    commit: Commit,
    top: GitDirectoryCell,
}

/// Store and top directory; none once it is closed. Held for a glance.
type GitDirectoryCell = Mutex<Option<(Arc<Store>, GitDirectory)>>;

impl Git {
    /// Opens a repository of the machine and resolves the revision. The mount shows what the subdirectory holds.
    pub fn open(
        config: Config,
        repository: &Path,
        owners: &Owners,
        revision: &str,
        subdirectory: &[Name],
    ) -> Result<Self, MountError> {
        let repository = Repository::open(repository, owners)?;
        Self::of(config, &repository, revision, subdirectory)
    }

    /// Mounts a commit of a repository that was opened before.
    pub fn of(
        config: Config,
        repository: &Repository,
        revision: &str,
        subdirectory: &[Name],
    ) -> Result<Self, MountError> {
        let commit = repository.commit(revision)?;
        let store = Arc::new(Store::new(config, commit, repository.objects()?));
        let top = GitDirectory::top(&store).and_then(|top| top.below(subdirectory));
        let top = top.map_err(MountError::Subdirectory)?;
        Ok(Self {
            commit,
            top: Mutex::new(Some((store, top))),
        })
    }

    /// The commit that the revision meant.
    pub fn commit(&self) -> Commit {
        self.commit
    }

    fn top(&self) -> Option<(Arc<Store>, GitDirectory)> {
        self.top
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Provider for Git {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            cheap_seek: true,
            sorted_list: true,
            watch: true,
            persistent: true,
            ..Capabilities::default()
        }
    }

    fn root(&self) -> Result<Arc<dyn Directory>> {
        let (_, top) = self.top().ok_or_else(|| {
            Fault::new(Kind::NotFound, "open", "/").because("the mount is closed")
        })?;
        Ok(Arc::new(top))
    }

    /// What is left out is counted in the directories that were looked at.
    fn usage(&self) -> Usage {
        let skipped = self.top().map(|(store, _)| store.skipped());
        Usage {
            skipped,
            ..Usage::default()
        }
    }

    /// Nothing ever changes.
    fn watcher(&self) -> Result<Option<Box<dyn Watcher>>> {
        Ok(None)
    }

    fn close(&self) {
        self.top
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
