//! Wire types of starting programs on the desktop.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::windows::WindowBody;

/// Body of `POST /api/v0/desktop/launch`. Exactly one of `argv` and `desktop_file`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct LaunchBody {
    /// Program and arguments.
    pub argv: Option<Vec<String>>,
    /// A desktop file, by absolute path or by its id as in `org.gnome.Calculator`.
    pub desktop_file: Option<String>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Added to the environment.
    pub env: Option<BTreeMap<String, Option<String>>>,
    /// Waits so long for a window of the program, in milliseconds; at most 60 000.
    pub wait_window_ms: Option<u64>,
}

/// Answer of `POST /api/v0/desktop/launch`.
#[derive(Debug, Serialize, ToSchema)]
pub struct LaunchAnswer {
    /// Id of the process, for the process routes.
    pub id: String,
    /// Process id.
    pub pid: i32,
    /// With `wait_window_ms`: its first window, or null when none came in time or the program ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WindowBody>)]
    #[expect(
        clippy::option_option,
        reason = "not asked for, none came, or this one"
    )]
    pub window: Option<Option<WindowBody>>,
}
