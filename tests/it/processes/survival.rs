//! The daemon is killed, and the next one goes on.

use serde_json::{Value, json};

use super::{ROOT, bytes_of, ended, exited, get, id_of, lines, output, printed, start};
use crate::support::daemon::{Daemon, Home};

fn daemon_in(home: &Home) -> Daemon {
    Daemon::start_in(home, &["--desktop", "off"])
}

async fn write(daemon: &Daemon, id: &str, query: &str, text: &'static str) {
    let path = format!("{ROOT}/{id}/stdin{query}");
    let request = daemon.request(reqwest::Method::POST, &path).body(text);
    assert_eq!(request.send().await.expect("an answer").status(), 200);
}

#[tokio::test]
async fn twenty_running_commands_lose_nothing() {
    let home = Home::new();
    let daemon = daemon_in(&home);
    let count = 3000;
    let printer = |number: usize| {
        format!(
            "i=0; while [ $i -lt {count} ]; do echo {number} $i; i=$((i+1)); done; exit {number}"
        )
    };
    let mut ids = Vec::new();
    for number in 0..16 {
        let body = json!({"command": printer(number), "client_token": format!("t{number}")});
        ids.push(id_of(&daemon, body).await);
    }
    let apart = json!({"command": "read x; echo $x; echo e >&2; exit 40", "stdin": "pipe", "stderr": "separate"});
    let apart = id_of(&daemon, apart).await;
    let terminal =
        json!({"command": "stty -echo; echo on; read x; echo got $x; exit 41", "pty": {"rows": 7}});
    let terminal = id_of(&daemon, terminal).await;
    printed(&daemon, &terminal, "on").await;
    let limited = id_of(
        &daemon,
        json!({"command": "echo a; cat", "stdin": "pipe", "timeout_ms": 700}),
    )
    .await;
    let before = id_of(&daemon, json!({"command": "echo before; exit 42"})).await;
    ended(&daemon, &before).await;
    let home = daemon.crash();

    let daemon = daemon_in(&home);
    for (number, id) in ids.iter().enumerate() {
        let again = json!({"command": printer(number), "client_token": format!("t{number}")});
        let again = start(&daemon, again).await;
        assert_eq!(
            (&again["id"], &again["attached"]),
            (&json!(id), &json!(true))
        );
        let body = exited(&daemon, id).await;
        assert_eq!(body["exit_code"], number);
        let due = lines((0..count).map(|i| format!("{number} {i}")));
        assert_eq!(
            bytes_of(&daemon, id, "merged", 65_536).await,
            due.as_bytes()
        );
    }
    write(&daemon, &apart, "", "x\n").await;
    write(&daemon, &terminal, "", "y\n").await;
    let body = ended(&daemon, &apart).await;
    // Two pipes have no common order.
    let text = body["output"].as_str().expect("text");
    assert_eq!(body["exit_code"], 40);
    assert!(["x\ne\n", "e\nx\n"].contains(&text), "{text}");
    let body = ended(&daemon, &terminal).await;
    assert_eq!(
        (&body["exit_code"], &body["output"]),
        (&json!(41), &json!("on\r\ngot y\r\n"))
    );
    let (_, screen) = get(&daemon, &format!("/{terminal}/screen")).await;
    assert_eq!(screen["lines"][1], "got y");
    let body = ended(&daemon, &limited).await;
    assert_eq!(
        (&body["timed_out"], &body["output"]),
        (&json!(true), &json!("a\n"))
    );
    let body = output(&daemon, &before, "").await;
    assert_eq!(
        (&body["exit_code"], &body["output"]),
        (&json!(42), &json!("before\n"))
    );
    let (_, token) = get(&daemon, "/tokens/t3").await;
    assert_eq!(token["process_id"], json!(ids[3]));
}

#[tokio::test]
async fn it_may_happen_again_and_again() {
    let mut home = Home::new();
    let mut ids: Vec<String> = Vec::new();
    for round in 0..4 {
        let daemon = daemon_in(&home);
        for (number, id) in ids.iter().enumerate() {
            let (status, entry) = get(&daemon, &format!("/{id}")).await;
            assert_eq!(
                (status, &entry["running"]),
                (200, &json!(true)),
                "{number} in {round}"
            );
        }
        ids.push(id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await);
        home = daemon.crash();
    }
    let daemon = daemon_in(&home);
    for id in &ids {
        write(&daemon, id, "?eof=true", "end").await;
        assert_eq!(ended(&daemon, id).await["output"], "end");
    }
}

