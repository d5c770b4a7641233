//! Processes: programs that are started, whose output is kept, and that are ended completely.
//!
//! Two processes of ours share the work. The **keeper** (`deskd keeper`, started with the first command) forks, reads
//! pipes and terminals, writes what it read to files, enforces time limits and reaps. It has a session of its own and outlives a
//! daemon that is killed. The **daemon** knows whose a process is, which token it has, how long it is remembered, and
//! answers clients: it reads the files and never the pipes.
//!
//! ```text
//!   HTTP ──▶ Processes ──▶ Table (entries, tokens)          state of a process, pushed by the keeper:
//!               │            ▲
//!               ▼            │ News                          Running ──▶ OutputOpen ──▶ Exited
//!             Link ◀──── Unix socket ────▶ keeper ──▶ Task, one a process        │        ▲
//!               ▲                            │          pipes, time limit        └────────┘
//!               └── descriptors of stdin ────┘             │
//!             History ◀──── files ◀──── Spools ◀───────────┘
//! ```
//!
//! **Why one keeper.** A supervisor for each command would have to be executed each time: that takes 0.6 ms with a program
//! of this size, nearly as long as the command `true` (0.7 ms; both measured with the release build), and memory a
//! process. One keeper costs a round trip instead, and needs no memory a process but its record.
//!
//! **Who owns what.**
//! - A process, its pipes and its spool: its `keeper::task`, alone.
//! - What is known of all processes, for the next daemon: the keeper, in memory; and its journal, for the case that the
//!   keeper is killed, too. What nobody saw end is `lost`.
//! - Entries, tokens and retention: [`table`], behind one lock that is never held across an await.
//! - Standard input: the keeper's descriptor, of which the daemon has a copy: bytes go to the process directly.
//!
//! **On disk**, in `processes` of the state directory, which only we may enter: `keeper.sock`, `keeper.log`, `journal` (one
//! JSON object a line: reserved, started, changed, forgotten) and `history/ID/`: rows of files `out.N`, `err.N`, `index.N`
//! and `out.head`, as `keeper::spool` describes. A process without output has no file.
//!
//! **Cursors** are absolute byte offsets in a view (merged, stdout, stderr). A cursor whose bytes are gone gives the
//! oldest ones there are, and says from where to where the gap is.

mod chats;
pub mod entry;
pub mod environment;
pub mod error;
pub mod excerpt;
pub mod follow;
pub mod history;
pub mod input;
pub mod keeper;
mod link;
mod prepare;
pub mod record;
pub mod screen;
pub mod spec;
pub mod table;
mod wire;

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use uuid::Uuid;

pub use self::chats::{Moment, Observer};
use self::{
    entry::Entry,
    environment::Variables,
    error::{SignalError, StartError},
    keeper::task::now_ns,
    link::{Link, News, Settings, Unreachable},
    record::{Facts, State, Status},
    spec::{Caller, Limits, Program, Request, quoted},
    table::{Claim, Filter, Retention, Table, TokenState},
    wire::{Launch, Refusal, SignalOutcome, Switch},
};
use crate::{
    shutdown::Shutdown,
    sys::{
        child::setup::{Account, own_uid},
        procfs, signals,
    },
    telemetry::Metrics,
};

/// How often the timer looks for entries to forget.
const SWEEP: Duration = Duration::from_secs(5);

/// What processes get that nobody asks for.
#[derive(Clone, Debug)]
pub struct Config {
    /// Folder of ours.
    pub folder: PathBuf,
    /// The daemon's environment.
    pub inherited: Variables,
    /// Whether the daemon's own display is the desktop.
    pub keep_display: bool,
    /// Configured variables.
    pub env: Vec<(String, String)>,
    /// Limits of requests that name none.
    pub limits: Limits,
    /// Directory of requests that name none.
    pub workdir: Option<PathBuf>,
    /// The user, when it is not ours.
    pub user: Option<String>,
    /// Whether processes are nicer than the daemon.
    pub nice: bool,
    /// Whether processes are killed before the daemon when memory runs out.
    pub oom_score: bool,
    /// Mode bits that new files lack.
    pub umask: u32,
    /// From TERM to KILL at the stop.
    pub grace: Duration,
    /// Bytes kept of each stream.
    pub spool_bytes: u64,
    /// Bytes kept of all of them.
    pub spool_total: u64,
    /// How long exited processes are remembered.
    pub retention: Retention,
}

