//! The mounted commit beside what the git program shows of it.

mod hostile;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Config, Git, MountError};
use crate::{
    git::{OpenError, Owners},
    vfs::{
        entry::{EntryKind, Version},
        fault::{Fault, Kind},
        path::Name,
        provider::{
            Directory, Provider,
            conformance::{
                Node, Snapshot, name,
                repository::{COMMIT_TIME, Repo},
                snapshot, whole,
            },
        },
    },
};

const CONFIG: Config = Config {
    device: 1 << 63,
    owner: (1, 2),
};

fn file(bytes: impl AsRef<[u8]>) -> Node {
    Node::File {
        bytes: bytes.as_ref().to_vec(),
        executable: false,
    }
}

fn small() -> Snapshot {
    Snapshot::from([
        (b"a".to_vec(), file("alpha\n")),
        (b"dir".to_vec(), Node::Dir),
        (b"dir/b".to_vec(), file("beta\n")),
    ])
}

fn mount(repo: &Repo, revision: &str) -> Git {
    Git::open(CONFIG, &repo.path(), &repo.owners(), revision, &[]).expect("mount")
}

fn root(repo: &Repo) -> Arc<dyn Directory> {
    mount(repo, "HEAD").root().expect("open")
}

fn refused(path: &Path, owners: &Owners) -> OpenError {
    match Git::open(CONFIG, path, owners, "HEAD", &[]) {
        Err(MountError::Repository(error)) => error,
        other => panic!("{other:?}"),
    }
}

fn fault<T>(result: Result<T, Fault>) -> (Kind, String) {
    let fault = result.err().expect("refused");
    (fault.kind(), fault.detail().unwrap_or_default().to_owned())
}

/// Many versions of files, so that packs have chains of differences.
fn history(repo: &Repo) -> Vec<String> {
    let mut commits = Vec::new();
    for round in 0..12_usize {
        let mut tree = Snapshot::new();
        let line = |line: usize| {
            format!(
                "line {} of {line}
",
                (line * line) % (round + 3)
            )
        };
        let text = (0..4000).map(line).collect::<Vec<_>>().concat();
        tree.insert(b"changing".to_vec(), file(text));
        tree.insert(
            format!("new {round}").into(),
            file([0, 1, 255, round.to_le_bytes()[0]]),
        );
        tree.insert(
            b"name\n\xff".to_vec(),
            Node::File {
                bytes: vec![7; round * 100],
                executable: round % 2 == 1,
            },
        );
        if round == 0 {
            for directory in ["d", "d/e", "d.x", "d/e/f"] {
                tree.insert(directory.into(), Node::Dir);
            }
            tree.insert(b"link".to_vec(), Node::Link(b"../out/of \xfe".to_vec()));
            tree.insert(b"d/abs".to_vec(), Node::Link(b"/etc/hosts".to_vec()));
            tree.insert(b"d-x".to_vec(), file("between d and d/ in git's order"));
            tree.insert(
                b".gitattributes".to_vec(),
                file("* text eol=crlf export-ignore ident\n*.lfs filter=lfs\n"),
            );
            tree.insert(
                b"data.lfs".to_vec(),
                file("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"),
            );
        }
        tree.insert(b"d.x/$Id$".to_vec(), file(format!("$Id$ {round}\n")));
        tree.insert(b"d/e/f/deep".to_vec(), file(format!("{round}")));
        repo.commit(&tree, &format!("round {round}"));
        commits.push(repo.text(&["rev-parse", "HEAD"]));
    }
    commits
}

