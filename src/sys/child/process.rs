//! A process that was started or adopted: how it is waited for, signalled, ended and reaped.

use std::{io, os::fd::OwnedFd, sync::OnceLock, time::Duration};

use nix::libc;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, waitpid},
};
use tokio::io::unix::AsyncFd;

use super::owned;
use crate::sys::{descriptor::readable, procfs};

/// What the system tells about a child that has ended, before and without reaping it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// How.
    pub status: Status,
    /// CPU time in user mode, of it and the descendants it waited for.
    pub user: Duration,
    /// CPU time in the kernel, likewise.
    pub system: Duration,
    /// Largest resident memory of one of them, in bytes.
    pub max_rss: u64,
}

/// The status of an ended child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Its own code, 0 to 255.
    Exited(i32),
    /// A signal ended it.
    Signalled {
        /// Its number.
        signal: i32,
        /// Whether memory was written to a file.
        core_dumped: bool,
    },
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with this exit code.
    Exited(i32),
    /// By a signal that we did not send.
    Signalled(i32),
    /// By our asking (TERM), within the grace.
    Stopped,
    /// By our KILL, because it did not end within the grace.
    Killed,
    /// Adopted, and therefore gone without a code: only its parent gets that.
    Gone,
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exited with code {code}"),
            Self::Signalled(signal) => match nix::sys::signal::Signal::try_from(*signal) {
                Ok(name) => write!(f, "was ended by {name}"),
                Err(_) => write!(f, "was ended by signal {signal}"),
            },
            Self::Stopped => f.write_str("was stopped"),
            Self::Killed => f.write_str("was killed after its grace"),
            Self::Gone => f.write_str("ended"),
        }
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// A running process, or what it left. Dropping the handle leaves the process alone.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    started: u64,
    descriptor: AsyncFd<OwnedFd>,
    ending: OnceLock<Ending>,
}

impl Process {
    /// Takes over a process by its number. With `started`, only if it is the one that was started then; without, the
    /// one that has the number now. `None` when it has ended.
    pub fn adopt(pid: i32, started: Option<u64>) -> Option<Self> {
        let pid = Pid::from_raw(pid)?;
        let descriptor = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let process = Self::of(pid, descriptor).ok()?;
        // Asked after the pidfd was opened, so that both speak of the same process.
        let stat = procfs::stat(pid.as_raw_pid())?;
        (!stat.zombie && started.is_none_or(|wanted| wanted == process.started)).then_some(process)
    }

    pub(super) fn of(pid: Pid, descriptor: OwnedFd) -> io::Result<Self> {
        // A child that has ended already is a zombie with a start time: it is ours to reap.
        let started = procfs::stat(pid.as_raw_pid()).map_or(0, |stat| stat.started);
        Ok(Self {
            pid,
            started,
            descriptor: readable(descriptor)?,
            ending: OnceLock::new(),
        })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_pid()
    }

    /// Ticks from boot to its start.
    pub fn started(&self) -> u64 {
        self.started
    }

    /// Whether it still runs.
    pub fn is_alive(&self) -> bool {
        self.ending.get().is_none()
            && procfs::stat(self.pid())
                .is_some_and(|stat| !stat.zombie && stat.started == self.started)
    }

    /// Waits until it has ended, and reaps it when it is a child of ours. May be dropped and called again, also by
    /// several at once: all get the same answer.
    pub async fn wait(&self) -> Ending {
        self.ended().await;
        self.reap()
    }

    /// Waits on a thread that may block, for so long at most, and reaps it. None: it has not ended.
    pub fn wait_blocking(&self, patience: Duration) -> Option<Ending> {
        if self.ending.get().is_none() {
            let patience = Timespec::try_from(patience).ok();
            let mut ready = [PollFd::new(self.descriptor.get_ref(), PollFlags::IN)];
            if !matches!(poll(&mut ready, patience.as_ref()), Ok(1..)) {
                return None;
            }
        }
        Some(self.reap())
    }

    /// Leaves a child that has not ended to the reaper of orphans: nobody waits for it any more.
    pub fn abandon(&self) {
        if let Some(all) = owned().as_mut() {
            all.remove(&self.pid());
        }
    }

    /// Waits until it has ended, and leaves the reaping to whoever started it: until then its number, and that of its
    /// group, are taken. May be dropped and called again.
    pub async fn ended(&self) {
        if self.ending.get().is_none() {
            let _guard = self
                .descriptor
                .readable()
                .await
                .expect("the runtime lives as long as its tasks");
        }
    }

