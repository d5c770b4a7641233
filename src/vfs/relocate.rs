//! Moves and copies. Within a mount a move is one step; across mounts it is a copy that is compared, and never leaves half:
//!
//! ```text
//!   1 copy to a staging name beside the destination      failed, killed: the copy goes
//!   2 rename the source to a staging name beside it      changed meanwhile, killed: renamed back, the copy goes
//!   3 rename the copy to the destination                 failed: the source is renamed back, the copy goes
//!   4 remove the renamed source                          killed: removed at the next start
//! ```

use std::{os::unix::ffi::OsStrExt, sync::Arc};

use super::{
    Vfs,
    change::{ChangeError, Locking, Tally},
    copy::{Copied, Plan, copy, discard, fingerprint},
    describe::host_path,
    entry::EntryKind,
    fault::{Fault, Kind, Result},
    make_dir::{make_parents, require_parents},
    path::{ClientPath, Name, TreePath},
    pool::Wanted,
    provider::staging_name,
    record::{Record, Records},
    remove::remove_tree,
    tag::Tags,
    view::{Last, Place, View},
};

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Relocation {
    /// What; a link itself.
    pub from: ClientPath,
    /// The new name itself.
    pub to: ClientPath,
    /// What is there may be replaced.
    pub overwrite: bool,
    /// Missing directories above it are made.
    pub mkdir: bool,
    /// What the source must be.
    pub if_match: Option<Tags>,
    /// Of a copy: what links lead to is copied.
    pub follow: bool,
}

/// What came of it.
#[derive(Debug)]
pub struct Relocated {
    /// In which tree.
    pub view: View,
    /// Where it is now.
    pub place: Place,
    /// What was copied.
    pub tally: Copied,
    /// What of the source could not be removed.
    pub left: Vec<Fault>,
}

impl Vfs {
    /// Gives an entry another name.
    pub async fn relocate(&self, what: Relocation) -> Result<Relocated, ChangeError> {
        self.both(what, Last::Keep, move_entry).await
    }

    /// Copies an entry.
    pub async fn copy(&self, what: Relocation) -> Result<Relocated, ChangeError> {
        let last = if what.follow {
            Last::Follow
        } else {
            Last::Keep
        };
        self.both(what, last, copy_entry).await
    }

    async fn both(
        &self,
        what: Relocation,
        last: Last,
        work: fn(&mut Both, &Wanted) -> Result<Done, ChangeError>,
    ) -> Result<Relocated, ChangeError> {
        let view = self.view();
        let from = self.place(&view, &what.from, last).await?;
        let to = self.place(&view, &what.to, Last::Keep).await?;
        let guard = self.lock(&[&from, &to]).await?;
        let records = self.records().clone();
        let path = what.from.clone();
        let all = view.clone();
        let done = self.change(&view, &path, move |view, wanted| {
            let (Locking { place: from, .. }, Locking { place: to, .. }) = (from, to);
            let view = view.clone();
            let mut both = Both {
                view,
                from,
                to,
                what,
                records,
            };
            both.from.refresh()?;
            both.to.refresh()?;
            let (tally, left) = work(&mut both, wanted)?;
            both.to.refresh()?;
            drop(guard);
            Ok((both.to, tally, left))
        });
        let (place, tally, left) = done.await?;
        Ok(Relocated {
            view: all,
            place,
            tally,
            left,
        })
    }
}

/// Source and destination.
struct Both {
    view: View,
    from: Place,
    to: Place,
    what: Relocation,
    records: Records,
}

type Done = (Copied, Vec<Fault>);

