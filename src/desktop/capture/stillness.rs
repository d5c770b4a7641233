//! The stillness thread: follows what changes on the screen, and answers who waits until nothing does.
//!
//! ```text
//!             reports                 pause over (see `Pace`)
//!  Watching -----------> Pausing ------------------------------> Watching
//!     every place is        reports are left unread: a screen that changes all the time costs
//!     named when it         5 wake-ups a second while nobody waits, and 100 while somebody does
//!     changes
//! ```
//!
//! It has a connection of its own: reports on the one that takes the pictures would make an unchanged screen look
//! changed. A wait costs a place in a list and a look at the recent changes after each report.

use std::{
    io,
    mem::take,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use super::{CaptureError, ChangeSource, Shared};
use crate::{
    desktop::{
        geometry::Rect,
        settle::{Activity, Looks, Pace, Settle, Settled, Worth},
    },
    sys,
};

/// Waits at a time.
const WAITS: usize = 256;

/// Least time between two requests to name every place again, on average, while nobody waits.
const IDLE_PACE: Duration = Duration::from_millis(200);

/// The same while somebody waits: an answer may come so much too late, never too early.
const WAITING_PACE: Duration = Duration::from_millis(10);

/// Handle on the thread, which ends with the capture.
#[derive(Debug)]
pub(super) struct Stillness {
    waits: Arc<Mutex<Waits>>,
}

/// Who waits. Callers put themselves in and take themselves out, so whoever leaves is forgotten at once. Locked for
/// moments, never across an await or a round trip.
#[derive(Debug, Default)]
struct Waits {
    list: Vec<Wait>,
    /// Number of the next one.
    next: u64,
    /// Somebody came since the thread looked.
    fresh: bool,
    /// The thread has ended.
    closed: bool,
}

#[derive(Debug)]
struct Wait {
    number: u64,
    settle: Settle,
    since: Option<Instant>,
    reply: oneshot::Sender<Result<(), CaptureError>>,
}

impl Wait {
    fn still_from(&self, activity: &Activity) -> Option<Instant> {
        self.settle.still_from(activity, self.since)
    }
}

/// Takes a wait out when dropped.
struct Leaving<'a> {
    stillness: &'a Stillness,
    number: u64,
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let number = self.number;
        lock(&self.stillness.waits)
            .list
            .retain(|wait| wait.number != number);
    }
}

fn lock(waits: &Mutex<Waits>) -> MutexGuard<'_, Waits> {
    waits.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stillness {
    /// Starts the thread.
    pub(super) fn spawn(source: Box<dyn ChangeSource>, shared: &Arc<Shared>) -> io::Result<Self> {
        let waits = Arc::new(Mutex::default());
        let now = Instant::now();
        let watcher = Watcher {
            source,
            shared: shared.clone(),
            waits: waits.clone(),
            activity: Activity::new(now),
            pace: Pace::new(now),
            watching: true,
            looks: Looks::default(),
            suspects: Vec::new(),
            places: Vec::new(),
        };
        sys::thread::spawn("stillness", move || watcher.run())?;
        Ok(Self { waits })
    }

    /// See [`super::Screen::settle`]. The timeout is kept here, so that it holds even while the server is stuck.
    pub(super) async fn settle(
        &self,
        settle: Settle,
        since: Option<Instant>,
        shared: &Shared,
    ) -> Result<Settled, CaptureError> {
        let begin = Instant::now();
        let timeout = settle.timeout;
        let (reply, answer) = oneshot::channel();
        let number = lock(&self.waits).add(settle, since, reply, shared)?;
        let stillness = self;
        let _leaving = Leaving { stillness, number };
        shared.ring_stillness();
        let still = match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => answer.map(|()| true)?,
            Ok(Err(_)) => return Err(shared.ending()),
            Err(_) => false,
        };
        Ok(Settled {
            still,
            waited: begin.elapsed(),
        })
    }
}

impl Waits {
    fn add(
        &mut self,
        settle: Settle,
        since: Option<Instant>,
        reply: oneshot::Sender<Result<(), CaptureError>>,
        shared: &Shared,
    ) -> Result<u64, CaptureError> {
        if self.closed {
            return Err(shared.ending());
        }
        if self.list.len() >= WAITS {
            return Err(CaptureError::Busy);
        }
        let number = self.next;
        self.next += 1;
        self.fresh = true;
        self.list.push(Wait {
            number,
            settle,
            since,
            reply,
        });
        Ok(number)
    }

    fn any_still(&self, activity: &Activity, now: Instant) -> bool {
        let still = |wait: &Wait| wait.still_from(activity).is_some_and(|from| from <= now);
        self.list.iter().any(still)
    }
}

