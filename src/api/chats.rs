//! The routes of chats, and the streams that have a chat in their path: check, convert, forward, answer.

use axum::{
    Extension, Json,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    response::Response,
};

use super::{
    error::{ApiError, ErrorBody},
    extract::{Query, Segment},
    identity::{Visitor, chat_not_found, path_id},
    peer::Peer,
    processes::{CheckedOptional, CheckedQuery},
    state::ApiState,
    types::chats::{
        ArchiveBody, ChatBody, ChatChangeBody, ChatsAnswer, ChatsQuery, DeleteChatAnswer,
        DeleteChatQuery,
    },
    vnc::{self, WatchQuery},
};
use crate::chat::registry::{ChatInfo, Which};

/// Chats that are roots, the one seen last first, each with its children at every level. A token that is bound to a chat
/// sees that one as the only root.
#[utoipa::path(get, path = "/api/v0/chats", tag = "chats", params(ChatsQuery),
    responses((status = 200, description = "A page of roots", body = ChatsAnswer),
              (status = 400, description = "`invalid_field`", body = ErrorBody)))]
pub async fn list_chats(
    State(api): State<ApiState>,
    visitor: Visitor,
    CheckedQuery(query): CheckedQuery<ChatsQuery>,
) -> Result<Json<ChatsAnswer>, ApiError> {
    let page = query.check()?;
    let (chats, total) = match visitor.bound() {
        None => api.chats().list(page.which, page.limit, page.skip),
        Some(bound) => {
            let own = api.chats().describe(bound, page.which);
            let own = own.filter(|own| page.which.includes(own));
            let total = usize::from(own.is_some());
            (own.into_iter().skip(page.skip).collect(), total)
        }
    };
    let processes = api.processes().by_chat();
    let chats = chats
        .into_iter()
        .map(|info| ChatBody::new(info, &processes));
    Ok(Json(ChatsAnswer {
        chats: chats.collect(),
        total,
    }))
}

/// One chat with all its children.
#[utoipa::path(get, path = "/api/v0/chats/{id}", tag = "chats",
    params(("id" = String, Path, description = "Its id", format = Uuid)),
    responses((status = 200, description = "The chat", body = ChatBody),
              (status = 400, description = "`invalid_chat_id`", body = ErrorBody),
              (status = 404, description = "`chat_not_found`", body = ErrorBody)))]
pub async fn describe_chat(
    State(api): State<ApiState>,
    visitor: Visitor,
    Segment(id): Segment,
) -> Result<Json<ChatBody>, ApiError> {
    let id = path_id(&id)?;
    let foreign = visitor
        .bound()
        .is_some_and(|bound| bound != id && !api.chats().is_above(bound, id));
    let info = api.chats().describe(id, Which::All).filter(|_| !foreign);
    Ok(body(&api, info.ok_or_else(chat_not_found)?))
}

fn body(api: &ApiState, info: ChatInfo) -> Json<ChatBody> {
    Json(ChatBody::new(info, &api.processes().by_chat()))
}

/// Makes a chat known, or changes its parent and title.
#[utoipa::path(put, path = "/api/v0/chats/{id}", tag = "chats", request_body = ChatChangeBody,
    params(("id" = String, Path, description = "Its id", format = Uuid)),
    responses((status = 200, description = "The chat", body = ChatBody),
              (status = 400, description = "`invalid_chat_id`, `invalid_field`, `invalid_json`", body = ErrorBody),
              (status = 409, description = "`chat_cycle`, `chat_too_deep`, `parent_archived`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody),
              (status = 429, description = "`too_many_chats`", body = ErrorBody)))]
pub async fn change_chat(
    State(api): State<ApiState>,
    Segment(id): Segment,
    CheckedOptional(change): CheckedOptional<ChatChangeBody>,
) -> Result<Json<ChatBody>, ApiError> {
    let id = path_id(&id)?;
    let change = change.unwrap_or_default().check()?;
    let info = api
        .chats()
        .put(id, change, || api.processes().live_chats())?;
    Ok(body(&api, info))
}

/// Archives a chat with everything below it, or brings it back with what was archived with it. Bookkeeping: nothing is ended.
#[utoipa::path(post, path = "/api/v0/chats/{id}/archive", tag = "chats", request_body = Option<ArchiveBody>,
    params(("id" = String, Path, description = "Its id", format = Uuid)),
    responses((status = 200, description = "The chat", body = ChatBody),
              (status = 400, description = "`invalid_chat_id`, `invalid_field`, `invalid_json`", body = ErrorBody),
              (status = 404, description = "`chat_not_found`", body = ErrorBody),
              (status = 409, description = "`parent_archived`", body = ErrorBody)))]
