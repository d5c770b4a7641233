//! Names of every kind in every place where one goes in or comes out: they are bytes, and stay what they are.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use futures_util::StreamExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    helpers::{Case, names, query, ran},
    watch::mirror::next,
};
use crate::support::daemon::{Daemon, json as answer};

/// All of them lie in one directory: those that look alike are not the same.
fn odd() -> Vec<Vec<u8>> {
    let mut odd: Vec<Vec<u8>> = [
        &b"plain"[..],
        b"two\nlines",
        b"tab\tbell\x07esc\x1b[31m\x7f",
        b"bad\xff",
        "bad\u{fffd}".as_bytes(),
        b"\xc3(\xa0\xa1",
        "caf\u{e9}".as_bytes(),
        "cafe\u{301}".as_bytes(),
        b"Case",
        b"case",
        b"...",
        b"-rf",
        b"*",
        b"[a]",
        b"a\\b",
        b"q\"'",
        b"%41",
        b"a+b c&d=e#f",
    ]
    .map(<[u8]>::to_vec)
    .into();
    odd.push(vec![b'n'; 255]);
    odd.push([&[b'm'; 254][..], b"\xff"].concat());
    odd
}

fn below(directory: &Path, name: &[u8]) -> PathBuf {
    directory.join(OsStr::from_bytes(name))
}

fn base64(path: &Path) -> String {
    STANDARD.encode(path.as_os_str().as_bytes())
}

/// A field names these bytes: as text when they are one, else cleaned, with the bytes beside it.
fn told(body: &Value, field: &str, companion: &str, bytes: &[u8]) {
    let text = body[field].as_str();
    if let Ok(due) = str::from_utf8(bytes) {
        assert_eq!(text, Some(due), "{body}");
        assert!(body.get(companion).is_none(), "{body}");
    } else {
        assert!(text.is_some_and(|text| text.contains('\u{fffd}')), "{body}");
        assert_eq!(body[companion], STANDARD.encode(bytes), "{body}");
    }
}

fn path_told(body: &Value, path: &Path) {
    told(body, "path", "path_base64", path.as_os_str().as_bytes());
}

/// The bytes that a record names.
fn named(body: &Value, field: &str) -> Vec<u8> {
    match body[format!("{field}_base64")].as_str() {
        Some(text) => STANDARD.decode(text).expect("base64"),
        None => body[field].as_str().expect("text").into(),
    }
}

async fn post(daemon: &Daemon, route: &str, body: Value) -> Value {
    let (status, said) = answer(daemon.post(&format!("/api/v0/{route}"), body.clone()).await).await;
    assert!(matches!(status, 200 | 201), "{route} {body}: {said}");
    said
}

async fn get(daemon: &Daemon, asked: &str) -> Value {
    let (status, said) = answer(daemon.get(&format!("/api/v0/{asked}")).await).await;
    assert_eq!(status, 200, "{asked}: {said}");
    said
}

/// The names of a list of entries below a directory.
fn of_entries(list: &Value, directory: &Path) -> BTreeSet<Vec<u8>> {
    let entries = list.as_array().expect("a list");
    let name = |entry: &Value| {
        let name = named(entry, "name");
        path_told(entry, &below(directory, &name));
        name
    };
    entries.iter().map(name).collect()
}

