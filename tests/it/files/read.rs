//! `read-file`: whole files and parts, tags, ranges, and what is no file.

use std::{
    fs,
    io::Write,
    os::unix::{fs::symlink, net::UnixListener},
    time::{Duration, SystemTime},
};

use futures_util::StreamExt;
use reqwest::{Method, Response};
use serde_json::Value;

use super::helpers::{Case, header, pattern, query};
use crate::support::daemon::json;

async fn code(response: Response) -> (u16, String) {
    let (status, body) = json(response).await;
    (status, body["code"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn whole_files_and_parts_of_them() {
    let case = Case::new();
    let file = case.file("a.txt", "0123456789");
    symlink("a.txt", case.path("link")).expect("linked");
    for (more, text) in [
        ("", "0123456789"),
        ("&limit=0", "0123456789"),
        ("&limit=1", "0"),
        ("&offset=1", "123456789"),
        ("&offset=2&limit=3", "234"),
        ("&limit=10", "0123456789"),
        ("&limit=11", "0123456789"),
        ("&offset=8&limit=5", "89"),
        ("&offset=10", ""),
        ("&offset=99&limit=1", ""),
    ] {
        let answer = case.read(&file, more).await;
        assert_eq!(answer.status(), 200, "{more}");
        assert_eq!(header(&answer, "content-length"), text.len().to_string());
        assert_eq!(header(&answer, "content-type"), "text/plain");
        assert_eq!(answer.text().await.expect("whole"), text, "{more}");
    }
    let linked = case.read(case.path("link"), "").await;
    assert_eq!(linked.text().await.expect("whole"), "0123456789");
    for (name, kind) in [
        ("a.png", "image/png"),
        ("a", "application/octet-stream"),
        ("ä &#%+\n.html", "text/html"),
    ] {
        let answer = case.read(case.file(name, "x"), "").await;
        assert_eq!(header(&answer, "content-type"), kind, "{name:?}");
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
        assert_eq!(
            header(&answer, "content-security-policy"),
            "sandbox; default-src 'none'"
        );
        assert_eq!(answer.text().await.expect("whole"), "x");
    }
}

#[tokio::test]
async fn a_large_file_comes_whole_and_in_ranges() {
    let case = Case::new();
    let content = pattern(3_000_001);
    let file = case.file("large", &content);
    let whole = case.read(&file, "").await;
    assert_eq!(header(&whole, "content-length"), "3000001");
    assert!(whole.bytes().await.expect("whole") == content);
    let part = case.read(&file, "&offset=1000000&limit=1500000").await;
    assert!(part.bytes().await.expect("whole") == content[1_000_000..2_500_000]);
    let head = case.request(Method::HEAD, "read-file", &file, "");
    let head = head.send().await.expect("an answer");
    assert_eq!(head.status(), 200);
    assert_eq!(header(&head, "content-length"), "3000001");
    assert!(head.bytes().await.expect("empty").is_empty());
}

#[tokio::test]
async fn ranges_of_every_form() {
    let case = Case::new();
    let file = case.file("a", "0123456789");
    let get = async |range: &str, more: &str| {
        let request = case.request(Method::GET, "read-file", &file, more);
        request
            .header("range", range)
            .send()
            .await
            .expect("an answer")
    };
    for (range, text, told) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=2-5", "2345", "bytes 2-5/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=5-99", "56789", "bytes 5-9/10"),
        ("bytes=0-1,3-4", "0123456789", ""),
        ("lines=0-1", "0123456789", ""),
    ] {
        let answer = get(range, "").await;
        assert_eq!(
            answer.status(),
            if told.is_empty() { 200 } else { 206 },
            "{range}"
        );
        assert_eq!(header(&answer, "content-range"), told);
        assert_eq!(header(&answer, "accept-ranges"), "bytes");
        assert_eq!(answer.text().await.expect("whole"), text);
    }
    let beyond = get("bytes=10-", "").await;
    assert_eq!(header(&beyond, "content-range"), "bytes */10");
    assert_eq!(code(beyond).await, (416, "range_not_satisfiable".into()));
    assert_eq!(code(get("bytes=0-1", "&offset=1").await).await.0, 400);
    assert_eq!(code(get("bytes=0-1", "&limit=1").await).await.0, 400);
    let tag = header(&case.read(&file, "&digest=sha256").await, "etag");
    // Long ago, so that its date tells this content from others.
    let past = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let opened = fs::File::options().write(true).open(&file);
    opened.expect("opened").set_modified(past).expect("set");
    let date = header(&case.read(&file, "").await, "last-modified");
    assert_eq!(date, "Sun, 09 Sep 2001 01:46:40 GMT");
    for (condition, status) in [
        (tag.as_str(), 206),
        ("\"other\"", 200),
        (date.as_str(), 206),
        ("Sun, 09 Sep 2001 01:46:41 GMT", 200),
        ("yesterday", 200),
    ] {
        let request = case.request(Method::GET, "read-file", &file, "");
        let request = request
            .header("range", "bytes=1-2")
            .header("if-range", condition);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{condition}");
    }
    // In the second of the change, and before a change to come, no date is told.
    let future = SystemTime::now() + Duration::from_secs(1000);
    let opened = fs::File::options().write(true).open(&file);
    opened.expect("opened").set_modified(future).expect("set");
    let answer = case.read(&file, "").await;
    assert_eq!(header(&answer, "last-modified"), "");
}

#[tokio::test]
async fn tags_change_with_every_change_and_spare_the_bytes() {
    let case = Case::new();
    let file = case.path("a");
    let mut seen = Vec::new();
    for round in 0..50_u8 {
        // Of equal size, by another program, within one tick of the clock of the file system.
        fs::write(&file, [round]).expect("written");
        let tag = header(&case.read(&file, "").await, "etag");
        assert!(
            !tag.is_empty() && !seen.contains(&tag),
            "{tag} in round {round}"
        );
        seen.push(tag);
    }
    let content = header(&case.read(&file, "&digest=sha256").await, "etag");
    assert!(content.starts_with("\"h-"), "{content}");
    let (_, written) = case.write(&file, "", "hello").await;
    let version = written["etag"].as_str().expect("a tag").to_owned();
    assert!(version.starts_with("\"s-"), "{version}");
    let content = header(&case.read(&file, "&digest=sha256").await, "etag");
    for known in [
        version,
        content,
        "*".to_owned(),
        "\"x\", W/\"y\", *".to_owned(),
    ] {
        let request = case.request(Method::GET, "read-file", &file, "");
        let answer = request
            .header("if-none-match", &known)
            .send()
            .await
            .expect("an answer");
        let status = if known.contains("\"x\"") { 400 } else { 304 };
        assert_eq!(answer.status(), status, "{known}");
    }
    let request = case.request(Method::GET, "read-file", &file, "");
    let answer = request
        .header("if-none-match", "\"s-0\"")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn downloads_have_their_names() {
    let case = Case::new();
    let answer = case
        .read(case.file("ü \".txt", "x"), "&download=true")
        .await;
    assert_eq!(
        header(&answer, "content-disposition"),
        "attachment; filename=\"_ _.txt\"; filename*=UTF-8''%C3%BC%20%22.txt"
    );
}

#[tokio::test]
async fn what_is_no_file_is_refused_at_once() {
    let case = Case::new();
    let fifo = case.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
    let _socket = UnixListener::bind(case.path("socket")).expect("bound");
    for (path, status, word) in [
        (fifo.clone(), 400, "not_regular_file"),
        (case.path("socket"), 400, "not_regular_file"),
        ("/dev/zero".into(), 400, "not_regular_file"),
        (case.work.path().to_owned(), 400, "not_a_file"),
        ("/".into(), 400, "not_a_file"),
        (case.path("missing"), 404, "not_found"),
        (case.file("f", "").join("below"), 400, "not_a_directory"),
        ("relative".into(), 400, "path_not_absolute"),
        ("./relative".into(), 400, "path_not_absolute"),
        ("".into(), 400, "invalid_field"),
    ] {
        let answer = case.read(&path, "").await;
        assert_eq!(code(answer).await, (status, word.to_owned()), "{path:?}");
    }
    let (_, body) = json(case.read(case.work.path(), "").await).await;
    assert!(
        body["message"]
            .as_str()
            .expect("text")
            .contains("not a file")
    );
    let (_, body) = json(case.read(case.path("missing"), "").await).await;
    assert!(
        body["message"]
            .as_str()
            .expect("text")
            .contains("file does not exist")
    );
    let own = case
        .read(case.daemon.home().state().join("token"), "")
        .await;
    assert_eq!(code(own).await, (403, "reserved_path".into()));
    let magic = case.read("/proc/self/exe", "").await;
    assert_eq!(magic.status(), 403);
}

#[tokio::test]
async fn parameters_are_held_to_what_they_are() {
    let case = Case::new();
    let file = query(&case.file("a", "x"));
    for (asked, field, detail) in [
        (String::new(), "path", "\"path\" is required"),
        ("path=".into(), "path", "\"path\" is required"),
        (
            format!("path={file}&offset=-1"),
            "offset",
            "value is negative",
        ),
        (format!("path={file}&limit=x"), "limit", "not an integer"),
        (
            format!("path={file}&limit=1&limit=1"),
            "limit",
            "more than once",
        ),
        (
            format!("path={file}&more=1"),
            "more",
            "not a query parameter",
        ),
        (
            format!("path={file}&download=yes"),
            "download",
            "not one of",
        ),
        (format!("path={file}&digest=md5"), "digest", "not one of"),
    ] {
        let answer = case.daemon.get(&format!("/api/v0/read-file?{asked}")).await;
        let (status, body) = json(answer).await;
        assert_eq!(status, 400, "{asked}");
        assert_eq!(body["validations"][0]["field"], field, "{asked}");
        let told = body["validations"][0]["detail"].as_str().expect("text");
        assert!(told.contains(detail), "{asked}: {told}");
    }
}

#[tokio::test]
async fn a_file_without_a_length_is_read_to_its_end() {
    let case = Case::new();
    let answer = case.read("/proc/version", "").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(header(&answer, "content-length"), "");
    assert_eq!(header(&answer, "etag"), "");
    let text = answer.text().await.expect("whole");
    assert_eq!(text, fs::read_to_string("/proc/version").expect("read"));
    let part = case.read("/proc/version", "&offset=2&limit=3").await;
    assert_eq!(part.text().await.expect("whole"), text[2..5]);
    let empty = case.read(case.file("empty", ""), "").await;
    assert_eq!(header(&empty, "content-length"), "0");
}

#[tokio::test]
async fn a_file_that_shrinks_breaks_the_connection_and_growth_is_not_sent() {
    let case = Case::new();
    let file = fs::File::create(case.path("sparse")).expect("made");
    file.set_len(256 << 20).expect("sized");
    let mut stream = case.read(case.path("sparse"), "").await.bytes_stream();
    let mut came = stream.next().await.expect("a piece").expect("good").len();
    file.set_len(1000).expect("cut");
    let broken = loop {
        match stream.next().await {
            Some(Ok(piece)) => came += piece.len(),
            Some(Err(error)) => break Some(error),
            None => break None,
        }
    };
    assert!(broken.is_some(), "{came} bytes came as if they were all");
    let mut file = fs::File::create(case.path("growing")).expect("made");
    file.set_len(66 << 20).expect("sized");
    let mut stream = case.read(case.path("growing"), "").await.bytes_stream();
    let mut came = stream.next().await.expect("a piece").expect("good").len();
    file.set_len(67 << 20).expect("longer");
    file.write_all(b"x").expect("written");
    while let Some(piece) = stream.next().await {
        came += piece.expect("good").len();
    }
    assert_eq!(came, 66 << 20);
}

#[tokio::test]
async fn a_reader_keeps_the_file_that_it_opened() {
    let case = Case::new();
    let content = vec![b'a'; 66 << 20];
    let file = case.file("a", &content);
    let mut stream = case.read(&file, "").await.bytes_stream();
    let first = stream.next().await.expect("a piece").expect("good");
    case.write(&file, "", "other").await;
    let mut came = first.len();
    while let Some(piece) = stream.next().await {
        let piece = piece.expect("good");
        assert!(piece.iter().all(|byte| *byte == b'a'));
        came += piece.len();
    }
    assert_eq!(came, content.len());
}

#[tokio::test]
async fn a_plain_user_reads_what_it_may() {
    let Some(case) = Case::as_plain_user() else {
        return;
    };
    let file = case.file("secret", "x");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    assert_eq!(
        code(case.read(&file, "").await).await,
        (403, "permission_denied".into())
    );
    let answer = case.lines(&file, "").await;
    assert_eq!(answer["success"], Value::Bool(false));
    assert!(
        answer["error"]
            .as_str()
            .expect("text")
            .starts_with("permission denied")
    );
}
