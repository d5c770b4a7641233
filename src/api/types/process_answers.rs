//! Wire types of processes: what clients are answered.

use serde::Serialize;
use utoipa::ToSchema;

use super::processes::{StderrMode, StdinMode};
use crate::{
    proc::{
        command_line,
        entry::Entry,
        excerpt::Truncated,
        record::{Applied, Ending, LimitKind, Means, Resources, State, Status},
    },
    sys::signals,
};

/// Answer of `POST /api/v0/processes/start`.
#[derive(Debug, Serialize, ToSchema)]
pub struct StartAnswer {
    /// Its id.
    pub id: String,
    /// Whether this request started it.
    pub started: bool,
    /// Whether it was there already.
    pub attached: bool,
    /// As it was sent; empty without one.
    pub client_token: String,
    /// Process id of the main process.
    pub pid: i32,
    /// When it was started.
    pub started_at_unix_ms: u64,
    /// How each limit is applied.
    pub limits_applied: LimitsApplied,
    /// With `wait_ms`: the output, and the ending if it came in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<OutputBody>,
}

/// `cgroup`, `rlimit` or `none` for each limit.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LimitsApplied {
    /// Memory.
    pub memory_bytes: &'static str,
    /// CPU time.
    pub cpu_seconds: &'static str,
    /// Processes.
    pub pids: &'static str,
    /// Descriptors.
    pub nofile: &'static str,
}

impl From<Applied> for LimitsApplied {
    fn from(applied: Applied) -> Self {
        let by = |means: Means| match means {
            Means::None => "none",
            Means::Rlimit => "rlimit",
            Means::Cgroup => "cgroup",
        };
        Self {
            memory_bytes: by(applied.memory),
            cpu_seconds: by(applied.cpu),
            pids: by(applied.pids),
            nofile: by(applied.nofile),
        }
    }
}

/// How a process ended.
#[derive(Debug, Serialize, ToSchema)]
pub struct EndingBody {
    /// `exited`, `signaled`, `timed_out`, `spawn_failed` or `lost`.
    pub kind: &'static str,
    /// With `exited`: 0 to 255.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// With `signaled` and `timed_out`, as in `SIGKILL`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// With `signaled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub core_dumped: Option<bool>,
    /// With `signaled`, when a limit did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<&'static str>,
    /// With `spawn_failed` and `lost`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl From<&Ending> for EndingBody {
    fn from(ending: &Ending) -> Self {
        let mut body = Self {
            kind: ending.kind(),
            code: None,
            signal: None,
            core_dumped: None,
            limit: None,
            message: None,
        };
        match ending {
            Ending::Exited { code } => body.code = Some(*code),
            Ending::Signaled {
                signal,
                core_dumped,
                limit,
            } => {
                body.signal = Some(signals::name(*signal));
                body.core_dumped = Some(*core_dumped);
                body.limit = limit.map(|limit| match limit {
                    LimitKind::Cpu => "cpu",
                    LimitKind::Memory => "memory",
                });
            }
            Ending::TimedOut { signal } => body.signal = Some(signals::name(*signal)),
            Ending::SpawnFailed { message } | Ending::Lost { message } => {
                body.message = Some(message.clone());
            }
        }
        body
    }
}

/// What it took.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResourcesBody {
    /// CPU time in user mode.
    pub user_ms: u64,
    /// CPU time in the kernel.
    pub system_ms: u64,
    /// Largest resident memory.
    pub max_rss_bytes: u64,
    /// From start to end.
    pub wall_ms: u64,
}

impl From<Resources> for ResourcesBody {
    fn from(resources: Resources) -> Self {
        let Resources {
            user_ms,
            system_ms,
            max_rss_bytes,
            wall_ms,
        } = resources;
        Self {
            user_ms,
            system_ms,
            max_rss_bytes,
            wall_ms,
        }
    }
}

/// The word of a state.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Running => "running",
        State::OutputOpen => "output_open",
        State::Exited => "exited",
    }
}

