//! WebSockets: upgrades that the stop waits for, and the viewer's socket as the relay wants it.

use std::{future::Future, sync::Mutex, time::Duration};

use axum::{
    extract::ws::{
        CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection,
    },
    http::{HeaderValue, StatusCode, header},
    response::Response,
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};

use tokio::time::{Instant, sleep_until};
use tracing::Instrument;

use super::{access_log::Tail, error::ApiError};
use crate::{
    desktop::relay::{
        Heard, Heartbeat, Incoming, Outgoing, SocketError, ViewerReader, ViewerWriter,
    },
    shutdown::Shutdown,
    telemetry::{Probe, Probes},
};

pub use crate::desktop::relay::Beat;

/// When peers of WebSockets are asked whether they live.
#[derive(Clone, Copy, Debug)]
pub struct Liveness {
    /// Time between pings.
    pub ping_every: Duration,
    /// Time for the answer; any frame counts.
    pub pong_within: Duration,
}

/// Pings of one WebSocket. Dropped while one is not answered, that one counts as cancelled; see [`Pulse::peer_left`].
#[derive(Debug)]
pub struct Pulse {
    heard: Heard,
    /// Guards the beat; held for one decision.
    heartbeat: Mutex<Heartbeat>,
    probes: Probes,
}

impl Pulse {
    /// The first ping is due after the interval.
    pub fn new(liveness: Liveness, probes: Probes) -> Self {
        let now = Instant::now();
        let heartbeat = Heartbeat::new(liveness.ping_every, liveness.pong_within, now);
        Self {
            heard: Heard::new(now),
            heartbeat: Mutex::new(heartbeat),
            probes,
        }
    }

    fn heartbeat(&self) -> std::sync::MutexGuard<'_, Heartbeat> {
        self.heartbeat.lock().expect("no panic while held")
    }

    /// A frame came, of whatever kind.
    pub fn heard(&self) {
        self.heard.note(Instant::now());
    }

    /// Frames are not read for now, on purpose: silence proves nothing.
    pub fn set_deaf(&self, deaf: bool) {
        self.heard();
        self.heard.set_deaf(deaf);
    }

    /// Waits until [`Pulse::beat`] has something to say. Safe to drop.
    pub async fn due(&self) {
        let due = self.heartbeat().due();
        sleep_until(due).await;
    }

    /// What is due. A ping has to be sent and then noted by [`Pulse::sent`]; a silent peer has to be closed with 1001 `ping
    /// timeout`.
    pub fn beat(&self) -> Beat {
        let beat = self.heartbeat().beat(Instant::now(), &self.heard);
        match beat {
            Beat::Nothing | Beat::Ping => {}
            Beat::Answered => self.probes.count(Probe::Ok),
            Beat::Silent => self.end(Probe::Timeout),
        }
        beat
    }

    /// The ping was handed to the socket: the time to answer runs from here.
    pub fn sent(&self) {
        self.heartbeat().sent(Instant::now());
    }

    /// The peer closed or broke the connection.
    pub fn peer_left(&self) {
        if self.heartbeat().is_waiting(&self.heard) {
            self.end(Probe::PeerClosed);
        }
    }

    fn end(&self, probe: Probe) {
        self.probes.count(probe);
        self.heard(); // it has been counted
    }
}

impl Drop for Pulse {
    fn drop(&mut self) {
        if self.heartbeat().is_waiting(&self.heard) {
            self.probes.count(Probe::Cancelled);
        }
    }
}

/// Subprotocol of RFB over WebSocket. The one that carries the token is never echoed.
const SUBPROTOCOL: &str = "binary";

/// Largest frame or message of a client: a clipboard of 10 MB in one message, and some room.
const MESSAGE_LIMIT: usize = 12 * 1024 * 1024;

/// Read at once from a client; what clients send is small.
const READ_BUFFER: usize = 8 * 1024;

/// Bytes that may wait unsent, at least: one relayed chunk and its neighbours. A message of the largest size always may.
const WRITE_LIMIT: usize = 512 * 1024;

/// Time in which a peer may take the close frame and answer it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why this request is no upgrade.
pub fn not_an_upgrade(rejection: &WebSocketUpgradeRejection) -> ApiError {
    ApiError::new(
        StatusCode::UPGRADE_REQUIRED,
        "websocket_required",
        "This route is a WebSocket; ask for an upgrade.",
    )
    .with_detail(rejection.to_string())
    .with_header(header::UPGRADE, HeaderValue::from_static("websocket"))
}

/// Accepts the upgrade and runs `serve` on the socket. The daemon's stop waits for it to return.
pub fn accept<F, Fut>(upgrade: WebSocketUpgrade, shutdown: &Shutdown, serve: F) -> Response
where
    F: FnOnce(Reader, Writer) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    accept_socket(
        upgrade,
        shutdown,
        MESSAGE_LIMIT,
        async move |writer, reader| {
            serve(Reader(reader), Writer(writer)).await;
        },
    )
}

/// Like [`accept`], for messages of at most `limit` bytes and a socket as it is.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the one place: it holds the guard"
)]
pub fn accept_socket<F, Fut>(
    upgrade: WebSocketUpgrade,
    shutdown: &Shutdown,
    limit: usize,
    serve: F,
) -> Response
where
    F: FnOnce(SplitSink<WebSocket, Message>, SplitStream<WebSocket>) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let guard = shutdown.guard();
    let (tail, span) = (Tail::default(), tracing::Span::current());
    let waits = tail.clone();
    let mut response = upgrade
        .protocols([SUBPROTOCOL])
        .max_message_size(limit)
        .max_frame_size(limit)
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_LIMIT.max(limit))
        .on_upgrade(move |socket| {
            let served = async move {
                let (writer, reader) = socket.split();
                serve(writer, reader).await;
                drop((waits, guard));
            };
            served.instrument(span)
        });
    response.extensions_mut().insert(tail);
    response
}

/// Says why the connection ends, then reads and drops what the client had already sent, until it answers or a second
/// has passed: a socket closed over unread bytes is reset, and the reset overtakes the frame (RFC 1122, 4.2.2.13).
pub async fn close(
    writer: &mut SplitSink<WebSocket, Message>,
    reader: &mut SplitStream<WebSocket>,
    code: u16,
    reason: &'static str,
) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    let farewell = async {
        if writer.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = reader.next().await {}
        }
    };
    let _ = tokio::time::timeout(FAREWELL, farewell).await;
}

/// Receiving half.
#[derive(Debug)]
pub struct Reader(SplitStream<WebSocket>);

/// Sending half.
#[derive(Debug)]
pub struct Writer(SplitSink<WebSocket, Message>);

impl ViewerReader for Reader {
    async fn recv(&mut self) -> Option<Result<Incoming, SocketError>> {
        let frame = self.0.next().await?;
        Some(
            frame
                .map_err(SocketError::from)
                .map(|message| match message {
                    Message::Binary(bytes) => Incoming::Binary(bytes),
                    Message::Text(_) => Incoming::Text,
                    Message::Ping(_) => Incoming::Ping,
                    Message::Pong(_) => Incoming::Pong,
                    Message::Close(_) => Incoming::Close,
                }),
        )
    }
}

impl ViewerWriter for Writer {
    async fn send(&mut self, frame: Outgoing) -> Result<(), SocketError> {
        let message = match frame {
            Outgoing::Binary(bytes) => Message::Binary(bytes),
            Outgoing::Ping => Message::Ping(Bytes::new()),
            Outgoing::Close { code, reason } => Message::Close(Some(CloseFrame {
                code,
                reason: reason.into(),
            })),
        };
        Ok(self.0.send(message).await?)
    }
}
