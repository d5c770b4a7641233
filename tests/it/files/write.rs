//! `write-file`: whole or not at all, under conditions, whatever the client does.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::helpers::{Case, mode, names, pattern, query, ran};
use crate::support::{daemon::json as json_of, eventually};

#[tokio::test]
async fn new_files_and_their_directories() {
    let case = Case::new();
    let (status, answer) = case.write(case.path("a/b/c.txt"), "", "hello").await;
    assert_eq!(status, 200, "{answer}");
    let path = case.path("a/b/c.txt");
    assert!(
        answer["message"]
            .as_str()
            .expect("text")
            .contains(path.to_str().expect("text"))
    );
    let told = (&answer["created"], &answer["size"], &answer["atomic"]);
    assert_eq!(told, (&json!(true), &json!(5), &json!(true)));
    assert_eq!(fs::read(&path).expect("there"), b"hello");
    assert_eq!(
        (mode(&path) & 0o600, mode(case.path("a")) & 0o022),
        (0o600, 0)
    );
    let request = case.request(Method::PUT, "write-file", &path, "");
    let (status, answer) = json_of(request.body("").send().await.expect("an answer")).await;
    assert_eq!(
        (status, &answer["created"], &answer["size"]),
        (200, &json!(false), &json!(0))
    );
    assert_eq!(fs::read(&path).expect("there"), b"");
    let (status, answer) = case.write(case.path("x/y"), "&mkdir=false", "").await;
    assert_eq!((status, &answer["code"]), (404, &json!("not_found")));
    assert_eq!(case.names(), ["a"]);
    let name = "n".repeat(255);
    assert_eq!(case.write(case.path(&name), "", "x").await.0, 200);
    assert_eq!(
        case.write(case.path(&format!("{name}n")), "", "x").await.0,
        400
    );
    let content = pattern(3_000_000);
    assert_eq!(
        case.write(case.path("large"), "&fsync=true", content.clone())
            .await
            .0,
        200
    );
    assert!(fs::read(case.path("large")).expect("there") == content);
}

#[tokio::test]
async fn modes_are_kept_or_chosen() {
    let case = Case::new();
    let script = case.file("script", "old");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("ours");
    case.write(&script, "", "new").await;
    assert_eq!(mode(&script), 0o755);
    case.write(&script, "&mode=0600", "new").await;
    assert_eq!(mode(&script), 0o600);
    case.write(case.path("fresh"), "&mode=777", "x").await;
    assert_eq!(mode(case.path("fresh")), 0o777);
    for bad in ["8", "rwx", "10000", "-1", "0x1"] {
        assert_eq!(
            case.write(&script, &format!("&mode={bad}"), "").await.0,
            400,
            "{bad}"
        );
    }
}

#[tokio::test]
async fn links_stay_and_their_targets_change() {
    let case = Case::new();
    let target = case.file("target", "old");
    symlink("target", case.path("link")).expect("linked");
    symlink("gone", case.path("dangling")).expect("linked");
    let (_, answer) = case.write(case.path("link"), "", "new").await;
    assert_eq!(answer["path"], target.to_str().expect("text"));
    assert_eq!(fs::read(&target).expect("there"), b"new");
    assert_eq!(
        case.write(case.path("dangling"), "", "made").await.1["created"],
        true
    );
    assert_eq!(fs::read(case.path("gone")).expect("there"), b"made");
    for name in ["link", "dangling"] {
        assert!(
            fs::symlink_metadata(case.path(name))
                .expect("there")
                .is_symlink()
        );
    }
    fs::hard_link(&target, case.path("other")).expect("linked");
    case.write(&target, "", "newer").await;
    assert_eq!(fs::read(case.path("other")).expect("there"), b"new");
}

