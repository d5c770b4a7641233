//! Writing to a memory mount: a content that takes a name when it is whole, or bytes added to one that is there.

use std::sync::Arc;

use super::{
    super::{Commit, Committed, Condition, Creation, Draft, Previous},
    content::Content,
    directory::MemoryDirectory,
    fault,
    node::{Body, Refusal},
    now,
    state::{Before, NewFile, Placed},
};
use crate::vfs::{
    entry::Version,
    fault::{Fault, Kind, Result},
    path::Name,
};

/// Bits of permission of a file for which none are named, before the umask.
const USUAL_MODE: u32 = 0o666;

/// A new content. Nothing knows of it before it is committed.
#[derive(Debug)]
pub(super) struct NewContent {
    at: MemoryDirectory,
    name: Name,
    mode: Option<u32>,
    content: Content,
}

impl NewContent {
    pub(super) fn begin(at: &MemoryDirectory, name: &Name, creation: &Creation) -> Result<Self> {
        let refused = |refusal| fault(refusal, "write", name.as_bytes());
        let state = at.shared.read();
        state.find_writable(at.number, name).map_err(refused)?;
        // What is known not to fit is refused before it is sent.
        at.shared
            .ledger
            .has(creation.size.unwrap_or(0))
            .map_err(|short| refused(short.into()))?;
        Ok(Self {
            at: at.clone(),
            name: name.clone(),
            mode: creation.mode.map(|mode| mode & 0o7777),
            content: Content::default(),
        })
    }
}

impl Draft for NewContent {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let added = self.content.append(&self.at.shared.ledger, bytes);
        added.map_err(|short| fault(short, "write", self.name.as_bytes()))
    }

    fn commit(mut self: Box<Self>, how: &Commit) -> Result<Committed> {
        self.content.finish();
        let Self {
            at,
            name,
            mode,
            content,
        } = *self;
        let file = NewFile {
            content,
            mode,
            usual_mode: USUAL_MODE & !at.shared.config.umask,
        };
        let mut state = at.shared.write();
        let placed = state
            .place((at.number, &name), file, &how.condition, now())
            .map_err(|refusal| fault(refusal, "write", name.as_bytes()))?;
        let node = state
            .node(placed.number)
            .expect("it was placed under this lock");
        let attributes = at.shared.attributes(placed.number, node);
        drop(state);
        let created = placed.previous.is_none();
        let previous = how
            .hold
            .then(|| Box::new(Replaced { at, name, placed }) as _);
        Ok(Committed {
            attributes,
            created,
            atomic: true,
            previous,
        })
    }
}

/// What a new content replaced.
#[derive(Debug)]
struct Replaced {
    at: MemoryDirectory,
    name: Name,
    placed: Placed,
}

impl Previous for Replaced {
    fn restore(self: Box<Self>) -> Result<()> {
        let Self { at, name, placed } = *self;
        let put_back = at
            .shared
            .write()
            .put_back((at.number, &name), placed, now());
        put_back.map_err(|refusal| fault(refusal, "restore", name.as_bytes()))
    }
}

/// Bytes for the end of a file, which show at once. What fails shows nothing.
#[derive(Debug)]
pub(super) struct Append {
    at: MemoryDirectory,
    name: Name,
    number: u64,
    /// What was there; none when the file is ours.
    before: Option<Before>,
    /// As the last write left it.
    generation: u64,
}

impl Append {
    pub(super) fn begin(at: &MemoryDirectory, name: &Name, creation: &Creation) -> Result<Self> {
        let refused = |refusal| fault(refusal, "write", name.as_bytes());
        let mut state = at.shared.write();
        let there = state.find_writable(at.number, name).map_err(refused)?;
        let before = there.map(|number| state.before(number));
        let before = before.transpose().map_err(refused)?;
        let number = if let Some(number) = there {
            number
        } else {
            let usual = USUAL_MODE & !at.shared.config.umask;
            let mode = creation.mode.map_or(usual, |mode| mode & 0o7777);
            let added = state.add(at.number, name, mode, Body::File(Arc::default()), now());
            added.map_err(refused)?
        };
        let generation = state.before(number).map_err(refused)?.generation;
        Ok(Self {
            at: at.clone(),
            name: name.clone(),
            number,
            before,
            generation,
        })
    }

    /// A file that lost its name while it was appended to has changed.
    fn failed(&self, refusal: Refusal) -> Fault {
        let gone = refusal.kind == Kind::NotFound;
        let refusal = if gone { Kind::Changed.into() } else { refusal };
        fault(refusal, "write", self.name.as_bytes())
    }

    /// The condition is held against what was there when the draft was begun.
    fn check(&self, condition: &Condition) -> Result<(), Refusal> {
        let before = self.before.as_ref();
        match (condition, before.map(|before| before.generation)) {
            (Condition::None, _) | (Condition::Missing, None) => Ok(()),
            (Condition::Is(version), Some(generation))
                if *version == Version::Generation(generation) =>
            {
                Ok(())
            }
            (Condition::Missing, Some(_)) => Err(Kind::AlreadyExists.into()),
            (Condition::Is(_), _) => Err(Kind::Changed.into()),
        }
    }
}

impl Draft for Append {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let appended = self.at.shared.write().append(self.number, bytes, now());
        self.generation = appended.map_err(|refusal| self.failed(refusal))?;
        Ok(())
    }

    fn commit(self: Box<Self>, how: &Commit) -> Result<Committed> {
        self.check(&how.condition)
            .map_err(|refusal| self.failed(refusal))?;
        let state = self.at.shared.read();
        let node = state
            .node(self.number)
            .map_err(|refusal| self.failed(refusal))?;
        let attributes = self.at.shared.attributes(self.number, node);
        drop(state);
        let created = self.before.is_none();
        let previous = how.hold.then_some(self as _);
        Ok(Committed {
            attributes,
            created,
            atomic: false,
            previous,
        })
    }
}

impl Previous for Append {
    fn restore(self: Box<Self>) -> Result<()> {
        let (number, generation) = (self.number, self.generation);
        let mut state = self.at.shared.write();
        let restored = if let Some(before) = &self.before {
            state.cut_off(number, generation, before)
        } else {
            let placed = Placed {
                number,
                generation,
                previous: None,
            };
            state.put_back((self.at.number, &self.name), placed, now())
        };
        restored.map_err(|refusal| fault(refusal, "restore", self.name.as_bytes()))
    }
}
