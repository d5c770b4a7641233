//! From a directory down a list of names, none of them a link.
//!
//! In one step: `openat2` beneath the directory, without links and without a change of mounts. Then the names are the true ones
//! of one file system, and a reserved directory can only be passed under its own name; where such a name is among them, and
//! where the kernel says no, every directory on the way is opened by itself and looked at.

use std::{os::fd::OwnedFd, sync::Arc, sync::atomic::Ordering};

use rustix::{
    fd::AsFd,
    fs::{Mode, OFlags, ResolveFlags},
    io::Errno,
};

use super::{Shared, directory::HostDir, place::Place, stat};
use crate::vfs::{
    fault::{Fault, Kind, Result},
    path::{MAX_PATH, Name},
};

/// How directories are opened: for lookups, a link as what it is not.
pub(super) const FLAGS: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const STEP: OFlags = FLAGS.union(OFlags::NOFOLLOW);
const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV);
/// How often a path is tried again that the kernel could not hold still, before it is walked.
const TRIES: usize = 4;

/// Whether the kernel has `openat2` and no filter forbids it.
pub(super) fn has_openat2(directory: impl AsFd) -> bool {
    let tried = rustix::fs::openat2(directory, c".", FLAGS, Mode::empty(), BENEATH);
    !matches!(tried, Err(Errno::NOSYS | Errno::PERM))
}

/// Follows names as long as each is a directory.
pub(super) fn descend(from: &HostDir, names: &[Name]) -> Result<(HostDir, usize)> {
    if names.is_empty() {
        return Ok((from.clone(), 0));
    }
    if may_leap(&from.shared, from.place, names)
        && let Some(handle) = leap(from, names)
    {
        return Ok((
            HostDir::new(Arc::clone(&from.shared), handle, from.place),
            names.len(),
        ));
    }
    walk(from, names)
}

fn may_leap(shared: &Shared, place: Place, names: &[Name]) -> bool {
    !shared.walks()
        && place.is_plain()
        && !names
            .iter()
            .any(|name| shared.reserved.may_be(name.as_bytes()))
}

/// All names in one step; `None` when they have to be walked.
fn leap(from: &HostDir, names: &[Name]) -> Option<OwnedFd> {
    let length: usize = names.iter().map(|name| name.as_bytes().len() + 1).sum();
    if length >= MAX_PATH {
        return None;
    }
    let mut path = Vec::with_capacity(length + 1);
    for name in names {
        path.extend_from_slice(name.as_bytes());
        path.push(b'/');
    }
    for _ in 0..TRIES {
        match rustix::fs::openat2(&*from.handle, path.as_slice(), STEP, Mode::empty(), BENEATH) {
            Ok(handle) => return Some(handle),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::NOSYS | Errno::PERM) => {
                from.shared.walks.store(true, Ordering::Relaxed);
                return None;
            }
            Err(_) => return None,
        }
    }
    None
}

/// One name after the other, up to the first that is no directory that can be entered.
fn walk(from: &HostDir, names: &[Name]) -> Result<(HostDir, usize)> {
    let mut place = from.place;
    let mut here: Option<OwnedFd> = None;
    let mut taken = 0;
    for name in names {
        let parent = here.as_ref().map_or(from.handle.as_fd(), AsFd::as_fd);
        match step(&from.shared, place, parent, name)? {
            Some((handle, below)) => (here, place) = (Some(handle), below),
            None => break,
        }
        taken += 1;
    }
    let directory = match here {
        Some(handle) => HostDir::new(Arc::clone(&from.shared), handle, place),
        None => from.clone(),
    };
    Ok((directory, taken))
}

/// Opens one directory and looks at what it is. `None` when it is none, or missing, or out of reach.
fn step(
    shared: &Shared,
    place: Place,
    parent: impl AsFd,
    name: &Name,
) -> Result<Option<(OwnedFd, Place)>> {
    let bytes = name.as_bytes();
    let failed = |errno| Fault::from_errno(errno, "open", bytes);
    place
        .check_pass(bytes)
        .map_err(|kind| Fault::new(kind, "open", bytes))?;
    let opened =
        rustix::io::retry_on_intr(|| rustix::fs::openat(&parent, bytes, STEP, Mode::empty()));
    let handle = match opened {
        Ok(handle) => handle,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::NAMETOOLONG) => {
            return Ok(None);
        }
        Err(errno) => return Err(failed(errno)),
    };
    let identity = stat::identity_of(&handle).map_err(failed)?;
    if shared.reserved.is(identity) {
        return Err(Fault::new(Kind::Reserved, "open", bytes));
    }
    if shared.options.one_file_system && identity.device != place.device {
        let fault = Fault::new(Kind::OutsideMount, "open", bytes);
        return Err(fault.because("another file system begins there"));
    }
    let below = place
        .below(&parent, bytes, &handle, identity)
        .map_err(failed)?;
    Ok(Some((handle, below)))
}
