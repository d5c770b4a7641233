//! Lists of commits.

use axum::{Json, extract::State};

use super::query::{number, revision, root};
use crate::api::{
    error::{ApiError, ErrorBody},
    files::query::Fields,
    state::ApiState,
    types::git::{CommitBody, LogAnswer, path_text},
};

/// Commits from a revision on, newest first.
#[utoipa::path(get, path = "/api/v0/git/log", tag = "git",
    params(("path" = String, Query, description = "Absolute path of a file or directory in the work tree", pattern = "^/"),
           ("rev" = Option<String>, Query, description = "Revision to begin with, HEAD", min_length = 1, max_length = 256),
           ("limit" = Option<u64>, Query, description = "Commits, 20, up to 1000", minimum = 1, maximum = 1000),
           ("skip" = Option<u64>, Query, description = "Commits to pass over")),
    responses((status = 200, description = "The commits", body = LogAnswer),
              (status = 400, description = "`invalid_field`, `git_path_not_absolute`, `not_on_host`", body = ErrorBody),
              (status = 403, description = "`git_unsafe_owner`, `git_worktree_elsewhere`", body = ErrorBody),
              (status = 404, description = "`git_not_a_repository`, `git_unknown_revision`", body = ErrorBody),
              (status = 422, description = "`git_unsupported_repository`, `git_unreadable`", body = ErrorBody),
              (status = 429, description = "`git_busy`", body = ErrorBody),
              (status = 504, description = "`git_timeout`", body = ErrorBody)))]
pub async fn list_commits(
    State(api): State<ApiState>,
    mut fields: Fields,
) -> Result<Json<LogAnswer>, ApiError> {
    let rev = revision(&mut fields, "rev")?;
    let limit = number(&mut fields, "limit", 20, 1, 1000)?;
    let skip = fields.number("skip")?.unwrap_or(0);
    let root = root(&api, &mut fields).await?;
    fields.finish()?;
    let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
    let log = api.git().log(root, rev, count(skip), count(limit)).await?;
    Ok(Json(LogAnswer {
        repo_root: path_text(&log.root),
        commits: log.commits.iter().map(CommitBody::from).collect(),
        more: log.more,
    }))
}
