//! Tool calls of processes: what runs, what is ended, what breaks off.

use std::{fs, path::Path, sync::Arc};

use nix::{sys::stat::Mode, unistd::mkfifo};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{daemon, file_in, lines};
use crate::support::{
    daemon::{self, Daemon},
    eventually, eventually_async,
    tool_calls::{Answer, ToolCall},
};

const ROOT: &str = "/api/v0/processes";

fn start(daemon: &Daemon, body: &Value) -> RequestBuilder {
    let request = daemon.request(Method::POST, &format!("{ROOT}/start"));
    request.json(body)
}

pub(super) fn append(daemon: &Daemon, file: &Path, text: &str) -> RequestBuilder {
    let command = format!("echo '{text}' >> '{}'", file.display());
    start(daemon, &json!({"command": command, "wait_ms": 60_000}))
}

/// A start that adds a line, and is answered when somebody has written to the gate.
fn gated(daemon: &Daemon) -> Value {
    let gate = daemon.home().path().join("gate");
    mkfifo(&gate, Mode::S_IRWXU).expect("a new name");
    let file = file_in(daemon);
    let command = format!("echo x >> '{}'; cat '{}'", file.display(), gate.display());
    json!({"command": command, "wait_ms": 60_000})
}

async fn open_gate(daemon: &Daemon, text: &str) {
    let gate = daemon.home().path().join("gate");
    tokio::fs::write(gate, text).await.expect("somebody reads");
}

async fn processes(daemon: &Daemon) -> Value {
    daemon::json(daemon.get(&format!("{ROOT}/list")).await)
        .await
        .1
}

async fn cancel(daemon: &Daemon, call: &ToolCall) -> Answer {
    let path = format!("{ROOT}/{}/cancel", call.uuid());
    call.send(daemon.request(Method::POST, &path)).await
}

#[tokio::test]
async fn the_process_has_the_name_of_its_call() {
    let daemon = daemon();
    let call = ToolCall::new(1, 1, "a");
    let first = call.send(start(&daemon, &json!({"command": "true"}))).await;
    assert_eq!(first.json()["id"], call.uuid().to_string());
    assert_eq!(processes(&daemon).await["total"], 1);
}

#[tokio::test]
async fn those_that_come_meanwhile_wait_for_the_first() {
    let daemon = daemon();
    let body = gated(&daemon);
    let call = ToolCall::new(1, 1, "a");
    let all = (0..8).map(|_| call.send(start(&daemon, &body)));
    let meanwhile = async {
        eventually("it runs", || lines(&file_in(&daemon)).len() == 1).await;
        let other = call.send(start(&daemon, &json!({"command": "true"}))).await;
        assert_eq!(other.refusal(), (409, "input_mismatch".to_owned()));
        open_gate(&daemon, "opened").await;
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(all), meanwhile);
    assert_eq!(answers[0].json()["result"]["output"], "opened");
    assert!(answers.iter().all(|answer| answer.repeats(&answers[0])));
    assert_eq!(lines(&file_in(&daemon)), ["x"]);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_its_run() {
    let daemon = Arc::new(daemon());
    let body = gated(&daemon);
    let call = ToolCall::new(1, 1, "a");
    let (there, sent, own) = (Arc::clone(&daemon), body.clone(), call.clone());
    #[expect(
        clippy::disallowed_methods,
        reason = "a client that is given up half way"
    )]
    let client = tokio::spawn(async move { own.send(start(&there, &sent)).await });
    eventually("it runs", || lines(&file_in(&daemon)).len() == 1).await;
    client.abort();
    assert!(client.await.is_err(), "it left without an answer");
    open_gate(&daemon, "late").await;
    let again = call.send(start(&daemon, &body)).await;
    assert_eq!(again.json()["result"]["output"], "late");
    assert_eq!(lines(&file_in(&daemon)), ["x"]);
}

