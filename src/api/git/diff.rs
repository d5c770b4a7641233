//! What has changed in a work tree or its index.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use super::query::{Format, diff_response, files, format, number, revision, root};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        files::query::Fields,
        state::ApiState,
        types::git::{ChangedFileBody, DiffAnswer, path_text},
    },
    git::Order,
    proc::excerpt::clean,
};

/// The diff of a work tree, or of its index, to a commit.
#[utoipa::path(get, path = "/api/v0/git/diff", tag = "git",
    params(("path" = String, Query, description = "Absolute path of a file or directory in the work tree", pattern = "^/"),
           ("base" = Option<String>, Query, description = "Revision to compare with, HEAD", min_length = 1, max_length = 256),
           ("staged" = Option<bool>, Query, description = "`true`: the index, not the work tree"),
           ("untracked" = Option<bool>, Query, description = "`false`: without untracked files"),
           ("context" = Option<u64>, Query, description = "Lines of context, 3, up to 1000", minimum = 0, maximum = 1000),
           ("file" = Option<Vec<String>>, Query, description = "File or directory below the root; repeatable"),
           ("max_bytes" = Option<u64>, Query, description = "Bytes of the diff, 3145728, up to 33554432", minimum = 1, maximum = 33_554_432),
           ("format" = Option<String>, Query, description = "`json`, `text`, or `raw`: the exact bytes, nothing replaced for its size", pattern = "^(json|text|raw)$")),
    responses((status = 200, description = "The diff", body = DiffAnswer),
              (status = 400, description = "`invalid_field`, `git_path_not_absolute`, `not_on_host`", body = ErrorBody),
              (status = 403, description = "`git_unsafe_owner`, `git_worktree_elsewhere`", body = ErrorBody),
              (status = 404, description = "`git_not_a_repository`, `git_unknown_revision`", body = ErrorBody),
              (status = 413, description = "`git_diff_too_large`", body = ErrorBody),
              (status = 422, description = "`git_unsupported_repository`, `git_unreadable`", body = ErrorBody),
              (status = 429, description = "`git_busy`", body = ErrorBody),
              (status = 504, description = "`git_timeout`", body = ErrorBody)))]
pub async fn read_diff(
    State(api): State<ApiState>,
    mut fields: Fields,
) -> Result<Response, ApiError> {
    let base = revision(&mut fields, "base")?;
    let form = format(&mut fields)?;
    let mut order = Order {
        staged: fields.flag("staged", false)?,
        untracked: fields.flag("untracked", true)?,
        context: u32::try_from(number(&mut fields, "context", 3, 0, 1000)?).unwrap_or(3),
        only: files(&mut fields)?,
        limit: number(&mut fields, "max_bytes", 3 << 20, 1, 32 << 20)?,
        whole: form == Format::Raw,
        most_bytes: api.git().config().max_file_bytes,
        ..Order::default()
    };
    if order.whole {
        order.most_bytes = order.most_bytes.max(order.limit);
    }
    let root = root(&api, &mut fields).await?;
    fields.finish()?;
    // HEAD is what every scan compares with.
    let other = match base.as_str() {
        "HEAD" | "@" => None,
        other => api.git().base(root.clone(), other.to_owned()).await?,
    };
    order.base = other.map(|(_, tree)| tree);
    let (snapshot, _) = api.git().snapshot(root, order.clone()).await?;
    if form != Format::Json {
        return Ok(diff_response(&snapshot.diff, snapshot.truncated, form));
    }
    let answer = DiffAnswer {
        repo_root: path_text(&snapshot.root),
        base,
        base_id: other
            .map(|(id, _)| id.to_string())
            .or_else(|| snapshot.standing.head.clone())
            .unwrap_or_default(),
        staged: order.staged,
        unified_diff: clean(&snapshot.diff),
        files: snapshot.files.iter().map(ChangedFileBody::from).collect(),
        truncated: snapshot.truncated,
    };
    Ok(Json(answer).into_response())
}