/// One process.
#[expect(
    clippy::struct_excessive_bools,
    reason = "the fields of the compatible routes"
)]
#[derive(Debug, Serialize, ToSchema)]
pub struct ProcessBody {
    /// Its id.
    pub id: String,
    /// The command; for `argv` as one would type it.
    pub command: String,
    /// Where it runs.
    pub workdir: String,
    /// As it was sent.
    pub background: bool,
    /// Whether the main process runs.
    pub running: bool,
    /// Absent while running; -1 when it was no code of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Seconds.
    pub started_at_unix: u64,
    /// Seconds; absent while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exited_at_unix: Option<u64>,
    /// Process id of the main process.
    pub pid: i32,
    /// As it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// `running`, `output_open` or `exited`.
    pub state: &'static str,
    /// Milliseconds.
    pub started_at_unix_ms: u64,
    /// Milliseconds; absent while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exited_at_unix_ms: Option<u64>,
    /// Absent while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingBody>,
    /// The time limit ended it.
    pub timed_out: bool,
    /// Absent while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesBody>,
    /// Bytes that were ever written.
    pub stdout_bytes: u64,
    /// Bytes that were ever written.
    pub stderr_bytes: u64,
    /// `null` or `pipe`.
    pub stdin: StdinMode,
    /// `merged` or `separate`.
    pub stderr: StderrMode,
    /// Whether it has a terminal.
    pub pty: bool,
    /// Whom it runs as.
    pub user: String,
    /// Its time limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whose it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// Empty without one.
    pub client_token: String,
}

const NANOS_IN_MILLI: u64 = 1_000_000;
const NANOS_IN_SECOND: u64 = 1_000_000_000;

impl From<&Entry> for ProcessBody {
    fn from(entry: &Entry) -> Self {
        let (facts, status) = (entry.facts(), entry.status());
        Self {
            id: entry.id().to_string(),
            command: command_line(facts),
            workdir: facts.workdir.clone(),
            background: facts.background,
            running: status.state == State::Running,
            exit_code: status.ending.as_ref().map(Ending::exit_code),
            started_at_unix: entry.started_ns() / NANOS_IN_SECOND,
            exited_at_unix: status.ended_ns.map(|at| at / NANOS_IN_SECOND),
            pid: entry.pid(),
            argv: facts.argv.clone(),
            state: state_name(status.state),
            started_at_unix_ms: entry.started_ns() / NANOS_IN_MILLI,
            exited_at_unix_ms: status.ended_ns.map(|at| at / NANOS_IN_MILLI),
            ending: status.ending.as_ref().map(EndingBody::from),
            timed_out: status.timed_out(),
            resources: status.resources.map(ResourcesBody::from),
            stdout_bytes: status.stdout.total,
            stderr_bytes: status.stderr.total,
            stdin: if facts.stdin_pipe {
                StdinMode::Pipe
            } else {
                StdinMode::Null
            },
            stderr: if facts.separate {
                StderrMode::Separate
            } else {
                StderrMode::Merged
            },
            pty: facts.pty,
            user: facts.user.clone(),
            timeout_ms: facts.timeout_ms,
            chat_id: facts.chat.map(|chat| chat.to_string()),
            client_token: facts.token.clone().unwrap_or_default(),
        }
    }
}

/// Answer of `GET /api/v0/processes/list`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProcessListAnswer {
    /// Running ones first, then the newest.
    pub processes: Vec<ProcessBody>,
    /// How many there are before the cut.
    pub total: usize,
}

/// Answer of `GET /api/v0/processes/tokens/{token}`.
#[derive(Debug, Serialize, ToSchema)]
pub struct TokenAnswer {
    /// Whether a process has it.
    pub found: bool,
    /// Its id; empty unless found.
    pub process_id: String,
    /// Reserved, and not yet started.
    pub pending: bool,
    /// For how long tokens have been known.
    pub token_index_age_ms: u64,
}

