//! How objects and indexes are stored: formats, deltas, and what is missing or no file.

use std::fs;

use super::{agrees, guard, repo::Repo, scan, snapshot, text};
use crate::git::{Extent, GitError, OpenError, Order, Status};

#[test]
fn long_chains_of_deltas_are_read() {
    const LONG: usize = 3000;
    let mut stream = String::new();
    let mut lines: Vec<String> = (0..50).map(|line| format!("line {line} of many")).collect();
    for number in 0..LONG {
        lines[number % 50] = format!("line {number} as it is now");
        let content = lines.join("\n");
        let commit = format!(
            "commit refs/heads/main\ncommitter A <a@example.com> {number} +0000\ndata 0\nM 100644 inline a\ndata {}\n{content}\n",
            content.len()
        );
        stream.push_str(&commit);
    }
    let repo = Repo::new();
    repo.import(&stream, &["--depth=4000"]);
    repo.git(&["reset", "-q", "--hard", "main"]);
    let id = text(repo.git(&["rev-parse", "HEAD:a"]).trim_ascii());
    let pack = fs::read_dir(repo.at(".git/objects/pack"))
        .expect("read")
        .flatten();
    let pack = pack
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|end| end == "idx"));
    let listed = text(&repo.git(&[
        "verify-pack",
        "-v",
        pack.expect("a pack").to_str().expect("UTF-8"),
    ]));
    let line = listed
        .lines()
        .find(|line| line.starts_with(&id))
        .expect("it is packed");
    let depth: usize = line
        .split_whitespace()
        .nth(5)
        .and_then(|depth| depth.parse().ok())
        .expect("a delta");
    assert!(depth > LONG / 2, "{line}");
    repo.write("a", "changed\n");
    agrees(&repo);
}

#[test]
fn missing_objects_are_stubs() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n")]);
    let id = text(repo.git(&["rev-parse", "HEAD:a"]).trim_ascii());
    repo.write("a", "changed\n");
    repo.write("b", "changed\n");
    fs::remove_file(repo.at(format!(".git/objects/{}/{}", &id[..2], &id[2..]))).expect("removed");
    let text = text(&snapshot(&repo).diff);
    assert!(
        text.contains("a/a b/a\nFile diff not shown: the object is not")
            && text.contains("+changed")
    );
}

#[test]
fn a_pipe_in_the_place_of_an_object_is_damage() {
    let repo = Repo::with(&[("a", "a\n")]);
    let id = text(repo.git(&["rev-parse", "HEAD:a"]).trim_ascii());
    let file = repo.at(format!(".git/objects/{}/{}", &id[..2], &id[2..]));
    fs::remove_file(&file).expect("removed");
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).expect("a FIFO");
    repo.write("a", "changed\n");
    let text = text(&snapshot(&repo).diff);
    assert!(text.contains("File diff not shown: the object is damaged"));
}

#[test]
fn sparse_indexes_are_read() {
    let repo = Repo::with(&[
        ("a", "a\n"),
        ("in/x", "x\n"),
        ("out/y", "y\n"),
        ("out/deep/z", "z\n"),
    ]);
    repo.git(&["sparse-checkout", "init", "--cone", "--sparse-index"]);
    repo.git(&["sparse-checkout", "set", "in"]);
    repo.write("in/x", "changed\n");
    repo.write("new", "n\n");
    agrees(&repo);
}

#[test]
fn split_indexes_are_read() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n"), ("c", "c\n"), ("d/e", "e\n")]);
    repo.git(&["update-index", "--split-index"]);
    agrees(&repo);
    repo.git(&["config", "splitIndex.maxPercentChange", "100"]);
    repo.write("b", "changed\n");
    repo.write("new", "new\n");
    repo.write("aa", "between\n");
    repo.git(&["add", "b", "new", "aa"]);
    repo.git(&["rm", "-q", "--cached", "c"]);
    repo.write("a", "not added\n");
    agrees(&repo);
    assert!(
        fs::read_dir(repo.at(".git"))
            .expect("read")
            .flatten()
            .any(|entry| entry
                .file_name()
                .to_string_lossy()
                .starts_with("sharedindex."))
    );
    repo.commit();
    repo.git(&["rm", "-q", "d/e"]);
    repo.git(&["checkout", "-q", "HEAD~1", "--", "c"]);
    agrees(&repo);
    // What was replaced by a conflict, which has several entries of one path.
    repo.commit();
    repo.conflict("b", "HEAD~1");
    let snapshot = snapshot(&repo);
    assert!(
        snapshot
            .files
            .iter()
            .any(|file| file.path == b"b" && file.status == Status::Conflicted)
    );
    // The shared file is gone, or another one.
    let shared = fs::read_dir(repo.at(".git")).expect("read").flatten();
    for entry in shared.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with("sharedindex.")
    }) {
        fs::remove_file(entry.path()).expect("removed");
    }
    assert!(
        scan(&repo)
            .run(&Extent::Full, &Order::default(), &guard())
            .is_err()
    );
}

#[test]
fn formats_are_read_or_refused() {
    let repo = Repo::with(&[("a", "a\n"), ("d/b", "b\n")]);
    repo.git(&["update-index", "--index-version", "4"]);
    repo.write("a", "x\n");
    agrees(&repo);
    repo.git(&["config", "core.repositoryFormatVersion", "1"]);
    repo.git(&["config", "extensions.partialClone", "origin"]);
    agrees(&repo);
    for (key, value) in [
        ("extensions.objectFormat", "sha256"),
        ("extensions.refStorage", "reftable"),
        ("extensions.unheardOf", "1"),
    ] {
        let config = fs::read(repo.at(".git/config")).expect("a configuration");
        let with = format!(
            "{}\n[extensions]\n{} = {value}\n",
            text(&config),
            key.split_once('.').expect("a key").1
        );
        repo.write(".git/config", with);
        let refused = scan(&repo).run(&Extent::Full, &Order::default(), &guard());
        assert!(
            matches!(refused, Err(GitError::Open(OpenError::Unsupported { .. }))),
            "{key}"
        );
        repo.write(".git/config", config);
    }
}
