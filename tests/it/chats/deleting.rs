//! Deleting a chat with all that it has.

use reqwest::Method;
use serde_json::{Value, json};

use super::{A, B, C, answer, chat, closed, get, of_chat, seen, start, token, websocket, with};
use crate::support::daemon::Daemon;

async fn delete(daemon: &Daemon, id: &str, query: &str) -> (u16, Value) {
    answer(daemon.request(Method::DELETE, &format!("/api/v0/chats/{id}{query}"))).await
}

/// The two numbers that a process prints, when it has.
async fn two_numbers(daemon: &Daemon, id: &str) -> Vec<u32> {
    let (mut cursor, mut text) = (0, String::new());
    while text.lines().count() < 2 {
        let path = format!("/api/v0/processes/{id}/output?since={cursor}&wait_ms=60000");
        let (_, body) = get(daemon, &path).await;
        text.push_str(body["output"].as_str().expect("text"));
        cursor = body["next_cursor"].as_u64().expect("a cursor");
    }
    text.lines()
        .map(|line| line.parse().expect("a number"))
        .collect()
}

/// Ignores TERM, and so does the one that it starts; prints their numbers.
const STUBBORN: &str =
    "trap '' TERM; sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' & echo $$; wait";

#[tokio::test]
async fn everything_of_a_chat_goes_with_it() {
    let daemon = with(&["--process-grace", "1"]);
    seen(&daemon, B, &[A]).await;
    let stubborn = start(
        &daemon,
        B,
        &[A],
        json!({"command": STUBBORN, "workdir": "/tmp"}),
    )
    .await;
    let over = start(&daemon, B, &[A], json!({"command": "true"})).await;
    let theirs = start(&daemon, C, &[], json!({"command": "cat", "stdin": "pipe"})).await;
    let pids = two_numbers(&daemon, &stubborn).await;
    let (_, bound) = token(&daemon, json!({"scopes": ["process"], "chat_id": B})).await;
    let attach = format!("/api/v0/processes/{stubborn}/attach");
    let mut by_token = websocket(&daemon, &bound, &[], &attach)
        .await
        .expect("attached");
    let headers = [("coder-chat-id", B)];
    let mut by_header = websocket(&daemon, &daemon.token(), &headers, &attach)
        .await
        .expect("attached");
    assert_eq!(chat(&daemon, B).await["connections"], 2);
    assert_eq!(delete(&daemon, A, "").await.1["code"], "chat_has_children");
    let deleting = delete(&daemon, B, "");
    let meanwhile = async {
        assert_eq!(
            closed(&mut by_header).await,
            (1001, "chat deleted".to_owned())
        );
        let (code, _) = closed(&mut by_token).await;
        assert!([1001, 1008].contains(&code), "its token has gone, too");
        let again = of_chat(&daemon, B, &[], Method::POST, "/api/v0/processes/start");
        let (status, body) = answer(again.json(&json!({"command": "true"}))).await;
        assert_eq!((status, &body["code"]), (410, &json!("chat_deleting")));
        let refused = websocket(&daemon, &daemon.token(), &headers, &attach).await;
        let (status, body) = refused.expect_err("no stream either");
        assert_eq!((status, &body["code"]), (410, &json!("chat_deleting")));
        delete(&daemon, B, "").await
    };
    let ((status, body), second) = tokio::join!(deleting, meanwhile);
    assert_eq!(status, 200, "{body}");
    let due = json!({"chats": 1, "processes_ended": 1, "paths_forgotten": 1, "tokens_revoked": 1});
    assert_eq!(body, due);
    assert_eq!(
        (second.0, &second.1["code"]),
        (404, &json!("chat_not_found")),
        "it waited for the first"
    );
    gone(&daemon, &pids, &[stubborn, over], &bound).await;
    let entry = get(&daemon, &format!("/api/v0/processes/{theirs}")).await;
    assert_eq!(entry.1["state"], "running");
    // What it gave to its ancestor stays there.
    let (_, above) = delete(&daemon, A, "").await;
    assert_eq!(above["paths_forgotten"], 1, "{above}");
    // A later request makes a new chat, which starts what it wants.
    let again = start(&daemon, B, &[], json!({"command": "true"})).await;
    assert_eq!(chat(&daemon, B).await["connections"], 0);
    assert_eq!(
        get(&daemon, &format!("/api/v0/processes/{again}")).await.0,
        200
    );
}

/// Nothing is left of these programs, of their entries and of the token.
async fn gone(daemon: &Daemon, pids: &[u32], entries: &[String], token: &str) {
    for pid in pids {
        assert!(
            !std::path::Path::new(&format!("/proc/{pid}")).exists(),
            "{pid} is gone"
        );
    }
    for id in entries {
        let (status, _) = get(daemon, &format!("/api/v0/processes/{id}")).await;
        assert_eq!(status, 404, "forgotten");
    }
    let request = daemon
        .bare(Method::GET, "/api/v0/version")
        .bearer_auth(token);
    let (status, body) = answer(request).await;
    assert_eq!((status, &body["code"]), (401, &json!("token_revoked")));
}

#[tokio::test]
async fn what_is_below_goes_when_asked_for() {
    let daemon = with(&[]);
    seen(&daemon, B, &[A]).await;
    seen(&daemon, C, &[A, B]).await;
    start(
        &daemon,
        C,
        &[A, B],
        json!({"command": "cat", "stdin": "pipe"}),
    )
    .await;
    let (status, body) = delete(&daemon, A, "?recursive=true").await;
    assert_eq!(
        (status, &body["chats"], &body["processes_ended"]),
        (200, &json!(3), &json!(1))
    );
    for id in [A, B, C] {
        assert_eq!(delete(&daemon, id, "").await.1["code"], "chat_not_found");
    }
    assert_eq!(delete(&daemon, "x", "").await.1["code"], "invalid_chat_id");
    assert_eq!(
        delete(&daemon, A, "?recursive=maybe").await.1["code"],
        "invalid_field"
    );
}

#[tokio::test]
async fn starts_that_race_with_a_deletion_leave_nothing_behind() {
    let daemon = with(&[]);
    for _ in 0..10 {
        seen(&daemon, A, &[]).await;
        let starts = (0..8).map(|_| {
            let start = of_chat(&daemon, A, &[], Method::POST, "/api/v0/processes/start");
            answer(start.json(&json!({"argv": ["sleep", "1000"]})))
        });
        let starts = futures_util::future::join_all(starts);
        let (started, deleted) = tokio::join!(starts, delete(&daemon, A, ""));
        assert_eq!(deleted.0, 200);
        for (status, body) in started {
            assert!([200, 410].contains(&status), "{body}");
        }
        // What came after the deletion is of a new chat.
        let again = delete(&daemon, A, "").await;
        assert!([200, 404].contains(&again.0));
        let (_, list) = get(&daemon, "/api/v0/processes/list").await;
        assert_eq!(list["total"], 0, "{list}");
    }
}
