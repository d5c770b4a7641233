//! Pictures of the screen: one thread grabs, a few encode, and callers who want the same share it.
//!
//! ```text
//! picture() --if_none_match, nothing happened--> Unchanged               (no other thread runs)
//!     |
//!     +--queue (256)-> capture thread: verify, grab ----queue (64)----> encode threads --> everyone who waits
//!                        |  what is known already: Unchanged, a picture in the making, one of the last four
//!                        +- at most 3 grabbed frames are alive; more requests wait and then share the next grab
//! ```
//!
//! A picture is never older than its request: it is grabbed after the request came, or the server has just said that
//! nothing changed since it was grabbed. The stamp of a picture is a pair of counters that the [`FrameSource`] keeps
//! from the server's own reports (damage, cursor shape, pointer), and its entity tag is that stamp, so an unchanged
//! screen costs no grab and no hash.
//!
//! Beside that, one thread follows which places change, on a connection of its own, and answers those who wait until
//! nothing does: see [`super::settle`] and `stillness`.

mod actor;
mod bell;
mod error;
mod pool;
mod stillness;
mod store;

use std::{
    fmt, io,
    os::fd::{BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{SyncSender, TrySendError, sync_channel},
    },
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub use self::error::CaptureError;
use self::{
    actor::{Actor, Message, Reply},
    bell::Bell,
    stillness::Stillness,
    store::Outcome,
};
use super::{
    geometry::{Point, Rect, Size},
    picture::{Answer, PictureRequest},
    settle::{Settle, Settled},
};
use crate::{sys, telemetry::Metrics};

/// Requests that may wait for the capture thread; abandoned ones count until it looks.
const QUEUE: usize = 256;

/// How long a pointer that nobody moved through us counts as where it was: programs that warp it cause no event. A
/// round trip tells the truth and costs some 40 µs, too much for an answer without any other work.
const POINTER_TRUST: Duration = Duration::from_millis(20);

/// What of a screen changed, as counters that only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Grows when the pixels may have changed.
    pub pixels: u64,
    /// Grows when the pointer moved or changed its shape.
    pub cursor: u64,
}

/// What a source can say about the screen without asking anyone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Knowledge {
    /// Stamp of the last grab, or of what was learnt about the cursor since.
    pub stamp: Stamp,
    /// No change of the pixels was reported since they were grabbed with this stamp.
    pub pixels: bool,
    /// No change of the cursor was reported since it had this stamp.
    pub cursor: bool,
}

/// One grabbed picture of the whole screen.
pub struct Shot {
    /// Pixels as in [`super::pixels`], rows without gaps.
    pub pixels: Box<dyn AsRef<[u8]> + Send + Sync>,
    /// Size of the screen.
    pub size: Size,
    /// Where the pointer was.
    pub pointer: Option<Point>,
    /// What it shows.
    pub stamp: Stamp,
}

/// Where pictures come from. Used from one thread; calls may block for as long as the screen's server takes.
///
/// A source without reports of changes is never [`Knowledge::pixels`], and every request grabs.
pub trait FrameSource: Send + 'static {
    /// Readable as soon as the server reported something; `None` without such reports.
    fn events(&self) -> Option<BorrowedFd<'_>> {
        None
    }

    /// Takes in all reports that wait, without a round trip.
    fn pump(&mut self) -> Result<(), CaptureError>;

    /// Asks the server, so that [`FrameSource::knowledge`] is true of a moment after this call began.
    fn verify(&mut self) -> Result<(), CaptureError>;

    /// What is known now.
    fn knowledge(&self) -> Knowledge;

    /// Grabs the whole screen, with the cursor drawn in when asked.
    fn grab(&mut self, cursor: bool) -> Result<Shot, CaptureError>;

    /// Asks the server for the size of the screen.
    fn size(&mut self) -> Result<Size, CaptureError>;

    /// Changes the size of the screen and gives the one it then has.
    fn resize(&mut self, size: Size) -> Result<Size, CaptureError>;

    /// Gives memory back that no frame uses.
    fn tidy(&mut self);

    /// Gives away the reports of changed places, once. `None` without such reports.
    fn take_changes(&mut self) -> Option<Box<dyn ChangeSource>> {
        None
    }
}

/// Which places of a screen change. Used from one thread, not the one of the [`FrameSource`].
///
/// A place is reported when it changes, and then not again before [`ChangeSource::watch_all`].
pub trait ChangeSource: Send + 'static {
    /// Readable as soon as the server reported something.
    fn events(&self) -> BorrowedFd<'_>;

    /// Adds the places that were reported, in native pixels, without a round trip.
    fn take(&mut self, places: &mut Vec<Rect>) -> Result<(), CaptureError>;

    /// From now on every change is reported again. A round trip: what changed before it is there to be taken.
    fn watch_all(&mut self) -> Result<(), CaptureError>;

    /// Pixels of a place as in [`super::pixels`], rows without gaps. `None` when it is not on the screen any more.
    fn grab(&mut self, place: Rect) -> Result<Option<Vec<u8>>, CaptureError>;
}

