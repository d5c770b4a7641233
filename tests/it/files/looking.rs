//! Listing, resolving and looking at the tree.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    helpers::{Case, query, ran},
    tree::{done, get, post, refused},
};
use crate::support::daemon::json as answer;

fn texts(list: &Value, field: &str) -> Vec<String> {
    let all = list.as_array().expect("a list").iter();
    all.map(|item| item[field].as_str().expect("a text").to_owned())
        .collect()
}

#[tokio::test]
async fn a_directory_lists_directories_first_in_byte_order() {
    let case = Case::new();
    for name in ["b", "B"] {
        fs::create_dir(case.path(name)).expect("made");
    }
    case.file("a", "text");
    symlink("b", case.path("link")).expect("linked");
    let parts: Vec<&str> = case
        .work
        .path()
        .to_str()
        .expect("text")
        .split('/')
        .skip(1)
        .collect();
    let by_root = done(
        &case,
        "list-directory",
        json!({"path": parts, "relativity": "root"}),
    )
    .await;
    assert_eq!(texts(&by_root["contents"], "name"), ["B", "b", "a", "link"]);
    let link = &by_root["contents"][3];
    assert_eq!(link["is_dir"], false);
    assert_eq!(
        (&link["type"], &link["target"]),
        (&json!("symlink"), &json!("b"))
    );
    assert_eq!(by_root["contents"][2]["size"], 4);
    assert_eq!(
        by_root["absolute_path_string"],
        case.work.path().to_str().expect("text")
    );
    assert_eq!(by_root["absolute_path"], json!(parts));
    let request = case.request(Method::POST, "list-directory", case.work.path(), "");
    let (status, by_query) = answer(request.send().await.expect("an answer")).await;
    assert_eq!((status, &by_query), (200, &by_root));
    let fed_back = json!({"path": by_root["absolute_path"], "relativity": "root"});
    assert_eq!(done(&case, "list-directory", fed_back).await, by_root);
    let home = case.daemon.home().path().to_str().expect("text").to_owned();
    let at_home = done(
        &case,
        "list-directory",
        json!({"path": [], "relativity": "home"}),
    )
    .await;
    assert_eq!(at_home["absolute_path_string"], home.as_str());
    assert!(texts(&at_home["contents"], "name").contains(&"log".to_owned()));
    fs::create_dir(case.path("empty")).expect("made");
    let request = case.request(Method::POST, "list-directory", case.path("empty"), "");
    let (_, empty) = answer(request.send().await.expect("an answer")).await;
    assert_eq!(empty["contents"], json!([]));
}

#[tokio::test]
async fn mistakes_on_the_compatible_listing_are_400_with_the_words_that_clients_know() {
    let case = Case::new();
    let file = case.file("file", "");
    let list = async |path: &str| {
        let path = query(Path::new(path));
        let path = format!("/api/v0/list-directory?path={path}");
        answer(
            case.daemon
                .request(Method::POST, &path)
                .send()
                .await
                .expect("an answer"),
        )
        .await
    };
    let (status, body) = list("./x").await;
    assert_eq!(status, 400);
    assert!(
        body["message"]
            .as_str()
            .expect("text")
            .contains("must be absolute"),
        "{body}"
    );
    let (status, body) = list(file.to_str().expect("text")).await;
    assert_eq!(status, 400);
    assert!(
        body["message"]
            .as_str()
            .expect("text")
            .contains("is not a directory"),
        "{body}"
    );
    assert_eq!(list(case.path("none").to_str().expect("text")).await.0, 404);
    let (status, body) = post(
        &case,
        "list-directory",
        json!({"path": [], "relativity": "x"}),
    )
    .await;
    assert_eq!(status, 400);
    assert!(
        body["message"]
            .as_str()
            .expect("text")
            .contains("relativity"),
        "{body}"
    );
    for bad in ["?path=/&path=/", "?path=/&x=1"] {
        let path = format!("/api/v0/list-directory{bad}");
        let request = case.daemon.request(Method::POST, &path).send();
        assert_eq!(request.await.expect("an answer").status(), 400, "{bad}");
    }
}

