//! `read-file-lines`: each row of its table, and pages that give back the file.

use std::{fs, io::Write, os::unix::net::UnixListener};

use reqwest::Method;
use serde_json::{Value, json};

use super::helpers::{Case, header, query};
use crate::support::daemon::json as json_of;

fn error(answer: &Value) -> &str {
    assert_eq!(answer["success"], false, "{answer}");
    answer["error"].as_str().expect("text")
}

#[tokio::test]
async fn lines_have_their_numbers() {
    let case = Case::new();
    let three = case.file("three", "one\ntwo\r\nthree");
    let all = json!({
        "success": true, "file_size": 14, "total_lines": 3, "lines_read": 3,
        "content": "1\tone\n2\ttwo\r\n3\tthree",
    });
    assert_eq!(case.lines(&three, "").await, all);
    assert_eq!(case.lines(&three, "&offset=0&limit=0").await, all);
    let two = json!({
        "success": true, "file_size": 14, "total_lines": 3, "lines_read": 2, "content": "2\ttwo\r\n3\tthree",
    });
    assert_eq!(case.lines(&three, "&offset=2").await, two);
    let one = json!({
        "success": true, "file_size": 14, "total_lines": 3, "lines_read": 1, "content": "1\tone",
    });
    assert_eq!(case.lines(&three, "&limit=1").await, one);
    // A final newline makes one more, empty, line; a lone CR makes none.
    let ended = case.lines(case.file("ended", "a\rb\n"), "").await;
    assert_eq!(
        (&ended["content"], &ended["total_lines"]),
        (&json!("1\ta\rb\n2\t"), &json!(2))
    );
    assert_eq!(
        case.lines(case.file("empty", ""), "").await,
        json!({"success": true})
    );
    let beyond = case.lines(&three, "&offset=4").await;
    assert!(error(&beyond).starts_with("offset 4 is beyond the file length of 3 lines"));
}

#[tokio::test]
async fn only_wrong_parameters_are_errors() {
    let case = Case::new();
    let file = case.file("a", "x");
    let socket = case.path("socket");
    let _socket = UnixListener::bind(&socket).expect("bound");
    for (path, begins) in [
        ("relative".into(), "file path must be absolute"),
        (case.path("missing"), "file does not exist"),
        (case.work.path().to_owned(), "not a file:"),
        (socket, "not a regular file:"),
        ("/dev/zero".into(), "not a regular file:"),
        (file.join("below"), "open file"),
    ] {
        let answer = case.lines(&path, "").await;
        assert!(error(&answer).starts_with(begins), "{answer}");
    }
    let file = query(&file);
    for asked in [
        String::new(),
        "path=".into(),
        format!("path={file}&offset=-1"),
        format!("path={file}&limit=x"),
        format!("path={file}&max_line_bytes=-5"),
        format!("path={file}&other=1"),
    ] {
        let answer = case
            .daemon
            .get(&format!("/api/v0/read-file-lines?{asked}"))
            .await;
        let (status, body) = json_of(answer).await;
        assert_eq!(status, 400, "{asked}: {body}");
        assert_eq!(body["message"], "Query parameters have invalid values.");
    }
}

#[tokio::test]
async fn files_are_held_to_their_size() {
    let case = Case::new();
    let just = case
        .lines(case.file("just", vec![b'\n'; 1 << 20]), "&limit=1")
        .await;
    assert_eq!(
        (&just["success"], &just["total_lines"]),
        (&json!(true), &json!((1 << 20) + 1))
    );
    let over = case
        .lines(case.file("over", vec![b'\n'; (1 << 20) + 1]), "")
        .await;
    let told = error(&over);
    assert!(
        told.contains("exceeds the maximum")
            && told.contains("1048577")
            && told.contains("1048576")
    );
    let raised = case
        .lines(case.path("over"), "&max_file_size=1048577&limit=1")
        .await;
    assert_eq!(raised["success"], true);
    // Its length is said to be 0, so what is read counts.
    let endless = case.lines("/proc/cpuinfo", "&max_file_size=10").await;
    assert!(error(&endless).contains("exceeds the maximum"), "{endless}");
    let version = case.lines("/proc/version", "").await;
    let text = fs::read_to_string("/proc/version").expect("read");
    assert_eq!(version["file_size"], text.len());
}

