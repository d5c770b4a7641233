//! Directories that nobody made: what must exist above a mount point and does not. Empty but for the mount points, which the
//! tree lists, and read only.

use std::{any::Any, sync::Arc};

use super::{
    entry::{Attributes, EntryKind, Identity, Time, Version},
    fault::{Fault, Kind, Result},
    path::Name,
    provider::{Capabilities, Directory, Listing, OpenFile, Provider, Usage},
};

/// The provider of made-up directories. All of them are one.
#[derive(Clone, Copy, Debug)]
pub struct Synthetic;

impl Provider for Synthetic {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            sorted_list: true,
            ..Capabilities::default()
        }
    }

    fn root(&self) -> Result<Arc<dyn Directory>> {
        Ok(Arc::new(Self))
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

impl Directory for Synthetic {
    fn attributes(&self) -> Result<Attributes> {
        Ok(Attributes {
            kind: EntryKind::Dir,
            size: 0,
            mode: 0o555,
            uid: 0,
            gid: 0,
            links: 1,
            mtime: Time::default(),
            identity: Identity {
                device: u64::MAX,
                inode: 0,
            },
            version: Version::Generation(0),
            target: None,
            magic: false,
            commit: None,
        })
    }

    fn descend(&self, _: &[Name]) -> Result<(Arc<dyn Directory>, usize)> {
        Ok((Arc::new(Self), 0))
    }

    fn lookup(&self, name: &Name) -> Result<Attributes> {
        Err(Fault::new(Kind::OutsideMount, "reach", name.as_bytes()))
    }

    fn open(&self, name: &Name) -> Result<Arc<dyn OpenFile>> {
        Err(Fault::new(Kind::OutsideMount, "open", name.as_bytes()))
    }

    fn list(&self, _: Option<&Name>, _: usize) -> Result<Listing> {
        Ok(Listing::default())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
