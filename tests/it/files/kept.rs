//! What outlives a daemon, and what goes with a mount: mounts that are kept, directories that were materialized.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use reqwest::Method;
use serde_json::{Value, json};

use super::helpers::{names, query, ran};
use crate::support::daemon::{Daemon, Home, json as answer};

async fn post(daemon: &Daemon, route: &str, body: Value) -> (u16, Value) {
    answer(daemon.post(&format!("/api/v0/{route}"), body).await).await
}

async fn mount(daemon: &Daemon, body: Value) -> Value {
    let (status, made) = post(daemon, "mounts", body.clone()).await;
    assert_eq!(status, 201, "{body}: {made}");
    made
}

async fn described(daemon: &Daemon, id: &Value) -> Value {
    let id = id.as_str().expect("an id");
    answer(daemon.get(&format!("/api/v0/mounts/{id}")).await)
        .await
        .1
}

async fn remove(daemon: &Daemon, id: &Value) {
    let id = id.as_str().expect("an id");
    let path = format!("/api/v0/mounts/{id}");
    let removed = daemon.request(Method::DELETE, &path).send().await;
    assert_eq!(removed.expect("an answer").status(), 204);
}

async fn get(daemon: &Daemon, route: &str, path: impl AsRef<Path>) -> (u16, String) {
    let path = query(path.as_ref());
    let got = daemon.get(&format!("/api/v0/{route}?path={path}")).await;
    (got.status().as_u16(), got.text().await.expect("a body"))
}

async fn write(daemon: &Daemon, path: &str, text: &'static str) {
    let path = query(Path::new(path));
    let request = daemon.request(Method::POST, &format!("/api/v0/write-file?path={path}"));
    let written = request.body(text).send().await.expect("an answer");
    assert_eq!(written.status(), 200);
}

/// A repository with one commit of one file, `a`.
fn repository(at: &Path) -> PathBuf {
    let at = at.join("repository");
    fs::create_dir(&at).expect("made");
    fs::write(at.join("a"), "one").expect("written");
    git(&at, &["init", "-q"]);
    commit(&at);
    at
}

fn git(at: &Path, arguments: &[&str]) {
    let user = ["-c", "user.name=a", "-c", "user.email=a@b", "-C"];
    let at = [at.to_str().expect("text")];
    assert!(
        ran("git", &[&user, &at[..], arguments].concat()),
        "{arguments:?}"
    );
}

fn commit(at: &Path) {
    git(at, &["add", "-A"]);
    git(at, &["commit", "-qm", "a"]);
}

