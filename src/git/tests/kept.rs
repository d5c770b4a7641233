//! What is kept between scans: a partial scan says what a full one would.

use std::collections::BTreeSet;

use super::{Repo, guard, owners, scan, snapshot, text};
use crate::git::{Extent, Order, Scan};

fn paths(paths: &[&str]) -> Extent {
    Extent::Paths(
        paths
            .iter()
            .map(|path| path.as_bytes().to_vec())
            .collect::<BTreeSet<_>>(),
    )
}

#[track_caller]
fn partly(scan: &mut Scan, repo: &Repo, named: &[&str]) {
    let partial = scan
        .run(&paths(named), &Order::default(), &guard())
        .expect("a scan");
    let full = snapshot(repo);
    assert_eq!(text(&partial.diff), text(&full.diff));
    assert_eq!(
        (partial.files, partial.fingerprint),
        (full.files, full.fingerprint)
    );
}

#[test]
fn only_what_is_named_is_looked_at() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n"), ("d/c", "c\n"), ("d/e/f", "f\n")]);
    let mut scan = scan(&repo);
    partly(&mut scan, &repo, &[]);
    repo.write("a", "changed\n");
    repo.write("d/new", "new\n");
    partly(&mut scan, &repo, &["a", "d/new"]);
    repo.write("b", "unseen\n");
    let partial = scan
        .run(&paths(&["a"]), &Order::default(), &guard())
        .expect("a scan");
    assert_eq!(partial.files.len(), 2, "b was not named");
    partly(&mut scan, &repo, &["b"]);
    repo.remove("d");
    partly(&mut scan, &repo, &["d"]);
    repo.write("d", "a file now\n");
    partly(&mut scan, &repo, &["d", "d/e/f"]);
    repo.remove("d");
    repo.write("d/e/f", "f\n");
    repo.write("d/c", "c\n");
    partly(&mut scan, &repo, &["d"]);
    repo.write("a", "a\n");
    partly(&mut scan, &repo, &["a"]);
    repo.write("deep/er/and/deeper", "x\n");
    partly(&mut scan, &repo, &["deep/er/and/deeper"]);
    repo.write(".gitignore", "deep\n");
    partly(&mut scan, &repo, &[".gitignore"]);
    repo.write("deep/er/more", "x\n");
    partly(&mut scan, &repo, &["deep/er/more"]);
}

#[test]
fn a_new_index_or_head_names_its_paths_itself() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n")]);
    let mut scan = scan(&repo);
    repo.write("a", "x\n");
    repo.write("n", "n\n");
    partly(&mut scan, &repo, &["a", "n"]);
    for step in [
        &["add", "a"][..],
        &["add", "n"],
        &["rm", "-q", "--cached", "b"],
        &["commit", "-qm", "x"],
        &["checkout", "-q", "HEAD~1", "--", "a"],
        &["reset", "-q", "--hard", "HEAD"],
        &["checkout", "-qf", "--detach", "HEAD~1"],
        &["update-index", "--assume-unchanged", "a"],
    ] {
        repo.git(step);
        partly(&mut scan, &repo, &["a", "n", "b"]);
    }
}

#[test]
fn a_repository_that_was_replaced_is_opened_anew() {
    let repo = Repo::with(&[("a", "a\n")]);
    let mut scan = scan(&repo);
    partly(&mut scan, &repo, &[]);
    std::fs::remove_dir_all(repo.at(".git")).expect("removed");
    assert!(scan.run(&paths(&[]), &Order::default(), &guard()).is_err());
    repo.git(&["init", "-q", "-b", "other"]);
    partly(&mut scan, &repo, &[]);
    repo.git(&["config", "core.fileMode", "false"]);
    repo.mode("a", 0o755);
    partly(&mut scan, &repo, &["a"]);
}

#[test]
fn equal_times_hide_nothing() {
    let repo = Repo::with(&[("a", "aaaa\n")]);
    let mut scan = scan(&repo);
    for number in 0..40 {
        repo.write("a", format!("{number:04}\n"));
        partly(&mut scan, &repo, &["a"]);
    }
}

#[test]
fn what_nobody_waits_for_ends() {
    let repo = Repo::with(&[("a", "a\n")]);
    let (guard, wanted) = crate::git::Guard::new(std::time::Duration::from_mins(1));
    drop(wanted);
    let refused = Scan::new(&repo.path(), &owners()).run(&Extent::Full, &Order::default(), &guard);
    assert!(matches!(refused, Err(crate::git::GitError::Cancelled)));
}
