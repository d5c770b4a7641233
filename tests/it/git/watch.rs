//! The stream of changes.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite;

use super::{
    repo::{Case, Repo, git},
    viewer::{Viewer, diff},
};

#[tokio::test]
async fn the_first_message_has_everything_and_the_next_ones_what_differs() {
    let case = Case::new();
    let (one, two) = (
        case.repo("one", &[("a", "a\n")]),
        case.repo("two", &[("b", "b\n")]),
    );
    one.write("a", "changed\n");
    let mut viewer = Viewer::new(&case, &[&one.0, &two.at("some/where")]).await;
    let first = viewer.next().await;
    assert_eq!(
        first["repositories"].as_array().map(Vec::len),
        Some(2),
        "{first}"
    );
    assert!(first.get("errors").is_none());
    let entry = &first["repositories"][0];
    assert_eq!(
        (entry["repo_root"].as_str(), entry["branch"].as_str()),
        (one.0.to_str(), Some("main"))
    );
    assert_eq!(diff(entry), one.git(&["diff", "HEAD"]));
    assert_eq!(diff(&first["repositories"][1]), "");
    two.write("new", "new\n");
    let entry = viewer.entry().await;
    assert_eq!(
        (
            entry["repo_root"].as_str(),
            entry["files"][0]["status"].as_str()
        ),
        (two.0.to_str(), Some("untracked"))
    );
    // A file that had changed already, one that reverts, the index alone, a commit.
    one.write("a", "changed again\n");
    assert!(diff(&viewer.entry().await).contains("changed again"));
    one.git(&["add", "a"]);
    viewer
        .until("staged", |entry| {
            entry["files"][0]["staged"] == true && entry["files"][0]["unstaged"] == false
        })
        .await;
    one.git(&["commit", "-qm", "second"]);
    let head = one.git(&["rev-parse", "HEAD"]);
    viewer
        .until("committed", |entry| {
            entry["head"] == head.trim() && diff(entry).is_empty()
        })
        .await;
    one.write("a", "third\n");
    viewer
        .until("changed", |entry| !diff(entry).is_empty())
        .await;
    one.git(&["checkout", "-q", "--", "a"]);
    viewer
        .until("reverted", |entry| diff(entry).is_empty())
        .await;
    one.git(&["checkout", "-q", "-b", "other"]);
    viewer
        .until("on the other branch", |entry| entry["branch"] == "other")
        .await;
}

#[tokio::test]
async fn refresh_is_always_a_new_scan_and_gives_a_heartbeat() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    let first = viewer.next().await;
    let mut last = first["scanned_at"].as_str().expect("a time").to_owned();
    for _ in 0..2 {
        viewer.say(r#"{"type": "refresh"}"#).await;
        let beat = viewer.next().await;
        assert_eq!(beat["repositories"], json!([]));
        let at = beat["scanned_at"].as_str().expect("a time").to_owned();
        assert!(at > last);
        last = at;
    }
}

#[tokio::test]
async fn what_is_not_understood_is_told_and_the_stream_goes_on() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.next().await;
    for (text, word) in [
        (r#"{"type": "fly"}"#, "unknown"),
        ("{", "JSON"),
        ("[]", "JSON"),
        ("{}", "unknown"),
    ] {
        viewer.say(text).await;
        let error = loop {
            let message = viewer.next().await;
            if message["type"] == "error" {
                break message;
            }
        };
        assert!(
            error["message"].as_str().expect("a text").contains(word),
            "{error}"
        );
    }
    repo.write("a", "b\n");
    assert!(!diff(&viewer.entry().await).is_empty());
}

#[tokio::test]
async fn connections_are_apart_and_each_begins_with_everything() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut one = Viewer::new(&case, &[&repo.0]).await;
    one.next().await;
    repo.write("a", "b\n");
    assert!(diff(&one.entry().await).contains("+b"));
    let mut two = Viewer::new(&case, &[&repo.0]).await;
    assert!(diff(&two.entry().await).contains("+b"));
    drop(one);
    repo.write("a", "c\n");
    two.until("the change", |entry| diff(entry).contains("+c"))
        .await;
}

