//! Which changes a client wants: the rules of gitignore, and its globs.
//!
//! What is chosen depends on names, so a rename of a directory may choose other entries below it, and so may a change of the
//! rules themselves. Where that is seen to happen, what comes and goes is told, or the directory is to be listed again.

use std::collections::{HashMap, HashSet};

use ignore::overrides::Override;

use super::{Change, ChangeKind, Lost};
use crate::vfs::{
    entry::EntryKind,
    ignore::{BadGlob, Rules, Verdict, as_path, selection},
    path::{ClientPath, Name, TreePath},
    view::{Opened, View},
};

/// Directories whose rules are remembered; when there are more, all are read again.
const REMEMBERED: usize = 10_000;
/// Entries of a directory that are looked at after a rename.
const LOOKED_AT: usize = 100_000;

/// What a client wants. It reads files of rules, so it blocks.
#[derive(Debug)]
pub struct Filter {
    view: View,
    root: Opened,
    ignore: bool,
    globs: Override,
    rules: HashMap<TreePath, Rules>,
}

impl Filter {
    /// Everything below a root, without what is ignored when asked, and of that what the globs choose.
    pub fn new(view: View, root: Opened, ignore: bool, globs: &[String]) -> Result<Self, BadGlob> {
        let globs = selection(&root.path, globs)?;
        Ok(Self {
            view,
            root,
            ignore,
            globs,
            rules: HashMap::new(),
        })
    }

    /// The changes as this client sees them. What moves between the wanted and the unwanted comes, or goes.
    pub fn pass(&mut self, changes: Vec<Change>) -> Vec<Change> {
        if !self.ignore && self.globs.is_empty() {
            return changes;
        }
        let mut passed = Vec::new();
        let made: HashSet<TreePath> = changes
            .iter()
            .filter(|change| change.kind == ChangeKind::Create && is_directory(change.entry))
            .map(|change| change.path.clone())
            .collect();
        for change in changes {
            if matches!(change.kind, ChangeKind::Overflow(_)) {
                self.rules.clear();
                passed.push(change);
                continue;
            }
            self.forget_rules(&change);
            let ruled = self.ruled(&change).filter(|ruled| !made.contains(ruled));
            self.pass_one(change, &mut passed);
            passed.extend(ruled.map(|ruled| Change::overflow(ruled, Lost::Rules)));
        }
        passed
    }

    fn pass_one(&mut self, change: Change, passed: &mut Vec<Change>) {
        let wanted = self.wants(&change.path, change.entry);
        let Some(from) = change.from.clone() else {
            passed.extend(wanted.then_some(change));
            return;
        };
        let directory = is_directory(change.entry);
        match (self.wants(&from, change.entry), wanted) {
            (true, true) => {
                let path = change.path.clone();
                let other = directory && self.chooses_otherwise(&from, &path);
                passed.push(change);
                passed.extend(other.then(|| Change::overflow(path, Lost::Rules)));
            }
            (true, false) => passed.push(Change {
                kind: ChangeKind::Remove,
                path: from,
                from: None,
                over: false,
                ..change
            }),
            (false, true) => {
                let path = change.path.clone();
                let kind = if change.over {
                    ChangeKind::Modify
                } else {
                    ChangeKind::Create
                };
                passed.push(Change {
                    kind,
                    from: None,
                    over: false,
                    ..change
                });
                if directory && !self.tell_below(&path, passed) {
                    passed.push(Change::overflow(path, Lost::Rules));
                }
            }
            (false, false) => {}
        }
    }

    fn wants(&mut self, path: &TreePath, entry: Option<EntryKind>) -> bool {
        let directory = is_directory(entry);
        let names = path.names();
        let root = self.root.path.names().len();
        if self.ignore {
            for length in root + 1..=names.len() {
                let part = TreePath::new(names[..length].to_vec());
                let mut parent = part.clone();
                parent.pop();
                let is_directory = length < names.len() || directory;
                if self.rules(&parent).verdict(&as_path(&part), is_directory) == Verdict::Ignored {
                    return false;
                }
            }
        }
        !self.globs.matched(as_path(path), directory).is_ignore()
    }

