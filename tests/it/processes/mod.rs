//! Processes over the wire: real programs under the real daemon.

mod endings;
mod environment;
mod groups;
mod hostile;
mod input;
mod isolation;
mod limits;
mod live;
mod output;
mod patience;
mod places;
mod start;
mod survival;
mod tokens;
mod waiting;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{self, Daemon};

const ROOT: &str = "/api/v0/processes";

/// How often something is tried: as often as is quick, or as `DESKD_PROC_RUNS` says.
fn runs(usual: usize) -> usize {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long a run may take is its caller's to say"
    )]
    let asked = std::env::var("DESKD_PROC_RUNS").ok();
    asked.map_or(usual, |text| {
        text.parse().expect("DESKD_PROC_RUNS is a number")
    })
}

/// A daemon without a desktop.
fn daemon() -> Daemon {
    with(&[])
}

fn with(args: &[&str]) -> Daemon {
    Daemon::start(&[&["--desktop", "off"], args].concat())
}

/// Starts, and gives status and body.
async fn try_start(daemon: &Daemon, body: Value) -> (u16, Value) {
    daemon::json(daemon.post(&format!("{ROOT}/start"), body).await).await
}

/// Starts; panics unless it is 200.
async fn start(daemon: &Daemon, body: Value) -> Value {
    let (status, answer) = try_start(daemon, body.clone()).await;
    assert_eq!(status, 200, "{body} gave {answer}");
    answer
}

/// Starts, and gives the id.
async fn id_of(daemon: &Daemon, body: Value) -> String {
    let answer = start(daemon, body).await;
    answer["id"].as_str().expect("an id").to_owned()
}

/// Runs a command to its end, and gives the result.
async fn run(daemon: &Daemon, mut body: Value) -> Value {
    body["wait_ms"] = 60_000.into();
    let answer = start(daemon, body.clone()).await;
    assert_eq!(answer["result"]["running"], false, "{body} gave {answer}");
    answer["result"].clone()
}

/// Runs a shell command, and gives its text.
async fn text_of(daemon: &Daemon, command: &str) -> String {
    let result = run(daemon, json!({ "command": command })).await;
    result["output"].as_str().expect("text").to_owned()
}

async fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    daemon::json(daemon.get(&format!("{ROOT}{path}")).await).await
}

async fn post(daemon: &Daemon, path: &str, body: Value) -> (u16, Value) {
    daemon::json(daemon.post(&format!("{ROOT}{path}"), body).await).await
}

async fn output(daemon: &Daemon, id: &str, query: &str) -> Value {
    let (status, body) = get(daemon, &format!("/{id}/output?{query}")).await;
    assert_eq!(status, 200, "{query} gave {body}");
    body
}

async fn signal(daemon: &Daemon, id: &str, signal: &str) -> (u16, Value) {
    post(
        daemon,
        &format!("/{id}/signal"),
        json!({ "signal": signal }),
    )
    .await
}

/// Waits until the state is one of those that have an ending.
async fn ended(daemon: &Daemon, id: &str) -> Value {
    let body = output(daemon, id, "wait=true&wait_ms=60000").await;
    assert_eq!(body["running"], false, "{body}");
    body
}

/// Waits until all output is closed, by reading on for as long as there is any.
async fn exited(daemon: &Daemon, id: &str) -> Value {
    let mut cursor = 0;
    loop {
        let query = format!("since={cursor}&wait_ms=60000&max_bytes=1048576");
        let body = output(daemon, id, &query).await;
        if body["state"] == "exited" {
            return body;
        }
        cursor = body["next_cursor"].as_u64().expect("a cursor");
    }
}

/// Waits until the output has this text.
async fn printed(daemon: &Daemon, id: &str, wanted: &str) -> String {
    printed_so(daemon, id, |text| text.contains(wanted)).await
}

/// Waits until the output is so.
async fn printed_so(daemon: &Daemon, id: &str, so: impl Fn(&str) -> bool) -> String {
    let (mut cursor, mut text) = (0, String::new());
    loop {
        let query = format!("since={cursor}&wait_ms=60000");
        let body = output(daemon, id, &query).await;
        text.push_str(body["output"].as_str().expect("text"));
        if so(&text) {
            return text;
        }
        assert_ne!(body["state"], "exited", "it printed only {text:?}");
        cursor = body["next_cursor"].as_u64().expect("a cursor");
    }
}

/// All bytes of a view from a cursor, read in pieces of this size.
async fn bytes_of(daemon: &Daemon, id: &str, stream: &str, piece: usize) -> Vec<u8> {
    let (mut cursor, mut all) = (0_u64, Vec::new());
    loop {
        let path = format!(
            "{ROOT}/{id}/output?stream={stream}&since={cursor}&max_bytes={piece}&format=raw&wait_ms=60000"
        );
        let answer = daemon.get(&path).await;
        assert_eq!(answer.status(), 200);
        let header = |name: &str| {
            let value = answer.headers().get(name);
            value
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        assert_eq!(header("x-deskd-gap"), None, "nothing may be missing");
        let next = header("x-deskd-next-cursor").expect("a cursor");
        let state = header("x-deskd-state").expect("a state");
        let bytes = answer.bytes().await.expect("a body");
        all.extend_from_slice(&bytes);
        let next: u64 = next.parse().expect("digits");
        assert_eq!(next, cursor + bytes.len() as u64);
        cursor = next;
        if bytes.is_empty() && state == "exited" {
            return all;
        }
    }
}

/// A request of a chat.
async fn as_chat(
    daemon: &Daemon,
    chat: &str,
    ancestors: &str,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> (u16, Value) {
    let mut request = daemon
        .request(method, &format!("{ROOT}{path}"))
        .header("Coder-Chat-Id", chat)
        .header("Coder-Ancestor-Chat-Ids", ancestors);
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.expect("an answer");
    if answer.status() == 204 {
        return (204, Value::Null);
    }
    daemon::json(answer).await
}

/// Whether there is a process, zombies included.
fn exists(pid: i64) -> bool {
    std::path::Path::new(&format!("/proc/{pid}")).exists()
}

/// Lines with a newline behind each.
fn lines(all: impl Iterator<Item = String>) -> String {
    all.flat_map(|line| [line, "\n".to_owned()]).collect()
}
