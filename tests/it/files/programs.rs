//! Programs see the machine and not the tree: where they may work, and what they are told elsewhere.

use std::fs;

use serde_json::{Value, json};

use crate::support::daemon::{Daemon, Home, json as answer};

async fn start(daemon: &Daemon, body: Value) -> (u16, Value) {
    answer(daemon.post("/api/v0/processes/start", body).await).await
}

/// What `pwd` says when it is started with this directory.
async fn worked_in(daemon: &Daemon, workdir: Value) -> String {
    let body = json!({"argv": ["/bin/pwd", "-P"], "workdir": workdir, "wait_ms": 30_000});
    let (status, body) = start(daemon, body).await;
    assert_eq!(status, 200, "{body}");
    let output = body["result"]["output"].as_str().expect("text");
    output.trim_end().to_owned()
}

async fn refused(daemon: &Daemon, workdir: Value, code: &str) -> Value {
    let (status, body) = start(daemon, json!({"command": "true", "workdir": workdir})).await;
    let due = if code == "not_on_host" { 400 } else { 403 };
    assert_eq!((status, body["code"].as_str()), (due, Some(code)), "{body}");
    body
}

#[tokio::test]
async fn a_program_works_where_a_host_mount_lies() {
    let base = tempfile::tempdir().expect("a directory");
    let base = fs::canonicalize(base.path()).expect("there");
    fs::create_dir_all(base.join("sub")).expect("made");
    let home = Home::new();
    let mount = format!("/elsewhere=host:{}", base.display());
    let daemon = Daemon::start_in(&home, &["--mount", &mount, "--mount", "/mem=memory"]);
    let sub = base.join("sub").display().to_string();
    assert_eq!(worked_in(&daemon, json!("/elsewhere/sub")).await, sub);
    assert_eq!(worked_in(&daemon, json!(sub)).await, sub);
    assert_eq!(worked_in(&daemon, json!("/usr")).await, "/usr");
    for path in ["/mem", "/mem/missing", "/elsewhere/sub/../../mem"] {
        let body = refused(&daemon, json!(path), "not_on_host").await;
        let message = body["message"].as_str().expect("text");
        assert!(
            message.contains("memory") && message.contains("materialize"),
            "{message}"
        );
    }
    let (status, body) = start(
        &daemon,
        json!({"command": "true", "workdir": "/elsewhere/none"}),
    )
    .await;
    assert_eq!(
        (status, body["code"].as_str()),
        (500, Some("spawn_failed")),
        "{body}"
    );
    let list = answer(daemon.get("/api/v0/processes/list?all=true").await)
        .await
        .1;
    assert_eq!(list["total"], 3, "what was refused never ran");
}

#[tokio::test]
async fn the_default_directory_is_held_to_the_same() {
    let home = Home::new();
    let mount = format!("{}=memory", home.path().display());
    let daemon = Daemon::start_in(&home, &["--mount", &mount]);
    refused(&daemon, json!(null), "not_on_host").await;
    refused(&daemon, json!("below"), "not_on_host").await;
    assert_eq!(worked_in(&daemon, json!("/")).await, "/");
}

#[tokio::test]
async fn a_default_that_the_tree_does_not_show_is_kept_and_a_wish_is_not() {
    let base = tempfile::tempdir().expect("a directory");
    let root = fs::canonicalize(base.path()).expect("there");
    let root = root.to_str().expect("text");
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &["--root", root]);
    let usual = fs::canonicalize(home.path()).expect("there");
    assert_eq!(
        worked_in(&daemon, json!(null)).await,
        usual.to_str().expect("text")
    );
    assert_eq!(worked_in(&daemon, json!(root)).await, root);
    refused(&daemon, json!("/usr"), "outside_mount").await;
}
