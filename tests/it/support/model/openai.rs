//! `OpenAI`'s Responses API, as far as a loop around the computer tool uses it: each request goes on from the response
//! before.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::{Act, COMMAND, KEY, Player, Seen, TASK, Turn, Vendor, demand, header, list, picture};

/// A conversation as far as it has come.
#[derive(Debug)]
pub struct OpenAi {
    player: Player,
    /// Id of the response before.
    previous: Value,
    /// Its call that waits for an output.
    call: Value,
    responses: usize,
}

impl OpenAi {
    /// At the beginning.
    pub fn new() -> Self {
        Self {
            player: Player::new(),
            previous: Value::Null,
            call: Value::Null,
            responses: 0,
        }
    }

    fn hear(&self, items: &[Value]) -> Result<Seen, String> {
        if self.call.is_null() {
            let task = json!({"role": "user", "content": TASK});
            demand(items == [task], || format!("input: {items:?}"))?;
            return Ok(Seen::default());
        }
        let [output, messages @ ..] = items else {
            return Err("input: empty".to_owned());
        };
        let mut seen = Seen {
            picture: Some(self.output(output)?),
            complaint: None,
        };
        for message in messages {
            let text = &message["content"][0];
            demand(
                message["role"] == "user" && text["type"] == "input_text",
                || format!("input: not a message: {message}"),
            )?;
            seen.complaint = text["text"].as_str().map(ToOwned::to_owned);
        }
        Ok(seen)
    }

    /// The output of the call, with its warnings acknowledged.
    fn output(&self, item: &Value) -> Result<image::RgbImage, String> {
        let kind = (&item["type"], &item["call_id"]);
        demand(
            kind == (&json!("computer_call_output"), &self.call["call_id"]),
            || format!("no output found for {}: {kind:?}", self.call["call_id"]),
        )?;
        let acknowledged = item["acknowledged_safety_checks"].as_array();
        let pending = self.call["pending_safety_checks"].as_array();
        demand(
            acknowledged.unwrap_or(&Vec::new()) == pending.unwrap_or(&Vec::new()),
            || format!("safety checks: {acknowledged:?}"),
        )?;
        let output = &item["output"];
        demand(output["type"] == "computer_screenshot", || {
            format!("output.type: {}", output["type"])
        })?;
        let url = output["image_url"].as_str().unwrap_or_default();
        let data = url.strip_prefix("data:image/png;base64,");
        picture(&json!(data.ok_or("image_url: no PNG")?))
    }

    fn say(&mut self, turn: &Turn) -> Value {
        self.responses += 1;
        let number = self.responses;
        let id = format!("resp_{number}");
        let mut output =
            vec![json!({"type": "reasoning", "id": format!("rs_{number}"), "summary": []})];
        if !turn.words.is_empty() {
            let text = json!({"type": "output_text", "text": turn.words, "annotations": []});
            output.push(
                json!({"type": "message", "id": format!("msg_{number}"), "role": "assistant",
                               "status": "completed", "content": [text]}),
            );
        }
        if !turn.acts.is_empty() {
            self.call = json!({"type": "computer_call", "id": format!("cu_{number}"),
                               "call_id": format!("call_{number}"), "status": "completed",
                               "pending_safety_checks": warnings(turn),
                               "actions": turn.acts.iter().map(action).collect::<Vec<_>>()});
            output.push(self.call.clone());
        }
        self.previous = json!(id);
        json!({"id": id, "object": "response", "created_at": 1, "status": "completed", "model": "stand-in",
               "output": output, "error": null, "incomplete_details": null, "instructions": null,
               "metadata": {}, "parallel_tool_calls": true, "temperature": 1, "top_p": 1,
               "tool_choice": "auto", "tools": [{"type": "computer"}]})
    }
}

impl Vendor for OpenAi {
    fn answer(&mut self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Value, String> {
        demand(path == "/v1/responses", || format!("no such route: {path}"))?;
        let key = header(headers, "authorization").strip_prefix("Bearer ");
        demand(key == Some(KEY), || "not the key".to_owned())?;
        let known = [
            "model",
            "input",
            "tools",
            "previous_response_id",
            "truncation",
            "reasoning",
        ];
        let fields = body.as_object().ok_or("the body is no object")?;
        if let Some(extra) = fields.keys().find(|field| !known.contains(&field.as_str())) {
            return Err(format!("unknown parameter: {extra}"));
        }
        demand(body["model"].is_string(), || "model: required".to_owned())?;
        demand(body["tools"] == json!([{"type": "computer"}]), || {
            format!("tools: {}", body["tools"])
        })?;
        demand(body["previous_response_id"] == self.previous, || {
            format!("previous_response_id: {}", body["previous_response_id"])
        })?;
        let seen = self.hear(list(body, "input")?)?;
        let turn = self.player.next(seen)?;
        Ok(self.say(&turn))
    }
}

/// The vendor warns before the command.
fn warnings(turn: &Turn) -> Value {
    let command = |act: &Act| matches!(act, Act::Type(text) if *text == COMMAND);
    if turn.acts.iter().any(command) {
        return json!([{"id": "sc_1", "code": "malicious_instructions", "message": "Look twice."}]);
    }
    json!([])
}

fn action(act: &Act) -> Value {
    match act {
        // Its own way to wait takes two seconds.
        Act::Look | Act::Wait => json!({"type": "screenshot"}),
        Act::Click(x, y) => json!({"type": "click", "x": x, "y": y, "button": "left"}),
        Act::RightClick(x, y) => json!({"type": "click", "x": x, "y": y, "button": "right"}),
        Act::Type(text) => json!({"type": "type", "text": text}),
        Act::Return => json!({"type": "keypress", "keys": ["ENTER"]}),
    }
}
