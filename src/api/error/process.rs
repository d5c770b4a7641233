//! Failures of processes: status, code and sentence.

use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};

use super::{ApiError, sentence};
use crate::desktop::application::ApplicationError;
use crate::proc::error::{BeyondEnd, InputError, SignalError, StartError};

impl From<StartError> for ApiError {
    fn from(error: StartError) -> Self {
        let message = sentence(&error);
        match &error {
            StartError::TokenConflict => {
                Self::new(StatusCode::CONFLICT, "client_token_conflict", message)
            }
            StartError::WaitAborted => {
                Self::new(StatusCode::CONFLICT, "client_token_wait_aborted", message)
            }
            StartError::LimitUnavailable { limit } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "limit_unavailable",
                message,
            )
            .with_validation(
                format!("limits.{limit}"),
                "cannot be applied on this machine".to_owned(),
            ),
            StartError::TooMany => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_processes", message)
                    .with_header(RETRY_AFTER, HeaderValue::from_static("1"))
            }
            StartError::UnknownUser { .. } => Self::bad_request("unknown_user", message),
            StartError::UserNotPermitted => {
                Self::new(StatusCode::FORBIDDEN, "user_not_permitted", message)
            }
            StartError::Spawn { detail } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "spawn_failed", message)
                    .with_detail(detail)
            }
            StartError::ChatDeleting => Self::new(StatusCode::GONE, "chat_deleting", message),
            StartError::ShuttingDown => shutting_down(),
        }
    }
}

fn shutting_down() -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "shutting_down",
        "Deskd is stopping.",
    )
    .with_detail("manager is closed")
}

impl From<SignalError> for ApiError {
    fn from(error: SignalError) -> Self {
        let message = sentence(&error);
        match &error {
            SignalError::Exited => Self::new(StatusCode::CONFLICT, "process_exited", message),
            SignalError::Failed { detail } => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "signal_failed", message)
                    .with_detail(detail)
            }
            SignalError::ShuttingDown => shutting_down(),
        }
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        use InputError as Error;
        let (status, code) = match &error {
            Error::NotOpen => (StatusCode::CONFLICT, "stdin_not_open"),
            Error::Closed { .. } => (StatusCode::CONFLICT, "stdin_closed"),
            Error::Stalled { .. } => (StatusCode::GATEWAY_TIMEOUT, "stdin_stalled"),
            Error::Busy => (StatusCode::TOO_MANY_REQUESTS, "stdin_busy"),
            Error::NoTerminal => (StatusCode::CONFLICT, "not_a_pty"),
            Error::Exited => (StatusCode::CONFLICT, "process_exited"),
        };
        let mut answer = Self::new(status, code, sentence(&error));
        if let Error::Closed { written } | Error::Stalled { written } = error {
            answer.0.body.written = Some(written);
        }
        answer
    }
}

impl From<BeyondEnd> for ApiError {
    fn from(error: BeyondEnd) -> Self {
        Self::bad_request("cursor_beyond_end", sentence(&error))
    }
}

impl From<ApplicationError> for ApiError {
    fn from(error: ApplicationError) -> Self {
        let message = sentence(&error);
        match error {
            ApplicationError::NotFound { .. } => {
                Self::new(StatusCode::NOT_FOUND, "desktop_file_not_found", message)
            }
            ApplicationError::Invalid { detail, .. } => {
                Self::bad_request("desktop_file_invalid", message).with_detail(detail)
            }
        }
    }
}