#[tokio::test]
async fn a_failure_is_given_again_after_its_cause_is_mended() {
    let daemon = daemon();
    let folder = daemon.home().path().join("missing");
    let body = json!({"command": "true", "workdir": folder});
    let call = ToolCall::new(1, 1, "a");
    let first = call.send(start(&daemon, &body)).await;
    assert_eq!(first.refusal(), (500, "spawn_failed".to_owned()));
    fs::create_dir(&folder).expect("a new name");
    let again = call.send(start(&daemon, &body)).await;
    assert!(again.repeats(&first), "{again:?}");
    let cancelled = cancel(&daemon, &call).await.json();
    let due = json!({"started": true, "status_code": 500, "body": first.json()});
    assert_eq!(cancelled, due);
    let other = ToolCall::new(1, 1, "b");
    assert_eq!(other.send(start(&daemon, &body)).await.status, 200);
    // What the body lacks is an answer, too.
    let bad = ToolCall::new(1, 1, "c");
    for _ in 0..2 {
        let answer = bad.send(start(&daemon, &json!({}))).await;
        assert_eq!(answer.refusal(), (400, "command_required".to_owned()));
    }
}

#[tokio::test]
async fn a_cancellation_ends_the_process_while_its_start_waits() {
    let daemon = Daemon::start(&["--desktop", "off", "--process-grace", "1"]);
    let file = file_in(&daemon);
    for (number, trap) in ["", "trap '' TERM; "].into_iter().enumerate() {
        let command = format!(
            "{trap}echo x >> '{}'; while :; do read _; done",
            file.display()
        );
        let body = json!({"command": command, "stdin": "pipe", "wait_ms": 600_000});
        let call = ToolCall::new(1, 1, &format!("call {number}"));
        let cancelled = async {
            eventually("it runs", || lines(&file).len() == number + 1).await;
            cancel(&daemon, &call).await.json()
        };
        let (answer, cancelled) = tokio::join!(call.send(start(&daemon, &body)), cancelled);
        let ending = ["SIGTERM", "SIGKILL"][number];
        assert_eq!(answer.json()["result"]["ending"]["signal"], ending);
        let due = json!({"started": true, "status_code": 200, "body": answer.json()});
        assert_eq!(cancelled, due);
    }
}

#[tokio::test]
async fn a_cancellation_ends_a_process_that_was_started_long_ago() {
    let daemon = daemon();
    let call = ToolCall::new(1, 1, "a");
    let body = json!({"command": "cat", "stdin": "pipe"});
    let first = call.send(start(&daemon, &body)).await;
    let entry = || async {
        let path = format!("{ROOT}/{}", call.uuid());
        daemon::json(daemon.get(&path).await).await.1
    };
    assert_eq!(entry().await["running"], true);
    let cancelled = cancel(&daemon, &call).await.json();
    assert_eq!(
        (&cancelled["started"], &cancelled["body"]),
        (&json!(true), &first.json())
    );
    assert_eq!(entry().await["ending"]["signal"], "SIGTERM");
    let again = call.send(start(&daemon, &body)).await;
    assert!(again.repeats(&first));
    assert_eq!(processes(&daemon).await["total"], 1, "nothing was started");
}

#[tokio::test]
async fn a_cancellation_leaves_a_process_that_the_call_did_not_start() {
    let daemon = daemon();
    let body = json!({"command": "cat", "stdin": "pipe", "client_token": "t"});
    let plain =
        start(&daemon, &body).header("Coder-Chat-Id", ToolCall::new(1, 1, "a").chat.to_string());
    let started = Answer::of(plain.send().await.expect("an answer"))
        .await
        .json();
    let call = ToolCall::new(1, 1, "a");
    let attached = call.send(start(&daemon, &body)).await.json();
    assert_eq!(
        (&attached["attached"], &attached["id"]),
        (&json!(true), &started["id"])
    );
    assert_eq!(cancel(&daemon, &call).await.json()["started"], true);
    let path = format!("{ROOT}/{}", started["id"].as_str().expect("an id"));
    assert_eq!(
        daemon::json(daemon.get(&path).await).await.1["running"],
        true
    );
}

