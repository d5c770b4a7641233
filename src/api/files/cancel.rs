//! Cancelling the tool calls of the routes that write: one that has not come will not run, one that runs is waited for.

use axum::response::Response;

use crate::api::{
    error::ErrorBody,
    tool_call::Cancel,
    types::tool_calls::{CancelAnswer, ToolCallHeaders},
};

/// Sees to it that a call of `write-file` does not run, or waits for its end.
#[utoipa::path(post, path = "/api/v0/write-file/{uuid}/cancel", tag = "files",
    params(("uuid" = String, Path, description = "Id of the tool call", format = Uuid), ToolCallHeaders),
    responses((status = 200, description = "It has ended, or will not run", body = CancelAnswer),
              (status = 400, description = "`invalid_field`: no headers, bad ones, or of another tool call", body = ErrorBody),
              (status = 409, description = "`stale_tool_call`, `agent_started_after_tool_call`", body = ErrorBody)))]
pub async fn cancel_write_file(cancel: Cancel) -> Response {
    cancel.answer().await
}

/// Sees to it that a call of `edit-files` does not run, or waits for its end.
#[utoipa::path(post, path = "/api/v0/edit-files/{uuid}/cancel", tag = "files",
    params(("uuid" = String, Path, description = "Id of the tool call", format = Uuid), ToolCallHeaders),
    responses((status = 200, description = "It has ended, or will not run", body = CancelAnswer),
              (status = 400, description = "`invalid_field`: no headers, bad ones, or of another tool call", body = ErrorBody),
              (status = 409, description = "`stale_tool_call`, `agent_started_after_tool_call`", body = ErrorBody)))]
pub async fn cancel_edit_files(cancel: Cancel) -> Response {
    cancel.answer().await
}

/// Handlers that differ in nothing but their route.
macro_rules! cancels {
    ($($name:ident $path:tt)*) => {$(
        /// Sees to it that a tool call of this route does not run, or waits for its end.
        #[utoipa::path(post, path = $path, tag = "files",
            params(("uuid" = String, Path, description = "Id of the tool call", format = Uuid), ToolCallHeaders),
            responses((status = 200, description = "It has ended, or will not run", body = CancelAnswer),
                      (status = 400, description = "`invalid_field`: no headers, bad ones, or of another tool call", body = ErrorBody),
                      (status = 409, description = "`stale_tool_call`, `agent_started_after_tool_call`", body = ErrorBody)))]
        pub async fn $name(cancel: Cancel) -> Response {
            cancel.answer().await
        }
    )*};
}

cancels! {
    cancel_make_directory "/api/v0/mkdir/{uuid}/cancel"
    cancel_remove_entry "/api/v0/remove/{uuid}/cancel"
    cancel_move_entry "/api/v0/move/{uuid}/cancel"
    cancel_copy_entry "/api/v0/copy/{uuid}/cancel"
    cancel_change_mode "/api/v0/chmod/{uuid}/cancel"
    cancel_touch_entry "/api/v0/touch/{uuid}/cancel"
    cancel_write_archive "/api/v0/archive/{uuid}/cancel"
    cancel_make_mount "/api/v0/mounts/{uuid}/cancel"
    cancel_materialize_tree "/api/v0/materialize/{uuid}/cancel"
}
