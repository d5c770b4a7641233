//! Pings: who answers stays, who does not is closed, and nothing is left of either.

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use super::{A, chat, closed, start, websocket, with};
use crate::{
    hostile::{held, is_empty, released},
    support::{
        self,
        daemon::{Daemon, PATIENCE, Socket},
    },
    vnc::Viewer,
};

const SHIFT: u32 = 0xffe1;
const HASTY: &[&str] = &["--ws-ping-interval", "0.1", "--ws-ping-timeout", "0.4"];

async fn attached(daemon: &Daemon) -> Socket {
    let id = start(daemon, A, &[], json!({"command": "cat", "stdin": "pipe"})).await;
    let path = format!("/api/v0/processes/{id}/attach");
    let headers = [("coder-chat-id", A)];
    websocket(daemon, &daemon.token(), &headers, &path)
        .await
        .expect("attached")
}

/// How many pings of `attach` came to this end.
async fn probes(daemon: &Daemon, result: &str) -> u64 {
    let text = daemon.get("/metrics").await.text().await.expect("text");
    let wanted = format!("result=\"{result}\"");
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with("deskd_ws_probes_total"));
    let line = lines.find(|line| line.contains(&wanted) && line.contains("/attach"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn a_peer_that_answers_stays() {
    let daemon = with(HASTY);
    let mut socket = attached(&daemon).await;
    let mut pings = 0;
    while pings < 20 {
        let message = timeout(PATIENCE, socket.next()).await.expect("in time");
        pings += usize::from(matches!(message, Some(Ok(Message::Ping(_)))));
    }
    assert!(probes(&daemon, "ok").await >= 10);
    assert_eq!(probes(&daemon, "timeout").await, 0);
    socket.close(None).await.expect("closed");
    drop(socket);
    let gone = async || chat(&daemon, A).await["connections"] == 0;
    support::eventually_async("nothing is left", gone).await;
}

/// Waits for the pings of an hour.
mod patience {
    use super::*;

    #[tokio::test]
    async fn a_quiet_peer_stays_for_240_pings() {
        let daemon = with(HASTY);
        let mut socket = attached(&daemon).await;
        let mut pings = 0;
        while pings < 240 {
            let message = timeout(PATIENCE, socket.next()).await.expect("in time");
            let message = message.expect("it is open").expect("it is open");
            pings += usize::from(matches!(message, Message::Ping(_)));
        }
        assert_eq!(probes(&daemon, "timeout").await, 0);
    }
}

/// A viewer holds a key and a button, and falls silent.
#[tokio::test]
async fn whoever_answers_no_ping_holds_nothing_any_more() {
    let daemon = Daemon::start(HASTY);
    let path = format!("/api/experimental/chats/{A}/desktop");
    let socket = daemon.websocket(&path).await.expect("upgraded");
    let mut viewer = Viewer::over(socket).await;
    viewer.client.key(SHIFT, true).await.expect("sent");
    viewer.client.pointer(5, 5, 1).await.expect("sent");
    let pressed = async || !is_empty(&held(&daemon).await["server"]);
    support::eventually_async("the key is down", pressed).await;
    viewer.fall_silent();
    released(&daemon).await;
    let gone = async || daemon.desktop().await["viewers"] == json!([]);
    support::eventually_async("it is listed no more", gone).await;
    assert_eq!(chat(&daemon, A).await["connections"], 0);
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_closed() {
    let daemon = with(HASTY);
    let mut socket = attached(&daemon).await;
    assert_eq!(chat(&daemon, A).await["connections"], 1);
    // Nothing is read, so nothing is answered.
    let timed_out = async || probes(&daemon, "timeout").await == 1;
    support::eventually_async("the ping has timed out", timed_out).await;
    let gone = async || chat(&daemon, A).await["connections"] == 0;
    support::eventually_async("nothing is left", gone).await;
    assert_eq!(closed(&mut socket).await, (1001, "ping timeout".to_owned()));
}

#[tokio::test]
async fn a_peer_that_only_sends_is_alive() {
    let daemon = with(HASTY);
    let mut socket = attached(&daemon).await;
    let alive = async || {
        let nonsense = Message::Text("{\"eof\": false}".into());
        socket.send(nonsense).await.expect("it is open");
        probes(&daemon, "ok").await >= 5
    };
    support::eventually_async("pings count as answered", alive).await;
    assert_eq!(probes(&daemon, "timeout").await, 0);
}

#[tokio::test]
async fn a_peer_that_vanishes_leaves_nothing() {
    let daemon = with(&[]);
    let socket = attached(&daemon).await;
    drop(socket); // without a close frame
    let gone = async || chat(&daemon, A).await["connections"] == 0;
    support::eventually_async("nothing is left", gone).await;
}
