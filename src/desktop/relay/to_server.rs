//! Viewer to server: reads frames, judges their bytes, writes what may pass, releases what stayed down.

use std::sync::Mutex;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    time::{Instant, timeout},
};

use super::{
    RelayOptions,
    ending::{Closed, Ending},
    heartbeat::Heard,
    socket::{Incoming, ViewerReader},
};
use crate::desktop::{
    gate::Passing,
    rfb::{ClientReader, Handshake, Verdicts},
};

/// Bytes judged at once: bounds the list of verdicts whatever a frame holds.
const SLICE: usize = 16 << 10;

pub(super) struct ToServer<'a> {
    pub(super) ending: &'a Ending,
    pub(super) handshake: &'a Mutex<Handshake>,
    pub(super) heard: &'a Heard,
    pub(super) options: &'a RelayOptions,
    pub(super) bytes: Counter,
}

/// Where the stream stands.
struct Progress {
    in_handshake: bool,
    messages: ClientReader,
    verdicts: Verdicts,
    /// A write was given up, so the server may have half a message.
    torn: bool,
}

impl ToServer<'_> {
    /// Runs until the relay ends, then releases and closes the server's half.
    pub(super) async fn run(
        self,
        mut reader: impl ViewerReader,
        mut server: impl AsyncWrite + Unpin + Send,
    ) {
        let _viewer = (!self.options.view_only).then(|| self.options.gate.viewer());
        let mut progress = Progress {
            in_handshake: true,
            messages: ClientReader::new(self.options.view_only),
            verdicts: Verdicts::default(),
            torn: false,
        };
        loop {
            // Dropping `recv` loses nothing, by its contract.
            let frame = tokio::select! {
                biased;
                () = self.ending.over().cancelled() => break,
                frame = reader.recv() => frame,
            };
            self.heard.note(Instant::now());
            let outcome = match frame {
                None | Some(Ok(Incoming::Close)) => Err(Closed::ViewerLeft),
                Some(Err(error)) => Err(Closed::lost(error)),
                Some(Ok(Incoming::Text)) => Err(Closed::TextFrame),
                Some(Ok(Incoming::Ping | Incoming::Pong)) => Ok(()),
                Some(Ok(Incoming::Binary(bytes))) => {
                    self.pass(&bytes, &mut progress, &mut server).await
                }
            };
            if let Err(cause) = outcome {
                self.ending.end(cause);
                break;
            }
        }
        self.farewell(&progress, &mut server).await;
    }

    async fn pass(
        &self,
        bytes: &Bytes,
        progress: &mut Progress,
        server: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<(), Closed> {
        self.options.traffic.add_to_server(bytes.len());
        self.bytes.inc_by(bytes.len() as u64);
        let messages = self.pass_handshake(bytes, progress, server).await?;
        for slice in messages.chunks(SLICE) {
            let judged = progress.messages.read(slice, &mut progress.verdicts);
            // Before what is wrong there may have been keys.
            let has_keys = judged.as_ref().map_or(true, |activity| activity.key);
            let _passing = if has_keys {
                Some(self.await_gate().await?)
            } else {
                None
            };
            for piece in progress.verdicts.pieces(slice) {
                self.write(piece, &mut progress.torn, server).await?;
            }
            let activity = judged.map_err(Closed::Protocol)?;
            if activity.any() {
                (self.options.on_activity)(activity);
            }
        }
        Ok(())
    }

    /// Waits while a text has the keyboard. What the viewer sent after the keys waits, too.
    async fn await_gate(&self) -> Result<Passing, Closed> {
        let pass = self.options.gate.pass();
        let passing = self.ending.over().run_until_cancelled(pass).await;
        passing.ok_or_else(|| self.ending.cause())
    }

    /// Passes what belongs to the handshake; returns the rest.
    async fn pass_handshake<'b>(
        &self,
        bytes: &'b [u8],
        progress: &mut Progress,
        server: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<&'b [u8], Closed> {
        if !progress.in_handshake {
            return Ok(bytes);
        }
        let read = {
            let mut handshake = self.handshake.lock().expect("no panic while it is held");
            let read = handshake.read_client(bytes).map_err(Closed::Protocol)?;
            progress.in_handshake = !handshake.client_is_over();
            read
        };
        let (handshake, messages) = bytes.split_at(read);
        self.write(handshake, &mut progress.torn, server).await?;
        Ok(messages)
    }

    /// Writes all of `piece`, unless the relay ends or the server does not read.
    async fn write(
        &self,
        piece: &[u8],
        torn: &mut bool,
        server: &mut (impl AsyncWrite + Unpin + Send),
    ) -> Result<(), Closed> {
        self.heard.set_deaf(true);
        // A write that is given up may have been done in part: `torn` says so.
        let writing = self
            .ending
            .over()
            .run_until_cancelled(server.write_all(piece));
        let written = timeout(self.options.timings.stall_after, writing).await;
        self.heard.set_deaf(false);
        *torn = !matches!(written, Ok(Some(Ok(()))));
        match written {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(_))) => Err(Closed::ServerGone),
            Ok(None) => Err(self.ending.cause()),
            Err(_) => Err(Closed::ServerStalled),
        }
    }

    /// Releases what the viewer holds and says goodbye. Xvnc releases the keys of a client that leaves by
    /// itself, not its buttons; a release of what is up already does nothing.
    async fn farewell(&self, progress: &Progress, server: &mut (impl AsyncWrite + Unpin + Send)) {
        let mut release = progress.messages.held().release_messages();
        let holds = !release.is_empty();
        if progress.torn || !progress.messages.at_boundary() {
            let gone = matches!(
                self.ending.cause(),
                Closed::ServerGone | Closed::DesktopEnded
            );
            if holds && !gone {
                (self.options.on_abandoned)();
            }
            release.clear();
        }
        let last = async {
            // The server itself releases keys, too, when it sees the end.
            let _passing = if holds {
                Some(self.options.gate.pass().await)
            } else {
                None
            };
            server.write_all(&release).await?;
            server.shutdown().await
        };
        // Nothing follows, so a farewell that is given up breaks nothing.
        let _ = timeout(self.options.timings.farewell, last).await;
    }
}
