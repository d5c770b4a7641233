//! Directories and files that only the daemon's own user may enter or read.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// Why a private directory or file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PrivateError {
    /// It cannot be made, read or written.
    #[error("failed to {verb} {path}")]
    Io {
        /// `create`, `read` or `write`.
        verb: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It belongs to someone else.
    #[error("{path} belongs to uid {owner}, not to this user; remove it or choose another place")]
    Owner {
        /// Which one.
        path: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// Others may read it.
    #[error("{path} has mode {mode:04o}, which lets others in; run: chmod {due:04o} {path}")]
    Mode {
        /// Which one.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
        /// What they should be.
        due: u32,
    },
    /// It is a link or another thing than it should be.
    #[error("{path} is not a {due}")]
    Kind {
        /// Which one.
        path: PathBuf,
        /// `directory` or `regular file`.
        due: &'static str,
    },
}

/// Makes a directory with mode 0700, its parents as usual; one that is there is checked and tightened.
pub fn directory(path: &Path) -> Result<(), PrivateError> {
    let failed = |source| PrivateError::Io {
        verb: "create",
        path: path.to_owned(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let meta = fs::symlink_metadata(path).map_err(failed)?;
    if !meta.is_dir() {
        return Err(PrivateError::Kind {
            path: path.to_owned(),
            due: "directory",
        });
    }
    check_owner(path, meta.uid())?;
    if meta.mode() & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    Ok(())
}

/// Reads a secret of at most 4 KiB from a file that is ours and has mode 0600 or less.
pub fn read_secret(path: &Path) -> Result<String, PrivateError> {
    let failed = |source| PrivateError::Io {
        verb: "read",
        path: path.to_owned(),
        source,
    };
    let file = fs::File::open(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if !meta.is_file() {
        return Err(PrivateError::Kind {
            path: path.to_owned(),
            due: "regular file",
        });
    }
    check_owner(path, meta.uid())?;
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(PrivateError::Mode {
            path: path.to_owned(),
            mode,
            due: 0o600,
        });
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).map_err(failed)?;
    Ok(text.trim().to_owned())
}

/// Writes a secret into a new file of mode 0600; whoever reads the path sees all of it or nothing.
pub fn write_secret(path: &Path, secret: &str) -> Result<(), PrivateError> {
    let failed = |source| PrivateError::Io {
        verb: "write",
        path: path.to_owned(),
        source,
    };
    let temporary = path.with_extension("new");
    let _ = fs::remove_file(&temporary);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .map_err(failed)?;
    writeln!(file, "{secret}").map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&temporary, path).map_err(failed)
}

/// Free space of the file system at a path, in MiB.
pub fn free_mebibytes(path: &Path) -> io::Result<u64> {
    let stat = rustix::fs::statvfs(path)?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize) / (1024 * 1024))
}

fn check_owner(path: &Path, owner: u32) -> Result<(), PrivateError> {
    if owner == nix::unistd::geteuid().as_raw() {
        return Ok(());
    }
    Err(PrivateError::Owner {
        path: path.to_owned(),
        owner,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_tightened_and_links_refused() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("a/b");
        fs::create_dir_all(&path).expect("created");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("opened up");
        directory(&path).expect("tightened");
        assert_eq!(fs::metadata(&path).expect("there").mode() & 0o777, 0o700);
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&path, &link).expect("linked");
        assert!(matches!(directory(&link), Err(PrivateError::Kind { .. })));
    }

    #[test]
    fn secrets_that_others_may_read_are_refused_with_the_cure() {
        let base = tempfile::tempdir().expect("a directory");
        let path = base.path().join("token");
        write_secret(&path, "abc").expect("written");
        assert_eq!(read_secret(&path).expect("readable"), "abc");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("opened up");
        let error = read_secret(&path).expect_err("refused").to_string();
        assert!(error.contains("chmod 0600"), "{error}");
    }
}
