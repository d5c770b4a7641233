//! Contents of files while they are read: each once, and all of them within a bound.

use std::{
    collections::HashMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use crate::git::Id;

/// How long a reader waits until others have finished.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is held of contents. A content goes with its last reader.
#[derive(Debug)]
pub(super) struct Contents {
    limit: u64,
    /// Never held while an object is read.
    held: Mutex<Held>,
    given_back: Condvar,
}

#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    contents: HashMap<Id, Weak<Content>>,
}

/// The bytes of one blob.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) bytes: Arc<[u8]>,
    _room: Room,
}

/// Bytes that are reserved in the bound.
#[derive(Debug)]
struct Room {
    contents: Arc<Contents>,
    id: Id,
    bytes: u64,
}

/// Why there is no content.
#[derive(Debug)]
pub(super) enum Missed<E> {
    /// Others hold so much that there is no room.
    Full,
    /// It could not be read.
    Failed(E),
}

impl Contents {
    /// At most so many bytes, but always one content.
    pub(super) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self {
            limit,
            held: Mutex::default(),
            given_back: Condvar::new(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The content of a blob of this size; read, unless somebody holds it already. Waits until there is room for it.
    pub(super) fn get<E>(
        self: &Arc<Self>,
        id: Id,
        size: u64,
        read: impl FnOnce() -> Result<Arc<[u8]>, E>,
    ) -> Result<Arc<Content>, Missed<E>> {
        let full = |held: &mut Held| {
            held.bytes > 0 && held.bytes + size > self.limit && held.find(id).is_none()
        };
        let waited = self
            .given_back
            .wait_timeout_while(self.held(), PATIENCE, full);
        let (mut held, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = held.find(id) {
            return Ok(content);
        }
        if timeout.timed_out() {
            return Err(Missed::Full);
        }
        held.bytes += size;
        let room = Room {
            contents: self.clone(),
            id,
            bytes: size,
        };
        drop(held);
        let content = Arc::new(Content {
            bytes: read().map_err(Missed::Failed)?,
            _room: room,
        });
        self.held().contents.insert(id, Arc::downgrade(&content));
        Ok(content)
    }
}

impl Held {
    fn find(&self, id: Id) -> Option<Arc<Content>> {
        self.contents.get(&id).and_then(Weak::upgrade)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut held = self.contents.held();
        held.bytes -= self.bytes;
        // Two who read it at the same time have a content each; the one that was noted may still be held.
        if held
            .contents
            .get(&self.id)
            .is_some_and(|content| content.strong_count() == 0)
        {
            held.contents.remove(&self.id);
        }
        drop(held);
        self.contents.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> Id {
        Id::from_bytes(&[number; 20])
    }

    fn zeros(size: usize) -> impl FnOnce() -> Result<Arc<[u8]>, ()> {
        move || Ok(vec![0; size].into())
    }

    #[test]
    fn a_content_is_read_once_and_goes_with_its_last_reader() {
        let contents = Contents::new(10);
        let one = contents.get(id(1), 6, zeros(6)).expect("read");
        let same = contents.get(id(1), 6, || Err(())).expect("held");
        assert!(Arc::ptr_eq(&one, &same));
        assert!(matches!(
            contents.get(id(2), 1, || Err(())),
            Err(Missed::Failed(()))
        ));
        assert_eq!(contents.held().bytes, 6, "what failed holds nothing");
        drop((one, same));
        let held = contents.held();
        assert_eq!((held.bytes, held.contents.len()), (0, 0));
    }

    #[test]
    fn who_finds_no_room_waits_for_it() {
        let contents = Contents::new(10);
        let large = contents
            .get(id(1), 20, zeros(20))
            .expect("one is always taken");
        let (begun, wait) = std::sync::mpsc::sync_channel(1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                begun.send(()).expect("awaited");
                contents
                    .get(id(2), 5, zeros(5))
                    .map(|content| content.bytes.len())
            });
            wait.recv().expect("sent");
            drop(large);
            assert!(matches!(waiting.join().expect("no panic"), Ok(5)));
        });
    }
}
