//! Commands that ask a running daemon, for people and scripts: a file a part of the API.

mod desktop;
mod exec;
mod files;
mod forward;
mod git;
mod mcp;
mod open;
mod operate;
mod print;
mod programs;
mod progress;

use std::process::ExitCode;

use clap::Subcommand;

use crate::{
    cli::complain,
    client::{Client, error::ClientError},
    config::{Environment, client::WhereError},
};

/// Commands that ask a running daemon.
#[derive(Debug, Subcommand)]
pub(super) enum Remote {
    /// Takes a picture of the desktop
    Screenshot(desktop::Screenshot),
    /// Writes the screen to a folder, a picture for each change
    Watch(desktop::Watch),
    /// Clicks at a place
    Click(desktop::Click),
    /// Types a text exactly
    Type(desktop::Type),
    /// Presses keys, as ctrl+s or Return
    Key(desktop::Key),
    /// Turns the wheel at a place
    Scroll(desktop::Scroll),
    /// Runs actions of a file as one unit
    Actions(desktop::Actions),
    /// Lists the windows
    Windows(desktop::Windows),
    /// Starts a program on the desktop
    Launch(programs::Launch),
    /// Prints what was copied on the desktop, or puts something there
    Clipboard(programs::Clipboard),
    /// Opens a local port for VNC programs
    Vnc(forward::Vnc),
    /// Opens the viewer in a browser
    Open(open::Open),
    /// Speaks the Model Context Protocol on standard input and output
    Mcp(mcp::Mcp),
    /// Runs a command, shows its output live, ends with its code
    Exec(exec::Exec),
    /// Lists processes
    Ps(exec::Ps),
    /// Ends a process, or sends it a signal
    Kill(exec::Kill),
    /// Prints what a process printed
    Logs(exec::Logs),
    /// Prints a file
    Read(files::Read),
    /// Makes standard input a file, whole or not at all
    Write(files::Write),
    /// Replaces a text in a file
    Edit(files::Edit),
    /// Lists a directory
    Ls(files::Ls),
    /// Finds files by name
    Find(files::Find),
    /// Finds lines in files
    Search(files::Search),
    /// Shows what changed in repositories
    Git(git::Git),
    /// Tells whether the daemon is ready, and where it listens
    Status(operate::Status),
    /// Tells the state of the desktop, starts or stops it, changes its size
    Desktop(operate::Desktop),
    /// Lists chats
    Chats(operate::Chats),
    /// Makes, lists and revokes tokens that may do less than the daemon's own
    Tokens(operate::Tokens),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum RemoteError {
    /// There is nobody to ask.
    #[error(transparent)]
    Where(#[from] WhereError),
    /// The request came to nothing.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A local file or stream.
    #[error("failed to {what}")]
    Local {
        /// What was tried, with its subject.
        what: String,
        /// Why.
        source: std::io::Error,
    },
    /// An argument that only the command understands.
    #[error("{0}")]
    Usage(String),
    /// It did not come out as it was meant to.
    #[error("{0}")]
    Failed(String),
}

impl RemoteError {
    fn local(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Local { what, source }
    }

    /// Nobody reads standard output any more.
    fn reader_gone() -> Self {
        Self::local("write to standard output")(std::io::ErrorKind::BrokenPipe.into())
    }

    /// Whether the reader of a pipe went away, as `head` does: nothing to say.
    fn is_reader_gone(&self) -> bool {
        matches!(self, Self::Local { source, .. } if source.kind() == std::io::ErrorKind::BrokenPipe)
    }

    fn code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::Where(_) => super::USAGE,
            Self::Client(_) | Self::Local { .. } | Self::Failed(_) => 1,
        }
    }
}

/// Runs one command to its end.
pub(super) fn run(command: Remote, environment: &Environment) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime
        .map_err(RemoteError::local("start"))
        .and_then(|runtime| {
            let result = runtime.block_on(dispatch(command, environment));
            // A read of standard input that is under way would be waited for.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(code) => code,
        Err(error) if error.is_reader_gone() => ExitCode::SUCCESS,
        Err(error) => {
            complain(&super::chain(&error));
            ExitCode::from(error.code())
        }
    }
}

async fn dispatch(command: Remote, environment: &Environment) -> Result<ExitCode, RemoteError> {
    let done = ExitCode::SUCCESS;
    match command {
        Remote::Screenshot(args) => args.run(environment).await.map(|()| done),
        Remote::Watch(args) => args.run(environment).await.map(|()| done),
        Remote::Click(args) => args.run(environment).await.map(|()| done),
        Remote::Type(args) => args.run(environment).await.map(|()| done),
        Remote::Key(args) => args.run(environment).await.map(|()| done),
        Remote::Scroll(args) => args.run(environment).await.map(|()| done),
        Remote::Actions(args) => args.run(environment).await.map(|()| done),
        Remote::Windows(args) => args.run(environment).await.map(|()| done),
        Remote::Vnc(args) => args.run(environment).await.map(|()| done),
        Remote::Mcp(args) => args.run(environment).await.map(|()| done),
        Remote::Exec(args) => args.run(environment).await,
        Remote::Ps(args) => args.run(environment).await.map(|()| done),
        Remote::Kill(args) => args.run(environment).await.map(|()| done),
        Remote::Logs(args) => args.run(environment).await.map(|()| done),
        Remote::Read(args) => args.run(environment).await.map(|()| done),
        Remote::Write(args) => args.run(environment).await.map(|()| done),
        Remote::Edit(args) => args.run(environment).await.map(|()| done),
        Remote::Ls(args) => args.run(environment).await.map(|()| done),
        Remote::Find(args) => args.run(environment).await.map(|()| done),
        Remote::Search(args) => args.run(environment).await,
        Remote::Launch(args) => args.run(environment).await.map(|()| done),
        Remote::Clipboard(args) => args.run(environment).await.map(|()| done),
        Remote::Open(args) => args.run(environment).await.map(|()| done),
        Remote::Git(args) => args.run(environment).await.map(|()| done),
        Remote::Status(args) => args.run(environment).await.map(|()| done),
        Remote::Desktop(args) => args.run(environment).await.map(|()| done),
        Remote::Chats(args) => args.run(environment).await.map(|()| done),
        Remote::Tokens(args) => args.run(environment).await.map(|()| done),
    }
}

/// A list in an answer; empty when there is none.
fn list<'a>(answer: &'a serde_json::Value, name: &str) -> &'a [serde_json::Value] {
    let list = answer[name].as_array();
    list.map(Vec::as_slice).unwrap_or_default()
}

/// A value of a query.
fn encoded(value: &[u8]) -> String {
    percent_encoding::percent_encode(value, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A route with those parameters that are given.
fn with_query(route: &str, parameters: &[(&str, Option<String>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| {
        let value = value.as_ref()?;
        Some(format!("{name}={}", encoded(value.as_bytes())))
    });
    format!("{route}?{}", given.collect::<Vec<_>>().join("&"))
}

/// A path as the value of a query: absolute, from the working directory, `..` left for the daemon to follow.
fn encoded_path(path: &std::path::Path) -> Result<String, RemoteError> {
    use std::os::unix::ffi::OsStrExt;
    Ok(encoded(absolute(path)?.as_os_str().as_bytes()))
}

fn absolute(path: &std::path::Path) -> Result<std::path::PathBuf, RemoteError> {
    std::path::absolute(path).map_err(RemoteError::local(format!("find {}", path.display())))
}

/// The client of a command's flags.
fn client(
    args: &crate::config::client::ClientArgs,
    environment: &Environment,
) -> Result<Client, RemoteError> {
    Ok(args.client(environment)?)
}
