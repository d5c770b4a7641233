//! What lies behind a path: memory, commits, mounts in mounts, file systems that tell nothing.

use std::{fs, path::Path};

use reqwest::Method;
use serde_json::{Value, json};

use super::mirror::{Mirror, next, route};
use crate::{
    files::{
        helpers::{query, ran},
        shown::Shown,
    },
    support::daemon::{Daemon, Socket, json as answer},
};

async fn mount(daemon: &Daemon, body: Value) {
    let (status, answer) = answer(daemon.post("/api/v0/mounts", body).await).await;
    assert_eq!(status, 201, "{answer}");
}

async fn post(daemon: &Daemon, name: &str, body: Value) {
    let (status, answer) = answer(daemon.post(&format!("/api/v0/{name}"), body).await).await;
    assert_eq!(status, 200, "{name}: {answer}");
}

async fn write(daemon: &Daemon, path: &Path) {
    let route = format!("/api/v0/write-file?path={}", query(path));
    let request = daemon.request(Method::POST, &route).body("content");
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

/// What is told until a path was.
async fn until(socket: &mut Socket, root: &Path, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let below = |value: &Value| {
        let path = Path::new(value.as_str()?)
            .strip_prefix(root)
            .expect("below");
        Some(path.display().to_string())
    };
    while lines
        .last()
        .is_none_or(|line: &String| !line.ends_with(last))
    {
        let message = next(socket).await.expect("the watch goes on");
        for event in message["events"].as_array().expect("events") {
            let from = below(&event["from"]).map_or_else(String::new, |from| format!("{from} > "));
            let kind = event["type"].as_str().expect("a type");
            lines.push(format!(
                "{kind} {from}{}",
                below(&event["path"]).expect("a path")
            ));
        }
    }
    lines
}

async fn watched(daemon: &Daemon, root: &Path) -> (Socket, Value) {
    let path = route(root, "&coalesce_ms=0&ignore=false");
    let mut socket = daemon.websocket(&path).await.expect("it is watched");
    let first = next(&mut socket).await.expect("a first message");
    assert_eq!(first["ready"], true);
    (socket, first)
}

#[tokio::test]
async fn mounts_below_are_watched_as_if_there_were_none() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("tree");
    fs::create_dir_all(root.join("real/mem")).expect("directories");
    let memory = json!({"at": root.join("real/mem"), "provider": "memory"});
    mount(&daemon, memory).await;
    let made_up = root.join("made/up/mem");
    mount(&daemon, json!({"at": made_up, "provider": "memory"})).await;
    let (mut socket, _) = watched(&daemon, &root).await;
    let steps = [
        ("real/mem/a", "create real/mem/a"),
        ("made/up/mem/b", "create made/up/mem/b"),
        ("real/mem/d/e/f", "create real/mem/d/e/f"),
    ];
    for (name, line) in steps {
        write(&daemon, &root.join(name)).await;
        let told = until(&mut socket, &root, name).await;
        assert!(told.contains(&line.to_owned()), "{told:?}");
    }
    let at = |name: &str| root.join(name);
    post(
        &daemon,
        "move",
        json!({"from": at("real/mem/d"), "to": at("real/mem/g")}),
    )
    .await;
    let told = until(&mut socket, &root, "real/mem/g").await;
    assert_eq!(told.last().expect("one"), "rename real/mem/d > real/mem/g");
    post(
        &daemon,
        "chmod",
        json!({"path": at("real/mem/g/e/f"), "mode": "0600"}),
    )
    .await;
    let told = until(&mut socket, &root, "real/mem/g/e/f").await;
    assert_eq!(told, ["attrib real/mem/g/e/f"]);
    post(
        &daemon,
        "remove",
        json!({"path": at("real/mem/g"), "recursive": true}),
    )
    .await;
    let told = until(&mut socket, &root, "real/mem/g").await;
    assert_eq!(told.last().expect("one"), "remove real/mem/g");
    // What the machine has behind a mount point is hidden.
    fs::write(root.join("real/mem/hidden"), "").expect("a file");
    fs::write(root.join("real/shown"), "").expect("a file");
    let told = until(&mut socket, &root, "real/shown").await;
    assert_eq!(told, ["create real/shown"]);
}

