//! The bounded queue of the actor, and the signals that end its waits.
//!
//! The actor waits in poll(2), on an eventfd of ours and on the display's descriptor, so that a job, a
//! cancellation and a broken connection are noticed alike, in rest and in the middle of an action.

use std::{
    collections::VecDeque,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use tokio::sync::oneshot;

use super::{
    action::{Action, HeldReport, Outcome, Performed},
    error::InputError,
};

/// Jobs that may wait; more are answered with [`InputError::Busy`].
pub(super) const QUEUE: usize = 256;

/// Ends a poll of the actor's thread.
#[derive(Clone, Debug)]
pub(super) struct Wake(Arc<OwnedFd>);

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Woken {
    /// The display's descriptor has something to read, or broke.
    pub(super) display: bool,
}

impl Wake {
    pub(super) fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Ends the wait that is under way, or the next one.
    pub(super) fn wake(&self) {
        // Fails only when the counter is full, and then the wait ends anyway.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    /// Waits for a wake, for the display, or for the time. May end early: look again at what you wait for.
    pub(super) fn wait(&self, display: Option<BorrowedFd<'_>>, until: Option<Instant>) -> Woken {
        let limit = until.map(|until| until.saturating_duration_since(Instant::now()));
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = vec![PollFd::new(&*self.0, PollFlags::IN)];
        fds.extend(display.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        // An interrupted poll is an early end.
        let _ = poll(&mut fds, limit.as_ref());
        let display = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if fds[0].revents().contains(PollFlags::IN) {
            let _ = rustix::io::read(&*self.0, &mut [0_u8; 8]);
        }
        Woken { display }
    }
}

/// Waits until the display has sent something, or for the time to pass. May end early.
pub fn wait_for(display: &impl AsFd, until: Instant) {
    let limit = until.saturating_duration_since(Instant::now());
    let limit = Timespec::try_from(limit).ok();
    // An interrupted poll is an early end.
    let _ = poll(&mut [PollFd::new(display, PollFlags::IN)], limit.as_ref());
}

/// Calls an action off. Clones speak of the same action.
#[derive(Clone, Debug)]
pub struct Cancel {
    flag: Arc<AtomicBool>,
    wake: Wake,
}

impl Cancel {
    pub(super) fn new(wake: Wake) -> Self {
        Self {
            flag: Arc::default(),
            wake,
        }
    }

    /// One that nobody holds the other end of, for use without an actor.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn detached() -> io::Result<Self> {
        Wake::new().map(Self::new)
    }

    /// Calls the action off; a wait in it ends at once.
    pub fn cancel(&self) {
        self.flag.store(true, Ordering::Release);
        self.wake.wake();
    }

    /// Has the actor look at what it waits for.
    pub(super) fn wake(&self) {
        self.wake.wake();
    }

    /// [`InputError::Cancelled`] once called off.
    pub fn check(&self) -> Result<(), InputError> {
        if self.flag.load(Ordering::Acquire) {
            return Err(InputError::Cancelled);
        }
        Ok(())
    }

    /// Waits until the display has sent something, for the time to pass, or for the cancellation. May end early.
    pub fn wait_for(&self, display: &impl AsFd, until: Instant) -> Result<(), InputError> {
        self.check()?;
        self.wake.wait(Some(display.as_fd()), Some(until));
        self.check()
    }

    /// Waits for the time to pass, or for the cancellation.
    pub fn wait(&self, duration: Duration) -> Result<(), InputError> {
        let until = Instant::now() + duration;
        loop {
            self.check()?;
            if Instant::now() >= until {
                return Ok(());
            }
            self.wake.wait(None, Some(until));
        }
    }
}

/// Calls off on drop, unless the action is over.
#[derive(Debug)]
pub(super) struct CancelOnDrop {
    pub(super) cancel: Cancel,
    pub(super) over: bool,
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if !self.over {
            self.cancel.cancel();
        }
    }
}

/// An action with its caller.
#[derive(Debug)]
pub(super) struct Perform {
    pub(super) action: Action,
    pub(super) declared: (i64, i64),
    pub(super) cancel: Cancel,
    pub(super) reply: oneshot::Sender<Result<Outcome, InputError>>,
}

/// Actions of a unit, one after the other.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) actions: Vec<Action>,
    pub(super) declared: (i64, i64),
    /// After a failure, too.
    pub(super) go_on: bool,
}