#[tokio::test]
async fn what_cannot_be_written_is_refused() {
    let case = Case::new();
    let file = case.file("file", "x");
    nix::unistd::mkfifo(&case.path("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("made");
    for (path, status, code, word) in [
        (
            case.work.path().to_owned(),
            400,
            "not_a_file",
            "is a directory",
        ),
        ("/".into(), 400, "not_a_file", "is a directory"),
        (
            file.join("below"),
            400,
            "not_a_directory",
            "not a directory",
        ),
        (file.join("a/b"), 400, "not_a_directory", "not a directory"),
        (case.path("fifo"), 400, "not_regular_file", ""),
        ("/dev/null".into(), 400, "not_regular_file", ""),
        ("relative".into(), 400, "path_not_absolute", ""),
        ("".into(), 400, "invalid_field", ""),
        (
            case.daemon.home().state().join("token"),
            403,
            "reserved_path",
            "",
        ),
    ] {
        let (told, answer) = case.write(&path, "", "y").await;
        assert_eq!((told, &answer["code"]), (status, &json!(code)), "{path:?}");
        assert!(
            answer["message"].as_str().expect("text").contains(word),
            "{answer}"
        );
    }
    assert_eq!(case.names(), ["fifo", "file"]);
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one case after the other")]
async fn conditions_hold_before_and_after_the_body() {
    let case = Case::new();
    let file = case.path("a");
    let put = async |name: &'static str, value: &str, more: &str| {
        let request = case.request(Method::PUT, "write-file", &file, more);
        let request = if name.is_empty() {
            request
        } else {
            request.header(name, value)
        };
        json_of(request.body("new").send().await.expect("an answer")).await
    };
    assert_eq!(put("if-match", "*", "").await.0, 412);
    assert_eq!(put("if-match", "\"x\"", "").await.0, 412);
    assert_eq!(case.names(), Vec::<String>::new());
    let (status, made) = put("if-none-match", "*", "").await;
    assert_eq!((status, &made["created"]), (200, &json!(true)));
    let (status, refused) = put("if-none-match", "*", "").await;
    assert_eq!(
        (status, &refused["code"]),
        (412, &json!("precondition_failed"))
    );
    assert_eq!(refused["etag"], made["etag"], "the tag of what is there");
    let tag = made["etag"].as_str().expect("a tag");
    let (status, changed) = put("if-match", &format!("\"x\", {tag}"), "").await;
    assert_eq!(status, 200);
    assert_eq!(
        put("if-match", tag, "").await.0,
        412,
        "it was replaced since"
    );
    assert_eq!(
        put(
            "if-match",
            &format!("W/{}", changed["etag"].as_str().expect("a tag")),
            ""
        )
        .await
        .0,
        412
    );
    let hash = "11507a0e2f5e69d5dfa40a62a1bd7b6ee57e6bcd85c67c9b8431b36fff21c437"; // of "new"
    assert_eq!(put("if-match", &format!("\"h-{hash}\""), "").await.0, 200);
    assert_eq!(
        put("", "", &format!("&expected_sha256={hash}")).await.0,
        200
    );
    assert_eq!(
        put("", "", &format!("&expected_sha256={}", "0".repeat(64)))
            .await
            .0,
        412
    );
    assert_eq!(put("", "", "&expected_sha256=zz").await.0, 400);
    assert_eq!(put("if-match", "unquoted", "").await.0, 400);
    let bytes = (0..64)
        .step_by(2)
        .map(|at| u8::from_str_radix(&hash[at..at + 2], 16).expect("hex"));
    let digest = STANDARD.encode(bytes.collect::<Vec<_>>());
    assert_eq!(
        put("content-digest", &format!("sha-256=:{digest}:"), "")
            .await
            .0,
        200
    );
    let before = fs::metadata(&file).expect("there").ino();
    let (status, answer) = put(
        "content-digest",
        &format!("sha-256=:{}=:", "A".repeat(43)),
        "",
    )
    .await;
    assert_eq!((status, &answer["code"]), (400, &json!("digest_mismatch")));
    assert_eq!(fs::metadata(&file).expect("there").ino(), before);
    assert_eq!(case.names(), ["a"]);
}

#[tokio::test]
async fn of_many_with_one_tag_one_wins_each_round() {
    let case = Case::new();
    let file = case.path("a");
    let mut tag = case.write(&file, "", "start").await.1["etag"]
        .as_str()
        .expect("a tag")
        .to_owned();
    for round in 0..5 {
        let writers = (0..100).map(|writer| {
            let request = case.request(Method::PUT, "write-file", &file, "");
            let request = request
                .header("if-match", &tag)
                .body(format!("{round} {writer}"));
            async move { json_of(request.send().await.expect("an answer")).await }
        });
        let answers = futures_util::future::join_all(writers).await;
        let won: Vec<_> = (0..100)
            .filter(|writer| answers[*writer].0 == 200)
            .collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        assert!(
            answers
                .iter()
                .all(|(status, _)| matches!(status, 200 | 412))
        );
        assert_eq!(
            fs::read_to_string(&file).expect("there"),
            format!("{round} {}", won[0])
        );
        tag = answers[won[0]].1["etag"]
            .as_str()
            .expect("a tag")
            .to_owned();
    }
    assert_eq!(case.names(), ["a"]);
}

#[tokio::test]
async fn two_appends_do_not_mix() {
    let case = Case::new();
    let file = case.path("log");
    let writers =
        (0..8_u8).map(|writer| case.write(&file, "&append=true", vec![b'a' + writer; 2_500_000]));
    for (status, answer) in futures_util::future::join_all(writers).await {
        assert_eq!(
            (status, &answer["atomic"]),
            (200, &json!(false)),
            "{answer}"
        );
    }
    let content = fs::read(&file).expect("there");
    let mut runs: Vec<_> = content
        .chunks(2_500_000)
        .map(|run| (run[0], run.iter().all(|byte| *byte == run[0])))
        .collect();
    runs.sort_unstable();
    assert_eq!(
        runs,
        (0..8)
            .map(|writer| (b'a' + writer, true))
            .collect::<Vec<_>>()
    );
    let (_, answer) = case.write(&file, "&append=true", "").await;
    assert_eq!(
        (&answer["created"], &answer["size"]),
        (&json!(false), &json!(20_000_000))
    );
}

/// A connection with the head of a request sent, for a body of this length.
async fn begin(case: &Case, name: &str, more: &str, length: u64, expects: bool) -> TcpStream {
    let mut stream = TcpStream::connect(&case.daemon.address)
        .await
        .expect("connected");
    let expect = if expects {
        "Expect: 100-continue\r\n"
    } else {
        ""
    };
    let head = format!(
        "PUT /api/v0/write-file?path={}{more} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nContent-Length: {length}\r\n{expect}\r\n",
        query(&case.path(name)),
        case.daemon.address,
        case.daemon.token(),
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test]
async fn a_client_that_vanishes_leaves_nothing() {
    let case = Case::new();
    let kept = case.file("kept", "old");
    for (name, more) in [
        ("kept", ""),
        ("new", ""),
        ("deep/er/new", ""),
        ("kept", "&append=true"),
        ("log", "&append=true"),
    ] {
        let mut stream = begin(&case, name, more, 1 << 30, false).await;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..50 {
            stream.write_all(&piece).await.expect("sent");
        }
        let drafts = || case.names().iter().any(|name| name.starts_with(".deskd-"));
        if more.is_empty() && !name.starts_with("deep") {
            eventually("a draft lies beside it", drafts).await;
        }
        drop(stream);
        eventually("the draft is gone", || case.names() == ["kept"]).await;
        assert_eq!(fs::read(&kept).expect("there"), b"old");
    }
    let descriptors = names(format!("/proc/{}/fd", case.daemon.pid()).as_ref());
    assert!(descriptors.len() < 100, "{descriptors:?}");
}

#[tokio::test]
async fn a_body_that_breaks_off_is_told() {
    let case = Case::new();
    let file = case.file("a", "old");
    let mut stream = TcpStream::connect(&case.daemon.address)
        .await
        .expect("connected");
    let head = format!(
        "PUT /api/v0/write-file?path={} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nnonsense\r\n",
        query(&file),
        case.daemon.address,
        case.daemon.token(),
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("body_incomplete"),
        "{answer}"
    );
    assert_eq!(fs::read(&file).expect("there"), b"old");
    assert_eq!(case.names(), ["a"]);
}

#[tokio::test]
async fn a_client_that_waits_is_told_to_go_on_after_the_checks() {
    let case = Case::new();
    let mut stream = begin(&case, "new", "", 5, true).await;
    let mut word = [0; 12];
    stream.read_exact(&mut word).await.expect("a word");
    assert_eq!(&word, b"HTTP/1.1 100");
    assert_eq!(case.names(), Vec::<String>::new());
    stream.write_all(b"hello").await.expect("sent");
    eventually("it is written", || {
        fs::read(case.path("new")).is_ok_and(|text| text == b"hello")
    })
    .await;
    fs::create_dir(case.path("dir")).expect("made");
    let mut stream = begin(&case, "dir", "", 5, true).await;
    stream.read_exact(&mut word).await.expect("a word");
    assert_eq!(&word, b"HTTP/1.1 400");
}

#[tokio::test]
async fn attributes_are_kept() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let case = Case::new();
    let file = case.file("a", "old");
    nix::unistd::chown(&file, Some(1234.into()), Some(4321.into())).expect("root");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4750)).expect("root");
    let path = file.to_str().expect("text");
    let tagged = ran("setfattr", &["-n", "user.note", "-v", "kept", path]);
    let listed = ran("setfacl", &["-m", "u:2345:r", path]);
    assert_eq!(case.write(&file, "", "new").await.0, 200);
    let now = fs::metadata(&file).expect("there");
    assert_eq!((now.uid(), now.gid()), (1234, 4321));
    assert!(
        !tagged
            || ran(
                "sh",
                &[
                    "-c",
                    &format!("getfattr --only-values -n user.note '{path}' | grep -q kept")
                ]
            )
    );
    assert!(
        !listed
            || ran(
                "sh",
                &[
                    "-c",
                    &format!("getfacl -n '{path}' | grep -q user:2345:r--")
                ]
            )
    );
    assert_eq!(now.permissions().mode() & 0o7700, 0o4700);
}

