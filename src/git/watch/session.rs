//! What one connection is told: the state of its repositories first, then what differs from what it was told last.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use tokio::{
    sync::Notify,
    time::{Duration, Instant, timeout_at},
};

use super::{Latest, Outcome, Watch};
use crate::git::{Git, GitError};

/// Repositories of one connection.
const MOST: usize = 256;
/// How long the first message waits for scans.
const FIRST: Duration = Duration::from_millis(500);

/// What is new since the last time.
#[derive(Debug, Default)]
pub struct News {
    /// When the newest of the scans began; none when none has ended.
    pub at: Option<SystemTime>,
    /// Repositories that differ, or that are gone.
    pub entries: Vec<Arc<Latest>>,
    /// Roots of those that are gone and were told before.
    pub removed: Vec<PathBuf>,
    /// Roots of all that are gone: the session has them no more.
    pub gone: Vec<PathBuf>,
    /// Repositories that cannot be told now, each time.
    pub failed: Vec<(PathBuf, Arc<Latest>)>,
}

/// The repositories of one connection.
#[derive(Debug)]
pub struct Session {
    git: Git,
    bell: Arc<Notify>,
    repositories: BTreeMap<PathBuf, Told>,
    /// Grows: who was touched last.
    clock: u64,
}

#[derive(Debug)]
struct Told {
    watch: Watch,
    /// The number of the last scan that was looked at.
    seen: u64,
    /// The first one that counts.
    wanted: u64,
    sent: Option<[u8; 32]>,
    touched: u64,
}

impl Session {
    /// Without a repository.
    pub fn new(git: &Git) -> Self {
        Self {
            git: git.clone(),
            bell: Arc::new(Notify::new()),
            repositories: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Takes up the work tree with this root; one that it has counts as touched. Of more than 256 the one that was touched
    /// longest ago goes.
    pub fn add(&mut self, root: &Path) {
        self.clock += 1;
        let clock = self.clock;
        if let Some(told) = self.repositories.get_mut(root) {
            told.touched = clock;
            return;
        }
        if self.repositories.len() >= MOST {
            let oldest = self
                .repositories
                .iter()
                .min_by_key(|(_, told)| told.touched);
            if let Some(root) = oldest.map(|(root, _)| root.clone()) {
                self.repositories.remove(&root);
            }
        }
        let watch = self.git.watchers().watch(root, &self.bell);
        let last = watch.latest().map_or(0, |latest| latest.number);
        let is_current = watch.is_current();
        if !is_current && last > 0 {
            watch.refresh();
        }
        let told = Told {
            watch,
            seen: 0,
            wanted: if is_current { last } else { last + 1 },
            sent: None,
            touched: clock,
        };
        self.repositories.insert(root.to_owned(), told);
        self.bell.notify_one();
    }

    /// Has all repositories scanned anew.
    pub fn refresh(&self) {
        self.repositories
            .values()
            .for_each(|told| told.watch.refresh());
    }

    /// Something may have changed in them.
    pub fn touch(&self) {
        self.repositories
            .values()
            .for_each(|told| told.watch.touch());
    }

    /// Whether no further result is to come soon: nothing is noticed or scanned in any of them, or there is only one.
    pub fn is_at_rest(&self) -> bool {
        let mut all = self.repositories.values();
        self.repositories.len() == 1 || all.all(|told| told.watch.is_current())
    }

    /// Resolves when a scan has ended. Safe to drop.
    pub async fn changed(&self) {
        self.bell.notified().await;
    }

    /// Waits until all repositories were scanned, but not for long.
    pub async fn first(&self) {
        let until = Instant::now() + FIRST;
        let ready = |told: &Told| {
            told.watch
                .latest()
                .is_some_and(|latest| latest.number >= told.wanted)
        };
        while !self.repositories.values().all(ready) {
            if timeout_at(until, self.bell.notified()).await.is_err() {
                return;
            }
        }
    }

    /// Takes what is new.
    pub fn news(&mut self) -> News {
        let mut news = News::default();
        let mut gone = Vec::new();
        for (root, told) in &mut self.repositories {
            let Some(latest) = told
                .watch
                .latest()
                .filter(|latest| latest.number >= told.wanted)
            else {
                continue;
            };
            let is_new = latest.number > told.seen;
            told.seen = latest.number;
            if is_new {
                news.at = news.at.max(Some(latest.at));
            }
            match &latest.outcome {
                Outcome::Scanned(snapshot) => {
                    if told.sent != Some(snapshot.fingerprint) {
                        told.sent = Some(snapshot.fingerprint);
                        news.entries.push(latest);
                    }
                }
                Outcome::Failed(GitError::Cancelled) => {}
                Outcome::Failed(_) => news.failed.push((root.clone(), latest)),
                Outcome::Removed => gone.push((root.clone(), told.sent.is_some())),
            }
        }
        for (root, was_told) in gone {
            self.repositories.remove(&root);
            if was_told {
                news.removed.push(root.clone());
            }
            news.gone.push(root);
        }
        news
    }
}
