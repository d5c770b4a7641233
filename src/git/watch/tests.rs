//! When scanners scan, and when they end: the clock is a paused one, the files and their notifications are real.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::{sync::Notify, time::Instant};

use super::{LINGER, Outcome, Watch, Watchers};
use crate::{
    git::{Owners, service::Config, tests::repo::Repo},
    shutdown::Shutdown,
    telemetry::Metrics,
};

/// Scanners, and what they count.
struct Case {
    watchers: Watchers,
    metrics: Arc<Metrics>,
    bell: Arc<Notify>,
    shutdown: Shutdown,
}

impl Drop for Case {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

impl Case {
    fn new(max_watches: usize) -> Self {
        let (metrics, shutdown) = (Arc::new(Metrics::new()), Shutdown::new());
        let config = Config {
            owners: Owners::new([rustix::process::geteuid().as_raw()]),
            max_file_bytes: 1 << 20,
            workers: 2,
            max_watches,
            poll: Duration::from_secs(30),
            program: None,
        };
        Self {
            watchers: Watchers::new(config, &shutdown, Arc::clone(&metrics)),
            metrics,
            bell: Arc::new(Notify::new()),
            shutdown,
        }
    }

    fn watch(&self, repo: &Repo) -> Watch {
        self.watchers.watch(&repo.path(), &self.bell)
    }

