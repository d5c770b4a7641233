//! Processes: run, list, end, and what they print.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use hyper::Method;
use serde_json::{Value, json};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{Signal, SignalKind, signal},
};
use tokio_tungstenite::tungstenite::Message;

use super::{RemoteError, absolute, client, print};
use crate::{
    cli::complain,
    client::{Client, Socket, error::ClientError, whole},
    config::{Environment, client::ClientArgs},
    sys::{descriptor, pty, signals},
};

const ROUTE: &str = "/api/v0/processes";
/// Channels of the bytes of an attached process: its first byte.
const STDIN: u8 = 0;
const STDERR: u8 = 2;

/// `deskd exec`
#[derive(Args, Debug)]
pub(in crate::cli) struct Exec {
    /// Give it our standard input
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal as large as ours; for editors, shells, and whatever asks
    #[arg(short, long, conflicts_with = "detach")]
    tty: bool,
    /// Working directory [default: that of the daemon]
    #[arg(long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// Variable of its environment; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// End it after so many seconds
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<f64>,
    /// Print its id and let it run
    #[arg(long, conflicts_with = "interactive")]
    detach: bool,
    /// Program and arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    argv: Vec<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Exec {
    pub(super) async fn run(self, environment: &Environment) -> Result<ExitCode, RemoteError> {
        let client = client(&self.daemon, environment)?;
        let body = self.body(environment)?;
        let started = client.post(&format!("{ROUTE}/start"), &body).await?;
        let id = started["id"].as_str().unwrap_or_default().to_owned();
        if self.detach {
            if self.daemon.json {
                print::json(&started)?;
            } else {
                print::line(&id)?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        let path = format!("{ROUTE}/{id}/attach?since=0");
        let socket = client.websocket(&path).await?;
        let ending = {
            let raw = if self.tty { Some(raw()?) } else { None };
            let input = if raw.is_some() {
                Input::Keys
            } else if self.interactive {
                Input::Bytes
            } else {
                Input::Nothing
            };
            follow(socket, input, None).await
        };
        if ending.as_ref().is_err_and(RemoteError::is_reader_gone) {
            // As a pipe would: nobody reads, so nobody need write.
            let path = format!("{ROUTE}/{id}/signal");
            client.post(&path, &json!({"signal": "kill"})).await?;
        }
        let ending = ending?;
        if self.daemon.json {
            print::error_bytes(format!("{ending:#}\n").as_bytes())?;
        }
        Ok(code_of(&ending))
    }

    fn body(&self, environment: &Environment) -> Result<Value, RemoteError> {
        let mut env = BTreeMap::new();
        for pair in &self.env {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| RemoteError::Usage(format!("--env {pair}: expected NAME=VALUE")))?;
            env.insert(name, value);
        }
        let mut body = json!({
            "argv": self.argv,
            "env": env,
            "stdin": if self.interactive { "pipe" } else { "null" },
            "stderr": "separate",
            "background": self.detach,
        });
        if self.tty {
            let (rows, columns) = pty::size(std::io::stdin()).map_err(no_terminal)?;
            // A terminal that says nothing of its size is not one without any.
            let term = environment.get("TERM").map(|term| term.to_string_lossy());
            let term = term.unwrap_or("xterm-256color".into());
            body["pty"] = json!({"rows": rows.max(1), "cols": columns.max(1), "term": term});
            for part in ["stdin", "stderr"] {
                body.as_object_mut().expect("an object").remove(part);
            }
        }
        if let Some(workdir) = &self.workdir {
            body["workdir"] = json!(absolute(workdir)?);
        }
        if let Some(seconds) = self.timeout {
            let limit = std::time::Duration::try_from_secs_f64(seconds)
                .map_err(|error| RemoteError::Usage(format!("--timeout {seconds}: {error}")))?;
            body["timeout_ms"] = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).into();
        }
        Ok(body)
    }
}

