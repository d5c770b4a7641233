//! Liveness, readiness, metrics, version.

use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{
    state::ApiState,
    types::health::{Health, Part, Parts, Readiness, Version},
};
use crate::desktop::state::Phase;

/// The process is up. Touches no other part.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()),
    responses((status = 200, description = "The process is up", body = Health)))]
pub async fn check_health() -> Json<Health> {
    Json(Health { status: "ok" })
}

/// The state of each part. A desktop that is not started yet is ready: its first use starts it.
#[utoipa::path(get, path = "/readyz", tag = "health",
    responses((status = 200, description = "Every part is ready", body = Readiness),
              (status = 503, description = "A part is not ready, or the daemon stops", body = Readiness)))]
pub async fn check_readiness(State(api): State<ApiState>) -> Response {
    let state = api.desktop().status().state;
    let ready = !matches!(state, Phase::Failed | Phase::Stopping);
    let desktop = Part {
        ready,
        state: state.name(),
    };
    let ready = desktop.ready && !api.shutdown().is_stopping();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (
        status,
        Json(Readiness {
            ready,
            parts: Parts { desktop },
        }),
    )
        .into_response()
}

/// Every metric in OpenMetrics text.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "OpenMetrics text", content_type = "application/openmetrics-text", body = String)))]
pub async fn read_metrics(State(api): State<ApiState>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], api.metrics().text()).into_response()
}

/// The version of the daemon.
#[utoipa::path(get, path = "/api/v0/version", tag = "health",
    responses((status = 200, description = "The version", body = Version)))]
pub async fn read_version(State(api): State<ApiState>) -> Json<Version> {
    let listening = api.listening().iter();
    Json(Version {
        name: "deskd",
        version: env!("CARGO_PKG_VERSION"),
        listening: listening
            .map(|address| format!("http://{address}"))
            .collect(),
    })
}
