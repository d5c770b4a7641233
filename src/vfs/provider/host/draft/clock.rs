//! Times of our own writes: never the same twice, so that no two of our changes share a tag.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::vfs::entry::Time;

const BILLION: i64 = 1_000_000_000;

/// Nanoseconds since 1970 that were given last.
static LAST: AtomicI64 = AtomicI64::new(0);

/// The time now, and at least a nanosecond after the one given before, in the whole process.
pub(super) fn next() -> Time {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = i64::try_from(since.as_nanos()).unwrap_or(i64::MAX - 1);
    let before = LAST
        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| {
            Some(now.max(last + 1))
        })
        .unwrap_or(now);
    let given = now.max(before + 1);
    let nanos = u32::try_from(given.rem_euclid(BILLION)).expect("less than a billion");
    Time {
        seconds: given.div_euclid(BILLION),
        nanos,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_time_is_given_twice() {
        let given: Vec<Time> = (0..10_000).map(|_| next()).collect();
        assert!(given.windows(2).all(|pair| pair[0] < pair[1]));
    }
}
