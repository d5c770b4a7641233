//! The task that owns the scans of one repository.

use std::{
    cell::{Cell, RefCell},
    collections::HashSet,
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    LINGER, Outcome, Shared, Watchers,
    mailbox::Due,
    notices::{Notices, Place, Set, bytes, directories_of_refs},
};
use crate::{
    git::{Eyes, GitError, Guard, OpenError, Order, Scan, Snapshot, service::give_back_memory},
    telemetry::{Raised, Scanned},
};

/// A scan begins when nothing came for so long.
const QUIET: Duration = Duration::from_millis(50);
/// And at the latest so long after the first thing came.
const AT_MOST: Duration = Duration::from_millis(150);
/// Between the starts of two scans.
const APART: Duration = Duration::from_secs(1);
/// Everything is looked at so often when nothing is notified.
const BLIND_POLL: Duration = Duration::from_secs(5);
/// But not so often that more than a twentieth of the time is spent on it.
const POLL_SHARE: u32 = 20;
/// Notifications do not count for so long after some were lost.
const DISTRUST: Duration = Duration::from_mins(1);
/// How long a scan may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How much longer one that looks at its time may take to end.
const GRACE: Duration = Duration::from_secs(2);
/// Before the next try after a scan that took too long; doubled each time, up to 30 of them.
const BACK_OFF: Duration = Duration::from_mins(1);

/// The state of one repository's scans.
pub(super) struct Scanner {
    shared: Arc<Shared>,
    all: Watchers,
    /// Taken while it scans.
    scan: Option<Scan>,
    /// Number among the watched repositories.
    number: u64,
    /// When the last scan of everything began.
    polled: Instant,
    /// The scan that is due has no other cause than the time.
    by_the_clock: bool,
    /// How long after the start of the last scan the next one may begin.
    apart: Duration,
    started: Instant,
    ended: Instant,
    took: Duration,
    /// Scans in a row that took too long.
    timeouts: u32,
    /// Some directory is not watched.
    blind: bool,
    /// When notifications were lost.
    lost: Option<Instant>,
    /// The cure was logged.
    told: bool,
    /// A scan that did not end in time, and could not be ended: a disk that never answers.
    hung: Option<JoinHandle<Done>>,
    /// Since when nobody watches.
    alone: Option<Instant>,
}

/// What comes back from a scan.
type Done = (Scan, Result<Snapshot, GitError>, Option<Blind>);

/// Why a directory is not watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blind {
    /// No more watches can be set.
    Full,
    /// Its file system tells nothing of what other machines do.
    Remote,
    /// The git program reads it, and does not say what.
    Program,
}

impl Scanner {
    pub(super) fn new(shared: Arc<Shared>, all: Watchers) -> Self {
        let number = all.notices().enter(Arc::clone(&shared.mailbox));
        let long_ago = Instant::now()
            .checked_sub(APART)
            .unwrap_or_else(Instant::now);
        Self {
            scan: Some(all.scan(&shared.root)),
            shared,
            all,
            number,
            polled: Instant::now(),
            by_the_clock: false,
            apart: APART,
            started: long_ago,
            ended: long_ago,
            took: Duration::ZERO,
            timeouts: 0,
            blind: false,
            lost: None,
            told: false,
            hung: None,
            alone: None,
        }
    }

    /// Scans until nobody watches any more, the repository is gone, or the daemon stops.
    pub(super) async fn run(mut self) {
        let stop = self.all.0.shutdown.clone();
        loop {
            let due = tokio::select! {
                biased;
                () = stop.stopped() => None,
                due = self.due() => due,
            };
            let Some(due) = due else {
                break;
            };
            let goes_on = tokio::select! {
                biased;
                () = stop.stopped() => false,
                goes_on = self.perform(due) => goes_on,
            };
            if !goes_on {
                break;
            }
        }
        self.all.notices().leave(self.number);
        self.all.end(&self.shared, true);
    }

    /// Waits until a scan is due. None: nobody watches any more.
    async fn due(&mut self) -> Option<Due> {
        let mailbox = Arc::clone(&self.shared.mailbox);
        let mut first: Option<Instant> = None;
        let mut last = Instant::now();
        if !mailbox.is_empty() {
            // It came while the last scan was under way, or is the first of all.
            first = Some(last.checked_sub(AT_MOST).unwrap_or(last));
        }
        loop {
            let poll = self.polled + self.poll_after();
            let start = first.map(|first| (last + QUIET).min(first + AT_MOST).max(self.earliest()));
            let is_alone = self.shared.latest.is_closed();
            self.alone = self
                .alone
                .or_else(|| is_alone.then(Instant::now))
                .filter(|_| is_alone);
            let ends = self.alone.map(|since| since + LINGER);
            let next = [Some(poll), start, ends]
                .into_iter()
                .flatten()
                .min()
                .unwrap_or(poll);
            tokio::select! {
                biased;
                () = mailbox.filled() => {
                    last = Instant::now();
                    first = first.or(Some(last));
                    if mailbox.is_asked() {
                        first = Some(last.checked_sub(AT_MOST).unwrap_or(last));
                    }
                    continue;
                }
                () = self.shared.latest.closed(), if !is_alone => continue,
                () = sleep_until(next) => {}
            }
            let now = Instant::now();
            if start.is_some_and(|start| start <= now) {
                // Before it is taken: at no time does it look as if nothing was to come.
                self.shared.scanning.store(true, Ordering::Relaxed);
                return Some(mailbox.take());
            }
            if ends.is_some_and(|ends| ends <= now) && self.all.end(&self.shared, false) {
                return None;
            }
            if poll <= now {
                self.polled = now;
                self.by_the_clock = mailbox.is_empty();
                mailbox.everything();
            }
        }
    }

