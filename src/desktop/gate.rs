//! Keeps the keys of viewers away from the desktop for the moments in which a text must have the keyboard to itself.
//!
//! ```text
//!          close                             let_through, open, drop
//! Open ────────────> Closed: viewers wait ──────────────────────────> Open
//!                       └─ who has waited for LIMIT passes all the same
//! ```
//!
//! The typing side is a thread that holds a [`Closer`], the viewers are tasks that call [`Gate::pass`]. Closing waits
//! for those that are passing, so that after it whatever passed has been written. The gate counts its closers: one that
//! hangs on a broken connection does not open what its successor has closed.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{sync::Notify, time::timeout};

/// How long either side waits for the other. A part of a text takes a millisecond: past this somebody hangs, and a
/// late key is worse than a wrong one.
const LIMIT: Duration = Duration::from_secs(1);

/// Between texts and the keys of viewers. Clones are the same gate; it is open at first.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    counts: Mutex<Counts>,
    /// Somebody stopped waiting, or has passed.
    moved: Condvar,
    /// The last closer opened.
    opened: Notify,
}

#[derive(Debug, Default)]
struct Counts {
    closers: usize,
    waiting: usize,
    passing: usize,
    /// Somebody has passed since a closer asked last.
    passed: bool,
    viewers: usize,
}

/// A viewer that may press keys, for as long as this lives.
#[derive(Debug)]
#[must_use = "the gate counts those that live"]
pub struct Viewer(Gate);

/// The right of a viewer to write keys; drop it when they are written.
#[derive(Debug)]
#[must_use = "the keys pass while this lives"]
pub struct Passing(Gate);

/// One that waits, for as long as its future lives.
#[derive(Debug)]
struct Waiting<'a>(&'a Gate);

/// A hand on the gate, open at first. Dropping it opens.
#[derive(Debug)]
pub struct Closer {
    gate: Gate,
    closes: bool,
}

impl Gate {
    /// Counts in a viewer that may press keys.
    pub fn viewer(&self) -> Viewer {
        self.counts().viewers += 1;
        Viewer(self.clone())
    }

    /// Waits until the gate is open, but no longer than a second. Dropping the future gives the wait up.
    pub async fn pass(&self) -> Passing {
        let _waiting = match self.come() {
            Ok(passing) => return passing,
            Err(waiting) => waiting,
        };
        match timeout(LIMIT, self.opened()).await {
            Ok(passing) => passing,
            Err(_) => self.enter(&mut self.counts()),
        }
    }

    /// A hand on this gate.
    pub fn closer(&self) -> Closer {
        Closer {
            gate: self.clone(),
            closes: false,
        }
    }

    fn come(&self) -> Result<Passing, Waiting<'_>> {
        let mut counts = self.counts();
        if counts.closers == 0 {
            return Ok(self.enter(&mut counts));
        }
        counts.waiting += 1;
        Err(Waiting(self))
    }

    async fn opened(&self) -> Passing {
        loop {
            // Made before the look, so that it hears of whoever opens after it.
            let opened = self.0.opened.notified();
            if let Some(passing) = self.enter_open() {
                return passing;
            }
            opened.await;
        }
    }

    fn enter_open(&self) -> Option<Passing> {
        let mut counts = self.counts();
        (counts.closers == 0).then(|| self.enter(&mut counts))
    }

    fn enter(&self, counts: &mut Counts) -> Passing {
        counts.passing += 1;
        counts.passed = true;
        Passing(self.clone())
    }

    /// Blocks until this holds, but no longer than a second.
    fn wait_until(&self, mut done: impl FnMut(&Counts) -> bool) {
        let counts = self.counts();
        // Past the limit it goes on like that.
        let waited = (self.0.moved).wait_timeout_while(counts, LIMIT, |counts| !done(counts));
        drop(waited.expect("no panic while it is held"));
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.counts.lock().expect("no panic while it is held")
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        self.0.counts().viewers -= 1;
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.0.counts().passing -= 1;
        self.0.0.moved.notify_all();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.counts().waiting -= 1;
        self.0.0.moved.notify_all();
    }
}

impl Closer {
    /// Closes the gate and waits for those that are passing; a second at most. Blocks. Whether anybody has passed since
    /// the last call.
    #[must_use = "the server may not have taken yet what has passed"]
    pub fn close(&mut self) -> bool {
        if !self.closes {
            self.closes = true;
            self.gate.counts().closers += 1;
            self.gate.wait_until(|counts| counts.passing == 0);
        }
        std::mem::take(&mut self.gate.counts().passed)
    }

