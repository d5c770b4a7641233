//! A model's tool call in, that vendor's tool result out: check, convert, forward, answer.

use std::sync::Arc;

use axum::{
    Json as JsonAnswer,
    extract::State,
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::Value;

use super::{
    batch::{TIME, deadline},
    desktop::within,
    error::{ApiError, ErrorBody},
    extract::{Json, Query},
    state::ApiState,
    types::computer::{
        ComputerQuery, ToolsQuery,
        anthropic::{self, CallId, ToolResult, ToolUse},
        openai::{self, CallFailure, CallOutput, ComputerCall},
    },
};
use crate::desktop::{
    batch::{BatchError, BatchReport, Declared, Effect},
    capture::CaptureError,
    geometry::Size,
    input::Outcome,
    picture::Picture,
    vocabulary::{anthropic as anthropic_words, check::BadAction, openai as openai_words},
};

/// One call of Anthropic's computer tool: the `tool_use` block, or its `input`. What the model got wrong comes back
/// as a result with `is_error` and a text that tells it what to send.
#[utoipa::path(post, path = "/api/v0/computer/anthropic", tag = "computer", params(ComputerQuery),
    request_body = Value,
    responses((status = 200, description = "The `tool_result` block, or its `content` and `is_error`", body = ToolResult),
              (status = 400, description = "The body is no call, or a parameter is wrong", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, or `busy`", body = ErrorBody)))]
pub async fn use_computer_anthropic(
    State(api): State<ApiState>,
    Query(query): Query<ComputerQuery>,
    Json(body): Json<Value>,
) -> Result<JsonAnswer<ToolResult>, ApiError> {
    let call = ToolUse::new(body)?;
    let fields = call.fields();
    let deeds = match fields.and_then(|fields| anthropic_words::deeds(&fields)) {
        Ok(deeds) => deeds,
        Err(bad) => return Ok(JsonAnswer(ToolResult::failed(call.id, bad.explanation()))),
    };
    let looks = call.action() != "cursor_position";
    let mut batch = query.batch(deeds)?;
    if !looks {
        (batch.picture, batch.settle) = (None, None);
    }
    within(deadline(&batch), async move {
        let report = match api.desktop().run_batch(&batch).await {
            Ok(report) => report,
            Err(error) => return outside(error).map(|text| failed(call.id, text)),
        };
        if let Some(text) = failure(&report) {
            return Ok(failed(call.id, text));
        }
        let text = words(call.action(), &report);
        let picture = match picture(&report) {
            Some(Err(error)) => return Ok(failed(call.id, error.to_string())),
            Some(Ok(picture)) => Some(picture),
            None => None,
        };
        Ok(JsonAnswer(ToolResult::done(
            call.id,
            text,
            picture.map(Arc::as_ref),
        )))
    })
    .await
}

fn failed(id: CallId, text: String) -> JsonAnswer<ToolResult> {
    JsonAnswer(ToolResult::failed(id, text))
}

/// What a model can mend, in words for it; everything else is the caller's to deal with.
fn outside(error: BatchError) -> Result<String, ApiError> {
    let limits = |frame: Size| {
        let (width, height) = (frame.width - 1, frame.height - 1);
        format!(
            "Send x from 0 to {width} and y from 0 to {height}, as you see them in the last screenshot."
        )
    };
    match &error {
        BatchError::PointOutside { frame, .. } | BatchError::RegionOutside { frame, .. } => {
            Ok(format!("{error}. {}", limits(*frame)))
        }
        BatchError::Desktop(_) | BatchError::Capture(_) | BatchError::Input(_) => Err(error.into()),
    }
}

/// Why the first deed that failed did.
fn failure(report: &BatchReport) -> Option<String> {
    let mut errors = report
        .results
        .iter()
        .filter_map(|r| r.result.as_ref().err());
    errors
        .next()
        .map(|error| format!("The action failed: {error}."))
}

/// The picture to answer with: of the last deed, or at the end.
fn picture(report: &BatchReport) -> Option<Result<&Arc<Picture>, CaptureError>> {
    if let Some(picture) = &report.picture {
        return Some(picture.as_ref().map_err(Clone::clone));
    }
    match report.results.last()?.result.as_ref() {
        Ok(Effect::Picture(picture)) => Some(Ok(picture)),
        _ => None,
    }
}

/// What was done, in a sentence.
fn words(action: &str, report: &BatchReport) -> String {
    let done = match report.results.last().and_then(|r| r.result.as_ref().ok()) {
        Some(Effect::Input(Outcome::Pointer(at))) => format!("X={},Y={}", at.x, at.y),
        Some(Effect::Input(Outcome::Typed(text))) => {
            format!("Typed {} characters.", text.characters)
        }
        _ => format!("{action} done."),
    };
    match &report.settled {
        Some(Ok(settled)) if !settled.still => format!(
            "{done} The screen was still changing after {} ms.",
            settled.waited.as_millis()
        ),
        _ => done,
    }
}

/// One `computer_call` of `OpenAI`'s computer tool, with all its actions as one unit.
#[utoipa::path(post, path = "/api/v0/computer/openai", tag = "computer", params(ComputerQuery),
    request_body = Value,
    responses((status = 200, description = "The `computer_call_output` item", body = CallOutput),
              (status = 400, description = "The body is no call, or a parameter is wrong", body = ErrorBody),
              (status = 409, description = "`pending_safety_checks`: ask a person first", body = ErrorBody),
              (status = 422, description = "An action was not done; `input` tells the model what to send", body = CallFailure),
              (status = 503, description = "The desktop cannot start, or `busy`", body = ErrorBody)))]
pub async fn use_computer_openai(
    State(api): State<ApiState>,
    Query(query): Query<ComputerQuery>,
    Json(body): Json<Value>,
) -> Result<Response, ApiError> {
    let call = ComputerCall::new(body)?;
    let deed = |fields: Result<_, BadAction>| fields.and_then(|f| openai_words::deed(&f));
    let deeds: Result<Vec<_>, (usize, BadAction)> = call
        .actions()
        .into_iter()
        .enumerate()
        .map(|(index, fields)| deed(fields).map_err(|bad| (index, bad)))
        .collect();
    within(TIME, async move {
        let (index, bad) = match deeds {
            Ok(deeds) => return run_call(&api, &query, &call, deeds).await,
            Err(bad) => bad,
        };
        let message = format!(
            "Action {index} was not understood, so none was done. {}",
            bad.explanation()
        );
        let error = ApiError::bad_request("invalid_action", message)
            .with_validation(format!("actions[{index}].{}", bad.field), bad.message);
        let seen = look(&api, &query).await?;
        Ok(unprocessable(error, Some(&call.output(&seen))))
    })
    .await
}

async fn run_call(
    api: &ApiState,
    query: &ComputerQuery,
    call: &ComputerCall,
    deeds: Vec<crate::desktop::batch::Deed>,
) -> Result<Response, ApiError> {
    let report = match api.desktop().run_batch(&query.batch(deeds)?).await {
        Ok(report) => report,
        Err(error) => {
            let message = format!("{} None of the actions was done.", outside(error)?);
            let error = ApiError::bad_request("out_of_frame", message);
            let seen = look(api, query).await?;
            return Ok(unprocessable(error, Some(&call.output(&seen))));
        }
    };
    let seen = picture(&report).transpose()?.map(|seen| call.output(seen));
    match (failure(&report), seen) {
        (None, Some(output)) => Ok(JsonAnswer(output).into_response()),
        (failed, output) => {
            let message = failed.unwrap_or_else(|| "There is no picture.".to_owned());
            let error = ApiError::bad_request("action_failed", message);
            Ok(unprocessable(error, output.as_ref()))
        }
    }
}

/// The screen as it is, for a call of which nothing was done.
async fn look(api: &ApiState, query: &ComputerQuery) -> Result<Arc<Picture>, ApiError> {
    let report = api.desktop().run_batch(&query.batch(Vec::new())?).await?;
    match picture(&report) {
        Some(seen) => Ok(seen?.clone()),
        None => Err(CaptureError::Ended.into()),
    }
}

fn unprocessable(error: ApiError, output: Option<&CallOutput>) -> Response {
    let failure = CallFailure::new(error.into_body(), output);
    (StatusCode::UNPROCESSABLE_ENTITY, JsonAnswer(failure)).into_response()
}

/// The definition of the computer tool, to be put into a request to the vendor. Starts the desktop when it must ask it
/// for its size.
#[utoipa::path(get, path = "/api/v0/computer/tools", tag = "computer", params(ToolsQuery),
    responses((status = 200, description = "The definition", body = Value,
                headers(("X-Deskd-Anthropic-Beta" = String, description = "Value of the header `anthropic-beta` that goes with it"))),
              (status = 400, description = "A parameter is wrong", body = ErrorBody),
              (status = 503, description = "The desktop cannot start", body = ErrorBody)))]
