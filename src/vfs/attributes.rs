//! Changing permissions and times.

use std::sync::Arc;

use super::{
    Vfs,
    change::{ChangeError, Tally},
    describe::now,
    entry::{Attributes, EntryKind, Time},
    fault::{Kind, Result},
    make_dir::require_parents,
    path::ClientPath,
    pool::Wanted,
    provider::{Changes, Commit, Condition, Creation},
    view::{Last, Opened, Place, View},
};

/// Permissions to be set.
#[derive(Clone, Copy, Debug)]
pub struct Chmod {
    /// Of everything, or of what is no directory.
    pub mode: u32,
    /// Of directories.
    pub dir_mode: Option<u32>,
    /// All below a directory as well; links there are passed over.
    pub recursive: bool,
}

impl Chmod {
    fn due(&self, kind: EntryKind) -> u32 {
        match self.dir_mode {
            Some(mode) if kind.is_directory() => mode,
            _ => self.mode,
        }
    }
}

impl Vfs {
    /// Sets permissions. Gives for how many entries they changed.
    pub async fn chmod(&self, path: &ClientPath, how: Chmod) -> Result<u64, ChangeError> {
        let view = self.view();
        let given = path.clone();
        self.change(&view, path, move |view, wanted| {
            let place = view.resolve(&given, Last::Follow)?;
            let kind = place.require("change")?.kind;
            place.require_writable("change")?;
            let mut tally = Tally::new("changed");
            if kind == EntryKind::Dir && how.recursive {
                chmod_tree(view, place, how, &mut tally, wanted)?;
            } else {
                set_mode(&place, how, &mut tally);
            }
            tally.end()
        })
        .await
    }

    /// Sets the time of the last change, makes an empty file where there is none. Gives where it is.
    pub async fn touch(
        &self,
        path: &ClientPath,
        create: bool,
        mtime: Option<Time>,
    ) -> Result<(View, Place)> {
        let view = self.view();
        let given = path.clone();
        let place = self
            .run(&view, path, move |view, _| {
                touch(view, &given, create, mtime)
            })
            .await?;
        Ok((view, place))
    }
}

fn touch(view: &View, path: &ClientPath, create: bool, mtime: Option<Time>) -> Result<Place> {
    let mut place = view.resolve(path, Last::Follow)?;
    let at = |place: &Place| place.path.to_bytes();
    let mut fresh = false;
    if place.found.is_none() {
        if !create {
            return Err(place.fault(Kind::NotFound, "touch"));
        }
        require_parents(&place, "touch")?;
        place.require_writable("touch")?;
        let name = place.require_name("touch")?;
        let commit = Commit {
            condition: Condition::Missing,
            ..Commit::default()
        };
        let draft = place.directory.create(name, &Creation::default());
        match draft.and_then(|draft| draft.commit(&commit)) {
            Ok(_) => fresh = true,
            Err(fault) if fault.kind() == Kind::AlreadyExists => {}
            Err(fault) => return Err(fault.at(at(&place))),
        }
    }
    place.require_writable("touch")?;
    if mtime.is_some() || !fresh {
        let changes = Changes {
            mtime: Some(mtime.unwrap_or_else(now)),
            ..Changes::default()
        };
        let changed = place
            .directory
            .set_attributes(place.name.as_ref(), &changes);
        changed.map_err(|fault| fault.at(at(&place)))?;
    }
    place.refresh()?;
    place.require("touch")?;
    Ok(place)
}

fn set_mode(place: &Place, how: Chmod, tally: &mut Tally) {
    match change_mode(place, how) {
        Ok(true) => tally.done(),
        Ok(false) => {}
        Err(fault) if fault.kind() == Kind::NotFound => {}
        Err(fault) => tally.failed(fault.at(place.path.to_bytes())),
    }
}

fn change_mode(place: &Place, how: Chmod) -> Result<bool> {
    let found: &Attributes = place.require("change")?;
    let mode = how.due(found.kind);
    if found.kind == EntryKind::Symlink || found.mode == mode {
        return Ok(false);
    }
    place.require_writable("change")?;
    let changes = Changes {
        mode: Some(mode),
        ..Changes::default()
    };
    place
        .directory
        .set_attributes(place.name.as_ref(), &changes)?;
    Ok(true)
}

/// A directory whose contents are being changed.
struct Frame {
    place: Place,
    opened: Arc<Opened>,
    left: Vec<super::path::Name>,
    after: bool,
}

/// A directory that is to be readable is changed before its contents, one that is not to be, after them.
fn open_frame(view: &View, place: Place, how: Chmod, tally: &mut Tally) -> Result<Frame> {
    let after = how.due(EntryKind::Dir) & 0o500 != 0o500;
    if !after {
        set_mode(&place, how, tally);
    }
    let opened = Arc::new(place.open_directory("change")?);
    let mut left = Vec::new();
    let mut last = None;
    loop {
        let listing = view.list(&opened, last.as_ref(), usize::MAX)?;
        left.extend(listing.entries.into_iter().map(|(name, _)| name));
        if !listing.more {
            break;
        }
        last = left.last().cloned();
    }
    Ok(Frame {
        place,
        opened,
        left,
        after,
    })
}

fn chmod_tree(
    view: &View,
    top: Place,
    how: Chmod,
    tally: &mut Tally,
    wanted: &Wanted,
) -> Result<()> {
    let mut frames = vec![open_frame(view, top, how, tally)?];
    while let Some(frame) = frames.last_mut() {
        wanted.check()?;
        let Some(name) = frame.left.pop() else {
            let frame = frames.pop().expect("it was there");
            if frame.after {
                set_mode(&frame.place, how, tally);
            }
            continue;
        };
        let place = match view.child(&frame.opened, &name) {
            Ok(place) => place,
            Err(fault) => {
                tally.failed(fault);
                continue;
            }
        };
        if place
            .found
            .as_ref()
            .is_some_and(|found| found.kind == EntryKind::Dir)
        {
            match open_frame(view, place, how, tally) {
                Ok(inner) => frames.push(inner),
                Err(fault) => tally.failed(fault),
            }
        } else if place.found.is_some() {
            set_mode(&place, how, tally);
        }
    }
    Ok(())
}
