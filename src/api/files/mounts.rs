//! Mounts: which there are, making and removing them.

use axum::{Json, extract::State, http::StatusCode};
use uuid::Uuid;

use crate::{
    api::{
        error::{ApiError, ErrorBody},
        extract::Segment,
        identity::Work,
        processes::Checked,
        state::ApiState,
        types::files::mounts::{MountBody, MountOrderBody, MountsAnswer},
    },
    vfs::{path::ClientPath, table::TableError},
};

/// All mounts, in the order of their paths.
#[utoipa::path(get, path = "/api/v0/mounts", tag = "mounts",
    responses((status = 200, description = "The mounts", body = MountsAnswer)))]
pub async fn list_mounts(State(api): State<ApiState>) -> Json<MountsAnswer> {
    let view = api.vfs().view();
    let mounts = view.table().mounts().map(|mount| MountBody::from(&**mount));
    Json(MountsAnswer {
        mounts: mounts.collect(),
    })
}

/// One mount.
#[utoipa::path(get, path = "/api/v0/mounts/{id}", tag = "mounts",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 200, description = "The mount", body = MountBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn describe_mount(
    State(api): State<ApiState>,
    Segment(id): Segment,
) -> Result<Json<MountBody>, ApiError> {
    let view = api.vfs().view();
    let mount = view.table().by_id(mount_id(&id)?);
    let mount = mount.ok_or_else(not_found)?;
    Ok(Json(MountBody::from(&**mount)))
}

/// Makes a mount. It is ready when this is answered.
#[utoipa::path(post, path = "/api/v0/mounts", tag = "mounts", request_body = MountOrderBody,
    responses((status = 201, description = "The mount", body = MountBody),
              (status = 400, description = "`invalid_field`, `invalid_json`, `mount_point_is_link`, `not_on_host`, `not_supported`", body = ErrorBody),
              (status = 403, description = "`source_not_allowed`, `permission_denied`, `git_unsafe_owner`", body = ErrorBody),
              (status = 404, description = "`not_found`, `git_unknown_revision`", body = ErrorBody),
              (status = 409, description = "`already_mounted`", body = ErrorBody),
              (status = 507, description = "`mount_limit`", body = ErrorBody)))]
pub async fn make_mount(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<MountOrderBody>,
) -> Result<(StatusCode, Json<MountBody>), ApiError> {
    let keep = body.keep.unwrap_or(false);
    let order = body.check()?;
    let at = ClientPath::of(&order.at);
    let mount = api.vfs().mount_order(order, keep).await?;
    work.on([&at]);
    Ok((StatusCode::CREATED, Json(MountBody::from(&*mount))))
}

/// Takes a mount away. Requests that run go on with it.
#[utoipa::path(delete, path = "/api/v0/mounts/{id}", tag = "mounts",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It serves no new request"),
              (status = 400, description = "`refuses_root`: the root, or from the configuration", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn remove_mount(
    State(api): State<ApiState>,
    work: Work,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    let mount = api.vfs().unmount(mount_id(&id)?).await?;
    work.on([&ClientPath::of(mount.at())]);
    Ok(StatusCode::NO_CONTENT)
}

fn mount_id(text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text).map_err(|_| not_found())
}

fn not_found() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "not_found",
        "There is no such mount.",
    )
}

impl From<TableError> for ApiError {
    fn from(error: TableError) -> Self {
        let (status, code) = match &error {
            TableError::Taken(_) => (StatusCode::CONFLICT, "already_mounted"),
            TableError::Full => (StatusCode::INSUFFICIENT_STORAGE, "mount_limit"),
            TableError::Unknown(_) => return not_found(),
            TableError::Fixed(_) => (StatusCode::BAD_REQUEST, "refuses_root"),
        };
        Self::new(status, code, format!("{error}."))
    }
}
