//! Scoped tokens: made, told once, used everywhere, over.

use std::{fs, os::unix::fs::PermissionsExt};

use reqwest::Method;
use serde_json::{Value, json};

use super::{A, B, answer, chat, closed, daemon, get, revoke, seen, token, websocket};
use crate::support::{
    self,
    daemon::{Daemon, Home, deskd_serve},
};

async fn order(daemon: &Daemon, body: Value) -> (u16, Value) {
    answer(daemon.request(Method::POST, "/api/v0/tokens").json(&body)).await
}

/// Status and code of a request with a token.
async fn with_token(daemon: &Daemon, token: &str, path: &str) -> (u16, String) {
    let (status, body) = answer(daemon.bare(Method::GET, path).bearer_auth(token)).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn orders_are_checked_and_answered_once() {
    let daemon = daemon();
    for (bad, code) in [
        (json!({}), "invalid_field"),
        (json!({"scopes": []}), "invalid_field"),
        (json!({"scopes": "git"}), "invalid_field"),
        (json!({"scopes": ["git", "root"]}), "invalid_field"),
        (json!({"scopes": ["admin"], "chat_id": A}), "invalid_field"),
        (json!({"scopes": ["git"], "chat_id": "x"}), "invalid_field"),
        (json!({"scopes": ["git"], "ttl_s": 0}), "invalid_field"),
        (
            json!({"scopes": ["git"], "ttl_s": 2_592_001}),
            "invalid_field",
        ),
        (
            json!({"scopes": ["git"], "label": "x".repeat(201)}),
            "invalid_field",
        ),
    ] {
        let (status, body) = order(&daemon, bad.clone()).await;
        assert_eq!((status, &body["code"]), (400, &json!(code)), "{bad}");
        assert!(body["validations"][0]["field"].is_string(), "{body}");
    }
    let (status, made) = order(
        &daemon,
        json!({"scopes": ["git", "files:read"], "chat_id": A, "label": "x"}),
    )
    .await;
    assert_eq!(status, 201);
    let secret = made["token"].as_str().expect("text");
    let random = secret.strip_prefix("deskd_").expect("the prefix");
    let base64url = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    assert!(
        random.len() == 43 && random.bytes().all(base64url),
        "43 characters of base64url"
    );
    let (_, list) = get(&daemon, "/api/v0/tokens").await;
    let entry = &list["tokens"][0];
    assert_eq!(
        (&entry["id"], &entry["expires_at"]),
        (&made["id"], &made["expires_at"])
    );
    assert_eq!(entry["scopes"], json!(["files:read", "git"]));
    assert_eq!(
        (&entry["chat_id"], &entry["label"]),
        (&json!(A), &json!("x"))
    );
    assert_eq!(entry["last_used_at"], Value::Null);
    assert!(!list.to_string().contains(secret), "it is told once");
    assert_eq!(with_token(&daemon, secret, "/api/v0/version").await.0, 200);
    let (_, list) = get(&daemon, "/api/v0/tokens").await;
    assert!(list["tokens"][0]["last_used_at"].is_string());
    assert_eq!(chat(&daemon, A).await["tokens"], 1);
}

#[tokio::test]
async fn a_token_is_shown_wherever_the_daemons_own_may_be() {
    let daemon = daemon();
    let (id, secret) = token(&daemon, json!({"scopes": ["desktop:view"]})).await;
    let page = daemon.bare(Method::GET, &format!("/?token={secret}&view_only=1"));
    let page = page.send().await.expect("an answer");
    assert_eq!(page.status(), 303);
    assert_eq!(page.headers()["location"], "/?view_only=1");
    let cookie = page.headers()["set-cookie"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Strict") && !cookie.contains(&secret));
    let pair = cookie.split(';').next().expect("a pair");
    let by_cookie = |path: &str| daemon.bare(Method::GET, path).header("Cookie", pair);
    assert_eq!(answer(by_cookie("/api/v0/version")).await.0, 200);
    assert_eq!(
        answer(by_cookie("/api/v0/tokens")).await.1["code"],
        "scope_required"
    );
    // What a client says goes before what its browser remembers.
    let both = by_cookie("/api/v0/tokens").bearer_auth(daemon.token());
    assert_eq!(answer(both).await.0, 200);
    let protocol = format!("binary, deskd.bearer.{secret}");
    let socket = daemon
        .bare(Method::GET, "/api/v0/desktop/vnc")
        .header("Sec-WebSocket-Protocol", protocol);
    assert_eq!(
        answer(socket).await.1["code"],
        "websocket_required",
        "past the door"
    );
    assert_eq!(revoke(&daemon, &id).await.0, 204);
    let (status, body) = answer(by_cookie("/api/v0/version")).await;
    assert_eq!((status, &body["code"]), (401, &json!("token_revoked")));
}

#[tokio::test]
async fn a_revoked_token_ends_what_was_opened_with_it() {
    let daemon = daemon();
    let (id, secret) = token(&daemon, json!({"scopes": ["process"]})).await;
    let start = daemon
        .bare(Method::POST, "/api/v0/processes/start")
        .bearer_auth(&secret);
    let (_, started) = answer(start.json(&json!({"command": "cat", "stdin": "pipe"}))).await;
    let process = started["id"].as_str().expect("an id");
    let path = format!("/api/v0/processes/{process}");
    let mut socket = websocket(&daemon, &secret, &[], &format!("{path}/attach"))
        .await
        .expect("attached");
    let events = daemon
        .bare(Method::GET, &format!("{path}/events"))
        .bearer_auth(&secret);
    let events = events.send().await.expect("a stream");
    let waits = daemon
        .bare(Method::POST, "/api/v0/processes/start")
        .bearer_auth(&secret);
    let waits = waits.json(&json!({"command": "cat", "stdin": "pipe", "wait_ms": 60_000}));
    let (_, other) = token(&daemon, json!({"scopes": ["process"]})).await;
    let underway = async || get(&daemon, "/api/v0/processes/list").await.1["total"] == 2;
    let end = async {
        support::eventually_async("the other start runs", underway).await;
        assert_eq!(revoke(&daemon, &id).await.0, 204);
        assert_eq!(
            closed(&mut socket).await,
            (1008, "token revoked".to_owned())
        );
        let text = events.text().await.expect("the stream ends");
        assert!(!text.contains("closed"), "though the process goes on");
        assert_eq!(
            with_token(&daemon, &secret, &path).await,
            (401, "token_revoked".to_owned())
        );
        assert_eq!(revoke(&daemon, &id).await.1["code"], "token_not_found");
        assert_eq!(
            with_token(&daemon, &other, &path).await.0,
            200,
            "the process goes on"
        );
        let (_, list) = get(&daemon, "/api/v0/processes/list").await;
        for process in list["processes"].as_array().expect("an array") {
            let path = format!(
                "/api/v0/processes/{}/signal",
                process["id"].as_str().expect("an id")
            );
            let kill = daemon
                .request(Method::POST, &path)
                .json(&json!({"signal": "kill"}));
            assert_eq!(answer(kill).await.0, 200);
        }
    };
    let ((status, started), ()) = tokio::join!(answer(waits), end);
    assert_eq!(
        (status, &started["result"]["running"]),
        (200, &json!(false)),
        "a request in progress finishes"
    );
    for bad in ["", "x", "00000000-0000-0000-0000-000000000001"] {
        let (status, body) = revoke(&daemon, bad).await;
        assert!(status == 404 || status == 405, "{bad}: {body}");
    }
}

#[tokio::test]
async fn a_token_expires_by_itself() {
    let daemon = daemon();
    let (_, own) = token(&daemon, json!({"scopes": ["process"]})).await;
    let start = daemon
        .bare(Method::POST, "/api/v0/processes/start")
        .bearer_auth(&own);
    let (_, started) = answer(start.json(&json!({"command": "cat", "stdin": "pipe"}))).await;
    let path = format!(
        "/api/v0/processes/{}",
        started["id"].as_str().expect("an id")
    );
    let (_, secret) = token(&daemon, json!({"scopes": ["process"], "ttl_s": 2})).await;
    let mut socket = websocket(&daemon, &secret, &[], &format!("{path}/attach"))
        .await
        .expect("attached");
    let events = daemon
        .bare(Method::GET, &format!("{path}/events"))
        .bearer_auth(&secret);
    let events = events.send().await.expect("a stream");
    assert_eq!(
        closed(&mut socket).await,
        (1008, "token expired".to_owned())
    );
    events.text().await.expect("the stream ends");
    assert_eq!(
        with_token(&daemon, &secret, &path).await,
        (401, "token_expired".to_owned())
    );
    let (_, list) = get(&daemon, "/api/v0/tokens").await;
    assert_eq!(
        list["tokens"].as_array().map(Vec::len),
        Some(1),
        "it is not listed any more"
    );
}

#[tokio::test]
async fn live_tokens_are_bounded() {
    let daemon = daemon();
    let mut first = None;
    for number in 0..1000 {
        let (id, _) = token(
            &daemon,
            json!({"scopes": ["git"], "label": number.to_string()}),
        )
        .await;
        first.get_or_insert(id);
    }
    let (status, body) = order(&daemon, json!({"scopes": ["git"]})).await;
    assert_eq!((status, &body["code"]), (429, &json!("too_many_tokens")));
    revoke(&daemon, &first.expect("made")).await;
    assert_eq!(order(&daemon, json!({"scopes": ["git"]})).await.0, 201);
}

#[tokio::test]
async fn a_secret_is_nowhere_but_in_its_answer() {
    let home = Home::new();
    let mut command = deskd_serve(&home);
    // Whatever is logged at all, of the libraries, too.
    command
        .args(["--desktop", "off", "--log-format", "json"])
        .env("RUST_LOG", "trace");
    let daemon = Daemon::start_command(&home, &mut command);
    let (_, secret) = token(
        &daemon,
        json!({"scopes": ["process", "desktop:view"], "chat_id": A}),
    )
    .await;
    for path in [
        "/api/v0/version",
        "/api/v0/tokens",
        "/nothing",
        "/?token=deskd_wrong",
    ] {
        with_token(&daemon, &secret, path).await;
    }
    let page = daemon.bare(Method::GET, &format!("/?token={secret}"));
    page.send().await.expect("an answer");
    let start = daemon
        .bare(Method::POST, "/api/v0/processes/start")
        .bearer_auth(&secret);
    let script = json!({"command": "env; cat /proc/*/cmdline", "wait_ms": 60_000});
    let (_, ran) = answer(start.json(&script)).await;
    assert_eq!(ran["result"]["running"], false, "{ran}");
    assert!(
        !ran.to_string().contains(&secret),
        "neither in environments nor in the process table"
    );
    let file = daemon.home().state().join("chats/tokens.json");
    support::eventually("the file is written", || file.exists()).await;
    assert_eq!(
        fs::metadata(&file).expect("there").permissions().mode() & 0o777,
        0o600
    );
    let random = secret.strip_prefix("deskd_").expect("the prefix");
    let mut folders = vec![daemon.home().state()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                let text = String::from_utf8_lossy(&bytes);
                assert!(!text.contains(random), "{}", path.display());
            }
        }
    }
    assert!(!daemon.log().contains(random));
    seen(&daemon, B, &[]).await;
}
