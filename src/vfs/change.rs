//! What changes of the tree have in common: places in their turn, locks, conditions, and how they fail.

use super::{
    Vfs,
    describe::tag,
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    locks::{Guard, Key, Locked},
    path::{ClientPath, Name, TreePath},
    pool::Wanted,
    provider::Directory,
    tag::{Tags, hash_file},
    view::{Last, Place, View},
};

/// Failures that are told one by one.
pub const TOLD: usize = 20;

/// Why a change was not made, or not wholly.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It could not be made.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Another request works there.
    #[error(transparent)]
    Locked(#[from] Locked),
    /// It is not what the caller believes.
    #[error("{path} is not what was expected")]
    Precondition {
        /// What.
        path: TreePath,
        /// Its tag now, without quotes.
        tag: Option<String>,
    },
    /// A directory would come to lie in itself.
    #[error("{from} cannot go into itself")]
    IntoItself {
        /// The directory.
        from: TreePath,
    },
    /// The move would lose what cannot be carried over.
    #[error("{path} is neither file, directory nor link, and cannot be carried into another mount")]
    NotMovable {
        /// What.
        path: TreePath,
    },
    /// Some of it was done.
    #[error(transparent)]
    Partial(#[from] Partial),
}

/// Something that was done in part.
#[derive(Debug, thiserror::Error)]
#[error("{done} {verb}, {failed} could not be")]
pub struct Partial {
    /// What was done: `removed`, `changed`.
    pub verb: &'static str,
    /// Entries for which it was.
    pub done: u64,
    /// Entries for which it was not.
    pub failed: u64,
    /// The first of those.
    pub faults: Vec<Fault>,
}

/// How far a change of many entries is.
#[derive(Debug)]
pub(super) struct Tally {
    partial: Partial,
}

impl Tally {
    pub(super) fn new(verb: &'static str) -> Self {
        let partial = Partial {
            verb,
            done: 0,
            failed: 0,
            faults: Vec::new(),
        };
        Self { partial }
    }

    pub(super) fn done(&mut self) {
        self.partial.done += 1;
    }

    pub(super) fn failed(&mut self, fault: Fault) {
        self.partial.failed += 1;
        if self.partial.faults.len() < TOLD {
            self.partial.faults.push(fault);
        }
    }

    /// How many there were, if all went well. A single failure before anything was done is told as what it is.
    pub(super) fn end(mut self) -> Result<u64, ChangeError> {
        match (self.partial.done, self.partial.failed) {
            (done, 0) => Ok(done),
            (0, 1) => {
                let fault = self.partial.faults.pop();
                Err(fault.expect("the first is kept").into())
            }
            _ => Err(self.partial.into()),
        }
    }
}

/// A place and the key of its lock.
#[derive(Clone, Debug)]
pub(super) struct Locking {
    pub(super) place: Place,
    key: Option<Key>,
}

impl Vfs {
    /// Follows a path in the turn of its mount.
    pub(super) async fn place(
        &self,
        view: &View,
        path: &ClientPath,
        last: Last,
    ) -> Result<Locking> {
        let given = path.clone();
        self.run(view, path, move |view, _| {
            let place = view.resolve(&given, last)?;
            let key = key_of(&place)?;
            Ok(Locking { place, key })
        })
        .await
    }

    /// Locks places against other changes by clients of the API.
    pub(super) async fn lock(&self, places: &[&Locking]) -> Result<Guard, Locked> {
        let keys = places.iter().filter_map(|place| place.key.clone());
        self.locks().take(keys.collect()).await
    }

    /// Runs blocking work that may take long and fails in more ways than one.
    pub(super) async fn change<T, F>(
        &self,
        view: &View,
        path: &ClientPath,
        work: F,
    ) -> Result<T, ChangeError>
    where
        T: Send + 'static,
        F: FnOnce(&View, &Wanted) -> Result<T, ChangeError> + Send + 'static,
    {
        self.run_long(view, path, move |view, wanted| Ok(work(view, wanted)))
            .await?
    }
}

fn key_of(place: &Place) -> Result<Option<Key>> {
    let Some(name) = &place.name else {
        return Ok(None);
    };
    let directory = place.directory.attributes();
    let directory = directory.map_err(|fault| fault.at(place.path.to_bytes()))?;
    Ok(Some(Key {
        directory: directory.identity,
        name: name.clone(),
    }))
}

impl Place {
    /// Looks again at what is there: time went by.
    pub fn refresh(&mut self) -> Result<()> {
        if !self.missing.is_empty() {
            return Ok(());
        }
        let found = match &self.name {
            Some(name) => self.directory.lookup(name),
            None => self.directory.attributes(),
        };
        self.found = match found {
            Ok(found) => Some(found),
            Err(fault) if fault.kind() == Kind::NotFound => None,
            Err(fault) => return Err(fault.at(self.path.to_bytes())),
        };
        Ok(())
    }

    /// Fails unless one of the tags is that of what is there. Only files have tags; `*` holds for whatever there is.
    pub fn require_match(&self, tags: Option<&Tags>, wanted: &Wanted) -> Result<(), ChangeError> {
        let Some(tags) = tags else { return Ok(()) };
        let file = self.name.as_ref().zip(self.found.as_ref());
        let file = file.filter(|(_, found)| found.kind == EntryKind::File);
        let (holds, now) = match file {
            Some((name, found)) => {
                let hash = if tags.needs_content() {
                    let opened = self.directory.open(name);
                    let hash = opened.and_then(|file| hash_file(&*file, wanted));
                    Some(hash.map_err(|fault| fault.at(self.path.to_bytes()))?)
                } else {
                    None
                };
                let holds = tags.matches(&found.version, hash.as_ref(), true);
                (holds, tag(&*self.directory, name, found))
            }
            None => (*tags == Tags::Any && self.found.is_some(), None),
        };
        if holds {
            return Ok(());
        }
        Err(ChangeError::Precondition {
            path: self.path.clone(),
            tag: now,
        })
    }
}

/// Enters a directory by its name, which is no link.
pub(super) fn enter(
    parent: &dyn Directory,
    name: &Name,
    path: &TreePath,
) -> Result<std::sync::Arc<dyn Directory>> {
    let (directory, taken) = parent
        .descend(std::slice::from_ref(name))
        .map_err(|fault| fault.at(path.to_bytes()))?;
    if taken == 1 {
        return Ok(directory);
    }
    let kind = match parent.lookup(name) {
        Err(fault) => return Err(fault.at(path.to_bytes())),
        Ok(found) if found.kind.is_directory() => Kind::PermissionDenied,
        Ok(_) => Kind::Changed,
    };
    Err(Fault::new(kind, "enter", path.to_bytes()))
}

/// All names of a directory of one provider, sorted, mounts unheeded.
pub(super) fn names_of(
    directory: &dyn Directory,
    path: &TreePath,
) -> Result<Vec<(Name, EntryKind)>> {
    let at = |fault: Fault| fault.at(path.to_bytes());
    let mut entries: Vec<(Name, EntryKind)> = Vec::new();
    loop {
        let after = entries.last().map(|(name, _)| name.clone());
        let listing = directory.list(after.as_ref(), usize::MAX).map_err(at)?;
        let more = listing.more && !listing.entries.is_empty();
        entries.extend(listing.entries);
        if let Some(fault) = listing.cut {
            return Err(at(fault));
        }
        if !more {
            break;
        }
    }
    entries.sort();
    Ok(entries)
}
