//! Programs and clients that behave badly; afterwards nothing is left of them.

use std::{collections::HashSet, fs, time::Duration};

use futures_util::StreamExt;
use serde_json::json;

use super::{ROOT, daemon, ended, exists, exited, id_of, output, run, signal, start, try_start};
use crate::support::{daemon::Daemon, eventually};

/// Daemon and keeper.
fn ours(daemon: &Daemon) -> Vec<i64> {
    let daemon = i64::from(daemon.pid());
    let keeper = children(daemon);
    [vec![daemon], keeper].concat()
}

fn children(pid: i64) -> Vec<i64> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .filter_map(|task| fs::read_to_string(task.ok()?.path().join("children")).ok())
        .flat_map(|list| {
            let pids: Vec<i64> = list
                .split_ascii_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect();
            pids
        })
        .collect()
}

fn count(pid: i64, what: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/{what}")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn after_all_of_it_there_is_no_zombie_no_thread_and_no_descriptor_more() {
    let daemon = daemon();
    run(&daemon, json!({"command": "true"})).await;
    bad_programs(&daemon).await;
    let ours = ours(&daemon);
    assert_eq!(ours.len(), 2);
    let before: Vec<usize> = ours.iter().map(|pid| count(*pid, "fd")).collect();
    for _ in 0..3 {
        bad_programs(&daemon).await;
    }
    let keeper = ours[1];
    eventually("the keeper has no child", || children(keeper).is_empty()).await;
    eventually("no descriptor more than before", || {
        let now = ours.iter().map(|pid| count(*pid, "fd"));
        // A kept connection of the client comes and goes.
        now.zip(&before).all(|(now, before)| now <= before + 1)
    })
    .await;
    assert!(
        count(keeper, "task") <= 2,
        "one thread, and the one of the log"
    );
}

