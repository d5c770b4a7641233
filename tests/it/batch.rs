//! `POST /api/v0/desktop/actions`: units, results, frames, failures, as a window sees them.

use reqwest::Method;
use serde_json::{Value, json};

use crate::{
    desktop::{Entry, address},
    support::{
        daemon::{Daemon, PATIENCE, json as json_of},
        recorder::Recorder,
    },
};

pub const ACTIONS: &str = "/api/v0/desktop/actions";

/// Runs a batch and gives status and answer.
async fn run(daemon: &Daemon, body: Value) -> (u16, Value) {
    json_of(daemon.post(ACTIONS, body).await).await
}

/// Runs a batch that is to succeed.
async fn done(daemon: &Daemon, actions: Value) -> Value {
    let (status, answer) = run(daemon, json!({ "actions": actions })).await;
    assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
    answer
}

/// Keysym events as letters and signs, without keycodes: presses of Shift, Control and so on by their state.
fn states(lines: &[String]) -> String {
    let state = |line: &String| line.rsplit(' ').next().expect("a state").to_owned();
    lines.iter().map(state).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn every_action_reaches_the_window_in_order() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    let answer = done(
        &daemon,
        json!([
            {"action": "left_click", "coordinate": [50, 60]},
            {"action": "double_click"},
            {"action": "right_mouse_down"},
            {"action": "mouse_move", "coordinate": [51, 60]},
            {"action": "right_mouse_up"},
            {"action": "middle_mouse_down"},
            {"action": "middle_mouse_up"},
            {"action": "scroll", "scroll_x": -1, "scroll_y": 2},
            {"action": "scroll", "coordinate": [52, 60], "scroll_direction": "up", "scroll_amount": 1},
            {"action": "drag", "path": [[100, 100], [104, 100], [104, 104]]},
            {"action": "wait", "duration": 1},
            {"action": "cursor_position"}
        ]),
    )
    .await;
    let results = answer["results"].as_array().expect("results");
    assert_eq!(results.len(), 12);
    assert!(
        results
            .iter()
            .all(|r| r["ok"] == true && r["elapsed_us"].is_u64())
    );
    assert_eq!(results[11]["coordinate"], json!([104, 104]));
    let expected = "+1 50,60 -1 50,60 +1 50,60 -1 50,60 +1 50,60 -1 50,60 +3 50,60 -3 51,60 \
                    +2 51,60 -2 51,60 +5 51,60 -5 51,60 +5 51,60 -5 51,60 +6 51,60 -6 51,60 \
                    +4 52,60 -4 52,60 +1 100,100 -1 104,104";
    assert_eq!(window.clicks().join(" "), expected);
}

#[tokio::test]
async fn modifiers_are_down_during_the_action_and_up_after_it() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    done(
        &daemon,
        json!([
            {"action": "left_click", "coordinate": [10, 10], "modifiers": ["ctrl", "shift"]},
            {"action": "key_down", "text": "shift"},
            {"action": "scroll", "modifiers": ["shift"], "scroll_amount": 1},
            {"action": "key_up", "text": "shift"},
            {"action": "key", "text": "a"}
        ]),
    )
    .await;
    let lines = window.clicks();
    let keys: Vec<String> = lines
        .iter()
        .filter(|l| l.starts_with('k'))
        .cloned()
        .collect();
    // ctrl (4) and shift (1) go down and up around the click; the held shift outlives the scroll; `a` comes bare.
    assert_eq!(states(&keys), "0 4 5 4 0 1 0 0", "{lines:?}");
    let at = |sign: &str| {
        lines
            .iter()
            .position(|line| line.starts_with(sign))
            .expect("it came")
    };
    assert_eq!((at("+1"), at("-1"), at("+5")), (2, 3, 7), "{lines:?}");
}

#[tokio::test]
async fn points_outside_are_refused_and_nothing_is_done() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    let click = |x: i64, y: i64| json!({"action": "left_click", "coordinate": [x, y]});
    for (frame, outside) in [
        (json!({}), click(1280, 0)),
        (json!({"width": 640}), click(0, 400)),
        (json!({"width": 640, "height": 640}), click(640, 0)),
        (
            json!({}),
            json!({"action": "drag", "path": [[0, 0], [-1, 0]]}),
        ),
        (
            json!({}),
            json!({"action": "zoom", "region": [1200, 0, 100, 100]}),
        ),
    ] {
        let mut body = frame;
        body["actions"] = json!([click(1, 1), outside]);
        let (status, answer) = run(&daemon, body).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("out_of_frame")),
            "{answer}"
        );
        let field = answer["validations"][0]["field"].as_str().expect("a field");
        assert!(field.starts_with("actions[1]"), "{answer}");
    }
    assert_eq!(window.events(), Vec::<String>::new());
    let body = json!({"width": 640, "actions": [click(639, 399)]});
    let (status, answer) = run(&daemon, body).await;
    assert_eq!((status, &answer["height"]), (200, &json!(400)), "{answer}");
    assert_eq!(window.clicks(), ["+1 1279,799", "-1 1279,799"]);
}

