//! The virtual file system: one tree of mounts, without FUSE, and all that is done in it.
//!
//! ```text
//!   request ──▶ View (one mount table) ──walk──▶ Place: mount, opened directory, name, what is there
//!                                                  │
//!                   operations: read, write, edit, list, move, search, ... on places, never on paths
//!                                                  │
//!                              Directory, OpenFile, Draft of a provider: host, memory, git
//! ```
//!
//! - [`path`]: bytes of clients become checked names, once.
//! - [`table`]: which provider serves which path; [`view`]: one table, as one request sees it, and the walk.
//! - [`provider`]: what a back end must be. All its verbs block; [`pool`] runs them.
//! - [`edit`]: the text that a caller wants replaced, found strictly or with patience. Pure.
//! - [`locks`]: clients of the API never lose each other's changes.

pub mod archive;
pub mod attributes;
pub mod change;
pub mod copy;
pub mod cursor;
pub mod describe;
pub mod edit;
pub mod entry;
pub mod fault;
pub mod ignore;
pub mod intent;
pub mod lines;
pub mod listing;
pub mod locks;
pub mod make_dir;
pub mod materialize;
pub mod mime;
pub mod order;
pub mod path;
pub mod pool;
pub mod provider;
pub mod read;
pub mod record;
pub mod relocate;
pub mod remove;
pub mod rewrite;
pub mod search;
pub mod setup;
pub mod spool;
pub mod synthetic;
pub mod table;
pub mod tag;
pub mod traverse;
pub mod view;
pub mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use self::{
    fault::Result,
    intent::Intents,
    lines::Lines,
    locks::Locks,
    order::MountOrder,
    path::{ClientPath, Step, TreePath},
    pool::{Pool, Wanted},
    record::Records,
    setup::{MakeError, Mounter},
    table::{Mount, Table, TableError},
    view::View,
};

/// The tree, to all who work in it. Cheap to clone; clones are the same tree.
#[derive(Clone, Debug)]
pub struct Vfs(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    /// Replaced as a whole; held for a clone or a replacement, never across an await.
    table: Mutex<Arc<Table>>,
    pool: Pool,
    locks: Locks,
    lines: Lines,
    surroundings: Surroundings,
}

/// What the tree knows of the daemon around it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The home of the daemon's user, as a path of the tree.
    pub home: ClientPath,
    /// Below which directory trees are materialized, as a path of the tree.
    pub materialize: ClientPath,
    /// Makes mounts.
    pub mounter: Mounter,
    /// Records of moves and copies that are at work.
    pub records: Records,
    /// Where writes of several files are recorded while they are under way.
    pub intents: Intents,
}

impl Default for Surroundings {
    fn default() -> Self {
        let root = ClientPath::of(&TreePath::root());
        Self {
            home: root.clone(),
            materialize: root,
            mounter: Mounter::default(),
            records: Records::default(),
            intents: Intents::default(),
        }
    }
}

impl Vfs {
    /// A tree of this table, without a daemon around it.
    pub fn new(table: Table) -> Self {
        Self::with(table, Surroundings::default())
    }

    /// A tree of this table.
    pub fn with(table: Table, surroundings: Surroundings) -> Self {
        Self(Arc::new(Parts {
            surroundings,
            table: Mutex::new(Arc::new(table)),
            pool: Pool::default(),
            locks: Locks::default(),
            lines: Lines::default(),
        }))
    }

    fn table(&self) -> MutexGuard<'_, Arc<Table>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tree as it is now. What is done in a view is done in the table of this moment.
    pub fn view(&self) -> View {
        View::new(Arc::clone(&self.table()))
    }

    /// What lies around it.
    pub fn surroundings(&self) -> &Surroundings {
        &self.0.surroundings
    }

    pub(in crate::vfs) fn records(&self) -> &Records {
        &self.0.surroundings.records
    }

    /// The locks of files.
    pub fn locks(&self) -> &Locks {
        &self.0.locks
    }

    /// Where the lines of the files begin that were read last.
    pub fn lines(&self) -> &Lines {
        &self.0.lines
    }

    /// Where writes of several files are recorded while they are under way.
    fn intents(&self) -> &Intents {
        &self.0.surroundings.intents
    }

    /// Makes a mount that a client wants, and mounts it. Requests that run go on in the table that they began with.
    pub async fn mount_order(
        &self,
        order: MountOrder,
        keep: bool,
    ) -> Result<Arc<Mount>, MakeError> {
        let view = self.view();
        let path = ClientPath::of(&order.at);
        let mounter = self.surroundings().mounter.clone();
        let made = self.run(&view, &path, move |view, _| {
            Ok(setup::check_point(view, &order.at).and_then(|()| mounter.make(view, &order, keep)))
        });
        let mount = Arc::new(made.await??);
        self.mount(Arc::clone(&mount))?;
        Ok(mount)
    }

    /// Mounts a provider. Requests that run go on in the table that they began with.
    pub fn mount(&self, mount: Arc<Mount>) -> Result<(), TableError> {
        let mut table = self.table();
        *table = Arc::new(table.with(mount)?);
        Ok(())
    }

    /// Takes a mount away. Requests that run go on with it; it is closed when the last of them has ended.
    pub fn unmount(&self, id: Uuid) -> Result<Arc<Mount>, TableError> {
        let mut table = self.table();
        let (without, mount) = table.without(id)?;
        *table = Arc::new(without);
        Ok(mount)
    }

    /// Runs blocking work in the turn of the mount that serves a path.
    pub async fn run<T, F>(&self, view: &View, path: &ClientPath, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&View, &Wanted) -> Result<T> + Send + 'static,
    {
        let mount = Arc::clone(view.table().serving(&as_spelled(path)));
        let view = view.clone();
        self.0
            .pool
            .run(&mount, move |wanted| work(&view, wanted))
            .await
    }

    /// Runs blocking work in the turn of a mount: pieces of a transfer, one turn each.
    pub async fn run_in<T, F>(&self, mount: &Mount, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Wanted) -> Result<T> + Send + 'static,
    {
        self.0.pool.run(mount, work).await
    }
}

/// The names of a path up to its first `..`: enough to tell whose turn it takes.
fn as_spelled(path: &ClientPath) -> TreePath {
    let names = path.steps().iter().map_while(|step| match step {
        Step::Name(name) => Some(name.clone()),
        Step::Up => None,
    });
    TreePath::new(names.collect())
}
