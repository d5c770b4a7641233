//! Pictures in the making and the last ones made, by entity tag: the same picture is encoded once.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use tokio::sync::watch;

use super::CaptureError;
use crate::desktop::picture::Picture;

/// Finished pictures that are kept.
const PICTURES: usize = 4;

/// Bytes of finished pictures that are kept.
const BYTES: usize = 8 * 1024 * 1024;

/// What an encoder gave; `None` while it works.
pub(super) type Outcome = Option<Result<Arc<Picture>, CaptureError>>;

/// The encoder's end: dropped without a value when nobody waits any more.
pub(super) type Flight = Arc<watch::Sender<Outcome>>;

/// A picture that need not be made.
#[derive(Debug)]
pub(super) enum Found {
    /// It is being encoded.
    Pending(watch::Receiver<Outcome>),
    /// It is there.
    Ready(Arc<Picture>),
}

/// Shared by the capture thread, which looks, and the encoders, which put. The lock is held for moments.
#[derive(Debug, Default)]
pub(super) struct Store {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    flights: Vec<(String, Weak<watch::Sender<Outcome>>)>,
    pictures: VecDeque<Arc<Picture>>,
}

impl Store {
    /// The picture with this tag, made or in the making.
    pub(super) fn find(&self, etag: &str) -> Option<Found> {
        let inner = self.lock();
        let flying = inner
            .flights
            .iter()
            .filter(|(tag, _)| tag == etag)
            .find_map(|(_, flight)| flight.upgrade());
        if let Some(flight) = flying {
            return Some(Found::Pending(flight.subscribe()));
        }
        let made = inner.pictures.iter().find(|picture| picture.etag == etag)?;
        Some(Found::Ready(made.clone()))
    }

    /// Registers a picture that is about to be made.
    pub(super) fn begin(&self, etag: String) -> (Flight, watch::Receiver<Outcome>) {
        let (flight, outcome) = watch::channel(None);
        let flight = Arc::new(flight);
        let mut inner = self.lock();
        inner
            .flights
            .retain(|(_, flight)| flight.strong_count() > 0);
        inner.flights.push((etag, Arc::downgrade(&flight)));
        (flight, outcome)
    }

    /// Keeps a finished picture, and forgets the oldest ones.
    pub(super) fn keep(&self, picture: Arc<Picture>) {
        let mut inner = self.lock();
        inner.pictures.push_front(picture);
        let mut bytes = 0;
        let kept = inner.pictures.iter().take(PICTURES).take_while(|picture| {
            bytes += picture.bytes.len();
            bytes <= BYTES
        });
        let kept = kept.count();
        inner.pictures.truncate(kept);
    }

    /// Forgets every finished picture.
    pub(super) fn clear(&self) {
        self.lock().pictures = VecDeque::new();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::desktop::{geometry::Size, picture::Format};

    fn picture(etag: &str, length: usize) -> Arc<Picture> {
        let size = Size {
            width: 1,
            height: 1,
        };
        Arc::new(Picture {
            bytes: Bytes::from(vec![0; length]),
            format: Format::Png,
            size,
            native: size,
            cursor: None,
            etag: etag.to_owned(),
            reduced: None,
        })
    }

    #[test]
    fn a_picture_in_the_making_is_joined_and_then_found() {
        let store = Store::default();
        assert!(store.find("a").is_none());
        let (flight, _first) = store.begin("a".to_owned());
        let Some(Found::Pending(second)) = store.find("a") else {
            panic!("it is in the making");
        };
        store.keep(picture("a", 1));
        flight.send_replace(Some(Ok(picture("a", 1))));
        drop(flight);
        assert!(second.borrow().is_some());
        assert!(matches!(store.find("a"), Some(Found::Ready(_))));
        store.clear();
        assert!(store.find("a").is_none());
    }

    #[test]
    fn only_a_few_and_only_so_many_bytes_are_kept() {
        let store = Store::default();
        for etag in ["a", "b", "c", "d", "e"] {
            store.keep(picture(etag, 10));
        }
        assert!(store.find("a").is_none());
        assert!(store.find("b").is_some());
        store.keep(picture("f", BYTES));
        assert!(store.find("f").is_some() && store.find("e").is_none());
        store.keep(picture("g", BYTES + 1));
        assert!(store.find("g").is_none());
    }
}
