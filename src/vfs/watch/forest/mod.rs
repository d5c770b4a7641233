//! The directories that are watched, and what happens in them, as changes of the tree.
//!
//! ```text
//!   notices ──▶ Dirt: spots to look at ──look──▶ Model: what was told ──the difference──▶ changes
//!                     ▲                   │
//!                     └─ put off: its directory has moved, and that has to be found out first
//! ```
//!
//! Names change faster than notices are read: a notice says where to look, and never what is there. The model is what was
//! told, and only telling changes it; so whoever applies the changes knows what the model knows, and the model follows the
//! tree as long as every spot is looked at after its last notice. A directory is known again by its watch, whatever its name is.
//! What cannot be found out in [`PATIENCE`] is given up: all is read again, and said to be lost.

mod dirt;
mod guard;
mod medium;
mod model;
mod poll;
mod settle;

use std::{
    collections::VecDeque,
    os::fd::BorrowedFd,
    time::{Duration, Instant},
};

use uuid::Uuid;

use self::{
    dirt::Dirt,
    guard::Guarded,
    model::{Model, NodeId, Spot},
};
use super::{Change, ChangeKind, Lost};
use crate::vfs::{
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    path::{ClientPath, TreePath},
    provider::{
        is_staging,
        watcher::{Happened, Notice, WatchKey, Watcher},
    },
    view::{Opened, View},
};

/// Takes changes as they are understood.
pub(super) type Tell<'a> = &'a mut dyn FnMut(Change);

/// How long a spot may stay in doubt.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks at what cannot be found out yet.
const RETRY: Duration = Duration::from_millis(10);
/// Between two looks at whether the root is still there, and at polled directories.
const ROUND: Duration = Duration::from_secs(2);
/// The same, after something happened in the root itself.
const SOON: Duration = Duration::from_millis(100);
/// Spots that may be in doubt at a time.
const MAX_DIRT: usize = 500_000;

/// See the module.
#[derive(Debug)]
pub(super) struct Forest {
    view: View,
    root: Opened,
    recursive: bool,
    /// A watcher a mount. None: nothing ever changes there.
    sources: Vec<(Uuid, Option<Box<dyn Watcher>>)>,
    model: Model,
    dirt: Dirt,
    /// Directories that were found and are to be entered, the last first.
    scan: Vec<Spot>,
    /// Directories that were opened lately, the last first. None is kept while nothing happens.
    hands: VecDeque<(NodeId, Opened)>,
    /// Directories for which the machine has no watches left, and those of them that were not told yet.
    limited: Vec<TreePath>,
    limited_now: Vec<TreePath>,
    /// Notices were lost.
    lost: bool,
    /// The root is gone.
    ended: bool,
    next_check: Instant,
    next_poll: Instant,
}

impl Forest {
    /// Sets the watches of a directory and, when asked, of all below it.
    pub(super) fn plant(view: View, root: Opened, recursive: bool) -> Result<Self> {
        let now = Instant::now();
        let mut forest = Self {
            model: Model::new(root.path.clone()),
            view,
            root,
            recursive,
            sources: Vec::new(),
            dirt: Dirt::default(),
            scan: Vec::new(),
            hands: VecDeque::new(),
            limited: Vec::new(),
            limited_now: Vec::new(),
            lost: false,
            ended: false,
            next_check: now + ROUND,
            next_poll: now + ROUND,
        };
        forest.begin()?;
        Ok(forest)
    }

    /// Enters the root and all below it, and tells nobody.
    fn begin(&mut self) -> Result<()> {
        let root = self.root.clone();
        let guard = match self.guard(&root) {
            Guarded::By(guard) => guard,
            Guarded::Limit(fault) | Guarded::Refused(fault) => {
                return Err(fault.at(root.path.to_bytes()));
            }
            Guarded::Gone => return Err(Fault::new(Kind::Changed, "watch", root.path.to_bytes())),
        };
        let top = self.model.add(None, guard);
        self.fill(top, &root, &mut |_| {});
        while !self.scan.is_empty() && !self.lost {
            self.settle(&mut |_| {})?;
        }
        // What is heard from now on is of later than all that was seen.
        self.intake()?;
        self.rest();
        Ok(())
    }

    /// What is readable when there is something to take.
    pub(super) fn descriptors(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.sources
            .iter()
            .filter_map(|(_, watcher)| watcher.as_ref().map(|watcher| watcher.descriptor()))
    }

    /// How long to wait for a descriptor before taking again.
    pub(super) fn patience(&self) -> Duration {
        if self.lost || !self.scan.is_empty() || self.dirt.len() > 0 {
            return Duration::ZERO;
        }
        if self.dirt.waits() {
            return RETRY;
        }
        let due = if self.is_polled() {
            self.next_check.min(self.next_poll)
        } else {
            self.next_check
        };
        due.saturating_duration_since(Instant::now())
    }

    /// Whether some of it is only looked at from time to time.
    pub(super) fn is_polled(&self) -> bool {
        self.model.has_polled()
    }

