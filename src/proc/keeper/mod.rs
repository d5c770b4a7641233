//! The keeper: the process that starts commands, reads what they print and outlives the daemon.
//!
//! `deskd keeper` is started by the daemon with its first command, and has a session of its own. One thread, one task for
//! each process ([`task`]). It talks to one daemon at a time ([`connection`]); when that is gone, everything goes on, and the
//! next daemon is told all there is. It ends when a daemon says so, or when it has been alone for long with nothing
//! running.

mod connection;
mod journal;
mod launch;
pub(super) mod spool;
pub(super) mod task;

use std::{
    collections::{HashMap, HashSet},
    io,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::sync::Notify;
use uuid::Uuid;

use self::{
    journal::{Journal, Known, Line},
    launch::Refusals,
    spool::Spools,
    task::now_ns,
};
use super::{
    history,
    record::{Applied, Record, State, Status},
    wire::{JOURNAL, Launch, SOCKET, SignalOutcome},
};
use crate::{
    shutdown::Shutdown,
    sys::{
        cgroup::{Group, Tree},
        channel,
        child::Process,
        limits, members, private, reaper, signals, thread,
    },
};

/// Without a daemon and without a running process, it ends after this: entries are kept for an hour at most.
const ALONE: Duration = Duration::from_mins(70);
/// Bytes that are read at once; one buffer for all processes.
const READ: usize = 128 << 10;
/// Time for killed processes to be gone, and for their owners to have read the rest.
const AFTER_KILL: Duration = Duration::from_secs(2);

/// Those who may be about to say hello; more wait in the backlog of the socket.
const GREETINGS: usize = 16;

/// Why the keeper cannot do its work.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] private::PrivateError),
    /// The socket for daemons cannot be made.
    #[error("failed to listen in {}", folder.display())]
    Listen {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The runtime or the signals cannot be made.
    #[error("failed to start the keeper of processes")]
    Runtime(#[source] io::Error),
}

/// What it needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of the processes.
    pub folder: PathBuf,
    /// The daemon's first connection.
    pub first: Option<OwnedFdNumber>,
    /// Bytes kept of each stream.
    pub row: u64,
    /// Bytes kept of all streams.
    pub total: u64,
}

/// The number of an inherited descriptor.
pub type OwnedFdNumber = i32;

#[derive(Clone, Copy, Debug)]
struct Limits {
    row: u64,
    total: u64,
}

/// What tasks and connections share. Everything runs on one thread, so the locks are never waited for; none is held
/// across an await.
#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    limits: Limits,
    since_ns: u64,
    shutdown: Shutdown,
    /// Where control groups can be made.
    tree: Option<Tree>,
    /// Where children say what they were refused.
    refusals: Option<Refusals>,
    /// Guards everything that is known of the processes.
    inner: Mutex<Inner>,
    /// Where pipes are read into, by one after the other.
    buffer: Mutex<Vec<u8>>,
    /// Something in `dirty`.
    changed: Notify,
}

#[derive(Debug)]
struct Inner {
    entries: HashMap<Uuid, Kept>,
    dirty: HashSet<Uuid>,
    on_disk: u64,
    stopping: bool,
    journal: Journal,
}

