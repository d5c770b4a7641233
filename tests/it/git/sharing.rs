//! Many who watch the same, and many who watch different things: nobody is slowed by another one.

use std::{fs, path::Path, time::Duration};

use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};
use serde_json::json;

use super::{
    repo::{Case, Repo},
    viewer::{Viewer, diff},
};
use crate::support::eventually_async;

/// Changes a file in one step: no scan can see it half done.
fn replace(case: &Case, repo: &Repo, path: &str, content: &str) {
    let beside = case.work.path().join("beside");
    fs::write(&beside, content).expect("written");
    fs::rename(beside, repo.at(path)).expect("renamed");
}

#[tokio::test]
async fn a_thousand_watchers_cost_one_scan_a_trigger() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("ours to raise");
    let count = usize::try_from(hard).map_or(1000, |hard| hard.saturating_sub(200).min(1000));
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), ("b", "b\n")]);
    let mut viewers = Vec::new();
    for _ in 0..count {
        let mut viewer = Viewer::new(&case, &[&repo.0]).await;
        assert_eq!(diff(&viewer.entry().await), "");
        viewers.push(viewer);
    }
    let scans = async || case.metric("deskd_git_scan_seconds_count").await;
    let before = scans().await;
    assert!(before <= 3, "{before} scans for all who came");
    assert_eq!(case.metric("deskd_git_watchers").await, count as u64);
    assert_eq!(case.metric("deskd_git_repositories").await, 1);
    replace(&case, &repo, "a", "changed\n");
    for viewer in &mut viewers {
        viewer
            .until("the change", |entry| diff(entry).contains("+changed"))
            .await;
    }
    let after = scans().await;
    // The poll may fall into it.
    assert!(
        after - before <= 2,
        "{} scans for one change",
        after - before
    );
    drop(viewers);
    eventually_async("all have left", async || {
        case.metric("deskd_git_watchers").await == 0
    })
    .await;
}

mod patience {
    use super::{Case, Duration, Viewer, diff};
    use crate::{
        files::shown::Shown,
        support::{daemon::PATIENCE, eventually_async},
    };

    #[tokio::test]
    async fn who_stalls_is_closed_after_thirty_seconds_and_slows_nobody() {
        let case = Case::new();
        let repo = case.repo("a", &[("a", "a\n")]);
        let mut stalled = Viewer::new(&case, &[&repo.0]).await;
        stalled.entry().await;
        let mut viewer = Viewer::new(&case, &[&repo.0]).await;
        viewer.entry().await;
        for number in 0..8 {
            repo.write("large", format!("{number:02}\n").repeat(700_000));
            let last = format!("+{number:02}\n");
            viewer
                .until("the change", |entry| diff(entry).contains(&last))
                .await;
        }
        // The other one goes on answering pings.
        let closed = tokio::time::timeout(PATIENCE + PATIENCE, async {
            while case.metric("deskd_git_watchers").await > 1 {
                viewer.within(Duration::from_millis(200)).await;
            }
        });
        closed.await.expect("it is closed");
        repo.write("large", "small\n");
        viewer
            .until("the end", |entry| diff(entry).contains("+small"))
            .await;
    }

