//! Who acts: headers, bound tokens, and what a chat sees.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    A, B, C, D, answer, chat, daemon, get, ids, of_chat, put, seen, start, token, websocket,
};
use crate::support::{self, daemon::Daemon};

#[tokio::test]
async fn headers_are_read_in_every_form_and_never_refused() {
    let daemon = daemon();
    let version = "/api/v0/version";
    let many: Vec<String> = (1..1000_u128)
        .map(|n| uuid::Uuid::from_u128(n << 64).to_string())
        .collect();
    for (chat, above) in [
        ("", ""),
        ("x", "[]"),
        ("00000000-0000-0000-0000-000000000000", "["),
        (&A.to_uppercase()[..], "{}"),
        (&format!("{{{A}}}"), "7"),
        (
            &format!("urn:uuid:{A}"),
            &format!(
                "[\"{B}\", \"x\", null, 7, \"{B}\", \"{}\"]",
                B.to_uppercase()
            ),
        ),
        (A, &json!(many).to_string()),
    ] {
        let request = daemon
            .request(Method::GET, version)
            .header("Coder-Chat-Id", chat)
            .header("Coder-Ancestor-Chat-Ids", above);
        assert_eq!(answer(request).await.0, 200, "{chat} {above}");
    }
    let known = chat(&daemon, A).await;
    assert_eq!(known["id"], A);
    let above = known["ancestor_ids"].as_array().expect("an array");
    assert_eq!(above.len(), 64, "B, and the first of the many");
    assert!(above.contains(&json!(B)));
    // The first of several headers counts, on a handshake, too.
    let headers = [("coder-chat-id", C)];
    let path = "/api/v0/processes/00000000-0000-0000-0000-000000000001/attach";
    let refused = websocket(&daemon, &daemon.token(), &headers, path).await;
    assert_eq!(refused.expect_err("no such process").0, 404);
    assert_eq!(chat(&daemon, C).await["parent_id"], Value::Null);
}

#[tokio::test]
async fn a_bound_token_acts_for_its_chat_alone() {
    let daemon = daemon();
    let (_, bound) = token(
        &daemon,
        json!({"scopes": ["process", "files:write"], "chat_id": A}),
    )
    .await;
    seen(&daemon, B, &[]).await;
    let theirs = start(&daemon, B, &[], json!({"command": "cat", "stdin": "pipe"})).await;
    let ask = |method: Method, path: &str, chat: Option<&str>| {
        let request = daemon.bare(method, path).bearer_auth(&bound);
        match chat {
            Some(chat) => request.header("Coder-Chat-Id", chat),
            None => request,
        }
    };
    for (method, path) in [
        (Method::GET, "/api/v0/version"),
        (Method::GET, "/api/v0/processes/list"),
        (Method::POST, "/api/v0/write-file?path=/tmp/x"),
        (Method::GET, "/api/experimental/chats/x/desktop"),
    ] {
        let (status, body) = answer(ask(method, path, Some(B))).await;
        let code = body["code"].as_str();
        let due = if path.contains("experimental") {
            "scope_required"
        } else {
            "chat_not_allowed"
        };
        assert_eq!((status, code), (403, Some(due)), "{path}");
    }
    // Its own chat in the header, or none: it acts for its own.
    for header in [None, Some(A)] {
        let start = ask(Method::POST, "/api/v0/processes/start", header)
            .header("Coder-Ancestor-Chat-Ids", json!([C]).to_string())
            .json(&json!({"command": "printf $CODER_CHAT_ID", "wait_ms": 60_000}));
        let (status, body) = answer(start).await;
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["result"]["output"], A);
    }
    assert_eq!(
        get(&daemon, &format!("/api/v0/chats/{C}")).await.0,
        404,
        "its ancestor header says nothing"
    );
    assert_eq!(chat(&daemon, A).await["ancestor_ids"], json!([]));
    for (method, path) in [
        (Method::GET, format!("/api/v0/processes/{theirs}")),
        (Method::GET, format!("/api/v0/processes/{theirs}/output")),
        (Method::GET, format!("/api/v0/processes/{theirs}/events")),
        (Method::DELETE, format!("/api/v0/processes/{theirs}")),
    ] {
        let (status, body) = answer(ask(method, &path, None)).await;
        assert_eq!(
            (status, &body["code"]),
            (404, &json!("process_not_found")),
            "{path}"
        );
    }
    let refused = websocket(
        &daemon,
        &bound,
        &[],
        &format!("/api/v0/processes/{theirs}/attach"),
    )
    .await;
    assert_eq!(refused.expect_err("not theirs").0, 404);
    let (_, list) = answer(ask(Method::GET, "/api/v0/processes/list", None)).await;
    assert_eq!(list["total"], 2);
    let lines = access_lines(&daemon);
    assert!(lines.iter().all(|line| !line.contains(C)), "nor to the log");
}