/// Compares a mount with what `git ls-tree` and `git show` print.
fn compare(repo: &Repo, mounted: &Git, commit: &str) {
    assert_eq!(mounted.commit().id.to_string(), commit);
    let root = mounted.root().expect("open");
    let found = snapshot(&root);
    let listed = repo.git(&["ls-tree", "-r", "-t", "-z", "-l", commit]);
    let records: Vec<_> = listed
        .split(|byte| *byte == 0)
        .filter(|record| !record.is_empty())
        .collect();
    assert_eq!(found.len(), records.len(), "as many entries as git has");
    for record in records {
        let tab = record
            .iter()
            .position(|byte| *byte == b'\t')
            .expect("a path follows a tab");
        let (head, path) = (
            str::from_utf8(&record[..tab]).expect("text"),
            &record[tab + 1..],
        );
        let [mode, kind, id, size] = head.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{head}");
        };
        let names: Vec<Name> = path.split(|byte| *byte == b'/').map(name).collect();
        let (last, above) = names.split_last().expect("a name");
        let entry = root
            .descend(above)
            .expect("descend")
            .0
            .lookup(last)
            .expect("there");
        assert_eq!(entry.version, Version::Object(id.into()));
        assert_eq!(
            (entry.mtime.seconds, entry.uid, entry.gid),
            (COMMIT_TIME, 1, 2)
        );
        assert!(
            kind == "tree" || entry.size.to_string() == size,
            "size of {head}"
        );
        match (&found[path], mode) {
            (Node::Dir, "040000") => {}
            (Node::Link(target), "120000") => assert_eq!(*target, repo.show(commit, path, id)),
            (Node::File { bytes, executable }, "100644" | "100755") => {
                assert!(*bytes == repo.show(commit, path, id), "content of {head}");
                assert_eq!(
                    (*executable, entry.mode),
                    (mode == "100755", if *executable { 0o755 } else { 0o644 })
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn every_file_of_a_history_equals_git_show() {
    let repo = Repo::new();
    let commits = history(&repo);
    let check = |path: PathBuf| {
        for commit in [&commits[0], &commits[5], &commits[11]] {
            let mounted = Git::open(CONFIG, &path, &repo.owners(), commit, &[]).expect("mount");
            compare(&repo, &mounted, commit);
        }
    };
    check(repo.path());
    repo.git(&["gc", "-q", "--aggressive", "--prune=now"]);
    assert!(
        !repo.object_file(&commits[0]).exists(),
        "objects are in packs"
    );
    check(repo.path().join(".git"));
    let bare = repo.directory.path().join("bare");
    repo.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("text")]);
    check(bare);
    let linked = repo.directory.path().join("linked");
    repo.git(&[
        "worktree",
        "add",
        "-q",
        "--detach",
        linked.to_str().expect("text"),
        &commits[5],
    ]);
    check(linked.clone());
    check(linked.join(".git"));
    let head = Git::open(CONFIG, &linked, &repo.owners(), "HEAD", &[]).expect("mount");
    assert_eq!(
        head.commit().id.to_string(),
        commits[5],
        "a linked work tree has a HEAD of its own"
    );
    let shared = repo.directory.path().join("shared");
    repo.git(&[
        "clone",
        "-q",
        "--shared",
        ".",
        shared.to_str().expect("text"),
    ]);
    check(shared);
}

#[test]
fn a_mount_goes_on_while_its_objects_are_packed_anew_and_moved() {
    let repo = Repo::new();
    let commits = history(&repo);
    repo.git(&["repack", "-q", "-a", "-d"]);
    let mounted = mount(&repo, "HEAD~3");
    let root = mounted.root().expect("open");
    let opened = root.open(&name("changing")).expect("open");
    assert_eq!(
        whole(&*root.open(&name("new 3")).expect("open")),
        [0, 1, 255, 3]
    );
    repo.commit(&Snapshot::from([(b"x".to_vec(), file("more"))]), "later");
    repo.git(&["repack", "-q", "-a", "-d", "-f", "--depth=3"]);
    compare(&repo, &mounted, &commits[8]);
    let id = repo.text(&["rev-parse", "HEAD~4:changing"]);
    assert_eq!(whole(&*opened), repo.show(&commits[8], b"changing", &id));
    fs::rename(repo.path(), repo.directory.path().join("moved")).expect("rename");
    assert_eq!(
        whole(&*root.open(&name("new 7")).expect("open")),
        [0, 1, 255, 7],
        "it was held open"
    );
}

#[test]
fn a_revision_is_resolved_once_in_any_spelling() {
    let repo = Repo::new();
    let commits = history(&repo);
    repo.git(&["tag", "-a", "-m", "tagged", "v1", "HEAD~2"]);
    repo.git(&["branch", "side", "HEAD~4"]);
    let id = |revision: &str| mount(&repo, revision).commit().id.to_string();
    let short = &commits[3][..9];
    for revision in [
        "HEAD",
        "@",
        "main",
        "refs/heads/main",
        "v1",
        "v1^{}",
        "v1^{commit}",
        "HEAD~2",
        "HEAD^^",
        "side",
        short,
        ":/round 4",
        "HEAD@{1}",
        "side~1^0",
    ] {
        assert_eq!(
            id(revision),
            repo.text(&["rev-list", "-1", revision]),
            "{revision}"
        );
    }
    let before = mount(&repo, "main");
    repo.git(&["reset", "-q", "--hard", "HEAD~5"]);
    compare(&repo, &before, &commits[11]);
    for revision in [
        "nobranch",
        "",
        "HEAD~99",
        "HEAD^{tree}",
        "HEAD:d",
        ":/no such subject",
        "..",
        "a..b",
        "-h",
        "a\0b",
        "\u{fffd}",
        &"x".repeat(5000),
        &"0".repeat(40),
    ] {
        let opened = Git::open(CONFIG, &repo.path(), &repo.owners(), revision, &[]);
        assert!(
            matches!(
                opened,
                Err(MountError::Repository(OpenError::UnknownRevision { .. }))
            ),
            "{revision:?}: {opened:?}"
        );
    }
    let unborn = Repo::new();
    assert!(matches!(
        refused(&unborn.path(), &unborn.owners()),
        OpenError::UnknownRevision { .. }
    ));
}

#[test]
fn a_subdirectory_is_all_that_is_shown() {
    let repo = Repo::with(&small());
    let open = |names: &[&str]| {
        let names: Vec<Name> = names.iter().map(name).collect();
        Git::open(CONFIG, &repo.path(), &repo.owners(), "HEAD", &names)
    };
    let found = snapshot(&open(&["dir"]).expect("mount").root().expect("open"));
    assert_eq!(found, Snapshot::from([(b"b".to_vec(), file("beta\n"))]));
    let kind = |names: &[&str]| match open(names) {
        Err(MountError::Subdirectory(fault)) => fault.kind(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (kind(&["missing"]), kind(&["a"])),
        (Kind::NotFound, Kind::NotADirectory)
    );
}

#[test]
fn a_submodule_is_an_empty_directory_with_its_commit() {
    let inner = Repo::with(&small());
    let commit = inner.text(&["rev-parse", "HEAD"]);
    let repo = Repo::with(&small());
    let from = inner.path();
    repo.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "-q",
        "add",
        from.to_str().expect("text"),
        "sub",
    ]);
    repo.commit(&Snapshot::new(), "with a submodule");
    let root = root(&repo);
    let entry = root.lookup(&name("sub")).expect("there");
    assert_eq!(
        (entry.kind, entry.commit.as_deref()),
        (EntryKind::Submodule, Some(commit.as_str()))
    );
    let (inside, taken) = root.descend(&[name("sub"), name("a")]).expect("descend");
    assert_eq!(
        (taken, inside.list(None, 10).expect("list").entries.len()),
        (1, 0)
    );
    assert_eq!(fault(inside.lookup(&name("a"))).0, Kind::NotFound);
    assert_eq!(fault(root.open(&name("sub"))).0, Kind::IsADirectory);
    // The submodule's work tree is a repository of its own, whose `core.worktree` names it.
    let own = Git::open(
        CONFIG,
        &repo.path().join("sub"),
        &repo.owners(),
        "HEAD",
        &[],
    )
    .expect("mount");
    assert_eq!(own.commit().id.to_string(), commit);
}
