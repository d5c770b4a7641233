//! What needs another user or a mount of its own: these tests run their second half in a process that has it, with the work
//! directory as the one to be served.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, chown},
        process::ExitStatusExt,
    },
    path::Path,
    process::Output,
};

use rustix::process::geteuid;

use super::*;
use crate::vfs::{entry::Attributes, provider::Condition};

const NOBODY: u32 = 65_534;

/// Set in the process that is to be the second half.
const INNER: &str = "SECOND_HALF";

/// Whether this process is the second half of a test.
#[expect(
    clippy::disallowed_methods,
    reason = "the test tells itself by it which half it is"
)]
fn is_inner() -> bool {
    std::env::var_os(INNER).is_some()
}

/// Runs the second half of a test of this file, below the words given, in a directory.
fn run(below: &[&str], test: &str, directory: &Path) -> Output {
    let itself = std::env::current_exe().expect("a program");
    let path = module_path!()
        .split_once("::")
        .expect("the crate's name first")
        .1;
    let test = format!("{path}::{test}");
    let itself = itself.to_string_lossy();
    let words = [&*itself, "--exact", "--nocapture", &test];
    spoken(&[below, &words].concat(), directory)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the test runs itself, as another user or below another mount"
)]
fn spoken(words: &[&str], directory: &Path) -> Output {
    let mut command = std::process::Command::new(words[0]);
    command
        .args(&words[1..])
        .env(INNER, "1")
        .current_dir(directory)
        .output()
        .expect("run")
}

fn passed(output: &Output) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{output:?}"
    );
}

/// `false` where another user cannot reach the program.
fn as_nobody(test: &str, directory: &Path) -> bool {
    if !geteuid().is_root() {
        passed(&run(&["env"], test, directory));
        return true;
    }
    let (user, group) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    let below = ["setpriv", &user, &group, "--clear-groups", "--"];
    let itself = std::env::current_exe().expect("a program");
    let itself = itself.to_string_lossy();
    let asked = [&below[..], &["test", "-x", &*itself]].concat();
    if !spoken(&asked, directory).status.success() {
        eprintln!("skipped: another user cannot reach {itself}");
        return false;
    }
    passed(&run(&below, test, directory));
    true
}

fn may_mount(directory: &Path) -> bool {
    geteuid().is_root()
        && spoken(&["unshare", "--mount", "true"], directory)
            .status
            .success()
}