struct Watcher {
    source: Box<dyn ChangeSource>,
    shared: Arc<Shared>,
    waits: Arc<Mutex<Waits>>,
    activity: Activity,
    pace: Pace,
    /// Every place is named when it changes; false while those that were named are not named again.
    watching: bool,
    looks: Looks,
    /// Places to be grabbed as soon as they are watched again, and when they were reported.
    suspects: Vec<(Rect, Instant)>,
    /// Kept for its memory.
    places: Vec<Rect>,
}

impl Watcher {
    fn run(mut self) {
        // Also when something below panics: whoever waits is told.
        let _ending = Ending(self.shared.clone(), self.waits.clone());
        if let Err(error) = self.serve() {
            self.shared.fail(&error);
        }
    }

    fn serve(&mut self) -> Result<(), CaptureError> {
        self.look()?;
        loop {
            self.sleep()?;
            if self.shared.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            let fresh = take(&mut lock(&self.waits).fresh);
            if fresh {
                // They learn how the screen is now, not how it was when it was last looked at.
                self.watch_all()?;
            }
            if self.watching {
                self.look()?;
            }
            if !self.watching && self.pace.due(self.interval()) <= Instant::now() {
                self.watch_all()?;
            }
            self.answer()?;
            self.looks.tidy(Instant::now());
        }
    }

    fn interval(&self) -> Duration {
        if lock(&self.waits).list.is_empty() {
            IDLE_PACE
        } else {
            WAITING_PACE
        }
    }

    /// Sleeps until somebody comes or goes, the server reports something that is wanted, or it is time for something.
    fn sleep(&self) -> Result<(), CaptureError> {
        let next = self.next();
        let limit = next.map(|next| next.saturating_duration_since(Instant::now()));
        let events = self.watching.then(|| self.source.events());
        let woken = self.shared.stillness_bell.wait(events, limit);
        woken.map(drop).map_err(|error| CaptureError::Server {
            operation: "wait for changes",
            source: Arc::new(error),
        })
    }

    /// When there is something to do, if nothing happens before.
    fn next(&self) -> Option<Instant> {
        let pause_over = (!self.watching).then(|| self.pace.due(self.interval()));
        let waits = lock(&self.waits);
        let still = waits.list.iter();
        let still = still.filter_map(|wait| wait.still_from(&self.activity));
        still.chain(pause_over).chain(self.looks.tidy_from()).min()
    }

    /// Takes in what was reported.
    fn look(&mut self) -> Result<(), CaptureError> {
        self.places.clear();
        self.source.take(&mut self.places)?;
        let now = Instant::now();
        for place in &self.places {
            let worth = self.looks.reported(*place, now);
            if worth != Worth::Compare {
                self.activity.damaged(*place, now, now);
            }
            let known = self.suspects.iter().any(|(suspect, _)| suspect == place);
            if worth != Worth::Counts && !known {
                self.suspects.push((*place, now));
            }
            self.watching = false;
        }
        Ok(())
    }

    /// Has every place named again. What the server still reports of the time before comes in as well.
    fn watch_all(&mut self) -> Result<(), CaptureError> {
        self.look()?;
        self.source.watch_all()?;
        // Watched first and grabbed then, so that no change falls in between.
        for (place, reported) in take(&mut self.suspects) {
            let pixels = self.source.grab(place)?;
            let now = Instant::now();
            if let Some(changed) = self.looks.seen(place, pixels, now) {
                self.activity.damaged(changed, reported, now);
            }
        }
        let now = Instant::now();
        self.pace.spend(self.interval(), now);
        self.activity.watched(now);
        self.watching = true;
        self.look()
    }

    /// Answers those for whom the screen is at rest, after the server was asked once more.
    fn answer(&mut self) -> Result<(), CaptureError> {
        if !lock(&self.waits).any_still(&self.activity, Instant::now()) {
            return Ok(());
        }
        self.watch_all()?;
        let now = Instant::now();
        let activity = &self.activity;
        let mut waits = lock(&self.waits);
        let still = |wait: &mut Wait| wait.still_from(activity).is_some_and(|from| from <= now);
        for wait in waits.list.extract_if(.., still) {
            // Fails when the caller is gone, and then nobody misses it.
            let _ = wait.reply.send(Ok(()));
        }
        Ok(())
    }
}

/// Without this thread the capture ends, too: it is made anew as a whole.
struct Ending(Arc<Shared>, Arc<Mutex<Waits>>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
        let mut waits = lock(&self.1);
        waits.closed = true;
        // Those who wait see that nobody will answer, and say why.
        waits.list.clear();
    }
}
