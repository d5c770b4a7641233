//! The peers: `sandbox-agent` from npm and `swe-rex` from `PyPI`, fetched when they are asked for.

use std::{
    cell::RefCell,
    fs::{self, File},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
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

/// A running server of a peer, and a connection to it.
#[derive(Debug)]
struct Server {
    running: Running,
    address: String,
    client: RefCell<Client>,
    headers: &'static [(&'static str, &'static str)],
}

impl Server {
    /// Waits until it answers.
    fn start(
        mut command: std::process::Command,
        what: &str,
        port: u16,
        headers: &'static [(&'static str, &'static str)],
        alive: &str,
    ) -> Outcome<Self> {
        let running = Running(command.spawn()?);
        let address = format!("127.0.0.1:{port}");
        let client = until(what, PATIENCE, || {
            let mut client = Client::connect(&address, "").ok()?;
            let request = client.request("GET", alive, headers, "");
            client.expect(&request, 200).ok()?;
            Some(client)
        })?;
        Ok(Self {
            running,
            address,
            client: RefCell::new(client),
            headers,
        })
    }

    /// Takes a new connection: one that was idle for some seconds is closed by some of them.
    fn renew(&self) -> Outcome<()> {
        *self.client.borrow_mut() = Client::connect(&self.address, "")?;
        Ok(())
    }

    fn post(&self, path: &str, body: &Value) -> Outcome<(Duration, Value)> {
        let mut client = self.client.borrow_mut();
        let request = client.request("POST", path, self.headers, &body.to_string());
        let answer = client.expect(&request, 200)?;
        Ok((answer.taken, serde_json::from_slice(answer.body)?))
    }
}

/// A running `sandbox-agent`. It keeps 1 MiB of a command's output, and says that it left out the rest.
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
        }
        // Its package leaves that to a script of its own.
        fs::set_permissions(&binary, fs::Permissions::from_mode(0o755))?;
        let (home, port) = (place.folder("sandbox-agent-")?, free_port()?);
        let mut command = program(place, binary);
        command
            .args(["server", "--no-token", "--no-telemetry", "--port"])
            .arg(port.to_string())
            .env("HOME", &home)
            .stderr(File::create(home.join("log"))?);
        let server = Server::start(command, "sandbox-agent", port, &[], "/v1/processes")?;
        // Its own limits are 64 processes and 30 s.
        let limits = json!({
            "maxConcurrentProcesses": 2000, "defaultRunTimeoutMs": 600_000, "maxRunTimeoutMs": 600_000,
            "maxOutputBytes": 1 << 20, "maxLogBytesPerProcess": 10 << 20, "maxInputBytesPerRequest": 65_536,
        });
        server.post("/v1/processes/config", &limits)?;
        Ok(Self(server))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.0.running.pid()
    }

    /// `127.0.0.1:PORT`
    pub(crate) fn address(&self) -> &str {
        &self.0.address
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, argv: &[&str]) -> Outcome<Duration> {
        let body = json!({"command": argv[0], "args": &argv[1..], "timeoutMs": 600_000});
        let (taken, answer) = self.0.post("/v1/processes/run", &body)?;
        if answer["exitCode"] != 0 {
            return Err(format!("sandbox-agent: {answer:.200}").into());
        }
        Ok(taken)
    }

    /// Starts one and leaves it; its id.
    pub(crate) fn begin(&self, argv: &[&str]) -> Outcome<String> {
        let body = json!({"command": argv[0], "args": &argv[1..]});
        let (_, answer) = self.0.post("/v1/processes", &body)?;
        Ok(answer["id"].as_str().ok_or("no id")?.to_owned())
    }

    /// Kills it and waits for its end, in one request.
    pub(crate) fn kill(&self, id: &str) -> Outcome<Duration> {
        let path = format!("/v1/processes/{id}/kill?waitMs=10000");
        let (taken, answer) = self.0.post(&path, &json!({}))?;
        if answer["status"] != "exited" {
            return Err(format!("sandbox-agent: {answer:.200}").into());
        }
        Ok(taken)
    }
}

/// A running `swerex-remote`. It runs one command at a time and answers with all of its output; what goes on beside
/// belongs to a bash that it types to.
#[derive(Debug)]
pub(crate) struct SweRex(Server);

impl SweRex {
    /// Fetches it when that was not done before, and starts it with a session.
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
        let key: &[_] = &[("X-API-Key", "bench")];
        let server = Server::start(command, "swe-rex", port, key, "/is_alive")?;
        let session = json!({"session": "bench", "session_type": "bash", "startup_timeout": 30.0});
        server.post("/create_session", &session)?;
        Ok(Self(server))
    }

    /// Its process.
    pub(crate) fn pid(&self) -> u32 {
        self.0.running.pid()
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, argv: &[&str]) -> Outcome<Duration> {
        let (taken, answer) = self.0.post("/execute", &json!({"command": argv}))?;
        if answer["exit_code"] != 0 {
            return Err(format!("swe-rex: {answer:.200}").into());
        }
        Ok(taken)
    }

    /// Is ready after a time in which nobody asked it.
    pub(crate) fn renew(&self) -> Outcome<()> {
        self.0.renew()
    }

    /// Types a line to its bash and waits for the prompt; what it printed.
    pub(crate) fn type_line(&self, line: &str) -> Outcome<(Duration, String)> {
        let body = json!({
            "session": "bench", "action_type": "bash", "command": line, "check": "ignore", "timeout": 30.0,
        });
        let (taken, answer) = self.0.post("/run_in_session", &body)?;
        let text = answer["output"].as_str().ok_or("no output")?;
        Ok((taken, text.trim().to_owned()))
    }
}

fn succeed(status: std::process::ExitStatus, what: &str) -> Outcome<()> {
    if status.success() {
        return Ok(());
    }
    Err(format!("{what} ended with {status}").into())
}
