//! Which processes there are, who sees them, which token has which: decisions without clock, lock or I/O.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, HashSet},
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
    /// Starts that are under way, of whom.
    pending: HashMap<Option<Uuid>, usize>,
    /// Chats for which nothing is started any more.
    closed: HashSet<Uuid>,
    /// Entries that are not known to have exited.
    live: HashSet<Uuid>,
    /// Bytes of the texts of all entries.
    text: usize,
    /// Exited ones, the earliest first: without a token, and with one.
    exited: [BinaryHeap<Reverse<(u64, Uuid)>>; 2],
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
    /// Nothing is started for this chat any more.
    Closed,
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
        if caller.chat.is_some_and(|chat| self.closed.contains(&chat)) {
            return Claim::Closed;
        }
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
        *self.pending.entry(caller.chat).or_default() += 1;
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
        let pending: usize = self.pending.values().sum();
        self.entries.len() + pending >= ENTRIES
            || pending + self.live.len() >= LIVE
            || self.entries.len() > 64 && self.text > TEXT
    }

    /// Ends a reservation; the process is in the table already when it was started.
    pub(super) fn settle(&mut self, token: Option<&str>, caller: &Caller) {
        if let Some(pending) = self.pending.get_mut(&caller.chat) {
            *pending -= 1;
            if *pending == 0 {
                self.pending.remove(&caller.chat);
            }
        }
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
        self.text += text_length(entry.facts());
        match entry.closed_ns() {
            Some(at) => self.remember_exit(&entry, at),
            None => {
                self.live.insert(entry.id());
            }
        }
        self.entries.insert(entry.id(), entry);
    }

    /// Takes that a process has exited, unless it is forgotten already.
    pub(super) fn exit(&mut self, entry: &Entry) {
        if let Some(at) = entry.closed_ns()
            && self.live.remove(&entry.id())
        {
            self.remember_exit(entry, at);
        }
    }

    fn remember_exit(&mut self, entry: &Entry, at: u64) {
        let has_token = entry.facts().token.is_some();
        self.exited[usize::from(has_token)].push(Reverse((at, entry.id())));
    }

    pub(super) fn get(&self, id: Uuid) -> Option<&Arc<Entry>> {
        self.entries.get(&id)
    }

    /// The process, if this caller may know of it.
    pub(super) fn visible(&self, caller: &Caller, id: Uuid) -> Option<&Arc<Entry>> {
        self.entries.get(&id).filter(|entry| {
            let facts = entry.facts();
            caller.chat.is_none_or(|chat| {
                facts.chat.is_none_or(|owner| owner == chat)
                    || caller.is_above(chat, facts.chat, &facts.ancestors)
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
                facts.chat == Some(chat)
                    || filter.descendants && caller.is_above(chat, facts.chat, &facts.ancestors)
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
        self.text -= text_length(entry.facts());
        self.live.remove(&id);
        if let Some(token) = &entry.facts().token
            && matches!(self.tokens.get(token), Some(Slot::Held(holder)) if *holder == id)
        {
            self.tokens.remove(token);
        }
        Some(entry)
    }

    /// Forgets what has been exited for long enough; what it was.
    pub(super) fn sweep(&mut self, retention: Retention, now_ns: u64) -> Vec<Uuid> {
        let mut over = Vec::new();
        for (class, kept) in [(0, retention.plain_ns), (1, retention.token_ns)] {
            while let Some(Reverse((closed, id))) = self.exited[class].peek().copied()
                && closed.saturating_add(kept) <= now_ns
            {
                self.exited[class].pop();
                // It may have been forgotten by hand.
                over.extend(self.remove(id).map(|entry| entry.id()));
            }
        }
        over
    }

    /// Has nothing started for these chats any more, or has it started again.
    pub(super) fn close(&mut self, chats: &HashSet<Uuid>, closed: bool) {
        for chat in chats {
            if closed {
                self.closed.insert(*chat);
            } else {
                self.closed.remove(chat);
            }
        }
    }

    /// The entries of these chats; `None` while a start for one of them is under way.
    pub(super) fn of_chats(&self, chats: &HashSet<Uuid>) -> Option<Vec<Arc<Entry>>> {
        let of_them = |chat: Option<Uuid>| chat.is_some_and(|chat| chats.contains(&chat));
        if self.pending.keys().any(|chat| of_them(*chat)) {
            return None;
        }
        let entries = self.entries.values();
        Some(
            entries
                .filter(|entry| of_them(entry.facts().chat))
                .cloned()
                .collect(),
        )
    }

    /// Chats with processes that are not exited.
    pub(super) fn live_chats(&self) -> HashSet<Uuid> {
        let live = self
            .live
            .iter()
            .filter_map(|id| self.entries.get(id)?.facts().chat);
        live.chain(self.pending.keys().copied().flatten()).collect()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::proc::record::{Ending, Record, Status};

    fn entry(
        id: u128,
        chat: Option<u128>,
        token: Option<&str>,
        closed_ns: Option<u64>,
    ) -> Arc<Entry> {
        let mut status = Status::running();
        if let Some(at) = closed_ns {
            status.close(Ending::Exited { code: 0 }, at);
        }
        let facts = Facts {
            command: Some("true".to_owned()),
            argv: None,
            program: "sh".to_owned(),
            workdir: "/".to_owned(),
            named_workdir: false,
            background: false,
            chat: chat.map(Uuid::from_u128),
            ancestors: Vec::new(),
            token: token.map(str::to_owned),
            fingerprint: "same".to_owned(),
            stdin_pipe: false,
            separate: false,
            pty: false,
            user: "root".to_owned(),
            timeout_ms: None,
            request: String::new(),
        };
        let record = Record {
            id: Uuid::from_u128(id),
            facts,
            pid: 1,
            birth: 1,
            started_ns: u64::try_from(id).expect("small"),
            segment: 1,
            applied: crate::proc::record::Applied::default(),
            status,
        };
        Arc::new(Entry::new(record, None, Path::new("/nowhere")))
    }

    fn chat(number: u128) -> Caller {
        Caller {
            chat: Some(Uuid::from_u128(number)),
            ..Caller::default()
        }
    }

    #[test]
    fn a_second_start_waits_and_then_finds_what_became_of_the_first() {
        let (mut table, nobody) = (Table::default(), Caller::default());
        assert!(matches!(
            table.claim(Some("t"), "same", &nobody),
            Claim::Reserved
        ));
        assert!(table.token(&nobody, "t").pending);
        assert!(
            !table.token(&chat(9), "t").pending,
            "another chat learns nothing"
        );
        let Claim::Wait(settled) = table.claim(Some("t"), "same", &nobody) else {
            panic!("it must wait");
        };
        assert!(matches!(
            table.claim(Some("t"), "same", &chat(9)),
            Claim::Conflict
        ));
        table.insert(entry(1, None, Some("t"), None));
        assert!(settled.is_cancelled());
        table.settle(Some("t"), &nobody);
        assert!(matches!(
            table.claim(Some("t"), "same", &nobody),
            Claim::Attached(_)
        ));
        assert!(matches!(
            table.claim(Some("t"), "other", &nobody),
            Claim::Conflict
        ));
        table.remove(Uuid::from_u128(1));
        assert!(matches!(
            table.claim(Some("t"), "other", &nobody),
            Claim::Reserved
        ));
        table.settle(Some("t"), &nobody);
        assert_eq!(
            table.token(&nobody, "t"),
            TokenState::default(),
            "a failed start frees it"
        );
    }

    #[test]
    fn exited_ones_go_in_their_time_and_live_ones_never() {
        let mut table = Table::default();
        table.insert(entry(1, None, None, Some(100)));
        table.insert(entry(2, None, Some("t"), Some(100)));
        table.insert(entry(3, None, None, None));
        let retention = Retention {
            plain_ns: 10,
            token_ns: 1000,
        };
        let mut sweep = |now| table.sweep(retention, now);
        assert!(sweep(109).is_empty());
        assert_eq!(sweep(110), [Uuid::from_u128(1)]);
        assert_eq!(sweep(1100), [Uuid::from_u128(2)]);
        assert!(sweep(u64::MAX).is_empty());
        let nobody = Caller::default();
        assert_eq!(table.token(&nobody, "t"), TokenState::default());
        assert_eq!(table.list(&nobody, &Filter::default()).1, 1);
    }

    #[test]
    fn a_place_is_free_again_when_its_process_exits_or_is_forgotten() {
        let (mut table, nobody) = (Table::default(), Caller::default());
        let all: Vec<_> = (0..u128::try_from(LIVE).expect("small"))
            .map(|number| entry(number, None, None, None))
            .collect();
        for one in &all {
            table.insert(Arc::clone(one));
        }
        assert!(matches!(table.claim(None, "", &nobody), Claim::Full));
        let mut status = Status::running();
        status.close(Ending::Exited { code: 0 }, 7);
        all[0].update(status.clone());
        table.exit(&all[0]);
        table.exit(&all[0]);
        // Forgotten before it is told here that it has exited.
        all[1].update(status);
        table.remove(all[1].id());
        table.exit(&all[1]);
        for _ in 0..2 {
            assert!(matches!(table.claim(None, "", &nobody), Claim::Reserved));
        }
        assert!(matches!(table.claim(None, "", &nobody), Claim::Full));
        let retention = Retention {
            plain_ns: 0,
            token_ns: 0,
        };
        assert_eq!(table.sweep(retention, 7), [all[0].id()]);
    }

    #[test]
    fn places_are_bounded() {
        let (mut table, nobody) = (Table::default(), Caller::default());
        for number in 0..LIVE - 1 {
            table.insert(entry(
                u128::try_from(number).expect("small"),
                None,
                None,
                None,
            ));
        }
        assert!(matches!(table.claim(None, "", &nobody), Claim::Reserved));
        assert!(matches!(table.claim(None, "", &nobody), Claim::Full));
        table.settle(None, &nobody);
        assert!(matches!(table.claim(None, "", &nobody), Claim::Reserved));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Claim,
        Succeed,
        Fail,
        Forget,
    }

    /// The same rules for one token, in a word: who has it.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Model {
        Free,
        Pending,
        Held,
    }

    proptest! {
        #[test]
        fn a_token_is_free_pending_or_held(steps in proptest::collection::vec(0_u8..4, 0..60)) {
            let (mut table, nobody) = (Table::default(), Caller::default());
            let (mut model, mut next) = (Model::Free, 0_u128);
            for step in steps {
                let step = [Step::Claim, Step::Succeed, Step::Fail, Step::Forget][usize::from(step)];
                match (step, model) {
                    (Step::Claim, Model::Free) => {
                        prop_assert!(matches!(table.claim(Some("t"), "same", &nobody), Claim::Reserved));
                        model = Model::Pending;
                    }
                    (Step::Claim, Model::Pending) => {
                        prop_assert!(matches!(table.claim(Some("t"), "same", &nobody), Claim::Wait(_)));
                    }
                    (Step::Claim, Model::Held) => {
                        prop_assert!(matches!(table.claim(Some("t"), "same", &nobody), Claim::Attached(_)));
                    }
                    (Step::Succeed, Model::Pending) => {
                        next += 1;
                        table.insert(entry(next, None, Some("t"), None));
                        table.settle(Some("t"), &nobody);
                        model = Model::Held;
                    }
                    (Step::Fail, Model::Pending) => {
                        table.settle(Some("t"), &nobody);
                        model = Model::Free;
                    }
                    (Step::Forget, Model::Held) => {
                        prop_assert!(table.remove(Uuid::from_u128(next)).is_some());
                        model = Model::Free;
                    }
                    (Step::Succeed | Step::Fail, Model::Free | Model::Held)
                    | (Step::Forget, Model::Free | Model::Pending) => {}
                }
                let state = table.token(&nobody, "t");
                prop_assert_eq!(state.pending, model == Model::Pending);
                prop_assert_eq!(state.process.is_some(), model == Model::Held);
            }
        }
    }
}
