//! No route leaves the tree, whichever way paths are followed: with `openat2`, without, and below a filter that forbids it.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::helpers::query;
use crate::support::daemon::{Daemon, Home, deskd_serve, json as answer};

/// Runs a program under a filter in which `openat2` fails with a number (seccomp(2); it is call 437 everywhere).
const FILTERED: &str = r#"
import ctypes, os, struct, sys
number, program = int(sys.argv[1]), sys.argv[2:]
rows = [(0x20, 0, 0, 0), (0x15, 0, 1, 437), (0x06, 0, 0, 0x50000 | number), (0x06, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("<HBBI", *row) for row in rows)
buffer = ctypes.create_string_buffer(code)
class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("rows", ctypes.c_void_p)]
filter = Program(len(rows), ctypes.addressof(buffer))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.byref(filter), 0, 0) == 0
os.execv(program[0], program)
"#;

const ENOSYS: i32 = 38;
const EPERM: i32 = 1;

#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn filtered(home: &Home, number: i32, args: &[&str]) -> Command {
    let mut daemon = deskd_serve(home);
    daemon.args(args);
    let mut command = Command::new("python3");
    let number = number.to_string();
    command
        .env_clear()
        .args(["-c", FILTERED, &number])
        .arg(daemon.get_program());
    command.args(daemon.get_args());
    for (name, value) in daemon.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command
}

/// Every way a route is asked for a path.
fn requests(daemon: &Daemon, path: &str, inside: &str) -> Vec<(&'static str, RequestBuilder)> {
    let at = query(Path::new(path));
    let get = |route: &str, more: &str| {
        daemon.request(Method::GET, &format!("/api/v0/{route}?{more}={at}"))
    };
    let post = |route: &str, body: Value| {
        daemon
            .request(Method::POST, &format!("/api/v0/{route}"))
            .json(&body)
    };
    let sent = |method: Method, route: &str| {
        let request = daemon.request(method, &format!("/api/v0/{route}?path={at}"));
        request.body("escaped")
    };
    let edits = json!([{"search": "canary", "replace": "escaped"}]);
    let search = json!({"root": path, "pattern": "canary"});
    let target = format!("{path}.new");
    vec![
        ("read-file", get("read-file", "path")),
        ("read-file-lines", get("read-file-lines", "path")),
        (
            "list-directory",
            sent(Method::POST, "list-directory").body(""),
        ),
        ("stat", get("stat", "path")),
        ("list", get("list", "path")),
        ("glob", get("glob", "pattern=*&root")),
        ("archive out", get("archive", "path")),
        ("archive in", sent(Method::PUT, "archive")),
        ("watch", get("files/watch", "path")),
        ("write-file", sent(Method::POST, "write-file")),
        (
            "edit-files",
            post(
                "edit-files",
                json!({"files": [{"path": path, "edits": edits}]}),
            ),
        ),
        ("search", post("search", search)),
        ("mkdir", post("mkdir", json!({"path": target}))),
        ("remove", post("remove", json!({"path": path}))),
        (
            "move from",
            post(
                "move",
                json!({"from": path, "to": format!("{inside}.moved")}),
            ),
        ),
        (
            "move to",
            post("move", json!({"from": inside, "to": target})),
        ),
        (
            "copy from",
            post(
                "copy",
                json!({"from": path, "to": format!("{inside}.copied")}),
            ),
        ),
        (
            "copy to",
            post("copy", json!({"from": inside, "to": target})),
        ),
        (
            "chmod",
            post("chmod", json!({"path": path, "mode": "0777"})),
        ),
        ("touch", post("touch", json!({"path": target}))),
    ]
}

async fn refuse(daemon: &Daemon, path: &str, inside: &str, code: &str) {
    for (route, request) in requests(daemon, path, inside) {
        let (_, body) = answer(request.send().await.expect("an answer")).await;
        let found = body["code"].as_str().or(body["edits"][0]["code"].as_str());
        assert_eq!(found, Some(code), "{route} {path}: {body}");
    }
}

