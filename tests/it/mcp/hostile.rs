//! Clients that do what they should not: nothing of it stays, and others do not notice.

use std::fs;

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, Events, VERSION, initialize, post};
use crate::support::{
    daemon::{Daemon, json as body_of},
    eventually_async,
};

fn daemon() -> Daemon {
    Daemon::start(&["--desktop", "off"])
}

#[tokio::test]
async fn what_is_no_message_is_refused_in_our_form() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    for body in [
        "",
        "x",
        "{",
        "[]",
        "7",
        "{\"jsonrpc\": \"1.0\"}",
        "{\"id\": 1}",
        "\u{0}",
        &"[".repeat(100_000),
    ] {
        let request = post(&daemon, &daemon.token(), &Value::Null)
            .header("mcp-session-id", &client.session)
            .body(body.to_owned());
        let response = request.send().await.expect("an answer");
        let status = response.status().as_u16();
        assert!(
            (400..500).contains(&status),
            "{status}: {}",
            body.get(..9).unwrap_or(body)
        );
        let (_, body) = body_of(response).await;
        assert!(
            body["code"].is_string() || body["error"]["code"].is_i64(),
            "{body}"
        );
    }
    let bare = daemon
        .request(Method::POST, "/mcp")
        .json(&initialize(VERSION));
    let (status, body) = body_of(bare.send().await.expect("an answer")).await;
    assert_eq!((status, &body["code"]), (406, &json!("not_acceptable")));
    let huge = vec![b' '; (16 << 20) + 1];
    let huge = post(&daemon, &daemon.token(), &Value::Null).body(huge);
    let (status, body) = body_of(huge.send().await.expect("an answer")).await;
    assert_eq!((status, &body["code"]), (413, &json!("body_too_large")));
    assert_eq!(
        client.done("execute", json!({"command": "true"})).await["success"],
        true
    );
}

#[tokio::test]
async fn the_wrong_order_is_refused() {
    let daemon = daemon();
    let token = daemon.token();
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "execute", "arguments": {"command": "true"}}});
    let (status, body) = body_of(
        post(&daemon, &token, &call)
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    assert!((400..500).contains(&status), "{body}");
    let unknown = post(&daemon, &token, &call).header("mcp-session-id", "none");
    let (status, body) = body_of(unknown.send().await.expect("an answer")).await;
    assert_eq!((status, &body["code"]), (404, &json!("session_not_found")));
    for method in [Method::GET, Method::DELETE] {
        let request = daemon
            .request(method, "/mcp")
            .header("accept", "text/event-stream");
        assert_eq!(request.send().await.expect("an answer").status(), 400);
    }
    // Twice the same, and answers to nothing.
    let client = Client::open(&daemon).await;
    let again = client.post(&initialize(VERSION)).await;
    assert!(again.status().is_success() || again.status().is_client_error());
    let nothing = json!({"jsonrpc": "2.0", "id": 77, "result": {}});
    assert!(client.post(&nothing).await.status().is_success());
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 12345}});
    assert!(client.post(&cancel).await.status().is_success());
    assert_eq!(
        client.done("execute", json!({"command": "true"})).await["success"],
        true
    );
}

#[tokio::test]
async fn sessions_beyond_the_bound_push_out_the_idle() {
    let daemon = daemon();
    let first = Client::open(&daemon).await;
    let kept = Client::open(&daemon).await;
    let _stream = kept.listen().await;
    let token = daemon.token();
    let before = memory(&daemon);
    for _ in 0..700 {
        let response = post(&daemon, &token, &initialize(VERSION))
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200);
        drop(Events::new(response).answer(0).await);
    }
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(
        first.post(&message).await.status(),
        404,
        "it was idle for longest"
    );
    assert_eq!(kept.post(&message).await.status(), 200, "it listens");
    let grown = memory(&daemon).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB for 512 sessions");
}

#[tokio::test]
async fn a_session_runs_so_many_calls_and_no_more() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let mut open = Vec::new();
    for _ in 0..64 {
        let arguments = json!({"command": "sleep 1000", "timeout": "1h"});
        open.push(client.begin("execute", arguments, json!({})).await);
    }
    eventually_async("they run", async || running(&daemon).await == 64).await;
    let more = client
        .ask(
            "tools/call",
            json!({"name": "process_list", "arguments": {}}),
        )
        .await;
    assert!(more.to_string().contains("64 calls"), "{more}");
    let other = Client::open(&daemon).await;
    assert_eq!(
        other.done("execute", json!({"command": "true"})).await["success"],
        true
    );
    client.end().await;
    eventually_async("nothing runs", async || running(&daemon).await == 0).await;
}

#[tokio::test]
async fn clients_that_leave_in_the_middle_leave_nothing() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    client.done("execute", json!({"command": "true"})).await;
    let before = descriptors(&daemon);
    for _ in 0..50 {
        let arguments = json!({"command": "sleep 1000", "timeout": "1h"});
        let (id, events) = client
            .begin("execute", arguments, json!({"progressToken": 1}))
            .await;
        let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
        assert_eq!(client.post(&cancel).await.status(), 202);
        drop(events);
        let stream = client.listen().await;
        drop(stream);
    }
    eventually_async("nothing runs", async || running(&daemon).await == 0).await;
    client.end().await;
    eventually_async("descriptors are given back", async || {
        descriptors(&daemon) <= before + 8
    })
    .await;
}

#[tokio::test]
async fn whoever_does_not_read_slows_nobody_else() {
    let daemon = daemon();
    let slow = Client::open(&daemon).await;
    let unread = slow.listen().await;
    let file = daemon.home().path().join("large");
    fs::write(&file, "x".repeat(500_000)).expect("written");
    let uri = format!("file://{}", file.display());
    let mut open = Vec::new();
    for id in 100..164 {
        let read =
            json!({"jsonrpc": "2.0", "id": id, "method": "resources/read", "params": {"uri": uri}});
        open.push(slow.post(&read).await);
    }
    let other = Client::open(&daemon).await;
    assert_eq!(
        other.done("execute", json!({"command": "true"})).await["success"],
        true
    );
    drop((open, unread));
    assert_eq!(
        slow.done("execute", json!({"command": "true"})).await["success"],
        true
    );
}

async fn running(daemon: &Daemon) -> usize {
    let (_, list) = body_of(
        daemon
            .get("/api/v0/processes/list?state=running&all=true")
            .await,
    )
    .await;
    list["processes"].as_array().map_or(0, Vec::len)
}

fn descriptors(daemon: &Daemon) -> usize {
    let folder = format!("/proc/{}/fd", daemon.pid());
    fs::read_dir(folder).expect("the daemon is there").count()
}

/// Resident memory in KiB.
fn memory(daemon: &Daemon) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("the daemon is there");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB"));
    number.and_then(|text| text.parse().ok()).expect("a number")
}
