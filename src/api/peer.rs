//! Who is at the other end of a connection.

use std::net::{IpAddr, SocketAddr};

/// The other end, as the listener saw it.
#[derive(Clone, Debug)]
pub enum Peer {
    /// By TCP.
    Tcp {
        /// Their address.
        remote: SocketAddr,
        /// The address of ours that they reached.
        local: SocketAddr,
    },
    /// By the Unix socket.
    Unix {
        /// Whether the peer runs as the daemon's own user (`SO_PEERCRED`).
        same_user: bool,
    },
}

impl Peer {
    /// Whether the peer came by TCP.
    pub fn is_tcp(&self) -> bool {
        matches!(self, Self::Tcp { .. })
    }

    /// Their address, when they have one.
    pub fn remote_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp { remote, .. } => Some(remote.ip()),
            Self::Unix { .. } => None,
        }
    }

    /// The address of ours that they reached.
    pub fn local_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp { local, .. } => Some(local.ip()),
            Self::Unix { .. } => None,
        }
    }
}

impl std::fmt::Display for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { remote, .. } => write!(f, "{remote}"),
            Self::Unix { .. } => f.write_str("unix"),
        }
    }
}
