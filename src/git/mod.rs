//! Git repositories: the one place that opens them, and what is read from them.
//!
//! A repository may have been written by somebody who wants to run programs, read other files or exhaust the machine. So only
//! [`Repository::open`] and `Checkout::open` open one, and nobody else names the library. What they pin, and why:
//!
//! | what | why |
//! | --- | --- |
//! | the library opens it as bare, at the directory that was looked at | no search, no work tree, no index: nothing that filters, attributes, hooks or `core.fsmonitor` are asked for |
//! | no variable of the environment | `GIT_*` of the daemon would lead elsewhere |
//! | the owner is checked by us, before its configuration is read | the library knows no second user that is trusted |
//! | no cache of the library | each cache here has a bound of its own |
//! | no hashing by the library | [`Objects`] hashes what is small; git hashes nothing that it reads |
//!
//! Work trees, indexes, references, attributes and configurations are read by us: nothing of them runs a program, waits for a
//! FIFO or goes through a link, and partial clones and sparse indexes can be read. The library's own status and diff were measured
//! at twice the time of the git program. Of the library remain objects, revisions and hunks. Formats that are read neither by us
//! nor by it are read by the git program, in a git directory of ours (`program`).
//!
//! ```text
//!   locate ▶ checkout ▶ scan ▶ report ▶ Snapshot        service: for who asks        watch: for who wants to be told
//! ```

mod assemble;
mod attributes;
mod checkout;
mod clean;
pub mod commits;
mod config;
mod content;
mod disk;
mod error;
mod eyes;
mod guard;
pub mod history;
mod ignore;
mod index;
mod locate;
pub mod objects;
mod pattern;
mod pipes;
mod place;
mod program;
mod quote;
mod reach;
mod refs;
mod rename;
mod render;
mod report;
pub mod repository;
mod scan;
pub mod service;
mod settings;
pub mod snapshot;
mod split;
mod standing;
mod submodule;
#[cfg(test)]
mod tests;
mod text;
mod tree;
mod walk;
pub mod watch;
mod wild;

use std::sync::Once;

pub use self::{
    error::GitError,
    eyes::Eyes,
    guard::{Guard, Wanted},
    locate::locate,
    objects::{Id, ObjectError, ObjectKind, Objects},
    program::Program,
    repository::{Commit, OpenError, Owners, Repository},
    scan::{Extent, Scan},
    service::{AskError, Git},
    snapshot::{FileChange, Order, Snapshot, Status},
    standing::{Operation, Standing},
};

/// Settings that the library has once for the whole process.
fn pin_settings() {
    static PINNED: Once = Once::new();
    PINNED.call_once(|| {
        git2::opts::enable_caching(false);
        git2::opts::strict_hash_verification(false);
    });
}
