//! What the handles of one mount share: objects, trees that were looked at, contents that are read.

use std::{
    collections::HashMap,
    hash::RandomState,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    Config,
    cache::Cache,
    contents::{Content, Contents, Missed},
    tree::Tree,
};
use crate::{
    git::{Commit, Id, ObjectError, ObjectKind, Objects},
    vfs::fault::{Fault, Kind, Result},
};

/// Largest file that is read.
pub(super) const MAX_BLOB: u64 = 256 << 20;
/// Largest tree object: a million names and more.
const MAX_TREE: u64 = 64 << 20;
/// Weight of the trees that are kept.
const TREES: usize = 16 << 20;
/// Bytes of contents that readers of one mount hold together.
const CONTENTS: u64 = 512 << 20;
/// Trees of which it is remembered that something in them is left out.
const MAX_ODD_TREES: usize = 65_536;

#[derive(Debug)]
pub(super) struct Store {
    pub(super) config: Config,
    pub(super) commit: Commit,
    /// Makes numbers of paths, as nobody outside can foresee them.
    pub(super) numbers: RandomState,
    objects: Objects,
    /// Held for a glance, never while an object is read.
    trees: Mutex<Trees>,
    contents: Arc<Contents>,
}

#[derive(Debug)]
struct Trees {
    cache: Cache,
    /// How many entries are left out in each tree that was looked at.
    skipped: HashMap<Id, u64>,
}

impl Store {
    pub(super) fn new(config: Config, commit: Commit, objects: Objects) -> Self {
        let trees = Trees {
            cache: Cache::new(TREES),
            skipped: HashMap::new(),
        };
        Self {
            config,
            commit,
            numbers: RandomState::new(),
            objects,
            trees: Mutex::new(trees),
            contents: Contents::new(CONTENTS),
        }
    }

    fn trees(&self) -> MutexGuard<'_, Trees> {
        self.trees.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Entries that are left out, of all trees that were looked at.
    pub(super) fn skipped(&self) -> u64 {
        self.trees().skipped.values().sum()
    }

    pub(super) fn tree(&self, id: Id, operation: &'static str, name: &[u8]) -> Result<Arc<Tree>> {
        if let Some(tree) = self.trees().cache.get(id) {
            return Ok(tree);
        }
        let bytes = self.objects.read(id, ObjectKind::Tree, MAX_TREE);
        let bytes = bytes.map_err(|error| fault(&error, operation, name))?;
        let tree = Tree::parse(&bytes).map_err(|_| {
            Fault::new(Kind::Corrupt, operation, name).because(format!("object {id} is no tree"))
        })?;
        let tree = Arc::new(tree);
        let mut trees = self.trees();
        if tree.skipped > 0 && trees.skipped.len() < MAX_ODD_TREES {
            trees.skipped.insert(id, tree.skipped);
        }
        trees.cache.insert(id, tree.clone());
        Ok(tree)
    }

    /// The size of a blob.
    pub(super) fn size(&self, id: Id, operation: &'static str, name: &[u8]) -> Result<u64> {
        let header = self
            .objects
            .header(id)
            .map_err(|error| fault(&error, operation, name))?;
        match header {
            (ObjectKind::Blob, size) => Ok(size),
            (found, _) => Err(fault(
                &ObjectError::WrongKind { id, found },
                operation,
                name,
            )),
        }
    }

    /// The bytes of a small blob.
    pub(super) fn small(
        &self,
        id: Id,
        at_most: u64,
        operation: &'static str,
        name: &[u8],
    ) -> Result<Arc<[u8]>> {
        let bytes = self.objects.read(id, ObjectKind::Blob, at_most);
        bytes.map_err(|error| fault(&error, operation, name))
    }

    /// The bytes of a blob, for as long as they are read.
    pub(super) fn content(&self, id: Id, size: u64, name: &[u8]) -> Result<Arc<Content>> {
        let read = || self.objects.read(id, ObjectKind::Blob, MAX_BLOB);
        self.contents
            .get(id, size, read)
            .map_err(|missed| match missed {
                Missed::Failed(error) => fault(&error, "read", name),
                Missed::Full => Fault::new(Kind::Busy, "read", name)
                    .because("too many large files are read at once"),
            })
    }
}

fn fault(error: &ObjectError, operation: &'static str, name: &[u8]) -> Fault {
    let kind = match error {
        ObjectError::Missing { .. } => Kind::ObjectMissing,
        ObjectError::TooLarge { .. } => Kind::TooLarge,
        ObjectError::WrongKind { .. } | ObjectError::Damaged { .. } => Kind::Corrupt,
    };
    Fault::new(kind, operation, name).because(error.to_string())
}
