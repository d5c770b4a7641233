//! Repositories that mean harm, or are damaged.

use std::{
    fs,
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

use super::{
    super::{Git, MountError},
    CONFIG, fault, file, mount, refused, root, small,
};
use crate::{
    git::{OpenError, Owners, Repository},
    vfs::{
        entry::EntryKind,
        fault::Kind,
        provider::{
            Provider,
            conformance::{
                Snapshot, name,
                repository::{Repo, run},
                snapshot, whole,
            },
        },
    },
};

#[test]
fn entries_that_are_no_names_are_left_out_and_counted() {
    let repo = Repo::with(&small());
    let blob = repo.object("blob", b"content");
    let raw: Vec<u8> = (0..20)
        .map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let tree = |names: &[(&str, &[u8])]| -> Vec<u8> {
        let entry =
            |(mode, name): &(&str, &[u8])| [mode.as_bytes(), b" ", name, b"\0", &raw].concat();
        names.iter().flat_map(entry).collect()
    };
    let odd = tree(&[
        ("100644", b""),
        ("100644", b"."),
        ("100644", b".."),
        ("100644", b".git"),
        ("100644", b"../up"),
        ("100644", b"/etc/passwd"),
        ("100644", b"dup"),
        ("100755", b"dup"),
        ("100644", &[b'n'; 300]),
        ("100644", b"good"),
        ("120000", b"link"),
        ("40000", b"file as directory"),
    ]);
    repo.commit_tree(&repo.object("tree", &odd));
    let mounted = mount(&repo, "HEAD");
    let root = mounted.root().expect("open");
    let names: Vec<_> = root
        .list(None, 100)
        .expect("list")
        .entries
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(
        names,
        ["dup", "file as directory", "good", "link"].map(name)
    );
    assert_eq!(mounted.usage().skipped, Some(8));
    assert_eq!(
        root.lookup(&name("dup")).expect("there").mode,
        0o644,
        "the first of two"
    );
    assert_eq!(fault(root.lookup(&name(".git"))).0, Kind::NotFound);
    assert_eq!(
        fault(root.descend(&[name("file as directory")])).0,
        Kind::Corrupt
    );
    // git itself refuses to read such a tree.
    assert_eq!(whole(&*root.open(&name("good")).expect("open")), b"content");
    repo.commit_tree(&repo.object("tree", b"100644 no end"));
    let cut = Git::open(CONFIG, &repo.path(), &repo.owners(), "HEAD", &[]);
    assert!(matches!(cut, Err(MountError::Subdirectory(fault)) if fault.kind() == Kind::Corrupt));
}

#[test]
fn objects_that_are_missing_or_damaged_are_named() {
    let repo = Repo::with(&small());
    let root = root(&repo);
    let id = |path: &str| repo.text(&["rev-parse", &format!("HEAD:{path}")]);
    let (blob, tree, kept) = (id("a"), id("dir"), id("dir/b"));
    for id in [&blob, &tree] {
        fs::remove_file(repo.object_file(id)).expect("remove");
    }
    let names: Vec<_> = root.list(None, 9).expect("list").entries;
    assert_eq!(
        names,
        [(name("a"), EntryKind::File), (name("dir"), EntryKind::Dir)],
        "a listing needs none of them"
    );
    let missing = |id: &str| (Kind::ObjectMissing, format!("object {id} is missing"));
    assert_eq!(fault(root.lookup(&name("a"))), missing(&blob));
    assert_eq!(fault(root.open(&name("a"))), missing(&blob));
    assert_eq!(fault(root.descend(&[name("dir")])), missing(&tree));
    assert_eq!(
        root.lookup(&name("dir")).expect("its entry is there").kind,
        EntryKind::Dir
    );
    // Once it is there again it is found.
    assert_eq!(repo.object("blob", b"alpha\n"), blob);
    assert_eq!(whole(&*root.open(&name("a")).expect("open")), b"alpha\n");
    fs::set_permissions(repo.object_file(&kept), fs::Permissions::from_mode(0o644)).expect("chmod");
    fs::write(repo.object_file(&kept), b"rubbish").expect("write");
    assert_eq!(
        repo.object("tree", &repo_tree(&kept)),
        tree,
        "the tree is there again"
    );
    let (below, _) = root.descend(&[name("dir")]).expect("descend");
    assert_eq!(fault(below.lookup(&name("b"))).0, Kind::Corrupt);
}

/// The tree of one file `b`.
fn repo_tree(blob: &str) -> Vec<u8> {
    let id = (0..20).map(|at| u8::from_str_radix(&blob[2 * at..2 * at + 2], 16).expect("hex"));
    b"100644 b\0".iter().copied().chain(id).collect()
}

/// Adds a file whose object says that it has so many bytes, and has none.
fn claim(repo: &Repo, file: &str, size: u64) {
    let id = size.to_string().repeat(10)[..40].to_owned();
    let path = repo.object_file(&id);
    fs::create_dir_all(path.parent().expect("it has one")).expect("mkdir");
    let object = fs::File::create(path).expect("create");
    let mut object = flate2::write::ZlibEncoder::new(object, flate2::Compression::fast());
    object
        .write_all(format!("blob {size}\0").as_bytes())
        .expect("write");
    object.finish().expect("write");
    repo.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("100644,{id},{file}"),
    ]);
}

