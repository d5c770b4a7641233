//! What is no plain file, what may not be read, and what would run a program.

use std::{fs, os::unix::fs::FileTypeExt};

use sha2::Digest;

use super::{Repo, Status, agrees, files, guard, owners, scan, snapshot, text};
use crate::git::{Extent, GitError, OpenError, Order, Owners, Scan, locate};

fn with_submodule() -> (Repo, Repo) {
    let inner = Repo::with(&[("x", "x\n")]);
    let repo = Repo::with(&[("a", "a\n")]);
    let source = inner.path();
    repo.git(&[
        "submodule",
        "--quiet",
        "add",
        source.to_str().expect("UTF-8"),
        "sub",
    ]);
    repo.commit();
    (repo, inner)
}

#[test]
fn submodules_are_their_commits() {
    let (repo, _inner) = with_submodule();
    agrees(&repo);
    repo.write("sub/x", "changed\n");
    let dirty = agrees(&repo);
    assert!(text(&dirty.diff).contains("-dirty"));
    repo.git(&["-C", "sub", "commit", "-qam", "x"]);
    agrees(&repo);
    repo.write("sub/x", "again\n");
    agrees(&repo);
    // Untracked files in it do not count.
    repo.git(&["-C", "sub", "checkout", "-q", "--force", "HEAD~0"]);
    repo.write("sub/untracked", "y\n");
    agrees(&repo);
    assert_eq!(
        locate(&repo.at("sub/deep/er")).expect("read"),
        Some(repo.at("sub"))
    );
}

#[test]
fn nested_repositories_are_not_entered() {
    let repo = Repo::with(&[("a", "a\n")]);
    repo.write("nested/x", "x\n");
    repo.git(&["init", "-q", "nested"]);
    repo.write("plain/x", "x\n");
    let snapshot = agrees(&repo);
    assert_eq!(files(&snapshot).len(), 1);
    assert_eq!(
        locate(&repo.at("nested/none/x")).expect("read"),
        Some(repo.at("nested"))
    );
}

#[test]
fn pipes_are_never_opened() {
    let repo = Repo::with(&[("a", "a\n"), ("b", "b\n")]);
    let pipe = |path: &str| {
        let file = repo.at(path);
        let _ = fs::remove_file(&file);
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).expect("a FIFO");
        assert!(
            fs::symlink_metadata(&file)
                .expect("made")
                .file_type()
                .is_fifo()
        );
    };
    pipe("b");
    pipe("new");
    pipe(".gitignore");
    pipe(".gitattributes");
    let snapshot = snapshot(&repo);
    assert_eq!(
        files(&snapshot),
        [("b".to_owned(), Status::Deleted, false, true)]
    );
}

#[test]
fn large_files_are_stubs() {
    let repo = Repo::with(&[("a", "a\n")]);
    fs::File::create(repo.at("large"))
        .and_then(|file| file.set_len(20 << 20))
        .expect("made");
    repo.write("a", "x".repeat(1 << 20));
    repo.write("half", "y\n".repeat(256 << 10));
    let snapshot = snapshot(&repo);
    let text = text(&snapshot.diff);
    assert!(
        snapshot.truncated && text.contains("File diff not shown: the file is too large, 20.0 MiB")
    );
    assert!(text.contains(&"x".repeat(1 << 20)) && text.matches("+y\n").count() == 256 << 10);
    assert!(!text.contains('\0'));
}

#[test]
fn too_much_is_one_line_and_the_files() {
    let repo = Repo::with(&[]);
    for number in 0..100 {
        repo.write(
            format!("f{number:03}"),
            format!("{number:050}\n").repeat(1000),
        );
    }
    let before = snapshot(&repo);
    assert!(
        text(&before.diff).starts_with("Total diff too large to show: 5."),
        "{}",
        text(&before.diff)
    );
    assert_eq!(
        (
            before.files.len(),
            before.standing.branch.as_str(),
            before.truncated
        ),
        (100, "main", true)
    );
    assert_eq!(before.files[0].lines, Some((1000, 0)));
    // What the line hides counts.
    repo.write("f050", format!("{:050}\n", 51).repeat(1000));
    assert_ne!(before.fingerprint, snapshot(&repo).fingerprint);
}

#[test]
fn one_large_log_beside_small_changes_is_the_only_stub() {
    let repo = Repo::with(&[("a", "a\n")]);
    repo.write("a", "b\n");
    repo.write("log", "a line of the log\n".repeat(300_000));
    repo.write("z", "z\n");
    let snapshot = snapshot(&repo);
    let text = text(&snapshot.diff);
    assert_eq!(text.matches("File diff not shown").count(), 1);
    assert!(text.contains("+b\n") && text.contains("+z\n") && !text.contains("+a line"));
}

