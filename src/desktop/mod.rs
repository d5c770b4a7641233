//! The supervised desktop: an X server that speaks RFB, a window manager, and our own connections to both.
//!
//! [`Desktop`] is a handle; one task (`driver`) owns the desktop and follows this machine (`state`):
//!
//! ```text
//!            use, start                      launched
//!  Stopped ---------------> Starting --------------------------> Running
//!   ^   ^                   |  ^   ^                             |  |  |
//!   |   |              stop |  |   | pause over, use, start      |  |  +-- window manager died, connection broke:
//!   |   |                   |  |   |                             |  |      made anew alone, still Running
//!   |   | cleared           |  |   +--------------- Failed <-----+  |
//!   |   |                   v  | cleared, start        |   X server died
//!   |   +---------------- Stopping <---------------------------------+ stop, restart
//!   |                                                  |
//!   +--------------------------------------------------+ stop
//! ```
//!
//! - **Stopped** holds nothing: no process, no file.
//! - **Starting** holds a launch under way, or the adoption of a desktop that the last daemon left.
//! - **Running** holds the programs, the files and our connections, and how the window manager and the connections are.
//! - **Failed** holds when it is tried again: by itself after a pause (0.2 s, doubling to 10 s), with the next use, or,
//!   after five crashes within a minute, not before someone asks for a start.
//! - **Stopping** holds whether a start follows.

pub mod access;
pub mod application;
pub mod attach;
pub mod authority;
pub mod batch;
pub mod capture;
pub mod clipboard;
pub mod command;
mod driver;
pub mod encode;
pub mod errand;
pub mod error;
pub mod gate;
pub mod geometry;
pub mod input;
pub mod keys;
pub mod launch;
pub mod picture;
pub mod pixels;
pub mod provider;
pub mod readiness;
pub mod relay;
pub mod rfb;
pub mod session;
pub mod settle;
pub mod state;
pub mod viewers;
pub mod vocabulary;
pub mod windows;
pub mod x11;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::{
    attach::Attached,
    command::Environment,
    driver::{Command, Snapshot},
    geometry::Size,
    provider::Provider,
    readiness::Limits,
    state::{CRASHES, Phase, Refusal, Request, Retry, Verdict},
};
pub use self::{
    error::{DesktopError, StartError},
    provider::RfbAddress,
};
use crate::{shutdown::Shutdown, telemetry::Metrics};

/// When the desktop is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Never: every request is refused.
    Off,
    /// With its first use.
    Lazy,
    /// At once.
    Eager,
}

/// What to run, and where.
#[derive(Clone, Debug)]
pub struct Config {
    /// When.
    pub mode: Mode,
    /// Who runs it; `None` takes the first that this machine can run.
    pub provider: Option<Provider>,
    /// Size of the screen at the start.
    pub size: Size,
    /// Folder for logs and the record of the running desktop.
    pub state_dir: PathBuf,
    /// Folder for sockets and secrets.
    pub runtime_dir: PathBuf,
    /// The daemon's environment, of which programs get an allowed part.
    pub base_env: Vec<(OsString, OsString)>,
    /// Name or path of Xvnc.
    pub xvnc_bin: PathBuf,
    /// Name or path of the window manager, which must be openbox.
    pub window_manager_bin: PathBuf,
    /// Name or path of portabledesktop.
    pub portabledesktop_bin: PathBuf,
    /// Display of the existing desktop, for the provider `host`; `None` takes the one in `base_env`.
    pub host_display: Option<String>,
    /// RFB server of the existing desktop, if it has one.
    pub host_vnc: Option<SocketAddr>,
    /// How long a request waits for a desktop.
    pub wait: Duration,
    /// How long programs may take to end after TERM.
    pub stop_grace: Duration,
    /// After so long a held key or button is released.
    pub max_hold: Duration,
    /// How long each step of a start may take.
    pub limits: Limits,
}

