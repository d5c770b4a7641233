//! What requests of one tool call tell each other: the input, how far the run is, its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use super::key::Digest;

/// An answer as it is given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// HTTP status.
    pub status: u16,
    /// Content type, if there was one.
    pub content_type: Option<String>,
    /// The bytes.
    pub body: Bytes,
}

impl Recorded {
    pub(super) fn bytes(&self) -> usize {
        self.body.len() + self.content_type.as_ref().map_or(0, String::len)
    }
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered(Arc<Recorded>),
    /// Without one. What it did is not known.
    Died,
    /// It did not begin: its input broke off.
    Released,
}

/// Why a repeated request is not given the answer of the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepeatError {
    /// It is not the same request.
    #[error("the tool call is known with another input")]
    OtherInput,
    /// The run ended without an answer.
    #[error("the run of this tool call ended without an answer")]
    Died,
    /// The input of the first request broke off.
    #[error("the request that ran this tool call broke off before it began; nothing ran")]
    Released,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    body: Body,
    reached: bool,
    outcome: Option<Outcome>,
}

/// What is known of the first request's body.
#[derive(Clone, Copy, Debug, Default)]
enum Body {
    #[default]
    Coming,
    Whole(Digest),
    Broken,
    /// The call was answered without regard to it.
    Unread,
}

#[derive(Debug)]
pub(super) struct Slot {
    id: Uuid,
    head: Digest,
    began: Instant,
    progress: watch::Sender<Progress>,
}

impl Slot {
    pub(super) fn new(id: Uuid, head: Digest) -> Arc<Self> {
        Arc::new(Self {
            id,
            head,
            began: Instant::now(),
            progress: watch::Sender::default(),
        })
    }

    pub(super) fn age(&self) -> Duration {
        self.began.elapsed()
    }

    pub(super) fn broke(&self) -> bool {
        matches!(self.progress.borrow().body, Body::Broken)
    }

    pub(super) fn end(&self, outcome: Outcome) {
        self.progress.send_modify(|progress| {
            if matches!(progress.body, Body::Coming | Body::Broken) {
                progress.body = Body::Unread;
            }
            progress.outcome = Some(outcome);
        });
    }

    fn set_body(&self, body: Body) {
        self.progress.send_if_modified(|progress| {
            let first = matches!(progress.body, Body::Coming);
            if first {
                progress.body = body;
            }
            first
        });
    }

    async fn when(&self, so: impl FnMut(&Progress) -> bool) -> Progress {
        let mut progress = self.progress.subscribe();
        let found = progress.wait_for(so).await;
        found.expect("the sender is in the slot").clone()
    }
}

/// The digest of a whole body, as bytes that come one after the other.
#[derive(Clone, Debug, Default)]
pub struct BodyDigest(Sha256);

impl BodyDigest {
    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// That was all.
    pub fn end(self) -> Digest {
        self.0.finalize().into()
    }
}

/// The body of the first request, as it passes. Dropped before [`Intake::end`] it leaves open what the body was.
#[derive(Debug)]
pub struct Intake {
    slot: Arc<Slot>,
    digest: BodyDigest,
}

impl Intake {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self {
            slot,
            digest: BodyDigest::default(),
        }
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// That was all. Further calls change nothing.
    pub fn end(&mut self) {
        let digest = std::mem::take(&mut self.digest).end();
        self.slot.set_body(Body::Whole(digest));
    }

    /// The rest will not come.
    pub fn fail(&mut self) {
        self.slot.set_body(Body::Broken);
    }
}

/// What a handler may know of the call that it runs for.
#[derive(Clone, Debug)]
pub struct Ongoing(pub(super) Arc<Slot>);

impl Ongoing {
    /// Name of the call; what it makes may have the same.
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// Says that there is something now which a cancellation can stop.
    pub fn can_be_stopped(&self) {
        self.0
            .progress
            .send_modify(|progress| progress.reached = true);
    }
}

/// A call that has run, or runs. Waiting for it can be given up by dropping the future.
#[derive(Clone, Debug)]
pub struct Known(pub(super) Arc<Slot>);

impl Known {
    /// Name of the call.
    pub fn id(&self) -> Uuid {
        self.0.id
    }

    /// Time since it was first run.
    pub fn age(&self) -> Duration {
        self.0.age()
    }

    /// The recorded answer for a repeat with this head and this body (by [`BodyDigest`]). Waits until the body
    /// of the first is known, and for the end of the run.
    pub async fn answer(&self, head: Digest, body: Digest) -> Result<Arc<Recorded>, RepeatError> {
        if head != self.0.head {
            return Err(RepeatError::OtherInput);
        }
        let known = |progress: &Progress| !matches!(progress.body, Body::Coming);
        let first = self.0.when(known).await.body;
        if let Body::Whole(digest) = first
            && digest != body
        {
            return Err(RepeatError::OtherInput);
        }
        match self.outcome().await {
            Outcome::Answered(recorded) => Ok(recorded),
            Outcome::Died => Err(RepeatError::Died),
            Outcome::Released => Err(RepeatError::Released),
        }
    }

    /// How it ended; waits for that.
    pub async fn outcome(&self) -> Outcome {
        let ended = self.0.when(|progress| progress.outcome.is_some()).await;
        ended.outcome.expect("it was waited for")
    }

    /// Waits until there is something to stop, or the end: whether there was something.
    pub async fn reached(&self) -> bool {
        let either = |progress: &Progress| progress.reached || progress.outcome.is_some();
        self.0.when(either).await.reached
    }
}
