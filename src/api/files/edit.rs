//! `POST /edit-files`: texts of files are replaced by others, in all files or in none.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, StatusCode, header},
};

use super::{query::Fields, receive::Incoming};
use crate::{
    api::{
        error::{ApiError, ErrorBody, fault_code},
        identity::Work,
        state::ApiState,
        types::{
            files::{
                edits::{EditFilesAnswer, EditFilesBody, EditedBody, MissBody},
                names::shown,
            },
            tool_calls::ToolCallHeaders,
        },
    },
    proc::excerpt::clean,
    vfs::{
        edit::Refusal,
        fault::{Fault, Kind},
        path::{PathError, quoted},
        rewrite::{MAX_FILE, Miss, Problem, Refused, RewriteError, State as FileState, rewrite},
    },
};

/// Replaces texts in files, in all of them or in none. A text is looked for as it stands; when it is not there, its lines are
/// compared without the blanks at their ends, and then without their indentation.
#[utoipa::path(post, path = "/api/v0/edit-files", tag = "files", request_body = EditFilesBody,
    params(ToolCallHeaders),
    responses((status = 200, description = "All edits were made", body = EditFilesAnswer),
              (status = 400, description = "`invalid_json`, `invalid_field`, `no_files`, `no_edits`, `duplicate_path`, `path_not_absolute`, `not_a_file`, `not_regular_file`, `search_empty`, `search_not_found`, `search_ambiguous`, `search_blank`; `edits` has a record of each", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 409, description = "`file_busy`, `changed_meanwhile`; with the headers of a tool call `stale_tool_call`, `tool_call_canceled`, `input_mismatch`, `agent_started_after_tool_call`", body = ErrorBody),
              (status = 412, description = "`precondition_failed`; the tag stands in `edits`", body = ErrorBody),
              (status = 413, description = "`file_too_large`, `body_too_large`", body = ErrorBody),
              (status = 500, description = "`io_error`; `rollback_failed`: the message tells the state of each file", body = ErrorBody),
              (status = 507, description = "`no_space`, `quota_exceeded`", body = ErrorBody)))]
pub async fn edit_files(
    State(api): State<ApiState>,
    work: Work,
    headers: HeaderMap,
    fields: Fields,
    body: Body,
) -> Result<Json<EditFilesAnswer>, ApiError> {
    let mut incoming = Incoming::new(body);
    let outcome = match fields.finish() {
        Ok(()) => incoming.whole(api.vfs().surroundings().max_edit_body).await,
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        incoming.refuse(headers.contains_key(header::EXPECT)).await;
    }
    let body: EditFilesBody = serde_json::from_slice(&outcome?).map_err(|error| {
        ApiError::bad_request(
            "invalid_json",
            "Request body must be valid JSON of the edits.",
        )
        .with_detail(error.to_string())
    })?;
    let (wants_files, results) = (body.wants_files(), body.include_results.unwrap_or(false));
    let request = body.request()?;
    let dry_run = request.dry_run;
    let paths: Vec<_> = request.files.iter().map(|file| file.path.clone()).collect();
    let view = api.vfs().view();
    let edited = rewrite(api.vfs(), &view, request).await.map_err(refusal)?;
    if !dry_run {
        work.on_bytes(paths.iter().map(|path| &path[..]));
    }
    let files = paths.iter().zip(edited);
    let files = files.map(|(path, edited)| EditedBody::new(path, edited, results));
    Ok(Json(EditFilesAnswer {
        files: wants_files.then(|| files.collect()),
    }))
}

fn refusal(error: RewriteError) -> ApiError {
    let message = error.to_string();
    match error {
        RewriteError::NoFiles => ApiError::bad_request("no_files", message),
        RewriteError::Duplicate { .. } => ApiError::bad_request("duplicate_path", message),
        RewriteError::Locked(locked) => locked.into(),
        RewriteError::Busy(fault) => fault.into(),
        RewriteError::Misses(misses) => missed(&misses),
        RewriteError::Write { source, .. } => ApiError::from(source).with_detail(message),
        RewriteError::RollBack { states, source } => {
            let states: Vec<_> = states
                .iter()
                .map(|(path, state)| told(&path.to_string(), state))
                .collect();
            ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "rollback_failed",
                format!("{message}:\n{}", states.join("\n")),
            )
            .with_detail(source.to_string())
            .with_cause(&source)
        }
    }
}

fn told(path: &str, state: &FileState) -> String {
    match state {
        FileState::Old => format!("{path}: as it was before"),
        FileState::New(fault) => format!("{path}: has the new content, because: {fault}"),
    }
}

