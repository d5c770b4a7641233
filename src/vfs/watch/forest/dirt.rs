//! Which spots have to be looked at, and what notices said of them. Pure but for the time.
//!
//! A notice is of the past: what is at a name by now is another question. So notices are never taken for the state; they say
//! where to look. What they add is what looking does not show: that a file was written to, and that what came to one name
//! had gone from another.

use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

use super::model::Spot;

/// How long the second half of a rename is waited for.
pub(super) const HALF: Duration = Duration::from_millis(20);

/// Both halves of a rename have this: which watcher, and its number.
pub(super) type Pair = (usize, u32);

/// Where something came from, and how many times notices had been taken when that was heard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) spot: Spot,
    pub(super) heard: u64,
}

/// What is to be found out about a spot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Touch {
    /// Something came or went.
    pub(super) names: bool,
    /// The content changed.
    pub(super) modified: bool,
    /// Mode, owner or times changed.
    pub(super) attributes: bool,
    /// What is there came from here.
    pub(super) origin: Option<Origin>,
    /// What was there went with this rename.
    pub(super) leaving: Option<Pair>,
    /// How often something else had to be found out first.
    pub(super) tries: u32,
    /// Since when it cannot be found out.
    pub(super) since: Option<Instant>,
}

impl Touch {
    /// Something came or went.
    pub(super) fn names() -> Self {
        Self {
            names: true,
            ..Self::default()
        }
    }

    /// Takes over what was to be found out before this.
    fn after(&mut self, before: Self) {
        if !self.names {
            self.origin = before.origin;
            self.leaving = before.leaving;
            self.since = before.since;
        }
        self.names |= before.names;
        self.modified |= before.modified;
        self.attributes |= before.attributes;
        self.tries = self.tries.max(before.tries);
    }
}

#[derive(Debug)]
struct Half {
    origin: Origin,
    since: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Dirt {
    touches: HashMap<Spot, Touch>,
    /// Spots to which something was renamed, which are looked at first: then what is elsewhere is not taken for gone.
    arrivals: VecDeque<Spot>,
    others: VecDeque<Spot>,
    later: Vec<(Spot, Touch)>,
    halves: HashMap<Pair, Half>,
    /// How many times notices were taken.
    pub(super) taken: u64,
}

impl Dirt {
    pub(super) fn len(&self) -> usize {
        self.touches.len()
    }

    pub(super) fn touch(&mut self, spot: &Spot) -> &mut Touch {
        if !self.touches.contains_key(spot) {
            self.others.push_back(spot.clone());
        }
        self.touches.entry(spot.clone()).or_default()
    }

    /// Something was made or removed there.
    pub(super) fn changed(&mut self, spot: &Spot) {
        let touch = self.touch(spot);
        touch.names = true;
        touch.origin = None;
        touch.leaving = None;
    }

    /// What is there left with a rename.
    pub(super) fn left(&mut self, spot: &Spot, pair: Pair, now: Instant) {
        let heard = self.taken;
        let touch = self.touch(spot);
        touch.names = true;
        touch.leaving = Some(pair);
        let origin = touch.origin.take().unwrap_or_else(|| Origin {
            spot: spot.clone(),
            heard,
        });
        self.halves.insert(pair, Half { origin, since: now });
    }

    /// Something came there with a rename.
    pub(super) fn came(&mut self, spot: &Spot, pair: Pair) {
        let origin = self.halves.remove(&pair).map(|half| half.origin);
        self.arrivals.push_back(spot.clone());
        let touch = self.touches.entry(spot.clone()).or_default();
        touch.names = true;
        touch.leaving = None;
        touch.origin = origin;
    }

    /// It came to a name that is not ours to see.
    pub(super) fn hidden(&mut self, pair: Pair) {
        self.halves.remove(&pair);
    }

