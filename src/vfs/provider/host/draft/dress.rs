//! What a new file takes over from the one that it replaces: owner, group, extended attributes with the access list, mode.

use std::os::fd::AsFd;

use rustix::{
    fs::{Gid, Mode, Uid},
    io::Errno,
};

use super::Target;
use crate::sys::fs::{attribute, attribute_names, remove_attribute, set_attribute, umask};

/// The access list of a file, and what a directory gives to new ones (acl(5)).
const ACCESS_LIST: &[u8] = b"system.posix_acl_access";
const DEFAULT_LIST: &[u8] = b"system.posix_acl_default";
/// Rights that the kernel ties to the content: they stay only when set-id bits would.
const CAPABILITY: &[u8] = b"security.capability";
/// Signatures of the old content.
const SIGNATURES: [&[u8]; 2] = [b"security.ima", b"security.evm"];
const SET_ID: u32 = 0o6000;

/// Gives a draft what it is due: everything but the time, which comes last.
pub(super) fn dress(
    file: impl AsFd,
    directory: impl AsFd,
    old: Option<&Target>,
    mode: Option<u32>,
) -> Result<(), Errno> {
    let Some(old) = old else {
        let mode = mode.map_or_else(|| fresh_mode(directory), Ok)?;
        return rustix::fs::fchmod(&file, Mode::from_raw_mode(mode));
    };
    let kept = take_owner(&file, old.stat.owner())?;
    take_attributes(&file, &old.handle, kept)?;
    let mode = mode.unwrap_or_else(|| old.stat.mode());
    let mode = if kept { mode } else { mode & !SET_ID };
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))
}

/// Owner and group of the old file, or the group alone. Whether both are what they were.
fn take_owner(file: impl AsFd, owner: (u32, u32)) -> Result<bool, Errno> {
    let stat = rustix::fs::fstat(&file)?;
    if (stat.st_uid, stat.st_gid) == owner {
        return Ok(true);
    }
    let (user, group) = (Uid::from_raw(owner.0), Gid::from_raw(owner.1));
    if permitted(rustix::fs::fchown(&file, Some(user), Some(group)))? {
        return Ok(true);
    }
    let group_kept = permitted(rustix::fs::fchown(&file, None, Some(group)))?;
    Ok(group_kept && stat.st_uid == owner.0)
}

fn take_attributes(file: impl AsFd, old: impl AsFd, kept: bool) -> Result<(), Errno> {
    let names = match attribute_names(&old) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::ACCESS | Errno::PERM) => return Ok(()),
        Err(errno) => return Err(errno),
    };
    for name in &names {
        let tied = name == CAPABILITY && !kept;
        if tied || SIGNATURES.contains(&name.as_slice()) {
            continue;
        }
        let value = match attribute(&old, name) {
            Ok(Some(value)) => value,
            Ok(None) | Err(Errno::ACCESS | Errno::PERM) => continue,
            Err(errno) => return Err(errno),
        };
        permitted(set_attribute(&file, name, &value))?;
    }
    // A directory may give new files a list that the old one did not have.
    if !names.iter().any(|name| name == ACCESS_LIST) {
        match remove_attribute(&file, ACCESS_LIST) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

/// What the kernel would give a new file that is asked for with 0666: less what the directory's default list takes, or else
/// less the umask (acl(5)). A draft was made with 0600 and has the entries of that list already, without their rights.
fn fresh_mode(directory: impl AsFd) -> Result<u32, Errno> {
    Ok(default_list(directory)?.map_or(0o666 & !umask(), |list| list_mode(&list)))
}

fn default_list(directory: impl AsFd) -> Result<Option<Vec<u8>>, Errno> {
    match attribute(directory, DEFAULT_LIST) {
        Err(Errno::NOSYS | Errno::ACCESS | Errno::PERM) => Ok(None),
        found => found,
    }
}

/// Permissions that a default list leaves of 0666. The list is a version of four bytes and entries of eight: tag, permissions,
/// id, little end first (`linux/posix_acl_xattr.h`).
fn list_mode(list: &[u8]) -> u32 {
    const OWNER: u16 = 0x01;
    const GROUP: u16 = 0x04;
    const MASK: u16 = 0x10;
    const OTHER: u16 = 0x20;
    let entries = list.get(4..).unwrap_or_default();
    let find = |wanted: u16| {
        entries.chunks_exact(8).find_map(|entry| {
            let tag = u16::from_le_bytes([entry[0], entry[1]]);
            let bits = u16::from_le_bytes([entry[2], entry[3]]);
            (tag == wanted).then_some(u32::from(bits) & 0o6)
        })
    };
    let owner = find(OWNER).unwrap_or(0o6);
    let group = find(MASK).or_else(|| find(GROUP)).unwrap_or(0);
    owner << 6 | group << 3 | find(OTHER).unwrap_or(0)
}

/// Whether it was permitted; every other failure is one.
fn permitted(result: Result<(), Errno>) -> Result<bool, Errno> {
    match result {
        Ok(()) => Ok(true),
        Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => {
            Ok(false)
        }
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_list_says_what_new_files_get() {
        let mut list = 2_u32.to_le_bytes().to_vec();
        for (tag, bits) in [
            (0x01_u16, 7_u16),
            (0x02, 7),
            (0x04, 5),
            (0x10, 5),
            (0x20, 0),
        ] {
            list.extend_from_slice(&tag.to_le_bytes());
            list.extend_from_slice(&bits.to_le_bytes());
            list.extend_from_slice(&u32::MAX.to_le_bytes());
        }
        assert_eq!(list_mode(&list), 0o640);
        assert_eq!(list_mode(b""), 0o600);
    }
}
