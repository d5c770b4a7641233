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
pub mod lodgers;
pub mod machine;
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
pub mod remembered;
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
pub mod watch;
pub mod write;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use uuid::Uuid;

use self::{
    fault::{Fault, Result},
    intent::Intents,
    lines::Lines,
    locks::Locks,
    lodgers::Lodgers,
    order::MountOrder,
    path::{ClientPath, Step, TreePath},
    pool::{Length, Pool, Wanted},
    record::Records,
    remembered::Remembered,
    setup::{MakeError, Mounter},
    table::{Mount, Table, TableError},
    view::View,
    watch::Watches,
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
    watches: Watches,
    surroundings: Surroundings,
}

/// What the tree knows of the daemon around it.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// The home of the daemon's user, as a path of the tree.
    pub home: ClientPath,
    /// Below which directory trees are materialized, as a path of the tree.
    pub materialize: ClientPath,
    /// Largest request of edits, in bytes.
    pub max_edit_body: usize,
    /// Makes mounts.
    pub mounter: Mounter,
    /// Records of moves and copies that are at work.
    pub records: Records,
    /// Where writes of several files are recorded while they are under way.
    pub intents: Intents,
    /// Mounts that are made again at the next start.
    pub remembered: Remembered,
    /// Directories of the machine that were made for trees.
    pub lodgers: Lodgers,
}

impl Default for Surroundings {
    fn default() -> Self {
        let root = ClientPath::of(&TreePath::root());
        Self {
            home: root.clone(),
            materialize: root,
            max_edit_body: usize::MAX,
            mounter: Mounter::default(),
            records: Records::default(),
            intents: Intents::default(),
            remembered: Remembered::default(),
            lodgers: Lodgers::default(),
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
            watches: Watches::default(),
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

    /// Records of changes that are at work.
    pub fn records(&self) -> &Records {
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

    /// Trees that are watched.
    pub fn watches(&self) -> &Watches {
        &self.0.watches
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
        let remembered = self.surroundings().remembered.clone();
        let made = self.run(&view, &path, move |view, _| {
            let made =
                setup::check_point(view, &order.at).and_then(|()| mounter.make(view, &order, keep));
            if let (Ok(mount), true) = (&made, keep) {
                let path = order.at.to_bytes();
                let failed = |error| Fault::from_io(error, "remember the mount", path);
                remembered.add(mount, &order).map_err(failed)?;
            }
            Ok(made)
        });
        let mount = Arc::new(made.await??);
        let mounted = self.mount(Arc::clone(&mount));
        if mounted.is_err() && keep {
            self.surroundings().remembered.forget(mount.id());
        }
        mounted?;
        Ok(mount)
    }

    /// Mounts a provider. Requests that run go on in the table that they began with.
    pub fn mount(&self, mount: Arc<Mount>) -> Result<(), TableError> {
        let at = mount.at().clone();
        {
            let mut table = self.table();
            *table = Arc::new(table.with(mount)?);
        }
        self.watches().remounted(&at);
        Ok(())
    }

    /// Takes a mount away. Requests that run go on with it; it is closed when the last of them has ended. What was materialized
    /// from it under a name of ours goes, too.
    pub async fn unmount(&self, id: Uuid) -> Result<Arc<Mount>, TableError> {
        let mount = {
            let mut table = self.table();
            let (without, mount) = table.without(id)?;
            *table = Arc::new(without);
            mount
        };
        self.watches().remounted(mount.at());
        let Surroundings {
            lodgers,
            remembered,
            ..
        } = self.surroundings().clone();
        let left = tokio::task::spawn_blocking(move || {
            remembered.forget(id);
            lodgers.leave_with(id);
        });
        if left.await.is_err() {
            tracing::error!("cleaning up after a mount failed");
        }
        Ok(mount)
    }

    /// Runs blocking work in the turn of the mount that serves a path.
    pub async fn run<T, F>(&self, view: &View, path: &ClientPath, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&View, &Wanted) -> Result<T> + Send + 'static,
    {
        self.run_for(Length::Short, view, path, work).await
    }

    /// Runs blocking work that may take long in a turn for such of the mount that serves a path.
    pub async fn run_long<T, F>(&self, view: &View, path: &ClientPath, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&View, &Wanted) -> Result<T> + Send + 'static,
    {
        self.run_for(Length::Long, view, path, work).await
    }

    async fn run_for<T, F>(
        &self,
        length: Length,
        view: &View,
        path: &ClientPath,
        work: F,
    ) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&View, &Wanted) -> Result<T> + Send + 'static,
    {
        self.surroundings().lodgers.used(|| as_spelled(path));
        let mount = Arc::clone(view.table().serving(&as_spelled(path)));
        let view = view.clone();
        let work = move |wanted: &Wanted| work(&view, wanted);
        self.0.pool.run(&mount, length, work).await
    }

    /// Runs blocking work in the turn of a mount: pieces of a transfer, one turn each.
    pub async fn run_in<T, F>(&self, mount: &Mount, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Wanted) -> Result<T> + Send + 'static,
    {
        self.0.pool.run(mount, Length::Short, work).await
    }

    /// Runs blocking work that may take long in a turn for such of a mount.
    pub async fn run_long_in<T, F>(&self, mount: &Mount, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Wanted) -> Result<T> + Send + 'static,
    {
        self.0.pool.run(mount, Length::Long, work).await
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
