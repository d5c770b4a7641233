//! Wire types of processes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::error::ApiError,
    proc::{
        command_line,
        entry::Entry,
        excerpt::Truncated,
        history::View,
        record::{Ending, LimitKind, Resources, State, Status},
        spec::{Limits, Program, Request, Terminal},
    },
    sys::signals,
};

/// Longest wait of a request, in milliseconds.
pub const LONGEST_WAIT: u64 = 14_400_000;
/// Longest client token, in bytes.
const TOKEN: usize = 512;

/// Body of `POST /api/v0/processes/start`. Exactly one of `command` and `argv`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct StartBody {
    /// Run as `sh -c <command>`.
    pub command: Option<String>,
    /// Run directly, without a shell.
    pub argv: Option<Vec<String>>,
    /// Working directory; a relative one starts at the default.
    pub workdir: Option<String>,
    /// Added to the environment.
    pub env: Option<BTreeMap<String, Option<String>>>,
    /// Reported back.
    pub background: Option<bool>,
    /// Starts at most once; up to 512 bytes.
    pub client_token: Option<String>,
    /// `command` by the user's login shell.
    pub login: Option<bool>,
    /// `null` (default) or `pipe`.
    pub stdin: Option<StdinMode>,
    /// `merged` (default) or `separate`.
    pub stderr: Option<StderrMode>,
    /// A terminal as standard input, output and error.
    pub pty: Option<PtyBody>,
    /// Time limit; 0 is none.
    pub timeout_ms: Option<u64>,
    /// Another user, by name or number.
    pub user: Option<UserBody>,
    /// Limits of what it may use.
    pub limits: Option<LimitsBody>,
    /// Waits so long for the end; the answer then has `result`.
    pub wait_ms: Option<u64>,
}

/// Standard input.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StdinMode {
    /// The null device.
    Null,
    /// An open pipe.
    Pipe,
}

/// Standard error.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StderrMode {
    /// The pipe of standard output.
    Merged,
    /// A pipe of its own.
    Separate,
}

/// A terminal.
#[derive(Debug, Deserialize, ToSchema)]
pub struct PtyBody {
    /// 1 to 4096, default 24.
    pub rows: Option<u16>,
    /// 1 to 4096, default 80.
    pub cols: Option<u16>,
    /// Value of `TERM`, default `xterm-256color`.
    pub term: Option<String>,
}

/// A user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a name or a number")]
pub enum UserBody {
    /// By name, or number in digits.
    Name(String),
    /// By number.
    Number(u32),
}

/// What a process may use.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct LimitsBody {
    /// Address space of each process.
    pub memory_bytes: Option<u64>,
    /// CPU time of each process.
    pub cpu_seconds: Option<u64>,
    /// Processes together.
    pub pids: Option<u64>,
    /// Open descriptors of each process.
    pub nofile: Option<u64>,
}

fn invalid(field: &str, detail: &str) -> ApiError {
    ApiError::invalid_field(
        format!("The field \"{field}\" is not as it should be."),
        field,
        detail,
    )
    .with_code("invalid_field")
}

fn no_nul(field: &str, text: &str) -> Result<(), ApiError> {
    if text.contains('\0') {
        return Err(invalid(field, "has a NUL byte"));
    }
    Ok(())
}

impl StartBody {
    /// The request of the domain, and how long to wait for its end.
    pub fn check(self) -> Result<(Request, u64), ApiError> {
        let program = program(self.command, self.argv, self.login.unwrap_or(false))?;
        let workdir = self.workdir.unwrap_or_default();
        no_nul("workdir", &workdir)?;
        let token = self.client_token.filter(|token| !token.is_empty());
        if let Some(token) = &token {
            no_nul("client_token", token)?;
            if token.len() > TOKEN {
                return Err(invalid("client_token", "longer than 512 bytes"));
            }
        }
        let wait_ms = self.wait_ms.unwrap_or(0);
        if wait_ms > LONGEST_WAIT {
            return Err(invalid("wait_ms", "more than 14400000"));
        }
        let request = Request {
            program,
            workdir,
            env: environment(self.env.unwrap_or_default())?,
            background: self.background.unwrap_or(false),
            token,
            stdin_pipe: self.stdin == Some(StdinMode::Pipe),
            separate: self.stderr == Some(StderrMode::Separate),
            terminal: self.pty.map(PtyBody::check).transpose()?,
            timeout_ms: self.timeout_ms,
            user: match self.user {
                Some(UserBody::Name(name)) => {
                    no_nul("user", &name)?;
                    Some(name)
                }
                Some(UserBody::Number(number)) => Some(number.to_string()),
                None => None,
            },
            limits: self.limits.unwrap_or_default().check()?,
        };
        Ok((request, wait_ms))
    }
}

