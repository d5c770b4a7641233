//! An opened file of a memory mount: the version that it had.

use std::sync::Arc;

use super::{super::OpenFile, content::Content};
use crate::vfs::{entry::Attributes, fault::Result};

#[derive(Debug)]
pub(super) struct MemoryFile {
    pub(super) attributes: Attributes,
    pub(super) content: Arc<Content>,
}

impl OpenFile for MemoryFile {
    fn attributes(&self) -> Result<Attributes> {
        Ok(self.attributes.clone())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        Ok(self.content.read_at(buffer, offset))
    }
}
