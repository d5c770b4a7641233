//! The one owner of a process: reads what it prints, enforces its time limit, learns how it ended.
//!
//! ```text
//!  Running --main process ended, pipes emptied--> OutputOpen --last holder closed--> Exited
//!     |                                                                                ^
//!     +------------------------------- nobody else holds them -------------------------+
//! ```
//!
//! - **Running** holds the process and its pipes, and the time limit.
//! - **`OutputOpen`** holds the pipes, and the main process as a zombie: as long as it is not reaped, no other group or
//!   session can get its number, so the members that are left can still be signalled.
//! - **Exited** holds nothing but the record: pipes closed, process reaped, files closed.

use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tokio::io::{Interest, unix::AsyncFd};
use uuid::Uuid;

use super::{
    Shared,
    spool::{Pipe, Spools},
};
use crate::{
    proc::record::{Ending, LimitKind, Resources, State, Status},
    sys::{
        cgroup::Group,
        child::{self, Process},
        descriptor, members, signals,
    },
};

/// Bytes that one process may have read in a row before others have their turn.
const TURN: usize = 1 << 20;
/// Most bytes that a terminal holds when its main process ends.
const TERMINAL: usize = 256 << 10;

/// Where output comes from.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) pipe: Pipe,
    pub(super) terminal: bool,
    pub(super) end: AsyncFd<OwnedFd>,
}

/// A running process with all that belongs to it.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: Uuid,
    pub(super) shared: Arc<Shared>,
    pub(super) process: Arc<Process>,
    pub(super) group: Option<Arc<Group>>,
    pub(super) sources: Vec<Source>,
    pub(super) spools: Spools,
    pub(super) status: Status,
    pub(super) started: Instant,
    pub(super) deadline: Option<Instant>,
    pub(super) cpu_limit: Option<u64>,
    pub(super) timed_out: bool,
}

enum Pull {
    Data(usize),
    Nothing,
    End,
}

impl Task {
    /// Runs until the state is `Exited`.
    pub(super) async fn run(mut self) {
        while self.status.state != State::Exited {
            let running = self.status.state == State::Running;
            let ready = tokio::select! {
                biased;
                () = self.process.ended(), if running => None,
                () = until(self.deadline), if running && !self.timed_out => {
                    self.time_out().await;
                    continue;
                }
                pipe = readable(&self.sources) => Some(pipe),
            };
            match ready {
                None => self.main_ended(),
                Some(index) => self.take_turn(index).await,
            }
        }
        self.finish();
    }

    async fn time_out(&mut self) {
        self.timed_out = true;
        members::kill(&self.process, self.group.as_deref()).await;
    }

    /// Reads what is there, for one turn.
    async fn take_turn(&mut self, index: usize) {
        let mut taken = 0;
        while taken < TURN {
            match self.pull(index, true) {
                Pull::Data(count) => taken += count,
                Pull::Nothing => break,
                Pull::End => {
                    self.sources.remove(index);
                    break;
                }
            }
        }
        if self.sources.is_empty() && self.status.state == State::OutputOpen {
            self.close();
        }
        self.publish();
        if taken >= TURN {
            tokio::task::yield_now().await;
        }
    }

    /// The main process is a zombie. What stood in the pipes at its end is read before anybody is told.
    fn main_ended(&mut self) {
        let exit = self.process.peek();
        let mut index = 0;
        while index < self.sources.len() {
            if self.drain(index) {
                self.sources.remove(index);
            } else {
                index += 1;
            }
        }
        self.status.ending = Some(self.ending(exit));
        self.status.ended_ns = Some(now_ns());
        self.status.resources = Some(resources(exit, self.started.elapsed()));
        if self.sources.is_empty() {
            self.close();
        } else {
            self.status.state = State::OutputOpen;
        }
        self.publish();
    }

