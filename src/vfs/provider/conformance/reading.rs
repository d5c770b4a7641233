//! What every provider must do when it is read from.

use std::sync::Arc;

use super::{Fixture, Node, Snapshot, name, snapshot, tree::names, whole};
use crate::vfs::{
    entry::EntryKind,
    fault::Kind,
    path::{MAX_NAME, Name},
    provider::{CHUNK, Directory},
};

/// A tree with what is awkward: names that sort differently as files and as directories, bytes that are no text, long
/// names, contents around the size of a piece.
pub(super) fn known_tree() -> Snapshot {
    let file = |bytes: &[u8]| Node::File {
        bytes: bytes.to_vec(),
        executable: false,
    };
    let mut tree = Snapshot::new();
    for path in [
        &b"a-b"[..],
        b"a.c",
        b"a0",
        b"new\nline",
        b"quote\"\\",
        b"\xff\xfe",
        "ä".as_bytes(),
        b"a\xcc\x88",
        b"A",
        b"-n",
        b"*",
        b"...",
    ] {
        tree.insert(path.to_vec(), file(path));
    }
    tree.insert(vec![b'l'; MAX_NAME], file(b"long"));
    tree.insert(
        b"run".to_vec(),
        Node::File {
            bytes: b"#!/bin/sh\n".to_vec(),
            executable: true,
        },
    );
    tree.insert(b"empty".to_vec(), file(b""));
    for (path, length) in [
        ("piece", CHUNK),
        ("less", CHUNK - 1),
        ("more", CHUNK + 1),
        ("large", 5 * CHUNK + 77),
    ] {
        let bytes: Vec<u8> = (0..length)
            .map(|at| (at * 31 / 7).to_le_bytes()[0])
            .collect();
        tree.insert(path.into(), file(&bytes));
    }
    for directory in ["a", "a/b", "a/b/c", "deep"] {
        tree.insert(directory.into(), Node::Dir);
    }
    tree.insert(b"a/b/c/leaf".to_vec(), file(b"leaf"));
    let mut path = b"deep".to_vec();
    for _ in 0..60 {
        path.extend_from_slice(b"/d");
        tree.insert(path.clone(), Node::Dir);
    }
    tree.insert([&path, &b"/bottom"[..]].concat(), file(b"far down"));
    for (link, target) in [
        ("to-file", &b"a-b"[..]),
        ("to-dir", b"a"),
        ("up", b"../../.."),
        ("away", b"/etc/passwd"),
        ("a/loop", b"loop"),
        ("odd", b"\xff \n"),
    ] {
        tree.insert(link.into(), Node::Link(target.to_vec()));
    }
    for number in 0..300 {
        tree.insert(format!("a/b/n{number:03}").into(), file(b"x"));
    }
    tree
}

pub(super) fn run(make: &impl Fn(&Snapshot) -> Fixture) {
    let tree = known_tree();
    let fixture = make(&tree);
    let root = fixture.root();
    assert_eq!(snapshot(&root), tree, "it holds what it was made of");
    missing_and_wrong(&root);
    ranges(&root, &tree);
    ways_down(&root);
    pages(&fixture, &root, "a/b");
    pages(&fixture, &root, "");
    attributes(&fixture, &root);
    many_readers(&root, &tree);
    told(&fixture, &root, &tree);
    closed(&fixture, &root, &tree);
}

/// The directory of a plain path.
pub(super) fn enter(root: &Arc<dyn Directory>, path: &str) -> Arc<dyn Directory> {
    let names: Vec<Name> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(name)
        .collect();
    let (directory, taken) = root.descend(&names).expect("descend");
    assert_eq!(taken, names.len(), "all of {path} are directories");
    directory
}

