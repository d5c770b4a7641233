//! What the kernel knows of an entry (statx(2)), in the words of the tree.

use std::os::fd::AsFd;

use rustix::{
    fs::{AtFlags, FileType, Statx, StatxFlags, makedev},
    io::Errno,
};

use crate::vfs::entry::{Attributes, EntryKind, Identity, Time, Version};

/// What the kernel told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stat(Statx);

/// An entry of an opened directory, a link as itself.
pub(super) fn of_entry(directory: impl AsFd, name: &[u8]) -> Result<Stat, Errno> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    rustix::fs::statx(directory, name, flags, StatxFlags::BASIC_STATS).map(Stat)
}

/// What a descriptor is opened on.
pub(super) fn of_handle(handle: impl AsFd) -> Result<Stat, Errno> {
    rustix::fs::statx(handle, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS).map(Stat)
}

/// Device and inode alone, without asking a server of a network for more.
pub(super) fn identity_of(handle: impl AsFd) -> Result<Identity, Errno> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    rustix::fs::statx(handle, c"", flags, StatxFlags::INO).map(|stat| Stat(stat).identity())
}

impl Stat {
    pub(super) fn kind(&self) -> EntryKind {
        match FileType::from_raw_mode(u32::from(self.0.stx_mode)) {
            FileType::Directory => EntryKind::Dir,
            FileType::Symlink => EntryKind::Symlink,
            FileType::Fifo => EntryKind::Fifo,
            FileType::Socket => EntryKind::Socket,
            FileType::CharacterDevice => EntryKind::Char,
            FileType::BlockDevice => EntryKind::Block,
            _ => EntryKind::File,
        }
    }

    pub(super) fn is_directory(&self) -> bool {
        self.kind() == EntryKind::Dir
    }

    pub(super) fn identity(&self) -> Identity {
        let device = makedev(self.0.stx_dev_major, self.0.stx_dev_minor);
        Identity {
            device,
            inode: self.0.stx_ino,
        }
    }

    pub(super) fn mode(&self) -> u32 {
        u32::from(self.0.stx_mode) & 0o7777
    }

    pub(super) fn owner(&self) -> (u32, u32) {
        (self.0.stx_uid, self.0.stx_gid)
    }

    pub(super) fn size(&self) -> u64 {
        self.0.stx_size
    }

    pub(super) fn mtime(&self) -> Time {
        Time {
            seconds: self.0.stx_mtime.tv_sec,
            nanos: self.0.stx_mtime.tv_nsec,
        }
    }

    pub(super) fn version(&self) -> Version {
        Version::Stat {
            identity: self.identity(),
            size: self.size(),
            mtime: self.mtime(),
        }
    }

    /// Everything, with the text of a link where it has one.
    pub(super) fn attributes(&self, target: Option<Box<[u8]>>, magic: bool) -> Attributes {
        let (uid, gid) = self.owner();
        Attributes {
            kind: self.kind(),
            size: self.size(),
            mode: self.mode(),
            uid,
            gid,
            links: u64::from(self.0.stx_nlink),
            mtime: self.mtime(),
            identity: self.identity(),
            version: self.version(),
            target,
            magic,
            commit: None,
        }
    }
}
