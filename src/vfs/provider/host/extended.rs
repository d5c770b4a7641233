//! Extended attributes as copies take them along (xattr(7)): those of users and access lists. What the machine says about a
//! file, its labels and signatures, stays with it; capabilities go the way of set-id bits, which copies do not have either, and
//! are told to be lost.

use std::os::fd::AsFd;

use rustix::io::Errno;

use crate::{
    sys::fs::{attribute, attribute_names, set_attribute},
    vfs::provider::Extended,
};

const OF_MACHINE: &[u8] = b"security.";
/// Rights of a program (capabilities(7)).
const CAPABILITY: &[u8] = b"security.capability";

/// All that an object has. None where there are none, or none to be seen.
pub(super) fn read(object: impl AsFd) -> Result<Vec<Extended>, Errno> {
    let names = match attribute_names(&object) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::ACCESS | Errno::PERM) => return Ok(Vec::new()),
        Err(errno) => return Err(errno),
    };
    let mut found = Vec::new();
    for name in names {
        if name.starts_with(OF_MACHINE) && name != CAPABILITY {
            continue;
        }
        match attribute(&object, &name) {
            Ok(Some(value)) => found.push((name, value)),
            Ok(None) | Err(Errno::ACCESS | Errno::PERM) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(found)
}

/// Sets what can be set; whether that was all.
pub(super) fn write(object: impl AsFd, attributes: &[Extended]) -> Result<bool, Errno> {
    let mut all = true;
    for (name, value) in attributes {
        if name == CAPABILITY {
            all = false;
            continue;
        }
        match set_attribute(&object, name, value) {
            Ok(()) => {}
            Err(
                Errno::OPNOTSUPP
                | Errno::NOSYS
                | Errno::ACCESS
                | Errno::PERM
                | Errno::INVAL
                | Errno::NOSPC
                | Errno::TOOBIG
                | Errno::RANGE,
            ) => all = false,
            Err(errno) => return Err(errno),
        }
    }
    Ok(all)
}
