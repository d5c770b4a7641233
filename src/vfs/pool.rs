//! Where blocking work of the tree runs: a bounded number of operations at a time, in all and in each mount, so that a disk that
//! hangs stops its own mount only. What may take long (searches, archives, copies, trees that are removed) has turns of its own,
//! so that it never keeps a short read or write waiting.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::{sync::Semaphore, time::timeout};

use super::{
    fault::{Fault, Kind, Result},
    table::{Mount, TURN_PATIENCE},
};

/// Short operations at work at a time.
pub const WORKERS: usize = 64;
/// Long ones.
pub const LONG_WORKERS: usize = 32;

/// Runs blocking operations. Clones share the bound.
#[derive(Clone, Debug)]
pub struct Pool {
    short: Arc<Semaphore>,
    long: Arc<Semaphore>,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            short: Arc::new(Semaphore::new(WORKERS)),
            long: Arc::new(Semaphore::new(LONG_WORKERS)),
        }
    }
}

/// How long an operation may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// A step, a piece of a file, a page of a listing.
    #[default]
    Short,
    /// As long as a tree is large or a client slow.
    Long,
}

/// Tells work that nobody waits for its result any more. It looks between its pieces, and ends with any failure.
#[derive(Clone, Debug, Default)]
pub struct Wanted(Arc<AtomicBool>);

impl Wanted {
    /// Fails when the caller has gone.
    pub fn check(&self) -> Result<()> {
        if self.0.load(Ordering::Relaxed) {
            return Err(Fault::new(Kind::Busy, "go on with", b"").because("the caller has gone"));
        }
        Ok(())
    }

    /// Says that nobody waits any more.
    pub fn give_up(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

struct GiveUpOnDrop(Wanted);

impl Drop for GiveUpOnDrop {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

impl Pool {
    /// Runs work for a mount, when its turn has come; after 30 s without one: [`Kind::MountBusy`]. Dropping the future tells
    /// the work so and leaves it to end by itself; it keeps its turn until then.
    pub async fn run<T, F>(&self, mount: &Mount, length: Length, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Wanted) -> Result<T> + Send + 'static,
    {
        let all = match length {
            Length::Short => Arc::clone(&self.short),
            Length::Long => Arc::clone(&self.long),
        };
        let turns = async {
            let own = mount.turns(length).acquire_owned().await;
            let all = all.acquire_owned().await;
            (own.expect("never closed"), all.expect("never closed"))
        };
        let busy = || Fault::new(Kind::MountBusy, "wait for", mount.at().to_bytes());
        let turns = timeout(TURN_PATIENCE, turns).await.map_err(|_| busy())?;
        let wanted = GiveUpOnDrop(Wanted::default());
        let told = wanted.0.clone();
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&told);
            drop(turns);
            result
        });
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(busy()),
            },
        }
    }
}