#[tokio::test]
async fn bad_batches_start_nothing_and_name_the_field() {
    let daemon = Daemon::start(&[]);
    let many = vec![json!({"action": "cursor_position"}); 201];
    let wait = |ms: i64| json!({"action": "wait", "duration": ms});
    for (body, field) in [
        (json!({}), "actions"),
        (json!({"actions": 5}), "actions"),
        (json!({ "actions": many }), "actions"),
        (
            json!({"actions": [wait(200_000), wait(200_000)]}),
            "actions",
        ),
        (json!({"actions": [wait(-1)]}), "actions[0].duration"),
        (
            json!({"actions": [{"action": "key", "text": "Retrun"}]}),
            "actions[0].text",
        ),
        (
            json!({"actions": [wait(1), {"action": "jump"}]}),
            "actions[1].action",
        ),
        (json!({"actions": [{}]}), "actions[0].action"),
        (
            json!({"actions": [{"action": "screenshot", "format": "gif"}]}),
            "actions[0].format",
        ),
        (
            json!({"actions": [], "screenshot": {"quality": 101}}),
            "screenshot.quality",
        ),
        (json!({"actions": [], "on_error": "retry"}), "on_error"),
        (json!({"actions": [], "width": 0}), "width"),
        (json!({"actions": [], "width": 7681}), "width"),
    ] {
        let (status, answer) = run(&daemon, body.clone()).await;
        assert_eq!(status, 400, "{body} gave {answer}");
        assert_eq!(
            answer["validations"][0]["field"], field,
            "{body} gave {answer}"
        );
    }
    assert_eq!(daemon.desktop().await["state"], "stopped");
}

#[tokio::test]
async fn pictures_come_in_the_middle_and_at_the_end() {
    let daemon = Daemon::start(&[]);
    let body = json!({
        "width": 640,
        "actions": [
            {"action": "screenshot", "format": "jpeg", "quality": 50},
            {"action": "zoom", "region": [0, 0, 64, 40]},
            {"action": "screenshot", "region": [0, 0, 64, 40]}
        ],
        "screenshot": {"format": "webp", "width": 320}
    });
    let (status, answer) = run(&daemon, body).await;
    assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
    let size = |picture: &Value| {
        let kind = picture["media_type"].as_str().expect("a type").to_owned();
        (kind, picture["width"].as_u64(), picture["height"].as_u64())
    };
    let shot = |index: usize| size(&answer["results"][index]["screenshot"]);
    assert_eq!(shot(0), ("image/jpeg".into(), Some(640), Some(400)));
    assert_eq!(shot(1), ("image/png".into(), Some(640), Some(400)));
    assert_eq!(shot(2), ("image/png".into(), Some(64), Some(40)));
    let last = size(&answer["screenshot"]);
    assert_eq!(last, ("image/webp".into(), Some(320), Some(200)));
}

/// A picture that cannot fit into one byte: it fails when it is taken, not when it is asked for.
const FAILS: &str = r#"{"action": "screenshot", "max_bytes": 1}"#;

#[tokio::test]
async fn after_a_failure_the_rest_stops_or_goes_on_and_nothing_is_held() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    let fails: Value = serde_json::from_str(FAILS).expect("JSON");
    let actions = json!([
        {"action": "key_down", "text": "shift"},
        {"action": "left_mouse_down"},
        fails,
        {"action": "right_click", "coordinate": [5, 5]}
    ]);
    for (on_error, last) in [("stop", json!("not_run")), ("continue", Value::Null)] {
        let body = json!({"actions": actions, "on_error": on_error});
        let (status, answer) = run(&daemon, body).await;
        assert_eq!((status, &answer["ok"]), (200, &json!(false)), "{answer}");
        assert_eq!(answer["results"][2]["error"]["code"], "cannot_fit");
        assert_eq!(answer["results"][3]["error"]["code"], last, "{answer}");
        let held = json_of(daemon.get("/api/v0/desktop/input").await).await.1;
        let nothing = json!({"keys": [], "buttons": []});
        assert_eq!(held, json!({"held": nothing, "server": nothing}));
        let clicked = window.clicks().iter().any(|line| line == "+3 5,5");
        assert_eq!(clicked, on_error == "continue");
    }
}

#[tokio::test]
async fn batches_of_fifty_clients_never_interleave() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    let batch = |client: i64| {
        let click = json!({"action": "left_click", "coordinate": [client, client]});
        let scroll = json!({"action": "scroll", "scroll_amount": 1});
        json!([click, scroll, click, {"action": "cursor_position"}, scroll, click])
    };
    let clients = (0..50).map(|client| done(&daemon, batch(client)));
    futures_util::future::join_all(clients).await;
    let lines = window.clicks();
    assert_eq!(lines.len(), 50 * 10);
    for unit in lines.chunks(10) {
        let place = unit[0].split(' ').nth(1).expect("a place");
        assert!(unit.iter().all(|line| line.ends_with(place)), "{unit:?}");
    }
}

