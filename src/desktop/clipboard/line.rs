//! The line to the thread that owns selections: a bounded queue of jobs and a wake-up.

use std::{
    io,
    sync::{
        Arc, OnceLock,
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
};

use super::error::ClipboardError;
use crate::{
    desktop::x11::{
        Address, Wake,
        clipboard::{Job, serve},
    },
    sys::thread,
};

/// Jobs that may wait.
const JOBS: usize = 256;

/// The thread ends when this is dropped.
#[derive(Debug)]
pub(super) struct Line {
    jobs: Option<SyncSender<Job>>,
    wake: Wake,
    failure: Arc<OnceLock<ClipboardError>>,
}

/// What became of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Push {
    /// It waits.
    Done,
    /// There was no place.
    Full,
    /// The thread has ended.
    Ended,
}

impl Line {
    pub(super) fn start(address: Address) -> io::Result<Self> {
        let (jobs, receiver) = sync_channel(JOBS);
        let (wake, failure) = (Wake::new()?, Arc::new(OnceLock::new()));
        let (woken, left) = (wake.clone(), Arc::clone(&failure));
        // Not joined: it ends by itself, with this or with the display.
        thread::spawn("clipboard", move || {
            serve(&address, &receiver, &woken, &left);
        })?;
        Ok(Self {
            jobs: Some(jobs),
            wake,
            failure,
        })
    }

    /// Queues a job.
    pub(super) fn push(&self, job: Job) -> Push {
        let jobs = self.jobs.as_ref().expect("taken by the drop alone");
        let pushed = match jobs.try_send(job) {
            Ok(()) => Push::Done,
            Err(TrySendError::Full(_)) => Push::Full,
            Err(TrySendError::Disconnected(_)) => Push::Ended,
        };
        self.wake.wake();
        pushed
    }

    /// Lets the thread look at what has changed.
    pub(super) fn wake(&self) {
        self.wake.wake();
    }

    /// Why the thread has ended.
    pub(super) fn failure(&self) -> ClipboardError {
        let ended = || ClipboardError::ConnectionLost {
            operation: "serving the clipboard",
            source: Arc::new(io::Error::from(io::ErrorKind::BrokenPipe)),
        };
        self.failure.get().cloned().unwrap_or_else(ended)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.jobs = None;
        self.wake.wake();
    }
}
