//! Which processes there are, who sees them, which token has which: decisions without clock, lock or I/O.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    entry::Entry,
    record::{Facts, State},
    spec::Caller,
};

/// Processes that are not exited.
pub const LIVE: usize = 1000;
/// Entries in all.
pub const ENTRIES: usize = 10_000;
/// Bytes of commands, directories and tokens of all entries.
const TEXT: usize = 64 << 20;

/// How long an exited process is remembered, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Retention {
    /// Without a token.
    pub plain_ns: u64,
    /// With one.
    pub token_ns: u64,
}

/// All entries and tokens.
#[derive(Debug, Default)]
pub(super) struct Table {
    entries: HashMap<Uuid, Arc<Entry>>,
    tokens: HashMap<String, Slot>,
    /// Starts that are under way.
    pending: usize,
}

#[derive(Debug)]
enum Slot {
    /// Reserved; the token is cancelled when that has come to an end.
    Pending {
        chat: Option<Uuid>,
        settled: CancellationToken,
    },
    Held(Uuid),
}

/// What a start may do.
#[derive(Debug)]
pub(super) enum Claim {
    /// Start it. Must be followed by [`Table::settle`].
    Reserved,
    /// It is there already.
    Attached(Arc<Entry>),
    /// Ask again when this is cancelled.
    Wait(CancellationToken),
    /// Another one has the token.
    Conflict,
    /// No place.
    Full,
}

/// What is known of a token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenState {
    /// Its process.
    pub process: Option<Uuid>,
    /// Reserved, and not yet started.
    pub pending: bool,
}

/// Which entries a list has.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Also those of the caller's descendants.
    pub descendants: bool,
    /// In these states; empty: in every.
    pub states: Vec<State>,
    /// At most so many; `None`: all.
    pub limit: Option<usize>,
}

impl Table {
    /// Reserves a place, and the token, or says who has it.
    pub(super) fn claim(
        &mut self,
        token: Option<&str>,
        fingerprint: &str,
        caller: &Caller,
    ) -> Claim {
        if let Some(token) = token {
            match self.tokens.get(token) {
                Some(Slot::Pending { chat, settled }) if *chat == caller.chat => {
                    return Claim::Wait(settled.clone());
                }
                Some(Slot::Pending { .. }) => return Claim::Conflict,
                Some(Slot::Held(id)) => {
                    let entry = &self.entries[id];
                    return if entry.facts().fingerprint == fingerprint {
                        Claim::Attached(Arc::clone(entry))
                    } else {
                        Claim::Conflict
                    };
                }
                None => {}
            }
        }
        if self.is_full() {
            return Claim::Full;
        }
        self.pending += 1;
        if let Some(token) = token {
            let slot = Slot::Pending {
                chat: caller.chat,
                settled: CancellationToken::new(),
            };
            self.tokens.insert(token.to_owned(), slot);
        }
        Claim::Reserved
    }

    fn is_full(&self) -> bool {
        let live = || {
            let all = self.entries.values();
            all.filter(|entry| entry.state() != State::Exited).count()
        };
        let text = || -> usize {
            let all = self.entries.values();
            all.map(|entry| text_length(entry.facts())).sum()
        };
        self.entries.len() + self.pending >= ENTRIES
            || self.pending + live() >= LIVE
            || self.entries.len() > 64 && text() > TEXT
    }

    /// Ends a reservation; the process is in the table already when it was started.
    pub(super) fn settle(&mut self, token: Option<&str>) {
        self.pending = self.pending.saturating_sub(1);
        let Some(token) = token else { return };
        // Held already when it was started.
        if let Some(Slot::Pending { settled, .. }) = self.tokens.get(token) {
            settled.cancel();
            self.tokens.remove(token);
        }
    }

