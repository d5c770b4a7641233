//! Moves the RFB bytes of one viewer between its WebSocket and the desktop's RFB server.
//!
//! ```text
//!                    ┌ to_server: recv ─> Handshake, ClientReader ─> write ┐
//! viewer's WebSocket ┤                                                     ├ RFB socket
//!                    └ to_viewer: send <────────────────────────── read ───┘
//!
//! Moving ──first cause: see Closed──> Ending (release held input, close frame) ──> Closed
//! ```
//!
//! The two directions are futures of one task that never wait for each other; what ends one ends both,
//! through `Ending`. Neither reads before it has written, so back-pressure reaches from end to end, and a
//! viewer costs one buffer of [`CHUNK`] bytes and one message of its own, however slow it is.

mod connect;
mod ending;
mod heartbeat;
mod socket;
#[cfg(test)]
mod tests;
mod to_server;
mod to_viewer;

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite},
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    connect::{ConnectError, RfbStream, connect},
    ending::{Closed, Dismissal},
    heartbeat::{Beat, Heard, Heartbeat},
    socket::{Incoming, Outgoing, SocketError, ViewerReader, ViewerWriter},
};
use self::{ending::Ending, to_server::ToServer, to_viewer::ToViewer};
use super::{
    gate::Gate,
    rfb::{Activity, Handshake},
    viewers::Traffic,
};
use crate::telemetry::{Direction, DirectionLabels, Metrics, Probes};

/// Bytes read from the RFB server at once. Larger was not faster (32, 64, 128 and 256 KiB were measured), and the
/// limit on a stalled viewer is per chunk: what takes one every 30 s is alive.
pub const CHUNK: usize = 32 << 10;

/// How long a relay waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// Time between pings.
    pub ping_every: Duration,
    /// Time for the answer to a ping; any frame counts.
    pub pong_within: Duration,
    /// Time for one message to be taken by the viewer, or one piece of input by the server.
    pub stall_after: Duration,
    /// Time for the farewells: release messages to the server, the close frame to the viewer.
    pub farewell: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self {
            ping_every: Duration::from_secs(15),
            pong_within: Duration::from_secs(15),
            stall_after: Duration::from_secs(30),
            farewell: Duration::from_secs(1),
        }
    }
}

/// What a relay needs to know besides its two sockets.
pub struct RelayOptions {
    /// Drop what acts on the desktop.
    pub view_only: bool,
    /// Limits; the default is what viewers are promised.
    pub timings: Timings,
    /// The daemon stops: the viewer is closed with 1001.
    pub stop: CancellationToken,
    /// The desktop's run has ended: the viewer is closed with 1012.
    pub ended: CancellationToken,
    /// Whoever let the viewer in may want it out.
    pub dismissal: Dismissal,
    /// Counts pings.
    pub probes: Probes,
    /// Byte counts of this viewer, from its entry in the registry.
    pub traffic: Arc<Traffic>,
    /// Byte counts of all viewers.
    pub metrics: Arc<Metrics>,
    /// Where keys wait while a text is typed.
    pub gate: Gate,
    /// Called after input has been written to the server. Must be cheap: it runs on the relay's task.
    pub on_activity: Box<dyn Fn(Activity) + Send + Sync>,
    /// Called once when the viewer left in the middle of a forwarded message with something held: no release
    /// can follow half a message, so whoever has another way in should use it.
    pub on_abandoned: Box<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for RelayOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RelayOptions")
            .field("view_only", &self.view_only)
            .field("timings", &self.timings)
            .finish_non_exhaustive()
    }
}

/// Relays until one side ends, and says which and why; the viewer has then been told, where it can be told.
///
/// Before it returns, keys and buttons that the viewer held are released at the server, unless the server is
/// gone, or the viewer left within a message: see [`RelayOptions::on_abandoned`]. Dropping the future cuts both sockets
/// without farewell; the server then releases keys by itself, buttons it may not. So: cancel
/// [`RelayOptions::stop`] instead.
pub async fn relay<R, W>(reader: R, writer: W, server: RfbStream, options: RelayOptions) -> Closed
where
    R: ViewerReader,
    W: ViewerWriter,
{
    match server {
        RfbStream::Unix(stream) => {
            let (from_server, to_server) = stream.into_split();
            relay_halves(reader, writer, from_server, to_server, options).await
        }
        RfbStream::Tcp(stream) => {
            let (from_server, to_server) = stream.into_split();
            relay_halves(reader, writer, from_server, to_server, options).await
        }
    }
}

/// [`relay`] over any two halves of a byte stream.
pub async fn relay_halves<R, W, SR, SW>(
    reader: R,
    writer: W,
    mut from_server: SR,
    to_server: SW,
    options: RelayOptions,
) -> Closed
where
    R: ViewerReader,
    W: ViewerWriter,
    SR: AsyncRead + Unpin + Send,
    SW: AsyncWrite + Unpin + Send,
{
    let ending = Ending::default();
    // Guards the handshake of both halves; taken for one step at a time, never across an await.
    let handshake = Mutex::new(Handshake::default());
    let heard = Heard::new(Instant::now());
    let count = |direction| {
        let labels = DirectionLabels { direction };
        Counter::clone(&options.metrics.relay_bytes.get_or_create(&labels))
    };
    let inward = ToServer {
        ending: &ending,
        handshake: &handshake,
        heard: &heard,
        options: &options,
        bytes: count(Direction::ToServer),
    };
    let outward = ToViewer {
        ending: &ending,
        handshake: &handshake,
        heard: &heard,
        options: &options,
        bytes: count(Direction::ToViewer),
    };
    tokio::join!(
        inward.run(reader, to_server),
        outward.run(writer, &mut from_server),
        ending.watch(&options.stop, &options.ended, &options.dismissal),
    );
    drain(from_server, options.timings.farewell).await;
    ending.cause()
}

/// Reads until the server has closed, too: a socket closed with unread bytes resets the connection, and the
/// server might lose the release messages.
async fn drain(mut from_server: impl AsyncRead + Unpin, limit: Duration) {
    let mut scrap = [0; 4096];
    let drained = async { while matches!(from_server.read(&mut scrap).await, Ok(1..)) {} };
    // Past the limit the server is as good as gone; dropping a read loses nothing that anyone wants.
    let _ = timeout(limit, drained).await;
}
