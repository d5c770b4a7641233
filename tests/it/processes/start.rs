//! What a start takes and refuses, and what the program finds.

use serde_json::json;

use super::{daemon, get, run, start, text_of, try_start, with};

fn bad_bodies() -> Vec<(serde_json::Value, &'static str)> {
    vec![
        (json!({}), "command_required"),
        (json!({"command": ""}), "command_required"),
        (json!({"command": null}), "command_required"),
        (json!({"argv": []}), "command_required"),
        (json!({"command": "a", "argv": ["b"]}), "command_and_argv"),
        (json!({"argv": ["b"], "login": true}), "invalid_field"),
        (json!({"command": 7}), "invalid_field"),
        (json!({"command": "a", "env": {"A": 1}}), "invalid_field"),
        (json!({"command": "a", "env": {"": "1"}}), "invalid_field"),
        (
            json!({"command": "a", "env": {"A=B": "1"}}),
            "invalid_field",
        ),
        (json!({"command": "a\u{0}"}), "invalid_field"),
        (json!({"argv": ["a", "\u{0}"]}), "invalid_field"),
        (json!({"command": "a", "workdir": "\u{0}"}), "invalid_field"),
        (
            json!({"command": "a", "env": {"A": "\u{0}"}}),
            "invalid_field",
        ),
        (json!({"command": "a", "timeout_ms": -1}), "invalid_field"),
        (
            json!({"command": "a", "wait_ms": 14_400_001}),
            "invalid_field",
        ),
        (json!({"command": "a", "stdin": "file"}), "invalid_field"),
        (json!({"command": "a", "pty": {"rows": 0}}), "invalid_field"),
        (
            json!({"command": "a", "pty": {"cols": 4097}}),
            "invalid_field",
        ),
        (
            json!({"command": "a", "limits": {"nofile": 0}}),
            "invalid_field",
        ),
        (
            json!({"command": "a", "client_token": "x".repeat(513)}),
            "invalid_field",
        ),
        (
            json!({"command": "a", "user": "nobody-has-this-name"}),
            "unknown_user",
        ),
    ]
}

#[tokio::test]
async fn bodies_that_start_nothing_have_codes() {
    let daemon = daemon();
    for (body, code) in bad_bodies() {
        let (status, answer) = try_start(&daemon, body.clone()).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (400, Some(code)),
            "{body}"
        );
        if code == "invalid_field" {
            assert!(answer["validations"][0]["field"].is_string(), "{answer}");
        }
    }
    let (_, required) = try_start(&daemon, json!({})).await;
    let message = required["message"].as_str().expect("a message");
    assert!(message.contains("Command is required"), "{message}");
    for bad in ["{", "", "nothing"] {
        let request = daemon.request(reqwest::Method::POST, "/api/v0/processes/start");
        let answer = request.body(bad).send().await.expect("an answer");
        let (status, answer) = crate::support::daemon::json(answer).await;
        assert_eq!(
            (status, &answer["code"]),
            (400, &json!("invalid_json")),
            "{bad}"
        );
        let message = answer["message"].as_str().expect("a message");
        assert!(message.contains("valid JSON"), "{message}");
    }
    let (_, list) = get(&daemon, "/list").await;
    assert_eq!(
        list,
        json!({"processes": [], "total": 0}),
        "nothing was started"
    );
}

