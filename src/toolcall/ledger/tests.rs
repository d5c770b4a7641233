//! The ledger against a list that is searched from end to end, and the promise that it is there for.

use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds {
    of_chat: 3,
    chats: 3,
    bytes: 6 * RECORD,
    running: 2,
};

fn call(chat: u8, message: u8, id: u8, age: Duration) -> Call {
    Call {
        key: Key {
            chat: Uuid::from_u128(u128::from(chat)),
            message: u64::from(message),
            id: vec![id].into(),
        },
        age,
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn at(seconds: u32) -> Duration {
    SECOND * seconds
}

/// Runs to the end.
fn ran(ledger: &mut Ledger<u32>, call: &Call, now: Duration, slot: u32) {
    match ledger.begin(call, now, slot) {
        Verdict::Run(ticket) => ledger.finish(ticket, 0, now),
        other => panic!("{other:?}"),
    }
}

fn refused(ledger: &mut Ledger<u32>, call: &Call, now: Duration) -> Refusal {
    match ledger.begin(call, now, 0) {
        Verdict::Refused(refusal) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rows_are_looked_at_in_their_order() {
    let mut ledger = Ledger::new(BOUNDS);
    let fresh = |message, id| call(1, message, id, Duration::ZERO);
    let ancient = |message, id| call(1, message, id, at(1000));
    ran(&mut ledger, &fresh(5, 1), at(10), 1);
    // Stale comes before everything, cancelled and known come before the age.
    assert_eq!(refused(&mut ledger, &ancient(4, 1), at(11)), Refusal::Stale);
    assert_eq!(ledger.begin(&ancient(5, 1), at(11), 9), Verdict::Known(1));
    assert_eq!(ledger.cancel(&fresh(5, 2), at(11)), Cancelled::NotStarted);
    assert_eq!(
        refused(&mut ledger, &ancient(5, 2), at(11)),
        Refusal::Cancelled
    );
    assert_eq!(
        refused(&mut ledger, &ancient(5, 3), at(11)),
        Refusal::Restarted
    );
    // As old as the daemon is not older.
    let just = call(1, 5, 3, at(11));
    ran(&mut ledger, &just, at(11), 3);
    assert_eq!(ledger.cancel(&just, at(12)), Cancelled::Started(3));
    assert_eq!(
        ledger.cancel(&ancient(5, 4), at(12)),
        Cancelled::Refused(Refusal::Restarted)
    );
    // What was refused and what was cancelled has been seen.
    assert_eq!(
        refused(&mut ledger, &ancient(6, 1), at(12)),
        Refusal::Restarted
    );
    assert_eq!(refused(&mut ledger, &fresh(5, 1), at(12)), Refusal::Stale);
    assert_eq!(ledger.cancel(&fresh(7, 1), at(12)), Cancelled::NotStarted);
    assert_eq!(
        ledger.cancel(&fresh(6, 1), at(12)),
        Cancelled::Refused(Refusal::Stale)
    );
    // Another chat has a number of its own.
    ran(&mut ledger, &call(2, 1, 1, Duration::ZERO), at(12), 4);
}

#[test]
fn a_newer_message_takes_the_records_of_older_ones_with_it() {
    let mut ledger = Ledger::new(BOUNDS);
    let Verdict::Run(slow) = ledger.begin(&call(1, 1, 1, Duration::ZERO), at(1), 1) else {
        panic!("it runs");
    };
    ran(&mut ledger, &call(1, 1, 2, Duration::ZERO), at(1), 2);
    ran(&mut ledger, &call(1, 2, 1, Duration::ZERO), at(1), 3);
    assert_eq!(ledger.records.len(), 1);
    ledger.finish(slow, 100, at(2));
    assert_eq!((ledger.records.len(), ledger.running), (1, 0));
    assert_eq!(ledger.dropped_at, None, "nothing of it can be asked for");
}

#[test]
fn too_many_running_calls_are_refused_and_leave_no_record() {
    let mut ledger = Ledger::new(BOUNDS);
    let fresh = |id| call(1, 1, id, Duration::ZERO);
    let Verdict::Run(first) = ledger.begin(&fresh(1), at(1), 1) else {
        panic!("it runs");
    };
    assert!(matches!(ledger.begin(&fresh(2), at(1), 2), Verdict::Run(_)));
    assert_eq!(refused(&mut ledger, &fresh(3), at(1)), Refusal::Busy);
    ledger.release(first);
    ran(&mut ledger, &fresh(3), at(1), 3);
    ran(&mut ledger, &fresh(1), at(1), 4);
}

#[test]
fn what_is_dropped_is_refused_when_it_was_committed_before() {
    let mut ledger = Ledger::new(BOUNDS);
    for id in 0..4 {
        ran(&mut ledger, &call(1, 1, id, Duration::ZERO), at(10), 1);
    }
    assert_eq!(ledger.chats[&Uuid::from_u128(1)].calls.len(), 3);
    let first = call(1, 1, 0, at(5));
    assert_eq!(refused(&mut ledger, &first, at(14)), Refusal::Restarted);
    ran(&mut ledger, &call(2, 1, 0, at(4)), at(14), 2);
    // An answer beyond all room is not kept, and nothing else goes for it.
    let Verdict::Run(large) = ledger.begin(&call(2, 1, 1, Duration::ZERO), at(20), 3) else {
        panic!("it runs");
    };
    ledger.finish(large, 6 * RECORD, at(21));
    assert_eq!(ledger.records.len(), 4);
    assert_eq!(
        refused(&mut ledger, &call(2, 1, 1, at(5)), at(25)),
        Refusal::Restarted
    );
}

#[test]
fn the_chat_seen_longest_ago_goes_first_unless_it_works() {
    let mut ledger = Ledger::new(BOUNDS);
    let fresh = |chat| call(chat, 5, 1, Duration::ZERO);
    let Verdict::Run(busy) = ledger.begin(&fresh(1), at(1), 1) else {
        panic!("it runs");
    };
    ran(&mut ledger, &fresh(2), at(2), 2);
    ran(&mut ledger, &fresh(3), at(3), 3);
    ran(&mut ledger, &fresh(4), at(4), 4);
    assert_eq!(ledger.begin(&fresh(1), at(5), 0), Verdict::Known(1));
    assert_eq!(ledger.begin(&fresh(3), at(5), 0), Verdict::Known(3));
    let forgotten = call(2, 4, 1, at(2));
    assert_eq!(refused(&mut ledger, &forgotten, at(5)), Refusal::Restarted);
    ledger.finish(busy, 0, at(6));
}

/// The same rules, by searching lists.
#[derive(Debug, Default)]
struct Model {
    /// Chat, newest message; the one seen last stands last.
    chats: Vec<(Uuid, u64)>,
    /// In the order in which they came.
    records: Vec<Row>,
    /// Numbers of the calls that run, with a record or without.
    running: Vec<u32>,
    drop: Duration,
}

#[derive(Debug)]
struct Row {
    key: Key,
    slot: Option<u32>,
    runs: bool,
    weight: usize,
}

impl Model {
    #[expect(
        clippy::option_option,
        reason = "known, and its result when it has one"
    )]
    fn look(&mut self, call: &Call, now: Duration) -> Result<Option<Option<u32>>, Refusal> {
        let Key { chat, message, .. } = call.key;
        let newest = self.chats.iter().find(|known| known.0 == chat);
        let newest = newest.map_or(0, |known| known.1);
        if message < newest {
            return Err(Refusal::Stale);
        }
        if newest == 0 && self.chats.len() == BOUNDS.chats {
            let works = |id| self.records.iter().any(|r| r.runs && r.key.chat == id);
            let over = self.chats.iter().position(|known| !works(known.0));
            let over = self.chats.remove(over.expect("fewer run")).0;
            self.records.retain(|row| row.key.chat != over);
            self.drop = now;
        }
        self.chats.retain(|known| known.0 != chat);
        self.chats.push((chat, message));
        self.records
            .retain(|row| row.key.chat != chat || row.key.message == message);
        if let Some(row) = self.records.iter().find(|row| row.key == call.key) {
            return Ok(Some(row.slot));
        }
        if call.age > now.saturating_sub(self.drop) {
            return Err(Refusal::Restarted);
        }
        Ok(None)
    }

    fn add(&mut self, key: &Key, slot: Option<u32>, now: Duration) {
        let of_chat = |row: &&Row| row.key.chat == key.chat;
        if self.records.iter().filter(of_chat).count() == BOUNDS.of_chat {
            let oldest = |row: &Row| row.key.chat == key.chat && !row.runs;
            let oldest = self.records.iter().position(oldest).expect("fewer run");
            self.records.remove(oldest);
            self.drop = now;
        }
        self.records.push(Row {
            key: key.clone(),
            slot,
            runs: slot.is_some(),
            weight: RECORD + 2,
        });
    }

    fn begin(&mut self, call: &Call, now: Duration, slot: u32) -> Verdict<u32> {
        match self.look(call, now) {
            Err(refusal) => Verdict::Refused(refusal),
            Ok(Some(None)) => Verdict::Refused(Refusal::Cancelled),
            Ok(Some(Some(slot))) => Verdict::Known(slot),
            Ok(None) if self.running.len() == BOUNDS.running => Verdict::Refused(Refusal::Busy),
            Ok(None) => {
                self.add(&call.key, Some(slot), now);
                self.running.push(slot);
                Verdict::Run(Ticket(0))
            }
        }
    }

    fn cancel(&mut self, call: &Call, now: Duration) -> Cancelled<u32> {
        match self.look(call, now) {
            Err(refusal) => Cancelled::Refused(refusal),
            Ok(Some(None)) => Cancelled::NotStarted,
            Ok(Some(Some(slot))) => Cancelled::Started(slot),
            Ok(None) => {
                self.add(&call.key, None, now);
                self.shrink(now);
                Cancelled::NotStarted
            }
        }
    }

    fn finish(&mut self, slot: u32, bytes: usize, now: Duration) {
        self.running.retain(|running| *running != slot);
        if let Some(row) = self.records.iter_mut().find(|r| r.slot == Some(slot)) {
            (row.runs, row.weight) = (false, row.weight + bytes);
            if row.weight > BOUNDS.bytes {
                self.records.retain(|row| row.slot != Some(slot));
                self.drop = now;
            }
            self.shrink(now);
        }
    }

    fn release(&mut self, slot: u32) {
        self.running.retain(|running| *running != slot);
        self.records.retain(|row| row.slot != Some(slot));
    }

    fn shrink(&mut self, now: Duration) {
        let weight = |rows: &[Row]| -> usize {
            let settled = rows.iter().filter(|row| !row.runs);
            settled.map(|row| row.weight).sum()
        };
        while weight(&self.records) > BOUNDS.bytes {
            let oldest = self.records.iter().position(|row| !row.runs);
            self.records.remove(oldest.expect("it weighs something"));
            self.drop = now;
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin {
        chat: u8,
        message: u8,
        id: u8,
        age: u8,
    },
    Cancel {
        chat: u8,
        message: u8,
        id: u8,
        age: u8,
    },
    Finish {
        which: u8,
        bytes: usize,
    },
    Release {
        which: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<(u8, Step)>> {
    let key = (1_u8..6, 1_u8..4, 0_u8..5, 0_u8..20);
    let step = prop_oneof![
        5 => key.clone().prop_map(|(chat, message, id, age)| Step::Begin { chat, message, id, age }),
        2 => key.prop_map(|(chat, message, id, age)| Step::Cancel { chat, message, id, age }),
        4 => (any::<u8>(), 0..8 * RECORD).prop_map(|(which, bytes)| Step::Finish { which, bytes }),
        1 => any::<u8>().prop_map(|which| Step::Release { which }),
    ];
    proptest::collection::vec((0_u8..3, step), 0..120)
}

/// Ledger and model, and what runs in both.
struct Pair {
    ledger: Ledger<u32>,
    model: Model,
    running: Vec<(u32, Ticket)>,
}

impl Pair {
    fn step(&mut self, step: Step, slot: u32, now: Duration) -> Result<(), TestCaseError> {
        match step {
            Step::Begin {
                chat,
                message,
                id,
                age,
            } => {
                let call = call(chat, message, id, SECOND * u32::from(age));
                let due = self.model.begin(&call, now, slot);
                match self.ledger.begin(&call, now, slot) {
                    Verdict::Run(ticket) => {
                        prop_assert!(matches!(due, Verdict::Run(_)), "runs: {due:?}");
                        self.running.push((slot, ticket));
                    }
                    other => prop_assert_eq!(other, due),
                }
            }
            Step::Cancel {
                chat,
                message,
                id,
                age,
            } => {
                let call = call(chat, message, id, SECOND * u32::from(age));
                let due = self.model.cancel(&call, now);
                prop_assert_eq!(self.ledger.cancel(&call, now), due);
            }
            Step::Finish { which, bytes } if !self.running.is_empty() => {
                let which = usize::from(which) % self.running.len();
                let (slot, ticket) = self.running.remove(which);
                self.ledger.finish(ticket, bytes, now);
                self.model.finish(slot, bytes, now);
            }
            Step::Release { which } if !self.running.is_empty() => {
                let which = usize::from(which) % self.running.len();
                let (slot, ticket) = self.running.remove(which);
                self.ledger.release(ticket);
                self.model.release(slot);
            }
            Step::Finish { .. } | Step::Release { .. } => {}
        }
        Ok(())
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let Self { ledger, model, .. } = self;
        prop_assert_eq!(ledger.records.len(), model.records.len());
        prop_assert_eq!(ledger.chats.len(), model.chats.len());
        prop_assert_eq!(ledger.by_seen.len(), ledger.chats.len());
        prop_assert!(ledger.bytes <= BOUNDS.bytes && ledger.chats.len() <= BOUNDS.chats);
        let settled = ledger.settled.iter();
        let weight: usize = settled.map(|ticket| ledger.record(*ticket).weight).sum();
        prop_assert_eq!(weight, ledger.bytes);
        for chat in ledger.chats.values() {
            prop_assert!(chat.calls.len() <= BOUNDS.of_chat);
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn the_ledger_decides_as_the_lists_do(steps in steps()) {
        let mut pair = Pair { ledger: Ledger::new(BOUNDS), model: Model::default(), running: Vec::new() };
        let mut now = at(5);
        for ((wait, step), slot) in steps.into_iter().zip(1..) {
            now += SECOND * u32::from(wait);
            pair.step(step, slot, now)?;
            pair.check()?;
        }
    }

    /// With ages that are true, whatever is forgotten on the way, no call runs twice or after its cancellation.
    #[test]
    fn no_call_runs_twice(steps in steps()) {
        let mut ledger = Ledger::new(BOUNDS);
        let mut running: Vec<(Key, Ticket)> = Vec::new();
        let mut over: Vec<Key> = Vec::new();
        let mut now = at(5);
        for (wait, step) in steps {
            now += Duration::from_millis(10) + SECOND * u32::from(wait);
            // Each call was committed at a time of its own, or comes when it is committed.
            let committed = |message: u8, id: u8| SECOND * u32::from(message * 5 + id);
            match step {
                Step::Begin { chat, message, id, .. } => {
                    let call = call(chat, message, id, now.saturating_sub(committed(message, id)));
                    if now < committed(message, id) {
                        continue;
                    }
                    if let Verdict::Run(ticket) = ledger.begin(&call, now, 0) {
                        let again = over.contains(&call.key) || running.iter().any(|(key, _)| *key == call.key);
                        prop_assert!(!again, "{call:?} runs again");
                        running.push((call.key, ticket));
                    }
                }
                Step::Cancel { chat, message, id, .. } => {
                    let call = call(chat, message, id, now.saturating_sub(committed(message, id)));
                    if now >= committed(message, id) && ledger.cancel(&call, now) == Cancelled::NotStarted {
                        over.push(call.key);
                    }
                }
                Step::Finish { which, bytes } if !running.is_empty() => {
                    let (key, ticket) = running.remove(usize::from(which) % running.len());
                    ledger.finish(ticket, bytes, now);
                    over.push(key);
                }
                Step::Release { which } if !running.is_empty() => {
                    let (_, ticket) = running.remove(usize::from(which) % running.len());
                    ledger.release(ticket);
                }
                Step::Finish { .. } | Step::Release { .. } => {}
            }
        }
    }
}
