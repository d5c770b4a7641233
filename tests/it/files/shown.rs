//! A file system of a program.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::helpers::ran;

/// A directory that shows another one, by a file system in a program: others change it unseen.
#[derive(Debug)]
pub struct Shown {
    server: Child,
    at: PathBuf,
}

impl Shown {
    /// None where the machine has no FUSE for us.
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    pub fn start(of: &Path, at: &Path) -> Option<Self> {
        let mut server = Command::new("python3")
            .args(["-c", include_str!("shown.py")])
            .args([of, at])
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let stdout = server.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        let shown = Self {
            server,
            at: at.to_owned(),
        };
        (line == "ready\n").then_some(shown)
    }

    /// From now on it answers nothing, as a disk behind a network that is gone.
    pub fn hang(&self) {
        let pid = i32::try_from(self.server.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGSTOP).expect("it is ours");
    }

    /// It answers again.
    pub fn go_on(&self) {
        let pid = i32::try_from(self.server.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGCONT).expect("it is ours");
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        ran("umount", &["-l", self.at.to_str().expect("text")]);
        self.server.kill().expect("it is ours");
        self.server.wait().expect("it is ours");
    }
}
