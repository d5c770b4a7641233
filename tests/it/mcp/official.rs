//! The official suite and clients, run as they are: conformance, inspector, Python, TypeScript.

use std::{
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tokio::process::Command;

use crate::support::daemon::{Daemon, PATIENCE};

/// A path in `tests/mcp/`.
fn there(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/mcp")
        .join(path);
    assert!(
        path.exists(),
        "{} is missing: run `scripts/setup test`",
        path.display()
    );
    path
}

#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
async fn run(program: &str, arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(there(program));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LANG", "C.UTF-8")
        .env("HOME", folder)
        .current_dir(folder)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE * 4, command.output()).await;
    output.expect("in time").expect("it starts")
}

/// What it printed, when it came to its end.
fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{said}");
    text(&output.stdout)
}

const NODE: &str = "node_modules/.bin/node";

async fn node(script: &str, arguments: &[&str], folder: &Path) -> Output {
    let script = there(script);
    let mut all = vec![script.to_str().expect("UTF-8")];
    all.extend_from_slice(arguments);
    run(NODE, &all, folder).await
}

#[tokio::test]
async fn the_conformance_suite_passes() {
    let daemon = Daemon::start(&["--desktop", "off", "--no-auth"]);
    let url = format!("http://{}/mcp", daemon.address);
    let expected = there("expected-failures.yml");
    let expected = expected.to_str().expect("UTF-8");
    let folder = daemon.home().path();
    let arguments = [
        "server",
        "--url",
        &url,
        "--expected-failures",
        expected,
        "-o",
        "results",
    ];
    let output = node("node_modules/.bin/conformance", &arguments, folder).await;
    let said = said(&output);
    for scenario in [
        "server-initialize",
        "ping",
        "tools-list",
        "resources-list",
        "logging-set-level",
        "dns-rebinding-protection",
    ] {
        assert!(said.contains(&format!("✓ {scenario}")), "{said}");
    }
}

#[tokio::test]
async fn the_inspector_lists_and_calls() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let url = format!("http://{}/mcp", daemon.address);
    let header = format!("Authorization: Bearer {}", daemon.token());
    let folder = daemon.home().path();
    let inspect = async |more: &[&str]| {
        let mut arguments = vec!["--cli", &url, "--transport", "http", "--header", &header];
        arguments.extend_from_slice(more);
        let output = node("node_modules/.bin/mcp-inspector", &arguments, folder).await;
        serde_json::from_str::<serde_json::Value>(&said(&output)).expect("JSON")
    };
    let list = inspect(&["--method", "tools/list"]).await;
    assert_eq!(list["tools"].as_array().map(Vec::len), Some(21));
    let call = inspect(&[
        "--method",
        "tools/call",
        "--tool-name",
        "execute",
        "--tool-arg",
        "command=echo hi",
    ])
    .await;
    assert_eq!(call["structuredContent"]["output"], "hi\n", "{call}");
}

#[tokio::test]
async fn the_python_client_works_by_http_and_stdio() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let script = there("client.py");
    let said = said(&client(&daemon, ".venv/bin/python", &script).await);
    for name in [
        "http-auto: 2026-07-28",
        "http-legacy: 2025-11-25",
        "stdio-auto",
        "stdio-legacy",
    ] {
        assert!(said.contains(name), "{said}");
    }
}

#[tokio::test]
async fn the_typescript_client_works_by_http_and_stdio() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    let script = there("client.mjs");
    let said = said(&client(&daemon, NODE, &script).await);
    assert!(
        said.contains("ts-http: 21") && said.contains("ts-stdio: 21"),
        "{said}"
    );
}

/// A client that is told where the daemon is, and how to start the bridge to it.
async fn client(daemon: &Daemon, program: &str, script: &Path) -> Output {
    let folder = daemon.home().path();
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let arguments = [
        text(script),
        format!("http://{}/mcp", daemon.address),
        text(&daemon.home().state().join("token")),
        text(folder),
        env!("CARGO_BIN_EXE_deskd").to_owned(),
        "mcp".to_owned(),
        "--socket".to_owned(),
        text(&daemon.home().runtime().join("deskd.sock")),
    ];
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(program, &arguments, folder).await
}
