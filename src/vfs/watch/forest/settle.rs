//! Looking at what was touched, and telling the difference.

use std::time::Instant;

use super::{
    Forest, PATIENCE, Tell,
    dirt::{Origin, Touch},
    guard::Guarded,
    model::{Entry, Guard, NodeId, Spot, Stamp},
};
use crate::vfs::{
    entry::{Attributes, EntryKind},
    fault::{Kind, Result},
    path::TreePath,
    provider::is_staging,
    view::{Opened, Place},
    watch::{Change, ChangeKind, Lost},
};

/// Looks between which notices are taken.
const BREATH: usize = 64;
/// Looks until the thread turns to other things.
const BUDGET: usize = 16 * 1024;
/// How often a look waits for another.
const TRIES: u32 = 3;
/// Parts that are named one by one when they are not covered.
const NAMED: usize = 16;

/// What became of a look.
enum Looked {
    /// All was told.
    Done,
    /// Nothing is there.
    Missing,
    /// Others first.
    Again,
    /// It cannot be found out now.
    Later,
}

impl Forest {
    /// Looks at what was touched.
    pub(super) fn settle(&mut self, tell: Tell<'_>) -> Result<()> {
        let now = Instant::now();
        let mut missing = Vec::new();
        for count in 1..=BUDGET {
            if count % BREATH == 0 {
                self.intake()?;
            }
            if self.lost {
                return Ok(());
            }
            let entered = self.scan.pop().map(|spot| (spot, Touch::names()));
            let Some((spot, touch)) = entered.or_else(|| self.dirt.next()) else {
                break;
            };
            match self.look(&spot, &touch, tell) {
                Looked::Done => {}
                Looked::Missing => missing.push((spot, touch)),
                Looked::Again => self.dirt.again(spot, touch),
                Looked::Later => {
                    let since = touch.since.unwrap_or(now);
                    self.lost |= now.duration_since(since) > PATIENCE;
                    self.dirt.put_off(spot, touch, now);
                }
            }
        }
        // Last: what is gone here may have been found elsewhere.
        for (spot, touch) in missing {
            if self.dirt.awaits(&touch) {
                self.dirt.put_off(spot, touch, now);
            } else if self.model.entry(&spot).is_some() {
                self.leave(spot, touch, now, tell);
            }
        }
        self.tell_limits(tell);
        Ok(())
    }

    /// Something had gone. By now there may be something else.
    fn leave(&mut self, spot: Spot, touch: Touch, now: Instant, tell: Tell<'_>) {
        match self.look(&spot, &touch, tell) {
            Looked::Done => {}
            Looked::Missing => self.drop_entry(&spot, tell),
            Looked::Again | Looked::Later => self.dirt.put_off(spot, touch, now),
        }
    }

    fn look(&mut self, spot: &Spot, touch: &Touch, tell: Tell<'_>) -> Looked {
        let Some(node) = self.model.node(spot.node) else {
            return Looked::Done;
        };
        if let Some(entry) = node.entries.get(&spot.name).filter(|_| !touch.names) {
            let below = entry.node.and_then(|id| self.model.node(id));
            let entered = below.is_some_and(|below| !below.shut);
            if entered || !entry.kind.is_directory() || !self.recursive {
                let kind = entry.kind;
                self.tell_content(spot, touch, kind, tell);
                return Looked::Done;
            }
        }
        let Some(opened) = self.reach(spot.node) else {
            return Looked::Later;
        };
        let place = match self.view.child(&opened, &spot.name) {
            Ok(place) => place,
            Err(fault) => match fault.kind() {
                Kind::NotFound => return Looked::Missing,
                Kind::PermissionDenied => {
                    self.shut(spot.node, tell);
                    return Looked::Done;
                }
                // Directories that are not for clients: their names show.
                Kind::Reserved | Kind::OutsideMount => {
                    self.leave_out(spot, EntryKind::Dir, None, tell);
                    return Looked::Done;
                }
                _ => return Looked::Later,
            },
        };
        let Some(found) = place.found.clone() else {
            return Looked::Missing;
        };
        if found.kind.is_directory() && self.recursive {
            return self.look_into(spot, touch, &place, &found, tell);
        }
        self.look_at(spot, touch, &found, tell);
        Looked::Done
    }

