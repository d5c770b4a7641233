//! The clipboard routes, with real programs at the other end, and with ones that behave badly.

use std::{
    io::Write,
    process::{Child, Stdio},
};

use reqwest::{Method, Response};
use serde_json::Value;

use crate::{
    desktop::address,
    support::{
        daemon::{Daemon, json as json_of},
        selection::Peer,
    },
};

const CLIPBOARD: &str = "/api/v0/desktop/clipboard";
const PRIMARY: &str = "/api/v0/desktop/clipboard?selection=primary";
const TEXT: &str = "naïve – Ω 漢字 кириллица 🎉\nsecond line\twith a tab";

async fn put(daemon: &Daemon, path: &str, kind: &str, bytes: impl Into<Vec<u8>>) -> Response {
    let request = daemon.request(Method::PUT, path).body(bytes.into());
    let request = request.header("content-type", kind);
    request.send().await.expect("an answer")
}

async fn written(daemon: &Daemon, path: &str, kind: &str, bytes: impl Into<Vec<u8>>) {
    let answer = put(daemon, path, kind, bytes).await;
    let status = answer.status();
    let body = answer.text().await.expect("a body");
    assert_eq!(status, 204, "{body}");
}

async fn get(daemon: &Daemon, path: &str, accept: &str) -> Response {
    let request = daemon.request(Method::GET, path).header("accept", accept);
    request.send().await.expect("an answer")
}

/// What a GET that must succeed gives.
async fn read(daemon: &Daemon, path: &str, accept: &str) -> Vec<u8> {
    let answer = get(daemon, path, accept).await;
    let status = answer.status();
    let body = answer.bytes().await.expect("a body").to_vec();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    body
}

/// The refusal that a GET gives.
async fn refused(daemon: &Daemon, path: &str, accept: &str) -> (u16, Value) {
    json_of(get(daemon, path, accept).await).await
}

