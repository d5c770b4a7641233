//! Stop signal and task tracker: the only place that spawns tasks.
//!
//! ```text
//! Running --stop()--> Stopping --hurry()--> Hurried --all tasks ended--> done
//! ```
//!
//! `Running` and `Stopping` are told apart by the stop token, `Hurried` by a second token which means
//! "skip every grace". Tasks watch the token they were given; [`Shutdown::drain`] waits for all of them.

use std::{future::Future, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tracing::Instrument;

/// Cheap handle on the daemon's life. Every clone speaks of the same stop.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    stop: CancellationToken,
    hurry: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A daemon that runs, without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task that [`Shutdown::drain`] waits for; its log lines say what it was spawned for. Dropping the returned handle detaches the
    /// task from the caller, never from the tracker.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tasks.track_future(task.in_current_span()))
    }

    /// Like [`Shutdown::spawn`], for work that many share: its log lines do not name the one who happened to begin it.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn spawn_shared<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tasks.track_future(task))
    }

    /// Spawns a task that nobody waits for: it ends with the runtime. For the watcher of signals alone,
    /// which must outlive the drain.
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    pub fn spawn_detached<F>(task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tokio::spawn(task);
    }

    /// A guard that [`Shutdown::drain`] waits for, for work that a library spawns (upgraded sockets).
    pub fn guard(&self) -> TaskTrackerToken {
        self.tasks.token()
    }

    /// Asks everything to stop in order. Repeating it changes nothing.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Asks everything to stop without grace. Implies [`Shutdown::stop`].
    pub fn hurry(&self) {
        self.stop.cancel();
        self.hurry.cancel();
    }

    /// Whether a stop has been asked for.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Resolves when a stop has been asked for. Safe to drop and to call again.
    pub fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Resolves when grace periods are to be skipped. Safe to drop and to call again.
    pub fn hurried(&self) -> WaitForCancellationFuture<'_> {
        self.hurry.cancelled()
    }

    /// The stop token itself, for parts that keep a token beside others.
    pub fn token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Waits until every tracked task has ended, or the deadline passes; `true` when all ended.
    pub async fn drain(&self, deadline: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(deadline, self.tasks.wait())
            .await
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn drain_waits_for_tasks_and_gives_up_at_the_deadline() {
        let shutdown = Shutdown::new();
        let inner = shutdown.clone();
        shutdown.spawn(async move { inner.stopped().await });
        assert!(
            !shutdown.drain(Duration::from_millis(10)).await,
            "the task still waits"
        );
        shutdown.stop();
        assert!(shutdown.drain(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn hurry_implies_stop() {
        let shutdown = Shutdown::new();
        shutdown.hurry();
        shutdown.hurried().await;
        assert!(shutdown.is_stopping());
    }
}