/// What was left out of a text.
#[derive(Debug, Serialize, ToSchema)]
pub struct TruncatedBody {
    /// All bytes.
    pub original_bytes: u64,
    /// Bytes that are in the answer.
    pub retained_bytes: u64,
    /// The others.
    pub omitted_bytes: u64,
    /// `head_tail`
    pub strategy: &'static str,
    /// Lines that were cut.
    pub lines_cut: u64,
}

impl From<Truncated> for TruncatedBody {
    fn from(truncated: Truncated) -> Self {
        Self {
            original_bytes: truncated.original,
            retained_bytes: truncated.retained,
            omitted_bytes: truncated.original - truncated.retained,
            strategy: "head_tail",
            lines_cut: truncated.lines_cut,
        }
    }
}

/// Bytes that are gone.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct GapBody {
    /// The cursor asked for.
    pub from: u64,
    /// The oldest byte that is kept.
    pub to: u64,
    /// How many.
    pub bytes: u64,
}

impl GapBody {
    /// From here to there.
    pub fn new(from: u64, to: u64) -> Self {
        Self {
            from,
            to,
            bytes: to - from,
        }
    }
}

/// Answer of `GET /api/v0/processes/{id}/output`.
#[derive(Debug, Serialize, ToSchema)]
pub struct OutputBody {
    /// Text: head and tail, or from the cursor on.
    pub output: String,
    /// Present when bytes were left out of head and tail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncated: Option<TruncatedBody>,
    /// Whether the main process runs.
    pub running: bool,
    /// Absent while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `running`, `output_open` or `exited`.
    pub state: &'static str,
    /// Bytes that were ever written.
    pub stdout_bytes: u64,
    /// Bytes that were ever written.
    pub stderr_bytes: u64,
    /// Where to read on.
    pub next_cursor: u64,
    /// Bytes that are gone, with `since`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap: Option<GapBody>,
    /// Absent while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingBody>,
    /// The time limit ended it.
    pub timed_out: bool,
    /// Absent while running.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourcesBody>,
}

impl OutputBody {
    /// The state, before there is text.
    pub fn of(status: &Status) -> Self {
        Self {
            output: String::new(),
            truncated: None,
            running: status.state == State::Running,
            exit_code: status.ending.as_ref().map(Ending::exit_code),
            state: state_name(status.state),
            stdout_bytes: status.stdout.total,
            stderr_bytes: status.stderr.total,
            next_cursor: 0,
            gap: None,
            ending: status.ending.as_ref().map(EndingBody::from),
            timed_out: status.timed_out(),
            resources: status.resources.map(ResourcesBody::from),
        }
    }
}

/// An answer that has only a sentence.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageAnswer {
    /// The sentence.
    pub message: String,
}

/// Answer of `POST /api/v0/processes/{id}/stdin`.
#[derive(Debug, Serialize, ToSchema)]
pub struct StdinAnswer {
    /// Bytes that the process was given.
    pub written: u64,
    /// Whether the end of the input was sent.
    pub eof: bool,
}

/// Answer of `GET /api/v0/processes/{id}/screen`.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScreenAnswer {
    /// Size of the terminal.
    pub rows: u16,
    /// Size of the terminal.
    pub cols: u16,
    /// Text of each row, blanks at its end removed.
    pub lines: Vec<String>,
    /// Where the next character goes.
    pub cursor: ScreenCursor,
    /// Whether a program has taken the whole screen.
    pub alternate_screen: bool,
    /// What the program calls its window.
    pub title: String,
    /// Offset behind the last byte that was drawn.
    pub next_cursor: u64,
    /// Whether the main process runs.
    pub running: bool,
}

/// Where the cursor is, from 0.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScreenCursor {
    /// From the top.
    pub row: u16,
    /// From the left.
    pub col: u16,
    /// Whether the program shows it.
    pub visible: bool,
}