    /// Waits for the next scan. When it ended, and what it came to.
    async fn next(&self, watch: &Watch, after: u64) -> (Instant, u64) {
        loop {
            self.bell.notified().await;
            let number = watch.latest().expect("it has scanned").number;
            if number > after {
                return (Instant::now(), number);
            }
        }
    }
}

fn diff(watch: &Watch) -> String {
    let latest = watch.latest().expect("it has scanned");
    match &latest.outcome {
        Outcome::Scanned(snapshot) => String::from_utf8_lossy(&snapshot.diff).into_owned(),
        other => panic!("{other:?}"),
    }
}

/// The watches that the kernel counts for this process, of directories below one.
fn in_kernel(below: &std::path::Path) -> usize {
    use std::os::unix::fs::MetadataExt;
    let mut inodes = std::collections::BTreeSet::new();
    let mut due = vec![PathBuf::from(below)];
    while let Some(directory) = due.pop() {
        inodes.insert(format!(
            "ino:{:x} ",
            directory.metadata().expect("there").ino()
        ));
        let below = std::fs::read_dir(&directory).expect("read").flatten();
        due.extend(
            below
                .filter(|entry| entry.path().is_dir())
                .map(|entry| entry.path()),
        );
    }
    let all = std::fs::read_dir("/proc/self/fdinfo")
        .expect("read")
        .flatten();
    let texts = all.filter_map(|entry| std::fs::read_to_string(entry.path()).ok());
    let text: String = texts.collect();
    let is_ours = |line: &&str| {
        line.starts_with("inotify ") && inodes.iter().any(|inode| line.contains(inode))
    };
    text.lines().filter(is_ours).count()
}

#[tokio::test(start_paused = true)]
async fn one_scan_is_enough_to_begin_and_the_next_is_the_poll() {
    let repo = Repo::with(&[("a", "a\n"), ("deep/er/b", "b\n")]);
    let case = Case::new(1000);
    let watch = case.watch(&repo);
    let (first, number) = case.next(&watch, 0).await;
    assert_eq!(number, 1);
    for round in 2..5 {
        let (now, number) = case.next(&watch, round - 1).await;
        assert_eq!(number, round);
        let due = Duration::from_secs(30) * u32::try_from(round - 1).expect("few");
        let waited = now - first;
        assert!(
            waited + Duration::from_millis(900) > due && waited < due + Duration::from_secs(1),
            "{waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_have_left_watches_are_given_back() {
    let repo = Repo::with(&[("a", "a\n"), ("deep/er/b", "b\n")]);
    let case = Case::new(1000);
    let watch = case.watch(&repo);
    case.next(&watch, 0).await;
    // The root and two directories; the git directory, `info`, `refs` and what is below it.
    let count = case.metrics.git_watches.get();
    assert!(count >= 7, "{count}");
    assert_eq!(
        in_kernel(&repo.path()),
        usize::try_from(count).expect("few")
    );
    let again = case.watch(&repo);
    drop(watch);
    tokio::time::sleep(LINGER * 2).await;
    assert_eq!(
        case.metrics.git_watches.get(),
        count,
        "somebody watches still"
    );
    drop(again);
    let left = Instant::now();
    tokio::time::sleep(LINGER / 2).await;
    assert_eq!(
        case.metrics.git_repositories.get(),
        1,
        "who comes back finds the scanner"
    );
    while case.metrics.git_repositories.get() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(
        left.elapsed() < LINGER + Duration::from_secs(2),
        "{:?}",
        left.elapsed()
    );
    assert_eq!(case.metrics.git_watches.get(), 0);
    assert_eq!(in_kernel(&repo.path()), 0);
    assert!(case.watchers.list().is_empty());
}

#[tokio::test(start_paused = true)]
async fn without_watches_it_looks_every_five_seconds() {
    let repo = Repo::with(&[("a", "a\n"), ("deep/er/b", "b\n")]);
    let case = Case::new(2);
    let watch = case.watch(&repo);
    let (first, _) = case.next(&watch, 0).await;
    assert!(!case.watchers.list()[0].notified);
    assert_eq!(case.metrics.git_watches.get(), 2);
    repo.write("deep/er/b", "changed\n");
    let (now, _) = case.next(&watch, 1).await;
    let waited = now - first;
    assert!(
        waited > Duration::from_secs(4) && waited < Duration::from_secs(6),
        "{waited:?}"
    );
    assert!(diff(&watch).contains("+changed"));
}

#[tokio::test(start_paused = true)]
async fn lost_notifications_set_the_watches_anew() {
    let repo = Repo::with(&[("a", "a\n"), ("deep/er/b", "b\n")]);
    let case = Case::new(1000);
    let watch = case.watch(&repo);
    case.next(&watch, 0).await;
    let watched = case.metrics.git_watches.get();
    watch.shared.mailbox.lost();
    let (first, _) = case.next(&watch, 1).await;
    assert_eq!(case.metrics.git_watches.get(), watched);
    assert!(!case.watchers.list()[0].notified);
    let (second, mut number) = case.next(&watch, 2).await;
    assert!(
        second - first < Duration::from_secs(6),
        "{:?}",
        second - first
    );
    // After a minute without a loss notifications count again.
    let mut last = second;
    let mut longest = Duration::ZERO;
    while longest < Duration::from_secs(20) {
        let (now, next) = case.next(&watch, number).await;
        longest = now - last;
        (last, number) = (now, next);
        assert!(now - first < Duration::from_mins(2), "still every 5 s");
    }
    assert!(last - first > Duration::from_mins(1));
    assert!(case.watchers.list()[0].notified);
    assert_eq!(case.metrics.git_watches.get(), watched);
}

#[tokio::test(start_paused = true)]
async fn directories_that_are_ignored_later_give_back_their_watches() {
    let repo = Repo::with(&[("a", "a\n")]);
    repo.write("out/deep/x", "x\n");
    let case = Case::new(1000);
    let watch = case.watch(&repo);
    case.next(&watch, 0).await;
    let count = case.metrics.git_watches.get();
    repo.write(".gitignore", "out\n");
    // The change, and the poll.
    case.next(&watch, 2).await;
    assert_eq!(case.metrics.git_watches.get(), count - 2);
    assert_eq!(
        in_kernel(&repo.path()),
        usize::try_from(count - 2).expect("few")
    );
}

#[tokio::test(start_paused = true)]
async fn a_change_behind_a_poll_is_told_as_soon_as_any_other() {
    let repo = Repo::with(&[("a", "a\n")]);
    let case = Case::new(1000);
    let watch = case.watch(&repo);
    case.next(&watch, 0).await;
    let (polled, number) = case.next(&watch, 1).await;
    watch.touch();
    let (told, number) = case.next(&watch, number).await;
    assert!(
        told - polled < Duration::from_millis(500),
        "{:?}",
        told - polled
    );
    watch.touch();
    let (next, _) = case.next(&watch, number).await;
    assert!(next - told > Duration::from_millis(800), "a second apart");
}

#[tokio::test(start_paused = true)]
async fn triggers_are_gathered_and_scans_start_a_second_apart() {
    let repo = Repo::with(&[("a", "a\n")]);
    let case = Case::new(1000);
    let watch = case.watch(&repo);
    let (mut last, mut number) = case.next(&watch, 0).await;
    for _ in 0..10 {
        for _ in 0..100 {
            watch.touch();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let (now, next) = case.next(&watch, number).await;
        assert!(
            next <= number + 3,
            "{} scans in {:?}",
            next - number,
            now - last
        );
        (last, number) = (now, next);
    }
    // Nothing is dropped: what came last is looked at.
    let began = SystemTime::now();
    watch.refresh();
    case.next(&watch, number).await;
    assert!(watch.latest().expect("scanned").at >= began);
    assert!(watch.is_current() || !watch.shared.mailbox.is_empty());
}
