//! An opened file of a commit.

use std::sync::{Arc, Mutex, PoisonError};

use super::{super::OpenFile, contents::Content, store::Store};
use crate::{
    git::Id,
    vfs::{entry::Attributes, fault::Result, path::Name},
};

/// A file. Its content is fetched by the first read and kept until the file is dropped.
#[derive(Debug)]
pub(super) struct GitFile {
    pub(super) store: Arc<Store>,
    pub(super) name: Name,
    pub(super) id: Id,
    pub(super) attributes: Attributes,
    /// Held while the content is fetched: who reads at the same time needs it as well.
    pub(super) content: Mutex<Option<Arc<Content>>>,
}

impl GitFile {
    fn content(&self) -> Result<Arc<Content>> {
        let mut held = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = &*held {
            return Ok(content.clone());
        }
        let content = self
            .store
            .content(self.id, self.attributes.size, self.name.as_bytes())?;
        Ok(held.insert(content).clone())
    }
}

impl OpenFile for GitFile {
    fn attributes(&self) -> Result<Attributes> {
        Ok(self.attributes.clone())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if offset >= self.attributes.size {
            return Ok(0);
        }
        let content = self.content()?;
        let rest = usize::try_from(offset)
            .ok()
            .and_then(|offset| content.bytes.get(offset..))
            .unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }
}
