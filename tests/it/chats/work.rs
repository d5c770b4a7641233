//! What was worked on: as the file of the state directory has it.

use std::{collections::BTreeMap, fs};

use reqwest::Method;
use serde_json::{Value, json};

use super::{A, B, C, answer, daemon, of_chat, start, token};
use crate::support::{self, daemon::Daemon};

/// The paths of each chat.
fn paths(daemon: &Daemon) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(daemon.home().state().join("chats/paths.json"));
    let file: Value = serde_json::from_str(&text.unwrap_or_default()).unwrap_or_default();
    let all = file["all"].as_array().cloned().unwrap_or_default();
    let strings = |value: &Value| {
        let paths = value.as_array().into_iter().flatten();
        let mut paths: Vec<_> = paths
            .filter_map(|p| p.as_str().map(str::to_owned))
            .collect();
        paths.sort();
        paths
    };
    all.iter()
        .map(|record| {
            (
                record["chat"].as_str().expect("an id").to_owned(),
                strings(&record["paths"]),
            )
        })
        .collect()
}

async fn settles(daemon: &Daemon, chat: &str, due: &[String]) {
    let so = || paths(daemon).get(chat).is_some_and(|paths| paths == due);
    support::eventually(&format!("{chat} has {due:?}"), so).await;
}

/// Ten thousand writes, and somebody who asks for the repositories of the chat meanwhile: the bound holds, the newest stay.
#[tokio::test]
async fn ten_thousand_writes_are_bounded_and_the_newest_stay() {
    const WRITES: usize = 10_000;
    const BOUND: usize = 4096;
    let daemon = daemon();
    let home = daemon.home().path().join("files");
    fs::create_dir(&home).expect("a folder");
    let write = async |number: usize| {
        let path = format!("/api/v0/touch?number={number}");
        let body = json!({"path": format!("{}/{number:05}", home.display())});
        let request = of_chat(&daemon, A, &[], Method::POST, &path);
        assert_eq!(answer(request.json(&body)).await.0, 200);
    };
    let eighths = (0..8).map(|part| async move {
        for number in (part..WRITES).step_by(8) {
            write(number).await;
        }
    });
    futures_util::future::join_all(eighths).await;
    let all = || paths(&daemon).remove(A).unwrap_or_default();
    let last = format!("{}/{:05}", home.display(), WRITES - 1);
    support::eventually("all is written", || all().binary_search(&last).is_ok()).await;
    let kept = all();
    assert_eq!(kept.len(), BOUND);
    let first = format!("{}/{:05}", home.display(), 0);
    assert!(kept.binary_search(&first).is_err(), "the oldest went");
}

#[tokio::test]
async fn what_is_changed_goes_to_the_chat_and_its_ancestors() {
    let daemon = daemon();
    let home = daemon.home().path().join("files");
    fs::create_dir(&home).expect("a folder");
    let at = |name: &str| format!("{}/{name}", home.display());
    let ask = async |method: Method, path: &str, body: Value| {
        let request = of_chat(&daemon, B, &[A], method, path);
        let (status, answer) = answer(request.json(&body)).await;
        assert_eq!(status, 200, "{path}: {answer}");
    };
    let write = format!("/api/v0/write-file?path={}", at("./a//x"));
    ask(Method::POST, &write, json!("text")).await;
    let edit =
        json!({"files": [{"path": at("a/x"), "edits": [{"search": "text", "replace": "b"}]}]});
    ask(Method::POST, "/api/v0/edit-files", edit).await;
    ask(Method::POST, "/api/v0/mkdir", json!({"path": at("d")})).await;
    ask(Method::POST, "/api/v0/touch", json!({"path": at("t")})).await;
    ask(
        Method::POST,
        "/api/v0/chmod",
        json!({"path": at("t"), "mode": "600"}),
    )
    .await;
    ask(
        Method::POST,
        "/api/v0/copy",
        json!({"from": at("t"), "to": at("c")}),
    )
    .await;
    ask(
        Method::POST,
        "/api/v0/move",
        json!({"from": at("t"), "to": at("m")}),
    )
    .await;
    ask(Method::POST, "/api/v0/remove", json!({"path": at("c")})).await;
    // Reading, failing and trying adds nothing, and so does nobody's work.
    ask(
        Method::GET,
        &format!("/api/v0/read-file-lines?path={}", at("m")),
        json!(null),
    )
    .await;
    let dry = json!({"dry_run": true, "files": [{"path": at("m"), "edits": [{"search": "", "replace": ""}]}]});
    answer(of_chat(&daemon, B, &[A], Method::POST, "/api/v0/edit-files").json(&dry)).await;
    let dry = json!({"dry_run": true, "files": [{"path": at("m2"), "edits": []}]});
    answer(of_chat(&daemon, B, &[A], Method::POST, "/api/v0/edit-files").json(&dry)).await;
    let missing = of_chat(&daemon, B, &[A], Method::POST, "/api/v0/remove");
    assert_eq!(
        answer(missing.json(&json!({"path": at("missing")})))
            .await
            .0,
        404
    );
    let nobody = daemon.request(
        Method::POST,
        &format!("/api/v0/write-file?path={}", at("n")),
    );
    assert_eq!(answer(nobody.body("x")).await.0, 200);
    let due: Vec<_> = ["a/x", "c", "d", "m", "t"].map(at).into();
    settles(&daemon, B, &due).await;
    settles(&daemon, A, &due).await;
    assert_eq!(paths(&daemon).len(), 2);
}

#[tokio::test]
async fn a_bound_token_works_for_its_chat_and_those_that_the_registry_knows() {
    let daemon = daemon();
    let (_, bound) = token(&daemon, json!({"scopes": ["files:write"], "chat_id": B})).await;
    let path = daemon.home().path().join("x").display().to_string();
    let write = daemon
        .bare(Method::POST, &format!("/api/v0/write-file?path={path}"))
        .bearer_auth(&bound)
        .header("Coder-Ancestor-Chat-Ids", json!([A]).to_string());
    assert_eq!(answer(write.body("x")).await.0, 200);
    settles(&daemon, B, &[path]).await;
    assert!(
        !paths(&daemon).contains_key(A),
        "its ancestor header adds no path"
    );
}

#[tokio::test]
async fn directories_of_processes_are_worked_on() {
    let daemon = daemon();
    let home = daemon.home().path().display().to_string();
    start(
        &daemon,
        B,
        &[A],
        json!({"command": "true", "workdir": home, "wait_ms": 60_000}),
    )
    .await;
    start(
        &daemon,
        C,
        &[A],
        json!({"command": "true", "wait_ms": 60_000}),
    )
    .await;
    settles(&daemon, B, std::slice::from_ref(&home)).await;
    settles(&daemon, A, &[home]).await;
    assert!(!paths(&daemon).contains_key(C), "none was named");
}
