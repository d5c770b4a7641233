//! Blinking carets: small places that change in step.
//!
//! Carets blink at 500/500 ms (Qt, Chromium, Firefox), 800/400 ms (GTK) or 600/300 ms (xterm). Anything that turns or
//! runs changes at least every tenth of a second. What lies between counts as a caret from its second time on.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::area;
use crate::desktop::geometry::Rect;

/// Largest caret in pixels, across and down.
const LARGEST: (u32, u32) = (32, 64);

/// A caret stays as it is for at least this long…
const SHORTEST: Duration = Duration::from_millis(250);

/// … and for no longer than this.
const LONGEST: Duration = Duration::from_secs(2);

/// What is drawn within this time is one change: a caret is often a filled box and a letter on it.
const ONE_CHANGE: Duration = Duration::from_millis(20);

/// The same for a place that changes in step: GTK 4 fades its caret in and out.
const ONE_FADE: Duration = Duration::from_millis(400);

/// Small places that are remembered.
const PLACES: usize = 16;

/// Small places that changed lately.
#[derive(Debug, Default)]
pub(super) struct Carets(VecDeque<Small>);

#[derive(Clone, Copy, Debug)]
struct Small {
    place: Rect,
    /// When the last change began.
    changed: Instant,
    /// Since when it is known to have kept still; `None` until it is watched again.
    rests: Option<Instant>,
    /// The last change was in step.
    in_step: bool,
}

impl Small {
    fn is_same_change(&self, then: Instant, now: Instant) -> bool {
        let limit = if self.in_step { ONE_FADE } else { ONE_CHANGE };
        // Once it has rested, the change is over.
        let over = self.rested(then) >= SHORTEST;
        !over && now.saturating_duration_since(self.changed) <= limit
    }

    /// How long it had kept still then.
    fn rested(&self, then: Instant) -> Duration {
        let rests = self
            .rests
            .map(|since| then.saturating_duration_since(since));
        rests.unwrap_or_default()
    }

    /// Whether a change now, of a place that was still until `then`, follows the last one as that of a caret does.
    fn would_be_in_step(&self, then: Instant, now: Instant) -> bool {
        let apart = now.saturating_duration_since(self.changed);
        self.rested(then) >= SHORTEST && apart <= LONGEST
    }
}

/// Whether a place is small enough for a caret.
pub(super) fn fits(place: Rect) -> bool {
    place.width <= LARGEST.0 && place.height <= LARGEST.1
}

impl Carets {
    /// Whether what changed in a place between `then` and `now` is a caret.
    pub(super) fn blinked(&mut self, place: Rect, then: Instant, now: Instant) -> bool {
        if !fits(place) {
            return false;
        }
        let here = |small: &Small| area::same_place(small.place, place);
        // The one that changed last decides: the others are where the caret came by before.
        let last = self.0.iter().rev().copied().find(here);
        let new = match last {
            Some(last) if last.is_same_change(then, now) => Small {
                place: joined(last.place, place),
                rests: None,
                ..last
            },
            last => Small {
                place,
                changed: now,
                rests: None,
                in_step: last.is_some_and(|last| last.would_be_in_step(then, now)),
            },
        };
        self.0.retain(|small| !here(small));
        self.0.push_back(new);
        if self.0.len() > PLACES {
            self.0.pop_front();
        }
        new.in_step
    }

    /// Every place is watched again.
    pub(super) fn watched(&mut self, now: Instant) {
        for small in &mut self.0 {
            small.rests.get_or_insert(now);
        }
    }
}

/// Both places while that is no larger than a caret, or the new one.
fn joined(old: Rect, new: Rect) -> Rect {
    let both = area::around(old, new);
    if fits(both) { both } else { new }
}
