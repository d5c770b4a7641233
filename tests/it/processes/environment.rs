//! Layers of the environment, users, priorities.

use serde_json::json;

use super::{daemon, run, text_of, with};
use crate::support::daemon::{Daemon, Home, deskd_serve};

const CHAT: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";

#[tokio::test]
async fn the_request_beats_the_configuration_beats_the_daemons_own() {
    let home = Home::new();
    std::fs::write(
        home.path().join("config.toml"),
        "[process.env]\nB = \"configured\"\nC = \"configured, too\"\n",
    )
    .expect("written");
    let mut command = deskd_serve(&home);
    command
        .args(["--desktop", "off", "--config"])
        .arg(home.path().join("config.toml"))
        .envs([("A", "inherited"), ("B", "inherited"), ("C", "inherited")])
        .envs([
            ("NOTIFY_SOCKET_", "stays"),
            ("LISTEN_PID", "1"),
            ("DISPLAY", ":77"),
        ])
        .env("DESKD_SHUTDOWN_TIMEOUT", "9");
    let daemon = Daemon::start_command(&home, &mut command);
    let body = json!({"command": "env", "env": {"C": "requested", "E": null}});
    let result = run(&daemon, body).await;
    let text = result["output"].as_str().expect("text");
    for due in [
        "A=inherited",
        "B=configured",
        "C=requested",
        "E=",
        "NOTIFY_SOCKET_=stays",
    ] {
        assert!(text.lines().any(|line| line == due), "{due} in {text}");
    }
    for gone in ["DESKD_", "LISTEN_", "DISPLAY=", "CHAT_ID"] {
        assert!(!text.contains(gone), "{gone} in {text}");
    }
}

#[tokio::test]
async fn a_chat_cannot_be_forged() {
    let daemon = daemon();
    let request = daemon
        .request(reqwest::Method::POST, "/api/v0/processes/start")
        .header("Coder-Chat-Id", CHAT.to_uppercase())
        .json(&json!({
            "command": "echo $CODER_CHAT_ID $DESKD_CHAT_ID",
            "env": {"CODER_CHAT_ID": "other", "DESKD_CHAT_ID": "other"},
            "wait_ms": 60_000,
        }));
    let answer = request.send().await.expect("an answer");
    let (_, answer) = crate::support::daemon::json(answer).await;
    assert_eq!(answer["result"]["output"], format!("{CHAT} {CHAT}\n"));
    let wanted = format!("chat_id=\"{CHAT}\"");
    let logged = |log: String| {
        let mut lines = log.lines();
        lines.any(|line| line.contains("processes/start") && line.contains(&wanted))
    };
    // The log is written by a thread of its own.
    crate::support::eventually("the access line has the chat", || logged(daemon.log())).await;
    let log = daemon.log();
    assert!(!log.contains("echo"), "the command is in the log: {log}");
}

#[tokio::test]
async fn the_display_of_a_running_desktop_is_told_and_of_a_stopped_one_is_not() {
    let daemon = Daemon::start(&[]);
    let command = "echo \"<$DISPLAY>\"";
    assert_eq!(text_of(&daemon, command).await, "<>\n");
    assert_eq!(
        daemon.desktop().await["state"],
        "stopped",
        "a start starts no desktop"
    );
    let desktop = daemon.started().await;
    let display = desktop["display"].as_str().expect("a display");
    assert_eq!(text_of(&daemon, command).await, format!("<{display}>\n"));
    let result = run(&daemon, json!({"argv": ["xdpyinfo"]})).await;
    assert_eq!(result["exit_code"], 0, "a program reaches it: {result}");
    daemon.post("/api/v0/desktop/stop", json!(null)).await;
    assert_eq!(text_of(&daemon, command).await, "<>\n");
}

#[tokio::test]
async fn processes_are_nicer_and_die_first() {
    let daemon = daemon();
    let own = text_of(&daemon, "nice; cat /proc/self/oom_score_adj").await;
    let ours: i32 = std::fs::read_to_string("/proc/self/oom_score_adj")
        .expect("a score")
        .trim()
        .parse()
        .expect("a number");
    let score = if ours < 0 {
        0
    } else if ours >= 998 {
        1000
    } else {
        998
    };
    let mut lines = own.lines();
    let nice: i32 = lines.next().expect("nice").parse().expect("a number");
    assert!((5..=19).contains(&nice), "{own}");
    assert_eq!(lines.next(), Some(score.to_string().as_str()));
    drop(daemon);
    let plain = with(&["--process-nice", "false", "--process-oom-score", "false"]);
    let text = text_of(&plain, "cat /proc/self/oom_score_adj").await;
    assert_eq!(text, format!("{ours}\n"));
}

#[tokio::test]
async fn another_user_has_its_own_home_and_groups() {
    if !nix::unistd::geteuid().is_root() {
        let (status, answer) =
            super::try_start(&daemon(), json!({"command": "id", "user": "nobody"})).await;
        assert_eq!(
            (status, &answer["code"]),
            (403, &json!("user_not_permitted"))
        );
        return;
    }
    let daemon = daemon();
    let script = "id -un; id -G; echo $USER $LOGNAME $HOME; pwd";
    for user in [json!("nobody"), json!(65534), json!("65534")] {
        let result = run(&daemon, json!({"command": script, "user": user})).await;
        let text = result["output"].as_str().expect("text");
        assert_eq!(
            text, "nobody\n65534\nnobody nobody /nonexistent\n/\n",
            "user {user}"
        );
    }
}
