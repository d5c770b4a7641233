//! Bodies and queries that are wrong in each field: 400 that names the field, and no desktop boots.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::daemon::{Daemon, json as json_of};

const ACTION: &str = "/api/v0/desktop/action";

/// Bodies, and the field that is wrong in each.
const WRONG: &[(&str, &str)] = &[
    ("{}", "action"),
    ("[]", "body"),
    ("7", "body"),
    ("null", "body"),
    (r#"{"action": null}"#, "action"),
    (r#"{"action": ["left_click"]}"#, "action"),
    (
        r#"{"action": "LEFT_CLICK", "coordinate": [1, 1]}"#,
        "action",
    ),
    (
        r#"{"action": "left_click\u0000", "coordinate": [1, 1]}"#,
        "action",
    ),
    (r#"{"action": "mouse_move"}"#, "coordinate"),
    (
        r#"{"action": "mouse_move", "coordinate": null}"#,
        "coordinate",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": []}"#,
        "coordinate",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": [1]}"#,
        "coordinate",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": [1, 2, 3]}"#,
        "coordinate",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": "1,2"}"#,
        "coordinate",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": {"x": 1, "y": 2}}"#,
        "coordinate",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": [1.5, 2]}"#,
        "coordinate[0]",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": [1, 1e300]}"#,
        "coordinate[1]",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": [1, null]}"#,
        "coordinate[1]",
    ),
    (
        r#"{"action": "mouse_move", "coordinate": [9223372036854775808, 1]}"#,
        "coordinate[0]",
    ),
    (
        r#"{"action": "left_click_drag", "coordinate": [1, 1]}"#,
        "start_coordinate",
    ),
    (
        r#"{"action": "left_click_drag", "start_coordinate": [1, 1]}"#,
        "coordinate",
    ),
    (
        r#"{"action": "scroll", "coordinate": [1, 1], "scroll_direction": "sideways"}"#,
        "scroll_direction",
    ),
    (
        r#"{"action": "scroll", "coordinate": [1, 1], "scroll_direction": 3}"#,
        "scroll_direction",
    ),
    (
        r#"{"action": "scroll", "coordinate": [1, 1], "scroll_amount": 1.5}"#,
        "scroll_amount",
    ),
    (
        r#"{"action": "hold_key", "text": "a", "duration": -1}"#,
        "duration",
    ),
    (
        r#"{"action": "hold_key", "text": "a", "duration": 0.5}"#,
        "duration",
    ),
    (
        r#"{"action": "hold_key", "text": "a", "duration": "1"}"#,
        "duration",
    ),
    (
        r#"{"action": "hold_key", "text": "a", "duration": 18446744073709551615}"#,
        "duration",
    ),
    (r#"{"action": "hold_key"}"#, "text"),
    (r#"{"action": "key", "text": ""}"#, "text"),
    (r#"{"action": "key", "text": 5}"#, "text"),
    (r#"{"action": "type", "text": null}"#, "text"),
    (r#"{"action": "type", "text": ["a"]}"#, "text"),
    (
        r#"{"action": "screenshot", "scaled_width": 65536}"#,
        "scaled_width",
    ),
    (
        r#"{"action": "screenshot", "scaled_height": 9223372036854775807}"#,
        "scaled_height",
    ),
    (
        r#"{"action": "left_click", "coordinate": [1, 1], "scaled_width": 1e3}"#,
        "scaled_width",
    ),
    (
        r#"{"action": "left_click", "coordinate": [1, 1], "scaled_height": "720"}"#,
        "scaled_height",
    ),
];

/// Posts, expects 400 about the field, and gives the whole body as text.
async fn refused(daemon: &Daemon, path: &str, body: &str, field: &str) -> String {
    let answer = daemon
        .request(Method::POST, path)
        .body(body.to_owned())
        .send()
        .await
        .expect("an answer");
    let (status, answer) = json_of(answer).await;
    let shown: String = body.chars().take(120).collect();
    assert_eq!(status, 400, "{path} {shown} gave {answer}");
    let named = answer["validations"][0]["field"].as_str();
    assert_eq!(named, Some(field), "{path} {shown} gave {answer}");
    answer.to_string()
}

async fn nothing_booted(daemon: &Daemon) {
    assert_eq!(daemon.desktop().await["state"], "stopped");
}

#[tokio::test]
async fn wrong_fields_of_an_action_are_named() {
    let daemon = Daemon::start(&[]);
    let huge = format!(r#"{{"action": {:?}}}"#, "x".repeat(100_000));
    refused(&daemon, ACTION, &huge, "action").await;
    for &(body, field) in WRONG {
        refused(&daemon, ACTION, body, field).await;
    }
    nothing_booted(&daemon).await;
}

#[tokio::test]
async fn texts_that_no_keyboard_enters_are_refused_where_they_are_wrong() {
    let daemon = Daemon::start(&[]);
    for (text, position) in [("ab\u{7}c", 2), ("\u{0}", 0), ("äöü\u{1b}[2J", 3)] {
        let body = json!({"action": "type", "text": text}).to_string();
        let answer = refused(&daemon, ACTION, &body, "text").await;
        assert!(answer.contains(&format!("position {position}")), "{answer}");
    }
    for (text, nearest) in [
        ("Retrun", "Return"),
        ("ctlr+c", "ctrl"),
        ("alt+escpae", "escape"),
    ] {
        let body = json!({"action": "key", "text": text}).to_string();
        let answer = refused(&daemon, ACTION, &body, "text").await;
        let found = answer.to_lowercase().contains(&nearest.to_lowercase());
        assert!(found, "{text:?} should name {nearest}: {answer}");
    }
    let long = "ф".repeat(100_000);
    for text in ["ключ", "🙂🙂", "ctrl+", "+++", " ", "ctrl++c+", &long] {
        for action in ["key", "hold_key"] {
            let body = json!({"action": action, "text": text, "duration": 0}).to_string();
            let answer = daemon.request(Method::POST, ACTION).body(body);
            let answer = answer.send().await.expect("an answer");
            let (status, answer) = json_of(answer).await;
            // Some of these are keys in their way: `ctrl+` ends with the plus key.
            assert!(matches!(status, 200 | 400), "{text:.20}: {answer}");
            assert!(answer.to_string().len() < 4096, "echoes a long name");
        }
    }
}

#[tokio::test]
async fn wrong_sizes_are_refused_by_resize() {
    let daemon = Daemon::start(&[]);
    for side in [
        "0",
        "-1",
        "319",
        "7681",
        "65536",
        "4294967616",
        "1e3",
        "800.5",
        "\"800\"",
        "null",
        "[800]",
    ] {
        for (wide, high, field) in [(side, "600", "width"), ("800", side, "height")] {
            let body = format!(r#"{{"width": {wide}, "height": {high}}}"#);
            refused(&daemon, "/api/v0/desktop/resize", &body, field).await;
        }
    }
    for body in [r#"{"height": 600}"#, r#"{"width": 800}"#, "{}", "[]"] {
        let answer = daemon
            .request(Method::POST, "/api/v0/desktop/resize")
            .body(body);
        let (status, answer) = json_of(answer.send().await.expect("an answer")).await;
        assert_eq!((status, &answer["code"]), (400, &json!("invalid_request")));
        let text = answer.to_string();
        let missing = if body.contains("width") {
            "height"
        } else {
            "width"
        };
        assert!(body == "[]" || text.contains(missing), "{body} gave {text}");
    }
    nothing_booted(&daemon).await;
}

#[tokio::test]
async fn wrong_parameters_of_a_screenshot_are_named() {
    let daemon = Daemon::start(&[]);
    let (sides, counts) = (
        ["0", "-1", "7681", "65536", "1.5", "x", ""],
        ["0", "101", "-5", "1e2", ""],
    );
    let mut cases: Vec<(&str, &str)> = Vec::new();
    cases.extend(sides.map(|value| ("width", value)));
    cases.extend(sides.map(|value| ("height", value)));
    cases.extend(counts.map(|value| ("quality", value)));
    cases.extend(["0", "-1", "many"].map(|value| ("max_bytes", value)));
    cases.extend(["gif", "PNG", "", "png\u{0}"].map(|value| ("format", value)));
    cases.extend(["yes", "2", ""].map(|value| ("zoom", value)));
    cases.extend(["yes", "2", ""].map(|value| ("cursor", value)));
    let regions = [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "0,0,0,5",
        "0,0,5,-1",
        "a,b,c,d",
        "1.5,0,5,5",
        "0,0,4294967296,5",
        "99999999999,0,5,5",
    ];
    cases.extend(regions.map(|value| ("region", value)));
    for (name, value) in cases {
        let request = daemon.request(Method::GET, "/api/v0/desktop/screenshot");
        let answer = request.query(&[(name, value)]).send().await;
        let (status, answer) = json_of(answer.expect("an answer")).await;
        assert_eq!(status, 400, "{name}={value} gave {answer}");
        assert_eq!(
            answer["validations"][0]["field"], *name,
            "{name}={value} gave {answer}"
        );
    }
    nothing_booted(&daemon).await;
    let outside = daemon
        .get("/api/v0/desktop/screenshot?region=1279,799,2,2")
        .await;
    let (status, answer) = json_of(outside).await;
    assert_eq!((status, &answer["code"]), (400, &json!("out_of_frame")));
}

#[tokio::test]
async fn a_body_may_have_a_mebibyte_and_not_a_byte_more() {
    let daemon = Daemon::start(&[]);
    let padded = |length: usize| {
        let body = r#"{"action": "fly"}"#;
        format!("{body}{}", " ".repeat(length - body.len()))
    };
    refused(&daemon, ACTION, &padded(1 << 20), "action").await;
    let one_more = padded((1 << 20) + 1);
    for chunked in [false, true] {
        let body = if chunked {
            let chunks = one_more.as_bytes().chunks(4096).map(<[u8]>::to_vec);
            let chunks: Vec<Result<Vec<u8>, std::io::Error>> = chunks.map(Ok).collect();
            reqwest::Body::wrap_stream(futures_util::stream::iter(chunks))
        } else {
            one_more.clone().into()
        };
        let answer = daemon.request(Method::POST, ACTION).body(body).send().await;
        let (status, answer) = json_of(answer.expect("an answer")).await;
        assert_eq!((status, &answer["code"]), (413, &json!("body_too_large")));
    }
    nothing_booted(&daemon).await;
}

#[tokio::test]
async fn points_far_outside_are_clamped_and_sizes_of_nothing_mean_native() {
    let daemon = Daemon::start(&[]);
    for (coordinate, expected) in [
        (json!([i64::MAX, i64::MIN]), "x=1279,y=0"),
        (json!([-1, 800]), "x=0,y=799"),
        (json!([i64::MIN, i64::MAX]), "x=0,y=799"),
    ] {
        for size in [0, -1, i64::MIN] {
            let action = json!({"action": "mouse_move", "coordinate": coordinate, "scaled_width": size, "scaled_height": size});
            daemon.action(action).await;
            let at = daemon.action(json!({"action": "cursor_position"})).await;
            assert_eq!(at["output"], expected, "{coordinate} {size}");
        }
    }
    let picture = json!({"action": "screenshot", "scaled_width": 0, "scaled_height": -7});
    let picture = daemon.action(picture).await;
    let size = [&picture["screenshot_width"], &picture["screenshot_height"]];
    assert_eq!(size, [&json!(1280), &json!(800)]);
    for amount in [i64::MAX, i64::MIN, 0] {
        let scroll: Value =
            json!({"action": "scroll", "coordinate": [5, 5], "scroll_amount": amount});
        daemon.action(scroll).await;
    }
}
