//! The handle through which repositories are asked: bounded, with deadlines, and equal questions at the same time are one scan.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout, timeout_at},
};

use super::{
    Extent, GitError, Guard, Id, Order, Owners, Program, Scan, Snapshot, Wanted,
    history::{self, At, Log, Shown},
    locate,
    repository::OpenError,
    watch::Watchers,
};
use crate::{
    shutdown::Shutdown,
    sys::memory,
    telemetry::{Metrics, Raised},
};

/// Requests that are worked on at a time.
const REQUESTS: usize = 64;
/// Scans that go on for them at a time: each takes memory as its repository is large.
const SCANS: usize = 8;
/// And of one repository: a large one does not keep the others waiting.
const SCANS_OF_ONE: usize = 2;
/// From this time on a scan is a long one.
const LONG: Duration = Duration::from_millis(500);
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How much longer who asks waits for work that looks at its time.
const GRACE: Duration = Duration::from_secs(1);

/// What the operator decided.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Whose repositories are opened.
    pub owners: Owners,
    /// Largest file that is read, in bytes.
    pub max_file_bytes: u64,
    /// Repositories that are scanned at a time for those who watch.
    pub workers: usize,
    /// Directories that are watched.
    pub max_watches: usize,
    /// Between scans of everything, whatever else happens.
    pub poll: Duration,
    /// For formats that are not read here.
    pub program: Option<Program>,
}

/// Why there is no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AskError {
    /// There are too many requests.
    #[error("{REQUESTS} requests are being worked on")]
    Busy,
    /// The repository.
    #[error(transparent)]
    Git(Arc<GitError>),
}

impl From<GitError> for AskError {
    fn from(error: GitError) -> Self {
        Self::Git(Arc::new(error))
    }
}

impl From<OpenError> for AskError {
    fn from(error: OpenError) -> Self {
        GitError::from(error).into()
    }
}

/// Asks repositories. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Git(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Config,
    watchers: Watchers,
    metrics: Arc<Metrics>,
    requests: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    /// Turns of each repository that has some. Held for a glance.
    own_turns: Mutex<HashMap<PathBuf, Weak<Semaphore>>>,
    /// Scans that are under way. Held for a glance.
    shared: Mutex<HashMap<Key, Shared>>,
}

type Permit = (OwnedSemaphorePermit, Raised);
/// Given back when the scan ends, or when nobody waits for its end any more: a disk may never answer.
type Turn = Arc<Mutex<Option<[OwnedSemaphorePermit; 2]>>>;
type Key = (PathBuf, Order);
type Answer = Result<(Snapshot, SystemTime), Arc<GitError>>;

/// A scan that several may wait for. It ends early when nobody does.
#[derive(Debug)]
struct Shared {
    answer: watch::Receiver<Option<Answer>>,
    wanted: Weak<Wanted>,
    turn: Turn,
}

/// A part in a scan.
struct Part {
    answer: watch::Receiver<Option<Answer>>,
    turn: Turn,
    _held: (Arc<Wanted>, Option<Permit>),
}

impl Git {
    /// A handle with nothing under way.
    pub fn new(config: Config, shutdown: &Shutdown, metrics: Arc<Metrics>) -> Self {
        Self(Arc::new(Inner {
            watchers: Watchers::new(config.clone(), shutdown, Arc::clone(&metrics)),
            config,
            metrics,
            requests: Arc::new(Semaphore::new(REQUESTS)),
            turns: Arc::new(Semaphore::new(SCANS)),
            own_turns: Mutex::default(),
            shared: Mutex::default(),
        }))
    }

    /// What the operator decided.
    pub fn config(&self) -> &Config {
        &self.0.config
    }

    /// Those who watch.
    pub fn watchers(&self) -> &Watchers {
        &self.0.watchers
    }

    /// The right to a request. The work itself holds it: what never ends counts as long as it lasts.
    fn permit(&self) -> Result<Permit, AskError> {
        let requests = Arc::clone(&self.0.requests);
        let permit = requests.try_acquire_owned().map_err(|_| AskError::Busy)?;
        Ok((permit, Raised::new(&self.0.metrics.git_requests)))
    }

    /// The root of the work tree that a path of the machine is in.
    pub async fn root(&self, path: PathBuf) -> Result<PathBuf, AskError> {
        let asked = path.clone();
        let found = self.ask(None, move |_| Ok(find_root(&asked))).await?;
        found.map_err(AskError::from)
    }

    /// Scans a work tree. Dropping the future ends a scan that nobody else waits for.
    pub async fn snapshot(
        &self,
        root: PathBuf,
        order: Order,
    ) -> Result<(Snapshot, SystemTime), AskError> {
        let permit = self.permit()?;
        let until = Instant::now() + PATIENCE;
        let key = (root, order);
        let mut permit = Some(permit);
        let found = find(&mut self.shared(), &key, &mut permit);
        let mut part = if let Some(part) = found {
            part
        } else {
            let turn = timeout_at(until, self.turn(&key.0)).await;
            let turn = turn.map_err(|_| GitError::TimedOut)?;
            self.join(key, &mut permit, turn, until)
        };
        let done = timeout_at(until + GRACE, part.answer.wait_for(Option::is_some)).await;
        let Ok(done) = done else {
            drop(take(&part.turn));
            return Err(GitError::TimedOut.into());
        };
        let answer = done.ok().and_then(|answer| answer.clone());
        // The sender goes without an answer only when the scan panicked.
        answer
            .unwrap_or_else(|| Err(Arc::new(GitError::Cancelled)))
            .map_err(AskError::Git)
    }

