//! The tree of a memory mount: nodes by number, and what may be done to them. Pure: no lock, no clock.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    ops::Bound,
    sync::Arc,
};

use super::{
    super::{Changes, Condition, Listing, watcher::Happened},
    content::Content,
    ledger::{Charge, Ledger},
    node::{Body, Dir, Entry, Event, Node, Refusal, check},
};
use crate::vfs::{
    entry::{EntryKind, Time},
    fault::Kind,
    path::Name,
};

/// Number of the root.
pub(super) const ROOT: u64 = 1;

type Result<T> = std::result::Result<T, Refusal>;

/// A file that takes a name.
#[derive(Debug)]
pub(super) struct NewFile {
    pub(super) content: Content,
    /// Otherwise that of the file before, or this one.
    pub(super) mode: Option<u32>,
    pub(super) usual_mode: u32,
}

/// A file that has taken a name, and what had it before.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) number: u64,
    pub(super) generation: u64,
    pub(super) previous: Option<(u64, Node)>,
}

/// What a file was before bytes were added.
#[derive(Debug)]
pub(super) struct Before {
    length: u64,
    mtime: Time,
    pub(super) generation: u64,
}

/// The nodes. Every entry of a directory names a node, and every node but the root has one entry.
#[derive(Debug)]
pub(super) struct State {
    nodes: HashMap<u64, Node>,
    last_number: u64,
    last_generation: u64,
    max_entries: u64,
    ledger: Arc<Ledger>,
    /// What has happened since it was last asked for.
    events: Vec<Event>,
}

impl State {
    pub(super) fn new(ledger: Arc<Ledger>, max_entries: u64, mode: u32, now: Time) -> Self {
        // Counted from a random number, so that a tag of an earlier mount at this place never fits this one.
        let generation = RandomState::new().hash_one(0) >> 2;
        let root = Node {
            entry: None,
            mode,
            mtime: now,
            generation,
            body: Body::Dir(Dir::default()),
        };
        Self {
            nodes: HashMap::from([(ROOT, root)]),
            last_number: ROOT,
            last_generation: generation,
            max_entries,
            ledger,
            events: Vec::new(),
        }
    }

