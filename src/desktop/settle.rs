//! When a screen has come to rest: what was damaged lately, what of it counts, and until when. Pure; time comes in.
//!
//! A server that reports damage as rectangles (`DeltaRectangles` of the DAMAGE extension, version 1.1) names a place
//! once and then keeps silent about it until its region is emptied. So there are two facts, and both are told here:
//! *a place was damaged* ([`Activity::damaged`]), and *from now on every place is watched again*
//! ([`Activity::watched`]). In between, what was damaged counts as busy: nobody can say that it was not.
//!
//! ```text
//!            damaged (first time, out of step)              watched
//!  at rest ------------------------------------> busy ---------------------> at rest since then
//!     |                                           ^
//!     +--- damaged, small, in step: a caret ---+  | damaged
//!     ^                                        |  |
//!     +----------------------------------------+  +--- again and again
//! ```
//!
//! What counts depends on who asks, since each names places to ignore; so places are remembered, not one moment.

mod area;
mod caret;
mod look;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use self::caret::Carets;
pub use self::look::{Looks, Worth};
use super::geometry::{Frame, Rect};

/// Busy places that are remembered apart. Beyond that the two that were busy longest ago become one.
const PLACES: usize = 64;

/// A wish to wait until the screen has come to rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// So long nothing that counts may have changed.
    pub quiet: Duration,
    /// After so long the wait ends, whatever the screen does.
    pub timeout: Duration,
    /// Places that do not count, in native pixels. Damage that reaches beyond them counts.
    pub ignore: Vec<Rect>,
}

/// The same wish as a client says it: its places in the frame that it works in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rest {
    /// So long nothing that counts may have changed.
    pub quiet: Duration,
    /// After so long the wait ends, whatever the screen does.
    pub timeout: Duration,
    /// Places that do not count.
    pub ignore: Vec<Rect>,
}

impl Rest {
    /// In native pixels; places are cut to the frame. An error is the first place of which nothing lies in it.
    pub fn on(&self, frame: Frame) -> Result<Settle, Rect> {
        let native = |place: &Rect| frame.region_to_native(*place).ok_or(*place);
        Ok(Settle {
            quiet: self.quiet,
            timeout: self.timeout,
            ignore: self.ignore.iter().map(native).collect::<Result<_, _>>()?,
        })
    }
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The screen is at rest. False: the timeout ended the wait.
    pub still: bool,
    /// From the call to its answer.
    pub waited: Duration,
}

/// A place that was damaged and counts.
#[derive(Clone, Copy, Debug)]
struct Busy {
    place: Rect,
    /// It may have changed until then.
    until: Instant,
    /// It is not watched again yet.
    open: bool,
}

/// What a screen did lately. Its size is bounded whatever the screen does.
#[derive(Debug)]
pub struct Activity {
    /// Nothing is known of the time before.
    since: Instant,
    /// In the order of their time.
    busy: VecDeque<Busy>,
    carets: Carets,
}

impl Activity {
    /// Nothing is known yet: the whole screen counts as busy until now.
    pub fn new(now: Instant) -> Self {
        Self {
            since: now,
            busy: VecDeque::new(),
            carets: Carets::default(),
        }
    }

    /// A place was reported at `then`, and changed until `now`; both are the same unless the place was grabbed and
    /// compared. Calls come in the order of `now`.
    pub fn damaged(&mut self, place: Rect, then: Instant, now: Instant) {
        if self.carets.blinked(place, then, now) {
            return;
        }
        // Whoever counts a part counts the whole, and later: nothing is lost with the part.
        self.busy.retain(|old| !area::contains(place, old.place));
        self.busy.push_back(Busy {
            place,
            until: now,
            open: true,
        });
        if self.busy.len() > PLACES
            && let Some(oldest) = self.busy.pop_front()
            && let Some(next) = self.busy.front_mut()
        {
            next.place = area::around(oldest.place, next.place);
        }
    }

    /// The server was asked to name every place again from now on.
    pub fn watched(&mut self, now: Instant) {
        for busy in self.busy.iter_mut().rev().take_while(|busy| busy.open) {
            (busy.until, busy.open) = (now, false);
        }
        self.carets.watched(now);
    }

    /// Until when something changed that counts for those who ignore these places.
    pub fn busy_until(&self, ignore: &[Rect]) -> Instant {
        let counts = |busy: &&Busy| area::sticks_out(busy.place, ignore);
        let last = self.busy.iter().rev().find(counts);
        last.map_or(self.since, |busy| busy.until)
    }
}

impl Settle {
    /// From when on the screen counts as still, unless something that counts changes before that or, with `since`,
    /// no earlier than that and the quiet time. `None`: beyond all time.
    pub fn still_from(&self, activity: &Activity, since: Option<Instant>) -> Option<Instant> {
        let busy = activity.busy_until(&self.ignore);
        busy.max(since.unwrap_or(busy)).checked_add(self.quiet)
    }
}

/// How often the server may be asked to name every place again, which decides how often it wakes us: at once for a few
/// times, as a caret needs, and then once an interval, however much the screen changes. A leaky bucket (the generic
/// cell rate algorithm of ITU-T I.371).
#[derive(Debug)]
pub struct Pace {
    /// When the bucket will be empty.
    empty: Instant,
}

impl Pace {
    const BURST: u32 = 4;

    /// An empty bucket.
    pub fn new(now: Instant) -> Self {
        Self { empty: now }
    }

    /// From when on it may be done once more.
    pub fn due(&self, interval: Duration) -> Instant {
        let ahead = interval * Self::BURST;
        self.empty.checked_sub(ahead).unwrap_or(self.empty)
    }

    /// It was done.
    pub fn spend(&mut self, interval: Duration, now: Instant) {
        // One more than full at most: it may have been filled at the pace of another interval.
        let full = now + interval * (Self::BURST + 1);
        self.empty = (self.empty.max(now) + interval).min(full);
    }
}