#[tokio::test]
async fn a_name_of_any_bytes_is_itself_in_every_request_of_one_path() {
    let case = Case::new();
    let daemon = &case.daemon;
    for name in odd() {
        let path = below(case.work.path(), &name);
        let (status, written) = case.write(&path, "", name.clone()).await;
        assert_eq!(status, 200, "{written}");
        path_told(&written, &path);
        assert_eq!(fs::read(&path).expect("there"), name, "{path:?}");
        let read = case.read(&path, "&download=1").await.bytes().await;
        assert_eq!(read.expect("whole"), name);
        assert_eq!(case.lines(&path, "").await["success"], true, "{path:?}");
        let asked = query(&path);
        let entry = get(daemon, &format!("stat?path={asked}")).await;
        told(&entry, "name", "name_base64", &name);
        path_told(&entry, &path);
        let bytes = path.as_os_str().as_bytes();
        told(&entry, "resolved_path", "resolved_path_base64", bytes);
        told(&entry, "host_path", "host_path_base64", bytes);
        let resolved = get(daemon, &format!("resolve-path?path={asked}")).await;
        told(&resolved, "resolved_path", "resolved_path_base64", bytes);
        let many = post(daemon, "stat", json!({"paths_base64": [base64(&path)]})).await;
        path_told(&many["results"][0], &path);
        let edits = json!([{"old_text": "", "new_text": "x"}]);
        let file = json!({"path_base64": base64(&path), "edits": edits});
        let (status, refused) = case.edit(json!({"files": [file]})).await;
        assert_eq!((status, &refused["code"]), (400, &json!("search_empty")));
        let message = refused["message"].as_str().expect("text");
        assert!(!message.trim_end().contains(['\x1b', '\x07', '\x7f']));
    }
    let all = get(daemon, &format!("list?path={}", query(case.work.path()))).await;
    let due: BTreeSet<_> = odd().into_iter().collect();
    assert_eq!(of_entries(&all["entries"], case.work.path()), due);
}

#[tokio::test]
async fn an_edit_is_told_under_the_name_that_it_has() {
    let case = Case::new();
    for name in odd() {
        let path = below(case.work.path(), &name);
        fs::write(&path, "one\n").expect("written");
        let edits = json!([{"old_text": "one", "new_text": "two"}]);
        let file = json!({"path_base64": base64(&path), "edits": edits});
        let (status, edited) = case
            .edit(json!({"files": [file], "include_diff": true}))
            .await;
        assert_eq!(status, 200, "{edited}");
        path_told(&edited["files"][0], &path);
        let diff = edited["files"][0]["diff"].as_str().expect("a diff");
        let lines: Vec<_> = diff.split('\n').collect();
        assert_eq!(lines.len(), 6, "no name makes a line of its own: {diff:?}");
        let quoted = name
            .iter()
            .any(|byte| byte.is_ascii_control() || b"\"\\".contains(byte))
            || str::from_utf8(&name).is_err();
        assert_eq!(lines[0].starts_with("--- \""), quoted, "{diff:?}");
        assert!(lines[1].starts_with("+++ "), "{diff:?}");
        assert_eq!(fs::read(&path).expect("there"), b"two\n");
    }
}

#[tokio::test]
async fn a_name_of_any_bytes_is_found_listed_and_packed() {
    let case = Case::new();
    let (daemon, root) = (&case.daemon, case.path("tree"));
    fs::create_dir(&root).expect("made");
    let due: BTreeSet<_> = odd().into_iter().collect();
    for name in &due {
        fs::write(below(&root, name), "needle\n").expect("written");
    }
    let asked = query(&root);
    let glob = format!("glob?root={asked}&pattern=*&hidden=true");
    let found = get(daemon, &glob).await;
    assert_eq!(of_entries(&found["entries"], &root), due);
    let plain = format!("/api/v0/list-directory?path={asked}");
    let request = daemon.request(Method::POST, &plain);
    let (status, listed) = answer(request.send().await.expect("an answer")).await;
    assert_eq!(status, 200);
    let listed: BTreeSet<_> = listed["contents"]
        .as_array()
        .expect("entries")
        .iter()
        .map(|entry| named(entry, "name"))
        .collect();
    assert_eq!(listed, due);
    let lines = daemon.request(Method::GET, &format!("/api/v0/list?path={asked}"));
    let lines = lines.header("Accept", "application/x-ndjson").send().await;
    let lines = lines.expect("an answer").text().await.expect("text");
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line is an entry"))
        .collect();
    assert_eq!(of_entries(&json!(lines), &root), due);
    let body = json!({"root_base64": base64(&root), "pattern": "needle", "hidden": true});
    let found = post(daemon, "search", body).await;
    let found: BTreeSet<_> = found["matches"]
        .as_array()
        .expect("matches")
        .iter()
        .map(|found| named(found, "path"))
        .collect();
    let paths = due.iter().map(|name| below(&root, name));
    let paths: BTreeSet<_> = paths
        .map(|path| path.into_os_string().into_encoded_bytes())
        .collect();
    assert_eq!(found, paths);
    for name in &due {
        let path = below(&root, name);
        let body = json!({"root_base64": base64(&path), "pattern": "needle"});
        let found = post(daemon, "search", body).await;
        path_told(&found["matches"][0], &path);
        let literal = format!("glob?root={asked}&pattern={}", query(&escaped(name)));
        if str::from_utf8(name).is_ok() {
            let found = get(daemon, &format!("{literal}&hidden=true")).await;
            assert_eq!(
                of_entries(&found["entries"], &root),
                BTreeSet::from([name.clone()])
            );
        }
    }
    packed(&case, &root, &due).await;
}

