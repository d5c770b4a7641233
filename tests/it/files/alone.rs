//! What the daemon holds after thousands of mounts and hundreds of idle uploads is what it held before.

use std::{fs, path::Path};

use reqwest::Method;
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::helpers::{Case, names, query};
use crate::support::{
    daemon::{Daemon, json as answer},
    eventually,
};

const MOUNTS: usize = 10_000;
const UPLOADS: usize = 250;
const SEARCHES: usize = 24;

fn count(pid: u32, folder: &str) -> usize {
    names(Path::new(&format!("/proc/{pid}/{folder}"))).len()
}

fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.expect("its size").split_whitespace().next();
    number.expect("a number").parse().expect("a number")
}

async fn mount_and_remove(daemon: &Daemon, number: usize, directory: &Path) {
    let body = if number.is_multiple_of(2) {
        json!({"at": format!("/m{number}"), "provider": "memory"})
    } else {
        json!({"at": format!("/m{number}"), "provider": "host", "directory": directory})
    };
    let (status, made) = answer(daemon.post("/api/v0/mounts", body).await).await;
    assert_eq!(status, 201, "{made}");
    let path = format!("/api/v0/mounts/{}", made["id"].as_str().expect("an id"));
    let removed = daemon.request(Method::DELETE, &path).send().await;
    assert_eq!(removed.expect("an answer").status(), 204);
}

#[tokio::test]
async fn ten_thousand_mounts_leave_nothing() {
    let case = Case::new();
    let pid = case.daemon.pid();
    for number in 0..MOUNTS / 10 {
        mount_and_remove(&case.daemon, number, case.work.path()).await;
    }
    let before = (count(pid, "fd"), count(pid, "task"), resident(pid));
    for number in 0..MOUNTS {
        mount_and_remove(&case.daemon, number, case.work.path()).await;
    }
    eventually("descriptors and threads are level", || {
        count(pid, "fd") <= before.0 && count(pid, "task") <= before.1 + 1
    })
    .await;
    let grown = resident(pid).saturating_sub(before.2);
    assert!(grown < 4096, "{grown} KiB more are resident");
    let state = case.daemon.home().state();
    assert!(names(&state.join("mounts")).is_empty());
}

/// A connection on which an upload has begun and nothing follows.
async fn idle(case: &Case, route: &str, more: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&case.daemon.address)
        .await
        .expect("connected");
    let head = format!(
        "PUT /api/v0/{route}?path={}{more} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: 1000000\r\n\r\n",
        query(case.work.path()),
        case.daemon.address,
        case.daemon.token(),
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream.write_all(&[0; 600]).await.expect("sent");
    stream
}

#[tokio::test]
async fn idle_uploads_block_nobody_and_leave_nothing() {
    let case = Case::new();
    let file = case.file("file", "text");
    let pid = case.daemon.pid();
    // Whatever a first request takes for good.
    assert_eq!(case.write(&file, "", "text").await.0, 200);
    let before = count(pid, "fd");
    let mut uploads = Vec::new();
    for number in 0..UPLOADS {
        let (route, more) = match number % 4 {
            0 => ("archive", String::new()),
            1 => ("write-file", "/file&append=true".to_owned()),
            2 => ("write-file", format!("/new-{number}")),
            _ => ("write-file", "/file".to_owned()),
        };
        uploads.push(idle(&case, route, &more).await);
    }
    // None of them holds a lock, and none a turn that a short request needs.
    assert_eq!(case.write(&file, "", "other").await.0, 200);
    assert_eq!(case.read(&file, "").await.status(), 200);
    drop(uploads);
    eventually("everything of theirs is gone", || {
        count(pid, "fd") <= before + 2 && case.names() == ["file"]
    })
    .await;
    assert_eq!(fs::read(&file).expect("there"), b"other");
    // The notes of unfinished files are struck out, and no record of an archive is left.
    assert!(names(&case.daemon.home().state().join("moves")).is_empty());
}

#[tokio::test]
async fn long_searches_keep_nobody_waiting() {
    let case = Case::new();
    for number in 0..2000 {
        case.file(&format!("f{number}"), "a needle\n".repeat(2000));
    }
    let address = &case.daemon.address;
    let body = json!({"root": case.work.path(), "pattern": "needle", "limit": 100_000, "max_bytes": 64 << 20})
        .to_string();
    let mut searches = Vec::new();
    for _ in 0..SEARCHES {
        // Nobody reads what it finds, so it never ends by itself.
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let head = format!(
            "POST /api/v0/search HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\nAccept: application/x-ndjson\r\nContent-Length: {}\r\n\r\n{body}",
            case.daemon.token(),
            body.len()
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        stream.readable().await.expect("open");
        searches.push(stream);
    }
    let written = case.write(case.path("new"), "", "text").await;
    assert_eq!(written.0, 200, "{}", written.1);
    assert_eq!(case.read(case.path("new"), "").await.status(), 200);
}
