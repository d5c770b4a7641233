//! Signals reach whom they should, and nothing stays behind.

use nix::sys::signal::Signal;
use serde_json::json;

use super::{daemon, ended, exists, exited, get, id_of, post, printed, run, signal, with};

/// Pids that a script prints, one a line, before the word `ready`.
async fn pids(daemon: &crate::support::daemon::Daemon, id: &str) -> Vec<i64> {
    let text = printed(daemon, id, "ready").await;
    text.lines()
        .filter_map(|line| line.trim().parse().ok())
        .collect()
}

/// A child and a grandchild that ignore TERM.
const STUBBORN: &str = "trap '' TERM; (sleep 1000 & echo $!; echo ready; wait) & echo $!; wait";

#[tokio::test]
async fn kill_reaches_those_that_ignore_term_in_every_group() {
    let daemon = daemon();
    let scripts = [
        STUBBORN,
        "setsid sleep 1000 & echo $!; sleep 1000 & echo $!; echo ready; wait",
    ];
    for script in scripts {
        let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
        let all = pids(&daemon, &id).await;
        assert_eq!(all.len(), 2);
        let (status, answer) = signal(&daemon, &id, "kill").await;
        assert_eq!(status, 200, "{answer}");
        assert!(answer["message"].is_string());
        let body = exited(&daemon, &id).await;
        assert_eq!(body["ending"]["signal"], "SIGKILL");
        for pid in all {
            assert!(!exists(pid), "{pid} of {script}");
        }
    }
}

#[tokio::test]
async fn kill_reaches_what_forked_twice_and_left_where_there_are_control_groups() {
    let daemon = daemon();
    let away = "set -m; (setsid sh -c 'trap \"\" TERM HUP; echo $$; echo ready; exec sleep 1000' &); read x";
    let id = id_of(&daemon, json!({"command": away, "stdin": "pipe"})).await;
    let pid = pids(&daemon, &id).await[0];
    let group = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("its groups");
    if !group.contains("deskd-keeper-") {
        return; // no control groups can be made here
    }
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
    exited(&daemon, &id).await;
    assert!(!exists(pid), "{group}");
}

#[tokio::test]
async fn terminate_reaches_the_group() {
    let daemon = daemon();
    let script = "sleep 1000 & echo $!; echo ready; wait";
    let id = id_of(&daemon, json!({ "command": script })).await;
    let all = pids(&daemon, &id).await;
    assert_eq!(signal(&daemon, &id, "terminate").await.0, 200);
    let body = exited(&daemon, &id).await;
    assert_eq!(body["ending"]["signal"], "SIGTERM");
    assert!(all.iter().all(|pid| !exists(*pid)));
}

#[tokio::test]
async fn jobs_of_an_interactive_shell_end_with_it() {
    let daemon = daemon();
    let body = json!({"argv": ["bash", "--norc", "-i"], "pty": {}});
    let id = id_of(&daemon, body).await;
    let path = format!("/api/v0/processes/{id}/stdin");
    let line = "sleep 1000 & sleep 1001 & echo $!; echo rea''dy\n";
    let request = daemon.request(reqwest::Method::POST, &path).body(line);
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let all = pids(&daemon, &id).await;
    assert!(!all.is_empty());
    assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
    exited(&daemon, &id).await;
    assert!(all.iter().all(|pid| !exists(*pid)), "{all:?}");
}

#[tokio::test]
async fn a_stop_ends_children_grandchildren_and_those_that_left() {
    let daemon = with(&["--process-grace", "0.2"]);
    let mut all = Vec::new();
    let away = "setsid sh -c 'trap \"\" TERM HUP; exec </dev/null >/dev/null 2>&1; sleep 1000 & wait' & echo $!; echo ready";
    for script in [STUBBORN, away] {
        let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
        all.extend(pids(&daemon, &id).await);
    }
    let descendants = || -> Vec<i64> { all.iter().copied().filter(|pid| exists(*pid)).collect() };
    assert_eq!(descendants().len(), 3, "all run before");
    assert_eq!(daemon.stop().code(), Some(0));
    assert_eq!(descendants(), Vec::<i64>::new());
}

