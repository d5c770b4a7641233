//! Tool calls run once: a request that is sent again gets the answer of the first, and nothing happens twice.
//!
//! ```text
//!  request ──▶ begin ──▶ Ledger decides ──▶ Refused   answered at once, the body is not looked at
//!                             │
//!                             ├──▶ Run ───▶ Intake hashes the body as the handler reads it
//!                             │     │
//!                             │     ├─ finish(answer) ─▶ recorded
//!                             │     ├─ release() ──────▶ no record: the body broke off, nothing ran
//!                             │     └─ dropped ────────▶ recorded as died
//!                             │            │
//!                             └──▶ Known ──┴▶ hashes its own body, compares, waits for the end
//! ```
//!
//! The **ledger** knows which calls there were and decides (`ledger`); it is pure. Each call that came to run has a **slot**, by which
//! its requests tell each other how far it is. [`ToolCalls`] owns the ledger behind one lock, which is held for one decision and never
//! across an await. Nothing here is on disk: a call from before the daemon's start is refused by its age.
//!
//! **Input** is compared in two halves: the head (route, query, conditional headers) when a request comes, the body when its last byte has
//! passed. So no body is held, however large. A call that was answered without reading its body has no second half, and its
//! repeats are compared by the head alone.

mod key;
mod ledger;
mod slot;

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use self::ledger::{Bounds, Cancelled, Ledger, Ticket, Verdict};
pub use self::{
    key::{Call, Digest, Key, digest},
    ledger::Refusal,
    slot::{BodyDigest, Intake, Known, Ongoing, Outcome, Recorded, RepeatError},
};
use slot::Slot;

/// How much is remembered: some 60 000 short answers, or one of 64 MiB.
const BOUNDS: Bounds = Bounds {
    of_chat: 1024,
    chats: 10_000,
    bytes: 64 << 20,
    running: 512,
};

/// Handle on all tool calls. Clones speak of the same ones.
#[derive(Clone, Debug)]
pub struct ToolCalls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    ledger: Mutex<Ledger<Arc<Slot>>>,
    start: Instant,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Begun {
    /// It runs.
    Run(Run),
    /// The call has run, or runs: it gets that answer.
    Known(Known),
    /// It is refused.
    Refused(Refusal),
}

/// What becomes of a cancellation.
#[derive(Debug)]
pub enum Cancellation {
    /// The call has not come, and will not run.
    NotStarted,
    /// The call has run, or runs.
    Started(Known),
    /// It is refused.
    Refused(Refusal),
}

impl Default for ToolCalls {
    fn default() -> Self {
        Self::new()
    }
}

impl ToolCalls {
    /// Knows of no call. Calls that are older than this are refused.
    pub fn new() -> Self {
        Self(Arc::new(Inner {
            ledger: Mutex::new(Ledger::new(BOUNDS)),
            start: Instant::now(),
        }))
    }

    /// Decides on a request by its headers, before its body is read. `head` is the digest of what makes the input besides
    /// the body.
    pub fn begin(&self, call: &Call, head: Digest) -> Begun {
        let slot = Slot::new(call.key.uuid(), head);
        let verdict = self.ledger().begin(call, self.now(), Arc::clone(&slot));
        match verdict {
            Verdict::Refused(refusal) => Begun::Refused(refusal),
            Verdict::Known(slot) => Begun::Known(Known(slot)),
            Verdict::Run(ticket) => Begun::Run(Run {
                calls: self.clone(),
                ticket,
                slot,
                ended: false,
            }),
        }
    }

