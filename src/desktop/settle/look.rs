//! Damage that says more than what changed: GTK draws a whole window anew for a blinking caret, GTK 4 with every frame.
//! So the pixels of a few places that are drawn again and again are kept, and compared.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::caret;
use crate::desktop::{geometry::Rect, pixels::PIXEL};

/// Bytes of a pixel that mean something.
const COLOURS: usize = 3;

/// Places that are known.
const PLACES: usize = 4;

/// Largest place that is looked at, in pixels: 2 MiB.
const LARGEST: u64 = 512 * 1024;

/// So long a place is left alone after a look that found it changed all over, as a video does; twice as long after each
/// further one.
const PAUSE: Duration = Duration::from_millis(100);

/// Times that it gets longer: up to 3.2 s.
const DOUBLINGS: u32 = 5;

/// What a report of damage is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    /// It counts as it is.
    Counts,
    /// It counts, and the place wants to be grabbed after it is watched again: see [`Looks::seen`].
    Remember,
    /// What changed is known only after the place was grabbed.
    Compare,
}

/// Their pixels are given back when none was reported for so long.
const IDLE: Duration = Duration::from_secs(30);

/// Places that were drawn lately. Their pixels are kept once they were drawn twice.
#[derive(Debug, Default)]
pub struct Looks {
    places: VecDeque<Look>,
    /// When one of them was reported last, while pixels are kept.
    used: Option<Instant>,
}

#[derive(Debug)]
struct Look {
    place: Rect,
    kept: Option<Vec<u8>>,
    /// Looks in a row that found more than a caret.
    misses: u32,
    /// Until then it is left alone.
    pause: Instant,
}

impl Looks {
    /// A place was reported as damaged.
    pub fn reported(&mut self, place: Rect, now: Instant) -> Worth {
        let pixels = u64::from(place.width) * u64::from(place.height);
        if caret::fits(place) || pixels > LARGEST {
            return Worth::Counts;
        }
        let Some(look) = self.find(place) else {
            self.places.truncate(PLACES - 1);
            self.places.push_front(Look {
                place,
                kept: None,
                misses: 0,
                pause: now,
            });
            return Worth::Counts;
        };
        if now < look.pause {
            Worth::Counts
        } else if look.kept.is_none() {
            Worth::Remember
        } else {
            Worth::Compare
        }
    }

    /// The place was grabbed; `None` when that was not possible. Gives what changed, if it was to be compared.
    pub fn seen(&mut self, place: Rect, pixels: Option<Vec<u8>>, now: Instant) -> Option<Rect> {
        self.used = Some(now);
        // Forgotten meanwhile: nobody knows what changed.
        let Some(look) = self.find(place) else {
            return Some(place);
        };
        let before = look.kept.take();
        let Some(pixels) = pixels else {
            return Some(place);
        };
        let Some(old) = before else {
            look.kept = Some(pixels);
            return None;
        };
        let changed = difference(&old, &pixels, place);
        if changed.is_none_or(caret::fits) {
            look.misses = 0;
            look.kept = Some(pixels);
        } else {
            look.pause = now + PAUSE * 2_u32.pow(look.misses);
            look.misses = (look.misses + 1).min(DOUBLINGS);
        }
        changed
    }

    /// When [`Looks::tidy`] will have something to do.
    pub fn tidy_from(&self) -> Option<Instant> {
        self.used.map(|used| used + IDLE)
    }

    /// Gives all memory back when it was not used for a while.
    pub fn tidy(&mut self, now: Instant) {
        if self.tidy_from().is_some_and(|from| from <= now) {
            *self = Self::default();
        }
    }

    /// Brings it to the front.
    fn find(&mut self, place: Rect) -> Option<&mut Look> {
        let at = self.places.iter().position(|look| look.place == place)?;
        let look = self.places.remove(at)?;
        self.places.push_front(look);
        self.places.front_mut()
    }
}

/// The smallest rectangle around all pixels of a place that differ.
fn difference(old: &[u8], new: &[u8], place: Rect) -> Option<Rect> {
    let stride = usize::try_from(place.width).expect("32 bits fit") * PIXEL;
    let mut box_of = None;
    let rows = old.chunks_exact(stride).zip(new.chunks_exact(stride));
    for (y, (old, new)) in (0_u32..).zip(rows) {
        // Nearly all rows are equal, and whole rows compare at the speed of the memory.
        if old == new {
            continue;
        }
        let differs = |at: &usize| {
            let pixel = at * PIXEL..at * PIXEL + COLOURS;
            old[pixel.clone()] != new[pixel]
        };
        let mut columns = 0..stride / PIXEL;
        let (Some(first), last) = (columns.find(differs), columns.rfind(differs)) else {
            continue;
        };
        let last = last.unwrap_or(first);
        let (left, top, right, _) = box_of.unwrap_or((first, y, last, y));
        box_of = Some((left.min(first), top, right.max(last), y));
    }
    let (left, top, right, bottom) = box_of?;
    let offset = |at: usize| u32::try_from(at).expect("within a width of 32 bits");
    Some(Rect {
        x: place.x.saturating_add_unsigned(offset(left)),
        y: place.y.saturating_add_unsigned(top),
        width: offset(right - left) + 1,
        height: bottom - top + 1,
    })
}
