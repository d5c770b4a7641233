//! `POST /write-file`: a body becomes a file, whole or not at all.

use axum::{
    Json,
    body::Body,
    extract::State,
    http::{HeaderMap, header},
};

use super::{
    conditions::{content_digest, demands},
    query::{Fields, invalid},
    receive::Incoming,
};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        identity::Work,
        state::ApiState,
        types::{files::write::WriteAnswer, tool_calls::ToolCallHeaders},
    },
    vfs::{
        path::ClientPath,
        write::{Admitted, Request, Written},
    },
};

/// Writes the body to a file: it is replaced in one step when all has come, and is as it was otherwise. Links are followed;
/// missing directories are made. `Expect: 100-continue` is answered after the first checks.
#[utoipa::path(method(post, put), path = "/api/v0/write-file", tag = "files",
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The content, of any size"),
    params(("path" = String, Query, description = "Absolute path; any bytes, percent-encoded", pattern = "^/"),
           ("mkdir" = Option<bool>, Query, description = "`false`: a missing directory is 404"),
           ("mode" = Option<String>, Query, description = "Permissions in octal, the umask not applied", pattern = "^[0-7]{1,4}$"),
           ("append" = Option<bool>, Query, description = "To the end of what is there"),
           ("fsync" = Option<bool>, Query, description = "On disk before the answer"),
           ("expected_sha256" = Option<String>, Query, description = "What the caller believes is there", pattern = "^[0-9a-fA-F]{64}$"),
           ("If-Match" = Option<String>, Header, description = "Tags: one of them must be there; `*`: anything"),
           ("If-None-Match" = Option<String>, Header, description = "`*`: nothing may be there"),
           ("Content-Digest" = Option<String>, Header, description = "`sha-256=:…:`, what is being sent (RFC 9530)"),
           ToolCallHeaders),
    responses((status = 200, description = "It was written", body = WriteAnswer),
              (status = 400, description = "`invalid_field`, `path_not_absolute`, `not_a_file`, `not_a_directory`, `not_regular_file`, `link_loop`, `name_too_long`, `body_incomplete`, `digest_mismatch`, `refuses_root`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`: a directory is missing", body = ErrorBody),
              (status = 408, description = "`body_timeout`", body = ErrorBody),
              (status = 409, description = "`file_busy`, `changed_meanwhile`; with the headers of a tool call `stale_tool_call`, `tool_call_canceled`, `input_mismatch`, `agent_started_after_tool_call`", body = ErrorBody),
              (status = 412, description = "`precondition_failed`", body = ErrorBody),
              (status = 503, description = "`mount_busy`", body = ErrorBody),
              (status = 507, description = "`no_space`, `quota_exceeded`", body = ErrorBody)))]
pub async fn write_file(
    State(api): State<ApiState>,
    work: Work,
    headers: HeaderMap,
    fields: Fields,
    body: Body,
) -> Result<Json<WriteAnswer>, ApiError> {
    let mut incoming = Incoming::new(body);
    let outcome = match read_query(fields, &headers) {
        Ok((path, request)) => receive(&api, &path, request, &mut incoming)
            .await
            .inspect(|_| work.on([&path]))
            .map(|written| WriteAnswer::new(path.given(), &written)),
        Err(error) => Err(error),
    };
    if outcome.is_err() {
        incoming.refuse(headers.contains_key(header::EXPECT)).await;
    }
    outcome.map(Json)
}

fn read_query(mut fields: Fields, headers: &HeaderMap) -> Result<(ClientPath, Request), ApiError> {
    let path = fields.path("path")?;
    let length = headers.get(header::CONTENT_LENGTH);
    let request = Request {
        demands: demands(headers, &mut fields)?,
        digest: content_digest(headers)?,
        no_parents: !fields.flag("mkdir", true)?,
        mode: mode(&mut fields)?,
        append: fields.flag("append", false)?,
        sync: fields.flag("fsync", false)?,
        size: length.and_then(|length| length.to_str().ok()?.parse().ok()),
    };
    fields.finish()?;
    Ok((path, request))
}

/// Permissions in octal digits.
fn mode(fields: &mut Fields) -> Result<Option<u32>, ApiError> {
    let Some(text) = fields.text("mode")? else {
        return Ok(None);
    };
    let digits = text.len() <= 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let mode = u32::from_str_radix(&text, 8).ok();
    match mode.filter(|mode| digits && *mode <= 0o7777) {
        Some(mode) => Ok(Some(mode)),
        None => Err(invalid(
            "mode",
            format!("{text:?} is not a mode in octal digits"),
        )),
    }
}

/// While some pieces are written, the next are received.
async fn receive(
    api: &ApiState,
    path: &ClientPath,
    request: Request,
    incoming: &mut Incoming,
) -> Result<Written, ApiError> {
    let view = api.vfs().view();
    let admitted = Admitted::new(api.vfs(), &view, path, request).await?;
    let mut pieces = incoming.several().await?;
    let mut writing = admitted.begin().await?;
    while !pieces.is_empty() {
        let write = async { writing.write(pieces).await.map_err(ApiError::from) };
        ((), pieces) = tokio::try_join!(write, incoming.several())?;
    }
    Ok(writing.commit().await?)
}
