//! Writing files.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;
use crate::vfs::{
    entry::Time,
    provider::{Changes, Condition},
};

fn how(condition: Condition) -> Commit {
    Commit {
        condition,
        ..Commit::default()
    }
}

fn hold() -> Commit {
    Commit {
        hold: true,
        ..Commit::default()
    }
}

#[test]
fn files_are_made_and_replaced_whole() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    let first = put(&*here, "file", b"one", &Commit::default()).expect("written");
    assert!(first.created && first.atomic && first.previous.is_none());
    assert_eq!(first.attributes.mode, 0o666 & !crate::sys::fs::umask());
    assert_eq!(
        first.attributes,
        here.lookup(&name("file")).expect("looked up")
    );
    fs::set_permissions(base.path().join("file"), fs::Permissions::from_mode(0o751))
        .expect("changed");
    fs::hard_link(base.path().join("file"), base.path().join("other")).expect("linked");
    let sync = Commit {
        sync: true,
        ..Commit::default()
    };
    let second = put(&*here, "file", b"two!", &sync).expect("written");
    assert!(!second.created && second.atomic);
    assert_eq!((second.attributes.mode, second.attributes.size), (0o751, 4));
    assert_eq!(fs::read(base.path().join("other")).expect("read"), b"one");
    let creation = Creation {
        mode: Some(0o6701),
        ..Creation::default()
    };
    let draft = here.create(&name("file"), &creation).expect("begun");
    assert_eq!(
        draft
            .commit(&Commit::default())
            .expect("written")
            .attributes
            .mode,
        0o6701
    );
    let draft = here.create(&name("new"), &creation).expect("begun");
    assert_eq!(
        draft
            .commit(&Commit::default())
            .expect("written")
            .attributes
            .mode,
        0o6701
    );
    assert_eq!(entries(base.path()), ["file", "new", "other"]);
}

#[test]
fn a_draft_that_is_dropped_leaves_nothing() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    put(&*here, "file", b"old", &Commit::default()).expect("written");
    for target in ["file", "new"] {
        let mut draft = here
            .create(&name(target), &Creation::default())
            .expect("begun");
        draft.write(&vec![7; 1 << 20]).expect("written");
        let staging = draft.staging().expect("lies there");
        assert_eq!(staging.directory, base.path());
        let path = base
            .path()
            .join(String::from_utf8_lossy(staging.draft.as_bytes()).as_ref());
        let meta = fs::metadata(&path).expect("there");
        assert_eq!((meta.len(), meta.mode() & 0o7777), (1 << 20, 0o600));
        drop(draft);
    }
    assert_eq!(entries(base.path()), ["file"]);
    assert_eq!(read(&*here, "file").expect("read"), b"old");
}

#[test]
fn conditions_are_held() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    let first = put(&*here, "file", b"one", &how(Condition::Missing)).expect("written");
    let again = put(&*here, "file", b"two", &how(Condition::Missing));
    assert_eq!(kind(again), Kind::AlreadyExists);
    let second = put(
        &*here,
        "file",
        b"two",
        &how(Condition::Is(first.attributes.version.clone())),
    );
    let second = second.expect("written");
    let stale = put(
        &*here,
        "file",
        b"six",
        &how(Condition::Is(first.attributes.version.clone())),
    );
    assert_eq!(kind(stale), Kind::Changed);
    let missing = put(
        &*here,
        "missing",
        b"six",
        &how(Condition::Is(second.attributes.version)),
    );
    assert_eq!(kind(missing), Kind::Changed);
    assert_eq!(read(&*here, "file").expect("read"), b"two");
    assert_eq!(entries(base.path()), ["file"]);
}

#[test]
fn no_two_writes_share_a_version() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    let mut seen = std::collections::HashSet::new();
    for round in 0..300 {
        let creation = Creation {
            append: round % 3 == 2,
            ..Creation::default()
        };
        let mut draft = here.create(&name("file"), &creation).expect("begun");
        if !creation.append {
            draft.write(b"same").expect("written");
        }
        let committed = draft.commit(&Commit::default()).expect("written");
        assert!(seen.insert(committed.attributes.version));
    }
}

#[test]
fn names_of_any_length_and_bytes_are_written() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    for bytes in [&[b'x'; 255][..], b"new\nline", b"\xff\xfe", b"-rf", b"..."] {
        for content in [&b"one"[..], b"two"] {
            let mut draft = here
                .create(&name(bytes), &Creation::default())
                .expect("begun");
            draft.write(content).expect("written");
            draft.commit(&Commit::default()).expect("committed");
        }
        let file = here.open(&name(bytes)).expect("opened");
        assert_eq!(file.attributes().expect("looked up").size, 3);
    }
    assert_eq!(entries(base.path()).len(), 5);
}