#[tokio::test]
async fn a_start_answers_with_all_its_fields() {
    let daemon = daemon();
    let answer = start(
        &daemon,
        json!({"command": "echo a; exit 3", "wait_ms": 60_000}),
    )
    .await;
    assert_eq!(
        (&answer["started"], &answer["attached"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(answer["client_token"], "");
    assert!(answer["pid"].as_i64().expect("a pid") > 1);
    assert!(answer["started_at_unix_ms"].as_u64().expect("a time") > 1_600_000_000_000);
    assert_eq!(answer["limits_applied"]["cpu_seconds"], "none");
    assert_eq!(answer["result"]["output"], "a\n");
    assert_eq!(answer["result"]["exit_code"], 3);
    let id = answer["id"].as_str().expect("an id");
    let (status, entry) = get(&daemon, &format!("/{id}")).await;
    assert_eq!(status, 200);
    assert_eq!(entry["command"], "echo a; exit 3");
    assert_eq!(entry["workdir"], daemon.home().path().display().to_string());
    assert_eq!(
        (&entry["running"], &entry["exit_code"]),
        (&json!(false), &json!(3))
    );
    assert_eq!(entry["ending"], json!({"kind": "exited", "code": 3}));
    assert_eq!(
        (&entry["stdin"], &entry["stderr"]),
        (&json!("null"), &json!("merged"))
    );
}

#[tokio::test]
async fn programs_that_cannot_run_are_errors_of_the_start() {
    let daemon = daemon();
    let no_path = json!({"command": "true", "env": {"PATH": "/nowhere"}});
    let (status, answer) = try_start(&daemon, no_path).await;
    assert_eq!((status, &answer["code"]), (500, &json!("spawn_failed")));
    let detail = answer["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("exec: \"sh\": executable file not found"),
        "{detail}"
    );
    for body in [
        json!({"argv": ["there-is-no-such-program"]}),
        json!({"argv": ["/etc/passwd"]}),
        json!({"argv": ["/"]}),
        json!({"argv": [""]}),
        json!({"command": "true", "workdir": "/nowhere"}),
        json!({"command": "true", "workdir": "/etc/passwd"}),
    ] {
        let (status, answer) = try_start(&daemon, body.clone()).await;
        assert_eq!(
            (status, &answer["code"]),
            (500, &json!("spawn_failed")),
            "{body}"
        );
        assert!(answer["detail"].is_string(), "{answer}");
    }
    let (_, list) = get(&daemon, "/list").await;
    assert_eq!(list["total"], 0, "failed attempts are not listed");
}

#[tokio::test]
async fn arguments_arrive_as_they_are() {
    let daemon = daemon();
    let argv = json!([
        "printf",
        "<%s>",
        "a b",
        "",
        "it's \"$HOME\"",
        "x\ny",
        "*",
        "é"
    ]);
    let result = run(&daemon, json!({ "argv": argv })).await;
    assert_eq!(result["output"], "<a b><><it's \"$HOME\"><x\ny><*><é>");
}

#[tokio::test]
async fn a_program_has_a_session_default_signals_and_three_files() {
    let daemon = daemon();
    let text = text_of(&daemon, "ls /proc/self/fd").await;
    assert_eq!(text, "0\n1\n2\n3\n", "ls has the folder itself open");
    let script = "cut -d' ' -f1,5,6 /proc/$$/stat; grep -E 'Sig(Blk|Ign)' /proc/self/status; umask";
    let text = text_of(&daemon, script).await;
    let mut lines = text.lines();
    let ids: Vec<&str> = lines.next().expect("a line").split(' ').collect();
    assert!(
        ids.iter().all(|id| *id == ids[0]),
        "leader of group and session: {ids:?}"
    );
    for name in ["SigBlk", "SigIgn"] {
        let line = lines.next().expect("a line");
        assert_eq!(line, format!("{name}:\t0000000000000000"));
    }
    assert_eq!(lines.next(), Some("0022"));
    // With SIGPIPE ignored `yes` would say so on standard error.
    assert_eq!(text_of(&daemon, "yes | head -1").await, "y\n");
}

#[tokio::test]
async fn a_login_shell_reads_its_profile() {
    let daemon = daemon();
    std::fs::write(daemon.home().path().join(".profile"), "FROM_PROFILE=yes\n").expect("written");
    let env = json!({"HOME": daemon.home().path(), "SHELL": "/bin/sh"});
    let body = json!({"command": "echo $FROM_PROFILE $0", "login": true, "env": env});
    let result = run(&daemon, body).await;
    let text = result["output"].as_str().expect("text");
    assert!(text.starts_with("yes "), "{text}");
}

#[tokio::test]
async fn directories_come_from_the_request_the_configuration_or_the_home() {
    let home = crate::support::daemon::Home::new();
    let configured = home.path().join("configured");
    let inner = configured.join("inner");
    std::fs::create_dir_all(&inner).expect("folders");
    let text = |path: &std::path::Path| format!("{}\n", path.display());
    let daemon = with(&["--process-workdir", configured.to_str().expect("UTF-8")]);
    assert_eq!(text_of(&daemon, "pwd").await, text(&configured));
    for (asked, due) in [("inner", &inner), (inner.to_str().expect("UTF-8"), &inner)] {
        let result = run(
            &daemon,
            json!({"command": "pwd; echo $PWD", "workdir": asked}),
        )
        .await;
        assert_eq!(result["output"], text(due).repeat(2), "{asked}");
    }
    drop(daemon);
    let daemon = with(&["--process-workdir", "/nowhere"]);
    let own_home = daemon.home().path().to_owned();
    assert_eq!(text_of(&daemon, "pwd").await, text(&own_home));
}
