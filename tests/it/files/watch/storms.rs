//! Storms: a tree that changes faster than anybody reads of it.

use std::{fs, path::Path};

use super::mirror::{Dice, Mirror, tree};
use crate::{files::helpers::ran, support::daemon::Daemon};

/// What agents, editors and version control do to a tree, in any order. What fails, fails.
fn storm(root: &Path, seed: u64, acts: u64) {
    let mut dice = Dice(seed);
    for act in 0..acts {
        let (one, other) = (dice.place(root), dice.place(root));
        let _ = match dice.roll(8) {
            0 | 1 => fs::create_dir_all(&one),
            2 | 3 => fs::write(&one, act.to_string()),
            4 => fs::create_dir_all(&one).and_then(|()| fs::write(one.join("inner"), "new")),
            5 | 6 => fs::rename(&one, &other),
            _ if one.is_dir() => fs::remove_dir_all(&one),
            _ => fs::remove_file(&one),
        };
    }
}

/// Nothing but renames of directories, of a tree that stays full.
fn whirl(root: &Path, seed: u64, acts: u64) {
    let mut dice = Dice(seed);
    for _ in 0..acts {
        let (one, other) = (dice.place(root), dice.place(root));
        let _ = fs::rename(&one, &other);
    }
}

async fn follow(mirror: &mut Mirror, work: impl FnOnce(&Path) + Send + 'static) {
    let root = mirror.root.clone();
    let work = tokio::task::spawn_blocking(move || {
        work(&root);
        fs::write(root.join("end"), "").expect("the root is there");
    });
    mirror.until("end").await;
    work.await.expect("the storm is over");
    mirror.agree().await;
    fs::remove_file(mirror.root.join("end")).expect("it is there");
    mirror.told.clear();
    mirror.agree().await;
    mirror.told.clear();
}

#[tokio::test]
async fn after_a_storm_the_records_have_led_to_the_tree_as_it_is() {
    let daemon = Daemon::start(&[]);
    for seed in 1..=6_u64 {
        let root = daemon.home().path().join(format!("storm{seed}"));
        fs::create_dir_all(root.join("n1/n2")).expect("a directory");
        let mut mirror = Mirror::start(&daemon, &root, "&ignore=false&coalesce_ms=20").await;
        follow(&mut mirror, move |root| {
            storm(root, seed * 0x9e37_79b9, 2000);
        })
        .await;
        assert_eq!(
            mirror.overflows,
            [] as [serde_json::Value; 0],
            "seed {seed}"
        );
    }
}

#[tokio::test]
async fn directories_that_only_change_places_are_followed() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("whirl");
    for path in ["n0/n1/n2", "n1/n3/n0", "n2/n0/n1", "n3/n2/n3"] {
        fs::create_dir_all(root.join(path)).expect("directories");
        fs::write(root.join(path).join("leaf"), path).expect("a file");
    }
    let mut mirror = Mirror::start(&daemon, &root, "&ignore=false&coalesce_ms=0").await;
    for seed in 1..=4_u64 {
        follow(&mut mirror, move |root| whirl(root, seed * 0x51_7cc1, 1500)).await;
    }
    assert_eq!(mirror.overflows, [] as [serde_json::Value; 0]);
    assert_eq!(
        tree(&root)
            .keys()
            .filter(|path| path.ends_with("leaf"))
            .count(),
        4
    );
}

#[tokio::test]
async fn more_than_the_kernel_keeps_is_said_and_then_known_again() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("flood");
    fs::create_dir_all(&root).expect("a directory");
    let mut mirror = Mirror::start(&daemon, &root, "&ignore=false").await;
    follow(&mut mirror, |root| {
        let storms: Vec<_> = (1..=4_u64)
            .map(|seed| {
                let root = root.to_owned();
                std::thread::Builder::new().spawn(move || storm(&root, seed * 0x1234_5677, 5000))
            })
            .collect();
        for storm in storms {
            storm.expect("a thread").join().expect("it ends");
        }
    })
    .await;
    for overflow in &mirror.overflows {
        assert!(
            overflow["reason"] == "kernel" || overflow["reason"] == "slow",
            "{overflow}"
        );
    }
}

