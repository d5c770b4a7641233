//! `execute` and its family.

use reqwest::Method;
use serde_json::{Value, json};

use super::client::{Client, text};
use crate::support::{
    daemon::{Daemon, json as body_of},
    eventually_async,
};

fn daemon() -> Daemon {
    Daemon::start(&["--desktop", "off"])
}

/// Ids of the processes that run.
async fn running(daemon: &Daemon) -> Vec<String> {
    let list = daemon.get("/api/v0/processes/list?state=running").await;
    let (_, list) = body_of(list).await;
    let all = list["processes"].as_array().expect("a list").iter();
    all.filter_map(|process| Some(process["id"].as_str()?.to_owned()))
        .collect()
}

#[tokio::test]
async fn a_command_gives_output_code_and_time() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let arguments = json!({"command": "echo out; echo err >&2; exit 3", "model_intent": "to see"});
    let result = client.call("execute", arguments).await;
    let done = &result["structuredContent"];
    assert_eq!(result["isError"], false);
    assert_eq!(done["success"], false);
    assert_eq!(done["exit_code"], 3);
    assert_eq!(done["output"], "out\nerr\n");
    assert!(
        done["error"]
            .as_str()
            .is_some_and(|error| error.contains("code 3"))
    );
    assert!(done["wall_duration_ms"].is_u64() && done.get("background_process_id").is_none());
    assert!(
        text(&result).contains("out\nerr\n[exit code 3, "),
        "{result}"
    );
    assert!(daemon.log().contains("to see"));
    let home = daemon.home().path().to_str().expect("UTF-8");
    let done = client
        .done("execute", json!({"command": "pwd", "workdir": home}))
        .await;
    assert_eq!(done["output"], format!("{home}\n"));
}

#[tokio::test]
async fn nothing_asks_pages_or_draws() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let names = "CODER_CHAT_AGENT GIT_EDITOR GIT_SEQUENCE_EDITOR EDITOR VISUAL GIT_TERMINAL_PROMPT NO_COLOR TERM PAGER GIT_PAGER";
    let command = format!("for n in {names}; do eval echo \\$$n; done");
    let done = client.done("execute", json!({"command": command})).await;
    assert_eq!(
        done["output"],
        "true\ntrue\ntrue\ntrue\ntrue\n0\n1\ndumb\ncat\ncat\n"
    );
    let arguments =
        json!({"command": "echo $TERM $A $B", "env": {"TERM": "xterm", "A": "x y", "B": 7}});
    assert_eq!(
        client.done("execute", arguments).await["output"],
        "xterm x y 7\n"
    );
    // The routes themselves give another environment.
    let start = json!({"command": "echo [$CODER_CHAT_AGENT]", "wait_ms": 10_000});
    let (_, started) = body_of(daemon.post("/api/v0/processes/start", start).await).await;
    assert_eq!(started["result"]["output"], "[]\n");
}

#[tokio::test]
async fn a_timeout_leaves_it_running() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let command = "echo begun; read line < /dev/null; sleep 1000";
    let result = client
        .call("execute", json!({"command": command, "timeout": "300ms"}))
        .await;
    let done = &result["structuredContent"];
    assert_eq!(
        (&done["success"], &done["output"]),
        (&json!(false), &json!("begun\n"))
    );
    let id = done["background_process_id"].as_str().expect("an id");
    assert!(
        done["error"]
            .as_str()
            .is_some_and(|error| error.contains("0.3 s")),
        "{done}"
    );
    assert!(text(&result).contains("Call process_output"), "{result}");
    let snapshot = json!({"process_id": id, "wait_timeout": "0s"});
    let seen = client.done("process_output", snapshot).await;
    assert_eq!(
        (&seen["running"], &seen["next_cursor"]),
        (&json!(true), &json!(6))
    );
    client
        .done(
            "process_signal",
            json!({"process_id": id, "signal": "kill"}),
        )
        .await;
    let ended = client
        .done("process_output", json!({"process_id": id}))
        .await;
    assert_eq!(
        (&ended["running"], &ended["success"]),
        (&json!(false), &json!(false))
    );
    assert!(
        ended["error"]
            .as_str()
            .is_some_and(|error| error.contains("SIGKILL")),
        "{ended}"
    );
}

#[tokio::test]
async fn an_ampersand_at_the_end_is_the_background() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let done = client
        .done("execute", json!({"command": "sleep 1000 2>&1 &"}))
        .await;
    assert_eq!(
        (&done["success"], done["background_process_id"].is_string()),
        (&json!(true), true)
    );
    let list = client.done("process_list", json!({})).await;
    assert_eq!(list["processes"][0]["command"], "sleep 1000 2>&1");
    let done = client
        .done("execute", json!({"command": "true && echo both"}))
        .await;
    assert_eq!(done["output"], "both\n");
    // What fails at once is told at once.
    let arguments = json!({"command": "exit 4", "run_in_background": true});
    let done = client.done("execute", arguments).await;
    assert_eq!(
        (&done["exit_code"], done.get("background_process_id")),
        (&json!(4), None)
    );
}

#[tokio::test]
async fn long_output_is_cut_to_head_and_tail() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let command = "printf 'head\\n'; yes 'éééééééé' | head -n 58823; printf '\\ntail\\n'";
    let done = client.done("execute", json!({"command": command})).await;
    let output = done["output"].as_str().expect("a text");
    assert!(output.len() <= 34_000, "{}", output.len());
    assert!(output.starts_with("head\n") && output.ends_with("tail\n"));
    assert!(done["truncated"].is_object(), "{}", done["truncated"]);
    assert!(!output.contains('\u{fffd}'), "characters are whole");
}

