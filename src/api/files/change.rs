//! Changes of the tree: directories, removal, moves, copies, permissions, times.

use axum::{Json, extract::State};

use crate::{
    api::{
        error::{ApiError, ErrorBody},
        identity::Work,
        processes::Checked,
        state::ApiState,
        types::files::{
            entry::EntryBody,
            tree::{
                ChmodAnswer, ChmodBody, CopyAnswer, MakeDirAnswer, MakeDirBody, MoveAnswer,
                RelocateBody, RemoveAnswer, RemoveBody, TouchBody,
            },
        },
    },
    vfs::{
        describe::{Described, Details},
        listing::spelled,
        path::ClientPath,
        view::{Place, View},
    },
};

/// Makes a directory.
#[utoipa::path(post, path = "/api/v0/mkdir", tag = "files", request_body = MakeDirBody,
    responses((status = 200, description = "It is there", body = MakeDirAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_directory`, `link_loop`, `name_too_long`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`: a directory above is missing", body = ErrorBody),
              (status = 409, description = "`already_exists`", body = ErrorBody),
              (status = 507, description = "`no_space`, `quota_exceeded`", body = ErrorBody)))]
pub async fn make_directory(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<MakeDirBody>,
) -> Result<Json<MakeDirAnswer>, ApiError> {
    let (path, how) = body.check()?;
    let (view, place, created) = api.vfs().make_dir(&path, how).await?;
    work.on([&path]);
    let entry = entry(&api, &view, path, place).await?;
    Ok(Json(MakeDirAnswer { entry, created }))
}

/// Removes an entry; a link itself, never what it leads to.
#[utoipa::path(post, path = "/api/v0/remove", tag = "files", request_body = RemoveBody,
    responses((status = 200, description = "It is gone", body = RemoveAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_directory`, `link_loop`, `refuses_root`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 409, description = "`directory_not_empty`, `file_busy`", body = ErrorBody),
              (status = 412, description = "`precondition_failed`", body = ErrorBody)))]
pub async fn remove_entry(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<RemoveBody>,
) -> Result<Json<RemoveAnswer>, ApiError> {
    let (path, how) = body.check()?;
    let removed = api.vfs().remove(&path, how).await?;
    work.on([&path]);
    Ok(Json(RemoveAnswer { removed }))
}

/// Gives an entry another name: in one step within a mount, by a copy that is compared across mounts.
#[utoipa::path(post, path = "/api/v0/move", tag = "files", request_body = RelocateBody,
    responses((status = 200, description = "The entry under its new name", body = MoveAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_file`, `not_a_directory`, `link_loop`, `refuses_root`, `not_supported`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 409, description = "`already_exists`, `directory_not_empty`, `changed_meanwhile`, `file_busy`", body = ErrorBody),
              (status = 412, description = "`precondition_failed`", body = ErrorBody),
              (status = 507, description = "`no_space`, `quota_exceeded`", body = ErrorBody)))]
pub async fn move_entry(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<RelocateBody>,
) -> Result<Json<MoveAnswer>, ApiError> {
    let relocation = body.check()?;
    let (from, to) = (relocation.from.clone(), relocation.to.clone());
    let moved = api.vfs().relocate(relocation).await?;
    work.on([&from, &to]);
    let entry = entry(&api, &moved.view, to, moved.place).await?;
    Ok(Json(MoveAnswer {
        entry,
        lost: moved.tally.lost(),
        left: moved.left.into_iter().map(Into::into).collect(),
    }))
}

/// Copies an entry, a directory with all that is in it. It appears whole or not at all.
#[utoipa::path(post, path = "/api/v0/copy", tag = "files", request_body = RelocateBody,
    responses((status = 200, description = "The copy", body = CopyAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_file`, `not_a_directory`, `not_regular_file`, `link_loop`, `refuses_root`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 409, description = "`already_exists`, `directory_not_empty`, `changed_meanwhile`, `file_busy`", body = ErrorBody),
              (status = 507, description = "`no_space`, `quota_exceeded`", body = ErrorBody)))]
pub async fn copy_entry(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<RelocateBody>,
) -> Result<Json<CopyAnswer>, ApiError> {
    let relocation = body.check()?;
    let to = relocation.to.clone();
    let copied = api.vfs().copy(relocation).await?;
    work.on([&to]);
    let entry = entry(&api, &copied.view, to, copied.place).await?;
    Ok(Json(CopyAnswer {
        entry,
        files: copied.tally.files,
        bytes: copied.tally.bytes,
        skipped: copied.tally.skipped,
        lost: copied.tally.lost(),
    }))
}

/// Sets permissions.
#[utoipa::path(post, path = "/api/v0/chmod", tag = "files", request_body = ChmodBody,
    responses((status = 200, description = "How many changed", body = ChmodAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_directory`, `link_loop`, `not_supported`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn change_mode(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<ChmodBody>,
) -> Result<Json<ChmodAnswer>, ApiError> {
    let (path, how) = body.check()?;
    let changed = api.vfs().chmod(&path, how).await?;
    work.on([&path]);
    Ok(Json(ChmodAnswer { changed }))
}

/// Sets the time of the last change; makes an empty file where there is none.
#[utoipa::path(post, path = "/api/v0/touch", tag = "files", request_body = TouchBody,
    responses((status = 200, description = "The entry", body = EntryBody),
              (status = 400, description = "`invalid_field`, `invalid_json`, `path_not_absolute`, `not_a_directory`, `link_loop`, `not_supported`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `read_only`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 507, description = "`no_space`, `quota_exceeded`", body = ErrorBody)))]
pub async fn touch_entry(
    State(api): State<ApiState>,
    work: Work,
    Checked(body): Checked<TouchBody>,
) -> Result<Json<EntryBody>, ApiError> {
    let (path, create, mtime) = body.check()?;
    let (view, place) = api.vfs().touch(&path, create, mtime).await?;
    work.on([&path]);
    Ok(Json(entry(&api, &view, path, place).await?))
}

/// The entry at a place that was just changed.
async fn entry(
    api: &ApiState,
    view: &View,
    path: ClientPath,
    place: Place,
) -> Result<EntryBody, ApiError> {
    let given = path.clone();
    let told = api.vfs().run(view, &path, move |view, wanted| {
        let described = Described::place(view, spelled(&given, &place.path), &place)?;
        let details = Details::of(&place, false, wanted)?;
        Ok(EntryBody::detailed(&described, &details))
    });
    Ok(told.await?)
}
