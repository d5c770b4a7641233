//! HTTP that is broken, doubled, huge or slow, written byte by byte.

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::{hostile::Raw, support::daemon::Daemon};

const ACTION: &str = "POST /api/v0/desktop/action";

/// Sends what follows the usual headers and gives all that comes back.
async fn answer(daemon: &Daemon, line: &str, rest: &str) -> String {
    let mut raw = Raw::open(daemon).await;
    let head = raw.head(line);
    raw.send(head + rest).await;
    raw.rest().await
}

fn answers(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[tokio::test]
async fn a_request_with_two_lengths_is_one_request_or_none() {
    let daemon = Daemon::start(&[]);
    let inner = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let doubled = format!("Content-Length: 4\r\nContent-Length: 5\r\n\r\n{{}}  {inner}");
    let text = answer(&daemon, ACTION, &doubled).await;
    assert!(
        text.starts_with("HTTP/1.1 400") && answers(&text) == 1,
        "{text}"
    );
    for coding in ["identity", "xchunked", "chunked, identity", "gzip"] {
        let rest = format!("Transfer-Encoding: {coding}\r\nContent-Length: 2\r\n\r\n{{}}");
        let text = answer(&daemon, ACTION, &rest).await;
        assert!(
            text.starts_with("HTTP/1.1 400") && answers(&text) == 1,
            "{coding}: {text}"
        );
    }
    for length in ["-1", "+2", "2x", "0x2", "99999999999999999999999"] {
        let rest = format!("Content-Length: {length}\r\n\r\n{{}}");
        let text = answer(&daemon, ACTION, &rest).await;
        assert!(
            text.starts_with("HTTP/1.1 400") && answers(&text) == 1,
            "{length}: {text}"
        );
    }
    // Both framings: the chunks count (RFC 9112, 6.3), so the length hides nothing in the body.
    let close = "GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let chunks = format!("0\r\n\r\n{close}");
    let both = format!(
        "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}",
        chunks.len()
    );
    let text = answer(&daemon, ACTION, &both).await;
    println!("both framings: {text}");
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    assert!(
        answers(&text) == 1 || text.contains("HTTP/1.1 401"),
        "read by the token of another: {text}"
    );
}

#[tokio::test]
async fn chunks_that_lie_end_the_connection() {
    let daemon = Daemon::start(&[]);
    for chunks in [
        "zz\r\n{}\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n{}",
        "-2\r\n{}\r\n0\r\n\r\n",
        "2\r\n{}XX0\r\n\r\n",
    ] {
        let rest = format!("Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}");
        let text = answer(&daemon, ACTION, &rest).await;
        assert!(
            text.starts_with("HTTP/1.1 400") && answers(&text) == 1,
            "{chunks:?}: {text}"
        );
    }
}

#[tokio::test]
async fn heads_beyond_every_measure_are_refused() {
    let daemon = Daemon::start(&[]);
    let huge = format!("X-Huge: {}\r\n\r\n", "x".repeat(1 << 20));
    let many = "X-Many: 1\r\n".repeat(10_000) + "\r\n";
    for rest in [huge, many] {
        let text = answer_to_excess(&daemon, "GET /healthz", &rest).await;
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 431"),
            "{text}"
        );
    }
    let line = format!("GET /{}", "a".repeat(1 << 20));
    let text = answer_to_excess(&daemon, &line, "\r\n").await;
    assert!(
        text.is_empty() || text.starts_with("HTTP/1.1 414") || text.starts_with("HTTP/1.1 431"),
        "{text}"
    );
    let hundred = "X-Some: 1\r\n".repeat(101) + "\r\n";
    let text = answer(&daemon, "GET /healthz", &hundred).await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

/// The daemon may refuse before all is sent; then the rest cannot be, and the answer may be lost with it.
async fn answer_to_excess(daemon: &Daemon, line: &str, rest: &str) -> String {
    let mut raw = Raw::open(daemon).await;
    let head = raw.head(line);
    let _ = raw.stream.write_all((head + rest).as_bytes()).await;
    raw.rest().await
}

#[tokio::test]
async fn rubbish_is_no_request() {
    let daemon = Daemon::start(&[]);
    for rubbish in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], // a TLS greeting
        b"RFB 003.008\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA\x00b: c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost : evil\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
    ] {
        let mut raw = Raw::open(&daemon).await;
        raw.send(rubbish).await;
        let shown = String::from_utf8_lossy(rubbish).into_owned();
        let _ = raw.stream.shutdown().await;
        let text = raw.rest().await;
        let refused = !text.contains("200 OK");
        assert!(refused, "{shown:?} gave {text}");
    }
    let health = daemon.get("/healthz").await;
    assert_eq!(health.status(), 200);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let daemon = Daemon::start(&[]);
    let mut raw = Raw::open(&daemon).await;
    let mut all = String::new();
    for number in 0..50 {
        let body = json!({"action": format!("fly-{number}")});
        all += &raw
            .action(&body)
            .replace("Host:", &format!("X-Request-Id: n{number}\r\nHost:"));
    }
    all += &(raw.head("GET /healthz") + "Connection: close\r\n\r\n");
    raw.send(all).await;
    let text = raw.rest().await;
    assert_eq!(answers(&text), 51, "{text}");
    let ids: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("x-request-id: n"))
        .collect();
    let expected: Vec<String> = (0..50).map(|number: u32| number.to_string()).collect();
    assert_eq!(ids, expected);
    assert!(text.contains("fly-49") && text.ends_with(r#"{"status":"ok"}"#));
}

#[tokio::test]
async fn a_head_that_comes_in_drops_is_read_beside_others() {
    let daemon = Daemon::start(&[]);
    let mut slow = Vec::new();
    for _ in 0..100 {
        slow.push(Raw::open(&daemon).await);
    }
    let request = slow[0].head("GET /api/v0/version") + "Connection: close\r\n\r\n";
    for (index, byte) in request.bytes().enumerate() {
        for raw in &mut slow {
            raw.send([byte]).await;
        }
        if index % 50 == 0 {
            assert_eq!(daemon.get("/healthz").await.status(), 200);
        }
    }
    for mut raw in slow {
        let text = raw.rest().await;
        assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    }
}

#[tokio::test]
async fn hosts_are_checked_however_they_are_written() {
    let daemon = Daemon::start(&[]);
    for head in [
        "GET http://evil.example/api/v0/version HTTP/1.1\r\nHost: localhost\r\n",
        "GET /api/v0/version HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n",
        "GET /api/v0/version HTTP/1.1\r\nHost: evil.example\r\nHost: localhost\r\n",
        "GET /api/v0/version HTTP/1.1\r\nHost: localhost@evil.example\r\n",
        "GET /api/v0/version HTTP/1.1\r\nHost: localhost.evil.example\r\n",
        "GET /api/v0/version HTTP/1.1\r\nHost: 127.0.0.1.evil.example\r\n",
        "GET /api/v0/version HTTP/1.1\r\nHost: \r\n",
        "GET /api/v0/version HTTP/1.1\r\n",
    ] {
        let mut raw = Raw::open(&daemon).await;
        let token = daemon.token();
        raw.send(format!(
            "{head}Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        ))
        .await;
        let text = raw.rest().await;
        println!("{head:?}: {}", text.lines().next().unwrap_or_default());
        assert!(text.starts_with("HTTP/1.1 4"), "{head:?} gave {text}");
    }
}
