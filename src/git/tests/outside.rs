//! Formats that are read by the git program: what it says of them through our git directory, beside what it says by itself.

use std::{fs, os::unix::fs::MetadataExt, path::Path, time::Duration};

use super::{agree, files, guard, owners, repo::Repo, text};
use crate::git::{Extent, GitError, Guard, OpenError, Order, Program, Scan, Snapshot, Status};

const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Scans on a thread that may block, as the daemon does.
fn run(repo: &Repo, order: Order, guard: Guard) -> Result<Snapshot, GitError> {
    let scratch = tempfile::tempdir().expect("a directory");
    let program = Program::new(PATH, scratch.path().join("git"));
    let mut scan = Scan::new(&repo.path(), &owners()).with_program(Some(&program));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let scanned = runtime.expect("a runtime").block_on(async {
        let work = tokio::task::spawn_blocking(move || scan.run(&Extent::Full, &order, &guard));
        work.await.expect("no panic")
    });
    let left = fs::read_dir(scratch.path().join("git")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "a directory of ours is left");
    scanned
}

fn snapshot(repo: &Repo) -> Snapshot {
    run(repo, Order::default(), guard()).expect("a scan")
}

#[track_caller]
fn agrees(repo: &Repo) -> Snapshot {
    agree(repo, snapshot(repo))
}

fn sha256() -> Repo {
    Repo::of_format(&["--object-format=sha256"])
}

fn with(files: &[(&str, &str)]) -> Repo {
    let repo = sha256();
    for (path, content) in files {
        repo.write(path, content);
    }
    repo.commit();
    repo
}

/// A repository with every kind of change.
fn changed() -> Repo {
    let lines = "one of many lines\n".repeat(40);
    let repo = with(&[
        ("changed", "a\nb\n"),
        ("gone", "g\n"),
        ("old name", &lines),
        ("becomes a link", "l\n"),
        ("mode", "m\n"),
        ("d/e\"f\\\tä", "x\n"),
        ("untracked later", "u\n"),
        ("staged and back", "s\n"),
        (".gitignore", "*.o\n"),
    ]);
    agrees(&repo);
    repo.write("changed", "a\nc\nno newline");
    repo.remove("gone");
    repo.git(&["mv", "old name", "new name"]);
    repo.write("new name", format!("{lines}one more\n"));
    repo.remove("becomes a link");
    repo.link("becomes a link", "changed");
    repo.mode("mode", 0o755);
    repo.write("d/e\"f\\\tä", "y\n");
    repo.git(&["rm", "-q", "--cached", "untracked later"]);
    repo.write("staged and back", "t\n");
    repo.git(&["add", "staged and back"]);
    repo.write("staged and back", "s\n");
    repo.write("added", "new\n");
    repo.git(&["add", "added"]);
    repo.write("intended", "i\n");
    repo.git(&["add", "-N", "intended"]);
    repo.write("binary", b"a\0b");
    repo.write("sub/un\ntracked", "u\n");
    repo.write(b"\xff", "bytes\n");
    repo.write("empty", "");
    repo.write("ignored.o", "o\n");
    repo.link("link", "nowhere");
    repo
}

#[test]
fn every_kind_of_change_is_told_as_git_tells_it() {
    let repo = changed();
    let told = agrees(&repo);
    assert_eq!(told.standing.branch, "main");
    assert_eq!(
        told.standing.head.as_deref().map(str::len),
        Some(64),
        "{:?}",
        told.standing
    );
    let status = |path: &str| {
        let all = files(&told);
        let found = all.iter().filter(|(name, ..)| name == path);
        found
            .map(|(_, status, staged, unstaged)| (*status, *staged, *unstaged))
            .collect::<Vec<_>>()
    };
    assert_eq!(status("changed"), [(Status::Modified, false, true)]);
    assert_eq!(status("gone"), [(Status::Deleted, false, true)]);
    assert_eq!(status("new name")[0].0, Status::Renamed);
    assert_eq!(
        status("becomes a link"),
        [(Status::TypeChanged, false, true)]
    );
    assert_eq!(status("added"), [(Status::Added, true, false)]);
    assert_eq!(status("staged and back"), [(Status::Modified, true, true)]);
    assert_eq!(
        status("sub/un\ntracked"),
        [(Status::Untracked, false, true)]
    );
    let later = status("untracked later");
    assert_eq!(later.len(), 2, "its removal, and the file: {later:?}");
    assert!(status("ignored.o").is_empty());
    let counts = told
        .files
        .iter()
        .find(|file| file.path == b"changed")
        .expect("it is there");
    assert_eq!((counts.lines, counts.binary), (Some((2, 1)), false));
    let binary = told
        .files
        .iter()
        .find(|file| file.path == b"binary")
        .expect("it is there");
    assert_eq!((binary.lines, binary.binary), (None, true));
}