impl Config {
    /// The defaults, with files below this state directory.
    pub fn new(state_dir: &Path, inherited: Vec<(OsString, OsString)>) -> Self {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).expect("it fits");
        Self {
            folder: state_dir.join("processes"),
            inherited,
            keep_display: false,
            env: Vec::new(),
            limits: Limits::default(),
            workdir: None,
            user: None,
            nice: true,
            oom_score: true,
            umask: 0o022,
            grace: Duration::from_secs(5),
            spool_bytes: 8 << 20,
            spool_total: 1 << 30,
            retention: Retention {
                plain_ns: nanos(Duration::from_mins(5)),
                token_ns: nanos(Duration::from_hours(1)),
            },
        }
    }
}

/// Handle on all processes. Clones speak of the same ones.
#[derive(Clone, Debug)]
pub struct Processes(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    shared: Arc<Shared>,
    link: Link,
    shutdown: Shutdown,
    /// A start has come to its end.
    settled: Notify,
}

/// What news of the keeper change.
#[derive(Debug)]
struct Shared {
    /// Guards entries and tokens; held for one decision, never across an await.
    table: Mutex<Table>,
    folder: PathBuf,
    since_ns: AtomicU64,
    metrics: Arc<Metrics>,
    observer: Observer,
}

/// A start that was answered.
#[derive(Debug)]
pub struct Started {
    /// The process.
    pub entry: Arc<Entry>,
    /// It was there already.
    pub attached: bool,
}

impl Shared {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().expect("no panic while held")
    }

    fn take(&self, news: News) {
        match news {
            News::Since(at) => {
                let earlier = |known: u64| (known > at).then_some(at);
                let _ = self
                    .since_ns
                    .fetch_update(Ordering::Relaxed, Ordering::Relaxed, earlier);
            }
            News::Known(record, input) => {
                let known = self.table().get(record.id).cloned();
                if let Some(entry) = known {
                    // Another keeper tells what became of it.
                    self.update(&entry, record.status);
                } else {
                    if record.status.state != State::Exited {
                        self.metrics.processes.inc();
                    }
                    let entry = Entry::new(*record, input, &self.folder);
                    self.table().insert(Arc::new(entry));
                }
            }
            News::Changed(all) => {
                for (id, status) in all {
                    let entry = self.table().get(id).cloned();
                    if let Some(entry) = entry {
                        self.update(&entry, status);
                    }
                }
            }
        }
    }
}

impl Shared {
    fn update(&self, entry: &Entry, status: Status) {
        let exits = entry.state() != State::Exited && status.state == State::Exited;
        let ends = entry.state() == State::Running && status.state != State::Running;
        update(entry, status);
        if ends {
            self.observer.tell(entry.facts(), Moment::Ended);
        }
        if exits {
            self.metrics.processes.dec();
            self.table().exit(entry);
        }
    }
}