impl fmt::Debug for Shot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shot")
            .field("size", &self.size)
            .field("stamp", &self.stamp)
            .finish_non_exhaustive()
    }
}

/// Handle on the pictures of one screen. When the last clone is dropped the threads end and the connection closes.
#[derive(Clone, Debug)]
pub struct Screen {
    owner: Arc<Owner>,
}

#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    inbox: SyncSender<Message>,
    /// `None` when the source does not report changed places.
    stillness: Option<Stillness>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.end();
    }
}

impl Screen {
    /// Starts the threads. Fails when the system gives no thread, descriptor or random number.
    pub fn spawn(mut source: Box<dyn FrameSource>, metrics: Arc<Metrics>) -> io::Result<Self> {
        let events = source.events().map(|fd| fd.try_clone_to_owned());
        let shared = Arc::new(Shared::new(events.transpose()?)?);
        let (inbox, requests) = sync_channel(QUEUE);
        let changes = source.take_changes();
        let actor = Actor::new(source, shared.clone(), requests, metrics)?;
        sys::thread::spawn("capture", move || actor.run())?;
        let mut owner = Owner {
            shared: shared.clone(),
            inbox,
            stillness: None,
        };
        if let Some(changes) = changes {
            owner.stillness = Some(Stillness::spawn(changes, &shared)?);
        }
        Ok(Self {
            owner: Arc::new(owner),
        })
    }

    /// A picture that is not older than this call, or the word that the caller's is still true. Dropping the future
    /// abandons the work, unless others wait for the same.
    ///
    /// # Errors
    /// [`CaptureError::Busy`] when the queues are full; all others but `Resize`.
    pub async fn picture(&self, request: PictureRequest) -> Result<Answer, CaptureError> {
        if let Some(etag) = self.owner.shared.unchanged(&request) {
            return Ok(Answer::Unchanged { etag });
        }
        loop {
            let (reply, answer) = oneshot::channel();
            let request = request.clone();
            self.send(Message::Picture { request, reply })?;
            match answer.await.map_err(|_| self.owner.shared.ending())?? {
                Reply::Unchanged(etag) => return Ok(Answer::Unchanged { etag }),
                Reply::Ready(picture) => return Ok(Answer::Picture(picture)),
                Reply::Pending(mut flight) => {
                    if let Ok(outcome) = flight.wait_for(Outcome::is_some).await {
                        let picture = outcome.clone().expect("it waited for this")?;
                        return Ok(Answer::Picture(picture));
                    }
                    // Given up for want of listeners in the moment we joined, or the threads ended: ask again.
                }
            }
        }
    }

    /// Waits until the screen is at rest: nothing that counts changed for the quiet time, reckoned from `since` or from
    /// the last change or the last input of ours ([`Screen::acted`]), whichever was latest. A screen that has been at rest for so long already is answered at once.
    /// Blinking carets do not count, nor does the pointer. Waits for no picture, and no picture waits for it. Dropping
    /// the future abandons the wait.
    ///
    /// # Errors
    /// [`CaptureError::SettleUnsupported`]; [`CaptureError::Busy`] when 256 wait already; [`CaptureError::ConnectionLost`]
    /// and [`CaptureError::Ended`] at once, also in the middle.
    pub async fn settle(
        &self,
        settle: Settle,
        since: Option<Instant>,
    ) -> Result<Settled, CaptureError> {
        let Owner {
            shared, stillness, ..
        } = &*self.owner;
        let stillness = stillness.as_ref().ok_or(CaptureError::SettleUnsupported)?;
        let since = since.max(*shared.acted());
        stillness.settle(settle, since, shared).await
    }