/// One line for each miss, then what is near. The status is the highest.
fn missed(misses: &[Miss]) -> ApiError {
    let told: Vec<_> = misses.iter().map(Told::new).collect();
    let worst = told.iter().rev().max_by_key(|told| told.status);
    let worst = worst.expect("there is a miss");
    let lines: Vec<_> = told.iter().map(|told| told.line.as_str()).collect();
    let mut message = lines.join("\n");
    for (miss, told) in misses.iter().zip(&told) {
        if let Problem::Refused(refused) = &miss.problem {
            let excerpt = clean(&refused.report.excerpt());
            if !excerpt.is_empty() {
                let number = refused.change;
                message = format!("{message}\n\n{}, edit {number}: {excerpt}", told.path);
            }
        }
    }
    let records = misses
        .iter()
        .zip(&told)
        .map(|(miss, told)| record(miss, told));
    ApiError::new(worst.status, worst.code, message.trim_end()).with_edits(records.collect())
}

/// A miss in words.
struct Told {
    status: StatusCode,
    code: &'static str,
    path: String,
    line: String,
}

impl Told {
    fn new(miss: &Miss) -> Self {
        let path = quoted(&miss.path);
        let told = |status, code, line: String| Self {
            status,
            code,
            path: path.clone(),
            line,
        };
        let bad = |code, line| told(StatusCode::BAD_REQUEST, code, line);
        match &miss.problem {
            Problem::NoPath => bad("invalid_field", "\"path\" is required".to_owned()),
            Problem::Path(PathError::NotAbsolute) => bad(
                "path_not_absolute",
                format!("{path}: file path must be absolute"),
            ),
            Problem::Path(error) => bad(path_code(*error), format!("{path}: {error}")),
            Problem::NoChanges => bad(
                "no_edits",
                format!("{path}: must specify at least one edit"),
            ),
            Problem::Fault(fault) => told(
                ApiError::from(fault.clone()).status(),
                fault_code(fault.kind()),
                line_of(&path, fault),
            ),
            Problem::TooLarge => told(
                StatusCode::PAYLOAD_TOO_LARGE,
                "file_too_large",
                format!(
                    "{path}: a file may have at most {MAX_FILE} bytes, before and after, and all together four times as many"
                ),
            ),
            Problem::Unmet(_) => told(
                StatusCode::PRECONDITION_FAILED,
                "precondition_failed",
                format!("{path}: what is there is not what was demanded"),
            ),
            Problem::Refused(refused) => {
                let why = refused.report.explanation();
                let line = format!("{path}: edit {}: {}{why}", refused.change, refused.refusal);
                bad(refusal_code(refused), line)
            }
        }
    }
}

fn path_code(error: PathError) -> &'static str {
    match error {
        PathError::TooLong(_) | PathError::NameTooLong(_) => "name_too_long",
        _ => "invalid_path",
    }
}

fn line_of(path: &str, fault: &Fault) -> String {
    match fault.kind() {
        Kind::IsADirectory => format!("{path}: not a file"),
        Kind::NotFound => format!("{path}: file does not exist"),
        Kind::PermissionDenied => format!("{path}: permission denied"),
        Kind::NotRegular => format!("{path}: not a regular file"),
        _ => format!("{path}: {fault}"),
    }
}

fn refusal_code(refused: &Refused) -> &'static str {
    match refused.refusal {
        Refusal::EmptySearch => "search_empty",
        Refusal::NotFound => "search_not_found",
        Refusal::Blank => "search_blank",
        Refusal::Ambiguous { .. } => "search_ambiguous",
        Refusal::TooLarge { .. } => "file_too_large",
    }
}

fn record(miss: &Miss, told: &Told) -> MissBody {
    let path = shown(&miss.path);
    let mut body = MissBody {
        file: miss.file,
        path: path.text,
        path_base64: path.base64,
        code: told.code,
        ..MissBody::default()
    };
    match &miss.problem {
        Problem::Unmet(tag) => body.etag = Some(format!("\"{tag}\"")),
        Problem::Refused(refused) => {
            let report = &refused.report;
            body.edit = Some(refused.change);
            if let Refusal::Ambiguous { lines, .. } = &refused.refusal {
                body.lines.clone_from(lines);
            }
            body.nearest = report.nearest.as_ref().map(Into::into);
            body.incomplete = report.incomplete;
            body.hints.clone_from(&report.hints);
        }
        _ => {}
    }
    body
}