/// A glob that means a name and nothing else.
fn escaped(name: &[u8]) -> PathBuf {
    let mut glob = Vec::new();
    for byte in name {
        if b"*?[]{}!\\".contains(byte) {
            glob.push(b'\\');
        }
        glob.push(*byte);
    }
    PathBuf::from(OsStr::from_bytes(&glob))
}

/// Out and in again, as tar by us and by another program, and whole to a new directory.
async fn packed(case: &Case, root: &Path, due: &BTreeSet<Vec<u8>>) {
    let asked = query(root);
    for format in ["tar", "tar.gz"] {
        let bytes = case
            .daemon
            .get(&format!("/api/v0/archive?path={asked}&format={format}"))
            .await;
        let bytes = bytes.bytes().await.expect("whole").to_vec();
        let into = case.path(format);
        let path = format!("/api/v0/archive?path={}", query(&into));
        let request = case.daemon.request(Method::PUT, &path).body(bytes.clone());
        let (status, said) = answer(request.send().await.expect("an answer")).await;
        assert_eq!((status, &said["files"]), (200, &json!(due.len())), "{said}");
        assert_eq!(on_disk(&into), *due, "{format}");
        let (archive, theirs) = (case.file("archive", bytes), case.path("theirs"));
        fs::create_dir(&theirs).expect("made");
        let text = |path: &Path| path.to_str().expect("text").to_owned();
        assert!(ran("tar", &["-xf", &text(&archive), "-C", &text(&theirs)]));
        assert_eq!(on_disk(&theirs), *due, "{format}");
        fs::remove_dir_all(theirs).expect("removed");
    }
    let to = case.path("materialized");
    let body = json!({"path_base64": base64(root), "to": to});
    post(&case.daemon, "materialize", body).await;
    assert_eq!(on_disk(&to), *due);
}

fn on_disk(directory: &Path) -> BTreeSet<Vec<u8>> {
    let entries = fs::read_dir(directory).expect("a directory").flatten();
    entries
        .map(|entry| entry.file_name().into_encoded_bytes())
        .collect()
}