    /// Size of the screen, asked from its server.
    pub async fn native_size(&self) -> Result<Size, CaptureError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Size { reply })?;
        answer.await.map_err(|_| self.owner.shared.ending())?
    }

    /// Changes the size of the screen and gives the one it then has. Dropping the future does not undo it.
    ///
    /// # Errors
    /// [`CaptureError::Resize`] when the screen kept another size.
    pub async fn resize(&self, size: Size) -> Result<Size, CaptureError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Resize { size, reply })?;
        answer.await.map_err(|_| self.owner.shared.ending())?
    }

    /// The pointer may have moved: to be called after each injected step and each relayed pointer message. Only
    /// counts; the next picture asks the server.
    pub fn invalidate(&self) {
        self.owner.shared.moves.fetch_add(1, Ordering::SeqCst);
    }

    /// Input of ours has ended just now, and a program may still have to answer it: stillness counts from now on. Input
    /// of people is not told: a screen comes to rest while somebody moves the pointer.
    pub fn acted(&self) {
        *self.owner.shared.acted() = Some(Instant::now());
    }

    /// Resolves with the reason when no more pictures will come. May be dropped and called again.
    pub async fn closed(&self) -> Arc<CaptureError> {
        self.owner.shared.ended.cancelled().await;
        Arc::new(self.owner.shared.ending())
    }

    fn send(&self, message: Message) -> Result<(), CaptureError> {
        match self.owner.inbox.try_send(message) {
            Ok(()) => {
                self.owner.shared.ring();
                Ok(())
            }
            Err(TrySendError::Full(_)) => Err(CaptureError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(self.owner.shared.ending()),
        }
    }
}

/// What the handles and the capture thread share.
#[derive(Debug)]
struct Shared {
    /// Makes entity tags of two captures differ.
    run: u64,
    /// Wakes the capture thread.
    bell: Bell,
    /// Wakes the stillness thread.
    stillness_bell: Bell,
    /// Both threads are to end.
    stop: AtomicBool,
    /// The capture thread wants to be woken when a frame is given back.
    starved: AtomicBool,
    /// Times the pointer may have moved by our doing.
    moves: AtomicU64,
    /// When input of ours last ended; held for a moment.
    acted: Mutex<Option<Instant>>,
    /// What the capture thread last knew; held for a system call at most, never across an await.
    public: Mutex<Public>,
    ended: CancellationToken,
    cause: OnceLock<CaptureError>,
}

/// State of the screen for those who ask without the capture thread.
#[derive(Debug)]
struct Public {
    /// `None` while the capture thread works: nothing can be said then.
    knowledge: Option<Knowledge>,
    /// Value of [`Shared::moves`] when the pointer was last asked for.
    moves: u64,
    /// When that was.
    asked: Instant,
    /// The connection; something to read there means that the knowledge is old.
    events: Option<OwnedFd>,
}

impl Shared {
    fn new(events: Option<OwnedFd>) -> io::Result<Self> {
        Ok(Self {
            run: getrandom::u64().map_err(io::Error::other)?,
            bell: Bell::new()?,
            stillness_bell: Bell::new()?,
            stop: AtomicBool::new(false),
            starved: AtomicBool::new(false),
            moves: AtomicU64::new(0),
            acted: Mutex::default(),
            public: Mutex::new(Public {
                knowledge: None,
                moves: 0,
                asked: Instant::now(),
                events,
            }),
            ended: CancellationToken::new(),
            cause: OnceLock::new(),
        })
    }

    fn ring(&self) {
        self.bell.ring();
    }

    fn ring_stillness(&self) {
        self.stillness_bell.ring();
    }

    /// Ends both threads.
    fn end(&self) {
        self.stop.store(true, Ordering::SeqCst);
        self.ring();
        self.ring_stillness();
    }

    /// Notes why there will be no more pictures, and says so once.
    fn fail(&self, error: &CaptureError) {
        if self.cause.set(error.clone()).is_ok() {
            tracing::warn!(error = error as &dyn std::error::Error, "capture ended");
        }
    }

    fn acted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.acted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn public(&self) -> MutexGuard<'_, Public> {
        self.public.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why there will be no more pictures.
    fn ending(&self) -> CaptureError {
        self.cause.get().cloned().unwrap_or(CaptureError::Ended)
    }

    fn etag(&self, stamp: Stamp, request: &PictureRequest) -> String {
        let cursor = if request.cursor { stamp.cursor } else { 0 };
        let (run, pixels, options) = (self.run, stamp.pixels, request.options());
        format!("\"{run:016x}.{pixels:x}.{cursor:x}.{options:016x}\"")
    }

    /// The tag, when the caller has it and nothing at all happened since. The capture thread takes its knowledge back
    /// before it reads from the connection, so under the lock: nothing to read and knowledge there means it is true.
    fn unchanged(&self, request: &PictureRequest) -> Option<String> {
        request.if_none_match.as_ref()?;
        let public = self.public();
        let knowledge = public.knowledge.filter(|k| k.pixels)?;
        if request.cursor {
            let moved = public.moves != self.moves.load(Ordering::SeqCst);
            if moved || !knowledge.cursor || public.asked.elapsed() > POINTER_TRUST {
                return None;
            }
        }
        let events = public.events.as_ref()?;
        if !bell::is_silent(events) {
            return None;
        }
        let etag = self.etag(knowledge.stamp, request);
        request.has(&etag).then_some(etag)
    }
}