#[tokio::test]
async fn a_repository_that_is_made_later_is_found() {
    let case = Case::new();
    let work = case.work.path().canonicalize().expect("there");
    let later = work.join("later");
    let mut viewer = Viewer::new(&case, &[&later]).await;
    assert!(
        viewer.within(Duration::from_millis(700)).await.is_none(),
        "without a repository nothing is said"
    );
    fs::create_dir(&later).expect("a directory");
    git(&later, &["init", "-q", "-b", "main"]);
    viewer.say(r#"{"type": "refresh"}"#).await;
    assert_eq!(viewer.entry().await["repo_root"].as_str(), later.to_str());
}

#[tokio::test]
async fn a_repository_that_goes_is_told_once_and_comes_back() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.next().await;
    fs::remove_dir_all(repo.at(".git")).expect("removed");
    let gone = viewer.until("gone", |entry| entry["removed"] == true).await;
    assert_eq!((gone["branch"].as_str(), diff(&gone)), (Some(""), ""));
    assert!(
        viewer.within(Duration::from_millis(1500)).await.is_none(),
        "then silence"
    );
    repo.git(&["init", "-q", "-b", "again"]);
    viewer.say(r#"{"type": "refresh"}"#).await;
    assert_eq!(viewer.entry().await["branch"], "again");
    fs::remove_dir_all(&repo.0).expect("removed");
    viewer.until("gone", |entry| entry["removed"] == true).await;
}

#[tokio::test]
async fn damage_is_listed_and_passes() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.next().await;
    let head = fs::read(repo.at(".git/HEAD")).expect("HEAD");
    repo.write(".git/HEAD", "nonsense\n");
    let message = viewer.entries().await;
    assert_eq!(
        (
            message["repositories"].as_array().map(Vec::len),
            message["errors"][0]["code"].as_str()
        ),
        (Some(0), Some("git_unreadable"))
    );
    assert_eq!(message["errors"][0]["repo_root"].as_str(), repo.0.to_str());
    repo.write(".git/HEAD", head);
    repo.write("a", "b\n");
    assert!(diff(&viewer.until("recovered", Value::is_object).await).contains("+b"));
}

#[tokio::test]
async fn notifications_come_from_every_kind_of_change() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n"), (".gitignore", "ignored/\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.next().await;
    // As editors save: by a rename.
    repo.write("a.tmp", "saved\n");
    fs::rename(repo.at("a.tmp"), repo.at("a")).expect("renamed");
    viewer
        .until("saved", |entry| {
            diff(entry).contains("+saved") && !diff(entry).contains("a.tmp")
        })
        .await;
    repo.write("deep/er/and/deeper/still", "x\n");
    viewer
        .until("deep", |entry| {
            diff(entry).contains("deep/er/and/deeper/still")
        })
        .await;
    repo.write("deep/er/and/deeper/still", "y\n");
    viewer
        .until("deep again", |entry| diff(entry).contains("+y"))
        .await;
    fs::rename(repo.at("deep"), repo.at("moved")).expect("renamed");
    viewer
        .until("moved", |entry| {
            diff(entry).contains("moved/er/and") && !diff(entry).contains("deep/er")
        })
        .await;
    repo.write("moved/er/and/deeper/still", "z\n");
    viewer
        .until("changed after the move", |entry| diff(entry).contains("+z"))
        .await;
    fs::remove_dir_all(repo.at("moved")).expect("removed");
    viewer
        .until("removed", |entry| !diff(entry).contains("moved"))
        .await;
    let many: Vec<String> = (0..3000)
        .map(|number| format!("many/{}/{number}", number % 50))
        .collect();
    for path in &many {
        repo.write(path, "x\n");
    }
    repo.git(&["add", "-A"]);
    repo.git(&["commit", "-qm", "many"]);
    viewer
        .until("committed", |entry| {
            diff(entry).is_empty() && entry["files"] == json!([])
        })
        .await;
    repo.git(&["checkout", "-q", "HEAD~1"]);
    viewer
        .until("checked out", |entry| {
            entry["branch"] == "" && diff(entry).is_empty()
        })
        .await;
}

#[tokio::test]
async fn a_storm_ends_with_the_last_state() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.next().await;
    for number in 0..20_000 {
        repo.write("a", format!("{number}\n"));
    }
    viewer
        .until("the last", |entry| diff(entry).contains("+19999\n"))
        .await;
}

