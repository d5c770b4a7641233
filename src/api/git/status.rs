//! Which files of a work tree have changed.

use axum::{Json, extract::State};

use super::query::{number, root};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        files::query::Fields,
        state::ApiState,
        types::git::{RepositoryBody, StatusAnswer, timestamp},
    },
    git::Order,
};

/// Where a repository stands, and which files have changed.
#[utoipa::path(get, path = "/api/v0/git/status", tag = "git",
    params(("path" = String, Query, description = "Absolute path of a file or directory in the work tree", pattern = "^/"),
           ("limit" = Option<u64>, Query, description = "Files that are listed, 5000, up to 50000", minimum = 1, maximum = 50000)),
    responses((status = 200, description = "The repository", body = StatusAnswer),
              (status = 400, description = "`invalid_field`, `git_path_not_absolute`, `not_on_host`", body = ErrorBody),
              (status = 403, description = "`git_unsafe_owner`, `git_worktree_elsewhere`", body = ErrorBody),
              (status = 404, description = "`git_not_a_repository`", body = ErrorBody),
              (status = 422, description = "`git_unsupported_repository`, `git_unreadable`", body = ErrorBody),
              (status = 429, description = "`git_busy`", body = ErrorBody),
              (status = 504, description = "`git_timeout`", body = ErrorBody)))]
pub async fn describe_repository(
    State(api): State<ApiState>,
    mut fields: Fields,
) -> Result<Json<StatusAnswer>, ApiError> {
    let limit = number(&mut fields, "limit", 5000, 1, 50_000)?;
    let root = root(&api, &mut fields).await?;
    fields.finish()?;
    let order = Order {
        most_files: usize::try_from(limit).unwrap_or(usize::MAX),
        most_bytes: api.git().config().max_file_bytes,
        ..Order::default()
    };
    let (snapshot, begun) = api.git().snapshot(root, order).await?;
    Ok(Json(StatusAnswer {
        scanned_at: timestamp(begun),
        repository: RepositoryBody::new(&snapshot),
    }))
}