#[tokio::test]
async fn mounts_that_are_kept_are_made_again_and_others_are_not() {
    let (home, work) = (Home::new(), tempfile::tempdir().expect("a directory"));
    let repository = repository(work.path());
    let shared = work.path().join("shared");
    fs::create_dir(&shared).expect("made");
    fs::write(shared.join("a"), "shared").expect("written");
    let daemon = Daemon::start_in(&home, &[]);
    let orders = [
        json!({"at": "/host", "provider": "host", "directory": shared, "mode": "ro", "keep": true}),
        json!({"at": "/git", "provider": "git", "repository": repository, "keep": true}),
        json!({"at": "/memory", "provider": "memory", "quota_bytes": 12345, "keep": true}),
        json!({"at": "/memory/below", "provider": "memory", "keep": true}),
    ];
    let mut made = Vec::new();
    for order in orders {
        made.push(mount(&daemon, order).await);
    }
    let other = mount(&daemon, json!({"at": "/gone", "provider": "memory"})).await;
    assert_eq!(
        (&made[0]["keep"], &other["keep"]),
        (&json!(true), &json!(false))
    );
    write(&daemon, "/memory/a", "text").await;
    let records = home.state().join("mounts");
    for record in fs::read_dir(&records).expect("there").flatten() {
        let mode = record.metadata().expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // The branch moves on; the mount does not, also not by a restart.
    fs::write(repository.join("a"), "two").expect("written");
    commit(&repository);
    let home = daemon.crash();
    let daemon = Daemon::start_in(&home, &[]);
    for before in &made {
        let after = described(&daemon, &before["id"]).await;
        for field in [
            "at",
            "provider",
            "mode",
            "state",
            "keep",
            "created_at",
            "source",
        ] {
            assert_eq!(after[field], before[field], "{field} of {after}");
        }
        let memory = before["provider"] == "memory";
        assert_eq!(after["contents_lost"] == true, memory, "{after}");
    }
    assert_eq!(
        get(&daemon, "read-file", "/host/a").await,
        (200, "shared".into())
    );
    assert_eq!(
        get(&daemon, "read-file", "/git/a").await,
        (200, "one".into())
    );
    assert_eq!(get(&daemon, "stat", "/memory/a").await.0, 404);
    assert_eq!(get(&daemon, "stat", "/memory/below").await.0, 200);
    assert_eq!(get(&daemon, "stat", "/gone").await.0, 404);
    for gone in &made {
        remove(&daemon, &gone["id"]).await;
    }
    assert!(names(&records).is_empty());
    assert!(daemon.stop().success());
    let daemon = Daemon::start_in(&home, &[]);
    let (_, left) = answer(daemon.get("/api/v0/mounts").await).await;
    assert_eq!(
        left["mounts"].as_array().expect("a list").len(),
        1,
        "{left}"
    );
}

#[tokio::test]
async fn a_kept_mount_that_cannot_be_made_again_says_why() {
    let (home, work) = (Home::new(), tempfile::tempdir().expect("a directory"));
    let shared = work.path().join("shared");
    fs::create_dir(&shared).expect("made");
    let daemon = Daemon::start_in(&home, &[]);
    let order = json!({"at": "/kept", "provider": "host", "directory": shared, "keep": true});
    let made = mount(&daemon, order.clone()).await;
    assert!(daemon.stop().success());
    fs::remove_dir(&shared).expect("removed");
    let daemon = Daemon::start_in(&home, &[]);
    let failed = described(&daemon, &made["id"]).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    assert!(
        failed["error"]
            .as_str()
            .is_some_and(|error| error.contains("shared")),
        "{failed}"
    );
    // It is in the way, and neither empty nor missing.
    let (status, listed) = get(&daemon, "list", "/").await;
    assert!(status == 200 && listed.contains("\"kept\""), "{listed}");
    for route in ["stat", "read-file"] {
        assert_eq!(get(&daemon, route, "/kept/a").await.0, 500, "{route}");
    }
    assert_eq!(post(&daemon, "mounts", order).await.0, 409);
    // Its cause is mended: the next start has it.
    assert!(daemon.stop().success());
    fs::create_dir(&shared).expect("made");
    let daemon = Daemon::start_in(&home, &[]);
    assert_eq!(described(&daemon, &made["id"]).await["state"], "ready");
    remove(&daemon, &made["id"]).await;
}

#[tokio::test]
async fn what_was_materialized_under_a_name_of_ours_goes_with_its_mount() {
    let (home, work) = (Home::new(), tempfile::tempdir().expect("a directory"));
    let below = work.path().to_str().expect("text");
    let daemon = Daemon::start_in(&home, &["--materialize-dir", below]);
    let order = json!({"at": "/memory", "provider": "memory", "keep": true});
    let made = mount(&daemon, order).await;
    write(&daemon, "/memory/d/a", "text").await;
    let (status, ours) = post(&daemon, "materialize", json!({"path": "/memory/d"})).await;
    assert_eq!(status, 200, "{ours}");
    let to = work.path().join("theirs");
    let body = json!({"path": "/memory/d", "to": to});
    assert_eq!(post(&daemon, "materialize", body).await.0, 200);
    let ours = PathBuf::from(ours["host_path"].as_str().expect("a path"));
    assert_eq!(fs::read(ours.join("a")).expect("there"), b"text");
    // The daemon may come and go: a program may work there.
    let home = daemon.crash();
    let daemon = Daemon::start_in(&home, &["--materialize-dir", below]);
    assert!(ours.exists());
    remove(&daemon, &made["id"]).await;
    assert_eq!(names(work.path()), ["theirs"]);
    assert!(names(&home.state().join("materialized")).is_empty());
}

#[tokio::test]
async fn extended_attributes_go_along_or_are_told_to_be_lost() {
    let (home, work) = (Home::new(), tempfile::tempdir().expect("a directory"));
    let source = work.path().join("source");
    fs::create_dir(&source).expect("made");
    fs::write(source.join("a"), "text").expect("written");
    for path in [&source, &source.join("a")] {
        let path = path.to_str().expect("text");
        if !ran("setfattr", &["-n", "user.note", "-v", "kept", path]) {
            return; // no file system for this
        }
    }
    let daemon = Daemon::start_in(&home, &[]);
    mount(&daemon, json!({"at": "/memory", "provider": "memory"})).await;
    let other = work.path().join("other");
    fs::create_dir(&other).expect("made");
    mount(
        &daemon,
        json!({"at": "/host", "provider": "host", "directory": other}),
    )
    .await;
    let noted = |path: &Path| {
        let path = path.to_str().expect("text");
        ran("getfattr", &["-n", "user.note", path])
    };
    let (status, copied) = post(&daemon, "copy", json!({"from": source, "to": "/memory/s"})).await;
    assert_eq!(
        (status, &copied["lost"]),
        (200, &json!(["xattrs"])),
        "{copied}"
    );
    let (status, copied) = post(&daemon, "copy", json!({"from": source, "to": "/host/s"})).await;
    assert_eq!((status, &copied["lost"]), (200, &json!([])), "{copied}");
    for path in ["s", "s/a"] {
        assert!(noted(&other.join(path)), "{path}");
    }
    // A right of a program (`vfs_cap_data`, capabilities(7)) is lost as set-id bits are, and that is told.
    let program = work.path().join("program");
    fs::write(&program, "").expect("written");
    let value = "0x0100000200040000000000000000000000000000";
    let path = program.to_str().expect("text");
    if ran(
        "setfattr",
        &["-n", "security.capability", "-v", value, path],
    ) {
        let body = json!({"from": program, "to": "/host/program"});
        let (status, copied) = post(&daemon, "copy", body).await;
        assert_eq!(
            (status, &copied["lost"]),
            (200, &json!(["xattrs"])),
            "{copied}"
        );
    }
    let (status, moved) = post(&daemon, "move", json!({"from": source, "to": "/host/t"})).await;
    assert_eq!((status, &moved["lost"]), (200, &Value::Null), "{moved}");
    for path in ["t", "t/a"] {
        assert!(noted(&other.join(path)), "{path}");
    }
}