/// One process.
#[derive(Debug)]
struct Kept {
    record: Record,
    /// Until it has exited.
    process: Option<Arc<Process>>,
    /// All that it started, where that can be told.
    group: Option<Arc<Group>>,
    /// Our copy of its input, for the next daemon.
    input: Option<OwnedFd>,
    /// Its output, when its owner is done with it.
    spools: Option<Spools>,
    on_disk: u64,
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while held")
    }

    fn buffer(&self) -> MutexGuard<'_, Vec<u8>> {
        self.buffer.lock().expect("no panic while held")
    }

    /// Whether all output together is over its limit, so that no row may grow.
    fn is_tight(&self) -> bool {
        self.inner().on_disk > self.limits.total
    }

    /// Notes that this is about to be started.
    fn reserve(&self, order: &Launch) {
        let record = Record {
            id: order.id,
            facts: order.facts.clone(),
            pid: 0,
            birth: 0,
            started_ns: now_ns(),
            segment: spool::segment(self.limits.row),
            applied: Applied::default(),
            status: Status::running(),
        };
        let line = Line::Reserved(Known::Owned(record));
        self.inner().journal.write(&line);
    }

    /// Notes that it was not.
    fn release(&self, id: Uuid) {
        self.inner().journal.write(&Line::Forgotten { id });
    }

    fn insert(&self, kept: Kept) {
        let Record {
            id,
            pid,
            birth,
            started_ns,
            applied,
            ..
        } = kept.record;
        let mut inner = self.inner();
        inner.journal.write(&Line::Started {
            id,
            pid,
            birth,
            started_ns,
            applied,
        });
        inner.entries.insert(id, kept);
    }

    /// Takes what the owner of a process says of it.
    fn publish(&self, id: Uuid, status: &Status, on_disk: u64) {
        let mut inner = self.inner();
        let inner = &mut *inner;
        let Some(kept) = inner.entries.get_mut(&id) else {
            return;
        };
        inner.on_disk = inner.on_disk + on_disk - kept.on_disk;
        kept.on_disk = on_disk;
        if kept.record.status.state != status.state {
            let status = status.clone();
            inner.journal.write(&Line::Changed { id, status });
        }
        kept.record.status = status.clone();
        if status.state == State::Exited {
            (kept.process, kept.group, kept.input) = (None, None, None);
        }
        inner.dirty.insert(id);
        if inner.on_disk > self.limits.total {
            inner.make_room(self.limits.total);
        }
        if inner.journal.is_long(inner.entries.len()) {
            let all = inner.entries.values().map(|kept| &kept.record);
            inner.journal.rewrite(all);
        }
        self.changed.notify_one();
    }

    /// Takes the output of an exited process.
    fn store(&self, id: Uuid, spools: Spools) {
        match self.inner().entries.get_mut(&id) {
            Some(kept) => kept.spools = Some(spools),
            None => spools.remove(),
        }
    }

    fn forget(&self, id: Uuid) {
        let mut inner = self.inner();
        if let Some(kept) = inner.entries.remove(&id) {
            inner.on_disk -= kept.on_disk;
            inner.journal.write(&Line::Forgotten { id });
            match kept.spools {
                Some(spools) => spools.remove(),
                // Of an earlier keeper.
                None if kept.record.status.merged_total > 0 => {
                    let _ = std::fs::remove_dir_all(history::folder(&self.folder, id));
                }
                None => {}
            }
        }
    }

    fn close_input(&self, id: Uuid) {
        if let Some(kept) = self.inner().entries.get_mut(&id) {
            kept.input = None;
        }
    }

    /// A control group for a process, where one can be made.
    fn group(&self, order: &Launch) -> Option<Arc<Group>> {
        let (tree, name) = (self.tree.as_ref()?, order.id.to_string());
        let group = if order.memory.is_some() || order.pids.is_some() {
            tree.limited(&name, order.memory, order.pids)
        } else {
            tree.group(&name)
        };
        group.ok().map(Arc::new)
    }

    fn process(&self, id: Uuid) -> Option<(Arc<Process>, Option<Arc<Group>>)> {
        let inner = self.inner();
        let kept = inner.entries.get(&id)?;
        Some((kept.process.clone()?, kept.group.clone()))
    }

    async fn signal(&self, id: Uuid, signal: i32, everyone: bool) -> SignalOutcome {
        let Some((process, group)) = self.process(id) else {
            return SignalOutcome::Exited;
        };
        if everyone {
            members::kill(&process, group.as_deref()).await;
            return SignalOutcome::Sent;
        }
        match process.signal_members(signal) {
            Ok(()) => SignalOutcome::Sent,
            Err(error) => SignalOutcome::Failed(error.to_string()),
        }
    }

    fn any_runs(&self) -> bool {
        let inner = self.inner();
        inner.entries.values().any(|kept| kept.process.is_some())
    }

    /// Asks all groups to end, gives them the grace, kills what is left, and waits until the owners know.
    async fn stop(&self, grace: Duration, hurry: impl Future<Output = ()>) {
        self.inner().stopping = true;
        let processes: Vec<Arc<Process>> = {
            let inner = self.inner();
            let all = inner.entries.values();
            all.filter_map(|kept| kept.process.clone()).collect()
        };
        for process in &processes {
            let _ = process.signal_members(signals::TERM);
        }
        tokio::select! {
            biased;
            () = hurry => {}
            _ = members::descendants_gone(grace) => {}
        }
        for process in &processes {
            let _ = process.signal_members(signals::KILL);
        }
        members::kill_descendants().await;
        let owners = self.shutdown.drain(AFTER_KILL).await;
        reaper::reap_orphans();
        if !owners {
            tracing::error!("some processes could not be ended");
        }
    }
}

impl Inner {
    /// Gives up output of exited processes, that of the oldest ending first.
    fn make_room(&mut self, total: u64) {
        let mut exited: Vec<(u64, Uuid)> = self
            .entries
            .values()
            .filter(|kept| kept.spools.is_some())
            .map(|kept| (kept.record.status.closed_ns.unwrap_or(0), kept.record.id))
            .collect();
        exited.sort_unstable();
        for (_, id) in exited {
            if self.on_disk <= total {
                return;
            }
            let kept = self.entries.get_mut(&id).expect("just listed");
            let spools = kept.spools.as_mut().expect("just listed");
            spools.trim();
            let now = spools.kept();
            if now < kept.on_disk {
                self.on_disk -= kept.on_disk - now;
                kept.on_disk = now;
                let (stdout, stderr, _) = spools.windows();
                (kept.record.status.stdout, kept.record.status.stderr) = (stdout, stderr);
                self.dirty.insert(id);
            }
        }
    }
}

