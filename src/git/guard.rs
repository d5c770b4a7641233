//! What ends a piece of blocking work early: a deadline, or that nobody waits for it any more.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use super::error::GitError;

/// Looked at between the steps of a scan. Clones speak of the same work.
#[derive(Clone, Debug)]
pub struct Guard {
    deadline: Instant,
    gone: Arc<AtomicBool>,
}

/// Tells the work when it is dropped.
#[derive(Debug)]
pub struct Wanted(Arc<AtomicBool>);

impl Drop for Wanted {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Guard {
    /// Work that may take so long, and what it is wanted by: whoever drops that does not wait any more.
    pub fn new(patience: Duration) -> (Self, Wanted) {
        let gone = Arc::new(AtomicBool::new(false));
        let guard = Self {
            deadline: Instant::now() + patience,
            gone: Arc::clone(&gone),
        };
        (guard, Wanted(gone))
    }

    /// Fails when the work has to end.
    pub fn check(&self) -> Result<(), GitError> {
        if self.gone.load(Ordering::Relaxed) {
            return Err(GitError::Cancelled);
        }
        if Instant::now() >= self.deadline {
            return Err(GitError::TimedOut);
        }
        Ok(())
    }
}
