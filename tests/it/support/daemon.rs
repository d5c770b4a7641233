//! The real daemon in directories of its own, and clients of it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{self, client::IntoClientRequest},
};

/// How long a test waits for something that should take milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// WebSocket of a test.
pub type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// State and runtime directories that may outlive one daemon.
#[derive(Clone, Debug)]
pub struct Home(Arc<TempDir>);

impl Home {
    /// Fresh and empty.
    pub fn new() -> Self {
        Self(Arc::new(
            tempfile::Builder::new()
                .prefix("deskd-test-")
                .tempdir()
                .expect("a directory"),
        ))
    }

    /// `--state-dir`
    pub fn state(&self) -> PathBuf {
        self.0.path().join("state")
    }

    /// `--runtime-dir`
    pub fn runtime(&self) -> PathBuf {
        self.0.path().join("run")
    }

    /// The directory around both, for files of the test.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

/// The program under test, with directories but without a word more.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
pub fn deskd(home: &Home) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deskd"));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null());
    command
}

/// `deskd serve` in the directories of `home` on a port of its own.
pub fn deskd_serve(home: &Home) -> Command {
    let mut command = deskd(home);
    command
        .args([
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--desktop-size",
            "1280x800",
        ])
        .arg("--state-dir")
        .arg(home.state())
        .arg("--runtime-dir")
        .arg(home.runtime());
    command
}

/// A running daemon. Dropping it stops it in order and waits.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    home: Home,
    /// `127.0.0.1:PORT`
    pub address: String,
    /// What stdout said up to readiness.
    pub announced: Vec<String>,
    http: reqwest::Client,
}

impl Daemon {
    /// Starts with further arguments and waits until it says that it listens.
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(&Home::new(), args)
    }

    /// Starts in directories that were used before.
    pub fn start_in(home: &Home, args: &[&str]) -> Self {
        Self::start_command(home, deskd_serve(home).args(args))
    }

    /// Starts a prepared command.
    pub fn start_command(home: &Home, command: &mut Command) -> Self {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(home.path().join("log"))
            .expect("a log file");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .expect("deskd starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let mut announced = Vec::new();
        for line in BufReader::new(stdout).lines() {
            let line = line.expect("a line of text");
            let last = line.starts_with("deskd viewer");
            announced.push(line);
            if last {
                break;
            }
        }
        let address = announced
            .iter()
            .find_map(|line| line.strip_prefix("deskd listening on http://"))
            .unwrap_or_else(|| panic!("deskd did not start: {}", read_log(home)))
            .to_owned();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let http = http.build().expect("a client");
        Self {
            child,
            home: home.clone(),
            address,
            announced,
            http,
        }
    }

    /// Its directories.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its token.
    pub fn token(&self) -> String {
        let text = fs::read_to_string(self.home.state().join("token")).expect("the token file");
        text.trim().to_owned()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        read_log(&self.home)
    }

    /// A request without a token.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http
            .request(method, format!("http://{}{path}", self.address))
            .timeout(PATIENCE * 2)
    }

    /// A request with the token.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(self.token())
    }

    /// GET with the token.
    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path)
            .send()
            .await
            .expect("an answer")
    }

    /// POST of a JSON body with the token.
    pub async fn post(&self, path: &str, body: Value) -> Response {
        self.request(Method::POST, path)
            .json(&body)
            .send()
            .await
            .expect("an answer")
    }

    /// POST of an action of the compatible route; panics with the answer unless it is 200.
    pub async fn action(&self, body: Value) -> Value {
        let (status, answer) = json(self.post("/api/v0/desktop/action", body.clone()).await).await;
        assert_eq!(status, 200, "{body} gave {answer}");
        answer
    }

    /// `GET /api/v0/desktop`
    pub async fn desktop(&self) -> Value {
        json(self.get("/api/v0/desktop").await).await.1
    }

    /// Starts the desktop and answers its description.
    pub async fn started(&self) -> Value {
        let (status, body) = json(self.post("/api/v0/desktop/start", Value::Null).await).await;
        assert_eq!(status, 200, "{body}\n{}", self.log());
        body
    }

    /// A program on the desktop, not yet started.
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    pub async fn program(&self, program: &str) -> Command {
        let desktop = self.started().await;
        let mut command = Command::new(program);
        command
            .env("DISPLAY", desktop["display"].as_str().expect("a display"))
            .env(
                "XAUTHORITY",
                desktop["xauthority"].as_str().expect("an authority file"),
            )
            .env("LANG", "C.UTF-8")
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
    }

    /// A WebSocket with the token as subprotocol, or the HTTP answer that refused it.
    pub async fn websocket(&self, path: &str) -> Result<Socket, tungstenite::Error> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request()?;
        let protocols = format!("binary, deskd.bearer.{}", self.token());
        let value = protocols.parse().expect("a header value");
        request
            .headers_mut()
            .insert("sec-websocket-protocol", value);
        connect_async(request).await.map(|(socket, _)| socket)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        kill(pid, signal).expect("the daemon is there");
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("a child of ours")
    }

    /// Its exit status, if it has ended.
    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Kills the daemon as a crash would, and leaves what it had started alone.
    pub fn crash(mut self) -> Home {
        self.signal(Signal::SIGKILL);
        self.wait();
        self.home.clone()
    }

    /// Stops in order.
    pub fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.wait()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::SIGTERM);
            self.wait();
        }
        if std::thread::panicking() {
            eprintln!("log of the daemon:\n{}", self.log());
        }
    }
}

fn read_log(home: &Home) -> String {
    fs::read_to_string(home.path().join("log")).unwrap_or_default()
}

/// Status and JSON body.
pub async fn json(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    let text = response.text().await.expect("a whole body");
    let body = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not JSON: {text}"));
    (status, body)
}
