//! The daemon under test, and those who watch through it.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{ChildStdout, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    Message, WebSocket, client::IntoClientRequest, handshake::client::Request,
};

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
    /// Starts it without a desktop.
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
        Ok(Self {
            address: address.ok_or("the daemon does not listen")?.to_owned(),
            token: folder.join("state/token"),
            running,
            _stdout: stdout,
        })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.running.pid()
    }

    fn token(&self) -> Outcome<String> {
        Ok(fs::read_to_string(&self.token)?.trim().to_owned())
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Outcome<Client> {
        Client::connect(&self.address, &self.token()?)
    }

    /// One who watches a repository, with the first message behind it.
    pub(crate) fn watch(&self, repository: &Path) -> Outcome<Watcher> {
        let url = format!(
            "ws://{}/api/v0/git/watch?path={}",
            self.address,
            repository.display()
        );
        let mut request: Request = url.into_client_request()?;
        let value = format!("Bearer {}", self.token()?).parse()?;
        request.headers_mut().insert("authorization", value);
        let stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let (socket, _) = tokio_tungstenite::tungstenite::client(request, stream)
            .map_err(|error| error.to_string())?;
        let mut watcher = Watcher(socket);
        watcher.entry()?;
        Ok(watcher)
    }
}

/// One who watches.
pub(crate) struct Watcher(WebSocket<TcpStream>);

impl Watcher {
    /// The next message.
    pub(crate) fn next(&mut self) -> Outcome<Value> {
        loop {
            if let Message::Text(text) = self.0.read()? {
                return Ok(serde_json::from_str(&text)?);
            }
        }
    }

    /// The first entry of the next message that has one.
    pub(crate) fn entry(&mut self) -> Outcome<Value> {
        loop {
            let mut message = self.next()?;
            if !message["repositories"][0].is_null() {
                return Ok(message["repositories"][0].take());
            }
        }
    }
}
