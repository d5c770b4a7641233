//! Why there is no desktop.

use std::{fmt, io, path::PathBuf, sync::Arc, time::Duration};

use super::x11::ConnectError;
use crate::sys::child::{self, Ending};

/// What a caller gets instead of a desktop. Cheap to clone: everyone who waited for one start gets the same cause.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DesktopError {
    /// Switched off in the configuration.
    #[error("the desktop is switched off")]
    Disabled,
    /// It was tried and did not come up.
    #[error("the desktop failed to start: {step}")]
    StartFailed {
        /// Where it failed.
        step: Step,
        /// Why.
        source: Arc<StartError>,
    },
    /// It was not up in time; it may come up later.
    #[error("the desktop was not up after {waited:?}")]
    TimedOut {
        /// How long the caller waited.
        waited: Duration,
        /// What went wrong last, when something did.
        source: Option<Arc<StartError>>,
    },
    /// Someone stopped it while the caller waited.
    #[error("the desktop was stopped")]
    Stopped,
    /// Too many crashes; only an explicit start tries again.
    #[error("the desktop crashed {crashes} times within a minute and waits for a start by hand")]
    GaveUp {
        /// How many crashes it took.
        crashes: usize,
        /// The last lines of the log of the program that crashed.
        log_tail: Vec<String>,
        /// The last crash.
        source: Arc<StartError>,
    },
    /// The daemon stops.
    #[error("the daemon is stopping")]
    ShuttingDown,
}

/// Part of a start, as named in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Choosing what to run.
    Provider,
    /// Folders, cookie, configuration, logs.
    Files,
    /// Starting programs.
    Programs,
    /// The X server names its display.
    Display,
    /// The X server answers.
    Connection,
    /// The RFB server greets.
    Rfb,
    /// The root window gets its background.
    Background,
    /// The window manager owns `_NET_SUPPORTING_WM_CHECK`.
    WindowManager,
    /// Our own threads for pictures and input.
    Attachment,
    /// It ran, and broke.
    Run,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Provider => "no provider",
            Self::Files => "preparing its files",
            Self::Programs => "starting its programs",
            Self::Display => "waiting for the display",
            Self::Connection => "connecting to the X server",
            Self::Rfb => "waiting for the RFB greeting",
            Self::Background => "painting the background",
            Self::WindowManager => "waiting for the window manager",
            Self::Attachment => "attaching to the display",
            Self::Run => "it broke",
        })
    }
}