fn move_entry(both: &mut Both, wanted: &Wanted) -> Result<Done, ChangeError> {
    let found = both.from.require("move")?.clone();
    let name = both.from.require_name("move")?.clone();
    if both.view.table().holds_below(&both.from.path) {
        return Err(both.from.fault(Kind::RefusesRoot, "move").into());
    }
    if let Err(fault) = both.from.require_writable("move") {
        let detail = "what is to stay there can be copied";
        return Err(fault.because(detail).into());
    }
    both.from
        .require_match(both.what.if_match.as_ref(), wanted)?;
    both.check_destination(found.kind)?;
    if both.from.path == both.to.path {
        return Ok((Copied::default(), Vec::new()));
    }
    both.make_room()?;
    if both.from.mount.id() == both.to.mount.id() {
        let to = both.to.require_name("move")?;
        let directory = &*both.to.directory;
        let renamed = both
            .from
            .directory
            .rename(&name, directory, to, both.what.overwrite);
        match renamed {
            Ok(()) => return Ok((Copied::default(), Vec::new())),
            Err(fault) if fault.kind() == Kind::NotSupported => {}
            Err(fault) if fault.kind() == Kind::NotFound => {
                return Err(fault.at(both.from.path.to_bytes()).into());
            }
            Err(fault) => return Err(fault.at(both.to.path.to_bytes()).into()),
        }
    }
    carry(both, &name, wanted)
}

impl Both {
    fn check_destination(&mut self, kind: EntryKind) -> Result<(), ChangeError> {
        let (from, to) = (&self.from.path, &self.to.path);
        if kind.is_directory() && to != from && to.starts_with(from) {
            return Err(ChangeError::IntoItself { from: from.clone() });
        }
        let Some(there) = &self.to.found else {
            return Ok(());
        };
        if !self.what.overwrite {
            return Err(self.to.fault(Kind::AlreadyExists, "replace").into());
        }
        let holds = self.view.table().holds_below(to);
        let inside = from.starts_with(to) && from != to || lies_in(&self.from, &self.to);
        if self.to.name.is_none() || holds || inside {
            return Err(self.to.fault(Kind::RefusesRoot, "replace").into());
        }
        match (kind.is_directory(), there.kind.is_directory()) {
            (true, false) => Err(self.to.fault(Kind::NotADirectory, "replace").into()),
            (false, true) => Err(self.to.fault(Kind::IsADirectory, "replace").into()),
            _ => Ok(()),
        }
    }

    fn make_room(&mut self) -> Result<()> {
        if !self.what.mkdir {
            require_parents(&self.to, "write")?;
        }
        self.to.require_writable("write")?;
        self.to = make_parents(self.to.clone())?;
        Ok(())
    }

    fn beside(place: &Place, name: &Name) -> TreePath {
        let mut path = place.path.clone();
        path.pop();
        path.join(name)
    }
}

/// Whether an entry lies in what is at another place, though by another mount.
fn lies_in(entry: &Place, place: &Place) -> bool {
    let (Some(entry), Some(place)) = (entry.directory.host(), host_path(place)) else {
        return false;
    };
    entry.path.starts_with(std::ffi::OsStr::from_bytes(&place))
}

fn copy_entry(both: &mut Both, wanted: &Wanted) -> Result<Done, ChangeError> {
    let found = both.from.require("copy")?.clone();
    both.from
        .require_match(both.what.if_match.as_ref(), wanted)?;
    both.check_destination(found.kind)?;
    if both.from.path == both.to.path {
        return Err(both.to.fault(Kind::AlreadyExists, "replace").into());
    }
    both.make_room()?;
    let staging = staging_name()?;
    let record = both.records.write(&Record {
        copy: Both::beside(&both.to, &staging),
        ..Record::default()
    })?;
    let plan = Plan {
        follow: both.what.follow,
        ..Plan::default()
    };
    let tally = stage(both, &staging, &plan, wanted)?;
    let placed = put(both, &staging);
    if placed.is_err() {
        discard(&both.to.directory, &staging);
    }
    drop(record);
    placed?;
    Ok((tally, Vec::new()))
}

fn stage(both: &Both, staging: &Name, plan: &Plan, wanted: &Wanted) -> Result<Copied, ChangeError> {
    let to = (&both.to.directory, staging);
    let capabilities = both.to.mount.provider().capabilities();
    copy(&both.view, &both.from, to, capabilities, plan, wanted)
}

