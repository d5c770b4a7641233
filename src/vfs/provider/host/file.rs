//! An opened regular file: pinned by its descriptor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    directory::HostDir,
    extended,
    stat::{self, Stat},
};
use crate::{
    sys::fs::reopen,
    vfs::{
        entry::{Attributes, EntryKind},
        fault::{Fault, Kind, Result},
        path::Name,
        provider::{Extended, OpenFile},
    },
};

/// A file opened for reading.
#[derive(Debug)]
pub(super) struct HostFile {
    file: OwnedFd,
    name: Name,
    endless: bool,
}

/// Opens a regular file of a directory for reading.
pub(super) fn open(directory: &HostDir, name: &Name) -> Result<HostFile> {
    let (file, _) = open_regular(directory, name, "open", OFlags::RDONLY)?;
    Ok(HostFile {
        file,
        name: name.clone(),
        endless: directory.place.is_pseudo(),
    })
}

/// Looks at the entry by a handle, refuses what is no regular file, and only then opens that very object.
pub(super) fn open_regular(
    directory: &HostDir,
    name: &Name,
    operation: &'static str,
    flags: OFlags,
) -> Result<(OwnedFd, Stat)> {
    let failed = |errno| Fault::from_errno(errno, operation, name.as_bytes());
    let (handle, stat) = directory.pin(name, operation)?;
    let kind = match stat.kind() {
        EntryKind::File => None,
        EntryKind::Dir | EntryKind::Submodule => Some(Kind::IsADirectory),
        EntryKind::Symlink if directory.place.is_magic(stat.kind()) => Some(Kind::MagicLink),
        EntryKind::Symlink => Some(Kind::Changed),
        EntryKind::Fifo | EntryKind::Socket | EntryKind::Char | EntryKind::Block => {
            Some(Kind::NotRegular)
        }
    };
    if let Some(kind) = kind {
        return Err(Fault::new(kind, operation, name.as_bytes()));
    }
    let opened = match reopen(&handle, flags | OFlags::NONBLOCK) {
        Err(Errno::NOSYS) => by_name(directory, name, flags, &stat),
        opened => opened,
    };
    Ok((opened.map_err(failed)?, stat))
}

/// Without `/proc`: by its name once more, and nothing else than what was looked at.
fn by_name(directory: &HostDir, name: &Name, flags: OFlags, seen: &Stat) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&*directory.handle, name.as_bytes(), flags, Mode::empty())?;
    if stat::identity_of(&file)? == seen.identity() {
        Ok(file)
    } else {
        Err(Errno::STALE)
    }
}

/// Reads from an offset until the buffer is full or the file has no more.
pub(super) fn read_at(file: impl AsFd, buffer: &mut [u8], offset: u64) -> Result<usize, Errno> {
    let mut filled = 0;
    while filled < buffer.len() {
        let at = offset.saturating_add(filled as u64);
        match rustix::io::pread(&file, &mut buffer[filled..], at) {
            // A file that has nothing to say now (`/proc/kmsg`) ends here instead of blocking.
            Ok(0) | Err(Errno::AGAIN) => break,
            Ok(count) => filled += count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(filled)
}

impl OpenFile for HostFile {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.file.as_fd())
    }

    fn attributes(&self) -> Result<Attributes> {
        let stat = stat::of_handle(&self.file)
            .map_err(|errno| Fault::from_errno(errno, "look up", self.name.as_bytes()))?;
        Ok(stat.attributes(None, false))
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        // Larger than any file can be: nothing is there, and the kernel would take it for a negative number.
        if i64::try_from(offset).is_err() {
            return Ok(0);
        }
        read_at(&self.file, buffer, offset)
            .map_err(|errno| Fault::from_errno(errno, "read", self.name.as_bytes()))
    }

    fn extended(&self) -> Result<Vec<Extended>> {
        extended::read(&self.file)
            .map_err(|errno| Fault::from_errno(errno, "look up", self.name.as_bytes()))
    }

    fn is_endless(&self) -> bool {
        self.endless
    }
}
