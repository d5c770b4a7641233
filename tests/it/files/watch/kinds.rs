//! What is told of ordinary work, word by word.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use reqwest::Method;
use serde_json::{Value, json};

use super::mirror::{Mirror, route};
use crate::{
    files::helpers::query,
    support::daemon::{Daemon, json as answer},
};

fn directory(daemon: &Daemon, name: &str) -> std::path::PathBuf {
    let root = daemon.home().path().join(name);
    fs::create_dir(&root).expect("a directory");
    root
}

/// Does something, then makes a file and waits until that is told.
async fn told(mirror: &mut Mirror, work: impl FnOnce(&Path)) -> Vec<String> {
    work(&mirror.root);
    fs::write(mirror.root.join("mark"), "").expect("a file");
    mirror.until("mark").await;
    mirror.agree().await;
    let mut told = mirror.told();
    fs::remove_file(mirror.root.join("mark")).expect("it is there");
    mirror.until("mark").await;
    mirror.told();
    told.retain(|line| !line.ends_with(" mark"));
    told
}

/// What is done below a directory, and the events that tell of it.
type Case = (Box<dyn FnOnce(&Path)>, &'static [&'static str]);

#[tokio::test]
async fn each_kind_of_change_has_its_word() {
    let daemon = Daemon::start(&[]);
    let root = directory(&daemon, "kinds");
    fs::create_dir(root.join("d")).expect("a directory");
    fs::write(root.join("f"), "1").expect("a file");
    fs::write(daemon.home().path().join("outside"), "1").expect("a file");
    let outside = daemon.home().path().to_owned();
    let mut mirror = Mirror::start(&daemon, &root, "").await;
    let mut cases: Vec<Case> = Vec::new();
    cases.push((
        Box::new(|root| fs::write(root.join("f"), "22").expect("written")),
        &["modify f"],
    ));
    cases.push((
        Box::new(|root| {
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(root.join("f"), mode).expect("changed");
        }),
        &["attrib f"],
    ));
    cases.push((
        Box::new(|root| fs::rename(root.join("f"), root.join("d/g")).expect("renamed")),
        &["rename f > d/g"],
    ));
    cases.push((
        Box::new(|root| symlink("d/g", root.join("l")).expect("a link")),
        &["create l"],
    ));
    cases.push((
        Box::new(|root| fs::rename(root.join("d"), root.join("e")).expect("renamed")),
        &["rename d > e"],
    ));
    let from = outside.clone();
    cases.push((
        Box::new(move |root| fs::rename(from.join("outside"), root.join("in")).expect("renamed")),
        &["create in"],
    ));
    let to = outside.clone();
    cases.push((
        Box::new(move |root| fs::rename(root.join("in"), to.join("outside")).expect("renamed")),
        &["remove in"],
    ));
    let from = outside.clone();
    cases.push((
        Box::new(move |root| fs::rename(from.join("outside"), root.join("e/g")).expect("renamed")),
        &["modify e/g"],
    ));
    cases.push((
        Box::new(|root| fs::remove_file(root.join("l")).expect("removed")),
        &["remove l"],
    ));
    cases.push((
        Box::new(|root| fs::remove_dir_all(root.join("e")).expect("removed")),
        &["remove e"],
    ));
    for (work, expected) in cases {
        let mut lines = told(&mut mirror, work).await;
        // The directory is told to be gone last; that of what was in it may come before.
        lines.retain(|line| line != "remove e/g");
        assert_eq!(lines, expected);
    }
}

#[tokio::test]
async fn what_came_and_went_within_a_window_is_nothing() {
    let daemon = Daemon::start(&[]);
    let root = directory(&daemon, "brief");
    let mut mirror = Mirror::start(&daemon, &root, "&coalesce_ms=2000").await;
    let lines = told(&mut mirror, |root| {
        fs::create_dir(root.join("x")).expect("made");
        fs::write(root.join("x/f"), "1").expect("written");
        fs::remove_dir_all(root.join("x")).expect("removed");
        fs::write(root.join("y"), "1").expect("written");
        fs::remove_file(root.join("y")).expect("removed");
    })
    .await;
    assert_eq!(lines, [""; 0]);
}

#[tokio::test]
async fn editors_that_save_by_rename_change_one_file() {
    let daemon = Daemon::start(&[]);
    let root = directory(&daemon, "editors");
    fs::write(root.join("f"), "1").expect("a file");
    let mut mirror = Mirror::start(&daemon, &root, "&coalesce_ms=1000").await;
    let lines = told(&mut mirror, |root| {
        fs::write(root.join("f.tmp"), "2").expect("a file");
        fs::rename(root.join("f.tmp"), root.join("f")).expect("in place");
    })
    .await;
    assert_eq!(lines, ["modify f"]);
    let lines = told(&mut mirror, |root| {
        fs::rename(root.join("f"), root.join("f~")).expect("set aside");
        fs::write(root.join("f"), "3").expect("a file");
    })
    .await;
    assert_eq!(lines, ["rename f > f~", "create f"]);
    let lines = told(&mut mirror, |root| {
        fs::rename(root.join("f"), root.join("f~")).expect("set aside");
        fs::write(root.join("f"), "4").expect("a file");
        fs::remove_file(root.join("f~")).expect("removed");
    })
    .await;
    // The same names are there as before.
    assert!(lines.iter().any(|line| line.ends_with(" f")), "{lines:?}");
    assert_eq!(mirror.overflows, [] as [Value; 0]);
}

