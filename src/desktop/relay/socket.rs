//! What a relay asks of the viewer's socket: two halves, so that neither waits for the other.

use std::{error::Error, future::Future};

use bytes::Bytes;

/// Failure of the viewer's socket, of whatever kind its implementation has.
pub type SocketError = Box<dyn Error + Send + Sync>;

/// A frame from the viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// RFB bytes; where frames begin and end means nothing.
    Binary(Bytes),
    /// A text frame, which the protocol has no use for.
    Text,
    /// A ping; the socket answers it by itself.
    Ping,
    /// The answer to a ping.
    Pong,
    /// The viewer's close frame.
    Close,
}

/// A frame to the viewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// RFB bytes.
    Binary(Bytes),
    /// A ping without payload.
    Ping,
    /// The last frame.
    Close {
        /// WebSocket close code.
        code: u16,
        /// Sentence for a person, at most 123 bytes.
        reason: String,
    },
}

/// Receiving half of a viewer's socket.
pub trait ViewerReader: Send {
    /// The next frame; `None` when the connection has ended. Must be safe to drop: nothing may be lost.
    fn recv(&mut self) -> impl Future<Output = Option<Result<Incoming, SocketError>>> + Send;
}

/// Sending half of a viewer's socket.
pub trait ViewerWriter: Send {
    /// Hands one frame to the kernel; waits while the viewer does not read. A dropped call may leave part of the
    /// frame behind, after which only `Close` is sent.
    fn send(&mut self, frame: Outgoing) -> impl Future<Output = Result<(), SocketError>> + Send;
}