    /// How a child of ours ended, without reaping it: its number, and that of its group and session, stay taken.
    /// `None` while it runs, and for a process that is not a child of ours.
    #[expect(unsafe_code, reason = "waitid with resources, which no crate offers")]
    pub fn peek(&self) -> Option<Exit> {
        // SAFETY: both are plain data, for which all zeroes is a value.
        let (mut info, mut usage): (libc::siginfo_t, libc::rusage) =
            unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
        let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: waitid(2) as the kernel has it, with its fifth argument; both pointers are to live values.
        let answer = unsafe {
            libc::syscall(
                libc::SYS_waitid,
                libc::P_PID,
                self.pid(),
                &raw mut info,
                options,
                &raw mut usage,
            )
        };
        // SAFETY: filled for a child that has ended; otherwise the pid is zero.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        if answer != 0 || pid != self.pid() {
            return None;
        }
        let status = match info.si_code {
            libc::CLD_EXITED => Status::Exited(status),
            code => Status::Signalled {
                signal: status,
                core_dumped: code == libc::CLD_DUMPED,
            },
        };
        Some(Exit {
            status,
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
            max_rss: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        })
    }

    /// Reaps an ended child of ours; its number may be given to others from now on.
    pub fn reap(&self) -> Ending {
        *self.ending.get_or_init(|| {
            let mut owned = owned();
            if let Some(all) = owned.as_mut() {
                all.remove(&self.pid());
            }
            loop {
                match waitpid(Some(self.pid), WaitOptions::NOHANG) {
                    Ok(Some((_, status))) => {
                        break match (status.exit_status(), status.terminating_signal()) {
                            (Some(code), _) => Ending::Exited(code),
                            (None, Some(signal)) => Ending::Signalled(signal),
                            (None, None) => Ending::Gone,
                        };
                    }
                    Err(Errno::INTR) => {}
                    Ok(None) | Err(_) => break Ending::Gone,
                }
            }
        })
    }

    /// Sends a signal to this process alone. An ended one is no error.
    pub fn signal(&self, signal: Signal) {
        if self.ending.get().is_none() {
            let _ = pidfd_send_signal(self.descriptor.get_ref(), signal);
        }
    }

    /// Sends a signal, by its number, to the whole group that it leads. Until it is reaped the number of the group is
    /// certainly its own; after that nothing is sent, and it is `ESRCH`.
    pub fn signal_members(&self, signal: i32) -> io::Result<()> {
        if self.ending.get().is_some() {
            return Err(Errno::SRCH.into());
        }
        // Not `Signal`: it has no name for the real-time ones.
        #[expect(unsafe_code, reason = "a system call on numbers")]
        // SAFETY: killpg(2) touches no memory.
        let answer = unsafe { libc::killpg(self.pid(), signal) };
        if answer == 0 {
            Ok(())
        } else {
            Err(io::Error::last_os_error())
        }
    }

    /// Signals the whole group that it leads; only while its number is certainly its own.
    fn signal_group(&self, signal: Signal) {
        if self.ending.get().is_some() {
            return;
        }
        if rustix::process::getpgid(Some(self.pid)).is_ok_and(|group| group == self.pid) {
            let _ = rustix::process::kill_process_group(self.pid, signal);
        } else {
            self.signal(signal);
        }
    }

    /// Ends it with its group: TERM, up to `grace`, then KILL for the group, and reaps it. When `hurry` resolves the
    /// rest of the grace is skipped. Dropping the future leaves the process with its TERM.
    pub async fn stop(&self, grace: Duration, hurry: impl Future<Output = ()>) -> Ending {
        if let Some(ending) = self.ending.get() {
            return *ending;
        }
        let ended_before = !self.is_alive();
        self.signal_group(Signal::TERM);
        let in_time = tokio::select! {
            biased;
            () = self.ended() => true,
            () = hurry => false,
            () = tokio::time::sleep(grace) => false,
        };
        // The leader, if it has ended, is not reaped yet, so the group's number is still its own.
        self.signal_group(Signal::KILL);
        self.ended().await;
        match self.reap() {
            ending if ended_before => ending,
            Ending::Exited(_)
            | Ending::Signalled(_)
            | Ending::Gone
            | Ending::Stopped
            | Ending::Killed => {
                if in_time {
                    Ending::Stopped
                } else {
                    Ending::Killed
                }
            }
        }
    }
}