#[test]
fn before_the_first_commit_all_is_new() {
    let repo = sha256();
    agrees(&repo);
    repo.write("a", "a\n");
    repo.write("b", "b\n");
    repo.git(&["add", "a"]);
    let told = agrees(&repo);
    assert_eq!(told.standing.head, None);
    let due = [
        ("a", Status::Added, true, false),
        ("b", Status::Untracked, false, true),
    ];
    assert_eq!(
        files(&told),
        due.map(|(path, status, staged, unstaged)| (path.to_owned(), status, staged, unstaged))
    );
    assert_eq!(text(&told.diff).matches("new file mode").count(), 2);
}

#[test]
fn a_conflict_is_the_work_tree_beside_head() {
    let repo = with(&[("a", "base\n"), ("b", "b\n")]);
    repo.conflict("a", "HEAD");
    let told = snapshot(&repo);
    assert_eq!(
        files(&told),
        [("a".to_owned(), Status::Conflicted, true, true)]
    );
    let diff = text(&told.diff);
    assert!(
        diff.contains("+<<<<<<<") && diff.contains("+theirs") && diff.contains("\n ours\n"),
        "{diff}"
    );
    assert_eq!(told.standing.operation, Some(crate::git::Operation::Merge));
}

#[test]
fn a_large_conflict_is_a_stub() {
    let repo = with(&[("a", "base\n")]);
    repo.conflict("a", "HEAD");
    fs::File::create(repo.at("a"))
        .and_then(|file| file.set_len(1 << 40))
        .expect("a sparse file");
    let told = snapshot(&repo);
    assert_eq!(
        files(&told),
        [("a".to_owned(), Status::Conflicted, true, true)]
    );
    let diff = text(&told.diff);
    assert!(
        diff.starts_with("diff --git a/a b/a\nFile diff not shown: ") && diff.lines().count() == 2,
        "{diff}"
    );
}

#[test]
fn where_a_branch_stands_is_counted() {
    let repo = with(&[("a", "1\n")]);
    let copy = repo.beside("copy");
    repo.git(&["clone", "-q", ".", copy.to_str().expect("UTF-8")]);
    let copy = repo.neighbour("copy");
    copy.write("a", "2\n");
    copy.commit();
    copy.git(&[
        "remote",
        "set-url",
        "origin",
        "https://user:secret@example.com/x",
    ]);
    let standing = snapshot(&copy).standing;
    assert_eq!(standing.upstream.as_deref(), Some("origin/main"));
    assert_eq!(standing.ahead_behind, Some((1, 0)));
    assert_eq!(
        standing.remote_origin.as_deref(),
        Some("https://example.com/x")
    );
}

#[test]
fn what_is_asked_for_is_what_is_told() {
    let repo = with(&[("a", "a\n"), ("d/b", "b\n"), ("[x]", "x\n")]);
    for path in ["a", "d/b", "[x]"] {
        repo.write(path, "changed\n");
    }
    repo.write("d/new", "n\n");
    repo.git(&["add", "a"]);
    let ask = |order: Order| run(&repo, order, guard()).expect("a scan");
    let staged = ask(Order {
        staged: true,
        ..Order::default()
    });
    assert_eq!(
        files(&staged),
        [("a".to_owned(), Status::Modified, true, false)]
    );
    let below = ask(Order {
        only: vec![b"d".to_vec()],
        ..Order::default()
    });
    let names: Vec<_> = files(&below).into_iter().map(|file| file.0).collect();
    assert_eq!(names, ["d/b", "d/new"]);
    let literal = ask(Order {
        only: vec![b"[x]".to_vec()],
        ..Order::default()
    });
    assert_eq!(files(&literal).len(), 1);
    let tracked = ask(Order {
        untracked: false,
        ..Order::default()
    });
    assert_eq!(files(&tracked).len(), 3);
    let few = ask(Order {
        most_files: 2,
        ..Order::default()
    });
    assert!(few.truncated && few.files.len() == 2);
}

#[test]
fn sizes_have_the_limits_of_every_diff() {
    let repo = with(&[("large", "l\n"), ("log", "l\n"), ("small", "s\n")]);
    repo.write("large", vec![b'x'; 2 << 20]);
    repo.write("log", "line of a log\n".repeat(40_000));
    repo.write("small", "t\n");
    repo.write("new", vec![b'x'; 2 << 20]);
    let order = Order {
        most_bytes: 1 << 20,
        limit: 300_000,
        ..Order::default()
    };
    let told = run(&repo, order.clone(), guard()).expect("a scan");
    let diff = text(&told.diff);
    assert!(told.truncated && diff.contains("+t\n"), "{diff}");
    for (path, why) in [
        ("large", "large, 2.0 MiB"),
        ("new", "large, 2.0 MiB"),
        ("log", "beside the others"),
    ] {
        let part = diff
            .split("diff --git ")
            .find(|part| part.starts_with(&format!("a/{path} ")));
        let part = part.expect("a part");
        assert!(
            part.contains("File diff not shown: ") && part.contains(why),
            "{part}"
        );
    }
    // What the stub does not show counts as a change.
    let before = told.fingerprint;
    repo.write("large", vec![b'y'; 2 << 20]);
    let again = run(&repo, order.clone(), guard()).expect("a scan");
    assert!(again.diff == told.diff && again.fingerprint != before);
    let whole = Order {
        whole: true,
        ..order
    };
    assert!(matches!(
        run(&repo, whole, guard()),
        Err(GitError::DiffTooLarge { .. })
    ));
}

