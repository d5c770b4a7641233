//! The client half of the RFB protocol as a value: bytes in, decisions out, sockets outside.
//!
//! ```text
//! viewer ──> Handshake ──> ClientReader ──> forward or drop      (this module reads it all)
//! viewer <── Handshake <── server                                (read until ServerInit, then never)
//! ```
//!
//! [`Handshake`] reads both halves of RFC 6143 §7.1 to §7.3 and changes nothing. [`ClientReader`] then reads
//! the client's messages (§7.5, and the extensions of the community's `rfbproto` that noVNC and `TigerVNC`
//! send) in any fragmentation. What it does not know is an error, never a guess: a message of unknown
//! length would make everything after it be read wrongly, also by the view-only filter.

mod handshake;
mod held;
mod message;
mod reader;
#[cfg(test)]
mod tests;

use std::{fmt, net::SocketAddr, path::PathBuf};

pub use handshake::Handshake;
pub use held::HeldInput;
pub use message::{CUT_TEXT_MAX, ENCODINGS_MAX, FENCE_MAX, Kind, SCREENS_MAX};
pub use reader::{Activity, ClientReader, Verdicts};

/// Where an RFB server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RfbAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port; only for providers that offer nothing else.
    Tcp(SocketAddr),
}

impl fmt::Display for RfbAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

/// Why a stream is not one that this module understands. Final: the codec must not be fed again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A client message type outside the list.
    #[error("unknown RFB message type {message_type}")]
    UnknownMessage {
        /// First byte of the message.
        message_type: u8,
    },
    /// A known message type with a form outside the list.
    #[error("unknown form {form} of RFB message type {message_type}")]
    UnknownForm {
        /// First byte of the message.
        message_type: u8,
        /// The field that tells the forms apart.
        form: u16,
    },
    /// A length above its limit.
    #[error("RFB message type {message_type} announces {length}, the limit is {limit}")]
    TooLong {
        /// First byte of the message.
        message_type: u8,
        /// Announced length: bytes, or entries where the message counts entries.
        length: u64,
        /// Limit in the same unit.
        limit: u64,
    },
    /// An extended clipboard message (RFB message type 6) without its flags.
    #[error(
        "RFB message type 6 is an extended clipboard of {length} bytes, too short for its flags"
    )]
    ClipboardTooShort {
        /// Announced length in bytes.
        length: u32,
    },
    /// More keys down at once than a person has fingers for.
    #[error("RFB message type {message_type} presses more than {limit} keys at once")]
    TooManyKeys {
        /// First byte of the message.
        message_type: u8,
        /// Limit.
        limit: usize,
    },
    /// A version other than 3.3, 3.7 and 3.8, or one above the server's.
    #[error("RFB version {version:?} of the {side} is not understood")]
    Version {
        /// Who sent it.
        side: Side,
        /// What was sent, with everything that is not printable escaped.
        version: String,
    },
    /// A security type whose exchange is not known, so that its end cannot be found.
    #[error("RFB security type {security_type} cannot be relayed")]
    Security {
        /// Number of the type.
        security_type: u32,
    },
    /// Bytes that the other side had not yet asked for.
    #[error("the {side} speaks out of turn in the RFB handshake")]
    OutOfTurn {
        /// Who spoke.
        side: Side,
    },
}

/// One of the two ends of an RFB connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The viewer.
    Client,
    /// The desktop.
    Server,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Client => "viewer",
            Self::Server => "server",
        })
    }
}
