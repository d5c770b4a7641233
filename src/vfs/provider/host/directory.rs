//! An opened directory of the machine, and what is done with its entries.

use std::{
    any::Any,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use rustix::{
    fs::{AtFlags, Gid, Mode, OFlags, RenameFlags, Timespec, Timestamps, UTIME_OMIT, Uid},
    io::Errno,
};

use super::{
    Shared, descend, draft, extended, file, list,
    place::Place,
    stat::{self, Stat},
};
use crate::{
    sys::fs::{change_mode, path_of},
    vfs::{
        entry::{Attributes, EntryKind, Time},
        fault::{Fault, Kind, Result},
        path::Name,
        provider::{
            Changes, Creation, Directory, Draft, Extended, HostDirectory, Listing, OpenFile,
        },
    },
};

/// An opened directory. Cloning it costs two counters.
#[derive(Clone, Debug)]
pub(super) struct HostDir {
    pub(super) shared: Arc<Shared>,
    /// Opened for lookups only (`O_PATH`).
    pub(super) handle: Arc<OwnedFd>,
    pub(super) place: Place,
}

impl HostDir {
    pub(super) fn new(shared: Arc<Shared>, handle: OwnedFd, place: Place) -> Self {
        Self {
            shared,
            handle: Arc::new(handle),
            place,
        }
    }

    /// Opens an entry for lookups, whatever it is, and looks at what was opened.
    pub(super) fn pin(&self, name: &Name, operation: &'static str) -> Result<(OwnedFd, Stat)> {
        let failed = |errno| Fault::from_errno(errno, operation, name.as_bytes());
        self.check_name(name, operation)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(&*self.handle, name.as_bytes(), flags, Mode::empty())
            .map_err(failed)?;
        let stat = stat::of_handle(&handle).map_err(failed)?;
        self.check_entry(&stat, name, operation)?;
        Ok((handle, stat))
    }

    fn stat(&self, name: &Name, operation: &'static str) -> Result<Stat> {
        self.check_name(name, operation)?;
        let stat = stat::of_entry(&*self.handle, name.as_bytes())
            .map_err(|errno| Fault::from_errno(errno, operation, name.as_bytes()))?;
        if stat.is_directory() && self.shared.reserved.is(stat.identity()) {
            return Err(Fault::new(Kind::Reserved, operation, name.as_bytes()));
        }
        Ok(stat)
    }

    pub(super) fn check_name(&self, name: &Name, operation: &'static str) -> Result<()> {
        let checked = self.place.check_name(&*self.handle, name.as_bytes());
        checked.map_err(|kind| Fault::new(kind, operation, name.as_bytes()))
    }

    fn check_entry(&self, stat: &Stat, name: &Name, operation: &'static str) -> Result<()> {
        let identity = stat.identity();
        if stat.is_directory() && self.shared.reserved.is(identity) {
            return Err(Fault::new(Kind::Reserved, operation, name.as_bytes()));
        }
        if self.shared.options.one_file_system && identity.device != self.place.device {
            let fault = Fault::new(Kind::OutsideMount, operation, name.as_bytes());
            return Err(fault.because("another file system begins there"));
        }
        Ok(())
    }

    /// A directory that holds one of ours stays where it is: ours would go with it.
    fn check_movable(&self, name: &Name) -> Result<()> {
        let stat = self.stat(name, "rename")?;
        if stat.is_directory() && self.shared.reserved.is_above(stat.identity()) {
            let fault = Fault::new(Kind::Reserved, "rename", name.as_bytes());
            return Err(fault.because("a directory of the daemon lies in it"));
        }
        Ok(())
    }

    /// The text of a link, read from the very link that was looked at.
    fn link(&self, name: &Name) -> Result<Attributes> {
        let failed = |errno| Fault::from_errno(errno, "look up", name.as_bytes());
        let (handle, stat) = self.pin(name, "look up")?;
        if stat.kind() != EntryKind::Symlink {
            return Ok(stat.attributes(None, false));
        }
        let target = rustix::fs::readlinkat(&handle, c"", Vec::new()).map_err(failed)?;
        let target = target.into_bytes().into_boxed_slice();
        let size = target.len() as u64;
        let mut attributes = stat.attributes(Some(target), false);
        // Links of `/proc` say 0.
        attributes.size = size;
        Ok(attributes)
    }
}

impl Directory for HostDir {
    fn attributes(&self) -> Result<Attributes> {
        let stat = stat::of_handle(&*self.handle)
            .map_err(|errno| Fault::from_errno(errno, "look up", b"."))?;
        Ok(stat.attributes(None, false))
    }

    fn descend(&self, names: &[Name]) -> Result<(Arc<dyn Directory>, usize)> {
        let (directory, taken) = descend::descend(self, names)?;
        Ok((Arc::new(directory), taken))
    }

    fn lookup(&self, name: &Name) -> Result<Attributes> {
        let stat = self.stat(name, "look up")?;
        match stat.kind() {
            EntryKind::Symlink if self.place.is_magic(stat.kind()) => {
                Ok(stat.attributes(None, true))
            }
            EntryKind::Symlink => self.link(name),
            _ => Ok(stat.attributes(None, false)),
        }
    }

    fn open(&self, name: &Name) -> Result<Arc<dyn OpenFile>> {
        Ok(Arc::new(file::open(self, name)?))
    }

    fn list(&self, _after: Option<&Name>, _limit: usize) -> Result<Listing> {
        self.place
            .check_list()
            .map_err(|kind| Fault::new(kind, "list", b"."))?;
        list::list(self)
    }

    fn create(&self, name: &Name, creation: &Creation) -> Result<Box<dyn Draft>> {
        draft::create(self, name, creation)
    }

    fn make_dir(&self, name: &Name, mode: Option<u32>) -> Result<()> {
        let failed = |errno| Fault::from_errno(errno, "make", name.as_bytes());
        self.check_name(name, "make")?;
        let first = Mode::from_raw_mode(mode.unwrap_or(0o777));
        rustix::fs::mkdirat(&*self.handle, name.as_bytes(), first).map_err(failed)?;
        // The umask took bits away that were asked for.
        let Some(mode) = mode else { return Ok(()) };
        let flags = descend::FLAGS | OFlags::NOFOLLOW;
        let made = rustix::fs::openat(&*self.handle, name.as_bytes(), flags, Mode::empty())
            .map_err(failed)?;
        change_mode(&made, mode).map_err(failed)
    }

    fn make_link(&self, name: &Name, target: &[u8]) -> Result<()> {
        self.check_name(name, "link")?;
        rustix::fs::symlinkat(target, &*self.handle, name.as_bytes())
            .map_err(|errno| Fault::from_errno(errno, "link", name.as_bytes()))
    }

    fn remove(&self, name: &Name, directory: bool) -> Result<()> {
        self.stat(name, "remove")?;
        let flags = if directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        rustix::fs::unlinkat(&*self.handle, name.as_bytes(), flags)
            .map_err(|errno| Fault::from_errno(errno, "remove", name.as_bytes()))
    }

    fn set_attributes(&self, name: Option<&Name>, changes: &Changes) -> Result<()> {
        let Some(name) = name else {
            self.place
                .check_list()
                .map_err(|kind| Fault::new(kind, "change", b"."))?;
            let directory = stat::of_handle(&*self.handle);
            let changed = directory.and_then(|stat| change(&*self.handle, &stat, changes));
            return changed.map_err(|errno| Fault::from_errno(errno, "change", b"."));
        };
        let (handle, stat) = self.pin(name, "change")?;
        change(&handle, &stat, changes)
            .map_err(|errno| Fault::from_errno(errno, "change", name.as_bytes()))
    }

    fn rename(&self, from: &Name, to: &dyn Directory, name: &Name, replace: bool) -> Result<()> {
        let to = to.as_any().downcast_ref::<Self>();
        let Some(to) = to.filter(|to| Arc::ptr_eq(&to.shared, &self.shared)) else {
            return Err(Fault::new(Kind::NotSupported, "rename", from.as_bytes()));
        };
        self.check_movable(from)?;
        match to.check_movable(name) {
            Err(fault) if fault.kind() == Kind::NotFound => {}
            other => other?,
        }
        let renamed = if replace {
            rustix::fs::renameat(&*self.handle, from.as_bytes(), &*to.handle, name.as_bytes())
        } else {
            rename_new(self, from, to, name)
        };
        renamed.map_err(|errno| match errno {
            Errno::EXIST => Fault::from_errno(errno, "rename", name.as_bytes()),
            Errno::XDEV => Fault::new(Kind::NotSupported, "rename", from.as_bytes())
                .because("another file system of the machine begins between them"),
            Errno::INVAL => Fault::new(Kind::NotSupported, "rename", from.as_bytes())
                .because("a directory cannot go into itself"),
            _ => Fault::from_errno(errno, "rename", from.as_bytes()),
        })
    }

    fn extended(&self) -> Result<Vec<Extended>> {
        extended::read(&*self.handle).map_err(|errno| Fault::from_errno(errno, "look up", b"."))
    }

    fn set_extended(&self, attributes: &[Extended]) -> Result<bool> {
        if attributes.is_empty() {
            return Ok(true);
        }
        list::open(self)
            .and_then(|opened| extended::write(opened, attributes))
            .map_err(|errno| Fault::from_errno(errno, "change", b"."))
    }

    fn host(&self) -> Option<HostDirectory> {
        let descriptor = self.handle.try_clone().ok()?;
        let path = path_of(&descriptor).ok()?;
        Some(HostDirectory { descriptor, path })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Renames to a name that nothing has, by the kernel's own check.
pub(super) fn rename_new(
    from: &HostDir,
    old: &Name,
    to: &HostDir,
    new: &Name,
) -> Result<(), Errno> {
    let (old, new) = (old.as_bytes(), new.as_bytes());
    let renamed =
        rustix::fs::renameat_with(&*from.handle, old, &*to.handle, new, RenameFlags::NOREPLACE);
    match renamed {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
        renamed => return renamed,
    }
    // The file system cannot rename like this: a second name is only made where there is none.
    match rustix::fs::linkat(&*from.handle, old, &*to.handle, new, AtFlags::empty()) {
        Ok(()) => return rustix::fs::unlinkat(&*from.handle, old, AtFlags::empty()),
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {}
        Err(errno) => return Err(errno),
    }
    // Neither: a directory, or a file system without links. Looked at right before is all there is.
    match stat::of_entry(&*to.handle, new) {
        Err(Errno::NOENT) => rustix::fs::renameat(&*from.handle, old, &*to.handle, new),
        Ok(_) => Err(Errno::EXIST),
        Err(errno) => Err(errno),
    }
}

/// Owner first: it takes set-id bits away. Time last: everything before may set it.
pub(super) fn change(handle: impl AsFd, stat: &Stat, changes: &Changes) -> Result<(), Errno> {
    if let Some((user, group)) = changes.owner {
        let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
        rustix::fs::chownat(&handle, c"", Some(user), Some(group), AtFlags::EMPTY_PATH)?;
    }
    if let Some(mode) = changes.mode {
        if stat.kind() == EntryKind::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        change_mode(&handle, mode)?;
    }
    if let Some(time) = changes.mtime {
        set_mtime(&handle, time)?;
    }
    Ok(())
}

/// Sets the time of the last change, and leaves that of the last access.
pub(super) fn set_mtime(handle: impl AsFd, time: Time) -> Result<(), Errno> {
    let times = Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: time.seconds,
            tv_nsec: time.nanos.into(),
        },
    };
    rustix::fs::utimensat(handle, c"", &times, AtFlags::EMPTY_PATH)
}
