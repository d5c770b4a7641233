//! The capture thread: owns the source, decides what must be grabbed, hands frames to the encoders.

use std::{
    io,
    mem::take,
    sync::{
        Arc, Weak,
        atomic::Ordering,
        mpsc::{Receiver, TryRecvError},
    },
    time::{Duration, Instant},
};

use prometheus_client::metrics::histogram::Histogram;
use tokio::sync::{oneshot, watch};

use super::{
    CaptureError, FrameSource, Shared, Shot, Stamp,
    pool::{Job, Pool, histogram},
    store::{Found, Outcome, Store},
};
use crate::{
    desktop::{
        encode::Options,
        geometry::Size,
        picture::{Picture, PictureRequest},
    },
    telemetry::{Metrics, Stage},
};

/// Grabbed frames alive at a time. Who comes later waits and shares the next grab.
const FRAMES: usize = 3;

/// Requests taken from the queue and not answered yet.
const WAITING: usize = 256;

/// After so long without a request, frames and finished pictures are given back.
const IDLE: Duration = Duration::from_secs(30);

type Sender<T> = oneshot::Sender<Result<T, CaptureError>>;

/// What handles ask of the thread.
#[derive(Debug)]
pub(super) enum Message {
    Picture {
        request: PictureRequest,
        reply: Sender<Reply>,
    },
    Size {
        reply: Sender<Size>,
    },
    Resize {
        size: Size,
        reply: Sender<Size>,
    },
}

/// First answer to a wish for a picture.
#[derive(Debug)]
pub(super) enum Reply {
    Unchanged(String),
    Ready(Arc<Picture>),
    Pending(watch::Receiver<Outcome>),
}

struct Wish {
    request: PictureRequest,
    reply: Sender<Reply>,
}

pub(super) struct Actor {
    source: Box<dyn FrameSource>,
    shared: Arc<Shared>,
    inbox: Receiver<Message>,
    waiting: Vec<Wish>,
    shots: Vec<Weak<Shot>>,
    pool: Pool,
    store: Arc<Store>,
    grab_seconds: Histogram,
    /// When the last request came, while something is held for the next one.
    used: Option<Instant>,
    /// Value of [`Shared::moves`] before the pointer was last asked for, and when.
    asked: (u64, Instant),
}

impl Actor {
    pub(super) fn new(
        source: Box<dyn FrameSource>,
        shared: Arc<Shared>,
        inbox: Receiver<Message>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let store = Arc::new(Store::default());
        let grab_seconds = histogram(&metrics, Stage::Grab);
        Ok(Self {
            source,
            pool: Pool::new(store.clone(), shared.clone(), metrics)?,
            shared,
            inbox,
            waiting: Vec::new(),
            shots: Vec::new(),
            store,
            grab_seconds,
            used: None,
            asked: (0, Instant::now()),
        })
    }

    /// Serves until the last handle is dropped or the source is lost.
    pub(super) fn run(mut self) {
        // Also when something below panics: whoever waits is told.
        let _ending = Ending(self.shared.clone());
        if let Err(error) = self.serve() {
            self.shared.fail(&error);
            self.refuse(&error);
        }
    }

    fn serve(&mut self) -> Result<(), CaptureError> {
        loop {
            self.source.pump()?;
            self.publish();
            self.wait()?;
            self.shared.public().knowledge = None;
            if self.shared.stop.load(Ordering::SeqCst) {
                return Ok(());
            }
            self.source.pump()?;
            self.receive()?;
            self.answer()?;
        }
    }

    fn publish(&self) {
        let mut public = self.shared.public();
        public.knowledge = Some(self.source.knowledge());
        (public.moves, public.asked) = self.asked;
    }

    /// Sleeps until a handle or the source says something.
    fn wait(&mut self) -> Result<(), CaptureError> {
        let left = self.used.map(|used| IDLE.saturating_sub(used.elapsed()));
        let woken = self.shared.bell.wait(self.source.events(), left);
        let woken = woken.map_err(|error| CaptureError::Server {
            operation: "wait for events",
            source: Arc::new(error),
        })?;
        if !woken {
            self.tidy();
        }
        Ok(())
    }

    fn tidy(&mut self) {
        self.source.tidy();
        self.store.clear();
        self.used = None;
    }

