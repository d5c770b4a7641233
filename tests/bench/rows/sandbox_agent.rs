//! The peer `sandbox-agent`, fetched from npm, with the X server that it starts itself.

use std::{
    cell::RefCell,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    cleanup::Place,
    display::Display,
    http::{Client, Request},
    process::{Running, program, until},
};

/// The version that is measured.
const PACKAGE: &str = "@sandbox-agent/cli@0.4.2";

/// A running server of it.
#[derive(Debug)]
pub(super) struct SandboxAgent {
    _running: Running,
    address: String,
    client: RefCell<Client>,
}

impl SandboxAgent {
    /// Fetches it when that was not done before, and starts it.
    pub(super) fn start(place: &Place) -> Outcome<Self> {
        let binary = fetch(place)?;
        let home = place.folder("sandbox-agent-")?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let mut command = program(place, binary);
        command
            .args(["server", "--no-token", "--no-telemetry", "--port"])
            .arg(address.port().to_string())
            .env("HOME", &home)
            .stderr(File::create(home.join("log"))?);
        let running = Running(command.spawn()?);
        let address = address.to_string();
        let client = until("sandbox-agent", Duration::from_secs(20), || {
            Client::connect(&address, "").ok()
        })?;
        Ok(Self {
            _running: running,
            client: RefCell::new(client),
            address,
        })
    }

    /// Starts its desktop: how long that took, and its display.
    pub(super) fn desktop(&self) -> Outcome<(Duration, String)> {
        let mut client = self.client.borrow_mut();
        let start = client.post("/v1/desktop/start", r#"{"width":1280,"height":800}"#);
        let answer = client.expect(&start, 200)?;
        let body: serde_json::Value = serde_json::from_slice(answer.body)?;
        let display = body["display"]
            .as_str()
            .ok_or("sandbox-agent names no display")?;
        Ok((answer.taken, display.to_owned()))
    }

    /// Stops its desktop.
    pub(super) fn stop(&self) -> Outcome<()> {
        let mut client = self.client.borrow_mut();
        let stop = client.post("/v1/desktop/stop", "");
        client.expect(&stop, 200)?;
        Ok(())
    }

    /// The desktop, started, with our own connection to it.
    pub(super) fn display(&self) -> Outcome<Display> {
        let (_, name) = self.desktop()?;
        let display = Display::connect(&name, None)?;
        display.window_manager(Duration::from_secs(10))?;
        Ok(display)
    }

    /// A left click.
    pub(super) fn click(&self, x: i16, y: i16) -> Outcome<Duration> {
        let body = format!(r#"{{"x":{x},"y":{y}}}"#);
        let request = self.client.borrow().post("/v1/desktop/mouse/click", &body);
        Ok(self.send(&request)?.0)
    }

    /// A picture, and its bytes.
    pub(super) fn picture(&self, query: &str) -> Outcome<(Duration, usize)> {
        let path = format!("/v1/desktop/screenshot{query}");
        let request = self.client.borrow().get(&path);
        self.send(&request)
    }

    /// From nothing to the first picture: desktop and picture in two calls, as it wants.
    pub(super) fn first_picture(&self) -> Outcome<Duration> {
        let begin = Instant::now();
        self.desktop()?;
        self.picture("")?;
        Ok(begin.elapsed())
    }

    fn send(&self, request: &Request) -> Outcome<(Duration, usize)> {
        let mut client = self.client.borrow_mut();
        match client.expect(request, 200) {
            Ok(answer) => Ok((answer.taken, answer.body.len())),
            Err(error) => {
                let message = format!("sandbox-agent: {error}");
                // What broke off may have left half an answer.
                let _ = Client::connect(&self.address, "").map(|fresh| *client = fresh);
                Err(message.into())
            }
        }
    }
}

fn fetch(place: &Place) -> Outcome<PathBuf> {
    let cache = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-peers");
    let binary = cache.join("node_modules/@sandbox-agent/cli-linux-x64/bin/sandbox-agent");
    if !binary.exists() {
        eprintln!("fetching {PACKAGE}");
        fs::create_dir_all(&cache)?;
        let mut npm = program(place, "npm");
        npm.args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ])
        .arg(&cache)
        .arg(PACKAGE);
        let status = npm.status()?;
        if !status.success() {
            return Err(format!("npm install {PACKAGE} ended with {status}").into());
        }
        let mut run_bit = program(place, "chmod");
        run_bit.arg("+x").arg(&binary).status()?;
    }
    Ok(binary)
}
