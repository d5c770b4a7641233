//! Waits end with the event that they wait for.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{daemon, ended, id_of, output};

#[tokio::test]
async fn what_has_ended_is_answered_at_once_and_one_end_releases_all() {
    let daemon = daemon();
    let id = id_of(
        &daemon,
        json!({"command": "read line; echo got $line", "stdin": "pipe"}),
    )
    .await;
    let waits = futures_util::future::join(
        output(&daemon, &id, "wait=true"),
        output(&daemon, &id, "wait_ms=60000"),
    );
    let write = async {
        let path = format!("/api/v0/processes/{id}/stdin");
        let request = daemon.request(reqwest::Method::POST, &path).body("x\n");
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    };
    let ((first, second), ()) = tokio::join!(waits, write);
    for body in [first, second] {
        assert_eq!(
            (&body["running"], &body["output"]),
            (&json!(false), &json!("got x\n"))
        );
    }
    let before = Instant::now();
    ended(&daemon, &id).await;
    assert!(
        before.elapsed() < Duration::from_secs(30),
        "no wait for what has ended"
    );
}

#[tokio::test]
async fn only_the_word_true_waits_and_a_limit_is_an_answer() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    for query in [
        "",
        "wait=1",
        "wait=TRUE",
        "wait=",
        "wait=true&wait_ms=20",
        "wait_ms=20",
    ] {
        let body = output(&daemon, &id, query).await;
        assert_eq!(body["running"], true, "{query}");
        assert!(body.get("exit_code").is_none(), "{body}");
    }
}

#[tokio::test]
async fn a_wait_behind_a_cursor_wakes_with_a_byte() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let wait = output(&daemon, &id, "since=0&wait_ms=60000");
    let write = async {
        let path = format!("/api/v0/processes/{id}/stdin");
        let request = daemon.request(reqwest::Method::POST, &path).body("x");
        request.send().await.expect("an answer");
    };
    let (body, ()) = tokio::join!(wait, write);
    assert_eq!(
        (&body["output"], &body["running"]),
        (&json!("x"), &json!(true))
    );
    assert_eq!(body["next_cursor"], 1);
    let wait = output(&daemon, &id, "since=1&wait_ms=60000");
    let end = super::signal(&daemon, &id, "kill");
    let (body, _) = tokio::join!(wait, end);
    assert_eq!(
        (&body["output"], &body["running"]),
        (&json!(""), &json!(false))
    );
}

#[tokio::test]
async fn a_stop_of_the_daemon_answers_waiters() {
    let daemon = daemon();
    let body = json!({"command": "cat", "stdin": "pipe", "wait_ms": 60_000});
    let wait = super::start(&daemon, body);
    let stop = async {
        let runs = async || super::get(&daemon, "/list").await.1["total"] == 1;
        crate::support::eventually_async("it runs, and is waited for", runs).await;
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
    };
    let (answer, ()) = tokio::join!(wait, stop);
    assert!(
        answer["result"]["running"].is_boolean(),
        "a normal answer: {answer}"
    );
}
