//! The daemon under test, without a desktop.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::Path,
    process::{ChildStdout, Stdio},
};

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
    process::{Running, program},
};

/// A running daemon. Dropping it stops it in order.
#[derive(Debug)]
pub(crate) struct Served {
    running: Running,
    /// Open as long as the daemon may say something.
    _stdout: BufReader<ChildStdout>,
    /// `127.0.0.1:PORT`
    pub(crate) address: String,
    pub(crate) token: String,
}

impl Served {
    /// Starts it in a folder of its own, and waits until it listens.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        Self::start_in(place, &place.folder("daemon-")?)
    }

    /// Starts it in a folder where one may have been before.
    pub(crate) fn start_in(place: &Place, folder: &Path) -> Outcome<Self> {
        let mut command = program(place, place.daemon());
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--desktop", "off"])
            .arg("--state-dir")
            .arg(folder.join("state"))
            .arg("--runtime-dir")
            .arg(folder.join("run"))
            .env("HOME", folder)
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
            running,
            _stdout: stdout,
            address,
            token: token.trim().to_owned(),
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::connect(&self.address, &self.token)
    }
}
