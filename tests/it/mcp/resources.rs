//! Resources and their subscriptions.

use serde_json::json;

use super::client::Client;
use crate::support::daemon::Daemon;

#[tokio::test]
async fn outputs_and_files_are_read() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let client = Client::open(&daemon).await;
    client
        .done("execute", json!({"command": "echo printed"}))
        .await;
    let list = client.result("resources/list", json!({})).await;
    let uri = list["resources"][0]["uri"]
        .as_str()
        .expect("an address")
        .to_owned();
    assert!(uri.starts_with("deskd://process/"), "{list}");
    let read = client.result("resources/read", json!({"uri": uri})).await;
    assert_eq!(read["contents"][0]["text"], "printed\n");
    let file = daemon.home().path().join("a b.txt");
    std::fs::write(&file, "text").expect("written");
    let uri = format!("file://{}", file.display()).replace(' ', "%20");
    let read = client.result("resources/read", json!({"uri": uri})).await;
    assert_eq!(read["contents"][0]["text"], "text", "{read}");
    let templates = client.result("resources/templates/list", json!({})).await;
    assert_eq!(
        templates["resourceTemplates"].as_array().map(Vec::len),
        Some(2)
    );
    for uri in ["file:///nowhere", "deskd://process/x/output", "http://x"] {
        let answer = client.ask("resources/read", json!({"uri": uri})).await;
        assert_eq!(answer["error"]["code"], -32002, "{answer}");
    }
    let prompts = client.ask("prompts/list", json!({})).await;
    assert_eq!(prompts["result"]["prompts"], json!([]), "{prompts}");
}

#[tokio::test]
async fn a_process_that_prints_is_told_of() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let client = Client::open(&daemon).await;
    let mut told = client.listen().await;
    let arguments = json!({"command": "cat", "run_in_background": true, "interactive": true});
    let done = client.done("execute", arguments).await;
    let id = done["background_process_id"].as_str().expect("an id");
    let uri = format!("deskd://process/{id}/output");
    client
        .result("resources/subscribe", json!({"uri": uri}))
        .await;
    client
        .done("process_input", json!({"process_id": id, "text": "x\n"}))
        .await;
    let message = told.next().await.expect("a message");
    assert_eq!(message["method"], "notifications/resources/updated");
    assert_eq!(message["params"]["uri"], uri);
    client
        .result("resources/unsubscribe", json!({"uri": uri}))
        .await;
    let answer = client
        .ask(
            "resources/subscribe",
            json!({"uri": "file:///etc/hostname"}),
        )
        .await;
    assert!(answer["error"].is_object(), "{answer}");
}

#[tokio::test]
async fn a_screen_that_changes_is_told_of() {
    let daemon = Daemon::start(&[]);
    let client = Client::open(&daemon).await;
    daemon.started().await;
    let uri = "deskd://desktop/screenshot";
    let read = client.result("resources/read", json!({"uri": uri})).await;
    assert_eq!(read["contents"][0]["mimeType"], "image/png");
    let mut told = client.listen().await;
    client
        .result("resources/subscribe", json!({"uri": uri}))
        .await;
    let changing = async {
        loop {
            client
                .done(
                    "computer",
                    json!({"actions": [{"action": "mouse_move", "coordinate": [5, 5]}]}),
                )
                .await;
            client
                .done(
                    "computer",
                    json!({"actions": [{"action": "mouse_move", "coordinate": [500, 500]}]}),
                )
                .await;
        }
    };
    let message = tokio::select! {
        message = told.next() => message.expect("a message"),
        () = changing => unreachable!("it goes on for ever"),
    };
    assert_eq!(message["params"]["uri"], uri);
}
