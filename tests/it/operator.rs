//! The commands of whoever runs the daemon: its state, tokens, chats, repositories, and the viewer in a browser.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    process::Command,
};

use serde_json::Value;

use crate::{
    command_line::{command, off, printed, run, shown},
    support::daemon::{Daemon, Home, deskd},
};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| panic!("not JSON: {text}"))
}

#[test]
fn the_state_is_told_and_serves_as_health_check() {
    let daemon = off();
    let text = printed(&daemon, &["status"]);
    let address = format!("listening on http://{}\n", daemon.address);
    assert!(
        text.contains(&address) && text.contains("desktop off"),
        "{text}"
    );
    let told = json(&printed(&daemon, &["status", "--json"]));
    assert_eq!(told["ready"], true);
    assert_eq!(told["listening"][0], format!("http://{}", daemon.address));
    let (code, _, error) = run(&daemon, &["desktop", "start"]);
    assert_eq!(code, 1, "{error}");
    let (code, _, _) = run(&daemon, &["desktop", "--resize", "wide"]);
    assert_eq!(code, 2);
    let home = daemon.home().clone();
    drop(daemon);
    let mut status = deskd(&home);
    let status = status
        .env("DESKD_RUNTIME_DIR", home.runtime())
        .arg("status");
    let (code, out, error) = shown(&status.output().expect("it runs"));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("deskd serve"), "{error}");
}

/// As the system starts it: its runtime directory is not that of the session in which somebody asks.
#[test]
fn a_session_with_another_runtime_directory_finds_the_daemon() {
    let home = Home::new();
    let mut serve = deskd(&home);
    serve.args(["serve", "--desktop", "off", "--listen", "127.0.0.1:0"]);
    serve.arg("--runtime-dir").arg(home.runtime());
    let state = home.path().join(".local/state/deskd");
    let daemon = Daemon::start_command(&home, &mut serve);
    let ask = || {
        let mut status = deskd(&home);
        let status = status.env("XDG_RUNTIME_DIR", home.path()).arg("status");
        shown(&status.output().expect("it runs"))
    };
    let (code, _, error) = ask();
    assert_eq!((code, error.as_str()), (0, ""));
    drop(daemon);
    assert!(fs::symlink_metadata(state.join("socket")).is_err());
    assert_eq!(ask().0, 1);
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let daemon = off();
    let make = [
        "tokens",
        "create",
        "files:read",
        "git",
        "--ttl",
        "60",
        "--label",
        "for a test",
    ];
    let token = printed(&daemon, &make);
    let file = daemon.home().path().join("scoped");
    fs::write(&file, &token).expect("written");
    let list = printed(&daemon, &["tokens", "list"]);
    assert!(
        list.contains("files:read,git") && list.contains("for a test"),
        "{list}"
    );
    assert!(!list.contains(token.trim()), "the secret is told once");
    let url = format!("http://{}", daemon.address);
    let with = ["--url", &url, "--token-file", file.to_str().expect("text")];
    printed(&daemon, &[&["ls"], &with[..]].concat());
    let (code, _, error) = run(&daemon, &[&["write", "x"], &with[..]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("files:write"), "{error}");
    let id = list.split_whitespace().next().expect("an id");
    assert_eq!(printed(&daemon, &["tokens", "revoke", id]), "");
    assert_eq!(printed(&daemon, &["tokens", "list"]), "");
    let (code, _, error) = run(&daemon, &[&["ls"], &with[..]].concat());
    assert_eq!(code, 1);
    assert!(error.contains("revoked"), "{error}");
    assert_eq!(run(&daemon, &["tokens", "revoke", id]).0, 1);
    assert_eq!(run(&daemon, &["tokens", "create", "everything"]).0, 1);
    assert_eq!(run(&daemon, &["tokens", "create"]).0, 2);
}

#[test]
fn chats_are_listed_and_deleted() {
    let daemon = off();
    let chat = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";
    let start = ["exec", "--detach", "--chat-id", chat, "--", "sleep", "1000"];
    printed(&daemon, &start);
    let list = printed(&daemon, &["chats"]);
    assert!(list.contains(chat) && list.contains("1 running"), "{list}");
    let gone = json(&printed(&daemon, &["chats", "--delete", chat, "--json"]));
    assert_eq!(gone["processes_ended"], 1);
    assert_eq!(printed(&daemon, &["chats"]), "");
    assert_eq!(run(&daemon, &["chats", "--delete", chat]).0, 1);
}

#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn git(daemon: &Daemon, args: &[&str]) {
    let mut git = Command::new("git");
    git.current_dir(daemon.home().path().join("r")).args(args);
    git.env("HOME", daemon.home().path());
    let names = [
        "GIT_AUTHOR_NAME",
        "GIT_AUTHOR_EMAIL",
        "GIT_COMMITTER_NAME",
        "GIT_COMMITTER_EMAIL",
    ];
    git.envs(names.map(|name| (name, "somebody")));
    assert_eq!(shown(&git.output().expect("it runs")).0, 0, "{args:?}");
}