#[tokio::test]
async fn a_path_resolves_as_the_kernel_resolves_it() {
    let case = Case::new();
    fs::create_dir_all(case.path("real/deep")).expect("made");
    fs::write(case.path("real/file"), "").expect("written");
    symlink("real", case.path("link")).expect("linked");
    symlink("../file", case.path("real/deep/up")).expect("linked");
    symlink("me", case.path("me")).expect("linked");
    symlink("real/file", case.path("l1")).expect("linked");
    for number in 2..=41 {
        symlink(format!("l{}", number - 1), case.path(&format!("l{number}"))).expect("linked");
    }
    let work = fs::canonicalize(case.work.path()).expect("there");
    for (path, due) in [
        ("link", "real"),
        ("link/file", "real/file"),
        ("link/none", "real/none"),
        ("link/none/more", "real/none/more"),
        ("link/deep/up", "real/file"),
        ("link/../real/./file", "real/file"),
        ("link/deep/../file", "real/file"),
        ("l40", "real/file"),
    ] {
        let (status, body) = get(&case, "resolve-path", case.path(path), "").await;
        assert_eq!(
            (status, &body["resolved_path"]),
            (200, &json!(work.join(due))),
            "{path}: {body}"
        );
    }
    for (path, status, code) in [
        ("me", 400, "link_loop"),
        ("l41", 400, "link_loop"),
        ("real/file/x", 400, "not_a_directory"),
        ("real/file/../file", 400, "not_a_directory"),
    ] {
        let (got, body) = get(&case, "resolve-path", case.path(path), "").await;
        assert_eq!(
            (got, body["code"].as_str()),
            (status, Some(code)),
            "{path}: {body}"
        );
    }
    let long = case.path(&"n".repeat(256));
    assert_eq!(
        get(&case, "resolve-path", long, "").await.1["code"],
        "name_too_long"
    );
    assert_eq!(
        get(&case, "resolve-path", "x", "").await.1["code"],
        "path_not_absolute"
    );
    assert_eq!(get(&case, "resolve-path", "", "").await.0, 400);
}

#[tokio::test]
async fn an_entry_tells_what_it_is() {
    let case = Case::new();
    let file = case.file("a.rs", "fn main() {}");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("set");
    symlink("a.rs", case.path("link")).expect("linked");
    symlink("none", case.path("dangling")).expect("linked");
    assert!(ran("mkfifo", &[case.path("fifo").to_str().expect("text")]));
    let (status, entry) = get(&case, "stat", &file, "&digest=sha256").await;
    assert_eq!(status, 200, "{entry}");
    assert_eq!(entry["name"], "a.rs");
    assert_eq!(
        (&entry["type"], &entry["size"]),
        (&json!("file"), &json!(12))
    );
    assert_eq!(
        (&entry["mode"], &entry["mime"]),
        (&json!("0640"), &json!("text/x-rust"))
    );
    assert_eq!(entry["sha256"].as_str().expect("a hash").len(), 64);
    assert_eq!(
        entry["host_path"],
        json!(fs::canonicalize(&file).expect("there"))
    );
    assert_eq!(entry["writable"], true);
    assert!(entry["etag"].as_str().expect("a tag").starts_with('"'));
    assert!(entry["mtime"].as_str().expect("a time").ends_with('Z'));
    let (_, followed) = get(&case, "stat", case.path("link"), "").await;
    assert_eq!(
        (&followed["type"], &followed["name"]),
        (&json!("file"), &json!("link"))
    );
    let (_, link) = get(&case, "stat", case.path("link"), "&follow=false").await;
    assert_eq!(
        (&link["type"], &link["target_type"]),
        (&json!("symlink"), &json!("file"))
    );
    let (_, dangling) = get(&case, "stat", case.path("dangling"), "&follow=0").await;
    assert_eq!(dangling["target_type"], "missing");
    assert_eq!(
        get(&case, "stat", case.path("fifo"), "&digest=sha256")
            .await
            .1["type"],
        "fifo"
    );
    assert_eq!(
        get(&case, "stat", case.path("none"), "").await.1["code"],
        "not_found"
    );
    let paths = json!({"paths": [file, case.path("none"), "x"]});
    let results = done(&case, "stat", paths).await["results"].clone();
    assert_eq!(results[0]["entry"]["type"], "file");
    assert_eq!(results[1]["error"]["code"], "not_found");
    assert_eq!(results[2]["error"]["code"], "path_not_absolute");
    let many: Vec<&str> = std::iter::repeat_n("/", 1001).collect();
    refused(&case, "stat", json!({"paths": many}), 400, "invalid_field").await;
}

