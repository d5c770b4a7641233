//! A part of the tree as a directory of the machine.

use axum::{Json, extract::State};

use crate::{
    api::{
        error::{ApiError, ErrorBody},
        identity::Work,
        processes::Checked,
        state::ApiState,
        types::files::materialize::{MaterializeAnswer, MaterializeBody},
    },
    vfs::materialize::MaterializeError,
};

/// Copies a directory to a new one of the machine, as the tree shows it, so that programs can work on it.
#[utoipa::path(post, path = "/api/v0/materialize", tag = "mounts", request_body = MaterializeBody,
    responses((status = 200, description = "It is there", body = MaterializeAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_directory`, `link_loop`, `not_on_host`, `bad_pattern`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 409, description = "`already_exists`, `changed_meanwhile`", body = ErrorBody),
              (status = 507, description = "`no_space`", body = ErrorBody)))]
pub async fn materialize_tree(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<MaterializeBody>,
) -> Result<Json<MaterializeAnswer>, ApiError> {
    let made = api.vfs().materialize(body.check()?).await?;
    work.on_bytes([&made.path[..]]);
    Ok(Json(made.into()))
}

impl From<MaterializeError> for ApiError {
    fn from(error: MaterializeError) -> Self {
        let message = format!("{error}.");
        match error {
            MaterializeError::Change(error) => error.into(),
            MaterializeError::Glob(bad) => crate::vfs::listing::ListError::Glob(bad).into(),
            MaterializeError::NotOnHost { .. } => Self::bad_request("not_on_host", message),
        }
    }
}