#[tokio::test]
async fn a_signal_is_sent_once() {
    let daemon = daemon();
    let file = file_in(&daemon);
    let command = format!(
        "trap 'echo x >> {}' USR1; echo ready; while :; do read _; done",
        file.display()
    );
    let call = ToolCall::new(1, 1, "start");
    let body = json!({"command": command, "stdin": "pipe"});
    let id = call.send(start(&daemon, &body)).await.json()["id"].clone();
    let id = id.as_str().expect("an id");
    let output = format!("{ROOT}/{id}/output");
    eventually_async("it is ready", async || {
        let (_, body) = daemon::json(daemon.get(&output).await).await;
        body["output"] == "ready\n"
    })
    .await;
    let signal = |signal: &str| {
        let request = daemon.request(Method::POST, &format!("{ROOT}/{id}/signal"));
        request.json(&json!({ "signal": signal }))
    };
    let call = ToolCall::new(1, 1, "signal");
    let first = call.send(signal("USR1")).await;
    assert_eq!(first.status, 200, "{:?}", first.json());
    eventually("it came", || lines(&file).len() == 1).await;
    assert!(call.send(signal("USR1")).await.repeats(&first));
    assert_eq!(
        call.send(signal("TERM")).await.refusal(),
        (409, "input_mismatch".to_owned())
    );
    // The next signal comes after all before it.
    ToolCall::new(1, 1, "last").send(signal("USR1")).await;
    eventually("it came", || lines(&file).len() == 2).await;
    let unknown = ToolCall::new(1, 1, "unknown");
    let nobody = format!("{ROOT}/nobody/signal");
    for _ in 0..2 {
        let request = daemon.request(Method::POST, &nobody);
        let answer = unknown.send(request.json(&json!({"signal": "TERM"}))).await;
        assert_eq!(answer.refusal(), (404, "process_not_found".to_owned()));
    }
}

#[tokio::test]
async fn a_killed_daemon_runs_no_call_of_its_time_again() {
    let daemon = daemon();
    let home = daemon.home().clone();
    let call = ToolCall::new(1, 1, "a");
    let body = json!({"command": "cat", "stdin": "pipe"});
    assert_eq!(call.send(start(&daemon, &body)).await.status, 200);
    daemon.crash();
    let daemon = Daemon::start_in(&home, &["--desktop", "off"]);
    let refused = call.ancient().send(start(&daemon, &body)).await.refusal();
    assert_eq!(refused, (409, "agent_started_after_tool_call".to_owned()));
    // Even if its age were wrong: the process is there.
    let attached = call.send(start(&daemon, &body)).await.json();
    assert_eq!(
        (&attached["attached"], &attached["id"]),
        (&json!(true), &json!(call.uuid().to_string()))
    );
    assert_eq!(processes(&daemon).await["total"], 1);
}

/// Head and the beginning of a body of which the rest does not come.
async fn broken_off(daemon: &Daemon, call: &ToolCall, body: &[u8]) {
    let mut head = format!(
        "POST {ROOT}/start HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n",
        daemon.address,
        daemon.token(),
        body.len()
    );
    for (name, value) in call.headers() {
        head.extend([name, ": ", &value, "\r\n"]);
    }
    head += "\r\n";
    let mut stream = TcpStream::connect(&daemon.address)
        .await
        .expect("it listens");
    let half = &body[..body.len() / 2];
    stream
        .write_all(&[head.as_bytes(), half].concat())
        .await
        .expect("it reads");
    stream.shutdown().await.expect("it is open");
    // It has noticed when it closes, too.
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_run() {
    let daemon = daemon();
    let call = ToolCall::new(1, 1, "a");
    let command = format!("echo x >> '{}'", file_in(&daemon).display());
    let body = json!({"command": command, "wait_ms": 60_000});
    let bytes = serde_json::to_vec(&body).expect("JSON");
    for _ in 0..3 {
        broken_off(&daemon, &call, &bytes).await;
    }
    eventually_async("the next one runs", async || {
        let answer = call.send(start(&daemon, &body)).await;
        let interrupted = answer.json()["code"] == "tool_call_interrupted";
        assert!(answer.status == 200 || interrupted, "{answer:?}");
        answer.status == 200
    })
    .await;
    assert_eq!(lines(&file_in(&daemon)), ["x"]);
}