    /// Takes requests from the queue; pictures wait for [`Actor::answer`].
    fn receive(&mut self) -> Result<(), CaptureError> {
        while self.waiting.len() < WAITING {
            match self.inbox.try_recv() {
                Ok(Message::Picture { request, reply }) => {
                    self.waiting.push(Wish { request, reply });
                    self.used = Some(Instant::now());
                }
                Ok(Message::Size { reply }) => answer_with(reply, self.source.size())?,
                Ok(Message::Resize { size, reply }) => {
                    answer_with(reply, self.source.resize(size))?;
                }
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        Ok(())
    }

    /// Answers what waits: from what is known to be true still, and then from one grab for all others.
    fn answer(&mut self) -> Result<(), CaptureError> {
        self.waiting.retain(|wish| !wish.reply.is_closed());
        if !self.waiting.is_empty() && self.source.knowledge().pixels {
            let moves = self.shared.moves.load(Ordering::SeqCst);
            self.source.verify()?;
            self.asked = (moves, Instant::now());
            self.answer_known();
        }
        self.shared.starved.store(true, Ordering::SeqCst);
        for cursor in [true, false] {
            let wanted = self.waiting.iter().any(|w| w.request.cursor == cursor);
            if wanted && self.has_room() {
                self.answer_by_grab(cursor)?;
            }
        }
        self.shared
            .starved
            .store(!self.waiting.is_empty(), Ordering::SeqCst);
        Ok(())
    }

    fn answer_known(&mut self) {
        let knowledge = self.source.knowledge();
        if !knowledge.pixels {
            return;
        }
        for wish in take(&mut self.waiting) {
            if wish.request.cursor && !knowledge.cursor {
                self.waiting.push(wish);
            } else if let Some(wish) = self.answer_made(wish, knowledge.stamp) {
                self.waiting.push(wish);
            }
        }
    }

    /// Answers without encoding, or gives the wish back.
    fn answer_made(&self, wish: Wish, stamp: Stamp) -> Option<Wish> {
        let etag = self.shared.etag(stamp, &wish.request);
        let reply = if wish.request.has(&etag) {
            Reply::Unchanged(etag)
        } else {
            match self.store.find(&etag) {
                Some(Found::Ready(picture)) => Reply::Ready(picture),
                Some(Found::Pending(flight)) => Reply::Pending(flight),
                None => return Some(wish),
            }
        };
        // Fails when the caller is gone, and then nobody misses it.
        let _ = wish.reply.send(Ok(reply));
        None
    }

    fn has_room(&mut self) -> bool {
        self.shots.retain(|shot| shot.strong_count() > 0);
        self.shots.len() < FRAMES
    }

    fn answer_by_grab(&mut self, cursor: bool) -> Result<(), CaptureError> {
        let (wishes, others) = take(&mut self.waiting)
            .into_iter()
            .partition(|wish: &Wish| wish.request.cursor == cursor);
        self.waiting = others;
        let begin = Instant::now();
        let moves = self.shared.moves.load(Ordering::SeqCst);
        let shot = match self.source.grab(cursor) {
            Ok(shot) => Arc::new(shot),
            Err(error) => return fail(wishes, error),
        };
        self.grab_seconds.observe(begin.elapsed().as_secs_f64());
        self.asked = (moves, begin);
        self.shots.push(Arc::downgrade(&shot));
        for wish in wishes {
            if let Some(wish) = self.answer_made(wish, shot.stamp) {
                self.encode(wish, &shot);
            }
        }
        Ok(())
    }

    fn encode(&self, wish: Wish, shot: &Arc<Shot>) {
        let Wish { request, reply } = wish;
        let _ = reply.send(self.begin(&request, shot));
    }

    fn begin(&self, request: &PictureRequest, shot: &Arc<Shot>) -> Result<Reply, CaptureError> {
        let layout = request.layout(shot.size).ok_or_else(|| {
            let region = request.region.expect("only a region can be outside");
            let frame = request.frame(shot.size).declared();
            CaptureError::BadRegion { region, frame }
        })?;
        let etag = self.shared.etag(shot.stamp, request);
        let (flight, outcome) = self.store.begin(etag.clone());
        self.pool.push(Job {
            shot: shot.clone(),
            layout,
            options: Options {
                format: request.format,
                quality: request.quality,
                max_bytes: request.max_bytes,
            },
            cursor: shot.pointer.filter(|_| request.cursor),
            etag,
            flight,
        })?;
        Ok(Reply::Pending(outcome))
    }

    /// Tells everybody who still waits.
    fn refuse(&mut self, error: &CaptureError) {
        for wish in take(&mut self.waiting) {
            let _ = wish.reply.send(Err(error.clone()));
        }
    }
}

/// Gives a result to its caller; an error that ends the source ends the thread, too.
fn answer_with<T>(reply: Sender<T>, result: Result<T, CaptureError>) -> Result<(), CaptureError> {
    let end = result.as_ref().err().filter(|e| e.is_final()).cloned();
    let _ = reply.send(result);
    end.map_or(Ok(()), Err)
}

fn fail(wishes: Vec<Wish>, error: CaptureError) -> Result<(), CaptureError> {
    for wish in wishes {
        let _ = wish.reply.send(Err(error.clone()));
    }
    if error.is_final() { Err(error) } else { Ok(()) }
}

/// Says that the thread has ended, however it did.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut public = self.0.public();
        public.knowledge = None;
        public.events = None;
        drop(public);
        let _ = self.0.cause.set(CaptureError::Ended);
        self.0.end();
        self.0.ended.cancel();
    }
}