#[test]
fn filters_are_not_run() {
    let repo = Repo::with(&[
        ("a.f", "a\n"),
        ("same.f", "s\n"),
        (".gitattributes", "*.f filter=canary\n"),
    ]);
    let canary = repo.beside("canary");
    let program = format!("touch {} && cat", canary.display());
    for key in [
        "filter.canary.clean",
        "filter.canary.smudge",
        "filter.canary.process",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
        "diff.canary.textconv",
        "diff.canary.command",
        "core.sshCommand",
        "credential.helper",
    ] {
        repo.git(&["config", key, &program]);
    }
    repo.write(
        ".git/hooks/post-index-change",
        format!("#!/bin/sh\n{program}\n"),
    );
    repo.mode(".git/hooks/post-index-change", 0o755);
    repo.write(".gitattributes", "*.f filter=canary diff=canary\n");
    repo.write("a.f", "changed\n");
    let text = text(&snapshot(&repo).diff);
    assert!(
        text.contains("diff --git a/a.f b/a.f\nFile diff not shown: a filter"),
        "{text}"
    );
    assert!(!text.contains("same.f") && !canary.exists());
}

#[test]
fn pointers_of_lfs_are_compared_without_it() {
    let content = "the large content\n";
    let repo = Repo::with(&[(".gitattributes", "*.big filter=lfs -text\n")]);
    let digest = sha2::Sha256::digest(content);
    let digest: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let digest = digest.concat();
    let pointer = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {}\n",
        content.len()
    );
    repo.write("x.big", &pointer);
    repo.commit();
    repo.git(&["config", "filter.lfs.clean", "false"]);
    repo.write("x.big", content);
    assert!(snapshot(&repo).diff.is_empty());
    repo.write("x.big", "another content\n");
    assert!(text(&snapshot(&repo).diff).contains("File diff not shown: a filter"));
}

#[test]
fn damage_is_told_and_names_the_part() {
    let part = |repo: &Repo| match scan(repo).run(&Extent::Full, &Order::default(), &guard()) {
        Err(GitError::Unreadable { part, .. }) => part,
        other => panic!("{other:?}"),
    };
    let repo = Repo::with(&[("a", "a\n")]);
    let head = fs::read(repo.at(".git/HEAD")).expect("HEAD");
    repo.write(".git/HEAD", "nonsense\n");
    assert_eq!(part(&repo), "HEAD");
    repo.write(".git/HEAD", "ref: refs/heads/../../../../etc/passwd\n");
    assert_eq!(part(&repo), "HEAD");
    repo.write(".git/HEAD", &head);
    let index = fs::read(repo.at(".git/index")).expect("an index");
    for length in [0, 3, 12, 40, index.len() - 30] {
        repo.write(".git/index", &index[..length]);
        assert_eq!(part(&repo), "index");
    }
    repo.write(".git/index", &index);
    let config = fs::read(repo.at(".git/config")).expect("a configuration");
    repo.write(".git/config", "[secret content\n");
    assert_eq!(part(&repo), "configuration");
    repo.write(".git/config", &config);
    agrees(&repo);
}

#[test]
fn linked_work_trees_are_repositories_of_their_own() {
    let repo = Repo::with(&[("a", "a\n")]);
    let other = repo.beside("linked");
    repo.git(&[
        "worktree",
        "add",
        "-q",
        "-b",
        "side",
        other.to_str().expect("UTF-8"),
    ]);
    let other = other.canonicalize().expect("made");
    fs::write(other.join("a"), "changed\n").expect("written");
    assert_eq!(
        locate(&other.join("x/y")).expect("read"),
        Some(other.clone())
    );
    let mut scan = Scan::new(&other, &owners());
    let snapshot = scan
        .run(&Extent::Full, &Order::default(), &guard())
        .expect("a scan");
    assert_eq!(
        (snapshot.standing.branch.as_str(), snapshot.files.len()),
        ("side", 1)
    );
}