#[tokio::test]
async fn what_is_new_is_read_with_since() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let arguments = json!({"command": "cat", "run_in_background": true, "interactive": true});
    let done = client.done("execute", arguments).await;
    let id = done["background_process_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let written = client
        .done("process_input", json!({"process_id": id, "text": "one\n"}))
        .await;
    assert_eq!(written["written"], 4);
    eventually_async("cat has printed it", async || {
        let seen = client
            .done(
                "process_output",
                json!({"process_id": id, "wait_timeout": "0s"}),
            )
            .await;
        seen["output"] == "one\n"
    })
    .await;
    client
        .done(
            "process_input",
            json!({"process_id": id, "text": "two\n", "eof": true}),
        )
        .await;
    let rest = client
        .done("process_output", json!({"process_id": id, "since": 4}))
        .await;
    assert_eq!(
        (&rest["output"], &rest["exit_code"]),
        (&json!("two\n"), &json!(0))
    );
    let said = client
        .refused("process_output", json!({"process_id": id, "since": 99}))
        .await;
    assert!(said.contains("[cursor_beyond_end]"), "{said}");
    let done = client
        .done(
            "execute",
            json!({"command": "sleep 1000", "run_in_background": true}),
        )
        .await;
    let closed = json!({"process_id": done["background_process_id"], "text": "x"});
    let said = client.refused("process_input", closed).await;
    assert!(
        said.contains("[stdin_not_open]") && said.contains("interactive"),
        "{said}"
    );
}

#[tokio::test]
async fn notes_tell_of_better_tools() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    for (command, due) in [
        ("cat /etc/hostname", "read_file"),
        ("sed -n 1,2p /etc/passwd", "read_file"),
        ("grep -rn root /etc/hostname", "search_files"),
        ("env -u DISPLAY xterm; false", "launch"),
    ] {
        let done = client.done("execute", json!({"command": command})).await;
        assert!(
            done["note"].as_str().is_some_and(|note| note.contains(due)),
            "{command}: {done}"
        );
    }
    let done = client
        .done("execute", json!({"command": "cat /etc/hostname | wc -l"}))
        .await;
    assert!(done.get("note").is_none(), "{done}");
}

#[tokio::test]
async fn what_is_wrong_says_what_to_call_next() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    for (tool, arguments, due) in [
        ("execute", json!({}), "command"),
        (
            "execute",
            json!({"command": "true", "timeout": "soon"}),
            "10s",
        ),
        ("execute", json!({"command": "true", "timeout": "5h"}), "4h"),
        ("execute", json!({"command": "true", "env": [1]}), "env"),
        (
            "execute",
            json!({"command": "true", "workdir": "/nowhere"}),
            "[",
        ),
        ("process_output", json!({"process_id": "x"}), "process_list"),
        (
            "process_signal",
            json!({"process_id": "../../x"}),
            "process_list",
        ),
        ("computer", json!({"actions": []}), "no desktop"),
    ] {
        let said = client.refused(tool, arguments).await;
        assert!(said.contains(due), "{tool}: {said}");
    }
    let unknown = client
        .ask("tools/call", json!({"name": "none", "arguments": {}}))
        .await;
    assert_eq!(unknown["error"]["code"], -32602, "{unknown}");
}

#[tokio::test]
async fn a_cancelled_call_ends_what_it_started() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let command = json!({"command": "sleep 1000 & sleep 2000", "timeout": "1h"});
    let (id, mut events) = client
        .begin("execute", command, json!({"progressToken": "p"}))
        .await;
    let progress = loop {
        let message = events.next().await.expect("a message");
        if message["method"] == "notifications/progress" {
            break message;
        }
    };
    assert_eq!(progress["params"]["progressToken"], "p");
    assert!(
        progress["params"]["message"]
            .as_str()
            .is_some_and(|text| text.contains("runs")),
        "{progress}"
    );
    assert_eq!(running(&daemon).await.len(), 1);
    let cancel =
        json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": id}});
    assert_eq!(client.post(&cancel).await.status(), 202);
    eventually_async("nothing of it runs", async || {
        running(&daemon).await.is_empty()
    })
    .await;
    assert!(
        events.next().await.is_none(),
        "a cancelled call has no answer"
    );
    assert_eq!(
        client.done("execute", json!({"command": "true"})).await["success"],
        true
    );
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_call() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let command = json!({"command": "sleep 1000", "timeout": "1h"});
    let (_, events) = client.begin("execute", command, json!({})).await;
    eventually_async("it runs", async || running(&daemon).await.len() == 1).await;
    drop(events);
    eventually_async("it has ended", async || running(&daemon).await.is_empty()).await;
}

#[tokio::test]
async fn a_client_that_comes_back_gets_its_answer() {
    let daemon = daemon();
    let client = Client::open(&daemon).await;
    let command = json!({"command": "sleep 7; echo late"});
    let id = client.id();
    let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": {"name": "execute", "arguments": command}});
    let mut response = client.post(&message).await;
    let mut text = String::new();
    let last = loop {
        let chunk = response.chunk().await.expect("a chunk").expect("more");
        text.push_str(std::str::from_utf8(&chunk).expect("text"));
        if let Some(id) = text.lines().find_map(|line| line.strip_prefix("id: ")) {
            break id.to_owned();
        }
    };
    drop(response);
    let again = daemon
        .request(Method::GET, "/mcp")
        .header("accept", "text/event-stream")
        .header("mcp-session-id", &client.session)
        .header("last-event-id", last);
    let mut events = super::client::Events::new(again.send().await.expect("an answer"));
    let answer: Value = events.answer(id).await;
    assert_eq!(answer["result"]["structuredContent"]["output"], "late\n");
}
