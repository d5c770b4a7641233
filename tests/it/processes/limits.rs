//! Limits of processes, and of how many there are.

use futures_util::StreamExt;
use serde_json::json;

use super::{daemon, ended, get, id_of, run, signal, start, try_start, with};

#[tokio::test]
async fn each_limit_is_applied_or_the_start_refused() {
    let daemon = daemon();
    let answer = start(
        &daemon,
        json!({"command": "ulimit -n; ulimit -v; ulimit -t", "wait_ms": 60_000,
            "limits": {"nofile": 77, "memory_bytes": 512 << 20, "cpu_seconds": 9}}),
    )
    .await;
    assert_eq!(answer["result"]["output"], "77\n524288\n9\n");
    let applied = json!({"memory_bytes": "rlimit", "cpu_seconds": "rlimit", "pids": "none", "nofile": "rlimit"});
    assert_eq!(answer["limits_applied"], applied);
    let (status, body) =
        try_start(&daemon, json!({"command": "true", "limits": {"pids": 5}})).await;
    assert_eq!((status, &body["code"]), (422, &json!("limit_unavailable")));
}

#[tokio::test]
async fn configured_limits_hold_for_what_a_request_leaves_out() {
    let daemon = with(&[
        "--process-limits",
        "nofile=99",
        "--process-limits",
        "cpu_seconds=8",
    ]);
    let script = "ulimit -n; ulimit -t";
    let answer = start(
        &daemon,
        json!({"command": script, "limits": {"nofile": 50}, "wait_ms": 60_000}),
    )
    .await;
    assert_eq!(answer["result"]["output"], "50\n8\n");
    assert_eq!(answer["limits_applied"]["cpu_seconds"], "rlimit");
}

#[tokio::test]
async fn cpu_time_that_is_spent_is_the_limits_doing() {
    let daemon = daemon();
    let body = json!({"command": "while :; do :; done", "limits": {"cpu_seconds": 1}});
    let result = run(&daemon, body).await;
    assert_eq!(result["ending"]["signal"], "SIGXCPU");
    assert_eq!(result["ending"]["limit"], "cpu");
    let body = json!({"command": "kill -XCPU $$", "limits": {"cpu_seconds": 100}});
    let result = run(&daemon, body).await;
    assert!(result["ending"].get("limit").is_none(), "{result}");
}

#[tokio::test]
async fn a_memory_hog_ends_itself_and_nobody_else() {
    let daemon = daemon();
    let other = id_of(
        &daemon,
        json!({"command": "read x; echo fine", "stdin": "pipe"}),
    )
    .await;
    let hog =
        json!({"command": "head -c 1G /dev/zero | tail", "limits": {"memory_bytes": 64 << 20}});
    let result = run(&daemon, hog).await;
    assert_ne!(result["exit_code"], 0, "{result}");
    assert_eq!(daemon.get("/healthz").await.status(), 200);
    let path = format!("{}/{other}/stdin", super::ROOT);
    let request = daemon.request(reqwest::Method::POST, &path).body("\n");
    request.send().await.expect("an answer");
    assert_eq!(ended(&daemon, &other).await["output"], "fine\n");
}

#[tokio::test]
async fn the_thousand_and_first_is_refused() {
    let daemon = with(&["--process-grace", "30"]);
    let all = futures_util::stream::iter(0..1010)
        .map(|_| try_start(&daemon, json!({"argv": ["sleep", "1000"]})))
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await;
    let refused: Vec<_> = all.iter().filter(|(status, _)| *status != 200).collect();
    assert_eq!(refused.len(), 10);
    for (status, body) in refused {
        assert_eq!(
            (*status, &body["code"]),
            (429, &json!("too_many_processes"))
        );
    }
    let answer = daemon
        .post("/api/v0/processes/start", json!({"command": "true"}))
        .await;
    assert_eq!(answer.headers()["retry-after"], "1");
    let (_, list) = get(&daemon, "/list?state=running&limit=1").await;
    assert_eq!(list["total"], 1000, "nothing was deleted");
    let id = list["processes"][0]["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
    ended(&daemon, &id).await;
    assert_eq!(
        run(&daemon, json!({"command": "echo room"})).await["output"],
        "room\n"
    );
    assert_eq!(daemon.stop().code(), Some(0));
}