    /// Something that is not entered is there.
    fn look_at(&mut self, spot: &Spot, touch: &Touch, found: &Attributes, tell: Tell<'_>) {
        if let Some(origin) = &touch.origin
            && self.come(spot, origin, touch, found, tell)
        {
            return;
        }
        let was = self.model.entry(spot).map(|entry| entry.kind);
        match was {
            Some(was) if was == found.kind && !was.is_directory() => {
                let touch = Touch {
                    modified: touch.modified || touch.names,
                    ..touch.clone()
                };
                self.tell_content(spot, &touch, found.kind, tell);
                self.put(spot, found);
                return;
            }
            Some(was) if was == found.kind && !touch.names => {
                return self.tell_content(spot, touch, was, tell);
            }
            Some(_) => self.drop_entry(spot, tell),
            None => {}
        }
        self.put(spot, found);
        let path = self.model.path_of(spot);
        tell(Change::now(ChangeKind::Create, path, Some(found.kind)));
    }

    /// It came from another name. False: what came is no longer what the model has at that name.
    fn come(
        &mut self,
        spot: &Spot,
        origin: &Origin,
        touch: &Touch,
        found: &Attributes,
        tell: Tell<'_>,
    ) -> bool {
        let Some(entry) = self.model.entry(&origin.spot) else {
            return false;
        };
        if entry.kind != found.kind || entry.node.is_some() || origin.spot == *spot {
            return false;
        }
        // It was looked at so late that the notice may be of what was there before: then the content is another.
        let doubtful = entry.since >= origin.heard;
        let from = self.model.path_of(&origin.spot);
        let mut over = false;
        if let Some(was) = self.model.entry(spot) {
            over = !was.kind.is_directory() && was.kind == found.kind;
            if over {
                self.model.take(spot);
            } else {
                self.drop_entry(spot, tell);
            }
        }
        self.model.take(&origin.spot);
        self.put(spot, found);
        tell(Change {
            from: Some(from),
            over,
            ..Change::now(
                ChangeKind::Rename,
                self.model.path_of(spot),
                Some(found.kind),
            )
        });
        let touch = Touch {
            modified: touch.modified || (doubtful && !found.kind.is_directory()),
            ..touch.clone()
        };
        self.tell_content(spot, &touch, found.kind, tell);
        self.dirt.touch(&origin.spot).names = true;
        true
    }

    fn put(&mut self, spot: &Spot, found: &Attributes) {
        let entry = Entry {
            kind: found.kind,
            node: None,
            since: self.dirt.taken,
            stamp: Some(Stamp::of(found)),
        };
        self.model.put(spot, entry);
    }

    fn tell_content(&self, spot: &Spot, touch: &Touch, kind: EntryKind, tell: Tell<'_>) {
        let what = if touch.modified && !kind.is_directory() {
            ChangeKind::Modify
        } else if touch.attributes {
            ChangeKind::Attrib
        } else {
            return;
        };
        tell(Change::now(what, self.model.path_of(spot), Some(kind)));
    }

