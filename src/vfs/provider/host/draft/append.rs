//! Bytes for the end of a file, at once. Not one step: who reads meanwhile sees what is there so far.

use std::os::fd::OwnedFd;

use rustix::{
    fs::{Mode, OFlags},
    io::Errno,
};

use super::{
    check, clock,
    previous::{Made, Overwritten},
    staged::sync_directory,
};
use crate::{
    sys::fs::change_mode,
    vfs::{
        fault::{Fault, Kind, Result},
        path::Name,
        provider::{
            Commit, Committed, Creation, Draft, Previous,
            host::{
                directory::{HostDir, set_mtime},
                file::open_regular,
                stat::{self, Stat},
            },
        },
    },
};

/// How often a name is looked at again at which something came or went in between.
const TRIES: usize = 16;

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct Appending {
    directory: HostDir,
    name: Name,
    file: OwnedFd,
    /// What was there; none when the file is ours.
    before: Option<Stat>,
    /// Whether the time of the last write is still the kernel's, which two changes may share.
    due: bool,
}

pub(super) fn begin(directory: &HostDir, name: &Name, creation: &Creation) -> Result<Appending> {
    let appending = |file, before| Appending {
        directory: directory.clone(),
        name: name.clone(),
        file,
        before,
        due: false,
    };
    for _ in 0..TRIES {
        match open_regular(directory, name, "write", OFlags::WRONLY | OFlags::APPEND) {
            Ok((file, before)) => return Ok(appending(file, Some(before))),
            Err(fault) if fault.kind() == Kind::NotFound => {}
            Err(fault) => return Err(fault),
        }
        match make(directory, name, creation) {
            Ok(file) => return Ok(appending(file, None)),
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(Fault::from_errno(errno, "write", name.as_bytes())),
        }
    }
    Err(Fault::new(Kind::Changed, "write", name.as_bytes()))
}

fn make(directory: &HostDir, name: &Name, creation: &Creation) -> Result<OwnedFd, Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW;
    let first = Mode::from_raw_mode(creation.mode.map_or(0o666, |mode| mode & 0o777));
    let file = rustix::fs::openat(
        &*directory.handle,
        name.as_bytes(),
        flags | OFlags::CLOEXEC,
        first,
    )?;
    if let Some(mode) = creation.mode {
        change_mode(&file, mode)?;
    }
    Ok(file)
}

impl Appending {
    fn failed(&self, errno: Errno) -> Fault {
        Fault::from_errno(errno, "write", self.name.as_bytes())
    }

    fn stamp(&mut self) {
        if std::mem::take(&mut self.due) {
            // Only the owner may choose a time; for others the kernel's own has to do.
            let _ = set_mtime(&self.file, clock::next());
        }
    }

    fn previous(&self, now: &Stat) -> Result<Box<dyn Previous>> {
        let version = now.version();
        let Some(before) = &self.before else {
            let (directory, target) = (self.directory.clone(), self.name.clone());
            return Ok(Box::new(Made {
                directory,
                target,
                version,
            }));
        };
        let file = self
            .file
            .try_clone()
            .map_err(|error| Fault::from_io(error, "write", self.name.as_bytes()))?;
        Ok(Box::new(Overwritten {
            file,
            directory: self.directory.clone(),
            target: self.name.clone(),
            version,
            content: None,
            before: *before,
        }))
    }
}

impl Draft for Appending {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.file, bytes) {
                Ok(count) => {
                    self.due = true;
                    bytes = &bytes[count..];
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        Ok(())
    }

    /// The condition is held against what was there when the draft was begun.
    fn commit(mut self: Box<Self>, how: &Commit) -> Result<Committed> {
        check(&how.condition, self.before.as_ref(), &self.name)?;
        self.due = true;
        self.stamp();
        if how.sync {
            let synced = rustix::fs::fsync(&self.file)
                .and_then(|()| sync_directory(&self.directory, &self.file));
            synced.map_err(|errno| self.failed(errno))?;
        }
        let now = stat::of_handle(&self.file).map_err(|errno| self.failed(errno))?;
        let previous = if how.hold {
            Some(self.previous(&now)?)
        } else {
            None
        };
        let created = self.before.is_none();
        Ok(Committed {
            attributes: now.attributes(None, false),
            created,
            atomic: false,
            previous,
        })
    }
}

impl Drop for Appending {
    fn drop(&mut self) {
        self.stamp();
    }
}