pub async fn describe_tool(
    State(api): State<ApiState>,
    Query(query): Query<ToolsQuery>,
) -> Result<Response, ApiError> {
    let declared = super::types::batch::declared(query.width, query.height)?;
    let version = query.version.as_deref();
    within(super::desktop::DEADLINE, async move {
        let size = declared_size(&api, declared).await?;
        match query.vendor.as_str() {
            "anthropic" => {
                let (tool, beta) = anthropic::definition(version, size)?;
                let mut response = JsonAnswer(tool).into_response();
                if let Some(beta) = beta.map(HeaderValue::from_static) {
                    let headers = response.headers_mut();
                    headers.insert("x-deskd-anthropic-beta", beta);
                }
                Ok(response)
            }
            "openai" => Ok(JsonAnswer(openai::definition(version, size)?).into_response()),
            _ => Err(ApiError::invalid_field(
                "There is no such vendor.",
                "vendor",
                "must be anthropic or openai",
            )),
        }
    })
    .await
}

async fn declared_size(api: &ApiState, declared: Declared) -> Result<Size, ApiError> {
    if let Declared {
        width: Some(width),
        height: Some(height),
    } = declared
    {
        return Ok(Size { width, height });
    }
    let native = api.desktop().native_size().await?;
    Ok(declared.frame(native).declared())
}
