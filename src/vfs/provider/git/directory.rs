//! A directory of a commit: a tree, or the place of a submodule.

use std::{
    any::Any,
    hash::BuildHasher,
    sync::{Arc, Mutex},
};

use super::{
    super::{Directory, Listing, OpenFile},
    file::GitFile,
    store::{MAX_BLOB, Store},
    tree::{self, Tree},
};
use crate::{
    git::Id,
    vfs::{
        entry::{Attributes, EntryKind, Identity, Time, Version},
        fault::{Fault, Kind, Result},
        path::{MAX_PATH, Name},
    },
};

#[derive(Clone, Debug)]
pub(super) struct GitDirectory {
    store: Arc<Store>,
    /// None: a submodule.
    tree: Option<Arc<Tree>>,
    attributes: Attributes,
}

impl GitDirectory {
    /// The tree of the commit.
    pub(super) fn top(store: &Arc<Store>) -> Result<Self> {
        let tree = store.tree(store.commit.tree, "open", b"/")?;
        let entry = tree::Kind::Dir;
        let attributes = attributes(store, 0, entry, store.commit.tree);
        Ok(Self {
            store: store.clone(),
            tree: Some(tree),
            attributes,
        })
    }

    /// The directory that names lead to, none of them a link.
    pub(super) fn below(&self, names: &[Name]) -> Result<Self> {
        let mut at = self.clone();
        for name in names {
            let entry = at.entry(name, "open")?;
            let missing = || Fault::new(Kind::NotADirectory, "open", name.as_bytes());
            at = at.enter(entry)?.ok_or_else(missing)?;
        }
        Ok(at)
    }

    fn entry(&self, name: &Name, operation: &'static str) -> Result<&tree::Entry> {
        let found = self.tree.as_ref().and_then(|tree| tree.get(name));
        found.ok_or_else(|| Fault::new(Kind::NotFound, operation, name.as_bytes()))
    }

    /// None: it is no directory.
    fn enter(&self, entry: &tree::Entry) -> Result<Option<Self>> {
        let tree = match entry.kind {
            tree::Kind::Dir => Some(self.store.tree(entry.id, "open", entry.name.as_bytes())?),
            tree::Kind::Submodule => None,
            tree::Kind::File { .. } | tree::Kind::Link => return Ok(None),
        };
        let attributes = attributes(&self.store, self.number(&entry.name), entry.kind, entry.id);
        Ok(Some(Self {
            store: self.store.clone(),
            tree,
            attributes,
        }))
    }

    /// A number for the path of an entry: equal contents at two paths are two files.
    fn number(&self, name: &Name) -> u64 {
        self.store
            .numbers
            .hash_one((self.attributes.identity.inode, name))
    }

    fn file(&self, entry: &tree::Entry, operation: &'static str) -> Result<Attributes> {
        let size = if let Some(known) = entry.size.get() {
            *known
        } else {
            let name = entry.name.as_bytes();
            let size = self.store.size(entry.id, operation, name)?;
            *entry.size.get_or_init(|| size)
        };
        let attributes = attributes(&self.store, self.number(&entry.name), entry.kind, entry.id);
        Ok(Attributes { size, ..attributes })
    }
}

/// Attributes without what only the object tells.
fn attributes(store: &Store, number: u64, kind: tree::Kind, id: Id) -> Attributes {
    let (kind, mode) = match kind {
        tree::Kind::File { executable: false } => (EntryKind::File, 0o644),
        tree::Kind::File { executable: true } => (EntryKind::File, 0o755),
        tree::Kind::Dir => (EntryKind::Dir, 0o755),
        tree::Kind::Link => (EntryKind::Symlink, 0o777),
        tree::Kind::Submodule => (EntryKind::Submodule, 0o755),
    };
    Attributes {
        kind,
        size: 0,
        mode,
        uid: store.config.owner.0,
        gid: store.config.owner.1,
        links: 1,
        mtime: Time {
            seconds: store.commit.time,
            nanos: 0,
        },
        identity: Identity {
            device: store.config.device,
            inode: number,
        },
        version: Version::Object(id.to_string().into()),
        target: None,
        magic: false,
        commit: (kind == EntryKind::Submodule).then(|| id.to_string().into()),
    }
}

impl Directory for GitDirectory {
    fn attributes(&self) -> Result<Attributes> {
        Ok(self.attributes.clone())
    }

    fn descend(&self, names: &[Name]) -> Result<(Arc<dyn Directory>, usize)> {
        let (mut at, mut taken) = (self.clone(), 0);
        for name in names {
            let entry = at.tree.as_ref().and_then(|tree| tree.get(name));
            let next = entry.map(|entry| at.enter(entry)).transpose()?.flatten();
            let Some(next) = next else { break };
            (at, taken) = (next, taken + 1);
        }
        Ok((Arc::new(at), taken))
    }

    fn lookup(&self, name: &Name) -> Result<Attributes> {
        let entry = self.entry(name, "look up")?;
        let attributes = || attributes(&self.store, self.number(name), entry.kind, entry.id);
        match entry.kind {
            tree::Kind::Dir | tree::Kind::Submodule => Ok(attributes()),
            tree::Kind::File { .. } => self.file(entry, "look up"),
            tree::Kind::Link => {
                let target =
                    self.store
                        .small(entry.id, MAX_PATH as u64, "look up", name.as_bytes())?;
                let size = target.len() as u64;
                Ok(Attributes {
                    size,
                    target: Some(target.as_ref().into()),
                    ..attributes()
                })
            }
        }
    }

    fn open(&self, name: &Name) -> Result<Arc<dyn OpenFile>> {
        let entry = self.entry(name, "open")?;
        let refused = |kind| Err(Fault::new(kind, "open", name.as_bytes()));
        match entry.kind {
            tree::Kind::Dir | tree::Kind::Submodule => return refused(Kind::IsADirectory),
            tree::Kind::Link => return refused(Kind::Changed),
            tree::Kind::File { .. } => {}
        }
        let attributes = self.file(entry, "open")?;
        if attributes.size > MAX_BLOB {
            return refused(Kind::TooLarge);
        }
        let (store, name, id) = (self.store.clone(), name.clone(), entry.id);
        Ok(Arc::new(GitFile {
            store,
            name,
            id,
            attributes,
            content: Mutex::new(None),
        }))
    }

    fn list(&self, after: Option<&Name>, limit: usize) -> Result<Listing> {
        let entries = self.tree.as_ref().map_or(&[][..], |tree| tree.after(after));
        let page = entries.iter().take(limit);
        let kind = |kind: tree::Kind| match kind {
            tree::Kind::File { .. } => EntryKind::File,
            tree::Kind::Dir => EntryKind::Dir,
            tree::Kind::Link => EntryKind::Symlink,
            tree::Kind::Submodule => EntryKind::Submodule,
        };
        let page = page
            .map(|entry| (entry.name.clone(), kind(entry.kind)))
            .collect();
        Ok(Listing {
            entries: page,
            more: entries.len() > limit,
            cut: None,
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