#[tokio::test]
async fn an_orderly_stop_leaves_an_empty_list() {
    let home = Home::new();
    let daemon = daemon_in(&home);
    let done = id_of(&daemon, json!({"command": "echo x", "client_token": "t"})).await;
    ended(&daemon, &done).await;
    assert_eq!(daemon.stop().code(), Some(0));
    let daemon = daemon_in(&home);
    assert_eq!(
        get(&daemon, "/list").await.1,
        json!({"processes": [], "total": 0})
    );
    assert_eq!(get(&daemon, "/tokens/t").await.1["found"], false);
    assert!(!home.state().join("processes/history").exists());
}

fn keeper_of(daemon: &Daemon) -> i32 {
    let path = format!("/proc/{0}/task/{0}/children", daemon.pid());
    let children = std::fs::read_to_string(path).expect("a list");
    let pid = children
        .split_ascii_whitespace()
        .next()
        .expect("the keeper");
    pid.parse().expect("a pid")
}

#[tokio::test]
async fn what_nobody_saw_end_is_lost_and_never_a_made_up_code() {
    let home = Home::new();
    let daemon = daemon_in(&home);
    let done = id_of(&daemon, json!({"command": "echo x; exit 5"})).await;
    ended(&daemon, &done).await;
    let answer = start(&daemon, json!({"command": "echo $$; cat", "stdin": "pipe"})).await;
    let id = answer["id"].as_str().expect("an id").to_owned();
    printed(&daemon, &id, "\n").await;
    // The first child may be another one when the kernel has reordered them; there is only one here.
    let keeper = nix::unistd::Pid::from_raw(keeper_of_any(&daemon));
    nix::sys::signal::kill(keeper, nix::sys::signal::Signal::SIGKILL).expect("it is there");
    let body = ended(&daemon, &id).await;
    assert_eq!(
        (&body["ending"]["kind"], &body["exit_code"]),
        (&json!("lost"), &json!(-1))
    );
    assert_eq!(body["state"], "exited");
    let pid = answer["pid"].as_i64().expect("a pid");
    crate::support::eventually("it does not run unseen", || !super::exists(pid)).await;
    let body: Value = output(&daemon, &done, "").await;
    assert_eq!(
        (&body["exit_code"], &body["output"]),
        (&json!(5), &json!("x\n")),
        "known endings stay"
    );
    let new = super::run(&daemon, json!({"command": "echo new"})).await;
    assert_eq!(new["output"], "new\n", "and there is a new keeper");
}

#[tokio::test]
async fn who_is_no_daemon_does_not_take_its_place_at_the_keeper() {
    use std::io::{Read, Write};
    let home = Home::new();
    let daemon = daemon_in(&home);
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let socket = home.state().join("processes/keeper.sock");
    let connect = || std::os::unix::net::UnixStream::connect(&socket).expect("it listens");
    let silent = connect();
    let mut loud = connect();
    // Refused half way, perhaps.
    let _ = loud.write_all(&[255; 5000]);
    let mut liar = connect();
    let text = b"\"Taken\"";
    let mut frame = vec![
        u8::try_from(text.len()).expect("short"),
        0,
        0,
        0,
        0,
        0,
        0,
        0,
        0,
    ];
    frame.extend_from_slice(text);
    liar.write_all(&frame).expect("taken");
    assert_eq!(
        liar.read(&mut [0]).expect("no error"),
        0,
        "it is turned away"
    );
    assert_eq!(
        super::run(&daemon, json!({"command": "echo x"})).await["output"],
        "x\n"
    );
    write(&daemon, &id, "?eof=true", "still ours").await;
    assert_eq!(ended(&daemon, &id).await["output"], "still ours");
    drop(silent);
    assert!(
        !daemon.log().contains("keeper of processes is gone"),
        "{}",
        daemon.log()
    );
    assert_eq!(daemon.stop().code(), Some(0));
}

/// The keeper is started by whichever thread: its parent is the daemon.
fn keeper_of_any(daemon: &Daemon) -> i32 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("threads");
    let found = tasks.filter_map(|task| {
        let list = std::fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        list.split_ascii_whitespace().next()?.parse().ok()
    });
    found
        .into_iter()
        .next()
        .unwrap_or_else(|| keeper_of(daemon))
}
