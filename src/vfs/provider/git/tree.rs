//! Tree objects: bytes to entries. Pure.

use std::{collections::BTreeMap, sync::OnceLock};

use crate::{git::Id, vfs::path::Name};

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File { executable: bool },
    Dir,
    Link,
    Submodule,
}

/// An entry of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) kind: Kind,
    pub(super) id: Id,
    /// Bytes of a file, once somebody has asked for them: to find out costs more than all the rest of an entry.
    pub(super) size: OnceLock<u64>,
}

/// A tree, in byte order of the names: git's own order has directories as if their names ended with `/`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    entries: Vec<Entry>,
    /// Entries that are left out: no name, or one that was there before, or `.git`, or of no kind that we know.
    pub(super) skipped: u64,
}

/// The bytes are no tree.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

impl Tree {
    /// Reads an object: for each entry its mode in octal, a blank, its name, NUL, and twenty bytes of its id. Of two entries
    /// with one name the first counts, as for git.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, Malformed> {
        let (mut entries, mut skipped) = (BTreeMap::new(), 0);
        while !bytes.is_empty() {
            let (mode, rest) = split(bytes, b' ').ok_or(Malformed)?;
            let (name, rest) = split(rest, 0).ok_or(Malformed)?;
            let (id, rest) = rest.split_first_chunk::<20>().ok_or(Malformed)?;
            bytes = rest;
            let mode = octal(mode).ok_or(Malformed)?;
            let name = Some(name)
                .filter(|name| *name != b".git")
                .and_then(|name| Name::new(name).ok());
            match (name, kind(mode)) {
                (Some(name), Some(kind)) if !entries.contains_key(&name) => {
                    entries.insert(name, (kind, Id::from_bytes(id)));
                }
                _ => skipped += 1,
            }
        }
        let entries = entries
            .into_iter()
            .map(|(name, (kind, id))| Entry {
                name,
                kind,
                id,
                size: OnceLock::new(),
            })
            .collect();
        Ok(Self { entries, skipped })
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Entry> {
        let at = self
            .entries
            .binary_search_by(|entry| entry.name.cmp(name))
            .ok()?;
        self.entries.get(at)
    }

    /// Those after a name.
    pub(super) fn after(&self, after: Option<&Name>) -> &[Entry] {
        let from = after.map_or(0, |after| {
            self.entries.partition_point(|entry| entry.name <= *after)
        });
        &self.entries[from..]
    }

    /// Bytes that it takes in memory, roughly.
    pub(super) fn weight(&self) -> usize {
        let names: usize = self
            .entries
            .iter()
            .map(|entry| entry.name.as_bytes().len() + 16)
            .sum();
        size_of::<Self>() + names + self.entries.len() * size_of::<Entry>()
    }
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = bytes.iter().position(|byte| *byte == at)?;
    Some((&bytes[..position], &bytes[position + 1..]))
}

fn octal(digits: &[u8]) -> Option<u32> {
    let text = str::from_utf8(digits)
        .ok()
        .filter(|text| !text.starts_with('+'))?;
    u32::from_str_radix(text, 8).ok()
}

fn kind(mode: u32) -> Option<Kind> {
    match mode & 0o170_000 {
        0o100_000 => Some(Kind::File {
            executable: mode & 0o100 != 0,
        }),
        0o040_000 => Some(Kind::Dir),
        0o120_000 => Some(Kind::Link),
        0o160_000 => Some(Kind::Submodule),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let entry =
            |(mode, name): &(&str, &[u8])| [mode.as_bytes(), b" ", name, b"\0", &[7; 20]].concat();
        entries.iter().flat_map(entry).collect()
    }

    fn names(tree: &[Entry]) -> Vec<String> {
        tree.iter()
            .map(|entry| String::from_utf8_lossy(entry.name.as_bytes()).into_owned())
            .collect()
    }

    #[test]
    fn entries_come_in_byte_order_whatever_their_kind() {
        // As git sorts: the directory `a` stands where `a/` would.
        let bytes = tree(&[
            ("100644", b"a-b"),
            ("100755", b"a.c"),
            ("40000", b"a"),
            ("120000", b"a0"),
            ("160000", b"b"),
        ]);
        let tree = Tree::parse(&bytes).expect("a tree");
        assert_eq!(names(tree.after(None)), ["a", "a-b", "a.c", "a0", "b"]);
        let after = Name::new(b"a-").expect("a name");
        assert_eq!(names(tree.after(Some(&after))), ["a-b", "a.c", "a0", "b"]);
        let kinds: Vec<_> = tree.after(None).iter().map(|entry| entry.kind).collect();
        let (plain, executable) = (
            Kind::File { executable: false },
            Kind::File { executable: true },
        );
        assert_eq!(
            kinds,
            [Kind::Dir, plain, executable, Kind::Link, Kind::Submodule]
        );
        assert_eq!(tree.skipped, 0);
    }

    #[test]
    fn what_is_no_name_is_left_out_and_counted() {
        let long = [b'x'; 256];
        let odd: [(&str, &[u8]); 9] = [
            ("100644", b""),
            ("100644", b"."),
            ("40000", b".."),
            ("100644", b"a/b"),
            ("40000", b".git"),
            ("100644", &long),
            ("100644", b"two"),
            ("40000", b"two"),
            ("10644", b"fifo"),
        ];
        let tree = Tree::parse(&tree(&odd)).expect("a tree");
        assert_eq!(
            (names(tree.after(None)), tree.skipped),
            (vec!["two".to_owned()], 8)
        );
        assert_eq!(
            tree.after(None)[0].kind,
            Kind::File { executable: false },
            "the first of two"
        );
    }

    #[test]
    fn bytes_that_are_no_tree_are_refused() {
        let whole = tree(&[("100644", b"a")]);
        for cut in 1..whole.len() {
            assert_eq!(Tree::parse(&whole[..cut]), Err(Malformed), "{cut} bytes");
        }
        assert_eq!(Tree::parse(&tree(&[("9", b"a")])), Err(Malformed));
        assert_eq!(Tree::parse(&tree(&[("+100644", b"a")])), Err(Malformed));
        assert_eq!(Tree::parse(b""), Ok(Tree::default()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_tree_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(tree) = Tree::parse(&bytes) {
                prop_assert!(tree.after(None).is_sorted_by(|one, other| one.name < other.name));
            }
        }
    }
}