/// What went wrong in a start or in a run, each with its subject.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing that could be run is installed.
    #[error("none of {} is installed", tried.join(", "))]
    NothingInstalled {
        /// Programs looked for.
        tried: Vec<String>,
    },
    /// A program is not installed.
    #[error("{} was not found", program.display())]
    NotFound {
        /// Program looked for.
        program: PathBuf,
    },
    /// This build cannot drive a desktop that is not ours.
    #[error(
        "this build has no support for the provider host: build it with `cargo build --release --features host`"
    )]
    NoHostSupport,
    /// Nobody says where the existing desktop is.
    #[error("no existing desktop is named: set DISPLAY or use --host-display, as in :0")]
    NoDisplay,
    /// The existing desktop ended, or threw us out.
    #[error("the display {display} was lost: {reason}")]
    DisplayLost {
        /// Its name.
        display: String,
        /// What broke.
        reason: String,
    },
    /// A file or folder of the session could not be made or read.
    #[error("failed to prepare {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The runtime folder's name is too long for a Unix socket.
    #[error("{} is too long for a Unix socket", .0.display())]
    SocketPath(PathBuf),
    /// The system gave no random bytes.
    #[error("failed to make a cookie")]
    Random(#[source] io::Error),
    /// A program could not be started.
    #[error("failed to start a program of the desktop")]
    Program(#[source] child::StartError),
    /// A program ended when it should not.
    #[error("{program} {ending}{}", last_line(log_tail))]
    Ended {
        /// Which.
        program: String,
        /// How.
        ending: Ending,
        /// Last lines of its log.
        log_tail: Vec<String>,
    },
    /// A step took too long.
    #[error("nothing came of {step} within {limit:?}")]
    TimedOut {
        /// Which step.
        step: Step,
        /// Its limit.
        limit: Duration,
    },
    /// The X server wrote something else than the number of its display.
    #[error("the X server named its display {0:?}")]
    Display(String),
    /// The X server did not let us in.
    #[error("no connection to the X server")]
    Connect(#[source] ConnectError),
    /// The X connection broke in this step.
    #[error("the X server failed at {step}")]
    X {
        /// Which step.
        step: Step,
        /// What it said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The RFB server cannot be reached.
    #[error("no connection to the RFB server")]
    Rfb(#[source] io::Error),
    /// What answered is no RFB server.
    #[error("the RFB server greeted with {0:?}")]
    Greeting(String),
    /// Our threads could not be started.
    #[error("failed to attach to the display")]
    Attach(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A connection of ours broke again and again although the X server lives.
    #[error("the X server took no connection any more")]
    Unresponsive,
    /// portabledesktop's line is no JSON object.
    #[error("portabledesktop answered {line:?}, which is no JSON object")]
    NotJson {
        /// What it wrote, cut.
        line: String,
        /// What the parser said.
        source: Option<serde_json::Error>,
    },
    /// A field of portabledesktop's line is missing, or of the wrong type or value.
    #[error("portabledesktop answered {field} = {value}, which is not usable")]
    Field {
        /// Which.
        field: &'static str,
        /// What it was; `null` when missing.
        value: String,
    },
    /// The start was broken off by a stop.
    #[error("the start was cancelled")]
    Cancelled,
}

fn last_line(log: &[String]) -> String {
    log.last()
        .map_or_else(String::new, |line| format!(": {line}"))
}

impl StartError {
    /// Whether a program died, so that the same start may succeed the next time.
    pub fn is_crash(&self) -> bool {
        match self {
            Self::Ended { .. } | Self::Unresponsive | Self::DisplayLost { .. } => true,
            Self::NothingInstalled { .. }
            | Self::NotFound { .. }
            | Self::NoHostSupport
            | Self::NoDisplay
            | Self::File { .. }
            | Self::SocketPath(_)
            | Self::Random(_)
            | Self::Program(_)
            | Self::TimedOut { .. }
            | Self::Display(_)
            | Self::Connect(_)
            | Self::X { .. }
            | Self::Rfb(_)
            | Self::Greeting(_)
            | Self::Attach(_)
            | Self::NotJson { .. }
            | Self::Field { .. }
            | Self::Cancelled => false,
        }
    }

    /// Where it went wrong.
    pub fn step(&self) -> Step {
        match self {
            Self::NothingInstalled { .. }
            | Self::NotFound { .. }
            | Self::NoHostSupport
            | Self::NoDisplay => Step::Provider,
            Self::File { .. } | Self::SocketPath(_) | Self::Random(_) => Step::Files,
            Self::Program(_) | Self::Cancelled => Step::Programs,
            Self::Ended { .. } | Self::Unresponsive | Self::DisplayLost { .. } => Step::Run,
            Self::TimedOut { step, .. } | Self::X { step, .. } => *step,
            Self::Display(_) | Self::NotJson { .. } | Self::Field { .. } => Step::Display,
            Self::Connect(_) => Step::Connection,
            Self::Rfb(_) | Self::Greeting(_) => Step::Rfb,
            Self::Attach(_) => Step::Attachment,
        }
    }

    /// Last lines of the log of the program that failed, where one did.
    pub fn log_tail(&self) -> &[String] {
        match self {
            Self::Ended { log_tail, .. } => log_tail,
            _ => &[],
        }
    }

    /// The whole chain in one sentence.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }
}
