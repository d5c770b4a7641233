//! Going through a directory and all below it, in one order, each directory before its contents. A value that gives one entry
//! after the other and can go on later from any of them, also in another process: a [`Key`] a level says where it was.
//!
//! Links are not followed; mounts below are entered. The stack is a list, so depth costs memory only.

use std::{cmp::Ordering, sync::Arc};

use ignore::{Match, overrides::Override};

use super::{
    entry::{Attributes, EntryKind, Time},
    fault::{Fault, Kind, Result},
    ignore::{Rules, Verdict, as_path},
    path::{Name, TreePath},
    table::Mount,
    view::{Opened, View},
};

/// What entries are sorted by, among siblings. Names decide between equals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// Bytes of the names.
    #[default]
    Name,
    /// Size.
    Size,
    /// Time of the last change.
    Mtime,
    /// Type, in the order of [`EntryKind`].
    Type,
}

/// An order among siblings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// By what.
    pub by: SortBy,
    /// The other way round.
    pub reverse: bool,
    /// Directories before the rest, in either direction.
    pub dirs_first: bool,
}

/// What is gone through.
#[derive(Clone, Debug)]
pub struct Options {
    /// Levels below the directory; 1 is its own entries.
    pub depth: usize,
    /// Leave out what the rules of gitignore leave out.
    pub ignore: bool,
    /// Give hidden entries, too.
    pub hidden: bool,
    /// Globs: what they exclude is left out and not entered.
    pub selection: Override,
    /// Among siblings.
    pub order: Order,
    /// Look at each entry: [`Found::attributes`].
    pub attributes: bool,
}

impl Default for Options {
    /// Everything, by name, names and kinds only.
    fn default() -> Self {
        Self {
            depth: usize::MAX,
            ignore: false,
            hidden: true,
            selection: Override::empty(),
            order: Order::default(),
            attributes: false,
        }
    }
}

/// Where an entry stands among its siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Behind the directories, when those come first.
    pub behind: bool,
    /// Size, or time, or type; 0 when sorted by name.
    pub value: i128,
    /// The name.
    pub name: Name,
}

/// An entry.
#[derive(Clone, Debug)]
pub struct Found {
    /// The directory that holds it.
    pub parent: Arc<Opened>,
    /// Its name.
    pub name: Name,
    /// What it is.
    pub kind: EntryKind,
    /// Level below the start; 1 for its own entries.
    pub depth: usize,
    /// With [`Options::attributes`].
    pub attributes: Option<Attributes>,
    /// The mount that serves it: not its parent's at a mount point.
    pub mount: Arc<Mount>,
    /// Whether the globs choose it: none were given, or the last that fits says so.
    pub selected: bool,
}

impl Found {
    /// Its path in the tree.
    pub fn path(&self) -> TreePath {
        self.parent.path.join(&self.name)
    }
}

/// A directory that is being gone through.
#[derive(Debug)]
struct Frame {
    opened: Arc<Opened>,
    rules: Rules,
    /// What is left, the next one last.
    left: Vec<Item>,
    /// The one that was given last.
    last: Option<Key>,
    /// Whether mount points lie below it: else its entries are all its own.
    mounts: bool,
}

#[derive(Debug)]
struct Item {
    key: Key,
    kind: EntryKind,
    attributes: Option<Attributes>,
}

/// A walk through a directory. An iterator: a failure concerns one entry or directory, and the walk goes on after it.
#[derive(Debug)]
pub struct Traversal {
    view: View,
    options: Options,
    frames: Vec<Frame>,
    /// The directory to enter before the next entry is taken.
    pending: Option<Found>,
    failed: Option<Fault>,
}

impl Traversal {
    /// Begins with a directory, which itself is not given. Fails when it cannot be listed.
    pub fn new(view: View, root: Opened, options: Options) -> Result<Self> {
        let rules = if options.ignore {
            Rules::at(&view, &root)
        } else {
            Rules::none()
        };
        let mut traversal = Self {
            view,
            options,
            frames: Vec::new(),
            pending: None,
            failed: None,
        };
        traversal.push(Arc::new(root), rules)?;
        Ok(traversal)
    }