    /// When the next scan may begin.
    fn earliest(&self) -> Instant {
        let usual = (self.started + self.apart).max(self.ended + self.took);
        if self.timeouts == 0 || self.shared.mailbox.is_asked() {
            return usual;
        }
        let doubled = BACK_OFF * 2_u32.saturating_pow(self.timeouts - 1).min(30);
        usual.max(self.ended + doubled)
    }

    fn poll_after(&self) -> Duration {
        let poll = self.all.0.config.poll;
        if self.blind || self.lost.is_some() {
            let least = self.took * POLL_SHARE;
            BLIND_POLL.min(poll).max(least)
        } else {
            poll
        }
    }

    /// Scans. Whether there is anything left to scan.
    async fn perform(&mut self, due: Due) -> bool {
        let queued = Raised::new(&self.all.0.metrics.git_scan_queue);
        let Ok(_worker) = Arc::clone(&self.all.0.workers).acquire_owned().await else {
            return false;
        };
        drop(queued);
        self.started = Instant::now();
        // What changes behind a poll is told at once, as if there had been none.
        self.apart = if std::mem::take(&mut self.by_the_clock) {
            Duration::ZERO
        } else {
            APART
        };
        if due.lost {
            self.lost = Some(self.started);
        } else if self.lost.is_some_and(|lost| lost.elapsed() >= DISTRUST) {
            self.lost = None;
        }
        if due.is_full() {
            self.polled = self.started;
        }
        let at = SystemTime::now();
        if self.hung.take_if(|hung| hung.is_finished()).is_none() && self.hung.is_some() {
            self.ended = self.started;
            return self.finish(Err(GitError::TimedOut), at);
        }
        let (guard, _wanted) = Guard::new(PATIENCE);
        let full = due.is_full();
        let mut work = self.begin(due, guard);
        let done = tokio::time::timeout(PATIENCE + GRACE, &mut work).await;
        self.ended = Instant::now();
        self.took = self.ended - self.started;
        let Ok(done) = done else {
            // The worker goes on without it, which holds a thread for as long as it lasts.
            self.hung = Some(work);
            self.all.0.metrics.count_scan(Scanned::Timeout, self.took);
            return self.finish(Err(GitError::TimedOut), at);
        };
        let Ok((scan, result, blind)) = done else {
            // It panicked: the panic hook has told why.
            self.shared
                .publish(Outcome::Failed(GitError::Cancelled), at);
            return true;
        };
        self.scan = Some(scan);
        self.all.0.metrics.count_scan(scanned(&result), self.took);
        self.look_after(blind, full);
        self.finish(result, at)
    }

    /// Scans on a thread that may block, and has watched what it reads.
    fn begin(&mut self, due: Due, guard: Guard) -> JoinHandle<Done> {
        let mut scan = self
            .scan
            .take()
            .unwrap_or_else(|| self.all.scan(&self.shared.root));
        let order = Order {
            most_bytes: self.all.0.config.max_file_bytes,
            ..Order::default()
        };
        let (notices, number, root) = (
            self.all.notices().clone(),
            self.number,
            self.shared.root.clone(),
        );
        tokio::task::spawn_blocking(move || {
            if due.lost {
                // A watch would speak of where its directory was, had that moved.
                notices.clear(number);
            }
            let (full, begun) = (due.is_full(), SystemTime::now());
            let watching = Watching::new(&notices, number, &root);
            let result = scan.run_watched(&due.extent(), &order, &guard, &watching);
            if full && result.is_ok() {
                watching.give_back();
            }
            give_back_memory(begun);
            (scan, result, watching.blind.get())
        })
    }

