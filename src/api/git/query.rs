//! What the routes of repositories are asked with.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use axum::{
    body::Body,
    http::{HeaderValue, StatusCode, header},
    response::Response,
};

use crate::{
    api::{
        error::ApiError,
        files::query::{Fields, invalid},
        state::ApiState,
    },
    proc::excerpt::clean,
    vfs::{
        describe::host_path,
        path::{ClientPath, TreePath},
        view::{Last, View},
    },
};

/// Longest revision, in bytes.
const MAX_REVISION: usize = 256;

/// In what form a diff is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An object.
    Json,
    /// The cleaned text alone.
    Text,
    /// Its exact bytes, whole.
    Raw,
}

/// Takes `format`.
pub fn format(fields: &mut Fields) -> Result<Format, ApiError> {
    let words = [
        ("json", Format::Json),
        ("text", Format::Text),
        ("raw", Format::Raw),
    ];
    fields.word("format", &words, Format::Json)
}

/// Takes a number within bounds.
pub fn number(
    fields: &mut Fields,
    name: &str,
    default: u64,
    least: u64,
    most: u64,
) -> Result<u64, ApiError> {
    let number = fields.number(name)?.unwrap_or(default);
    if (least..=most).contains(&number) {
        return Ok(number);
    }
    Err(invalid(name, format!("must be {least} to {most}")))
}

/// Takes a revision. What could be an option, a range or a search of commits is none.
pub fn revision(fields: &mut Fields, name: &str) -> Result<String, ApiError> {
    let Some(text) = fields.text(name)? else {
        return Ok("HEAD".to_owned());
    };
    let wrong = [
        (text.len() > MAX_REVISION, "has more than 256 bytes"),
        (
            text.starts_with(['-', '^']),
            "begins like an option or a range",
        ),
        (text.contains(".."), "is a range"),
        (text.contains(":/") || text.contains("^{/"), "is a search"),
        (text.chars().any(char::is_control), "has control characters"),
    ];
    match wrong.iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, why)) => Err(invalid(name, *why)),
        None => Ok(text),
    }
}

/// Takes the paths of files below the root.
pub fn files(fields: &mut Fields) -> Result<Vec<Vec<u8>>, ApiError> {
    let files = fields.list("file");
    files.iter().map(|path| file(path)).collect()
}

/// A path below the root, with `/` and without `..`.
pub fn file(path: &[u8]) -> Result<Vec<u8>, ApiError> {
    let trimmed = path.strip_suffix(b"/").unwrap_or(path);
    let fine = |name: &[u8]| !matches!(name, b"" | b"." | b"..") && !name.contains(&0);
    if trimmed.is_empty() || !trimmed.split(|byte| *byte == b'/').all(fine) {
        return Err(invalid(
            "file",
            "is not a path relative to the root, without . and ..",
        ));
    }
    Ok(trimmed.to_vec())
}

/// Takes `path`, and finds the root of the work tree that it is in.
pub async fn root(api: &ApiState, fields: &mut Fields) -> Result<PathBuf, ApiError> {
    let path = fields.bytes("path")?;
    let path = path.ok_or_else(|| invalid("path", "\"path\" is required"))?;
    if path.first() != Some(&b'/') || path.contains(&0) {
        return Err(
            ApiError::bad_request("git_path_not_absolute", "The path must be absolute.")
                .with_validation("path".to_owned(), "is not an absolute path".to_owned()),
        );
    }
    root_of(api, &path).await
}

/// The root of the work tree that a path of the tree is in. A repository that the tree does not show is none.
pub async fn root_of(api: &ApiState, path: &[u8]) -> Result<PathBuf, ApiError> {
    let given = ClientPath::parse(path)
        .map_err(|error| crate::api::files::query::refused_path("path", error))?;
    let vfs = api.vfs();
    let view = vfs.view();
    let (asked, bytes) = (given.clone(), path.to_vec());
    let found = vfs.run(&view, &given, move |view, _| {
        Ok(machine_path(view, asked, &bytes))
    });
    let Some((tree, host)) = found.await? else {
        return Err(ApiError::bad_request(
            "not_on_host",
            "The path is not one of the machine.",
        ));
    };
    let root = api.git().root(host.clone()).await?;
    let shown = vfs.run(&view, &given, {
        let root = root.clone();
        move |view, _| Ok(is_shown(view, &tree, &host, &root))
    });
    if shown.await? {
        return Ok(root);
    }
    let error = crate::git::OpenError::NotARepository {
        path: OsStr::from_bytes(path).into(),
    };
    Err(crate::git::AskError::from(error).into())
}

/// Where a path leads in the tree and on the machine; of one that leads nowhere, where what is above it does.
fn machine_path(view: &View, path: ClientPath, bytes: &[u8]) -> Option<(TreePath, PathBuf)> {
    let mut path = path;
    let mut bytes = bytes;
    loop {
        if let Ok(place) = view.resolve(&path, Last::Follow) {
            let host = host_path(&place)?;
            return Some((place.path.clone(), OsString::from_vec(host).into()));
        }
        let slash = bytes.iter().rposition(|byte| *byte == b'/')?;
        bytes = if slash == 0 { b"/" } else { &bytes[..slash] };
        path = ClientPath::parse(bytes).ok()?;
    }
}

/// Whether a root above a place of the machine is above it in the tree, too.
fn is_shown(view: &View, tree: &TreePath, host: &Path, root: &Path) -> bool {
    let real = host.canonicalize().unwrap_or_else(|_| host.to_owned());
    let names = real
        .strip_prefix(root)
        .map_or(0, |rest| rest.components().count());
    let kept = tree.names().len().saturating_sub(names);
    let above = TreePath::new(tree.names()[..kept].to_vec());
    let Ok(place) = view.resolve(&ClientPath::of(&above), Last::Follow) else {
        return false;
    };
    host_path(&place).is_some_and(|path| Path::new(OsStr::from_bytes(&path)) == root)
}

/// A diff by itself.
pub fn diff_response(diff: &[u8], truncated: bool, format: Format) -> Response {
    let body = match format {
        Format::Raw => Body::from(diff.to_vec()),
        Format::Json | Format::Text => Body::from(clean(diff)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::OK;
    let kind = match format {
        Format::Raw => "application/octet-stream",
        Format::Json | Format::Text => "text/plain; charset=utf-8",
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let truncated = if truncated { "true" } else { "false" };
    headers.insert("x-deskd-truncated", HeaderValue::from_static(truncated));
    response
}