#[test]
fn a_file_of_more_than_256_mib_is_listed_and_not_read() {
    let repo = Repo::with(&small());
    let large: Vec<u8> = (0..9 << 20)
        .map(|at: u32| (at / 5).to_le_bytes()[0])
        .collect();
    repo.commit(
        &Snapshot::from([(b"large".to_vec(), file(&large))]),
        "large",
    );
    claim(&repo, "small", 1234);
    claim(&repo, "just", 256 << 20);
    claim(&repo, "over", (256 << 20) + 1);
    repo.commit_tree(&repo.text(&["write-tree", "--missing-ok"]));
    let root = root(&repo);
    assert_eq!(
        root.lookup(&name("over")).expect("there").size,
        (256 << 20) + 1
    );
    assert_eq!(fault(root.open(&name("over"))).0, Kind::TooLarge);
    let just = root.open(&name("just")).expect("open");
    let padded = "nothing is read as if zeros were there";
    assert_eq!(
        fault(just.read_at(&mut [0; 9], 5)).0,
        Kind::Corrupt,
        "{padded}"
    );
    let small = root.open(&name("small")).expect("open");
    assert_eq!(
        fault(small.read_at(&mut [0; 9], 0)).0,
        Kind::Corrupt,
        "{padded}"
    );
    let opened = root.open(&name("large")).expect("open");
    let mut buffer = [1; 10];
    let count = opened.read_at(&mut buffer, (9 << 20) - 4).expect("read");
    assert_eq!((count, &buffer[..4]), (4, &large[large.len() - 4..]));
    assert!(whole(&*opened) == large);
    repo.git(&["read-tree", "--empty"]);
    let long = repo.object("blob", &[b'x'; 5000]);
    repo.git(&[
        "update-index",
        "--add",
        "--cacheinfo",
        &format!("120000,{long},link"),
    ]);
    repo.git(&["commit", "-q", "-m", "a link longer than any path"]);
    assert_eq!(
        fault(self::root(&repo).lookup(&name("link"))).0,
        Kind::TooLarge
    );
}

/// Puts a program into every place where a repository can name one; gives the file that it would write.
fn trapped(repo: &Repo) -> PathBuf {
    let beside = |name: &str| repo.directory.path().join(name);
    let (canary, program, hooks) = (beside("canary"), beside("program"), beside("hooks"));
    let script = format!("#!/bin/sh\necho \"$0 $*\" >> '{}'\ncat\n", canary.display());
    fs::write(&program, script).expect("write");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::create_dir(&hooks).expect("mkdir");
    for hook in [
        "post-checkout",
        "reference-transaction",
        "post-index-change",
    ] {
        fs::copy(&program, hooks.join(hook)).expect("copy");
    }
    let program = program.to_str().expect("text");
    let included = beside("included");
    let include = format!("[core]\n\tfsmonitor = {program}\n[credential]\n\thelper = !{program}\n");
    fs::write(&included, include).expect("write");
    for key in [
        "core.fsmonitor",
        "core.pager",
        "core.sshCommand",
        "core.editor",
        "core.askPass",
        "core.gitProxy",
        "core.alternateRefsCommand",
        "filter.harm.clean",
        "filter.harm.smudge",
        "filter.harm.process",
        "diff.harm.textconv",
        "diff.harm.command",
        "diff.external",
        "merge.harm.driver",
        "gpg.program",
        "uploadpack.packObjectsHook",
        "credential.helper",
        "remote.origin.uploadpack",
    ] {
        repo.git(&["config", key, program]);
    }
    for (key, value) in [
        ("core.hooksPath", hooks.to_str().expect("text")),
        ("filter.harm.required", "true"),
        ("alias.show", &format!("!{program}")),
        ("remote.origin.url", &format!("ext::{program}")),
        ("remote.origin.promisor", "true"),
        ("include.path", included.to_str().expect("text")),
        ("log.showSignature", "true"),
    ] {
        repo.git(&["config", key, value]);
    }
    canary
}

