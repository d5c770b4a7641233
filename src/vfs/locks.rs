//! Locks of files, by which the clients of the API never lose each other's changes. A file is locked under the directory that
//! holds it and its name there: replacing it makes another object, the name stays.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Mutex as AsyncMutex, OwnedMutexGuard},
    time::{Instant, timeout_at},
};

use super::{entry::Identity, path::Name};

/// How long a lock is waited for.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What is locked.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The directory.
    pub directory: Identity,
    /// The name in it.
    pub name: Name,
}

/// The locks that somebody holds or waits for. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Locks {
    /// Held for the moment of a look or a change of the map, never across an await.
    held: Arc<Mutex<HashMap<Key, Arc<AsyncMutex<()>>>>>,
}

/// Another operation holds the file, and went on holding it for 10 s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the file is locked by another request")]
pub struct Locked(pub Key);

/// Locks that are held. Dropping it gives them back.
#[derive(Debug)]
pub struct Guard {
    locks: Locks,
    keys: Vec<(Key, Option<OwnedMutexGuard<()>>)>,
}

impl Locks {
    /// Takes locks, each once, in one order for all, so that nobody waits for each other in a ring. Dropping the future gives back
    /// what was taken.
    pub async fn take(&self, mut keys: Vec<Key>) -> Result<Guard, Locked> {
        keys.sort();
        keys.dedup();
        let deadline = Instant::now() + PATIENCE;
        let mut guard = Guard {
            locks: self.clone(),
            keys: Vec::with_capacity(keys.len()),
        };
        for key in keys {
            let lock = Arc::clone(self.map().entry(key.clone()).or_default());
            guard.keys.push((key.clone(), None));
            let taken = timeout_at(deadline, lock.lock_owned())
                .await
                .map_err(|_| Locked(key))?;
            guard.keys.last_mut().expect("it was just put there").1 = Some(taken);
        }
        Ok(guard)
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Key, Arc<AsyncMutex<()>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Locks that somebody holds or waits for.
    pub fn count(&self) -> usize {
        self.map().len()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let mut map = self.locks.map();
        for (key, taken) in self.keys.drain(..) {
            drop(taken);
            // Whoever waits holds a clone of its own; the map is the last but for those.
            if map
                .get(&key)
                .is_some_and(|lock| Arc::strong_count(lock) == 1)
            {
                map.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(inode: u64) -> Key {
        Key {
            directory: Identity { device: 1, inode },
            name: Name::new(b"f").expect("a name"),
        }
    }

    #[tokio::test]
    async fn one_at_a_time_and_nothing_stays() {
        let locks = Locks::default();
        let first = locks
            .take(vec![key(2), key(1), key(2)])
            .await
            .expect("free");
        let second = locks.take(vec![key(1)]);
        let mut second = Box::pin(second);
        assert!(futures_util::poll!(second.as_mut()).is_pending());
        drop(first);
        drop(second.await.expect("free again"));
        assert_eq!(locks.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_too_long_is_told_for_what_and_leaves_nothing() {
        let locks = Locks::default();
        let first = locks.take(vec![key(2)]).await.expect("free");
        assert_eq!(
            locks.take(vec![key(1), key(2)]).await.map(drop),
            Err(Locked(key(2)))
        );
        drop(first);
        assert_eq!(locks.count(), 0);
        locks.take(vec![key(1)]).await.expect("free");
    }

    #[tokio::test]
    async fn a_caller_that_leaves_gives_back_what_it_has() {
        let locks = Locks::default();
        let first = locks.take(vec![key(2)]).await.expect("free");
        {
            let mut second = Box::pin(locks.take(vec![key(1), key(2)]));
            assert!(futures_util::poll!(second.as_mut()).is_pending());
        }
        locks.take(vec![key(1)]).await.expect("given back");
        drop(first);
        assert_eq!(locks.count(), 0);
    }
}
