//! Sessions: versions, chats, tokens, scopes, ends.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, Events, VERSION, initialize, post};
use crate::support::{
    daemon::{Daemon, json as body_of},
    eventually_async,
};

const CHAT: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";
const OTHER: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7bb";

async fn token(daemon: &Daemon, body: Value) -> (String, String) {
    let (status, answer) = body_of(daemon.post("/api/v0/tokens", body).await).await;
    assert_eq!(status, 201, "{answer}");
    let text = |name: &str| answer[name].as_str().expect("a text").to_owned();
    (text("id"), text("token"))
}

#[tokio::test]
async fn versions_are_negotiated() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    for version in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let request = post(&daemon, &daemon.token(), &initialize(version));
        let response = request.send().await.expect("an answer");
        let answer = Events::new(response).answer(0).await;
        assert_eq!(answer["result"]["protocolVersion"], version);
        assert_eq!(answer["result"]["serverInfo"]["name"], "deskd");
        let capabilities = &answer["result"]["capabilities"];
        assert_eq!(capabilities["resources"]["subscribe"], true);
        assert!(capabilities.get("prompts").is_none(), "{capabilities}");
    }
    let request = post(&daemon, &daemon.token(), &initialize("1999-01-01"));
    let answer = Events::new(request.send().await.expect("an answer"))
        .answer(0)
        .await;
    assert_eq!(answer["result"]["protocolVersion"], VERSION);
}

#[tokio::test]
async fn a_request_without_a_session_stands_for_itself() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let version = "2026-07-28";
    let meta = json!({"io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {}});
    let message = json!({"jsonrpc": "2.0", "id": 5, "method": "tools/call",
        "params": {"name": "execute", "arguments": {"command": "echo here"}, "_meta": meta}});
    let request = post(&daemon, &daemon.token(), &message)
        .header("mcp-protocol-version", version)
        .header("mcp-method", "tools/call")
        .header("mcp-name", "execute");
    let response = request.send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    assert!(response.headers().get("mcp-session-id").is_none());
    let answer = Events::new(response).answer(5).await;
    assert_eq!(
        answer["result"]["structuredContent"]["output"], "here\n",
        "{answer}"
    );
}

#[tokio::test]
async fn the_door_is_that_of_every_route() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let message = initialize(VERSION);
    let status = async |request: reqwest::RequestBuilder| {
        let (status, body) = body_of(request.send().await.expect("an answer")).await;
        (status, body["code"].as_str().unwrap_or_default().to_owned())
    };
    let none = daemon.bare(Method::POST, "/mcp").json(&message);
    assert_eq!(status(none).await, (401, "unauthorized".to_owned()));
    let token = daemon.token();
    let host = post(&daemon, &token, &message).header("host", "evil.example");
    assert_eq!(status(host).await, (421, "host_not_allowed".to_owned()));
    let origin = post(&daemon, &token, &message).header("origin", "http://evil.example");
    assert_eq!(status(origin).await, (403, "origin_not_allowed".to_owned()));
    let own = format!("http://{}", daemon.address);
    let own = post(&daemon, &token, &message).header("origin", own);
    assert_eq!(own.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn hosts_and_origins_follow_the_configuration() {
    let arguments = [
        "--desktop",
        "off",
        "--allowed-host",
        "box.example",
        "--allowed-origin",
        "https://page.example",
    ];
    let daemon = Daemon::start(&arguments);
    let request = post(&daemon, &daemon.token(), &initialize(VERSION))
        .header("host", "box.example")
        .header("origin", "https://page.example");
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn what_a_session_starts_belongs_to_its_chat() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let token = daemon.token();
    let named = Client::open_as(&daemon, &token, Some(CHAT)).await;
    assert_eq!(named.chat.as_deref(), Some(CHAT));
    let one = Client::open(&daemon).await;
    let two = Client::open(&daemon).await;
    assert!(one.chat.is_some() && one.chat != two.chat);
    let said = one
        .done("execute", json!({"command": "echo $CODER_CHAT_ID"}))
        .await;
    assert_eq!(
        said["output"],
        format!("{}\n", one.chat.as_deref().expect("a chat"))
    );
    let all = |list: Value| list["total"].as_u64().expect("a number");
    assert_eq!(all(one.done("process_list", json!({})).await), 1);
    assert_eq!(all(two.done("process_list", json!({})).await), 0);
    // Another chat cannot slip into the session.
    let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"});
    let foreign = named.request(&message).header("coder-chat-id", OTHER);
    let (status, body) = body_of(foreign.send().await.expect("an answer")).await;
    assert_eq!((status, &body["code"]), (403, &json!("chat_not_allowed")));
}

#[tokio::test]
async fn tools_are_listed_and_run_with_their_scopes_alone() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let (_, reader) = token(&daemon, json!({"scopes": ["files:read"], "chat_id": CHAT})).await;
    let client = Client::open_as(&daemon, &reader, None).await;
    assert_eq!(client.chat.as_deref(), Some(CHAT));
    let list = client.result("tools/list", json!({})).await;
    let tools = list["tools"].as_array().expect("a list");
    let names: Vec<&str> = tools
        .iter()
        .filter_map(|tool| tool["name"].as_str())
        .collect();
    assert_eq!(
        names,
        ["read_file", "list_directory", "find_files", "search_files"]
    );
    for (tool, arguments) in [
        ("execute", json!({"command": "true"})),
        ("write_file", json!({"path": "/tmp/x", "content": ""})),
        ("computer", json!({"actions": []})),
        ("git_log", json!({"path": "/"})),
        ("coder_workspace_bash", json!({"command": "true"})),
    ] {
        let said = client.refused(tool, arguments).await;
        assert!(said.contains("[scope_required]"), "{tool}: {said}");
    }
    // The clipboard is read with one scope, and set with another.
    let (_, viewer) = token(&daemon, json!({"scopes": ["desktop:view"]})).await;
    let viewer = Client::open_as(&daemon, &viewer, None).await;
    let said = viewer.refused("clipboard", json!({"text": "x"})).await;
    assert!(
        said.contains("[scope_required]") && said.contains("desktop:control"),
        "{said}"
    );
}

#[tokio::test]
async fn a_session_is_its_tokens_own() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let client = Client::open(&daemon).await;
    let (id, other) = token(&daemon, json!({"scopes": ["process"]})).await;
    let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"});
    let stolen = post(&daemon, &other, &message).header("mcp-session-id", &client.session);
    let (status, body) = body_of(stolen.send().await.expect("an answer")).await;
    assert_eq!((status, &body["code"]), (404, &json!("session_not_found")));
    // A stream ends with its token.
    let mut stream = {
        let scoped = Client::open_as(&daemon, &other, None).await;
        scoped.listen().await
    };
    let revoke = daemon.request(Method::DELETE, &format!("/api/v0/tokens/{id}"));
    assert_eq!(revoke.send().await.expect("an answer").status(), 204);
    while stream.next().await.is_some() {}
}