#[tokio::test]
async fn what_the_api_writes_is_told_without_its_drafts() {
    let daemon = Daemon::start(&[]);
    let root = directory(&daemon, "drafts");
    fs::write(root.join("old"), "1").expect("a file");
    let mut mirror = Mirror::start(&daemon, &root, "").await;
    for name in ["old", "new"] {
        let at = query(&root.join(name));
        let request = daemon.request(Method::POST, &format!("/api/v0/write-file?path={at}"));
        assert_eq!(
            request
                .body("content")
                .send()
                .await
                .expect("an answer")
                .status(),
            200
        );
    }
    let body = json!({"from": root.join("old"), "to": root.join("moved")});
    assert_eq!(answer(daemon.post("/api/v0/move", body).await).await.0, 200);
    let body = json!({"path": root.join("new")});
    assert_eq!(
        answer(daemon.post("/api/v0/remove", body).await).await.0,
        200
    );
    mirror.until("moved").await;
    mirror.agree().await;
    let told = mirror.told();
    assert!(told.iter().all(|line| !line.contains("deskd")), "{told:?}");
    assert_eq!(mirror.known.len(), 1);
}

#[tokio::test]
async fn names_of_any_bytes_are_told() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let daemon = Daemon::start(&[]);
    let root = directory(&daemon, "bytes");
    let mut socket = daemon
        .websocket(&route(&root, "&coalesce_ms=200"))
        .await
        .expect("watched");
    super::mirror::next(&mut socket).await.expect("ready");
    let broken = root.join(OsStr::from_bytes(b"a\xff"));
    let lines = root.join("two\nlines");
    fs::write(&broken, "").expect("a file");
    let message = super::mirror::next(&mut socket).await.expect("events");
    assert_eq!(
        message["events"][0]["path"],
        format!("{}/a\u{fffd}", root.display())
    );
    assert!(message["events"][0]["path_base64"].is_string());
    fs::rename(&broken, &lines).expect("renamed");
    let message = super::mirror::next(&mut socket).await.expect("events");
    let event = &message["events"][0];
    assert_eq!(
        (&event["type"], &event["path"]),
        (&json!("rename"), &json!(lines))
    );
    assert!(event["from_b64"].is_string() && event["path_base64"].is_null());
}

#[tokio::test]
async fn without_recursion_only_the_directory_itself_is_watched() {
    let daemon = Daemon::start(&[]);
    let root = directory(&daemon, "flat");
    fs::create_dir(root.join("d")).expect("a directory");
    let mut mirror = Mirror::start(&daemon, &root, "&recursive=false").await;
    fs::write(root.join("d/below"), "").expect("a file");
    fs::rename(root.join("d"), root.join("e")).expect("renamed");
    mirror.until("e").await;
    assert_eq!(mirror.told(), ["rename d > e"]);
}

#[tokio::test]
async fn what_cannot_be_watched_is_said() {
    let daemon = Daemon::start(&[]);
    let root = directory(&daemon, "refused");
    let file = root.join("file");
    fs::write(&file, "").expect("written");
    symlink("loop", root.join("loop")).expect("a link");
    let code = async |path: &Path| {
        let (status, body) = answer(daemon.get(&route(path, "")).await).await;
        (status, body["code"].as_str().expect("a code").to_owned())
    };
    let pid = daemon.pid();
    let state = daemon.home().state();
    for (path, status, word) in [
        (file.as_path(), 400, "not_a_directory"),
        (&root.join("none"), 404, "not_found"),
        (&root.join("loop"), 400, "link_loop"),
        (Path::new("relative"), 400, "path_not_absolute"),
        (Path::new("/proc/self/root/tmp"), 403, "magic_link"),
        (
            Path::new(&format!("/proc/{pid}/task")),
            403,
            "reserved_path",
        ),
        (&state, 403, "reserved_path"),
        (Path::new("/proc/sys"), 400, "not_supported"),
    ] {
        assert_eq!(
            code(path).await,
            (status, word.to_owned()),
            "{}",
            path.display()
        );
    }
    for (more, field) in [
        ("&coalesce_ms=5001", "coalesce_ms"),
        ("&wait_ms=-1", "wait_ms"),
        ("&recursive=maybe", "recursive"),
        ("&other=1", "other"),
        ("&glob=%5B", "glob[0]"),
        ("&cursor=7", "cursor"),
    ] {
        let (status, body) = answer(daemon.get(&route(&root, more)).await).await;
        assert_eq!(
            (status, &body["validations"][0]["field"]),
            (400, &json!(field)),
            "{body}"
        );
    }
}
