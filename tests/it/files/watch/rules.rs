//! Which entries are told of: gitignore and globs, and what changes its place between the chosen and the others.

use std::{fs, path::Path};

use serde_json::Value;

use super::mirror::Mirror;
use crate::support::daemon::Daemon;

async fn told(mirror: &mut Mirror, mark: &str, work: impl FnOnce(&Path)) -> Vec<String> {
    work(&mirror.root);
    fs::write(mirror.root.join(mark), "").expect("a file");
    mirror.until(mark).await;
    let mut told = mirror.told();
    told.retain(|line| !line.ends_with(mark));
    told
}

#[tokio::test]
async fn ignored_files_are_not_told_and_globs_choose() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("ruled");
    fs::create_dir_all(root.join("out")).expect("a directory");
    fs::create_dir_all(root.join(".git")).expect("a directory");
    fs::write(root.join(".gitignore"), "out/\n*.log\n").expect("written");
    let mut mirror = Mirror::start(&daemon, &root, "&coalesce_ms=0&glob=*.rs&glob=*.log").await;
    let lines = told(&mut mirror, "mark.rs", |root| {
        for name in ["out/a.rs", "b.log", "c.txt", ".git/d.rs", "e.rs"] {
            fs::write(root.join(name), "x").expect("written");
        }
    })
    .await;
    assert!(
        lines.iter().all(|line| line.ends_with(" e.rs")) && !lines.is_empty(),
        "{lines:?}"
    );
}

#[tokio::test]
async fn what_moves_into_view_comes_with_all_that_is_in_it() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("view");
    fs::create_dir_all(root.join("out/lib/deep")).expect("directories");
    fs::write(root.join("out/lib/deep/f"), "").expect("a file");
    fs::write(root.join("out/lib/x.log"), "").expect("a file");
    fs::write(root.join(".gitignore"), "/out/\n*.log\n").expect("written");
    let mut mirror = Mirror::start(&daemon, &root, "").await;
    let lines = told(&mut mirror, "one", |root| {
        fs::rename(root.join("out/lib"), root.join("lib")).expect("renamed");
    })
    .await;
    assert_eq!(
        lines,
        ["create lib", "create lib/deep", "create lib/deep/f"]
    );
    let lines = told(&mut mirror, "two", |root| {
        fs::rename(root.join("lib"), root.join("src")).expect("renamed");
    })
    .await;
    assert_eq!(lines, ["rename lib > src"]);
    let lines = told(&mut mirror, "three", |root| {
        fs::rename(root.join("src"), root.join("out/src")).expect("renamed");
    })
    .await;
    assert_eq!(lines, ["remove src"]);
    assert_eq!(mirror.overflows, [] as [Value; 0]);
}

#[tokio::test]
async fn other_rules_have_the_directory_listed_again() {
    let daemon = Daemon::start(&[]);
    let root = daemon.home().path().join("changed");
    fs::create_dir_all(root.join("sub")).expect("directories");
    fs::write(root.join("sub/x.log"), "").expect("a file");
    fs::write(root.join("sub/.gitignore"), "*.log\n").expect("written");
    let mut mirror = Mirror::start(&daemon, &root, "").await;
    fs::write(root.join("sub/.gitignore"), "*.tmp\n").expect("written");
    while mirror.overflows.is_empty() {
        mirror.take().await;
    }
    assert_eq!(mirror.overflows[0]["reason"], "rules");
    assert_eq!(
        mirror.overflows[0]["path"],
        root.join("sub").to_str().expect("text")
    );
    let lines = told(&mut mirror, "mark", |root| {
        fs::write(root.join("sub/y.log"), "").expect("a file");
        fs::write(root.join("sub/y.tmp"), "").expect("a file");
    })
    .await;
    let chosen = |line: &String| line.ends_with(" sub/y.log") || line.ends_with("gitignore");
    assert!(lines.iter().all(chosen) && !lines.is_empty(), "{lines:?}");
}
