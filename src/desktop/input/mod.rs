//! Input: one thread that owns the sink and runs one action at a time, as a unit.
//!
//! ```text
//!        job                   steps done, failed or called off
//! Idle ------> Acting(action) ---------------------------------> Idle
//!  | ^ \                 (its transient presses released; after a failure, all)
//!  | |  `-- guard: held longer than max_hold -> released
//!  | +--ended, or gone (all released)-- Unit: Acting, again and again, for one holder
//!  | `--its turn------------------------^
//!  `-- all handles dropped, or the display gone --> Ended (everything released, connection closed)
//! ```
//!
//! All hold the sink and the ledger of what is down by our doing; `Acting` also its caller's reply and
//! cancel flag, `Unit` its holder's orders and one cancel flag for all of them; `Ended` holds the
//! reason, which [`Input::closed`] gives.

mod action;
mod actor;
mod error;
mod held;
mod mailbox;
mod plan;
mod sink;
mod unit;

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::sync_channel,
    },
    time::Duration,
};

use tokio::sync::{oneshot, watch};

pub use action::{Action, Button, Held, HeldReport, Outcome, Performed, TextReport};
pub use error::{Cause, InputError};
pub use mailbox::{Cancel, wait_for};
pub use plan::{MAX_SCROLL, typable};
pub use sink::{InputSink, KeyStroke, ServerHeld};
pub use unit::Unit;

use crate::{sys, telemetry::Metrics};
use actor::Actor;
use mailbox::{CancelOnDrop, Hold, Job, Mailbox, Perform};

/// How an [`Input`] behaves.
pub struct InputOptions {
    /// Nothing is held down longer than this.
    pub max_hold: Duration,
    /// Called by the input thread after each injected step that the screen may show, and at the end of
    /// each action; must be quick and not block.
    pub on_moved: Box<dyn Fn() + Send>,
}

impl fmt::Debug for InputOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InputOptions")
            .field("max_hold", &self.max_hold)
            .finish_non_exhaustive()
    }
}

/// Handle on the injector. When the last clone is dropped, the running action is called off,
/// everything held is released, the thread ends and the connection closes.
#[derive(Clone, Debug)]
pub struct Input {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mailbox: Arc<Mailbox>,
    any_held: Arc<AtomicBool>,
    ended: watch::Receiver<Option<InputError>>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.mailbox.close();
    }
}

impl Input {
    /// Starts the thread `input` over a sink.
    pub fn spawn(
        sink: Box<dyn InputSink>,
        options: InputOptions,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let mailbox = Arc::new(Mailbox::new()?);
        let any_held = Arc::new(AtomicBool::new(false));
        let (end, ended) = watch::channel(None);
        let actor = Actor::new(sink, options, metrics, mailbox.clone(), any_held.clone());
        // Not joined: it ends by itself, and closed() tells when.
        sys::thread::spawn("input", move || actor.run(&end))?;
        let shared = Shared {
            mailbox,
            any_held,
            ended,
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// Does one action, whole, and answers when the display has taken it. `declared` is the size its
    /// points are in; 0 or less means native.
    ///
    /// Dropping the future calls the action off: one that waits never runs, one that runs stops at its
    /// next step; either way everything that is held is released before the next action, as after any failure.
    ///
    /// # Errors
    /// [`InputError::Busy`] when 256 jobs wait.
    pub async fn perform(
        &self,
        action: Action,
        declared: (i64, i64),
    ) -> Result<Outcome, InputError> {
        let cancel = Cancel::new(self.shared.mailbox.wake.clone());
        let (reply, answer) = oneshot::channel();
        let mut guard = CancelOnDrop {
            cancel: cancel.clone(),
            over: false,
        };
        let job = Job::Perform(Perform {
            action,
            declared,
            cancel,
            reply,
        });
        let result = self.ask(job, answer).await;
        guard.over = true;
        result
    }

    /// Waits for its turn and then holds the queue: several actions as one unit. Dropping the future gives
    /// the place in the queue up.
    ///
    /// # Errors
    /// [`InputError::Busy`] when 256 jobs wait.
    pub async fn unit(&self) -> Result<Unit, InputError> {
        let cancel = Cancel::new(self.shared.mailbox.wake.clone());
        let (orders, taken) = sync_channel(1);
        let (turn, its_turn) = oneshot::channel();
        // Made first: dropping this future calls it off.
        let unit = Unit::new(orders, cancel.clone());
        let hold = Hold {
            orders: taken,
            cancel,
            turn,
        };
        self.ask(Job::Hold(hold), its_turn).await?;
        Ok(unit)
    }

    /// What is down, by our doing and as the display sees it. Does not wait for actions that are queued,
    /// nor for the wait of the one that runs.
    pub async fn held(&self) -> Result<HeldReport, InputError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Held(reply), answer).await
    }

    /// Calls the running action off and releases every key and button that is down, ours and the
    /// display's, before any action that waits. Answers what is still down afterwards.
    pub async fn reset(&self) -> Result<HeldReport, InputError> {
        let (reply, answer) = oneshot::channel();
        self.ask(Job::Reset(reply), answer).await
    }

    /// Ends the thread, for all handles: the running action is called off, those that wait are told
    /// [`InputError::Stopped`], everything held is released.
    pub fn end(&self) {
        self.shared.mailbox.close();
    }

    /// Whether something is down by our doing.
    pub fn any_held(&self) -> bool {
        self.shared.any_held.load(Ordering::Acquire)
    }

    /// Resolves when the thread has ended, with the reason. Safe to drop and to call again.
    pub async fn closed(&self) -> InputError {
        let mut ended = self.shared.ended.clone();
        // The sender goes away without a reason only when the thread panicked.
        let reason = ended.wait_for(Option::is_some).await;
        reason.map_or(InputError::Stopped, |reason| {
            reason.clone().unwrap_or(InputError::Stopped)
        })
    }

    async fn ask<T>(
        &self,
        job: Job,
        answer: oneshot::Receiver<Result<T, InputError>>,
    ) -> Result<T, InputError> {
        self.shared.mailbox.push(job)?;
        // A job that waits when the thread ends is dropped: nothing of it was done.
        answer.await.unwrap_or(Err(InputError::Stopped))
    }
}

#[cfg(test)]
mod tests;
