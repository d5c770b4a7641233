//! What handlers reach: handles only, cheap to clone.

use std::{net::SocketAddr, sync::Arc};

use super::{auth::Auth, ws::Liveness};
use crate::{
    chat::Chats,
    desktop::{Desktop, viewers::Viewers},
    git::Git,
    proc::Processes,
    shutdown::Shutdown,
    telemetry::Metrics,
    toolcall::ToolCalls,
    vfs::Vfs,
};

/// Handles of every part behind the API.
#[derive(Clone, Debug)]
pub struct ApiState(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    auth: Auth,
    listening: Vec<SocketAddr>,
    chats: Chats,
    liveness: Liveness,
    desktop: Desktop,
    viewers: Viewers,
    processes: Processes,
    vfs: Vfs,
    git: Git,
    tool_calls: ToolCalls,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
}

impl ApiState {
    /// Puts the handles together.
    #[expect(
        clippy::too_many_arguments,
        reason = "one a part, each of its own type"
    )]
    pub fn new(
        auth: Auth,
        listening: Vec<SocketAddr>,
        chats: Chats,
        liveness: Liveness,
        desktop: Desktop,
        viewers: Viewers,
        processes: Processes,
        vfs: Vfs,
        git: Git,
        tool_calls: ToolCalls,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Self {
        Self(Arc::new(Parts {
            auth,
            listening,
            chats,
            liveness,
            desktop,
            viewers,
            processes,
            vfs,
            git,
            tool_calls,
            metrics,
            shutdown,
        }))
    }

    /// The rules of the door.
    pub fn auth(&self) -> &Auth {
        &self.0.auth
    }

    /// Addresses of the TCP listeners, as programs on this machine reach them.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.0.listening
    }

    /// Chats, tokens, and what was worked on.
    pub fn chats(&self) -> &Chats {
        &self.0.chats
    }

    /// When the peers of WebSockets are asked whether they live.
    pub fn liveness(&self) -> Liveness {
        self.0.liveness
    }

    /// The supervised desktop.
    pub fn desktop(&self) -> &Desktop {
        &self.0.desktop
    }

    /// Who watches the desktop.
    pub fn viewers(&self) -> &Viewers {
        &self.0.viewers
    }

    /// The processes.
    pub fn processes(&self) -> &Processes {
        &self.0.processes
    }

    /// The tree of files.
    pub fn vfs(&self) -> &Vfs {
        &self.0.vfs
    }

    /// The repositories.
    pub fn git(&self) -> &Git {
        &self.0.git
    }

    /// The tool calls that run once.
    pub fn tool_calls(&self) -> &ToolCalls {
        &self.0.tool_calls
    }

    /// The metrics.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The daemon's life.
    pub fn shutdown(&self) -> &Shutdown {
        &self.0.shutdown
    }
}
