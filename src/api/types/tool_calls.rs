//! Wire types of tool calls.

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::{api::error::ErrorBody, toolcall::Recorded};

/// Headers of a tool call: all of them, or none. With them a request runs once.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct ToolCallHeaders {
    /// The chat; needed beside the others.
    #[param(rename = "Coder-Chat-Id", format = Uuid)]
    pub chat_id: Option<String>,
    /// Message that made the call: a number above 0, higher for later messages.
    #[param(rename = "Coder-Tool-Call-Message-Id", minimum = 1)]
    pub message_id: Option<u64>,
    /// The call's id within its message, percent-encoded.
    #[param(rename = "Coder-Tool-Call-Id")]
    pub call_id: Option<String>,
    /// Milliseconds since the call was committed.
    #[param(rename = "Coder-Tool-Call-Age-Ms")]
    pub age_ms: Option<u64>,
}

/// What became of a cancelled tool call.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct CancelAnswer {
    /// It came before it was cancelled, and has ended now.
    pub started: bool,
    /// Status of its answer; 0 when it did not come.
    pub status_code: u16,
    /// Body of its answer; null when there is none.
    pub body: Value,
}

impl CancelAnswer {
    /// Of a call with an answer. A body that is not JSON is given as text.
    pub fn recorded(recorded: &Recorded) -> Self {
        let text = || String::from_utf8_lossy(&recorded.body).into_owned();
        let body = match serde_json::from_slice(&recorded.body) {
            Ok(value) => value,
            Err(_) if recorded.body.is_empty() => Value::Null,
            Err(_) => Value::String(text()),
        };
        Self {
            started: true,
            status_code: recorded.status,
            body,
        }
    }

    /// Of a call whose run ended without an answer.
    pub fn died(error: &ErrorBody) -> Self {
        Self {
            started: true,
            status_code: 500,
            body: serde_json::to_value(error).expect("plain data"),
        }
    }
}
