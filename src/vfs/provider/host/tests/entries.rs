//! Looking up, opening, listing, making, removing, renaming.

use std::{
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
};

use super::*;
use crate::vfs::{
    entry::{EntryKind, Time, Version},
    provider::Changes,
};

#[test]
fn attributes_are_those_of_the_entry_itself() {
    let base = tempfile::tempdir().expect("a directory");
    fs::write(base.path().join("file"), "12345").expect("written");
    fs::set_permissions(base.path().join("file"), fs::Permissions::from_mode(0o4751))
        .expect("changed");
    symlink(
        std::ffi::OsStr::from_bytes(b"../no\xff/where"),
        base.path().join("link"),
    )
    .expect("linked");
    let top = top(base.path());
    let file = top.lookup(&name("file")).expect("looked up");
    let meta = fs::metadata(base.path().join("file")).expect("there");
    assert_eq!(
        (file.kind, file.size, file.mode, file.links),
        (EntryKind::File, 5, 0o4751, 1)
    );
    assert_eq!((file.uid, file.gid), (meta.uid(), meta.gid()));
    assert_eq!(
        (file.identity.device, file.identity.inode),
        (meta.dev(), meta.ino())
    );
    assert_eq!(
        (file.mtime.seconds, i64::from(file.mtime.nanos)),
        (meta.mtime(), meta.mtime_nsec())
    );
    assert!(matches!(file.version, Version::Stat { size: 5, .. }));
    let link = top.lookup(&name("link")).expect("looked up");
    assert_eq!(link.kind, EntryKind::Symlink);
    assert_eq!(link.target.as_deref(), Some(&b"../no\xff/where"[..]));
    assert!(!link.magic);
    assert_eq!(kind(top.lookup(&name("missing"))), Kind::NotFound);
    assert_eq!(top.attributes().expect("looked up").kind, EntryKind::Dir);
}

#[test]
fn only_regular_files_are_opened() {
    let base = tempfile::tempdir().expect("a directory");
    let path = |name: &str| base.path().join(name);
    fs::create_dir(path("dir")).expect("made");
    symlink("/etc/passwd", path("link")).expect("linked");
    let _socket = UnixListener::bind(path("socket")).expect("bound");
    let mode = rustix::fs::Mode::RWXU;
    rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), mode).expect("made");
    let here = top(base.path());
    // A FIFO without a writer blocks whoever opens it.
    for (entry, due) in [
        ("dir", Kind::IsADirectory),
        ("link", Kind::Changed),
        ("socket", Kind::NotRegular),
        ("fifo", Kind::NotRegular),
        ("missing", Kind::NotFound),
    ] {
        assert_eq!(kind(here.open(&name(entry))), due, "{entry}");
        if entry != "missing" {
            assert_eq!(
                kind(here.create(&name(entry), &Creation::default())),
                due,
                "{entry}"
            );
            let append = Creation {
                append: true,
                ..Creation::default()
            };
            assert_eq!(kind(here.create(&name(entry), &append)), due, "{entry}");
        }
    }
    let devices = top(std::path::Path::new("/dev"));
    for device in ["zero", "null", "tty"] {
        assert_eq!(
            kind(devices.open(&name(device))),
            Kind::NotRegular,
            "{device}"
        );
    }
    assert_eq!(entries(base.path()), ["dir", "fifo", "link", "socket"]);
}

#[test]
fn an_opened_file_stays_what_it_was() {
    let base = tempfile::tempdir().expect("a directory");
    let top = top(base.path());
    put(&*top, "file", b"old", &Commit::default()).expect("written");
    let file = top.open(&name("file")).expect("opened");
    put(&*top, "file", b"newer", &Commit::default()).expect("written");
    top.remove(&name("file"), false).expect("removed");
    let mut buffer = [0; 8];
    assert_eq!(file.read_at(&mut buffer, 0).expect("read"), 3);
    assert_eq!(&buffer[..3], b"old");
    assert_eq!(file.read_at(&mut buffer, 1).expect("read"), 2);
    assert_eq!(file.read_at(&mut buffer, 3).expect("read"), 0);
    assert_eq!(file.read_at(&mut buffer, u64::MAX).expect("read"), 0);
    assert_eq!(file.attributes().expect("looked up").size, 3);
}

#[test]
fn listings_have_every_name_once_and_no_draft() {
    let base = tempfile::tempdir().expect("a directory");
    let top = top(base.path());
    let mut due: Vec<Vec<u8>> = (0..5000)
        .map(|number| format!("file-{number}").into_bytes())
        .collect();
    due.extend([
        b"new\nline".to_vec(),
        b"\xff\xfe".to_vec(),
        vec![b'x'; 255],
        b"...".to_vec(),
        b"-rf".to_vec(),
    ]);
    for entry in &due {
        fs::write(base.path().join(std::ffi::OsStr::from_bytes(entry)), "").expect("written");
    }
    let mut draft = top
        .create(&name("draft"), &Creation::default())
        .expect("begun");
    draft.write(b"x").expect("written");
    assert_eq!(entries(base.path()).len(), due.len() + 1);
    let listing = top.list(None, usize::MAX).expect("listed");
    let mut found: Vec<Vec<u8>> = listing
        .entries
        .iter()
        .map(|(name, _)| name.as_bytes().to_vec())
        .collect();
    found.sort();
    due.sort();
    assert_eq!(found, due);
    assert!(!listing.more && listing.cut.is_none());
    assert!(
        listing
            .entries
            .iter()
            .all(|(_, kind)| *kind == EntryKind::File)
    );
}