impl Config {
    /// A lazy desktop of the usual size, by whatever is installed.
    pub fn new(
        state_dir: PathBuf,
        runtime_dir: PathBuf,
        base_env: Vec<(OsString, OsString)>,
    ) -> Self {
        Self {
            mode: Mode::Lazy,
            provider: None,
            size: Size {
                width: 1920,
                height: 1080,
            },
            state_dir,
            runtime_dir,
            base_env,
            xvnc_bin: "Xvnc".into(),
            window_manager_bin: "openbox".into(),
            portabledesktop_bin: "portabledesktop".into(),
            host_display: None,
            host_vnc: None,
            wait: Duration::from_secs(15),
            stop_grace: Duration::from_secs(2),
            max_hold: Duration::from_mins(5),
            limits: Limits::default(),
        }
    }
}

/// What people see of the desktop. The size is not in it: ask the screen, for anybody may change it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where in the machine it is.
    pub state: Phase,
    /// Who runs it.
    pub provider: Option<Provider>,
    /// `:N`, while it runs.
    pub display: Option<String>,
    /// Cookie file, while it runs and has one.
    pub xauthority: Option<PathBuf>,
    /// Process id of the X server, while it runs.
    pub pid: Option<i32>,
    /// When the X server was started, by whichever daemon.
    pub started_at: Option<Instant>,
    /// How often this daemon has started it again after a crash.
    pub restarts: u64,
    /// What went wrong last; forgotten at a start, stop or restart by hand.
    pub last_error: Option<LastError>,
}

impl Status {
    /// Before anything was asked for.
    fn of_nothing() -> Self {
        Self {
            state: Phase::Stopped,
            provider: None,
            display: None,
            xauthority: None,
            pid: None,
            started_at: None,
            restarts: 0,
            last_error: None,
        }
    }
}

/// What went wrong last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastError {
    /// The causes in one sentence.
    pub message: String,
    /// The last lines of the log of the program that failed.
    pub log_tail: Vec<String>,
}

/// A desktop that is up. It stays valid as a value when the desktop ends; `ended` tells.
#[derive(Clone, Debug)]
pub struct Running {
    /// Our connections. Others replace them when one breaks: ask for the running desktop again.
    pub attached: Attached,
    /// Who runs it.
    pub provider: Provider,
    /// Where RFB is spoken.
    pub rfb: Option<RfbAddress>,
    /// `:N`.
    pub display: String,
    /// Cookie file.
    pub xauthority: Option<PathBuf>,
    /// The environment of programs on this desktop.
    pub environment: Environment,
    /// Cancelled when this run is over.
    pub ended: CancellationToken,
}

/// Handle on the desktop. Clones speak of the same one; it lives as long as the daemon, not as the handles.
#[derive(Clone, Debug)]
pub struct Desktop {
    mode: Mode,
    wait: Duration,
    commands: mpsc::Sender<Command>,
    snapshot: watch::Receiver<Snapshot>,
    status: watch::Receiver<Status>,
}

/// Requests that wait for the driver; the next one waits for a place, and for no longer than for the desktop.
const REQUESTS: usize = 64;

impl Desktop {
    /// Starts the task that owns the desktop. It adopts the desktop that the last daemon left, and ends its own when
    /// `shutdown` says so. Needs a tokio runtime.
    pub fn spawn(config: Config, shutdown: &Shutdown, metrics: Arc<Metrics>) -> Self {
        let (commands, receiver) = mpsc::channel(REQUESTS);
        let (mode, wait) = (config.mode, config.wait);
        let (snapshot, status) = driver::spawn(config, receiver, shutdown, metrics);
        Self {
            mode,
            wait,
            commands,
            snapshot,
            status,
        }
    }

    /// Whether the configuration switches the desktop off.
    pub fn is_disabled(&self) -> bool {
        self.mode == Mode::Off
    }

    /// What people see now. Never waits.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The same, with its changes.
    pub fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The running desktop, if there is one now. Never starts one and never waits.
    pub fn running_now(&self) -> Option<Arc<Running>> {
        self.snapshot.borrow().running.clone()
    }

    /// Waits until the running desktop is another one than `old`, or has other connections. `None` when the daemon stops
    /// before that.
    pub async fn changed_from(&self, old: &Arc<Running>) -> Option<Arc<Running>> {
        let mut snapshot = self.snapshot.clone();
        let other = |now: &Snapshot| {
            now.running
                .as_ref()
                .is_some_and(|new| !Arc::ptr_eq(new, old))
        };
        let now = snapshot.wait_for(other).await.ok()?;
        now.running.clone()
    }

