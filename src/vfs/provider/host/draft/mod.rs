//! Writing a file.
//!
//! ```text
//!               beside it            rename        committed, old object gone or held
//! create ──────► staged ────────────────────────► ──────────────────────────────────►
//!    │             │ EBUSY, EXDEV, sticky directory
//!    │             ▼
//!    │          in place: old bytes kept, new ones over them; a failure puts the old ones back
//!    │             ▲
//!    ├── in a directory that nobody sees yet: under its name at once
//!    ├── no entry can be made there, but the file can be written
//!    └── append: to the end of what is there, at once
//! ```
//!
//! A staged file has a name of its own beside its target, mode 0600 until the end, and a note in the state directory. Whatever
//! is dropped before its commit leaves nothing behind.

mod append;
mod clock;
mod dress;
mod in_place;
mod previous;
mod staged;
mod unseen;

use std::os::fd::OwnedFd;

use super::{directory::HostDir, stat::Stat};
use crate::{
    sys::fs::may_write,
    vfs::{
        entry::EntryKind,
        fault::{Fault, Kind, Result},
        path::Name,
        provider::{Condition, Creation, Draft},
    },
};

use self::{staged::Staged, unseen::Unseen};

/// Begins to write a file.
pub(super) fn create(
    directory: &HostDir,
    name: &Name,
    creation: &Creation,
) -> Result<Box<dyn Draft>> {
    directory.check_name(name, "write")?;
    if creation.append {
        return Ok(Box::new(append::begin(directory, name, creation)?));
    }
    if creation.unseen && !directory.place.is_pseudo() {
        return Ok(Box::new(Unseen::begin(directory, name, creation)?));
    }
    let old = Target::look(directory, name)?;
    if let Some(old) = &old {
        old.check_writable(name)?;
        if directory.place.is_pseudo() {
            return Ok(Box::new(in_place::begin(directory, name, creation)?));
        }
    }
    match Staged::begin(directory, name, creation) {
        Ok(staged) => Ok(Box::new(staged)),
        Err(fault)
            if old.is_some() && matches!(fault.kind(), Kind::PermissionDenied | Kind::ReadOnly) =>
        {
            Ok(Box::new(in_place::begin(directory, name, creation)?))
        }
        Err(fault) => Err(fault),
    }
}

/// What a draft will replace, as it is at this moment.
struct Target {
    handle: OwnedFd,
    stat: Stat,
}

impl Target {
    /// Looks at what has a name. Anything but a regular file is refused; a link too, because the walk has followed links.
    fn look(directory: &HostDir, name: &Name) -> Result<Option<Self>> {
        let (handle, stat) = match directory.pin(name, "write") {
            Ok(pinned) => pinned,
            Err(fault) if fault.kind() == Kind::NotFound => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let kind = match stat.kind() {
            EntryKind::File => return Ok(Some(Self { handle, stat })),
            EntryKind::Dir | EntryKind::Submodule => Kind::IsADirectory,
            EntryKind::Symlink => Kind::Changed,
            EntryKind::Fifo | EntryKind::Socket | EntryKind::Char | EntryKind::Block => {
                Kind::NotRegular
            }
        };
        Err(Fault::new(kind, "write", name.as_bytes()))
    }

    /// Whether the file itself lets us write: a rename would not ask.
    fn check_writable(&self, name: &Name) -> Result<()> {
        match may_write(&self.handle) {
            Ok(()) | Err(rustix::io::Errno::NOSYS) => Ok(()),
            Err(errno) => Err(Fault::from_errno(errno, "write", name.as_bytes())),
        }
    }
}

/// Whether a condition holds for what is there.
fn check(condition: &Condition, old: Option<&Stat>, name: &Name) -> Result<()> {
    let kind = match (condition, old) {
        (Condition::None, _) | (Condition::Missing, None) => return Ok(()),
        (Condition::Is(version), Some(old)) if old.version() == *version => return Ok(()),
        (Condition::Missing, Some(_)) => Kind::AlreadyExists,
        (Condition::Is(_), _) => Kind::Changed,
    };
    Err(Fault::new(kind, "write", name.as_bytes()))
}