/// The code that a shell would give: its own, or 128 and the number of the signal that ended it.
fn code_of(ending: &Value) -> ExitCode {
    let signal = ending["ending"]["signal"].as_str();
    let code = match signal.and_then(signals::number) {
        Some(signal) => Some(128 + i64::from(signal)),
        None => ending["exit_code"].as_i64(),
    };
    let code = code.and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Our terminal, raw until this is dropped.
fn raw() -> Result<pty::Raw<std::io::Stdin>, RemoteError> {
    pty::raw(std::io::stdin()).map_err(no_terminal)
}

fn no_terminal(_: std::io::Error) -> RemoteError {
    RemoteError::Usage("--tty needs a terminal as standard input".to_owned())
}

/// What of our standard input goes to the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Nothing,
    /// What comes, and its end.
    Bytes,
    /// What is typed; there the terminal decides what is an interruption. Its size goes along.
    Keys,
}

/// Signals that we pass on, and the size of our terminal.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    resize: Signal,
    /// How often we were interrupted.
    interrupts: u32,
}

impl Signals {
    fn new() -> Result<Self, RemoteError> {
        let listen = |kind| signal(kind).map_err(RemoteError::local("listen for signals"));
        Ok(Self {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hang_up: listen(SignalKind::hangup())?,
            resize: listen(SignalKind::window_change())?,
            interrupts: 0,
        })
    }

    /// The next order to the process. A program that goes on after two interruptions is ended by the third.
    async fn order(&mut self) -> Message {
        let name = tokio::select! {
            _ = self.interrupt.recv() => {
                self.interrupts += 1;
                if self.interrupts < 3 { "INT" } else { "KILL" }
            }
            _ = self.terminate.recv() => "TERM",
            _ = self.hang_up.recv() => "HUP",
            _ = self.resize.recv() => {
                let (rows, columns) = pty::size(std::io::stdin()).unwrap_or((24, 80));
                let size = json!({"resize": {"rows": rows.max(1), "cols": columns.max(1)}});
                return Message::Text(size.to_string().into());
            }
        };
        Message::Text(json!({"signal": name}).to_string().into())
    }
}

