//! Removing entries, and directories with all that is in them.

use std::sync::Arc;

use super::{
    Vfs,
    change::{ChangeError, Tally, enter, names_of},
    entry::{EntryKind, Identity},
    fault::{Fault, Kind, Result},
    path::{ClientPath, Name, TreePath},
    pool::Wanted,
    provider::Directory,
    tag::Tags,
    view::{Last, Place, View},
};

/// How something is removed.
#[derive(Clone, Debug, Default)]
pub struct Removal {
    /// A directory goes with all that is in it.
    pub recursive: bool,
    /// Nothing there is no failure.
    pub missing_ok: bool,
    /// What must be there.
    pub if_match: Option<Tags>,
}

impl Vfs {
    /// Removes what is at a path, a link itself and never what it leads to. Gives how many entries went. When some cannot go, the
    /// others do. A caller that leaves stops it between two entries.
    pub async fn remove(&self, path: &ClientPath, how: Removal) -> Result<u64, ChangeError> {
        let view = self.view();
        let locking = self.place(&view, path, Last::Keep).await?;
        let guard = self.lock(&[&locking]).await?;
        let home = self.surroundings().home.clone();
        let removed = self.change(&view, path, move |view, wanted| {
            let mut place = locking.place;
            place.refresh()?;
            let result = remove(view, &place, &home, &how, wanted);
            drop(guard);
            result
        });
        removed.await
    }
}

fn remove(
    view: &View,
    place: &Place,
    home: &ClientPath,
    how: &Removal,
    wanted: &Wanted,
) -> Result<u64, ChangeError> {
    let Some(found) = &place.found else {
        place.require_match(how.if_match.as_ref(), wanted)?;
        return if how.missing_ok {
            Ok(0)
        } else {
            Err(place.fault(Kind::NotFound, "remove").into())
        };
    };
    let name = place.require_name("remove")?;
    require_removable(view, place, home)?;
    place.require_writable("remove")?;
    place.require_match(how.if_match.as_ref(), wanted)?;
    let mut tally = Tally::new("removed");
    if found.kind == EntryKind::Dir && how.recursive {
        remove_tree(&place.directory, name, &place.path, &mut tally, wanted)?;
    } else {
        let removed = place.directory.remove(name, found.kind.is_directory());
        removed.map_err(|fault| fault.at(place.path.to_bytes()))?;
        tally.done();
    }
    tally.end()
}

/// Fails for what holds a mount point, or the home of the daemon's user, by whatever path it was reached.
fn require_removable(view: &View, place: &Place, home: &ClientPath) -> Result<()> {
    let refused = || place.fault(Kind::RefusesRoot, "remove");
    if view.table().holds_below(&place.path) {
        return Err(refused());
    }
    let found = place.require("remove")?;
    if found.kind.is_directory() && is_above(view, found.identity, home) {
        return Err(refused().because("it is, or holds, the home directory"));
    }
    Ok(())
}

/// Whether a directory is another or lies above it.
fn is_above(view: &View, identity: Identity, other: &ClientPath) -> bool {
    let Ok(place) = view.resolve(other, Last::Follow) else {
        return false;
    };
    if place
        .found
        .as_ref()
        .is_some_and(|found| found.identity == identity)
    {
        return true;
    }
    let mut path = place.path;
    while path.pop().is_some() {
        let above = view.resolve(&ClientPath::of(&path), Last::Follow);
        let above = above.ok().and_then(|place| place.found);
        if above.is_some_and(|above| above.identity == identity) {
            return true;
        }
    }
    false
}

/// A directory that is being emptied.
struct Frame {
    parent: Arc<dyn Directory>,
    name: Name,
    path: TreePath,
    directory: Arc<dyn Directory>,
    left: Vec<(Name, EntryKind)>,
}

impl Frame {
    fn open(parent: &Arc<dyn Directory>, name: &Name, path: TreePath) -> Result<Self> {
        let directory = enter(&**parent, name, &path)?;
        let left = names_of(&*directory, &path)?;
        Ok(Self {
            parent: Arc::clone(parent),
            name: name.clone(),
            path,
            directory,
            left,
        })
    }
}

/// Removes a directory with its contents. What is a directory is entered by name, never through a link, so that who swaps
/// one for a link has the link removed.
pub(super) fn remove_tree(
    parent: &Arc<dyn Directory>,
    name: &Name,
    path: &TreePath,
    tally: &mut Tally,
    wanted: &Wanted,
) -> Result<()> {
    let mut frames = vec![Frame::open(parent, name, path.clone())?];
    while let Some(frame) = frames.last_mut() {
        wanted.check()?;
        let Some((name, kind)) = frame.left.pop() else {
            let frame = frames.pop().expect("it was there");
            count(tally, &frame.path, frame.parent.remove(&frame.name, true));
            continue;
        };
        let path = frame.path.join(&name);
        if kind == EntryKind::Dir {
            match Frame::open(&frame.directory, &name, path.clone()) {
                Ok(inner) => {
                    frames.push(inner);
                    continue;
                }
                Err(fault) if matches!(fault.kind(), Kind::Changed | Kind::NotFound) => {}
                Err(fault) => {
                    // It may be empty, and then it need not be read.
                    if frame.directory.remove(&name, true).is_ok() {
                        tally.done();
                    } else {
                        tally.failed(fault);
                    }
                    continue;
                }
            }
        }
        count(tally, &path, frame.directory.remove(&name, false));
    }
    Ok(())
}

fn count(tally: &mut Tally, path: &TreePath, removed: Result<(), Fault>) {
    match removed {
        Ok(()) => tally.done(),
        Err(fault) if fault.kind() == Kind::NotFound => {}
        Err(fault) => tally.failed(fault.at(path.to_bytes())),
    }
}