    /// Goes on after the entry at a position: the keys of its parents below the start, and its own. What is gone meanwhile is
    /// passed over.
    pub fn resume(view: View, root: Opened, options: Options, position: &[Key]) -> Result<Self> {
        let mut traversal = Self::new(view, root, options)?;
        for (level, key) in position.iter().enumerate() {
            let order = traversal.options.order;
            let frame = traversal.frames.last_mut().expect("one was pushed");
            let there = frame
                .left
                .iter()
                .rposition(|item| item.key.name == key.name);
            let kind = there.map(|at| frame.left[at].kind);
            frame
                .left
                .retain(|item| compare(&item.key, key, order).is_gt());
            frame.last = Some(key.clone());
            if kind != Some(EntryKind::Dir) || level + 1 >= traversal.options.depth {
                break;
            }
            let entered = traversal.enter(&key.name);
            if let Err(fault) = entered {
                if fault.kind() != Kind::NotFound {
                    traversal.failed = Some(fault);
                }
                break;
            }
        }
        Ok(traversal)
    }

    /// Where the entry stands that was given last.
    pub fn position(&self) -> Vec<Key> {
        let frames = self.frames.iter();
        frames.filter_map(|frame| frame.last.clone()).collect()
    }

    /// Does not enter the directory that was given last.
    pub fn skip(&mut self) {
        self.pending = None;
    }

    fn enter(&mut self, name: &Name) -> Result<()> {
        let frame = self.frames.last().expect("it holds the name");
        let place = self.view.child(&frame.opened, name)?;
        let opened = place.open_directory("list")?;
        let rules = if self.options.ignore {
            frame.rules.enter(&self.view, &opened)
        } else {
            Rules::none()
        };
        self.push(Arc::new(opened), rules)
    }

    fn push(&mut self, opened: Arc<Opened>, rules: Rules) -> Result<()> {
        let mut entries = Vec::new();
        let mut after = None;
        loop {
            let listing = self.view.list(&opened, after.as_ref(), usize::MAX)?;
            let more = listing.more;
            entries.extend(listing.entries);
            if let Some(fault) = listing.cut {
                self.failed = Some(fault.at(opened.path.to_bytes()));
            }
            after = entries.last().map(|(name, _): &(Name, _)| name.clone());
            if !more || after.is_none() {
                break;
            }
        }
        let mut left = Vec::with_capacity(entries.len());
        for (name, kind) in entries {
            left.extend(self.item(&opened, name, kind)?);
        }
        let order = self.options.order;
        left.sort_by(|a, b| compare(&b.key, &a.key, order));
        let mounts = self.view.table().holds_below(&opened.path);
        self.frames.push(Frame {
            opened,
            rules,
            left,
            last: None,
            mounts,
        });
        Ok(())
    }

    /// The entry as it is sorted; none when it went meanwhile.
    fn item(&self, opened: &Opened, name: Name, kind: EntryKind) -> Result<Option<Item>> {
        let order = self.options.order;
        let mut attributes = None;
        if matches!(order.by, SortBy::Size | SortBy::Mtime) {
            match self.view.child(opened, &name) {
                Ok(place) => match place.found {
                    Some(found) => attributes = Some(found),
                    None => return Ok(None),
                },
                Err(fault) if is_local(&fault) => {}
                Err(fault) => return Err(fault),
            }
        }
        let value = match (order.by, &attributes) {
            (SortBy::Size, Some(found)) => i128::from(found.size),
            (SortBy::Mtime, Some(found)) => nanos(found.mtime),
            (SortBy::Type, _) => kind as i128,
            _ => 0,
        };
        let behind = order.dirs_first && !kind.is_directory();
        let key = Key {
            behind,
            value,
            name,
        };
        Ok(Some(Item {
            key,
            kind,
            attributes,
        }))
    }

