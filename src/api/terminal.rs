//! Standard input and terminals of processes.

use std::time::Duration;

use axum::{
    Json as JsonAnswer,
    body::Body,
    extract::{Path, State, rejection::PathRejection},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;

use super::{
    error::{ApiError, ErrorBody},
    extract::discard,
    identity::Identity,
    processes::{Checked, CheckedQuery, find, is_running},
    state::ApiState,
    types::{
        process_answers::{ScreenAnswer, ScreenCursor, StdinAnswer},
        processes::{SizeBody, StdinQuery},
    },
};
use crate::proc::{entry::Entry, input::Turn};

/// Time between two parts of an input body.
const BODY_IDLE: Duration = Duration::from_secs(30);

/// The body goes to standard input as it arrives; bodies of several clients one after the other.
#[utoipa::path(post, path = "/api/v0/processes/{id}/stdin", tag = "processes",
    params(("id" = String, Path, description = "Its id"), StdinQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses((status = 200, description = "All of it was taken", body = StdinAnswer),
              (status = 400, description = "`invalid_field`: a wrong query", body = ErrorBody),
              (status = 404, description = "`process_not_found`", body = ErrorBody),
              (status = 408, description = "`request_timeout`: the body did not go on for 30 s", body = ErrorBody),
              (status = 409, description = "`stdin_not_open`, `stdin_closed` (with `written`)", body = ErrorBody),
              (status = 429, description = "`stdin_busy`", body = ErrorBody),
              (status = 504, description = "`stdin_stalled` (with `written`)", body = ErrorBody)))]
pub async fn write_input(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
    CheckedQuery(query): CheckedQuery<StdinQuery>,
    body: Body,
) -> Result<Response, ApiError> {
    let entry = find(&api, &caller, id)?;
    let mut body = body;
    let mut turn = match take_body(&entry, &mut body).await {
        Ok(turn) => turn,
        Err(error) => {
            discard(&mut body).await;
            return Err(error);
        }
    };
    let eof = query.eof.unwrap_or(false);
    if eof {
        match entry.input().end_of_file() {
            Some(byte) => turn.write(&[byte]).await?,
            None => api.processes().close_input(&entry).await,
        }
    }
    let mut written = turn.written();
    if eof && entry.facts().pty {
        written -= 1; // the sign of the end is not of the body
    }
    Ok(JsonAnswer(StdinAnswer { written, eof }).into_response())
}

/// Waits for its turn, and gives the process the body as it comes.
async fn take_body(entry: &Entry, body: &mut Body) -> Result<Turn, ApiError> {
    let mut turn = entry.input().turn().await?;
    loop {
        let frame = tokio::time::timeout(BODY_IDLE, body.frame()).await;
        let Some(frame) = frame.map_err(|_| body_timeout())? else {
            return Ok(turn);
        };
        let frame = frame.map_err(|error| {
            ApiError::bad_request("body_incomplete", "The body could not be read to its end.")
                .with_detail(error.to_string())
        })?;
        if let Ok(data) = frame.into_data() {
            turn.write(&data).await?;
        }
    }
}

fn body_timeout() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "request_timeout",
        format!("The body did not go on for {} s.", BODY_IDLE.as_secs()),
    )
}

/// Changes the size of the terminal.
#[utoipa::path(post, path = "/api/v0/processes/{id}/resize", tag = "processes", request_body = SizeBody,
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "It has the new size", body = SizeBody),
              (status = 400, description = "`invalid_field`", body = ErrorBody),
              (status = 404, description = "`process_not_found`", body = ErrorBody),
              (status = 409, description = "`not_a_pty`, `process_exited`", body = ErrorBody)))]
pub async fn resize_terminal(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
    Checked(body): Checked<SizeBody>,
) -> Result<Response, ApiError> {
    let entry = find(&api, &caller, id)?;
    let (rows, columns) = body.check()?;
    entry.input().resize(rows, columns)?;
    Ok(JsonAnswer(body).into_response())
}

/// What stands on the terminal of a process, as text.
#[utoipa::path(get, path = "/api/v0/processes/{id}/screen", tag = "processes",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "Rows of text and the cursor", body = ScreenAnswer),
              (status = 404, description = "`process_not_found`", body = ErrorBody),
              (status = 409, description = "`not_a_pty`", body = ErrorBody)))]
pub async fn read_screen(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let entry = find(&api, &caller, id)?;
    let running = is_running(&entry.status());
    let Some(grid) = entry.screen().await else {
        return Err(crate::proc::error::InputError::NoTerminal.into());
    };
    let answer = ScreenAnswer {
        rows: grid.rows,
        cols: grid.columns,
        lines: grid.lines,
        cursor: ScreenCursor {
            row: grid.cursor_row,
            col: grid.cursor_column,
            visible: grid.cursor_visible,
        },
        alternate_screen: grid.alternate,
        title: grid.title,
        next_cursor: grid.cursor,
        running,
    };
    Ok(JsonAnswer(answer).into_response())
}
