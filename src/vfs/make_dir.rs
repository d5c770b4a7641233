//! Making directories, and those above them that are missing.

use super::{
    Vfs,
    change::enter,
    fault::{Fault, Kind, Result},
    path::{ClientPath, Name},
    view::{Last, Place, View},
};

/// How a directory is made.
#[derive(Clone, Copy, Debug)]
pub struct MakeDir {
    /// Directories above it are made, too.
    pub parents: bool,
    /// Its permissions, the umask not applied.
    pub mode: Option<u32>,
    /// One that is there is a failure.
    pub exclusive: bool,
}

impl Vfs {
    /// Makes a directory. Gives where it is, and whether it was made. What was made above it stays when the rest fails.
    pub async fn make_dir(&self, path: &ClientPath, how: MakeDir) -> Result<(View, Place, bool)> {
        let view = self.view();
        let given = path.clone();
        let (place, created) = self
            .run(&view, path, move |view, _| make_dir(view, &given, how))
            .await?;
        Ok((view, place, created))
    }
}

fn make_dir(view: &View, path: &ClientPath, how: MakeDir) -> Result<(Place, bool)> {
    let place = view.resolve(path, Last::Follow)?;
    if let Some(found) = &place.found {
        if found.kind.is_directory() && !how.exclusive {
            return Ok((place, false));
        }
        return Err(place.fault(Kind::AlreadyExists, "make"));
    }
    if !how.parents {
        require_parents(&place, "make")?;
    }
    let mut place = make_parents(place)?;
    place.require_writable("make")?;
    let name = place.require_name("make")?.clone();
    let made = place.directory.make_dir(&name, how.mode);
    let raced =
        matches!(&made, Err(fault) if fault.kind() == Kind::AlreadyExists) && !how.exclusive;
    if !raced {
        made.map_err(|fault| fault.at(place.path.to_bytes()))?;
    }
    place.refresh()?;
    let found = place.require("make")?;
    if !found.kind.is_directory() {
        return Err(place.fault(Kind::AlreadyExists, "make"));
    }
    Ok((place, !raced))
}

/// Fails when a directory above the place is missing.
pub fn require_parents(place: &Place, operation: &'static str) -> Result<()> {
    if place.missing.is_empty() {
        return Ok(());
    }
    let mut above = place.path.clone();
    above.pop();
    Err(Fault::new(Kind::NotFound, operation, above.to_bytes()))
}

/// Makes the directories above a place that are missing, under the machine's umask. The place afterwards lacks its last name
/// only.
pub fn make_parents(mut place: Place) -> Result<Place> {
    if place.missing.is_empty() {
        return Ok(place);
    }
    place.require_writable("make")?;
    let missing = std::mem::take(&mut place.missing);
    let first = place.name.take().expect("what is missing has a name");
    let mut names: Vec<Name> = std::iter::once(first).chain(missing).collect();
    let last = names.pop().expect("at least two");
    let mut at = place.path.clone();
    (0..=names.len()).for_each(|_| drop(at.pop()));
    for name in names {
        at.push(name.clone());
        match place.directory.make_dir(&name, None) {
            Ok(()) => {}
            // Somebody else was faster, or it came to be a file.
            Err(fault) if fault.kind() == Kind::AlreadyExists => {}
            Err(fault) => return Err(fault.at(at.to_bytes())),
        }
        place.directory = match enter(&*place.directory, &name, &at) {
            Err(fault) if fault.kind() == Kind::Changed => {
                return Err(Fault::new(Kind::NotADirectory, "enter", at.to_bytes()));
            }
            entered => entered?,
        };
    }
    place.name = Some(last);
    place.refresh()?;
    Ok(place)
}