#[tokio::test]
async fn long_lines_are_cut_at_whole_characters() {
    let case = Case::new();
    let line = "x".repeat(1024);
    let just = case.lines(case.file("just", &line), "").await;
    assert_eq!(just["content"], format!("1\t{line}"));
    let over = case
        .lines(case.file("over", format!("{line}y\nz")), "")
        .await;
    assert_eq!(over["content"], format!("1\t{line}... [truncated]\n2\tz"));
    for before in 1021..=1024 {
        let text = format!("{}𝄞𝄞", "x".repeat(before));
        let answer = case.lines(case.file("wide", &text), "").await;
        assert_eq!(
            answer["content"],
            format!("1\t{}... [truncated]", &text[..before])
        );
    }
    let short = case.lines(case.path("wide"), "&max_line_bytes=3").await;
    assert_eq!(short["content"], "1\txxx... [truncated]");
    let broken = case
        .lines(case.file("broken", b"a\xff\xfe\n\xe2\x82"), "")
        .await;
    assert_eq!(broken["content"], "1\ta\u{fffd}\n2\t\u{fffd}");
}

#[tokio::test]
async fn budgets_hold_on_both_sides() {
    let case = Case::new();
    let file = case.file("a", "aaa\nbbb\nccc");
    // "1\taaa" is 5 bytes, "\n2\tbbb" 6.
    let fits = case.lines(&file, "&limit=2&max_response_bytes=11").await;
    assert_eq!(fits["content"], "1\taaa\n2\tbbb");
    let over = case.lines(&file, "&limit=2&max_response_bytes=10").await;
    assert!(error(&over).starts_with("output would exceed 10 bytes"));
    assert_eq!(over.get("content"), None);
    let over = case.lines(&file, "&limit=3&max_response_lines=2").await;
    assert!(error(&over).starts_with("output would exceed 2 lines"));
    let fits = case.lines(&file, "&limit=2&max_response_lines=2").await;
    assert_eq!(fits["lines_read"], 2);
    let unasked = case.lines(&file, "&max_response_lines=2").await;
    assert_eq!(
        (&unasked["lines_read"], &unasked["total_lines"]),
        (&json!(2), &json!(3))
    );
    let default = case
        .lines(
            &file,
            "&max_response_bytes=0&max_response_lines=0&max_line_bytes=0&max_file_size=0",
        )
        .await;
    assert_eq!(default["lines_read"], 3);
}

