//! Wire types of health, readiness and version.

use serde::Serialize;
use utoipa::ToSchema;

/// Body of `GET /healthz`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: &'static str,
}

/// Body of `GET /readyz`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether every part is ready.
    pub ready: bool,
    /// Each part.
    pub parts: Parts,
}

/// The parts that readiness speaks of.
#[derive(Debug, Serialize, ToSchema)]
pub struct Parts {
    /// The supervised desktop.
    pub desktop: Part,
}

/// Readiness of one part.
#[derive(Debug, Serialize, ToSchema)]
pub struct Part {
    /// Whether it can serve a request now, or will start for one.
    pub ready: bool,
    /// Its state, in its own words.
    pub state: &'static str,
}

/// Body of `GET /api/v0/version`.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "they are words of the wire")]
pub struct Version {
    /// `deskd`.
    pub name: &'static str,
    /// Semantic version.
    pub version: &'static str,
    /// Addresses of its TCP listeners for programs on its machine, as in `http://127.0.0.1:7380`.
    pub listening: Vec<String>,
}
