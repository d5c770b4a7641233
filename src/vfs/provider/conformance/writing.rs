//! What a provider must do when it is written to, or refuse when it cannot be.

mod entries;
mod watching;

use std::sync::Arc;

use super::{Fixture, Node, Snapshot, name, reading::enter, snapshot, tree::names, whole};
use crate::vfs::{
    entry::{EntryKind, Version},
    fault::{Kind, Result},
    provider::{
        CHUNK, Capabilities, Changes, Commit, Committed, Condition, Creation, Directory, Draft,
    },
};

type Root = Arc<dyn Directory>;
type Case = fn(&Root, Capabilities);

pub(super) fn run(make: &impl Fn(&Snapshot) -> Fixture) {
    let cases: [(&str, Case); 14] = [
        ("drafts", drafts),
        ("replacing", replacing),
        ("refused drafts", refused_drafts),
        ("conditions", conditions),
        ("races", races),
        ("holding", holding),
        ("appending", appending),
        ("directories", entries::directories),
        ("links", entries::links),
        ("removing", entries::removing),
        ("renaming", entries::renaming),
        ("renaming over", entries::renaming_over),
        ("attributes", entries::attributes),
        ("names", entries::odd_names),
    ];
    let fixture = make(&Snapshot::default());
    watching::watching(&*fixture.provider, &fixture.root());
    for (case, check) in cases {
        let fixture = make(&Snapshot::default());
        let before = fixture.provider.usage();
        let root = fixture.root();
        check(&root, fixture.provider.capabilities());
        for path in snapshot(&root).into_keys().rev() {
            remove_path(&root, &path);
        }
        assert_eq!(
            fixture.provider.usage(),
            before,
            "{case}: everything is given back"
        );
    }
}

fn remove_path(root: &Root, path: &[u8]) {
    let (above, last) = match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&path[..0], path),
    };
    let names: Vec<_> = above
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty())
        .map(name)
        .collect();
    let (at, _) = root.descend(&names).expect("descend");
    let directory = at.lookup(&name(last)).expect("there").kind == EntryKind::Dir;
    at.remove(&name(last), directory).expect("remove");
}

/// Every verb that writes fails as one that the provider does not have.
pub(super) fn is_refused(make: &impl Fn(&Snapshot) -> Fixture) {
    let tree = Snapshot::from([
        (
            b"f".to_vec(),
            Node::File {
                bytes: b"x".to_vec(),
                executable: false,
            },
        ),
        (b"d".to_vec(), Node::Dir),
        (
            b"d/f".to_vec(),
            Node::File {
                bytes: b"y".to_vec(),
                executable: false,
            },
        ),
    ]);
    let fixture = make(&tree);
    let root = fixture.root();
    let below = enter(&root, "d");
    for name in [name("f"), name("missing")] {
        assert_eq!(
            kind(root.create(&name, &Creation::default())),
            Kind::NotSupported
        );
        assert_eq!(
            kind(root.create(
                &name,
                &Creation {
                    append: true,
                    ..Creation::default()
                }
            )),
            Kind::NotSupported
        );
        assert_eq!(kind(root.make_dir(&name, None)), Kind::NotSupported);
        assert_eq!(kind(root.make_link(&name, b"f")), Kind::NotSupported);
        assert_eq!(kind(root.remove(&name, false)), Kind::NotSupported);
        assert_eq!(
            kind(root.rename(&name, &*below, &name, true)),
            Kind::NotSupported
        );
        assert_eq!(
            kind(root.set_attributes(Some(&name), &Changes::default())),
            Kind::NotSupported
        );
    }
    assert_eq!(
        kind(root.set_attributes(None, &Changes::default())),
        Kind::NotSupported
    );
    assert_eq!(snapshot(&root), tree, "nothing changed");
    let told = fixture.provider.capabilities();
    match fixture.provider.watcher() {
        Ok(watcher) => assert!(told.watch && watcher.is_none(), "nothing ever changes"),
        Err(fault) => assert_eq!((told.watch, fault.kind()), (false, Kind::NotSupported)),
    }
    let writing = [
        told.conditional_commit,
        told.atomic_rename,
        told.links,
        told.set_times,
        told.journal,
    ];
    assert!(
        !writing.contains(&true),
        "what cannot be written promises nothing about it: {told:?}"
    );
}

fn kind<T>(result: Result<T>) -> Kind {
    result.err().expect("refused").kind()
}

fn draft(at: &Root, file: &str, bytes: &[u8]) -> Box<dyn Draft> {
    let mut draft = at
        .create(&name(file), &Creation::default())
        .expect("create");
    draft.write(bytes).expect("write");
    draft
}

fn put(at: &Root, file: &str, bytes: &[u8]) -> Committed {
    draft(at, file, bytes)
        .commit(&Commit::default())
        .expect("commit")
}

