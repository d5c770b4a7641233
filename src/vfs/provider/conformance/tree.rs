//! Trees as values: what a mount shall hold, and what it holds.

use std::{collections::BTreeMap, sync::Arc};

use super::super::{Directory, OpenFile};
use crate::vfs::{entry::EntryKind, path::Name};

/// A plain path below the root, names with `/` between them: all that lies there, directories before what is in them.
pub(in crate::vfs) type Snapshot = BTreeMap<Vec<u8>, Node>;

/// What lies at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::vfs) enum Node {
    File { bytes: Vec<u8>, executable: bool },
    Dir,
    Link(Vec<u8>),
    Submodule(String),
}

pub(in crate::vfs) fn name(bytes: impl AsRef<[u8]>) -> Name {
    Name::new(bytes.as_ref()).expect("a name")
}

/// All that a mount holds, by its own listings.
pub(in crate::vfs) fn snapshot(root: &Arc<dyn Directory>) -> Snapshot {
    let mut found = Snapshot::new();
    let mut left = vec![(Vec::new(), root.clone())];
    while let Some((path, directory)) = left.pop() {
        for name in names(&*directory) {
            let path = match path.as_slice() {
                b"" => name.as_bytes().to_vec(),
                path => [path, b"/", name.as_bytes()].concat(),
            };
            let node = node(&*directory, &name);
            if node == Node::Dir {
                let (below, taken) = directory
                    .descend(std::slice::from_ref(&name))
                    .expect("descend");
                assert_eq!(taken, 1, "a directory can be entered");
                left.push((path.clone(), below));
            }
            found.insert(path, node);
        }
    }
    found
}

fn node(directory: &dyn Directory, name: &Name) -> Node {
    let attributes = directory.lookup(name).expect("what is listed is there");
    match attributes.kind {
        EntryKind::File => {
            let bytes = whole(&*directory.open(name).expect("open"));
            assert_eq!(
                bytes.len() as u64,
                attributes.size,
                "the size is that of the content"
            );
            Node::File {
                bytes,
                executable: attributes.mode & 0o100 != 0,
            }
        }
        EntryKind::Dir => Node::Dir,
        EntryKind::Symlink => Node::Link(attributes.target.expect("a link has a target").into()),
        EntryKind::Submodule => {
            Node::Submodule(attributes.commit.expect("a submodule has a commit").into())
        }
        other => panic!("{other:?} is in no tree that was asked for"),
    }
}

/// All names of a directory, page by page.
pub(super) fn names(directory: &dyn Directory) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    loop {
        let page = directory.list(names.last(), 1000).expect("list");
        assert!(page.cut.is_none(), "the listing is whole");
        names.extend(page.entries.into_iter().map(|(name, _)| name));
        if !page.more {
            return names;
        }
    }
}

/// All bytes of a file.
pub(in crate::vfs) fn whole(file: &dyn OpenFile) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 100_000];
    loop {
        let count = file.read_at(&mut buffer, bytes.len() as u64).expect("read");
        if count == 0 {
            return bytes;
        }
        bytes.extend_from_slice(&buffer[..count]);
    }
}
