//! The release daemon, as users run it, in folders of its own.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{ChildStdout, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Outcome,
    cleanup::Place,
    display::Display,
    http::Client,
    process::{Running, program},
};

/// A running daemon. Dropping it stops it in order.
#[derive(Debug)]
pub(crate) struct Daemon {
    running: Running,
    folder: PathBuf,
    /// Open as long as the daemon may say something.
    _stdout: BufReader<ChildStdout>,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    /// From before its start until it said that it listens.
    pub(crate) started: Duration,
}

impl Daemon {
    /// Starts it with a desktop of this size, `WxH`.
    pub(crate) fn start(place: &Place, size: &str) -> Outcome<Self> {
        let folder = place.folder("daemon-")?;
        let mut command = program(place, place.daemon());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--desktop-size", size])
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--runtime-dir")
            .arg(folder.join("run"))
            .env("HOME", &folder)
            .env_remove("RUST_LOG")
            .stdout(Stdio::piped())
            .stderr(File::create(folder.join("log"))?);
        let start = Instant::now();
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or("stdout is piped")?;
        let running = Running(child);
        let mut line = String::new();
        let mut stdout = BufReader::new(stdout);
        stdout.read_line(&mut line)?;
        let started = start.elapsed();
        let Some(address) = line.trim().strip_prefix("deskd listening on http://") else {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            return Err(format!("the daemon said {line:?}: {log}").into());
        };
        Ok(Self {
            running,
            address: address.to_owned(),
            folder,
            started,
            _stdout: stdout,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// Its token.
    pub(crate) fn token(&self) -> Outcome<String> {
        let token = fs::read_to_string(self.folder.join("state/token"))?;
        Ok(token.trim().to_owned())
    }

    /// The RFB socket of its desktop.
    pub(crate) fn rfb(&self) -> Outcome<PathBuf> {
        fs::read_dir(self.folder.join("run"))?
            .flatten()
            .map(|entry| entry.path().join("rfb.sock"))
            .find(|path| path.exists())
            .ok_or_else(|| "the desktop has no RFB socket".into())
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::connect(&self.address, &self.token()?)
    }

    /// Starts the desktop, and connects to its X server.
    pub(crate) fn desktop(&self) -> Outcome<Display> {
        let mut client = self.client()?;
        let start = client.post("/api/v0/desktop/start", "");
        let body: Value = serde_json::from_slice(client.expect(&start, 200)?.body)?;
        let display = body["display"].as_str().ok_or("no display")?;
        let authority = body["xauthority"].as_str().map(Path::new);
        Display::connect(display, authority)
    }
}
