//! One who watches repositories.

use std::{path::Path, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;

use super::repo::Case;
use crate::support::daemon::{PATIENCE, Socket};

/// One who watches.
pub struct Viewer {
    socket: Socket,
    last: String,
}

impl Viewer {
    pub async fn new(case: &Case, paths: &[&Path]) -> Self {
        let query: Vec<String> = paths
            .iter()
            .map(|path| format!("path={}", path.display()))
            .collect();
        Self::of(case, &format!("/api/v0/git/watch?{}", query.join("&"))).await
    }

    /// By a route.
    pub async fn of(case: &Case, route: &str) -> Self {
        Self {
            socket: case.daemon.websocket(route).await.expect("an upgrade"),
            last: String::new(),
        }
    }

    /// Why it was closed, if it is in time.
    pub async fn closed(&mut self, patience: Duration) -> Option<(u16, String)> {
        loop {
            match tokio::time::timeout(patience, self.socket.next())
                .await
                .ok()??
            {
                Ok(Message::Close(Some(frame))) => {
                    return Some((frame.code.into(), frame.reason.to_string()));
                }
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next message.
    pub async fn next(&mut self) -> Value {
        self.within(PATIENCE).await.expect("a message in time")
    }

    /// The next message, if one comes in time.
    pub async fn within(&mut self, patience: Duration) -> Option<Value> {
        loop {
            match tokio::time::timeout(patience, self.socket.next())
                .await
                .ok()??
            {
                Ok(Message::Text(text)) => {
                    assert!(text.len() <= 4 * 1024 * 1024 - 64 * 1024);
                    let message: Value = serde_json::from_str(&text).expect("JSON");
                    if message["type"] == "changes" {
                        let at = message["scanned_at"].as_str().expect("a time").to_owned();
                        assert!(at >= self.last, "{at} after {}", self.last);
                        self.last = at;
                    }
                    return Some(message);
                }
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next message that has an entry or an error.
    pub async fn entries(&mut self) -> Value {
        loop {
            let message = self.next().await;
            let has = |name: &str| {
                message[name]
                    .as_array()
                    .is_some_and(|list| !list.is_empty())
            };
            if has("repositories") || has("errors") || message["type"] == "error" {
                return message;
            }
        }
    }

    /// The entry of the next message that has one.
    pub async fn entry(&mut self) -> Value {
        self.entries().await["repositories"][0].clone()
    }

    /// Entries until one is so.
    pub async fn until(&mut self, what: &str, so: impl Fn(&Value) -> bool) -> Value {
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let entry = self.entry().await;
                if entry.is_object() && so(&entry) {
                    return entry;
                }
            }
        });
        found
            .await
            .unwrap_or_else(|_| panic!("no entry in time: {what}"))
    }

    pub async fn say(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("sent");
    }
}

pub fn diff(entry: &Value) -> &str {
    entry["unified_diff"].as_str().expect("a diff")
}
