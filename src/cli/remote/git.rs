//! Repositories, as `git` itself would show them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use futures_util::StreamExt;
use hyper::Method;
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::{RemoteError, client, encoded_path, print, with_query};
use crate::{
    cli::complain,
    client::{error::ClientError, whole},
    config::{Environment, client::ClientArgs},
    sys::descriptor,
};

/// `deskd git`
#[derive(Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(in crate::cli) struct Git {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Tells what changes, as it changes, until it is interrupted
    Watch(Watch),
    /// Branch and changed files
    Status(Place),
    /// What differs from a commit
    Diff(Diff),
    /// Commits, the newest first
    Log(Log),
}

impl Git {
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        match self.command {
            Command::Watch(args) => args.run(environment).await,
            Command::Status(args) => args.run(environment).await,
            Command::Diff(args) => args.run(environment).await,
            Command::Log(args) => args.run(environment).await,
        }
    }
}

#[derive(Args, Debug)]
struct Place {
    /// In the repository
    #[arg(default_value = ".")]
    path: PathBuf,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Place {
    async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let route = format!("/api/v0/git/status?path={}", encoded_path(&self.path)?);
        let answer = client(&self.daemon, environment)?.get(&route).await?;
        if self.daemon.json {
            return print::json(&answer);
        }
        repository(&answer)
    }
}

/// A line for the repository, and one for each changed file in the letters of `git status --short`.
fn repository(of: &Value) -> Result<(), RemoteError> {
    let text = |value: &Value| print::plain(value.as_str().unwrap_or_default());
    let root = text(&of["repo_root"]);
    if of["removed"] == true {
        return print::line(&format!("## {root}: gone"));
    }
    let branch = match text(&of["branch"]) {
        branch if branch.is_empty() => format!("{:.12} (detached)", text(&of["head"])),
        branch => branch,
    };
    let mut line = format!("## {root}: {branch}");
    if of["upstream"].is_string() {
        line = format!(
            "{line}...{} [ahead {}, behind {}]",
            text(&of["upstream"]),
            of["ahead"],
            of["behind"]
        );
    }
    if of["operation"].is_string() {
        line = format!("{line} ({})", text(&of["operation"]));
    }
    print::line(&line)?;
    for file in super::list(of, "files") {
        print::line(&changed(file))?;
    }
    Ok(())
}

fn changed(file: &Value) -> String {
    let path = print::plain(file["path"].as_str().unwrap_or_default());
    let letters = match file["status"].as_str().unwrap_or_default() {
        "untracked" => "??".to_owned(),
        "conflicted" => "UU".to_owned(),
        status => {
            let letter = match status {
                "added" => 'A',
                "deleted" => 'D',
                "renamed" => 'R',
                "type_changed" => 'T',
                _ => 'M',
            };
            let shown = |flag: &str| if file[flag] == true { letter } else { ' ' };
            [shown("staged"), shown("unstaged")].iter().collect()
        }
    };
    match file["old_path"].as_str() {
        Some(old) => format!("{letters} {} -> {path}", print::plain(old)),
        None => format!("{letters} {path}"),
    }
}

#[derive(Args, Debug)]
struct Diff {
    /// In the repository
    #[arg(default_value = ".")]
    path: PathBuf,
    /// The index instead of the work tree
    #[arg(long)]
    staged: bool,
    /// Commit to compare with
    #[arg(long, default_value = "HEAD", value_name = "REVISION")]
    base: String,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Diff {
    async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let path = encoded_path(&self.path)?;
        let raw = (!self.daemon.json).then(|| "raw".to_owned());
        let rest = with_query(
            "",
            &[
                ("staged", Some(self.staged.to_string())),
                ("base", Some(self.base)),
                ("format", raw),
            ],
        );
        let route = format!("/api/v0/git/diff{rest}&path={path}");
        if self.daemon.json {
            return print::json(&client.get(&route).await?);
        }
        let mut answer = client.send(Method::GET, &route, &[], whole("")).await?;
        while let Some(bytes) = answer.chunk().await? {
            print::bytes(&bytes)?;
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
struct Log {
    /// In the repository
    #[arg(default_value = ".")]
    path: PathBuf,
    /// At most so many
    #[arg(short = 'n', long, default_value = "20", value_name = "COMMITS")]
    limit: u32,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Log {
    async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let path = encoded_path(&self.path)?;
        let route = format!("/api/v0/git/log?limit={}&path={path}", self.limit);
        let answer = client(&self.daemon, environment)?.get(&route).await?;
        if self.daemon.json {
            return print::json(&answer);
        }
        let text = |value: &Value| print::plain(value.as_str().unwrap_or_default());
        for commit in super::list(&answer, "commits") {
            print::line(&format!(
                "{:.12} {:.10} {}: {}",
                text(&commit["id"]),
                text(&commit["author"]["time"]),
                text(&commit["author"]["name"]),
                text(&commit["subject"])
            ))?;
        }
        Ok(())
    }
}

#[derive(Args, Debug)]
struct Watch {
    /// In the repositories to watch, besides those in which the chat works
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,
    /// Show the diff as well
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Watch {
    /// With `--json` each message of the daemon in a line of its own.
    async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let paths = self.paths.iter().map(|path| encoded_path(path));
        let paths = paths.collect::<Result<Vec<_>, _>>()?.join("&path=");
        let client = client(&self.daemon, environment)?;
        let route = format!("/api/v0/git/watch?path={paths}");
        let mut socket = client.websocket(&route).await?;
        let mut reader_gone = std::pin::pin!(descriptor::reader_of_output_gone());
        loop {
            let message = tokio::select! {
                message = socket.next() => message,
                () = &mut reader_gone => return Err(RemoteError::reader_gone()),
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    let told = serde_json::from_str(&text).map_err(ClientError::NotJson)?;
                    self.tell(&told)?;
                }
                Some(Ok(Message::Close(frame))) => return Err(closed(frame)),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(ClientError::Socket(Box::new(error)).into()),
                None => return Err(closed(None)),
            }
        }
    }

    fn tell(&self, told: &Value) -> Result<(), RemoteError> {
        if self.daemon.json {
            return print::row(told);
        }
        for error in super::list(told, "errors") {
            let (root, message) = (error["repo_root"].as_str(), error["message"].as_str());
            complain(&print::plain(&format!(
                "{}: {}",
                root.unwrap_or_default(),
                message.unwrap_or_default()
            )));
        }
        for changed in super::list(told, "repositories") {
            repository(changed)?;
            if let Some(diff) = changed["unified_diff"].as_str().filter(|_| self.diff) {
                print::bytes(diff.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn closed(frame: Option<tokio_tungstenite::tungstenite::protocol::CloseFrame>) -> RemoteError {
    let reason = frame.map(|frame| frame.reason.to_string());
    ClientError::Closed {
        reason: reason.unwrap_or_default(),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn letters_are_those_of_git() {
        for (file, line) in [
            (
                json!({"path": "a", "status": "modified", "unstaged": true}),
                " M a",
            ),
            (
                json!({"path": "a", "status": "added", "staged": true}),
                "A  a",
            ),
            (
                json!({"path": "\u{1b}[2J", "status": "untracked"}),
                "?? \\u{1b}[2J",
            ),
            (
                json!({"path": "b", "old_path": "a", "status": "renamed", "staged": true}),
                "R  a -> b",
            ),
        ] {
            assert_eq!(changed(&file), line);
        }
    }
}
