//! Why a relay ended: the first cause wins and ends both directions.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

use super::socket::SocketError;
use crate::desktop::rfb::CodecError;

/// A close reason has to fit into a control frame (RFC 6455 §5.5).
const REASON_MAX: usize = 123;

/// How a relay ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Closed {
    /// The viewer sent a close frame, or ended its connection.
    #[error("the viewer left")]
    ViewerLeft,
    /// The viewer's connection broke.
    #[error("the viewer's connection broke")]
    ViewerLost(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A message was not taken within the limit.
    #[error("viewer does not read")]
    ViewerStalled,
    /// A ping was not answered within the limit.
    #[error("ping timeout")]
    ViewerSilent,
    /// A text frame came.
    #[error("RFB needs binary frames, not text")]
    TextFrame,
    /// One of the two halves is not RFB as the codec knows it.
    #[error("{0}")]
    Protocol(CodecError),
    /// The server refused in the handshake, with its words.
    #[error("the desktop's RFB server refused the viewer: {0}")]
    Refused(String),
    /// The server closed or broke its connection.
    #[error("the desktop's RFB server is gone")]
    ServerGone,
    /// Input was not taken within the limit.
    #[error("the desktop's RFB server does not read")]
    ServerStalled,
    /// The run of the desktop was over.
    #[error("the desktop has ended")]
    DesktopEnded,
    /// The daemon stops.
    #[error("deskd is stopping")]
    Stopping,
    /// Whoever let the viewer in wants it out.
    #[error("{reason}")]
    Dismissed {
        /// WebSocket close code.
        code: u16,
        /// Why.
        reason: &'static str,
    },
}

/// Says that a viewer must go, and why. Clones speak of the same viewer.
#[derive(Clone, Debug, Default)]
pub struct Dismissal {
    over: CancellationToken,
    why: Arc<OnceLock<(u16, &'static str)>>,
}

impl Dismissal {
    /// Has the relay close the viewer's socket with this code and reason. Only the first counts.
    pub fn dismiss(&self, code: u16, reason: &'static str) {
        let _ = self.why.set((code, reason));
        self.over.cancel();
    }
}

impl Closed {
    pub(super) fn lost(error: SocketError) -> Self {
        Self::ViewerLost(error.into())
    }

    /// The close code the viewer is sent; none when it is gone.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::ViewerLeft | Self::ViewerLost(_) => None,
            Self::ViewerSilent | Self::Stopping => Some(1001),
            Self::Protocol(_) => Some(1002),
            Self::TextFrame => Some(1003),
            Self::Refused(_) => Some(1008),
            Self::ServerGone | Self::ServerStalled | Self::DesktopEnded => Some(1012),
            Self::ViewerStalled => Some(1013),
            Self::Dismissed { code, .. } => Some(*code),
        }
    }

    /// The sentence the viewer is sent, cut to what a close frame holds.
    pub fn reason(&self) -> String {
        let mut reason = self.to_string();
        reason.truncate(reason.floor_char_boundary(REASON_MAX));
        reason
    }
}

/// Shared by the two directions of a relay.
#[derive(Debug, Default)]
pub(super) struct Ending {
    over: CancellationToken,
    cause: OnceLock<Closed>,
}

impl Ending {
    /// Ends the relay; only the first cause is kept.
    pub(super) fn end(&self, cause: Closed) {
        let _ = self.cause.set(cause);
        self.over.cancel();
    }

    /// Cancelled when the relay ends.
    pub(super) fn over(&self) -> &CancellationToken {
        &self.over
    }

    /// The first cause. A relay whose directions both ended has one.
    pub(super) fn cause(&self) -> Closed {
        self.cause.get().cloned().unwrap_or(Closed::ViewerLeft)
    }

    /// Turns what happens outside into causes; returns when the relay ends.
    pub(super) async fn watch(
        &self,
        stop: &CancellationToken,
        ended: &CancellationToken,
        dismissal: &Dismissal,
    ) {
        tokio::select! {
            biased;
            () = self.over.cancelled() => {}
            () = stop.cancelled() => self.end(Closed::Stopping),
            () = ended.cancelled() => self.end(Closed::DesktopEnded),
            () = dismissal.over.cancelled() => {
                let (code, reason) = dismissal.why.get().copied().unwrap_or((1001, "gone"));
                self.end(Closed::Dismissed { code, reason });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_wins() {
        let ending = Ending::default();
        ending.end(Closed::ViewerStalled);
        ending.end(Closed::ServerGone);
        assert_eq!(ending.cause().code(), Some(1013));
        assert!(ending.over().is_cancelled());
    }

    #[test]
    fn a_reason_fits_into_a_close_frame() {
        let reason = Closed::Refused("é".repeat(200)).reason();
        assert!(reason.len() <= 123);
        assert!(reason.starts_with("the desktop's RFB server refused the viewer: é"));
    }
}
