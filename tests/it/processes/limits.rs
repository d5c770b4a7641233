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
    // Memory is the address space of each, or a control group's of all.
    let by_group = answer["limits_applied"]["memory_bytes"] == "cgroup";
    let memory = if by_group { "unlimited" } else { "524288" };
    assert_eq!(answer["result"]["output"], format!("77\n{memory}\n9\n"));
    let applied = json!({"memory_bytes": if by_group { "cgroup" } else { "rlimit" },
        "cpu_seconds": "rlimit", "pids": "none", "nofile": "rlimit"});
    assert_eq!(answer["limits_applied"], applied);
}

/// Whether this machine lets us limit the number of processes; when not, that a start says so.
async fn can_limit_pids(daemon: &crate::support::daemon::Daemon) -> bool {
    let (status, body) = try_start(daemon, json!({"command": "true", "limits": {"pids": 5}})).await;
    if status == 200 {
        assert_eq!(body["limits_applied"]["pids"], "cgroup");
        return true;
    }
    assert_eq!((status, &body["code"]), (422, &json!("limit_unavailable")));
    assert_eq!(body["validations"][0]["field"], "limits.pids");
    eprintln!("no control group can limit the number of processes here");
    false
}

#[tokio::test]
async fn a_limit_that_the_system_refuses_is_a_refused_start() {
    let daemon = daemon();
    let body = json!({"command": "true", "limits": {"nofile": u64::MAX}});
    let (status, body) = try_start(&daemon, body).await;
    assert_eq!((status, &body["code"]), (422, &json!("limit_unavailable")));
    assert_eq!(body["validations"][0]["field"], "limits.nofile");
    let result = run(
        &daemon,
        json!({"command": "echo x", "limits": {"nofile": 20}}),
    )
    .await;
    assert_eq!(
        result["output"], "x\n",
        "and the next one is not told of it"
    );
}

#[tokio::test]
async fn a_fork_bomb_stays_within_its_limit() {
    let daemon = daemon();
    if !can_limit_pids(&daemon).await {
        return;
    }
    let other = id_of(
        &daemon,
        json!({"command": "read x; echo fine", "stdin": "pipe"}),
    )
    .await;
    let bomb = "echo $$; f() { f | f & }; f; cat";
    let id = id_of(
        &daemon,
        json!({"argv": ["bash", "--norc", "-c", bomb], "stdin": "pipe", "limits": {"pids": 30}}),
    )
    .await;
    let text = super::printed_so(&daemon, &id, |text| text.contains("fork")).await;
    let pid: i32 = text.lines().next().expect("a line").parse().expect("a pid");
    let family = |pid: i32| {
        let all = std::fs::read_dir("/proc").expect("processes").flatten();
        all.filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut rest = stat.rsplit_once(')')?.1.split_ascii_whitespace();
            let session: i32 = rest.nth(3)?.parse().ok()?;
            (session == pid).then_some(())
        })
        .count()
    };
    for _ in 0..20 {
        assert!(family(pid) <= 30, "{} processes", family(pid));
        let asked = std::time::Instant::now();
        assert_eq!(daemon.get("/healthz").await.status(), 200);
        assert!(asked.elapsed() < crate::support::daemon::PATIENCE);
    }
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
    super::exited(&daemon, &id).await;
    assert_eq!(family(pid), 0);
    let path = format!("{}/{other}/stdin", super::ROOT);
    let request = daemon.request(reqwest::Method::POST, &path).body("\n");
    request.send().await.expect("an answer");
    assert_eq!(ended(&daemon, &other).await["output"], "fine\n");
}

#[tokio::test]
async fn a_configured_limit_is_applied_where_it_can_be_and_refuses_nothing() {
    let plain = daemon();
    let can = can_limit_pids(&plain).await;
    let daemon = with(&["--process-limits", "pids=40"]);
    let answer = start(&daemon, json!({"command": "echo x", "wait_ms": 60_000})).await;
    assert_eq!(answer["result"]["output"], "x\n");
    let due = if can { "cgroup" } else { "none" };
    assert_eq!(answer["limits_applied"]["pids"], due);
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
    // Ten thousand at once with DESKD_PROC_RUNS=10000: what comes after the thousandth is refused, and costs nothing.
    let burst = super::runs(1500);
    let all = futures_util::stream::iter(0..burst)
        .map(|_| try_start(&daemon, json!({"argv": ["sleep", "1000"]})))
        .buffer_unordered(16)
        .collect::<Vec<_>>()
        .await;
    let refused: Vec<_> = all.iter().filter(|(status, _)| *status != 200).collect();
    assert_eq!(refused.len(), burst - 1000);
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