    /// Adds a process, or replaces what was known of it; whoever waited for its token may ask again.
    pub(super) fn insert(&mut self, entry: Arc<Entry>) {
        if let Some(token) = &entry.facts().token {
            let held = Slot::Held(entry.id());
            if let Some(Slot::Pending { settled, .. }) = self.tokens.insert(token.clone(), held) {
                settled.cancel();
            }
        }
        self.entries.insert(entry.id(), entry);
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&Arc<Entry>> {
        self.entries.get(&id)
    }

    /// The process, if this caller may know of it.
    pub(super) fn visible(&self, caller: &Caller, id: Uuid) -> Option<&Arc<Entry>> {
        self.entries.get(&id).filter(|entry| {
            let facts = entry.facts();
            caller.chat.is_none_or(|chat| {
                facts.chat.is_none_or(|owner| owner == chat) || facts.ancestors.contains(&chat)
            })
        })
    }

    /// What the caller may know of a token.
    pub(super) fn token(&self, caller: &Caller, token: &str) -> TokenState {
        let may = |chat: Option<Uuid>| caller.chat.is_none() || chat == caller.chat;
        match self.tokens.get(token) {
            Some(Slot::Pending { chat, .. }) if may(*chat) => TokenState {
                process: None,
                pending: true,
            },
            Some(Slot::Held(id)) if may(self.entries[id].facts().chat) => TokenState {
                process: Some(*id),
                pending: false,
            },
            _ => TokenState::default(),
        }
    }

    /// Running ones first, then the newest; and how many there are before the cut.
    pub(super) fn list(&self, caller: &Caller, filter: &Filter) -> (Vec<Arc<Entry>>, usize) {
        let of_caller = |facts: &Facts| {
            caller.chat.is_none_or(|chat| {
                facts.chat == Some(chat) || filter.descendants && facts.ancestors.contains(&chat)
            })
        };
        let mut found: Vec<(bool, &Arc<Entry>)> = self
            .entries
            .values()
            .filter(|entry| of_caller(entry.facts()))
            .map(|entry| (entry.state(), entry))
            .filter(|(state, _)| filter.states.is_empty() || filter.states.contains(state))
            .map(|(state, entry)| (state == State::Running, entry))
            .collect();
        found.sort_by_key(|(running, entry)| {
            let newest = std::cmp::Reverse(entry.started_ns());
            (!running, newest, entry.id())
        });
        let total = found.len();
        let cut = filter.limit.unwrap_or(total);
        let all = found.into_iter().take(cut);
        (all.map(|(_, entry)| Arc::clone(entry)).collect(), total)
    }

    /// Forgets a process and its token.
    pub(super) fn remove(&mut self, id: Uuid) -> Option<Arc<Entry>> {
        let entry = self.entries.remove(&id)?;
        if let Some(token) = &entry.facts().token
            && matches!(self.tokens.get(token), Some(Slot::Held(holder)) if *holder == id)
        {
            self.tokens.remove(token);
        }
        Some(entry)
    }

    /// Forgets what has been exited for long enough; what it was.
    pub(super) fn sweep(&mut self, retention: Retention, now_ns: u64) -> Vec<Uuid> {
        let over: HashSet<Uuid> = self
            .entries
            .values()
            .filter(|entry| {
                let kept = match entry.facts().token {
                    Some(_) => retention.token_ns,
                    None => retention.plain_ns,
                };
                entry
                    .closed_ns()
                    .is_some_and(|closed| closed.saturating_add(kept) <= now_ns)
            })
            .map(|entry| entry.id())
            .collect();
        over.into_iter()
            .filter_map(|id| self.remove(id).map(|entry| entry.id()))
            .collect()
    }

    /// Everything, for whoever must tell all of them something.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.values()
    }
}

fn text_length(facts: &Facts) -> usize {
    let argv = facts.argv.iter().flatten();
    facts.command.as_ref().map_or(0, String::len)
        + argv.map(String::len).sum::<usize>()
        + facts.workdir.len()
        + facts.token.as_ref().map_or(0, String::len)
}
