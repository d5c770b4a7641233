//! The answer of `write-file`.

use serde::Serialize;
use utoipa::ToSchema;

use super::names::shown;
use crate::vfs::{path::quoted, write::Written};

/// A file was written.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WriteAnswer {
    /// A sentence with the path.
    pub message: String,
    /// The path without links.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// Whether nothing was there before.
    pub created: bool,
    /// Bytes of the file now.
    pub size: u64,
    /// Tag of the file now.
    pub etag: String,
    /// Whether it was replaced in one step. Otherwise it was written in place, or added to.
    pub atomic: bool,
}

impl WriteAnswer {
    /// What was written at the path that the caller gave.
    pub fn new(given: &[u8], written: &Written) -> Self {
        let path = shown(&written.path.to_bytes());
        Self {
            message: format!("Successfully wrote to {}", quoted(given)),
            path: path.text,
            path_base64: path.base64,
            created: written.created,
            size: written.attributes.size,
            etag: format!("\"{}\"", written.attributes.version.tag()),
            atomic: written.atomic,
        }
    }
}
