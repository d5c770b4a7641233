//! Output as it comes: events and WebSockets.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::{ROOT, daemon, ended, exited, get, id_of, lines, run, signal, with};
use crate::support::daemon::{Daemon, Socket};

/// The events of a stream up to its end: name, id, data.
async fn events(daemon: &Daemon, path: &str, last: Option<u64>) -> Vec<(String, String, Value)> {
    let mut request = daemon.request(reqwest::Method::GET, &format!("{ROOT}{path}"));
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last.to_string());
    }
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let text = answer.text().await.expect("a whole stream");
    text.split("\n\n")
        .filter(|event| !event.is_empty() && !event.starts_with(':'))
        .map(|event| {
            let field = |name: &str| {
                let mut lines = event.lines();
                let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                value.unwrap_or_default().to_owned()
            };
            let data = serde_json::from_str(&field("data")).expect("JSON");
            (field("event"), field("id"), data)
        })
        .collect()
}

fn texts(events: &[(String, String, Value)]) -> String {
    let outputs = events.iter().filter(|(name, _, _)| name == "output");
    outputs
        .map(|(_, _, data)| data["text"].as_str().expect("text"))
        .collect()
}

#[tokio::test]
async fn events_replay_follow_and_end() {
    let daemon = daemon();
    let script = "echo first; read x; echo second; exit 3";
    let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
    let path = format!("/{id}/events");
    let all = events(&daemon, &path, None);
    let go_on = async {
        super::printed(&daemon, &id, "first").await;
        let path = format!("{ROOT}/{id}/stdin");
        let request = daemon.request(reqwest::Method::POST, &path).body("\n");
        request.send().await.expect("an answer");
    };
    let (all, ()) = tokio::join!(all, go_on);
    assert_eq!(texts(&all), "first\nsecond\n");
    let names: Vec<&str> = all.iter().map(|(name, _, _)| name.as_str()).collect();
    let end = &names[names.len() - 2..];
    assert_eq!(end, ["exit", "closed"]);
    let (_, _, exit) = &all[all.len() - 2];
    assert_eq!(
        (&exit["exit_code"], &exit["state"]),
        (&json!(3), &json!("exited"))
    );
    assert_eq!(exit["ending"]["kind"], "exited");
    let (_, id_of_first, data) = &all[0];
    assert_eq!(
        (&data["from"], &data["stream"]),
        (&json!(0), &json!("stdout"))
    );
    assert_eq!(id_of_first, &data["to"].to_string());
    assert_eq!(texts(&events(&daemon, &path, Some(6)).await), "second\n");
    assert_eq!(
        texts(&events(&daemon, &format!("{path}?since=6"), None).await),
        "second\n"
    );
    let (status, body) = get(&daemon, &format!("{path}?since=14")).await;
    assert_eq!((status, &body["code"]), (400, &json!("cursor_beyond_end")));
}

#[tokio::test]
async fn events_carry_bytes_gaps_and_both_streams() {
    let daemon = with(&["--process-spool-bytes", "65536"]);
    let script = r"printf 'a\377\000'; printf e >&2";
    let id = id_of(&daemon, json!({"command": script, "stderr": "separate"})).await;
    exited(&daemon, &id).await;
    let all = events(&daemon, &format!("/{id}/events?encoding=base64"), None).await;
    let mut of: Vec<(&Value, &Value)> = all
        .iter()
        .filter(|(name, _, _)| name == "output")
        .map(|(_, _, data)| (&data["stream"], &data["base64"]))
        .collect();
    of.sort_by_key(|(stream, _)| stream.to_string());
    let due = [
        (json!("stderr"), json!("ZQ==")),
        (json!("stdout"), json!("Yf8A")),
    ];
    let due: Vec<(&Value, &Value)> = due.iter().map(|(a, b)| (a, b)).collect();
    assert_eq!(of, due);
    let long = id_of(&daemon, json!({"command": "yes | head -c 500000"})).await;
    exited(&daemon, &long).await;
    let all = events(&daemon, &format!("/{long}/events"), None).await;
    assert_eq!(all[0].0, "gap");
    let to = all[0].2["to"].as_u64().expect("a cursor");
    assert_eq!(all[0].2, json!({"from": 0, "to": to, "bytes": to}));
    assert_eq!(texts(&all).len() as u64, 500_000 - to);
}

