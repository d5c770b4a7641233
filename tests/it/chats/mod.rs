//! Chats and tokens over the wire: who acts, what a token may do, what is remembered, what ends with what.

mod acting;
mod deleting;
mod liveness;
mod registry;
mod scopes;
mod secrets;
mod streams;
mod survival;
mod tokens;
mod work;

use futures_util::StreamExt;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{self, Message, client::IntoClientRequest},
};

use crate::support::daemon::{self, Daemon, PATIENCE, Socket};

const A: &str = "00000000-0000-0000-0000-00000000000a";
const B: &str = "00000000-0000-0000-0000-00000000000b";
const C: &str = "00000000-0000-0000-0000-00000000000c";
const D: &str = "00000000-0000-0000-0000-00000000000d";

/// A daemon without a desktop.
fn daemon() -> Daemon {
    with(&[])
}

fn with(args: &[&str]) -> Daemon {
    Daemon::start(&[&["--desktop", "off"], args].concat())
}

/// Status and body; an empty body is null.
async fn answer(request: RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.expect("an answer");
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a whole body");
    if text.is_empty() {
        return (status, Value::Null);
    }
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

/// A request of a chat with the daemon's own token.
fn of_chat(
    daemon: &Daemon,
    chat: &str,
    above: &[&str],
    method: Method,
    path: &str,
) -> RequestBuilder {
    daemon
        .request(method, path)
        .header("Coder-Chat-Id", chat)
        .header("Coder-Ancestor-Chat-Ids", json!(above).to_string())
}

/// Has a chat become known.
async fn seen(daemon: &Daemon, chat: &str, above: &[&str]) {
    let request = of_chat(daemon, chat, above, Method::GET, "/api/v0/version");
    assert_eq!(answer(request).await.0, 200);
}

async fn get(daemon: &Daemon, path: &str) -> (u16, Value) {
    daemon::json(daemon.get(path).await).await
}

async fn chat(daemon: &Daemon, id: &str) -> Value {
    let (status, body) = get(daemon, &format!("/api/v0/chats/{id}")).await;
    assert_eq!(status, 200, "{body}");
    body
}

async fn put(daemon: &Daemon, id: &str, body: Value) -> (u16, Value) {
    let path = format!("/api/v0/chats/{id}");
    answer(daemon.request(Method::PUT, &path).json(&body)).await
}

/// Roots of a list.
async fn roots(daemon: &Daemon, query: &str) -> Vec<String> {
    let (status, body) = get(daemon, &format!("/api/v0/chats{query}")).await;
    assert_eq!(status, 200, "{body}");
    ids(&body["chats"])
}

fn ids(chats: &Value) -> Vec<String> {
    let chats = chats.as_array().expect("an array").iter();
    chats
        .map(|chat| chat["id"].as_str().expect("an id").to_owned())
        .collect()
}

/// Makes a token: its id and the token.
async fn token(daemon: &Daemon, order: Value) -> (String, String) {
    let (status, body) = daemon::json(daemon.post("/api/v0/tokens", order).await).await;
    assert_eq!(status, 201, "{body}");
    let text = |field: &str| body[field].as_str().expect("text").to_owned();
    (text("id"), text("token"))
}

async fn revoke(daemon: &Daemon, id: &str) -> (u16, Value) {
    answer(daemon.request(Method::DELETE, &format!("/api/v0/tokens/{id}"))).await
}

/// Starts a process for a chat; its id.
async fn start(daemon: &Daemon, chat: &str, above: &[&str], body: Value) -> String {
    let request = of_chat(daemon, chat, above, Method::POST, "/api/v0/processes/start");
    let (status, answer) = answer(request.json(&body)).await;
    assert_eq!(status, 200, "{answer}");
    answer["id"].as_str().expect("an id").to_owned()
}

/// A WebSocket with this token and these headers, or the answer that refused it.
async fn websocket(
    daemon: &Daemon,
    token: &str,
    headers: &[(&'static str, &str)],
    path: &str,
) -> Result<Socket, (u16, Value)> {
    let mut request = format!("ws://{}{path}", daemon.address)
        .into_client_request()
        .expect("an address");
    let bearer = format!("Bearer {token}").parse().expect("a value");
    request.headers_mut().insert("authorization", bearer);
    for (name, value) in headers {
        let value = value.parse().expect("a value");
        request.headers_mut().insert(*name, value);
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(refusal)) => {
            let body = refusal.body().as_deref().unwrap_or_default();
            let body = serde_json::from_slice(body).unwrap_or_default();
            Err((refusal.status().as_u16(), body))
        }
        Err(error) => panic!("neither a WebSocket nor an answer: {error}"),
    }
}

/// Reads up to the close frame.
async fn closed(socket: &mut Socket) -> (u16, String) {
    let frame = timeout(PATIENCE, async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return frame,
                Some(Ok(_)) => {}
                other => panic!("no close frame: {other:?}"),
            }
        }
    });
    let frame = frame.await.expect("closed in time");
    (frame.code.into(), frame.reason.to_string())
}
