//! The process routes: check, convert, forward, answer.

use std::{sync::Arc, time::Duration};

use axum::{
    Json as JsonAnswer,
    extract::{FromRequest, Path, Request, State, rejection::PathRejection},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use tokio::sync::watch;
use uuid::Uuid;

pub use super::checked::{Checked, CheckedOptional, CheckedQuery};
use super::{
    access_log::REQUEST_ID,
    error::{ApiError, ErrorBody},
    identity::{Identity, Visitor},
    state::ApiState,
    tool_call::{Cancel, ForToolCall},
    types::{
        process_answers::{
            GapBody, MessageAnswer, OutputBody, ProcessBody, ProcessListAnswer, StartAnswer,
            TokenAnswer, TruncatedBody, state_name,
        },
        processes::{LONGEST_WAIT, ListQuery, OutputFormat, OutputQuery, SignalBody, StartBody},
        tool_calls::{CancelAnswer, ToolCallHeaders},
    },
    workdir::work_on_machine,
};
use crate::{
    chat::scope::Scope,
    desktop::Running,
    proc::{
        entry::Entry,
        environment::Variables,
        error::BeyondEnd,
        excerpt::{clean, excerpt, whole_start},
        history::{HEAD_BYTES, View},
        record::{Ending, State as ProcessState, Status, Window},
        spec::Caller,
    },
    toolcall::Ongoing,
};

/// Longest `wait=true` without `wait_ms`.
const USUAL_WAIT: Duration = Duration::from_mins(5);

fn not_found() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "process_not_found",
        "The process was not found.",
    )
}

/// The process of a path. Unknown, foreign and malformed ids are answered alike.
pub(super) fn find(
    api: &ApiState,
    caller: &Caller,
    id: Result<Path<String>, PathRejection>,
) -> Result<Arc<Entry>, ApiError> {
    let id = process_id(id).ok_or_else(not_found)?;
    api.processes().find(caller, id).ok_or_else(not_found)
}

fn process_id(id: Result<Path<String>, PathRejection>) -> Option<Uuid> {
    Uuid::parse_str(&id.ok()?.0).ok()
}

/// Starts a process, or finds the one that has the client token. Answers when the program runs.
#[utoipa::path(post, path = "/api/v0/processes/start", tag = "processes", request_body = StartBody,
    params(ToolCallHeaders),
    responses((status = 200, description = "It runs, or ran already", body = StartAnswer),
              (status = 400, description = "`command_required`, `command_and_argv`, `invalid_field`, `invalid_json`, `not_on_host`, `unknown_user`", body = ErrorBody),
              (status = 403, description = "`outside_mount`, `user_not_permitted`, `scope_required`: another user is for admins", body = ErrorBody),
              (status = 409, description = "`client_token_conflict`, `client_token_wait_aborted`; with the headers of a tool call `stale_tool_call`, `tool_call_canceled`, `input_mismatch`, `agent_started_after_tool_call`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody),
              (status = 422, description = "`limit_unavailable`", body = ErrorBody),
              (status = 429, description = "`too_many_processes`", body = ErrorBody),
              (status = 500, description = "`spawn_failed`, `shutting_down`: nothing ran", body = ErrorBody)))]
pub async fn start_process(
    State(api): State<ApiState>,
    visitor: Visitor,
    Identity(caller): Identity,
    headers: HeaderMap,
    ForToolCall(tool_call): ForToolCall,
    Checked(body): Checked<StartBody>,
) -> Result<Response, ApiError> {
    let waits = body.wait_ms.is_some_and(|wait| wait > 0);
    let (mut request, wait_ms) = body.check()?;
    let user = request.user.as_deref();
    if user.is_some_and(|user| !api.processes().is_default_user(user)) {
        visitor.require(Scope::Admin)?;
    }
    request.id = tool_call.as_ref().map(Ongoing::id);
    work_on_machine(&api, &mut request).await?;
    let request_id = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let request_id = request_id.unwrap_or_default().to_owned();
    let running = api.desktop().running_now();
    let desktop = running.map(|running| desktop_variables(&running));
    let desktop = desktop.unwrap_or_default();
    let started = api
        .processes()
        .start(request, caller, desktop, request_id)
        .await?;
    let entry = started.entry;
    if let Some(call) = tool_call.filter(|call| call.id() == entry.id()) {
        call.can_be_stopped();
    }
    let result = if waits {
        let wait = Duration::from_millis(wait_ms);
        wait_until(&api, &entry, wait, |status| !is_running(status)).await;
        Some(text_body(&entry, View::Merged, 2 * HEAD_BYTES).await)
    } else {
        None
    };
    let answer = StartAnswer {
        id: entry.id().to_string(),
        started: !started.attached,
        attached: started.attached,
        client_token: entry.facts().token.clone().unwrap_or_default(),
        pid: entry.pid(),
        started_at_unix_ms: entry.started_ns() / 1_000_000,
        limits_applied: entry.applied().into(),
        result,
    };
    Ok(JsonAnswer(answer).into_response())
}

