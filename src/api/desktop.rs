//! The desktop routes: check, convert, forward, answer.

use std::{future::Future, time::Duration};

use axum::{
    Json as JsonAnswer,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    error::{ApiError, ErrorBody},
    extract::{Json, Query},
    identity::Visitor,
    state::ApiState,
    types::{
        desktop::{
            ActionAnswer, ActionBody, DesktopBody, InputBody, LastErrorBody, PictureBody,
            ResizeBody, ScreenshotQuery, ViewerBody,
        },
        settle::{self as settling, SettledBody},
    },
};
use crate::chat::scope::Scope;
use crate::desktop::{
    DesktopError,
    access::{ActError, PictureError},
    geometry::{Frame, Size},
    picture::{Answer, Picture, PictureRequest},
    provider::Provider,
    settle::Rest,
    vocabulary::coder::{CoderCommand, CoderRequest},
};

/// Time for anything that does not wait on purpose. Starting a desktop has limits of its own below this.
pub(super) const DEADLINE: Duration = Duration::from_mins(1);

/// Longest request that holds a key on purpose, and some time to start and to queue.
const ACTION_DEADLINE: Duration = Duration::from_mins(7);

/// Gives up on work that takes too long; dropping the work cancels it.
pub(super) async fn within<T>(
    deadline: Duration,
    work: impl Future<Output = Result<T, ApiError>>,
) -> Result<T, ApiError> {
    tokio::time::timeout(deadline, work)
        .await
        .unwrap_or_else(|_| {
            Err(ApiError::new(
                StatusCode::GATEWAY_TIMEOUT,
                "deadline_exceeded",
                format!("The request was not done within {} s.", deadline.as_secs()),
            ))
        })
}

/// The desktop's state. Starts nothing.
#[utoipa::path(get, path = "/api/v0/desktop", tag = "desktop",
    responses((status = 200, description = "The state", body = DesktopBody),
              (status = 503, description = "`desktop_disabled`", body = ErrorBody)))]
pub async fn describe_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
) -> Result<Response, ApiError> {
    if api.desktop().is_disabled() {
        return Err(DesktopError::Disabled.into());
    }
    let status = api.desktop().status();
    let running = api.desktop().running_now();
    let size = match &running {
        // A desktop that dies meanwhile has no size; its state says so in a moment.
        Some(running) => {
            let asked = async { Ok(running.attached.screen.native_size().await.ok()) };
            within(DEADLINE, asked).await?
        }
        None => None,
    };
    let body = DesktopBody {
        state: status.state.name(),
        provider: status.provider.map(Provider::name),
        display: status.display,
        xauthority: status.xauthority.map(|path| path.display().to_string()),
        width: size.map(|size| size.width),
        height: size.map(|size| size.height),
        pid: status.pid,
        uptime_ms: status.started_at.map(|at| millis(at.elapsed())),
        restarts: status.restarts,
        last_error: status.last_error.map(|error| LastErrorBody {
            message: error.message,
            log_tail: error.log_tail,
        }),
        viewers: api
            .viewers()
            .list()
            .into_iter()
            .map(ViewerBody::from)
            .collect(),
        input_held: running.is_some_and(|running| running.attached.input.any_held()),
        may_control: visitor.may(Scope::DesktopControl),
    };
    Ok(JsonAnswer(body).into_response())
}

/// Starts the desktop and waits until it runs.
#[utoipa::path(post, path = "/api/v0/desktop/start", tag = "desktop",
    responses((status = 200, description = "It runs", body = DesktopBody),
              (status = 503, description = "It cannot start", body = ErrorBody)))]
pub async fn start_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
) -> Result<Response, ApiError> {
    within(DEADLINE, async { Ok(api.desktop().start().await?) }).await?;
    describe_desktop(State(api), visitor).await
}

/// Stops the desktop and everything on it, and waits until it is gone.
#[utoipa::path(post, path = "/api/v0/desktop/stop", tag = "desktop",
    responses((status = 200, description = "It is stopped", body = DesktopBody),
              (status = 503, description = "`desktop_disabled`", body = ErrorBody)))]
pub async fn stop_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
) -> Result<Response, ApiError> {
    within(DEADLINE, async { Ok(api.desktop().stop().await?) }).await?;
    describe_desktop(State(api), visitor).await
}

/// Stops the desktop, starts it again and waits until it runs.
#[utoipa::path(post, path = "/api/v0/desktop/restart", tag = "desktop",
    responses((status = 200, description = "It runs again", body = DesktopBody),
              (status = 503, description = "It cannot start", body = ErrorBody)))]
pub async fn restart_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
) -> Result<Response, ApiError> {
    within(DEADLINE, async { Ok(api.desktop().restart().await?) }).await?;
    describe_desktop(State(api), visitor).await
}

