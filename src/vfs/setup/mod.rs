//! The tree as the configuration has it, and how further mounts are made.

mod error;

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use uuid::Uuid;

pub use self::error::{MakeError, SetupError};
use super::{
    Surroundings, Vfs,
    describe::host_path,
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    intent::{Intents, Recovered},
    lodgers::Lodgers,
    order::{MountOrder, Source},
    path::{ClientPath, Name, PathError, Step, TreePath, quoted, steps},
    provider::{
        Provider,
        git::{self, Git, MountError},
        host::{self, Host, HostRoot, Notes, Reserved, Resolver},
        memory::{self, Budget, Memory},
    },
    record::Records,
    remembered::Remembered,
    table::{Label, Mode, Mount, Table, TableError},
    view::{Last, Place, View},
};
use crate::{
    git::{Owners, Repository},
    sys::fs::umask,
};

/// What the operator decided.
#[derive(Clone, Debug)]
pub struct Config {
    /// Directories that clients reach; all of the machine when there is none.
    pub roots: Vec<PathBuf>,
    /// Further mounts.
    pub mounts: Vec<MountOrder>,
    /// How paths are followed on the machine.
    pub resolver: Resolver,
    /// Bytes of all memory mounts together.
    pub memory_bytes: u64,
    /// Largest request of edits, in bytes.
    pub max_edit_body: usize,
    /// Where trees are materialized.
    pub materialize_dir: PathBuf,
    /// Directories that clients may mount besides those that they reach.
    pub allow: Vec<PathBuf>,
    /// The home of the daemon's user.
    pub home: PathBuf,
    /// The daemon's own.
    pub state_dir: PathBuf,
    /// The daemon's own.
    pub runtime_dir: PathBuf,
}

/// Makes mounts. Clones share budgets and notes.
#[derive(Clone, Debug)]
pub struct Mounter(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    reserved: Arc<Reserved>,
    notes: Arc<Notes>,
    resolver: Resolver,
    budget: Budget,
    numbers: AtomicU64,
    /// What clients may mount besides what they reach, at its path on the machine.
    allowed: Vec<Arc<Mount>>,
}

impl Default for Mounter {
    /// Nothing is reserved, nothing noted: for trees without a daemon around them.
    fn default() -> Self {
        Self(Arc::new(Shared {
            reserved: Arc::new(Reserved::default()),
            notes: Notes::none(),
            resolver: Resolver::Auto,
            budget: Budget::new(1 << 30),
            numbers: AtomicU64::new(0),
            allowed: Vec::new(),
        }))
    }
}

/// Makes the tree. Blocks.
pub fn open(config: &Config) -> Result<Vfs, SetupError> {
    let own = [&config.state_dir, &config.runtime_dir];
    let reserved = Arc::new(Reserved::new(own).map_err(SetupError::Reserve)?);
    // What a killed daemon did in part needs its drafts to be undone, so they are removed after it.
    let (intents, recovered) = Intents::open(&config.state_dir).map_err(SetupError::Intents)?;
    if recovered != Recovered::default() {
        tracing::info!(?recovered, "dealt with unfinished edits of the last run");
    }
    let (notes, removed) = Notes::open(&config.state_dir).map_err(SetupError::Notes)?;
    if removed > 0 {
        tracing::info!(removed, "removed unfinished files of the last run");
    }
    let mut shared = Shared {
        reserved,
        notes,
        resolver: config.resolver,
        budget: Budget::new(config.memory_bytes),
        numbers: AtomicU64::new(0),
        allowed: Vec::new(),
    };
    for directory in &config.allow {
        let directory = real(directory)?;
        let at = tree_path(&directory)?;
        let mount = shared.machine(&directory, at.clone(), Options::FIXED);
        let mount = mount.map_err(|source| SetupError::Mount {
            at,
            source: source.into(),
        })?;
        shared.allowed.push(Arc::new(mount));
    }
    let mounter = Mounter(Arc::new(shared));
    let found = |name: &str| {
        let path = config.state_dir.join(name);
        move |source| SetupError::Find { path, source }
    };
    let remembered = Remembered::open(&config.state_dir).map_err(found("mounts"))?;
    let table = remembered
        .restore(table(config, &mounter)?, &mounter)
        .map_err(found("mounts"))?;
    let records = Records::open(Some(&config.state_dir.join("moves"))).map_err(found("moves"))?;
    let settled = records
        .recover(&View::new(Arc::new(table.clone())))
        .map_err(found("moves"))?;
    if settled > 0 {
        tracing::info!(settled, "settled moves of the last run");
    }
    let path = |path: &Path| ClientPath::parse(path.as_os_str().as_bytes()).ok();
    let root = || ClientPath::of(&TreePath::root());
    let lodgers = Lodgers::open(&config.state_dir).map_err(found("materialized"))?;
    let surroundings = Surroundings {
        home: path(&config.home).unwrap_or_else(root),
        materialize: path(&config.materialize_dir).unwrap_or_else(root),
        max_edit_body: config.max_edit_body,
        mounter,
        records,
        intents,
        remembered,
        lodgers,
    };
    Ok(Vfs::with(table, surroundings))
}