#[tokio::test]
async fn a_bound_token_sees_its_chat_and_those_below() {
    let daemon = daemon();
    seen(&daemon, B, &[A]).await;
    seen(&daemon, C, &[A, B]).await;
    seen(&daemon, D, &[]).await;
    let (_, bound) = token(&daemon, json!({"scopes": ["git"], "chat_id": B})).await;
    let ask = async |path: &str| answer(daemon.bare(Method::GET, path).bearer_auth(&bound)).await;
    let (status, list) = ask("/api/v0/chats").await;
    assert_eq!((status, &list["total"]), (200, &json!(1)));
    assert_eq!(ids(&list["chats"]), [B]);
    assert_eq!(ids(&list["chats"][0]["children"]), [C]);
    for (chat, due) in [(A, 404), (B, 200), (C, 200), (D, 404)] {
        let (status, body) = ask(&format!("/api/v0/chats/{chat}")).await;
        assert_eq!(status, due, "{chat}: {body}");
    }
    for bad in ["x", "00000000-0000-0000-0000-000000000000"] {
        let (status, body) = ask(&format!("/api/v0/chats/{bad}")).await;
        assert_eq!((status, &body["code"]), (400, &json!("invalid_chat_id")));
    }
    for method in [Method::PUT, Method::DELETE] {
        let request = daemon
            .bare(method, &format!("/api/v0/chats/{B}"))
            .bearer_auth(&bound);
        let (status, body) = answer(request.json(&json!({}))).await;
        assert_eq!((status, &body["detail"]), (403, &json!("admin")));
    }
}

#[tokio::test]
async fn what_the_registry_says_of_ancestors_counts_for_processes() {
    let daemon = daemon();
    let id = start(&daemon, B, &[], json!({"command": "cat", "stdin": "pipe"})).await;
    let path = format!("/api/v0/processes/{id}");
    let as_a = async |path: &str| answer(of_chat(&daemon, A, &[], Method::GET, path)).await;
    assert_eq!(as_a(&path).await.0, 404);
    assert_eq!(put(&daemon, B, json!({"parent_id": A})).await.0, 200);
    assert_eq!(as_a(&path).await.0, 200);
    let (_, list) = as_a("/api/v0/processes/list?descendants=true").await;
    assert_eq!(list["total"], 1);
    assert_eq!(
        answer(of_chat(&daemon, C, &[], Method::GET, &path)).await.0,
        404,
        "a stranger"
    );
    let known = chat(&daemon, B).await;
    assert_eq!(known["processes"], json!({"running": 1, "kept": 0}));
}

fn access_lines(daemon: &Daemon) -> Vec<String> {
    let log = daemon.log();
    let lines = log.lines().filter(|line| line.contains("duration_us"));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_request_has_one_line_with_its_chat_and_so_has_what_it_started() {
    let daemon = with_json_log();
    seen(&daemon, B, &[A]).await;
    let (id, bound) = token(&daemon, json!({"scopes": ["process"], "chat_id": C})).await;
    let request = daemon
        .bare(Method::POST, "/api/v0/processes/start")
        .bearer_auth(&bound);
    let request = request.header("X-Request-Id", "the-start");
    let (_, body) = answer(request.json(&json!({"command": "cat", "stdin": "pipe"}))).await;
    let process = body["id"].as_str().expect("an id");
    let attach = format!("/api/v0/processes/{process}/attach");
    let mut socket = websocket(&daemon, &bound, &[("x-request-id", "the-socket")], &attach)
        .await
        .expect("attached");
    let of = |request: &'static str| {
        let log = daemon.log();
        let lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let lines =
            lines.filter(|line| line["request_id"] == request && line["message"] == "request");
        lines.collect::<Vec<_>>()
    };
    assert!(of("the-socket").is_empty(), "its line comes at its end");
    let kill = daemon.request(Method::POST, &format!("/api/v0/processes/{process}/signal"));
    assert_eq!(answer(kill.json(&json!({"signal": "kill"}))).await.0, 200);
    assert_eq!(super::closed(&mut socket).await.0, 1000);
    drop(socket);
    support::eventually("the line of the WebSocket", || of("the-socket").len() == 1).await;
    for line in [&of("the-start")[0], &of("the-socket")[0]] {
        assert_eq!(
            (&line["chat_id"], &line["token_id"]),
            (&json!(C), &json!(id)),
            "{line}"
        );
        assert!(line.get("ancestor_chat_ids").is_none());
    }
    let ended = || {
        let log = daemon.log();
        let mut lines = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.find(|line| line["message"] == "process ended")
    };
    support::eventually("the end of the process", || ended().is_some()).await;
    let line = ended().expect("just seen");
    assert_eq!(
        (&line["chat_id"], &line["request_id"]),
        (&json!(C), &json!("the-start"))
    );
    let lines = access_lines(&daemon);
    let first = lines
        .iter()
        .find(|line| line.contains(B))
        .expect("a line of B");
    let first: Value = serde_json::from_str(first).expect("JSON");
    assert_eq!(first["ancestor_chat_ids"], A);
    assert!(first.get("token_id").is_none());
}

fn with_json_log() -> Daemon {
    super::with(&["--log-format", "json"])
}
