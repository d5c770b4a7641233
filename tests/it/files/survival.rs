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

/// What is sent to be unpacked: the same names as are there, and one more directory.
fn archive(names: &[String], content: &str) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |name: &str| {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let added = archive.append_data(&mut header, name, content.as_bytes());
        added.expect("packed");
    };
    for name in names {
        add(name);
    }
    add("more/file");
    archive.into_inner().expect("packed")
}

/// Comes back when a file is another than it was.
async fn replaced(path: std::path::PathBuf) {
    use std::os::unix::fs::MetadataExt;
    let number = |path: &std::path::Path| fs::metadata(path).map(|about| about.ino()).ok();
    let before = number(&path);
    let patience = std::time::Instant::now() + Duration::from_mins(1);
    // Nothing tells of it soon enough for the kill to come into the middle of what follows.
    let looking = tokio::task::spawn_blocking(move || {
        while number(&path) == before && std::time::Instant::now() < patience {
            std::thread::yield_now();
        }
    });
    looking.await.expect("looked");
}

#[tokio::test]
async fn an_archive_is_unpacked_whole_or_not_at_all() {
    const FILES: usize = 250;
    let home = Home::new();
    let mut work = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(work.path().join("into/below")).expect("made");
    let all: Vec<String> = (0..FILES)
        .map(|file| format!("f{file:03}"))
        .chain((0..FILES).map(|file| format!("below/f{file:03}")))
        .collect();
    for name in &all {
        fs::write(work.path().join("into").join(name), "state 0").expect("written");
    }
    let mut state = "state 0".to_owned();
    for round in 1..=ROUNDS {
        let next = format!("state {round}");
        let (sent, into) = (archive(&all, &next), work.path().join("into"));
        let case = Case {
            daemon: Daemon::start_in(&home, &[]),
            work,
        };
        // In the first round while it comes, in the last when nearly all of it is in place.
        let seen = into.join(&all[(round as usize - 1) * 2 * FILES / ROUNDS as usize]);
        let put = case.request(reqwest::Method::PUT, "archive", &into, "");
        tokio::select! {
            answer = put.body(sent).send() => assert_eq!(answer.expect("an answer").status(), 200),
            () = replaced(seen) => {}
        }
        case.daemon.signal(Signal::SIGKILL);
        let mut killed = case;
        killed.daemon.wait();
        work = killed.work;
        drop(Daemon::start_in(&home, &[]));
        let read = |name: &String| fs::read_to_string(into.join(name)).expect("there");
        let now: Vec<_> = all.iter().map(read).collect();
        assert!(
            now.iter().all(|text| *text == now[0]),
            "round {round}: some are of another state"
        );
        assert!([&state, &next].contains(&&now[0]), "{}", now[0]);
        state.clone_from(&now[0]);
        let mut due = vec!["below".to_owned()];
        due.extend(all[..FILES].iter().cloned());
        if state != "state 0" {
            due.push("more".to_owned());
        }
        assert_eq!(names(&into), due, "round {round}");
    }
}

/// What a directory holds: each file with its content.
fn contents(tree: &std::path::Path) -> std::collections::BTreeMap<String, Vec<u8>> {
    let read = |name: &String| (name.clone(), fs::read(tree.join(name)).expect("whole"));
    names(tree).iter().map(read).collect()
}

#[tokio::test]
async fn a_move_across_mounts_leaves_source_or_destination_whole() {
    let (home, work) = (Home::new(), tempfile::tempdir().expect("a directory"));
    let at = |side: &str| work.path().join(side);
    let mut mounts = Vec::new();
    for side in ["left", "right"] {
        fs::create_dir(at(side)).expect("made");
        let mount = format!("/{side}=host:{}", at(side).display());
        mounts.extend(["--mount".to_owned(), mount]);
    }
    let arguments: Vec<&str> = mounts.iter().map(String::as_str).collect();
    let tree = at("left").join("tree");
    fs::create_dir(&tree).expect("made");
    for number in 0..200 {
        let content = number.to_string().repeat(2000);
        fs::write(tree.join(format!("f{number:03}")), content).expect("written");
    }
    let whole = contents(&tree);
    let (mut from, mut to, mut arrived) = ("left", "right", 0);
    for round in 1..=ROUNDS * 2 {
        let mut daemon = Daemon::start_in(&home, &arguments);
        let body = json!({"from": format!("/{from}/tree"), "to": format!("/{to}/tree")});
        let moment = Duration::from_millis(u64::from(round) * 12);
        let asked = daemon.post("/api/v0/move", body);
        let _ = tokio::time::timeout(moment, asked).await;
        daemon.signal(Signal::SIGKILL);
        daemon.wait();
        // The next one finishes what counts and undoes what does not.
        drop(Daemon::start_in(&home, &arguments));
        let there = [from, to].map(|side| names(&at(side)));
        let moved = there[0].is_empty();
        let due = if moved {
            [vec![], vec!["tree".to_owned()]]
        } else {
            [vec!["tree".to_owned()], vec![]]
        };
        assert_eq!(there, due, "round {round}");
        let side = if moved { to } else { from };
        assert!(
            contents(&at(side).join("tree")) == whole,
            "round {round}: {side}"
        );
        if moved {
            (from, to) = (to, from);
            arrived += 1;
        }
    }
    assert!(
        arrived > 0 && arrived < ROUNDS * 2,
        "{arrived} arrived: kill at other moments"
    );
}
