//! Wire types of processes: what clients send.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::error::ApiError,
    proc::{
        history::View,
        record::State,
        spec::{Limits, Program, Request, Terminal},
        table::Filter,
    },
    sys::signals,
};

/// Longest wait of a request, in milliseconds.
pub const LONGEST_WAIT: u64 = 14_400_000;
/// Longest client token, in bytes.
const TOKEN: usize = 512;

/// Body of `POST /api/v0/processes/start`. Exactly one of `command` and `argv`.
#[derive(Debug, Default, Deserialize, ToSchema)]
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
            id: None,
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
    #[param(inline)]
    pub stream: Option<StreamName>,
    /// Cursor.
    pub since: Option<u64>,
    /// 1024 to 32768, default 32768; with `since` 16 to 1048576, default 65536.
    #[param(minimum = 16, maximum = 1_048_576)]
    pub max_bytes: Option<usize>,
    /// Form of the answer.
    #[param(inline)]
    pub format: Option<OutputFormat>,
}

/// Query of `GET /api/v0/processes/list`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// 1 to 10000, default 10.
    #[param(minimum = 1, maximum = 10_000)]
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
    pub fn check(&self) -> Result<Filter, ApiError> {
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
        Ok(Filter {
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

/// Query of `POST /api/v0/processes/{id}/stdin`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct StdinQuery {
    /// Ends the input behind the body.
    pub eof: Option<bool>,
}
