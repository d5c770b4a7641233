//! The daemon's own directories: its state, its sockets, its tokens. By device and inode, so that no spelling leads in.

use std::{
    fs, io,
    os::{fd::AsFd, unix::ffi::OsStrExt, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use rustix::fs::Mode;

use super::{descend, stat};
use crate::vfs::entry::Identity;

/// Deepest chain of directories that is followed upwards.
const DEEPEST: usize = 4096;

/// Directories that no client enters, under any name.
#[derive(Debug, Default)]
pub struct Reserved {
    own: Vec<(Identity, Box<[u8]>)>,
    above: Vec<Identity>,
}

/// A directory that is to be reserved cannot be looked at.
#[derive(Debug, thiserror::Error)]
#[error("failed to look at {path}")]
pub struct ReservedError {
    /// Which one.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Reserved {
    /// Reserves directories that are there.
    pub fn new<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, ReservedError> {
        let mut reserved = Self::default();
        for path in paths {
            let path = path.as_ref();
            let failed = |source| ReservedError {
                path: path.to_owned(),
                source,
            };
            let real = fs::canonicalize(path).map_err(failed)?;
            let name = real.file_name().map_or(&b""[..], OsStrExt::as_bytes);
            reserved
                .own
                .push((identity(&real).map_err(failed)?, name.into()));
            for above in real.ancestors().skip(1) {
                reserved.above.push(identity(above).map_err(failed)?);
            }
        }
        reserved.above.sort_unstable();
        reserved.above.dedup();
        Ok(reserved)
    }

    /// Whether this is one of them.
    pub(super) fn is(&self, identity: Identity) -> bool {
        self.own.iter().any(|(own, _)| *own == identity)
    }

    /// Whether one of them lies below this.
    pub(super) fn is_above(&self, identity: Identity) -> bool {
        self.above.binary_search(&identity).is_ok()
    }

    /// Whether a name could be that of one of them on any file system: some fold case, in ways of their own beyond ASCII, and
    /// some have second names with `~`. Such a name is looked at; all others can be passed unseen, because without links and
    /// without a change of mounts a directory is reached by its own name only.
    pub(super) fn may_be(&self, name: &[u8]) -> bool {
        if self.own.is_empty() {
            return false;
        }
        !name.is_ascii()
            || name.contains(&b'~')
            || self
                .own
                .iter()
                .any(|(_, own)| !own.is_ascii() || own.eq_ignore_ascii_case(name))
    }

    /// Whether an opened directory is one of them or lies in one.
    pub(super) fn holds(&self, directory: impl AsFd) -> bool {
        if self.own.is_empty() {
            return false;
        }
        let Ok(mut identity) = stat::identity_of(&directory) else {
            return false;
        };
        let mut held = None;
        for _ in 0..DEEPEST {
            if self.is(identity) {
                return true;
            }
            let from = held.as_ref().map_or(directory.as_fd(), AsFd::as_fd);
            let Ok(parent) = rustix::fs::openat(from, c"..", descend::FLAGS, Mode::empty()) else {
                return false;
            };
            match stat::identity_of(&parent) {
                Ok(above) if above != identity => identity = above,
                _ => return false,
            }
            held = Some(parent);
        }
        false
    }
}

fn identity(path: &Path) -> io::Result<Identity> {
    let meta = fs::symlink_metadata(path)?;
    Ok(Identity {
        device: meta.dev(),
        inode: meta.ino(),
    })
}
