//! The error envelope: what every refusal looks like, and the one mapping from failures to status and code.

mod chat;
pub(super) mod files;
pub(super) mod git;
mod process;

pub use files::fault_code;

use std::error::Error;

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use utoipa::ToSchema;

use super::types::files::edits::MissBody;
use crate::desktop::{
    DesktopError,
    access::{ActError, ManageError, PictureError, ShareError},
    batch::{BatchError, By, DeedError},
    capture::CaptureError,
    clipboard::{ClipboardError, Kind},
    input::InputError,
    vocabulary::check::{BadAction, Fault},
    windows::WindowError,
};

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
    /// Tag of what is there instead of what was demanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Edits that could not be made, one record each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub edits: Vec<MissBody>,
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
            etag: None,
            edits: Vec::new(),
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

    /// Adds the tag of what is there, given without quotes.
    #[must_use]
    pub fn with_etag(mut self, tag: Option<&str>) -> Self {
        self.0.body.etag = tag.map(|tag| format!("\"{tag}\""));
        self
    }

    /// Adds the edits that could not be made.
    #[must_use]
    pub fn with_edits(mut self, edits: Vec<MissBody>) -> Self {
        self.0.body.edits = edits;
        self
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Gives it another sentence.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<String>) -> Self {
        self.0.body.message = message.into();
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

    /// Says in what the fields are that it names, as in `actions[3].`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        for validation in &mut self.0.body.validations {
            validation.field.insert_str(0, path);
        }
        self
    }

    /// What the caller would get, to be told as a part of an answer.
    pub fn into_body(self) -> ErrorBody {
        self.0.body
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
            CaptureError::SettleUnsupported => (StatusCode::NOT_IMPLEMENTED, "settle_unsupported"),
            CaptureError::Resize { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "resize_refused"),
        };
        Self::new(status, code, sentence(&error)).with_cause(&error)
    }
}

impl From<InputError> for ApiError {
    fn from(error: InputError) -> Self {
        let cause = match &error {
            InputError::TextBroke { source, .. } => source,
            other => other,
        };
        let (status, code) = match cause {
            // A text breaks off once.
            InputError::TextBroke { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "display_failed"),
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
        let answer = Self::new(status, code, sentence(&error)).with_cause(&error);
        match &error {
            InputError::TextBroke { source, .. } => answer.with_detail(source.to_string()),
            _ => answer,
        }
    }
}

impl From<ClipboardError> for ApiError {
    fn from(error: ClipboardError) -> Self {
        let (status, code) = match &error {
            ClipboardError::Empty(_) => (StatusCode::NOT_FOUND, "clipboard_empty"),
            ClipboardError::NoSuchKind { .. } => (StatusCode::NOT_ACCEPTABLE, "not_on_offer"),
            ClipboardError::TooLarge { .. } => {
                (StatusCode::PAYLOAD_TOO_LARGE, "clipboard_too_large")
            }
            ClipboardError::OwnerSilent { .. } => {
                (StatusCode::GATEWAY_TIMEOUT, "clipboard_owner_silent")
            }
            ClipboardError::OwnerGone(_) => (StatusCode::BAD_GATEWAY, "clipboard_owner_gone"),
            ClipboardError::Contested(_) => (StatusCode::CONFLICT, "clipboard_contested"),
            ClipboardError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            ClipboardError::Unreachable(_) | ClipboardError::ConnectionLost { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "desktop_connection_lost")
            }
            ClipboardError::Refused { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "display_failed"),
        };
        let answer = Self::new(status, code, sentence(&error)).with_cause(&error);
        match &error {
            ClipboardError::NoSuchKind { offered, .. } => answer.with_detail(on_offer(offered)),
            _ => answer,
        }
    }
}

/// Names of targets are the owner's words: few, and cut short.
fn on_offer(kinds: &[Kind]) -> String {
    let names = kinds
        .iter()
        .take(32)
        .map(|kind| match kind.name().char_indices().nth(80) {
            Some((end, _)) => &kind.name()[..end],
            None => kind.name(),
        });
    match names.collect::<Vec<_>>().join(", ") {
        nothing if nothing.is_empty() => "on offer: nothing".to_owned(),
        names => format!("on offer: {names}"),
    }
}

impl From<WindowError> for ApiError {
    fn from(error: WindowError) -> Self {
        let (status, code) = match &error {
            WindowError::NoSuchWindow(_) => (StatusCode::NOT_FOUND, "no_such_window"),
            WindowError::NoEffect { .. } => (StatusCode::CONFLICT, "no_effect"),
            WindowError::NotSupported => (StatusCode::SERVICE_UNAVAILABLE, "no_window_manager"),
            WindowError::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            WindowError::Unreachable(_) | WindowError::ConnectionLost { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "desktop_connection_lost")
            }
            WindowError::Refused { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "display_failed"),
        };
        Self::new(status, code, sentence(&error)).with_cause(&error)
    }
}

impl From<ShareError> for ApiError {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Desktop(error) => error.into(),
            ShareError::Clipboard(error) => error.into(),
        }
    }
}

impl From<ManageError> for ApiError {
    fn from(error: ManageError) -> Self {
        match error {
            ManageError::Desktop(error) => error.into(),
            ManageError::Window(error) => error.into(),
        }
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

impl From<DeedError> for ApiError {
    fn from(error: DeedError) -> Self {
        match error {
            DeedError::Input(error) => error.into(),
            DeedError::Capture(error) => error.into(),
            DeedError::Clipboard(error) => error.into(),
            DeedError::Window(error) => error.into(),
            DeedError::NotPasted => Self::new(StatusCode::CONFLICT, "not_pasted", sentence(&error)),
            DeedError::NotRun => Self::new(StatusCode::CONFLICT, "not_run", sentence(&error)),
        }
    }
}

impl From<BatchError> for ApiError {
    fn from(error: BatchError) -> Self {
        let (sentence, text) = (sentence(&error), error.to_string());
        let field = match error {
            BatchError::Desktop(error) => return error.into(),
            BatchError::Capture(error) => return error.into(),
            BatchError::Input(error) => return error.into(),
            BatchError::PointOutside { index, .. } => format!("actions[{index}]"),
            BatchError::RegionOutside { by, .. } => match by {
                By::Deed(index) => format!("actions[{index}].region"),
                By::Settle => "settle.ignore".to_owned(),
                By::Picture => "screenshot.region".to_owned(),
            },
        };
        Self::bad_request("out_of_frame", sentence).with_validation(field, text)
    }
}

impl From<BadAction> for ApiError {
    fn from(error: BadAction) -> Self {
        let message = error.message.clone();
        let detail = error.detail.unwrap_or_else(|| message.clone());
        let code = match error.fault {
            Fault::Field => "invalid_request",
            Fault::ControlCharacter => "control_character",
            Fault::OutOfFrame => "out_of_frame",
        };
        Self::bad_request(code, message).with_validation(error.field.to_owned(), detail)
    }
}

/// An error's own words as a sentence for the caller.
pub(super) fn sentence(error: &dyn Error) -> String {
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