    /// The running desktop, started if need be; all that wait share one start. Waits at most `Config::wait`. Dropping
    /// the future does not stop the start.
    pub async fn running(&self) -> Result<Arc<Running>, DesktopError> {
        if let Some(running) = self.running_now() {
            return Ok(running);
        }
        self.within(self.wait, async {
            self.ask(Request::Use).await?;
            self.up().await
        })
        .await
    }

    /// Like [`Desktop::running`], also after too many crashes, which are forgotten.
    pub async fn start(&self) -> Result<(), DesktopError> {
        self.within(self.wait, async {
            self.ask(Request::Start).await?;
            self.up().await.map(drop)
        })
        .await
    }

    /// Ends the desktop with all its programs, and waits until it is gone. The next use starts another one. Dropping the
    /// future does not call it off.
    pub async fn stop(&self) -> Result<(), DesktopError> {
        self.ask(Request::Stop).await?;
        let mut snapshot = self.snapshot.clone();
        let gone = snapshot.wait_for(|now| now.phase != Phase::Stopping).await;
        gone.map(drop).map_err(|_| DesktopError::ShuttingDown)
    }

    /// Ends the desktop if it runs, and starts another one.
    pub async fn restart(&self) -> Result<(), DesktopError> {
        self.within(self.wait, async {
            self.ask(Request::Restart).await?;
            self.up().await.map(drop)
        })
        .await
    }

    async fn within<T>(
        &self,
        waited: Duration,
        work: impl Future<Output = Result<T, DesktopError>>,
    ) -> Result<T, DesktopError> {
        match tokio::time::timeout(waited, work).await {
            Ok(result) => result,
            Err(_) => Err(DesktopError::TimedOut {
                waited,
                source: self.snapshot.borrow().failure.clone(),
            }),
        }
    }

    async fn ask(&self, request: Request) -> Result<(), DesktopError> {
        if self.mode == Mode::Off {
            return Err(DesktopError::Disabled);
        }
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(Command { request, reply })
            .await
            .map_err(|_| DesktopError::ShuttingDown)?;
        match answer.await.map_err(|_| DesktopError::ShuttingDown)? {
            Verdict::Accepted | Verdict::Already => Ok(()),
            Verdict::Refused(Refusal::Closing) => Err(DesktopError::ShuttingDown),
            Verdict::Refused(Refusal::GaveUp) => Err(self.snapshot.borrow().gave_up()),
        }
    }

    /// Waits for what becomes of a start that was asked for.
    async fn up(&self) -> Result<Arc<Running>, DesktopError> {
        let mut snapshot = self.snapshot.clone();
        loop {
            if let Some(outcome) = snapshot.borrow_and_update().outcome() {
                return outcome;
            }
            if snapshot.changed().await.is_err() {
                return Err(DesktopError::ShuttingDown);
            }
        }
    }
}

impl Snapshot {
    /// What someone who waits for a running desktop gets; `None` while it is still open.
    fn outcome(&self) -> Option<Result<Arc<Running>, DesktopError>> {
        match (self.phase, &self.running, self.retry) {
            (Phase::Running, Some(running), _) => Some(Ok(running.clone())),
            (Phase::Stopped, _, _) => Some(Err(DesktopError::Stopped)),
            (Phase::Failed, _, Some(Retry::Never)) => Some(Err(self.gave_up())),
            (Phase::Failed, _, Some(Retry::OnDemand)) => Some(Err(self.failed())),
            (Phase::Failed | Phase::Running | Phase::Starting | Phase::Stopping, _, _) => None,
        }
    }

    fn failed(&self) -> DesktopError {
        match &self.failure {
            Some(source) => DesktopError::StartFailed {
                step: source.step(),
                source: source.clone(),
            },
            None => DesktopError::Stopped,
        }
    }

    fn gave_up(&self) -> DesktopError {
        match &self.failure {
            Some(source) => DesktopError::GaveUp {
                crashes: CRASHES,
                log_tail: source.log_tail().to_owned(),
                source: source.clone(),
            },
            None => DesktopError::Stopped,
        }
    }
}
