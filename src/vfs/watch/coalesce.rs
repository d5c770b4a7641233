//! Joins the changes of one window. Pure. Whoever applies the result, in order, ends where the changes themselves would have led.
//!
//! Per path, what came before in the window and what comes:
//!
//! ```text
//!   before \ now   create          modify    attrib    remove            rename to elsewhere
//!   nothing        create          modify    attrib    remove            rename
//!   create         create          create    create    nothing at all    create of the new name (if empty); modify, over a file
//!   modify         modify, create  modify    modify    remove            modify, rename
//!   attrib         attrib, create  modify    attrib    remove            attrib, rename
//!   remove         modify (files)  both      both      remove            both
//! ```

use std::collections::{BTreeMap, BTreeSet};

use super::{Change, ChangeKind};
use crate::vfs::{entry::EntryKind, path::TreePath};

/// Joins changes.
pub fn coalesce(changes: impl IntoIterator<Item = Change>) -> Vec<Change> {
    let mut window = Window::default();
    changes.into_iter().for_each(|change| window.push(change));
    window.changes.into_values().collect()
}

#[derive(Default)]
struct Window {
    changes: BTreeMap<usize, Change>,
    places: BTreeMap<TreePath, Place>,
    /// Old names of the renames.
    left: BTreeSet<TreePath>,
    /// Nothing is joined with what came before this.
    barrier: usize,
    next: usize,
}

/// The changes of one path.
#[derive(Default)]
struct Place {
    /// Some of them may have been taken out.
    records: Vec<usize>,
    /// Whether the last may be joined with what comes.
    open: bool,
}

impl Window {
    fn push(&mut self, change: Change) {
        match change.kind {
            ChangeKind::Overflow(_) => {
                self.barrier = self.next;
                self.append(change);
            }
            ChangeKind::Create => self.create(change),
            ChangeKind::Modify | ChangeKind::Attrib => self.modify(change),
            ChangeKind::Remove => self.remove(change),
            ChangeKind::Rename => self.rename(change),
        }
    }

    fn append(&mut self, change: Change) {
        let place = self.places.entry(change.path.clone()).or_default();
        place.records.push(self.next);
        place.open = true;
        self.changes.insert(self.next, change);
        self.next += 1;
    }

    /// The newest change of a path, when it may be joined with another.
    fn before(&self, path: &TreePath) -> Option<(usize, ChangeKind)> {
        let place = self.places.get(path).filter(|place| place.open)?;
        let index = *place.records.last()?;
        let change = self.changes.get(&index)?;
        (index >= self.barrier).then_some((index, change.kind))
    }

    /// Joins nothing more with what is known of a path.
    fn close(&mut self, path: &TreePath) {
        if let Some(place) = self.places.get_mut(path) {
            place.open = false;
        }
    }

    fn create(&mut self, mut change: Change) {
        if let Some((index, ChangeKind::Remove)) = self.before(&change.path) {
            if !is_directory(&self.changes[&index]) && !is_directory(&change) {
                self.changes.remove(&index);
                change.kind = ChangeKind::Modify;
            }
        } else if let Some((index, ChangeKind::Create)) = self.before(&change.path) {
            self.changes.insert(index, change);
            return;
        }
        self.append(change);
    }

    fn modify(&mut self, change: Change) {
        match self.before(&change.path) {
            Some((_, ChangeKind::Create | ChangeKind::Modify)) => {}
            Some((index, ChangeKind::Attrib)) => {
                self.changes.insert(index, change);
            }
            _ => self.append(change),
        }
    }

    fn remove(&mut self, change: Change) {
        let path = change.path.clone();
        let directory = is_directory(&change);
        match self.before(&path) {
            // What went from it before needs it to have been there.
            Some((index, ChangeKind::Create)) if !self.has_left(&path) => {
                self.changes.remove(&index);
                self.close(&path);
                self.forget_below(&path, index);
            }
            Some((index, ChangeKind::Modify | ChangeKind::Attrib)) => {
                self.changes.remove(&index);
                self.append(change);
            }
            _ => self.append(change),
        }
        if directory {
            // What comes below it later is in another directory.
            let below = self.places.range_mut(path.clone()..);
            for (other, place) in below.take_while(|(other, _)| other.starts_with(&path)) {
                place.open &= *other == path;
            }
        }
    }

    /// Whether something was renamed away from below a path.
    fn has_left(&self, path: &TreePath) -> bool {
        let next = self.left.range(path.clone()..).next();
        next.is_some_and(|left| left.starts_with(path))
    }

    /// A directory came and went: so did all in it, but what came from elsewhere is gone from there.
    fn forget_below(&mut self, path: &TreePath, since: usize) {
        for index in self.below(path, since) {
            let Some(mut gone) = self.changes.remove(&index) else {
                continue;
            };
            self.close(&gone.path);
            if let Some(from) = gone.from.take().filter(|from| !from.starts_with(path)) {
                gone.kind = ChangeKind::Remove;
                gone.path = from;
                self.changes.insert(index, gone);
            }
        }
    }