impl Processes {
    /// Takes over the processes that a killed daemon left, if there are any. They are ended when `shutdown` says so.
    pub async fn open(
        config: Config,
        shutdown: &Shutdown,
        metrics: Arc<Metrics>,
        observer: Observer,
    ) -> Self {
        let shared = Arc::new(Shared {
            table: Mutex::default(),
            folder: config.folder.clone(),
            since_ns: AtomicU64::new(now_ns()),
            metrics,
            observer,
        });
        let settings = Settings {
            folder: config.folder.clone(),
            row: config.spool_bytes,
            total: config.spool_total,
            grace: config.grace,
        };
        let news = Arc::clone(&shared);
        let link = Link::spawn(settings, shutdown, Arc::new(move |one| news.take(one)));
        let left = [wire::SOCKET, wire::JOURNAL]
            .into_iter()
            .any(|name| config.folder.join(name).exists());
        if left && let Err(error) = link.join().await {
            tracing::error!(
                ?error,
                "the processes of the last daemon cannot be taken over"
            );
        }
        let this = Self(Arc::new(Inner {
            config,
            shared,
            link,
            shutdown: shutdown.clone(),
            settled: Notify::new(),
        }));
        shutdown.spawn(this.clone().sweep_by_timer());
        this
    }

    async fn sweep_by_timer(self) {
        loop {
            tokio::select! {
                biased;
                () = self.0.shutdown.stopped() => return,
                () = tokio::time::sleep(SWEEP) => self.sweep().await,
            }
        }
    }

    async fn sweep(&self) {
        let over = self.table().sweep(self.0.config.retention, now_ns());
        self.0.link.forget(over).await;
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.shared.table()
    }

    /// The directory in which a start would run its program.
    pub fn directory_of(&self, request: &Request) -> Result<PathBuf, StartError> {
        self.0.config.directory_of(request)
    }

    /// Starts a process, or finds the one that has the token. Returns when the program runs. Dropping the future does
    /// not call a start off that has been begun; a wait for another start is given up.
    pub async fn start(
        &self,
        request: Request,
        caller: Caller,
        desktop: Variables,
        request_id: String,
    ) -> Result<Started, StartError> {
        self.sweep().await;
        // Whoever names the id starts it once: what has it was started by the same, maybe by way of the last daemon.
        let there = request.id.and_then(|id| self.find(&caller, id));
        if let Some(entry) = there {
            return Ok(Started {
                entry,
                attached: true,
            });
        }
        let fingerprint = request.fingerprint(&caller);
        loop {
            if self.0.shutdown.is_stopping() {
                return Err(StartError::ShuttingDown);
            }
            let claim = self
                .table()
                .claim(request.token.as_deref(), &fingerprint, &caller);
            let settled = match claim {
                Claim::Reserved => break,
                Claim::Attached(entry) => {
                    return Ok(Started {
                        entry,
                        attached: true,
                    });
                }
                Claim::Conflict => return Err(StartError::TokenConflict),
                Claim::Full => return Err(StartError::TooMany),
                Claim::Closed => return Err(StartError::ChatDeleting),
                Claim::Wait(settled) => settled,
            };
            tokio::select! {
                biased;
                () = self.0.shutdown.stopped() => return Err(StartError::WaitAborted),
                () = settled.cancelled() => {}
            }
        }
        let this = self.clone();
        // A task of its own: the client may leave, the reservation must come to an end.
        let begun = self.0.shutdown.spawn(async move {
            let token = request.token.clone();
            let begun = Instant::now();
            let result = this
                .launch(request, &caller, &desktop, fingerprint, request_id)
                .await;
            this.table().settle(token.as_deref(), &caller);
            this.0.settled.notify_waiters();
            let taken = begun.elapsed().as_secs_f64();
            this.0.shared.metrics.process_start_seconds.observe(taken);
            result
        });
        let entry = begun.await.unwrap_or(Err(StartError::ShuttingDown))?;
        Ok(Started {
            entry,
            attached: false,
        })
    }