    /// Opens, unless another one closes.
    pub fn open(&mut self) {
        if !self.closes {
            return;
        }
        self.closes = false;
        let mut counts = self.gate.counts();
        counts.closers -= 1;
        if counts.closers == 0 {
            self.gate.0.opened.notify_waiters();
        }
    }

    /// Opens and waits until nobody waits or passes any more; a second at most. Blocks.
    pub fn let_through(&mut self) {
        self.open();
        let nobody = |counts: &Counts| counts.waiting == 0 && counts.passing == 0;
        self.gate.wait_until(nobody);
    }

    /// Whether there are viewers that may press keys.
    pub fn is_used(&self) -> bool {
        self.gate.counts().viewers > 0
    }

    /// Whether anybody waits.
    pub fn is_awaited(&self) -> bool {
        self.gate.counts().waiting > 0
    }
}

impl Drop for Closer {
    fn drop(&mut self) {
        self.open();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use tokio::time::Instant;

    use super::*;

    fn poll<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_while_it_is_closed_waits_until_it_opens() {
        let gate = Gate::default();
        drop(gate.pass().await);
        let mut closer = gate.closer();
        assert!(closer.close(), "somebody passed");
        assert!(!closer.close(), "nobody since");
        let mut pass = pin!(gate.pass());
        assert!(poll(pass.as_mut()).is_pending());
        assert!(closer.is_awaited());
        closer.open();
        assert!(poll(pass.as_mut()).is_ready());
        assert!(!closer.is_awaited());
    }

    #[tokio::test(start_paused = true)]
    async fn who_opens_and_closes_at_once_lets_nobody_slip_in_between() {
        let gate = Gate::default();
        let mut closer = gate.closer();
        let _ = closer.close();
        let mut pass = pin!(gate.pass());
        assert!(poll(pass.as_mut()).is_pending());
        closer.open();
        let _ = closer.close();
        assert!(poll(pass.as_mut()).is_pending());
        assert!(closer.is_awaited());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_has_its_limit() {
        let gate = Gate::default();
        let mut closer = gate.closer();
        let _ = closer.close();
        let begin = Instant::now();
        drop(gate.pass().await);
        assert_eq!(begin.elapsed().as_secs(), LIMIT.as_secs());
        assert!(!closer.is_awaited());
    }

    #[test]
    fn viewers_are_counted_while_they_live() {
        let gate = Gate::default();
        let closer = gate.closer();
        assert!(!closer.is_used());
        let (one, other) = (gate.viewer(), gate.viewer());
        drop(one);
        assert!(closer.is_used());
        drop(other);
        assert!(!closer.is_used());
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_is_forgotten() {
        let gate = Gate::default();
        let mut closer = gate.closer();
        let _ = closer.close();
        {
            let mut pass = pin!(gate.pass());
            assert!(poll(pass.as_mut()).is_pending());
            assert!(closer.is_awaited());
        }
        assert!(!closer.is_awaited());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_closer_opens_however_it_goes() {
        let gate = Gate::default();
        let (mut one, mut other) = (gate.closer(), gate.closer());
        let _ = one.close();
        let _ = other.close();
        let mut pass = pin!(gate.pass());
        drop(other);
        assert!(poll(pass.as_mut()).is_pending());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || {
            let _hand = one;
            panic!("as a sink might");
        }));
        assert!(panicked.is_err());
        assert!(poll(pass.as_mut()).is_ready());
    }

    #[test]
    fn closing_waits_for_those_that_pass_and_letting_through_for_those_that_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let gate = Gate::default();
        let passing = runtime.block_on(gate.pass());
        let mut closer = gate.closer();
        std::thread::scope(|scope| {
            let closing = scope.spawn(|| {
                let _ = closer.close();
                assert_eq!(gate.counts().passing, 0, "it waited");
            });
            while gate.counts().closers == 0 {
                std::thread::yield_now();
            }
            drop(passing);
            closing.join().expect("no panic");
        });
        std::thread::scope(|scope| {
            let viewer = scope.spawn(|| drop(runtime.block_on(gate.pass())));
            while !closer.is_awaited() {
                std::thread::yield_now();
            }
            closer.let_through();
            let counts = gate.counts();
            assert_eq!((counts.waiting, counts.passing), (0, 0), "they are through");
            drop(counts);
            viewer.join().expect("no panic");
        });
    }
}
