//! Anthropic's `tool_use` in, its `tool_result` out.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::lenient::Fields;
use crate::{
    api::{error::ApiError, types::desktop::encoded},
    desktop::{
        geometry::Size,
        picture::Picture,
        vocabulary::{anthropic::AnthropicFields, check::BadAction},
    },
};

/// The toolset that the members of a call belong to.
const TOOLSET: &str = "computer";

/// Which call a result answers.
#[derive(Clone, Debug, Default)]
pub struct CallId {
    /// Id of the `tool_use` block, when the block came.
    id: Option<String>,
    /// The call was of a member of the toolset.
    toolset: bool,
}

/// A call as it came: the whole `tool_use` block, or its `input` alone.
#[derive(Debug)]
pub struct ToolUse {
    /// What a result has to name.
    pub id: CallId,
    /// What the model wrote.
    input: Map<String, Value>,
}

impl ToolUse {
    /// Finds the input; what the model wrote in it is looked at later.
    pub fn new(body: Value) -> Result<Self, ApiError> {
        let Value::Object(mut body) = body else {
            return Err(not_a_call());
        };
        if let Some(Value::Object(mut input)) = body.remove("input") {
            let text = |field: &str| body.get(field).and_then(Value::as_str);
            let toolset = text("toolset_name") == Some(TOOLSET);
            let name = text("name").unwrap_or(TOOLSET);
            if toolset {
                input.insert("action".to_owned(), name.into());
            } else if name != TOOLSET {
                return Err(another_tool(name));
            }
            let id = text("id").map(ToOwned::to_owned);
            let id = CallId { id, toolset };
            return Ok(Self { id, input });
        }
        if body.contains_key("action") {
            return Ok(Self {
                id: CallId::default(),
                input: body,
            });
        }
        Err(not_a_call())
    }

    /// Name of the action, as far as it is one.
    pub fn action(&self) -> &str {
        self.input
            .get("action")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// What the model wrote, field by field.
    pub fn fields(&self) -> Result<AnthropicFields, BadAction> {
        let fields = Fields(&self.input);
        let point = "[x, y], two whole numbers";
        Ok(AnthropicFields {
            action: fields.text("action")?.unwrap_or_default(),
            coordinate: fields.numbers("coordinate", point)?,
            start_coordinate: fields.numbers("start_coordinate", point)?,
            text: fields.text("text")?,
            duration: fields.number("duration")?,
            scroll_amount: fields.whole("scroll_amount")?,
            scroll_direction: fields.text("scroll_direction")?,
            region: fields.numbers("region", "[x0, y0, x1, y1], four whole numbers")?,
            repeat: fields.whole("repeat")?,
        })
    }
}

fn another_tool(name: &str) -> ApiError {
    let shown: String = name.chars().take(100).collect();
    ApiError::invalid_field(
        format!("This is a call of the tool {shown:?}, not of \"computer\"."),
        "name",
        "must be computer, or a member of the toolset of that name",
    )
}

fn not_a_call() -> ApiError {
    ApiError::bad_request(
        "invalid_request",
        "The body is neither a tool_use block with an \"input\" nor an input with an \"action\".",
    )
}

/// A `tool_result` block; without the id of a call its `content` and `is_error` alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct ToolResult {
    /// `tool_result`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    /// Id of the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_use_id: Option<String>,
    /// The toolset of the call, where it was of a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    toolset_name: Option<&'static str>,
    /// What goes back to the model.
    content: Vec<ContentBlock>,
    /// The action failed; the text says what to do.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
}

/// A part of what goes back.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ContentBlock {
    /// Words.
    Text {
        /// A sentence or two.
        text: String,
    },
    /// A picture.
    Image {
        /// Where it is: in here.
        source: ImageSource,
    },
}

/// A picture in base64.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImageSource {
    /// `base64`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// As in `image/png`.
    media_type: &'static str,
    /// The bytes.
    data: String,
}

impl ToolResult {
    /// A success.
    pub fn done(id: CallId, text: String, picture: Option<&Picture>) -> Self {
        let image = picture.map(|picture| ContentBlock::Image {
            source: ImageSource {
                kind: "base64",
                media_type: picture.format.media_type(),
                data: encoded(picture),
            },
        });
        let content = [ContentBlock::Text { text }].into_iter().chain(image);
        Self::new(id, content.collect(), false)
    }

    /// A failure, with what to do about it.
    pub fn failed(id: CallId, text: String) -> Self {
        Self::new(id, vec![ContentBlock::Text { text }], true)
    }

    fn new(id: CallId, content: Vec<ContentBlock>, is_error: bool) -> Self {
        Self {
            kind: id.id.is_some().then_some("tool_result"),
            toolset_name: id.toolset.then_some(TOOLSET),
            tool_use_id: id.id,
            content,
            is_error,
        }
    }
}

/// The definition of the tool in a version, and the word for the header `anthropic-beta` that goes with it.
pub fn definition(
    version: Option<&str>,
    size: Size,
) -> Result<(Value, Option<&'static str>), ApiError> {
    let version = version.unwrap_or("20251124");
    let (kind, beta) = match version.trim_start_matches("computer_") {
        "toolset_20260801" | "20260801" => {
            // The toolset is told no size: the model goes by the pictures.
            return Ok((json!({"type": "computer_toolset_20260801"}), None));
        }
        "20251124" => ("computer_20251124", "computer-use-2025-11-24"),
        "20250124" => ("computer_20250124", "computer-use-2025-01-24"),
        "20241022" => ("computer_20241022", "computer-use-2024-10-22"),
        _ => {
            return Err(ApiError::invalid_field(
                "There is no such version of the tool.",
                "version",
                "must be 20260801, 20251124, 20250124 or 20241022",
            ));
        }
    };
    let mut tool = json!({
        "type": kind,
        "name": TOOLSET,
        "display_width_px": size.width,
        "display_height_px": size.height,
    });
    if kind == "computer_20251124" {
        tool["enable_zoom"] = Value::Bool(true);
    }
    Ok((tool, Some(beta)))
}