/// What a program needs to appear on the desktop.
pub(super) fn desktop_variables(running: &Running) -> Variables {
    let wanted = ["DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"];
    let all = running.environment.iter();
    all.filter(|(name, _)| wanted.iter().any(|wanted| name == wanted))
        .cloned()
        .collect()
}

pub(super) fn is_running(status: &Status) -> bool {
    status.state == ProcessState::Running
}

/// Waits for a status, for the limit, or for the stop. A client that goes away drops this, and nothing else.
async fn wait_until(
    api: &ApiState,
    entry: &Entry,
    limit: Duration,
    done: impl FnMut(&Status) -> bool,
) {
    let mut status: watch::Receiver<Status> = entry.subscribe();
    tokio::select! {
        biased;
        _ = status.wait_for(done) => {}
        () = api.shutdown().stopped() => {}
        () = tokio::time::sleep(limit) => {}
    }
}

/// Processes of the caller, running ones first, then the newest.
#[utoipa::path(get, path = "/api/v0/processes/list", tag = "processes", params(ListQuery),
    responses((status = 200, description = "At most `limit` of them", body = ProcessListAnswer),
              (status = 400, description = "`invalid_field`", body = ErrorBody)))]
pub async fn list_processes(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    CheckedQuery(query): CheckedQuery<ListQuery>,
) -> Result<Response, ApiError> {
    let (found, total) = api.processes().list(&caller, &query.check()?).await;
    let processes = found.iter().map(|entry| ProcessBody::from(&**entry));
    let answer = ProcessListAnswer {
        processes: processes.collect(),
        total,
    };
    Ok(JsonAnswer(answer).into_response())
}

/// Whether a client token has a process.
#[utoipa::path(get, path = "/api/v0/processes/tokens/{token}", tag = "processes",
    params(("token" = String, Path, description = "The token, percent-encoded")),
    responses((status = 200, description = "Whether and which", body = TokenAnswer)))]
pub async fn find_token(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    token: Result<Path<String>, PathRejection>,
) -> Response {
    // Bytes that are no text are no token, either.
    let token = token.map(|Path(token)| token).unwrap_or_default();
    let (state, age) = api.processes().token(&caller, &token).await;
    let answer = TokenAnswer {
        found: state.process.is_some(),
        process_id: state.process.map(|id| id.to_string()).unwrap_or_default(),
        pending: state.pending,
        token_index_age_ms: u64::try_from(age.as_millis()).unwrap_or(u64::MAX),
    };
    JsonAnswer(answer).into_response()
}

/// One process.
#[utoipa::path(get, path = "/api/v0/processes/{id}", tag = "processes",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The process", body = ProcessBody),
              (status = 404, description = "`process_not_found`", body = ErrorBody)))]
pub async fn describe_process(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let entry = find(&api, &caller, id)?;
    Ok(JsonAnswer(ProcessBody::from(&*entry)).into_response())
}

/// Forgets an exited process, its output and its token.
#[utoipa::path(delete, path = "/api/v0/processes/{id}", tag = "processes",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is forgotten"),
              (status = 404, description = "`process_not_found`", body = ErrorBody),
              (status = 409, description = "`process_running`", body = ErrorBody)))]
pub async fn forget_process(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let entry = find(&api, &caller, id)?;
    if api.processes().forget(&entry).await {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    Err(ApiError::new(
        StatusCode::CONFLICT,
        "process_running",
        "The process has not exited, or its output is still open.",
    ))
}

/// What a process printed: head and tail as text, or bytes from a cursor. Can wait.
#[utoipa::path(get, path = "/api/v0/processes/{id}/output", tag = "processes",
    params(("id" = String, Path, description = "Its id"), OutputQuery),
    responses((status = 200, description = "The output; with `format=text` or `raw` alone, the state in `X-Deskd-…` headers",
                content((OutputBody = "application/json"), (String = "text/plain"), (Vec<u8> = "application/octet-stream"))),
              (status = 400, description = "`invalid_field`, `cursor_beyond_end`", body = ErrorBody),
              (status = 404, description = "`process_not_found`", body = ErrorBody)))]
