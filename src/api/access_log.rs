//! One line and one metric a request; request ids; a panic ends its own request only.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;
use tracing::Span;

use super::{
    error::{ApiError, Cause},
    identity::{self, Visitor},
    state::ApiState,
};
use crate::telemetry::RequestLabels;

/// Header that carries the request id both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the line of a request says. It is logged when it is dropped: that of a WebSocket at its end.
#[derive(Debug)]
struct Line {
    started: Instant,
    method: Method,
    route: String,
    status: StatusCode,
    request_id: String,
    visitor: Option<Visitor>,
    cause: Option<Cause>,
}

impl Drop for Line {
    fn drop(&mut self) {
        let (method, route, request_id) = (&self.method, &self.route, &self.request_id);
        let (status, duration_us) = (self.status.as_u16(), self.started.elapsed().as_micros());
        let Fields {
            chat_id,
            ancestor_chat_ids,
            token_id,
        } = Fields::of(self.visitor.as_ref());
        let cause = self.cause.as_ref().map(|cause| cause.0.as_str());
        if self.status.is_server_error() {
            tracing::error!(%method, route, status, duration_us, request_id, chat_id, ancestor_chat_ids, token_id, cause, "request");
        } else {
            tracing::info!(%method, route, status, duration_us, request_id, chat_id, ancestor_chat_ids, token_id, cause, "request");
        }
    }
}

/// Whose request it is, for the log.
#[derive(Debug, Default)]
struct Fields {
    chat_id: Option<String>,
    ancestor_chat_ids: Option<String>,
    token_id: Option<String>,
}

impl Fields {
    fn of(visitor: Option<&Visitor>) -> Self {
        let Some(visitor) = visitor else {
            return Self::default();
        };
        let above = visitor.ancestors();
        Self {
            chat_id: visitor.chat().map(|chat| chat.to_string()),
            ancestor_chat_ids: (!above.is_empty()).then(|| identity::joined(above)),
            token_id: visitor.token_id().map(|id| id.to_string()),
        }
    }
}

/// The span of a request: whose it is stands on every line of it, and of the work that it starts.
pub(super) fn span(headers: &HeaderMap, visitor: &Visitor) -> Span {
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let Fields {
        chat_id,
        ancestor_chat_ids,
        token_id,
    } = Fields::of(Some(visitor));
    tracing::error_span!("for", request_id, chat_id, ancestor_chat_ids, token_id)
}

/// Where the line of a WebSocket waits for its end: in the answer that upgrades it, and with whoever serves it.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail(Arc<OnceLock<Line>>);

/// Wraps every request, outermost of all layers.
pub async fn observe(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    // Handlers name it to what outlives the request.
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    // The panic hook has logged where it happened.
    let mut response = answered.unwrap_or_else(|_| panicked());
    let elapsed = started.elapsed();
    let labels = RequestLabels {
        method: label(&method),
        route: route.clone(),
        status: response.status().as_u16(),
    };
    state
        .metrics()
        .request_seconds
        .get_or_create(&labels)
        .observe(elapsed.as_secs_f64());
    let line = Line {
        started,
        method,
        route,
        status: response.status(),
        request_id: id.to_str().unwrap_or_default().to_owned(),
        visitor: response.extensions_mut().remove(),
        cause: response.extensions_mut().remove(),
    };
    if let Some(tail) = response.extensions_mut().remove::<Tail>() {
        let _ = tail.0.set(line);
    }
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// The caller's id when it is short and printable, else a new one.
fn request_id(request: &Request) -> HeaderValue {
    let sent = request.headers().get(REQUEST_ID).filter(|value| {
        let bytes = value.as_bytes();
        (1..=128).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
    });
    sent.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&uuid::Uuid::now_v7().to_string()).expect("a UUID is ASCII")
    })
}

/// Standard methods by name; others would let a client grow the label set.
fn label(method: &Method) -> String {
    match method.as_str() {
        known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known,
        _ => "OTHER",
    }
    .to_owned()
}

pub(super) fn panicked() -> Response {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal_error",
        "Something failed inside deskd; its log has the cause beside the request id.",
    )
    .into_response()
}
