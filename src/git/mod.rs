//! Git repositories: the one place that opens them, and what is read from them.
//!
//! A repository may have been written by somebody who wants to run programs, read other files or exhaust the machine. So only
//! [`Repository::open`] opens one, and nobody else names the library. What it pins, and why:
//!
//! | what | why |
//! | --- | --- |
//! | opened as bare, at the directory that was looked at | no search, no work tree, no index: nothing that filters, attributes, hooks or `core.fsmonitor` are asked for |
//! | no variable of the environment | `GIT_*` of the daemon would lead elsewhere |
//! | the owner is checked by us, before its configuration is read | the library knows no second user that is trusted |
//! | no cache of the library | each cache here has a bound of its own |
//! | no hashing by the library | [`Objects`] hashes what is small; git hashes nothing that it reads |

pub mod objects;
mod place;
mod reach;
pub mod repository;

use std::sync::Once;

pub use self::{
    objects::{Id, ObjectError, ObjectKind, Objects},
    repository::{Commit, OpenError, Owners, Repository},
};

/// Settings that the library has once for the whole process.
fn pin_settings() {
    static PINNED: Once = Once::new();
    PINNED.call_once(|| {
        git2::opts::enable_caching(false);
        git2::opts::strict_hash_verification(false);
    });
}