    /// Changes strictly below a path since one of them.
    fn below(&self, path: &TreePath, since: usize) -> Vec<usize> {
        let places = self.places.range(path.clone()..);
        places
            .take_while(|(other, _)| other.starts_with(path))
            .filter(|(other, _)| *other != path)
            .flat_map(|(_, place)| &place.records)
            .filter(|index| **index >= since && self.changes.contains_key(index))
            .copied()
            .collect()
    }

    fn rename(&mut self, change: Change) {
        let from = change.from.clone().expect("a rename comes from somewhere");
        // A directory with something in it stays a rename: what is in it may have come from elsewhere.
        if let Some((index, ChangeKind::Create)) = self.before(&from)
            && self.below(&from, index).is_empty()
            && !self.has_left(&from)
        {
            self.changes.remove(&index);
            self.close(&from);
            let kind = if change.over {
                ChangeKind::Modify
            } else {
                ChangeKind::Create
            };
            return self.push(Change {
                kind,
                from: None,
                over: false,
                ..change
            });
        }
        if is_directory(&change) {
            // What comes later may need all that came before.
            self.barrier = self.next;
        }
        self.close(&from);
        self.left.insert(from);
        self.append(change);
    }
}

fn is_directory(change: &Change) -> bool {
    change.entry.is_none_or(EntryKind::is_directory)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use proptest::prelude::*;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text.as_bytes()).expect("a plain path")
    }

    fn change(kind: ChangeKind, at: &str, directory: bool) -> Change {
        let entry = Some(if directory {
            EntryKind::Dir
        } else {
            EntryKind::File
        });
        Change {
            kind,
            path: path(at),
            from: None,
            over: false,
            entry,
            time: SystemTime::UNIX_EPOCH,
        }
    }

    fn rename(from: &str, to: &str, directory: bool) -> Change {
        Change {
            from: Some(path(from)),
            ..change(ChangeKind::Rename, to, directory)
        }
    }

    #[test]
    fn what_came_and_went_is_nothing() {
        let changes = [
            change(ChangeKind::Create, "/d", true),
            change(ChangeKind::Create, "/d/f", false),
            rename("/g", "/d/g", false),
            change(ChangeKind::Remove, "/d/f", false),
            change(ChangeKind::Remove, "/d", true),
        ];
        assert_eq!(coalesce(changes), [change(ChangeKind::Remove, "/g", false)]);
    }

    #[test]
    fn a_file_that_is_written_and_put_in_place_is_made_once() {
        let changes = [
            change(ChangeKind::Create, "/f~", false),
            change(ChangeKind::Modify, "/f~", false),
            rename("/f~", "/f", false),
            change(ChangeKind::Modify, "/f", false),
        ];
        assert_eq!(coalesce(changes), [change(ChangeKind::Create, "/f", false)]);
        let over = [
            change(ChangeKind::Create, "/f~", false),
            Change {
                over: true,
                ..rename("/f~", "/f", false)
            },
        ];
        assert_eq!(coalesce(over), [change(ChangeKind::Modify, "/f", false)]);
        let again = [
            change(ChangeKind::Remove, "/f", false),
            change(ChangeKind::Create, "/f", false),
        ];
        assert_eq!(coalesce(again), [change(ChangeKind::Modify, "/f", false)]);
    }

    /// What is at each path: a directory, or a file of a version.
    type Disk = BTreeMap<TreePath, Option<u64>>;

    #[derive(Clone, Debug)]
    enum Act {
        Write(usize),
        MakeDir(usize),
        Remove(usize),
        RemoveWhole(usize),
        Rename(usize, usize),
    }

    fn moved_path(path: &TreePath, from: &TreePath, to: &TreePath) -> TreePath {
        let mut moved = to.clone();
        moved.extend(&path.names()[from.names().len()..]);
        moved
    }

    const PLACES: [&str; 10] = [
        "/a", "/b", "/c", "/a/x", "/a/y", "/b/x", "/a/x/p", "/b/x/p", "/c/p", "/a/x/q",
    ];

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let place = 0..PLACES.len();
        let act = prop_oneof![
            place.clone().prop_map(Act::Write),
            place.clone().prop_map(Act::MakeDir),
            place.clone().prop_map(Act::Remove),
            place.clone().prop_map(Act::RemoveWhole),
            (place.clone(), place).prop_map(|(from, to)| Act::Rename(from, to)),
        ];
        proptest::collection::vec(act, 0..40)
    }

    fn parent_is_there(disk: &Disk, at: &TreePath) -> bool {
        let mut parent = at.clone();
        parent.pop();
        parent.names().is_empty() || disk.get(&parent) == Some(&None)
    }

    fn is_full(disk: &Disk, at: &TreePath) -> bool {
        disk.keys().any(|path| path.starts_with(at) && path != at)
    }

    /// Does what a kernel would, and tells it as one would.
    fn act(disk: &mut Disk, act: &Act, version: u64) -> Vec<Change> {
        match act {
            Act::Write(place) => {
                let at = path(PLACES[*place]);
                if !parent_is_there(disk, &at) || disk.get(&at) == Some(&None) {
                    return Vec::new();
                }
                let was = disk.insert(at, Some(version));
                let kind = if was.is_some() {
                    ChangeKind::Modify
                } else {
                    ChangeKind::Create
                };
                vec![change(kind, PLACES[*place], false)]
            }
            Act::MakeDir(place) => {
                let at = path(PLACES[*place]);
                if !parent_is_there(disk, &at) || disk.contains_key(&at) {
                    return Vec::new();
                }
                disk.insert(at, None);
                vec![change(ChangeKind::Create, PLACES[*place], true)]
            }
            Act::Remove(place) | Act::RemoveWhole(place) => {
                let at = path(PLACES[*place]);
                let gone: Vec<_> = disk
                    .keys()
                    .filter(|path| path.starts_with(&at))
                    .cloned()
                    .collect();
                let tell = |path: &TreePath| {
                    let directory = disk[path].is_none();
                    change(ChangeKind::Remove, &path.to_string(), directory)
                };
                let mut told: Vec<Change> = gone.iter().rev().map(tell).collect();
                if matches!(act, Act::RemoveWhole(_)) {
                    // One record stands for all below.
                    told.drain(..told.len().saturating_sub(1));
                }
                for path in &gone {
                    disk.remove(path);
                }
                told
            }
            Act::Rename(from, to) => {
                let (from, to) = (path(PLACES[*from]), path(PLACES[*to]));
                let Some(what) = disk.get(&from).copied() else {
                    return Vec::new();
                };
                let free = match disk.get(&to) {
                    None => true,
                    Some(None) => what.is_none() && !is_full(disk, &to),
                    Some(Some(_)) => what.is_some(),
                };
                if from == to || !free || to.starts_with(&from) || !parent_is_there(disk, &to) {
                    return Vec::new();
                }
                let mut told = Vec::new();
                let over = disk.contains_key(&to);
                if over && what.is_none() {
                    told.push(change(ChangeKind::Remove, &to.to_string(), true));
                }
                shift(disk, &from, &to);
                told.push(Change {
                    over: over && what.is_some(),
                    ..rename(&from.to_string(), &to.to_string(), what.is_none())
                });
                told
            }
        }
    }

    fn shift(disk: &mut Disk, from: &TreePath, to: &TreePath) {
        let moved: Vec<_> = disk
            .keys()
            .filter(|path| path.starts_with(from))
            .cloned()
            .collect();
        for path in moved {
            let what = disk.remove(&path).expect("it is there");
            disk.insert(moved_path(&path, from, to), what);
        }
    }

    /// Stands for a file that has to be looked at, as soon as all is applied.
    const UNSEEN: u64 = u64::MAX;

    /// What a client knows after it has applied the records and then looked at what was made or changed.
    fn apply(mut known: Disk, records: &[Change], disk: &Disk) -> Disk {
        for record in records {
            let path = record.path.clone();
            match record.kind {
                ChangeKind::Create | ChangeKind::Modify | ChangeKind::Attrib => {
                    let file = record.entry == Some(EntryKind::File);
                    known.insert(path, file.then_some(UNSEEN));
                }
                ChangeKind::Remove => known.retain(|path, _| !path.starts_with(&record.path)),
                ChangeKind::Rename => {
                    let from = record.from.as_ref().expect("from somewhere");
                    known.retain(|path, _| !path.starts_with(&record.path));
                    shift(&mut known, from, &record.path);
                }
                ChangeKind::Overflow(_) => unreachable!("nothing is lost here"),
            }
        }
        for (path, version) in &mut known {
            if *version == Some(UNSEEN) {
                *version = disk.get(path).copied().flatten().or(*version);
            }
        }
        known
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn applying_the_records_ends_with_the_tree_as_it_is(before in acts(), window in acts()) {
            let mut disk = Disk::new();
            for one in &before {
                act(&mut disk, one, 0);
            }
            let known = disk.clone();
            let mut told = Vec::new();
            for (version, one) in window.iter().enumerate() {
                told.extend(act(&mut disk, one, version as u64 + 1));
            }
            let records = coalesce(told.clone());
            prop_assert!(records.len() <= told.len());
            prop_assert_eq!(apply(known, &records, &disk), disk, "told {:?}, records {:?}", told, records);
        }
    }
}
