//! One scanner for each repository that somebody watches, shared by all who do.
//!
//! ```text
//!           trigger          quiet for 50 ms, at most 150 ms;
//!                            1 s since the last start, the last duration since its end
//!   Waiting ───────▶ Settling ───────▶ Scanning ──done──▶ Waiting
//!      │                                   │  └─ told to all who watch
//!      │ nobody watches for 60 s           │ the repository is gone: told once
//!      ▼                                   ▼
//!    Ended                               Ended
//! ```
//!
//! What comes while it scans waits in one slot. The task owns the state of the scan; a [`Watch`] is a handle, and the scanner
//! ends 60 s after the last of them was dropped.

mod mailbox;
mod notices;
mod scanner;
pub mod session;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, watch};

use self::{mailbox::Mailbox, notices::Notices, scanner::Scanner};
use super::{GitError, Scan, Snapshot, service::Config};
use crate::{
    shutdown::Shutdown,
    telemetry::{Metrics, Raised},
};

/// What the last scan of a repository came to.
#[derive(Debug)]
pub struct Latest {
    /// Grows with each scan.
    pub number: u64,
    /// When it began. Never earlier than the one before.
    pub at: SystemTime,
    /// What it found.
    pub outcome: Outcome,
    /// The message that the layer above made of it alone, once for all who watch.
    pub encoded: OnceLock<Bytes>,
}

/// What a scan found.
#[derive(Debug)]
pub enum Outcome {
    /// All is told.
    Scanned(Box<Snapshot>),
    /// It cannot be told now.
    Failed(GitError),
    /// There is no repository any more. The scanner has ended.
    Removed,
}

/// What is known of a watched repository without asking it.
#[derive(Debug)]
pub struct Overview {
    /// Its root.
    pub root: PathBuf,
    /// The last scan.
    pub latest: Option<Arc<Latest>>,
    /// Who watches.
    pub watchers: usize,
    /// Whether changes are notified; otherwise it is looked at every 5 s.
    pub notified: bool,
}

impl Overview {
    /// Of a repository that nobody watches.
    pub fn unwatched(root: PathBuf) -> Self {
        Self {
            root,
            latest: None,
            watchers: 0,
            notified: false,
        }
    }
}

/// The scanners. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watchers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    workers: Arc<Semaphore>,
    /// Made when somebody watches.
    notices: OnceLock<Notices>,
    /// Held for a glance; before the lock of a mailbox.
    scanners: Mutex<HashMap<PathBuf, Arc<Shared>>>,
}

/// What a scanner and those who watch share.
#[derive(Debug)]
struct Shared {
    root: PathBuf,
    mailbox: Arc<Mailbox>,
    latest: watch::Sender<Option<Arc<Latest>>>,
    /// Rung after each scan. Held for a glance.
    bells: Mutex<Vec<Weak<Notify>>>,
    notified: std::sync::atomic::AtomicBool,
    _counted: Raised,
    scanning: std::sync::atomic::AtomicBool,
}

/// A watched repository. Dropping it ends the watching.
#[derive(Debug)]
pub struct Watch {
    shared: Arc<Shared>,
    latest: watch::Receiver<Option<Arc<Latest>>>,
    bell: Arc<Notify>,
}

