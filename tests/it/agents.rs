//! The agent loops of `examples/`, run as they are: the daemon and its desktop are real, the vendors' APIs are stand-ins.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use tokio::{io::AsyncWriteExt, process::Command};

use crate::support::{
    daemon::{Daemon, Home, PATIENCE, deskd_serve},
    model::{Anthropic, KEY, LAST_WORDS, OpenAi, Server, TASK},
};

/// A path in `examples/`.
fn example(path: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(path);
    assert!(
        path.exists(),
        "{} is missing: run `scripts/setup test`",
        path.display()
    );
    path
}

/// A daemon whose desktop opens terminals in its home.
fn daemon() -> Daemon {
    let home = Home::new();
    let mut command = deskd_serve(&home);
    Daemon::start_command(
        &home,
        command.current_dir(home.path()).env("SHELL", "/bin/sh"),
    )
}

#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn program(path: &str) -> Command {
    let mut command = Command::new(example(path));
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LANG", "C.UTF-8")
        .current_dir(example(""))
        .kill_on_drop(true);
    command
}

/// An example, with what it is told about the daemon.
fn agent(path: &str, daemon: &Daemon) -> Command {
    let mut command = program(path);
    command
        .env("HOME", daemon.home().path())
        .env("DESKD_URL", format!("http://{}", daemon.address))
        .env("DESKD_TOKEN_FILE", daemon.home().state().join("token"));
    command
}

/// The example in Python, with a model at this address.
fn python(daemon: &Daemon, model: SocketAddr) -> Command {
    let mut command = agent("python/.venv/bin/python", daemon);
    command
        .arg("python/agent.py")
        .env("ANTHROPIC_BASE_URL", format!("http://{model}"))
        .env("ANTHROPIC_API_KEY", KEY);
    command
}

/// The example in TypeScript, with a model at this address.
fn typescript(daemon: &Daemon, model: SocketAddr) -> Command {
    let mut command = agent("typescript/node_modules/.bin/tsx", daemon);
    command
        .arg("typescript/agent.ts")
        .env("OPENAI_BASE_URL", format!("http://{model}/v1"))
        .env("OPENAI_API_KEY", KEY);
    command
}

/// Runs with this on stdin, to the end.
async fn run(command: &mut Command, answers: &str) -> Output {
    let command = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the example starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // It may end without reading.
    let _ = stdin.write_all(answers.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(PATIENCE * 2, child.wait_with_output()).await;
    ended.expect("in time").expect("its output")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// The example came to its end, and the shell did what the model typed.
fn assert_done(daemon: &Daemon, output: &Output) {
    let said = format!("{}{}", stdout(output), stderr(output));
    assert!(output.status.success(), "{said}");
    assert_eq!(stdout(output).lines().last(), Some(LAST_WORDS), "{said}");
    let written = fs::read_to_string(daemon.home().path().join("answer"));
    assert_eq!(written.expect("the shell wrote it"), "42\n");
}

/// The example ended with these words and without a stack.
fn assert_refused(output: &Output, expected: &str) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(expected), "{said}");
    assert!(
        !said.contains("Traceback") && !said.contains("    at "),
        "{said}"
    );
}

#[tokio::test]
async fn the_python_agent_does_a_task() {
    let (daemon, server) = (daemon(), Server::bind().await);
    let mut command = python(&daemon, server.address);
    let work = run(command.arg(TASK), "");
    let output = server.while_serving(Anthropic::new(), work).await;
    assert_done(&daemon, &output);
}

#[tokio::test]
async fn the_typescript_agent_does_a_task() {
    let (daemon, server) = (daemon(), Server::bind().await);
    let mut command = typescript(&daemon, server.address);
    let work = run(command.arg(TASK), "y\n");
    let output = server.while_serving(OpenAi::new(), work).await;
    assert_done(&daemon, &output);
    let asked = stderr(&output);
    assert!(
        asked.contains("Look twice. (malicious_instructions)"),
        "{asked}"
    );
}

#[tokio::test]
async fn without_a_person_nothing_that_the_vendor_warns_of_is_done() {
    let (daemon, server) = (daemon(), Server::bind().await);
    let mut command = typescript(&daemon, server.address);
    let work = run(command.arg(TASK), "");
    let output = server.while_serving(OpenAi::new(), work).await;
    assert_refused(&output, "nobody agreed to go on");
    assert!(!daemon.home().path().join("answer").exists());
}

/// What goes wrong outside of the conversation.
async fn refuse(start: fn(&Daemon, SocketAddr) -> Command) {
    let (daemon, server) = (daemon(), Server::bind().await);
    let model = server.address;
    let wrong = daemon.home().path().join("wrong");
    fs::write(&wrong, "not the token").expect("a file");
    let start = |task| {
        let mut command = start(&daemon, model);
        command.arg(task);
        command
    };
    let mut without_token = start(TASK);
    let mut without_daemon = start(TASK);
    let mut without_vendor = start("Another task.");
    let work = async {
        tokio::join!(
            run(without_token.env("DESKD_TOKEN_FILE", &wrong), ""),
            run(without_daemon.env("DESKD_URL", "http://127.0.0.1:1"), ""),
            run(&mut without_vendor, ""),
        )
    };
    let (token, daemon, vendor) = server.while_serving(Anthropic::new(), work).await;
    assert_refused(&token, "deskd answered 401: ");
    assert_refused(&daemon, "deskd at http://127.0.0.1:1: ");
    // The stand-in of one vendor takes neither another task nor the other vendor's route.
    assert_refused(&vendor, "400");
}

#[tokio::test]
async fn refusals_are_said_plainly_in_python() {
    refuse(python).await;
}

#[tokio::test]
async fn refusals_are_said_plainly_in_typescript() {
    refuse(typescript).await;
}

#[tokio::test]
async fn the_typescript_agent_has_the_types_of_the_sdk() {
    let mut command = program("typescript/node_modules/.bin/tsc");
    let output = run(command.args(["--project", "typescript"]), "").await;
    assert!(output.status.success(), "{}", stdout(&output));
}
