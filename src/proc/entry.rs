//! One process as the daemon has it: what was said at its start, what the keeper tells of it, its input and its output.

use std::{os::fd::OwnedFd, path::Path, sync::Arc};

use tokio::sync::watch;
use uuid::Uuid;

use super::{
    history::{self, History, Piece, View},
    input::Input,
    record::{Applied, Facts, Record, State, Status},
    screen::Screen,
};

/// A process. It stays valid as a value when it is forgotten; its output does not.
#[derive(Debug)]
pub struct Entry {
    id: Uuid,
    facts: Facts,
    pid: i32,
    started_ns: u64,
    applied: Applied,
    status: watch::Sender<Status>,
    input: Input,
    history: History,
    screen: Screen,
}

impl Entry {
    pub(super) fn new(record: Record, input: Option<OwnedFd>, folder: &Path) -> Self {
        let Record {
            id,
            facts,
            pid,
            birth: _,
            started_ns,
            segment,
            applied,
            status,
        } = record;
        let history = History {
            folder: history::folder(folder, id),
            segment: segment.max(1),
            separate: facts.separate,
        };
        Self {
            input: Input::new(input, facts.pty),
            id,
            facts,
            pid,
            started_ns,
            applied,
            status: watch::Sender::new(status),
            history,
            screen: Screen::default(),
        }
    }

    /// Its id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// What was said at its start.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Process id of the main process; 0 when it never ran.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// When it was started, in nanoseconds since 1970.
    pub fn started_ns(&self) -> u64 {
        self.started_ns
    }

    /// How its limits are applied.
    pub fn applied(&self) -> Applied {
        self.applied
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.status.borrow().state
    }

    pub(super) fn closed_ns(&self) -> Option<u64> {
        let status = self.status.borrow();
        status.closed_ns.filter(|_| status.state == State::Exited)
    }

    /// All that changes, as it is now.
    pub fn status(&self) -> Status {
        self.status.borrow().clone()
    }

    /// The same, with its changes. Ends with the entry.
    pub fn subscribe(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    pub(super) fn update(&self, status: Status) {
        if status.state == State::Exited {
            self.input.close();
        }
        self.status.send_replace(status);
    }

    /// Where its input is written.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// Bytes that a view ever had.
    pub fn total(status: &Status, view: View) -> u64 {
        History::total(status, view)
    }

    /// A piece of its output; see [`History::read`]. The reading of files is done aside.
    pub async fn read(
        self: &Arc<Self>,
        status: &Status,
        view: View,
        from: u64,
        limit: usize,
    ) -> Piece {
        if from >= Self::total(status, view) {
            return Piece {
                start: from,
                ..Piece::default()
            };
        }
        let (entry, status) = (Arc::clone(self), status.clone());
        aside(move || entry.history.read(&status, view, from, limit)).await
    }

    /// The first bytes of its output; see [`History::head`].
    pub async fn head(self: &Arc<Self>, status: &Status, view: View, length: usize) -> Vec<u8> {
        if Self::total(status, view) == 0 {
            return Vec::new();
        }
        let (entry, status) = (Arc::clone(self), status.clone());
        aside(move || entry.history.head(&status, view, length)).await
    }

    /// What stands on the screen of its terminal, from what is kept of its output. `None` without a terminal.
    pub async fn screen(self: &Arc<Self>) -> Option<super::screen::Grid> {
        if !self.facts.pty {
            return None;
        }
        let (entry, status) = (Arc::clone(self), self.status());
        let size = self.input.size();
        Some(aside(move || entry.screen.show(&entry.history, &status, size)).await)
    }
}

/// Runs what may wait for the disk where it holds up nobody. Dropping the future leaves it to run to its end.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work)
        .await
        .expect("reading does not panic, and nothing cancels it")
}