#[test]
fn directories_and_links_are_made_and_removed() {
    let base = tempfile::tempdir().expect("a directory");
    let top = top(base.path());
    top.make_dir(&name("plain"), None).expect("made");
    top.make_dir(&name("open"), Some(0o2777)).expect("made");
    top.make_link(&name("link"), b"any\xff/text")
        .expect("linked");
    let mode = |name: &str| {
        fs::symlink_metadata(base.path().join(name))
            .expect("there")
            .mode()
            & 0o7777
    };
    assert_eq!(mode("open"), 0o2777);
    assert_eq!(mode("plain"), 0o777 & !crate::sys::fs::umask());
    assert_eq!(kind(top.make_dir(&name("link"), None)), Kind::AlreadyExists);
    assert_eq!(
        kind(top.make_link(&name("plain"), b"x")),
        Kind::AlreadyExists
    );
    fs::write(base.path().join("open/in"), "").expect("written");
    assert_eq!(kind(top.remove(&name("open"), true)), Kind::NotEmpty);
    assert_eq!(kind(top.remove(&name("open"), false)), Kind::IsADirectory);
    assert_eq!(kind(top.remove(&name("link"), true)), Kind::NotADirectory);
    assert_eq!(kind(top.remove(&name("missing"), false)), Kind::NotFound);
    top.remove(&name("link"), false).expect("removed");
    top.remove(&name("plain"), true).expect("removed");
    assert_eq!(entries(base.path()), ["open"]);
}

#[test]
fn renaming_is_one_step_and_replaces_only_when_told() {
    let base = tempfile::tempdir().expect("a directory");
    fs::create_dir_all(base.path().join("dir/sub")).expect("made");
    let top = top(base.path());
    put(&*top, "a", b"a", &Commit::default()).expect("written");
    put(&*top, "b", b"b", &Commit::default()).expect("written");
    let (dir, _) = top.descend(&names("dir")).expect("descended");
    assert_eq!(
        kind(top.rename(&name("a"), &*top, &name("b"), false)),
        Kind::AlreadyExists
    );
    assert_eq!(read(&*top, "b").expect("read"), b"b");
    top.rename(&name("a"), &*top, &name("b"), true)
        .expect("renamed");
    assert_eq!(read(&*top, "b").expect("read"), b"a");
    top.rename(&name("b"), &*dir, &name("c"), false)
        .expect("renamed");
    dir.rename(&name("sub"), &*top, &name("moved"), false)
        .expect("renamed");
    assert_eq!(entries(base.path()), ["dir", "moved"]);
    assert_eq!(entries(&base.path().join("dir")), ["c"]);
    assert_eq!(
        kind(top.rename(&name("missing"), &*top, &name("x"), false)),
        Kind::NotFound
    );
    assert_eq!(
        kind(top.rename(&name("dir"), &*dir, &name("x"), false)),
        Kind::NotSupported
    );
    let other = super::top(base.path());
    assert_eq!(
        kind(top.rename(&name("dir"), &*other, &name("x"), false)),
        Kind::NotSupported
    );
}

#[test]
fn attributes_are_changed_on_the_entry_itself() {
    let base = tempfile::tempdir().expect("a directory");
    fs::write(base.path().join("file"), "x").expect("written");
    symlink("file", base.path().join("link")).expect("linked");
    let top = top(base.path());
    let mtime = Time {
        seconds: -5,
        nanos: 999_999_999,
    };
    let owner = rustix::process::geteuid()
        .is_root()
        .then_some((12_345, 54_321));
    let changes = Changes {
        mode: Some(0o6755),
        mtime: Some(mtime),
        owner,
    };
    top.set_attributes(Some(&name("file")), &changes)
        .expect("changed");
    let file = top.lookup(&name("file")).expect("looked up");
    assert_eq!((file.mode, file.mtime), (0o6755, mtime));
    if let Some(owner) = owner {
        assert_eq!((file.uid, file.gid), owner);
    }
    let time = Changes {
        mtime: Some(mtime),
        ..Changes::default()
    };
    top.set_attributes(Some(&name("link")), &time)
        .expect("changed");
    assert_eq!(top.lookup(&name("link")).expect("looked up").mtime, mtime);
    let mode = Changes {
        mode: Some(0o600),
        ..Changes::default()
    };
    assert_eq!(
        kind(top.set_attributes(Some(&name("link")), &mode)),
        Kind::NotSupported
    );
    assert_eq!(top.lookup(&name("file")).expect("looked up").mode, 0o6755);
    top.set_attributes(
        None,
        &Changes {
            mode: Some(0o700),
            mtime: Some(mtime),
            owner: None,
        },
    )
    .expect("changed");
    let here = top.attributes().expect("looked up");
    assert_eq!((here.mode, here.mtime), (0o700, mtime));
}
