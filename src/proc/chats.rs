//! Processes of chats: who is told of them, and how those of a chat are ended all at once.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    pin::pin,
};

use uuid::Uuid;

use super::{
    Processes,
    record::{Facts, State},
};

/// How often processes of a chat are ended that are still there.
const END_ROUNDS: usize = 3;

/// When an [`Observer`] is told of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It was started; not when it was attached to.
    Started,
    /// Its main process has ended.
    Ended,
}

/// Who is told of starts and endings; must be quick, and must not ask about processes.
pub struct Observer(Box<Tell>);

type Tell = dyn Fn(&Facts, Moment) + Send + Sync;

impl Observer {
    /// Calls `tell`.
    pub fn new(tell: impl Fn(&Facts, Moment) + Send + Sync + 'static) -> Self {
        Self(Box::new(tell))
    }

    pub(super) fn tell(&self, facts: &Facts, moment: Moment) {
        (self.0)(facts, moment);
    }
}

impl fmt::Debug for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Observer")
    }
}

impl Processes {
    /// Has nothing started for these chats from now on, until [`Processes::admit`].
    pub fn refuse(&self, chats: &HashSet<Uuid>) {
        self.table().close(chats, true);
    }

    /// Ends all processes of chats that are refused, side by side as [`Processes::end`] does, and forgets them; how many were
    /// not exited. Nothing is left when it returns, unless the daemon stops, or the kernel does not let a process go.
    pub async fn end_chats(&self, chats: &HashSet<Uuid>) -> usize {
        let mut ended = HashSet::new();
        let mut rounds = 0;
        while !self.0.shutdown.is_stopping() {
            let mut settled = pin!(self.0.settled.notified());
            settled.as_mut().enable();
            let entries = self.table().of_chats(chats);
            let Some(entries) = entries else {
                settled.await; // a start is under way
                continue;
            };
            if entries.is_empty() || rounds == END_ROUNDS {
                break;
            }
            rounds += 1;
            let live = entries
                .iter()
                .filter(|entry| entry.state() != State::Exited);
            ended.extend(live.map(|entry| entry.id()));
            futures_util::future::join_all(entries.iter().map(|entry| self.end(entry))).await;
            for entry in &entries {
                self.forget(entry).await;
            }
        }
        ended.len()
    }

    /// Has processes started for these chats again.
    pub fn admit(&self, chats: &HashSet<Uuid>) {
        self.table().close(chats, false);
    }

    /// Chats with processes that are not exited.
    pub fn live_chats(&self) -> HashSet<Uuid> {
        self.table().live_chats()
    }

    /// Of each chat how many processes run, and how many more are remembered.
    pub fn by_chat(&self) -> HashMap<Uuid, (usize, usize)> {
        let mut counts = HashMap::<Uuid, (usize, usize)>::new();
        let table = self.table();
        for entry in table.all() {
            if let Some(chat) = entry.facts().chat {
                let (running, kept) = counts.entry(chat).or_default();
                let count = if entry.state() == State::Running {
                    running
                } else {
                    kept
                };
                *count += 1;
            }
        }
        counts
    }
}
