//! Pings and their answers, without a clock: for viewers, and for every other WebSocket.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// When the viewer was last heard: written by one direction, read by the other.
#[derive(Debug)]
pub struct Heard {
    start: Instant,
    after_ms: AtomicU64,
    deaf: AtomicBool,
}

impl Heard {
    /// Heard now.
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            after_ms: AtomicU64::new(0),
            deaf: AtomicBool::new(false),
        }
    }

    /// A frame came.
    pub fn note(&self, now: Instant) {
        let after = now.duration_since(self.start).as_millis();
        self.after_ms
            .store(u64::try_from(after).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Frames are not read for now, because the server does not take input: silence proves nothing.
    pub fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::Relaxed);
    }

    fn since(&self, instant: Instant) -> bool {
        let last = self.start + Duration::from_millis(self.after_ms.load(Ordering::Relaxed) + 1);
        self.deaf.load(Ordering::Relaxed) || last >= instant
    }
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beat {
    /// Nothing.
    Nothing,
    /// The last ping was answered; ask again.
    Answered,
    /// Send a ping.
    Ping,
    /// The viewer is silent.
    Silent,
}

/// Decides when to ping and when to give up: `Quiet ─every─> Pinged ─within, heard─> Quiet`.
#[derive(Debug)]
pub struct Heartbeat {
    every: Duration,
    within: Duration,
    last: Instant,
    pinged: bool,
}

impl Heartbeat {
    /// The first ping is due after `every`.
    pub fn new(every: Duration, within: Duration, now: Instant) -> Self {
        Self {
            every,
            within,
            last: now,
            pinged: false,
        }
    }

    /// When [`Heartbeat::beat`] has something to say.
    pub fn due(&self) -> Instant {
        self.last + if self.pinged { self.within } else { self.every }
    }

    /// What is due at `now`.
    pub fn beat(&mut self, now: Instant, heard: &Heard) -> Beat {
        if self.pinged && now >= self.last + self.within {
            if !heard.since(self.last) {
                return Beat::Silent;
            }
            self.pinged = false;
            return Beat::Answered;
        }
        if self.pinged || now < self.last + self.every {
            return Beat::Nothing;
        }
        self.last = now;
        self.pinged = true;
        Beat::Ping
    }
}

impl Heartbeat {
    /// The ping was handed to the socket only now: the time to answer runs from here.
    pub fn sent(&mut self, now: Instant) {
        self.last = now;
    }

    /// Whether a ping has not been answered yet.
    pub fn is_waiting(&self, heard: &Heard) -> bool {
        self.pinged && !heard.since(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVERY: Duration = Duration::from_secs(15);
    const WITHIN: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn an_answered_ping_is_followed_by_the_next() {
        let start = Instant::now();
        let heard = Heard::new(start);
        let mut heartbeat = Heartbeat::new(EVERY, WITHIN, start);
        assert_eq!(heartbeat.beat(start, &heard), Beat::Nothing);
        assert_eq!(heartbeat.due(), start + EVERY);
        assert_eq!(heartbeat.beat(start + EVERY, &heard), Beat::Ping);
        assert_eq!(heartbeat.due(), start + EVERY + WITHIN);
        heard.note(start + EVERY + Duration::from_secs(1));
        assert_eq!(
            heartbeat.beat(start + EVERY + WITHIN, &heard),
            Beat::Answered
        );
        assert_eq!(
            heartbeat.beat(start + EVERY + WITHIN, &heard),
            Beat::Nothing
        );
        assert_eq!(heartbeat.beat(start + EVERY * 2, &heard), Beat::Ping);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_after_a_ping_ends_unless_nobody_listened() {
        let start = Instant::now();
        let heard = Heard::new(start);
        let mut heartbeat = Heartbeat::new(EVERY, WITHIN, start);
        heard.note(start + Duration::from_secs(14));
        assert_eq!(heartbeat.beat(start + EVERY, &heard), Beat::Ping);
        heard.set_deaf(true);
        assert_eq!(
            heartbeat.beat(start + EVERY + WITHIN, &heard),
            Beat::Answered
        );
        heard.set_deaf(false);
        assert_eq!(heartbeat.beat(start + EVERY * 2, &heard), Beat::Ping);
        assert_eq!(
            heartbeat.beat(start + EVERY * 2 + WITHIN, &heard),
            Beat::Silent
        );
    }
}