fn missing_and_wrong(root: &Arc<dyn Directory>) {
    let lookup = |text: &str| {
        root.lookup(&name(text))
            .map(|found| found.kind)
            .map_err(|fault| fault.kind())
    };
    let open = |text: &str| root.open(&name(text)).expect_err("refused").kind();
    assert_eq!(lookup("missing"), Err(Kind::NotFound));
    assert_eq!(
        lookup("to-file"),
        Ok(EntryKind::Symlink),
        "links are not followed"
    );
    assert_eq!(lookup("a"), Ok(EntryKind::Dir));
    assert_eq!(open("missing"), Kind::NotFound);
    assert_eq!(open("a"), Kind::IsADirectory);
    assert_eq!(open("to-file"), Kind::Changed, "links are not followed");
    let fault = root.open(&name("a")).expect_err("refused");
    assert_eq!(fault.path(), b"a", "a failure has the name");
}

fn ranges(root: &Arc<dyn Directory>, tree: &Snapshot) {
    for path in ["empty", "piece", "less", "more", "large"] {
        let Some(Node::File { bytes, .. }) = tree.get(path.as_bytes()) else {
            panic!("{path} is a file of the tree");
        };
        let file = root.open(&name(path)).expect("open");
        for offset in [
            0,
            1,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            bytes.len().saturating_sub(1),
            bytes.len(),
            bytes.len() + 1,
        ] {
            for length in [0, 1, 1000, CHUNK, 2 * CHUNK + 5] {
                let due = bytes.get(offset..).unwrap_or_default();
                let mut buffer = vec![0; length];
                let count = file.read_at(&mut buffer, offset as u64).expect("read");
                // Fewer than asked for only at the end.
                assert_eq!(
                    count,
                    due.len().min(length),
                    "{path} from {offset}, {length} bytes"
                );
                assert!(
                    buffer[..count] == due[..count],
                    "{path} from {offset}, {length} bytes"
                );
            }
        }
        assert_eq!(
            file.read_at(&mut [0; 8], u64::MAX - 4).ok(),
            Some(0),
            "past any end"
        );
        assert!(!file.is_endless());
    }
}

fn ways_down(root: &Arc<dyn Directory>) {
    let taken = |path: &[&str]| {
        let names: Vec<Name> = path.iter().map(name).collect();
        let (directory, taken) = root.descend(&names).expect("descend");
        (taken, directory)
    };
    assert_eq!(taken(&[]).0, 0);
    assert_eq!(taken(&["a", "b", "c"]).0, 3);
    assert_eq!(
        taken(&["a", "b", "c", "leaf"]).0,
        3,
        "a file is not entered"
    );
    assert_eq!(taken(&["a", "missing", "c"]).0, 1);
    assert_eq!(taken(&["to-dir", "b"]).0, 0, "a link is not followed");
    let (_, stopped) = taken(&["a", "b", "c", "leaf", "x"]);
    assert_eq!(
        stopped.lookup(&name("leaf")).expect("there").kind,
        EntryKind::File,
        "the last directory is given"
    );
    let mut deep = vec!["deep"];
    deep.extend(["d"; 60]);
    let (count, bottom) = taken(&deep);
    assert_eq!(count, 61);
    assert_eq!(
        whole(&*bottom.open(&name("bottom")).expect("open")),
        b"far down"
    );
    let step = enter(&enter(root, "a"), "b");
    let at_once = enter(root, "a/b");
    assert_eq!(
        step.attributes().expect("stat").identity,
        at_once.attributes().expect("stat").identity,
        "one step or two lead to the same"
    );
}

fn pages(fixture: &Fixture, root: &Arc<dyn Directory>, path: &str) {
    let directory = enter(root, path);
    let mut all = names(&*directory);
    if !fixture.provider.capabilities().sorted_list {
        let listing = directory.list(Some(&name("zzz")), 1).expect("list");
        assert!(
            !listing.more && listing.entries.len() == all.len(),
            "unsorted listings are whole"
        );
        all.sort();
        assert!(
            all.windows(2).all(|pair| pair[0] != pair[1]),
            "each name comes once"
        );
        return;
    }
    assert!(
        all.windows(2).all(|pair| pair[0] < pair[1]),
        "names come in byte order, each once"
    );
    for limit in [1, 2, 7, all.len() - 1, all.len(), all.len() + 1] {
        let mut found: Vec<Name> = Vec::new();
        loop {
            let page = directory.list(found.last(), limit).expect("list");
            assert!(page.entries.len() <= limit);
            let done = found.len() + page.entries.len() == all.len();
            assert_eq!(page.more, !done, "`more` says whether there are more");
            found.extend(page.entries.into_iter().map(|(name, _)| name));
            if done {
                break;
            }
        }
        assert_eq!(found, all, "pages of {limit}");
    }
    let between = name(
        [all[1].as_bytes(), b"\x01"]
            .concat()
            .get(..MAX_NAME)
            .unwrap_or(b"b"),
    );
    let due: Vec<_> = all
        .iter()
        .filter(|name| **name > between)
        .cloned()
        .collect();
    let page = directory.list(Some(&between), usize::MAX).expect("list");
    let found: Vec<_> = page.entries.into_iter().map(|(name, _)| name).collect();
    assert_eq!(found, due, "a page begins after any name, there or not");
}

