//! How processes end, and what is said about it.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::json;

use super::{bytes_of, daemon, ended, exited, id_of, output, printed, run, signal, start};

#[tokio::test]
async fn every_code_is_the_programs_own() {
    let daemon = daemon();
    for code in 0..=255 {
        let result = run(
            &daemon,
            json!({"argv": ["sh", "-c", format!("exit {code}")]}),
        )
        .await;
        assert_eq!(result["exit_code"], code);
        assert_eq!(result["ending"], json!({"kind": "exited", "code": code}));
    }
}

#[tokio::test]
async fn every_signal_that_ends_is_named() {
    let daemon = daemon();
    let stays = [17, 18, 19, 20, 21, 22, 23, 28, 32, 33]; // ignored, stopping, or the C library's
    for number in (1..=64).filter(|number| !stays.contains(number)) {
        // A program of its own, because a shell would ask for the real-time ones by other names.
        let id = id_of(
            &daemon,
            json!({"command": "ulimit -c 0; echo x; exec cat", "stdin": "pipe"}),
        )
        .await;
        printed(&daemon, &id, "x").await;
        let (status, answer) = signal(&daemon, &id, &number.to_string()).await;
        assert_eq!(status, 200, "{answer}");
        let body = ended(&daemon, &id).await;
        assert_eq!(body["exit_code"], -1);
        assert_eq!(body["ending"]["kind"], "signaled", "{number}: {body}");
        assert!(body["ending"]["core_dumped"].is_boolean());
        let name = body["ending"]["signal"].as_str().expect("a name");
        assert!(name.starts_with("SIG"), "{name}");
    }
}

#[tokio::test]
async fn a_grandchild_that_holds_the_output_does_not_hold_up_the_ending() {
    let daemon = daemon();
    let script = "exec 3<&0; (read -r line <&3; echo $line) & echo first; exit 0";
    let before = Instant::now();
    let answer = start(
        &daemon,
        json!({"command": script, "stdin": "pipe", "wait_ms": 60_000}),
    )
    .await;
    assert!(before.elapsed() < Duration::from_secs(30));
    let result = &answer["result"];
    assert_eq!(
        (&result["exit_code"], &result["output"]),
        (&json!(0), &json!("first\n"))
    );
    assert_eq!(
        (&result["running"], &result["state"]),
        (&json!(false), &json!("output_open"))
    );
    let id = answer["id"].as_str().expect("an id");
    let path = format!("/api/v0/processes/{id}/stdin");
    let request = daemon.request(reqwest::Method::POST, &path).body("later\n");
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let body = exited(&daemon, id).await;
    assert_eq!(body["exit_code"], 0, "a survivor changes nothing");
    assert_eq!(
        bytes_of(&daemon, id, "merged", 100).await,
        b"first\nlater\n"
    );
}

#[tokio::test]
async fn an_ending_is_told_beside_a_survivor_that_never_stops_writing() {
    let daemon = daemon();
    let answer = start(
        &daemon,
        json!({"command": "yes & echo $!; exit 5", "wait_ms": 60_000}),
    )
    .await;
    assert_eq!(answer["result"]["exit_code"], 5);
    assert_eq!(answer["result"]["state"], "output_open");
    let id = answer["id"].as_str().expect("an id");
    assert_eq!(signal(&daemon, id, "kill").await.0, 200);
    assert_eq!(exited(&daemon, id).await["exit_code"], 5);
    assert_eq!(
        signal(&daemon, id, "kill").await.1["code"],
        "process_exited"
    );
}

#[tokio::test]
async fn a_time_limit_keeps_what_came_and_ends_everyone() {
    let daemon = daemon();
    let script = "trap '' TERM; (trap '' TERM; while :; do read x; done) & echo $!; cat";
    let body = json!({"command": script, "stdin": "pipe", "timeout_ms": 300});
    let id = id_of(&daemon, body).await;
    let body = ended(&daemon, &id).await;
    assert_eq!(
        (&body["timed_out"], &body["exit_code"]),
        (&json!(true), &json!(-1))
    );
    assert_eq!(
        body["ending"],
        json!({"kind": "timed_out", "signal": "SIGKILL"})
    );
    let pid: i64 = body["output"]
        .as_str()
        .expect("text")
        .trim()
        .parse()
        .expect("a pid");
    exited(&daemon, &id).await;
    assert!(!super::exists(pid), "the grandchild is gone and reaped");
    let quick = run(&daemon, json!({"command": "exit 7", "timeout_ms": 60_000})).await;
    assert_eq!(
        (&quick["timed_out"], &quick["exit_code"]),
        (&json!(false), &json!(7))
    );
}

#[tokio::test]
async fn the_end_comes_always_with_the_last_byte() {
    let daemon = daemon();
    // Ten thousand with DESKD_PROC_RUNS=10000.
    let all = (0..super::runs(1000)).map(async |number| {
        let command = format!("printf '%1000d\\n' 1 2 3 {number}; printf last");
        let result = run(&daemon, json!({ "command": command })).await;
        let text = result["output"].as_str().expect("text");
        assert!(text.ends_with("last"), "run {number}: {}", text.len());
        assert_eq!(result["stdout_bytes"], 4008);
    });
    futures_util::stream::iter(all)
        .buffer_unordered(16)
        .collect::<Vec<()>>()
        .await;
}

#[tokio::test]
async fn resources_are_those_of_the_process_and_its_children() {
    let daemon = daemon();
    let script = "head -c 40000000 /dev/zero | sha256sum";
    let result = run(&daemon, json!({ "command": script })).await;
    let used = &result["resources"];
    let spent = used["user_ms"].as_u64().expect("ms") + used["system_ms"].as_u64().expect("ms");
    assert!(spent > 0, "{used}");
    assert!(
        used["max_rss_bytes"].as_u64().expect("bytes") > 100_000,
        "{used}"
    );
    assert!(used["wall_ms"].is_u64());
}

#[tokio::test]
async fn a_core_dump_is_told() {
    let daemon = daemon();
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").expect("a pattern");
    let body =
        json!({"command": "ulimit -c unlimited; kill -ABRT $$", "workdir": daemon.home().path()});
    let result = run(&daemon, body).await;
    assert_eq!(result["ending"]["signal"], "SIGABRT");
    // A pattern that names a place elsewhere may be one that cannot be written.
    if !pattern.starts_with(['|', '/']) {
        assert_eq!(result["ending"]["core_dumped"], true, "{result}");
    }
    let id = id_of(&daemon, json!({"command": "true"})).await;
    assert_eq!(output(&daemon, &id, "wait=true").await["timed_out"], false);
}