fn program(
    command: Option<String>,
    argv: Option<Vec<String>>,
    login: bool,
) -> Result<Program, ApiError> {
    let command = command.filter(|command| !command.is_empty());
    let argv = argv.filter(|argv| !argv.is_empty());
    match (command, argv) {
        (None, None) => Err(ApiError::bad_request(
            "command_required",
            "Command is required: send \"command\" or \"argv\".",
        )),
        (Some(_), Some(_)) => Err(ApiError::bad_request(
            "command_and_argv",
            "Send either \"command\" or \"argv\", not both.",
        )),
        (Some(command), None) => {
            no_nul("command", &command)?;
            Ok(Program::Shell { command, login })
        }
        (None, Some(_)) if login => Err(invalid("login", "only with \"command\"")),
        (None, Some(argv)) => {
            for (number, argument) in argv.iter().enumerate() {
                no_nul(&format!("argv[{number}]"), argument)?;
            }
            Ok(Program::Direct { argv })
        }
    }
}

fn environment(
    all: BTreeMap<String, Option<String>>,
) -> Result<BTreeMap<String, String>, ApiError> {
    all.into_iter()
        .map(|(name, value)| {
            if name.is_empty() || name.contains('=') {
                return Err(invalid("env", "a name is empty or has an equals sign"));
            }
            no_nul("env", &name)?;
            let value = value.unwrap_or_default();
            no_nul(&format!("env.{name}"), &value)?;
            Ok((name, value))
        })
        .collect()
}

/// Rows or columns of a terminal.
fn side(field: &str, value: u16) -> Result<u16, ApiError> {
    if (1..=4096).contains(&value) {
        Ok(value)
    } else {
        Err(invalid(field, "not from 1 to 4096"))
    }
}

impl PtyBody {
    fn check(self) -> Result<Terminal, ApiError> {
        let term = self.term.unwrap_or_else(|| "xterm-256color".to_owned());
        no_nul("pty.term", &term)?;
        Ok(Terminal {
            rows: side("pty.rows", self.rows.unwrap_or(24))?,
            columns: side("pty.cols", self.cols.unwrap_or(80))?,
            term,
        })
    }
}

impl LimitsBody {
    fn check(self) -> Result<Limits, ApiError> {
        let all = [
            ("limits.memory_bytes", self.memory_bytes),
            ("limits.cpu_seconds", self.cpu_seconds),
            ("limits.pids", self.pids),
            ("limits.nofile", self.nofile),
        ];
        for (field, value) in all {
            if value == Some(0) {
                return Err(invalid(field, "a limit is at least 1"));
            }
        }
        Ok(Limits {
            memory_bytes: self.memory_bytes,
            cpu_seconds: self.cpu_seconds,
            pids: self.pids,
            nofile: self.nofile,
        })
    }
}

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

