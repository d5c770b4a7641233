//! Errands: short work on an X connection of its own, in a thread of its own, a few at a time.
//!
//! A connection for each errand costs a fraction of a millisecond, and nothing needs to be repaired when one breaks: the
//! next errand has another.

use std::{io, sync::Arc};

use tokio::sync::Semaphore;

use super::readiness::apart;

/// Errands that may wait or be under way; more are turned away.
const PLACES: usize = 256;
/// Errands that are under way at once.
const HANDS: usize = 4;

/// Why an errand was not run.
#[derive(Debug)]
pub enum Turned {
    /// 256 wait or are under way.
    Away,
    /// No thread, or it panicked.
    Failed(io::Error),
}

/// Who runs them. Clones share the bounds.
#[derive(Clone, Debug)]
pub struct Errands {
    name: &'static str,
    places: Arc<Semaphore>,
    hands: Arc<Semaphore>,
}

impl Errands {
    /// Threads get this name.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            places: Arc::new(Semaphore::new(PLACES)),
            hands: Arc::new(Semaphore::new(HANDS)),
        }
    }

    /// Runs work that bounds its own time. Dropping the future before it began calls it off; work that began goes on to
    /// its end.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Turned> {
        let _place = self.places.try_acquire().map_err(|_| Turned::Away)?;
        let hand = Arc::clone(&self.hands).acquire_owned().await;
        let hand = hand.expect("it is never closed");
        let work = move || {
            let done = work();
            drop(hand);
            done
        };
        apart(self.name, work).await.map_err(Turned::Failed)
    }
}
