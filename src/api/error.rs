//! The error envelope: what every refusal looks like, and the one mapping from failures to status and code.

use std::error::Error;

use axum::{
    Json,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{CACHE_CONTROL, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::desktop::{
    DesktopError,
    access::{ActError, PictureError},
    capture::CaptureError,
    input::InputError,
    vocabulary::coder::{BadAction, Fault},
};
use crate::proc::error::{self as process, SignalError, StartError};

/// Body of every error answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ErrorBody {
    /// A sentence for a person.
    pub message: String,
    /// The cause, when it is safe to tell and helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What was wrong with each field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub validations: Vec<Validation>,
    /// A stable word for a program.
    pub code: &'static str,
    /// Bytes of input that a process took before it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written: Option<u64>,
}

/// What was wrong with one field.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Validation {
    /// Path of the field, as in `coordinate[1]`.
    pub field: String,
    /// What is wrong, and what is due.
    pub detail: String,
}

/// A failed request: what the caller gets, and what only the log gets. Boxed, so that results stay small.
#[derive(Clone, Debug)]
pub struct ApiError(Box<Failure>);

#[derive(Clone, Debug)]
struct Failure {
    status: StatusCode,
    body: ErrorBody,
    header: Option<(HeaderName, HeaderValue)>,
    cause: Option<Cause>,
}

/// Chain of causes for the log line of the request; travels in the response's extensions.
#[derive(Clone, Debug)]
pub(super) struct Cause(pub(super) String);

impl ApiError {
    /// A refusal with a status, a stable code and a sentence.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        let body = ErrorBody {
            message: message.into(),
            detail: None,
            validations: Vec::new(),
            code,
            written: None,
        };
        Self(Box::new(Failure {
            status,
            body,
            header: None,
            cause: None,
        }))
    }

    /// 400 with a code of its own.
    pub fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 400 that names one field.
    pub fn invalid_field(
        message: impl Into<String>,
        field: impl Into<String>,
        detail: impl Into<String>,
    ) -> Self {
        Self::bad_request("invalid_request", message).with_validation(field.into(), detail.into())
    }

    /// 500 whose chain goes to the log alone.
    pub fn internal(error: &dyn Error) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "Something failed inside deskd; its log has the cause beside the request id.",
        )
        .with_cause(error)
    }

    /// Adds the cause for the caller.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.0.body.detail = Some(detail.into());
        self
    }

    /// Gives it another code.
    #[must_use]
    pub fn with_code(mut self, code: &'static str) -> Self {
        self.0.body.code = code;
        self
    }

    /// Its code.
    pub fn code(&self) -> &'static str {
        self.0.body.code
    }

    /// What a caller is told.
    pub fn body(&self) -> &ErrorBody {
        &self.0.body
    }

    /// Adds a field's fault.
    #[must_use]
    pub fn with_validation(mut self, field: String, detail: String) -> Self {
        self.0.body.validations.push(Validation { field, detail });
        self
    }

    /// Adds a response header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.header = Some((name, value));
        self
    }

    /// Keeps the chain of an error for the log.
    #[must_use]
    pub fn with_cause(mut self, error: &dyn Error) -> Self {
        self.0.cause = Some(Cause(chain(error)));
        self
    }
}

/// An error and its causes, outermost first, in one line.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Failure {
            status,
            body,
            header,
            cause,
        } = *self.0;
        let mut response = (status, Json(body)).into_response();
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, value);
        }
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(cause) = cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

impl From<DesktopError> for ApiError {
    fn from(error: DesktopError) -> Self {
        let code = match &error {
            DesktopError::Disabled => "desktop_disabled",
            DesktopError::StartFailed { .. } => "desktop_start_failed",
            DesktopError::TimedOut { .. } => "desktop_timed_out",
            DesktopError::Stopped => "desktop_stopped",
            DesktopError::GaveUp { .. } => "desktop_gave_up",
            DesktopError::ShuttingDown => "shutting_down",
        };
        let answer = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, sentence(&error));
        match error.source() {
            Some(source) => answer.with_detail(chain(source)).with_cause(&error),
            None => answer,
        }
    }
}

impl From<CaptureError> for ApiError {
    fn from(error: CaptureError) -> Self {
        let (status, code) = match &error {
            CaptureError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            CaptureError::BadRegion { .. } => (StatusCode::BAD_REQUEST, "out_of_frame"),
            CaptureError::CannotFit { .. } => (StatusCode::BAD_REQUEST, "cannot_fit"),
            CaptureError::ConnectionLost { .. } | CaptureError::Ended => {
                (StatusCode::INTERNAL_SERVER_ERROR, "desktop_connection_lost")
            }
            CaptureError::Encode { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "encode_failed"),
            CaptureError::Server { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "display_failed"),
            CaptureError::Unsupported(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "display_unsupported")
            }
            CaptureError::Resize { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "resize_refused"),
        };
        Self::new(status, code, sentence(&error)).with_cause(&error)
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        let (status, code) = match &error {
            InputError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            InputError::Cancelled => (StatusCode::CONFLICT, "input_cancelled"),
            InputError::ControlCharacter { .. } => (StatusCode::BAD_REQUEST, "control_character"),
            InputError::NoKey(_) => (StatusCode::BAD_REQUEST, "no_such_key"),
            InputError::Stopped | InputError::ConnectionLost { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "desktop_connection_lost")
            }
            InputError::Refused { .. } | InputError::MissingExtension(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "display_failed")
            }
        };
        Self::new(status, code, sentence(&error)).with_cause(&error)
    }
}

impl From<PictureError> for ApiError {
    fn from(error: PictureError) -> Self {
        match error {
            PictureError::Desktop(error) => error.into(),
            PictureError::Capture(error) => error.into(),
        }
    }
}

impl From<ActError> for ApiError {
    fn from(error: ActError) -> Self {
        match error {
            ActError::Desktop(error) => error.into(),
            ActError::Input(error) => error.into(),
        }
    }
}

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

impl From<process::InputError> for ApiError {
    fn from(error: process::InputError) -> Self {
        use process::InputError as Error;
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

impl From<process::BeyondEnd> for ApiError {
    fn from(error: process::BeyondEnd) -> Self {
        Self::bad_request("cursor_beyond_end", sentence(&error))
    }
}

impl From<BadAction> for ApiError {
    fn from(error: BadAction) -> Self {
        let message = error.message.clone();
        let detail = error.detail.unwrap_or_else(|| message.clone());
        let code = match error.fault {
            Fault::Field => "invalid_request",
            Fault::ControlCharacter => "control_character",
        };
        Self::bad_request(code, message).with_validation(error.field.to_owned(), detail)
    }
}

/// An error's own words as a sentence for the caller.
fn sentence(error: &dyn Error) -> String {
    let text = error.to_string();
    let mut letters = text.chars();
    let first = letters
        .next()
        .map(|letter| letter.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), letters.as_str())
}

/// 404 for a path without a route.
pub(super) async fn not_found() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such route; GET /api/v0/openapi.json lists them.",
    )
}

/// 405 for a route without that method.
pub(super) async fn method_not_allowed() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "The route exists, but not with this method.",
    )
}
