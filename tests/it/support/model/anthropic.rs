//! Anthropic's Messages API, as far as a loop around the computer tool uses it: the whole conversation in every request.

use axum::http::HeaderMap;
use serde_json::{Value, json};

use super::{Act, FRAME, KEY, Player, Seen, TASK, Turn, Vendor, demand, header, list, picture};

/// A conversation as far as it has come.
#[derive(Debug)]
pub struct Anthropic {
    player: Player,
    /// Messages of the request before.
    before: Vec<Value>,
    /// What was answered to it.
    said: Vec<Value>,
    calls: usize,
}

impl Anthropic {
    /// At the beginning.
    pub fn new() -> Self {
        Self {
            player: Player::new(),
            before: Vec::new(),
            said: Vec::new(),
            calls: 0,
        }
    }

    /// What is new in the conversation, which may only grow.
    fn hear(&self, messages: &[Value]) -> Result<Seen, String> {
        demand(messages.starts_with(&self.before), || {
            "messages: what was said before has changed".to_owned()
        })?;
        match &messages[self.before.len()..] {
            [task] if self.before.is_empty() => {
                demand(*task == json!({"role": "user", "content": TASK}), || {
                    format!("messages.0: {task}")
                })?;
                Ok(Seen::default())
            }
            [said, results] if !self.before.is_empty() => {
                demand(
                    *said == json!({"role": "assistant", "content": self.said}),
                    || format!("messages: not what the model said: {said}"),
                )?;
                demand(results["role"] == "user", || {
                    "messages: roles must alternate".to_owned()
                })?;
                self.results(list(results, "content")?)
            }
            more => Err(format!("messages: {} are new", more.len())),
        }
    }

    /// One result for each call, in their order, and nothing else.
    fn results(&self, results: &[Value]) -> Result<Seen, String> {
        let calls = self.said.iter().filter(|block| block["type"] == "tool_use");
        let asked: Vec<&Value> = calls.map(|call| &call["id"]).collect();
        let answered: Vec<&Value> = results.iter().map(|r| &r["tool_use_id"]).collect();
        demand(asked == answered, || {
            format!("tool_use ids {asked:?} are answered by {answered:?}")
        })?;
        let mut seen = Seen::default();
        for result in results {
            hear_result(result, &mut seen)?;
        }
        Ok(seen)
    }

    fn say(&mut self, turn: &Turn) -> Value {
        self.said.clear();
        if !turn.words.is_empty() {
            self.said.push(json!({"type": "text", "text": turn.words}));
        }
        for act in &turn.acts {
            self.calls += 1;
            let id = format!("toolu_{:02}", self.calls);
            let call =
                json!({"type": "tool_use", "id": id, "name": "computer", "input": input(act)});
            self.said.push(call);
        }
        let stop = if turn.acts.is_empty() {
            "end_turn"
        } else {
            "tool_use"
        };
        json!({"id": format!("msg_{:02}", self.calls), "type": "message", "role": "assistant",
               "model": "stand-in", "content": self.said, "stop_reason": stop, "stop_sequence": null,
               "usage": {"input_tokens": 1, "output_tokens": 1}})
    }
}

impl Vendor for Anthropic {
    fn answer(&mut self, path: &str, headers: &HeaderMap, body: &Value) -> Result<Value, String> {
        check(path, headers, body)?;
        let messages = list(body, "messages")?;
        let seen = self.hear(messages)?;
        self.before = messages.to_vec();
        let turn = self.player.next(seen)?;
        let answer = self.say(&turn);
        Ok(answer)
    }
}

fn check(path: &str, headers: &HeaderMap, body: &Value) -> Result<(), String> {
    demand(path == "/v1/messages", || format!("no such route: {path}"))?;
    let bearer = header(headers, "authorization").strip_prefix("Bearer ");
    let key = bearer.unwrap_or(header(headers, "x-api-key"));
    demand(key == KEY, || "not the key".to_owned())?;
    demand(!header(headers, "anthropic-version").is_empty(), || {
        "anthropic-version: missing".to_owned()
    })?;
    let mut betas = header(headers, "anthropic-beta").split(',');
    demand(betas.any(|b| b.trim() == "computer-use-2025-11-24"), || {
        "tools.0: needs its beta header".to_owned()
    })?;
    let known = [
        "model",
        "max_tokens",
        "tools",
        "messages",
        "cache_control",
        "system",
    ];
    let fields = body.as_object().ok_or("the body is no object")?;
    if let Some(extra) = fields.keys().find(|field| !known.contains(&field.as_str())) {
        return Err(format!("{extra}: extra inputs are not permitted"));
    }
    let (model, most) = (&body["model"], &body["max_tokens"]);
    demand(model.is_string() && most.as_u64() > Some(0), || {
        "model, max_tokens: required".to_owned()
    })?;
    let tool = json!({"type": "computer_20251124", "name": "computer", "display_width_px": FRAME.0,
                      "display_height_px": FRAME.1, "enable_zoom": true});
    demand(body["tools"] == json!([tool]), || {
        format!("tools: {}", body["tools"])
    })
}

fn hear_result(result: &Value, seen: &mut Seen) -> Result<(), String> {
    let fields = result.as_object().ok_or("a result is no object")?;
    let known = ["type", "tool_use_id", "content", "is_error"];
    let only = fields.keys().all(|field| known.contains(&field.as_str()));
    demand(only && result["type"] == "tool_result", || {
        format!("not a tool_result: {result}")
    })?;
    let failed = result["is_error"] == true;
    let mut words = String::new();
    for block in list(result, "content")? {
        match block["type"].as_str() {
            Some("text") => words.push_str(block["text"].as_str().unwrap_or_default()),
            Some("image") if !failed => {
                let source = &block["source"];
                let kind = (&source["type"], &source["media_type"]);
                demand(kind == (&json!("base64"), &json!("image/png")), || {
                    format!("a source of {kind:?}")
                })?;
                seen.picture = Some(picture(&source["data"])?);
            }
            kind => return Err(format!("a result with a block of {kind:?}")),
        }
    }
    demand(!words.is_empty(), || "a result without words".to_owned())?;
    if failed {
        seen.complaint = Some(words);
    }
    Ok(())
}

fn input(act: &Act) -> Value {
    match act {
        Act::Look => json!({"action": "screenshot"}),
        Act::Wait => json!({"action": "wait", "duration": 0.1}),
        Act::Click(x, y) => json!({"action": "left_click", "coordinate": [x, y]}),
        Act::RightClick(x, y) => json!({"action": "right_click", "coordinate": [x, y]}),
        Act::Type(text) => json!({"action": "type", "text": text}),
        Act::Return => json!({"action": "key", "text": "Return"}),
    }
}
