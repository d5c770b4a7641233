//! Writing over a file that cannot be replaced: a mount point of its own, or an entry of a directory that takes no other.
//!
//! The old bytes are kept first, so that a failure half way puts them back; a crash half way does not, and the answer says that
//! it was not one step.

use std::{
    fs::File,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{fs::OFlags, io::Errno};

use super::{
    Target, check, clock,
    previous::{Overwritten, put_back},
};
use crate::sys::fs::change_mode;
use crate::vfs::{
    fault::{Fault, Kind, Result},
    path::Name,
    provider::{
        CHUNK, Commit, Committed, Creation, Draft, Previous,
        host::{
            directory::{HostDir, set_mtime},
            file::{open_regular, read_at},
            stat::{self, Stat},
        },
    },
};

/// A draft whose bytes wait elsewhere.
#[derive(Debug)]
pub(super) struct InPlace {
    directory: HostDir,
    name: Name,
    mode: Option<u32>,
    content: File,
    length: u64,
}

/// What is to be written over which file.
pub(super) struct Source<'a> {
    pub(super) directory: &'a HostDir,
    pub(super) name: &'a Name,
    pub(super) content: BorrowedFd<'a>,
    pub(super) length: u64,
    pub(super) mode: Option<u32>,
}

pub(super) fn begin(directory: &HostDir, name: &Name, creation: &Creation) -> Result<InPlace> {
    let content = directory.shared.notes.scratch();
    let content = content.map_err(|error| Fault::from_io(error, "write", name.as_bytes()))?;
    Ok(InPlace {
        directory: directory.clone(),
        name: name.clone(),
        mode: creation.mode,
        content,
        length: 0,
    })
}

impl Draft for InPlace {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        write_at(&self.content, bytes, self.length)
            .map_err(|errno| Fault::from_errno(errno, "write", self.name.as_bytes()))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    fn commit(self: Box<Self>, how: &Commit) -> Result<Committed> {
        let source = Source {
            directory: &self.directory,
            name: &self.name,
            content: self.content.as_fd(),
            length: self.length,
            mode: self.mode,
        };
        write_over(&source, how)
    }
}

/// Writes over the file that has the name, which must be there.
pub(super) fn write_over(source: &Source<'_>, how: &Commit) -> Result<Committed> {
    let name = source.name;
    let Some(old) = Target::look(source.directory, name)? else {
        return Err(Fault::new(Kind::Changed, "write", name.as_bytes()));
    };
    old.check_writable(name)?;
    let (file, seen) = open_regular(source.directory, name, "write", OFlags::WRONLY)?;
    check(&how.condition, Some(&seen), name)?;
    let kept = if source.directory.place.is_pseudo() {
        None
    } else {
        Some(keep(source, &seen)?)
    };
    if let Err(fault) = overwrite(source, &file, &seen, how) {
        return Err(undo(fault, kept.as_ref(), &file, &seen));
    }
    let stat = stat::of_handle(&file)
        .map_err(|errno| Fault::from_errno(errno, "write", name.as_bytes()))?;
    // What the kernel makes of a write to its own files cannot be put back.
    let previous = (how.hold && kept.is_some()).then(|| {
        Box::new(Overwritten {
            file,
            directory: source.directory.clone(),
            target: name.clone(),
            version: stat.version(),
            content: kept,
            before: seen,
        }) as Box<dyn Previous>
    });
    Ok(Committed {
        attributes: stat.attributes(None, false),
        created: false,
        atomic: false,
        previous,
    })
}

/// The old bytes. A file that cannot be read is not written over: it could not be put back.
fn keep(source: &Source<'_>, seen: &Stat) -> Result<File> {
    let name = source.name;
    let (file, _) = open_regular(source.directory, name, "write", OFlags::RDONLY)?;
    let scratch = source.directory.shared.notes.scratch();
    let scratch = scratch.map_err(|error| Fault::from_io(error, "write", name.as_bytes()))?;
    copy_over(&file, &scratch, seen.size())
        .map_err(|errno| Fault::from_errno(errno, "write", name.as_bytes()))?;
    Ok(scratch)
}

fn overwrite(source: &Source<'_>, file: &OwnedFd, seen: &Stat, how: &Commit) -> Result<()> {
    let written = || {
        copy_over(source.content, file, source.length)?;
        if !source.directory.place.is_pseudo() {
            rustix::fs::ftruncate(file, source.length)?;
            // Writing takes set-id bits away from all but root; the owner is the same, so they stay.
            let mode = source.mode.unwrap_or_else(|| seen.mode());
            if stat::of_handle(file)?.mode() != mode {
                match change_mode(file, mode) {
                    Err(Errno::PERM) if source.mode.is_none() => {}
                    changed => changed?,
                }
            }
            // Only the owner may choose a time; for others the kernel's own has to do.
            let _ = set_mtime(file, clock::next());
        }
        if how.sync {
            rustix::fs::fsync(file)
        } else {
            Ok(())
        }
    };
    written().map_err(|errno| Fault::from_errno(errno, "write", source.name.as_bytes()))
}

fn undo(fault: Fault, kept: Option<&File>, file: &OwnedFd, seen: &Stat) -> Fault {
    let Some(kept) = kept else { return fault };
    let undone = put_back(file, Some(kept), seen);
    match undone {
        Ok(()) => fault,
        Err(errno) => fault.because(format!("the old content could not be put back: {errno}")),
    }
}

/// Copies the first bytes of one file over those of another.
pub(super) fn copy_over(from: impl AsFd, to: impl AsFd, length: u64) -> Result<(), Errno> {
    let mut buffer = vec![0_u8; CHUNK];
    let mut at = 0;
    while at < length {
        let due = usize::try_from(length - at).map_or(CHUNK, |left| left.min(CHUNK));
        let count = read_at(&from, &mut buffer[..due], at)?;
        if count == 0 {
            break;
        }
        write_at(&to, &buffer[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

fn write_at(file: impl AsFd, mut bytes: &[u8], mut at: u64) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match rustix::io::pwrite(&file, bytes, at) {
            Ok(0) => return Err(Errno::NOSPC),
            Ok(count) => {
                bytes = &bytes[count..];
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
