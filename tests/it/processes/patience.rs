//! Whoever does nothing for half a minute. All in one test, because each of them takes that long.

use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::tungstenite::Message;

use super::{ROOT, daemon, id_of, output, signal};
use crate::support::{
    daemon::{Daemon, json as json_of},
    eventually,
};

/// A WebSocket whose client does nothing by itself: no pong, no read.
async fn raw_attach(daemon: &Daemon, id: &str) -> TcpStream {
    let mut stream = TcpStream::connect(&daemon.address)
        .await
        .expect("it listens");
    let request = format!(
        "GET {ROOT}/{id}/attach HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\
         Authorization: Bearer {}\r\n\r\n",
        daemon.address,
        daemon.token()
    );
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.expect("an answer");
    assert_eq!(&start, b"HTTP/1.1 101");
    stream
}

fn descriptors(daemon: &Daemon) -> usize {
    let folder = format!("/proc/{}/fd", daemon.pid());
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// A body that the process does not read is given back with how much it took.
async fn unread_body(daemon: &Daemon, id: &str) {
    let request = daemon.request(Method::POST, &format!("{ROOT}/{id}/stdin"));
    let answer = request.body(vec![b'x'; 1 << 20]).send().await;
    let (status, body) = json_of(answer.expect("an answer")).await;
    assert_eq!((status, &body["code"]), (504, &json!("stdin_stalled")));
    // Up to what a pipe holds: a page that is not full counts as one.
    let written = body["written"].as_u64().expect("a number");
    assert!((1..=65_536).contains(&written), "{written}");
}

/// The same over a WebSocket. Its client answers pings all the while, which are not read: that is no missing pong.
async fn unread_frames(daemon: &Daemon, id: &str) {
    let path = format!("{ROOT}/{id}/attach");
    let socket = daemon.websocket(&path).await.expect("a socket");
    let (mut sender, mut receiver) = socket.split();
    let send = async {
        for _ in 0..4 {
            let mut frame = vec![b'x'; 512 << 10];
            frame[0] = 0;
            // The last ones are never taken.
            if sender.send(Message::Binary(frame.into())).await.is_err() {
                return;
            }
        }
        std::future::pending::<()>().await;
    };
    let receive = async {
        loop {
            match receiver.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| u16::from(frame.code)),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    };
    tokio::select! {
        () = send => panic!("the connection broke before it was closed"),
        code = receive => assert_eq!(code, Some(1013)),
    }
}

/// A client that lives, as far as TCP can tell, but answers no ping.
async fn unanswered_ping(daemon: &Daemon, id: &str) {
    let mut stream = raw_attach(daemon, id).await;
    let mut all = Vec::new();
    stream.read_to_end(&mut all).await.expect("its end");
    let pings = all.windows(2).filter(|pair| pair == b"\x89\x00").count();
    assert!(pings >= 1, "it was asked");
    let close = b"\x88\x0e\x03\xe9ping timeout";
    assert!(all.ends_with(close), "{:?}", String::from_utf8_lossy(&all));
}

/// Proxies close what is silent.
async fn sign_of_life(daemon: &Daemon, id: &str) {
    let mut answer = daemon.get(&format!("{ROOT}/{id}/events")).await;
    let mut text = String::new();
    while !text.contains(": alive\n\n") {
        let chunk = answer.chunk().await.expect("no error").expect("no end");
        text.push_str(&String::from_utf8_lossy(&chunk));
    }
    assert_eq!(text, ": alive\n\n", "and nothing else");
}

#[tokio::test]
async fn whoever_does_nothing_is_given_up_and_nobody_else() {
    let daemon = daemon();
    let sleeper = json!({"argv": ["sleep", "1000"], "stdin": "pipe"});
    let first = id_of(&daemon, sleeper.clone()).await;
    let second = id_of(&daemon, sleeper.clone()).await;
    let third = id_of(&daemon, sleeper).await;
    let talker = id_of(&daemon, json!({"argv": ["yes"]})).await;
    let before = descriptors(&daemon);
    let never_reads = raw_attach(&daemon, &talker).await;
    tokio::join!(
        unread_body(&daemon, &first),
        unread_frames(&daemon, &second),
        unanswered_ping(&daemon, &third),
        sign_of_life(&daemon, &third),
    );
    // Kept connections of the test's own client come on top.
    eventually("who never reads is let go", || {
        descriptors(&daemon) <= before + 2
    })
    .await;
    drop(never_reads);
    for id in [&first, &second, &third, &talker] {
        assert_eq!(output(&daemon, id, "").await["running"], true);
        assert_eq!(signal(&daemon, id, "kill").await.0, 200);
    }
}