impl From<Limits> for LimitsApplied {
    fn from(limits: Limits) -> Self {
        let by = |limit: Option<u64>| if limit.is_some() { "rlimit" } else { "none" };
        Self {
            memory_bytes: by(limits.memory_bytes),
            cpu_seconds: by(limits.cpu_seconds),
            pids: "none",
            nofile: by(limits.nofile),
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
pub struct EntryBody {
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

impl From<&Entry> for EntryBody {
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
pub struct ListAnswer {
    /// Running ones first, then the newest.
    pub processes: Vec<EntryBody>,
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

/// Which stream.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StreamName {
    /// Both, in the order in which they were read.
    #[default]
    Merged,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl From<StreamName> for View {
    fn from(name: StreamName) -> Self {
        match name {
            StreamName::Merged => Self::Merged,
            StreamName::Stdout => Self::Stdout,
            StreamName::Stderr => Self::Stderr,
        }
    }
}

/// Form of an output.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// An object.
    #[default]
    Json,
    /// The text alone.
    Text,
    /// The bytes as they are, only with `since`.
    Raw,
}

/// Query of `GET /api/v0/processes/{id}/output`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct OutputQuery {
    /// Exactly `true`: until the main process has ended.
    pub wait: Option<String>,
    /// Longest wait.
    pub wait_ms: Option<u64>,
    /// Which stream.
    pub stream: Option<StreamName>,
    /// Cursor.
    pub since: Option<u64>,
    /// 1024 to 32768, default 32768; with `since` 16 to 1048576, default 65536.
    pub max_bytes: Option<usize>,
    /// Form of the answer.
    pub format: Option<OutputFormat>,
}

/// Query of `GET /api/v0/processes/list`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// 1 to 10000, default 10.
    pub limit: Option<usize>,
    /// No cut.
    pub all: Option<bool>,
    /// `running`, `output_open`, `exited`; several with commas.
    pub state: Option<String>,
    /// Also those of the chat's descendants.
    pub descendants: Option<bool>,
}

impl ListQuery {
    /// The filter of the domain.
    pub fn check(&self) -> Result<crate::proc::table::Filter, ApiError> {
        let limit = self.limit.unwrap_or(10);
        if !(1..=10_000).contains(&limit) {
            return Err(invalid("limit", "not from 1 to 10000"));
        }
        let names = self.state.as_deref().unwrap_or_default();
        let states = names
            .split(',')
            .filter(|name| !name.is_empty())
            .map(|name| match name {
                "running" => Ok(State::Running),
                "output_open" => Ok(State::OutputOpen),
                "exited" => Ok(State::Exited),
                _ => Err(invalid("state", "expected running, output_open or exited")),
            });
        Ok(crate::proc::table::Filter {
            descendants: self.descendants.unwrap_or(false),
            states: states.collect::<Result<_, _>>()?,
            limit: (!self.all.unwrap_or(false)).then_some(limit),
        })
    }
}

/// Body of `POST /api/v0/processes/{id}/signal`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SignalBody {
    /// `kill`, `terminate`, a name with or without `SIG`, or a number from 1 to 64.
    pub signal: Option<SignalName>,
}

/// A signal.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged, expecting = "expected a name or a number")]
pub enum SignalName {
    /// By name.
    Name(String),
    /// By number.
    Number(i64),
}

impl SignalBody {
    /// Its number.
    pub fn check(self) -> Result<i32, ApiError> {
        let text = match self.signal {
            None => String::new(),
            Some(SignalName::Name(name)) => name,
            Some(SignalName::Number(number)) => number.to_string(),
        };
        if text.is_empty() {
            return Err(ApiError::bad_request(
                "signal_required",
                "Signal is required.",
            ));
        }
        signal_number(&text).ok_or_else(|| {
            ApiError::bad_request(
                "unsupported_signal",
                "Unsupported signal: send \"kill\", \"terminate\", a name as in SIGINT, or 1 to 64.",
            )
        })
    }
}

/// The number of a signal in the words of the compatible route, or by name.
pub fn signal_number(text: &str) -> Option<i32> {
    match text.to_ascii_lowercase().as_str() {
        "terminate" => Some(signals::TERM),
        _ => signals::number(text),
    }
}

/// An answer that has only a sentence.
#[derive(Debug, Serialize, ToSchema)]
pub struct MessageAnswer {
    /// The sentence.
    pub message: String,
}

/// Body of `POST /api/v0/processes/{id}/resize`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
pub struct SizeBody {
    /// 1 to 4096.
    pub rows: u16,
    /// 1 to 4096.
    pub cols: u16,
}

impl SizeBody {
    /// Rows and columns.
    pub fn check(self) -> Result<(u16, u16), ApiError> {
        Ok((side("rows", self.rows)?, side("cols", self.cols)?))
    }
}

/// Answer of `POST /api/v0/processes/{id}/stdin`.
#[derive(Debug, Serialize, ToSchema)]
pub struct StdinAnswer {
    /// Bytes that the process was given.
    pub written: u64,
    /// Whether the end of the input was sent.
    pub eof: bool,
}

/// Query of `POST /api/v0/processes/{id}/stdin`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct StdinQuery {
    /// Ends the input behind the body.
    pub eof: Option<bool>,
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
