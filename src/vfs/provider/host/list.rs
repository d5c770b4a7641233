//! The names of a directory, with the kinds that the file system tells along with them (getdents(2)).

use std::{
    mem::MaybeUninit,
    os::fd::{AsFd, OwnedFd},
};

use rustix::{
    fs::{FileType, Mode, OFlags, RawDir},
    io::Errno,
};

use super::{directory::HostDir, notes::is_staging, stat};
use crate::{
    sys::fs::reopen,
    vfs::{
        entry::EntryKind,
        fault::{Fault, Result},
        path::Name,
        provider::Listing,
    },
};

/// Room for what one call brings: some thousand names.
const BUFFER: usize = 128 * 1024;

/// Lists a directory. What is being written at this moment under a name of ours is left out.
pub(super) fn list(directory: &HostDir) -> Result<Listing> {
    let failed = |errno| Fault::from_errno(errno, "list", b".");
    let opened = open(directory).map_err(failed)?;
    let mut listing = Listing::default();
    if let Err(errno) = fill(&opened, &mut listing.entries) {
        listing.cut = Some(failed(errno));
    }
    Ok(listing)
}

/// Opens the directory for reading. By its handle, because a name in it, even `.`, would take the right to search it.
pub(super) fn open(directory: &HostDir) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match reopen(&*directory.handle, flags) {
        Err(Errno::NOSYS) => rustix::fs::openat(&*directory.handle, c".", flags, Mode::empty()),
        opened => opened,
    }
}

fn fill(opened: impl AsFd, entries: &mut Vec<(Name, EntryKind)>) -> Result<(), Errno> {
    let mut buffer: Box<[MaybeUninit<u8>]> = Box::new_uninit_slice(BUFFER);
    let mut names = RawDir::new(opened.as_fd(), &mut buffer);
    while let Some(entry) = names.next() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(Errno::INTR) => continue,
            Err(errno) => return Err(errno),
        };
        let bytes = entry.file_name().to_bytes();
        if is_staging(bytes) {
            continue;
        }
        // `.` and `..` are no names.
        let Ok(name) = Name::new(bytes) else { continue };
        let kind = match kind_of(entry.file_type()) {
            Some(kind) => kind,
            None => match stat::of_entry(&opened, bytes) {
                Ok(stat) => stat.kind(),
                // Gone since: it was not there throughout.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(errno),
            },
        };
        entries.push((name, kind));
    }
    Ok(())
}

fn kind_of(told: FileType) -> Option<EntryKind> {
    match told {
        FileType::RegularFile => Some(EntryKind::File),
        FileType::Directory => Some(EntryKind::Dir),
        FileType::Symlink => Some(EntryKind::Symlink),
        FileType::Fifo => Some(EntryKind::Fifo),
        FileType::Socket => Some(EntryKind::Socket),
        FileType::CharacterDevice => Some(EntryKind::Char),
        FileType::BlockDevice => Some(EntryKind::Block),
        FileType::Unknown => None,
    }
}
