//! Tool calls as a client sends them, for every route that runs once.

use std::fmt::Write;

use reqwest::{RequestBuilder, Response};
use serde_json::Value;
use uuid::{Uuid, uuid};

/// A call: chat, message, id, age.
#[derive(Clone, Debug)]
pub struct ToolCall {
    /// The chat.
    pub chat: Uuid,
    /// The message.
    pub message: u64,
    /// The id, not encoded.
    pub id: String,
    /// Milliseconds since it was committed.
    pub age_ms: u64,
}

impl ToolCall {
    /// A call that was committed just now.
    pub fn new(chat: u128, message: u64, id: &str) -> Self {
        Self {
            chat: Uuid::from_u128(chat),
            message,
            id: id.to_owned(),
            age_ms: 0,
        }
    }

    /// The same, from before any daemon of a test.
    pub fn ancient(&self) -> Self {
        Self {
            age_ms: 1_000_000_000,
            ..self.clone()
        }
    }

    /// Its name in paths.
    pub fn uuid(&self) -> Uuid {
        let message = self.message.to_be_bytes();
        let name = [&self.chat.as_bytes()[..], &message, self.id.as_bytes()].concat();
        Uuid::new_v5(&uuid!("c5773f4c-0b3f-57bc-9147-36daf7921a1b"), &name)
    }

    /// The headers, the chat's included.
    pub fn headers(&self) -> [(&'static str, String); 4] {
        let encoded = self.id.bytes().fold(String::new(), |mut text, byte| {
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                text.push(char::from(byte));
            } else {
                let _ = write!(text, "%{byte:02X}");
            }
            text
        });
        [
            ("Coder-Chat-Id", self.chat.to_string()),
            ("Coder-Tool-Call-Message-Id", self.message.to_string()),
            ("Coder-Tool-Call-Id", encoded),
            ("Coder-Tool-Call-Age-Ms", self.age_ms.to_string()),
        ]
    }

    /// Sends a request as this call.
    pub async fn send(&self, request: RequestBuilder) -> Answer {
        let headers = self.headers().into_iter();
        let request = headers.fold(request, |request, (name, value)| {
            request.header(name, value)
        });
        Answer::of(request.send().await.expect("an answer")).await
    }
}

/// All of an answer that a repeat must share.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Content type.
    pub content_type: Option<String>,
    /// `Coder-Tool-Call-Run-Age-Ms`
    pub run_age_ms: Option<u64>,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads it to its end.
    pub async fn of(response: Response) -> Self {
        let header = |name: &str| {
            let value = response.headers().get(name)?;
            Some(value.to_str().expect("text").to_owned())
        };
        Self {
            status: response.status().as_u16(),
            content_type: header("content-type"),
            run_age_ms: header("coder-tool-call-run-age-ms")
                .map(|age| age.parse().expect("digits")),
            body: response.bytes().await.expect("a whole body").into(),
        }
    }

    /// As JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Status and code of a refusal.
    pub fn refusal(&self) -> (u16, String) {
        assert!(self.run_age_ms.is_some(), "every answer has it: {self:?}");
        let code = self.json()["code"].as_str().map(str::to_owned);
        (self.status, code.unwrap_or_default())
    }

    /// Whether this is the recorded answer of the other.
    pub fn repeats(&self, first: &Self) -> bool {
        (self.status, &self.content_type, &self.body)
            == (first.status, &first.content_type, &first.body)
    }
}