#[tokio::test]
async fn a_checkout_is_followed_to_and_fro() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("repo");
    fs::create_dir(&root).expect("a directory");
    let at = root.to_str().expect("text").to_owned();
    let git = move |args: &[&str]| {
        let who = [
            "-C",
            &at,
            "-c",
            "user.name=a",
            "-c",
            "user.email=a@b",
            "-c",
            "gc.auto=0",
        ];
        assert!(ran("git", &[&who, args].concat()), "git {args:?}");
    };
    git(&["init", "-q", "-b", "one"]);
    for index in 0..120 {
        let directory = root.join(format!("d{}/e{}", index % 12, index % 5));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join(format!("f{index}")), index.to_string()).expect("a file");
    }
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "one"]);
    git(&["checkout", "-q", "-b", "two"]);
    for index in 0..6 {
        fs::remove_dir_all(root.join(format!("d{index}"))).expect("removed");
        fs::rename(
            root.join(format!("d{}", index + 6)),
            root.join(format!("n{index}")),
        )
        .expect("renamed");
        fs::write(root.join(format!("d{index}")), "a file now").expect("a file");
    }
    git(&["add", "-A", "."]);
    git(&["commit", "-q", "-m", "two"]);
    let mut mirror = Mirror::start(&daemon, &root, "&ignore=false").await;
    for branch in ["one", "two", "one", "two", "one"] {
        let git = git.clone();
        follow(&mut mirror, move |_| git(&["checkout", "-q", branch])).await;
    }
    assert_eq!(mirror.overflows, [] as [serde_json::Value; 0]);
}

#[tokio::test]
async fn what_appears_in_a_directory_before_it_is_watched_is_told() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("race");
    fs::create_dir(&root).expect("a directory");
    let mut mirror = Mirror::start(&daemon, &root, "&coalesce_ms=0").await;
    follow(&mut mirror, |root| {
        for index in 0..300 {
            let deep = root.join(format!("a{index}/b/c"));
            fs::create_dir_all(&deep).expect("directories");
            fs::write(deep.join("leaf"), "x").expect("a file");
        }
    })
    .await;
    assert_eq!(mirror.known.len(), 300 * 4);
    assert_eq!(mirror.overflows, [] as [serde_json::Value; 0]);
}

#[tokio::test]
async fn a_tree_that_is_copied_moved_and_deleted_is_told_exactly() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("whole");
    for index in 0..1500 {
        let directory = root.join(format!("t/d{}/e{}", index % 30, index % 7));
        fs::create_dir_all(&directory).expect("directories");
        fs::write(directory.join(format!("f{index}")), "x").expect("a file");
    }
    let mut mirror = Mirror::start(&daemon, &root, "").await;
    let at = |name: &str| root.join(name).to_str().expect("text").to_owned();
    let (from, copy, to) = (at("t"), at("u"), at("v"));
    assert!(ran("cp", &["-r", &from, &copy]));
    mirror.agree().await;
    assert!(!mirror.told().is_empty());
    assert!(ran("mv", &[&copy, &to]));
    mirror.agree().await;
    assert_eq!(mirror.told(), ["rename u > v"]);
    // Watched on under the new name.
    fs::write(root.join("v/d1/e1/new"), "x").expect("a file");
    mirror.until("v/d1/e1/new").await;
    assert_eq!(mirror.told(), ["create v/d1/e1/new"]);
    assert!(ran("rm", &["-r", &to]));
    mirror.agree().await;
    assert_eq!(mirror.overflows, [] as [serde_json::Value; 0]);

    assert!(ran("rm", &["-r", root.to_str().expect("text")]));
    let code = loop {
        match super::mirror::next(&mut mirror.socket).await {
            Ok(message) => {
                let gone = |event: &serde_json::Value| {
                    event["type"] == "remove" && event["path"] == root.to_str().expect("text")
                };
                if message["events"]
                    .as_array()
                    .expect("events")
                    .iter()
                    .any(gone)
                {
                    mirror.known.clear();
                }
            }
            Err(code) => break code,
        }
    };
    assert_eq!((code, mirror.known.len()), (1000, 0));
    let again = daemon.get(&super::mirror::route(&root, "")).await;
    assert_eq!(again.status(), 404);
}