#[test]
fn no_program_that_a_repository_names_is_run() {
    let repo = Repo::with(&small());
    let attributes = "* filter=harm diff=harm merge=harm text eol=crlf ident\n";
    let attributes = Snapshot::from([(b".gitattributes".to_vec(), file(attributes))]);
    repo.commit(&attributes, "attributes");
    let missing = repo.text(&["rev-parse", "HEAD:a"]);
    let canary = trapped(&repo);
    let mounted = mount(&repo, "HEAD");
    let found = snapshot(&mounted.root().expect("open"));
    assert_eq!(found[&b"a"[..]], file("alpha\n"), "nothing is converted");
    fs::remove_file(repo.object_file(&missing)).expect("remove");
    // Another one: what was read of the object is remembered.
    let lookup = mount(&repo, "HEAD")
        .root()
        .expect("open")
        .lookup(&name("a"));
    assert_eq!(fault(lookup).0, Kind::ObjectMissing);
    assert!(
        !canary.exists(),
        "{}",
        fs::read_to_string(&canary).unwrap_or_default()
    );
    // The trap works: git itself walks into it.
    run(
        &repo.path(),
        &["-c", "filter.harm.required=false", "status"],
        b"",
    );
    assert!(canary.exists());
}

#[test]
fn the_owner_must_be_trusted() {
    let repo = Repo::with(&small());
    let other = Owners::new([repo.user() + 1]);
    match refused(&repo.path(), &other) {
        OpenError::UnsafeOwner {
            owner,
            path,
            repository,
        } => {
            assert_eq!(owner, repo.user());
            assert_eq!(
                (path, repository.clone()),
                (repository, repo.path().canonicalize().expect("there"))
            );
        }
        error => panic!("{error}"),
    }
    let both = Owners::new([repo.user() + 1, repo.user()]);
    Git::open(CONFIG, &repo.path(), &both, "HEAD", &[]).expect("either of them");
    let message = refused(&repo.path(), &other).to_string();
    assert!(
        message.contains("git config --global --add safe.directory /"),
        "{message}"
    );
    // Naming itself safe does not help.
    repo.git(&["config", "safe.directory", "*"]);
    assert!(matches!(
        refused(&repo.path(), &other),
        OpenError::UnsafeOwner { .. }
    ));
    assert!(matches!(
        refused(&repo.path().join(".git"), &other),
        OpenError::UnsafeOwner { .. }
    ));
}

