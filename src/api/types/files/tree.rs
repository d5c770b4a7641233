//! Wire types of the routes that list and change the tree.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    entry::EntryBody,
    names::{path, shown},
    time,
};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        files::query::invalid,
    },
    vfs::{
        attributes::Chmod, describe::Described, entry::Time, fault::Fault, listing::Contents,
        make_dir::MakeDir, path::ClientPath, relocate::Relocation, remove::Removal, tag::Tags,
    },
};

/// Body of `POST /api/v0/list-directory`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ListDirectoryBody {
    /// Components below the start.
    #[serde(default)]
    pub path: Vec<String>,
    /// `root` or `home`: where they start.
    #[serde(default)]
    pub relativity: String,
}

/// Answer of `POST /api/v0/list-directory`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListDirectoryAnswer {
    /// Components of the directory; none for the root.
    pub absolute_path: Vec<String>,
    /// The directory.
    pub absolute_path_string: String,
    /// Its entries: directories, then the rest, each in byte order.
    pub contents: Vec<ContentBody>,
    /// Reading it broke off: this is what was read until then.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// One entry of a directory.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ContentBody {
    /// Its name.
    pub name: String,
    /// The bytes of `name` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_base64: Option<String>,
    /// Its path.
    pub absolute_path_string: String,
    /// Whether it is a directory; a link to one is none.
    pub is_dir: bool,
    /// `file`, `dir`, `symlink`, `fifo`, `socket`, `char`, `block` or `submodule`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Last change of the content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtime: Option<String>,
    /// Text of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The bytes of `target` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_base64: Option<String>,
}

impl From<&Described> for ContentBody {
    fn from(described: &Described) -> Self {
        let entry = EntryBody::from(described);
        Self {
            name: entry.name,
            name_base64: entry.name_base64,
            absolute_path_string: entry.path,
            is_dir: described.kind.is_directory(),
            kind: entry.kind,
            size: entry.size,
            mtime: entry.mtime,
            target: entry.target,
            target_base64: entry.target_base64,
        }
    }
}

impl From<Contents> for ListDirectoryAnswer {
    fn from(contents: Contents) -> Self {
        let names = contents.path.split(|byte| *byte == b'/');
        let names = names.filter(|name| !name.is_empty());
        Self {
            absolute_path: names.map(|name| shown(name).text).collect(),
            absolute_path_string: shown(&contents.path).text,
            contents: contents.entries.iter().map(ContentBody::from).collect(),
            partial: contents.partial,
        }
    }
}

/// Answer of `GET /api/v0/resolve-path`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResolvePathAnswer {
    /// The path, all links followed; what is missing stands at its end.
    pub resolved_path: String,
    /// The bytes of `resolved_path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_path_base64: Option<String>,
}

/// Body of `POST /api/v0/stat`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct StatBody {
    /// At most 1000 paths.
    pub paths: Option<Vec<String>>,
    /// Or their bytes in base64.
    pub paths_base64: Option<Vec<String>>,
    /// What a link leads to is told. Default true.
    pub follow: Option<bool>,
}

/// Answer of `POST /api/v0/stat`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatAnswer {
    /// One for each path, in their order.
    pub results: Vec<StatResult>,
}

/// What is at one of several paths.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatResult {
    /// The path as it was sent.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// What is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryBody>,
    /// Why that cannot be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
}

/// Answer of `GET /api/v0/list`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListAnswer {
    /// The directory.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// Each directory before its contents.
    pub entries: Vec<EntryBody>,
    /// What below it could not be read.
    pub errors: Vec<PathError>,
    /// To be sent as `cursor` for what follows; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

/// Answer of `GET /api/v0/glob`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct GlobAnswer {
    /// What fits, in the order that was asked for.
    pub entries: Vec<EntryBody>,
    /// To be sent as `cursor` for what follows; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// `done`, `limit`, `timeout`.
    pub stopped: &'static str,
}

/// A failure at one path.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PathError {
    /// Where.
    pub path: String,
    /// The bytes of `path` in base64, when they are not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_base64: Option<String>,
    /// A word for a program.
    pub code: &'static str,
    /// A sentence for a person.
    pub message: String,
}

impl From<Fault> for PathError {
    fn from(fault: Fault) -> Self {
        let at = shown(fault.path());
        let body = ApiError::from(fault).into_body();
        Self {
            path: at.text,
            path_base64: at.base64,
            code: body.code,
            message: body.message,
        }
    }
}

/// Line of a listing in NDJSON that tells of a failure.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorLine {
    /// What could not be read.
    pub error: PathError,
}

/// Body of `POST /api/v0/mkdir`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct MakeDirBody {
    /// Absolute path.
    pub path: Option<String>,
    /// Or its bytes in base64.
    pub path_base64: Option<String>,
    /// Directories above it are made, too. Default true.
    pub parents: Option<bool>,
    /// Permissions in octal, the umask not applied.
    pub mode: Option<String>,
    /// One that is there is 409.
    pub exclusive: Option<bool>,
}

impl MakeDirBody {
    /// Checks it.
    pub fn check(&self) -> Result<(ClientPath, MakeDir), ApiError> {
        let how = MakeDir {
            parents: self.parents.unwrap_or(true),
            mode: mode("mode", self.mode.as_deref())?,
            exclusive: self.exclusive.unwrap_or(false),
        };
        Ok((named(self.path.as_ref(), self.path_base64.as_ref())?, how))
    }
}

/// Answer of `POST /api/v0/mkdir`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MakeDirAnswer {
    /// The directory.
    pub entry: EntryBody,
    /// Whether this request made it.
    pub created: bool,
}

