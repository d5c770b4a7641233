//! What has become of a submodule: the commit that is checked out, and whether anything in it has changed.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

use super::{
    checkout::Checkout,
    eyes::Course,
    objects::Id,
    refs,
    render::{New, What},
    repository::Owners,
    scan,
    walk::SUBMODULE,
};

/// Looks at the submodule at a path. One that is not there, or that may not be opened, counts as without changes.
pub(super) fn look(
    root: &Path,
    path: &[u8],
    recorded: Id,
    owners: &Owners,
    course: Course<'_>,
) -> New {
    let same = New {
        mode: SUBMODULE,
        what: What::Commit(recorded, false),
    };
    let root = root.join(OsStr::from_bytes(path));
    // The path was walked without links, but may be one by now.
    if !root.canonicalize().is_ok_and(|real| real == root) {
        return same;
    }
    let Ok(checkout) = Checkout::open(&root, owners) else {
        return same;
    };
    let Some(commit) = refs::head(&checkout.place)
        .ok()
        .and_then(|head| head.commit)
    else {
        return same;
    };
    drop(checkout);
    let dirty = scan::is_dirty(&root, path, owners, course).unwrap_or(false);
    New {
        mode: SUBMODULE,
        what: What::Commit(commit, dirty),
    }
}