#[test]
fn all_places_that_a_repository_leads_to_are_told() {
    let repo = Repo::with(&small());
    let beside = |name: &str| {
        repo.directory
            .path()
            .canonicalize()
            .expect("there")
            .join(name)
    };
    let reach = |path: &Path| {
        let repository = Repository::open(path, &repo.owners()).expect("open");
        repository.reach().expect("read")
    };
    let git_dir = beside("repo/.git");
    assert_eq!(reach(&repo.path()), [git_dir.clone()].into());

    let (other, third) = (beside("other"), beside("third"));
    for (from, to) in [(".", &other), ("../other", &third)] {
        repo.git(&["clone", "-q", "--shared", from, to.to_str().expect("text")]);
    }
    let objects = |repository: &Path| repository.join(".git/objects");
    let through = [
        third.join(".git"),
        objects(&other),
        objects(&repo.path().canonicalize().expect("there")),
    ];
    assert_eq!(reach(&third), through.into(), "alternates, and theirs");

    let worktree = beside("linked");
    repo.git(&["worktree", "add", "-q", worktree.to_str().expect("text")]);
    assert_eq!(
        reach(&worktree),
        [git_dir.clone(), git_dir.join("worktrees/linked")].into()
    );

    let outside = tempfile::tempdir().expect("a temporary directory");
    let target = outside.path().canonicalize().expect("there");
    symlink(&target, git_dir.join("objects/aa")).expect("link");
    symlink(git_dir.join("objects"), target.join("around")).expect("link");
    fs::write(target.join("pack"), "").expect("write");
    symlink(target.join("pack"), git_dir.join("refs/heads/stolen")).expect("link");
    symlink("nowhere", git_dir.join("objects/bb")).expect("link");
    symlink("/etc", git_dir.join("hooks/not-read")).expect("link");
    let found = reach(&repo.path());
    let due = [
        git_dir.clone(),
        git_dir.join("objects"),
        target.clone(),
        target.join("pack"),
    ];
    assert_eq!(found, due.into());
}

#[test]
fn only_what_is_named_is_opened() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let plain = directory.path();
    let repo = Repo::with(&small());
    let null = PathBuf::from("/dev/null");
    // Nothing above is tried.
    for path in [
        plain.to_owned(),
        plain.join("missing"),
        null,
        repo.path().join("dir"),
    ] {
        let error = refused(&path, &repo.owners());
        assert!(
            matches!(error, OpenError::NotARepository { .. }),
            "{error:?}"
        );
    }
}

/// An empty repository, with lines added to its configuration.
fn configured(lines: &str) -> (Repo, OpenError) {
    let repo = Repo::new();
    let path = repo.path().join(".git/config");
    let config = fs::read_to_string(&path).expect("read");
    let config = config.replace("repositoryformatversion = 0", "repositoryformatversion = 1");
    fs::write(&path, config + lines).expect("write");
    let error = refused(&repo.path(), &repo.owners());
    (repo, error)
}

#[test]
fn formats_that_are_not_read_are_named() {
    for (key, value) in [
        ("partialClone", "origin"),
        ("refStorage", "reftable"),
        ("objectFormat", "sha256"),
        ("unheardOf", "true"),
    ] {
        let (_repo, error) = configured(&format!("[extensions]\n\t{key} = {value}\n"));
        let OpenError::Unsupported { format, .. } = &error else {
            panic!("{error:?}");
        };
        let named = [key, value].map(str::to_lowercase);
        assert!(named.iter().any(|word| format.contains(word)), "{format}");
    }
    let (_repo, error) = configured("[core]\n\tworktree = /etc\n");
    assert!(
        matches!(error, OpenError::WorktreeElsewhere { .. }),
        "{error:?}"
    );
    let (_repo, error) = configured("[secret\n");
    let part = "configuration";
    assert!(
        matches!(error, OpenError::Unreadable { part: found, .. } if found == part),
        "{error:?}"
    );
    assert!(!error.to_string().contains("secret"));
}

#[test]
fn what_never_ends_is_not_opened() {
    for name in ["HEAD", "config"] {
        let repo = Repo::new();
        let fifo = repo.path().join(".git").join(name);
        fs::remove_file(&fifo).expect("remove");
        let (kind, mode) = (rustix::fs::FileType::Fifo, 0o600.into());
        let made = rustix::fs::mknodat(rustix::fs::CWD, fifo.as_os_str().as_bytes(), kind, mode, 0);
        made.expect("a FIFO");
        let error = refused(&repo.path(), &repo.owners());
        assert!(
            matches!(error, OpenError::NotARepository { .. }),
            "{name}: {error:?}"
        );
    }
    let repo = Repo::new();
    fs::remove_dir_all(repo.path().join(".git")).expect("remove");
    fs::write(repo.path().join(".git"), "gitdir: .git\n").expect("write");
    let error = refused(&repo.path(), &repo.owners());
    assert!(
        matches!(error, OpenError::NotARepository { .. }),
        "{error:?}"
    );
}
