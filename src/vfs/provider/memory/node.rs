//! What the tree of a memory mount is made of.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    super::{Condition, watcher::Happened},
    content::Content,
    ledger::{Charge, Short},
};
use crate::vfs::{
    entry::{EntryKind, Time, Version},
    fault::Kind,
    path::Name,
};

/// What an entry is made of.
#[derive(Debug)]
pub(super) struct Node {
    /// Which entry names it: none of the root.
    pub(super) entry: Option<(u64, Name)>,
    pub(super) mode: u32,
    pub(super) mtime: Time,
    pub(super) generation: u64,
    pub(super) body: Body,
}

#[derive(Debug)]
pub(super) enum Body {
    File(Arc<Content>),
    Dir(Dir),
    Link(Text),
}

/// Where a link leads.
#[derive(Debug)]
pub(super) struct Text {
    pub(super) bytes: Box<[u8]>,
    pub(super) _charge: Charge,
}

/// Entries of a directory.
#[derive(Debug, Default)]
pub(super) struct Dir {
    pub(super) entries: BTreeMap<Name, Entry>,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    /// The name's bytes.
    pub(super) charge: Charge,
}

impl Node {
    pub(super) fn kind(&self) -> EntryKind {
        match self.body {
            Body::File(_) => EntryKind::File,
            Body::Dir(_) => EntryKind::Dir,
            Body::Link(_) => EntryKind::Symlink,
        }
    }

    pub(super) fn version(&self) -> Version {
        Version::Generation(self.generation)
    }
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: Kind,
    pub(super) detail: Option<&'static str>,
}

impl From<Kind> for Refusal {
    fn from(kind: Kind) -> Self {
        Self { kind, detail: None }
    }
}

impl From<Short> for Refusal {
    fn from(short: Short) -> Self {
        let detail = match short {
            Short::Quota => "the content and the names of the mount have reached its quota",
            Short::Budget => "all memory mounts together hold as much as they may",
        };
        Self {
            kind: Kind::QuotaExceeded,
            detail: Some(detail),
        }
    }
}

/// Something that happened in a directory: to an entry, or without a name to the directory itself.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) at: u64,
    pub(super) name: Option<Name>,
    pub(super) happened: Happened,
}

/// What may be written to, and whether it is what it should be.
pub(super) fn check(before: Option<&Node>, condition: &Condition) -> Result<(), Refusal> {
    match before.map(|node| &node.body) {
        Some(Body::Dir(_)) => return Err(Kind::IsADirectory.into()),
        // The walk has followed links before: this one has come since.
        Some(Body::Link(_)) => return Err(Kind::Changed.into()),
        Some(Body::File(_)) | None => {}
    }
    match (before.map(Node::version), condition) {
        (_, Condition::None) | (None, Condition::Missing) => Ok(()),
        (Some(there), Condition::Is(version)) if there == *version => Ok(()),
        (Some(_), Condition::Missing) => Err(Kind::AlreadyExists.into()),
        (_, Condition::Is(_)) => Err(Kind::Changed.into()),
    }
}
