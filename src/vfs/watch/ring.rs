//! The ring of one root: the thread that fills it, and the clients that read it.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};
use std::os::fd::OwnedFd;
use tokio::sync::watch;
use uuid::Uuid;

use super::{Change, Lost, forest::Forest};
use crate::{
    sys,
    vfs::{
        entry::Identity,
        fault::{Fault, Kind, Result},
        path::TreePath,
        view::{Opened, View},
    },
};

/// Changes that a ring holds.
pub(super) const RING: usize = 65_536;
/// How long a ring stays after its last client.
pub(super) const IDLE: Duration = Duration::from_mins(1);

/// What makes two subscriptions share a ring.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RingKey {
    table: usize,
    path: TreePath,
    identity: Identity,
    recursive: bool,
}

impl RingKey {
    /// A ring keeps its view alive, so the address of the table stands for the table.
    pub(super) fn new(view: &View, path: &TreePath, identity: Identity, recursive: bool) -> Self {
        let table = Arc::as_ptr(view.table()).addr();
        Self {
            table,
            path: path.clone(),
            identity,
            recursive,
        }
    }
}

/// A place in a ring: which run of the daemon, which ring, after which change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The run.
    pub run: Uuid,
    /// The ring.
    pub ring: Uuid,
    /// Number of the next change to read.
    pub next: u64,
}

#[derive(Debug)]
pub(super) struct Ring {
    id: Uuid,
    root: TreePath,
    /// Never held across a wait but that of `settled`.
    state: Mutex<State>,
    /// Told when the state leaves *setting up*.
    settled: Condvar,
    /// Number of the change after the newest.
    head: watch::Sender<u64>,
    wake: OwnedFd,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    changes: VecDeque<Change>,
    /// Number of the oldest change that is held.
    first: u64,
    /// Some of it is only looked at from time to time.
    polled: bool,
    /// Parts that are not covered.
    limited: Vec<TreePath>,
    clients: usize,
    idle_since: Option<Instant>,
    stop: bool,
}

#[derive(Debug)]
enum Phase {
    SettingUp,
    Ready,
    Over(Option<Fault>),
}

impl Ring {
    pub(super) fn start(view: View, root: Opened, recursive: bool) -> Result<Arc<Self>> {
        let path = root.path.to_bytes();
        let failed = |errno| Fault::from_errno(errno, "watch", &path);
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(failed)?;
        let ring = Arc::new(Self {
            id: Uuid::now_v7(),
            root: root.path.clone(),
            state: Mutex::new(State {
                phase: Phase::SettingUp,
                changes: VecDeque::new(),
                first: 0,
                polled: false,
                limited: Vec::new(),
                clients: 1,
                idle_since: None,
                stop: false,
            }),
            settled: Condvar::new(),
            head: watch::channel(0).0,
            wake,
        });
        let mine = Arc::clone(&ring);
        sys::thread::spawn("watch", move || mine.work(view, root, recursive))
            .map_err(|error| Fault::from_io(error, "watch", &path))?;
        Ok(ring)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts one client more, unless the ring is over.
    pub(super) fn join(&self) -> bool {
        let mut state = self.state();
        if state.stop || matches!(state.phase, Phase::Over(_)) {
            return false;
        }
        state.clients += 1;
        state.idle_since = None;
        true
    }

    /// Since when it has no client.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.state().idle_since
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.state().phase, Phase::Over(_))
    }

    /// Whether what is mounted at a path shows in it, or is its root.
    pub(super) fn concerns(&self, at: &TreePath) -> bool {
        at.starts_with(&self.root) || self.root.starts_with(at)
    }

    /// Ends it: the tree that it knows is no longer the one that new requests see. Its clients are told to come back.
    pub(super) fn outdate(&self) {
        self.push(Change::overflow(self.root.clone(), Lost::Restart));
        self.stop();
    }

    pub(super) fn stop(&self) {
        self.state().stop = true;
        self.ring_bell();
    }

    fn ring_bell(&self) {
        // A counter that is full has rung already.
        let _ = rustix::io::write(&self.wake, &1_u64.to_ne_bytes());
    }

    /// The client has been counted by [`Ring::start`] or [`Ring::join`].
    pub(super) fn subscribe(
        self: &Arc<Self>,
        run: Uuid,
        position: Option<Position>,
    ) -> Subscription {
        let mut subscription = Subscription {
            ring: Arc::clone(self),
            run,
            next: None,
            lost: None,
            resumed: false,
            head: self.head.subscribe(),
        };
        match position {
            None => {}
            Some(position) if position.run == run && position.ring == self.id => {
                subscription.next = Some(position.next);
                subscription.resumed = true;
            }
            Some(_) => subscription.lost = Some(Lost::Restart),
        }
        subscription
    }

    fn work(&self, view: View, root: Opened, recursive: bool) {
        let mut forest = match Forest::plant(view, root, recursive) {
            Ok(forest) => forest,
            Err(fault) => return self.end(Some(fault)),
        };
        self.describe(&forest);
        self.state().phase = Phase::Ready;
        self.settled.notify_all();
        let fault = loop {
            match self.turn(&mut forest) {
                Ok(true) => {}
                Ok(false) => break None,
                Err(fault) => break Some(fault),
            }
        };
        self.end(fault);
    }

    /// Says what new clients are told of the watch.
    fn describe(&self, forest: &Forest) {
        let mut state = self.state();
        state.polled = forest.is_polled();
        if state.limited != forest.limited() {
            state.limited = forest.limited().to_vec();
        }
    }

    fn end(&self, fault: Option<Fault>) {
        if let Some(fault) = &fault {
            tracing::warn!(path = %self.root, %fault, "a watch ended");
        }
        self.state().phase = Phase::Over(fault);
        self.settled.notify_all();
        self.head.send_modify(|_| {});
    }

    /// Waits for something to happen and tells it. False when it is time to end.
    fn turn(&self, forest: &mut Forest) -> Result<bool> {
        let Some(idle) = self.idle_left() else {
            return Ok(false);
        };
        let patience = forest.patience().min(idle);
        let timeout = Timespec {
            tv_sec: i64::try_from(patience.as_secs()).expect("seconds"),
            tv_nsec: patience.subsec_nanos().into(),
        };
        let mut fds: Vec<PollFd<'_>> = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(
            forest
                .descriptors()
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)),
        );
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(Fault::from_errno(errno, "watch", self.root.to_bytes())),
        }
        // Nobody has rung when it fails.
        let _ = rustix::io::read(&self.wake, &mut [0; 8]);
        if self.state().stop {
            return Ok(false);
        }
        let goes_on = forest.take(&mut |change| self.push(change))?;
        self.describe(forest);
        Ok(goes_on)
    }

    /// How long the ring stays when nothing happens: for long while it has a client. None: it is time to end.
    fn idle_left(&self) -> Option<Duration> {
        let mut state = self.state();
        if state.clients > 0 {
            return Some(IDLE);
        }
        let since = *state.idle_since.get_or_insert_with(Instant::now);
        let left = IDLE.saturating_sub(since.elapsed());
        state.stop |= left.is_zero();
        (!left.is_zero()).then_some(left)
    }

    fn push(&self, change: Change) {
        let mut state = self.state();
        if state.changes.len() == RING {
            state.changes.pop_front();
            state.first += 1;
        }
        state.changes.push_back(change);
        let head = state.head();
        drop(state);
        self.head.send_replace(head);
    }
}

