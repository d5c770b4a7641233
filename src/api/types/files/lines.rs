//! The answer of `read-file-lines`.

use serde::Serialize;
use utoipa::ToSchema;

/// Numbered lines of a file, or why there are none. What is zero or empty is left out.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct LinesAnswer {
    /// Whether the lines are there.
    pub success: bool,
    /// Bytes of the file.
    #[serde(skip_serializing_if = "is_zero")]
    pub file_size: u64,
    /// Lines of the file. With `partial` above 64 MiB only once a scan has reached its end.
    #[serde(skip_serializing_if = "is_zero")]
    pub total_lines: u64,
    /// Lines that are given.
    #[serde(skip_serializing_if = "is_zero")]
    pub lines_read: u64,
    /// Number, TAB, text; joined by LF.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub content: String,
    /// Why there are none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// A stable word for a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// With `partial`: the first line that is not given; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_offset: Option<u64>,
    /// With `partial`: `utf-8`, `utf-8-bom`, `utf-16le`, `utf-16be`, `unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<&'static str>,
    /// With `partial`: numbers of the lines given in which bytes became U+FFFD.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub invalid_utf8: Vec<u64>,
    /// With `partial`: how the lines given end: `lf`, `crlf`, `mixed`, `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_ending: Option<&'static str>,
    /// With `partial`: numbers of the lines that were cut.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cut_lines: Vec<u64>,
    /// With `partial`: the tag of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl LinesAnswer {
    /// Why there are no lines.
    pub fn failed(code: &'static str, error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            code: Some(code),
            ..Self::default()
        }
    }
}
