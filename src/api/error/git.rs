//! Failures with repositories, as answers.

use axum::http::StatusCode;

use super::{ApiError, sentence};
use crate::git::{AskError, GitError, OpenError};

impl From<AskError> for ApiError {
    fn from(error: AskError) -> Self {
        match &error {
            AskError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "git_busy", sentence(&error))
            }
            AskError::Git(error) => of_git(error),
        }
    }
}

/// What a caller is told of a failure.
pub(in crate::api) fn of_git(error: &GitError) -> ApiError {
    let (status, code) = meaning(error);
    let answer = ApiError::new(status, code, sentence(error));
    match error {
        // What was read may be another's: the part is named, and nothing of it.
        GitError::Unreadable { part, .. } | GitError::Open(OpenError::Unreadable { part, .. }) => {
            answer.with_detail(*part)
        }
        _ => answer,
    }
}

fn meaning(error: &GitError) -> (StatusCode, &'static str) {
    match error {
        GitError::Open(error) => match error {
            OpenError::NotARepository { .. } => (StatusCode::NOT_FOUND, "git_not_a_repository"),
            OpenError::UnsafeOwner { .. } => (StatusCode::FORBIDDEN, "git_unsafe_owner"),
            OpenError::WorktreeElsewhere { .. } => {
                (StatusCode::FORBIDDEN, "git_worktree_elsewhere")
            }
            OpenError::Unsupported { .. } => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "git_unsupported_repository",
            ),
            OpenError::Unreadable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "git_unreadable"),
            OpenError::UnknownRevision { .. } => (StatusCode::NOT_FOUND, "git_unknown_revision"),
        },
        GitError::Unreadable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "git_unreadable"),
        GitError::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "git_timeout"),
        GitError::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "git_busy"),
        GitError::FileNotFound { .. } => (StatusCode::NOT_FOUND, "git_file_not_found"),
        GitError::BlobTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "git_blob_too_large"),
        GitError::DiffTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "git_diff_too_large"),
    }
}