#[tokio::test]
async fn a_tree_comes_in_pages_each_entry_once() {
    let case = Case::new();
    for directory in ["d1", "d2", "d1/deep"] {
        fs::create_dir(case.path(directory)).expect("made");
    }
    for number in 0..30 {
        case.file(&format!("d1/f{number}"), "x".repeat(number));
        case.file(&format!("d2/.h{number}"), "");
    }
    case.file("d1/deep/x.txt", "");
    let whole = get(&case, "list", case.work.path(), "&depth=9").await.1;
    let all = texts(&whole["entries"], "path");
    assert_eq!(all.len(), 64, "{all:?}");
    assert!(whole.get("next_cursor").is_none());
    for sort in ["name", "-name", "size", "-mtime", "type"] {
        let more = format!("&depth=9&sort={sort}&dirs_first=true");
        let due = texts(
            &get(&case, "list", case.work.path(), &more).await.1["entries"],
            "path",
        );
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let more = format!("{more}&limit=7{cursor}");
            let (status, page) = get(&case, "list", case.work.path(), &more).await;
            assert_eq!(status, 200, "{page}");
            seen.extend(texts(&page["entries"], "path"));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, due, "{sort}");
    }
    let first = get(&case, "list", case.work.path(), "&limit=1").await.1;
    let cursor = format!("&cursor={}", first["next_cursor"].as_str().expect("more"));
    for more in [
        format!("{cursor}&depth=2"),
        format!("{cursor}x"),
        "&cursor=x".to_owned(),
    ] {
        let (status, body) = get(&case, "list", case.work.path(), &more).await;
        assert_eq!(
            (status, body["code"].as_str()),
            (400, Some("bad_cursor")),
            "{more}"
        );
    }
    let plain = get(
        &case,
        "list",
        case.work.path(),
        "&depth=9&hidden=false&types=file&glob=*.txt",
    )
    .await
    .1;
    assert_eq!(texts(&plain["entries"], "name"), ["x.txt"]);
    let bare = get(&case, "list", case.work.path(), "&metadata=false")
        .await
        .1;
    assert_eq!(
        bare["entries"][0].as_object().expect("an entry").len(),
        3,
        "{bare}"
    );
}

#[tokio::test]
async fn a_tree_comes_as_lines_when_they_are_asked_for() {
    let case = Case::new();
    for number in 0..1500 {
        case.file(&format!("f{number:04}"), "");
    }
    let request = case.request(Method::GET, "list", case.work.path(), "&limit=5");
    let request = request.header("accept", "application/x-ndjson").send();
    let text = request
        .await
        .expect("an answer")
        .text()
        .await
        .expect("a body");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(lines.len(), 1500);
    assert_eq!(lines[1499]["name"], "f1499");
}

#[tokio::test]
async fn wrong_parameters_are_named() {
    let case = Case::new();
    for (more, field) in [
        ("&depth=65", "depth"),
        ("&limit=100001", "limit"),
        ("&limit=-1", "limit"),
        ("&limit=x", "limit"),
        ("&limit=1&limit=2", "limit"),
        ("&sort=x", "sort"),
        ("&types=x", "types"),
        ("&hidden=yes", "hidden"),
        ("&what=1", "what"),
    ] {
        let (status, body) = get(&case, "list", case.work.path(), more).await;
        assert_eq!(
            (status, &body["validations"][0]["field"]),
            (400, &json!(field)),
            "{more}: {body}"
        );
    }
    let (status, body) = get(&case, "list", case.work.path(), "&glob=%5B").await;
    assert_eq!(
        (status, body["code"].as_str()),
        (400, Some("bad_pattern")),
        "{body}"
    );
}

#[tokio::test]
async fn names_of_any_bytes_go_in_and_come_out() {
    let case = Case::new();
    let odd: [&[u8]; 7] = [
        b"a\nb",
        b"q\"'\\",
        b"bad\xff",
        "bad\u{fffd}".as_bytes(),
        "e\u{301}".as_bytes(),
        "\u{e9}".as_bytes(),
        &[b'n'; 255],
    ];
    for name in odd {
        let path = case.work.path().join(OsStr::from_bytes(name));
        fs::write(&path, name).expect("written");
        let bytes = path.as_os_str().as_bytes();
        let (status, entry) = get(&case, "stat", &path, "").await;
        assert_eq!(
            (status, &entry["size"]),
            (200, &json!(name.len())),
            "{entry}"
        );
        let broken = str::from_utf8(name).is_err();
        assert_eq!(entry.get("name_base64").is_some(), broken, "{entry}");
        let by_base64 = json!({"paths_base64": [STANDARD.encode(bytes)]});
        let found = done(&case, "stat", by_base64).await["results"][0]["entry"].clone();
        assert_eq!(found["size"], json!(name.len()));
        if broken {
            assert_eq!(entry["name_base64"], STANDARD.encode(name));
            assert_eq!(entry["name"], "bad\u{fffd}");
        }
    }
    let listed = get(&case, "list", case.work.path(), "").await.1;
    assert_eq!(
        listed["entries"].as_array().expect("entries").len(),
        odd.len()
    );
    let both = json!({"path": case.path("bad\u{fffd}"), "path_base64": STANDARD.encode(b"/x")});
    refused(&case, "remove", both, 400, "invalid_field").await;
    let base64 = STANDARD.encode([case.work.path().as_os_str().as_bytes(), b"/bad\xff"].concat());
    done(&case, "remove", json!({"path_base64": base64})).await;
    assert!(case.path("bad\u{fffd}").exists());
}
