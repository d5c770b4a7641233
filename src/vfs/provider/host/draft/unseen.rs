//! A file in a directory that nobody sees yet: made under its name at once, without a note, because whoever made the directory
//! removes all of it after a failure and after a kill.

use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::{
    fs::{AtFlags, Mode, OFlags},
    io::Errno,
};

use super::{
    clock,
    dress::dress,
    staged::{copy_part, sync_directory},
};
use crate::vfs::{
    fault::{Fault, Result},
    path::Name,
    provider::{
        Changes, Commit, Committed, Creation, Draft, Extended,
        host::{
            directory::{HostDir, change},
            extended, stat,
        },
    },
};

/// A file that is being written under its own name.
#[derive(Debug)]
pub(super) struct Unseen {
    directory: HostDir,
    name: Name,
    file: OwnedFd,
    mode: Option<u32>,
    changes: Changes,
    whole: bool,
}

impl Unseen {
    pub(super) fn begin(directory: &HostDir, name: &Name, creation: &Creation) -> Result<Self> {
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let first = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&*directory.handle, name.as_bytes(), flags, first)
            .map_err(|errno| Fault::from_errno(errno, "write", name.as_bytes()))?;
        Ok(Self {
            directory: directory.clone(),
            name: name.clone(),
            file,
            mode: creation.mode,
            changes: Changes::default(),
            whole: false,
        })
    }

    fn failed(&self, errno: Errno) -> Fault {
        Fault::from_errno(errno, "write", self.name.as_bytes())
    }

    fn finish(&self, how: &Commit) -> Result<stat::Stat, Errno> {
        dress(&self.file, &*self.directory.handle, None, self.mode)?;
        let mtime = self.changes.mtime.unwrap_or_else(clock::next);
        let changes = Changes {
            mtime: Some(mtime),
            ..self.changes
        };
        change(&self.file, &stat::of_handle(&self.file)?, &changes)?;
        if how.sync {
            rustix::fs::fsync(&self.file)?;
            sync_directory(&self.directory, &self.file)?;
        }
        stat::of_handle(&self.file)
    }
}

impl Draft for Unseen {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.file, bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        Ok(())
    }

    fn take_from(&mut self, file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<Option<u64>> {
        copy_part(file, offset, &self.file, length).map_err(|errno| self.failed(errno))
    }

    fn set_extended(&mut self, attributes: &[Extended]) -> Result<bool> {
        extended::write(&self.file, attributes).map_err(|errno| self.failed(errno))
    }

    fn set_attributes(&mut self, changes: &Changes) -> Result<bool> {
        self.changes = *changes;
        Ok(true)
    }

    /// Whatever the condition: nothing was there.
    fn commit(mut self: Box<Self>, how: &Commit) -> Result<Committed> {
        let stat = self.finish(how).map_err(|errno| self.failed(errno))?;
        self.whole = true;
        Ok(Committed {
            attributes: stat.attributes(None, false),
            created: true,
            atomic: true,
            previous: None,
        })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        if !self.whole {
            // What cannot be removed goes with its directory.
            let _ = rustix::fs::unlinkat(
                &*self.directory.handle,
                self.name.as_bytes(),
                AtFlags::empty(),
            );
        }
    }
}
