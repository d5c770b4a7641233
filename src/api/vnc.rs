//! VNC over WebSocket: starts the desktop, connects to its RFB server, then accepts and relays.

use std::sync::Arc;

use axum::{
    Extension,
    extract::{State, WebSocketUpgrade, ws::rejection::WebSocketUpgradeRejection},
    http::StatusCode,
    response::Response,
};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{
    desktop::failed_to_start,
    error::{ApiError, ErrorBody},
    extract::Query,
    peer::Peer,
    state::ApiState,
    ws,
};
use crate::desktop::relay::{self, RelayOptions, Timings};

/// Query of `GET /api/v0/desktop/vnc`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// Drops key, pointer and clipboard messages of this viewer.
    pub view_only: Option<bool>,
}

/// RFB over WebSocket: binary frames carry the byte stream, message borders mean nothing.
///
/// The subprotocol `binary` is echoed when offered. Close codes: 1000 the viewer left, 1001 deskd stops or
/// the viewer did not answer a ping within 15 s, 1002 a message that is not RFB as deskd knows it (the
/// reason names its type), 1003 a text frame, 1008 the RFB server refused, 1012 the desktop ended (come
/// again), 1013 the viewer did not read for 30 s.
#[utoipa::path(get, path = "/api/v0/desktop/vnc", tag = "desktop", params(WatchQuery),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 426, description = "`websocket_required`", body = ErrorBody),
              (status = 500, description = "The desktop cannot start", body = ErrorBody),
              (status = 503, description = "`too_many_viewers` or `vnc_unavailable`", body = ErrorBody)))]
pub async fn watch_desktop(
    State(api): State<ApiState>,
    Query(query): Query<WatchQuery>,
    Extension(peer): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| ws::not_an_upgrade(&rejection))?;
    let view_only = query.view_only.unwrap_or(false);
    let viewer = api
        .viewers()
        .admit(peer.to_string(), view_only)
        .map_err(|full| {
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_viewers",
                full.to_string(),
            )
        })?;
    let running = api.desktop().running().await.map_err(failed_to_start)?;
    let Some(address) = &running.rfb else {
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "vnc_unavailable",
            "This desktop has no RFB server; start deskd with --host-vnc to name one.",
        ));
    };
    let server = relay::connect(address)
        .await
        .map_err(|error| failed_to_connect(&error))?;
    let (screen, input) = (
        running.attached.screen.clone(),
        running.attached.input.clone(),
    );
    let shutdown = api.shutdown().clone();
    let options = RelayOptions {
        view_only,
        timings: Timings::default(),
        stop: api.shutdown().token().clone(),
        ended: running.ended.clone(),
        traffic: viewer.traffic(),
        metrics: Arc::clone(api.metrics()),
        gate: running.attached.gate.clone(),
        // A moved pointer is a changed picture, and no damage tells of it.
        on_activity: Box::new(move |_| screen.invalidate()),
        // Half a message cannot be followed by a release, so the release goes another way.
        on_abandoned: Box::new(move || {
            let input = input.clone();
            shutdown.spawn(async move { input.reset().await });
        }),
    };
    Ok(ws::accept(
        upgrade,
        api.shutdown(),
        async move |reader, writer| {
            tracing::info!(viewer = %viewer.id(), %peer, view_only, "viewer came");
            let closed = relay::relay(reader, writer, server, options).await;
            tracing::info!(viewer = %viewer.id(), reason = %closed, "viewer gone");
        },
    ))
}

fn failed_to_connect(error: &relay::ConnectError) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "vnc_connect_failed",
        "The desktop runs, but its RFB server does not answer.",
    )
    .with_cause(error)
}