fn table(config: &Config, mounter: &Mounter) -> Result<Table, SetupError> {
    let mut table = Table::default();
    for root in &config.roots {
        let real = real(root)?;
        let mut places = vec![tree_path(root)?, tree_path(&real)?];
        places.dedup();
        for at in places {
            if table.at(&at).is_some() {
                continue;
            }
            let made = mounter.0.machine(&real, at.clone(), Options::FIXED);
            table = placed(&table, at, made)?;
        }
    }
    let mut orders = config.mounts.clone();
    let top = TreePath::root();
    if config.roots.is_empty() && !orders.iter().any(|order| order.at == top) {
        let made = mounter
            .0
            .machine(Path::new("/"), top.clone(), Options::FIXED);
        table = placed(&table, top, made)?;
    }
    orders.sort_by_key(|order| order.at.names().len());
    for order in orders {
        let view = View::new(Arc::new(table.clone()));
        let made = mounter.configured(&view, &order);
        table = placed(&table, order.at, made)?;
    }
    Ok(table)
}

fn placed(
    table: &Table,
    at: TreePath,
    made: Result<Mount, impl Into<MakeError>>,
) -> Result<Table, SetupError> {
    let mount = made.map_err(|source| SetupError::Mount {
        at: at.clone(),
        source: source.into(),
    })?;
    table
        .with(Arc::new(mount))
        .map_err(|source| SetupError::Place { at, source })
}

fn real(path: &Path) -> Result<PathBuf, SetupError> {
    path.canonicalize().map_err(|source| SetupError::Find {
        path: path.to_owned(),
        source,
    })
}

fn tree_path(path: &Path) -> Result<TreePath, SetupError> {
    let bytes = path.as_os_str().as_bytes();
    TreePath::parse(bytes).map_err(|error| SetupError::Mount {
        at: TreePath::root(),
        source: Fault::new(Kind::NotSupported, "mount", bytes)
            .because(error.to_string())
            .into(),
    })
}

