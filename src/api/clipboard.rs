//! The clipboard routes: check, convert, forward, answer.

use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

use super::{
    desktop::{DEADLINE, within},
    error::{ApiError, ErrorBody},
    extract::{Query, read_body},
    state::ApiState,
    types::clipboard::{ClipboardQuery, accepted, content_type, kind_of},
};
use crate::desktop::clipboard::{Content, Kind, MAX_BYTES};

/// Bodies that are read at once; the next one waits. Each may be [`MAX_BYTES`] long.
static BODIES: Semaphore = Semaphore::const_new(8);

const SUPPORTED: &str = "supported: text/plain, text/html (UTF-8), image/png";

/// What lies on the clipboard, in the kind that `Accept` names: text when it names none.
#[utoipa::path(get, path = "/api/v0/desktop/clipboard", tag = "desktop", params(ClipboardQuery),
    responses((status = 200, description = "The content; text is UTF-8",
                content((String = "text/plain"), (String = "text/html"), (Vec<u8> = "image/png"))),
              (status = 400, description = "The selection is not known", body = ErrorBody),
              (status = 404, description = "`clipboard_empty`", body = ErrorBody),
              (status = 406, description = "`not_acceptable`: no kind that we speak; `not_on_offer`: `detail` names what is there", body = ErrorBody),
              (status = 413, description = "`clipboard_too_large`: more than 10 MB", body = ErrorBody),
              (status = 502, description = "`clipboard_owner_gone`", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, or `busy`", body = ErrorBody),
              (status = 504, description = "`clipboard_owner_silent`", body = ErrorBody)))]
pub async fn read_clipboard(
    State(api): State<ApiState>,
    Query(query): Query<ClipboardQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let selection = query.selection()?;
    let accept = headers
        .get(header::ACCEPT)
        .map(|value| value.to_str().unwrap_or("invalid"));
    let wanted = accepted(accept);
    if wanted.is_empty() {
        let message = "The clipboard is not to be had in any of the accepted media types.";
        let refusal = ApiError::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable", message);
        return Err(refusal.with_detail(SUPPORTED));
    }
    let item = within(DEADLINE, async {
        Ok(api.desktop().copied(selection, wanted).await?)
    })
    .await?;
    // HTML that some page put there must not run as ours when a browser shows this answer.
    let headers: [(HeaderName, HeaderValue); 6] = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static(content_type(&item.kind)),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::VARY, HeaderValue::from_static("Accept")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("default-src 'none'; sandbox"),
        ),
    ];
    Ok((headers, item.bytes).into_response())
}

/// Puts text, HTML or a PNG onto the clipboard, in place of what lies there. At most 10 MB.
#[utoipa::path(put, path = "/api/v0/desktop/clipboard", tag = "desktop", params(ClipboardQuery),
    request_body(content((String = "text/plain"), (String = "text/html"), (Vec<u8> = "image/png"))),
    responses((status = 204, description = "It lies there"),
              (status = 400, description = "The selection is not known, or `invalid_utf8`", body = ErrorBody),
              (status = 409, description = "`clipboard_contested`: another program copied at the same moment", body = ErrorBody),
              (status = 413, description = "`body_too_large`", body = ErrorBody),
              (status = 415, description = "`unsupported_media_type`", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, or `busy`", body = ErrorBody)))]
pub async fn write_clipboard(
    State(api): State<ApiState>,
    Query(query): Query<ClipboardQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, ApiError> {
    let selection = query.selection()?;
    let kind = match headers.get(header::CONTENT_TYPE) {
        None => Some(Kind::Text),
        Some(value) => value.to_str().ok().and_then(kind_of),
    };
    let kind = kind.ok_or_else(|| {
        let message = "The clipboard does not carry this media type.";
        let unsupported = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        ApiError::new(unsupported, "unsupported_media_type", message).with_detail(SUPPORTED)
    })?;
    within(DEADLINE, async {
        let place = BODIES.acquire().await.expect("it is never closed");
        let bytes = read_body(body, MAX_BYTES).await?;
        if kind != Kind::Png && std::str::from_utf8(&bytes).is_err() {
            let message = "The body is not valid UTF-8.";
            return Err(ApiError::bad_request("invalid_utf8", message));
        }
        let content = Content::one(kind, bytes);
        api.desktop().copy(selection, content).await?;
        drop(place);
        Ok(StatusCode::NO_CONTENT)
    })
    .await
}