#[test]
fn who_owns_it_and_where_its_files_lie_is_checked() {
    let repo = Repo::with(&[("a", "a\n")]);
    let refused = |owners: &Owners| match Scan::new(&repo.path(), owners).run(
        &Extent::Full,
        &Order::default(),
        &guard(),
    ) {
        Err(GitError::Open(error)) => error,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        refused(&Owners::default()),
        OpenError::UnsafeOwner { .. }
    ));
    repo.git(&["config", "core.worktree", "/etc"]);
    assert!(matches!(
        refused(&owners()),
        OpenError::WorktreeElsewhere { .. }
    ));
    repo.git(&["config", "core.worktree", ".."]);
    agrees(&repo);
}

#[test]
fn paths_lead_to_the_nearest_repository() {
    let repo = Repo::with(&[("d/a", "a\n")]);
    let root = Some(repo.path());
    assert_eq!(locate(&repo.at("d/a")).expect("read"), root);
    assert_eq!(locate(&repo.at("d/none/../../x/y")).expect("read"), root);
    assert_eq!(locate(&repo.at(".git/refs")).expect("read"), None);
    assert_eq!(locate(&repo.beside("none")).expect("read"), None);
    let link = repo.beside("link");
    std::os::unix::fs::symlink(repo.path(), &link).expect("a link");
    assert_eq!(locate(&link.join("d")).expect("read"), root);
    let bare = repo.beside("bare");
    repo.git(&["init", "-q", "--bare", bare.to_str().expect("UTF-8")]);
    assert_eq!(locate(&bare.join("objects")).expect("read"), None);
}

#[test]
fn includes_only_add_settings() {
    let repo = Repo::with(&[("a", "a\n")]);
    let secret = repo.beside("secret");
    fs::write(&secret, "root:SECRET:0:0\n[user]\nname = x\n").expect("written");
    let fifo = repo.beside("fifo");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, 0o600.into()).expect("a FIFO");
    let more = repo.beside("more");
    fs::write(&more, "[core]\nfileMode = false\n[include]\npath = more\n").expect("written");
    let mut config = text(&fs::read(repo.at(".git/config")).expect("a configuration"));
    for path in [&secret, &fifo, &more] {
        config = format!("{config}[include]\npath = {}\n", path.display());
    }
    repo.write(".git/config", config);
    repo.mode("a", 0o755);
    assert!(snapshot(&repo).diff.is_empty());
}

#[test]
fn the_index_is_never_written() {
    let repo = Repo::with(&[("a", "a\n")]);
    repo.write("a", "a\n");
    let before = (
        fs::read(repo.at(".git/index")).expect("read"),
        fs::metadata(repo.at(".git/index"))
            .expect("there")
            .modified()
            .expect("a time"),
    );
    let mut scan = scan(&repo);
    for _ in 0..50 {
        scan.run(&Extent::Full, &Order::default(), &guard())
            .expect("a scan");
    }
    let after = (
        fs::read(repo.at(".git/index")).expect("read"),
        fs::metadata(repo.at(".git/index"))
            .expect("there")
            .modified()
            .expect("a time"),
    );
    assert!(before == after);
    let left: Vec<_> = fs::read_dir(repo.at(".git"))
        .expect("read")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(
        !left
            .iter()
            .any(|name| name.to_string_lossy().ends_with(".lock"))
    );
}

#[test]
fn urls_and_upstreams_are_told() {
    let repo = Repo::with(&[("a", "a\n")]);
    repo.git(&[
        "remote",
        "add",
        "origin",
        "https://user:secret@example.com/x.git",
    ]);
    repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD"]);
    repo.git(&["config", "branch.main.remote", "origin"]);
    repo.git(&["config", "branch.main.merge", "refs/heads/main"]);
    repo.commit();
    repo.commit();
    repo.git(&["branch", "-q", "theirs", "origin/main"]);
    let standing = snapshot(&repo).standing;
    assert_eq!(
        standing.remote_origin.as_deref(),
        Some("https://example.com/x.git")
    );
    assert_eq!(
        (standing.upstream.as_deref(), standing.ahead_behind),
        (Some("origin/main"), Some((2, 0)))
    );
    repo.git(&["reset", "-q", "--hard", "HEAD~2"]);
    repo.write("b", "b\n");
    repo.commit();
    repo.git(&["update-ref", "refs/remotes/origin/main", "HEAD@{2}"]);
    let (ahead, behind) = snapshot(&repo).standing.ahead_behind.expect("counted");
    let counts = text(&repo.git(&["rev-list", "--left-right", "--count", "HEAD...origin/main"]));
    assert_eq!(counts.trim(), format!("{ahead}\t{behind}"));
    repo.git(&["pack-refs", "--all"]);
    assert_eq!(snapshot(&repo).standing.ahead_behind, Some((ahead, behind)));
}