pub async fn archive_chat(
    State(api): State<ApiState>,
    Segment(id): Segment,
    CheckedOptional(order): CheckedOptional<ArchiveBody>,
) -> Result<Json<ChatBody>, ApiError> {
    let archived = order.unwrap_or_default().archived.unwrap_or(true);
    let info = api.chats().archive(path_id(&id)?, archived)?;
    Ok(body(&api, info))
}

/// Deletes a chat: its streams are closed, its tokens revoked, its processes ended and forgotten, its paths forgotten. The
/// answer comes when no process is left. Files, recordings and the desktop are not touched.
#[utoipa::path(delete, path = "/api/v0/chats/{id}", tag = "chats",
    params(("id" = String, Path, description = "Its id", format = Uuid), DeleteChatQuery),
    responses((status = 200, description = "It is gone", body = DeleteChatAnswer),
              (status = 400, description = "`invalid_chat_id`, `invalid_field`", body = ErrorBody),
              (status = 404, description = "`chat_not_found`", body = ErrorBody),
              (status = 409, description = "`chat_has_children`", body = ErrorBody)))]
pub async fn delete_chat(
    State(api): State<ApiState>,
    Segment(id): Segment,
    CheckedQuery(query): CheckedQuery<DeleteChatQuery>,
) -> Result<Json<DeleteChatAnswer>, ApiError> {
    let (id, recursive) = (path_id(&id)?, query.recursive.unwrap_or(false));
    let shutdown = api.shutdown().clone();
    // A task of its own: the client may leave, a deletion that has begun comes to its end.
    let deleted = shutdown.spawn(async move {
        let mut deletion = api.chats().begin_delete(id, recursive).await?;
        api.processes().refuse(&deletion.chats);
        api.chats().cut_off(&mut deletion).await;
        let ended = api.processes().end_chats(&deletion.chats).await;
        let forgotten = api.chats().finish_delete(&deletion);
        api.processes().admit(&deletion.chats);
        Ok(Json(DeleteChatAnswer::new(&deletion, ended, forgotten)))
    });
    deleted
        .await
        .unwrap_or_else(|error| Err(ApiError::internal(&error)))
}

/// The desktop as a viewer sees it, for a chat: as `GET /api/v0/desktop/vnc`.
#[utoipa::path(get, path = "/api/experimental/chats/{chat}/stream/desktop", tag = "chats",
    params(("chat" = String, Path, description = "Its id"), WatchQuery),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 400, description = "`invalid_chat_id`", body = ErrorBody),
              (status = 404, description = "`chat_not_found`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody),
              (status = 426, description = "`websocket_required`", body = ErrorBody),
              (status = 500, description = "The desktop cannot start", body = ErrorBody),
              (status = 503, description = "`too_many_viewers` or `vnc_unavailable`", body = ErrorBody)))]
pub async fn stream_chat_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
    Segment(chat): Segment,
    Query(query): Query<WatchQuery>,
    Extension(peer): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let visitor = visitor.in_path(&api, &chat)?;
    let route = "/api/experimental/chats/{chat}/stream/desktop";
    vnc::watch_for(&api, &visitor, route, &query, peer, upgrade).await
}

/// The older name of `…/stream/desktop`.
#[utoipa::path(get, path = "/api/experimental/chats/{chat}/desktop", tag = "chats",
    params(("chat" = String, Path, description = "Its id"), WatchQuery),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 400, description = "`invalid_chat_id`", body = ErrorBody),
              (status = 404, description = "`chat_not_found`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody),
              (status = 426, description = "`websocket_required`", body = ErrorBody),
              (status = 500, description = "The desktop cannot start", body = ErrorBody),
              (status = 503, description = "`too_many_viewers` or `vnc_unavailable`", body = ErrorBody)))]
pub async fn watch_chat_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
    Segment(chat): Segment,
    Query(query): Query<WatchQuery>,
    Extension(peer): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let visitor = visitor.in_path(&api, &chat)?;
    let route = "/api/experimental/chats/{chat}/desktop";
    vnc::watch_for(&api, &visitor, route, &query, peer, upgrade).await
}