impl State {
    /// Number of the change after the newest.
    fn head(&self) -> u64 {
        self.first + u64::try_from(self.changes.len()).expect("it fits")
    }
}

/// A client of a ring. Dropping it leaves the ring to the others, and for a while to whoever comes back.
#[derive(Debug)]
pub struct Subscription {
    ring: Arc<Ring>,
    run: Uuid,
    /// None until the ring is ready: it begins there.
    next: Option<u64>,
    lost: Option<Lost>,
    /// It goes on where it was before, and has not read yet.
    resumed: bool,
    head: watch::Receiver<u64>,
}

impl Subscription {
    /// Blocks until all watches are set.
    pub(super) fn ready(&self) -> Result<()> {
        let state = self.ring.state();
        let state = self
            .ring
            .settled
            .wait_while(state, |state| matches!(state.phase, Phase::SettingUp))
            .unwrap_or_else(PoisonError::into_inner);
        match &state.phase {
            Phase::Over(Some(fault)) => Err(fault.clone()),
            Phase::Over(None) => Err(Fault::new(
                Kind::Changed,
                "watch",
                self.ring.root.to_bytes(),
            )),
            Phase::SettingUp | Phase::Ready => Ok(()),
        }
    }

    /// Where this client is.
    pub fn position(&mut self) -> Position {
        Position {
            run: self.run,
            ring: self.ring.id,
            next: self.start(),
        }
    }

    fn start(&mut self) -> u64 {
        let head = self.ring.state().head();
        *self.next.get_or_insert(head)
    }

    /// Whether some of it is only looked at from time to time.
    pub fn is_polled(&self) -> bool {
        self.ring.state().polled
    }

    /// What is not covered, for a client that begins.
    pub fn limits(&self) -> Vec<Change> {
        if self.resumed {
            return Vec::new();
        }
        let limited = self.ring.state().limited.clone();
        let told = |path| Change::overflow(path, Lost::WatchLimit);
        limited.into_iter().map(told).collect()
    }

    /// Waits until there is something to read. False: the watch has ended, and there is nothing. Safe to drop.
    pub async fn wait(&mut self) -> bool {
        loop {
            let start = self.start();
            if self.lost.is_some() {
                return true;
            }
            // In this order: what comes last comes before the end.
            let over = self.ring.is_over();
            if *self.head.borrow_and_update() > start {
                return true;
            }
            if over {
                return false;
            }
            if self.head.changed().await.is_err() {
                return false;
            }
        }
    }

    /// How many changes are there to read.
    pub fn waiting(&mut self) -> usize {
        let start = self.start();
        let head = *self.head.borrow();
        usize::try_from(head.saturating_sub(start)).unwrap_or(usize::MAX)
    }

    /// Takes at most `limit` changes, oldest first. What was lost is said first.
    pub fn read(&mut self, limit: usize) -> Vec<Change> {
        let start = self.start();
        let lost = self.lost.take();
        let resumed = std::mem::take(&mut self.resumed);
        let state = self.ring.state();
        let head = state.head();
        let reason = match lost {
            Some(lost) => Some(lost),
            None if start > head => Some(Lost::Restart),
            None if start < state.first && resumed => Some(Lost::Ring),
            None if start < state.first => Some(Lost::Slow),
            None => None,
        };
        let mut changes = Vec::new();
        changes.extend(reason.map(|reason| Change::overflow(self.ring.root.clone(), reason)));
        let from = start.clamp(state.first, head);
        let skip = usize::try_from(from - state.first).expect("within the ring");
        let told = changes.len();
        changes.extend(state.changes.iter().skip(skip).take(limit).cloned());
        self.next = Some(from + u64::try_from(changes.len() - told).expect("it fits"));
        changes
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let last = {
            let mut state = self.ring.state();
            state.clients -= 1;
            if state.clients == 0 {
                state.idle_since = Some(Instant::now());
            }
            state.clients == 0
        };
        if last {
            self.ring.ring_bell();
        }
    }
}
