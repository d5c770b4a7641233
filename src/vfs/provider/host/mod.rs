//! A directory of the machine: the kernel's own names, types, modes and times, and nothing outside of it.
//!
//! The root is opened once and held. From there on the kernel gets checked names below an opened directory, never a path of a
//! client. A name that is a link is never followed here; see openat2(2) and `path_resolution(7)`.
//!
//! | module | what |
//! | --- | --- |
//! | `descend` | several names in one `openat2`, or one by one with every directory checked |
//! | `place` | where a directory lies, as far as it matters: a plain file system, `/proc`, our own entry in it |
//! | `reserved` | the daemon's own directories, which no client enters |
//! | `directory`, `stat`, `file`, `list` | looking up, opening, listing, making, removing, renaming |
//! | `extended` | attributes that copies take along |
//! | `draft` | writing a file: beside what it replaces, in place where nothing else is possible, or to its end |
//! | `notes` | which drafts lie on the machine, so that the next start removes what a killed daemon left |

mod descend;
mod directory;
mod draft;
mod extended;
mod file;
mod list;
mod notes;
mod place;
mod reserved;
mod stat;
mod watcher;

#[cfg(test)]
mod tests;

use std::{
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::PathBuf,
    sync::{
        Arc, RwLock,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{CWD, Mode};

use super::{Capabilities, Directory, Provider, Usage, watcher::Watcher};
use crate::vfs::fault::{Fault, Kind, Result};

pub(super) use self::notes::{is_staging, staging_name};
use self::{directory::HostDir, place::Place, watcher::HostWatcher};
pub use self::{
    notes::{Notes, NotesError},
    reserved::{Reserved, ReservedError},
};

/// Which directory a mount serves.
#[derive(Debug)]
pub enum HostRoot {
    /// By its path, links followed: the operator's word.
    Path(PathBuf),
    /// Opened already, for lookups at least (`O_PATH`).
    Descriptor(OwnedFd),
}

/// How a mount is served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// What other file systems have below it is not entered: [`Kind::OutsideMount`].
    pub one_file_system: bool,
}

/// How several names are followed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Resolver {
    /// In one step by `openat2`, where the kernel has it.
    #[default]
    Auto,
    /// In one step; a kernel without `openat2` is a failure when the mount is opened.
    Openat2,
    /// One name at a time, always.
    Walk,
}

/// The provider of a directory of the machine.
#[derive(Debug)]
pub struct Host {
    top: RwLock<Option<HostDir>>,
}

/// What all directories of one mount share.
#[derive(Debug)]
struct Shared {
    options: Options,
    resolver: Resolver,
    /// `openat2` was tried and is not there.
    walks: AtomicBool,
    reserved: Arc<Reserved>,
    notes: Arc<Notes>,
}

impl Host {
    /// Opens the directory and holds it: renaming it later does not move the mount. One that lies in a reserved directory is
    /// [`Kind::Reserved`].
    pub fn open(
        root: HostRoot,
        options: Options,
        reserved: Arc<Reserved>,
        resolver: Resolver,
        notes: Arc<Notes>,
    ) -> Result<Self> {
        let (handle, name) = match root {
            HostRoot::Path(path) => {
                let name = path.as_os_str().as_bytes().to_vec();
                let handle = rustix::fs::openat(CWD, &path, descend::FLAGS, Mode::empty())
                    .map_err(|errno| Fault::from_errno(errno, "open", &name))?;
                (handle, name)
            }
            HostRoot::Descriptor(handle) => (handle, b".".to_vec()),
        };
        let stat =
            stat::of_handle(&handle).map_err(|errno| Fault::from_errno(errno, "open", &name))?;
        if !stat.is_directory() {
            return Err(Fault::new(Kind::NotADirectory, "open", name));
        }
        if reserved.holds(&handle) {
            return Err(Fault::new(Kind::Reserved, "open", name));
        }
        let place =
            Place::of(&handle, &stat).map_err(|errno| Fault::from_errno(errno, "open", &name))?;
        let walks = resolver == Resolver::Walk || !descend::has_openat2(&handle);
        if walks && resolver == Resolver::Openat2 {
            let fault = Fault::new(Kind::NotSupported, "open", name);
            return Err(fault.because("the kernel, or a filter of system calls, has no openat2"));
        }
        let shared = Shared {
            options,
            resolver,
            walks: AtomicBool::new(walks),
            reserved,
            notes,
        };
        let top = HostDir::new(Arc::new(shared), handle, place);
        Ok(Self {
            top: RwLock::new(Some(top)),
        })
    }
}

impl Shared {
    fn walks(&self) -> bool {
        self.resolver == Resolver::Walk || self.walks.load(Ordering::Relaxed)
    }
}

impl Provider for Host {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            write: true,
            conditional_commit: false,
            atomic_rename: true,
            links: true,
            modes: true,
            owner: true,
            set_times: true,
            cheap_seek: true,
            sorted_list: false,
            watch: true,
            host_path: true,
            persistent: true,
            journal: true,
        }
    }

    fn root(&self) -> Result<Arc<dyn Directory>> {
        let top = self
            .top
            .read()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let top = top
            .as_ref()
            .ok_or_else(|| Fault::new(Kind::NotFound, "open", b"."))?;
        Ok(Arc::new(top.clone()))
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }

    fn watcher(&self) -> Result<Option<Box<dyn Watcher>>> {
        Ok(Some(Box::new(HostWatcher::new()?)))
    }

    fn close(&self) {
        *self
            .top
            .write()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }
}
