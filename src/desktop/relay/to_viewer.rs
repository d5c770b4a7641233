//! Server to viewer: reads only when the viewer took what was read before; pings; says why it closes.

use std::sync::Mutex;

use bytes::{Bytes, BytesMut};
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::{Instant, sleep_until, timeout},
};

use super::{
    CHUNK, RelayOptions,
    ending::{Closed, Ending},
    heartbeat::{Beat, Heard, Heartbeat},
    socket::{Outgoing, ViewerWriter},
};
use crate::{
    desktop::rfb::Handshake,
    telemetry::{Probe, Probes},
};

pub(super) struct ToViewer<'a> {
    pub(super) ending: &'a Ending,
    pub(super) handshake: &'a Mutex<Handshake>,
    pub(super) heard: &'a Heard,
    pub(super) options: &'a RelayOptions,
    pub(super) bytes: Counter,
}

/// Counts the ping that has no answer when the relay ends.
struct Waiting<'a> {
    probes: &'a Probes,
    ending: &'a Ending,
    asked: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if !self.asked {
            return;
        }
        let left = matches!(
            self.ending.cause(),
            Closed::ViewerLeft | Closed::ViewerLost(_)
        );
        let left = left && self.ending.over().is_cancelled();
        self.probes.count(if left {
            Probe::PeerClosed
        } else {
            Probe::Cancelled
        });
    }
}

impl ToViewer<'_> {
    /// Runs until the relay ends, then sends the close frame.
    pub(super) async fn run(
        self,
        mut writer: impl ViewerWriter,
        server: &mut (impl AsyncRead + Unpin + Send),
    ) {
        if let Err(cause) = self.pump(&mut writer, server).await {
            self.ending.end(cause);
        }
        let cause = self.ending.cause();
        if let Some(code) = cause.code() {
            let reason = cause.reason();
            let close = writer.send(Outgoing::Close { code, reason });
            // Nothing follows: a viewer that does not take its close frame is left to the kernel.
            let _ = timeout(self.options.timings.farewell, close).await;
        }
    }

    async fn pump(
        &self,
        writer: &mut impl ViewerWriter,
        server: &mut (impl AsyncRead + Unpin + Send),
    ) -> Result<(), Closed> {
        let timings = self.options.timings;
        let mut heartbeat = Heartbeat::new(timings.ping_every, timings.pong_within, Instant::now());
        let mut buffer = BytesMut::new();
        let mut in_handshake = true;
        let mut waiting = Waiting {
            probes: &self.options.probes,
            ending: self.ending,
            asked: false,
        };
        loop {
            waiting.asked = heartbeat.is_waiting(self.heard);
            // Asked here and not by the timer alone, which a server that always has more would starve.
            match heartbeat.beat(Instant::now(), self.heard) {
                Beat::Nothing => {}
                Beat::Answered => {
                    self.options.probes.count(Probe::Ok);
                    continue;
                }
                Beat::Ping => {
                    let sent = self.send(Outgoing::Ping, writer).await;
                    heartbeat.sent(Instant::now());
                    if sent.is_err() && !self.ending.over().is_cancelled() {
                        self.options.probes.count(Probe::Error);
                    }
                    sent?;
                }
                Beat::Silent => {
                    self.options.probes.count(Probe::Timeout);
                    waiting.asked = false;
                    return Err(Closed::ViewerSilent);
                }
            }
            // Takes back the memory of the last chunk, which the writer has let go of.
            buffer.reserve(CHUNK);
            // Dropping a read loses nothing; the timer only wakes the loop.
            let read = tokio::select! {
                biased;
                () = self.ending.over().cancelled() => return Ok(()),
                read = server.read_buf(&mut buffer) => read,
                () = sleep_until(heartbeat.due()) => continue,
            };
            if !matches!(read, Ok(1..)) {
                return Err(self.refusal().unwrap_or(Closed::ServerGone));
            }
            let chunk = buffer.split().freeze();
            if in_handshake {
                in_handshake = self.follow_handshake(&chunk)?;
            }
            self.count(&chunk);
            self.send(Outgoing::Binary(chunk), writer).await?;
        }
    }

    /// Shows the handshake a chunk; returns whether there is more of it to come.
    fn follow_handshake(&self, chunk: &[u8]) -> Result<bool, Closed> {
        let mut handshake = self.handshake.lock().expect("no panic while it is held");
        handshake.read_server(chunk).map_err(Closed::Protocol)?;
        Ok(!handshake.server_is_over())
    }

    fn refusal(&self) -> Option<Closed> {
        let handshake = self.handshake.lock().expect("no panic while it is held");
        handshake.refusal().map(Closed::Refused)
    }

    fn count(&self, chunk: &Bytes) {
        self.options.traffic.add_to_viewer(chunk.len());
        self.bytes.inc_by(chunk.len() as u64);
    }

    /// Sends one frame, unless the relay ends or the viewer does not read.
    async fn send(&self, frame: Outgoing, writer: &mut impl ViewerWriter) -> Result<(), Closed> {
        // A send is only given up when the relay ends; nothing but a close frame follows.
        let sending = self.ending.over().run_until_cancelled(writer.send(frame));
        match timeout(self.options.timings.stall_after, sending).await {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => Err(Closed::lost(error)),
            Ok(None) => Err(self.ending.cause()),
            Err(_) => Err(Closed::ViewerStalled),
        }
    }
}