fn give(path: &Path, owner: u32, mode: u32) {
    if geteuid().is_root() {
        chown(path, Some(owner), Some(owner)).expect("given");
    }
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

fn here() -> Arc<dyn Directory> {
    top(Path::new("."))
}

fn look(here: &Arc<dyn Directory>, at: &str) -> Attributes {
    here.lookup(&name(at)).expect("looked up")
}

#[test]
fn a_plain_user_writes_what_the_machine_lets_it() {
    if is_inner() {
        return inner_plain_user();
    }
    let base = tempfile::tempdir().expect("a directory");
    let path = |name: &str| base.path().join(name);
    for (directory, mode) in [("closed", 0o555), ("blind", 0o333), ("list", 0o444)] {
        fs::create_dir(path(directory)).expect("made");
        fs::write(path(directory).join("file"), "old").expect("written");
        give(&path(directory).join("file"), NOBODY, 0o640);
        give(&path(directory), NOBODY, mode);
    }
    fs::write(path("locked"), "old").expect("written");
    give(&path("locked"), NOBODY, 0o444);
    give(base.path(), NOBODY, 0o755);
    if as_nobody("a_plain_user_writes_what_the_machine_lets_it", base.path()) {
        assert_eq!(entries(&path("closed")), ["file"]);
        assert_eq!(fs::read(path("closed/file")).expect("read"), b"new");
    }
    // So that it can be removed by whoever runs this.
    for directory in ["closed", "blind", "list"] {
        give(&path(directory), geteuid().as_raw(), 0o755);
    }
}

/// What [`a_plain_user_writes_what_the_machine_lets_it`] does as somebody else.
fn inner_plain_user() {
    let here = here();
    let at = |directory: &str| here.descend(&names(directory)).expect("descended").0;
    // The directory takes no entry, the file takes bytes: written in place, and put back as it was.
    let closed = at("closed");
    let old = closed.lookup(&name("file")).expect("looked up");
    let how = Commit {
        hold: true,
        sync: true,
        ..Commit::default()
    };
    let committed = put(&*closed, "file", b"longer than old", &how).expect("written");
    assert!(!committed.atomic && !committed.created);
    assert_eq!(read(&*closed, "file").expect("read"), b"longer than old");
    assert_ne!(committed.attributes.version, old.version);
    committed
        .previous
        .expect("held")
        .restore()
        .expect("restored");
    assert_eq!(closed.lookup(&name("file")).expect("looked up"), old);
    assert_eq!(read(&*closed, "file").expect("read"), b"old");
    let stale = Commit {
        condition: Condition::Is(committed.attributes.version),
        ..Commit::default()
    };
    assert_eq!(kind(put(&*closed, "file", b"new", &stale)), Kind::Changed);
    put(&*closed, "file", b"new", &Commit::default()).expect("written");
    assert_eq!(
        kind(put(&*closed, "other", b"x", &Commit::default())),
        Kind::PermissionDenied
    );
    assert_eq!(
        kind(closed.make_dir(&name("d"), None)),
        Kind::PermissionDenied
    );
    assert_eq!(
        kind(closed.remove(&name("file"), false)),
        Kind::PermissionDenied
    );
    // May be written and searched, not read.
    let blind = at("blind");
    let sync = Commit {
        sync: true,
        ..Commit::default()
    };
    assert!(put(&*blind, "file", b"new", &sync).expect("written").atomic);
    assert_eq!(kind(blind.list(None, usize::MAX)), Kind::PermissionDenied);
    // May be read, not searched.
    let list = at("list");
    assert_eq!(
        list.list(None, usize::MAX).expect("listed").entries.len(),
        1
    );
    assert_eq!(kind(list.lookup(&name("file"))), Kind::PermissionDenied);
    assert_eq!(kind(list.open(&name("file"))), Kind::PermissionDenied);
    assert_eq!(here.descend(&names("list/file")).expect("descended").1, 1);
    // A file that says no is not replaced, though the directory would let us.
    assert_eq!(
        kind(put(&*here, "locked", b"new", &Commit::default())),
        Kind::PermissionDenied
    );
    assert_eq!(read(&*here, "locked").expect("read"), b"old");
}

#[test]
fn set_id_bits_and_sticky_directories_keep_their_meaning() {
    if is_inner() {
        return inner_set_id();
    }
    if !geteuid().is_root() {
        eprintln!("skipped: only root makes files of two users");
        return;
    }
    let base = tempfile::tempdir().expect("a directory");
    let path = |name: &str| base.path().join(name);
    fs::create_dir(path("sticky")).expect("made");
    for (file, owner) in [("theirs", 0), ("mine", NOBODY), ("sticky/theirs", 0)] {
        fs::write(path(file), "old").expect("written");
        give(&path(file), owner, 0o6777);
    }
    give(&path("sticky"), 0, 0o1777);
    give(base.path(), NOBODY, 0o755);
    if !as_nobody(
        "set_id_bits_and_sticky_directories_keep_their_meaning",
        base.path(),
    ) {
        return;
    }
    let mode = |name: &str| fs::metadata(path(name)).expect("there").mode() & 0o7777;
    assert_eq!((mode("theirs"), mode("mine")), (0o777, 0o6777));
    // Root keeps the owner, and with it the bits.
    give(&path("mine"), NOBODY, 0o6755);
    put(&*top(base.path()), "mine", b"root", &Commit::default()).expect("written");
    assert_eq!(fs::metadata(path("mine")).expect("there").uid(), NOBODY);
    assert_eq!(mode("mine"), 0o6755);
}

/// What [`set_id_bits_and_sticky_directories_keep_their_meaning`] does as somebody else.
fn inner_set_id() {
    let here = here();
    for file in ["theirs", "mine"] {
        assert!(
            put(&*here, file, b"new", &Commit::default())
                .expect("written")
                .atomic
        );
        assert_eq!(look(&here, file).uid, NOBODY);
    }
    let (sticky, _) = here.descend(&names("sticky")).expect("descended");
    let committed = put(&*sticky, "theirs", b"new", &Commit::default()).expect("written");
    assert!(!committed.atomic);
    assert_eq!(committed.attributes.uid, 0);
    assert_eq!(
        sticky.list(None, usize::MAX).expect("listed").entries.len(),
        1
    );
}

#[test]
fn a_mount_point_is_written_in_place_and_kernel_mounts_are_entered() {
    if is_inner() {
        return inner_mounts();
    }
    let base = tempfile::tempdir().expect("a directory");
    let path = |name: &str| base.path().join(name);
    for directory in ["state/deep", "plain", "bound", "safe", "small"] {
        fs::create_dir_all(path(directory)).expect("made");
    }
    fs::write(path("file"), "old").expect("written");
    fs::write(path("plain/file"), "plain").expect("written");
    let script = "mount --bind file file && mount --bind state bound && mount --bind plain safe \
                  && mount -t tmpfs -o size=256k none small && touch small/file && mount --bind small/file small/file \
                  && exec \"$0\" \"$@\"";
    let below = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
    ];
    if !may_mount(base.path()) {
        eprintln!("skipped: mounts cannot be made here");
        return;
    }
    passed(&run(
        &below,
        "a_mount_point_is_written_in_place_and_kernel_mounts_are_entered",
        base.path(),
    ));
    assert_eq!(
        entries(base.path()),
        ["bound", "file", "plain", "safe", "small", "state"]
    );
    assert_eq!(fs::read(path("file")).expect("read"), b"n");
}

