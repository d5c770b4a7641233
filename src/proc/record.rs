//! The record of a process: what the keeper tells the daemon and what stands in the journal. The one place of this module
//! whose types are written down, and therefore have serde.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a process is. Only forward, and `OutputOpen` is skipped when nobody else holds the pipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// The main process runs.
    Running,
    /// The main process has ended; another one still holds its output.
    OutputOpen,
    /// All is final.
    Exited,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// By itself.
    Exited {
        /// 0 to 255.
        code: i32,
    },
    /// By a signal.
    Signaled {
        /// Its number.
        signal: i32,
        /// Whether memory was written to a file.
        core_dumped: bool,
        /// The limit that did it.
        limit: Option<LimitKind>,
    },
    /// By us, at its time limit.
    TimedOut {
        /// The signal that ended it.
        signal: i32,
    },
    /// It was about to be started when its keeper ended; it never ran.
    SpawnFailed {
        /// Why.
        message: String,
    },
    /// Nobody was there when it ended.
    Lost {
        /// Why.
        message: String,
    },
}

/// A limit that ends processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LimitKind {
    /// CPU time.
    Cpu,
    /// Memory.
    Memory,
}

/// By what a limit is applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Means {
    /// It is not.
    #[default]
    None,
    /// A limit of each process.
    Rlimit,
    /// A limit of all of them together.
    Cgroup,
}

/// How the limits of a process are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Memory.
    pub memory: Means,
    /// CPU time.
    pub cpu: Means,
    /// Number of processes.
    pub pids: Means,
    /// Open descriptors.
    pub nofile: Means,
}

impl Ending {
    /// The code of the compatible routes: the main process's own, or -1.
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Exited { code } => *code,
            Self::Signaled { .. }
            | Self::TimedOut { .. }
            | Self::SpawnFailed { .. }
            | Self::Lost { .. } => -1,
        }
    }

    /// Its word.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Exited { .. } => "exited",
            Self::Signaled { .. } => "signaled",
            Self::TimedOut { .. } => "timed_out",
            Self::SpawnFailed { .. } => "spawn_failed",
            Self::Lost { .. } => "lost",
        }
    }
}

/// What it took, of the main process and the descendants it waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// CPU time in user mode.
    pub user_ms: u64,
    /// CPU time in the kernel.
    pub system_ms: u64,
    /// Largest resident memory.
    pub max_rss_bytes: u64,
    /// From start to end.
    pub wall_ms: u64,
}

/// What is kept of a stream: the bytes from `start` to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Oldest byte that is kept.
    pub start: u64,
    /// All that was ever written.
    pub total: u64,
}

/// All of a process that changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Where it is.
    pub state: State,
    /// Present when not running.
    pub ending: Option<Ending>,
    /// When the main process ended, since 1970.
    pub ended_ns: Option<u64>,
    /// When the state became `Exited`, since 1970.
    pub closed_ns: Option<u64>,
    /// Present when not running.
    pub resources: Option<Resources>,
    /// Standard output; of a terminal and of merged streams, everything.
    pub stdout: Window,
    /// Standard error, when it is kept apart.
    pub stderr: Window,
    /// Bytes of both.
    pub merged_total: u64,
}

impl Status {
    /// Of a process that has just been started.
    pub fn running() -> Self {
        Self {
            state: State::Running,
            ending: None,
            ended_ns: None,
            closed_ns: None,
            resources: None,
            stdout: Window::default(),
            stderr: Window::default(),
            merged_total: 0,
        }
    }

    /// Whether the time limit ended it.
    pub fn timed_out(&self) -> bool {
        matches!(self.ending, Some(Ending::TimedOut { .. }))
    }

    /// Of a process that nobody saw end, at this time.
    pub fn close(&mut self, ending: Ending, now_ns: u64) {
        self.state = State::Exited;
        self.ending.get_or_insert(ending);
        self.ended_ns.get_or_insert(now_ns);
        self.closed_ns.get_or_insert(now_ns);
        self.resources.get_or_insert_default();
    }
}

/// What stays of a start for as long as its entry.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a parameter of its own"
)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The text for the shell, when it was one.
    pub command: Option<String>,
    /// The program and its arguments, when it was no shell's.
    pub argv: Option<Vec<String>>,
    /// The name of the program, for the log.
    pub program: String,
    /// Where it runs.
    pub workdir: String,
    /// Whether the start named the directory.
    #[serde(default)]
    pub named_workdir: bool,
    /// Reported back.
    pub background: bool,
    /// Whose it is.
    pub chat: Option<Uuid>,
    /// Chats above that one.
    pub ancestors: Vec<Uuid>,
    /// Starts at most once.
    pub token: Option<String>,
    /// Digest of the parameters that a second start of the token must share.
    pub fingerprint: String,
    /// Standard input is a pipe.
    pub stdin_pipe: bool,
    /// Standard error is apart.
    pub separate: bool,
    /// It has a terminal.
    pub pty: bool,
    /// Whom it runs as.
    pub user: String,
    /// Its time limit.
    pub timeout_ms: Option<u64>,
    /// Id of the request that started it, for the log.
    pub request: String,
}

impl Applied {
    /// Whether it must run in its control group.
    pub fn inside(self) -> bool {
        [self.memory, self.pids].contains(&Means::Cgroup)
    }
}

/// A process as the keeper knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Its id.
    pub id: Uuid,
    /// What was said at its start.
    pub facts: Facts,
    /// Process id of the main process; 0 when it never ran.
    pub pid: i32,
    /// Ticks from boot to its start: with the pid a name that is never used again.
    pub birth: u64,
    /// When it was started, since 1970.
    pub started_ns: u64,
    /// Bytes in a file of its history.
    pub segment: u64,
    /// Its limits.
    #[serde(default)]
    pub applied: Applied,
    /// The rest.
    pub status: Status,
}