    async fn launch(
        &self,
        request: Request,
        caller: &Caller,
        desktop: &Variables,
        fingerprint: String,
        request_id: String,
    ) -> Result<Arc<Entry>, StartError> {
        let limits = request.limits.or(self.0.config.limits);
        let (account, switch) = self.0.config.account(request.user.as_deref())?;
        let config = &self.0.config;
        let strings = config.strings(&request, caller, desktop, account.as_ref(), switch);
        let facts = Facts {
            command: match &request.program {
                Program::Shell { command, .. } => Some(command.clone()),
                Program::Direct { .. } => None,
            },
            argv: match &request.program {
                Program::Shell { .. } => None,
                Program::Direct { argv } => Some(argv.clone()),
            },
            program: strings.arguments[0].to_string_lossy().into_owned(),
            workdir: strings.directory.to_string_lossy().into_owned(),
            named_workdir: !request.workdir.is_empty(),
            background: request.background,
            chat: caller.chat,
            ancestors: caller.ancestors.clone(),
            token: request.token.clone(),
            fingerprint,
            stdin_pipe: request.stdin_pipe && request.terminal.is_none(),
            separate: request.separate && request.terminal.is_none(),
            pty: request.terminal.is_some(),
            user: account.as_ref().map_or_else(own_name, |a| a.name.clone()),
            timeout_ms: request.timeout_ms.filter(|limit| *limit > 0),
            request: request_id,
        };
        let program = facts.program.clone();
        let launch = Launch {
            id: request.id.unwrap_or_else(Uuid::now_v7),
            facts,
            arguments: strings.arguments.len(),
            terminal: request.terminal.as_ref().map(|t| (t.rows, t.columns)),
            umask: self.0.config.umask,
            nice: self.0.config.nice.then(|| (procfs::nice() + 5).min(19)),
            oom_score: self.0.config.oom_score.then(|| match procfs::oom_score() {
                own if own < 0 => 0,
                own if own >= 998 => 1000,
                _ => 998,
            }),
            cpu_seconds: limits.cpu_seconds,
            memory: limits.memory_bytes,
            pids: limits.pids,
            pids_required: request.limits.pids.is_some(),
            descriptors: limits.nofile,
            account: account.filter(|_| switch).map(|account| Switch {
                name: account.name,
                uid: account.uid,
                gid: account.gid,
                groups: account.groups,
            }),
        };
        let started = self.0.link.start(launch, strings).await;
        let id = started
            .map_err(unreachable)?
            .map_err(|reason| refused(reason, &program))?;
        let entry = self.table().get(id).cloned();
        let entry = entry.ok_or(StartError::ShuttingDown)?;
        self.0.shared.observer.tell(entry.facts(), Moment::Started);
        Ok(entry)
    }

    /// Whether processes get this variable without asking for it, from the daemon's environment or by configuration.
    pub fn gives(&self, name: &str) -> bool {
        let config = &self.0.config;
        config.inherited.iter().any(|(given, _)| given == name)
            || config.env.iter().any(|(given, _)| given == name)
    }

    /// The process, if there is one that the caller may know of.
    pub fn find(&self, caller: &Caller, id: Uuid) -> Option<Arc<Entry>> {
        self.table().visible(caller, id).cloned()
    }

    /// Entries of the caller, running ones first, and how many there are before the cut.
    pub async fn list(&self, caller: &Caller, filter: &Filter) -> (Vec<Arc<Entry>>, usize) {
        self.sweep().await;
        self.table().list(caller, filter)
    }

    /// What the caller may know of a token, and for how long tokens have been known.
    pub async fn token(&self, caller: &Caller, token: &str) -> (TokenState, Duration) {
        self.sweep().await;
        let since = self.0.shared.since_ns.load(Ordering::Relaxed);
        let age = Duration::from_nanos(now_ns().saturating_sub(since));
        (self.table().token(caller, token), age)
    }

    /// Signals the group; KILL goes to all members. Dropping the future does not call it off.
    pub async fn signal(&self, entry: &Entry, signal: i32) -> Result<(), SignalError> {
        if entry.state() == State::Exited {
            return Err(SignalError::Exited);
        }
        let everyone = signal == signals::KILL;
        match self.0.link.signal(entry.id(), signal, everyone).await {
            Ok(SignalOutcome::Sent) => Ok(()),
            Ok(SignalOutcome::Exited) => Err(SignalError::Exited),
            Ok(SignalOutcome::Failed(detail)) | Err(Unreachable::Failed(detail)) => {
                Err(SignalError::Failed { detail })
            }
            Err(Unreachable::Stopping) => Err(SignalError::ShuttingDown),
        }
    }

