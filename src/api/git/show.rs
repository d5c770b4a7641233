//! One commit, or a file as it was.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::query::{Format, diff_response, file, format, revision, root};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        files::query::{Fields, invalid},
        state::ApiState,
        types::git::{
            ChangedFileBody, CommitBody, EntriesAnswer, ListedBody, ShowAnswer, path_text,
        },
    },
    git::{Order, history::At},
    proc::excerpt::clean,
};

/// A commit with its diff to its first parent; with `file`, that file as the commit has it, or the entries of a directory.
#[utoipa::path(get, path = "/api/v0/git/show", tag = "git",
    params(("path" = String, Query, description = "Absolute path of a file or directory in the work tree", pattern = "^/"),
           ("rev" = Option<String>, Query, description = "Revision, HEAD", min_length = 1, max_length = 256),
           ("file" = Option<String>, Query, description = "File or directory below the root"),
           ("format" = Option<String>, Query, description = "Without `file`: `json`, `text`, or `raw`", pattern = "^(json|text|raw)$")),
    responses((status = 200, description = "The commit; with `file` its bytes, with the blob's id as `ETag` and the mode in \
                                            `X-Deskd-Mode`, or `{entries}`", body = ShowAnswer),
              (status = 400, description = "`invalid_field`, `git_path_not_absolute`, `not_on_host`", body = ErrorBody),
              (status = 403, description = "`git_unsafe_owner`, `git_worktree_elsewhere`", body = ErrorBody),
              (status = 404, description = "`git_not_a_repository`, `git_unknown_revision`, `git_file_not_found`", body = ErrorBody),
              (status = 413, description = "`git_diff_too_large`, `git_blob_too_large`", body = ErrorBody),
              (status = 422, description = "`git_unsupported_repository`, `git_unreadable`", body = ErrorBody),
              (status = 429, description = "`git_busy`", body = ErrorBody),
              (status = 504, description = "`git_timeout`", body = ErrorBody)))]
pub async fn show_commit(
    State(api): State<ApiState>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let rev = revision(&mut fields, "rev")?;
    let path = fields.bytes("file")?;
    let path = path.map(|path| file(&path)).transpose()?;
    let has_format = fields.text("format")?;
    let form = match &has_format {
        Some(_) if path.is_some() => return Err(invalid("format", "is not for `file`")),
        Some(text) => format(&mut Fields::parse(&format!("format={text}")))?,
        None => Format::Json,
    };
    let root = root(&api, &mut fields).await?;
    fields.finish()?;
    if let Some(path) = path {
        return Ok(file_response(api.git().at(root, rev, path).await?));
    }
    let order = Order {
        whole: form == Format::Raw,
        most_bytes: api.git().config().max_file_bytes,
        ..Order::default()
    };
    let shown = api.git().show(root, rev, order).await?;
    if form != Format::Json {
        return Ok(diff_response(&shown.diff, shown.truncated, form));
    }
    let answer = ShowAnswer {
        repo_root: path_text(&shown.root),
        commit: CommitBody::from(&shown.commit),
        unified_diff: clean(&shown.diff),
        files: shown.files.iter().map(ChangedFileBody::from).collect(),
        truncated: shown.truncated,
    };
    Ok(Json(answer).into_response())
}

fn file_response(at: At) -> Response {
    let (id, mode, bytes) = match at {
        At::Directory(entries) => {
            let entries = entries.iter().map(ListedBody::from).collect();
            return Json(EntriesAnswer { entries }).into_response();
        }
        At::File { id, mode, bytes } => (id, mode, bytes),
    };
    let value = |text: String| HeaderValue::try_from(text).expect("digits and quotes");
    let mut response = Response::new(Body::from(bytes.to_vec()));
    let headers = response.headers_mut();
    headers.insert(header::ETAG, value(format!("\"{id}\"")));
    headers.insert("x-deskd-mode", value(format!("{mode:06o}")));
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