    /// Parts that are not covered, because the machine watches no more directories.
    pub(super) fn limited(&self) -> &[TreePath] {
        &self.limited
    }

    /// Takes what has happened. False: the root is gone, and that was told.
    pub(super) fn take(&mut self, tell: Tell<'_>) -> Result<bool> {
        let now = Instant::now();
        self.intake()?;
        if !self.lost {
            self.dirt.expire(now);
            if now >= self.next_poll && self.is_polled() {
                self.poll()?;
                self.next_poll = Instant::now() + ROUND;
            }
            self.dirt.resume();
            self.settle(tell)?;
            // What is heard from now on is of later than all that was seen.
            self.intake()?;
        }
        if self.lost {
            self.replant(tell)?;
        }
        if now >= self.next_check {
            self.next_check = now + ROUND;
            self.ended |= !self.root_is_there();
        }
        self.rest();
        if self.ended {
            let path = self.root.path.clone();
            tell(Change::now(ChangeKind::Remove, path, Some(EntryKind::Dir)));
        }
        Ok(!self.ended)
    }

    /// Lets go of what was opened, when there is nothing more to do.
    fn rest(&mut self) {
        if self.patience() > Duration::ZERO {
            self.hands.clear();
        }
    }

    /// Takes notices from the kernel, so that its queue stays short, and notes where to look.
    fn intake(&mut self) -> Result<()> {
        let now = Instant::now();
        let mut notices = Vec::new();
        for source in 0..self.sources.len() {
            if let Some(watcher) = &self.sources[source].1 {
                watcher.take(&mut notices)?;
            }
            for notice in notices.drain(..) {
                match notice {
                    Notice::Overflow => self.lost = true,
                    Notice::Entry {
                        key,
                        name,
                        happened,
                    } => match name {
                        Some(name) if !is_staging(&name) => {
                            for node in self.model.at((source, key)).to_vec() {
                                let name = name.clone();
                                self.note(&Spot { node, name }, source, happened, now);
                            }
                        }
                        Some(_) => {
                            if let Happened::MovedTo { pair, .. } = happened {
                                self.dirt.hidden((source, pair));
                            }
                        }
                        None => self.note_itself((source, key), happened),
                    },
                }
            }
        }
        self.dirt.taken += 1;
        self.lost |= self.dirt.len() > MAX_DIRT;
        Ok(())
    }

    fn note(&mut self, spot: &Spot, source: usize, happened: Happened, now: Instant) {
        match happened {
            Happened::Created { .. } | Happened::Removed => self.dirt.changed(spot),
            Happened::Modified => self.dirt.touch(spot).modified = true,
            Happened::Attributes => self.dirt.touch(spot).attributes = true,
            Happened::MovedFrom(pair) => self.dirt.left(spot, (source, pair), now),
            Happened::MovedTo { pair, .. } => self.dirt.came(spot, (source, pair)),
            Happened::Gone => {}
        }
        if spot.node == self.model.top {
            self.next_check = self.next_check.min(now + SOON);
        }
    }

    /// Something happened to a watched directory. Its parent tells the same, but for the root.
    fn note_itself(&mut self, place: (usize, WatchKey), happened: Happened) {
        if happened != Happened::Gone {
            return;
        }
        for node in self.model.unwatched(place) {
            match self.model.node(node).map(|node| node.above.clone()) {
                Some(Some(spot)) => self.dirt.touch(&spot).names = true,
                Some(None) => self.ended = true,
                None => {}
            }
        }
    }

    /// Notices were lost, or a spot stayed in doubt: all watches are set anew, and whoever watches is told to look.
    fn replant(&mut self, tell: Tell<'_>) -> Result<()> {
        tracing::warn!(path = %self.root.path, "notices of a watch were lost; all is read again");
        self.lost = false;
        self.scan.clear();
        self.dirt.clear();
        self.hands.clear();
        self.limited.clear();
        self.limited_now.clear();
        let free = self.model.prune(self.model.top);
        self.free(free);
        match self.begin() {
            // Told last: what a client lists after it has read this is newer than the watches.
            Ok(()) => tell(Change::overflow(self.root.path.clone(), Lost::Kernel)),
            Err(_) if !self.root_is_there() => self.ended = true,
            Err(fault) => return Err(fault),
        }
        for path in self.limited.clone() {
            tell(Change::overflow(path, Lost::WatchLimit));
        }
        Ok(())
    }

    /// Whether the path of the root still leads to the directory that is watched.
    fn root_is_there(&self) -> bool {
        let path = ClientPath::of(&self.root.path);
        let identity = |opened: &Opened| opened.directory.attributes().map(|found| found.identity);
        match self.view.open_directory(&path, "watch") {
            Ok(now) => identity(&now).ok() == identity(&self.root).ok(),
            Err(fault) => !matches!(
                fault.kind(),
                Kind::NotFound | Kind::NotADirectory | Kind::Changed
            ),
        }
    }
}
