//! The window routes: check, convert, forward, answer.

use axum::{Json as JsonAnswer, extract::State, http::StatusCode};

use super::{
    desktop::{DEADLINE, within},
    error::{ApiError, ErrorBody},
    extract::{Json, OptionalJson, Segment},
    state::ApiState,
    types::windows::{MoveBody, SwitchBody, WindowBody, WindowSizeBody, WindowsBody, window_id},
};
use crate::desktop::windows::{Verb, WindowError};

/// The windows that the window manager lists, the topmost first.
#[utoipa::path(get, path = "/api/v0/desktop/windows", tag = "desktop",
    responses((status = 200, description = "The windows", body = WindowsBody),
              (status = 503, description = "The desktop cannot start, `no_window_manager`, or `busy`", body = ErrorBody)))]
pub async fn list_windows(
    State(api): State<ApiState>,
) -> Result<JsonAnswer<WindowsBody>, ApiError> {
    let windows = within(DEADLINE, async { Ok(api.desktop().windows().await?) }).await?;
    let windows = windows.into_iter().map(WindowBody::from).collect();
    Ok(JsonAnswer(WindowsBody { windows }))
}

/// Shows a window, raises it and gives it the keyboard.
#[utoipa::path(post, path = "/api/v0/desktop/windows/{id}/focus", tag = "desktop",
    params(("id" = String, Path, description = "Window id, decimal or with 0x", pattern = "^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$")),
    responses((status = 200, description = "The window as it is now", body = WindowBody),
              (status = 400, description = "`invalid_request`: no id of a window", body = ErrorBody),
              (status = 404, description = "`no_such_window`", body = ErrorBody),
              (status = 409, description = "`no_effect`: nothing was seen of it within 1 s", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, `no_window_manager`, or `busy`", body = ErrorBody)))]
pub async fn focus_window(
    State(api): State<ApiState>,
    Segment(id): Segment,
) -> Result<JsonAnswer<WindowBody>, ApiError> {
    shown(&api, &id, Verb::Focus).await
}

/// Asks a window's program to close it. The program may ask back, and then this is 409.
#[utoipa::path(post, path = "/api/v0/desktop/windows/{id}/close", tag = "desktop",
    params(("id" = String, Path, description = "Window id, decimal or with 0x", pattern = "^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$")),
    responses((status = 204, description = "It is gone"),
              (status = 400, description = "`invalid_request`: no id of a window", body = ErrorBody),
              (status = 404, description = "`no_such_window`", body = ErrorBody),
              (status = 409, description = "`no_effect`: it was there after 1 s", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, `no_window_manager`, or `busy`", body = ErrorBody)))]
pub async fn close_window(
    State(api): State<ApiState>,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    let id = window_id(&id)?;
    within(DEADLINE, async {
        Ok(api.desktop().manage(id, Verb::Close).await?)
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Puts the top left corner of a window there, in native pixels; its frame goes around it.
#[utoipa::path(post, path = "/api/v0/desktop/windows/{id}/move", tag = "desktop", request_body = MoveBody,
    params(("id" = String, Path, description = "Window id, decimal or with 0x", pattern = "^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$")),
    responses((status = 200, description = "The window as it is now: the window manager may have granted less", body = WindowBody),
              (status = 400, description = "`invalid_request`: no id of a window, or a coordinate out of range", body = ErrorBody),
              (status = 404, description = "`no_such_window`", body = ErrorBody),
              (status = 409, description = "`no_effect`: nothing was seen of it within 1 s", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, `no_window_manager`, or `busy`", body = ErrorBody)))]
pub async fn move_window(
    State(api): State<ApiState>,
    Segment(id): Segment,
    Json(body): Json<MoveBody>,
) -> Result<JsonAnswer<WindowBody>, ApiError> {
    shown(&api, &id, body.verb()?).await
}

/// Gives a window a size in native pixels, as far as its program takes such sizes.
#[utoipa::path(post, path = "/api/v0/desktop/windows/{id}/resize", tag = "desktop", request_body = WindowSizeBody,
    params(("id" = String, Path, description = "Window id, decimal or with 0x", pattern = "^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$")),
    responses((status = 200, description = "The window as it is now: terminals take whole characters only", body = WindowBody),
              (status = 400, description = "`invalid_request`: no id of a window, or a side out of range", body = ErrorBody),
              (status = 404, description = "`no_such_window`", body = ErrorBody),
              (status = 409, description = "`no_effect`: nothing was seen of it within 1 s", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, `no_window_manager`, or `busy`", body = ErrorBody)))]
pub async fn resize_window(
    State(api): State<ApiState>,
    Segment(id): Segment,
    Json(body): Json<WindowSizeBody>,
) -> Result<JsonAnswer<WindowBody>, ApiError> {
    shown(&api, &id, body.verb()?).await
}

/// Takes a window off the screen; with `{"on": false}` shows it again and gives it the keyboard.
#[utoipa::path(post, path = "/api/v0/desktop/windows/{id}/minimize", tag = "desktop", request_body = Option<SwitchBody>,
    params(("id" = String, Path, description = "Window id, decimal or with 0x", pattern = "^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$")),
    responses((status = 200, description = "The window as it is now", body = WindowBody),
              (status = 400, description = "`invalid_request`: no id of a window, or a wrong body", body = ErrorBody),
              (status = 404, description = "`no_such_window`", body = ErrorBody),
              (status = 409, description = "`no_effect`: nothing was seen of it within 1 s", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, `no_window_manager`, or `busy`", body = ErrorBody)))]
pub async fn minimize_window(
    State(api): State<ApiState>,
    Segment(id): Segment,
    OptionalJson(body): OptionalJson<SwitchBody>,
) -> Result<JsonAnswer<WindowBody>, ApiError> {
    shown(&api, &id, Verb::Minimize(is_on(body))).await
}

/// Lets a window fill the screen; with `{"on": false}` gives it its size back.
#[utoipa::path(post, path = "/api/v0/desktop/windows/{id}/maximize", tag = "desktop", request_body = Option<SwitchBody>,
    params(("id" = String, Path, description = "Window id, decimal or with 0x", pattern = "^(0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$")),
    responses((status = 200, description = "The window as it is now", body = WindowBody),
              (status = 400, description = "`invalid_request`: no id of a window, or a wrong body", body = ErrorBody),
              (status = 404, description = "`no_such_window`", body = ErrorBody),
              (status = 409, description = "`no_effect`: nothing was seen of it within 1 s", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, `no_window_manager`, or `busy`", body = ErrorBody)))]
pub async fn maximize_window(
    State(api): State<ApiState>,
    Segment(id): Segment,
    OptionalJson(body): OptionalJson<SwitchBody>,
) -> Result<JsonAnswer<WindowBody>, ApiError> {
    shown(&api, &id, Verb::Maximize(is_on(body))).await
}

fn is_on(body: Option<SwitchBody>) -> bool {
    body.and_then(|body| body.on).unwrap_or(true)
}

async fn shown(api: &ApiState, id: &str, verb: Verb) -> Result<JsonAnswer<WindowBody>, ApiError> {
    let id = window_id(id)?;
    let window = within(DEADLINE, async {
        Ok(api.desktop().manage(id, verb).await?)
    })
    .await?;
    let window = window.ok_or(WindowError::NoSuchWindow(id))?;
    Ok(JsonAnswer(window.into()))
}
