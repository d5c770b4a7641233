//! Where blocking work of the tree runs: a bounded number of operations at a time, in all and in each mount, so that a disk that
//! hangs stops its own mount only. What may take long (searches, archives, copies, trees that are removed) has turns of its own,
//! so that it never keeps a short read or write waiting.
//!
//! Nobody waits for ever for a disk that never answers: work whose thread neither ran nor was woken for a while is given up. Its
//! thread stays where it is, with its turn. A hash of a large file, or a listing of many entries, shows life all the time.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    task::JoinHandle,
    time::{Instant, timeout, timeout_at},
};

use super::{
    fault::{Fault, Kind, Result},
    table::{Mount, TURN_PATIENCE},
};
use crate::sys::thread::{self, Id};

/// Short operations at work at a time.
pub const WORKERS: usize = 64;
/// Long ones.
pub const LONG_WORKERS: usize = 32;

/// How long short work may show no life.
const SHORT_PATIENCE: Duration = Duration::from_secs(30);
/// How long other work may: it also waits for its client, for whom the routes have deadlines of a minute.
const LONG_PATIENCE: Duration = Duration::from_mins(2);

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

impl Length {
    fn patience(self) -> Duration {
        match self {
            Self::Short => SHORT_PATIENCE,
            Self::Long => LONG_PATIENCE,
        }
    }
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
    /// Runs work for a mount, when its turn has come; after 30 s without one: [`Kind::MountBusy`], and so when it shows no life
    /// for 30 s, or two minutes if it is long. Dropping the future tells the work so and leaves it to end by itself; it keeps its
    /// turn until then.
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
        let worker = Arc::new(OnceLock::new());
        let mine = Arc::clone(&worker);
        let task = tokio::task::spawn_blocking(move || {
            let _ = mine.set(Id::own());
            let result = work(&told);
            drop(turns);
            result
        });
        match ended(task, &worker, length.patience()).await {
            Some(result) => result,
            None => Err(busy().because(format!(
                "nothing came back from it for {} s; what was begun may still be done",
                length.patience().as_secs()
            ))),
        }
    }
}

/// The result of a task; none when its thread shows no life for so long, or when the runtime ends.
async fn ended<T>(mut task: JoinHandle<T>, worker: &OnceLock<Id>, patience: Duration) -> Option<T> {
    // Looked at twice within the patience: what is the same both times has stood still.
    let look = patience / 2;
    let mut seen = None;
    let mut until = Instant::now() + look;
    loop {
        match timeout_at(until, &mut task).await {
            Ok(Ok(result)) => return Some(result),
            Ok(Err(error)) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return None,
            },
            Err(_) => {
                let now = worker.get().map(|worker| thread::activity(*worker));
                // Where the kernel does not tell, everything counts as alive.
                if now.is_some_and(|now| now.is_some()) && now == seen {
                    return None;
                }
                seen = now;
                until += look;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(50);

    #[tokio::test]
    async fn a_thread_without_life_is_given_up() {
        let worker = Arc::new(OnceLock::new());
        let (let_go, held) = mpsc::sync_channel::<()>(1);
        let mine = Arc::clone(&worker);
        let task = tokio::task::spawn_blocking(move || {
            mine.set(Id::own()).expect("the first");
            held.recv()
        });
        assert_eq!(ended(task, &worker, PATIENCE).await, None);
        let_go.send(()).expect("it waits still");
    }

    #[tokio::test]
    async fn a_thread_that_works_is_waited_for() {
        let worker = Arc::new(OnceLock::new());
        let mine = Arc::clone(&worker);
        let task = tokio::task::spawn_blocking(move || {
            mine.set(Id::own()).expect("the first");
            let begun = std::time::Instant::now();
            let mut rounds = 0_u64;
            while begun.elapsed() < 6 * PATIENCE {
                rounds += 1;
            }
            rounds
        });
        assert!(ended(task, &worker, PATIENCE).await > Some(0));
    }
}
