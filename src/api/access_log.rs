//! One line and one metric a request; request ids; a panic ends its own request only.

use std::{panic::AssertUnwindSafe, time::Instant};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderName, HeaderValue, StatusCode},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::FutureExt;

use super::{
    error::{ApiError, Cause},
    identity,
    state::ApiState,
};
use crate::telemetry::RequestLabels;

/// Header that carries the request id both ways.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Wraps every request, outermost of all layers.
pub async fn observe(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(&request);
    // Handlers name it to what outlives the request.
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let caller = identity::caller(request.headers());
    let chat_id = caller.chat.map(tracing::field::display);
    let above = (!caller.ancestors.is_empty()).then(|| identity::joined(&caller.ancestors));
    let ancestor_chat_ids = above.as_deref();
    let method = request.method().clone();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| path.as_str().to_owned());
    let answered = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    // The panic hook has logged where it happened.
    let mut response = answered.unwrap_or_else(|_| panicked());
    let status = response.status();
    let elapsed = started.elapsed();
    let cause = response.extensions_mut().remove::<Cause>();
    let cause = cause.as_ref().map(|cause| cause.0.as_str());
    let request_id = id.to_str().unwrap_or_default();
    let (status_code, duration_us) = (status.as_u16(), elapsed.as_micros());
    if status.is_server_error() {
        tracing::error!(%method, route, status = status_code, duration_us, request_id, chat_id, ancestor_chat_ids, cause, "request");
    } else {
        tracing::info!(%method, route, status = status_code, duration_us, request_id, chat_id, ancestor_chat_ids, cause, "request");
    }
    let labels = RequestLabels {
        method: label(&method),
        route,
        status: status_code,
    };
    state
        .metrics()
        .request_seconds
        .get_or_create(&labels)
        .observe(elapsed.as_secs_f64());
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
fn label(method: &axum::http::Method) -> String {
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