#[tokio::test]
async fn stillness_comes_between_the_last_action_and_the_picture() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    let click = json!({"action": "left_click", "coordinate": [10, 10]});
    let body = json!({"actions": [click], "settle": {"quiet_ms": 50}, "screenshot": true});
    let (status, answer) = run(&daemon, body).await;
    assert_eq!((status, &answer["ok"]), (200, &json!(true)), "{answer}");
    assert_eq!(answer["settled"]["still"], true, "{answer}");
    let waited = answer["settled"]["waited_ms"].as_u64().expect("a number");
    assert!(waited >= 49, "quiet counts from the click: {answer}");
    assert!(answer["screenshot"]["data"].is_string());
    assert_eq!(window.clicks(), ["+1 10,10", "-1 10,10"]);
    for (settle, code, field) in [
        (
            json!({"quiet_ms": 50, "ignore": [[1280, 0, 1, 1]]}),
            "out_of_frame",
            "settle.ignore",
        ),
        (
            json!({"quiet_ms": 50, "ignore": [[0, 0, 0, 1]]}),
            "invalid_request",
            "settle.ignore",
        ),
        (
            json!({"quiet_ms": -1}),
            "invalid_request",
            "settle.quiet_ms",
        ),
        (
            json!({"quiet_ms": 1, "timeout_ms": 60_001}),
            "invalid_request",
            "settle.timeout_ms",
        ),
        (json!({}), "invalid_request", "settle.quiet_ms"),
    ] {
        let body = json!({"actions": [click], "settle": settle});
        let (status, answer) = run(&daemon, body).await;
        assert_eq!((status, &answer["code"]), (400, &json!(code)), "{answer}");
        assert_eq!(answer["validations"][0]["field"], field, "{answer}");
    }
    assert_eq!(window.clicks(), Vec::<String>::new(), "nothing was done");
}

#[tokio::test]
async fn a_paste_reaches_the_entry_and_the_old_clipboard_comes_back() {
    const CLIPBOARD: &str = "/api/v0/desktop/clipboard";
    let daemon = Daemon::start(&[]);
    let entry = Entry::start(&daemon, "gtk_entry.py").await;
    let put = daemon.request(Method::PUT, CLIPBOARD).body("before");
    assert_eq!(put.send().await.expect("an answer").status(), 204);
    let text = "Привет 你好 \u{1f600}";
    let answer = done(
        &daemon,
        json!([{"action": "paste", "text": text}, {"action": "key", "text": "Return"}]),
    )
    .await;
    assert_eq!(
        answer["results"][0]["delivered"]["characters"], 11,
        "{answer}"
    );
    assert_eq!(entry.finish(), text);
    let left = daemon.get(CLIPBOARD).await.text().await.expect("a text");
    assert_eq!(left, "before");
}

#[tokio::test]
async fn a_paste_that_nobody_takes_says_so() {
    let daemon = Daemon::start(&[]);
    let _window = Recorder::open(&address(&daemon).await);
    let body = json!({"actions": [{"action": "paste", "text": "x"}]});
    let (status, answer) = run(&daemon, body).await;
    assert_eq!((status, &answer["ok"]), (200, &json!(false)), "{answer}");
    assert_eq!(answer["results"][0]["error"]["code"], "not_pasted");
}

#[tokio::test]
async fn a_window_that_is_focused_gets_the_text() {
    const WINDOWS: &str = "/api/v0/desktop/windows";
    let daemon = Daemon::start(&[]);
    let entry = Entry::start(&daemon, "gtk_entry.py").await;
    let listed = async || json_of(daemon.get(WINDOWS).await).await.1["windows"].clone();
    let first = listed().await[0]["id"].clone();
    let mut xterm = daemon.program("xterm").await.spawn().expect("xterm starts");
    let other = async {
        loop {
            let windows = listed().await;
            let focused = windows
                .as_array()
                .expect("a list")
                .iter()
                .find(|w| w["focused"] == true);
            if focused.is_some_and(|window| window["id"] != first) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(PATIENCE, other).await;
    seen.expect("xterm comes and takes the keyboard");
    let actions = json!([
        {"action": "focus_window", "window": first},
        {"action": "type", "text": "here"},
        {"action": "key", "text": "Return"}
    ]);
    done(&daemon, actions).await;
    assert_eq!(entry.finish(), "here");
    xterm.kill().expect("xterm was there");
    xterm.wait().expect("a child");
    let gone = json!({"actions": [{"action": "focus_window", "window": 7}]});
    let (_, answer) = run(&daemon, gone).await;
    assert_eq!(
        answer["results"][0]["error"]["code"], "no_such_window",
        "{answer}"
    );
}