    /// The rules of a directory below the root, or of the root.
    fn rules(&mut self, directory: &TreePath) -> Rules {
        if let Some(rules) = self.rules.get(directory) {
            return rules.clone();
        }
        let rules = if directory.names().len() <= self.root.path.names().len() {
            Rules::at(&self.view, &self.root)
        } else {
            let mut parent = directory.clone();
            parent.pop();
            let above = self.rules(&parent);
            // A directory that is gone has no rules of its own any more.
            match self.view.open_directory(&ClientPath::of(directory), "open") {
                Ok(opened) => above.enter(&self.view, &opened),
                Err(_) => above,
            }
        };
        if self.rules.len() >= REMEMBERED {
            self.rules.clear();
        }
        self.rules.insert(directory.clone(), rules.clone());
        rules
    }

    /// Rules may have changed with the change.
    fn forget_rules(&mut self, change: &Change) {
        let moved = is_directory(change.entry)
            && matches!(change.kind, ChangeKind::Remove | ChangeKind::Rename);
        if moved || holds_rules(&change.path) || change.from.as_ref().is_some_and(holds_rules) {
            self.rules.clear();
        }
    }

    /// The directory in which other rules hold after the change of a file.
    fn ruled(&self, change: &Change) -> Option<TreePath> {
        let content = !matches!(change.kind, ChangeKind::Attrib) && !is_directory(change.entry);
        if !self.ignore || !content {
            return None;
        }
        let paths = [Some(&change.path), change.from.as_ref()];
        let file = paths.into_iter().flatten().find(|path| holds_rules(path))?;
        let mut directory = file.clone();
        let name = directory.pop()?;
        if name.as_bytes() == b"exclude" {
            // `.git/info/exclude`
            directory.pop();
            directory.pop();
        }
        (name.as_bytes() != b".git" && directory.starts_with(&self.root.path)).then_some(directory)
    }

    /// Whether the rules around two places choose other entries of a directory that moved from one to the other.
    fn chooses_otherwise(&mut self, from: &TreePath, to: &TreePath) -> bool {
        let (mut left, mut came) = (from.clone(), to.clone());
        left.pop();
        came.pop();
        let (left, came) = (self.rules(&left), self.rules(&came));
        let ignore = self.ignore;
        let globs = self.globs.clone();
        let judge = |rules: &Rules, path: &TreePath, kind: EntryKind| {
            let path = as_path(path);
            let ignored = ignore && rules.verdict(&path, kind.is_directory()) == Verdict::Ignored;
            (
                ignored,
                globs.matched(&path, kind.is_directory()).is_ignore(),
            )
        };
        let mut differs = false;
        let whole = self.walk(to, |path, kind| {
            let mut before = from.clone();
            before.extend(&path.names()[to.names().len()..]);
            differs |= judge(&left, &before, kind) != judge(&came, path, kind);
            !differs
        });
        differs || !whole
    }

    /// Tells of what is below a directory that has come into view. False: there is too much.
    fn tell_below(&mut self, top: &TreePath, passed: &mut Vec<Change>) -> bool {
        let mut below = Vec::new();
        let whole = self.walk(top, |path, kind| {
            below.push((path.clone(), kind));
            true
        });
        for (path, kind) in below {
            if self.wants(&path, Some(kind)) {
                passed.push(Change::now(ChangeKind::Create, path, Some(kind)));
            }
        }
        whole
    }

    /// Goes through what is below a directory, as long as it is wanted. What has gone meanwhile is told of later. False: there is
    /// too much.
    fn walk(&self, top: &TreePath, mut visit: impl FnMut(&TreePath, EntryKind) -> bool) -> bool {
        let mut due = vec![top.clone()];
        let mut count = 0;
        while let Some(directory) = due.pop() {
            let opened = self
                .view
                .open_directory(&ClientPath::of(&directory), "list");
            let listing = opened.and_then(|opened| self.view.list(&opened, None, usize::MAX));
            let Ok(listing) = listing else { continue };
            for (name, kind) in listing.entries {
                count += 1;
                if count > LOOKED_AT {
                    return false;
                }
                let path = directory.join(&name);
                if !visit(&path, kind) {
                    return true;
                }
                if kind.is_directory() {
                    due.push(path);
                }
            }
        }
        true
    }
}

fn is_directory(entry: Option<EntryKind>) -> bool {
    entry.is_none_or(EntryKind::is_directory)
}

/// Whether this is a file of rules, or leads to some.
fn holds_rules(path: &TreePath) -> bool {
    let mut names = path.names().iter().rev().map(Name::as_bytes);
    match names.next() {
        Some(b".gitignore" | b".ignore" | b".git") => true,
        Some(b"exclude") => names.next() == Some(b"info"),
        _ => false,
    }
}