    /// A directory is there.
    fn look_into(
        &mut self,
        spot: &Spot,
        touch: &Touch,
        place: &Place,
        found: &Attributes,
        tell: Tell<'_>,
    ) -> Looked {
        let opened = match place.open_directory("watch") {
            Ok(opened) => opened,
            Err(fault) => match fault.kind() {
                Kind::NotFound | Kind::NotADirectory | Kind::Changed => return Looked::Later,
                _ => {
                    self.leave_out(spot, found.kind, Some(Lost::Kernel), tell);
                    return Looked::Done;
                }
            },
        };
        let guard = match self.guard(&opened) {
            Guarded::By(guard) => guard,
            Guarded::Gone => return Looked::Later,
            Guarded::Limit(fault) => {
                tracing::debug!(path = %opened.path, %fault, detail = fault.detail(), "no watch is left");
                self.limited_now.push(opened.path.clone());
                self.leave_out(spot, found.kind, None, tell);
                return Looked::Done;
            }
            Guarded::Refused(_) => {
                self.leave_out(spot, found.kind, Some(Lost::Kernel), tell);
                return Looked::Done;
            }
        };
        let here = self.model.entry(spot).and_then(|entry| entry.node);
        if let Some(here) = here
            && self
                .model
                .node(here)
                .is_some_and(|node| node.guard == guard)
        {
            self.tell_content(spot, touch, found.kind, tell);
            if self.model.node(here).is_some_and(|node| node.shut) {
                self.fill(here, &opened, tell);
            }
            return Looked::Done;
        }
        if let Guard::Told(place) = guard {
            for id in self.model.at(place).to_vec() {
                if !self.is_there(id) {
                    return self.move_here(id, spot, touch, tell);
                }
            }
        }
        self.enter(spot, guard, &opened, found, tell);
        Looked::Done
    }

    /// A directory is found that the model has elsewhere, and that is not there any more.
    fn move_here(&mut self, id: NodeId, spot: &Spot, touch: &Touch, tell: Tell<'_>) -> Looked {
        let from = self.model.node(id).and_then(|node| node.above.clone());
        let Some(from) = from else {
            return Looked::Later;
        };
        if self.model.holds(id, spot.node) {
            self.dirt.touch(&from).names = true;
            return Looked::Later;
        }
        let occupied = self.model.entry(spot).map(|entry| entry.node);
        if let Some(Some(_)) = occupied
            && touch.tries < TRIES
        {
            // It may have gone elsewhere, with the very directory that comes.
            return Looked::Again;
        }
        if occupied.is_some() {
            self.drop_entry(spot, tell);
            if self.model.node(id).is_none() {
                return Looked::Again;
            }
        }
        let path = self.model.path(id);
        let Some(mut entry) = self.model.take(&from) else {
            return Looked::Later;
        };
        entry.since = self.dirt.taken;
        let kind = entry.kind;
        self.model.put(spot, entry);
        tell(Change {
            from: Some(path),
            ..Change::now(ChangeKind::Rename, self.model.path_of(spot), Some(kind))
        });
        self.tell_content(spot, touch, kind, tell);
        self.dirt.touch(&from).names = true;
        Looked::Done
    }

    /// A directory that the model does not have.
    fn enter(
        &mut self,
        spot: &Spot,
        guard: Guard,
        opened: &Opened,
        found: &Attributes,
        tell: Tell<'_>,
    ) {
        let was = self.model.entry(spot);
        // A directory that could not be entered before is no new one.
        let known = was.is_some_and(|was| was.kind.is_directory() && was.node.is_none());
        if was.is_some() && !known {
            self.drop_entry(spot, tell);
        }
        if !known {
            let path = self.model.path_of(spot);
            tell(Change::now(ChangeKind::Create, path, Some(found.kind)));
        }
        self.limited.retain(|path| *path != opened.path);
        self.put(spot, found);
        let id = self.model.add(Some(spot.clone()), guard);
        self.keep(id, opened.clone());
        self.fill(id, opened, tell);
    }

