//! Files by descriptor: what the kernel allows with a handle that is opened for lookups only (`O_PATH`), by way of
//! `/proc/self/fd`, so that no name is looked up twice. See openat(2), symlink(7) and `proc_pid_fd(5)`.

use std::{
    ffi::OsString,
    fmt::Write as _,
    fs,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStringExt,
    },
    path::PathBuf,
    sync::OnceLock,
};

use rustix::{
    fs::{Access, AtFlags, CWD, Mode, OFlags, XattrFlags},
    io::{Errno, Result},
    path::DecInt,
};

/// `f_type` of procfs (`PROC_SUPER_MAGIC`, linux/magic.h).
pub const PROC: u64 = 0x9fa0;
/// File systems made of the kernel's own answers, where the size of a file says nothing (linux/magic.h): procfs, sysfs,
/// debugfs, tracefs, both cgroup trees, securityfs, configfs, selinuxfs, bpf.
const PSEUDO: [u64; 10] = [
    PROC,
    0x6265_6572,
    0x6462_6720,
    0x7472_6163,
    0x0027_e0eb,
    0x6367_7270,
    0x7363_6673,
    0x6265_6570,
    0xf97c_ff8c,
    0xcafe_4a11,
];

/// Which file system a descriptor lies on.
pub fn file_system(descriptor: impl AsFd) -> Result<u64> {
    let kind = rustix::fs::fstatfs(descriptor)?.f_type;
    Ok(u64::try_from(kind).unwrap_or(0))
}

/// Whether files of this file system have no size of their own.
pub fn is_pseudo(file_system: u64) -> bool {
    PSEUDO.contains(&file_system)
}

/// The descriptors of this process as a directory; `None` where `/proc` is not what it should be.
fn descriptors() -> Option<BorrowedFd<'static>> {
    static DIRECTORY: OnceLock<Option<OwnedFd>> = OnceLock::new();
    let directory = DIRECTORY.get_or_init(|| {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(CWD, "/proc/self/fd", flags, Mode::empty()).ok()?;
        (file_system(&directory).ok()? == PROC).then_some(directory)
    });
    directory.as_ref().map(AsFd::as_fd)
}

/// Whether handles can be reopened at all: whether `/proc` is there.
pub fn can_reopen() -> bool {
    descriptors().is_some()
}

/// Opens the very object of a handle once more, with other rights. `ENOSYS` without `/proc`.
pub fn reopen(handle: impl AsFd, flags: OFlags) -> Result<OwnedFd> {
    let directory = descriptors().ok_or(Errno::NOSYS)?;
    let flags = flags | OFlags::CLOEXEC | OFlags::NOCTTY;
    rustix::fs::openat(directory, DecInt::from_fd(handle), flags, Mode::empty())
}

/// Where the object of a descriptor lies at this moment. One that was removed has ` (deleted)` appended.
pub fn path_of(handle: impl AsFd) -> Result<PathBuf> {
    let directory = descriptors().ok_or(Errno::NOSYS)?;
    let target = rustix::fs::readlinkat(directory, DecInt::from_fd(handle), Vec::new())?;
    Ok(OsString::from_vec(target.into_bytes()).into())
}

/// Whether the object may be written by this process, as far as its permissions and its file system say.
pub fn may_write(handle: impl AsFd) -> Result<()> {
    let directory = descriptors().ok_or(Errno::NOSYS)?;
    let name = DecInt::from_fd(handle);
    rustix::fs::accessat(directory, name, Access::WRITE_OK, AtFlags::EACCESS)
}

/// Sets the permissions of a handle's object, which is no link.
pub fn change_mode(handle: impl AsFd, mode: u32) -> Result<()> {
    let directory = descriptors().ok_or(Errno::NOSYS)?;
    let mode = Mode::from_raw_mode(mode);
    rustix::fs::chmodat(directory, DecInt::from_fd(handle), mode, AtFlags::empty())
}

/// The names of all extended attributes of a handle's object.
pub fn attribute_names(handle: impl AsFd) -> Result<Vec<Vec<u8>>> {
    let path = link(&handle)?;
    let mut size = rustix::fs::listxattr_query(&path)?;
    loop {
        if size == 0 {
            return Ok(Vec::new());
        }
        let mut names = vec![0_u8; size];
        match rustix::fs::listxattr(&path, names.as_mut_slice()) {
            Ok(length) => {
                let parts = names[..length].split(|byte| *byte == 0);
                return Ok(parts
                    .filter(|name| !name.is_empty())
                    .map(<[u8]>::to_vec)
                    .collect());
            }
            Err(Errno::RANGE) => size = rustix::fs::listxattr_query(&path)?,
            Err(errno) => return Err(errno),
        }
    }
}

/// One extended attribute of a handle's object; `None` when it has none of that name, or the file system has none at all.
pub fn attribute(handle: impl AsFd, name: &[u8]) -> Result<Option<Vec<u8>>> {
    let path = link(&handle)?;
    loop {
        let size = match rustix::fs::getxattr_query(&path, name) {
            Ok(size) => size,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let mut value = vec![0_u8; size];
        match rustix::fs::getxattr(&path, name, value.as_mut_slice()) {
            Ok(length) => {
                value.truncate(length);
                return Ok(Some(value));
            }
            Err(Errno::RANGE) => {}
            Err(Errno::NODATA | Errno::OPNOTSUPP) => return Ok(None),
            Err(errno) => return Err(errno),
        }
    }
}

/// Sets one extended attribute of an opened file.
pub fn set_attribute(file: impl AsFd, name: &[u8], value: &[u8]) -> Result<()> {
    rustix::fs::fsetxattr(file, name, value, XattrFlags::empty())
}

/// Takes one extended attribute from an opened file.
pub fn remove_attribute(file: impl AsFd, name: &[u8]) -> Result<()> {
    rustix::fs::fremovexattr(file, name)
}

/// What new files of this process are not allowed (umask(2)), as it was when it was first asked for. Nothing in this program
/// changes it after the start.
pub fn umask() -> u32 {
    static MASK: OnceLock<u32> = OnceLock::new();
    *MASK.get_or_init(|| {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok())
            .unwrap_or(0o022)
    })
}

fn link(handle: &impl AsFd) -> Result<String> {
    if !can_reopen() {
        return Err(Errno::NOSYS);
    }
    let mut path = String::with_capacity(24);
    let number = handle.as_fd().as_raw_fd();
    write!(path, "/proc/self/fd/{number}").expect("a string takes what it is given");
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_leads_to_its_object_whatever_it_is_called_now() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("a");
        fs::write(&path, "text").expect("written");
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let handle = rustix::fs::openat(CWD, &path, flags, Mode::empty()).expect("opened");
        fs::rename(&path, base.path().join("b")).expect("renamed");
        fs::write(&path, "other").expect("written");
        let file = fs::File::from(reopen(&handle, OFlags::RDONLY).expect("reopened"));
        assert_eq!(std::io::read_to_string(file).expect("read"), "text");
        assert_eq!(path_of(&handle).expect("a path"), base.path().join("b"));
        change_mode(&handle, 0o400).expect("changed");
        assert_eq!(attribute(&handle, b"user.deskd-none").expect("asked"), None);
    }

    #[test]
    fn the_file_system_of_proc_is_known() {
        let proc = fs::File::open("/proc").expect("opened");
        assert_eq!(file_system(&proc).expect("asked"), PROC);
        assert!(is_pseudo(PROC));
        assert!(umask() <= 0o777);
    }
}
