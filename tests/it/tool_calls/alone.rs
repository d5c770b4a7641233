//! Many tool calls, and large answers, leave no more behind than the bounds say, and no call runs again.

use std::{fs, time::Instant};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use crate::support::{
    daemon::{Daemon, Home, deskd_serve},
    tool_calls::ToolCall,
};

const TASKS: u64 = 4;
/// Of each task: together more chats than are remembered, and more calls than of a chat.
const CALLS: u64 = 5_500;
const SIGNAL: &str = "/api/v0/processes/nobody/signal";
const BODY: &str = r#"{"signal": "TERM"}"#;

/// One in four calls is of a chat with many, the others of a chat each.
fn call(task: u64, number: u64) -> ToolCall {
    let chat = if number.is_multiple_of(4) {
        task
    } else {
        1000 + task * CALLS + number
    };
    ToolCall::new(u128::from(chat) + 1, 1, &format!("call {number}"))
}

/// Kilobytes.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.expect("its size").split_whitespace().next();
    number.expect("a number").parse().expect("a number")
}

/// Sends the calls of a task on one connection, one behind the other without waiting, and counts the answers.
async fn send_all(address: String, token: String, task: u64) -> u64 {
    let stream = TcpStream::connect(&address).await.expect("it listens");
    let (mut from, mut to) = stream.into_split();
    let mut reader = JoinSet::new();
    reader.spawn(async move {
        let (mut seen, mut text, mut piece) = (0, Vec::new(), vec![0; 64 << 10]);
        while seen < CALLS {
            let read = from.read(&mut piece).await.expect("it answers");
            assert_ne!(read, 0, "it answers all");
            text.extend_from_slice(&piece[..read]);
            let mark = b"HTTP/1.1 404";
            let whole: Vec<usize> = (0..text.len().saturating_sub(mark.len() - 1))
                .filter(|at| text[*at..].starts_with(mark))
                .collect();
            seen += whole.len() as u64;
            let rest = whole.last().map_or(0, |at| at + 1);
            text.drain(..rest);
        }
        seen
    });
    for number in 0..CALLS {
        let mut text = format!(
            "POST {SIGNAL} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\nContent-Length: {}\r\n",
            BODY.len()
        );
        for (name, value) in call(task, number).headers() {
            text.extend([name, ": ", &value, "\r\n"]);
        }
        text += "\r\n";
        text += BODY;
        to.write_all(text.as_bytes()).await.expect("it reads");
    }
    reader.join_next().await.expect("a task").expect("no panic")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_dropped_of_many_calls_does_not_run_again() {
    let home = Home::new();
    let mut command = deskd_serve(&home);
    let quiet = command.args(["--desktop", "off"]).env("RUST_LOG", "warn");
    let daemon = Daemon::start_command(&home, quiet);
    let signal = || {
        let request = daemon.request(reqwest::Method::POST, SIGNAL);
        request.json(&json!({"signal": "TERM"}))
    };
    let warm = ToolCall::new(u128::MAX, 1, "warm");
    assert_eq!(warm.send(signal()).await.status, 404);
    let before = resident(daemon.pid());
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        tasks.spawn(send_all(daemon.address.clone(), daemon.token(), task));
    }
    let answered: u64 = tasks.join_all().await.iter().sum();
    assert_eq!(answered, TASKS * CALLS);
    let grown = resident(daemon.pid()).saturating_sub(before);
    println!(
        "{answered} calls in {:?}: {grown} KiB more",
        begun.elapsed()
    );
    assert!(grown < 64 << 10, "{grown} KiB more");
    // The first of a chat with many, and of the chats with one: their records are gone, and they are older than that.
    for number in [0, 1] {
        let age_ms = u64::try_from(begun.elapsed().as_millis()).expect("short");
        let call = ToolCall {
            age_ms,
            ..call(0, number)
        };
        let refused = call.send(signal()).await.refusal();
        assert_eq!(refused, (409, "agent_started_after_tool_call".to_owned()));
    }
    // The last ones are still known.
    let last = call(TASKS - 1, CALLS - 1).ancient();
    let other = last.send(signal().body(format!("{BODY} "))).await;
    assert_eq!(other.refusal(), (409, "input_mismatch".to_owned()));
}

#[tokio::test]
async fn large_answers_are_bounded() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    // The answer names the user that there is not.
    let user = "x".repeat(900 << 10);
    let body = json!({"command": "true", "user": user});
    let start = || {
        let request = daemon.request(reqwest::Method::POST, "/api/v0/processes/start");
        request.json(&body)
    };
    let call = |number| ToolCall::new(1, 1, &format!("call {number}"));
    let first = call(0).send(start()).await;
    assert_eq!(first.refusal(), (400, "unknown_user".to_owned()));
    assert!(first.body.len() > 900 << 10);
    let before = resident(daemon.pid());
    let begun = Instant::now();
    for number in 1..200 {
        assert_eq!(call(number).send(start()).await.status, 400);
    }
    let grown = resident(daemon.pid()).saturating_sub(before);
    println!("200 answers of 900 KiB: {grown} KiB more");
    assert!(grown < 120 << 10, "{grown} KiB more");
    assert!(call(199).send(start()).await.repeats(&first));
    let age_ms = u64::try_from(begun.elapsed().as_millis()).expect("short") + 1;
    let refused = ToolCall { age_ms, ..call(0) }.send(start()).await.refusal();
    assert_eq!(refused, (409, "agent_started_after_tool_call".to_owned()));
}