    /// Looks at what is in a directory that was entered. Its watch has been set before.
    pub(super) fn fill(&mut self, id: NodeId, opened: &Opened, tell: Tell<'_>) {
        let guard = self.model.node(id).map(|node| node.guard);
        let names = self.view.list(opened, None, usize::MAX);
        let shut = matches!(&names, Err(fault) if fault.kind() == Kind::PermissionDenied);
        if let Some(node) = self.model.node_mut(id) {
            node.shut = shut;
        }
        // It went: its parent's watch tells.
        let Ok(listing) = names else { return };
        let still = guard == Some(Guard::Still);
        let mounts = self.view.table().children(&opened.path);
        for (name, kind) in listing.entries {
            // Where nothing changes, only what is mounted there does.
            if is_staging(&name) || (still && mounts.binary_search(&name).is_err()) {
                continue;
            }
            let spot = Spot { node: id, name };
            if kind.is_directory() && self.recursive {
                self.scan.push(spot);
                continue;
            }
            let stamp = matches!(guard, Some(Guard::Polled(_)))
                .then(|| self.view.child(opened, &spot.name).ok()?.found)
                .flatten()
                .map(|found| Stamp::of(&found));
            let entry = Entry {
                kind,
                node: None,
                since: self.dirt.taken,
                stamp,
            };
            self.model.put(&spot, entry);
            let path = opened.path.join(&spot.name);
            tell(Change::now(ChangeKind::Create, path, Some(kind)));
        }
        let cut = listing.cut.filter(|fault| fault.kind() != Kind::NotFound);
        if let Some(fault) = cut {
            tracing::debug!(path = %opened.path, %fault, "a directory could not be listed to its end");
            tell(Change::overflow(opened.path.clone(), Lost::Kernel));
        }
    }

    /// A directory is there that is not entered. What was known below it counts as lost.
    fn leave_out(&mut self, spot: &Spot, kind: EntryKind, lost: Option<Lost>, tell: Tell<'_>) {
        let path = self.model.path_of(spot);
        let was = self.model.entry(spot).map(|was| (was.kind, was.node));
        if let Some((was, node)) = was
            && was == kind
        {
            if let Some(id) = node {
                let free = self.model.prune(id);
                self.free(free);
                if let Some(lost) = lost {
                    tell(Change::overflow(path, lost));
                }
            }
        } else {
            self.drop_entry(spot, tell);
            tell(Change::now(ChangeKind::Create, path, Some(kind)));
        }
        let entry = Entry {
            kind,
            node: None,
            since: self.dirt.taken,
            stamp: None,
        };
        self.model.put(spot, entry);
    }

    /// A directory whose entries may not be looked at any more.
    fn shut(&mut self, id: NodeId, tell: Tell<'_>) {
        let Some(node) = self.model.node_mut(id) else {
            return;
        };
        if std::mem::replace(&mut node.shut, true) {
            return;
        }
        let free = self.model.empty(id);
        self.free(free);
        tell(Change::overflow(self.model.path(id), Lost::Kernel));
    }

    /// What is at a spot is gone, with all below it.
    pub(super) fn drop_entry(&mut self, spot: &Spot, tell: Tell<'_>) {
        let Some(entry) = self.model.take(spot) else {
            return;
        };
        if let Some(id) = entry.node {
            let free = self.model.prune(id);
            self.free(free);
        }
        let path = self.model.path_of(spot);
        self.limited.retain(|limited| !limited.starts_with(&path));
        tell(Change::now(ChangeKind::Remove, path, Some(entry.kind)));
    }

    /// Says which parts are not covered: each, or when there are many, what holds them all.
    fn tell_limits(&mut self, tell: Tell<'_>) {
        let now = std::mem::take(&mut self.limited_now);
        let now = if now.len() > NAMED {
            vec![common(&now)]
        } else {
            now
        };
        for path in now {
            if self.limited.iter().any(|known| path.starts_with(known)) {
                continue;
            }
            tell(Change::overflow(path.clone(), Lost::WatchLimit));
            self.limited.retain(|known| !known.starts_with(&path));
            self.limited.push(path);
        }
    }
}

/// The nearest directory that holds all of some paths.
fn common(paths: &[TreePath]) -> TreePath {
    let mut holder = paths.first().cloned().unwrap_or_default();
    for path in paths {
        while !path.starts_with(&holder) {
            holder.pop();
        }
    }
    holder
}
