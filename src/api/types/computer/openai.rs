//! `OpenAI`'s `computer_call` in, its `computer_call_output` out.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::lenient::Fields;
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        types::desktop::encoded,
    },
    desktop::{
        batch::MAX_DEEDS,
        geometry::Size,
        picture::Picture,
        vocabulary::{check::BadAction, openai::OpenAiFields},
    },
};

/// A `computer_call` as it came.
#[derive(Debug)]
pub struct ComputerCall {
    /// What the output is to name.
    pub call_id: String,
    /// What the model wrote.
    actions: Vec<Value>,
    /// Checks that a person has acknowledged.
    acknowledged: Vec<Value>,
}

impl ComputerCall {
    /// Finds the actions; what the model wrote in them is looked at later. A call whose safety checks nobody has
    /// acknowledged is refused.
    pub fn new(body: Value) -> Result<Self, ApiError> {
        let Value::Object(mut body) = body else {
            return Err(not_a_call("body", "must be a computer_call item"));
        };
        let Some(call_id) = body.get("call_id").and_then(Value::as_str) else {
            return Err(not_a_call("call_id", "must be a string"));
        };
        let call_id = call_id.to_owned();
        let actions = match (body.remove("actions"), body.remove("action")) {
            (Some(Value::Array(actions)), _) => actions,
            (_, Some(action)) => vec![action],
            _ => return Err(not_a_call("actions", "must be a list of actions")),
        };
        if actions.len() > MAX_DEEDS {
            return Err(not_a_call("actions", "must be 200 actions or fewer"));
        }
        let acknowledged = list(&mut body, "acknowledged_safety_checks");
        let pending = list(&mut body, "pending_safety_checks");
        let known = |check: &Value| acknowledged.iter().any(|a| a.get("id") == check.get("id"));
        if let Some(check) = pending.iter().find(|check| !known(check)) {
            return Err(unacknowledged(check));
        }
        Ok(Self {
            call_id,
            actions,
            acknowledged,
        })
    }

    /// What the model wrote, action by action.
    pub fn actions(&self) -> Vec<Result<OpenAiFields, BadAction>> {
        let empty = Map::new();
        let fields = |action: &Value| fields(&Fields(action.as_object().unwrap_or(&empty)));
        self.actions.iter().map(fields).collect()
    }

    /// The output with a picture.
    pub fn output(&self, picture: &Picture) -> CallOutput {
        let (media_type, data) = (picture.format.media_type(), encoded(picture));
        CallOutput {
            kind: "computer_call_output",
            call_id: self.call_id.clone(),
            output: ScreenshotOutput {
                kind: "computer_screenshot",
                image_url: format!("data:{media_type};base64,{data}"),
            },
            acknowledged_safety_checks: self.acknowledged.clone(),
        }
    }
}

fn list(body: &mut Map<String, Value>, field: &str) -> Vec<Value> {
    match body.remove(field) {
        Some(Value::Array(items)) => items,
        _ => Vec::new(),
    }
}

fn fields(fields: &Fields<'_>) -> Result<OpenAiFields, BadAction> {
    Ok(OpenAiFields {
        kind: fields.text("type")?.unwrap_or_default(),
        x: fields.whole("x")?,
        y: fields.whole("y")?,
        button: fields.text("button")?,
        keys: fields.texts("keys")?,
        path: fields.points("path")?,
        scroll_x: fields.whole("scroll_x")?,
        scroll_y: fields.whole("scroll_y")?,
        text: fields.text("text")?,
    })
}

fn not_a_call(field: &str, detail: &str) -> ApiError {
    ApiError::invalid_field("The body is no computer_call item.", field, detail)
}

fn unacknowledged(check: &Value) -> ApiError {
    let said = |field: &str| check.get(field).and_then(Value::as_str).unwrap_or("none");
    let detail: String = format!("{}: {}", said("code"), said("message"));
    ApiError::new(
        axum::http::StatusCode::CONFLICT,
        "pending_safety_checks",
        "The call has safety checks that nobody has acknowledged, so nothing was done. Ask a person; then send the call \
         again with these checks in \"acknowledged_safety_checks\".",
    )
    .with_detail(detail.chars().take(500).collect::<String>())
}

/// A `computer_call_output` item.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallOutput {
    /// `computer_call_output`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// The call's.
    call_id: String,
    /// The picture after the last action.
    output: ScreenshotOutput,
    /// Checks that a person has acknowledged.
    #[schema(value_type = Vec<Object>)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acknowledged_safety_checks: Vec<Value>,
}

/// A picture as a data URL.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScreenshotOutput {
    /// `computer_screenshot`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// As in `data:image/png;base64,…`.
    image_url: String,
}

/// A call that was not done, or not in full: the envelope of every error, and what to send to the model instead.
#[derive(Debug, Serialize, ToSchema)]
pub struct CallFailure {
    /// What every refusal has.
    #[serde(flatten)]
    error: ErrorBody,
    /// Items for the next request: the output with the screen as it is, and a message that says what to do.
    #[schema(value_type = Vec<Object>)]
    input: Vec<Value>,
}

impl CallFailure {
    /// The output stays first: the vendor takes no message before it.
    pub fn new(error: ErrorBody, output: Option<&CallOutput>) -> Self {
        let text = match &error.validations[..] {
            [first, ..] if !error.message.contains(&first.detail) => {
                format!("{} {}", error.message, first.detail)
            }
            _ => error.message.clone(),
        };
        let output = output.map(|output| serde_json::to_value(output).expect("plain data"));
        let message = json!({
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        });
        Self {
            error,
            input: output.into_iter().chain([message]).collect(),
        }
    }
}

/// The definition of the tool.
pub fn definition(version: Option<&str>, size: Size) -> Result<Value, ApiError> {
    match version {
        None | Some("computer") => Ok(json!({"type": "computer"})),
        Some("preview" | "computer_use_preview") => Ok(json!({
            "type": "computer_use_preview",
            "display_width": size.width,
            "display_height": size.height,
            "environment": "linux",
        })),
        Some(_) => Err(ApiError::invalid_field(
            "There is no such version of the tool.",
            "version",
            "must be computer or preview",
        )),
    }
}