pub async fn read_output(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
    CheckedQuery(query): CheckedQuery<OutputQuery>,
) -> Result<Response, ApiError> {
    let entry = find(&api, &caller, id)?;
    let view: View = query.stream.unwrap_or_default().into();
    let format = query.format.unwrap_or_default();
    let (waits, limit) = wait_of(&query);
    let Some(since) = query.since else {
        if format == OutputFormat::Raw {
            return Err(out_of_range("format", "raw needs since"));
        }
        let max = within(query.max_bytes, 2 * HEAD_BYTES, 1024..=32_768)?;
        if !limit.is_zero() {
            wait_until(&api, &entry, limit, |status| !is_running(status)).await;
        }
        let body = text_body(&entry, view, max).await;
        return Ok(answer_output(body, format));
    };
    let max = within(query.max_bytes, 65_536, 16..=1_048_576)?;
    let at_first = entry.status();
    if since > Entry::total(&at_first, view) {
        let total = Entry::total(&at_first, view);
        let window = Window { start: 0, total };
        return Err(BeyondEnd {
            cursor: since,
            window,
        }
        .into());
    }
    if !limit.is_zero() {
        let state = at_first.state;
        wait_until(&api, &entry, limit, |now| {
            if waits {
                return !is_running(now);
            }
            now.state == ProcessState::Exited
                || now.state != state
                || Entry::total(now, view) > since
        })
        .await;
    }
    Ok(piece_response(&entry, view, since, max, format).await)
}

/// Whether the end of the main process is waited for, and for how long something is.
fn wait_of(query: &OutputQuery) -> (bool, Duration) {
    let waits = query.wait.as_deref() == Some("true");
    let limit = match (query.wait_ms, waits) {
        (Some(wait), _) => Duration::from_millis(wait.min(LONGEST_WAIT)),
        (None, true) => USUAL_WAIT,
        (None, false) => Duration::ZERO,
    };
    (waits, limit)
}

fn out_of_range(field: &str, detail: &str) -> ApiError {
    ApiError::invalid_field(
        format!("The query parameter \"{field}\" is not as it should be."),
        field,
        detail,
    )
    .with_code("invalid_field")
}

fn within(
    asked: Option<usize>,
    usual: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<usize, ApiError> {
    let value = asked.unwrap_or(usual);
    if range.contains(&value) {
        return Ok(value);
    }
    let detail = format!("not from {} to {}", range.start(), range.end());
    Err(out_of_range("max_bytes", &detail))
}

/// Head and tail. The state is read first, the output after it.
async fn text_body(entry: &Arc<Entry>, view: View, limit: usize) -> OutputBody {
    let status = entry.status();
    let total = Entry::total(&status, view);
    let bytes = |count: usize| u64::try_from(count).expect("a length fits");
    let (head, tail) = if total <= bytes(limit) {
        let all = usize::try_from(total).expect("below the limit");
        (entry.head(&status, view, all).await, Vec::new())
    } else {
        let half = limit / 2;
        let head = entry.head(&status, view, half).await;
        let from = total - bytes(half);
        let tail = entry.read(&status, view, from, half).await;
        (head, tail.bytes)
    };
    let shown = excerpt(&head, &tail, total, limit);
    OutputBody {
        output: shown.text,
        truncated: shown.truncated.map(TruncatedBody::from),
        next_cursor: total,
        ..OutputBody::of(&status)
    }
}

async fn piece_response(
    entry: &Arc<Entry>,
    view: View,
    since: u64,
    max: usize,
    format: OutputFormat,
) -> Response {
    let status = entry.status();
    let mut piece = entry.read(&status, view, since, max).await;
    let total = Entry::total(&status, view);
    let last = status.state == ProcessState::Exited && piece.end() == total;
    if format != OutputFormat::Raw && !last {
        piece.bytes.truncate(whole_start(&piece.bytes));
    }
    let gap = (piece.start > since).then(|| GapBody::new(since, piece.start));
    let mut body = OutputBody {
        next_cursor: piece.end(),
        gap,
        ..OutputBody::of(&status)
    };
    if format == OutputFormat::Raw {
        let mut response = raw(piece.bytes).into_response();
        describe(&mut response, &body);
        return response;
    }
    body.output = clean(&piece.bytes);
    answer_output(body, format)
}

fn raw(bytes: Vec<u8>) -> ([(HeaderName, &'static str); 2], Vec<u8>) {
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, bytes)
}

fn answer_output(mut body: OutputBody, format: OutputFormat) -> Response {
    if format == OutputFormat::Json {
        return JsonAnswer(body).into_response();
    }
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    let text = std::mem::take(&mut body.output);
    let mut response = (headers, text).into_response();
    describe(&mut response, &body);
    response
}

/// What JSON says besides, in headers.
fn describe(response: &mut Response, body: &OutputBody) {
    let mut set = |name: &'static str, text: String| {
        let value = HeaderValue::from_str(&text).expect("digits and words");
        response
            .headers_mut()
            .insert(HeaderName::from_static(name), value);
    };
    set("x-deskd-state", body.state.to_owned());
    set("x-deskd-next-cursor", body.next_cursor.to_string());
    if let Some(code) = body.exit_code {
        set("x-deskd-exit-code", code.to_string());
    }
    if let Some(gap) = body.gap {
        set("x-deskd-gap", format!("{}-{}", gap.from, gap.to));
    }
    if let Some(truncated) = &body.truncated {
        set("x-deskd-omitted-bytes", truncated.omitted_bytes.to_string());
    }
}

/// Signals the process group; `kill` reaches all members.
#[utoipa::path(post, path = "/api/v0/processes/{id}/signal", tag = "processes", request_body = SignalBody,
    params(("id" = String, Path, description = "Its id"), ToolCallHeaders),
    responses((status = 200, description = "It was sent", body = MessageAnswer),
              (status = 400, description = "`invalid_json`, `signal_required`, `unsupported_signal`", body = ErrorBody),
              (status = 404, description = "`process_not_found`", body = ErrorBody),
              (status = 409, description = "`process_exited`; with the headers of a tool call `stale_tool_call`, `tool_call_canceled`, `input_mismatch`, `agent_started_after_tool_call`", body = ErrorBody),
              (status = 500, description = "`signal_failed`", body = ErrorBody)))]