    /// The next spot to look at.
    pub(super) fn next(&mut self) -> Option<(Spot, Touch)> {
        while let Some(spot) = self
            .arrivals
            .pop_front()
            .or_else(|| self.others.pop_front())
        {
            if let Some(touch) = self.touches.remove(&spot) {
                return Some((spot, touch));
            }
        }
        None
    }

    /// It has to be looked at again, after all the others.
    pub(super) fn again(&mut self, spot: Spot, mut touch: Touch) {
        touch.tries += 1;
        self.others.push_back(spot.clone());
        self.merge(spot, touch);
    }

    /// It has to be looked at again, when time has passed or more has happened.
    pub(super) fn put_off(&mut self, spot: Spot, mut touch: Touch, now: Instant) {
        touch.since.get_or_insert(now);
        self.later.push((spot, touch));
    }

    /// Takes up what was put off.
    pub(super) fn resume(&mut self) {
        for (spot, touch) in std::mem::take(&mut self.later) {
            self.others.push_back(spot.clone());
            self.merge(spot, touch);
        }
    }

    fn merge(&mut self, spot: Spot, before: Touch) {
        match self.touches.get_mut(&spot) {
            Some(touch) => touch.after(before),
            None => {
                self.touches.insert(spot, before);
            }
        }
    }

    /// Gives up waiting for halves that are too old: what went is gone.
    pub(super) fn expire(&mut self, now: Instant) {
        self.halves
            .retain(|_, half| now.duration_since(half.since) < HALF);
    }

    /// Whether it is not known yet where the thing went that was there.
    pub(super) fn awaits(&self, touch: &Touch) -> bool {
        touch
            .leaving
            .is_some_and(|pair| self.halves.contains_key(&pair))
    }

    /// Whether something can only be found out later.
    pub(super) fn waits(&self) -> bool {
        !self.later.is_empty() || !self.halves.is_empty()
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        let taken = self.taken;
        *self = Self {
            taken,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::path::Name;

    fn spot(text: &str) -> Spot {
        Spot {
            node: 0,
            name: Name::new(text.as_bytes()).expect("a name"),
        }
    }

    fn drained(dirt: &mut Dirt) -> Vec<(Spot, Option<Spot>)> {
        let next = || {
            dirt.next()
                .map(|(at, touch)| (at, touch.origin.map(|origin| origin.spot)))
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_is_renamed_twice_comes_from_its_first_name() {
        let now = Instant::now();
        let mut dirt = Dirt::default();
        dirt.left(&spot("a"), (0, 1), now);
        dirt.came(&spot("b"), (0, 1));
        dirt.left(&spot("b"), (0, 2), now);
        dirt.came(&spot("c"), (0, 2));
        let found = drained(&mut dirt);
        let expected = [("b", None), ("c", Some("a")), ("a", None)];
        assert_eq!(found, expected.map(|(at, from)| (spot(at), from.map(spot))));
    }

    #[test]
    fn a_name_that_is_used_again_has_another_file() {
        let now = Instant::now();
        let mut dirt = Dirt::default();
        dirt.left(&spot("f"), (0, 1), now);
        dirt.came(&spot("f~"), (0, 1));
        dirt.changed(&spot("f"));
        let found = drained(&mut dirt);
        assert_eq!(found, [(spot("f~"), Some(spot("f"))), (spot("f"), None)]);
    }

    #[test]
    fn half_a_rename_is_waited_for_and_then_is_gone() {
        let now = Instant::now();
        let mut dirt = Dirt::default();
        dirt.left(&spot("f"), (0, 1), now);
        let (at, touch) = dirt.next().expect("it was touched");
        assert!(dirt.awaits(&touch));
        dirt.put_off(at, touch, now);
        assert!(dirt.next().is_none() && dirt.waits());
        dirt.expire(now + HALF);
        dirt.resume();
        let (_, touch) = dirt.next().expect("it is due again");
        assert!(!dirt.awaits(&touch) && !dirt.waits());
        assert_eq!(touch.since, Some(now));
    }
}