    /// Decides on a cancellation. A call that has not come is remembered as cancelled; asking again changes nothing. One
    /// that runs goes on: whoever cancels waits for its end, or stops what it made.
    pub fn cancel(&self, call: &Call) -> Cancellation {
        let cancelled = self.ledger().cancel(call, self.now());
        match cancelled {
            Cancelled::Refused(refusal) => Cancellation::Refused(refusal),
            Cancelled::NotStarted => Cancellation::NotStarted,
            Cancelled::Started(slot) => Cancellation::Started(Known(slot)),
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger<Arc<Slot>>> {
        self.0.ledger.lock().expect("no panic while held")
    }

    fn now(&self) -> Duration {
        self.0.start.elapsed()
    }
}

/// The right to run a call, and the duty to say how it ended. Dropped without that, the call has died: its requests get
/// no answer, now and later, and it is not run again.
#[derive(Debug)]
pub struct Run {
    calls: ToolCalls,
    ticket: Ticket,
    slot: Arc<Slot>,
    ended: bool,
}

impl Run {
    /// Takes the body as it passes.
    pub fn intake(&self) -> Intake {
        Intake::new(Arc::clone(&self.slot))
    }

    /// For the handler.
    pub fn ongoing(&self) -> Ongoing {
        Ongoing(Arc::clone(&self.slot))
    }

    /// Time since it began.
    pub fn age(&self) -> Duration {
        self.slot.age()
    }

    /// Whether the body ended in an error.
    pub fn broke(&self) -> bool {
        self.slot.broke()
    }

    /// Records the answer, and gives it to all who wait.
    pub fn finish(mut self, answer: Recorded) {
        let bytes = answer.bytes();
        self.end(Outcome::Answered(Arc::new(answer)), bytes);
    }

    /// Forgets the call, because nothing ran. Those who wait get [`RepeatError::Released`]; the next request runs.
    pub fn release(mut self) {
        self.ended = true;
        self.calls.ledger().release(self.ticket);
        self.slot.end(Outcome::Released);
    }

    fn end(&mut self, outcome: Outcome, bytes: usize) {
        self.ended = true;
        let now = self.calls.now();
        self.calls.ledger().finish(self.ticket, bytes, now);
        self.slot.end(outcome);
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Outcome::Died, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use uuid::Uuid;

    use super::*;

    fn call(id: &str) -> Call {
        Call {
            key: Key {
                chat: Uuid::from_u128(7),
                message: 1,
                id: id.as_bytes().into(),
            },
            age: Duration::ZERO,
        }
    }

    fn run(calls: &ToolCalls, id: &str) -> Run {
        match calls.begin(&call(id), digest(&[b"head"])) {
            Begun::Run(run) => run,
            other => panic!("{other:?}"),
        }
    }

    fn known(calls: &ToolCalls, id: &str) -> Known {
        match calls.begin(&call(id), digest(&[b"head"])) {
            Begun::Known(known) => known,
            other => panic!("{other:?}"),
        }
    }

    fn answer(text: &'static str) -> Recorded {
        Recorded {
            status: 200,
            content_type: None,
            body: text.into(),
        }
    }

    fn body(text: &str) -> Digest {
        let mut digest = BodyDigest::default();
        digest.update(text.as_bytes());
        digest.end()
    }

    async fn repeat(known: &Known, head: &[u8], text: &str) -> Result<String, RepeatError> {
        let recorded = known.answer(digest(&[head]), body(text)).await?;
        Ok(String::from_utf8_lossy(&recorded.body).into_owned())
    }

    #[tokio::test]
    async fn a_repeat_waits_for_the_end_and_another_input_does_not() {
        let calls = ToolCalls::new();
        let first = run(&calls, "a");
        let (same, other) = (known(&calls, "a"), known(&calls, "a"));
        assert_eq!(
            repeat(&other, b"other head", "x").await,
            Err(RepeatError::OtherInput)
        );
        let mut intake = first.intake();
        intake.update(b"in");
        intake.update(b"put");
        intake.end();
        assert_eq!(
            repeat(&other, b"head", "inpu").await,
            Err(RepeatError::OtherInput)
        );
        let waiting = repeat(&same, b"head", "input");
        let ((), answered) = tokio::join!(async { first.finish(answer("done")) }, waiting);
        assert_eq!(answered, Ok("done".to_owned()));
        let later = known(&calls, "a");
        assert_eq!(
            repeat(&later, b"head", "input").await,
            Ok("done".to_owned())
        );
    }

    #[tokio::test]
    async fn a_body_that_nobody_read_is_not_compared() {
        let calls = ToolCalls::new();
        let first = run(&calls, "a");
        let mut intake = first.intake();
        intake.update(b"the fir");
        first.finish(answer("refused"));
        intake.end();
        let again = known(&calls, "a");
        assert_eq!(repeat(&again, b"head", "x").await, Ok("refused".to_owned()));
    }

    #[tokio::test]
    async fn a_run_that_dies_is_not_run_again_and_one_released_is() {
        let calls = ToolCalls::new();
        drop(run(&calls, "a"));
        assert_eq!(
            repeat(&known(&calls, "a"), b"head", "").await,
            Err(RepeatError::Died)
        );
        let first = run(&calls, "b");
        let waiting = known(&calls, "b");
        first.intake().fail();
        assert!(first.broke());
        first.release();
        assert_eq!(
            repeat(&waiting, b"head", "").await,
            Err(RepeatError::Released)
        );
        run(&calls, "b").finish(answer("second"));
        assert_eq!(
            repeat(&known(&calls, "b"), b"head", "").await,
            Ok("second".to_owned())
        );
    }

    #[test]
    fn a_hundred_thousand_calls_stay_within_the_bounds() {
        let calls = ToolCalls::new();
        let text = "x".repeat(8000);
        for number in 0..100_000_u128 {
            let mut call = call(&number.to_string());
            call.key.chat = Uuid::from_u128(if number % 2 == 0 { 1 } else { number });
            let Begun::Run(run) = calls.begin(&call, digest(&[])) else {
                panic!("{number} does not run");
            };
            let body = Bytes::copy_from_slice(text.as_bytes());
            run.finish(Recorded {
                status: 200,
                content_type: None,
                body,
            });
        }
        let (chats, records, bytes) = calls.ledger().size();
        assert_eq!(chats, 10_000);
        assert!(
            records < 9_999 + 1024,
            "{records}: bytes are the narrower bound"
        );
        assert!((63 << 20..=64 << 20).contains(&bytes), "{bytes}");
    }

    #[tokio::test]
    async fn a_cancellation_learns_when_there_is_something_to_stop() {
        let calls = ToolCalls::new();
        let first = run(&calls, "a");
        let Cancellation::Started(cancelled) = calls.cancel(&call("a")) else {
            panic!("it runs");
        };
        first.ongoing().can_be_stopped();
        assert!(cancelled.reached().await);
        let second = run(&calls, "b");
        let Cancellation::Started(cancelled) = calls.cancel(&call("b")) else {
            panic!("it runs");
        };
        let ((), reached) = tokio::join!(async { second.finish(answer("")) }, cancelled.reached());
        assert!(!reached);
        assert_eq!(cancelled.id(), call("b").key.uuid());
    }
}
