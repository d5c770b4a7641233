//! Directories, links, names and attributes.

use super::{
    super::{Node, name, reading::enter, snapshot, whole},
    Root, kind, listed, put, read,
};
use crate::vfs::{
    entry::{EntryKind, Time},
    fault::Kind,
    provider::{Capabilities, Changes, Commit, Creation},
};

pub(super) fn directories(root: &Root, told: Capabilities) {
    root.make_dir(&name("d"), None).expect("make");
    assert_eq!(kind(root.make_dir(&name("d"), None)), Kind::AlreadyExists);
    put(root, "f", b"");
    assert_eq!(kind(root.make_dir(&name("f"), None)), Kind::AlreadyExists);
    root.make_dir(&name("private"), Some(0o700)).expect("make");
    if told.modes {
        assert_eq!(root.lookup(&name("private")).expect("there").mode, 0o700);
    }
    let inside = enter(root, "d");
    put(&inside, "x", b"1");
    root.rename(&name("d"), &**root, &name("e"), false)
        .expect("rename");
    put(&inside, "y", b"2");
    assert_eq!(
        listed(&enter(root, "e")),
        ["x", "y"],
        "an opened directory goes where it is renamed to"
    );
    root.make_dir(&name("d"), None).expect("make");
    assert!(listed(&enter(root, "d")).is_empty());
}

pub(super) fn links(root: &Root, told: Capabilities) {
    if !told.links {
        assert_eq!(kind(root.make_link(&name("l"), b"x")), Kind::NotSupported);
        return;
    }
    let long = [b'x'; 4095];
    for (number, target) in [&b"nowhere"[..], b"/absolute", b"..", b"\xff\n", &long]
        .into_iter()
        .enumerate()
    {
        let link = name(format!("l{number}"));
        root.make_link(&link, target).expect("link");
        let found = root.lookup(&link).expect("there");
        assert_eq!(
            (found.kind, found.size),
            (EntryKind::Symlink, target.len() as u64)
        );
        assert_eq!(found.target.as_deref(), Some(target));
    }
    assert_eq!(kind(root.make_link(&name("l0"), b"x")), Kind::AlreadyExists);
    assert_eq!(
        kind(root.make_link(&name("new"), b"")),
        Kind::NotFound,
        "as on Linux"
    );
    assert_eq!(
        kind(root.make_link(&name("new"), &[b'x'; 4096])),
        Kind::NameTooLong
    );
    root.rename(&name("l0"), &**root, &name("moved"), false)
        .expect("rename");
    assert_eq!(
        root.lookup(&name("moved"))
            .expect("there")
            .target
            .as_deref(),
        Some(&b"nowhere"[..])
    );
}

pub(super) fn removing(root: &Root, told: Capabilities) {
    put(root, "f", b"");
    root.make_dir(&name("d"), None).expect("make");
    put(&enter(root, "d"), "x", b"");
    assert_eq!(kind(root.remove(&name("missing"), false)), Kind::NotFound);
    assert_eq!(kind(root.remove(&name("missing"), true)), Kind::NotFound);
    assert_eq!(kind(root.remove(&name("f"), true)), Kind::NotADirectory);
    assert_eq!(kind(root.remove(&name("d"), false)), Kind::IsADirectory);
    assert_eq!(kind(root.remove(&name("d"), true)), Kind::NotEmpty);
    if told.links {
        root.make_link(&name("l"), b"d").expect("link");
        assert_eq!(kind(root.remove(&name("l"), true)), Kind::NotADirectory);
        root.remove(&name("l"), false)
            .expect("the link, not what it points to");
    }
    enter(root, "d").remove(&name("x"), false).expect("remove");
    root.remove(&name("d"), true).expect("it is empty now");
    root.remove(&name("f"), false).expect("remove");
    assert_eq!(listed(root), [""; 0]);
}

pub(super) fn renaming(root: &Root, told: Capabilities) {
    assert_eq!(
        kind(root.rename(&name("missing"), &**root, &name("x"), true)),
        Kind::NotFound
    );
    put(root, "f", b"content");
    root.make_dir(&name("d"), None).expect("make");
    let below = enter(root, "d");
    let before = root.lookup(&name("f")).expect("there");
    root.rename(&name("f"), &*below, &name("g"), false)
        .expect("rename");
    let after = below.lookup(&name("g")).expect("there");
    assert_eq!(
        (after.identity, after.version),
        (before.identity, before.version),
        "it is the same file"
    );
    assert_eq!(kind(root.lookup(&name("f"))), Kind::NotFound);
    assert_eq!(
        kind(root.rename(&name("d"), &*below, &name("inner"), true)),
        Kind::NotSupported,
        "into itself"
    );
    root.rename(&name("d"), &**root, &name("d"), true)
        .expect("onto itself, nothing changes");
    if told.atomic_rename {
        root.make_dir(&name("e"), None).expect("make");
        root.rename(&name("d"), &*enter(root, "e"), &name("moved"), false)
            .expect("a directory, too");
        assert_eq!(read(&enter(root, "e/moved"), "g"), b"content");
        assert_eq!(listed(root), ["e"]);
    }
}

