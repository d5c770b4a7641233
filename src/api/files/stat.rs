//! What is at a path.

use axum::{Json, extract::State};

use super::query::{Fields, invalid};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        processes::Checked,
        state::ApiState,
        types::files::{
            entry::EntryBody,
            names::{given_list, shown},
            tree::{ResolvePathAnswer, StatAnswer, StatBody, StatResult},
        },
    },
    vfs::{describe::Details, listing::look, path::ClientPath, view::Last},
};

/// Most paths of one request.
const MOST: usize = 1000;

/// Follows all links of a path. What is missing at its end stays.
#[utoipa::path(get, path = "/api/v0/resolve-path", tag = "files",
    params(("path" = String, Query, description = "Absolute path", pattern = "^/")),
    responses((status = 200, description = "Where it leads", body = ResolvePathAnswer),
              (status = 400, description = "`invalid_field`, `path_not_absolute`, `not_a_directory`, `link_loop`, `name_too_long`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody)))]
pub async fn resolve_path(
    State(api): State<ApiState>,
    mut fields: Fields,
) -> Result<Json<ResolvePathAnswer>, ApiError> {
    let path = fields.path("path")?;
    fields.finish()?;
    let (vfs, given) = (api.vfs(), path.clone());
    let view = vfs.view();
    let resolved = vfs.run(&view, &path, move |view, _| {
        Ok(view.resolve(&given, Last::Follow)?.path.to_bytes())
    });
    let resolved = shown(&resolved.await?);
    Ok(Json(ResolvePathAnswer {
        resolved_path: resolved.text,
        resolved_path_base64: resolved.base64,
    }))
}

/// What is at a path.
#[utoipa::path(get, path = "/api/v0/stat", tag = "files",
    params(("path" = String, Query, description = "Absolute path", pattern = "^/"),
           ("follow" = Option<bool>, Query, description = "`false`: a link itself"),
           ("digest" = Option<String>, Query, description = "`sha256`: hash the content of a file", pattern = "^sha256$")),
    responses((status = 200, description = "The entry", body = EntryBody),
              (status = 400, description = "`invalid_field`, `path_not_absolute`, `not_a_directory`, `link_loop`, `name_too_long`", body = ErrorBody),
              (status = 403, description = "`permission_denied`, `outside_mount`, `magic_link`, `reserved_path`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody)))]
pub async fn describe_entry(
    State(api): State<ApiState>,
    mut fields: Fields,
) -> Result<Json<EntryBody>, ApiError> {
    let path = fields.path("path")?;
    let follow = fields.flag("follow", true)?;
    let hash = fields.word("digest", &[("sha256", true)], false)?;
    fields.finish()?;
    Ok(Json(entry(&api, &path, follow, hash).await?))
}

/// What is at several paths.
#[utoipa::path(post, path = "/api/v0/stat", tag = "files", request_body = StatBody,
    responses((status = 200, description = "An entry or an error for each", body = StatAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`", body = ErrorBody)))]
pub async fn describe_entries(
    State(api): State<ApiState>,
    Checked(body): Checked<StatBody>,
) -> Result<Json<StatAnswer>, ApiError> {
    let (texts, base64) = (body.paths.as_deref(), body.paths_base64.as_deref());
    let paths = given_list("paths", texts, base64)?;
    let paths = paths.ok_or_else(|| invalid("paths", "\"paths\" is required"))?;
    if paths.len() > MOST {
        return Err(invalid("paths", format!("at most {MOST} paths are taken")));
    }
    let follow = body.follow.unwrap_or(true);
    let mut results = Vec::with_capacity(paths.len());
    for bytes in paths {
        let (text, parsed) = (shown(&bytes), ClientPath::parse(&bytes));
        let found = match parsed {
            Ok(path) => entry(&api, &path, follow, false).await,
            Err(error) => Err(super::query::refused_path("paths", error)),
        };
        let (entry, error) = match found {
            Ok(entry) => (Some(entry), None),
            Err(error) => (None, Some(error.into_body())),
        };
        results.push(StatResult {
            path: text.text,
            path_base64: text.base64,
            entry,
            error,
        });
    }
    Ok(Json(StatAnswer { results }))
}

async fn entry(
    api: &ApiState,
    path: &ClientPath,
    follow: bool,
    hash: bool,
) -> Result<EntryBody, ApiError> {
    let last = if follow { Last::Follow } else { Last::Keep };
    let (vfs, given) = (api.vfs(), path.clone());
    let view = vfs.view();
    let looked = vfs.run(&view, path, move |view, wanted| {
        let (place, described) = look(view, &given, last)?;
        let details = Details::of(&place, hash, wanted)?;
        Ok(EntryBody::detailed(&described, &details))
    });
    Ok(looked.await?)
}