/// Whether a mount point can be used: it is taken literally, so no link may lie on the way, and nothing be mounted there.
pub fn check_point(view: &View, at: &TreePath) -> Result<(), MakeError> {
    if view.table().at(at).is_some() {
        return Err(TableError::Taken(at.clone()).into());
    }
    for length in 1..=at.names().len() {
        let link = TreePath::new(at.names()[..length].to_vec());
        match view.resolve(&ClientPath::of(&link), Last::Keep) {
            Ok(place) => match place.found {
                Some(found) if found.kind == EntryKind::Symlink => {
                    let at = at.clone();
                    return Err(MakeError::PointIsLink { at, link });
                }
                Some(_) => {}
                None => break,
            },
            // A file in the way is hidden by the mount; what no mount holds is made up.
            Err(fault) if matches!(fault.kind(), Kind::NotADirectory | Kind::OutsideMount) => break,
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

/// What is said of a mount besides where and what.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of a request")]
pub struct Options {
    /// Nothing is written.
    pub read_only: bool,
    /// It came from the configuration.
    pub fixed: bool,
    /// It is made again at the next start.
    pub keep: bool,
    /// Other file systems are left out.
    pub one_file_system: bool,
}

impl Options {
    const FIXED: Self = Self {
        read_only: false,
        fixed: true,
        keep: false,
        one_file_system: false,
    };
}

impl Shared {
    /// A directory of the machine by its path: the operator's word, or the root.
    fn machine(&self, directory: &Path, at: TreePath, options: Options) -> Result<Mount> {
        let source = quoted(directory.as_os_str().as_bytes());
        self.host(HostRoot::Path(directory.to_owned()), source, at, options)
    }

    fn host(
        &self,
        root: HostRoot,
        source: String,
        at: TreePath,
        options: Options,
    ) -> Result<Mount> {
        let how = host::Options {
            one_file_system: options.one_file_system,
        };
        let (reserved, notes) = (Arc::clone(&self.reserved), Arc::clone(&self.notes));
        let provider = Host::open(root, how, reserved, self.resolver, notes)?;
        let mut told = vec![("directory", source.clone())];
        if options.one_file_system {
            told.push(("one_file_system", "true".to_owned()));
        }
        Ok(mount(at, "host", source, told, options, Arc::new(provider)))
    }

    /// A device for identities that no device of the machine has.
    fn number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed) | 1 << 63
    }

    fn memory(&self, quota_bytes: u64, max_entries: u64, at: TreePath, options: Options) -> Mount {
        let config = memory::Config {
            quota_bytes,
            max_entries,
            device: self.number(),
            owner: owner(),
            umask: umask(),
        };
        let provider = Memory::new(config, self.budget.clone());
        let told = vec![
            ("quota_bytes", quota_bytes.to_string()),
            ("max_entries", max_entries.to_string()),
        ];
        mount(
            at,
            "memory",
            String::new(),
            told,
            options,
            Arc::new(provider),
        )
    }
}

fn owner() -> (u32, u32) {
    let (user, group) = (rustix::process::geteuid(), rustix::process::getegid());
    (user.as_raw(), group.as_raw())
}

fn mount(
    at: TreePath,
    provider: &'static str,
    source: String,
    told: Vec<(&'static str, String)>,
    options: Options,
    serves: Arc<dyn Provider>,
) -> Mount {
    let label = Label {
        provider,
        source,
        options: told,
        mode: if options.read_only {
            Mode::ReadOnly
        } else {
            Mode::ReadWrite
        },
        keep: options.keep,
        fixed: options.fixed,
    };
    Mount::new(Uuid::now_v7(), at, label, serves)
}

impl Mounter {
    /// Makes a mount that the operator wants.
    fn configured(&self, view: &View, order: &MountOrder) -> Result<Mount, MakeError> {
        let options = Options {
            read_only: order.read_only,
            ..Options::FIXED
        };
        match &order.source {
            Source::Host {
                directory,
                one_file_system,
            } => {
                let options = Options {
                    one_file_system: *one_file_system,
                    ..options
                };
                Ok(self.0.machine(directory, order.at.clone(), options)?)
            }
            _ => self.other(view, order, options),
        }
    }

    /// Makes a mount that a client wants: of the machine, only what it reaches already, with no more rights.
    pub fn make(&self, view: &View, order: &MountOrder, keep: bool) -> Result<Mount, MakeError> {
        let options = Options {
            read_only: order.read_only,
            fixed: false,
            keep,
            one_file_system: false,
        };
        match &order.source {
            Source::Host {
                directory,
                one_file_system,
            } => {
                let options = Options {
                    one_file_system: *one_file_system,
                    ..options
                };
                self.reached(view, directory, order.at.clone(), options)
            }
            _ => self.other(view, order, options),
        }
    }

    fn other(&self, view: &View, order: &MountOrder, options: Options) -> Result<Mount, MakeError> {
        let at = order.at.clone();
        match &order.source {
            Source::Memory {
                quota_bytes,
                max_entries,
            } => Ok(self.0.memory(*quota_bytes, *max_entries, at, options)),
            Source::Git {
                repository,
                revision,
                subdirectory,
            } => self.git(
                view,
                (repository, revision, subdirectory.as_deref()),
                at,
                options,
            ),
            Source::Host { directory, .. } => Ok(self.0.machine(directory, at, options)?),
        }
    }

    /// A commit of a repository that lies on a host mount.
    fn git(
        &self,
        view: &View,
        (repository, revision, subdirectory): (&[u8], &str, Option<&str>),
        at: TreePath,
        options: Options,
    ) -> Result<Mount, MakeError> {
        let failed = |error: PathError| {
            Fault::new(Kind::NotFound, "mount", repository).because(error.to_string())
        };
        let path = ClientPath::parse(repository).map_err(failed)?;
        let names: Vec<Name> = steps(subdirectory.unwrap_or_default().as_bytes())
            .map_err(failed)?
            .into_iter()
            .filter_map(|step| match step {
                Step::Name(name) => Some(name),
                Step::Up => None,
            })
            .collect();
        let place = view.resolve(&path, Last::Follow)?;
        place.require("mount")?;
        let machine = host_path(&place).ok_or_else(|| MakeError::NotOnHost {
            path: place.path.clone(),
            provider: place.mount.label().provider,
        })?;
        let config = git::Config {
            device: self.0.number(),
            owner: owner(),
        };
        let owners = Owners::new([owner().0]);
        let directory = Path::new(OsStr::from_bytes(&machine));
        let opened = Repository::open(directory, &owners).map_err(MountError::from)?;
        self.check_reach(view, &opened)?;
        let provider = Git::of(config, &opened, revision, &names)?;
        let source = quoted(repository);
        let mut told = vec![
            ("repository", source.clone()),
            ("revision", revision.to_owned()),
            ("commit", provider.commit().id.to_string()),
        ];
        if let Some(subdirectory) = subdirectory {
            told.push(("subdirectory", subdirectory.to_owned()));
        }
        let options = Options {
            read_only: true,
            ..options
        };
        Ok(mount(at, "git", source, told, options, Arc::new(provider)))
    }

    /// A repository leads elsewhere by its `.git`, by links in it, and by alternates: no further than the view does.
    fn check_reach(&self, view: &View, repository: &Repository) -> Result<(), MakeError> {
        let machine = View::new(Arc::new(self.on_machine(view)));
        let whole = |mount: &Arc<Mount>| mount.at() == &TreePath::root() && !mount.is_synthetic();
        if machine.table().mounts().any(whole) {
            return Ok(());
        }
        for place in repository.reach().map_err(MountError::from)? {
            let bytes = place.as_os_str().as_bytes();
            let refused = || MakeError::NotAllowed {
                path: quoted(bytes),
            };
            let path = ClientPath::parse(bytes).map_err(|_| refused())?;
            let found = machine.resolve(&path, Last::Follow).ok();
            let reached = |found: &Place| found.found.is_some() && !found.mount.is_synthetic();
            found.filter(reached).ok_or_else(refused)?;
        }
        Ok(())
    }

    /// A directory of the machine that the view, or the operator's permission, leads to. The path is walked in a tree that has
    /// nothing but those, each where it lies on the machine: no link leads out of them.
    fn reached(
        &self,
        view: &View,
        directory: &Path,
        at: TreePath,
        options: Options,
    ) -> Result<Mount, MakeError> {
        let bytes = directory.as_os_str().as_bytes();
        let refused = || MakeError::NotAllowed {
            path: quoted(bytes),
        };
        let path = ClientPath::parse(bytes).map_err(|_| refused())?;
        let machine = View::new(Arc::new(self.on_machine(view)));
        let opened = machine.open_directory(&path, "mount");
        let opened = opened.map_err(|fault| match fault.kind() {
            Kind::OutsideMount | Kind::Reserved | Kind::MagicLink => refused(),
            _ => fault.into(),
        })?;
        let host = opened.directory.host().ok_or_else(refused)?;
        let options = Options {
            read_only: options.read_only || !opened.mount.is_writable(),
            ..options
        };
        let source = quoted(host.path.as_os_str().as_bytes());
        let root = HostRoot::Descriptor(host.descriptor);
        Ok(self.0.host(root, source, at, options)?)
    }

    /// The host mounts of a view where they lie on the machine. Of two at one place, the one that may be written to.
    fn on_machine(&self, view: &View) -> Table {
        let lies = |mount: &Arc<Mount>| {
            let host = mount.provider().root().ok()?.host()?;
            TreePath::parse(host.path.as_os_str().as_bytes()).ok()
        };
        let own = view
            .table()
            .mounts()
            .filter_map(|mount| Some((lies(mount)?, mount)));
        let allowed = self
            .0
            .allowed
            .iter()
            .map(|mount| (mount.at().clone(), mount));
        let mut all: Vec<_> = allowed.chain(own).collect();
        all.sort_by_key(|(_, mount)| !mount.is_writable());
        all.into_iter()
            .fold(Table::default(), |table, (at, mount)| {
                let label = mount.label().clone();
                let there = Mount::new(mount.id(), at, label, Arc::clone(mount.provider()));
                table.with(Arc::new(there)).unwrap_or(table)
            })
    }
}