#[test]
fn what_was_replaced_is_put_back_as_the_same_object() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    let old = put(&*here, "file", b"old", &Commit::default())
        .expect("written")
        .attributes;
    let mut committed = put(&*here, "file", b"new", &hold()).expect("written");
    assert!(committed.atomic && !committed.created);
    assert_eq!(read(&*here, "file").expect("read"), b"new");
    committed
        .previous
        .take()
        .expect("held")
        .restore()
        .expect("restored");
    assert_eq!(here.lookup(&name("file")).expect("looked up"), old);
    assert_eq!(read(&*here, "file").expect("read"), b"old");
    // Nothing was there before.
    let made = put(&*here, "new", b"new", &hold()).expect("written");
    made.previous.expect("held").restore().expect("restored");
    assert_eq!(entries(base.path()), ["file"]);
    // Let go of.
    drop(put(&*here, "file", b"kept", &hold()).expect("written"));
    assert_eq!(entries(base.path()), ["file"]);
    assert_eq!(read(&*here, "file").expect("read"), b"kept");
}

#[test]
fn what_someone_changed_since_is_not_put_back() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    put(&*here, "file", b"old", &Commit::default()).expect("written");
    let committed = put(&*here, "file", b"new", &hold()).expect("written");
    fs::write(base.path().join("file"), "theirs").expect("written");
    assert_eq!(
        kind(committed.previous.expect("held").restore()),
        Kind::Changed
    );
    let made = put(&*here, "made", b"new", &hold()).expect("written");
    fs::write(base.path().join("made"), "theirs").expect("written");
    assert_eq!(kind(made.previous.expect("held").restore()), Kind::Changed);
    let gone = put(&*here, "file", b"new", &hold()).expect("written");
    fs::remove_file(base.path().join("file")).expect("removed");
    assert_eq!(kind(gone.previous.expect("held").restore()), Kind::Changed);
    assert_eq!(entries(base.path()), ["made"]);
    assert_eq!(fs::read(base.path().join("made")).expect("read"), b"theirs");
}

#[test]
fn appended_bytes_come_to_the_end_and_go_again() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    let append = Creation {
        append: true,
        mode: Some(0o640),
        ..Creation::default()
    };
    for (round, created) in [(1, true), (2, false)] {
        let mut draft = here.create(&name("log"), &append).expect("begun");
        draft.write(b"line\n").expect("written");
        assert_eq!(read(&*here, "log").expect("read").len(), round * 5);
        let committed = draft.commit(&Commit::default()).expect("committed");
        assert_eq!((committed.created, committed.atomic), (created, false));
        assert_eq!(committed.attributes.mode, 0o640);
    }
    let before = here.lookup(&name("log")).expect("looked up");
    let mut draft = here.create(&name("log"), &append).expect("begun");
    draft.write(b"more").expect("written");
    let committed = draft.commit(&hold()).expect("committed");
    committed
        .previous
        .expect("held")
        .restore()
        .expect("restored");
    assert_eq!(here.lookup(&name("log")).expect("looked up"), before);
    assert_eq!(read(&*here, "log").expect("read"), b"line\nline\n");
}

#[test]
fn in_a_directory_that_nobody_sees_a_file_has_its_name_at_once() {
    let base = tempfile::tempdir().expect("a directory");
    let here = top(base.path());
    let creation = Creation {
        mode: Some(0o640),
        unseen: true,
        ..Creation::default()
    };
    let mtime = Time {
        seconds: 1_000_000_000,
        nanos: 7,
    };
    let changes = Changes {
        mtime: Some(mtime),
        ..Changes::default()
    };
    let mut draft = here.create(&name("file"), &creation).expect("begun");
    draft.write(b"text").expect("written");
    assert!(draft.set_attributes(&changes).expect("taken"));
    let made = draft.commit(&Commit::default()).expect("whole").attributes;
    assert_eq!((made.mode, made.size, made.mtime), (0o640, 4, mtime));
    let names = || fs::read_dir(base.path()).expect("there").count();
    assert_eq!(names(), 1);
    let taken = here.create(&name("file"), &creation).map(drop);
    assert_eq!(taken.expect_err("there").kind(), Kind::AlreadyExists);
    let mut dropped = here.create(&name("other"), &creation).expect("begun");
    dropped.write(b"text").expect("written");
    assert_eq!(names(), 2);
    drop(dropped);
    assert_eq!(names(), 1);
}
