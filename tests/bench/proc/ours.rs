//! The daemon under test, without a desktop.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{ChildStdout, Stdio},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
    process::{Running, program},
};

/// A running daemon. Dropping it stops it in order.
#[derive(Debug)]
pub(crate) struct Ours {
    running: Running,
    /// Open as long as the daemon may say something.
    _stdout: BufReader<ChildStdout>,
    address: String,
    token: PathBuf,
}

impl Ours {
    /// Starts it, and its keeper with a first command.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        let folder = place.folder("daemon-")?;
        let mut command = program(place, place.daemon());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--desktop", "off"])
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--runtime-dir")
            .arg(folder.join("run"))
            .env("HOME", &folder)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?);
        let mut child = command.spawn()?;
        let mut stdout = BufReader::new(child.stdout.take().ok_or("stdout is piped")?);
        let running = Running(child);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line.trim().strip_prefix("deskd listening on http://");
        let ours = Self {
            address: address.ok_or("the daemon does not listen")?.to_owned(),
            token: folder.join("state/token"),
            running,
            _stdout: stdout,
        };
        ours.client()?.run(&json!({"argv": ["true"]}))?;
        Ok(ours)
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Outcome<Commands> {
        let token = fs::read_to_string(&self.token)?;
        Ok(Commands(Client::connect(&self.address, token.trim())?))
    }

    /// Daemon and keeper.
    pub(crate) fn pids(&self) -> Outcome<(u32, u32)> {
        let daemon = self.running.pid();
        for task in fs::read_dir(format!("/proc/{daemon}/task"))? {
            let children = fs::read_to_string(task?.path().join("children"))?;
            if let Some(keeper) = children.split_whitespace().next() {
                return Ok((daemon, keeper.parse()?));
            }
        }
        Err("the daemon has no keeper".into())
    }
}

/// Calls of the process routes on one kept connection.
#[derive(Debug)]
pub(crate) struct Commands(Client);

impl Commands {
    /// Starts a command, and gives its id.
    pub(crate) fn begin(&mut self, body: &Value) -> Outcome<String> {
        let request = self.0.post("/api/v0/processes/start", &body.to_string());
        let answer: Value = serde_json::from_slice(self.0.expect(&request, 200)?.body)?;
        Ok(answer["id"].as_str().ok_or("no id")?.to_owned())
    }

    /// Starts a command and waits for its end in one request; how long that took, and the result.
    pub(crate) fn run(&mut self, body: &Value) -> Outcome<(Duration, Value)> {
        let mut body = body.clone();
        body["wait_ms"] = 600_000.into();
        let request = self.0.post("/api/v0/processes/start", &body.to_string());
        let answer = self.0.expect(&request, 200)?;
        let taken = answer.taken;
        let answer: Value = serde_json::from_slice(answer.body)?;
        Ok((taken, answer["result"].clone()))
    }

    /// Waits for the end.
    pub(crate) fn wait(&mut self, id: &str) -> Outcome<Value> {
        let path = format!("/api/v0/processes/{id}/output?wait=true");
        let request = self.0.get(&path);
        Ok(serde_json::from_slice(self.0.expect(&request, 200)?.body)?)
    }

    /// Kills all members.
    pub(crate) fn kill(&mut self, id: &str) -> Outcome<()> {
        let path = format!("/api/v0/processes/{id}/signal");
        let request = self.0.post(&path, r#"{"signal":"kill"}"#);
        self.0.expect(&request, 200)?;
        Ok(())
    }
}
