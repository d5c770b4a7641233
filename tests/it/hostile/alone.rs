//! What the daemon holds after ten thousand requests and five hundred viewers is what it held before.

use std::{fs, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{io::AsyncReadExt, task::JoinSet};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    hostile::{Raw, eventually, held, is_empty},
    support::daemon::Daemon,
    vnc::Viewer,
};

const VNC: &str = "/api/v0/desktop/vnc";
const TASKS: usize = 10;

/// Descriptors, threads and kilobytes of a process.
#[derive(Clone, Copy, Debug)]
struct Level {
    descriptors: usize,
    threads: usize,
    resident: u64,
}

fn level(pid: u32) -> Level {
    let count = |folder| {
        let entries = fs::read_dir(format!("/proc/{pid}/{folder}"));
        entries.expect("a process").count()
    };
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.expect("its size").split_whitespace().next();
    Level {
        descriptors: count("fd"),
        threads: count("task"),
        resident: number.expect("a number").parse().expect("a number"),
    }
}

/// One of ten kinds of request, good and bad. Connections end with their client.
async fn request(daemon: &Daemon, client: &reqwest::Client, kind: usize) {
    let url = |path: &str| format!("http://{}{path}", daemon.address);
    let get = |path: &str| client.get(url(path)).bearer_auth(daemon.token());
    let post = |body: &str| {
        let request = client.post(url("/api/v0/desktop/action"));
        request.bearer_auth(daemon.token()).body(body.to_owned())
    };
    let (request, status) = match kind {
        0 => (client.get(url("/healthz")), 200),
        1 => (get("/api/v0/desktop/screenshot?width=64"), 200),
        2 => (
            post(r#"{"action": "left_click", "coordinate": [9, 9]}"#),
            200,
        ),
        3 => (post(r#"{"action": "fly"}"#), 400),
        4 => (get("/nowhere"), 404),
        5 => (client.get(url("/api/v0/desktop")), 401),
        6 => (get("/api/v0/desktop/input"), 200),
        7 => (get(VNC), 426),
        8 => return abort(daemon, "GET /api/v0/desktop/screenshot", "\r\n").await,
        _ => {
            return abort(
                daemon,
                "POST /api/v0/desktop/action",
                "Content-Length: 9\r\n\r\n{",
            )
            .await;
        }
    };
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), status, "kind {kind}");
    answer.bytes().await.expect("a whole body");
}

/// Asks and goes away without waiting, with a reset.
async fn abort(daemon: &Daemon, line: &str, rest: &str) {
    let mut raw = Raw::open(daemon).await;
    let head = raw.head(line);
    raw.send(head + rest).await;
    raw.reset();
}

async fn requests(daemon: &Arc<Daemon>, count: usize) {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let daemon = Arc::clone(daemon);
        tasks.spawn(async move {
            let client = reqwest::Client::new();
            for kind in 0..count / TASKS {
                request(&daemon, &client, kind % 10).await;
            }
        });
    }
    tasks.join_all().await;
}

/// One viewer that comes, and goes in one of four ways.
async fn viewer(daemon: &Daemon, kind: usize) {
    let mut socket = daemon.websocket(VNC).await.expect("upgraded");
    match kind {
        0 => {
            socket.next().await.expect("a frame").expect("the greeting");
            socket.close(None).await.expect("sent");
            while let Some(Ok(_)) = socket.next().await {}
        }
        1 => {
            let version = Message::binary(b"RFB 003.0".to_vec());
            socket.send(version).await.expect("sent");
        }
        2 => {
            let mut viewer = Viewer::over(socket).await;
            viewer.client.key(0x61, true).await.expect("sent");
            viewer.client.request(false).await.expect("sent");
        }
        _ => {
            let mut viewer = Viewer::over(socket).await;
            viewer.client.send(&[5, 1, 0]).await.expect("sent");
        }
    }
}

async fn viewers(daemon: &Arc<Daemon>, count: usize) {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let daemon = Arc::clone(daemon);
        tasks.spawn(async move {
            for number in 0..count / TASKS {
                viewer(&daemon, (task + number) % 4).await;
            }
        });
    }
    tasks.join_all().await;
}

/// Waits until nobody is connected any more, and measures.
async fn drained(daemon: &Daemon, xvnc: u32) -> (Level, Level) {
    // A connection of its own: one that stays open in a pool would be counted.
    let gone = async || {
        let mut raw = Raw::open(daemon).await;
        let head = raw.head("GET /api/v0/desktop");
        raw.send(head + "Connection: close\r\n\r\n").await;
        let mut answer = String::new();
        raw.stream
            .read_to_string(&mut answer)
            .await
            .expect("an answer");
        answer.contains(r#""viewers":[]"#) && answer.contains(r#""input_held":false"#)
    };
    eventually("all viewers are gone", gone).await;
    (level(daemon.pid()), level(xvnc))
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_threads_and_memory_are_level() {
    let daemon = Arc::new(Daemon::start(&[]));
    let pid = daemon.started().await["pid"].as_u64().expect("a pid");
    let xvnc = u32::try_from(pid).expect("a pid");
    requests(&daemon, 500).await;
    viewers(&daemon, 40).await;
    let before = drained(&daemon, xvnc).await;
    requests(&daemon, 10_000).await;
    viewers(&daemon, 500).await;
    let mut after = before;
    eventually("descriptors and threads are level", async || {
        after = drained(&daemon, xvnc).await;
        after.0.descriptors <= before.0.descriptors
            && after.0.threads <= before.0.threads
            && after.1.descriptors <= before.1.descriptors
    })
    .await;
    println!("daemon and Xvnc before: {before:?}\nafter: {after:?}");
    let grown = after.0.resident.saturating_sub(before.0.resident);
    assert!(
        grown < 16 << 10,
        "{grown} KiB more: {before:?} became {after:?}"
    );
    let held = held(&daemon).await;
    assert!(
        is_empty(&held["held"]) && is_empty(&held["server"]),
        "{held}"
    );
    assert_eq!(daemon.desktop().await["restarts"], json!(0));
}
