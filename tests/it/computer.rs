//! The computer routes: vendors' calls as their clients send them, results as the vendors take them.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    desktop::address,
    support::{
        daemon::{Daemon, json as json_of},
        recorder::Recorder,
    },
};

const ANTHROPIC: &str = "/api/v0/computer/anthropic?width=640&height=400&settle_ms=0";
const OPENAI: &str = "/api/v0/computer/openai?width=640&height=400&settle_ms=0";

fn daemon() -> Daemon {
    Daemon::start(&[])
}

/// A call by its input alone; gives the answer.
async fn tool(daemon: &Daemon, input: Value) -> Value {
    let (status, answer) = json_of(daemon.post(ANTHROPIC, input).await).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Text of a result.
fn text(result: &Value) -> &str {
    assert_eq!(result["content"][0]["type"], "text", "{result}");
    result["content"][0]["text"].as_str().expect("a text")
}

/// Size of a picture in base64.
fn size(data: &Value) -> (u32, u32) {
    let bytes = STANDARD
        .decode(data.as_str().expect("base64"))
        .expect("base64");
    let picture = image::load_from_memory(&bytes).expect("a picture");
    (picture.width(), picture.height())
}

#[tokio::test]
async fn anthropic_calls_do_what_their_table_says() {
    let daemon = daemon();
    let window = Recorder::open(&address(&daemon).await);
    let table = [
        (
            json!({"action": "left_click", "coordinate": [0, 0]}),
            "+1 1,1 -1 1,1",
        ),
        (json!({"action": "left_click"}), "+1 1,1 -1 1,1"),
        (
            json!({"action": "right_click", "coordinate": [10, 20]}),
            "+3 21,41 -3 21,41",
        ),
        (
            json!({"action": "middle_click", "coordinate": [10.0, "20"]}),
            "+2 21,41 -2 21,41",
        ),
        (
            json!({"action": "double_click"}),
            "+1 21,41 -1 21,41 +1 21,41 -1 21,41",
        ),
        (
            json!({"action": "triple_click"}),
            "+1 21,41 -1 21,41 +1 21,41 -1 21,41 +1 21,41 -1 21,41",
        ),
        (json!({"action": "mouse_move", "coordinate": [20, 20]}), ""),
        (json!({"action": "left_mouse_down"}), "+1 41,41"),
        (
            json!({"action": "left_mouse_up", "coordinate": [10, 20]}),
            "-1 21,41",
        ),
        (
            json!({"action": "left_click_drag", "start_coordinate": [10, 10], "coordinate": [20, 20]}),
            "+1 21,21 -1 41,41",
        ),
        (
            json!({"action": "left_click_drag", "coordinate": [10, 10]}),
            "+1 41,41 -1 21,21",
        ),
        (
            json!({"action": "scroll", "coordinate": [10, 10], "scroll_direction": "up", "scroll_amount": 2}),
            "+4 21,21 -4 21,21 +4 21,21 -4 21,21",
        ),
        (json!({"action": "wait", "duration": 0.001}), ""),
    ];
    for (input, expected) in table {
        let result = tool(&daemon, input.clone()).await;
        assert_eq!(
            result["is_error"],
            Value::Null,
            "{input}: {}",
            text(&result)
        );
        assert_eq!(result["content"][1]["source"]["media_type"], "image/png");
        assert_eq!(size(&result["content"][1]["source"]["data"]), (640, 400));
        assert_eq!(window.clicks().join(" "), expected, "{input}");
    }
    let position = tool(&daemon, json!({"action": "cursor_position"})).await;
    assert_eq!(text(&position), "X=10,Y=10");
    assert_eq!(position["content"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn anthropic_keys_go_down_and_up() {
    let daemon = daemon();
    let window = Recorder::open(&address(&daemon).await);
    let states = |lines: Vec<String>| {
        let state = |line: &String| line.rsplit(' ').next().expect("a state").to_owned();
        lines.iter().map(state).collect::<Vec<_>>().join(" ")
    };
    for (input, expected) in [
        (json!({"action": "key", "text": "a"}), "0 0"),
        (json!({"action": "key", "text": "CTRL+L"}), "0 4 4 4"),
        (json!({"action": "type", "text": "ab"}), "0 0 0 0"),
        (
            json!({"action": "hold_key", "text": "shift", "duration": 0.01}),
            "0 1",
        ),
    ] {
        let result = tool(&daemon, input.clone()).await;
        assert_eq!(
            result["is_error"],
            Value::Null,
            "{input}: {}",
            text(&result)
        );
        assert_eq!(states(window.clicks()), expected, "{input}");
    }
    let input = json!({"action": "left_click", "coordinate": [5, 5], "text": "ctrl"});
    tool(&daemon, input).await;
    let lines = window.clicks();
    let signs: Vec<&str> = lines.iter().map(|line| &line[..2]).collect();
    assert_eq!(signs, ["k+", "+1", "-1", "k-"], "{lines:?}");
}

#[tokio::test]
async fn anthropic_results_go_back_as_they_are() {
    let daemon = daemon();
    let block = |input: Value| json!({"type": "tool_use", "id": "toolu_1", "name": "computer", "input": input});
    let zoom = block(json!({"action": "zoom", "region": [0, 0, 64, 40]}));
    let result = tool(&daemon, zoom).await;
    assert_eq!(
        (&result["type"], &result["tool_use_id"]),
        (&json!("tool_result"), &json!("toolu_1"))
    );
    let source = &result["content"][1]["source"];
    assert_eq!(
        (&source["type"], size(&source["data"])),
        (&json!("base64"), (640, 400))
    );
    let failed = tool(&daemon, block(json!({"action": "mouse_move"}))).await;
    assert_eq!(
        (&failed["is_error"], &failed["tool_use_id"]),
        (&json!(true), &json!("toolu_1"))
    );
    let member = json!({"type": "tool_use", "id": "toolu_2", "name": "cursor_position",
                        "toolset_name": "computer", "input": {}});
    let result = tool(&daemon, member).await;
    assert_eq!(
        (&result["tool_use_id"], &result["toolset_name"]),
        (&json!("toolu_2"), &json!("computer"))
    );
    assert!(text(&result).starts_with("X="), "{result}");
    let query = "/api/v0/computer/anthropic?width=320&format=jpeg&quality=40&max_bytes=20000";
    let (status, result) = json_of(daemon.post(query, json!({"action": "screenshot"})).await).await;
    assert_eq!(status, 200, "{result}");
    let source = &result["content"][1]["source"];
    assert_eq!(
        (&source["media_type"], size(&source["data"])),
        (&json!("image/jpeg"), (320, 200))
    );
    for (body, field) in [
        (json!([]), None),
        (json!({"name": "computer"}), None),
        (
            json!({"name": "bash", "input": {"action": "key"}}),
            Some("name"),
        ),
    ] {
        let (status, answer) = json_of(daemon.post(ANTHROPIC, body).await).await;
        assert_eq!(status, 400, "{answer}");
        assert_eq!(answer["validations"][0]["field"].as_str(), field);
    }
}

#[tokio::test]
async fn what_a_model_gets_wrong_comes_back_in_words_for_it() {
    let daemon = daemon();
    let window = Recorder::open(&address(&daemon).await);
    for (input, hint) in [
        (json!({"action": "mouse_move"}), "Send [x, y] in pixels"),
        (
            json!({"action": "left_click", "coordinate": [640, 5]}),
            "x from 0 to 639",
        ),
        (
            json!({"action": "left_click", "coordinate": "here"}),
            "Send [x, y]",
        ),
        (
            json!({"action": "zoom", "region": [600, 0, 700, 10]}),
            "x from 0 to 639",
        ),
        (
            json!({"action": "key", "text": "Entr"}),
            "did you mean \"enter\"",
        ),
        (json!({"action": "type", "text": ""}), "Send the characters"),
        (json!({"action": "zoom"}), "x0, y0, x1, y1"),
        (
            json!({"action": "scroll", "coordinate": [1, 1], "scroll_direction": "down", "scroll_amount": 10_000}),
            "at most 100",
        ),
        (
            json!({"action": "scroll", "coordinate": [1, 1], "scroll_direction": "south"}),
            "up, down, left, right",
        ),
        (json!({"action": "wait", "duration": 301}), "0 to 300"),
        (json!({"action": "tap"}), "Known actions"),
        (json!({"action": 5}), "Known actions"),
    ] {
        let result = tool(&daemon, input.clone()).await;
        assert_eq!(result["is_error"], true, "{input}");
        assert!(text(&result).contains(hint), "{input}: {}", text(&result));
    }
    assert_eq!(window.events(), Vec::<String>::new(), "nothing was done");
}

fn call(actions: &Value) -> Value {
    json!({"type": "computer_call", "id": "cu_1", "call_id": "call_1", "status": "completed",
           "pending_safety_checks": [], "actions": actions})
}

#[tokio::test]
async fn openai_calls_do_what_their_table_says() {
    let daemon = daemon();
    let window = Recorder::open(&address(&daemon).await);
    let at = |kind: &str, more: Value| {
        let mut action = json!({"type": kind, "x": 10, "y": 20});
        let more = more.as_object().expect("fields").clone();
        action.as_object_mut().expect("fields").extend(more);
        action
    };
    let table = [
        (at("click", json!({"button": "left"})), "+1 21,41 -1 21,41"),
        (at("click", json!({"button": "right"})), "+3 21,41 -3 21,41"),
        (at("click", json!({"button": "wheel"})), "+2 21,41 -2 21,41"),
        (at("click", json!({"button": "back"})), "+8 21,41 -8 21,41"),
        (
            at("click", json!({"button": "forward"})),
            "+9 21,41 -9 21,41",
        ),
        (
            at("double_click", json!({"keys": null})),
            "+1 21,41 -1 21,41 +1 21,41 -1 21,41",
        ),
        (at("move", json!({})), ""),
        (
            at("scroll", json!({"scroll_x": 0, "scroll_y": 121})),
            "+5 21,41 -5 21,41 +5 21,41 -5 21,41",
        ),
        (
            at("scroll", json!({"scroll_x": -1, "scroll_y": 0})),
            "+6 21,41 -6 21,41",
        ),
        (
            json!({"type": "drag", "path": [{"x": 1, "y": 1}, {"x": 2, "y": 1}]}),
            "+1 3,3 -1 5,3",
        ),
        (json!({"type": "screenshot"}), ""),
    ];
    for (action, expected) in table {
        let answer = daemon.post(OPENAI, call(&json!([action]))).await;
        let (status, answer) = json_of(answer).await;
        assert_eq!(status, 200, "{action}: {answer}");
        assert_eq!(
            (&answer["type"], &answer["call_id"]),
            (&json!("computer_call_output"), &json!("call_1"))
        );
        assert_eq!(answer["output"]["type"], "computer_screenshot");
        let url = answer["output"]["image_url"].as_str().expect("a data URL");
        let data = url.strip_prefix("data:image/png;base64,").expect("PNG");
        assert_eq!(size(&json!(data)), (640, 400));
        assert_eq!(window.clicks().join(" "), expected, "{action}");
    }
    let older = json!({"type": "computer_call", "call_id": "c", "action": at("click", json!({}))});
    let (status, answer) = json_of(daemon.post(OPENAI, older).await).await;
    assert_eq!(status, 200, "{answer}");
    let many = call(
        &json!([{"type": "keypress", "keys": ["CTRL", "A"]}, {"type": "type", "text": "b"}, {"type": "screenshot"}]),
    );
    let (status, answer) = json_of(daemon.post(OPENAI, many).await).await;
    assert_eq!(status, 200, "{answer}");
    let keys = window
        .clicks()
        .iter()
        .filter(|line| line.starts_with("k+"))
        .count();
    assert_eq!(keys, 3, "ctrl, a, b");
}

#[tokio::test]
async fn openai_mistakes_come_back_with_the_screen_and_words() {
    let daemon = daemon();
    let window = Recorder::open(&address(&daemon).await);
    let click = json!({"type": "click", "x": 1, "y": 1, "button": "left"});
    for (action, code, hint) in [
        (
            json!({"type": "click", "x": 640, "y": 1}),
            "out_of_frame",
            "x from 0 to 639",
        ),
        (
            json!({"type": "keypress", "keys": ["ENTR"]}),
            "invalid_action",
            "did you mean",
        ),
        (
            json!({"type": "type", "text": ""}),
            "invalid_action",
            "Missing \"text\"",
        ),
        (json!({"type": "tap"}), "invalid_action", "Known actions"),
        (json!("click"), "invalid_action", "Missing \"type\""),
    ] {
        let answer = daemon.post(OPENAI, call(&json!([click, action]))).await;
        let (status, answer) = json_of(answer).await;
        assert_eq!(
            (status, &answer["code"]),
            (422, &json!(code)),
            "{action}: {answer}"
        );
        assert_eq!(answer["input"][0]["type"], "computer_call_output");
        assert_eq!(answer["input"][0]["call_id"], "call_1");
        let said = answer["input"][1]["content"][0]["text"]
            .as_str()
            .expect("words");
        assert!(said.contains(hint), "{action}: {said}");
    }
    assert_eq!(window.clicks(), Vec::<String>::new(), "nothing was done");
}

#[tokio::test]
async fn safety_checks_wait_for_a_person() {
    let daemon = daemon();
    let check = json!({"id": "sc_1", "code": "malicious_instructions", "message": "Careful."});
    let mut item = call(&json!([{"type": "screenshot"}]));
    item["pending_safety_checks"] = json!([check]);
    let (status, answer) = json_of(daemon.post(OPENAI, item.clone()).await).await;
    assert_eq!(
        (status, &answer["code"]),
        (409, &json!("pending_safety_checks")),
        "{answer}"
    );
    assert!(
        answer["detail"]
            .as_str()
            .expect("which")
            .contains("Careful.")
    );
    assert_eq!(daemon.desktop().await["state"], "stopped");
    item["acknowledged_safety_checks"] = json!([check]);
    let (status, answer) = json_of(daemon.post(OPENAI, item).await).await;
    assert_eq!(
        (status, &answer["acknowledged_safety_checks"]),
        (200, &json!([check]))
    );
}

#[tokio::test]
async fn definitions_are_what_the_vendors_ask_for() {
    let daemon = daemon();
    let tools = "/api/v0/computer/tools";
    let ask = async |query: &str| {
        let answer = daemon.get(&format!("{tools}?{query}")).await;
        let beta = answer.headers().get("x-deskd-anthropic-beta").cloned();
        let beta = beta.map(|beta| beta.to_str().expect("ASCII").to_owned());
        (json_of(answer).await, beta)
    };
    for (version, beta, zoom) in [
        ("20251124", "computer-use-2025-11-24", json!(true)),
        ("20250124", "computer-use-2025-01-24", Value::Null),
        ("computer_20241022", "computer-use-2024-10-22", Value::Null),
    ] {
        let query = format!("vendor=anthropic&width=1280&height=720&version={version}");
        let ((status, tool), header) = ask(&query).await;
        assert_eq!((status, &tool["name"]), (200, &json!("computer")), "{tool}");
        let kind = format!("computer_{}", version.trim_start_matches("computer_"));
        assert_eq!((&tool["type"], &tool["enable_zoom"]), (&json!(kind), &zoom));
        assert_eq!(
            (&tool["display_width_px"], &tool["display_height_px"]),
            (&json!(1280), &json!(720))
        );
        assert_eq!(header.as_deref(), Some(beta));
    }
    assert_eq!(
        daemon.desktop().await["state"],
        "stopped",
        "nothing had to be asked"
    );
    let ((_, toolset), beta) = ask("vendor=anthropic&width=9&height=9&version=20260801").await;
    assert_eq!(
        (toolset, beta),
        (json!({"type": "computer_toolset_20260801"}), None)
    );
    let ((_, tool), _) = ask("vendor=anthropic&width=640").await;
    assert_eq!(tool["display_height_px"], 400);
    assert_eq!(
        ask("vendor=openai").await.0,
        (200, json!({"type": "computer"}))
    );
    let ((_, preview), _) = ask("vendor=openai&version=preview").await;
    let expected = json!({"type": "computer_use_preview", "display_width": 1280, "display_height": 800,
                          "environment": "linux"});
    assert_eq!(preview, expected);
    for query in [
        "vendor=acme",
        "vendor=openai&version=9",
        "vendor=anthropic&version=1",
        "width=1",
    ] {
        assert_eq!(ask(query).await.0.0, 400, "{query}");
    }
}
