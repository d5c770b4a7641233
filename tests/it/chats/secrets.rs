//! What is confidential in a request stays out of the log, even at the level that tells everything.

use futures_util::SinkExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{A, answer, of_chat, start, websocket};
use crate::support::{
    self,
    daemon::{Daemon, Home, deskd_serve},
};

/// In every input, and in no other place.
const MARK: &str = "marked5ecret";

/// A daemon that logs whatever is logged at all, of the libraries, too.
fn talkative() -> Daemon {
    let home = Home::new();
    let mut command = deskd_serve(&home);
    command
        .args(["--log-format", "json"])
        .env("RUST_LOG", "trace");
    Daemon::start_command(&home, &mut command)
}

fn post(daemon: &Daemon, path: &str, body: &Value) -> RequestBuilder {
    of_chat(daemon, A, &[], Method::POST, path).json(body)
}

/// Something marked in each place where a desktop or a process takes it.
fn to_programs(daemon: &Daemon, id: &str) -> Vec<RequestBuilder> {
    let typed = json!({"action": "type", "text": MARK});
    let launch = json!({"argv": ["xmessage", MARK], "env": {"SECRET": MARK}});
    let clipboard = "/api/v0/desktop/clipboard";
    let put = of_chat(daemon, A, &[], Method::PUT, clipboard);
    let of_process = |method, rest: &str| {
        let path = format!("/api/v0/processes/{id}/{rest}");
        of_chat(daemon, A, &[], method, &path)
    };
    vec![
        post(daemon, "/api/v0/desktop/action", &typed),
        post(
            daemon,
            "/api/v0/desktop/actions",
            &json!({"actions": [typed]}),
        ),
        post(daemon, "/api/v0/computer/anthropic", &typed),
        put.header("Content-Type", "text/plain").body(MARK),
        of_chat(daemon, A, &[], Method::GET, clipboard),
        post(daemon, "/api/v0/desktop/launch", &launch),
        of_process(Method::POST, "stdin?eof=true").body(MARK),
        of_process(Method::GET, "output?wait=true"),
    ]
}

/// The same for files.
fn to_files(daemon: &Daemon) -> Vec<RequestBuilder> {
    let file = daemon.home().path().join("file").display().to_string();
    let on_file = |method, route: &str| {
        let path = format!("/api/v0/{route}?path={file}");
        of_chat(daemon, A, &[], method, &path)
    };
    let edits = json!({"files": [{"path": file, "edits": [
        {"search": MARK, "replace": format!("new {MARK}")},
        {"search": format!("absent {MARK}"), "replace": ""},
    ]}]});
    let search = json!({"root": daemon.home().path(), "pattern": MARK});
    vec![
        on_file(Method::POST, "write-file").body(MARK),
        on_file(Method::GET, "read-file"),
        on_file(Method::GET, "read-file-lines"),
        post(daemon, "/api/v0/edit-files", &edits),
        post(daemon, "/api/v0/search", &search),
    ]
}

/// No token of ours, no chat, no JSON, no route.
fn to_the_door(daemon: &Daemon) -> Vec<RequestBuilder> {
    let version = "/api/v0/version";
    let marked = |text: &str| format!("{text}{MARK}");
    vec![
        daemon.bare(Method::GET, version).bearer_auth(MARK),
        daemon
            .bare(Method::GET, version)
            .header("Cookie", marked("deskd_00000000=")),
        daemon.bare(Method::GET, &marked("/?token=")),
        daemon
            .request(Method::GET, version)
            .header("Coder-Chat-Id", MARK),
        daemon
            .request(Method::GET, version)
            .header("Coder-Ancestor-Chat-Ids", MARK),
        daemon
            .request(Method::POST, "/api/v0/edit-files")
            .body(MARK),
        daemon.request(Method::GET, &marked("/api/v0/nothing?token=")),
        // The token of a client is a capability.
        daemon.request(Method::GET, &marked("/api/v0/processes/tokens/")),
    ]
}

#[tokio::test]
async fn nothing_confidential_is_logged_at_any_level() {
    let daemon = talkative();
    daemon.started().await;
    let run =
        json!({"command": format!("cat; echo {MARK}"), "env": {"SECRET": MARK}, "stdin": "pipe"});
    let id = start(&daemon, A, &[], run).await;
    let programs = to_programs(&daemon, &id);
    let listens = json!({"command": "cat", "stdin": "pipe"});
    let listens = start(&daemon, A, &[], listens).await;
    let attach = format!("/api/v0/processes/{listens}/attach");
    let own = daemon.token();
    let socket = websocket(&daemon, &own, &[("coder-chat-id", A)], &attach).await;
    let mut socket = socket.expect("attached");
    let frame = Message::Binary(MARK.into());
    socket.send(frame).await.expect("it is open");
    for request in [programs, to_files(&daemon), to_the_door(&daemon)]
        .into_iter()
        .flatten()
    {
        let shown = format!("{request:?}");
        let (status, _) = answer(request).await;
        assert!(status < 500, "{status}: {shown}");
    }
    let path = format!("/api/v0/desktop/vnc?token={MARK}");
    websocket(&daemon, MARK, &[], &path)
        .await
        .expect_err("no token of ours");
    // All of it was done, and is told of by now.
    let last = "/api/v0/processes/tokens/{token}";
    support::eventually("the last request is logged", || daemon.log().contains(last)).await;
    let log = daemon.log();
    assert!(log.contains("\"level\":\"DEBUG\""), "everything is logged");
    let told: Vec<_> = log.lines().filter(|line| line.contains(MARK)).collect();
    assert!(told.is_empty(), "{told:#?}");
}