/// Prints what comes until the process has ended, or `until` bytes have; its ending, if it came.
///
/// Without `until` what interrupts us goes to it, so that it decides. Ends when nobody reads what we print.
async fn follow(socket: Socket, input: Input, until: Option<u64>) -> Result<Value, RemoteError> {
    let (mut sink, mut stream) = socket.split();
    let mut typed = vec![0; 64 << 10];
    let mut stdin = (input != Input::Nothing).then(tokio::io::stdin);
    let mut signals = until.is_none().then(Signals::new).transpose()?;
    let mut reader_gone = std::pin::pin!(descriptor::reader_of_output_gone());
    let mut left = until;
    while left != Some(0) {
        let reading = async {
            match &mut stdin {
                Some(stdin) => stdin.read(&mut typed).await,
                None => std::future::pending().await,
            }
        };
        let passing = async {
            match &mut signals {
                Some(signals) => signals.order().await,
                None => std::future::pending().await,
            }
        };
        let order = tokio::select! {
            message = stream.next() => {
                match take(message)? {
                    Event::Bytes(size) => left = left.map(|left| left.saturating_sub(size)),
                    Event::Ending(ending) => return Ok(ending),
                }
                continue;
            }
            size = reading => match size.unwrap_or(0) {
                0 => {
                    stdin = None;
                    Message::Text(r#"{"eof":true}"#.into())
                }
                size => Message::Binary([&[STDIN], &typed[..size]].concat().into()),
            },
            () = &mut reader_gone => return Err(RemoteError::reader_gone()),
            order = passing => order,
        };
        sink.send(order).await.map_err(broken)?;
    }
    Ok(Value::Null)
}

/// What a message of the daemon brought.
enum Event {
    /// So many bytes of output, shown or lost.
    Bytes(u64),
    /// The process has ended.
    Ending(Value),
}

fn take(
    message: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
) -> Result<Event, RemoteError> {
    let closed = |reason: String| Err(ClientError::Closed { reason }.into());
    match message {
        Some(Ok(Message::Binary(frame))) => show(&frame).map(Event::Bytes),
        Some(Ok(Message::Text(text))) => Ok(told(&text)),
        Some(Ok(Message::Close(frame))) => closed(
            frame
                .map(|frame| frame.reason.to_string())
                .unwrap_or_default(),
        ),
        Some(Ok(_)) => Ok(Event::Bytes(0)),
        Some(Err(error)) => Err(broken(error)),
        None => closed(String::new()),
    }
}

fn told(text: &str) -> Event {
    let event: Value = serde_json::from_str(text).unwrap_or_default();
    if let Some(exit) = event.get("exit") {
        return Event::Ending(exit.clone());
    }
    if let Some(gap) = event.get("gap") {
        let at = |name: &str| gap[name].as_u64().unwrap_or(0);
        let lost = at("to").saturating_sub(at("from"));
        complain(&format!("{lost} bytes of output are no longer kept"));
        return Event::Bytes(lost);
    }
    if let Some(error) = event.get("error") {
        complain(error["message"].as_str().unwrap_or_default());
    }
    Event::Bytes(0)
}

fn broken(error: tokio_tungstenite::tungstenite::Error) -> RemoteError {
    ClientError::Socket(Box::new(error)).into()
}

/// Writes the bytes of a frame where they belong; how many there were.
fn show(frame: &[u8]) -> Result<u64, RemoteError> {
    let Some((channel, bytes)) = frame.split_first() else {
        return Ok(0);
    };
    if *channel == STDERR {
        print::error_bytes(bytes)?;
    } else {
        print::bytes(bytes)?;
    }
    Ok(u64::try_from(bytes.len()).expect("a length fits"))
}

/// `deskd ps`
#[derive(Args, Debug)]
pub(in crate::cli) struct Ps {
    /// Those that have ended, too
    #[arg(short, long)]
    all: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Ps {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let state = if self.all { "" } else { "&state=running" };
        let path = format!("{ROUTE}/list?all=true{state}");
        let answer = client(&self.daemon, environment)?.get(&path).await?;
        if self.daemon.json {
            return print::json(&answer);
        }
        let processes = answer["processes"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let row = |process: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let ending = &process["ending"];
            let state = match (ending["code"].as_i64(), ending["signal"].as_str()) {
                (Some(code), _) => format!("exited {code}"),
                (None, Some(signal)) => signal.to_owned(),
                (None, None) => text(&process["state"]),
            };
            let id = process["id"].as_str().unwrap_or_default().to_owned();
            let command = print::plain(process["command"].as_str().unwrap_or_default());
            vec![id, process["pid"].to_string(), state, command]
        };
        print::table(&processes.iter().map(row).collect::<Vec<_>>())
    }
}

/// `deskd kill`
#[derive(Args, Debug)]
pub(in crate::cli) struct Kill {
    /// Id of the process
    id: String,
    /// Signal instead of an end of it and all that it started
    #[arg(short, long, default_value = "kill")]
    signal: String,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Kill {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let path = format!("{ROUTE}/{}/signal", super::encoded(self.id.as_bytes()));
        let client = client(&self.daemon, environment)?;
        let answer = client.post(&path, &json!({"signal": self.signal})).await?;
        if self.daemon.json {
            print::json(&answer)
        } else {
            Ok(())
        }
    }
}

/// `deskd logs`
#[derive(Args, Debug)]
pub(in crate::cli) struct Logs {
    /// Id of the process
    id: String,
    /// Go on until it has ended
    #[arg(short, long)]
    follow: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Logs {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client: Client = client(&self.daemon, environment)?;
        let path = format!("{ROUTE}/{}", super::encoded(self.id.as_bytes()));
        if self.daemon.json {
            let wait = if self.follow { "?wait=true" } else { "" };
            return print::json(&client.get(&format!("{path}/output{wait}")).await?);
        }
        let answer = client.send(Method::GET, &path, &[], whole("")).await?;
        let process = answer.json().await?;
        let bytes = |name: &str| process[name].as_u64().unwrap_or(0);
        let there = bytes("stdout_bytes") + bytes("stderr_bytes");
        let until = (!self.follow).then_some(there);
        let socket = client.websocket(&format!("{path}/attach?since=0")).await?;
        // Whoever interrupts a look at a process does not mean the process.
        follow(socket, Input::Nothing, until.or(Some(u64::MAX)))
            .await
            .map(drop)
    }
}