impl Watchers {
    /// Without a repository.
    pub fn new(config: Config, shutdown: &Shutdown, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner {
            workers: Arc::new(Semaphore::new(config.workers.max(1))),
            config,
            metrics,
            shutdown: shutdown.clone(),
            notices: OnceLock::new(),
            scanners: Mutex::default(),
        }))
    }

    /// A scan that has looked at nothing yet.
    fn scan(&self, root: &Path) -> Scan {
        let config = &self.0.config;
        Scan::new(root, &config.owners).with_program(config.program.as_ref())
    }

    fn notices(&self) -> &Notices {
        self.0.notices.get_or_init(|| {
            let metrics = Arc::clone(&self.0.metrics);
            Notices::start(self.0.config.max_watches, &self.0.shutdown, metrics)
        })
    }

    /// Watches the work tree with this root. The bell rings after each of its scans.
    pub fn watch(&self, root: &Path, bell: &Arc<Notify>) -> Watch {
        let mut scanners = self
            .0
            .scanners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let shared = scanners.entry(root.to_owned()).or_insert_with(|| {
            let shared = Arc::new(Shared {
                root: root.to_owned(),
                mailbox: Arc::new(Mailbox::default()),
                latest: watch::Sender::new(None),
                bells: Mutex::default(),
                notified: false.into(),
                _counted: Raised::new(&self.0.metrics.git_repositories),
                scanning: false.into(),
            });
            shared.mailbox.everything();
            let scanner = Scanner::new(Arc::clone(&shared), self.clone());
            self.0.shutdown.spawn_shared(scanner.run());
            shared
        });
        let mut bells = shared.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells.retain(|bell| bell.strong_count() > 0);
        bells.push(Arc::downgrade(bell));
        drop(bells);
        Watch {
            latest: shared.latest.subscribe(),
            shared: Arc::clone(shared),
            bell: Arc::clone(bell),
        }
    }

    /// All repositories that are watched, sorted by root.
    pub fn list(&self) -> Vec<Overview> {
        let scanners = self
            .0
            .scanners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let overview = |shared: &Arc<Shared>| Overview {
            root: shared.root.clone(),
            latest: shared.latest.borrow().clone(),
            watchers: shared.latest.receiver_count(),
            notified: shared.notified.load(std::sync::atomic::Ordering::Relaxed),
        };
        let mut all: Vec<_> = scanners.values().map(overview).collect();
        drop(scanners);
        all.sort_by(|left, right| left.root.cmp(&right.root));
        all
    }

    /// Ends a scanner unless somebody watches again. Whether it ends.
    fn end(&self, shared: &Arc<Shared>, anyway: bool) -> bool {
        let mut scanners = self
            .0
            .scanners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ends = anyway || shared.latest.is_closed();
        if ends
            && scanners
                .get(&shared.root)
                .is_some_and(|other| Arc::ptr_eq(other, shared))
        {
            scanners.remove(&shared.root);
        }
        ends
    }
}

impl Shared {
    fn publish(&self, outcome: Outcome, at: SystemTime) {
        let before = self.latest.borrow().clone();
        let number = before.as_ref().map_or(1, |latest| latest.number + 1);
        let at = before.map_or(at, |latest| latest.at.max(at));
        self.latest.send_replace(Some(Arc::new(Latest {
            number,
            at,
            outcome,
            encoded: OnceLock::new(),
        })));
        self.scanning
            .store(false, std::sync::atomic::Ordering::Relaxed);
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        bells
            .iter()
            .filter_map(Weak::upgrade)
            .for_each(|bell| bell.notify_one());
    }
}

impl Watch {
    /// The work tree's root.
    pub fn root(&self) -> &Path {
        &self.shared.root
    }

    /// The last scan; none before the first.
    pub fn latest(&self) -> Option<Arc<Latest>> {
        self.latest.borrow().clone()
    }

    /// Whether the last scan is as good as a new one: nothing has been noticed since.
    pub fn is_current(&self) -> bool {
        self.latest.borrow().is_some()
            && self.shared.mailbox.is_empty()
            && !self
                .shared
                .scanning
                .load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Has it scanned anew.
    pub fn refresh(&self) {
        self.shared.mailbox.ask();
    }

    /// Something may have changed in it: a write of a tool, the end of a process.
    pub fn touch(&self) {
        self.shared.mailbox.everything();
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut bells = self
            .shared
            .bells
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let ours = Arc::as_ptr(&self.bell);
        if let Some(at) = bells.iter().position(|bell| bell.as_ptr() == ours) {
            bells.swap_remove(at);
        }
    }
}

/// How long a scanner stays when nobody watches.
const LINGER: Duration = Duration::from_mins(1);
