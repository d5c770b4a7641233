//! Several mounts in one tree: which one serves a path, what memory holds, links between them, and moves from each to each.

use std::{
    fs,
    os::unix::fs::symlink,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::helpers::{names, query, ran};
use crate::support::daemon::{Daemon, json as answer};

async fn post(daemon: &Daemon, route: &str, body: Value) -> (u16, Value) {
    answer(daemon.post(&format!("/api/v0/{route}"), body).await).await
}

async fn mount(daemon: &Daemon, body: Value) -> String {
    let (status, made) = post(daemon, "mounts", body).await;
    assert_eq!(status, 201, "{made}");
    made["id"].as_str().expect("an id").to_owned()
}

async fn unmount(daemon: &Daemon, id: &str) {
    let request = daemon.request(Method::DELETE, &format!("/api/v0/mounts/{id}"));
    assert_eq!(request.send().await.expect("an answer").status(), 204);
}

async fn write(daemon: &Daemon, path: &str, content: impl Into<reqwest::Body>) -> (u16, Value) {
    let path = format!("/api/v0/write-file?path={}", query(Path::new(path)));
    let request = daemon.request(Method::PUT, &path).body(content);
    answer(request.send().await.expect("an answer")).await
}

async fn read(daemon: &Daemon, path: &str) -> (u16, Vec<u8>) {
    let path = format!("/api/v0/read-file?path={}", query(Path::new(path)));
    let sent = daemon.get(&path).await;
    let status = sent.status().as_u16();
    (status, sent.bytes().await.expect("whole").to_vec())
}

async fn held(daemon: &Daemon, id: &str) -> u64 {
    let (_, body) = answer(daemon.get(&format!("/api/v0/mounts/{id}")).await).await;
    body["stats"]["bytes"].as_u64().expect("a number")
}

fn refused((status, body): (u16, Value), due: u16, code: &str) {
    assert_eq!((status, &body["code"]), (due, &json!(code)), "{body}");
}

#[tokio::test]
async fn memory_holds_its_quota_to_the_byte_and_gives_it_back() {
    const QUOTA: u64 = 100_000;
    let daemon = Daemon::start(&["--memory-mounts", "150000"]);
    let body = json!({"at": "/one", "provider": "memory", "quota_bytes": QUOTA, "max_entries": 4});
    let one = mount(&daemon, body).await;
    let body = json!({"at": "/two", "provider": "memory", "quota_bytes": QUOTA});
    let two = mount(&daemon, body).await;
    let (status, _) = write(&daemon, "/one/a", vec![1; 1000]).await;
    assert_eq!(status, 200);
    let before = held(&daemon, &one).await;
    let room = usize::try_from(QUOTA - before - (before - 1000)).expect("small");
    refused(
        write(&daemon, "/one/b", vec![2; room + 1]).await,
        507,
        "quota_exceeded",
    );
    assert_eq!(held(&daemon, &one).await, before);
    let (status, body) = write(&daemon, "/one/b", vec![2; room]).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(held(&daemon, &one).await, QUOTA);
    refused(
        post(&daemon, "mkdir", json!({"path": "/one/c"})).await,
        507,
        "quota_exceeded",
    );
    refused(
        write(&daemon, "/one/a", vec![3; 1001]).await,
        507,
        "quota_exceeded",
    );
    assert_eq!(read(&daemon, "/one/a").await, (200, vec![1; 1000]));
    // Both together hold no more than the daemon was given.
    refused(
        write(&daemon, "/two/a", vec![4; 60_000]).await,
        507,
        "quota_exceeded",
    );
    assert_eq!(
        post(&daemon, "remove", json!({"path": "/one/b"})).await.0,
        200
    );
    assert_eq!(held(&daemon, &one).await, before);
    assert_eq!(write(&daemon, "/two/a", vec![4; 60_000]).await.0, 200);
    for name in ["x", "y", "z"] {
        let path = format!("/one/{name}");
        assert_eq!(post(&daemon, "touch", json!({"path": path})).await.0, 200);
    }
    refused(
        post(&daemon, "touch", json!({"path": "/one/w"})).await,
        507,
        "quota_exceeded",
    );
    unmount(&daemon, &two).await;
    let body = json!({"at": "/two", "provider": "memory", "quota_bytes": QUOTA});
    mount(&daemon, body).await;
    assert_eq!(write(&daemon, "/two/a", vec![4; 90_000]).await.0, 200);
}

#[tokio::test]
async fn a_reader_of_memory_outlives_a_replacement_and_many_files_fit() {
    let daemon = Daemon::start(&[]);
    let id = mount(&daemon, json!({"at": "/m", "provider": "memory"})).await;
    let old: Vec<u8> = (0..=255).cycle().take(16 << 20).collect();
    assert_eq!(write(&daemon, "/m/f", old.clone()).await.0, 200);
    let reader = daemon.get("/api/v0/read-file?path=/m/f").await;
    let mut parts = reader.bytes_stream();
    let mut came = parts.next().await.expect("a part").expect("bytes").to_vec();
    assert_eq!(write(&daemon, "/m/f", "new").await.0, 200);
    assert_eq!(
        post(&daemon, "remove", json!({"path": "/m/f"})).await.0,
        200
    );
    while let Some(part) = parts.next().await {
        came.extend_from_slice(&part.expect("bytes"));
    }
    assert!(came == old, "the reader got the version that it opened");
    let directory = tempfile::tempdir().expect("a directory");
    for number in 0..10_000 {
        fs::write(directory.path().join(format!("{number}")), "x").expect("written");
    }
    let body = json!({"from": directory.path(), "to": "/m/many"});
    let (status, copied) = post(&daemon, "copy", body).await;
    assert_eq!(
        (status, &copied["files"]),
        (200, &json!(10_000)),
        "{copied}"
    );
    let listed = daemon.get("/api/v0/list?path=/m/many&limit=100000").await;
    let (_, listed) = answer(listed).await;
    assert_eq!(listed["entries"].as_array().map(Vec::len), Some(10_000));
    let body = json!({"path": "/m/many", "recursive": true});
    assert_eq!(post(&daemon, "remove", body).await.0, 200);
    assert_eq!(held(&daemon, &id).await, 0);
}

#[tokio::test]
async fn the_nearest_mount_serves_and_hides_what_is_below() {
    let work = tempfile::tempdir().expect("a directory");
    let at = |name: &str| work.path().join(name).to_str().expect("text").to_owned();
    fs::create_dir_all(at("a/b")).expect("made");
    fs::create_dir_all(at("a/bc")).expect("made");
    fs::write(at("a/b/below"), "machine").expect("written");
    fs::write(at("a/bc/f"), "machine").expect("written");
    fs::write(at("file"), "machine").expect("written");
    symlink("file", at("link")).expect("linked");
    let daemon = Daemon::start(&[]);
    let memory = |path: &str| json!({"at": path, "provider": "memory"});
    let outer = mount(&daemon, memory(&at("a/b"))).await;
    let inner = mount(&daemon, memory(&at("a/b/c/d"))).await;
    assert_eq!(write(&daemon, &at("a/b/f"), "outer").await.0, 200);
    assert_eq!(write(&daemon, &at("a/b/c/d/f"), "inner").await.0, 200);
    assert_eq!(read(&daemon, &at("a/b/below")).await.0, 404);
    assert_eq!(read(&daemon, &at("a/bc/f")).await, (200, b"machine".into()));
    assert_eq!(
        read(&daemon, &at("a/b/c/d/../../f")).await,
        (200, b"outer".into())
    );
    assert_eq!(
        read(&daemon, &at("a/b/c/d/f")).await,
        (200, b"inner".into())
    );
    unmount(&daemon, &outer).await;
    assert_eq!(
        read(&daemon, &at("a/b/c/d/f")).await,
        (200, b"inner".into())
    );
    assert_eq!(
        read(&daemon, &at("a/b/below")).await,
        (200, b"machine".into())
    );
    unmount(&daemon, &inner).await;
    assert_eq!(read(&daemon, &at("a/b/c/d/f")).await.0, 404);
    let over = mount(&daemon, memory(&at("file"))).await;
    refused(
        answer(
            daemon
                .get(&format!(
                    "/api/v0/read-file?path={}",
                    query(at("file").as_ref())
                ))
                .await,
        )
        .await,
        400,
        "not_a_file",
    );
    assert_eq!(write(&daemon, &at("link/new"), "through").await.0, 200);
    assert_eq!(
        read(&daemon, &at("file/new")).await,
        (200, b"through".into())
    );
    unmount(&daemon, &over).await;
    assert_eq!(read(&daemon, &at("link")).await, (200, b"machine".into()));
    refused(
        post(&daemon, "mounts", memory(&at("link"))).await,
        400,
        "mount_point_is_link",
    );
    refused(
        post(&daemon, "mounts", memory(&at("link/x"))).await,
        400,
        "mount_point_is_link",
    );
    assert_eq!(names(work.path()), ["a", "file", "link"]);
}

#[tokio::test]
async fn forty_links_lead_through_mounts_and_no_more() {
    let one = tempfile::tempdir().expect("a directory");
    let two = tempfile::tempdir().expect("a directory");
    fs::write(one.path().join("end"), "text").expect("written");
    for number in 0..41 {
        let (here, there) = if number % 2 == 0 {
            (&one, "/two")
        } else {
            (&two, "/one")
        };
        let next = if number == 40 {
            "/one/end".to_owned()
        } else {
            format!("{there}/{}", number + 1)
        };
        symlink(next, here.path().join(number.to_string())).expect("linked");
    }
    let daemon = Daemon::start(&[]);
    for (at, directory) in [("/one", &one), ("/two", &two)] {
        let body = json!({"at": at, "provider": "host", "directory": directory.path()});
        mount(&daemon, body).await;
    }
    assert_eq!(
        read(&daemon, "/two/1").await,
        (200, b"text".into()),
        "forty"
    );
    for route in ["read-file", "stat", "resolve-path"] {
        let sent = daemon.get(&format!("/api/v0/{route}?path=/one/0")).await;
        refused(answer(sent).await, 400, "link_loop");
    }
}

/// A small tree at a path.
async fn grow(daemon: &Daemon, at: &str) {
    assert_eq!(write(daemon, &format!("{at}/d/f"), "one").await.0, 200);
    assert_eq!(
        write(daemon, &format!("{at}/run"), vec![7; 300_000])
            .await
            .0,
        200
    );
    let body = json!({"path": format!("{at}/run"), "mode": "750"});
    assert_eq!(post(daemon, "chmod", body).await.0, 200);
}

async fn shape(daemon: &Daemon, at: &str) -> Vec<(String, String, Value)> {
    let path = format!("/api/v0/list?path={at}&depth=9");
    let (_, listed) = answer(daemon.get(&path).await).await;
    let entries = listed["entries"].as_array().expect("entries").iter();
    let about = entries.map(|entry| {
        let path = entry["path"].as_str().expect("text")[at.len()..].to_owned();
        let mode = entry["mode"].as_str().expect("a mode").to_owned();
        let size = if entry["type"] == "file" {
            entry["size"].clone()
        } else {
            Value::Null
        };
        (path, mode, size)
    });
    about.collect()
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn trees_go_from_every_mount_to_every_other() {
    let work = tempfile::tempdir().expect("a directory");
    let path = |name: &str| work.path().join(name);
    fs::create_dir(path("h1")).expect("made");
    fs::create_dir(path("h2")).expect("made");
    fs::create_dir(path("repo")).expect("made");
    let repo = path("repo").to_str().expect("text").to_owned();
    assert!(ran("git", &["init", "-q", &repo]));
    fs::write(path("repo/f"), "of a commit").expect("written");
    assert!(ran("git", &["-C", &repo, "add", "f"]));
    let who = [
        "-c",
        "user.name=x",
        "-c",
        "user.email=x@localhost",
        "-C",
        &repo,
    ];
    assert!(ran("git", &[&who[..], &["commit", "-qm", "one"]].concat()));
    let daemon = Daemon::start(&[]);
    for (at, name) in [("/h1", "h1"), ("/h2", "h2")] {
        mount(
            &daemon,
            json!({"at": at, "provider": "host", "directory": path(name)}),
        )
        .await;
    }
    mount(
        &daemon,
        json!({"at": "/git", "provider": "git", "repository": path("repo")}),
    )
    .await;
    for at in ["/m1", "/m2"] {
        mount(&daemon, json!({"at": at, "provider": "memory"})).await;
    }
    for from in ["/h1", "/h2", "/m1", "/m2"] {
        for to in ["/h1", "/h2", "/m1", "/m2"] {
            let (source, target) = (format!("{from}/s"), format!("{to}/t"));
            grow(&daemon, &source).await;
            let due = shape(&daemon, &source).await;
            assert_eq!(due.len(), 3, "{due:?}");
            let (status, copied) =
                post(&daemon, "copy", json!({"from": source, "to": target})).await;
            assert_eq!((status, &copied["files"]), (200, &json!(2)), "{copied}");
            assert_eq!(shape(&daemon, &target).await, due, "{from} {to}");
            let again = post(&daemon, "move", json!({"from": source, "to": target})).await;
            refused(again, 409, "already_exists");
            let moved = format!("{to}/u");
            let (status, body) = post(&daemon, "move", json!({"from": source, "to": moved})).await;
            assert_eq!(status, 200, "{body}");
            assert_eq!(shape(&daemon, &moved).await, due, "{from} {to}");
            assert_eq!(read(&daemon, &format!("{source}/d/f")).await.0, 404);
            for path in [target, moved] {
                let body = json!({"path": path, "recursive": true});
                assert_eq!(post(&daemon, "remove", body).await.0, 200);
            }
        }
        let to = format!("{from}/g");
        refused(
            post(&daemon, "move", json!({"from": "/git/f", "to": to})).await,
            403,
            "read_only",
        );
        assert_eq!(
            post(&daemon, "copy", json!({"from": "/git/f", "to": to}))
                .await
                .0,
            200
        );
        assert_eq!(read(&daemon, &to).await, (200, b"of a commit".into()));
    }
    assert_eq!(names(&path("h1")), ["g"]);
    assert_eq!(names(&path("h2")), ["g"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_while_it_moves_stays_or_goes_whole() {
    let work = tempfile::tempdir().expect("a directory");
    let daemon = Daemon::start(&[]);
    mount(&daemon, json!({"at": "/m", "provider": "memory"})).await;
    for round in 0..8 {
        let source = work.path().join(format!("s{round}"));
        fs::create_dir(&source).expect("made");
        for number in 0..10 {
            fs::write(source.join(format!("f{number}")), vec![1; 20_000]).expect("written");
        }
        let over = Arc::new(AtomicBool::new(false));
        let (stop, changing) = (Arc::clone(&over), source.join("f9"));
        let (begun, begins) = tokio::sync::oneshot::channel();
        let writer = tokio::task::spawn_blocking(move || {
            let mut begun = Some(begun);
            for size in 0_u64.. {
                let file = fs::OpenOptions::new().write(true).open(&changing);
                let file = file.and_then(|file| file.set_len(20_000 + size % 1000));
                if stop.load(Ordering::Relaxed) || file.is_err() {
                    return;
                }
                if let Some(begun) = begun.take() {
                    begun.send(()).expect("awaited");
                }
            }
        });
        begins.await.expect("it began");
        let to = format!("/m/t{round}");
        let (status, body) = post(&daemon, "move", json!({"from": source, "to": to})).await;
        let there = daemon
            .get(&format!("/api/v0/list?path={to}"))
            .await
            .status();
        over.store(true, Ordering::Relaxed);
        writer.await.expect("it ends");
        assert_eq!(
            (status, &body["code"]),
            (409, &json!("changed_meanwhile")),
            "{body}"
        );
        assert_eq!(there.as_u16(), 404);
        assert_eq!(names(&source).len(), 10);
        let (status, _) = post(&daemon, "move", json!({"from": source, "to": to})).await;
        assert_eq!(
            (status, source.exists()),
            (200, false),
            "when it keeps still"
        );
    }
    assert_eq!(names(work.path()), Vec::<String>::new());
}