async fn bad_programs(daemon: &Daemon) {
    // A child that forks twice, leaves the session and closes its pipes.
    let away = "(setsid sh -c 'exec </dev/null >/dev/null 2>&1; exec sleep 0.3' &) ; echo x";
    assert_eq!(
        run(daemon, json!({ "command": away })).await["output"],
        "x\n"
    );
    // One that closes everything and lives on: running, without output.
    let closed = "exec <&- >&- 2>&-; kill -STOP $$";
    let id = id_of(daemon, json!({ "command": closed })).await;
    assert_eq!(output(daemon, &id, "wait_ms=10").await["state"], "running");
    assert_eq!(signal(daemon, &id, "kill").await.0, 200);
    assert_eq!(exited(daemon, &id).await["ending"]["signal"], "SIGKILL");
    // One that never stops writing.
    let id = id_of(daemon, json!({"command": "yes", "timeout_ms": 300})).await;
    let body = exited(daemon, &id).await;
    assert_eq!(body["timed_out"], true);
    assert!(body["stdout_bytes"].as_u64().expect("bytes") > 100_000);
    // A hundred children that ignore TERM.
    let many = "trap '' TERM; i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; wait";
    let id = id_of(
        daemon,
        json!({"command": many, "stdin": "pipe", "timeout_ms": 500}),
    )
    .await;
    exited(daemon, &id).await;
    // Clients that leave while they wait.
    let id = id_of(daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let leavers = (0..20).map(async |number: u32| {
        let path = match number % 3 {
            0 => format!("{ROOT}/{id}/output?wait=true"),
            1 => format!("{ROOT}/{id}/events"),
            _ => format!("{ROOT}/{id}/output?since=0&wait_ms=60000"),
        };
        let request = daemon.request(reqwest::Method::GET, &path);
        let request = request.timeout(Duration::from_millis(50)).send();
        if let Ok(answer) = request.await {
            let _ = answer.text().await;
        }
        let _ = daemon.websocket(&format!("{ROOT}/{id}/attach")).await;
    });
    futures_util::future::join_all(leavers).await;
    assert_eq!(signal(daemon, &id, "kill").await.0, 200);
    exited(daemon, &id).await;
}

#[tokio::test]
async fn commands_that_are_huge_or_binary() {
    let daemon = daemon();
    let long = format!("echo {}", "x".repeat(120_000));
    let result = run(&daemon, json!({ "command": long })).await;
    assert_eq!(result["stdout_bytes"], 120_001);
    // More than the system takes as one argument.
    let longer = format!("echo {}", "x".repeat(900_000));
    let (status, answer) = try_start(&daemon, json!({ "command": longer })).await;
    assert_eq!((status, &answer["code"]), (500, &json!("spawn_failed")));
    let (status, answer) = try_start(&daemon, json!({"command": "x".repeat(2 << 20)})).await;
    assert_eq!((status, &answer["code"]), (413, &json!("body_too_large")));
    let odd = "printf '%s' '\u{1}\u{7f}\u{1b}[31m\u{202e}'";
    let result = run(&daemon, json!({ "command": odd })).await;
    assert_eq!(result["output"], "\u{1}\u{7f}\u{1b}[31m\u{202e}");
}

#[tokio::test]
async fn a_burst_of_short_children_has_every_code_and_byte() {
    let daemon = daemon();
    // Ten thousand with DESKD_PROC_RUNS=10000.
    let total = super::runs(1000);
    let codes: Vec<bool> = futures_util::stream::iter(0..total)
        .map(async |number| {
            let code = number % 256;
            let script = format!("echo {number}; exit {code}");
            let answer = start(&daemon, json!({"command": script, "wait_ms": 60_000})).await;
            let result = &answer["result"];
            result["exit_code"] == code && result["output"] == format!("{number}\n")
        })
        .buffer_unordered(64)
        .collect()
        .await;
    assert_eq!(codes.iter().filter(|right| **right).count(), total);
    let keeper = ours(&daemon)[1];
    eventually("no zombie", || children(keeper).is_empty()).await;
}

#[tokio::test]
async fn a_fork_bomb_is_ended_whole() {
    let daemon = daemon();
    // Bounded by itself, so that a failure of ours does not take the machine: 2^7 processes that stay.
    let bomb = "f() { [ $1 -gt 0 ] || { exec sleep 1000; }; f $(($1-1)) & f $(($1-1)); }; f 7";
    let id = id_of(&daemon, json!({"command": bomb, "stdin": "pipe"})).await;
    let answer = daemon.get("/healthz").await;
    assert_eq!(answer.status(), 200);
    eventually("it has spread", || {
        let keeper = ours(&daemon)[1];
        descendants(keeper).len() > 100
    })
    .await;
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
    exited(&daemon, &id).await;
    let keeper = ours(&daemon)[1];
    eventually("all of it is gone", || descendants(keeper).is_empty()).await;
}

fn descendants(pid: i64) -> HashSet<i64> {
    let mut all = HashSet::new();
    let mut next = children(pid);
    while let Some(pid) = next.pop() {
        if all.insert(pid) {
            next.extend(children(pid));
        }
    }
    all
}

#[tokio::test]
async fn clients_that_vanish_leave_what_they_started_and_nothing_else() {
    let daemon = daemon();
    run(&daemon, json!({"command": "true"})).await;
    let before = count(i64::from(daemon.pid()), "fd");
    let token = |number: u32| format!("vanished {number}");
    let leavers = (0..40).map(async |number: u32| {
        let body = json!({"command": "sleep 0.2; echo done", "client_token": token(number), "wait_ms": 60_000});
        let request = daemon.request(reqwest::Method::POST, &format!("{ROOT}/start")).json(&body);
        // Some leave before there is a process, some while they wait for its end.
        let patience = Duration::from_millis(u64::from(number % 20) * 5);
        let _ = request.timeout(patience).send().await;
    });
    futures_util::future::join_all(leavers).await;
    for number in 0..40 {
        let again = json!({"command": "sleep 0.2; echo done", "client_token": token(number), "wait_ms": 60_000});
        let answer = start(&daemon, again).await;
        assert_eq!(
            answer["result"]["output"], "done\n",
            "once, by whomever: {answer}"
        );
    }
    let (_, list) = super::get(&daemon, "/list?limit=1").await;
    assert_eq!(list["total"], 41);
    eventually("no descriptor more", || {
        count(i64::from(daemon.pid()), "fd") <= before + 2
    })
    .await;
}

#[tokio::test]
async fn many_that_never_read_cost_little() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"argv": ["yes"]})).await;
    let resident = || {
        let text = fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a line");
        let number = line.split_whitespace().next().expect("a number");
        number.parse::<u64>().expect("digits")
    };
    let attach = async || {
        daemon
            .websocket(&format!("{ROOT}/{id}/attach"))
            .await
            .expect("a socket")
    };
    let first = attach().await;
    let before = resident();
    let mut all = vec![first];
    for _ in 0..49 {
        all.push(attach().await);
    }
    // Another reader is not slowed by them.
    let mut reader = attach().await;
    let mut seen = 0;
    while seen < 20 << 20 {
        let message = reader.next().await.expect("no end").expect("no error");
        assert!(!message.is_close(), "{message:?}");
        seen += message.len();
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 50 * 1024, "{grown} KiB for fifty");
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
}

#[tokio::test]
async fn the_dead_are_not_signalled_and_ids_are_only_ids() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "echo $$"})).await;
    let body = exited(&daemon, &id).await;
    let pid: i64 = output(&daemon, &id, "").await["output"]
        .as_str()
        .expect("text")
        .trim()
        .parse()
        .expect("a pid");
    assert!(!exists(pid), "reaped: {body}");
    for name in ["kill", "terminate", "INT", "1"] {
        assert_eq!(signal(&daemon, &id, name).await.0, 409, "{name}");
    }
    for bad in [
        "..%2F..%2Fetc%2Fpasswd",
        "x",
        "%00",
        "00000000-0000-0000-0000-000000000000",
    ] {
        for route in ["", "/output", "/events", "/screen"] {
            let (status, body) = super::get(&daemon, &format!("/{bad}{route}")).await;
            assert_eq!(
                (status, &body["code"]),
                (404, &json!("process_not_found")),
                "{bad}{route}"
            );
        }
    }
    ended(&daemon, &id).await;
}
