//! What daemon and keeper say to each other. Heads are JSON; strings of the system travel beside them, because they need
//! not be UTF-8.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::record::{Facts, Record, Status};

/// Changed with every change of these messages.
pub(super) const VERSION: u32 = 2;

/// Where things are in the folder of the processes.
pub(super) const SOCKET: &str = "keeper.sock";
pub(super) const JOURNAL: &str = "journal";
pub(super) const LOG: &str = "keeper.log";
pub(super) const HISTORY: &str = "history";

/// From the daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// First message of a connection.
    Hello { version: u32 },
    /// Start a process; the body has directory, arguments and environment.
    Start { number: u64, launch: Box<Launch> },
    /// Signal the group, or with `members` everyone.
    Signal {
        number: u64,
        id: Uuid,
        signal: i32,
        members: bool,
    },
    /// Give up the keeper's copy of standard input.
    CloseInput { id: Uuid },
    /// Forget an exited process and its output.
    Forget { id: Uuid },
    /// The last `Changed` was taken.
    Taken,
    /// End everything: TERM, grace, KILL; then end.
    Stop { grace_ms: u64 },
    /// Skip the grace.
    Hurry,
}

/// From the keeper.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Report {
    /// Answer to `Hello`; as many `Entry` follow.
    Welcome {
        version: u32,
        since_ns: u64,
        entries: usize,
    },
    /// A process that is there; with the descriptor of its open input.
    Entry(Box<Record>),
    /// It runs; with the descriptor of its input.
    Started {
        number: u64,
        record: Box<Record>,
        /// What it runs without.
        refused: Vec<Refused>,
    },
    /// It does not.
    Refused { number: u64, reason: Refusal },
    /// A signal was sent, or not.
    Signalled { number: u64, outcome: SignalOutcome },
    /// What changed since the last `Changed`.
    Changed { all: Vec<(Uuid, Status)> },
    /// Everything has ended, and so does the keeper.
    Stopped,
}

/// What became of a signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SignalOutcome {
    Sent,
    Exited,
    Failed(String),
}

/// What was refused to a process that runs nevertheless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refused {
    Group,
    Nice,
    OomScore,
}

/// Why nothing ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    /// The directory cannot be entered.
    Directory(String),
    /// The program was not found in the path.
    NotFound,
    /// Pipes, a terminal, fork or exec failed.
    Spawn(String),
    /// This limit cannot be applied.
    Limit(String),
    /// The keeper ends everything.
    Stopping,
}

/// How to start a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    pub(super) id: Uuid,
    pub(super) facts: Facts,
    /// How many of the strings in the body are arguments, the program among them.
    pub(super) arguments: usize,
    /// Rows and columns of its terminal.
    pub(super) terminal: Option<(u16, u16)>,
    pub(super) umask: u32,
    pub(super) nice: Option<i32>,
    pub(super) oom_score: Option<i32>,
    pub(super) cpu_seconds: Option<u64>,
    /// Of all members together, or of each, as can be had.
    pub(super) memory: Option<u64>,
    /// Of all members together.
    pub(super) pids: Option<u64>,
    /// It is not started without the limit of `pids`.
    pub(super) pids_required: bool,
    pub(super) descriptors: Option<u64>,
    pub(super) account: Option<Switch>,
}

/// Whom it becomes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Switch {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) groups: Vec<u32>,
}

/// Directory, arguments (the program first) and environment of a launch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strings {
    pub(super) directory: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
}

impl Strings {
    /// Each followed by a NUL, which none of them has inside.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        let mut push = |parts: &[&OsStr]| {
            for part in parts {
                body.extend_from_slice(part.as_bytes());
            }
            body.push(0);
        };
        push(&[self.directory.as_os_str()]);
        for argument in &self.arguments {
            push(&[argument]);
        }
        for (name, value) in &self.environment {
            push(&[name, OsStr::new("="), value]);
        }
        body
    }

    /// `None` when it is not what `encode` made.
    pub(super) fn decode(body: &[u8], arguments: usize) -> Option<Self> {
        let body = body.strip_suffix(&[0])?;
        let mut all = body
            .split(|byte| *byte == 0)
            .map(|text| OsString::from_vec(text.to_vec()));
        let directory = PathBuf::from(all.next()?);
        let arguments: Vec<OsString> = all.by_ref().take(arguments).collect();
        let environment = all
            .map(|pair| {
                let at = pair.as_bytes().iter().position(|byte| *byte == b'=')?;
                let (name, value) = pair.as_bytes().split_at(at);
                let own = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
                Some((own(name), own(&value[1..])))
            })
            .collect::<Option<_>>()?;
        (!arguments.is_empty()).then_some(Self {
            directory,
            arguments,
            environment,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_travel_as_they_are() {
        let strings = Strings {
            directory: "/a b".into(),
            arguments: vec!["sh".into(), String::new().into(), "x\n'\"$".into()],
            environment: vec![
                ("A".into(), "1=2".into()),
                ("B".into(), OsString::from_vec(vec![0xff])),
                ("C".into(), String::new().into()),
            ],
        };
        assert_eq!(Strings::decode(&strings.encode(), 3), Some(strings));
        assert_eq!(Strings::decode(b"", 1), None);
        assert_eq!(Strings::decode(b"/\0", 0), None);
        assert_eq!(Strings::decode(b"/\0sh\0novalue\0", 1), None);
    }
}
