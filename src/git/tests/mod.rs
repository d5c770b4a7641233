//! Scans beside what the git program says of the same repository, byte for byte.

mod cases;
mod kept;
mod odd;
mod outside;
mod random;
pub(super) mod repo;
mod stored;

use std::time::Duration;

use self::repo::Repo;
use super::{Extent, Guard, Order, Owners, Scan, Snapshot, Status};

fn owners() -> Owners {
    Owners::new([rustix::process::geteuid().as_raw()])
}

fn guard() -> Guard {
    let (guard, wanted) = Guard::new(Duration::from_mins(1));
    Box::leak(Box::new(wanted));
    guard
}

fn scan(repo: &Repo) -> Scan {
    Scan::new(&repo.path(), &owners())
}

fn snapshot(repo: &Repo) -> Snapshot {
    let scanned = scan(repo).run(&Extent::Full, &Order::default(), &guard());
    scanned.expect("a scan")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The diff of a scan is the one that git prints.
#[track_caller]
fn agrees(repo: &Repo) -> Snapshot {
    agree(repo, snapshot(repo))
}

#[track_caller]
fn agree(repo: &Repo, snapshot: Snapshot) -> Snapshot {
    assert_eq!(text(&snapshot.diff), text(&repo.diff()));
    assert_eq!(&snapshot.diff[..], &repo.diff()[..]);
    snapshot
}

/// Path, status, staged, unstaged.
fn files(snapshot: &Snapshot) -> Vec<(String, Status, bool, bool)> {
    let files = snapshot.files.iter();
    files
        .map(|file| (text(&file.path), file.status, file.staged, file.unstaged))
        .collect()
}