/// What [`a_mount_point_is_written_in_place_and_kernel_mounts_are_entered`] does as somebody else.
fn inner_mounts() {
    for resolver in BOTH {
        let reserved = Reserved::new(["state"]).expect("reserved");
        let here = top_with(Path::new("."), reserved, resolver);
        for path in ["bound", "bound/deep", "state/deep"] {
            assert_eq!(kind(here.descend(&names(path))), Kind::Reserved, "{path}");
        }
        assert_eq!(kind(here.lookup(&name("bound"))), Kind::Reserved);
        let (safe, taken) = here.descend(&names("safe")).expect("descended");
        assert_eq!(
            (taken, read(&*safe, "file").expect("read")),
            (1, b"plain".to_vec())
        );
        // One file system for the kernel's eyes, two mounts: no rename between them.
        assert_eq!(
            kind(safe.rename(&name("file"), &*here, &name("x"), true)),
            Kind::NotSupported
        );
    }
    let here = here();
    fs::write("file", "old").expect("written");
    let old = look(&here, "file");
    let hold = Commit {
        hold: true,
        ..Commit::default()
    };
    let committed = put(&*here, "file", b"new and longer", &hold).expect("written");
    assert!(!committed.atomic);
    assert_eq!(committed.attributes.identity, old.identity);
    committed
        .previous
        .expect("held")
        .restore()
        .expect("restored");
    assert_eq!(look(&here, "file"), old);
    assert_eq!(kind(here.remove(&name("file"), false)), Kind::Busy);
    put(&*here, "file", b"n", &Commit::default()).expect("written");
    full_file_systems_lose_nothing(&here);
}

/// On a file system of 256 KiB with one file that is a mount point of its own.
fn full_file_systems_lose_nothing(here: &Arc<dyn Directory>) {
    let (small, _) = here.descend(&names("small")).expect("descended");
    let some = vec![b'x'; 64 << 10];
    put(&*small, "file", &some, &Commit::default()).expect("written");
    put(&*small, "other", b"old", &Commit::default()).expect("written");
    let before = (look(&small, "file"), look(&small, "other"));
    for (file, size) in [
        ("file", 1 << 20),
        ("other", 1 << 20),
        ("new", 1 << 20),
        ("file", 144 << 10),
    ] {
        // The last fits as a draft, and then not over the file.
        let written = put(&*small, file, &vec![b'y'; size], &Commit::default());
        assert_eq!(kind(written), Kind::NoSpace, "{file} {size}");
        assert_eq!((look(&small, "file"), look(&small, "other")), before);
    }
    assert_eq!(read(&*small, "file").expect("read"), some);
    assert_eq!(entries(Path::new("small")), ["file", "other"]);
}

#[test]
fn what_a_killed_program_leaves_is_removed_by_the_next_start() {
    if is_inner() {
        return inner_killed();
    }
    let base = tempfile::tempdir().expect("a directory");
    for directory in ["state", "work"] {
        fs::create_dir(base.path().join(directory)).expect("made");
    }
    let work = base.path().join("work");
    fs::write(work.join("file"), "old").expect("written");
    let output = run(
        &["env"],
        "what_a_killed_program_leaves_is_removed_by_the_next_start",
        base.path(),
    );
    assert!(output.status.signal().is_some(), "{output:?}");
    assert_eq!(entries(&work).len(), 4, "{:?}", entries(&work));
    let (_, removed) = Notes::open(&base.path().join("state")).expect("opened");
    assert_eq!(removed, 2);
    assert_eq!(entries(&work), ["file", "new"]);
    assert_eq!(fs::read(work.join("file")).expect("read"), b"new");
    let (_, removed) = Notes::open(&base.path().join("state")).expect("opened");
    assert_eq!(removed, 0);
}

/// What [`what_a_killed_program_leaves_is_removed_by_the_next_start`] does as somebody else.
fn inner_killed() {
    let (notes, _) = Notes::open(Path::new("state")).expect("opened");
    let root = HostRoot::Path("work".into());
    let host = Host::open(
        root,
        Options::default(),
        Arc::default(),
        Resolver::Auto,
        notes,
    );
    let top = host.expect("opened").root().expect("a root");
    let mut draft = top
        .create(&name("file"), &Creation::default())
        .expect("begun");
    draft.write(b"half").expect("written");
    let hold = Commit {
        hold: true,
        ..Commit::default()
    };
    let held = put(&*top, "file", b"new", &hold).expect("written");
    put(&*top, "new", b"new", &Commit::default()).expect("written");
    assert!(held.previous.is_some());
    std::process::abort();
}
