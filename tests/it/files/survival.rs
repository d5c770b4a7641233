//! What a daemon that is killed leaves: the old or the new, never a mix, and nothing beside it once the next has started.

use std::{fs, time::Duration};

use nix::sys::signal::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::helpers::{Case, names};
use crate::support::daemon::{Daemon, Home};

/// Rounds; each kills at another moment.
const ROUNDS: u32 = 12;

/// Starts a daemon in the home, lets it work on what is sent, and kills it after so many microseconds, or when it has answered.
async fn killed_after(
    home: &Home,
    work: TempDir,
    micros: u64,
    send: impl AsyncFnOnce(&Case),
) -> TempDir {
    let case = Case {
        daemon: Daemon::start_in(home, &[]),
        work,
    };
    let moment = Duration::from_micros(micros);
    let _ = tokio::time::timeout(moment, send(&case)).await;
    case.daemon.signal(Signal::SIGKILL);
    let Case { mut daemon, work } = case;
    daemon.wait();
    work
}

#[tokio::test]
async fn a_write_is_whole_or_not_at_all() {
    let home = Home::new();
    let mut work = tempfile::tempdir().expect("a directory");
    let mut content = vec![b'0'; 4 << 20];
    fs::write(work.path().join("a"), &content).expect("written");
    for round in 1..=ROUNDS {
        let next =
            vec![b'0' + u8::try_from(round % 70).expect("small"); (4 << 20) + round as usize];
        let sent = next.clone();
        work = killed_after(&home, work, u64::from(round) * 3000, async |case: &Case| {
            case.write(case.path("a"), "", sent).await;
        })
        .await;
        let now = fs::read(work.path().join("a")).expect("there");
        assert!(
            now == content || now == next,
            "round {round}: {} bytes",
            now.len()
        );
        content = now;
    }
    drop(Daemon::start_in(&home, &[]));
    assert_eq!(names(work.path()), ["a"]);
}

#[tokio::test]
async fn an_edit_of_many_files_is_whole_or_not_at_all() {
    const FILES: usize = 300;
    let home = Home::new();
    let mut work = tempfile::tempdir().expect("a directory");
    let all: Vec<String> = (0..FILES).map(|file| format!("f{file:03}")).collect();
    for name in &all {
        fs::write(work.path().join(name), "state 0\n").expect("written");
    }
    let mut state = 0;
    for round in 1..=ROUNDS {
        let (old, new) = (format!("state {state}"), format!("state {round}"));
        let edits = |case: &Case| {
            let files: Vec<_> = all
                .iter()
                .map(|name| json!({"path": case.path(name), "edits": [{"old_text": old, "new_text": new}]}))
                .collect();
            json!({"files": files})
        };
        work = killed_after(
            &home,
            work,
            u64::from(round) * 25_000,
            async |case: &Case| {
                case.edit(edits(case)).await;
            },
        )
        .await;
        drop(Daemon::start_in(&home, &[]));
        let read = |name: &String| fs::read_to_string(work.path().join(name)).expect("there");
        let now: Vec<_> = all.iter().map(read).collect();
        assert!(
            now.iter().all(|text| *text == now[0]),
            "round {round}: some were left behind"
        );
        assert!(
            [format!("{old}\n"), format!("{new}\n")].contains(&now[0]),
            "{}",
            now[0]
        );
        if now[0] == format!("{new}\n") {
            state = round;
        }
        assert_eq!(names(work.path()), all, "round {round}");
    }
}
