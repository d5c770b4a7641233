//! A draft beside what it will replace, and the rename that makes it visible.

use std::os::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    unix::ffi::OsStrExt,
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, RenameFlags},
    io::Errno,
};

use super::{
    Target, check, clock,
    dress::dress,
    in_place,
    previous::{Held, Made},
};
use crate::{
    sys::fs::path_of,
    vfs::{
        entry::Version,
        fault::{Fault, Kind, Result},
        path::Name,
        provider::{
            Commit, Committed, Condition, Creation, Draft, Extended, Previous, Staging,
            host::{
                directory::{HostDir, rename_new, set_mtime},
                extended, list,
                notes::{Note, staging_name},
                stat,
            },
        },
    },
};

/// How often a name is looked at again at which something came or went in between.
const TRIES: usize = 16;

/// A file of ours that is noted and goes when this is dropped.
#[derive(Debug)]
pub(super) struct Temporary {
    pub(super) directory: HostDir,
    pub(super) name: Name,
    /// The object that the name must still have to be removed by us.
    file: OwnedFd,
    /// Whether the name is ours to remove.
    armed: bool,
    _note: Note,
}

impl Temporary {
    fn make(directory: &HostDir) -> Result<Self, Errno> {
        let io = |error: std::io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let name = staging_name().map_err(io)?;
        let path = path_of(&*directory.handle).unwrap_or_default();
        let path = path.join(std::ffi::OsStr::from_bytes(name.as_bytes()));
        let note = directory.shared.notes.note(&path).map_err(io)?;
        let flags =
            OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(&*directory.handle, name.as_bytes(), flags, mode)?;
        Ok(Self {
            directory: directory.clone(),
            name,
            file,
            armed: true,
            _note: note,
        })
    }

    /// The name now has another object: the one that was replaced.
    pub(super) fn holds(mut self, object: OwnedFd) -> Self {
        self.file = object;
        self
    }

    /// Removes the entry, whatever object it has by now.
    pub(super) fn remove(mut self) -> Result<(), Errno> {
        self.disarm();
        rustix::fs::unlinkat(
            &*self.directory.handle,
            self.name.as_bytes(),
            AtFlags::empty(),
        )
    }

    /// The name is gone.
    pub(super) fn disarm(&mut self) {
        self.armed = false;
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let same = || {
            let there = stat::of_entry(&*self.directory.handle, self.name.as_bytes())
                .ok()?
                .identity();
            Some(there == stat::identity_of(&self.file).ok()?)
        };
        if self.armed && same() == Some(true) {
            // Nobody is there to be told; the note is struck out, because a second try would fail like the first.
            let _ = rustix::fs::unlinkat(
                &*self.directory.handle,
                self.name.as_bytes(),
                AtFlags::empty(),
            );
        }
    }
}

/// A draft that lies beside its target.
#[derive(Debug)]
pub(super) struct Staged {
    temporary: Temporary,
    target: Name,
    mode: Option<u32>,
    length: u64,
}

impl Staged {
    pub(super) fn begin(directory: &HostDir, target: &Name, creation: &Creation) -> Result<Self> {
        let temporary = Temporary::make(directory)
            .map_err(|errno| Fault::from_errno(errno, "write", target.as_bytes()))?;
        Ok(Self {
            temporary,
            target: target.clone(),
            mode: creation.mode,
            length: 0,
        })
    }

    fn failed(&self, errno: Errno) -> Fault {
        Fault::from_errno(errno, "write", self.target.as_bytes())
    }

    /// Everything that can fail before anything shows.
    fn finish(&self, old: Option<&Target>, sync: bool) -> Result<Version> {
        let file = self.temporary.file.as_fd();
        let finished = || {
            dress(file, &*self.temporary.directory.handle, old, self.mode)?;
            set_mtime(file, clock::next())?;
            if sync {
                rustix::fs::fsync(file)?;
            }
            Ok(stat::of_handle(file)?.version())
        };
        finished().map_err(|errno| self.failed(errno))
    }