/// Runs the keeper to its end.
pub fn run(config: Config) -> Result<(), KeeperError> {
    limits::raise_descriptors();
    thread::name_process("deskd-keeper");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(KeeperError::Runtime)?;
    runtime.block_on(keep(config))
}

async fn keep(config: Config) -> Result<(), KeeperError> {
    private::directory(&config.folder)?;
    // Before the first child: an orphan must not go to someone else.
    reaper::adopt_orphans().map_err(KeeperError::Runtime)?;
    let orphans = reaper::Reaper::new().map_err(KeeperError::Runtime)?;
    let listener = listen(&config.folder).map_err(|source| KeeperError::Listen {
        folder: config.folder.clone(),
        source,
    })?;
    let shared = Arc::new(open(&config));
    let first = config.first.and_then(|number| {
        crate::sys::descriptor::inherited(number)
            .inspect_err(|error| tracing::error!(%error, "the daemon's connection is not there"))
            .ok()
    });
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .map_err(KeeperError::Runtime)?;
    let serving = serve(&shared, listener, first.map(UnixStream::from));
    tokio::select! {
        biased;
        () = orphans.run() => {}
        _ = terminate.recv() => shared.stop(Duration::from_secs(5), std::future::pending()).await,
        () = serving => {}
    }
    clean(&config.folder);
    Ok(())
}

fn listen(folder: &Path) -> io::Result<tokio::net::UnixListener> {
    let listener: UnixListener = channel::listen(folder, SOCKET)?;
    listener.set_nonblocking(true)?;
    tokio::net::UnixListener::from_std(listener)
}

/// Nothing is left to tell the next daemon.
fn clean(folder: &Path) {
    for name in [SOCKET, JOURNAL] {
        let _ = std::fs::remove_file(folder.join(name));
    }
    let _ = std::fs::remove_dir_all(folder.join(super::wire::HISTORY));
}

/// Takes over what the journal of a killed keeper says; what still runs of it is ended, since nobody can know how it ends.
fn open(config: &Config) -> Shared {
    let (journal, records) = Journal::open(config.folder.join(JOURNAL), now_ns());
    let mut entries = HashMap::new();
    for record in records {
        if let Some(process) = launch::left_over(&record) {
            members::kill_foreign(&process);
        }
        let kept = Kept {
            record,
            process: None,
            group: None,
            input: None,
            spools: None,
            on_disk: 0,
        };
        entries.insert(kept.record.id, kept);
    }
    Shared {
        folder: config.folder.clone(),
        limits: Limits {
            row: config.row,
            total: config.total,
        },
        since_ns: now_ns(),
        shutdown: Shutdown::new(),
        tree: Tree::open(),
        refusals: Refusals::open().ok(),
        inner: Mutex::new(Inner {
            entries,
            dirty: HashSet::new(),
            on_disk: 0,
            stopping: false,
            journal,
        }),
        buffer: Mutex::new(vec![0; READ]),
        changed: Notify::new(),
    }
}

/// One daemon after the other; a new one takes the place of the one before once it has said hello.
async fn serve(
    shared: &Arc<Shared>,
    listener: tokio::net::UnixListener,
    first: Option<UnixStream>,
) {
    let mut daemon = match first {
        Some(socket) => connection::greet(socket).await,
        None => None,
    };
    let mut next = std::pin::pin!(next_daemon(&listener));
    loop {
        let connected = async {
            match daemon.take() {
                Some(daemon) => connection::serve(shared, daemon).await,
                None => alone(shared).await,
            }
        };
        tokio::select! {
            over = connected => match over {
                connection::Over::Gone => {}
                connection::Over::Stopped => return,
            },
            greeted = &mut next => {
                daemon = Some(greeted);
                next.set(next_daemon(&listener));
            }
        }
    }
}

/// Who connects and says hello. Others are turned away, each within its time: they can delay a daemon, not take its place.
async fn next_daemon(listener: &tokio::net::UnixListener) -> connection::Greeted {
    let mut greetings = futures_util::stream::FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some(greeted) = greetings.next(), if !greetings.is_empty() => {
                if let Some(greeted) = greeted {
                    return greeted;
                }
            }
            accepted = listener.accept(), if greetings.len() < GREETINGS => {
                match accepted.and_then(|(socket, _)| socket.into_std()) {
                    Ok(socket) => greetings.push(connection::greet(socket)),
                    Err(error) => tracing::warn!(%error, "a daemon cannot be accepted"),
                }
            }
        }
    }
}

async fn alone(shared: &Shared) -> connection::Over {
    loop {
        tokio::time::sleep(ALONE).await;
        if !shared.any_runs() {
            return connection::Over::Stopped;
        }
    }
}