/// Changes the native size without a restart.
#[utoipa::path(post, path = "/api/v0/desktop/resize", tag = "desktop", request_body = ResizeBody,
    responses((status = 200, description = "It has the new size", body = DesktopBody),
              (status = 400, description = "The size is out of range", body = ErrorBody),
              (status = 503, description = "It cannot start", body = ErrorBody)))]
pub async fn resize_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<ResizeBody>,
) -> Result<Response, ApiError> {
    let size = body.size()?;
    within(DEADLINE, async { Ok(api.desktop().resize(size).await?) }).await?;
    describe_desktop(State(api), visitor).await
}

/// One action in the words of the Coder workspace agent. The body is checked before anything starts.
#[utoipa::path(post, path = "/api/v0/desktop/action", tag = "desktop", request_body = ActionBody,
    responses((status = 200, description = "Done", body = ActionAnswer),
              (status = 400, description = "The body is not as it should be", body = ErrorBody),
              (status = 500, description = "The desktop cannot start, or failed", body = ErrorBody)))]
pub async fn perform_action(
    State(api): State<ApiState>,
    visitor: Visitor,
    Json(body): Json<ActionBody>,
) -> Result<Response, ApiError> {
    if !matches!(body.action.as_str(), "screenshot" | "cursor_position") {
        visitor.require(Scope::DesktopControl)?;
    }
    let command = CoderCommand::new(&body.into())?;
    within(ACTION_DEADLINE, async move {
        match &command.request {
            CoderRequest::Screenshot => {
                let native = api
                    .desktop()
                    .native_size()
                    .await
                    .map_err(compatible_picture)?;
                let frame = Frame::new(command.declared.0, command.declared.1, native);
                let Size { width, height } = frame.declared();
                let request = PictureRequest {
                    width: Some(width),
                    height: Some(height),
                    ..PictureRequest::default()
                };
                match api
                    .desktop()
                    .picture(request)
                    .await
                    .map_err(compatible_picture)?
                {
                    Answer::Picture(picture) => Ok(action_picture(&picture)),
                    Answer::Unchanged { .. } => unreachable!("nothing was named to compare with"),
                }
            }
            CoderRequest::Input(action) => {
                let performed = api
                    .desktop()
                    .perform(action.clone(), command.declared)
                    .await;
                let outcome = performed.map_err(compatible_act)?;
                Ok(JsonAnswer(ActionAnswer {
                    output: command.output(&outcome),
                    screenshot_data: String::new(),
                    screenshot_width: None,
                    screenshot_height: None,
                })
                .into_response())
            }
        }
    })
    .await
}

fn compatible_picture(error: PictureError) -> ApiError {
    match error {
        PictureError::Desktop(error) => failed_to_start(error),
        PictureError::Capture(error) => error.into(),
    }
}

fn compatible_act(error: ActError) -> ApiError {
    match error {
        ActError::Desktop(error) => failed_to_start(error),
        ActError::Input(error) => error.into(),
    }
}

/// The compatible route words every failed start alike; the cause is the detail.
pub(super) fn failed_to_start(error: DesktopError) -> ApiError {
    if matches!(error, DesktopError::Disabled) {
        return error.into();
    }
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "desktop_start_failed",
        "Failed to start desktop session.",
    )
    .with_detail(super::error::chain(&error))
    .with_cause(&error)
}

/// Written by hand: the picture would be copied twice more by a serializer that looks for quotes in it.
fn action_picture(picture: &Picture) -> Response {
    let head = br#"{"output":"screenshot","screenshot_data":""#;
    let tail = format!(
        r#"","screenshot_width":{},"screenshot_height":{}}}"#,
        picture.size.width, picture.size.height
    );
    let length = base64::encoded_len(picture.bytes.len(), true).expect("far below usize::MAX");
    let mut body = vec![0; head.len() + length + tail.len()];
    body[..head.len()].copy_from_slice(head);
    STANDARD
        .encode_slice(&picture.bytes, &mut body[head.len()..head.len() + length])
        .expect("the slice has the encoded length");
    body[head.len() + length..].copy_from_slice(tail.as_bytes());
    (
        [(header::CONTENT_TYPE, "application/json")],
        Bytes::from(body),
    )
        .into_response()
}