fn attributes(fixture: &Fixture, root: &Arc<dyn Directory>) {
    let look = |text: &str| root.lookup(&name(text)).expect("there");
    let (file, again, other) = (look("a-b"), look("a-b"), look("a.c"));
    assert_eq!(file, again, "nothing changed");
    assert_ne!(file.identity, other.identity, "two files");
    assert_eq!(file.version.tag(), again.version.tag());
    assert_ne!(file.version.tag(), other.version.tag(), "two contents");
    assert_eq!(file.mode & !0o7777, 0);
    let opened = root
        .open(&name("a-b"))
        .expect("open")
        .attributes()
        .expect("stat");
    assert_eq!(
        (opened.version, opened.size, opened.identity),
        (file.version, file.size, file.identity)
    );
    let link = look("to-dir");
    assert_eq!((link.target.as_deref(), link.size), (Some(&b"a"[..]), 1));
    assert!(!link.magic && link.commit.is_none() && file.target.is_none());
    let (inside, outside) = (enter(root, "a").attributes().expect("stat"), look("a"));
    assert_eq!(
        (inside.kind, inside.identity),
        (outside.kind, outside.identity)
    );
    assert_eq!(root.attributes().expect("stat").kind, EntryKind::Dir);
    let listed = root.list(None, usize::MAX).expect("list").entries;
    assert!(
        listed
            .iter()
            .all(|(name, kind)| root.lookup(name).expect("there").kind == *kind)
    );
    if fixture.provider.capabilities().modes {
        assert_eq!(
            (look("run").mode & 0o777, file.mode & 0o777),
            (0o755, 0o644)
        );
    }
}

fn many_readers(root: &Arc<dyn Directory>, tree: &Snapshot) {
    let file = root.open(&name("large")).expect("open");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let Some(Node::File { bytes, .. }) = tree.get(&b"large"[..]) else {
                    panic!("it is a file of the tree");
                };
                assert!(
                    whole(&*file) == *bytes
                        && whole(&*root.open(&name("large")).expect("open")) == *bytes
                );
                assert_eq!(names(&*enter(root, "a/b")).len(), 301);
            });
        }
    });
}

/// What is told besides the verbs.
fn told(fixture: &Fixture, root: &Arc<dyn Directory>, tree: &Snapshot) {
    let capabilities = fixture.provider.capabilities();
    assert_eq!(root.host().is_some(), capabilities.host_path);
    assert_eq!(enter(root, "a/b").host().is_some(), capabilities.host_path);
    let usage = fixture.provider.usage();
    assert!(
        usage.files.is_none_or(|files| files == tree.len() as u64),
        "{usage:?}"
    );
    assert!(usage.skipped.unwrap_or(0) == 0, "{usage:?}");
}

fn closed(fixture: &Fixture, root: &Arc<dyn Directory>, tree: &Snapshot) {
    let file = root.open(&name("large")).expect("open");
    fixture.provider.close();
    fixture.provider.close();
    let Some(Node::File { bytes, .. }) = tree.get(&b"large"[..]) else {
        panic!("it is a file of the tree");
    };
    assert!(whole(&*file) == *bytes, "what was handed out goes on");
    assert_eq!(root.lookup(&name("a")).expect("there").kind, EntryKind::Dir);
}
