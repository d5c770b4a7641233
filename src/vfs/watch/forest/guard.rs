//! Opening directories of the model, and setting watches on them.

use super::{
    Forest,
    medium::{Medium, medium},
    model::{Guard, NodeId, Place},
};
use crate::vfs::{
    fault::{Fault, Kind, Result},
    provider::watcher::Watcher,
    table::Mount,
    view::Opened,
};

/// Opened directories that are kept at hand.
const HANDS: usize = 16;

/// What became of a watch.
#[derive(Debug)]
pub(super) enum Guarded {
    /// It is set.
    By(Guard),
    /// The machine has no more.
    Limit(Fault),
    /// Not there: its changes are not for us, or nobody tells them.
    Refused(Fault),
    /// The directory is gone.
    Gone,
}

impl Forest {
    /// The watcher of a mount. Still: nothing ever changes there.
    fn source(&mut self, mount: &Mount) -> Result<usize> {
        if let Some(index) = self.sources.iter().position(|(id, _)| *id == mount.id()) {
            return Ok(index);
        }
        let watcher = if mount.is_synthetic() {
            None
        } else {
            mount.provider().watcher()?
        };
        self.sources.push((mount.id(), watcher));
        Ok(self.sources.len() - 1)
    }

    fn watcher(&self, source: usize) -> Option<&dyn Watcher> {
        self.sources.get(source)?.1.as_deref()
    }

    /// Ends watches.
    pub(super) fn free(&self, places: Vec<Place>) {
        for (source, key) in places {
            if let Some(watcher) = self.watcher(source) {
                watcher.forget(key);
            }
        }
    }

    /// Sets a watch on an opened directory.
    pub(super) fn guard(&mut self, opened: &Opened) -> Guarded {
        let source = match self.source(&opened.mount) {
            Ok(source) => source,
            Err(fault) if fault.kind() == Kind::NoSpace => return Guarded::Limit(fault),
            Err(fault) => return Guarded::Refused(fault),
        };
        let Some(watcher) = self.watcher(source) else {
            return Guarded::By(Guard::Still);
        };
        let medium = opened
            .directory
            .host()
            .map_or(Medium::Tells, |host| medium(&host.descriptor));
        match medium {
            Medium::Made => {
                let fault = Fault::new(Kind::NotSupported, "watch", opened.path.to_bytes());
                let detail = "the kernel makes these files up and tells of no changes";
                return Guarded::Refused(fault.because(detail));
            }
            Medium::Silent => {
                return match opened.directory.attributes() {
                    Ok(found) => Guarded::By(Guard::Polled(found.identity)),
                    Err(_) => Guarded::Gone,
                };
            }
            Medium::Tells => {}
        }
        match watcher.add(&*opened.directory) {
            Ok(key) => Guarded::By(Guard::Told((source, key))),
            Err(fault) => match fault.kind() {
                Kind::NoSpace => Guarded::Limit(fault),
                Kind::NotFound | Kind::NotADirectory | Kind::Changed => Guarded::Gone,
                _ => Guarded::Refused(fault),
            },
        }
    }

    /// Whether an opened directory is one that is watched.
    pub(super) fn is(&mut self, opened: &Opened, guard: Guard) -> bool {
        match (self.guard(opened), guard) {
            (Guarded::By(found), guard) if found == guard => true,
            (Guarded::By(Guard::Told(place)), _) => {
                if self.model.at(place).is_empty() {
                    self.free(vec![place]);
                }
                false
            }
            _ => false,
        }
    }

    /// Opens a directory of the model. None: it is not where the model has it; where the ways part will be looked at.
    pub(super) fn reach(&mut self, id: NodeId) -> Option<Opened> {
        let mut chain = Vec::new();
        let mut next = id;
        let mut opened = loop {
            if let Some(opened) = self.at_hand(next) {
                break opened;
            }
            match &self.model.node(next)?.above {
                None => break self.root.clone(),
                Some(spot) => {
                    chain.push((next, spot.clone()));
                    next = spot.node;
                }
            }
        };
        for (id, spot) in chain.into_iter().rev() {
            let guard = self.model.node(id)?.guard;
            let child = self.view.child(&opened, &spot.name);
            let child = child.and_then(|place| place.open_directory("watch"));
            match child {
                Ok(child) if self.is(&child, guard) => {
                    self.keep(id, child.clone());
                    opened = child;
                }
                _ => {
                    self.dirt.touch(&spot).names = true;
                    return None;
                }
            }
        }
        Some(opened)
    }

    fn at_hand(&mut self, id: NodeId) -> Option<Opened> {
        let index = self.hands.iter().position(|(other, _)| *other == id)?;
        let (_, mut opened) = self.hands.remove(index)?;
        // It stays the same directory under any name.
        opened.path = self.model.path(id);
        self.hands.push_front((id, opened.clone()));
        Some(opened)
    }

    /// Keeps an opened directory at hand.
    pub(super) fn keep(&mut self, id: NodeId, opened: Opened) {
        self.hands.truncate(HANDS - 1);
        self.hands.push_front((id, opened));
    }

    /// Whether a directory is where the model has it.
    pub(super) fn is_there(&mut self, id: NodeId) -> bool {
        let Some(node) = self.model.node(id) else {
            return false;
        };
        let (guard, above) = (node.guard, node.above.clone());
        let Some(spot) = above else { return true };
        let Some(parent) = self.reach(spot.node) else {
            return false;
        };
        let child = self.view.child(&parent, &spot.name);
        child
            .and_then(|place| place.open_directory("watch"))
            .is_ok_and(|child| self.is(&child, guard))
    }
}