pub async fn signal_process(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let id = process_id(id);
    if id.is_some_and(|id| api.processes().is_foreign(&caller, id)) {
        return Err(not_found());
    }
    let Checked(body) = Checked::<SignalBody>::from_request(request, &api).await?;
    let signal = body.check()?;
    let entry = id.and_then(|id| api.processes().find(&caller, id));
    let entry = entry.ok_or_else(not_found)?;
    api.processes().signal(&entry, signal).await?;
    let answer = MessageAnswer {
        message: format!(
            "signal {} sent to process {}",
            crate::sys::signals::name(signal),
            entry.id()
        ),
    };
    Ok(JsonAnswer(answer).into_response())
}

/// Cancels a tool call: ends the process that it started, or sees to it that it will not run when it comes.
#[utoipa::path(post, path = "/api/v0/processes/{uuid}/cancel", tag = "processes",
    params(("uuid" = String, Path, description = "Id of the tool call", format = Uuid), ToolCallHeaders),
    responses((status = 200, description = "It has ended, or will not run", body = CancelAnswer),
              (status = 400, description = "`invalid_field`: no headers, bad ones, or of another tool call", body = ErrorBody),
              (status = 409, description = "`stale_tool_call`, `agent_started_after_tool_call`", body = ErrorBody)))]
pub async fn cancel_tool_call(
    State(api): State<ApiState>,
    Identity(caller): Identity,
    cancel: Cancel,
) -> Response {
    let end = |id| {
        let entry = api.processes().find(&caller, id);
        let processes = api.processes().clone();
        async move {
            if let Some(entry) = entry {
                processes.end(&entry).await;
            }
        }
    };
    cancel.answer_stopping(end).await
}

/// The exit object of live streams.
pub(super) fn exit_object(status: &Status) -> serde_json::Value {
    let body = OutputBody::of(status);
    serde_json::json!({
        "exit_code": status.ending.as_ref().map(Ending::exit_code),
        "ending": body.ending,
        "resources": body.resources,
        "state": state_name(status.state),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_have_an_end() {
        let of = |wait: Option<&str>, wait_ms| {
            wait_of(&OutputQuery {
                wait: wait.map(str::to_owned),
                wait_ms,
                ..OutputQuery::default()
            })
        };
        let millis = Duration::from_millis;
        assert_eq!(of(Some("true"), None), (true, Duration::from_mins(5)));
        assert_eq!(of(Some("true"), Some(7)), (true, millis(7)));
        assert_eq!(of(None, Some(u64::MAX)), (false, millis(14_400_000)));
        assert_eq!(of(Some("1"), None), (false, Duration::ZERO));
    }
}
