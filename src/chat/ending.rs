//! Why a stream must end though both its ends are there: its token or its chat is over.

use std::sync::{Arc, OnceLock};

use tokio_util::sync::CancellationToken;

/// What is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// The token was revoked.
    TokenRevoked,
    /// The token's time is up.
    TokenExpired,
    /// The chat is being deleted.
    ChatDeleted,
}

impl Over {
    /// The close code and the reason for a WebSocket (RFC 6455 §7.4).
    pub fn close(self) -> (u16, &'static str) {
        match self {
            Self::TokenRevoked => (1008, "token revoked"),
            Self::TokenExpired => (1008, "token expired"),
            Self::ChatDeleted => (1001, "chat deleted"),
        }
    }
}

/// Told once to all who hold a clone: it is over, and why.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    over: CancellationToken,
    why: OnceLock<Over>,
}

impl Ending {
    /// Ends it; only the first reason is kept.
    pub(super) fn end(&self, why: Over) {
        let _ = self.0.why.set(why);
        self.0.over.cancel();
    }

    /// Whether both are clones of one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Resolves when it is over. Safe to drop and to call again.
    pub async fn ended(&self) -> Over {
        self.0.over.cancelled().await;
        let why = self.0.why.get().copied();
        why.expect("the reason is set before the token is cancelled")
    }
}