    /// Over what is there, which goes.
    fn replace(&self) -> Result<(), Errno> {
        let directory = &*self.temporary.directory.handle;
        rustix::fs::renameat(
            directory,
            self.temporary.name.as_bytes(),
            directory,
            self.target.as_bytes(),
        )
    }

    /// Changes places with what is there. The caller looks whether it was what it should be.
    fn exchange(&self) -> Result<(), Errno> {
        exchange(&self.temporary, &self.target)
    }

    fn committed(
        self,
        created: bool,
        how: &Commit,
        previous: Option<Box<dyn Previous>>,
    ) -> Result<Committed> {
        if how.sync {
            sync_directory(&self.temporary.directory, &self.temporary.file)
                .map_err(|errno| self.failed(errno))?;
        }
        let stat = stat::of_handle(&self.temporary.file).map_err(|errno| self.failed(errno))?;
        Ok(Committed {
            attributes: stat.attributes(None, false),
            created,
            atomic: true,
            previous,
        })
    }

    fn publish_new(mut self, version: Version, how: &Commit) -> Result<Committed> {
        self.temporary.disarm();
        let directory = self.temporary.directory.clone();
        let previous = how.hold.then(|| {
            let target = self.target.clone();
            Box::new(Made {
                directory,
                target,
                version,
            }) as Box<dyn Previous>
        });
        self.committed(true, how, previous)
    }

    fn in_place(self, how: &Commit) -> Result<Committed> {
        let source = in_place::Source {
            directory: &self.temporary.directory,
            name: &self.target,
            content: self.temporary.file.as_fd(),
            length: self.length,
            mode: self.mode,
        };
        in_place::write_over(&source, how)
    }
}

impl Draft for Staged {
    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.temporary.file, bytes) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.length += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(self.failed(errno)),
            }
        }
        Ok(())
    }

    fn take_from(&mut self, file: BorrowedFd<'_>, offset: u64, length: u64) -> Result<Option<u64>> {
        let copied = copy_part(file, offset, &self.temporary.file, length);
        let copied = copied.map_err(|errno| self.failed(errno))?;
        self.length += copied.unwrap_or(0);
        Ok(copied)
    }

    fn set_extended(&mut self, attributes: &[Extended]) -> Result<bool> {
        extended::write(&self.temporary.file, attributes).map_err(|errno| self.failed(errno))
    }

    fn commit(self: Box<Self>, how: &Commit) -> Result<Committed> {
        let mut draft = *self;
        for _ in 0..TRIES {
            let old = Target::look(&draft.temporary.directory, &draft.target)?;
            check(
                &how.condition,
                old.as_ref().map(|old| &old.stat),
                &draft.target,
            )?;
            let version = draft.finish(old.as_ref(), how.sync)?;
            let Some(old) = old else {
                let directory = &draft.temporary.directory;
                match rename_new(directory, &draft.temporary.name, directory, &draft.target) {
                    Ok(()) => return draft.publish_new(version, how),
                    // Something came meanwhile. What may be replaced is looked at again.
                    Err(Errno::EXIST) if how.condition != Condition::Missing => continue,
                    Err(errno) => return Err(draft.failed(errno)),
                }
            };
            if !draft.is_still(&draft.target, &old, how) {
                continue;
            }
            let published = if how.hold {
                draft.exchange()
            } else {
                draft.replace()
            };
            match published {
                Ok(()) if how.hold => return draft.hold(old, version, how),
                Ok(()) => {
                    draft.temporary.disarm();
                    return draft.committed(false, how, None);
                }
                Err(Errno::BUSY | Errno::XDEV | Errno::PERM | Errno::ACCESS) => {
                    return draft.in_place(how);
                }
                // It went meanwhile.
                Err(Errno::NOENT) => {}
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if how.hold => {
                    return draft.in_place(how);
                }
                Err(errno) => return Err(draft.failed(errno)),
            }
        }
        Err(Fault::new(Kind::Changed, "write", draft.target.as_bytes()))
    }

    fn staging(&self) -> Option<Staging> {
        Some(Staging {
            directory: path_of(&*self.temporary.directory.handle).ok()?,
            draft: self.temporary.name.clone(),
            target: self.target.clone(),
        })
    }
}