#[tokio::test]
async fn a_name_of_any_bytes_is_made_moved_linked_and_removed() {
    let case = Case::new();
    let (daemon, root) = (&case.daemon, case.work.path());
    for name in odd() {
        let path = below(root, &name);
        let made = post(daemon, "mkdir", json!({"path_base64": base64(&path)})).await;
        path_told(&made["entry"], &path);
        let inner = below(&path, &name);
        let touched = post(daemon, "touch", json!({"path_base64": base64(&inner)})).await;
        path_told(&touched, &inner);
        let copy = path.join("copy");
        let body = json!({"from_base64": base64(&inner), "to_base64": base64(&copy)});
        path_told(&post(daemon, "copy", body).await["entry"], &copy);
        fs::remove_file(&inner).expect("there");
        let body = json!({"from_base64": base64(&copy), "to_base64": base64(&inner)});
        path_told(&post(daemon, "move", body).await, &inner);
        let body = json!({"path_base64": base64(&inner), "mode": "600"});
        assert_eq!(post(daemon, "chmod", body).await["changed"], 1);
        let link = path.join("link");
        std::os::unix::fs::symlink(OsStr::from_bytes(&name), &link).expect("linked");
        let entry = get(daemon, &format!("stat?path={}&follow=false", query(&link))).await;
        told(&entry, "target", "target_base64", &name);
        assert_eq!(entry["target_type"], "file");
        let missing = below(&path, b"not \x1b[2J\nthere");
        let asked = format!("/api/v0/stat?path={}", query(&missing));
        let (status, body) = answer(daemon.get(&asked).await).await;
        assert_eq!(status, 404);
        let message = body["message"].as_str().expect("text");
        assert!(!message.contains(char::is_control), "{message:?}");
        let body = json!({"path_base64": base64(&path), "recursive": true});
        assert_eq!(post(daemon, "remove", body).await["removed"], 3);
    }
    assert_eq!(names(root), Vec::<String>::new());
    assert!(
        !daemon.log().contains('\x1b'),
        "names are quoted in the log"
    );
}

#[tokio::test]
async fn mounts_and_watches_tell_names_as_they_are() {
    let case = Case::new();
    let (daemon, root) = (&case.daemon, case.work.path());
    for name in odd() {
        let at = below(root, &name);
        let body = json!({"at_base64": base64(&at), "provider": "memory"});
        let made = post(daemon, "mounts", body).await;
        told(&made, "at", "at_base64", at.as_os_str().as_bytes());
        let inner = below(&at, &name);
        let (status, body) = case.write(&inner, "", name.clone()).await;
        assert_eq!(status, 200, "{body}");
        path_told(&body, &inner);
        let listed = get(daemon, &format!("list?path={}&depth=2", query(root))).await;
        assert_eq!(named(&listed["entries"][1], "name"), name);
        let id = made["id"].as_str().expect("an id");
        let gone = daemon.request(Method::DELETE, &format!("/api/v0/mounts/{id}"));
        assert_eq!(gone.send().await.expect("an answer").status(), 204);
    }
    assert_eq!(names(root), Vec::<String>::new());
    let asked = format!("/api/v0/files/watch?path={}", query(root));
    let mut socket = daemon.websocket(&asked).await.expect("watched");
    assert_eq!(next(&mut socket).await.expect("a message")["ready"], true);
    let mut due: BTreeSet<_> = odd().into_iter().map(|name| below(root, &name)).collect();
    for path in &due {
        fs::write(path, "").expect("written");
    }
    while !due.is_empty() {
        let message = next(&mut socket).await.expect("a message");
        for event in message["events"].as_array().expect("events") {
            due.remove(Path::new(OsStr::from_bytes(&named(event, "path"))));
        }
    }
    // As server-sent events no name begins a line.
    let request = daemon.request(Method::GET, &asked);
    let events = request.header("Accept", "text/event-stream").send().await;
    let mut events = events.expect("an answer").bytes_stream();
    let mut said = String::new();
    fs::write(below(root, b"x\ndata: {}\n\nid: 1"), "").expect("written");
    while !said.contains("id: 1") {
        let part = events.next().await.expect("more").expect("bytes");
        said.push_str(str::from_utf8(&part).expect("text"));
    }
    let forged = |line: &str| line == "data: {}" || line == "id: 1";
    assert!(!said.lines().any(forged), "{said}");
}

