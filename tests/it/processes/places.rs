//! Where else the daemon runs: as the first process of a container, and without root.

use std::process::Command;

use nix::{
    sys::signal::{Signal, kill},
    unistd::{Gid, Pid, Uid, chown, geteuid},
};
use serde_json::json;

use super::{daemon, ended, get, id_of, printed, run, signal, start, text_of, try_start};
use crate::support::{
    daemon::{Daemon, Home, deskd, deskd_serve},
    eventually_async,
};

/// A command that is run by another one.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn inside(wrapper: &[&str], command: &Command) -> Command {
    let mut outer = Command::new(wrapper[0]);
    outer
        .args(&wrapper[1..])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear()
        .envs(
            command
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
    outer
}

fn works(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// A daemon whose parent does not pass signals on.
struct Contained {
    /// The daemon itself, as we see it.
    inner: Pid,
    outer: Daemon,
}

impl Contained {
    fn start(wrapper: &[&str]) -> Self {
        let home = Home::new();
        let mut serve = deskd_serve(&home);
        serve.args(["--desktop", "off"]);
        let outer = Daemon::start_command(&home, &mut inside(wrapper, &serve));
        let list = format!("/proc/{0}/task/{0}/children", outer.pid());
        let children = std::fs::read_to_string(list).expect("a list");
        let inner = children.split_ascii_whitespace().next().expect("a child");
        Self {
            inner: Pid::from_raw(inner.parse().expect("a pid")),
            outer,
        }
    }
}

impl Drop for Contained {
    fn drop(&mut self) {
        let _ = kill(self.inner, Signal::SIGTERM);
    }
}

#[tokio::test]
async fn as_the_first_process_it_reaps_what_nobody_else_does() {
    let wrapper = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    let version = {
        let mut version = deskd(&Home::new());
        version.arg("--version");
        version
    };
    if !works(&mut inside(&wrapper, &version)) {
        eprintln!("skipped: this machine gives no process namespace of its own");
        return;
    }
    let mut contained = Contained::start(&wrapper);
    let daemon = &contained.outer;
    assert_eq!(text_of(daemon, "cat /proc/1/comm").await, "deskd\n");
    // Twice forked, in a session of its own: nobody's child but ours.
    let orphan = "(setsid sleep 0.1 >/dev/null 2>&1 &); exit 3";
    for _ in 0..20 {
        assert_eq!(
            run(daemon, json!({ "command": orphan })).await["exit_code"],
            3
        );
    }
    // Who would reap them is killed: they are the first process's from then on.
    let id = id_of(
        daemon,
        json!({"command": "setsid sleep 0.2 & read x; kill -9 $PPID; cat", "stdin": "pipe"}),
    )
    .await;
    let path = format!("{}/{id}/stdin", super::ROOT);
    let request = daemon.request(reqwest::Method::POST, &path).body("\n");
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let body = ended(daemon, &id).await;
    assert_eq!(body["ending"]["kind"], "lost", "{body}");
    let zombies = "grep -l '^State:.Z' /proc/[0-9]*/status | wc -l";
    eventually_async("no zombie is left", async || {
        text_of(daemon, zombies).await == "0\n"
    })
    .await;
    kill(contained.inner, Signal::SIGTERM).expect("it is there");
    assert_eq!(contained.outer.wait().code(), Some(0));
}

#[tokio::test]
async fn without_root_it_does_all_but_become_somebody_else() {
    if !geteuid().is_root() {
        eprintln!("skipped: all tests run without root already");
        return;
    }
    // One that the machine knows, and one that it does not.
    for (uid, name) in [(65_534, "nobody"), (54_321, "54321")] {
        let number = uid.to_string();
        let wrapper = [
            "setpriv",
            "--reuid",
            &number,
            "--regid",
            &number,
            "--clear-groups",
        ];
        let home = Home::new();
        let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(uid)));
        chown(home.path(), owner.0, owner.1).expect("we are root");
        let mut version = deskd(&home);
        version.arg("--version");
        if !works(&mut inside(&wrapper, &version)) {
            eprintln!("skipped: others cannot execute the program under test");
            return;
        }
        let mut serve = deskd_serve(&home);
        serve.args(["--desktop", "off"]);
        let daemon = Daemon::start_command(&home, &mut inside(&wrapper, &serve));
        assert_eq!(text_of(&daemon, "id -u; nice").await, format!("{uid}\n5\n"));
        let login = run(&daemon, json!({"command": "echo $0", "login": true})).await;
        assert_eq!(
            login["exit_code"],
            i32::from(name == "nobody"),
            "nologin, or sh"
        );
        let (status, body) = try_start(&daemon, json!({"command": "true", "user": "root"})).await;
        assert_eq!((status, &body["code"]), (403, &json!("user_not_permitted")));
        let script = "setsid sleep 1000 & trap '' TERM; echo ready; cat";
        let id = id_of(&daemon, json!({"command": script, "stdin": "pipe"})).await;
        printed(&daemon, &id, "ready").await;
        assert_eq!(get(&daemon, &format!("/{id}")).await.1["user"], name);
        assert_eq!(signal(&daemon, &id, "kill").await.0, 200);
        assert_eq!(ended(&daemon, &id).await["ending"]["signal"], "SIGKILL");
        let limited = json!({"command": "true", "wait_ms": 60_000, "limits": {"nofile": 50, "memory_bytes": 1 << 30}});
        let answer = start(&daemon, limited).await;
        assert_eq!(answer["result"]["exit_code"], 0);
        assert_ne!(answer["limits_applied"]["memory_bytes"], "none");
        assert_eq!(daemon.stop().code(), Some(0));
    }
}

#[tokio::test]
async fn root_is_asked_for_by_name_and_by_number() {
    let daemon = daemon();
    let number = geteuid().as_raw();
    let body = json!({"command": "id -u", "user": number, "wait_ms": 60_000});
    let answer = start(&daemon, body).await;
    assert_eq!(answer["result"]["output"], format!("{number}\n"));
    for unknown in [json!("no-such-user"), json!(4_000_000), json!("")] {
        let (status, body) = try_start(&daemon, json!({"command": "true", "user": unknown})).await;
        assert_eq!((status, &body["code"]), (400, &json!("unknown_user")));
    }
}