    /// Waits for the right to scan a repository.
    async fn turn(&self, root: &Path) -> Option<[OwnedSemaphorePermit; 2]> {
        let own = {
            let turns = self.0.own_turns.lock();
            let mut turns = turns.unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turns| turns.strong_count() > 0);
            let known = turns.get(root).and_then(Weak::upgrade);
            known.unwrap_or_else(|| {
                let own = Arc::new(Semaphore::new(SCANS_OF_ONE));
                turns.insert(root.to_owned(), Arc::downgrade(&own));
                own
            })
        };
        let own = own.acquire_owned().await.ok()?;
        let all = Arc::clone(&self.0.turns).acquire_owned().await.ok()?;
        Some([own, all])
    }

    fn shared(&self) -> MutexGuard<'_, HashMap<Key, Shared>> {
        self.0.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes part in an equal scan, or begins one.
    fn join(
        &self,
        key: Key,
        permit: &mut Option<Permit>,
        turn: Option<[OwnedSemaphorePermit; 2]>,
        until: Instant,
    ) -> Part {
        let mut shared = self.shared();
        if let Some(part) = find(&mut shared, &key, permit) {
            return part;
        }
        let (guard, wanted) = Guard::new(until.saturating_duration_since(Instant::now()));
        let wanted = Arc::new(wanted);
        let turn: Turn = Arc::new(Mutex::new(turn));
        let (sender, answer) = watch::channel(None);
        let scan = Shared {
            answer: answer.clone(),
            wanted: Arc::downgrade(&wanted),
            turn: Arc::clone(&turn),
        };
        shared.insert(key.clone(), scan);
        let held = (permit.take(), Arc::clone(&turn));
        let config = self.0.config.clone();
        tokio::task::spawn_blocking(move || {
            let (root, order) = key;
            let begun = SystemTime::now();
            let scan = Scan::new(&root, &config.owners).with_program(config.program.as_ref());
            let scanned = { scan }.run(&Extent::Full, &order, &guard);
            let answer = scanned.map(|snapshot| (snapshot, begun)).map_err(Arc::new);
            give_back_memory(begun);
            take(&held.1);
            drop(held);
            sender.send_replace(Some(answer));
        });
        Part {
            answer,
            turn,
            _held: (wanted, None),
        }
    }

    /// Commits from a revision on.
    pub async fn log(
        &self,
        root: PathBuf,
        revision: String,
        skip: usize,
        limit: usize,
    ) -> Result<Log, AskError> {
        let permit = Some(self.permit()?);
        let owners = self.0.config.owners.clone();
        self.ask(permit, move |guard| {
            history::log(&root, &owners, &revision, (skip, limit), guard)
        })
        .await
    }

    /// A commit and what it changed.
    pub async fn show(
        &self,
        root: PathBuf,
        revision: String,
        order: Order,
    ) -> Result<Shown, AskError> {
        let permit = Some(self.permit()?);
        let owners = self.0.config.owners.clone();
        self.ask(permit, move |guard| {
            history::show(&root, &owners, &revision, &order, guard)
        })
        .await
    }

    /// What lies at a path of a commit.
    pub async fn at(&self, root: PathBuf, revision: String, path: Vec<u8>) -> Result<At, AskError> {
        let permit = Some(self.permit()?);
        let owners = self.0.config.owners.clone();
        self.ask(permit, move |guard| {
            history::at(&root, &owners, &revision, &path, guard)
        })
        .await
    }

    /// The commit and the tree that a revision means; none for HEAD before the first commit.
    pub async fn base(
        &self,
        root: PathBuf,
        revision: String,
    ) -> Result<Option<(Id, Id)>, AskError> {
        let owners = self.0.config.owners.clone();
        self.ask(None, move |guard| {
            history::base(&root, &owners, &revision, guard)
        })
        .await
    }

    /// Runs blocking work; dropping the future tells it to end.
    async fn ask<T: Send + 'static>(
        &self,
        permit: Option<Permit>,
        work: impl FnOnce(&Guard) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, AskError> {
        let (guard, _wanted) = Guard::new(PATIENCE);
        let work = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            work(&guard)
        });
        let done = timeout(PATIENCE + GRACE, work).await;
        match done.map_err(|_| GitError::TimedOut)? {
            Ok(result) => Ok(result?),
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(GitError::Cancelled.into()),
            },
        }
    }
}

/// Takes part in an equal scan that goes on, and counts for as long.
fn find(shared: &mut HashMap<Key, Shared>, key: &Key, permit: &mut Option<Permit>) -> Option<Part> {
    shared.retain(|_, scan| scan.wanted.strong_count() > 0 && scan.answer.has_changed().is_ok());
    let scan = shared
        .get(key)
        .filter(|scan| scan.answer.borrow().is_none())?;
    let wanted = scan.wanted.upgrade()?;
    Some(Part {
        answer: scan.answer.clone(),
        turn: Arc::clone(&scan.turn),
        _held: (wanted, permit.take()),
    })
}

fn take(turn: &Turn) -> Option<[OwnedSemaphorePermit; 2]> {
    turn.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// What a long scan took of memory goes back to the system: there are many threads, and each would keep some.
pub(super) fn give_back_memory(begun: SystemTime) {
    if begun.elapsed().is_ok_and(|took| took >= LONG) {
        memory::trim();
    }
}

fn find_root(path: &Path) -> Result<PathBuf, GitError> {
    match locate(path) {
        Ok(Some(root)) => Ok(root),
        Ok(None) => Err(OpenError::NotARepository { path: path.into() }.into()),
        Err(source) => Err(GitError::unreadable(path, "directory", source)),
    }
}
