//! What the machine does not let the daemon do, by every route: as a user without rights, on file systems that take no writes,
//! and on full ones. Each answer says why, and nothing is left behind.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use super::helpers::{Case, names, query, ran};
use crate::support::daemon::json as answer;

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
}

/// Files and directories that are root's, in a directory that is everybody's.
fn closed_places(case: &Case) {
    for (name, mode) in [("unreadable", 0o600), ("readable", 0o644)] {
        set(&case.file(name, "text\n"), mode);
    }
    for (name, mode) in [
        ("closed", 0o700),
        ("passable", 0o711),
        ("listable", 0o744),
        ("fixed", 0o755),
        ("sticky", 0o1777),
    ] {
        let directory = case.path(name);
        fs::create_dir(&directory).expect("made");
        fs::write(directory.join("file"), "text\n").expect("written");
        set(&directory, mode);
    }
}

/// One file in a tar.
fn archive() -> Vec<u8> {
    let directory = tempfile::tempdir().expect("a directory");
    fs::write(directory.path().join("new"), vec![b'x'; 2 << 20]).expect("written");
    let out = directory.path().join("tar");
    let text = |path: &Path| path.to_str().expect("text").to_owned();
    let arguments = ["-cf", &text(&out), "-C", &text(directory.path()), "new"];
    assert!(ran("tar", &arguments));
    fs::read(out).expect("there")
}