fn put_if(at: &Root, file: &str, bytes: &[u8], condition: Condition) -> Result<Committed> {
    draft(at, file, bytes).commit(&Commit {
        condition,
        ..Commit::default()
    })
}

fn read(at: &Root, file: &str) -> Vec<u8> {
    whole(&*at.open(&name(file)).expect("open"))
}

fn version(at: &Root, file: &str) -> Version {
    at.lookup(&name(file)).expect("there").version
}

fn listed(at: &Root) -> Vec<String> {
    let mut names: Vec<_> = names(&**at)
        .iter()
        .map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned())
        .collect();
    names.sort();
    names
}

fn drafts(root: &Root, _: Capabilities) {
    let mut draft = root
        .create(
            &name("f"),
            &Creation {
                size: Some(3 * CHUNK as u64),
                ..Creation::default()
            },
        )
        .expect("create");
    let bytes: Vec<u8> = (0..3 * CHUNK).map(|at| (at / 3).to_le_bytes()[0]).collect();
    for piece in bytes.chunks(100_001) {
        draft.write(piece).expect("write");
        assert_eq!(
            kind(root.lookup(&name("f"))),
            Kind::NotFound,
            "nothing shows before the commit"
        );
    }
    draft.write(b"").expect("nothing is fine, too");
    let committed = draft.commit(&Commit::default()).expect("commit");
    assert!(committed.created && committed.atomic && committed.previous.is_none());
    assert_eq!(
        committed.attributes,
        root.lookup(&name("f")).expect("there")
    );
    assert!(read(root, "f") == bytes);

    let empty = root
        .create(&name("empty"), &Creation::default())
        .expect("create");
    assert!(
        empty
            .commit(&Commit {
                sync: true,
                ..Commit::default()
            })
            .expect("commit")
            .created
    );
    assert_eq!(read(root, "empty"), b"");

    let mut dropped = root
        .create(&name("g"), &Creation::default())
        .expect("create");
    dropped.write(&bytes).expect("write");
    drop(dropped);
    assert_eq!(
        listed(root),
        ["empty", "f"],
        "a dropped draft leaves nothing"
    );
}

fn replacing(root: &Root, told: Capabilities) {
    let first = put(root, "f", b"old").attributes;
    if told.modes {
        root.set_attributes(
            Some(&name("f")),
            &Changes {
                mode: Some(0o750),
                ..Changes::default()
            },
        )
        .expect("chmod");
    }
    let pinned = root.open(&name("f")).expect("open");
    let second = put(root, "f", b"newer");
    assert!(!second.created);
    assert_ne!(first.version, second.attributes.version);
    assert_eq!(
        (whole(&*pinned), read(root, "f")),
        (b"old".to_vec(), b"newer".to_vec()),
        "an opened file is pinned"
    );
    if told.modes {
        assert_eq!(
            second.attributes.mode, 0o750,
            "the mode is that of the file before"
        );
        let mut draft = root
            .create(
                &name("f"),
                &Creation {
                    mode: Some(0o604),
                    ..Creation::default()
                },
            )
            .expect("create");
        draft.write(b"x").expect("write");
        assert_eq!(
            draft
                .commit(&Commit::default())
                .expect("commit")
                .attributes
                .mode,
            0o604
        );
    }
    let pinned = root.open(&name("f")).expect("open");
    let content = read(root, "f");
    root.remove(&name("f"), false).expect("remove");
    assert_eq!(whole(&*pinned), content, "removed, it is still read");
}

fn refused_drafts(root: &Root, told: Capabilities) {
    root.make_dir(&name("d"), None).expect("make");
    let append = Creation {
        append: true,
        ..Creation::default()
    };
    for creation in [Creation::default(), append] {
        assert_eq!(kind(root.create(&name("d"), &creation)), Kind::IsADirectory);
        if told.links {
            let _ = root.make_link(&name("l"), b"elsewhere");
            assert_eq!(
                kind(root.create(&name("l"), &creation)),
                Kind::Changed,
                "a link is not written through"
            );
        }
    }
    let late = draft(root, "late", b"x");
    root.make_dir(&name("late"), None).expect("make");
    assert_eq!(
        kind(late.commit(&Commit::default())),
        Kind::IsADirectory,
        "what came meanwhile is looked at"
    );
    assert!(names(&*enter(root, "late")).is_empty());
}