/// xclip that owns a selection until something else does.
async fn xclip_in(daemon: &Daemon, arguments: &[&str], bytes: &[u8]) -> Child {
    let peer = Peer::open(&address(daemon).await);
    let primary = arguments.contains(&"primary");
    peer.watch(if primary { "PRIMARY" } else { "CLIPBOARD" });
    let mut command = daemon.program("xclip").await;
    let mut child = command
        .args(["-in", "-quiet"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("xclip starts: scripts/setup test");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(bytes).expect("xclip reads");
    drop(stdin);
    tokio::task::block_in_place(|| peer.wait_for_owner());
    child
}

async fn xclip_out(daemon: &Daemon, arguments: &[&str]) -> Vec<u8> {
    let mut command = daemon.program("xclip").await;
    let output = command.arg("-out").args(arguments).output();
    let output = output.expect("xclip starts: scripts/setup test");
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

fn end(mut child: Child) {
    let _ = child.kill();
    child.wait().expect("a child");
}

fn megabytes(count: usize) -> Vec<u8> {
    let digits = (0..count * 1_000_000).map(|i| b'a' + u8::try_from(i % 23).expect("small"));
    digits.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn text_goes_both_ways_on_both_selections() {
    let daemon = Daemon::start(&[]);
    for (path, name) in [(CLIPBOARD, "clipboard"), (PRIMARY, "primary")] {
        let (status, body) = refused(&daemon, path, "*/*").await;
        assert_eq!((status, &body["code"]), (404, &"clipboard_empty".into()));
        let copied = format!("{TEXT} {name}");
        let xclip = xclip_in(&daemon, &["-selection", name], copied.as_bytes()).await;
        assert_eq!(read(&daemon, path, "text/plain").await, copied.as_bytes());
        written(&daemon, path, "text/plain; charset=utf-8", TEXT).await;
        assert_eq!(
            xclip_out(&daemon, &["-selection", name]).await,
            TEXT.as_bytes()
        );
        assert_eq!(read(&daemon, path, "*/*").await, TEXT.as_bytes());
        end(xclip);
    }
    let log = daemon.log();
    assert!(!log.contains("naïve"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_kinds_go_both_ways_and_are_negotiated() {
    let daemon = Daemon::start(&[]);
    let png = {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let picture = image::RgbImage::from_pixel(40, 30, image::Rgb([1, 2, 3]));
        picture
            .write_to(&mut bytes, image::ImageFormat::Png)
            .expect("a PNG");
        bytes.into_inner()
    };
    let html = "<b>fett &amp; ünterstrichen</b>".as_bytes();
    for (kind, bytes) in [("image/png", &png[..]), ("text/html", html)] {
        written(&daemon, CLIPBOARD, kind, bytes).await;
        let target = ["-selection", "clipboard", "-target", kind];
        assert_eq!(xclip_out(&daemon, &target).await, bytes, "{kind}");
        let xclip = xclip_in(&daemon, &target, bytes).await;
        let answer = get(&daemon, CLIPBOARD, &format!("{kind}, text/plain;q=0.5")).await;
        let header = |name| answer.headers()[name].to_str().expect("text").to_owned();
        assert!(header("content-type").starts_with(kind));
        // A browser must neither show nor run it.
        assert_eq!(header("content-disposition"), "attachment");
        assert_eq!(header("x-content-type-options"), "nosniff");
        assert!(header("content-security-policy").contains("sandbox"));
        assert_eq!(answer.bytes().await.expect("a body"), bytes, "{kind}");
        let (status, body) = refused(&daemon, CLIPBOARD, "text/plain").await;
        assert_eq!((status, &body["code"]), (406, &"not_on_offer".into()));
        assert!(body["detail"].to_string().contains(kind), "{body}");
        end(xclip);
    }
    let (status, body) = refused(&daemon, CLIPBOARD, "application/pdf").await;
    assert_eq!((status, &body["code"]), (406, &"not_acceptable".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn large_contents_go_both_ways() {
    let daemon = Daemon::start(&[]);
    let (copied, ours) = (megabytes(5), [megabytes(5), vec![b'!']].concat());
    let xclip = xclip_in(&daemon, &["-selection", "clipboard"], &copied).await;
    assert!(read(&daemon, CLIPBOARD, "*/*").await == copied, "5 MB in");
    end(xclip);
    written(&daemon, CLIPBOARD, "text/plain", ours.clone()).await;
    let target = ["-selection", "clipboard", "-target", "UTF8_STRING"];
    assert!(xclip_out(&daemon, &target).await == ours, "5 MB out");
    let most = megabytes(10);
    written(&daemon, CLIPBOARD, "text/plain", most.clone()).await;
    assert!(xclip_out(&daemon, &target).await == most, "10 MB out");
    // One byte more is too much, in either direction.
    let over = [most, vec![b'x']].concat();
    let answer = put(&daemon, CLIPBOARD, "text/plain", over.clone()).await;
    assert_eq!(answer.status(), 413);
    let xclip = xclip_in(&daemon, &["-selection", "clipboard"], &over).await;
    let (status, body) = refused(&daemon, CLIPBOARD, "*/*").await;
    assert_eq!(
        (status, &body["code"]),
        (413, &"clipboard_too_large".into())
    );
    end(xclip);
}

#[tokio::test]
async fn wrong_requests_are_refused_and_start_nothing() {
    let daemon = Daemon::start(&[]);
    for (path, kind, body, status, code) in [
        (
            "?selection=secondary",
            "text/plain",
            &b"x"[..],
            400,
            "invalid_request",
        ),
        ("", "text/plain", b"a\xff", 400, "invalid_utf8"),
        ("", "text/html", b"\xc3", 400, "invalid_utf8"),
        (
            "",
            "text/plain; charset=iso-8859-1",
            b"x",
            415,
            "unsupported_media_type",
        ),
        (
            "",
            "application/x-www-form-urlencoded",
            b"x",
            415,
            "unsupported_media_type",
        ),
        ("", "image/jpeg", b"x", 415, "unsupported_media_type"),
    ] {
        let answer = put(&daemon, &format!("{CLIPBOARD}{path}"), kind, body).await;
        let answer = json_of(answer).await;
        assert_eq!(
            (answer.0, &answer.1["code"]),
            (status, &code.into()),
            "{}",
            answer.1
        );
    }
    assert_eq!(daemon.desktop().await["state"], "stopped");
}

/// All that ICCCM wants of an owner.
#[tokio::test(flavor = "multi_thread")]
async fn we_are_a_proper_owner() {
    let daemon = Daemon::start(&[]);
    written(&daemon, CLIPBOARD, "text/plain", "größer € 1").await;
    let peer = Peer::open(&address(&daemon).await);
    let targets = peer.take(peer.convert("CLIPBOARD", "TARGETS")).1;
    let targets = targets
        .chunks_exact(4)
        .map(|atom| u32::from_ne_bytes(atom.try_into().expect("4")));
    let targets: Vec<u32> = targets.collect();
    for name in [
        "TARGETS",
        "TIMESTAMP",
        "MULTIPLE",
        "UTF8_STRING",
        "STRING",
        "TEXT",
        "text/plain",
        "text/plain;charset=utf-8",
    ] {
        assert!(targets.contains(&peer.atom(name)), "{name}");
        if name != "MULTIPLE" {
            assert_ne!(peer.convert("CLIPBOARD", name), x11rb::NONE, "{name}");
        }
    }
    let latin1 = peer.take(peer.convert("CLIPBOARD", "STRING"));
    assert_eq!(latin1, (peer.atom("STRING"), b"gr\xf6\xdfer ? 1".to_vec()));
    let text = peer.take(peer.convert("CLIPBOARD", "TEXT"));
    assert_eq!(text, (peer.atom("UTF8_STRING"), "größer € 1".into()));
    let time = peer.take(peer.convert("CLIPBOARD", "TIMESTAMP"));
    assert_eq!((time.0, time.1.len()), (peer.atom("INTEGER"), 4));
    assert_eq!(peer.convert("CLIPBOARD", "image/png"), x11rb::NONE);
    assert_eq!(peer.convert("PRIMARY", "UTF8_STRING"), x11rb::NONE);

    // Two at once: the first can be had, the second cannot, and is marked so.
    let (pairs, one, two) = (peer.atom("TEST"), peer.atom("ONE"), peer.atom("TWO"));
    let list = [peer.atom("UTF8_STRING"), one, peer.atom("image/png"), two];
    x11rb::wrapper::ConnectionExt::change_property32(
        &peer.connection,
        x11rb::protocol::xproto::PropMode::REPLACE,
        peer.window,
        pairs,
        peer.atom("ATOM_PAIR"),
        &list,
    )
    .expect("sent");
    assert_eq!(peer.convert("CLIPBOARD", "MULTIPLE"), pairs);
    let marked = peer.take(pairs).1;
    assert_eq!(marked[12..16], [0; 4], "the second is refused");
    assert_eq!(peer.take(one).1, "größer € 1".as_bytes());
}

/// Requests that hang are for their own caller to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_never_answers_hurts_nobody_else() {
    let daemon = Daemon::start(&[]);
    let silent = Peer::open(&address(&daemon).await);
    silent.own("CLIPBOARD");
    let reads = (0..3).map(|_| refused(&daemon, CLIPBOARD, "*/*"));
    let others = async {
        written(&daemon, PRIMARY, "text/plain", "meanwhile").await;
        assert_eq!(read(&daemon, PRIMARY, "*/*").await, b"meanwhile");
    };
    let (silence, ()) = tokio::join!(futures_util::future::join_all(reads), others);
    for (status, body) in silence {
        assert_eq!(
            (status, &body["code"]),
            (504, &"clipboard_owner_silent".into())
        );
    }
    // It can be overruled.
    written(&daemon, CLIPBOARD, "text/plain", "ours").await;
    assert_eq!(read(&daemon, CLIPBOARD, "*/*").await, b"ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_dies_in_the_middle_is_named() {
    let daemon = Daemon::start(&[]);
    let owner = Peer::open(&address(&daemon).await);
    owner.own("CLIPBOARD");
    let dies = tokio::task::spawn_blocking(move || {
        let targets = owner.request();
        owner.answer_targets(&targets, &["TARGETS", "UTF8_STRING"]);
        let request = owner.request();
        x11rb::wrapper::ConnectionExt::change_property32(
            &owner.connection,
            x11rb::protocol::xproto::PropMode::REPLACE,
            request.requestor,
            request.property,
            owner.atom("INCR"),
            &[1_000_000],
        )
        .expect("sent");
        owner.notify(&request, request.property);
    });
    let (status, body) = refused(&daemon, CLIPBOARD, "*/*").await;
    dies.await.expect("no panic");
    assert_eq!(
        (status, &body["code"]),
        (502, &"clipboard_owner_gone".into())
    );
    let (status, body) = refused(&daemon, CLIPBOARD, "*/*").await;
    assert_eq!((status, &body["code"]), (404, &"clipboard_empty".into()));
}

/// What an owner says is not believed: a small announcement, then more than is allowed.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_lies_about_the_size_is_stopped() {
    let daemon = Daemon::start(&[]);
    let owner = Peer::open(&address(&daemon).await);
    owner.own("CLIPBOARD");
    let lies = tokio::task::spawn_blocking(move || {
        // It has text only, though it says nothing of it.
        let targets = owner.request();
        owner.notify(&targets, x11rb::NONE);
        let request = owner.request();
        owner.answer(&request, owner.atom("STRING"), &vec![b'x'; 11_000_000]);
    });
    let (status, body) = refused(&daemon, CLIPBOARD, "*/*").await;
    lies.await.expect("no panic");
    assert_eq!(
        (status, &body["code"]),
        (413, &"clipboard_too_large".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_that_die_or_stall_hurt_nobody() {
    let daemon = Daemon::start(&[]);
    let large = megabytes(3);
    written(&daemon, CLIPBOARD, "text/plain", large.clone()).await;
    let address = address(&daemon).await;
    let begun = |count: usize| {
        let peers = (0..count).map(|_| Peer::open(&address));
        let begin = |peer: Peer| {
            let property = peer.convert("CLIPBOARD", "UTF8_STRING");
            assert_eq!(peer.take(property).0, peer.atom("INCR"));
            peer.wait_for(property);
            peer
        };
        peers.map(begin).collect::<Vec<Peer>>()
    };
    let stalled = begun(20);
    drop(begun(20));
    let target = ["-selection", "clipboard", "-target", "UTF8_STRING"];
    assert!(xclip_out(&daemon, &target).await == large);
    // New contents, while those are still on their way to nobody.
    for round in 0..10 {
        let next = [large.clone(), vec![b'0' + round]].concat();
        written(&daemon, CLIPBOARD, "text/plain", next.clone()).await;
        let _stalled = begun(2);
        assert!(xclip_out(&daemon, &target).await == next, "round {round}");
    }
    drop(stalled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_readers_at_once_all_get_it() {
    let daemon = Daemon::start(&[]);
    let xclip = xclip_in(&daemon, &["-selection", "clipboard"], TEXT.as_bytes()).await;
    let reads = (0..100).map(|_| read(&daemon, CLIPBOARD, "*/*"));
    for text in futures_util::future::join_all(reads).await {
        assert_eq!(text, TEXT.as_bytes());
    }
    end(xclip);
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_writers_leave_one_whole_content() {
    let daemon = Daemon::start(&[]);
    let texts: Vec<String> = (0..40)
        .map(|writer| format!("{writer} ").repeat(50_000))
        .collect();
    let writes = texts
        .iter()
        .map(|text| written(&daemon, CLIPBOARD, "text/plain", text.clone()));
    let other = xclip_in(&daemon, &["-selection", "primary"], b"other").await;
    futures_util::future::join_all(writes).await;
    let left = read(&daemon, CLIPBOARD, "*/*").await;
    assert!(texts.iter().any(|text| text.as_bytes() == left));
    let target = ["-selection", "clipboard", "-target", "UTF8_STRING"];
    assert!(xclip_out(&daemon, &target).await == left);
    end(other);
}

/// The server throws our connection out, but stays: the next use has another one, and the desktop is the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_connection_is_made_anew() {
    use x11rb::protocol::xproto::ConnectionExt as _;

    let daemon = Daemon::start(&[]);
    written(&daemon, CLIPBOARD, "text/plain", "before").await;
    let before = daemon.desktop().await;
    let peer = Peer::open(&address(&daemon).await);
    let owner = peer.connection.get_selection_owner(peer.atom("CLIPBOARD"));
    let owner = owner.expect("sent").reply().expect("an owner").owner;
    peer.connection
        .kill_client(owner)
        .expect("sent")
        .check()
        .expect("killed");
    let (status, _) = refused(&daemon, CLIPBOARD, "*/*").await;
    assert_eq!(status, 404, "it is gone with its connection");
    written(&daemon, CLIPBOARD, "text/plain", "after").await;
    assert_eq!(
        xclip_out(&daemon, &["-selection", "clipboard"]).await,
        b"after"
    );
    let after = daemon.desktop().await;
    assert_eq!(after["pid"], before["pid"]);
    assert_eq!(after["restarts"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_clipboard_follows_a_restart() {
    let daemon = Daemon::start(&[]);
    written(&daemon, CLIPBOARD, "text/plain", "old").await;
    let (status, _) = json_of(daemon.post("/api/v0/desktop/restart", Value::Null).await).await;
    assert_eq!(status, 200);
    assert_eq!(refused(&daemon, CLIPBOARD, "*/*").await.0, 404);
    written(&daemon, CLIPBOARD, "text/plain", "new").await;
    assert_eq!(
        xclip_out(&daemon, &["-selection", "clipboard"]).await,
        b"new"
    );
}
