//! Programs on the desktop, started as processes.

use serde_json::{Value, json};

use crate::support::{
    daemon::{Daemon, Home, deskd_serve, json as json_of},
    eventually,
};

async fn launch(daemon: &Daemon, body: Value) -> (u16, Value) {
    json_of(daemon.post("/api/v0/desktop/launch", body).await).await
}

#[tokio::test]
async fn a_program_shows_its_window_and_is_a_process() {
    let daemon = Daemon::start(&[]);
    // The desktop is started for it.
    let body = json!({
        "argv": ["xterm", "-T", "launched", "-e", "sh", "-c", "echo $MARK >mark; pwd >where; exec cat"],
        "cwd": daemon.home().path(),
        "env": {"MARK": "from the request"},
        "wait_window_ms": 30_000,
    });
    let (status, answer) = launch(&daemon, body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["window"]["class"], "XTerm", "{answer}");
    assert_eq!(answer["window"]["pid"], answer["pid"]);
    let path = format!(
        "/api/v0/processes/{}",
        answer["id"].as_str().expect("an id")
    );
    let (status, entry) = json_of(daemon.get(&path).await).await;
    assert_eq!((status, &entry["running"]), (200, &json!(true)));
    let file =
        |name: &str| std::fs::read_to_string(daemon.home().path().join(name)).unwrap_or_default();
    eventually("it ran where and with what it was told", || {
        file("mark") == "from the request\n"
            && file("where").trim() == daemon.home().path().to_string_lossy()
    })
    .await;
    let signal = json!({"signal": "kill"});
    assert_eq!(
        daemon
            .post(&format!("{path}/signal"), signal)
            .await
            .status(),
        200
    );
}

/// As in a container, where nobody has set one; what is set stays.
#[tokio::test]
async fn programs_have_a_locale_in_which_text_is_text() {
    for (set, due) in [(None, "C.UTF-8"), (Some("C"), "C")] {
        let home = Home::new();
        let mut command = deskd_serve(&home);
        command.env_remove("LANG");
        command.envs(set.map(|locale| ("LC_ALL", locale)));
        let daemon = Daemon::start_command(&home, &mut command);
        let script = "echo ${LC_ALL:-$LANG} >locale";
        let body = json!({"argv": ["sh", "-c", script], "cwd": home.path()});
        let (status, answer) = launch(&daemon, body).await;
        assert_eq!(status, 200, "{answer}");
        let locale = || std::fs::read_to_string(home.path().join("locale")).unwrap_or_default();
        eventually("it has told", || locale().trim() == due).await;
    }
}

#[tokio::test]
async fn a_desktop_file_says_what_to_start() {
    let daemon = Daemon::start(&[]);
    let file = daemon.home().path().join("mine.desktop");
    let text = "[Desktop Entry]\nType=Application\nName=Mine\nTerminal=true\nPath=/tmp\nExec=sh -c \"echo %c; cat\" %U\n";
    std::fs::write(&file, text).expect("written");
    let body = json!({"desktop_file": file, "wait_window_ms": 30_000});
    let (status, answer) = launch(&daemon, body).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["window"]["class"], "XTerm");
    let path = format!(
        "/api/v0/processes/{}",
        answer["id"].as_str().expect("an id")
    );
    let (_, entry) = json_of(daemon.get(&path).await).await;
    assert_eq!(
        entry["argv"],
        json!(["xterm", "-e", "sh", "-c", "echo Mine; cat"])
    );
    assert_eq!(entry["workdir"], "/tmp");
    std::fs::write(&file, "[Desktop Entry]\nType=Link\n").expect("written");
    let (status, answer) = launch(&daemon, json!({ "desktop_file": file })).await;
    assert_eq!(
        (status, &answer["code"]),
        (400, &json!("desktop_file_invalid"))
    );
    for name in ["no-such-entry", "../../../etc/passwd", ""] {
        let (status, answer) = launch(&daemon, json!({ "desktop_file": name })).await;
        assert_eq!(
            (status, &answer["code"]),
            (404, &json!("desktop_file_not_found")),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_program_without_a_window_is_waited_for_no_longer_than_it_lives() {
    let daemon = Daemon::start(&[]);
    let (status, answer) =
        launch(&daemon, json!({"argv": ["true"], "wait_window_ms": 60_000})).await;
    assert_eq!((status, &answer["window"]), (200, &Value::Null));
    let (status, answer) = launch(
        &daemon,
        json!({"argv": ["sleep", "1000"], "wait_window_ms": 20}),
    )
    .await;
    assert_eq!((status, &answer["window"]), (200, &Value::Null));
    let (status, answer) = launch(&daemon, json!({"argv": ["sleep", "1000"]})).await;
    assert_eq!((status, answer.get("window")), (200, None));
    let bad = [
        (json!({}), 400, "invalid_field"),
        (json!({"argv": []}), 400, "invalid_field"),
        (
            json!({"argv": ["a"], "desktop_file": "b"}),
            400,
            "invalid_field",
        ),
        (
            json!({"argv": ["a"], "wait_window_ms": 60_001}),
            400,
            "invalid_field",
        ),
        (json!({"argv": "a"}), 400, "invalid_field"),
        (json!({"argv": ["/no/such/program"]}), 500, "spawn_failed"),
    ];
    for (body, status, code) in bad {
        let (got, answer) = launch(&daemon, body.clone()).await;
        assert_eq!((got, &answer["code"]), (status, &json!(code)), "{body}");
    }
    let off = Daemon::start(&["--desktop", "off"]);
    let (status, answer) = launch(&off, json!({"argv": ["true"]})).await;
    assert_eq!((status, &answer["code"]), (503, &json!("desktop_disabled")));
}
