//! The peers: `sandbox-agent` from npm and `swe-rex` from `PyPI`, fetched when they are asked for.

use std::{
    cell::RefCell,
    fs::{self, File},
    net::TcpListener,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{
    Outcome,
    cleanup::Place,
    http::{Client, Request},
    process::{Running, program, until},
};

/// The versions that are measured.
const SANDBOX_AGENT: &str = "@sandbox-agent/cli@0.4.2";
const SWE_REX: &str = "swe-rex==1.4.0";

const PATIENCE: Duration = Duration::from_secs(30);

fn cache() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/bench-peers")
}

fn free_port() -> Outcome<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// A server that runs a command in one request.
#[derive(Debug)]
struct Server {
    _running: Running,
    client: RefCell<Client>,
    request: Request,
}

impl Server {
    fn run(&self) -> Outcome<Duration> {
        Ok(self.client.borrow_mut().expect(&self.request, 200)?.taken)
    }
}

/// A running `sandbox-agent`.
#[derive(Debug)]
pub(crate) struct SandboxAgent(Server);

impl SandboxAgent {
    /// Fetches it when that was not done before, and starts it.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        let binary = cache().join("node_modules/@sandbox-agent/cli-linux-x64/bin/sandbox-agent");
        if !binary.exists() {
            fs::create_dir_all(cache())?;
            let mut npm = program(place, "npm");
            npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"])
                .arg("--prefix")
                .args([cache().as_os_str(), SANDBOX_AGENT.as_ref()]);
            succeed(npm.status()?, SANDBOX_AGENT)?;
            program(place, "chmod").arg("+x").arg(&binary).status()?;
        }
        let (home, port) = (place.folder("sandbox-agent-")?, free_port()?);
        let mut command = program(place, binary);
        command
            .args(["server", "--no-token", "--no-telemetry", "--port"])
            .arg(port.to_string())
            .env("HOME", &home)
            .stderr(File::create(home.join("log"))?);
        let running = Running(command.spawn()?);
        let address = format!("127.0.0.1:{port}");
        let client = until("sandbox-agent", PATIENCE, || {
            Client::connect(&address, "").ok()
        })?;
        let request = client.post("/v1/processes/run", r#"{"command":"/bin/true","args":[]}"#);
        Ok(Self(Server {
            _running: running,
            client: RefCell::new(client),
            request,
        }))
    }

    /// Starts `true` and waits for it.
    pub(crate) fn run_true(&self) -> Outcome<Duration> {
        self.0.run()
    }
}

/// A running `swerex-remote`.
#[derive(Debug)]
pub(crate) struct SweRex(Server);

impl SweRex {
    /// Fetches it when that was not done before, and starts it.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        let environment = cache().join("swe-rex");
        let binary = environment.join("bin/swerex-remote");
        if !binary.exists() {
            fs::create_dir_all(cache())?;
            let mut venv = program(place, "python3");
            venv.args(["-m", "venv"]).arg(&environment);
            succeed(venv.status()?, "python3 -m venv")?;
            let mut pip = program(place, environment.join("bin/pip"));
            succeed(pip.args(["install", "-q", SWE_REX]).status()?, SWE_REX)?;
        }
        let (home, port) = (place.folder("swe-rex-")?, free_port()?);
        let mut command = program(place, binary);
        command
            .args(["--host", "127.0.0.1", "--auth-token", "bench", "--port"])
            .arg(port.to_string())
            .env("HOME", &home)
            .stderr(File::create(home.join("log"))?);
        let running = Running(command.spawn()?);
        let address = format!("127.0.0.1:{port}");
        let client = until("swe-rex", PATIENCE, || Client::connect(&address, "").ok())?;
        let headers = [("X-API-Key", "bench")];
        let body = r#"{"command":["/bin/true"]}"#;
        let request = client.request("POST", "/execute", &headers, body);
        Ok(Self(Server {
            _running: running,
            client: RefCell::new(client),
            request,
        }))
    }

    /// Starts `true` and waits for it.
    pub(crate) fn run_true(&self) -> Outcome<Duration> {
        self.0.run()
    }
}

fn succeed(status: std::process::ExitStatus, what: &str) -> Outcome<()> {
    if status.success() {
        return Ok(());
    }
    Err(format!("{what} ended with {status}").into())
}
