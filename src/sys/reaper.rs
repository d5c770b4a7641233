//! Orphans: this process takes them over and reaps them, and never a child that someone here waits for.

use std::{fs, io};

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::{child, procfs};

/// Becomes the parent of every descendant that loses its own (prctl(2), `PR_SET_CHILD_SUBREAPER`). As PID 1 it is that
/// anyway.
pub fn adopt_orphans() -> io::Result<()> {
    nix::sys::prctl::set_child_subreaper(true).map_err(Into::into)
}

/// Wakes when children have ended.
#[derive(Debug)]
pub struct Reaper(Signal);

impl Reaper {
    /// From now on no end is missed. Needs a tokio runtime.
    pub fn new() -> io::Result<Self> {
        signal(SignalKind::child()).map(Self)
    }

    /// Reaps orphans as they end, for as long as it is polled.
    pub async fn run(mut self) {
        loop {
            reap_orphans();
            if self.0.recv().await.is_none() {
                return;
            }
        }
    }
}

/// Reaps every orphan that has ended; how many.
pub fn reap_orphans() -> usize {
    let children = children();
    // Under the lock no child is made and none is reaped, so a number in the list that is not owned is an orphan's.
    child::with_owned(|owned| {
        children
            .into_iter()
            .filter(|pid| !owned(*pid))
            .filter(|pid| {
                let pid = nix::unistd::Pid::from_raw(*pid);
                matches!(
                    waitpid(pid, Some(WaitPidFlag::WNOHANG)),
                    Ok(WaitStatus::Exited(..) | WaitStatus::Signaled(..))
                )
            })
            .count()
    })
}

/// The children of all our threads; from the list of all processes where the kernel has no other.
fn children() -> Vec<i32> {
    let of_threads = || {
        let mut all = Vec::new();
        for thread in fs::read_dir("/proc/self/task").ok()? {
            let list = thread.ok()?.path().join("children");
            // A thread that has ended meanwhile has handed its children to another one.
            match fs::read_to_string(list) {
                Ok(text) => all.extend(text.split_ascii_whitespace().filter_map(parse)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs::metadata("/proc/self/task").ok()?;
                    if !std::path::Path::new("/proc/thread-self/children").exists() {
                        return None;
                    }
                }
                Err(_) => {}
            }
        }
        Some(all)
    };
    of_threads().unwrap_or_else(|| {
        let us = i32::try_from(std::process::id()).expect("a pid fits");
        procfs::processes()
            .into_iter()
            .filter(|stat| stat.parent == us)
            .map(|stat| stat.pid)
            .collect()
    })
}

fn parse(text: &str) -> Option<i32> {
    text.parse().ok()
}