/// Everything below a directory: path, inode, size, times.
fn state(directory: &Path) -> Vec<(String, u64, u64, i64, i64)> {
    let mut all = Vec::new();
    let mut due = vec![directory.to_owned()];
    while let Some(directory) = due.pop() {
        for entry in fs::read_dir(directory).expect("read").flatten() {
            let found = entry.metadata().expect("there");
            let path = entry.path();
            all.push((
                path.display().to_string(),
                found.ino(),
                found.len(),
                found.mtime_nsec(),
                found.ctime_nsec(),
            ));
            if found.is_dir() {
                due.push(path);
            }
        }
    }
    all.sort();
    all
}

#[test]
fn nothing_of_the_repository_is_changed() {
    let repo = with(&[("a", "a\n"), ("b", "b\n")]);
    repo.write("a", "changed\n");
    // The content is that of the index, the time is not: git would note that in the index.
    repo.write("b", "b\n");
    repo.write("new", "n\n");
    let before = state(&repo.path());
    for _ in 0..3 {
        agrees(&repo);
    }
    assert_eq!(state(&repo.path()), before);
}

#[test]
fn reftables_are_read_where_the_program_can() {
    let can = Repo::new()
        .try_git(&["init", "-q", "--ref-format=reftable", "../tables"])
        .0;
    if !can {
        // Of such a git nothing is to be had.
        let repo = with(&[("a", "a\n")]);
        repo.git(&["config", "extensions.refStorage", "reftable"]);
        let refused = run(&repo, Order::default(), guard());
        assert!(matches!(
            refused,
            Err(GitError::Open(OpenError::Unsupported { .. }))
        ));
        return;
    }
    let repo = Repo::of_format(&["--ref-format=reftable"]);
    repo.write("a", "a\n");
    repo.commit();
    repo.write("a", "b\n");
    repo.write("new", "n\n");
    let told = agrees(&repo);
    assert_eq!(told.standing.branch, "main");
    repo.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
    let refused = run(&repo.neighbour("side"), Order::default(), guard());
    assert!(matches!(
        refused,
        Err(GitError::Open(OpenError::Unsupported { .. }))
    ));
}

#[test]
fn linked_work_trees_are_read() {
    let repo = with(&[("a", "a\n")]);
    repo.git(&["worktree", "add", "-q", "-b", "side", "../side"]);
    let side = repo.neighbour("side");
    side.write("a", "beside\n");
    assert_eq!(agrees(&side).standing.branch, "side");
    assert!(agrees(&repo).diff.is_empty());
}

#[test]
fn without_the_program_the_format_is_refused() {
    let repo = with(&[("a", "a\n")]);
    let scratch = tempfile::tempdir().expect("a directory");
    let program = Program::new("/nonexistent", scratch.path().join("git"));
    let mut scan = Scan::new(&repo.path(), &owners()).with_program(Some(&program));
    let refused = scan.run(&Extent::Full, &Order::default(), &guard());
    let Err(GitError::Open(error @ OpenError::Unsupported { .. })) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().contains("other ids than SHA-1"));
}

/// The children of this process that are git, by their state.
fn gits() -> usize {
    let us = std::process::id().to_string();
    let all = fs::read_dir("/proc").expect("read").flatten();
    let is_ours = |stat: &String| {
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        stat.contains("(git)") && rest.split_ascii_whitespace().nth(1) == Some(&us)
    };
    let stats = all.filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok());
    stats.filter(is_ours).count()
}

#[test]
fn a_program_that_waits_is_killed_when_the_time_is_up() {
    let repo = with(&[("a", "a\n")]);
    rustix::fs::mkfifoat(rustix::fs::CWD, repo.at(".gitattributes"), 0o600.into()).expect("a FIFO");
    repo.write("a", "changed\n");
    let (guard, wanted) = Guard::new(Duration::from_millis(700));
    let refused = run(&repo, Order::default(), guard);
    drop(wanted);
    match refused {
        Err(GitError::TimedOut) => {}
        // A git that looks before it opens does not wait.
        Ok(told) => assert!(text(&told.diff).contains("+changed")),
        Err(other) => panic!("{other:?}"),
    }
    assert_eq!(gits(), 0);
    let (guard, wanted) = Guard::new(Duration::from_mins(1));
    drop(wanted);
    assert!(matches!(
        run(&repo, Order::default(), guard),
        Err(GitError::Cancelled)
    ));
}
