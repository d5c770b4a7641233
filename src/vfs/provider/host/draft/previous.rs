//! What a draft replaced, held until it is known that nobody wants it back.

use std::{fs::File, os::fd::OwnedFd};

use rustix::{fs::AtFlags, io::Errno};

use super::{
    in_place::copy_over,
    staged::{Temporary, exchange},
};
use crate::{
    sys::fs::change_mode,
    vfs::{
        entry::Version,
        fault::{Fault, Kind, Result},
        path::Name,
        provider::{
            Previous,
            host::{
                directory::{HostDir, set_mtime},
                stat::{self, Stat},
            },
        },
    },
};

/// The old object, under the name of the draft that replaced it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) temporary: Temporary,
    pub(super) target: Name,
    /// What replaced it.
    pub(super) version: Version,
}

/// Nothing was there.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) directory: HostDir,
    pub(super) target: Name,
    /// What is there now.
    pub(super) version: Version,
}

/// The old bytes of a file that was written in place, or its old length.
#[derive(Debug)]
pub(super) struct Overwritten {
    pub(super) file: OwnedFd,
    pub(super) directory: HostDir,
    pub(super) target: Name,
    /// What the file was after it was written.
    pub(super) version: Version,
    /// The old bytes; none when only bytes at the end are new.
    pub(super) content: Option<File>,
    /// What it was before.
    pub(super) before: Stat,
}

fn failed(target: &Name) -> impl Fn(Errno) -> Fault {
    let target = target.clone();
    move |errno| Fault::from_errno(errno, "restore", target.as_bytes())
}

/// Fails when the name no longer has what was put there.
fn check(directory: &HostDir, target: &Name, version: &Version) -> Result<()> {
    match stat::of_entry(&*directory.handle, target.as_bytes()) {
        Ok(stat) if stat.version() == *version => Ok(()),
        Ok(_) | Err(Errno::NOENT) => Err(Fault::new(Kind::Changed, "restore", target.as_bytes())),
        Err(errno) => Err(failed(target)(errno)),
    }
}

impl Previous for Held {
    fn restore(self: Box<Self>) -> Result<()> {
        let Self {
            temporary,
            target,
            version,
        } = *self;
        check(&temporary.directory, &target, &version)?;
        exchange(&temporary, &target).map_err(failed(&target))?;
        // The draft's name has the new object again, unless another came in the last moment: then it stays the one.
        if check(&temporary.directory, &temporary.name, &version).is_err() {
            exchange(&temporary, &target).map_err(failed(&target))?;
            return Err(Fault::new(Kind::Changed, "restore", target.as_bytes()));
        }
        temporary.remove().map_err(failed(&target))
    }
}

impl Previous for Made {
    fn restore(self: Box<Self>) -> Result<()> {
        check(&self.directory, &self.target, &self.version)?;
        let name = self.target.as_bytes();
        rustix::fs::unlinkat(&*self.directory.handle, name, AtFlags::empty())
            .map_err(failed(&self.target))
    }
}

impl Previous for Overwritten {
    fn restore(self: Box<Self>) -> Result<()> {
        let failed = failed(&self.target);
        check(&self.directory, &self.target, &self.version)?;
        put_back(&self.file, self.content.as_ref(), &self.before).map_err(failed)
    }
}

/// Old bytes, length, mode and time of a file that was written in place. Only its owner may choose the last two: for others
/// the kernel's own have to do.
pub(super) fn put_back(file: &OwnedFd, content: Option<&File>, before: &Stat) -> Result<(), Errno> {
    if let Some(content) = content {
        copy_over(content, file, before.size())?;
    }
    rustix::fs::ftruncate(file, before.size())?;
    let mode = if stat::of_handle(file)?.mode() == before.mode() {
        Ok(())
    } else {
        change_mode(file, before.mode())
    };
    match mode.and_then(|()| set_mtime(file, before.mtime())) {
        Err(Errno::PERM) => Ok(()),
        done => done,
    }
}