/// Renames what was staged to the destination. A full directory there makes way first, and comes back if that fails.
fn put(both: &Both, staging: &Name) -> Result<()> {
    let name = both.to.require_name("write")?;
    let directory = &both.to.directory;
    let at = |fault: Fault| fault.at(both.to.path.to_bytes());
    let renamed = directory.rename(staging, &**directory, name, both.what.overwrite);
    match renamed {
        Err(fault) if fault.kind() == Kind::NotEmpty => {}
        renamed => return renamed.map_err(at),
    }
    let old = staging_name()?;
    directory
        .rename(name, &**directory, &old, false)
        .map_err(at)?;
    if let Err(fault) = directory.rename(staging, &**directory, name, false) {
        let back = directory.rename(&old, &**directory, name, false);
        if let Err(fault) = back {
            tracing::error!(%fault, path = %both.to.path, "could not put back what was to be replaced");
        }
        return Err(at(fault));
    }
    discard(directory, &old);
    Ok(())
}

/// A move across mounts: see the module's page.
fn carry(both: &mut Both, name: &Name, wanted: &Wanted) -> Result<Done, ChangeError> {
    let (staging, leaving) = (staging_name()?, staging_name()?);
    let mut record = Record {
        copy: Both::beside(&both.to, &staging),
        to: both.to.path.clone(),
        from: Some((both.from.path.clone(), Both::beside(&both.from, &leaving))),
        ..Record::default()
    };
    let first = both.records.write(&record)?;
    let plan = Plan {
        verify: true,
        strict: true,
        ..Plan::default()
    };
    let tally = stage(both, &staging, &plan, wanted)?;
    record.identity = both
        .to
        .directory
        .lookup(&staging)
        .ok()
        .map(|copy| copy.identity);
    let second = both.records.write(&record);
    let from = Arc::clone(&both.from.directory);
    let at = |fault: Fault| fault.at(both.from.path.to_bytes());
    let left = second.and_then(|second| {
        drop(first);
        from.rename(name, &*from, &leaving, false).map_err(at)?;
        Ok(second)
    });
    let record = match left {
        Ok(record) => record,
        Err(fault) => {
            discard(&both.to.directory, &staging);
            return Err(fault.into());
        }
    };
    let same = fingerprint(&from, &leaving, wanted).map(|now| now == tally.fingerprint());
    let placed = match same {
        Ok(true) => put(both, &staging),
        Ok(false) => Err(both.from.fault(Kind::Changed, "move")),
        Err(fault) => Err(at(fault)),
    };
    if let Err(fault) = placed {
        if let Err(lost) = from.rename(&leaving, &*from, name, false) {
            tracing::error!(fault = %lost, path = %both.from.path, "could not give the source of a move its name again");
        }
        discard(&both.to.directory, &staging);
        return Err(fault.into());
    }
    let left = remove_source(both, &leaving);
    drop(record);
    Ok((tally, left))
}

/// What cannot be removed is told. The destination counts already, so it is not stopped by a caller that leaves.
fn remove_source(both: &Both, leaving: &Name) -> Vec<Fault> {
    let path = Both::beside(&both.from, leaving);
    let directory = &both.from.directory;
    let mut tally = Tally::new("removed");
    let removed = match directory.lookup(leaving) {
        Ok(found) if found.kind == EntryKind::Dir => {
            remove_tree(directory, leaving, &path, &mut tally, &Wanted::default())
        }
        Ok(_) => directory.remove(leaving, false),
        Err(fault) => Err(fault),
    };
    if let Err(fault) = removed {
        tally.failed(fault.at(path.to_bytes()));
    }
    match tally.end() {
        Err(ChangeError::Partial(partial)) => partial.faults,
        Err(ChangeError::Fault(fault)) => vec![fault],
        Ok(_) | Err(_) => Vec::new(),
    }
}