impl Staged {
    /// Whether a name still has what was looked at: making the draft ready took time.
    fn is_still(&self, name: &Name, old: &Target, how: &Commit) -> bool {
        let there = stat::of_entry(&*self.temporary.directory.handle, name.as_bytes());
        there.is_ok_and(|there| match how.condition {
            Condition::Is(_) => there.version() == old.stat.version(),
            // Someone may write into it all the time: it is the same file.
            Condition::None | Condition::Missing => there.identity() == old.stat.identity(),
        })
    }

    /// After the exchange: the old object has the draft's name, and is what was looked at; else everything goes back.
    fn hold(self, old: Target, version: Version, how: &Commit) -> Result<Committed> {
        let directory = &self.temporary.directory;
        if !self.is_still(&self.temporary.name, &old, how) {
            let fault = Fault::new(Kind::Changed, "write", self.target.as_bytes());
            return Err(self.take_back(&version, fault));
        }
        let synced = if how.sync {
            sync_directory(directory, &self.temporary.file)
        } else {
            Ok(())
        };
        let stat = match synced.and_then(|()| stat::of_handle(&self.temporary.file)) {
            Ok(stat) => stat,
            Err(errno) => {
                let fault = self.failed(errno);
                return Err(self.take_back(&version, fault));
            }
        };
        let held = Held {
            temporary: self.temporary.holds(old.handle),
            target: self.target,
            version,
        };
        Ok(Committed {
            attributes: stat.attributes(None, false),
            created: false,
            atomic: true,
            previous: Some(Box::new(held)),
        })
    }

    /// Undoes the exchange. When another object came to the target meanwhile, that one stays: it came last.
    fn take_back(self, version: &Version, fault: Fault) -> Fault {
        let ours = || {
            let directory = &*self.temporary.directory.handle;
            stat::of_entry(directory, self.temporary.name.as_bytes())
                .is_ok_and(|stat| stat.version() == *version)
        };
        let undone = self
            .exchange()
            .and_then(|()| if ours() { Ok(()) } else { self.exchange() });
        match undone.and_then(|()| self.temporary.remove()) {
            Ok(()) => fault,
            Err(errno) => fault.because(format!("the old file could not be put back: {errno}")),
        }
    }
}

/// As much as the kernel copies by itself (`copy_file_range(2)`); `None` where it does not.
pub(super) fn copy_part(
    from: impl AsFd,
    mut offset: u64,
    to: impl AsFd,
    length: u64,
) -> Result<Option<u64>, Errno> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    match rustix::fs::copy_file_range(from, Some(&mut offset), to, None, length) {
        Ok(count) => Ok(Some(count as u64)),
        Err(
            Errno::INTR
            | Errno::XDEV
            | Errno::INVAL
            | Errno::NOSYS
            | Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::BADF
            | Errno::IO,
        ) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Two entries change places.
pub(super) fn exchange(temporary: &Temporary, target: &Name) -> Result<(), Errno> {
    let directory = &*temporary.directory.handle;
    let (one, other) = (temporary.name.as_bytes(), target.as_bytes());
    rustix::fs::renameat_with(directory, one, directory, other, RenameFlags::EXCHANGE)
}

/// Has the names of a directory on disk before it returns. One that may be written but not read takes its whole file system
/// along.
pub(super) fn sync_directory(directory: &HostDir, file: impl AsFd) -> Result<(), Errno> {
    match list::open(directory) {
        Ok(opened) => rustix::fs::fsync(opened),
        Err(Errno::ACCESS) => rustix::fs::syncfs(file),
        Err(errno) => Err(errno),
    }
}
