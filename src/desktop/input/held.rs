//! The ledger of what we hold down. Pure: time comes in as a value.
//!
//! ```text
//! press -> transient --keep--> kept
//!              |                 |
//!              +---- release ----+   at the end of the action; by request, by the guard, by reset, at stop
//! ```

use std::time::{Duration, Instant};

use super::action::{Button, Held};

/// A key, by the sink's code, or a button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    Key(u32),
    Button(Button),
}

#[derive(Debug)]
struct Entry {
    item: Item,
    name: String,
    since: Instant,
    kept: bool,
}

/// What is down by our doing, in the order of the presses.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
}

impl Ledger {
    /// Notes a press by the action under way; `false` when it is down already, and must not be pressed.
    pub(super) fn press(&mut self, item: Item, name: String, now: Instant) -> bool {
        if self.holds(item) {
            return false;
        }
        self.entries.push(Entry {
            item,
            name,
            since: now,
            kept: false,
        });
        true
    }

    /// Notes a release.
    pub(super) fn release(&mut self, item: Item) {
        self.entries.retain(|entry| entry.item != item);
    }

    /// What the action under way pressed stays down after it.
    pub(super) fn keep(&mut self) {
        for entry in &mut self.entries {
            entry.kept = true;
        }
    }

    pub(super) fn holds(&self, item: Item) -> bool {
        self.entries.iter().any(|entry| entry.item == item)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// To be released at the end of the action, last press first.
    pub(super) fn transient(&self) -> Vec<Item> {
        self.select(|entry| !entry.kept)
    }

    /// Held longer than allowed, last press first.
    pub(super) fn expired(&self, now: Instant, max_hold: Duration) -> Vec<Item> {
        self.select(|entry| now.saturating_duration_since(entry.since) >= max_hold)
    }

    /// Everything, last press first.
    pub(super) fn all(&self) -> Vec<Item> {
        self.select(|_| true)
    }

    fn select(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<Item> {
        let entries = self.entries.iter().rev().filter(|entry| wanted(entry));
        entries.map(|entry| entry.item).collect()
    }

    /// When the first of them will have been held too long.
    pub(super) fn deadline(&self, max_hold: Duration) -> Option<Instant> {
        let first = self.entries.iter().map(|entry| entry.since).min()?;
        first.checked_add(max_hold)
    }

    /// Names, in the order of the presses.
    pub(super) fn report(&self) -> Held {
        let mut held = Held::default();
        for entry in &self.entries {
            match entry.item {
                Item::Key(_) => held.keys.push(entry.name.clone()),
                Item::Button(_) => held.buttons.push(entry.name.clone()),
            }
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: Item = Item::Key(38);
    const LEFT: Item = Item::Button(Button::Left);

    #[test]
    fn a_second_press_is_not_pressed_and_not_owned() {
        let (mut ledger, now) = (Ledger::default(), Instant::now());
        assert!(ledger.press(A, "a".into(), now));
        ledger.keep();
        assert!(!ledger.press(A, "a".into(), now));
        assert!(ledger.press(LEFT, "left".into(), now));
        assert_eq!(ledger.transient(), [LEFT]);
        assert_eq!(ledger.all(), [LEFT, A]);
        assert_eq!(ledger.report().keys, ["a"]);
        ledger.release(A);
        ledger.release(LEFT);
        assert!(ledger.is_empty() && ledger.report().is_empty());
    }

    #[test]
    fn the_guard_counts_from_the_press() {
        let (mut ledger, start) = (Ledger::default(), Instant::now());
        let (second, limit) = (Duration::from_secs(1), Duration::from_secs(5));
        ledger.press(A, "a".into(), start);
        ledger.press(LEFT, "left".into(), start + second);
        assert_eq!(ledger.deadline(limit), Some(start + limit));
        assert!(ledger.expired(start + second, limit).is_empty());
        assert_eq!(ledger.expired(start + limit, limit), [A]);
        assert_eq!(ledger.expired(start + limit + second, limit), [LEFT, A]);
    }

    proptest! {
        /// Whatever is pressed, kept and released: what the ledger holds is what is down.
        #[test]
        fn agrees_with_a_set(steps in prop::collection::vec((0_u32..5, 0..3), 0..60)) {
            let (mut ledger, mut down, now) = (Ledger::default(), std::collections::BTreeSet::new(), Instant::now());
            for (code, what) in steps {
                match what {
                    0 => prop_assert_eq!(ledger.press(Item::Key(code), String::new(), now), down.insert(code)),
                    1 => { ledger.release(Item::Key(code)); down.remove(&code); }
                    _ => ledger.keep(),
                }
                prop_assert_eq!(ledger.all().len(), down.len());
                prop_assert!(down.iter().all(|code| ledger.holds(Item::Key(*code))));
            }
        }
    }
}
