//! An entry of the tree, as every route shows it.

use serde::Serialize;
use utoipa::ToSchema;

use super::{names::shown, time};
use crate::vfs::{
    describe::{Described, Details, Facts},
    entry::EntryKind,
    mime::mime,
};

/// An entry: file, directory, link or something else.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct EntryBody {
    /// Last name of its path; `/` for the root.
    pub name: String,
    /// The bytes of `name` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_base64: Option<String>,
    /// Its path.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// `file`, `dir`, `symlink`, `fifo`, `socket`, `char`, `block` or `submodule`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Permissions, four octal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Owner.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// Number of names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub links: Option<u64>,
    /// Last change of the content: RFC 3339 with nanoseconds, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtime: Option<String>,
    /// Tag of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Type of a file, by its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime: Option<&'static str>,
    /// Text of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The bytes of `target` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_base64: Option<String>,
    /// What a link leads to: a type, `missing` or `outside`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_type: Option<&'static str>,
    /// Commit of a submodule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Id of the mount that serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mount: Option<String>,
    /// From `stat`: the path without links.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_path: Option<String>,
    /// The bytes of `resolved_path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_path_base64: Option<String>,
    /// From `stat`: the path on the machine, for programs; on host mounts only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path: Option<String>,
    /// The bytes of `host_path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path_base64: Option<String>,
    /// From `stat`: whether it may be written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub writable: Option<bool>,
    /// From `stat`, on request: SHA-256 of a file, in hexadecimal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl EntryBody {
    /// An entry with what `stat` tells besides.
    pub fn detailed(described: &Described, details: &Details) -> Self {
        let mut body = Self::from(described);
        let resolved = shown(&details.resolved.to_bytes());
        (body.resolved_path, body.resolved_path_base64) = (Some(resolved.text), resolved.base64);
        if let Some(path) = &details.host_path {
            let host = shown(path);
            (body.host_path, body.host_path_base64) = (Some(host.text), host.base64);
        }
        body.writable = Some(details.writable);
        body.sha256 = details.sha256.map(|hash| hash.to_string());
        body
    }

    fn add(&mut self, facts: &Facts) {
        let attributes = &facts.attributes;
        self.size = Some(attributes.size);
        self.mode = Some(format!("{:04o}", attributes.mode));
        self.uid = Some(attributes.uid);
        self.gid = Some(attributes.gid);
        self.links = Some(attributes.links);
        self.mtime = Some(time::format(attributes.mtime));
        self.etag = facts.tag.as_ref().map(|tag| format!("\"{tag}\""));
        self.commit = attributes.commit.as_deref().map(str::to_owned);
        self.mount = Some(facts.mount.to_string());
        self.target_type = facts.target.map(crate::vfs::describe::Target::word);
        if let Some(target) = &attributes.target {
            let target = shown(target);
            (self.target, self.target_base64) = (Some(target.text), target.base64);
        }
    }
}

impl From<&Described> for EntryBody {
    fn from(described: &Described) -> Self {
        let (name, path) = (shown(described.name()), shown(&described.path));
        let mut body = Self {
            name: name.text,
            name_base64: name.base64,
            path: path.text,
            path_base64: path.base64,
            kind: described.kind.word(),
            ..Self::default()
        };
        if let Some(facts) = &described.facts {
            body.add(facts);
            if described.kind == EntryKind::File {
                body.mime = Some(mime(described.name()));
            }
        }
        body
    }
}