#[tokio::test]
async fn who_watches_is_told_to_come_back_when_something_is_mounted_there() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("tree");
    let beside = daemon.home().path().join("beside");
    fs::create_dir_all(root.join("below")).expect("directories");
    fs::create_dir(&beside).expect("a directory");
    let (mut socket, _) = watched(&daemon, &root).await;
    let (mut other, _) = watched(&daemon, &beside).await;
    mount(
        &daemon,
        json!({"at": root.join("below/mem"), "provider": "memory"}),
    )
    .await;
    let told = next(&mut socket).await.expect("a message");
    let event = &told["events"][0];
    assert_eq!(
        (&event["type"], &event["reason"], &event["path"]),
        (&json!("overflow"), &json!("restart"), &json!(root))
    );
    assert_eq!(next(&mut socket).await, Err(1000));
    let cursor = told["cursor"].as_str().expect("a cursor");
    let more = format!("&coalesce_ms=0&cursor={cursor}");
    let mut socket = daemon.websocket(&route(&root, &more)).await.expect("again");
    assert_eq!(next(&mut socket).await.expect("a message")["ready"], true);
    write(&daemon, &root.join("below/mem/a")).await;
    let told = until(&mut socket, &root, "below/mem/a").await;
    assert_eq!(told.last().expect("one"), "create below/mem/a");
    fs::write(beside.join("b"), "").expect("a file");
    let told = until(&mut other, &beside, "b").await;
    assert_eq!(told, ["create b"], "others go on");
}

#[tokio::test]
async fn a_commit_never_changes_and_what_is_mounted_in_it_does() {
    let daemon = Daemon::start(&[]);
    let repository = daemon.home().path().join("repo");
    fs::create_dir_all(repository.join("src")).expect("directories");
    fs::write(repository.join("src/f"), "1").expect("a file");
    let at = repository.to_str().expect("text");
    for args in [
        &["init", "-q"][..],
        &["add", "."],
        &[
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "commit",
            "-q",
            "-m",
            "one",
        ],
    ] {
        assert!(ran("git", &[&["-C", at], args].concat()));
    }
    mount(
        &daemon,
        json!({"at": "/before", "provider": "git", "repository": repository}),
    )
    .await;
    mount(
        &daemon,
        json!({"at": "/before/src/mem", "provider": "memory"}),
    )
    .await;
    let root = Path::new("/before");
    let (mut socket, _) = watched(&daemon, root).await;
    fs::write(repository.join("src/f"), "2").expect("a file");
    write(&daemon, Path::new("/before/src/mem/a")).await;
    assert_eq!(
        until(&mut socket, root, "mem/a").await,
        ["create src/mem/a"]
    );
}

#[tokio::test]
async fn memory_follows_a_storm() {
    let daemon = Daemon::start(&[]);
    mount(&daemon, json!({"at": "/mem", "provider": "memory"})).await;
    let root = Path::new("/mem");
    let (mut socket, _) = watched(&daemon, root).await;
    for index in 0..100 {
        write(&daemon, &root.join(format!("d{}/f{index}", index % 5))).await;
    }
    post(&daemon, "copy", json!({"from": "/mem/d0", "to": "/mem/c"})).await;
    write(&daemon, Path::new("/mem/end")).await;
    let told = until(&mut socket, root, "end").await;
    for index in 0..100 {
        assert!(told.contains(&format!("create d{}/f{index}", index % 5)));
    }
    assert!(told.contains(&"create c/f5".to_owned()), "{told:?}");
}

#[tokio::test]
async fn a_file_system_that_tells_nothing_is_looked_at() {
    let daemon = Daemon::start(&[]);
    let (behind, root) = (
        daemon.home().path().join("behind"),
        daemon.home().path().join("front"),
    );
    fs::create_dir_all(behind.join("d")).expect("directories");
    fs::create_dir_all(&root).expect("a directory");
    fs::write(behind.join("d/f"), "1").expect("a file");
    let Some(_shown) = Shown::start(&behind, &root) else {
        return;
    };
    let (mut socket, first) = watched(&daemon, &root).await;
    assert_eq!(first["polled"], true);
    drop(socket.close(None).await);
    // From above as well: the mark is of all that is watched.
    let mut mirror = Mirror::start(&daemon, &root, "&ignore=false").await;
    for (work, line) in [
        ("new", "create d/new"),
        ("longer", "modify d/f"),
        ("gone", "remove d/new"),
    ] {
        match work {
            "new" => fs::write(behind.join("d/new"), "").expect("a file"),
            "longer" => fs::write(behind.join("d/f"), "longer").expect("a file"),
            _ => fs::remove_file(behind.join("d/new")).expect("it is there"),
        }
        while !mirror.told().contains(&line.to_owned()) {
            mirror.take().await;
        }
    }
    fs::create_dir_all(behind.join("x/y")).expect("directories");
    fs::write(behind.join("x/y/z"), "").expect("a file");
    fs::remove_dir_all(behind.join("d")).expect("removed");
    mirror.agree().await;
    assert_eq!(mirror.known.len(), 3);
}
