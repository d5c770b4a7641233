//! A folder for everything of one run, and the end of every process that was started with it.
//!
//! Each program gets the folder as `TMPDIR`, and hands it on to its own children. So whatever is left, after an error,
//! a panic or Ctrl-C, is found by its environment.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::Outcome;

/// How long programs may take to end in order.
const GRACE: Duration = Duration::from_secs(8);

/// The folder of the run. Dropping it ends what still runs.
#[derive(Debug)]
pub(crate) struct Place {
    folder: TempDir,
    daemon: PathBuf,
}

impl Place {
    /// Makes the folder and looks out for Ctrl-C.
    pub(crate) fn new(daemon: &Path) -> Outcome<Self> {
        let folder = tempfile::Builder::new()
            .prefix("deskd-bench-")
            .tempdir_in("/tmp")?;
        end_on_interrupt(folder.path().to_owned())?;
        let daemon = daemon.to_owned();
        Ok(Self { folder, daemon })
    }

    /// The program under test.
    pub(crate) fn daemon(&self) -> &Path {
        &self.daemon
    }

    /// Where files of the run go.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A fresh folder inside.
    pub(crate) fn folder(&self, name: &str) -> io::Result<PathBuf> {
        let path = tempfile::Builder::new()
            .prefix(name)
            .tempdir_in(self.path())?;
        Ok(path.keep())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        sweep(self.folder.path());
    }
}

fn end_on_interrupt(folder: PathBuf) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    std::thread::Builder::new()
        .name("interrupt".to_owned())
        .spawn(move || {
            if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
                sweep(&folder);
                let _ = fs::remove_dir_all(&folder);
                // The main thread may wait for a program that is gone now; nothing is worth waiting for.
                let _ = kill(Pid::this(), Signal::SIGKILL);
            }
        })?;
    Ok(())
}

/// Ends every process whose environment names the folder, in order and then by force.
fn sweep(folder: &Path) {
    let end = Instant::now() + GRACE;
    let mut asked = Vec::new();
    loop {
        let left = of_folder(folder);
        if left.is_empty() {
            return;
        }
        let late = Instant::now() > end;
        for pid in left {
            if late {
                let _ = kill(pid, Signal::SIGKILL);
            } else if !asked.contains(&pid) {
                asked.push(pid);
                let _ = kill(pid, Signal::SIGTERM);
            }
        }
        // Nobody tells about the end of processes that are not our children.
        crate::process::pause(Duration::from_millis(20));
    }
}

fn of_folder(folder: &Path) -> Vec<Pid> {
    let mark = format!("TMPDIR={}", folder.display());
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    processes
        .flatten()
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A dead process that nobody reaped has an empty environment.
            let environment = fs::read(entry.path().join("environ")).ok()?;
            let ours = environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == mark.as_bytes());
            ours.then(|| Pid::from_raw(pid))
        })
        .collect()
}
