//! Nothing is written, and nothing is locked.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    repo::{Case, Repo},
    viewer::{Viewer, diff},
};
use crate::{
    files::helpers::ran,
    support::daemon::{Daemon, Home, deskd_serve},
};

/// Scans behind which the index must be as it was.
const SCANS: usize = 1000;

/// All that lies in the git directory: names, times and bytes.
fn everything(repo: &Repo) -> Vec<(std::path::PathBuf, std::time::SystemTime, Vec<u8>)> {
    let mut all = Vec::new();
    let mut due = vec![repo.at(".git")];
    while let Some(path) = due.pop() {
        let metadata = fs::symlink_metadata(&path).expect("there");
        let bytes = if metadata.is_file() {
            fs::read(&path).expect("read")
        } else {
            Vec::new()
        };
        if metadata.is_dir() {
            due.extend(
                fs::read_dir(&path)
                    .expect("read")
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
        all.push((path, metadata.modified().expect("a time"), bytes));
    }
    all.sort();
    all
}

#[tokio::test]
async fn a_thousand_scans_leave_the_git_directory_as_it_was() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), ("b", "b\n"), ("c", "c\n")]);
    // What git would note in the index: a new time with the old content.
    repo.write("a", "a\n");
    repo.write("b", "changed\n");
    repo.write("new", "new\n");
    let before = everything(&repo);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    for number in 0..SCANS {
        if number % 2 == 0 {
            case.ask("status", &repo.0, "").await;
        } else {
            case.ask("diff", &repo.0, "").await;
        }
    }
    viewer.say(r#"{"type": "refresh"}"#).await;
    viewer.next().await;
    assert!(everything(&repo) == before);
}

#[tokio::test]
async fn git_never_meets_a_lock_while_scans_run_without_a_pause() {
    let case = Arc::new(Case::new());
    let repo = case.repo("a", &[("a", "a\n")]);
    for number in 0..200 {
        repo.write(&format!("d/{number}"), "x\n");
    }
    repo.commit("more");
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let ends = Arc::new(AtomicBool::new(false));
    let (ended, root) = (Arc::clone(&ends), repo.0.clone());
    let committing = tokio::task::spawn_blocking(move || {
        let repo = Repo(root);
        for number in 0..30 {
            repo.write("a", format!("{number}\n"));
            repo.write(&format!("d/{number}"), "changed\n");
            repo.git(&["add", "-A"]);
            repo.git(&["commit", "-qm", "x"]);
        }
        ended.store(true, Ordering::Relaxed);
        repo.git(&["rev-parse", "HEAD"])
    });
    let mut scans = 0;
    while !ends.load(Ordering::Relaxed) && !committing.is_finished() {
        for route in ["status", "diff"] {
            case.ask(route, &repo.0, "").await;
            scans += 1;
        }
    }
    let head = committing.await.expect("git has met no lock");
    assert!(scans > 10, "{scans}");
    viewer
        .until("the last commit", |entry| {
            entry["head"] == head.trim() && diff(entry).is_empty()
        })
        .await;
}

/// A daemon in a mount namespace of its own, in which a directory is read-only; none where nobody may make one.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn with_read_only(directory: &std::path::Path) -> Option<Daemon> {
    if !ran("unshare", &["-Urm", "true"]) {
        return None;
    }
    let home = Home::new();
    let daemon = deskd_serve(&home);
    let mut command = std::process::Command::new("unshare");
    let directory = directory.to_str().expect("UTF-8");
    let script = format!(
        "mount --bind '{directory}' '{directory}' && mount -o remount,bind,ro '{directory}' && ! touch '{directory}/x' 2>/dev/null && exec \"$0\" \"$@\""
    );
    command
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command
        .args(["-Urm", "sh", "-c", &script])
        .arg(daemon.get_program());
    command.args(daemon.get_args());
    for (name, value) in daemon.get_envs().filter(|(name, _)| *name != "PATH") {
        command.env(name, value.unwrap_or_default());
    }
    Some(Daemon::start_command(&home, &mut command))
}

#[tokio::test]
async fn a_read_only_mount_is_watched_like_any_other() {
    let mut case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), ("b", "b\n")]);
    let Some(daemon) = with_read_only(&repo.0) else {
        return;
    };
    case.daemon = daemon;
    repo.write("a", "changed\n");
    let status = case.ask("status", &repo.0, "").await;
    assert_eq!(status["files"][0]["path"], "a");
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    assert_eq!(diff(&viewer.entry().await), repo.git(&["diff", "HEAD"]));
    // It is so for the daemon alone.
    repo.write("b", "changed, too\n");
    viewer
        .until("the change", |entry| diff(entry).contains("+changed, too"))
        .await;
    repo.commit("all");
    viewer
        .until("the commit", |entry| diff(entry).is_empty())
        .await;
}
