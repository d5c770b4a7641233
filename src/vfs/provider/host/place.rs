//! Where a directory lies, as far as it matters for what may be done in it: `/proc` has links that are none, and our own entry
//! in it would show what no client may see.

use std::os::fd::AsFd;

use rustix::{
    fs::{AtFlags, Mode},
    io::Errno,
};

use super::{
    descend,
    stat::{self, Stat},
};
use crate::{
    sys::fs::{PROC, file_system, is_pseudo},
    vfs::{
        entry::{EntryKind, Identity},
        fault::Kind,
    },
};

/// What may be read of our own entry in `/proc`.
const OPEN: [&[u8]; 5] = [b"mounts", b"mountinfo", b"net", b"status", b"limits"];
/// What leads from an entry of a process to anything it has open: never passed, whosever entry it is.
const MAGIC: [&[u8]; 4] = [b"cwd", b"exe", b"fd", b"root"];
/// Inode of the root of every procfs (`PROC_ROOT_INO`, `linux/proc_ns.h`).
const PROC_ROOT: u64 = 1;

/// A kind of place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Area {
    /// A file system with contents of its own.
    Plain,
    /// One made of the kernel's answers: sizes say nothing.
    Pseudo,
    /// The root of a procfs.
    ProcRoot,
    /// Somewhere else in a procfs.
    Proc,
    /// Our own entry in it, or that of one of our threads.
    Own,
    /// Where our threads are.
    OwnThreads,
}

/// Where a directory lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Device of its file system.
    pub(super) device: u64,
    area: Area,
}

impl Place {
    /// Of a directory that was not reached from another: a root, or the top of a mount.
    pub(super) fn of(handle: impl AsFd, stat: &Stat) -> Result<Self, Errno> {
        Self::of_identity(handle, stat.identity())
    }

    fn of_identity(handle: impl AsFd, identity: Identity) -> Result<Self, Errno> {
        let kind = file_system(&handle)?;
        let area = match kind {
            PROC if identity.inode == PROC_ROOT => Area::ProcRoot,
            PROC if is_inside_own(&handle, identity) => Area::Own,
            PROC => Area::Proc,
            _ if is_pseudo(kind) => Area::Pseudo,
            _ => Area::Plain,
        };
        Ok(Self {
            device: identity.device,
            area,
        })
    }

    /// Of a directory that was opened by a name of one that lies here.
    pub(super) fn below(
        self,
        parent: impl AsFd,
        name: &[u8],
        handle: impl AsFd,
        identity: Identity,
    ) -> Result<Self, Errno> {
        if identity.device != self.device {
            return Self::of_identity(handle, identity);
        }
        let area = match self.area {
            Area::ProcRoot if is_own(parent, name) => Area::Own,
            Area::Own if name == b"task" => Area::OwnThreads,
            Area::ProcRoot | Area::Own => Area::Proc,
            Area::OwnThreads => Area::Own,
            same => same,
        };
        Ok(Self {
            device: self.device,
            area,
        })
    }

    /// Whether several names can be followed in one step: whether nothing on the way needs to be looked at.
    pub(super) fn is_plain(self) -> bool {
        matches!(self.area, Area::Plain | Area::Pseudo)
    }

    /// Whether files have no size of their own here.
    pub(super) fn is_pseudo(self) -> bool {
        self.area != Area::Plain
    }

    /// Whether a link here is none: it leads to what a process has open, whatever its text says.
    pub(super) fn is_magic(self, kind: EntryKind) -> bool {
        kind == EntryKind::Symlink && matches!(self.area, Area::Proc | Area::Own | Area::OwnThreads)
    }

    /// Whether the directory itself may be listed.
    pub(super) fn check_list(self) -> Result<(), Kind> {
        match self.area {
            Area::Own | Area::OwnThreads => Err(Kind::Reserved),
            _ => Ok(()),
        }
    }

    /// Whether a name may be passed on the way to something else.
    pub(super) fn check_pass(self, name: &[u8]) -> Result<(), Kind> {
        match self.area {
            Area::Own if name == b"task" => Ok(()),
            Area::Own => check_own(name),
            _ => Ok(()),
        }
    }

    /// Whether anything at all may be done with a name.
    pub(super) fn check_name(self, directory: impl AsFd, name: &[u8]) -> Result<(), Kind> {
        let reserved = match self.area {
            Area::Own => return check_own(name),
            Area::OwnThreads => true,
            Area::ProcRoot => is_own(directory, name),
            Area::Plain | Area::Pseudo | Area::Proc => false,
        };
        if reserved {
            Err(Kind::Reserved)
        } else {
            Ok(())
        }
    }
}

/// What is magic is so before it is ours.
fn check_own(name: &[u8]) -> Result<(), Kind> {
    match name {
        _ if OPEN.contains(&name) => Ok(()),
        _ if MAGIC.contains(&name) => Err(Kind::MagicLink),
        _ => Err(Kind::Reserved),
    }
}

/// Whether a name in the root of a procfs is ours: our process, as that procfs numbers it, or one of our threads, which have
/// entries that no listing shows (`proc_pid_task(5)`).
fn is_own(root: impl AsFd, name: &[u8]) -> bool {
    if !name.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let Ok(own) = rustix::fs::readlinkat(&root, c"self", Vec::new()) else {
        return false;
    };
    if own.as_bytes() == name {
        return true;
    }
    let thread = [own.as_bytes(), b"/task/", name].concat();
    rustix::fs::statat(&root, thread.as_slice(), AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Whether a directory of a procfs, reached by a mount of its own, is our entry or lies in it.
fn is_inside_own(handle: impl AsFd, identity: Identity) -> bool {
    let Ok(own) = stat::of_entry(rustix::fs::CWD, b"/proc/self/.") else {
        return true;
    };
    let own = own.identity();
    if own.device != identity.device {
        return false;
    }
    let mut identity = identity;
    let mut held = None;
    for _ in 0..8 {
        if identity == own {
            return true;
        }
        let from = held.as_ref().map_or(handle.as_fd(), AsFd::as_fd);
        let Ok(parent) = rustix::fs::openat(from, c"..", descend::FLAGS, Mode::empty()) else {
            return true;
        };
        match stat::identity_of(&parent) {
            Ok(above) if above.device == identity.device && above != identity => identity = above,
            _ => return false,
        }
        held = Some(parent);
    }
    false
}
