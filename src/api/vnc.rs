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
    identity::Visitor,
    peer::Peer,
    state::ApiState,
    ws::{self, Liveness},
};
use crate::{
    chat::scope::Scope,
    desktop::{
        Running,
        relay::{self, Dismissal, RelayOptions, Timings},
        viewers::ViewerGuard,
    },
    telemetry::Probes,
};

/// Query of `GET /api/v0/desktop/vnc`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct WatchQuery {
    /// Drops key, pointer and clipboard messages of this viewer.
    pub view_only: Option<bool>,
}

/// RFB over WebSocket: binary frames carry the byte stream, message borders mean nothing.
///
/// Without the scope `desktop:control` what the viewer sends to act is dropped. The subprotocol `binary` is echoed when
/// offered. Close codes: 1000 the viewer left, 1001 deskd stops, the
/// chat is deleted or the viewer did not answer a ping in time, 1002 a message that is not RFB as deskd knows it (the
/// reason names its type), 1003 a text frame, 1008 the RFB server refused, or the token was revoked or expired, 1012 the desktop ended (come
/// again), 1013 the viewer did not read for 30 s.
#[utoipa::path(get, path = "/api/v0/desktop/vnc", tag = "desktop", params(WatchQuery),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 426, description = "`websocket_required`", body = ErrorBody),
              (status = 500, description = "The desktop cannot start", body = ErrorBody),
              (status = 503, description = "`too_many_viewers` or `vnc_unavailable`", body = ErrorBody)))]
pub async fn watch_desktop(
    State(api): State<ApiState>,
    visitor: Visitor,
    Query(query): Query<WatchQuery>,
    Extension(peer): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    watch_for(&api, &visitor, "/api/v0/desktop/vnc", &query, peer, upgrade).await
}

/// The desktop for a visitor, under whichever name it was asked for. All that can fail is done before the upgrade.
pub(super) async fn watch_for(
    api: &ApiState,
    visitor: &Visitor,
    route: &'static str,
    query: &WatchQuery,
    peer: Peer,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| ws::not_an_upgrade(&rejection))?;
    let stay = visitor.stay(api)?;
    let view_only = query.view_only.unwrap_or(false) || !visitor.may(Scope::DesktopControl);
    let viewer = api
        .viewers()
        .admit(peer.to_string(), visitor.chat(), view_only)
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
    let options = options(api, &running, route, view_only, &viewer);
    let acting = visitor.clone();
    let mut response = ws::accept(upgrade, api.shutdown(), async move |reader, writer| {
        tracing::info!(viewer = %viewer.id(), %peer, view_only, "viewer came");
        let dismissal = options.dismissal.clone();
        let over = async {
            let (code, reason) = stay.over().await.close();
            dismissal.dismiss(code, reason);
            std::future::pending().await
        };
        let relayed = relay::relay(reader, writer, server, options);
        // The other branch never ends: dropping it loses nothing.
        let closed = tokio::select! {
            biased;
            closed = relayed => closed,
            closed = over => closed,
        };
        tracing::info!(viewer = %viewer.id(), reason = %closed, "viewer gone");
    });
    response.extensions_mut().insert(acting);
    Ok(response)
}

fn options(
    api: &ApiState,
    running: &Running,
    route: &'static str,
    view_only: bool,
    viewer: &ViewerGuard,
) -> RelayOptions {
    let (screen, input) = (
        running.attached.screen.clone(),
        running.attached.input.clone(),
    );
    let shutdown = api.shutdown().clone();
    let Liveness {
        ping_every,
        pong_within,
    } = api.liveness();
    RelayOptions {
        view_only,
        timings: Timings {
            ping_every,
            pong_within,
            ..Timings::default()
        },
        stop: api.shutdown().token().clone(),
        ended: running.ended.clone(),
        dismissal: Dismissal::default(),
        probes: Probes::new(route, Arc::clone(api.metrics())),
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
    }
}

fn failed_to_connect(error: &relay::ConnectError) -> ApiError {
    ApiError::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "vnc_connect_failed",
        "The desktop runs, but its RFB server does not answer.",
    )
    .with_cause(error)
}
