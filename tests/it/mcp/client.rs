//! A client of the protocol that says exactly what a test wants said.

use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::support::daemon::Daemon;

/// The version that the tests speak when they say nothing else.
pub const VERSION: &str = "2025-11-25";

/// A session.
pub struct Client<'a> {
    daemon: &'a Daemon,
    token: String,
    pub session: String,
    pub chat: Option<String>,
    next: AtomicU64,
}

/// Events of an answer, read one by one.
pub struct Events {
    response: Response,
    bytes: Vec<u8>,
}

impl Events {
    pub fn new(response: Response) -> Self {
        Self {
            response,
            bytes: Vec::new(),
        }
    }

    /// The next message; none behind the last.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            while let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\n\n") {
                let rest = self.bytes.split_off(end + 2);
                let event = std::mem::replace(&mut self.bytes, rest);
                let event = String::from_utf8(event).expect("text");
                let data: String = event
                    .lines()
                    .filter_map(|line| line.strip_prefix("data:"))
                    .map(str::trim_start)
                    .collect();
                if !data.is_empty() {
                    return Some(serde_json::from_str(&data).expect("a message"));
                }
            }
            let chunk = self.response.chunk().await.ok()??;
            self.bytes.extend_from_slice(&chunk);
        }
    }

    /// The answer with this id, past everything else.
    pub async fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = self.next().await.expect("an answer before the end");
            if message["id"] == id {
                return message;
            }
        }
    }
}

/// A message with its headers, not yet sent.
pub fn post(daemon: &Daemon, token: &str, message: &Value) -> RequestBuilder {
    daemon
        .bare(Method::POST, "/mcp")
        .bearer_auth(token)
        .header("accept", "application/json, text/event-stream")
        .json(message)
}

/// The first message of a session.
pub fn initialize(version: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": version, "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"}}})
}

impl<'a> Client<'a> {
    /// A session with the daemon's own token.
    pub async fn open(daemon: &'a Daemon) -> Self {
        Self::open_as(daemon, &daemon.token(), None).await
    }

    /// A session with a token, for a chat.
    pub async fn open_as(daemon: &'a Daemon, token: &str, chat: Option<&str>) -> Self {
        let mut request = post(daemon, token, &initialize(VERSION));
        if let Some(chat) = chat {
            request = request.header("coder-chat-id", chat);
        }
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200, "{}", daemon.log());
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().expect("ASCII").to_owned())
        };
        let session = header("mcp-session-id").expect("a session");
        let chat = header("coder-chat-id");
        let answer = Events::new(response).answer(0).await;
        assert_eq!(answer["result"]["serverInfo"]["name"], "deskd", "{answer}");
        let client = Self {
            daemon,
            token: token.to_owned(),
            session,
            chat,
            next: AtomicU64::new(1),
        };
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        assert_eq!(client.post(&ready).await.status(), 202);
        client
    }

    pub fn id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// A message of this session, not yet sent.
    pub fn request(&self, message: &Value) -> RequestBuilder {
        post(self.daemon, &self.token, message)
            .header("mcp-session-id", &self.session)
            .header("mcp-protocol-version", VERSION)
    }

    pub async fn post(&self, message: &Value) -> Response {
        self.request(message).send().await.expect("an answer")
    }

    /// A request, and all of its answer.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let id = self.id();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
        let response = self.post(&message).await;
        assert_eq!(response.status(), 200);
        Events::new(response).answer(id).await
    }

    /// The result of a request.
    pub async fn result(&self, method: &str, params: Value) -> Value {
        let mut answer = self.ask(method, params).await;
        assert!(answer.get("error").is_none(), "{answer}");
        answer["result"].take()
    }

    /// What a tool answers, whatever it is.
    pub async fn call(&self, tool: &str, arguments: Value) -> Value {
        self.result("tools/call", json!({"name": tool, "arguments": arguments}))
            .await
    }

    /// The object of a tool that did what was asked.
    pub async fn done(&self, tool: &str, arguments: Value) -> Value {
        let mut result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], false, "{result}");
        result["structuredContent"].take()
    }

    /// The words of a tool that did not.
    pub async fn refused(&self, tool: &str, arguments: Value) -> String {
        let result = self.call(tool, arguments).await;
        assert_eq!(result["isError"], true, "{result}");
        assert!(result.get("structuredContent").is_none(), "{result}");
        text(&result)
    }

    /// A call of a tool whose answer is read by the test.
    pub async fn begin(&self, tool: &str, arguments: Value, meta: Value) -> (u64, Events) {
        let id = self.id();
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments, "_meta": meta}});
        (id, Events::new(self.post(&message).await))
    }

    /// What the daemon says by itself.
    pub async fn listen(&self) -> Events {
        let response = self
            .daemon
            .bare(Method::GET, "/mcp")
            .bearer_auth(&self.token)
            .header("accept", "text/event-stream")
            .header("mcp-session-id", &self.session)
            .header("mcp-protocol-version", VERSION)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 200);
        Events::new(response)
    }

    /// Ends the session.
    pub async fn end(&self) {
        let response = self
            .daemon
            .bare(Method::DELETE, "/mcp")
            .bearer_auth(&self.token)
            .header("mcp-session-id", &self.session)
            .send()
            .await
            .expect("an answer");
        assert_eq!(response.status(), 204);
    }
}

/// The texts of a result.
pub fn text(result: &Value) -> String {
    let parts = result["content"].as_array().into_iter().flatten();
    let texts: Vec<&str> = parts.filter_map(|part| part["text"].as_str()).collect();
    texts.join("\n")
}