#[tokio::test]
async fn a_full_disk_leaves_the_old_file() {
    let case = Case::new();
    let disk = case.path("disk");
    fs::create_dir(&disk).expect("made");
    let disk_text = disk.to_str().expect("text").to_owned();
    if !ran(
        "mount",
        &["-t", "tmpfs", "-o", "size=1m", "none", &disk_text],
    ) {
        return;
    }
    fs::write(disk.join("a"), "old").expect("written");
    for more in ["", "&append=true"] {
        let (status, answer) = case.write(disk.join("a"), more, vec![b'x'; 4 << 20]).await;
        assert_eq!(
            (status, &answer["code"]),
            (507, &json!("no_space")),
            "{more}"
        );
        assert_eq!(fs::read(disk.join("a")).expect("there"), b"old");
    }
    let left = names(&disk);
    let bound = case.file("bound", "host");
    let onto = disk.join("a");
    let bind = ran(
        "mount",
        &[
            "--bind",
            bound.to_str().expect("text"),
            onto.to_str().expect("text"),
        ],
    );
    let written = case.write(&onto, "", "through").await;
    if bind {
        ran("umount", &[onto.to_str().expect("text")]);
    }
    ran("umount", &[&disk_text]);
    assert_eq!(left, ["a"]);
    if bind {
        assert_eq!(
            (written.0, &written.1["atomic"]),
            (200, &json!(false)),
            "{written:?}"
        );
        assert_eq!(fs::read(&bound).expect("there"), b"through");
    }
}

