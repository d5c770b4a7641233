//! `deskd mcp` on standard input and output.

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use serde_json::{Value, json};

use super::client::{VERSION, initialize};
use crate::support::{
    daemon::{Daemon, Home, deskd, json as body_of},
    eventually_async,
};

/// The program, as a client of the protocol starts it.
struct Bridge {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Bridge {
    fn start(home: &Home, arguments: &[&str]) -> Self {
        let mut command = deskd(home);
        command.arg("mcp").args(arguments);
        command
            .arg("--socket")
            .arg(home.runtime().join("deskd.sock"));
        let piped = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = piped.spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        let input = child.stdin.take();
        Self {
            child,
            input,
            output,
        }
    }

    fn say(&mut self, message: &Value) {
        let input = self.input.as_mut().expect("open");
        writeln!(input, "{message}").expect("it reads");
    }

    /// The next line, which is a message.
    fn hear(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("text");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("no message: {line:?}"))
    }

    fn answer(&mut self, id: u64) -> Value {
        loop {
            let message = self.hear();
            if message["id"] == id {
                return message;
            }
        }
    }

    fn open(&mut self) -> Value {
        self.say(&initialize(VERSION));
        let answer = self.answer(0);
        self.say(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer
    }

    fn call(&mut self, id: u64, tool: &str, arguments: &Value) {
        self.say(&json!({"jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": tool, "arguments": arguments}}));
    }

    /// Closes the input, and waits for the end: what else it printed, and what it said of errors.
    fn end(mut self) -> (bool, String) {
        drop(self.input.take());
        let rest: Vec<String> = self.output.by_ref().lines().map_while(Result::ok).collect();
        for line in rest {
            serde_json::from_str::<Value>(&line).expect("nothing but messages");
        }
        let output = self.child.wait_with_output().expect("it ends");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }
}

#[tokio::test]
async fn messages_are_carried_both_ways() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let chat = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";
    let mut bridge = Bridge::start(daemon.home(), &["--chat", chat]);
    assert_eq!(bridge.open()["result"]["serverInfo"]["name"], "deskd");
    bridge.call(1, "execute", &json!({"command": "echo $CODER_CHAT_ID"}));
    let answer = bridge.answer(1);
    assert_eq!(
        answer["result"]["structuredContent"]["output"],
        format!("{chat}\n")
    );
    // What the daemon says by itself comes, too.
    bridge.call(
        2,
        "execute",
        &json!({"command": "cat", "run_in_background": true, "interactive": true}),
    );
    let started = bridge.answer(2);
    let id = started["result"]["structuredContent"]["background_process_id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let uri = format!("deskd://process/{id}/output");
    bridge.say(&json!({"jsonrpc": "2.0", "id": 3, "method": "resources/subscribe", "params": {"uri": uri}}));
    bridge.answer(3);
    bridge.call(
        4,
        "process_input",
        &json!({"process_id": id, "text": "x\n"}),
    );
    let told = loop {
        let message = bridge.hear();
        if message["method"] == "notifications/resources/updated" {
            break message;
        }
    };
    assert_eq!(told["params"]["uri"], uri);
    assert_eq!(bridge.end(), (true, String::new()));
}

#[tokio::test]
async fn a_call_is_cancelled_and_the_end_of_the_input_ends_the_session() {
    let daemon = Daemon::start(&["--desktop", "off", "--mcp-on-disconnect", "end"]);
    let mut bridge = Bridge::start(daemon.home(), &[]);
    bridge.open();
    bridge.call(
        1,
        "execute",
        &json!({"command": "sleep 1000", "timeout": "1h"}),
    );
    bridge.say(
        &json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}}),
    );
    bridge.call(
        2,
        "execute",
        &json!({"command": "sleep 2000", "run_in_background": true}),
    );
    bridge.answer(2);
    running(&daemon, 1).await;
    let (success, _) = bridge.end();
    assert!(success);
    running(&daemon, 0).await;
}

#[tokio::test]
async fn what_was_asked_is_answered_before_the_end() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let mut bridge = Bridge::start(daemon.home(), &[]);
    bridge.open();
    bridge.call(1, "execute", &json!({"command": "sleep 1; echo late"}));
    drop(bridge.input.take());
    assert_eq!(
        bridge.answer(1)["result"]["structuredContent"]["output"],
        "late\n"
    );
    assert!(bridge.end().0);
}

#[tokio::test]
async fn errors_are_messages_and_lines_on_standard_error() {
    let home = Home::new();
    let mut bridge = Bridge::start(&home, &[]);
    bridge.say(&initialize(VERSION));
    let answer = bridge.answer(0);
    assert_eq!(answer["error"]["code"], -32000, "{answer}");
    let (_, said) = bridge.end();
    assert!(said.starts_with("deskd: "), "{said}");
    let daemon = Daemon::start(&["--desktop", "off"]);
    let mut bridge = Bridge::start(daemon.home(), &[]);
    bridge.open();
    writeln!(bridge.input.as_mut().expect("open"), "no message").expect("it reads");
    assert_eq!(bridge.hear()["error"]["code"], -32700);
    bridge.say(&json!({"jsonrpc": "2.0", "id": 5, "method": "none/such"}));
    assert_eq!(bridge.answer(5)["error"]["code"], -32601);
    assert!(bridge.end().0);
}

#[tokio::test]
async fn a_daemon_that_was_started_again_is_taken_up() {
    let home = Home::new();
    let daemon = Daemon::start_in(&home, &["--desktop", "off"]);
    let mut bridge = Bridge::start(&home, &[]);
    bridge.open();
    daemon.stop();
    let daemon = Daemon::start_in(&home, &["--desktop", "off"]);
    bridge.call(1, "execute", &json!({"command": "echo again"}));
    let answer = bridge.answer(1);
    assert_eq!(
        answer["result"]["structuredContent"]["output"], "again\n",
        "{answer}"
    );
    assert!(bridge.end().0);
    drop(daemon);
}

async fn running(daemon: &Daemon, due: usize) {
    eventually_async("as many processes run", async || {
        let (_, list) = body_of(daemon.get("/api/v0/processes/list?state=running").await).await;
        list["processes"]
            .as_array()
            .is_some_and(|all| all.len() == due)
    })
    .await;
}