/// A root full of ways out, and what lies outside of it.
fn base() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let base = tempfile::Builder::new()
        .prefix("deskd-work-")
        .tempdir()
        .expect("a directory");
    let (root, outside) = (base.path().join("root"), base.path().join("outside"));
    fs::create_dir_all(root.join("deep/er")).expect("directories");
    fs::create_dir(&outside).expect("a directory");
    fs::write(outside.join("file"), "canary").expect("a file");
    fs::write(root.join("inside"), "inside").expect("a file");
    symlink(&outside, root.join("absolute")).expect("a link");
    symlink("../outside", root.join("relative")).expect("a link");
    symlink("../../../../outside", root.join("deep/er/relative")).expect("a link");
    symlink("absolute", root.join("twice")).expect("a link");
    symlink("/proc/self/root", root.join("magic")).expect("a link");
    (base, root, outside)
}

fn names(directory: &Path) -> Vec<String> {
    super::helpers::names(directory)
}

async fn hold(daemon: &Daemon, root: &Path, outside: &Path) {
    let text = |path: PathBuf| path.to_str().expect("text").to_owned();
    let inside = text(root.join("inside"));
    let up = "/..".repeat(20);
    for path in [
        text(root.join("absolute/file")),
        text(root.join("relative/file")),
        text(root.join("deep/er/relative/file")),
        text(root.join("twice/file")),
        text(root.join("deep/../absolute/file")),
        text(outside.join("file")),
        format!("{}{up}{}/file", root.display(), outside.display()),
        text(root.join("magic/etc/hostname")),
    ] {
        refuse(daemon, &path, &inside, "outside_mount").await;
    }
    assert_eq!(names(outside), ["file"]);
    assert_eq!(
        fs::read_to_string(outside.join("file")).expect("read"),
        "canary"
    );
    assert_eq!(
        fs::read_to_string(root.join("inside")).expect("read"),
        "inside"
    );
    let at = query(&root.join("inside"));
    let read = daemon.get(&format!("/api/v0/read-file?path={at}")).await;
    assert_eq!(read.text().await.expect("a body"), "inside");
}

#[tokio::test]
async fn no_route_leaves_the_root() {
    for resolver in ["openat2", "walk"] {
        let (_base, root, outside) = base();
        let at = root.to_str().expect("text").to_owned();
        let daemon = Daemon::start(&["--root", &at, "--fs-resolver", resolver]);
        hold(&daemon, &root, &outside).await;
    }
}

#[tokio::test]
async fn where_openat2_is_forbidden_paths_are_walked_and_no_route_leaves_the_root() {
    for number in [ENOSYS, EPERM] {
        let (_base, root, outside) = base();
        let at = root.to_str().expect("text").to_owned();
        let home = Home::new();
        let args = ["--root", &at, "--fs-resolver", "auto"];
        let daemon = Daemon::start_command(&home, &mut filtered(&home, number, &args));
        hold(&daemon, &root, &outside).await;
        let home = Home::new();
        let insists = filtered(&home, number, &["--root", &at, "--fs-resolver", "openat2"])
            .output()
            .expect("it runs");
        assert!(!insists.status.success(), "it cannot do without");
    }
}

#[tokio::test]
async fn no_route_follows_links_of_the_kernel_or_enters_the_daemons_own() {
    for resolver in ["openat2", "walk"] {
        let daemon = Daemon::start(&["--fs-resolver", resolver]);
        let work = tempfile::tempdir().expect("a directory");
        let inside = work.path().join("inside");
        fs::write(&inside, "inside").expect("a file");
        symlink("/proc/self/root", work.path().join("magic")).expect("a link");
        symlink(daemon.home().state(), work.path().join("own")).expect("a link");
        let inside = inside.to_str().expect("text");
        let text = |path: PathBuf| path.to_str().expect("text").to_owned();
        for path in [
            "/proc/self/root/etc/hostname".to_owned(),
            "/proc/1/root/etc/hostname".to_owned(),
            "/proc/thread-self/cwd/x".to_owned(),
            text(work.path().join("magic/etc/hostname")),
        ] {
            refuse(&daemon, &path, inside, "magic_link").await;
        }
        for path in [
            daemon.home().state().join("token"),
            work.path().join("own/token"),
        ] {
            refuse(&daemon, &text(path), inside, "reserved_path").await;
        }
        assert_eq!(names(work.path()), ["inside", "magic", "own"]);
    }
}