/// A picture of the desktop, on request as soon as the desktop is at rest.
#[utoipa::path(get, path = "/api/v0/desktop/screenshot", tag = "desktop", params(ScreenshotQuery),
    responses((status = 200, description = "The picture; JSON with `Accept: application/json`",
                content((Vec<u8> = "image/png"), (Vec<u8> = "image/jpeg"), (Vec<u8> = "image/webp"), (PictureBody = "application/json")),
                headers(("ETag" = String, description = "Changes only when pixels or cursor changed"),
                        ("X-Deskd-Frame-Size" = String, description = "Size of the picture, `WxH`"),
                        ("X-Deskd-Native-Size" = String, description = "Size of the desktop, `WxH`"),
                        ("X-Deskd-Cursor" = String, description = "Pointer in native pixels, `x,y`"),
                        ("X-Deskd-Reduced" = String, description = "What was lowered for `max_bytes`"),
                        ("X-Deskd-Settled" = String, description = "With `settle_ms`: `still` or `timeout`"))),
              (status = 304, description = "Nothing changed since the ETag of `If-None-Match`"),
              (status = 400, description = "A parameter is wrong, or `out_of_frame`", body = ErrorBody),
              (status = 501, description = "`settle_unsupported`: this desktop does not report changes", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, or `busy`", body = ErrorBody)))]
pub async fn take_screenshot(
    State(api): State<ApiState>,
    Query(query): Query<ScreenshotQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let named = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok());
    let request = query.request(named.map(ToOwned::to_owned))?;
    let wish = query.settle()?;
    let wait = wish.as_ref().map(|rest| rest.timeout).unwrap_or_default();
    let (settled, answer) = within(DEADLINE + wait, async {
        let settled = match wish {
            Some(rest) => Some(settle(&api, &rest, &request).await?),
            None => None,
        };
        Ok((settled, api.desktop().picture(request).await?))
    })
    .await?;
    let mut response = match answer {
        Answer::Unchanged { etag } => {
            (StatusCode::NOT_MODIFIED, [(header::ETAG, etag), no_cache()]).into_response()
        }
        Answer::Picture(picture) => picture_response(&picture, settled, wants_json(&headers)),
    };
    if let Some(settled) = settled {
        let name = HeaderName::from_static("x-deskd-settled");
        let word = HeaderValue::from_static(settled.word());
        response.headers_mut().insert(name, word);
    }
    Ok(response)
}

/// Waits for stillness before a picture is taken.
async fn settle(
    api: &ApiState,
    rest: &Rest,
    request: &PictureRequest,
) -> Result<SettledBody, ApiError> {
    let native = api.desktop().native_size().await?;
    let settle = settling::on(rest, request.frame(native))?;
    Ok(api.desktop().settle(settle, None).await?.into())
}

fn no_cache() -> (HeaderName, String) {
    (header::CACHE_CONTROL, "no-cache".to_owned())
}

fn wants_json(headers: &HeaderMap) -> bool {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.trim_start().starts_with("application/json"))
}

fn picture_response(picture: &Picture, settled: Option<SettledBody>, json: bool) -> Response {
    let mut response = if json {
        JsonAnswer(PictureBody {
            settled,
            ..PictureBody::new(picture)
        })
        .into_response()
    } else {
        let kind = HeaderValue::from_static(picture.format.media_type());
        ([(header::CONTENT_TYPE, kind)], picture.bytes.clone()).into_response()
    };
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, text: String| {
        headers.insert(name, HeaderValue::from_str(&text).expect("printable ASCII"));
    };
    set(header::ETAG, picture.etag.clone());
    set(no_cache().0, no_cache().1);
    set(header::VARY, "Accept".to_owned());
    set(
        HeaderName::from_static("x-deskd-frame-size"),
        format!("{}x{}", picture.size.width, picture.size.height),
    );
    set(
        HeaderName::from_static("x-deskd-native-size"),
        format!("{}x{}", picture.native.width, picture.native.height),
    );
    if let Some(at) = picture.cursor {
        set(
            HeaderName::from_static("x-deskd-cursor"),
            format!("{},{}", at.x, at.y),
        );
    }
    if let Some(reduced) = &picture.reduced {
        set(HeaderName::from_static("x-deskd-reduced"), reduced.clone());
    }
    response
}

/// What is held: by requests of ours, and as the X server reports it.
#[utoipa::path(get, path = "/api/v0/desktop/input", tag = "desktop",
    responses((status = 200, description = "What is held", body = InputBody),
              (status = 503, description = "The desktop cannot start", body = ErrorBody)))]
pub async fn describe_input(
    State(api): State<ApiState>,
) -> Result<JsonAnswer<InputBody>, ApiError> {
    within(DEADLINE, async {
        Ok(JsonAnswer(api.desktop().held().await?.into()))
    })
    .await
}

/// Releases every key and button, and ends the action that runs.
#[utoipa::path(post, path = "/api/v0/desktop/input/reset", tag = "desktop",
    responses((status = 200, description = "What is held now", body = InputBody),
              (status = 503, description = "The desktop cannot start", body = ErrorBody)))]
pub async fn reset_input(State(api): State<ApiState>) -> Result<JsonAnswer<InputBody>, ApiError> {
    within(DEADLINE, async {
        Ok(JsonAnswer(api.desktop().reset_input().await?.into()))
    })
    .await
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
