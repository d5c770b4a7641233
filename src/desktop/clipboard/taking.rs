//! When a lent text counts as taken. Pure: the owner's thread tells what happens, and asks whether it is over.
//!
//! ```text
//!           text given in full            nothing asked for QUIET
//! Offered ---------------------> Given -----------------------------> Taken
//!    ^  \__ other targets __/      |  ^
//!    |                             |  |  asked again: the quiet begins anew
//!    `-- (never back) -------------'--'
//! ```
//!
//! Programs fetch a text more than once for one paste: Chromium asks what is there, gives the text to the page's script,
//! and fetches it again for the page itself. So a paste is over when its program has been quiet for a while.

use std::time::{Duration, Instant};

/// How long the program must not have asked for anything. For one paste Chromium fetched the text twice, 19 ms apart, with
/// at most 8 ms between two of its 17 requests; GTK, Qt and xterm fetched it once. A page whose script works longer than
/// this before it lets the paste happen gets the old content.
pub const QUIET: Duration = Duration::from_millis(100);

/// What one program has fetched of a lent text.
#[derive(Debug, Default)]
pub struct Taking {
    under_way: usize,
    given: bool,
    last: Option<Instant>,
}

impl Taking {
    /// It asked for something, the text or what there is.
    pub fn asked(&mut self, now: Instant) {
        self.last = Some(now);
    }

    /// It began to fetch the text.
    pub fn began(&mut self) {
        self.under_way += 1;
    }

    /// The fetch ended, with all of it or without.
    pub fn ended(&mut self, whole: bool, now: Instant) {
        self.under_way = self.under_way.saturating_sub(1);
        self.given |= whole;
        self.last = Some(now);
    }

    /// From when on it counts as taken, if nothing more happens.
    pub fn over_at(&self) -> Option<Instant> {
        let quiet = self.given && self.under_way == 0;
        self.last.filter(|_| quiet).map(|last| last + QUIET)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_given_in_full_counts_and_only_after_quiet() {
        let start = Instant::now();
        let after = |ms| start + Duration::from_millis(ms);
        let mut taking = Taking::default();
        assert_eq!(taking.over_at(), None);
        taking.asked(after(0));
        assert_eq!(taking.over_at(), None, "it only looked at the targets");
        taking.began();
        taking.began();
        taking.ended(true, after(5));
        assert_eq!(taking.over_at(), None, "a second fetch is under way");
        taking.ended(false, after(7));
        assert_eq!(taking.over_at(), Some(after(7) + QUIET));
        taking.asked(after(50));
        assert_eq!(taking.over_at(), Some(after(50) + QUIET));
    }
}