/// The text of a page without its numbers, which must go up from the first.
fn text(page: &Value, mut number: u64) -> String {
    let content = page["content"].as_str().expect("text");
    let lines = content.split('\n').map(|line| {
        let (told, text) = line.split_once('\t').expect("a number and a TAB");
        assert_eq!(told, number.to_string());
        number += 1;
        text
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn pages_give_back_the_file() {
    let case = Case::new();
    let mut whole = String::new();
    for line in 0..20_000 {
        whole.extend([&line.to_string(), " ", &"ä".repeat(line % 97), "\n"]);
    }
    let file = case.file("large", &whole);
    for budget in ["", "&max_response_bytes=400", "&limit=777"] {
        let (mut back, mut offset) = (Vec::new(), 1);
        loop {
            let page = case
                .lines(&file, &format!("&partial=true&offset={offset}{budget}"))
                .await;
            assert_eq!(page["success"], true, "{page}");
            assert_eq!(page["total_lines"], 20_001);
            back.push(text(&page, offset));
            match page["next_offset"].as_u64() {
                Some(next) if budget.is_empty() || next < 3000 => offset = next,
                _ => break,
            }
        }
        let back = back.join("\n");
        assert!(whole.starts_with(&back) && back.len() > 10_000);
        assert!(!budget.is_empty() || back == whole);
    }
    let last = case.lines(&file, "&partial=true&offset=20001").await;
    assert_eq!(
        (&last["content"], last.get("next_offset")),
        (&json!("20001\t"), None)
    );
}

#[tokio::test]
async fn a_page_always_goes_on() {
    let case = Case::new();
    let file = case.file("a", format!("{}\nb", "x".repeat(500)));
    let page = case
        .lines(&file, "&partial=true&max_response_bytes=30")
        .await;
    assert_eq!(
        page["content"],
        format!("1\t{}... [truncated]", "x".repeat(13))
    );
    assert_eq!(
        (&page["next_offset"], &page["cut_lines"]),
        (&json!(2), &json!([1]))
    );
    let tiny = case
        .lines(&file, "&partial=true&max_response_bytes=1")
        .await;
    assert_eq!(tiny["next_offset"], 2);
}

#[tokio::test]
async fn partial_pages_tell_what_the_text_is() {
    let case = Case::new();
    let page = async |name: &str, content: &[u8]| {
        let file = case.file(name, content);
        case.lines(file, "&partial=true").await
    };
    for (content, encoding, ending) in [
        (&b"a\nb\n"[..], "utf-8", "lf"),
        (b"a\r\nb", "utf-8", "crlf"),
        (b"a\r\nb\n", "utf-8", "mixed"),
        (b"a\rb", "utf-8", "none"),
        (b"\xef\xbb\xbfa\n", "utf-8-bom", "lf"),
        (b"\xff\xfe\x01\x30\x02\x30", "utf-16le", "none"),
        (b"\xfe\xff\x30\x01\x30\x02", "utf-16be", "none"),
        (b"a\xff\n", "unknown", "lf"),
    ] {
        let told = page("a", content).await;
        assert_eq!(
            (&told["encoding"], &told["line_ending"]),
            (&json!(encoding), &json!(ending)),
            "{content:?}"
        );
    }
    let unclean = page("a", b"a\n\xff\nb\n\xfe").await;
    assert_eq!(unclean["invalid_utf8"], json!([2, 4]));
    let binary = page("binary", b"a\0b").await;
    assert_eq!(binary["code"], "binary_file");
    assert!(error(&binary).contains("read-file"));
    let late = page("late", &[&vec![b'x'; 8192][..], b"\0"].concat()).await;
    assert_eq!(late["success"], true);
    let large = case.file("large", vec![b'\n'; (1 << 20) + 1]);
    assert_eq!(case.lines(&large, "&partial=true").await["success"], true);
    assert_eq!(
        case.lines(&large, "&partial=true&max_file_size=5").await["success"],
        false
    );
}

#[tokio::test]
async fn a_page_that_the_caller_has_is_not_sent_again() {
    let case = Case::new();
    let file = case.path("a");
    case.write(&file, "", "one\n").await;
    let page = case.lines(&file, "&partial=true").await;
    let tag = page["etag"].as_str().expect("a tag").to_owned();
    let again = async || {
        let request = case.request(Method::GET, "read-file-lines", &file, "&partial=true");
        request
            .header("if-none-match", &tag)
            .send()
            .await
            .expect("an answer")
    };
    let known = again().await;
    assert_eq!(
        (known.status().as_u16(), header(&known, "etag")),
        (304, tag.clone())
    );
    case.write(&file, "", "two\n").await;
    assert_eq!(again().await.status(), 200);
}

#[tokio::test]
async fn large_files_are_indexed_and_their_long_lines_jumped_over() {
    let case = Case::new();
    let path = case.path("large");
    let mut file = fs::File::create(&path).expect("made");
    // A line of 70 MiB between short ones.
    file.write_all(b"first\n").expect("written");
    file.write_all(&vec![b'x'; 70 << 20]).expect("written");
    file.write_all(b"\r\nafter\nlast").expect("written");
    drop(file);
    let page = case.lines(&path, "&partial=true").await;
    assert_eq!(
        (page.get("total_lines"), &page["lines_read"]),
        (None, &json!(4))
    );
    let content = page["content"].as_str().expect("text");
    assert!(
        content.starts_with("1\tfirst\n2\txxx") && content.ends_with("\n3\tafter\n4\tlast"),
        "{}",
        content.len()
    );
    assert_eq!(
        (&page["line_ending"], &page["cut_lines"]),
        (&json!("mixed"), &json!([2]))
    );
    let counted = case.lines(&path, "&partial=true&total=true&offset=3").await;
    assert_eq!(
        (&counted["total_lines"], &counted["content"]),
        (&json!(4), &json!("3\tafter\n4\tlast"))
    );
    let known = case.lines(&path, "&partial=true&offset=4").await;
    assert_eq!(
        (&known["total_lines"], &known["content"]),
        (&json!(4), &json!("4\tlast"))
    );
    let strict = case.lines(&path, "&max_file_size=100000000&offset=2").await;
    assert_eq!(strict["lines_read"], 3);
    fs::write(&path, "other\nfile").expect("written");
    assert_eq!(case.lines(&path, "&offset=2").await["content"], "2\tfile");
}