#[tokio::test]
async fn a_plain_user_writes_what_it_may() {
    let Some(case) = Case::as_plain_user() else {
        return;
    };
    let set = |name: &str, mode| {
        fs::set_permissions(case.path(name), fs::Permissions::from_mode(mode)).expect("ours");
    };
    case.file("closed", "old");
    set("closed", 0o644);
    fs::create_dir(case.path("dir")).expect("made");
    case.file("dir/open", "old");
    set("dir/open", 0o666);
    set("dir", 0o755);
    let refused = |(status, answer): (u16, Value)| {
        assert_eq!(
            (status, &answer["code"]),
            (403, &json!("permission_denied"))
        );
    };
    refused(case.write(case.path("closed"), "", "new").await);
    refused(case.write(case.path("dir/new"), "", "new").await);
    refused(case.write(case.path("dir/sub/new"), "", "new").await);
    assert_eq!(fs::read(case.path("closed")).expect("there"), b"old");
    // The directory takes no draft, but the file may be written.
    let (status, answer) = case.write(case.path("dir/open"), "", "newer").await;
    assert_eq!(
        (status, &answer["atomic"]),
        (200, &json!(false)),
        "{answer}"
    );
    assert_eq!(fs::read(case.path("dir/open")).expect("there"), b"newer");
    let (status, answer) = case.write(case.path("own"), "", "mine").await;
    assert_eq!((status, &answer["atomic"]), (200, &json!(true)));
}