    /// Reads as much as stood there now, however much is written meanwhile; whether nobody holds the pipe any more.
    fn drain(&mut self, index: usize) -> bool {
        let source = &self.sources[index];
        let mut left = if source.terminal {
            TERMINAL
        } else {
            descriptor::waiting(source.end.get_ref()).unwrap_or(0)
        };
        loop {
            match self.pull(index, false) {
                Pull::End => return true,
                Pull::Nothing => return false,
                // The read behind the last byte tells whether the pipe is still held.
                Pull::Data(_) if left == 0 => return false,
                Pull::Data(count) => left = left.saturating_sub(count),
            }
        }
    }

    /// One read. With `remember`, a pipe that is empty is not asked again before it has something.
    fn pull(&mut self, index: usize, remember: bool) -> Pull {
        let source = &self.sources[index];
        let mut buffer = self.shared.buffer();
        let read = if remember {
            source
                .end
                .try_io(Interest::READABLE, |end| descriptor::read(end, &mut buffer))
        } else {
            descriptor::read(source.end.get_ref(), &mut buffer)
        };
        match read {
            Ok(0) => Pull::End,
            Ok(count) => {
                let tight = self.shared.is_tight();
                self.spools.append(source.pipe, &buffer[..count], tight);
                Pull::Data(count)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Pull::Nothing,
            // A terminal that nobody holds any more says EIO.
            Err(_) => Pull::End,
        }
    }

    fn ending(&self, exit: Option<child::Exit>) -> Ending {
        match exit.map(|exit| exit.status) {
            Some(child::Status::Exited(code)) => Ending::Exited { code },
            Some(child::Status::Signalled { signal, .. }) if self.timed_out => {
                Ending::TimedOut { signal }
            }
            Some(child::Status::Signalled {
                signal,
                core_dumped,
            }) => {
                let used = exit.map_or(Duration::ZERO, |exit| exit.user + exit.system);
                // The kernel counts ticks for the limit, which on a busy machine are far from the times that it tells.
                let spent = self
                    .cpu_limit
                    .is_some_and(|limit| used.saturating_mul(2) >= Duration::from_secs(limit));
                let limit = if signals::is_cpu_limit(signal) && spent {
                    Some(LimitKind::Cpu)
                } else if signal == signals::KILL && self.ran_out_of_memory() {
                    Some(LimitKind::Memory)
                } else {
                    None
                };
                Ending::Signaled {
                    signal,
                    core_dumped,
                    limit,
                }
            }
            None => Ending::Lost {
                message: "its status was taken by someone else".to_owned(),
            },
        }
    }

    fn ran_out_of_memory(&self) -> bool {
        let group = self.group.as_ref();
        group.is_some_and(|group| group.limits().memory && group.ran_out_of_memory())
    }

    fn close(&mut self) {
        self.status.state = State::Exited;
        self.status.closed_ns = Some(now_ns());
        self.process.reap();
        self.spools.close();
    }

    fn publish(&mut self) {
        let (stdout, stderr, merged) = self.spools.windows();
        self.status.stdout = stdout;
        self.status.stderr = stderr;
        self.status.merged_total = merged;
        let kept = self.spools.kept();
        self.shared.publish(self.id, &self.status, kept);
    }

    fn finish(self) {
        self.shared.store(self.id, self.spools);
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The first source that has something, or has ended.
async fn readable(sources: &[Source]) -> usize {
    let ready = async |index: usize| match sources.get(index) {
        Some(source) => drop(source.end.readable().await),
        None => std::future::pending().await,
    };
    // Not biased: one that is always full must not hide the other.
    tokio::select! {
        () = ready(0) => 0,
        () = ready(1) => 1,
    }
}

fn resources(exit: Option<child::Exit>, wall: Duration) -> Resources {
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Resources {
        user_ms: exit.map_or(0, |exit| millis(exit.user)),
        system_ms: exit.map_or(0, |exit| millis(exit.system)),
        max_rss_bytes: exit.map_or(0, |exit| exit.max_rss),
        wall_ms: millis(wall),
    }
}

/// Nanoseconds since 1970.
pub(in crate::proc) fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