    /// The next entry of the innermost directory, when it is wanted.
    fn step(&mut self) -> Option<Result<Option<Found>>> {
        let depth = self.frames.len();
        let frame = self.frames.last_mut()?;
        let Some(item) = frame.left.pop() else {
            self.frames.pop();
            return Some(Ok(None));
        };
        let frame = self.frames.last_mut().expect("it was there");
        frame.last = Some(item.key.clone());
        let frame = self.frames.last().expect("it was there");
        let Some(selected) = self.is_wanted(frame, &item) else {
            return Some(Ok(None));
        };
        Some(self.found(frame, item, depth, selected))
    }

    fn found(
        &self,
        frame: &Frame,
        item: Item,
        depth: usize,
        selected: bool,
    ) -> Result<Option<Found>> {
        let Item {
            key: Key { name, .. },
            mut kind,
            mut attributes,
        } = item;
        let mut mount = Arc::clone(&frame.opened.mount);
        let crosses = frame.mounts && {
            let path = frame.opened.path.join(&name);
            self.view.table().at(&path).is_some()
        };
        if !frame.mounts && self.options.attributes && attributes.is_none() {
            match frame.opened.directory.lookup(&name) {
                Ok(found) => (kind, attributes) = (found.kind, Some(found)),
                Err(fault) if fault.kind() == Kind::NotFound => return Ok(None),
                Err(fault) => {
                    let path = frame.opened.path.join(&name);
                    return Err(fault.at(path.to_bytes()));
                }
            }
        } else if crosses || (self.options.attributes && attributes.is_none()) {
            let place = self.view.child(&frame.opened, &name)?;
            let Some(found) = place.found else {
                return Ok(None);
            };
            (kind, mount) = (found.kind, place.mount);
            attributes = Some(found);
        }
        let parent = Arc::clone(&frame.opened);
        Ok(Some(Found {
            parent,
            name,
            kind,
            depth,
            attributes,
            mount,
            selected,
        }))
    }

    /// Whether an entry is given or at least entered; then, whether the globs choose it.
    fn is_wanted(&self, frame: &Frame, item: &Item) -> Option<bool> {
        let directory = item.kind.is_directory();
        let name = &item.key.name;
        let globs = !self.options.selection.is_empty();
        let hides = !self.options.hidden && name.as_bytes().starts_with(b".");
        if !globs && !hides && !self.options.ignore {
            return Some(true);
        }
        let path = as_path(&frame.opened.path.join(name));
        match self.options.selection.matched(&path, directory) {
            Match::Ignore(_) => return None,
            Match::Whitelist(_) => return Some(true),
            Match::None => {}
        }
        let verdict = if self.options.ignore {
            frame.rules.verdict(&path, directory)
        } else {
            Verdict::None
        };
        match verdict {
            Verdict::Ignored => return None,
            Verdict::None if hides => return None,
            Verdict::None | Verdict::Kept => {}
        }
        // With globs that choose, a directory is passed through only.
        Some(self.options.selection.num_whitelists() == 0)
    }
}

impl Iterator for Traversal {
    type Item = Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(fault) = self.failed.take() {
                return Some(Err(fault));
            }
            if let Some(found) = self.pending.take()
                && let Err(fault) = self.enter(&found.name)
            {
                // Gone since it was listed: it is no failure.
                if fault.kind() != Kind::NotFound {
                    return Some(Err(fault));
                }
            }
            match self.step()? {
                Ok(None) => {}
                Ok(Some(found)) => {
                    if found.kind == EntryKind::Dir && found.depth < self.options.depth {
                        self.pending = Some(found.clone());
                    }
                    return Some(Ok(found));
                }
                Err(fault) => return Some(Err(fault)),
            }
        }
    }
}

/// Whether a failure concerns one entry, not its whole directory.
fn is_local(fault: &Fault) -> bool {
    matches!(
        fault.kind(),
        Kind::PermissionDenied | Kind::Reserved | Kind::OutsideMount | Kind::MagicLink | Kind::Io
    )
}

fn nanos(time: Time) -> i128 {
    i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos)
}

fn compare(a: &Key, b: &Key, order: Order) -> Ordering {
    let by = a.value.cmp(&b.value).then_with(|| a.name.cmp(&b.name));
    let by = if order.reverse { by.reverse() } else { by };
    a.behind.cmp(&b.behind).then(by)
}

#[cfg(test)]
mod tests;