async fn get(case: &Case, route: &str, path: &Path, more: &str) -> (u16, Value) {
    let field = if route == "glob" { "root" } else { "path" };
    let path = format!("/api/v0/{route}?{field}={}{more}", query(path));
    let sent = case.daemon.get(&path).await;
    let status = sent.status().as_u16();
    let body = sent.bytes().await.unwrap_or_default();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Every request that writes at a path, with what it would make there.
async fn write_everything(case: &Case, at: &Path, source: &Path) -> Vec<(String, u16, Value)> {
    let (file, new) = (at.join("file"), at.join("new"));
    let mut said = Vec::new();
    let tar = archive();
    for (method, route, path, body) in [
        ("POST", "write-file", &file, vec![b'x'; 2 << 20]),
        ("POST", "write-file", &new, vec![b'x'; 2 << 20]),
        ("PUT", "archive", &at.to_owned(), tar),
    ] {
        for more in ["", "&append=true"] {
            if route == "archive" && !more.is_empty() {
                continue;
            }
            let path = format!("/api/v0/{route}?path={}{more}", query(path));
            let method = Method::from_bytes(method.as_bytes()).expect("a method");
            let sent = case.daemon.request(method, &path).body(body.clone());
            let (status, body) = answer(sent.send().await.expect("an answer")).await;
            said.push((format!("{route}{more}"), status, body));
        }
    }
    let large = "y".repeat(2 << 20);
    let edits = json!([{"old_text": "text", "new_text": large}]);
    for (route, body) in [
        (
            "edit-files",
            json!({"files": [{"path": file, "edits": edits}]}),
        ),
        ("copy", json!({"from": source, "to": new})),
        (
            "copy",
            json!({"from": source, "to": file, "overwrite": true}),
        ),
        ("move", json!({"from": source, "to": new})),
        ("materialize", json!({"path": source.parent(), "to": new})),
        ("mkdir", json!({"path": new})),
        ("touch", json!({"path": new})),
        ("touch", json!({"path": file})),
        ("chmod", json!({"path": file, "mode": "777"})),
        ("move", json!({"from": file, "to": at.join("other")})),
        ("remove", json!({"path": file})),
    ] {
        let path = format!("/api/v0/{route}");
        let (status, body) = answer(case.daemon.post(&path, body).await).await;
        said.push((route.to_owned(), status, body));
    }
    said
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn a_plain_user_is_told_403_by_every_route_that_reads() {
    let Some(case) = Case::as_plain_user() else {
        return;
    };
    closed_places(&case);
    let at = |name: &str| case.path(name);
    let denied = (403, "permission_denied");
    let whole = (200, "");
    for (route, name, more, due) in [
        ("read-file", "unreadable", "", denied),
        ("read-file", "unreadable", "&limit=1", denied),
        ("read-file", "closed/file", "", denied),
        ("read-file", "closed/none", "", denied),
        ("read-file", "passable/file", "", whole),
        ("read-file", "passable/none", "", (404, "not_found")),
        ("read-file", "listable/file", "", denied),
        (
            "read-file-lines",
            "unreadable",
            "",
            (200, "permission_denied"),
        ),
        (
            "read-file-lines",
            "closed/file",
            "",
            (200, "permission_denied"),
        ),
        ("read-file-lines", "passable/file", "", whole),
        ("stat", "unreadable", "", whole),
        ("stat", "unreadable", "&digest=sha256", denied),
        ("stat", "closed", "", whole),
        ("stat", "closed/file", "", denied),
        ("stat", "passable/file", "&digest=sha256", whole),
        ("resolve-path", "closed/file", "", denied),
        ("resolve-path", "passable/none", "", whole),
        ("list", "closed", "", denied),
        ("list", "passable", "", denied),
        ("list", "listable", "&metadata=false", whole),
        ("list", "fixed", "", whole),
        ("glob", "closed", "&pattern=*", denied),
        ("glob", "passable", "&pattern=*", denied),
        ("archive", "closed", "", denied),
        ("archive", "passable", "", denied),
        ("files/watch", "closed", "", denied),
        ("files/watch", "passable", "", denied),
    ] {
        let (status, body) = get(&case, route, &at(name), more).await;
        let code = body["code"].as_str().unwrap_or_default();
        assert_eq!((status, code), due, "{route} {name}{more}: {body}");
    }
    let (_, entry) = get(&case, "stat", &at("readable"), "").await;
    assert_eq!(entry["writable"], false);
    let (_, listed) = get(&case, "list", &at("listable"), "").await;
    assert_eq!(listed["errors"][0]["code"], "permission_denied", "{listed}");
    let (_, listed) = get(&case, "list", case.work.path(), "&depth=2").await;
    assert_eq!(
        listed["entries"].as_array().map(Vec::len),
        Some(9),
        "{listed}"
    );
    for (name, status) in [("closed", 403), ("passable", 403), ("fixed", 200)] {
        let request = case.request(Method::POST, "list-directory", at(name), "");
        assert_eq!(request.send().await.expect("an answer").status(), status);
    }
    for (root, status, errors) in [
        ("closed", 403, 0),
        ("passable", 403, 0),
        ("unreadable", 200, 1),
        ("", 200, 1),
    ] {
        let body = json!({"root": at(root), "pattern": "text"});
        let (said, body) = answer(case.daemon.post("/api/v0/search", body).await).await;
        assert_eq!(said, status, "{root}: {body}");
        let told = body["errors"].as_array().map_or(0, Vec::len);
        assert!(told >= errors, "{root}: {body}");
        assert_eq!(
            body["end"]["skipped"]["unreadable"].as_u64().unwrap_or(0),
            told as u64
        );
    }
    // Half a tree is never taken for a whole one.
    let path = format!("/api/v0/archive?path={}", query(case.work.path()));
    let sent = case.daemon.get(&path).await;
    assert!(sent.status() == 403 || sent.bytes().await.is_err());
}

#[tokio::test]
async fn a_plain_user_is_told_403_by_every_route_that_writes() {
    let Some(case) = Case::as_plain_user() else {
        return;
    };
    closed_places(&case);
    let source = case.path("source");
    fs::create_dir(&source).expect("made");
    let source = source.join("file");
    fs::write(&source, "text\n").expect("written");
    for name in ["closed", "fixed", "passable"] {
        for (route, status, body) in write_everything(&case, &case.path(name), &source).await {
            assert_eq!(
                (status, &body["code"]),
                (403, &json!("permission_denied")),
                "{route} {name}: {body}"
            );
        }
        assert_eq!(names(&case.path(name)), ["file"], "{name}");
        assert_eq!(
            fs::read(case.path(name).join("file")).expect("there"),
            b"text\n"
        );
    }
    let mixed = case.path("mixed");
    fs::create_dir(&mixed).expect("made");
    fs::write(mixed.join("ok"), "text").expect("written");
    fs::write(mixed.join("unreadable"), "text").expect("written");
    set(&mixed.join("unreadable"), 0o600);
    let (unreadable, sticky) = (case.path("unreadable"), case.path("sticky/file"));
    let edits = json!([{"old_text": "text", "new_text": "other"}]);
    for (route, body) in [
        (
            "edit-files",
            json!({"files": [{"path": unreadable, "edits": edits}]}),
        ),
        (
            "edit-files",
            json!({"files": [{"path": case.path("readable"), "edits": edits}]}),
        ),
        ("copy", json!({"from": unreadable, "to": case.path("new")})),
        ("move", json!({"from": sticky, "to": case.path("new")})),
        ("remove", json!({"path": sticky})),
        ("chmod", json!({"path": unreadable, "mode": "644"})),
        ("touch", json!({"path": unreadable})),
        (
            "materialize",
            json!({"path": case.path("closed"), "to": case.path("new")}),
        ),
        (
            "materialize",
            json!({"path": mixed, "to": case.path("new")}),
        ),
        (
            "mounts",
            json!({"at": "/m", "provider": "host", "directory": case.path("closed/x")}),
        ),
        (
            "mounts",
            json!({"at": "/m", "provider": "git", "repository": case.path("closed/x")}),
        ),
    ] {
        let path = format!("/api/v0/{route}");
        let (status, said) = answer(case.daemon.post(&path, body.clone()).await).await;
        assert_eq!(status, 403, "{route} {body}: {said}");
        assert_eq!(said["code"], "permission_denied", "{route} {body}: {said}");
    }
    assert_eq!(names(&case.path("source")), ["file"], "nothing is left");
    assert!(!case.names().contains(&"new".to_owned()));
}

/// A file system of the machine in memory, taken away when this is dropped.
struct Disk(PathBuf);

impl Disk {
    /// None where we may not mount.
    fn new(at: PathBuf, options: &str) -> Option<Self> {
        fs::create_dir(&at).expect("made");
        let text = at.to_str().expect("text");
        let made = ran("mount", &["-t", "tmpfs", "-o", options, "none", text]);
        made.then_some(Self(at))
    }

    fn again(&self, options: &str) {
        let text = self.0.to_str().expect("text");
        assert!(ran("mount", &["-o", &format!("remount,{options}"), text]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        ran("umount", &["-l", self.0.to_str().expect("text")]);
    }
}

#[tokio::test]
async fn where_nothing_can_be_written_every_route_says_so() {
    let case = Case::new();
    let Some(disk) = Disk::new(case.path("disk"), "size=8m") else {
        return;
    };
    let source = case.path("source");
    fs::create_dir(&source).expect("made");
    let source = source.join("file");
    fs::write(&source, "text\n").expect("written");
    fs::write(disk.0.join("file"), "text\n").expect("written");
    disk.again("ro");
    let body = json!({"at": "/ro", "provider": "host", "directory": disk.0, "mode": "ro"});
    let (status, _) = answer(case.daemon.post("/api/v0/mounts", body).await).await;
    assert_eq!(status, 201);
    for at in [disk.0.as_path(), Path::new("/ro")] {
        for (route, status, body) in write_everything(&case, at, &source).await {
            assert_eq!(
                (status, &body["code"]),
                (403, &json!("read_only")),
                "{route} {at:?}: {body}"
            );
        }
        let entry = get(&case, "stat", &at.join("file"), "").await.1;
        assert_eq!(entry["writable"], false, "{entry}");
    }
    assert_eq!(names(&disk.0), ["file"]);
    assert_eq!(fs::read(&source).expect("there"), b"text\n");
    // A mount that takes nothing says so before a byte of the body is asked for.
    let path = format!("/api/v0/write-file?path={}", query(Path::new("/ro/new")));
    let asked = case.daemon.request(Method::PUT, &path);
    let asked = asked
        .header("Expect", "100-continue")
        .body(vec![0; 1 << 20]);
    assert_eq!(asked.send().await.expect("an answer").status(), 403);
}

#[tokio::test]
async fn a_full_disk_is_told_by_every_route_and_nothing_is_left_on_it() {
    let case = Case::new();
    let Some(disk) = Disk::new(case.path("disk"), "size=1m,nr_inodes=40") else {
        return;
    };
    let source = case.path("source");
    fs::create_dir(&source).expect("made");
    let source = source.join("file");
    fs::write(&source, vec![b's'; 2 << 20]).expect("written");
    fs::write(disk.0.join("file"), "text\n").expect("written");
    let may_pass = ["mkdir", "touch", "chmod", "move", "remove"];
    for (route, status, body) in write_everything(&case, &disk.0, &source).await {
        if status == 507 {
            assert_eq!(body["code"], "no_space", "{route}: {body}");
        } else {
            assert!(
                may_pass.contains(&route.as_str()),
                "{route} {status}: {body}"
            );
        }
    }
    assert_eq!(names(&disk.0), ["new", "other"]);
    assert_eq!(fs::metadata(&source).expect("there").len(), 2 << 20);
    // And when there are no further names.
    let mut count = 0;
    while fs::write(disk.0.join(format!("{count}")), "").is_ok() {
        count += 1;
    }
    let before = names(&disk.0);
    let text = STANDARD.encode(disk.0.join("one").as_os_str().as_encoded_bytes());
    for (route, body) in [
        ("mkdir", json!({"path_base64": text})),
        ("touch", json!({"path_base64": text})),
        ("copy", json!({"from": disk.0.join("0"), "to_base64": text})),
    ] {
        let path = format!("/api/v0/{route}");
        let (status, said) = answer(case.daemon.post(&path, body).await).await;
        assert_eq!(
            (status, &said["code"]),
            (507, &json!("no_space")),
            "{route}"
        );
    }
    let (status, said) = case.write(disk.0.join("one/two"), "", "x").await;
    assert_eq!((status, &said["code"]), (507, &json!("no_space")), "{said}");
    assert_eq!(names(&disk.0), before);
}