#[test]
fn repositories_are_shown_as_git_shows_them_and_watched() {
    let daemon = off();
    let root = daemon.home().path().join("r");
    fs::create_dir(&root).expect("made");
    git(&daemon, &["init", "--quiet", "--initial-branch", "main"]);
    fs::write(root.join("a"), "one\n").expect("written");
    git(&daemon, &["add", "a"]);
    git(&daemon, &["commit", "--quiet", "--message", "Begin"]);
    fs::write(root.join("a"), "two\n").expect("written");
    fs::write(root.join("new"), "").expect("written");
    let status = printed(&daemon, &["git", "status", "r"]);
    assert_eq!(
        status,
        format!("## {}: main\n M a\n?? new\n", root.display())
    );
    let diff = printed(&daemon, &["git", "diff", "r"]);
    assert!(diff.contains("-one\n+two\n"), "{diff}");
    assert_eq!(printed(&daemon, &["git", "diff", "--staged", "r"]), "");
    let log = printed(&daemon, &["git", "log", "r", "-n", "1"]);
    assert!(log.contains("somebody: Begin"), "{log}");
    for part in ["status", "diff", "log"] {
        assert!(json(&printed(&daemon, &["git", part, "r", "--json"])).is_object());
    }
    let mut watch = command(&daemon, &["git", "watch", "--json", "r"])
        .spawn()
        .expect("it runs");
    let mut lines = BufReader::new(watch.stdout.take().expect("piped")).lines();
    let mut told = || json(&lines.next().expect("a line").expect("text"));
    assert_eq!(told()["repositories"][0]["files"][0]["path"], "a");
    fs::write(root.join("third"), "").expect("written");
    let names = |told: &Value| told["repositories"].to_string();
    while !names(&told()).contains("third") {}
    watch.kill().expect("it runs");
    watch.wait().expect("its end");
    assert_eq!(run(&daemon, &["git", "status", "/"]).0, 1);
    assert_eq!(run(&daemon, &["git"]).0, 2);
}

/// Stands for the browser that `xdg-open` starts: follows the address as one does, and notes what it was started with.
const BROWSER: &str = r#"#!/bin/bash
cd "$HOME"
printf '%s\n' "$@" >argv
if [[ $EUID -eq 0 ]]; then
    setpriv --reuid=65534 --clear-groups curl --silent --output /dev/null --write-out '%{http_code}\n' "$1" >stranger
fi
curl --silent --output /dev/null --write-out '%{http_code}\n' "${1%/*}/another" >guessed
curl --silent --location --cookie-jar jar --output page --write-out '%{http_code} %{url_effective}\n' "$1" >visited
"#;

#[test]
fn a_browser_is_led_to_the_viewer_without_a_secret_in_its_arguments() {
    let daemon = off();
    let home = daemon.home().path();
    let programs = home.join("bin");
    fs::create_dir(&programs).expect("made");
    let opener = programs.join("xdg-open");
    fs::write(&opener, BROWSER).expect("written");
    fs::set_permissions(&opener, fs::Permissions::from_mode(0o755)).expect("set");
    let mut open = command(&daemon, &["open", "--view-only"]);
    let usual = open.get_envs().find(|(name, _)| *name == "PATH");
    let usual = usual.and_then(|(_, path)| path).expect("a path");
    let path = [programs.as_os_str(), usual].join(std::ffi::OsStr::new(":"));
    let opened = open.env("PATH", &path).output().expect("it runs");
    assert_eq!(shown(&opened), (0, String::new(), String::new()));
    let text = |name: &str| fs::read_to_string(home.join(name)).expect(name);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let visited = runtime.expect("a runtime").block_on(async {
        crate::support::eventually("the browser is there", || home.join("page").exists()).await;
        crate::support::eventually("it says so", || {
            fs::read_to_string(home.join("visited")).is_ok_and(|text| text.ends_with('\n'))
        })
        .await;
        text("visited")
    });
    let page = format!("200 http://{}/?view_only=true\n", daemon.address);
    assert_eq!(visited, page);
    assert!(text("page").contains("<html"));
    assert_eq!(text("guessed"), "404\n");
    if nix::unistd::geteuid().is_root() {
        assert_eq!(
            text("stranger"),
            "404\n",
            "another user's request is not led on"
        );
    }
    let argv = text("argv");
    assert!(argv.starts_with("http://127.0.0.1:"), "{argv}");
    let list = printed(&daemon, &["tokens", "list"]);
    assert!(
        list.contains("desktop:view,git") && list.contains("deskd open"),
        "{list}"
    );
    for secret in ["deskd_", &daemon.token()] {
        assert!(
            !argv.contains(secret) && !daemon.log().contains(secret),
            "{argv}"
        );
    }
    let printed_page = printed(&daemon, &["open", "--print"]);
    let begin = format!("http://{}/?token=deskd_", daemon.address);
    assert!(printed_page.starts_with(&begin), "{printed_page}");
    let (code, _, error) = shown(
        &command(&daemon, &["open"])
            .env("PATH", "/nowhere")
            .output()
            .expect("it runs"),
    );
    assert_eq!(code, 2);
    assert!(error.contains("deskd open --print"), "{error}");
}