/// What the holder of a unit asks.
#[derive(Debug)]
pub(super) enum Order {
    Perform {
        series: Series,
        reply: oneshot::Sender<Result<Vec<Performed>, InputError>>,
    },
    End {
        /// What was kept down stays down.
        keep: bool,
        reply: oneshot::Sender<Result<(), InputError>>,
    },
}

/// Several actions as one: while it lasts the queue gives out nothing else. The caller orders one after the
/// other; when the sender of the orders is gone, so is the caller.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) cancel: Cancel,
    pub(super) turn: oneshot::Sender<Result<(), InputError>>,
}

/// What the actor is asked.
#[derive(Debug)]
pub(super) enum Job {
    Perform(Perform),
    Hold(Hold),
    Held(oneshot::Sender<Result<HeldReport, InputError>>),
    Reset(oneshot::Sender<Result<HeldReport, InputError>>),
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Job>,
    running: Option<Cancel>,
    closed: bool,
}

/// The queue. The lock guards it, is held for a few instructions, never across an await or a call out.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    pub(super) wake: Wake,
}

/// What the queue holds for the actor.
#[derive(Debug)]
pub(super) enum Next {
    Job(Job),
    Empty,
    Closed,
}

impl Mailbox {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            wake: Wake::new()?,
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Queues a job: actions in their order; a question goes first; a reset goes first and calls the
    /// running action off.
    pub(super) fn push(&self, job: Job) -> Result<(), InputError> {
        let mut state = self.state();
        if state.closed {
            return Err(InputError::Stopped);
        }
        if state.queue.len() >= QUEUE && !matches!(job, Job::Reset(_))
            || state.queue.len() >= 2 * QUEUE
        {
            return Err(InputError::Busy);
        }
        match job {
            Job::Perform(_) | Job::Hold(_) => state.queue.push_back(job),
            Job::Held(_) => state.queue.push_front(job),
            Job::Reset(_) => {
                state.queue.push_front(job);
                if let Some(running) = state.running.take() {
                    running.cancel();
                }
            }
        }
        drop(state);
        self.wake.wake();
        Ok(())
    }

    /// Takes the next job; an action that was called off while it waited never comes out.
    pub(super) fn next(&self) -> Next {
        let mut state = self.state();
        state.running = None;
        while let Some(job) = state.queue.pop_front() {
            let cancel = match &job {
                Job::Perform(perform) => Some(&perform.cancel),
                Job::Hold(hold) => Some(&hold.cancel),
                Job::Held(_) | Job::Reset(_) => None,
            };
            if cancel.is_some_and(|cancel| cancel.check().is_err()) {
                continue;
            }
            state.running = cancel.cloned();
            return Next::Job(job);
        }
        if state.closed {
            Next::Closed
        } else {
            Next::Empty
        }
    }

    /// Takes the next job if it is a question, which may be answered in the middle of an action.
    pub(super) fn next_question(&self) -> Option<oneshot::Sender<Result<HeldReport, InputError>>> {
        let mut state = self.state();
        match state.queue.pop_front()? {
            Job::Held(reply) => Some(reply),
            other => {
                state.queue.push_front(other);
                None
            }
        }
    }

    /// Takes no more jobs, calls the running action off and drops those that wait: their callers get
    /// [`InputError::Stopped`] or the reason of the end.
    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        let dropped = std::mem::take(&mut state.queue);
        if let Some(running) = state.running.take() {
            running.cancel();
        }
        drop(state);
        drop(dropped);
        self.wake.wake();
    }
}
