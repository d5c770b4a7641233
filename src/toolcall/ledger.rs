//! The decision on each request of a tool call, and what is remembered for the next one. No lock, no clock, no I/O.
//!
//! ```text
//!                 begin ──▶ Running ──finish──▶ Ended ──┐
//!  (no record) ──┤             └──release──▶ (no record)├── dropped ──▶ (no record, and the time of the drop)
//!                 cancel ─▶ Cancelled ──────────────────┘
//! ```
//!
//! A record of an older message goes when a newer one comes, running or not: whoever asks for it is stale. Beyond the
//! bounds the oldest ones go that are not running; the time of the latest such drop is kept, and a call that was committed
//! before it and has no record may have run. Calls at work are bounded, too, and below what a chat may have, so that there
//! is always something else to drop.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use uuid::Uuid;

use super::key::{Call, Key};

#[cfg(test)]
mod tests;

/// What a record weighs besides its id and its answer, in bytes.
const RECORD: usize = 1024;

/// How much is remembered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Records of a chat.
    pub(super) of_chat: usize,
    /// Chats.
    pub(super) chats: usize,
    /// Bytes of all records that are not running.
    pub(super) bytes: usize,
    /// Calls that run; fewer than records of a chat, and than chats.
    pub(super) running: usize,
}

/// Why a call does not run and has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A later message of the chat has been seen.
    #[error("a later message of the chat has been seen, so this tool call is over")]
    Stale,
    /// It was cancelled before it came.
    #[error("the tool call was canceled before it came")]
    Cancelled,
    /// It has no record, but may have had one: it was committed before this daemon started, or before records went.
    #[error(
        "the tool call has no record and is older than the records, so it may have run already"
    )]
    Restarted,
    /// Too many calls run.
    #[error("too many tool calls are running")]
    Busy,
}

/// What becomes of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<S> {
    /// It is answered without running.
    Refused(Refusal),
    /// The call has run, or runs.
    Known(S),
    /// It runs, and owes a [`Ledger::finish`] or [`Ledger::release`].
    Run(Ticket),
}

/// What becomes of a cancellation.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cancelled<S> {
    /// It says nothing of the call.
    Refused(Refusal),
    /// The call has not come, and will not run.
    NotStarted,
    /// The call has run, or runs.
    Started(S),
}

/// Number of a record; later ones are higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Ticket(u64);

#[derive(Debug)]
enum Phase<S> {
    Cancelled,
    Running(S),
    Ended(S),
}

#[derive(Debug)]
struct Record<S> {
    chat: Uuid,
    id: Box<[u8]>,
    weight: usize,
    phase: Phase<S>,
}

#[derive(Debug, Default)]
struct Chat {
    /// Newest message seen.
    newest: u64,
    /// When it was last seen: number of the request.
    seen: u64,
    /// Calls of the newest message.
    calls: HashMap<Box<[u8]>, Ticket>,
    /// Those of them that do not run.
    settled: BTreeSet<Ticket>,
}

impl Chat {
    fn runs(&self) -> bool {
        self.settled.len() < self.calls.len()
    }
}

/// All that is known of tool calls. `S` is what a record leads to. Times are since the daemon's start.
#[derive(Debug)]
pub(super) struct Ledger<S> {
    bounds: Bounds,
    chats: HashMap<Uuid, Chat>,
    /// Chats by when they were last seen.
    by_seen: BTreeMap<u64, Uuid>,
    records: HashMap<Ticket, Record<S>>,
    /// Records that do not run.
    settled: BTreeSet<Ticket>,
    bytes: usize,
    running: usize,
    last: u64,
    dropped_at: Option<Duration>,
}

