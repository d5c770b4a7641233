//! The mount table: which provider serves which path. A table never changes; a change makes another one.
//!
//! ```text
//!   /            host    the machine
//!   /mem         memory  hides what the machine has there
//!   /a/b/repo    git     `/a` and `/a/b` are made up when the machine has none: synthetic directories
//! ```

use std::{
    collections::BTreeMap,
    ops::Bound,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::{
    path::{Name, TreePath},
    pool::Length,
    provider::Provider,
    synthetic::Synthetic,
};

/// Mounts of a table.
pub const MAX_MOUNTS: usize = 64;
/// Short operations that may be at work in one mount, so that a disk that hangs stops its own mount only.
pub const TURNS: usize = 16;
/// Long ones.
pub const LONG_TURNS: usize = 8;

/// Whether a mount may be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Read and write.
    ReadWrite,
    /// Read only.
    ReadOnly,
}

/// What is told of a mount, and never changes.
#[derive(Clone, Debug)]
pub struct Label {
    /// Which kind of provider: `host`, `memory`, `git`.
    pub provider: &'static str,
    /// Where its contents come from, for people.
    pub source: String,
    /// Further options as they were understood, in the order to show them.
    pub options: Vec<(&'static str, String)>,
    /// Whether it may be written to.
    pub mode: Mode,
    /// Whether it is made again at the next start.
    pub keep: bool,
    /// Whether it came from the configuration, and is there to stay.
    pub fixed: bool,
}

/// How a mount came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// By this daemon.
    #[default]
    Made,
    /// As the last daemon had it.
    Restored,
    /// The last daemon had it, and it could not be made again: why.
    Failed(String),
}

/// A provider at a place of the tree.
#[derive(Debug)]
pub struct Mount {
    id: Uuid,
    at: TreePath,
    label: Label,
    provider: Arc<dyn Provider>,
    created_at: SystemTime,
    origin: Origin,
    turns: Arc<Semaphore>,
    long_turns: Arc<Semaphore>,
}

impl Mount {
    /// Puts a provider at a place.
    pub fn new(id: Uuid, at: TreePath, label: Label, provider: Arc<dyn Provider>) -> Self {
        let turns = Arc::new(Semaphore::new(TURNS));
        Self {
            id,
            at,
            label,
            provider,
            created_at: SystemTime::now(),
            origin: Origin::Made,
            turns,
            long_turns: Arc::new(Semaphore::new(LONG_TURNS)),
        }
    }

    /// The same, as the last daemon had it.
    #[must_use]
    pub(super) fn again(mut self, id: Uuid, created_at: SystemTime, origin: Origin) -> Self {
        self.id = id;
        self.created_at = created_at;
        self.origin = origin;
        self
    }

    /// How it came to be.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// Its mount point.
    pub fn at(&self) -> &TreePath {
        &self.at
    }

    /// What is told of it.
    pub fn label(&self) -> &Label {
        &self.label
    }

    /// Its provider.
    pub fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// When it was made.
    pub fn created_at(&self) -> SystemTime {
        self.created_at
    }

    /// Whether it may be written to: neither the mount nor its provider objects.
    pub fn is_writable(&self) -> bool {
        self.label.mode == Mode::ReadWrite && self.provider.capabilities().write
    }

    /// Whether this is no mount but the made-up directories above some.
    pub fn is_synthetic(&self) -> bool {
        self.id.is_nil()
    }

    pub(super) fn turns(&self, length: Length) -> Arc<Semaphore> {
        match length {
            Length::Short => Arc::clone(&self.turns),
            Length::Long => Arc::clone(&self.long_turns),
        }
    }
}

/// Why a mount cannot be made or taken away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Something is mounted there.
    #[error("something is mounted at {0} already")]
    Taken(TreePath),
    /// The table is full.
    #[error("a view has at most {MAX_MOUNTS} mounts")]
    Full,
    /// No such mount.
    #[error("there is no mount {0}")]
    Unknown(Uuid),
    /// It came from the configuration.
    #[error("the mount at {0} comes from the configuration and stays")]
    Fixed(TreePath),
}

/// All mounts at one moment.
#[derive(Clone, Debug)]
pub struct Table {
    mounts: BTreeMap<TreePath, Arc<Mount>>,
    synthetic: Arc<Mount>,
}

impl Default for Table {
    fn default() -> Self {
        let label = Label {
            provider: "synthetic",
            source: String::new(),
            options: Vec::new(),
            mode: Mode::ReadOnly,
            keep: false,
            fixed: true,
        };
        let synthetic = Mount::new(Uuid::nil(), TreePath::root(), label, Arc::new(Synthetic));
        Self {
            mounts: BTreeMap::new(),
            synthetic: Arc::new(synthetic),
        }
    }
}

impl Table {
    /// The table with one mount more.
    pub fn with(&self, mount: Arc<Mount>) -> Result<Self, TableError> {
        if self.mounts.contains_key(mount.at()) {
            return Err(TableError::Taken(mount.at().clone()));
        }
        if self.mounts.len() >= MAX_MOUNTS {
            return Err(TableError::Full);
        }
        let mut table = self.clone();
        table.mounts.insert(mount.at().clone(), mount);
        Ok(table)
    }

    /// The table with one mount less, and that mount.
    pub fn without(&self, id: Uuid) -> Result<(Self, Arc<Mount>), TableError> {
        let mount = self.by_id(id).cloned().ok_or(TableError::Unknown(id))?;
        if mount.label().fixed {
            return Err(TableError::Fixed(mount.at().clone()));
        }
        let mut table = self.clone();
        table.mounts.remove(mount.at());
        Ok((table, mount))
    }

    /// All mounts, in the order of their paths.
    pub fn mounts(&self) -> impl Iterator<Item = &Arc<Mount>> {
        self.mounts.values()
    }

    /// A mount by its id.
    pub fn by_id(&self, id: Uuid) -> Option<&Arc<Mount>> {
        self.mounts.values().find(|mount| mount.id == id)
    }

    /// The mount at just this place.
    pub fn at(&self, path: &TreePath) -> Option<&Arc<Mount>> {
        self.mounts.get(path)
    }

    /// The mount that serves a path: the longest prefix, by whole names. The synthetic one when there is none.
    pub fn serving(&self, path: &TreePath) -> &Arc<Mount> {
        let mut path = path.clone();
        loop {
            if let Some(mount) = self.mounts.get(&path) {
                return mount;
            }
            if path.pop().is_none() {
                return &self.synthetic;
            }
        }
    }

    /// Made-up directories.
    pub fn synthetic(&self) -> &Arc<Mount> {
        &self.synthetic
    }

    /// Mounts strictly below a path, in order.
    pub fn below<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = &'a Arc<Mount>> {
        let range = (Bound::Excluded(path), Bound::Unbounded);
        self.mounts
            .range::<TreePath, _>(range)
            .take_while(|(at, _)| at.starts_with(path))
            .map(|(_, mount)| mount)
    }

    /// Whether a mount point lies strictly below a path.
    pub fn holds_below(&self, path: &TreePath) -> bool {
        self.below(path).next().is_some()
    }

    /// Names directly below a path that are mount points or lead to some, in order, each once.
    pub fn children(&self, path: &TreePath) -> Vec<Name> {
        let depth = path.names().len();
        let mut names: Vec<Name> = self
            .below(path)
            .map(|mount| mount.at().names()[depth].clone())
            .collect();
        names.dedup();
        names
    }
}

/// How long an operation waits for its turn in a mount.
pub const TURN_PATIENCE: Duration = Duration::from_secs(30);
