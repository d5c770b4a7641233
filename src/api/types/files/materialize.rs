//! Wire types of `POST /materialize`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::names::{optional_path, path, shown};
use crate::{
    api::error::ApiError,
    vfs::materialize::{Materialization, Materialized},
};

/// Body of `POST /api/v0/materialize`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MaterializeBody {
    /// Absolute path of a directory.
    pub path: Option<String>,
    /// Or its bytes in base64.
    pub path_base64: Option<String>,
    /// Where to: nothing may be there. Else a fresh directory below `--materialize-dir`.
    pub to: Option<String>,
    /// Or its bytes in base64.
    pub to_base64: Option<String>,
    /// Leave out what gitignore leaves out. Default true.
    pub ignore: Option<bool>,
    /// Files that are copied; `!` in front excludes.
    #[serde(default)]
    pub glob: Vec<String>,
}

impl MaterializeBody {
    /// Checks it.
    pub fn check(self) -> Result<Materialization, ApiError> {
        Ok(Materialization {
            path: path("path", self.path.as_deref(), self.path_base64.as_deref())?,
            to: optional_path("to", self.to.as_deref(), self.to_base64.as_deref())?,
            ignore: self.ignore.unwrap_or(true),
            globs: self.glob,
        })
    }
}

/// Answer of `POST /api/v0/materialize`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MaterializeAnswer {
    /// The new directory in the tree.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// The new directory on the machine.
    pub host_path: String,
    /// The bytes of `host_path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_path_base64: Option<String>,
    /// Files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// FIFOs, sockets and devices that were not.
    pub skipped: u64,
    /// What the machine cannot hold.
    pub lost: Vec<&'static str>,
}

impl From<Materialized> for MaterializeAnswer {
    fn from(made: Materialized) -> Self {
        let (path, host) = (shown(&made.path), shown(&made.host_path));
        Self {
            path: path.text,
            path_base64: path.base64,
            host_path: host.text,
            host_path_base64: host.base64,
            files: made.copied.files,
            bytes: made.copied.bytes,
            skipped: made.copied.skipped,
            lost: made.copied.lost(),
        }
    }
}