    /// What has happened since this was last called, in order.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn tell(&mut self, (at, name): (u64, &Name), happened: Happened) {
        let name = Some(name.clone());
        self.events.push(Event { at, name, happened });
    }

    fn tell_self(&mut self, at: u64, happened: Happened) {
        self.events.push(Event {
            at,
            name: None,
            happened,
        });
    }

    /// Entries, the root not counted.
    pub(super) fn entries(&self) -> u64 {
        self.nodes.len() as u64 - 1
    }

    pub(super) fn node(&self, number: u64) -> Result<&Node> {
        self.nodes.get(&number).ok_or(Kind::NotFound.into())
    }

    fn node_mut(&mut self, number: u64) -> Result<&mut Node> {
        self.nodes.get_mut(&number).ok_or(Kind::NotFound.into())
    }

    fn dir(&self, number: u64) -> Result<&Dir> {
        match &self.node(number)?.body {
            Body::Dir(dir) => Ok(dir),
            _ => Err(Kind::NotADirectory.into()),
        }
    }

    fn dir_mut(&mut self, number: u64) -> Result<&mut Dir> {
        match &mut self.node_mut(number)?.body {
            Body::Dir(dir) => Ok(dir),
            _ => Err(Kind::NotADirectory.into()),
        }
    }

    /// The number behind a name, if there is one.
    pub(super) fn find(&self, at: u64, name: &Name) -> Result<Option<u64>> {
        Ok(self.dir(at)?.entries.get(name).map(|entry| entry.number))
    }

    /// What a file can be written over, or nothing.
    pub(super) fn find_writable(&self, at: u64, name: &Name) -> Result<Option<u64>> {
        let there = self.find(at, name)?;
        let node = there.map(|number| self.node(number)).transpose()?;
        check(node, &Condition::None)?;
        Ok(there)
    }

    pub(super) fn lookup(&self, at: u64, name: &Name) -> Result<u64> {
        self.find(at, name)?.ok_or(Kind::NotFound.into())
    }

    pub(super) fn list(&self, at: u64, after: Option<&Name>, limit: usize) -> Result<Listing> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut rest = self
            .dir(at)?
            .entries
            .range::<Name, _>((from, Bound::Unbounded));
        let mut listing = Listing::default();
        for (name, entry) in rest.by_ref().take(limit) {
            listing
                .entries
                .push((name.clone(), self.node(entry.number)?.kind()));
        }
        listing.more = rest.next().is_some();
        Ok(listing)
    }

    /// Makes an entry where none is.
    pub(super) fn add(
        &mut self,
        at: u64,
        name: &Name,
        mode: u32,
        body: Body,
        now: Time,
    ) -> Result<u64> {
        if self.find(at, name)?.is_some() {
            return Err(Kind::AlreadyExists.into());
        }
        let charge = self.room_for(name)?;
        Ok(self.insert(
            at,
            name,
            charge,
            Node {
                entry: None,
                mode,
                mtime: now,
                generation: 0,
                body,
            },
        ))
    }

    pub(super) fn add_dir(&mut self, at: u64, name: &Name, mode: u32, now: Time) -> Result<u64> {
        self.add(at, name, mode, Body::Dir(Dir::default()), now)
    }

    pub(super) fn remove(
        &mut self,
        at: u64,
        name: &Name,
        directory: bool,
        now: Time,
    ) -> Result<()> {
        let number = self.lookup(at, name)?;
        match &self.node(number)?.body {
            Body::Dir(_) if !directory => return Err(Kind::IsADirectory.into()),
            Body::Dir(dir) if !dir.entries.is_empty() => return Err(Kind::NotEmpty.into()),
            Body::File(_) | Body::Link(_) if directory => return Err(Kind::NotADirectory.into()),
            _ => {}
        }
        self.dir_mut(at)?.entries.remove(name);
        self.nodes.remove(&number);
        self.touch(at, now);
        self.tell((at, name), Happened::Removed);
        if directory {
            self.tell_self(number, Happened::Gone);
        }
        Ok(())
    }

    /// Renames an entry, with the order of refusals that Linux has (`renameat2`).
    pub(super) fn rename(
        &mut self,
        from: (u64, &Name),
        to: (u64, &Name),
        replace: bool,
        now: Time,
    ) -> Result<()> {
        let number = self.lookup(from.0, from.1)?;
        let there = self.find(to.0, to.1)?;
        if there.is_some() && !replace {
            return Err(Kind::AlreadyExists.into());
        }
        if self.is_within(to.0, number) {
            return Err(Refusal {
                kind: Kind::NotSupported,
                detail: Some("a directory cannot go into itself"),
            });
        }
        if there == Some(number) {
            return Ok(());
        }
        let (old, new) = (from.1.as_bytes().len(), to.1.as_bytes().len());
        let mut more = None;
        match there {
            Some(there) if self.is_within(from.0, there) => return Err(Kind::NotEmpty.into()),
            Some(there) => self.may_replace(number, there)?,
            None => more = Some(Charge::take(&self.ledger, new.saturating_sub(old))?),
        }
        let Entry { mut charge, .. } = self
            .dir_mut(from.0)?
            .entries
            .remove(from.1)
            .expect("it was looked up before");
        if let Some(there) = there {
            self.nodes.remove(&there);
        }
        // The name takes its bytes along, so that there is room for it on a full mount.
        let charge = more.map(|more| {
            drop(charge.split(old.saturating_sub(new)));
            charge.join(more);
            charge
        });
        self.set_entry(to, number, charge);
        let directory = self.node(number)?.kind() == EntryKind::Dir;
        self.touch(from.0, now);
        // The lower half of a counter: two renames are told apart, and that is all it is for.
        let [a, b, c, d, ..] = self.touch(to.0, now).to_le_bytes();
        let pair = u32::from_le_bytes([a, b, c, d]);
        self.tell(from, Happened::MovedFrom(pair));
        self.tell(to, Happened::MovedTo { pair, directory });
        if let Some(there) = there.filter(|_| directory) {
            self.tell_self(there, Happened::Gone);
        }
        Ok(())
    }

    /// Gives a name to a finished file, in place of the one that has it.
    pub(super) fn place(
        &mut self,
        (at, name): (u64, &Name),
        file: NewFile,
        condition: &Condition,
        now: Time,
    ) -> Result<Placed> {
        let there = self.find(at, name)?;
        let before = there.map(|number| self.node(number)).transpose()?;
        check(before, condition)?;
        let mode = file
            .mode
            .or(before.map(|node| node.mode))
            .unwrap_or(file.usual_mode);
        let charge = there.is_none().then(|| self.room_for(name)).transpose()?;
        let previous = there.and_then(|number| Some((number, self.nodes.remove(&number)?)));
        let body = Body::File(Arc::new(file.content));
        let number = self.number(Node {
            entry: None,
            mode,
            mtime: now,
            generation: 0,
            body,
        });
        self.set_entry((at, name), number, charge);
        self.touch(at, now);
        let generation = self.touch(number, now);
        self.tell(
            (at, name),
            match previous {
                Some(_) => Happened::Modified,
                None => Happened::Created { directory: false },
            },
        );
        Ok(Placed {
            number,
            generation,
            previous,
        })
    }

    /// Undoes [`State::place`], unless the name has come to mean something else.
    pub(super) fn put_back(
        &mut self,
        (at, name): (u64, &Name),
        placed: Placed,
        now: Time,
    ) -> Result<()> {
        let is_ours = self.find(at, name)? == Some(placed.number)
            && self.node(placed.number)?.generation == placed.generation;
        if !is_ours {
            return Err(Kind::Changed.into());
        }
        self.nodes.remove(&placed.number);
        if let Some((number, node)) = placed.previous {
            self.nodes.insert(number, node);
            self.set_entry((at, name), number, None);
            self.tell((at, name), Happened::Modified);
        } else {
            self.dir_mut(at)?.entries.remove(name);
            self.tell((at, name), Happened::Removed);
        }
        self.touch(at, now);
        Ok(())
    }

    /// Adds to the end of a file that still has its name; gives its new generation.
    pub(super) fn append(&mut self, number: u64, bytes: &[u8], now: Time) -> Result<u64> {
        let ledger = self.ledger.clone();
        let Body::File(content) = &mut self.node_mut(number)?.body else {
            return Err(Kind::Changed.into());
        };
        Arc::make_mut(content).append(&ledger, bytes)?;
        self.tell_of(number, Happened::Modified);
        Ok(self.touch(number, now))
    }

    /// What a file is, for [`State::cut_off`].
    pub(super) fn before(&self, number: u64) -> Result<Before> {
        let node = self.node(number)?;
        let Body::File(content) = &node.body else {
            return Err(Kind::Changed.into());
        };
        Ok(Before {
            length: content.len(),
            mtime: node.mtime,
            generation: node.generation,
        })
    }

    /// Takes away what was added to a file, if it still has the generation that was told.
    pub(super) fn cut_off(&mut self, number: u64, generation: u64, before: &Before) -> Result<()> {
        let node = self
            .nodes
            .get_mut(&number)
            .filter(|node| node.generation == generation);
        let Some(Node {
            body: Body::File(content),
            mtime,
            generation,
            ..
        }) = node
        else {
            return Err(Kind::Changed.into());
        };
        Arc::make_mut(content).truncate(before.length);
        (*mtime, *generation) = (before.mtime, before.generation);
        self.tell_of(number, Happened::Modified);
        Ok(())
    }

    pub(super) fn change(&mut self, number: u64, changes: &Changes) -> Result<()> {
        let unsupported = |detail| {
            Err(Refusal {
                kind: Kind::NotSupported,
                detail: Some(detail),
            })
        };
        let node = self.node_mut(number)?;
        if changes.owner.is_some() {
            return unsupported("memory has one owner");
        }
        if changes.mode.is_some() && node.kind() == EntryKind::Symlink {
            return unsupported("a link has no permissions of its own");
        }
        if let Some(mode) = changes.mode {
            node.mode = mode & 0o7777;
        }
        if let Some(mtime) = changes.mtime {
            self.touch(number, mtime);
        }
        if *changes != Changes::default() {
            self.tell_of(number, Happened::Attributes);
        }
        Ok(())
    }

    /// Tells of an entry, and of a directory to those who watch itself.
    fn tell_of(&mut self, number: u64, happened: Happened) {
        let Some(node) = self.nodes.get(&number) else {
            return;
        };
        let (kind, entry) = (node.kind(), node.entry.clone());
        if kind == EntryKind::Dir {
            self.tell_self(number, happened);
        }
        if let Some((at, name)) = entry {
            self.tell((at, &name), happened);
        }
    }

    /// What one more entry of this name takes.
    fn room_for(&self, name: &Name) -> Result<Charge> {
        if self.entries() >= self.max_entries {
            return Err(Refusal {
                kind: Kind::QuotaExceeded,
                detail: Some("the mount has as many entries as it may"),
            });
        }
        Ok(Charge::take(&self.ledger, name.as_bytes().len())?)
    }

    /// Gives a node to a name that has none.
    fn insert(&mut self, at: u64, name: &Name, charge: Charge, node: Node) -> u64 {
        let (mtime, directory) = (node.mtime, node.kind() == EntryKind::Dir);
        let number = self.number(node);
        self.set_entry((at, name), number, Some(charge));
        self.touch(at, mtime);
        self.touch(number, mtime);
        self.tell((at, name), Happened::Created { directory });
        number
    }

    fn number(&mut self, node: Node) -> u64 {
        self.last_number += 1;
        self.nodes.insert(self.last_number, node);
        self.last_number
    }

    /// Lets a name mean a node. A name that was not there comes with its charge.
    fn set_entry(&mut self, (at, name): (u64, &Name), number: u64, charge: Option<Charge>) {
        if let Some(node) = self.nodes.get_mut(&number) {
            node.entry = Some((at, name.clone()));
        }
        let dir = self.dir_mut(at).expect("it was looked at before");
        if let Some(charge) = charge {
            dir.entries.insert(name.clone(), Entry { number, charge });
        } else {
            let entry = dir.entries.get_mut(name).expect("it was looked up before");
            entry.number = number;
        }
    }

    /// Whether a directory is a node or lies below it.
    fn is_within(&self, mut at: u64, number: u64) -> bool {
        loop {
            if at == number {
                return true;
            }
            match self.nodes.get(&at).and_then(|node| node.entry.as_ref()) {
                Some((parent, _)) => at = *parent,
                None => return false,
            }
        }
    }

    fn may_replace(&self, number: u64, there: u64) -> Result<()> {
        match (&self.node(number)?.body, &self.node(there)?.body) {
            (Body::Dir(_), Body::Dir(dir)) if !dir.entries.is_empty() => Err(Kind::NotEmpty.into()),
            (Body::Dir(_), Body::Dir(_)) => Ok(()),
            (Body::Dir(_), _) => Err(Kind::NotADirectory.into()),
            (_, Body::Dir(_)) => Err(Kind::IsADirectory.into()),
            _ => Ok(()),
        }
    }

    /// Notes a change of a node; gives its new generation.
    fn touch(&mut self, number: u64, now: Time) -> u64 {
        self.last_generation += 1;
        if let Some(node) = self.nodes.get_mut(&number) {
            node.mtime = now;
            node.generation = self.last_generation;
        }
        self.last_generation
    }
}
