//! Tool calls of files: large bodies, failures, the message number that all routes share.

use std::{fs, path::Path};

use reqwest::{Method, RequestBuilder};
use serde_json::json;

use super::{daemon, file_in, lines, processes};
use crate::support::{daemon::Daemon, tool_calls::ToolCall};

/// Last line of a file into which lines are inserted.
pub(super) const LAST: &str = "last";

fn write(daemon: &Daemon, file: &Path, query: &str) -> RequestBuilder {
    let path = format!("/api/v0/write-file?path={}{query}", file.display());
    daemon.request(Method::POST, &path)
}

pub(super) fn append(daemon: &Daemon, file: &Path, text: &str) -> RequestBuilder {
    write(daemon, file, "&append=true").body(format!("{text}\n"))
}

pub(super) fn insert(daemon: &Daemon, file: &Path, text: &str) -> RequestBuilder {
    if !file.exists() {
        fs::write(file, format!("{LAST}\n")).expect("a new file");
    }
    let edit = json!({"old_text": LAST, "new_text": format!("{text}\n{LAST}")});
    let request = daemon.request(Method::POST, "/api/v0/edit-files");
    request.json(&json!({"files": [{"path": file, "edits": [edit]}]}))
}

#[tokio::test]
async fn files_and_processes_share_the_newest_message() {
    let daemon = daemon();
    let file = file_in(&daemon);
    let stale = (409, "stale_tool_call".to_owned());
    let call = ToolCall::new(1, 5, "a");
    let written = call.send(append(&daemon, &file, "x")).await;
    assert_eq!(written.status, 200);
    let call = ToolCall::new(1, 4, "a");
    let late = call.send(processes::append(&daemon, &file, "y")).await;
    assert_eq!(late.refusal(), stale);
    let call = ToolCall::new(1, 6, "a");
    let started = call.send(processes::append(&daemon, &file, "z")).await;
    assert_eq!(started.status, 200);
    for late in [append(&daemon, &file, "x"), insert(&daemon, &file, "x")] {
        assert_eq!(ToolCall::new(1, 5, "a").send(late).await.refusal(), stale);
    }
    assert_eq!(lines(&file), ["x", "z"]);
}

#[tokio::test]
async fn a_failed_write_is_given_again_after_its_cause_is_mended() {
    let daemon = daemon();
    let blocked = daemon.home().path().join("blocked");
    fs::write(&blocked, "a file").expect("a new file");
    let below = blocked.join("x");
    let call = ToolCall::new(1, 1, "a");
    let first = call.send(append(&daemon, &below, "text")).await;
    assert_eq!(first.refusal(), (400, "not_a_directory".to_owned()));
    fs::remove_file(&blocked).expect("it is there");
    assert!(
        call.send(append(&daemon, &below, "text"))
            .await
            .repeats(&first)
    );
    assert!(!blocked.exists());
    let other = ToolCall::new(1, 1, "b");
    assert_eq!(
        other.send(append(&daemon, &below, "text")).await.status,
        200
    );
}

#[tokio::test]
async fn a_large_body_is_compared_and_written_once() {
    let daemon = daemon();
    let file = file_in(&daemon);
    let body: Vec<u8> = (0..8 << 20).map(|at: u32| at.to_le_bytes()[1]).collect();
    let call = ToolCall::new(1, 1, "a");
    let first = call
        .send(write(&daemon, &file, "").body(body.clone()))
        .await;
    assert_eq!(first.status, 200, "{}", first.json());
    fs::remove_file(&file).expect("it was written");
    let again = call
        .send(write(&daemon, &file, "").body(body.clone()))
        .await;
    assert!(again.repeats(&first));
    let mut other = body;
    *other.last_mut().expect("bytes") ^= 1;
    let other = call.send(write(&daemon, &file, "").body(other)).await;
    assert_eq!(other.refusal(), (409, "input_mismatch".to_owned()));
    assert!(!file.exists(), "no file is touched");
}

/// An archive of one empty file, `a`.
fn archive() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(0);
    header.set_mode(0o644);
    let added = archive.append_data(&mut header, "a", &[][..]);
    added.expect("packed");
    archive.into_inner().expect("packed")
}

#[tokio::test]
async fn an_archive_is_unpacked_once_and_its_call_can_be_cancelled() {
    let daemon = daemon();
    let into = daemon.home().path().join("into");
    let put = || {
        let path = format!("/api/v0/archive?path={}", into.display());
        daemon.request(Method::PUT, &path).body(archive())
    };
    let cancel = |call: &ToolCall| {
        let path = format!("/api/v0/archive/{}/cancel", call.uuid());
        daemon.request(Method::POST, &path)
    };
    let call = ToolCall::new(1, 1, "a");
    let first = call.send(put()).await;
    assert_eq!(first.status, 200, "{}", first.json());
    fs::remove_file(into.join("a")).expect("it was unpacked");
    assert!(call.send(put()).await.repeats(&first));
    assert!(!into.join("a").exists(), "it was not unpacked again");
    let ended = call.send(cancel(&call)).await;
    assert_eq!(
        (&ended.json()["started"], &ended.json()["status_code"]),
        (&json!(true), &json!(200))
    );
    let call = ToolCall::new(1, 2, "a");
    let never = call.send(cancel(&call)).await;
    assert_eq!(never.json()["started"], false);
    let late = call.send(put()).await;
    assert_eq!(late.refusal(), (409, "tool_call_canceled".to_owned()));
    assert!(!into.join("a").exists());
}