    /// Tells what a scan came to. Whether there is anything left to scan.
    fn finish(&mut self, result: Result<Snapshot, GitError>, at: SystemTime) -> bool {
        let root = self.shared.root.display();
        self.timeouts = match &result {
            Err(GitError::TimedOut) => self.timeouts.saturating_add(1).min(6),
            _ => 0,
        };
        let outcome = match result {
            Ok(snapshot) => {
                tracing::debug!(%root, took = ?self.took, files = snapshot.files.len(), bytes = snapshot.diff.len(), "scanned a repository");
                Outcome::Scanned(Box::new(snapshot))
            }
            Err(GitError::Open(OpenError::NotARepository { .. })) => {
                tracing::info!(%root, "a watched repository is gone");
                // Who comes from now on begins a new scanner.
                self.all.end(&self.shared, true);
                self.shared.publish(Outcome::Removed, at);
                return false;
            }
            Err(GitError::Open(OpenError::Unsupported { format, .. })) => {
                tracing::debug!(%root, format, "a watched repository has a format that is not read");
                let snapshot = Snapshot::unsupported(&self.shared.root, &format);
                Outcome::Scanned(Box::new(snapshot))
            }
            Err(error) => {
                tracing::warn!(%root, %error, "cannot scan a repository");
                if let Some(scan) = &mut self.scan {
                    scan.forget();
                }
                Outcome::Failed(error)
            }
        };
        self.shared.publish(outcome, at);
        true
    }

    /// Without watches it is looked at more often.
    fn look_after(&mut self, blind: Option<Blind>, full: bool) {
        let root = self.shared.root.display();
        match blind.filter(|_| !self.told) {
            Some(Blind::Full) => {
                tracing::warn!(%root, "cannot watch all directories: the repository is looked at every 5 s; raise fs.inotify.max_user_watches or --git-max-watches");
            }
            Some(Blind::Remote) => {
                tracing::warn!(%root, "the file system tells nothing of what other machines do: the repository is looked at every 5 s; keep it on a local one");
            }
            Some(Blind::Program) => {
                tracing::info!(%root, "the git program reads the repository, for its format: it is looked at every 5 s");
            }
            None => {}
        }
        self.told |= blind.is_some();
        // Only who looked at all directories knows that all are watched.
        self.blind = blind.is_some() || (self.blind && !full);
        let notified = !self.blind && self.lost.is_none();
        self.shared.notified.store(notified, Ordering::Relaxed);
    }
}

/// Sets a watch for each directory that a scan is about to read.
struct Watching<'a> {
    notices: &'a Notices,
    number: u64,
    root: &'a Path,
    blind: Cell<Option<Blind>>,
    /// Directories of the work tree that were read.
    read: RefCell<HashSet<Vec<u8>>>,
}

impl<'a> Watching<'a> {
    fn new(notices: &'a Notices, number: u64, root: &'a Path) -> Self {
        Self {
            notices,
            number,
            root,
            blind: Cell::new(is_remote(root).then_some(Blind::Remote)),
            read: RefCell::default(),
        }
    }

    fn set(&self, path: &Path, place: Place) {
        if self.blind.get().is_none() && self.notices.watch(self.number, path, place) == Set::Full {
            self.blind.set(Some(Blind::Full));
        }
    }

    /// Directories that a scan of everything did not read are ignored by now, or gone.
    fn give_back(&self) {
        let read = self.read.borrow();
        self.notices.forget(
            self.number,
            |place| matches!(place, Place::Tree(path) if !read.contains(path)),
        );
    }
}

impl Eyes for Watching<'_> {
    fn directory(&self, path: &[u8]) {
        self.read.borrow_mut().insert(path.to_vec());
        let place = Place::Tree(path.to_vec());
        self.set(&self.root.join(OsStr::from_bytes(path)), place);
    }

    fn program(&self) {
        self.blind.set(self.blind.get().or(Some(Blind::Program)));
    }

    fn git(&self, submodule: Option<&[u8]>, git_dir: &Path, common_dir: &Path) {
        let inner = |path: &Path| submodule.map(|name| Place::Inner(name.to_vec(), bytes(path)));
        for path in [git_dir, common_dir, &common_dir.join("info")] {
            self.set(path, inner(path).unwrap_or_else(|| Place::Git(bytes(path))));
        }
        for path in directories_of_refs(common_dir) {
            let place = inner(&path).unwrap_or_else(|| Place::Refs(bytes(&path)));
            self.set(&path, place);
        }
    }
}

/// What a scan came to, as a label.
fn scanned(result: &Result<Snapshot, GitError>) -> Scanned {
    match result {
        Ok(_) => Scanned::Ok,
        Err(GitError::TimedOut) => Scanned::Timeout,
        Err(GitError::Open(OpenError::NotARepository { .. })) => Scanned::Removed,
        Err(GitError::Open(_)) => Scanned::Refused,
        Err(_) => Scanned::Failed,
    }
}

/// File systems on which others change things without a notification (statfs(2)).
fn is_remote(root: &Path) -> bool {
    const REMOTE: [i64; 7] = [
        0x6969,
        0x517b,
        0xff53_4d42,
        0xfe53_4d42,
        0x6573_5546,
        0x0102_1997,
        0x00c3_6400,
    ];
    rustix::fs::statfs(root).is_ok_and(|found| REMOTE.contains(&found.f_type))
}
