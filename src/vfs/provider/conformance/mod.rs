//! What every provider must be: one suite, run against each. A new provider is done when it is green.
//!
//! A provider comes with a way to make a mount that holds a given tree; that alone is its own. What it has not told among its
//! capabilities must be refused, what it has told must work. Beside the cases stands a model: random operations, done to the
//! provider and to a plain directory, with the same answers and the same tree in the end.

mod fixtures;
mod model;
mod reading;
pub(in crate::vfs) mod repository;
mod tree;
mod writing;

use std::{any::Any, sync::Arc};

use super::{Directory, Provider};

pub(in crate::vfs) use self::tree::{Node, Snapshot, name, snapshot, whole};

/// A mount that holds what was asked for.
pub(in crate::vfs) struct Fixture {
    pub(in crate::vfs) provider: Arc<dyn Provider>,
    /// What has to live as long.
    _keep: Box<dyn Any>,
}

impl Fixture {
    pub(in crate::vfs) fn new(provider: impl Provider + 'static, keep: impl Any) -> Self {
        Self {
            provider: Arc::new(provider),
            _keep: Box::new(keep),
        }
    }

    pub(in crate::vfs) fn root(&self) -> Arc<dyn Directory> {
        self.provider.root().expect("a new mount has a root")
    }
}

/// Runs every case against mounts of one provider.
pub(in crate::vfs) fn suite(make: impl Fn(&Snapshot) -> Fixture) {
    reading::run(&make);
    let empty = make(&Snapshot::default());
    if empty.provider.capabilities().write {
        writing::run(&make);
        model::run(&make);
    } else {
        writing::is_refused(&make);
    }
}
