//! What a tool answers: texts, pictures, an object; or a trouble, with the words that let a model mend it.

use axum::http::StatusCode;
use serde_json::Value;

use crate::api::error::ApiError;

/// What a tool answers.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What the model reads and sees.
    pub(super) parts: Vec<Part>,
    /// The whole as an object, as the tool's output schema says.
    pub(super) structured: Option<Value>,
    /// The tool did not do what was asked; the parts say why.
    pub(super) failed: bool,
}

/// A part of what the model reads and sees.
#[derive(Debug)]
pub(super) enum Part {
    /// A text.
    Text(String),
    /// A picture.
    Image {
        /// In base64.
        data: String,
        /// Its media type.
        media_type: String,
    },
}

impl Answer {
    /// A text and an object.
    pub(super) fn new(text: impl Into<String>, structured: Value) -> Self {
        Self {
            parts: vec![Part::Text(text.into())],
            structured: Some(structured),
            failed: false,
        }
    }
}

/// Why a tool did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub(super) struct Trouble {
    /// The stable word of the route.
    pub(super) code: String,
    /// What is wrong.
    pub(super) message: String,
    /// What to call next.
    pub(super) next: Option<String>,
}

impl Trouble {
    /// A trouble that is not a route's.
    pub(super) fn new(code: &str, message: impl Into<String>) -> Self {
        Self {
            code: code.to_owned(),
            message: message.into(),
            next: None,
        }
    }

    /// An argument that is not as it should be.
    pub(super) fn argument(name: &str, due: &str) -> Self {
        let message = format!("The argument {name} is not as it should be: {due}.");
        Self::new("invalid_field", message).or_else_call("Call the tool again with it mended.")
    }

    /// Says what to call next, unless that is said already.
    pub(super) fn or_else_call(mut self, next: impl Into<String>) -> Self {
        self.next.get_or_insert_with(|| next.into());
        self
    }

    /// The error body of a route.
    pub(super) fn of(status: StatusCode, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let mut message = body["message"]
            .as_str()
            .map_or_else(|| status.to_string(), ToOwned::to_owned);
        if let Some(detail) = body["detail"].as_str() {
            message = format!("{message} {detail}");
        }
        for fault in body["validations"].as_array().into_iter().flatten() {
            let (field, detail) = (fault["field"].as_str(), fault["detail"].as_str());
            let (field, detail) = (field.unwrap_or_default(), detail.unwrap_or_default());
            if !message.contains(detail) {
                message = format!("{message} {field}: {detail}.");
            }
        }
        let code = body["code"].as_str().unwrap_or("internal_error").to_owned();
        let next = next_call(&code).map(ToOwned::to_owned);
        Self {
            code,
            message,
            next,
        }
    }

    /// What the model is told.
    pub(super) fn answer(&self) -> Answer {
        let next = self.next.as_deref().unwrap_or_default();
        let text = format!("{} [{}] {next}", self.message, self.code);
        Answer {
            parts: vec![Part::Text(text.trim_end().to_owned())],
            structured: None,
            failed: true,
        }
    }
}

impl From<ApiError> for Trouble {
    fn from(error: ApiError) -> Self {
        let body = serde_json::to_vec(error.body()).unwrap_or_default();
        Self::of(error.status(), &body)
    }
}

/// What a model can do about a refusal.
fn next_call(code: &str) -> Option<&'static str> {
    Some(match code {
        "process_not_found" => "Call process_list for the processes that there are.",
        "stdin_not_open" => {
            "It was started without an input: call execute with interactive true, or with the input in the command."
        }
        "stdin_closed" | "process_exited" => {
            "It has ended: call process_output for what it printed."
        }
        "unsupported_signal" => {
            "Call process_signal with kill, terminate, or a name such as SIGINT."
        }
        "not_found" => {
            "Call list_directory on the directory above, or find_files, for what is there."
        }
        "not_a_directory" => "Call read_file on it, or list_directory on the directory above.",
        "is_a_directory" => "Call list_directory on it.",
        "directory_not_empty" => {
            "Call list_directory for what is in it, or delete_file with recursive true."
        }
        "already_exists" => "Call it with another path, or with overwrite true.",
        "path_not_absolute" | "git_path_not_absolute" => "Call it with a path that begins with /.",
        "outside_mount" | "permission_denied" | "read_only" | "reserved_path" | "refuses_root" => {
            "That path is not to be had: call it with another one."
        }
        "changed_meanwhile" | "precondition_failed" => {
            "Call read_file for what is there now, then try again."
        }
        "bad_pattern" => "Call it with the pattern mended, or with literal true.",
        "bad_cursor" => "Call it without cursor to begin anew.",
        "cursor_beyond_end" => "Call process_output without since.",
        "git_not_a_repository" => {
            "Call it with a path in a repository; find_files with pattern .git and hidden true finds some."
        }
        "git_unknown_revision" => "Call git_log for the commits that there are.",
        "no_such_window" => "Call windows for the windows that there are.",
        "no_such_key" | "control_character" => {
            "Call computer with the text mended; keys are named as in Return, ctrl+s."
        }
        "clipboard_empty" => {
            "Nobody has copied anything: call computer with the key ctrl+c on a marked text first."
        }
        "not_on_offer" => "What was copied is no text: call screenshot to see it.",
        "out_of_frame" => "Call it with a point within the picture.",
        "desktop_file_not_found" => "Call launch with argv instead.",
        "spawn_failed" => {
            "Call execute with `command -v NAME` to see whether the program is there."
        }
        "busy" | "mount_busy" | "file_busy" | "git_busy" | "stdin_busy" | "input_cancelled" => {
            "Call it again in a moment."
        }
        "desktop_disabled" => "There is no desktop here: use execute and the file tools.",
        "too_many_processes" => "Call process_list and end some with process_signal.",
        "not_on_host" => {
            "Programs do not see that path: call execute with a workdir on the machine."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_keeps_its_code_and_says_what_to_call_next() {
        let body = br#"{"message": "Not there.", "detail": "d", "validations": [{"field": "f", "detail": "w"}], "code": "not_found"}"#;
        let trouble = Trouble::of(StatusCode::NOT_FOUND, body);
        let answer = trouble.answer();
        let [Part::Text(text)] = &answer.parts[..] else {
            panic!("one text: {answer:?}");
        };
        assert!(answer.failed && answer.structured.is_none());
        assert_eq!(
            text,
            "Not there. d f: w. [not_found] Call list_directory on the directory above, or find_files, for what is there."
        );
    }

    #[test]
    fn what_is_no_error_body_is_told_by_its_status() {
        let trouble = Trouble::of(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(trouble.code, "internal_error");
        assert_eq!(trouble.message, "502 Bad Gateway");
    }
}