    #[tokio::test]
    async fn a_disk_that_never_answers_delays_no_other_repository() {
        let case = Case::new();
        let work = case.work.path().canonicalize().expect("there");
        let behind = case.repo("behind", &[("a", "a\n")]);
        let near = case.repo("near", &[("b", "b\n")]);
        let front = work.join("front");
        std::fs::create_dir(&front).expect("made");
        let Some(shown) = Shown::start(&behind.0, &front) else {
            return;
        };
        let mut both = Viewer::new(&case, &[&front, &near.0]).await;
        let mut seen = std::collections::BTreeSet::new();
        while seen.len() < 2 {
            let message = both.entries().await;
            let entries = message["repositories"].as_array().expect("a list").clone();
            seen.extend(entries.iter().map(|entry| entry["repo_root"].to_string()));
        }
        shown.hang();
        // It is being scanned, and will be for ever.
        both.say(r#"{"type": "refresh"}"#).await;
        for number in 0..3 {
            near.write("b", format!("{number}\n"));
            let last = format!("+{number}\n");
            both.until("the change", |entry| {
                entry["repo_root"].as_str() == near.0.to_str() && diff(entry).contains(&last)
            })
            .await;
        }
        // More requests for it than there may be scans keep nobody else waiting, as long as its mount has turns left: 16.
        let more: Vec<_> = (0..12).map(|number| format!("&context={number}")).collect();
        let hung = more.iter().map(|more| case.send("diff", &front, more));
        let others = eventually_async("others are served", async || {
            case.ask("status", &near.0, "").await["branch"] == "main"
        });
        tokio::select! {
            _ = futures_util::future::join_all(hung) => panic!("a disk that does not answer has answered"),
            () = others => {}
        }
        drop(both);
        drop(shown);
    }
}

#[tokio::test]
async fn it_is_polled_without_any_trigger() {
    let case = Case::with(&["--git-poll-interval", "1"]);
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    for _ in 0..3 {
        let beat = viewer.next().await;
        assert_eq!(beat["repositories"], json!([]), "{beat}");
    }
}

#[tokio::test]
async fn without_watches_changes_come_by_the_poll_and_the_cure_is_logged_once() {
    let case = Case::with(&["--git-max-watches", "0"]);
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let known = crate::support::daemon::json(case.daemon.get("/api/v0/git/repos").await)
        .await
        .1;
    assert_eq!(
        known["repositories"][0]["notifications"],
        json!(false),
        "{known}"
    );
    for content in ["one\n", "two\n"] {
        repo.write("a", content);
        viewer
            .until("the change", |entry| {
                diff(entry).contains(&format!("+{content}"))
            })
            .await;
    }
    let log = case.daemon.log();
    assert_eq!(
        log.matches("raise fs.inotify.max_user_watches").count(),
        1,
        "{log}"
    );
    assert_eq!(case.metric("deskd_git_watches").await, 0);
}

#[tokio::test]
async fn ignored_directories_cost_no_watch() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), (".gitignore", "ignored/\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let before = case.metric("deskd_git_watches").await;
    for number in 0..100 {
        repo.write(&format!("ignored/{number}/x"), "x\n");
    }
    repo.write("seen/x", "x\n");
    viewer
        .until("the new one", |entry| diff(entry).contains("seen/x"))
        .await;
    viewer.say(r#"{"type": "refresh"}"#).await;
    viewer.next().await;
    assert_eq!(case.metric("deskd_git_watches").await, before + 1);
}

#[tokio::test]
async fn lost_notifications_lose_no_change() {
    let case = Case::new();
    let repo = case.repo(
        "a",
        &[("a", "a\n"), (".gitignore", "heap/\n"), ("d/x", "x\n")],
    );
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").expect("a bound");
    let most: usize = most.trim().parse().expect("a number");
    if most > 100_000 {
        return;
    }
    // Nobody reads the queue meanwhile; two names by turns, so that no event is like the one before.
    case.daemon.signal(Signal::SIGSTOP);
    for number in 0..=most {
        fs::write(repo.at(if number % 2 == 0 { "one" } else { "two" }), "x\n").expect("written");
    }
    fs::rename(repo.at("d"), repo.at("moved")).expect("renamed");
    repo.write("moved/x", "changed\n");
    case.daemon.signal(Signal::SIGCONT);
    viewer
        .until("what was lost", |entry| diff(entry).contains("b/moved/x"))
        .await;
    repo.write("moved/x", "changed again\n");
    viewer
        .until("what came later", |entry| {
            diff(entry).contains("+changed again")
        })
        .await;
    let log = case.daemon.log();
    assert_eq!(
        log.matches("raise fs.inotify.max_queued_events").count(),
        1,
        "{log}"
    );
}

#[tokio::test]
async fn what_changes_in_a_submodule_shows_at_once() {
    let case = Case::new();
    let inner = case.repo("inner", &[("x", "x\n"), ("deep/y", "y\n")]);
    let repo = case.repo("a", &[("a", "a\n")]);
    let source = inner.0.to_str().expect("UTF-8");
    repo.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        source,
        "sub",
    ]);
    repo.commit("with a submodule");
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let mut within = async |what: &str, dirty: bool, commit: bool| {
        let so = |entry: &serde_json::Value| {
            diff(entry).contains("-dirty") == dirty && diff(entry).is_empty() != (dirty || commit)
        };
        // Sooner than by the poll.
        let found = tokio::time::timeout(Duration::from_secs(15), viewer.until(what, so)).await;
        found.unwrap_or_else(|_| panic!("only by the poll: {what}"));
    };
    repo.write("sub/deep/y", "changed\n");
    within("a change below", true, false).await;
    repo.git(&["-C", "sub", "checkout", "-q", "--", "."]);
    within("back again", false, false).await;
    repo.git(&["-C", "sub", "commit", "-q", "--allow-empty", "-m", "x"]);
    within("a commit in it", false, true).await;
}

