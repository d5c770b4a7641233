//! Directories whose file system tells nothing: they are looked at, and compared with what was seen before.

use std::collections::BTreeSet;

use super::{
    Forest,
    model::{NodeId, Spot, Stamp},
};
use crate::vfs::{fault::Result, path::Name, provider::is_staging, view::Opened};

impl Forest {
    /// Looks at all of them once and notes what differs.
    pub(super) fn poll(&mut self) -> Result<()> {
        for id in self.model.polled() {
            if let Some(opened) = self.reach(id) {
                self.compare(id, &opened);
            }
            self.intake()?;
        }
        Ok(())
    }

    fn compare(&mut self, id: NodeId, opened: &Opened) {
        // It went, or may not be read: its parent tells that.
        let Ok(listing) = self.view.list(opened, None, usize::MAX) else {
            return;
        };
        let mut seen = BTreeSet::new();
        for (name, _) in listing.entries {
            if !is_staging(&name) {
                self.compare_entry(id, opened, &name);
                seen.insert(name);
            }
        }
        let entries = self.model.node(id).map(|node| &node.entries);
        let gone: Vec<Name> = entries
            .into_iter()
            .flat_map(|entries| entries.keys())
            .filter(|name| !seen.contains(*name))
            .cloned()
            .collect();
        if listing.cut.is_none() {
            for name in gone {
                self.dirt.changed(&Spot { node: id, name });
            }
        }
    }

    fn compare_entry(&mut self, id: NodeId, opened: &Opened, name: &Name) {
        let spot = Spot {
            node: id,
            name: name.clone(),
        };
        let found = self
            .view
            .child(opened, name)
            .ok()
            .and_then(|place| place.found);
        let Some(found) = found else { return };
        let now = Stamp::of(&found);
        let Some(entry) = self.model.entry_mut(&spot) else {
            self.dirt.changed(&spot);
            return;
        };
        let before = entry.stamp.replace(now.clone());
        let kind = entry.kind;
        match before {
            _ if kind != found.kind => self.dirt.changed(&spot),
            Some(before) if before.identity != now.identity => self.dirt.changed(&spot),
            Some(before) if before.content != now.content => self.dirt.touch(&spot).modified = true,
            Some(before) if before != now => self.dirt.touch(&spot).attributes = true,
            None | Some(_) => {}
        }
    }
}