#[tokio::test]
async fn a_second_signal_skips_the_grace() {
    let mut daemon = with(&["--process-grace", "600", "--shutdown-timeout", "600"]);
    let id = id_of(&daemon, json!({"command": STUBBORN, "stdin": "pipe"})).await;
    let all = pids(&daemon, &id).await;
    daemon.signal(Signal::SIGTERM);
    daemon.signal(Signal::SIGTERM);
    // Two that come together may be one: until the end is seen, another one is sent.
    loop {
        if let Some(status) = daemon.try_wait() {
            assert_eq!(status.code(), Some(0));
            break;
        }
        daemon.signal(Signal::SIGTERM);
        tokio::task::yield_now().await;
    }
    assert!(all.iter().all(|pid| !exists(*pid)));
}

#[tokio::test]
async fn an_orphan_is_reaped_and_takes_nobodys_status() {
    let daemon = daemon();
    let script = "(sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' &); read y; echo ready; exit 4";
    let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
    printed(&daemon, &id, "\n").await;
    let path = format!("/api/v0/processes/{id}/stdin");
    let request = daemon.request(reqwest::Method::POST, &path).body("\n");
    request.send().await.expect("an answer");
    let orphan = pids(&daemon, &id).await[0];
    let body = ended(&daemon, &id).await;
    assert_eq!(body["exit_code"], 4);
    for code in 0..20 {
        let result = run(
            &daemon,
            json!({"argv": ["sh", "-c", format!("true & exit {code}")]}),
        )
        .await;
        assert_eq!(result["exit_code"], code);
    }
    assert!(exists(orphan), "it lives on");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(i32::try_from(orphan).expect("a pid")),
        Signal::SIGKILL,
    )
    .expect("it is there");
    crate::support::eventually("the orphan is reaped", || !exists(orphan)).await;
}

#[tokio::test]
async fn signals_are_checked_in_their_order() {
    let daemon = daemon();
    let id = id_of(&daemon, json!({"command": "cat", "stdin": "pipe"})).await;
    let unknown = "00000000-0000-0000-0000-000000000000";
    let expect = async |id: &str, body: &str, status: u16, code: &str| {
        let path = format!("/api/v0/processes/{id}/signal");
        let request = daemon.request(reqwest::Method::POST, &path);
        let answer = request
            .body(body.to_owned())
            .send()
            .await
            .expect("an answer");
        let (got, answer) = crate::support::daemon::json(answer).await;
        assert_eq!(
            (got, answer["code"].as_str()),
            (status, Some(code)),
            "{id} {body}"
        );
        answer["message"].as_str().expect("a message").to_owned()
    };
    for id in [unknown, id.as_str(), "no-uuid"] {
        expect(id, "{", 400, "invalid_json").await;
        let message = expect(id, "{}", 400, "signal_required").await;
        assert!(message.contains("Signal is required"));
        expect(id, r#"{"signal": ""}"#, 400, "signal_required").await;
        expect(id, r#"{"signal": null}"#, 400, "signal_required").await;
        for bad in [r#""nothing""#, "0", "65", "-9", r#""65""#] {
            let body = format!("{{\"signal\": {bad}}}");
            let message = expect(id, &body, 400, "unsupported_signal").await;
            assert!(message.contains("Unsupported signal"));
        }
    }
    for id in [unknown, "no-uuid", "%FF"] {
        let message = expect(id, r#"{"signal": "kill"}"#, 404, "process_not_found").await;
        assert!(message.contains("not found"), "{message}");
    }
    for name in [json!("WINCH"), json!("sigwinch"), json!(28), json!("28")] {
        let (status, answer) =
            post(&daemon, &format!("/{id}/signal"), json!({"signal": name})).await;
        assert_eq!(status, 200, "{answer}");
    }
    assert_eq!(signal(&daemon, &id, "SigInt").await.0, 200);
    assert_eq!(ended(&daemon, &id).await["ending"]["signal"], "SIGINT");
    exited(&daemon, &id).await;
    let (status, answer) = signal(&daemon, &id, "kill").await;
    assert_eq!((status, &answer["code"]), (409, &json!("process_exited")));
    assert_eq!(get(&daemon, &format!("/{unknown}")).await.0, 404);
}