fn conditions(root: &Root, _: Capabilities) {
    assert_eq!(
        kind(put_if(
            root,
            "f",
            b"1",
            Condition::Is(Version::Generation(1))
        )),
        Kind::Changed
    );
    assert_eq!(listed(root), [""; 0]);
    put_if(root, "f", b"1", Condition::Missing).expect("it was missing");
    assert_eq!(
        kind(put_if(root, "f", b"2", Condition::Missing)),
        Kind::AlreadyExists
    );
    let stale = version(root, "f");
    put_if(root, "f", b"2", Condition::Is(stale.clone())).expect("it is that version");
    assert_eq!(
        kind(put_if(root, "f", b"3", Condition::Is(stale))),
        Kind::Changed
    );
    assert_eq!(
        (read(root, "f"), listed(root)),
        (b"2".to_vec(), vec!["f".to_owned()])
    );
    // A content of the same length right after is another version, however coarse the clock.
    let mut versions = std::collections::HashSet::new();
    for round in 0..50 {
        let committed = put(root, "f", &[round]);
        assert!(
            versions.insert(committed.attributes.version.tag()),
            "round {round}"
        );
    }
}

/// Of those who write at the same time, one finds the condition true.
fn races(root: &Root, told: Capabilities) {
    let race = |condition: &Condition| {
        std::thread::scope(|scope| {
            let writers = [1_u8, 2, 3, 4].map(|number| {
                scope.spawn(move || {
                    put_if(root, "f", &[number], condition.clone())
                        .map(|_| number)
                        .ok()
                })
            });
            let done = writers.map(|writer| writer.join().expect("no panic"));
            done.into_iter().flatten().collect::<Vec<_>>()
        })
    };
    for _ in 0..20 {
        let won = race(&Condition::Missing);
        assert_eq!(
            (won.len(), read(root, "f")),
            (1, won.clone()),
            "must not exist"
        );
        if told.conditional_commit {
            let won = race(&Condition::Is(version(root, "f")));
            assert_eq!(
                (won.len(), read(root, "f")),
                (1, won.clone()),
                "must be this version"
            );
        }
        root.remove(&name("f"), false).expect("remove");
    }
    assert_eq!(listed(root), [""; 0]);
}

fn holding(root: &Root, _: Capabilities) {
    let hold = Commit {
        hold: true,
        ..Commit::default()
    };
    put(root, "f", b"old");
    let before = root.lookup(&name("f")).expect("there");
    let held = draft(root, "f", b"new")
        .commit(&hold)
        .expect("commit")
        .previous
        .expect("held");
    assert_eq!(read(root, "f"), b"new");
    held.restore().expect("restore");
    assert_eq!(
        (root.lookup(&name("f")).expect("there"), read(root, "f")),
        (before, b"old".to_vec())
    );

    let held = draft(root, "g", b"made")
        .commit(&hold)
        .expect("commit")
        .previous
        .expect("held");
    held.restore().expect("restore");
    assert_eq!(listed(root), ["f"], "where nothing was is nothing again");

    let held = draft(root, "f", b"new")
        .commit(&hold)
        .expect("commit")
        .previous
        .expect("held");
    put(root, "f", b"of somebody else");
    assert_eq!(kind(held.restore()), Kind::Changed);
    assert_eq!(read(root, "f"), b"of somebody else");

    let held = draft(root, "f", b"kept")
        .commit(&hold)
        .expect("commit")
        .previous
        .expect("held");
    drop(held);
    assert_eq!(
        (read(root, "f"), listed(root)),
        (b"kept".to_vec(), vec!["f".to_owned()])
    );
}

fn appending(root: &Root, told: Capabilities) {
    let append = |bytes: &[u8], mode| {
        let mut draft = root
            .create(
                &name("f"),
                &Creation {
                    append: true,
                    mode,
                    ..Creation::default()
                },
            )
            .expect("create");
        draft.write(bytes).expect("append");
        draft
    };
    let first = append(b"one", Some(0o640));
    assert_eq!(read(root, "f"), b"one", "appended bytes show at once");
    assert!(first.commit(&Commit::default()).expect("commit").created);
    if told.modes {
        assert_eq!(root.lookup(&name("f")).expect("there").mode, 0o640);
    }
    let before = version(root, "f");
    let again = append(b" two", None)
        .commit(&Commit::default())
        .expect("commit");
    assert!(!again.created && again.attributes.size == 7 && again.attributes.version != before);
    drop(append(b" three", None));
    assert_eq!(read(root, "f"), b"one two three", "what was appended stays");
    let stale = Commit {
        condition: Condition::Is(before),
        ..Commit::default()
    };
    assert_eq!(kind(append(b"", None).commit(&stale)), Kind::Changed);
    let length = std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| drop(append(b"12345678", None))));
        }
        13 + 4 * 50 * 8
    });
    let bytes = read(root, "f");
    assert_eq!(bytes.len(), length, "appends at the same time lose nothing");
    assert!(bytes[13..].chunks(8).all(|chunk| chunk == b"12345678"));
}
