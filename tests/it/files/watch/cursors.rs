//! Coming back: long polls, server-sent events, cursors of other days, clients that are slow or gone.

use std::{fs, path::Path, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};

use super::mirror::{Mirror, next, route};
use crate::support::daemon::{Daemon, json as answer};

async fn poll(daemon: &Daemon, root: &Path, more: &str) -> Value {
    let (status, body) = answer(daemon.get(&route(root, more)).await).await;
    assert_eq!(status, 200, "{body}");
    body
}

fn cursor(message: &Value) -> String {
    format!("&cursor={}", message["cursor"].as_str().expect("a cursor"))
}

fn told(message: &Value) -> Vec<(String, String)> {
    let pair = |event: &Value| {
        let path = Path::new(event["path"].as_str().expect("a path"));
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (event["type"].as_str().expect("a type").to_owned(), name)
    };
    message["events"]
        .as_array()
        .expect("events")
        .iter()
        .map(pair)
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(kind, name): &(&str, &str)| ((*kind).to_owned(), (*name).to_owned());
    pairs.iter().map(owned).collect()
}

#[tokio::test]
async fn a_poll_goes_on_where_the_last_ended() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("polled");
    fs::create_dir(&root).expect("a directory");
    let first = poll(&daemon, &root, "").await;
    assert_eq!(
        (&first["ready"], &first["events"]),
        (&json!(true), &json!([]))
    );
    fs::write(root.join("a"), "1").expect("written");
    fs::create_dir(root.join("d")).expect("made");
    let second = poll(&daemon, &root, &cursor(&first)).await;
    assert_eq!(told(&second), pairs(&[("create", "a"), ("create", "d")]));
    fs::rename(root.join("a"), root.join("d/b")).expect("renamed");
    let third = poll(&daemon, &root, &cursor(&second)).await;
    assert_eq!(told(&third), pairs(&[("rename", "b")]));
    assert_eq!(third["events"][0]["from"], json!(root.join("a")));
    // Nothing happens: the poll waits, and its cursor goes on.
    let fourth = poll(&daemon, &root, &format!("{}&wait_ms=50", cursor(&third))).await;
    assert_eq!(fourth["events"], json!([]));
    fs::remove_file(root.join("d/b")).expect("removed");
    let fifth = poll(&daemon, &root, &cursor(&fourth)).await;
    assert_eq!(told(&fifth), pairs(&[("remove", "b")]));
    // The same cursor once more gives the same.
    let again = poll(&daemon, &root, &cursor(&fourth)).await;
    assert_eq!(told(&again), told(&fifth));

    let home = daemon.crash();
    let daemon = Daemon::start_in(&home, &[]);
    let late = poll(&daemon, &root, &cursor(&fifth)).await;
    let event = &late["events"][0];
    assert_eq!(
        (&event["type"], &event["reason"]),
        (&json!("overflow"), &json!("restart"))
    );
    assert_eq!(event["path"], json!(root));
    // The stream goes on.
    fs::write(root.join("later"), "").expect("written");
    let more = poll(&daemon, &root, &cursor(&late)).await;
    assert_eq!(told(&more), pairs(&[("create", "later")]));
}

/// What server-sent events bring, from the beginning or after one.
async fn listen(
    daemon: &Daemon,
    root: &Path,
    last: Option<&str>,
) -> impl Stream<Item = reqwest::Result<Bytes>> + use<> {
    let mut request = daemon.request(Method::GET, &route(root, "&coalesce_ms=0"));
    request = request.header("accept", "text/event-stream");
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let patience = Duration::from_secs(170);
    let answer = request.timeout(patience).send().await.expect("an answer");
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    answer.bytes_stream()
}

/// Reads whole events until one has a text; gives all since the last look that had it.
async fn until(
    stream: &mut (impl Stream<Item = reqwest::Result<Bytes>> + Unpin),
    word: &str,
) -> String {
    let mut text = String::new();
    loop {
        let piece = stream.next().await.expect("more").expect("whole");
        text.push_str(str::from_utf8(&piece).expect("text"));
        let whole = text.ends_with("\n\n");
        if whole && text.contains(word) {
            return text;
        }
        if whole {
            text.clear();
        }
    }
}

