//! The work tree on disk: names below an opened root, never through a link.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, fstat, openat, readlinkat, statat};

/// Longest target of a link.
const MAX_TARGET: usize = 64 * 1024;
/// Bytes of names that are read from a directory at a time.
const NAMES: usize = 32 * 1024;

/// What is remembered of a file, to tell whether it is still the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Stat {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Kind and permissions.
    pub(super) mode: u32,
    pub(super) user: u32,
    pub(super) group: u32,
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, u32),
    pub(super) changed: (i64, u32),
}

impl Stat {
    fn of(stat: &rustix::fs::Stat) -> Self {
        let nanoseconds = |count| u32::try_from(count).unwrap_or(0);
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            mode: stat.st_mode,
            user: stat.st_uid,
            group: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: (stat.st_mtime, nanoseconds(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanoseconds(stat.st_ctime_nsec)),
        }
    }

    /// What it is.
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.mode)
    }

    /// Looks at an opened file.
    pub(super) fn of_file(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::of(&fstat(file)?))
    }

    /// Looks at a path of the machine; follows links.
    pub(super) fn of_path(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&rustix::fs::stat(path)?))
    }

    /// Looks at a name in a directory. None: there is no such name.
    pub(super) fn of_name(directory: impl AsFd, name: &CStr) -> io::Result<Option<Self>> {
        match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Self::of(&stat))),
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Opens a directory of the machine.
pub(super) fn open_root(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens a directory by its name in another, when it is one. None: it is none, or there is nothing.
pub(super) fn open_directory(parent: impl AsFd, name: &CStr) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP) => {
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The directory of a relative path, and its last name. None: something on the way is no directory.
pub(super) fn open_parent(root: &OwnedFd, path: &[u8]) -> io::Result<Option<(OwnedFd, CString)>> {
    let mut names = path.split(|byte| *byte == b'/');
    let Some(last) = names.next_back() else {
        return Ok(None);
    };
    let mut directory = root.try_clone()?;
    for name in names {
        match open_directory(&directory, &c_name(name)?)? {
            Some(next) => directory = next,
            None => return Ok(None),
        }
    }
    Ok(Some((directory, c_name(last)?)))
}

/// A name for the system.
pub(super) fn c_name(name: &[u8]) -> io::Result<CString> {
    match name {
        b"" | b"." | b".." => Err(io::ErrorKind::InvalidInput.into()),
        name => Ok(CString::new(name)?),
    }
}

/// Opens a regular file by its name, and never waits for a FIFO. None: it is none.
pub(super) fn open_regular(parent: impl AsFd, name: &CStr) -> io::Result<Option<(File, Stat)>> {
    let flags =
        OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match openat(&parent, name, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(
            rustix::io::Errno::NOENT
            | rustix::io::Errno::NOTDIR
            | rustix::io::Errno::LOOP
            | rustix::io::Errno::NXIO,
        ) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let stat = Stat::of_file(&file)?;
    Ok((stat.kind() == FileType::RegularFile).then_some((file, stat)))
}

/// The start of a regular file, at most so many bytes. None: there is none.
pub(super) fn read_start(parent: impl AsFd, name: &CStr, most: u64) -> io::Result<Option<Vec<u8>>> {
    if Stat::of_name(&parent, name)?.is_none_or(|stat| stat.kind() != FileType::RegularFile) {
        return Ok(None);
    }
    let Some((file, stat)) = open_regular(parent, name)? else {
        return Ok(None);
    };
    let room = usize::try_from(stat.size.min(most)).unwrap_or(0);
    let mut bytes = Vec::with_capacity(room + 1);
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// The start of a regular file at a path of the machine; the path may lead through links. None: there is none.
pub(super) fn read_path(path: &Path, most: u64) -> io::Result<Option<Vec<u8>>> {
    // A device may do something when it is opened.
    let is_other = |stat: Stat| !matches!(stat.kind(), FileType::RegularFile | FileType::Directory);
    if Stat::of_path(path).is_ok_and(is_other) {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if Stat::of_file(&file)?.kind() != FileType::RegularFile {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Where a link leads.
pub(super) fn read_target(parent: impl AsFd, name: &CStr) -> io::Result<Vec<u8>> {
    let target = readlinkat(parent, name, Vec::new())?.into_bytes();
    if target.len() > MAX_TARGET {
        return Err(io::Error::other("the link is too long"));
    }
    Ok(target)
}

/// A name in a directory. Its kind is what the file system says at no cost; `Unknown` when it does not.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) name: CString,
    pub(super) kind: FileType,
}

/// The names in a directory, in the file system's order.
pub(super) fn names(directory: &OwnedFd) -> io::Result<Vec<Name>> {
    // It may have been listed before.
    rustix::fs::seek(directory, rustix::fs::SeekFrom::Start(0))?;
    let mut buffer = Vec::<u8>::with_capacity(NAMES);
    let mut entries = RawDir::new(directory, buffer.spare_capacity_mut());
    let mut names = Vec::new();
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let name = entry.file_name();
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(Name {
                name: name.to_owned(),
                kind: entry.file_type(),
            });
        }
    }
    Ok(names)
}
