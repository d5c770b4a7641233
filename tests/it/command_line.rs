//! The commands that are clients: the real program against the real daemon, as people and scripts call it.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Command, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::daemon::{Daemon, Home, deskd};

/// The program, which finds the daemon by its socket.
pub(super) fn command(daemon: &Daemon, args: &[&str]) -> Command {
    let mut command = deskd(daemon.home());
    command
        .env("DESKD_RUNTIME_DIR", daemon.home().runtime())
        .current_dir(daemon.home().path())
        .args(args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

pub(super) fn run(daemon: &Daemon, args: &[&str]) -> (i32, String, String) {
    shown(&command(daemon, args).output().expect("it runs"))
}

/// The same with something on standard input.
fn fed(daemon: &Daemon, args: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut child = command(daemon, args)
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(input).expect("taken");
    drop(stdin);
    shown(&child.wait_with_output().expect("its end"))
}

pub(super) fn shown(output: &Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    (
        output.status.code().expect("no signal"),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// What a command prints that succeeds and says nothing else.
pub(super) fn printed(daemon: &Daemon, args: &[&str]) -> String {
    let (code, out, error) = run(daemon, args);
    assert_eq!((code, error.as_str()), (0, ""), "{args:?}: {out}");
    out
}

pub(super) fn off() -> Daemon {
    Daemon::start(&["--desktop", "off"])
}

#[test]
fn a_command_runs_there_as_it_would_here() {
    let daemon = off();
    let script = "echo out; echo error >&2; printf '%s|' \"$@\"; pwd; exit 7";
    let args = [
        "exec",
        "--workdir",
        "/usr",
        "--env",
        "X=1",
        "--",
        "sh",
        "-c",
        script,
        "-",
        "a b",
        "$X",
        "",
    ];
    let (code, out, error) = run(&daemon, &args);
    assert_eq!((code, out.as_str()), (7, "out\na b|$X||/usr\n"));
    assert_eq!(error, "error\n");
    assert_eq!(
        printed(&daemon, &["exec", "sh", "-c", "echo $((40 + 2))"]),
        "42\n"
    );
    // Bytes, not text; and as much as there is.
    let all: Vec<u8> = (0..=255).cycle().take(3 << 20).collect();
    let mut child = command(&daemon, &["exec", "-i", "--", "cat"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = child.stdout.take().expect("piped");
    let sent = all.clone();
    let writer = std::thread::Builder::new().spawn(move || stdin.write_all(&sent));
    let mut back = Vec::new();
    stdout.read_to_end(&mut back).expect("read");
    let writer = writer.expect("a thread").join();
    writer.expect("no panic").expect("all was taken");
    assert!(
        back == all,
        "{} bytes came back of {}",
        back.len(),
        all.len()
    );
    assert_eq!(child.wait().expect("its end").code(), Some(0));
    // A grandchild that goes on holds nobody up.
    assert_eq!(
        printed(&daemon, &["exec", "sh", "-c", "sleep 1000 & echo on"]),
        "on\n"
    );
    let (code, _, _) = run(&daemon, &["exec", "sh", "-c", "kill -9 $$"]);
    assert_eq!(code, 137);
    let (code, _, error) = run(&daemon, &["exec", "no-such-program"]);
    assert_eq!(code, 1);
    assert!(error.contains("no-such-program"), "{error}");
    let (code, _, _) = run(&daemon, &["exec", "--timeout", "0.2", "sleep", "1000"]);
    assert_ne!(code, 0);
}

#[test]
fn an_interrupt_goes_to_the_command() {
    let daemon = off();
    let script = "trap 'echo caught; exit 3' INT; echo ready; while :; do read x; done";
    let mut child = command(&daemon, &["exec", "-i", "--", "sh", "-c", script])
        .stdin(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    assert_eq!(lines.next().expect("a line").expect("text"), "ready");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    kill(pid, Signal::SIGINT).expect("it is there");
    assert_eq!(lines.next().expect("a line").expect("text"), "caught");
    assert_eq!(child.wait().expect("its end").code(), Some(3));
}

#[test]
fn what_runs_is_listed_followed_and_ended() {
    let daemon = off();
    let script = "echo begun; sleep 1000; echo never";
    let id = printed(&daemon, &["exec", "--detach", "--", "sh", "-c", script]);
    let id = id.trim();
    let list = printed(&daemon, &["ps"]);
    assert!(list.contains(id) && list.contains("running"), "{list}");
    let json: Value = serde_json::from_str(&printed(&daemon, &["ps", "--json"])).expect("JSON");
    assert_eq!(json["processes"][0]["id"], id);
    let mut follower = command(&daemon, &["logs", "-f", id])
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(follower.stdout.take().expect("piped")).lines();
    while lines.next().expect("a line").expect("text") != "begun" {}
    assert_eq!(printed(&daemon, &["kill", id]), "");
    assert!(lines.next().is_none());
    follower.wait().expect("its end");
    assert!(printed(&daemon, &["logs", id]).starts_with("begun\n"));
    assert_eq!(printed(&daemon, &["ps"]), "");
    assert!(printed(&daemon, &["ps", "--all"]).contains("SIGKILL"));
    let (code, _, error) = run(&daemon, &["kill", id]);
    assert_eq!(code, 1, "{error}");
    let (code, _, error) = run(&daemon, &["logs", "no such id"]);
    assert_eq!(code, 1, "{error}");
}

#[test]
fn files_go_there_and_back() {
    let daemon = off();
    let (code, out, error) = fed(&daemon, &["write", "d/a.txt"], b"one\ntwo\nthree\n");
    assert_eq!((code, out.as_str(), error.as_str()), (0, "", ""));
    let there = daemon.home().path().join("d/a.txt");
    assert_eq!(fs::read(&there).expect("written"), b"one\ntwo\nthree\n");
    fed(&daemon, &["write", "--append", "d/a.txt"], b"four\n");
    assert_eq!(
        printed(&daemon, &["read", "d/a.txt"]),
        "one\ntwo\nthree\nfour\n"
    );
    let page = printed(&daemon, &["read", "--from", "2", "--limit", "2", "d/a.txt"]);
    assert_eq!(page, "2\ttwo\n3\tthree\n");
    let (code, _, error) = fed(&daemon, &["write", "--new", "d/a.txt"], b"");
    assert_eq!(code, 1);
    assert!(!error.is_empty());
    let edit = ["edit", "d/a.txt", "--old", "two", "--new", "-2-"];
    let diff = printed(&daemon, &[&edit[..], &["--dry-run"]].concat());
    assert!(diff.contains("-two\n+-2-\n"), "{diff}");
    assert_eq!(printed(&daemon, &edit), diff);
    assert_eq!(
        fs::read(&there).expect("written"),
        b"one\n-2-\nthree\nfour\n"
    );
    let (code, _, error) = run(&daemon, &edit);
    assert_eq!(code, 1);
    assert!(error.contains("d/a.txt"), "{error}");
    fs::write(daemon.home().path().join("d/\u{1b}[31m\n"), "").expect("written");
    assert_eq!(printed(&daemon, &["ls", "d"]), "\\u{1b}[31m\\n\na.txt\n");
    let long = printed(&daemon, &["ls", "-l", "d"]);
    assert!(
        long.lines()
            .nth(1)
            .is_some_and(|line| line.contains("19  ")),
        "{long}"
    );
    assert_eq!(
        printed(&daemon, &["find", "*.txt", "d"]).trim(),
        there.to_str().expect("text")
    );
    let found = printed(&daemon, &["search", "-F", "three", "d"]);
    assert_eq!(found, format!("{}:3:three\n", there.display()));
    assert_eq!(run(&daemon, &["search", "nowhere", "d"]).0, 1);
    let (code, _, error) = run(&daemon, &["read", "no-such-file"]);
    assert_eq!(code, 1);
    assert!(error.contains("no-such-file"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_desktop_is_seen_and_driven() {
    let daemon = Daemon::start(&[]);
    let file = daemon.home().path().join("typed");
    let mut terminal = daemon.program("xterm").await;
    let script = format!("IFS= read -r x; printf %s \"$x\" > {}", file.display());
    let mut terminal = terminal
        .args(["-u8", "-T", "reader", "-e", "sh", "-c", &script])
        .spawn()
        .expect("it starts");
    loop {
        let windows = tokio::task::block_in_place(|| printed(&daemon, &["windows"]));
        if windows.contains('*') && windows.contains("reader") {
            break;
        }
        assert!(terminal.try_wait().expect("a child").is_none());
    }
    tokio::task::block_in_place(|| {
        printed(&daemon, &["click", "200", "200"]);
        assert_eq!(fed(&daemon, &["type", "-"], "Grüße ".as_bytes()).0, 0);
        printed(&daemon, &["type", "漢字 --x"]);
        printed(&daemon, &["key", "BackSpace", "Return"]);
        terminal.wait().expect("its end");
        assert_eq!(fs::read_to_string(&file).expect("written"), "Grüße 漢字 --");
        printed(&daemon, &["screenshot", "out.png"]);
        let picture = fs::read(daemon.home().path().join("out.png")).expect("written");
        assert!(picture.starts_with(b"\x89PNG"));
        let output = command(&daemon, &["screenshot", "--width", "640"])
            .output()
            .expect("runs");
        let small = image::load_from_memory(&output.stdout).expect("a picture");
        assert_eq!((small.width(), small.height()), (640, 400));
        let (code, _, error) = run(&daemon, &["screenshot", "out.gif"]);
        assert_eq!(code, 2, "{error}");
        printed(&daemon, &["scroll", "300", "300", "down"]);
        let list =
            r#"[{"action": "mouse_move", "coordinate": [5, 6]}, {"action": "cursor_position"}]"#;
        let (code, out, error) = fed(&daemon, &["actions", "-"], list.as_bytes());
        assert_eq!((code, error.as_str()), (0, ""));
        assert_eq!(
            serde_json::from_str::<Value>(&out).expect("JSON")["ok"],
            true
        );
        let (code, _, error) = run(&daemon, &["click", "99999", "0"]);
        assert_eq!(code, 1);
        assert!(error.contains("99999"), "{error}");
        let watched = printed(&daemon, &["watch", "pictures", "--count", "1"]);
        assert_eq!(watched, "pictures/000001.png\n");
    });
}

#[test]
fn native_viewers_come_by_a_local_port() {
    let daemon = Daemon::start(&[]);
    let mut forwarder = command(&daemon, &["vnc", "0"]).spawn().expect("it runs");
    let mut lines = BufReader::new(forwarder.stdout.take().expect("piped")).lines();
    let line = lines.next().expect("a line").expect("text");
    let address = line.strip_prefix("forwarding ").expect("the address");
    for _ in 0..2 {
        let mut viewer = TcpStream::connect(address).expect("it listens");
        let mut greeting = [0; 12];
        viewer.read_exact(&mut greeting).expect("a greeting");
        assert_eq!(&greeting, b"RFB 003.008\n");
    }
    forwarder.kill().expect("it runs");
    forwarder.wait().expect("its end");
}

#[test]
fn who_cannot_be_asked_is_named() {
    let home = Home::new();
    let ask = |args: &[&str]| {
        let mut command = deskd(&home);
        command.env("DESKD_RUNTIME_DIR", home.runtime()).args(args);
        shown(&command.output().expect("it runs"))
    };
    let (code, _, error) = ask(&["ps"]);
    assert_eq!(code, 1);
    assert!(
        error.contains("deskd.sock") && error.contains("deskd serve"),
        "{error}"
    );
    let (code, _, error) = ask(&["ps", "--url", "ftp://x"]);
    assert_eq!(code, 2);
    assert!(error.contains("http://HOST:PORT"), "{error}");
    let daemon = off();
    let url = format!("http://{}", daemon.address);
    let (code, _, error) = ask(&["ps", "--url", &url]);
    assert_eq!(code, 1);
    assert!(error.contains("--token-file"), "{error}");
    let token = daemon.home().state().join("token");
    let token = token.to_str().expect("text");
    let (code, _, error) = ask(&["ps", "--url", &url, "--token-file", token]);
    assert_eq!((code, error.as_str()), (0, ""));
    let (code, _, _) = ask(&["ps", "--url", &url, "--token-file", "/no/such/file"]);
    assert_eq!(code, 2);
}
