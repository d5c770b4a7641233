//! What a new file takes over from the one that it replaces.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
};

use super::*;
use crate::sys::fs::{attribute, set_attribute};

const ACCESS_LIST: &[u8] = b"system.posix_acl_access";
const DEFAULT_LIST: &[u8] = b"system.posix_acl_default";

/// An access list as the kernel takes it: tags, permissions, ids.
fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in entries {
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&bits.to_le_bytes());
        bytes.extend_from_slice(&id.to_le_bytes());
    }
    bytes
}

const NONE: u32 = u32::MAX;

fn sample(user: u16) -> Vec<u8> {
    list(&[
        (0x01, 7, NONE),
        (0x02, user, 4711),
        (0x04, 5, NONE),
        (0x10, 7, NONE),
        (0x20, 0, NONE),
    ])
}

/// Whether the file system of the tests has such attributes.
fn set(path: &Path, name: &[u8], value: &[u8]) -> bool {
    let file = fs::File::open(path).expect("opened");
    match set_attribute(&file, name, value) {
        Err(rustix::io::Errno::OPNOTSUPP) => {
            eprintln!("skipped: the file system has no such attributes");
            false
        }
        set => {
            set.expect("set");
            true
        }
    }
}

fn get(path: &Path, name: &[u8]) -> Option<Vec<u8>> {
    attribute(fs::File::open(path).expect("opened"), name).expect("asked")
}

#[test]
fn extended_attributes_and_access_lists_are_kept() {
    let base = tempfile::tempdir().expect("a directory");
    let file = base.path().join("file");
    fs::write(&file, "old").expect("written");
    if !set(&file, b"user.deskd", b"any\0bytes") || !set(&file, ACCESS_LIST, &sample(6)) {
        return;
    }
    let mode = fs::metadata(&file).expect("there").mode();
    put(&*top(base.path()), "file", b"new", &Commit::default()).expect("written");
    assert_eq!(
        get(&file, b"user.deskd").as_deref(),
        Some(&b"any\0bytes"[..])
    );
    assert_eq!(get(&file, ACCESS_LIST), Some(sample(6)));
    assert_eq!(fs::metadata(&file).expect("there").mode(), mode);
}

#[test]
fn new_files_get_what_their_directory_says_and_old_ones_do_not() {
    let base = tempfile::tempdir().expect("a directory");
    let path = |name: &str| base.path().join(name);
    fs::write(path("old"), "old").expect("written");
    fs::set_permissions(path("old"), fs::Permissions::from_mode(0o604)).expect("changed");
    if !set(base.path(), DEFAULT_LIST, &sample(6)) {
        return;
    }
    fs::write(path("kernel"), "x").expect("written");
    let here = top(base.path());
    put(&*here, "ours", b"x", &Commit::default()).expect("written");
    put(&*here, "old", b"new", &Commit::default()).expect("written");
    let append = Creation {
        append: true,
        ..Creation::default()
    };
    here.create(&name("log"), &append)
        .expect("begun")
        .commit(&Commit::default())
        .expect("committed");
    let seen = |name: &str| {
        (
            fs::metadata(path(name)).expect("there").mode(),
            get(&path(name), ACCESS_LIST),
        )
    };
    assert!(seen("kernel").1.is_some());
    assert_eq!(seen("ours"), seen("kernel"));
    assert_eq!(seen("log"), seen("kernel"));
    assert_eq!(seen("old"), (0o100_604, None));
}

#[test]
fn new_files_get_what_the_umask_leaves() {
    let base = tempfile::tempdir().expect("a directory");
    fs::write(base.path().join("kernel"), "x").expect("written");
    let here = top(base.path());
    put(&*here, "ours", b"x", &Commit::default()).expect("written");
    let mode = |at: &str| here.lookup(&name(at)).expect("looked up").mode;
    assert_eq!(mode("ours"), mode("kernel"));
}