/// What is no path, with its code, and whether JSON can say it as text.
fn refused() -> [(Vec<u8>, &'static str); 6] {
    [
        (b"".to_vec(), "invalid_field"),
        (b"relative".to_vec(), "path_not_absolute"),
        (b"../up".to_vec(), "path_not_absolute"),
        (b"/nul\0".to_vec(), "invalid_path"),
        ([b"/", &[b'x'; 256][..]].concat(), "name_too_long"),
        (b"/12345678".repeat(456), "name_too_long"),
    ]
}

#[tokio::test]
async fn what_is_no_path_is_refused_wherever_it_stands() {
    let case = Case::new();
    let there = case.file("there", "text");
    let good = base64(&there);
    let with = |field: &str, more: Value| {
        let mut body = more;
        body[field] = json!("VALUE");
        body
    };
    let bodies = [
        ("mkdir", "path", with("path", json!({}))),
        ("remove", "path", with("path", json!({}))),
        ("touch", "path", with("path", json!({}))),
        ("chmod", "path", with("path", json!({"mode": "644"}))),
        ("copy", "from", with("from", json!({"to_base64": good}))),
        ("copy", "to", with("to", json!({"from_base64": good}))),
        ("move", "from", with("from", json!({"to_base64": good}))),
        ("move", "to", with("to", json!({"from_base64": good}))),
        ("search", "root", with("root", json!({"pattern": "x"}))),
        ("materialize", "path", with("path", json!({}))),
        ("mounts", "at", with("at", json!({"provider": "memory"}))),
    ];
    for (bytes, code) in refused() {
        for (route, field, body) in &bodies {
            // Of a mount each option that is wrong is named.
            let code = if *route == "mounts" {
                "invalid_field"
            } else {
                code
            };
            let text = str::from_utf8(&bytes).expect("text");
            let mut by_base64 = body.clone();
            by_base64[*field] = Value::Null;
            by_base64[format!("{field}_base64")] = json!(STANDARD.encode(&bytes));
            let mut by_text = body.clone();
            by_text[*field] = json!(text);
            for body in [by_text, by_base64] {
                let path = format!("/api/v0/{route}");
                let (status, said) = answer(case.daemon.post(&path, body.clone()).await).await;
                assert_eq!(status, 400, "{route} {body:.200}: {said:.300}");
                assert_eq!(said["code"], code, "{route} {body:.200}: {said:.300}");
            }
        }
        let many = json!({"paths": [str::from_utf8(&bytes).expect("text")]});
        let (status, said) = answer(case.daemon.post("/api/v0/stat", many).await).await;
        assert!(
            status == 400 || said["results"][0]["error"].is_object(),
            "{said}"
        );
    }
    for (route, field, mut body) in bodies {
        body[field] = json!("/a\u{fffd}");
        body[format!("{field}_base64")] = json!(STANDARD.encode(b"/a\xff"));
        let path = format!("/api/v0/{route}");
        let (status, said) = answer(case.daemon.post(&path, body).await).await;
        assert_eq!(
            (status, &said["code"]),
            (400, &json!("invalid_field")),
            "{route}"
        );
        let companion = format!("{field}_base64");
        assert_eq!(said["validations"][0]["field"], companion, "{said}");
    }
    assert_eq!(case.names(), ["there"], "nothing was made");
}

#[tokio::test]
async fn spellings_of_one_path_are_one_path() {
    let case = Case::new();
    let root = case.work.path().to_str().expect("text").to_owned();
    fs::create_dir(case.path("d")).expect("made");
    case.file("d/f", "text");
    for spelling in [
        format!("{root}/d/f/"),
        format!("//{root}//d/./f"),
        format!("{root}/d/../d/f/."),
        format!("{root}/../../../../../../../../..{root}/d/f"),
        format!("{root}/none/../d/f"),
    ] {
        let answer = case.read(&spelling, "").await;
        assert_eq!(answer.status(), 200, "{spelling}");
        let body = json!({"path": spelling, "mtime": "2020-01-01T00:00:00Z"});
        post(&case.daemon, "touch", body).await;
    }
    for other in ["/D/f", "/d/F", "/d%2Ff", "/d/%66"] {
        let asked = format!("{root}{other}");
        assert_eq!(case.read(&asked, "").await.status(), 404, "{asked}");
    }
}