#[tokio::test]
async fn upstream_counts_move_with_a_fetch() {
    let case = Case::new();
    let origin = case.repo("origin", &[("a", "a\n")]);
    let clone = case
        .work
        .path()
        .canonicalize()
        .expect("there")
        .join("clone");
    git(case.work.path(), &["clone", "-q", "origin", "clone"]);
    let clone = Repo(clone);
    let mut viewer = Viewer::new(&case, &[&clone.0]).await;
    let first = viewer.entry().await;
    assert_eq!(
        (
            first["upstream"].as_str(),
            first["ahead"].as_u64(),
            first["behind"].as_u64()
        ),
        (Some("origin/main"), Some(0), Some(0))
    );
    origin.commit("second");
    clone.git(&["fetch", "-q"]);
    viewer.until("behind", |entry| entry["behind"] == 1).await;
    clone.commit("ours");
    viewer
        .until("ahead", |entry| entry["ahead"] == 1 && entry["behind"] == 1)
        .await;
}

#[tokio::test]
async fn git_never_meets_a_lock() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.next().await;
    for number in 0..40 {
        repo.write("a", format!("{number}\n"));
        viewer.say(r#"{"type": "refresh"}"#).await;
        repo.git(&["add", "a"]);
        repo.git(&["commit", "-qm", "x"]);
    }
    let head = repo.git(&["rev-parse", "HEAD"]);
    viewer
        .until("the last commit", |entry| entry["head"] == head.trim())
        .await;
}

#[tokio::test]
async fn refusals_come_before_the_upgrade() {
    let case = Case::new();
    let plain = case.daemon.get("/api/v0/git/watch").await;
    assert_eq!(plain.status(), 426);
    let many = format!("/api/v0/git/watch?{}", "path=/x&".repeat(65));
    match case.daemon.websocket(&many).await {
        Err(tungstenite::Error::Http(answer)) => assert_eq!(answer.status(), 400),
        other => panic!("{:?}", other.map(|_| ())),
    }
    // Neither a chat nor a path that is none is an error.
    let socket = case
        .daemon
        .websocket("/api/v0/git/watch?chat_id=x&path=relative")
        .await;
    assert!(socket.is_ok());
}

#[tokio::test]
async fn who_stalls_slows_nobody() {
    let case = Case::new();
    let repo = case.repo("a", &[("a", "a\n")]);
    let _stalled = Viewer::new(&case, &[&repo.0]).await;
    let mut viewer = Viewer::new(&case, &[&repo.0]).await;
    viewer.next().await;
    for number in 0..3 {
        repo.write("large", format!("{number}\n").repeat(1 << 19));
        let last = format!("+{number}\n");
        viewer
            .until("the change", |entry| diff(entry).contains(&last))
            .await;
    }
}

#[tokio::test]
async fn a_chat_sees_where_it_and_those_below_it_work() {
    const CHAT: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";
    const BELOW: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7ab";
    const OTHER: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7ac";
    let case = Case::new();
    let (one, two) = (
        case.repo("one", &[("a", "a\n")]),
        case.repo("two", &[("b", "b\n")]),
    );
    let watch = async |route: &str| Viewer::of(&case, route).await;
    let mut viewer = watch(&format!("/api/v0/git/watch?chat_id={CHAT}")).await;
    let mut other = watch(&format!("/api/experimental/chats/{OTHER}/git/watch")).await;
    case.write_for(CHAT, "[]", &one.at("a"), "changed\n").await;
    assert_eq!(viewer.entry().await["repo_root"].as_str(), one.0.to_str());
    case.write_for(BELOW, &format!("[\"{CHAT}\"]"), &two.at("new"), "new\n")
        .await;
    viewer
        .until("the other repository", |entry| {
            entry["repo_root"].as_str() == two.0.to_str()
        })
        .await;
    let mut again = watch(&format!("/api/experimental/chats/{CHAT}/stream/git")).await;
    // One that was noticed a moment ago is scanned anew, and may come in a second message.
    let mut roots = std::collections::BTreeSet::new();
    while roots.len() < 2 {
        let message = again.entries().await;
        let entries = message["repositories"].as_array().expect("a list");
        roots.extend(entries.iter().map(|entry| entry["repo_root"].to_string()));
    }
    assert!(
        other.within(Duration::from_millis(300)).await.is_none(),
        "another chat sees nothing"
    );
    let repos = |chat: &str| format!("/api/v0/git/repos?chat_id={chat}");
    let known: Value = case
        .daemon
        .get(&repos(CHAT))
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(
        known["repositories"].as_array().map(Vec::len),
        Some(2),
        "{known}"
    );
    assert_eq!(
        (
            &known["repositories"][0]["watchers"],
            &known["repositories"][0]["notifications"]
        ),
        (&json!(2), &json!(true))
    );
    let none: Value = case
        .daemon
        .get(&repos(OTHER))
        .await
        .json()
        .await
        .expect("JSON");
    assert_eq!(none["repositories"], json!([]));
}