#[tokio::test]
async fn a_path_that_is_added_while_somebody_connects_is_not_missed() {
    const CHATS: usize = 6;
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    for number in 0..CHATS {
        let chat = format!("6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b{number:03}");
        let route = format!("/api/v0/git/watch?chat_id={chat}");
        let path = repo.at(&format!("file{number}"));
        let (mut viewer, ()) = tokio::join!(
            Viewer::of(&case, &route),
            case.write_for(&chat, "[]", &path, "x\n")
        );
        viewer
            .until("the repository", |entry| {
                entry["repo_root"].as_str() == repo.0.to_str()
            })
            .await;
    }
}

#[tokio::test]
async fn hundreds_of_paths_at_once_are_all_looked_at() {
    const CHAT: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";
    let case = Case::new();
    let repos: Vec<Repo> = (0..12)
        .map(|number| case.repo(&format!("r{number}"), &[("a", "a\n")]))
        .collect();
    let mut viewer = Viewer::of(&case, &format!("/api/v0/git/watch?chat_id={CHAT}")).await;
    let paths: Vec<_> = (0..300)
        .map(|number| repos[number % repos.len()].at(&format!("new{number}")))
        .collect();
    let writes = paths
        .iter()
        .map(|path| case.write_for(CHAT, "[]", path, "x\n"));
    futures_util::future::join_all(writes).await;
    let mut left: std::collections::BTreeMap<&str, usize> = repos
        .iter()
        .map(|repo| (repo.0.to_str().expect("UTF-8"), 300 / repos.len()))
        .collect();
    while !left.is_empty() {
        let message = viewer.entries().await;
        for entry in message["repositories"].as_array().expect("a list") {
            let root = entry["repo_root"].as_str().expect("a root");
            let files = entry["files"].as_array().map(Vec::len);
            if left.get(root) == files.as_ref() {
                left.remove(root);
            }
        }
    }
}

/// The daemon's watches of a directory, by what the kernel says of its descriptors.
fn kernel_watches(pid: u32) -> usize {
    let all = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fdinfo"));
    let texts = all
        .expect("ours")
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok());
    texts
        .map(|text| {
            text.lines()
                .filter(|line| line.starts_with("inotify "))
                .count()
        })
        .sum()
}

#[tokio::test]
async fn watches_of_what_is_gone_are_given_back() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), ("d/e/f", "f\n")]);
    let before = kernel_watches(case.daemon.pid());
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.entry().await;
    let count = case.metric("deskd_git_watches").await;
    assert!(count >= 7);
    let in_kernel = || kernel_watches(case.daemon.pid()) - before;
    assert_eq!(in_kernel() as u64, count);
    fs::remove_dir_all(repo.at(".git")).expect("removed");
    viewer.until("gone", |entry| entry["removed"] == true).await;
    eventually_async("no watch is left", async || {
        in_kernel() == 0 && case.metric("deskd_git_watches").await == 0
    })
    .await;
}
