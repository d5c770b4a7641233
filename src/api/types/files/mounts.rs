//! Wire types of mounts.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::{
    names::{given, shown},
    time,
};
use crate::{
    api::{error::ApiError, files::query::invalid},
    proc::excerpt::clean,
    vfs::{
        entry::Time,
        order::MountOrder,
        table::{Mode, Mount, Origin},
    },
};

/// A mount.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MountBody {
    /// Its id.
    pub id: String,
    /// Its mount point.
    pub at: String,
    /// The bytes of `at` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_base64: Option<String>,
    /// `host`, `memory` or `git`.
    pub provider: &'static str,
    /// Where its contents come from.
    pub source: String,
    /// `rw` or `ro`.
    pub mode: &'static str,
    /// `ready`, or `failed`: it could not be made again at the start.
    pub state: &'static str,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of a memory mount that was made again: it is empty.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub contents_lost: bool,
    /// What it can do.
    pub capabilities: Vec<&'static str>,
    /// Its options, as they were understood.
    pub options: BTreeMap<&'static str, String>,
    /// What it holds.
    pub stats: MountStats,
    /// Whether it is made again at the next start.
    pub keep: bool,
    /// When it was made.
    pub created_at: String,
}

/// What a mount holds, as far as it is counted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MountStats {
    /// Entries, the root not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<u64>,
    /// Bytes that count towards the quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The quota.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<u64>,
    /// Entries that are left out because their names are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

impl From<&Mount> for MountBody {
    fn from(mount: &Mount) -> Self {
        let at = shown(&mount.at().to_bytes());
        let (label, usage) = (mount.label(), mount.provider().usage());
        let error = match mount.origin() {
            Origin::Failed(reason) => Some(clean(reason.as_bytes())),
            Origin::Made | Origin::Restored => None,
        };
        Self {
            id: mount.id().to_string(),
            at: at.text,
            at_base64: at.base64,
            provider: label.provider,
            source: label.source.clone(),
            mode: match label.mode {
                Mode::ReadWrite => "rw",
                Mode::ReadOnly => "ro",
            },
            state: if error.is_some() { "failed" } else { "ready" },
            error,
            contents_lost: *mount.origin() == Origin::Restored && label.provider == "memory",
            capabilities: mount.provider().capabilities().words(),
            options: label.options.iter().cloned().collect(),
            stats: MountStats {
                files: usage.files,
                bytes: usage.bytes,
                quota_bytes: usage.quota_bytes,
                skipped: usage.skipped,
            },
            keep: label.keep,
            created_at: time::format(time_of(mount.created_at())),
        }
    }
}

fn time_of(time: SystemTime) -> Time {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Time {
        seconds: since.as_secs().cast_signed(),
        nanos: since.subsec_nanos(),
    }
}

/// Answer of `GET /api/v0/mounts`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MountsAnswer {
    /// All mounts, in the order of their paths.
    pub mounts: Vec<MountBody>,
}

/// Body of `POST /api/v0/mounts`; further fields are options of the provider.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MountOrderBody {
    /// Mount point: a plain path.
    pub at: Option<String>,
    /// Or its bytes in base64.
    pub at_base64: Option<String>,
    /// `host`, `memory` or `git`.
    #[serde(default)]
    pub provider: String,
    /// `rw` (default) or `ro`.
    pub mode: Option<String>,
    /// Not taken yet.
    pub chat: Option<String>,
    /// Whether it is made again at the next start; default false.
    pub keep: Option<bool>,
    /// `host`: `directory`, `one_file_system`; `memory`: `quota_bytes`, `max_entries`; `git`: `repository`, `revision`,
    /// `subdirectory`.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub options: BTreeMap<String, Value>,
}

impl MountOrderBody {
    /// Checks it. Each wrong option is named.
    pub fn check(self) -> Result<MountOrder, ApiError> {
        if self.chat.is_some() {
            return Err(invalid("chat", "cannot be given yet").with_code("not_supported"));
        }
        let at = given("at", self.at.as_deref(), self.at_base64.as_deref())?;
        let mut bad = Vec::new();
        let read_only = match self.mode.as_deref() {
            None | Some("rw") => false,
            Some("ro") => true,
            Some(_) => {
                bad.push(("mode".to_owned(), "one of rw, ro is due".to_owned()));
                false
            }
        };
        let mut options = Vec::new();
        for (name, value) in self.options {
            match value {
                Value::Null => {}
                Value::String(text) => options.push((name, text)),
                Value::Number(number) => options.push((name, number.to_string())),
                Value::Bool(flag) => options.push((name, flag.to_string())),
                _ => bad.push((name, "a text, a number or a boolean is due".to_owned())),
            }
        }
        let order = MountOrder::new(&at.unwrap_or_default(), &self.provider, read_only, options);
        match order {
            Ok(order) if bad.is_empty() => Ok(order),
            Ok(_) => Err(refused(bad)),
            Err(more) => {
                bad.extend(more.into_iter().map(|bad| (bad.name, bad.detail)));
                Err(refused(bad))
            }
        }
    }
}

fn refused(bad: Vec<(String, String)>) -> ApiError {
    let error = ApiError::bad_request(
        "invalid_field",
        "The mount cannot be made as it is asked for.",
    );
    bad.into_iter().fold(error, |error, (field, detail)| {
        error.with_validation(field, detail)
    })
}