/// Body of `POST /api/v0/remove`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RemoveBody {
    /// Absolute path.
    pub path: Option<String>,
    /// Or its bytes in base64.
    pub path_base64: Option<String>,
    /// A directory goes with all that is in it.
    pub recursive: Option<bool>,
    /// Nothing there is no failure.
    pub missing_ok: Option<bool>,
    /// Tags in quotes: one must be that of the file.
    pub if_match: Option<String>,
}

impl RemoveBody {
    /// Checks it.
    pub fn check(&self) -> Result<(ClientPath, Removal), ApiError> {
        let how = Removal {
            recursive: self.recursive.unwrap_or(false),
            missing_ok: self.missing_ok.unwrap_or(false),
            if_match: tags(self.if_match.as_deref())?,
        };
        Ok((named(self.path.as_ref(), self.path_base64.as_ref())?, how))
    }
}

/// Answer of `POST /api/v0/remove`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RemoveAnswer {
    /// Entries that went, directories included.
    pub removed: u64,
}

/// Body of `POST /api/v0/move`, and of `POST /api/v0/copy`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct RelocateBody {
    /// What.
    pub from: Option<String>,
    /// Or its bytes in base64.
    pub from_base64: Option<String>,
    /// Its new name itself, never a directory to put it into.
    pub to: Option<String>,
    /// Or its bytes in base64.
    pub to_base64: Option<String>,
    /// What is there may be replaced.
    pub overwrite: Option<bool>,
    /// Missing directories above `to` are made.
    pub mkdir: Option<bool>,
    /// Of `move`. Tags in quotes: one must be that of the file.
    pub if_match: Option<String>,
    /// Of `copy`: `keep` (default) or `follow`.
    pub links: Option<String>,
}

impl RelocateBody {
    /// Checks it.
    pub fn check(&self) -> Result<Relocation, ApiError> {
        let follow = match self.links.as_deref() {
            None | Some("keep") => false,
            Some("follow") => true,
            Some(other) => {
                let detail = format!("{other:?} is not one of keep, follow");
                return Err(invalid("links", detail));
            }
        };
        Ok(Relocation {
            from: path("from", self.from.as_deref(), self.from_base64.as_deref())?,
            to: path("to", self.to.as_deref(), self.to_base64.as_deref())?,
            overwrite: self.overwrite.unwrap_or(false),
            mkdir: self.mkdir.unwrap_or(false),
            if_match: tags(self.if_match.as_deref())?,
            follow,
        })
    }
}

/// Answer of `POST /api/v0/move`: the entry, and what a move across mounts could not do.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MoveAnswer {
    /// Under its new name.
    #[serde(flatten)]
    pub entry: EntryBody,
    /// What the destination cannot hold: `owner`, `modes`, `times`, `xattrs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<&'static str>,
    /// What of the source could not be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<PathError>,
}

/// Answer of `POST /api/v0/copy`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CopyAnswer {
    /// What was made.
    pub entry: EntryBody,
    /// Files that were copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// FIFOs, sockets and devices that were not.
    pub skipped: u64,
    /// What the destination cannot hold: `owner`, `modes`, `times`, `xattrs`.
    pub lost: Vec<&'static str>,
}

/// Body of `POST /api/v0/chmod`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct ChmodBody {
    /// Absolute path.
    pub path: Option<String>,
    /// Or its bytes in base64.
    pub path_base64: Option<String>,
    /// Permissions in octal.
    pub mode: Option<String>,
    /// All below it as well; links there are passed over.
    pub recursive: Option<bool>,
    /// Permissions of directories, when they differ.
    pub dir_mode: Option<String>,
}

impl ChmodBody {
    /// Checks it.
    pub fn check(&self) -> Result<(ClientPath, Chmod), ApiError> {
        let due = mode("mode", self.mode.as_deref())?;
        let how = Chmod {
            mode: due.ok_or_else(|| invalid("mode", "\"mode\" is required"))?,
            dir_mode: mode("dir_mode", self.dir_mode.as_deref())?,
            recursive: self.recursive.unwrap_or(false),
        };
        Ok((named(self.path.as_ref(), self.path_base64.as_ref())?, how))
    }
}

/// Answer of `POST /api/v0/chmod`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChmodAnswer {
    /// Entries whose permissions are others now.
    pub changed: u64,
}

/// Body of `POST /api/v0/touch`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct TouchBody {
    /// Absolute path.
    pub path: Option<String>,
    /// Or its bytes in base64.
    pub path_base64: Option<String>,
    /// An empty file is made where there is none. Default true.
    pub create: Option<bool>,
    /// RFC 3339; default: now.
    pub mtime: Option<String>,
}

impl TouchBody {
    /// Checks it.
    pub fn check(&self) -> Result<(ClientPath, bool, Option<Time>), ApiError> {
        let mtime = self.mtime.as_deref().map(|text| {
            time::parse(text)
                .ok_or_else(|| invalid("mtime", format!("{text:?} is not a time of RFC 3339")))
        });
        let path = named(self.path.as_ref(), self.path_base64.as_ref())?;
        Ok((path, self.create.unwrap_or(true), mtime.transpose()?))
    }
}

fn named(text: Option<&String>, base64: Option<&String>) -> Result<ClientPath, ApiError> {
    path("path", text.map(String::as_str), base64.map(String::as_str))
}

fn tags(text: Option<&str>) -> Result<Option<Tags>, ApiError> {
    let tags = text.map(Tags::parse).transpose();
    tags.map_err(|error| invalid("if_match", error.to_string()))
}

/// Permissions in octal digits.
fn mode(field: &str, text: Option<&str>) -> Result<Option<u32>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    let digits = (1..=5).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(text, 8).ok();
    match mode.filter(|mode| digits && *mode <= 0o7777) {
        Some(mode) => Ok(Some(mode)),
        None => Err(invalid(
            field,
            format!("{text:?} is not a mode in octal digits"),
        )),
    }
}
