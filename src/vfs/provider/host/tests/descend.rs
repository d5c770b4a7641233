//! From a directory down a list of names.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use super::*;
use crate::vfs::provider::Changes;

#[test]
fn names_are_followed_up_to_the_first_that_is_no_directory() {
    let base = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(base.path().join("a/b/c")).expect("made");
    fs::write(base.path().join("a/b/file"), "x").expect("written");
    symlink("b", base.path().join("a/link")).expect("linked");
    for resolver in BOTH {
        let top = top_with(base.path(), Reserved::default(), resolver);
        for (path, taken) in [
            ("", 0),
            ("a/b/c", 3),
            ("a/b/missing/d", 2),
            ("a/b/file", 2),
            ("a/link/c", 1),
            ("missing", 0),
        ] {
            let (reached, count) = top.descend(&names(path)).expect("descended");
            assert_eq!(count, taken, "{path} by {resolver:?}");
            let there = names(path)[..count]
                .iter()
                .fold(base.path().to_owned(), |path, name| {
                    path.join(String::from_utf8_lossy(name.as_bytes()).as_ref())
                });
            assert_eq!(reached.host().expect("a host directory").path, there);
        }
    }
}

#[test]
fn reserved_directories_are_entered_under_no_name() {
    let base = tempfile::tempdir().expect("a directory");
    let state = base.path().join("x/State");
    fs::create_dir_all(state.join("deep")).expect("made");
    fs::write(state.join("token"), "secret").expect("written");
    symlink("x/State", base.path().join("link")).expect("linked");
    let reserved = || Reserved::new([&state]).expect("reserved");
    for resolver in BOTH {
        let top = top_with(base.path(), reserved(), resolver);
        for path in ["x/State", "x/State/deep", "x/State/missing"] {
            assert_eq!(kind(top.descend(&names(path))), Kind::Reserved, "{path}");
        }
        let (x, _) = top.descend(&names("x")).expect("descended");
        assert_eq!(kind(x.lookup(&name("State"))), Kind::Reserved);
        assert_eq!(kind(x.remove(&name("State"), true)), Kind::Reserved);
        assert_eq!(
            kind(x.set_attributes(Some(&name("State")), &Changes::default())),
            Kind::Reserved
        );
        assert_eq!(
            kind(x.rename(&name("State"), &*top, &name("y"), false)),
            Kind::Reserved
        );
        assert_eq!(
            kind(top.rename(&name("x"), &*top, &name("y"), false)),
            Kind::Reserved
        );
        assert_eq!(top.descend(&names("link")).expect("a link").1, 0);
        assert_eq!(
            kind(open_with(&state, reserved(), resolver)),
            Kind::Reserved
        );
        assert_eq!(
            kind(open_with(&state.join("deep"), reserved(), resolver)),
            Kind::Reserved
        );
    }
    // Renamed by someone else: the walk knows it all the same.
    let moved = base.path().join("x/elsewhere");
    let top = top_with(base.path(), reserved(), Resolver::Walk);
    fs::rename(&state, moved).expect("renamed");
    assert_eq!(
        kind(top.descend(&names("x/elsewhere/deep"))),
        Kind::Reserved
    );
}

#[test]
fn a_root_is_held_when_it_moves() {
    let base = tempfile::tempdir().expect("a directory");
    let root = base.path().join("root");
    fs::create_dir(&root).expect("made");
    let host = open_with(&root, Reserved::default(), Resolver::Auto).expect("opened");
    fs::rename(&root, base.path().join("moved")).expect("renamed");
    fs::create_dir(&root).expect("made");
    fs::write(root.join("other"), "x").expect("written");
    let top = host.root().expect("a root");
    assert_eq!(kind(top.lookup(&name("other"))), Kind::NotFound);
    put(&*top, "file", b"x", &Commit::default()).expect("written");
    assert!(base.path().join("moved/file").exists());
    host.close();
    host.close();
    assert_eq!(kind(host.root()), Kind::NotFound);
    assert_eq!(read(&*top, "file").expect("read"), b"x");
}

#[test]
fn what_is_no_directory_is_no_root() {
    let base = tempfile::tempdir().expect("a directory");
    let file = base.path().join("file");
    fs::write(&file, "x").expect("written");
    let open = |path: &std::path::Path| open_with(path, Reserved::default(), Resolver::Auto);
    assert_eq!(kind(open(&file)), Kind::NotADirectory);
    assert_eq!(kind(open(&base.path().join("missing"))), Kind::NotFound);
    let handle = fs::File::open(&file).expect("opened").into();
    let opened = Host::open(
        HostRoot::Descriptor(handle),
        Options::default(),
        Arc::default(),
        Resolver::Auto,
        Notes::none(),
    );
    assert_eq!(kind(opened), Kind::NotADirectory);
}

#[test]
fn a_thousand_levels_are_reached() {
    let base = tempfile::tempdir().expect("a directory");
    for resolver in BOTH {
        let mut here = top_with(base.path(), Reserved::default(), resolver);
        let level = name("abcdefghij");
        let path = vec![level.clone(); 1000];
        for _ in 0..1000 {
            match here.make_dir(&level, None) {
                Err(fault) if fault.kind() == Kind::AlreadyExists => {}
                made => made.expect("made"),
            }
            here = here
                .descend(std::slice::from_ref(&level))
                .expect("descended")
                .0;
        }
        let top = top_with(base.path(), Reserved::default(), resolver);
        let (deepest, taken) = top.descend(&path).expect("descended");
        assert_eq!(taken, 1000);
        put(&*deepest, "file", b"deep", &Commit::default()).expect("written");
        assert_eq!(read(&*deepest, "file").expect("read"), b"deep");
    }
}

#[test]
fn permissions_of_directories_are_no_matter_of_descending() {
    let base = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(base.path().join("closed/in")).expect("made");
    fs::set_permissions(base.path().join("closed"), fs::Permissions::from_mode(0o0))
        .expect("closed");
    let top = top(base.path());
    assert_eq!(top.descend(&names("closed")).expect("descended").1, 1);
    fs::set_permissions(
        base.path().join("closed"),
        fs::Permissions::from_mode(0o700),
    )
    .expect("opened");
}
