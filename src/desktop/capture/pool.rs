//! The threads that encode: two of them, so that pictures never wait behind each other on the runtime.

use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::Duration,
};

use prometheus_client::metrics::histogram::Histogram;

use super::{
    CaptureError, Shared, Shot,
    store::{Flight, Store},
};
use crate::{
    desktop::{
        encode::{Encoder, Options},
        geometry::Point,
        picture::{Layout, Picture},
        pixels::View,
    },
    sys,
    telemetry::{Metrics, Stage, StageLabels},
};

const THREADS: usize = 2;

/// Pictures that may wait for a thread. Many of them may share one frame.
const QUEUE: usize = 64;

/// After so long without work a thread gives its buffers back.
const IDLE: Duration = Duration::from_secs(30);

/// One picture to encode.
pub(super) struct Job {
    pub(super) shot: Arc<Shot>,
    pub(super) layout: Layout,
    pub(super) options: Options,
    pub(super) cursor: Option<Point>,
    pub(super) etag: String,
    pub(super) flight: Flight,
}

/// Ends the threads when dropped; what still waits is given up.
pub(super) struct Pool {
    inner: Arc<Inner>,
}

struct Inner {
    /// Held to put and to take, never while encoding.
    queue: Mutex<Queue>,
    ready: Condvar,
    store: Arc<Store>,
    shared: Arc<Shared>,
    metrics: Arc<Metrics>,
    scale_seconds: Histogram,
    encode_seconds: Histogram,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    closed: bool,
}

impl Pool {
    pub(super) fn new(
        store: Arc<Store>,
        shared: Arc<Shared>,
        metrics: Arc<Metrics>,
    ) -> io::Result<Self> {
        let inner = Arc::new(Inner {
            queue: Mutex::default(),
            ready: Condvar::new(),
            store,
            shared,
            scale_seconds: histogram(&metrics, Stage::Scale),
            encode_seconds: histogram(&metrics, Stage::Encode),
            metrics,
        });
        let pool = Self { inner };
        for number in 0..THREADS {
            let inner = pool.inner.clone();
            sys::thread::spawn(&format!("encode-{number}"), move || inner.work())?;
        }
        Ok(pool)
    }

    /// Queues a job.
    ///
    /// # Errors
    /// [`CaptureError::Busy`] when the queue is full; the job is dropped.
    pub(super) fn push(&self, job: Job) -> Result<(), CaptureError> {
        let mut queue = self.inner.lock();
        if queue.jobs.len() >= QUEUE {
            return Err(CaptureError::Busy);
        }
        queue.jobs.push_back(job);
        self.inner.metrics.encode_queue.inc();
        drop(queue);
        self.inner.ready.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut queue = self.inner.lock();
        queue.closed = true;
        while queue.jobs.pop_front().is_some() {
            self.inner.metrics.encode_queue.dec();
        }
        drop(queue);
        self.inner.ready.notify_all();
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        let mut encoder = Encoder::default();
        while let Some(job) = self.next(&mut encoder) {
            self.metrics.encode_queue.dec();
            self.run(job, &mut encoder);
            if self.shared.starved.swap(false, Ordering::SeqCst) {
                self.shared.ring();
            }
        }
    }

    /// The next job; `None` when the pool was dropped.
    fn next(&self, encoder: &mut Encoder) -> Option<Job> {
        let mut queue = self.lock();
        let mut idle = false;
        loop {
            if queue.closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if idle {
                queue = self
                    .ready
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (lock, wait) = self
                .ready
                .wait_timeout(queue, IDLE)
                .unwrap_or_else(PoisonError::into_inner);
            queue = lock;
            if wait.timed_out() {
                *encoder = Encoder::default();
                idle = true;
            }
        }
    }

    /// Encodes, unless nobody waits any more. A panic of an encoder ends its own picture only.
    fn run(&self, job: Job, encoder: &mut Encoder) {
        if job.flight.is_closed() {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| self.encode(&job, encoder)));
        let Job { shot, flight, .. } = job;
        drop(shot);
        let outcome = outcome.unwrap_or_else(|_| {
            *encoder = Encoder::default();
            let source = Arc::new(io::Error::other("the encoder panicked"));
            Err(CaptureError::Encode { source })
        });
        if let Ok(picture) = &outcome {
            self.store.keep(picture.clone());
        }
        flight.send_replace(Some(outcome));
    }

    fn encode(&self, job: &Job, encoder: &mut Encoder) -> Result<Arc<Picture>, CaptureError> {
        let pixels = (*job.shot.pixels).as_ref();
        let screen = View::new(pixels, job.shot.size).ok_or_else(|| {
            CaptureError::Unsupported("it gave fewer pixels than its size".to_owned())
        })?;
        let encoded = encoder.encode(screen, job.layout, job.options)?;
        self.scale_seconds.observe(encoded.scaling.as_secs_f64());
        self.encode_seconds.observe(encoded.encoding.as_secs_f64());
        Ok(Arc::new(Picture {
            bytes: encoded.bytes,
            format: job.options.format,
            size: encoded.size,
            native: job.shot.size,
            cursor: job.cursor,
            etag: job.etag.clone(),
            reduced: encoded.reduced,
        }))
    }
}

pub(super) fn histogram(metrics: &Metrics, stage: Stage) -> Histogram {
    metrics
        .screenshot_seconds
        .get_or_create(&StageLabels { stage })
        .clone()
}
