//! The daemon under test, without a desktop.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{BufRead, BufReader},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{ChildStdout, Stdio},
    time::Duration,
};

use serde_json::Value;

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
    process::{Running, peak, program, reset_peak, resident},
    wire::Wire,
};

/// A running daemon. Dropping it stops it in order.
#[derive(Debug)]
pub(crate) struct Ours {
    running: Running,
    /// Open as long as the daemon may say something.
    _stdout: BufReader<ChildStdout>,
    address: String,
    token: String,
}

impl Ours {
    /// Starts it.
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
        let address = address.ok_or("the daemon does not listen")?.to_owned();
        let token = fs::read_to_string(folder.join("state/token"))?;
        Ok(Self {
            address,
            token: token.trim().to_owned(),
            running,
            _stdout: stdout,
        })
    }

    /// A connection for requests and answers that fit into memory.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::connect(&self.address, &self.token)
    }

    /// A connection for streams.
    pub(crate) fn wire(&self) -> Outcome<Wire> {
        Wire::connect(&self.address, &self.token)
    }

    /// Sends JSON, wants this status, and gives what came back with the time it took.
    pub(crate) fn post(&self, path: &str, body: &Value, status: u16) -> Outcome<(Duration, Value)> {
        let mut client = self.client()?;
        let request = client.post(path, &body.to_string());
        let answer = client.expect(&request, status)?;
        Ok((answer.taken, serde_json::from_slice(answer.body)?))
    }

    /// How much more memory was resident at once during some work than before it, in MiB.
    pub(crate) fn growth(&self, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
        let pid = self.running.pid();
        reset_peak(pid)?;
        let before = resident(pid)?;
        work()?;
        Ok((peak(pid)? - before) / 1024.0)
    }
}

/// A path as a query has it.
pub(crate) fn query(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A path as JSON has it.
pub(crate) fn text(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("a path of ours is text")?)
}

/// A fresh name in a folder: nothing is there.
pub(crate) fn fresh(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let _ = fs::remove_file(&path);
    let _ = fs::remove_dir_all(&path);
    path
}