async fn attach(daemon: &Daemon, id: &str, query: &str) -> Socket {
    let path = format!("{ROOT}/{id}/attach{query}");
    daemon.websocket(&path).await.expect("a WebSocket")
}

/// Next object, or bytes with their channel.
#[derive(Debug, PartialEq)]
enum Said {
    Object(Value),
    Bytes(u8, Vec<u8>),
    Close(u16),
    End,
}

async fn next(socket: &mut Socket) -> Said {
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => {
                return Said::Object(serde_json::from_str(&text).expect("JSON"));
            }
            Some(Ok(Message::Binary(bytes))) => return Said::Bytes(bytes[0], bytes[1..].to_vec()),
            Some(Ok(Message::Close(frame))) => {
                return Said::Close(frame.map_or(0, |frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Said::End,
        }
    }
}

async fn say(socket: &mut Socket, object: Value) {
    let message = Message::Text(object.to_string().into());
    socket.send(message).await.expect("sent");
}

async fn type_in(socket: &mut Socket, text: &[u8]) {
    let bytes = [&[0], text].concat();
    socket
        .send(Message::Binary(bytes.into()))
        .await
        .expect("sent");
}

/// Reads bytes of a channel until they hold this.
async fn until(socket: &mut Socket, channel: u8, wanted: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.windows(wanted.len()).any(|window| window == wanted) {
        match next(socket).await {
            Said::Bytes(of, bytes) if of == channel => all.extend(bytes),
            other => panic!("{other:?} after {:?}", String::from_utf8_lossy(&all)),
        }
    }
    all
}

#[tokio::test]
async fn both_directions_over_a_websocket() {
    let daemon = daemon();
    let script = "cat; echo bye >&2; exit 2";
    let body = json!({"command": script, "stdin": "pipe", "stderr": "separate"});
    let id = id_of(&daemon, body).await;
    let mut socket = attach(&daemon, &id, "").await;
    let hello = json!({"attached": {"id": id, "state": "running", "cursor": 0, "pty": false}});
    assert_eq!(next(&mut socket).await, Said::Object(hello));
    type_in(&mut socket, b"\x00\xff binary\n").await;
    until(&mut socket, 1, b"\x00\xff binary\n").await;
    for bad in [
        "{",
        "{}",
        r#"{"resize": {"rows": 1, "cols": 1}}"#,
        r#"{"signal": "none"}"#,
    ] {
        socket.send(Message::Text(bad.into())).await.expect("sent");
        let Said::Object(object) = next(&mut socket).await else {
            panic!("no object");
        };
        assert!(object["error"]["code"].is_string(), "{bad}: {object}");
    }
    socket
        .send(Message::Binary(vec![7, 1].into()))
        .await
        .expect("sent");
    let Said::Object(object) = next(&mut socket).await else {
        panic!("no object");
    };
    assert_eq!(object["error"]["code"], "unknown_channel");
    say(&mut socket, json!({"eof": true})).await;
    until(&mut socket, 2, b"bye\n").await;
    let Said::Object(exit) = next(&mut socket).await else {
        panic!("no object");
    };
    assert_eq!(
        (&exit["exit"]["exit_code"], &exit["exit"]["ending"]["kind"]),
        (&json!(2), &json!("exited"))
    );
    assert_eq!(
        next(&mut socket).await,
        Said::Object(json!({"closed": true}))
    );
    assert_eq!(next(&mut socket).await, Said::Close(1000));
}

#[tokio::test]
async fn a_terminal_over_a_websocket() {
    let daemon = daemon();
    let script = "trap 'stty size' WINCH; echo ready; while :; do read x; done";
    let id = id_of(&daemon, json!({"command": script, "pty": {}})).await;
    let mut socket = attach(&daemon, &id, "?since=0").await;
    let Said::Object(hello) = next(&mut socket).await else {
        panic!("no object");
    };
    assert_eq!(hello["attached"]["pty"], true);
    until(&mut socket, 1, b"ready").await;
    say(&mut socket, json!({"resize": {"rows": 33, "cols": 44}})).await;
    type_in(&mut socket, b"\n").await;
    until(&mut socket, 1, b"33 44").await;
    say(&mut socket, json!({"signal": "INT"})).await;
    let body = ended(&daemon, &id).await;
    assert_eq!(body["ending"]["signal"], "SIGINT");
}

#[tokio::test]
async fn reconnecting_loses_nothing() {
    let daemon = daemon();
    let script = "i=0; while [ $i -lt 2000 ]; do echo $i; i=$((i+1)); done";
    let id = id_of(&daemon, json!({ "command": script })).await;
    let due = lines((0..2000).map(|i| i.to_string()));
    let mut all = Vec::new();
    while all.len() < due.len() {
        let mut socket = attach(&daemon, &id, &format!("?since={}", all.len())).await;
        let Said::Object(hello) = next(&mut socket).await else {
            panic!("no object");
        };
        assert_eq!(hello["attached"]["cursor"], all.len());
        // One piece, and then the connection goes without a word.
        if let Said::Bytes(1, bytes) = next(&mut socket).await {
            all.extend(bytes);
        }
    }
    assert_eq!(String::from_utf8(all).expect("text"), due);
}

#[tokio::test]
async fn a_hundred_readers_see_the_same_beside_one_that_never_reads() {
    let daemon = daemon();
    let script = "read x; head -c 3000000 /dev/zero | tr '\\0' x";
    let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
    let _stuck = attach(&daemon, &id, "").await;
    let readers = (0..100).map(async |_| {
        let mut socket = attach(&daemon, &id, "?since=0").await;
        let mut count = 0;
        loop {
            match next(&mut socket).await {
                Said::Bytes(1, bytes) => count += bytes.len(),
                Said::Close(code) => return (count, code),
                Said::Object(object) => assert!(object.get("gap").is_none(), "{object}"),
                other => panic!("{other:?}"),
            }
        }
    });
    let all = futures_util::future::join_all(readers);
    let go = async {
        let path = format!("{ROOT}/{id}/stdin");
        let request = daemon.request(reqwest::Method::POST, &path).body("\n");
        request.send().await.expect("an answer");
    };
    let (all, ()) = tokio::join!(all, go);
    for (count, code) in all {
        assert_eq!((count, code), (3_000_000, 1000));
    }
}

#[tokio::test]
async fn sockets_are_closed_with_a_reason() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let mut large = attach(&daemon, &id, "").await;
    next(&mut large).await;
    let _ = large.send(Message::Binary(vec![0; 2 << 20].into())).await;
    assert_eq!(next(&mut large).await, Said::Close(1009));
    let mut stays = attach(&daemon, &id, "").await;
    next(&mut stays).await;
    daemon.signal(nix::sys::signal::Signal::SIGTERM);
    loop {
        match next(&mut stays).await {
            Said::Close(code) => {
                assert_eq!(code, 1001);
                break;
            }
            Said::Object(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn detaching_ends_nothing_and_plain_requests_are_refused() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    drop(attach(&daemon, &id, "").await);
    let (status, body) = get(&daemon, &format!("/{id}/attach")).await;
    assert_eq!((status, &body["code"]), (426, &json!("websocket_required")));
    let (_, entry) = get(&daemon, &format!("/{id}")).await;
    assert_eq!(entry["running"], true);
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
    assert_eq!(
        run(&daemon, json!({"command": "true"})).await["exit_code"],
        0
    );
}