impl<S: Clone> Ledger<S> {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            chats: HashMap::new(),
            by_seen: BTreeMap::new(),
            records: HashMap::new(),
            settled: BTreeSet::new(),
            bytes: 0,
            running: 0,
            last: 0,
            dropped_at: None,
        }
    }

    /// Decides on a request of a call, in the order of the rows. A new record leads to `slot`.
    pub(super) fn begin(&mut self, call: &Call, now: Duration, slot: S) -> Verdict<S> {
        let found = match self.meet(call, now) {
            Ok(found) => found,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        match found.map(|ticket| &self.record(ticket).phase) {
            Some(Phase::Cancelled) => Verdict::Refused(Refusal::Cancelled),
            Some(Phase::Running(slot) | Phase::Ended(slot)) => Verdict::Known(slot.clone()),
            None if self.running >= self.bounds.running => Verdict::Refused(Refusal::Busy),
            None => {
                self.running += 1;
                Verdict::Run(self.insert(&call.key, now, Phase::Running(slot)))
            }
        }
    }

    /// Decides on a cancellation of a call, and remembers it when the call has not come.
    pub(super) fn cancel(&mut self, call: &Call, now: Duration) -> Cancelled<S> {
        let found = match self.meet(call, now) {
            Ok(found) => found,
            Err(refusal) => return Cancelled::Refused(refusal),
        };
        match found.map(|ticket| &self.record(ticket).phase) {
            Some(Phase::Cancelled) => Cancelled::NotStarted,
            Some(Phase::Running(slot) | Phase::Ended(slot)) => Cancelled::Started(slot.clone()),
            None => {
                self.insert(&call.key, now, Phase::Cancelled);
                self.shrink(now);
                Cancelled::NotStarted
            }
        }
    }

    /// A call has run; its answer has this many bytes. One that is larger than all the room is not remembered.
    pub(super) fn finish(&mut self, ticket: Ticket, bytes: usize, now: Duration) {
        self.running -= 1;
        let Some(record) = self.records.get_mut(&ticket) else {
            return; // a later message has come
        };
        if let Phase::Running(slot) = &record.phase {
            record.phase = Phase::Ended(slot.clone());
        }
        record.weight += bytes;
        let chat = record.chat;
        if record.weight > self.bounds.bytes {
            self.forget(ticket);
            self.dropped_at = Some(now);
            return;
        }
        self.settle(ticket, chat);
        self.shrink(now);
    }

    /// A call did not come to run after all: the next request of it is the first.
    pub(super) fn release(&mut self, ticket: Ticket) {
        self.running -= 1;
        if self.records.contains_key(&ticket) {
            self.forget(ticket);
        }
    }

    /// The rows on what is known of the chat, up to the record of the call if it has one.
    fn meet(&mut self, call: &Call, now: Duration) -> Result<Option<Ticket>, Refusal> {
        let Key { chat, message, id } = &call.key;
        if self
            .chats
            .get(chat)
            .is_some_and(|known| *message < known.newest)
        {
            return Err(Refusal::Stale);
        }
        self.see(*chat, *message, now);
        if let Some(ticket) = self.chats[chat].calls.get(id) {
            return Ok(Some(*ticket));
        }
        // Records reach back to the last drop, or to the start.
        let reach = now.saturating_sub(self.dropped_at.unwrap_or_default());
        if call.age > reach {
            return Err(Refusal::Restarted);
        }
        Ok(None)
    }

    /// Notes a message of a chat. What older messages left goes.
    fn see(&mut self, id: Uuid, message: u64, now: Duration) {
        if !self.chats.contains_key(&id) && self.chats.len() >= self.bounds.chats {
            self.forget_a_chat(now);
        }
        self.last += 1;
        let chat = self.chats.entry(id).or_default();
        self.by_seen.remove(&chat.seen);
        chat.seen = self.last;
        self.by_seen.insert(chat.seen, id);
        if message > chat.newest {
            chat.newest = message;
            let over: Vec<Ticket> = chat.calls.values().copied().collect();
            for ticket in over {
                self.forget(ticket);
            }
        }
    }

    fn insert(&mut self, key: &Key, now: Duration, phase: Phase<S>) -> Ticket {
        let full = |chat: &&Chat| chat.calls.len() >= self.bounds.of_chat;
        let over = self.chats.get(&key.chat).filter(full);
        if let Some(oldest) = over.and_then(|chat| chat.settled.first().copied()) {
            self.forget(oldest);
            self.dropped_at = Some(now);
        }
        self.last += 1;
        let ticket = Ticket(self.last);
        let chat = self.chats.get_mut(&key.chat).expect("it was just seen");
        chat.calls.insert(key.id.clone(), ticket);
        let settled = matches!(phase, Phase::Cancelled);
        let record = Record {
            chat: key.chat,
            id: key.id.clone(),
            weight: RECORD + 2 * key.id.len(),
            phase,
        };
        self.records.insert(ticket, record);
        if settled {
            self.settle(ticket, key.chat);
        }
        ticket
    }

    fn settle(&mut self, ticket: Ticket, chat: Uuid) {
        self.bytes += self.record(ticket).weight;
        self.settled.insert(ticket);
        let chat = self.chats.get_mut(&chat).expect("a record has its chat");
        chat.settled.insert(ticket);
    }

    /// Drops the oldest records until there is room.
    fn shrink(&mut self, now: Duration) {
        while self.bytes > self.bounds.bytes {
            let oldest = self.settled.first().copied();
            self.forget(oldest.expect("bytes are those of settled records"));
            self.dropped_at = Some(now);
        }
    }

    /// Drops the chat seen longest ago of those without a running call.
    fn forget_a_chat(&mut self, now: Duration) {
        let quiet = |id: &&Uuid| !self.chats[*id].runs();
        let Some(id) = self.by_seen.values().find(quiet).copied() else {
            return;
        };
        let over: Vec<Ticket> = self.chats[&id].calls.values().copied().collect();
        for ticket in over {
            self.forget(ticket);
        }
        let chat = self.chats.remove(&id).expect("it was found");
        self.by_seen.remove(&chat.seen);
        self.dropped_at = Some(now);
    }

    fn forget(&mut self, ticket: Ticket) {
        let record = self.records.remove(&ticket).expect("the record is there");
        if self.settled.remove(&ticket) {
            self.bytes -= record.weight;
        }
        let chat = self.chats.get_mut(&record.chat);
        let chat = chat.expect("a record has its chat");
        chat.calls.remove(&record.id);
        chat.settled.remove(&ticket);
    }

    /// Chats, records, and bytes of those that do not run.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.chats.len(), self.records.len(), self.bytes)
    }

    fn record(&self, ticket: Ticket) -> &Record<S> {
        &self.records[&ticket]
    }
}
