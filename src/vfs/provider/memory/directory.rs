//! A directory of a memory mount: a number in its tree.

use std::{any::Any, sync::Arc};

use super::{
    super::{Changes, Creation, Directory, Draft, Listing, OpenFile},
    Shared,
    draft::{Append, NewContent},
    fault,
    file::MemoryFile,
    ledger::Charge,
    node::{Body, Text},
    now,
};
use crate::vfs::{
    entry::Attributes,
    fault::{Fault, Kind, Result},
    path::Name,
};

/// Longest text of a link, as on Linux.
const MAX_TARGET: usize = 4095;

#[derive(Clone, Debug)]
pub(super) struct MemoryDirectory {
    pub(super) shared: Arc<Shared>,
    /// A directory that was removed leaves a number that means nothing.
    pub(super) number: u64,
}

impl Directory for MemoryDirectory {
    fn attributes(&self) -> Result<Attributes> {
        let state = self.shared.read();
        let node = state
            .node(self.number)
            .map_err(|refusal| fault(refusal, "look up", "."))?;
        Ok(self.shared.attributes(self.number, node))
    }

    fn descend(&self, names: &[Name]) -> Result<(Arc<dyn Directory>, usize)> {
        let state = self.shared.read();
        let (mut number, mut taken) = (self.number, 0);
        for name in names {
            let next = state
                .find(number, name)
                .map_err(|refusal| fault(refusal, "open", name.as_bytes()))?;
            let is_dir = |number: &u64| {
                matches!(state.node(*number).map(|node| &node.body), Ok(Body::Dir(_)))
            };
            let Some(next) = next.filter(is_dir) else {
                break;
            };
            (number, taken) = (next, taken + 1);
        }
        Ok((
            Arc::new(Self {
                shared: self.shared.clone(),
                number,
            }),
            taken,
        ))
    }

    fn lookup(&self, name: &Name) -> Result<Attributes> {
        let state = self.shared.read();
        let found = state
            .lookup(self.number, name)
            .and_then(|number| Ok((number, state.node(number)?)));
        let (number, node) = found.map_err(|refusal| fault(refusal, "look up", name.as_bytes()))?;
        Ok(self.shared.attributes(number, node))
    }

    fn open(&self, name: &Name) -> Result<Arc<dyn OpenFile>> {
        let state = self.shared.read();
        let found = state
            .lookup(self.number, name)
            .and_then(|number| Ok((number, state.node(number)?)));
        let (number, node) = found.map_err(|refusal| fault(refusal, "open", name.as_bytes()))?;
        let kind = match &node.body {
            Body::File(content) => {
                let attributes = self.shared.attributes(number, node);
                return Ok(Arc::new(MemoryFile {
                    attributes,
                    content: content.clone(),
                }));
            }
            Body::Dir(_) => Kind::IsADirectory,
            Body::Link(_) => Kind::Changed,
        };
        Err(Fault::new(kind, "open", name.as_bytes()))
    }

    fn list(&self, after: Option<&Name>, limit: usize) -> Result<Listing> {
        self.shared
            .read()
            .list(self.number, after, limit)
            .map_err(|refusal| fault(refusal, "list", "."))
    }

    fn create(&self, name: &Name, creation: &Creation) -> Result<Box<dyn Draft>> {
        if creation.append {
            return Append::begin(self, name, creation).map(|draft| Box::new(draft) as _);
        }
        NewContent::begin(self, name, creation).map(|draft| Box::new(draft) as _)
    }

    fn make_dir(&self, name: &Name, mode: Option<u32>) -> Result<()> {
        let mode = mode.map_or(0o777 & !self.shared.config.umask, |mode| mode & 0o7777);
        let made = self.shared.write().add_dir(self.number, name, mode, now());
        made.map(drop)
            .map_err(|refusal| fault(refusal, "make", name.as_bytes()))
    }

    fn make_link(&self, name: &Name, target: &[u8]) -> Result<()> {
        let failed = |kind| Err(Fault::new(kind, "link", name.as_bytes()));
        match target.len() {
            0 => return failed(Kind::NotFound),
            length if length > MAX_TARGET => return failed(Kind::NameTooLong),
            _ => {}
        }
        let charge = Charge::take(&self.shared.ledger, target.len())
            .map_err(|short| fault(short, "link", name.as_bytes()))?;
        let text = Text {
            bytes: target.into(),
            _charge: charge,
        };
        let made = self
            .shared
            .write()
            .add(self.number, name, 0o777, Body::Link(text), now());
        made.map(drop)
            .map_err(|refusal| fault(refusal, "link", name.as_bytes()))
    }

    fn remove(&self, name: &Name, directory: bool) -> Result<()> {
        let removed = self
            .shared
            .write()
            .remove(self.number, name, directory, now());
        removed.map_err(|refusal| fault(refusal, "remove", name.as_bytes()))
    }

    fn set_attributes(&self, name: Option<&Name>, changes: &Changes) -> Result<()> {
        let mut state = self.shared.write();
        let number = name.map_or(Ok(self.number), |name| state.lookup(self.number, name));
        let changed = number.and_then(|number| state.change(number, changes));
        changed.map_err(|refusal| fault(refusal, "change", name.map_or(&b"."[..], Name::as_bytes)))
    }

    fn rename(&self, from: &Name, to: &dyn Directory, name: &Name, replace: bool) -> Result<()> {
        let to = to
            .as_any()
            .downcast_ref::<Self>()
            .filter(|to| Arc::ptr_eq(&to.shared, &self.shared));
        let to = to.ok_or_else(|| Fault::new(Kind::NotSupported, "rename", from.as_bytes()))?;
        let mut state = self.shared.write();
        let renamed = state.rename((self.number, from), (to.number, name), replace, now());
        renamed.map_err(|refusal| fault(refusal, "rename", from.as_bytes()))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