    /// Ends a process: TERM to its group, and when its output is still open after the grace, KILL to all members. Returns
    /// when it is exited, or nothing more can be done. Dropping the future leaves it where it is.
    pub async fn end(&self, entry: &Entry) {
        let mut status = entry.subscribe();
        for signal in [signals::TERM, signals::KILL] {
            if self.signal(entry, signal).await.is_err() {
                return; // it is exited, or the stop ends it
            }
            let exited = status.wait_for(|status| status.state == State::Exited);
            let ended = tokio::time::timeout(self.0.config.grace, exited);
            if ended.await.is_ok() {
                return;
            }
        }
    }

    /// Whether processes run as this user when none is named.
    pub fn is_default_user(&self, user: &str) -> bool {
        self.0.config.is_default_user(user)
    }

    /// Closes standard input: what the process has not read yet, it still reads.
    pub async fn close_input(&self, entry: &Entry) {
        entry.input().close();
        self.0.link.close_input(entry.id()).await;
    }

    /// Forgets an exited process with its output and its token; whether it was exited.
    pub async fn forget(&self, entry: &Entry) -> bool {
        if entry.state() != State::Exited {
            return false;
        }
        self.table().remove(entry.id());
        self.0.link.forget(vec![entry.id()]).await;
        true
    }

    /// Whether the process is there, but not for this caller.
    pub fn is_foreign(&self, caller: &Caller, id: Uuid) -> bool {
        let table = self.table();
        table.get(id).is_some() && table.visible(caller, id).is_none()
    }

    /// Processes that are not exited, and all that are remembered.
    pub fn count(&self) -> (usize, usize) {
        let table = self.table();
        let live = table.all().filter(|entry| entry.state() != State::Exited);
        (live.count(), table.all().count())
    }
}

/// Takes a new status, and logs the ending.
fn update(entry: &Entry, status: Status) {
    let ran = entry.state() == State::Running;
    if ran && status.state != State::Running {
        let facts = entry.facts();
        tracing::info!(
            process_id = %entry.id(),
            chat_id = facts.chat.map(tracing::field::display),
            request_id = facts.request,
            program = facts.program,
            ending = status.ending.as_ref().map(record::Ending::kind),
            exit_code = status.ending.as_ref().map(record::Ending::exit_code),
            duration_ms = status.resources.map(|resources| resources.wall_ms),
            "process ended"
        );
    }
    entry.update(status);
}

fn own_name() -> String {
    Account::own().map_or_else(|| own_uid().to_string(), |account| account.name)
}

fn unreachable(error: Unreachable) -> StartError {
    match error {
        Unreachable::Stopping => StartError::ShuttingDown,
        Unreachable::Failed(detail) => StartError::Spawn { detail },
    }
}

fn refused(reason: Refusal, program: &str) -> StartError {
    let detail = match reason {
        Refusal::Directory(detail) => format!("chdir: {detail}"),
        Refusal::NotFound => format!("exec: \"{program}\": executable file not found in $PATH"),
        Refusal::Spawn(detail) => detail,
        Refusal::Limit(limit) => return StartError::LimitUnavailable { limit },
        Refusal::Stopping => return StartError::ShuttingDown,
    };
    StartError::Spawn { detail }
}

/// The command as a person would type it.
pub fn command_line(facts: &Facts) -> String {
    match (&facts.command, &facts.argv) {
        (Some(command), _) => command.clone(),
        (None, Some(argv)) => quoted(argv),
        (None, None) => facts.program.clone(),
    }
}
