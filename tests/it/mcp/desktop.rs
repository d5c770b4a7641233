//! Tools of the desktop, on a real one.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::client::{Client, text};
use crate::support::daemon::Daemon;

/// The picture of a result.
fn picture(result: &Value) -> image::DynamicImage {
    let mut parts = result["content"].as_array().expect("parts").iter();
    let data = parts.find_map(|part| part["data"].as_str());
    let bytes = STANDARD.decode(data.expect("a picture")).expect("base64");
    image::load_from_memory(&bytes).expect("a picture")
}

#[tokio::test]
async fn a_model_types_into_a_terminal_and_sees_it() {
    let daemon = Daemon::start(&[]);
    daemon.started().await;
    let size = json!({"width": 1600, "height": 900});
    assert_eq!(
        daemon.post("/api/v0/desktop/resize", size).await.status(),
        200
    );
    let client = Client::open(&daemon).await;
    let list = client.result("tools/list", json!({})).await;
    let tools = list["tools"].as_array().expect("a list");
    let computer = tools
        .iter()
        .find(|tool| tool["name"] == "computer")
        .expect("listed");
    let description = computer["description"].as_str().expect("a text");
    assert!(description.contains("1280x720"), "{description}");
    let launched = client.done("launch", json!({"argv": ["xterm"]})).await;
    let window = &launched["window"];
    assert_eq!(window["class"], "XTerm", "{launched}");
    let windows = client.done("windows", json!({})).await;
    assert_eq!(windows["windows"][0]["id"], window["id"]);
    let file = daemon.home().path().join("typed");
    let typed = format!("echo ok > {}\n", file.display());
    let actions = json!({"actions": [
        {"action": "focus_window", "window": window["id"]}, {"action": "type", "text": typed}]});
    let result = client.call("computer", actions).await;
    assert_eq!(result["isError"], false, "{result}");
    assert!(
        text(&result).contains("Points are pixels of 1280x720."),
        "{result}"
    );
    let seen = picture(&result);
    assert_eq!((seen.width(), seen.height()), (1280, 720));
    let facts = &result["structuredContent"];
    assert_eq!(
        (&facts["width"], &facts["height"]),
        (&json!(1280), &json!(720))
    );
    assert_eq!(facts["picture"]["native_width"], 1600);
    crate::support::eventually("the shell has run it", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text == "ok\n")
    })
    .await;
    // One action may stand for itself, and no picture need be made.
    let result = client
        .call(
            "computer",
            json!({"action": "mouse_move", "coordinate": [10, 20], "screenshot": false}),
        )
        .await;
    assert_eq!(
        result["content"].as_array().map(Vec::len),
        Some(1),
        "{result}"
    );
    let at = client
        .done(
            "computer",
            json!({"actions": [{"action": "cursor_position"}]}),
        )
        .await;
    assert_eq!(at["results"][0]["coordinate"], json!([10, 20]));
    let closed = json!({"action": "close", "id": window["id"]});
    client.done("windows", closed).await;
    assert_eq!(
        client.done("windows", json!({"action": "list"})).await["windows"],
        json!([])
    );
}

#[tokio::test]
async fn what_a_model_got_wrong_says_how_to_mend_it() {
    let daemon = Daemon::start(&[]);
    let client = Client::open(&daemon).await;
    let outside = json!({"actions": [{"action": "left_click", "coordinate": [5000, 5]}]});
    let said = client.refused("computer", outside).await;
    assert!(said.contains("[out_of_frame]"), "{said}");
    let unknown = json!({"actions": [{"action": "key", "text": "ctrl+nokey"}]});
    let said = client.refused("computer", unknown).await;
    assert!(said.contains("nokey"), "{said}");
    let said = client.refused("computer", json!({})).await;
    assert!(said.contains("actions"), "{said}");
    let said = client
        .refused("windows", json!({"action": "focus", "id": 1}))
        .await;
    assert!(said.contains("[no_such_window]"), "{said}");
    // An action that fails half way shows the screen as it is.
    let late = json!({"actions": [{"action": "mouse_move", "coordinate": [1, 1]}, {"action": "focus_window", "window": 1}]});
    let result = client.call("computer", late).await;
    assert_eq!(result["isError"], true, "{result}");
    assert!(
        text(&result).contains("Action 1 (focus_window) failed"),
        "{result}"
    );
    assert_eq!(picture(&result).width(), 1280);
}

#[tokio::test]
async fn pictures_keep_to_the_budget() {
    let daemon = Daemon::start(&["--mcp-picture-bytes", "20000"]);
    let client = Client::open(&daemon).await;
    client.done("launch", json!({"argv": ["xterm", "-fullscreen", "-e", "sh", "-c", "cat /dev/urandom | base64 -w 0 | head -c 200000; sleep 1000"]})).await;
    let result = client.call("screenshot", json!({"settle_ms": 500})).await;
    let data = result["content"][1]["data"].as_str().expect("a picture");
    assert!(data.len() <= 20_000, "{}", data.len());
    let reduced = &result["structuredContent"]["picture"]["reduced"];
    assert!(
        reduced.as_str().is_some_and(|text| text.contains("jpeg")),
        "{reduced}"
    );
    assert!(
        text(&result).contains("reduced to fit"),
        "{}",
        text(&result)
    );
    let region = json!({"region": [0, 0, 64, 40], "zoom": true, "format": "jpeg"});
    let part = client.call("screenshot", region).await;
    assert_eq!(
        part["content"][1]["mimeType"],
        "image/jpeg",
        "{}",
        text(&part)
    );
}

#[tokio::test]
async fn the_clipboard_goes_both_ways() {
    let daemon = Daemon::start(&[]);
    let client = Client::open(&daemon).await;
    let said = client.refused("clipboard", json!({})).await;
    assert!(said.contains("[clipboard_empty]"), "{said}");
    client.done("clipboard", json!({"text": "für dich"})).await;
    assert_eq!(
        client.done("clipboard", json!({})).await["text"],
        "für dich"
    );
}

#[tokio::test]
async fn a_graphical_program_of_a_command_is_told_of() {
    let daemon = Daemon::start(&[]);
    let client = Client::open(&daemon).await;
    daemon.started().await;
    let command = "sh -c 'exec xterm -T mine'";
    let result = client
        .done("execute", json!({"command": command, "timeout": "2s"}))
        .await;
    assert!(
        result["note"]
            .as_str()
            .is_some_and(|note| note.contains("mine")),
        "{result}"
    );
}