#[tokio::test]
async fn server_sent_events_go_on_after_the_last_one() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("events");
    fs::create_dir(&root).expect("a directory");
    let mut stream = Box::pin(listen(&daemon, &root, None).await);
    until(&mut stream, "\"ready\":true").await;
    fs::write(root.join("one"), "").expect("written");
    let text = until(&mut stream, "/one").await;
    let id = text
        .lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .next_back();
    let id = id.expect("an id").to_owned();
    drop(stream);
    fs::write(root.join("two"), "").expect("written");
    let mut stream = Box::pin(listen(&daemon, &root, Some(&id)).await);
    let text = until(&mut stream, "/two").await;
    assert!(
        !text.contains("/one") && !text.contains("overflow"),
        "{text}"
    );
}

#[tokio::test]
async fn many_clients_share_one_watch() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("shared");
    fs::create_dir(&root).expect("a directory");
    let mut sockets = Vec::new();
    for _ in 0..50 {
        let mut socket = daemon
            .websocket(&route(&root, "&coalesce_ms=0"))
            .await
            .expect("watched");
        assert_eq!(next(&mut socket).await.expect("a message")["ready"], true);
        sockets.push(socket);
    }
    assert_eq!(watches(&daemon), 1);
    fs::write(root.join("f"), "").expect("written");
    for socket in &mut sockets {
        assert_eq!(
            next(socket).await.expect("a message")["events"][0]["type"],
            "create"
        );
    }
}

#[tokio::test]
async fn a_daemon_that_stops_says_so() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("stopped");
    fs::create_dir(&root).expect("a directory");
    let mut mirror = Mirror::start(&daemon, &root, "").await;
    let stopped = tokio::task::spawn_blocking(move || daemon.stop());
    assert_eq!(next(&mut mirror.socket).await, Err(1001));
    assert!(stopped.await.expect("it ends").success());
}

/// Descriptors of the daemon by which the kernel tells of changes.
fn watches(daemon: &Daemon) -> usize {
    let fds = fs::read_dir(format!("/proc/{}/fd", daemon.pid())).expect("descriptors");
    let is_watch = |fd: &fs::DirEntry| {
        fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains("inotify"))
    };
    fds.flatten().filter(is_watch).count()
}

/// Threads of the daemon that wait for changes.
fn threads(daemon: &Daemon) -> usize {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("tasks");
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm"));
    let names = tasks.flatten().flat_map(name);
    names.filter(|name| name.trim() == "watch").count()
}

mod patience {
    use super::*;

    #[tokio::test]
    async fn who_has_gone_leaves_nothing_after_a_minute() {
        let daemon = Daemon::start(&[]);
        for round in 0..3 {
            for index in 0..10 {
                let root = daemon.home().path().join(format!("left{index}"));
                fs::create_dir_all(root.join("a/b")).expect("directories");
                let mut mirror = Mirror::start(&daemon, &root, "&coalesce_ms=0").await;
                let name = format!("a/b/f{round}");
                fs::write(root.join(&name), "").expect("a file");
                mirror.until(&name).await;
            }
            assert!(watches(&daemon) <= 10, "they are shared");
        }
        let mut ticks = tokio::time::interval(Duration::from_millis(500));
        for _ in 0..180 {
            ticks.tick().await;
            if watches(&daemon) == 0 && threads(&daemon) == 0 {
                break;
            }
        }
        assert_eq!((watches(&daemon), threads(&daemon)), (0, 0));
    }

    #[tokio::test]
    async fn who_is_too_slow_or_too_late_is_told_so() {
        const FILES: usize = 125_000;
        let daemon = Daemon::start(&[]);
        let root = daemon.home().path().join("slow");
        fs::create_dir(&root).expect("a directory");
        let first = poll(&daemon, &root, "").await;
        let mut stream = Box::pin(listen(&daemon, &root, None).await);
        until(&mut stream, "\"ready\":true").await;
        let here = root.clone();
        // Long names fill the buffers between daemon and client.
        let work = tokio::task::spawn_blocking(move || {
            for index in 0..FILES {
                let name = here.join(format!("{index:0200}"));
                fs::File::create(name).expect("a file");
            }
        });
        work.await.expect("all are made");
        // As soon as the last is told, the first are no longer kept: the ring is smaller.
        let mut fresh = Mirror::start(&daemon, &root, "").await;
        fresh.agree().await;
        let late = poll(&daemon, &root, &cursor(&first)).await;
        assert_eq!(late["events"][0]["reason"], "ring");
        let text = until(&mut stream, "overflow").await;
        assert!(text.contains("\"slow\""), "nothing else was lost");
        // The stream goes on.
        fs::write(root.join("after"), "").expect("a file");
        until(&mut stream, "/after").await;
    }
}