#[tokio::test]
async fn ending_a_session_ends_its_calls_and_keeps_its_processes() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let client = Client::open_as(&daemon, &daemon.token(), Some(CHAT)).await;
    let kept = client
        .done(
            "execute",
            json!({"command": "sleep 1000", "run_in_background": true}),
        )
        .await;
    let kept = kept["background_process_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let (_, mut events) = client
        .begin(
            "execute",
            json!({"command": "sleep 2000", "timeout": "1h"}),
            json!({}),
        )
        .await;
    running(&daemon, 2).await;
    client.end().await;
    while events.next().await.is_some() {}
    running(&daemon, 1).await;
    let (_, process) = body_of(daemon.get(&format!("/api/v0/processes/{kept}")).await).await;
    assert_eq!(process["running"], true, "{process}");
    let message = json!({"jsonrpc": "2.0", "id": 9, "method": "tools/list"});
    assert_eq!(client.post(&message).await.status(), 404);
}

#[tokio::test]
async fn a_daemon_may_end_what_a_session_started_with_it() {
    let daemon = Daemon::start(&["--desktop", "off", "--mcp-on-disconnect", "end"]);
    let client = Client::open(&daemon).await;
    let arguments = json!({"command": "sleep 1000", "run_in_background": true});
    client.done("execute", arguments).await;
    running(&daemon, 1).await;
    client.end().await;
    running(&daemon, 0).await;
}

#[tokio::test]
async fn a_session_that_nobody_uses_goes_and_a_long_call_keeps_it() {
    let daemon = Daemon::start(&["--desktop", "off", "--mcp-idle", "1"]);
    let idle = Client::open(&daemon).await;
    let busy = Client::open(&daemon).await;
    let listening = Client::open(&daemon).await;
    let mut stream = listening.listen().await;
    let (id, mut events) = busy
        .begin(
            "execute",
            json!({"command": "sleep 3; echo done"}),
            json!({}),
        )
        .await;
    let message = json!({"jsonrpc": "2.0", "id": 9, "method": "ping"});
    let answer = events.answer(id).await;
    assert_eq!(
        answer["result"]["structuredContent"]["output"], "done\n",
        "{answer}"
    );
    assert_eq!(idle.post(&message).await.status(), 404);
    // Whoever listens is there.
    assert_eq!(listening.post(&message).await.status(), 200);
    drop(stream.next());
}

/// Waits until so many processes run.
async fn running(daemon: &Daemon, due: usize) {
    eventually_async("as many processes run", async || {
        let (_, list) = body_of(daemon.get("/api/v0/processes/list?state=running").await).await;
        list["processes"]
            .as_array()
            .is_some_and(|all| all.len() == due)
    })
    .await;
}