pub(super) fn renaming_over(root: &Root, _: Capabilities) {
    let over =
        |from: &str, to: &str, replace| root.rename(&name(from), &**root, &name(to), replace);
    put(root, "f", b"f");
    put(root, "g", b"g");
    for directory in ["empty", "other", "full"] {
        root.make_dir(&name(directory), None).expect("make");
    }
    put(&enter(root, "full"), "x", b"x");
    for to in ["g", "f", "empty", "full"] {
        assert_eq!(kind(over("f", to, false)), Kind::AlreadyExists, "{to}");
    }
    assert_eq!(kind(over("f", "empty", true)), Kind::IsADirectory);
    assert_eq!(kind(over("full", "f", true)), Kind::NotADirectory);
    assert_eq!(kind(over("empty", "full", true)), Kind::NotEmpty);
    let pinned = root.open(&name("g")).expect("open");
    over("f", "g", true).expect("a file over a file");
    assert_eq!(
        (read(root, "g"), whole(&*pinned)),
        (b"f".to_vec(), b"g".to_vec())
    );
    over("full", "empty", true).expect("a directory over an empty one");
    assert_eq!(listed(root), ["empty", "g", "other"]);
    assert_eq!(listed(&enter(root, "empty")), ["x"]);
}

pub(super) fn attributes(root: &Root, told: Capabilities) {
    put(root, "f", b"x");
    root.make_dir(&name("d"), None).expect("make");
    let change = |changes| root.set_attributes(Some(&name("f")), &changes);
    let look = || root.lookup(&name("f")).expect("there");
    let missing = root.set_attributes(
        Some(&name("missing")),
        &Changes {
            mode: Some(0o600),
            ..Changes::default()
        },
    );
    assert_eq!(kind(missing), Kind::NotFound);
    change(Changes::default()).expect("nothing is fine, too");
    let mode = Changes {
        mode: Some(0o4711),
        ..Changes::default()
    };
    if told.modes {
        let before = look();
        change(mode).expect("chmod");
        assert_eq!((look().mode, look().mtime), (0o4711, before.mtime));
        enter(root, "d")
            .set_attributes(
                None,
                &Changes {
                    mode: Some(0o700),
                    ..Changes::default()
                },
            )
            .expect("chmod");
        assert_eq!(root.lookup(&name("d")).expect("there").mode, 0o700);
    } else {
        assert_eq!(kind(change(mode)), Kind::NotSupported);
    }
    let before = look();
    let mtime = Time {
        seconds: 1_234_567_890,
        nanos: 123_456_789,
    };
    let times = Changes {
        mtime: Some(mtime),
        ..Changes::default()
    };
    if told.set_times {
        change(times).expect("touch");
        assert_eq!(
            (look().mtime, look().mode, look().size),
            (mtime, before.mode, before.size)
        );
    } else {
        assert_eq!(kind(change(times)), Kind::NotSupported);
    }
    let owner = Changes {
        owner: Some((before.uid, before.gid)),
        ..Changes::default()
    };
    if told.owner {
        change(owner).expect("to whom it belongs already");
    } else {
        assert_eq!(kind(change(owner)), Kind::NotSupported);
    }
}

pub(super) fn odd_names(root: &Root, _: Capabilities) {
    let long = [b'l'; 255];
    let odd: [&[u8]; 8] = [
        b"\xff\xfe",
        b"new\nline",
        b"-rf",
        b"*",
        b"...",
        "ä".as_bytes(),
        b"a\xcc\x88",
        &long,
    ];
    for bytes in odd {
        let mut draft = root
            .create(&name(bytes), &Creation::default())
            .expect("create");
        draft.write(bytes).expect("write");
        draft.commit(&Commit::default()).expect("commit");
    }
    let found = snapshot(root);
    assert_eq!(found.len(), odd.len());
    for (path, node) in found {
        assert_eq!(
            node,
            Node::File {
                bytes: path.clone(),
                executable: false
            },
            "each name is its own"
        );
    }
}
