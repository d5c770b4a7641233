//! What the OpenAPI document says and what the daemon does, held against each other by schemathesis.

use std::{
    path::Path,
    process::{Output, Stdio},
    time::Duration,
};

use tokio::process::Command;

use crate::support::daemon::{Daemon, Home};

/// Thousands of requests, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_mins(15);

/// Runs it with the configuration beside its list of packages.
async fn schemathesis(daemon: &Daemon) -> Output {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi");
    let program = folder.join(".venv/bin/schemathesis");
    assert!(
        program.exists(),
        "no schemathesis: run `scripts/setup test`"
    );
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    let mut command = Command::new(program);
    let address = format!("http://{}/api/v0/openapi.json", daemon.address);
    command
        .arg("--config-file")
        .arg(folder.join("schemathesis.toml"))
        .args(["run", &address])
        .current_dir(daemon.home().path())
        .env("TOKEN", daemon.token())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let ended = tokio::time::timeout(PATIENCE, command.output()).await;
    ended.expect("in time").expect("it starts")
}

/// No 500, no status, type or body that the document does not tell, nothing without a token.
#[tokio::test]
async fn no_request_is_answered_beside_the_document() {
    let home = Home::new();
    let root = home.path().join("tree");
    std::fs::create_dir(&root).expect("a directory");
    // Whatever is removed, moved or written is in here.
    let daemon = Daemon::start_in(&home, &["--root", root.to_str().expect("UTF-8")]);
    daemon.started().await;
    let output = schemathesis(&daemon).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    // It did ask: a document without routes would pass as well.
    let selected = said
        .split("Operations:")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|count| count.parse::<u32>().ok());
    assert!(selected.is_some_and(|count| count > 80), "{said}");
    assert_eq!(daemon.get("/healthz").await.status(), 200);
}
