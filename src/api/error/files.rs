//! Failures in the tree, as answers.

use axum::http::StatusCode;

use super::ApiError;
use crate::{
    git::OpenError,
    vfs::{
        change::{ChangeError, Partial},
        fault::{Fault, Kind},
        listing::ListError,
        locks::Locked,
        machine::MachineError,
        path::quoted,
        provider::git::MountError,
        setup::MakeError,
        write::WriteError,
    },
};

impl From<Fault> for ApiError {
    fn from(fault: Fault) -> Self {
        let (status, code) = meaning(fault.kind());
        let answer = Self::new(status, code, sentence(&fault));
        let answer = match fault.detail() {
            Some(detail) => answer.with_detail(detail),
            None => answer,
        };
        if status.is_server_error() {
            answer.with_cause(&fault)
        } else {
            answer
        }
    }
}

/// What the caller reads: the path first, then what is wrong with it.
fn sentence(fault: &Fault) -> String {
    let path = quoted(fault.path());
    match fault.kind() {
        Kind::NotFound => format!("{path}: file does not exist"),
        Kind::NotADirectory => format!("{path}: is not a directory"),
        Kind::IsADirectory => format!("{path}: is a directory, not a file"),
        Kind::PermissionDenied => format!("{path}: permission denied"),
        _ => fault.to_string(),
    }
}

/// The stable word for a kind of failure.
pub fn fault_code(kind: Kind) -> &'static str {
    meaning(kind).1
}

pub(in crate::api) fn meaning(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
        Kind::AlreadyExists => (StatusCode::CONFLICT, "already_exists"),
        Kind::NotADirectory => (StatusCode::BAD_REQUEST, "not_a_directory"),
        Kind::IsADirectory => (StatusCode::BAD_REQUEST, "not_a_file"),
        Kind::NotRegular => (StatusCode::BAD_REQUEST, "not_regular_file"),
        Kind::NotEmpty => (StatusCode::CONFLICT, "directory_not_empty"),
        Kind::PermissionDenied => (StatusCode::FORBIDDEN, "permission_denied"),
        Kind::ReadOnly => (StatusCode::FORBIDDEN, "read_only"),
        Kind::NotSupported => (StatusCode::BAD_REQUEST, "not_supported"),
        Kind::Changed => (StatusCode::CONFLICT, "changed_meanwhile"),
        Kind::Busy => (StatusCode::CONFLICT, "file_busy"),
        Kind::NameTooLong => (StatusCode::BAD_REQUEST, "name_too_long"),
        Kind::Loop => (StatusCode::BAD_REQUEST, "link_loop"),
        Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "file_too_large"),
        Kind::NoSpace => (StatusCode::INSUFFICIENT_STORAGE, "no_space"),
        Kind::QuotaExceeded => (StatusCode::INSUFFICIENT_STORAGE, "quota_exceeded"),
        Kind::ObjectMissing => (StatusCode::FAILED_DEPENDENCY, "object_missing"),
        Kind::OutsideMount => (StatusCode::FORBIDDEN, "outside_mount"),
        Kind::MagicLink => (StatusCode::FORBIDDEN, "magic_link"),
        Kind::Reserved => (StatusCode::FORBIDDEN, "reserved_path"),
        Kind::RefusesRoot => (StatusCode::BAD_REQUEST, "refuses_root"),
        Kind::MountBusy => (StatusCode::SERVICE_UNAVAILABLE, "mount_busy"),
        Kind::Corrupt | Kind::Io => (StatusCode::INTERNAL_SERVER_ERROR, "io_error"),
    }
}

impl From<WriteError> for ApiError {
    fn from(error: WriteError) -> Self {
        let message = format!("{error}.");
        match error {
            WriteError::Fault(fault) => fault.into(),
            WriteError::Locked(locked) => locked.into(),
            WriteError::Unmet { tag, .. } => {
                let status = StatusCode::PRECONDITION_FAILED;
                Self::new(status, "precondition_failed", message).with_etag(tag.as_deref())
            }
            WriteError::Digest { came, .. } => Self::bad_request("digest_mismatch", message)
                .with_detail(format!("SHA-256 of what came: {came}")),
        }
    }
}

impl From<Locked> for ApiError {
    fn from(locked: Locked) -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "file_busy",
            format!(
                "{}: another request has been working on it for 10 s",
                quoted(locked.0.name.as_bytes())
            ),
        )
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        let message = format!("{error}.");
        match error {
            ChangeError::Fault(fault) => fault.into(),
            ChangeError::Locked(locked) => locked.into(),
            ChangeError::Precondition { tag, .. } => {
                let status = StatusCode::PRECONDITION_FAILED;
                Self::new(status, "precondition_failed", message).with_etag(tag.as_deref())
            }
            ChangeError::IntoItself { .. } => Self::bad_request("invalid_field", message)
                .with_validation("to".to_owned(), "lies below \"from\"".to_owned()),
            ChangeError::NotMovable { .. } => Self::bad_request("not_supported", message),
            ChangeError::Partial(partial) => partial.into(),
        }
    }
}

impl From<MachineError> for ApiError {
    fn from(error: MachineError) -> Self {
        let message = format!("{error}.");
        match error {
            MachineError::Fault(fault) => fault.into(),
            MachineError::NotOnHost { .. } => Self::bad_request("not_on_host", message),
        }
    }
}

impl From<MakeError> for ApiError {
    fn from(error: MakeError) -> Self {
        let message = format!("{error}.");
        match error {
            MakeError::Fault(fault) | MakeError::Git(MountError::Subdirectory(fault)) => {
                fault.into()
            }
            MakeError::Table(error) => error.into(),
            MakeError::Git(MountError::Repository(error)) => of_repository(&error, message),
            MakeError::PointIsLink { .. } => Self::bad_request("mount_point_is_link", message),
            MakeError::NotOnHost { .. } => Self::bad_request("not_on_host", message),
            MakeError::NotAllowed { .. } => {
                Self::new(StatusCode::FORBIDDEN, "source_not_allowed", message)
            }
        }
    }
}

fn of_repository(error: &OpenError, message: String) -> ApiError {
    let (status, code) = match error {
        OpenError::NotARepository { .. } => (StatusCode::NOT_FOUND, "git_not_a_repository"),
        OpenError::UnknownRevision { .. } => (StatusCode::NOT_FOUND, "git_unknown_revision"),
        OpenError::UnsafeOwner { .. } => (StatusCode::FORBIDDEN, "git_unsafe_owner"),
        OpenError::WorktreeElsewhere { .. } => (StatusCode::FORBIDDEN, "git_worktree_elsewhere"),
        OpenError::Unsupported { .. } => (
            StatusCode::UNPROCESSABLE_ENTITY,
            "git_unsupported_repository",
        ),
        OpenError::Unreadable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "git_unreadable"),
    };
    ApiError::new(status, code, message)
}

impl From<Partial> for ApiError {
    /// Status and code of the first failure; the first ones are named.
    fn from(partial: Partial) -> Self {
        let message = format!("{partial}.");
        let named: Vec<String> = partial.faults.iter().map(sentence).collect();
        let first = partial.faults.into_iter().next();
        let answer = match first {
            Some(fault) => Self::from(fault),
            None => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "io_error", ""),
        };
        answer.with_message(message).with_detail(named.join("\n"))
    }
}

impl From<ListError> for ApiError {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Fault(fault) => fault.into(),
            ListError::Glob(bad) => Self::bad_request("bad_pattern", "A glob cannot be used.")
                .with_validation(format!("glob[{}]", bad.index), bad.reason),
        }
    }
}
