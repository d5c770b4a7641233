//! The relay's rules on a paused clock: who is closed when, with which code.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::{
    io::{AsyncWriteExt, DuplexStream, duplex, split},
    sync::mpsc,
};

use super::*;

const GREETING: &[u8] = b"RFB 003.008\n";

/// A viewer made of two bounded channels.
struct FakeReader(mpsc::Receiver<Result<Incoming, SocketError>>);

struct FakeWriter(mpsc::Sender<Outgoing>);

impl ViewerReader for FakeReader {
    async fn recv(&mut self) -> Option<Result<Incoming, SocketError>> {
        self.0.recv().await
    }
}

impl ViewerWriter for FakeWriter {
    async fn send(&mut self, frame: Outgoing) -> Result<(), SocketError> {
        self.0.send(frame).await.map_err(Into::into)
    }
}

/// A relay with both of its ends in the test's hands.
struct Bench {
    say: mpsc::Sender<Result<Incoming, SocketError>>,
    hear: mpsc::Receiver<Outgoing>,
    server: DuplexStream,
    stop: CancellationToken,
    ended: CancellationToken,
    dismissal: Dismissal,
    activities: Arc<AtomicUsize>,
    abandoned: Arc<AtomicUsize>,
    gate: Gate,
    traffic: Arc<Traffic>,
}

/// A relay to be polled by the test, and the bench around it.
fn bench(view_only: bool) -> (Bench, impl Future<Output = Closed>) {
    let (say, said) = mpsc::channel(4);
    let (told, hear) = mpsc::channel(2);
    let (server, socket) = duplex(1024);
    let (from_server, to_server) = split(socket);
    let bench = Bench {
        say,
        hear,
        server,
        stop: CancellationToken::new(),
        ended: CancellationToken::new(),
        dismissal: Dismissal::default(),
        activities: Arc::default(),
        abandoned: Arc::default(),
        gate: Gate::default(),
        traffic: Arc::default(),
    };
    let activities = Arc::clone(&bench.activities);
    let abandoned = Arc::clone(&bench.abandoned);
    let options = RelayOptions {
        view_only,
        timings: Timings::default(),
        stop: bench.stop.clone(),
        ended: bench.ended.clone(),
        dismissal: bench.dismissal.clone(),
        probes: Probes::new("/test", Arc::default()),
        traffic: Arc::clone(&bench.traffic),
        metrics: Arc::new(Metrics::new()),
        gate: bench.gate.clone(),
        on_activity: Box::new(move |_| {
            activities.fetch_add(1, Ordering::Relaxed);
        }),
        on_abandoned: Box::new(move || {
            abandoned.fetch_add(1, Ordering::Relaxed);
        }),
    };
    let (reader, writer) = (FakeReader(said), FakeWriter(told));
    (
        bench,
        relay_halves(reader, writer, from_server, to_server, options),
    )
}

impl Bench {
    async fn say(&self, bytes: &'static [u8]) {
        let frame = Incoming::Binary(Bytes::from_static(bytes));
        self.say.send(Ok(frame)).await.expect("the relay runs");
    }

    /// The next frame of RFB bytes; pings are passed over.
    async fn heard(&mut self) -> Bytes {
        loop {
            match self.hear.recv().await.expect("the relay runs") {
                Outgoing::Binary(bytes) => return bytes,
                Outgoing::Ping => {}
                Outgoing::Close { code, reason } => panic!("closed with {code} {reason}"),
            }
        }
    }

    async fn close_frame(&mut self) -> (u16, String) {
        loop {
            if let Outgoing::Close { code, reason } = self.hear.recv().await.expect("a close frame")
            {
                return (code, reason);
            }
        }
    }

    /// A handshake of 3.8 without authentication, of which nothing may be lost or changed.
    async fn shake_hands(&mut self) {
        let steps: [(&'static [u8], &'static [u8]); 3] =
            [(GREETING, GREETING), (&[1, 1], &[1]), (&[0; 4], &[1])];
        for (server, client) in steps {
            self.server.write_all(server).await.expect("written");
            assert_eq!(self.heard().await, server);
            self.say(client).await;
            let mut got = vec![0; client.len()];
            self.server.read_exact(&mut got).await.expect("read");
            assert_eq!(got, client);
        }
        self.server.write_all(&[0; 24]).await.expect("written");
        assert_eq!(self.heard().await, &[0; 24][..]);
    }

    /// What the server gets next.
    async fn got(&mut self, length: usize) -> Vec<u8> {
        let mut got = vec![0; length];
        self.server.read_exact(&mut got).await.expect("read");
        got
    }

    /// The server leaves, too.
    async fn leave(&mut self) {
        self.server.shutdown().await.expect("closed");
    }

    /// What the server still gets until the relay has closed its half.
    async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.server.read_to_end(&mut rest).await.expect("read");
        rest
    }
}

const KEY_DOWN: &[u8] = &[4, 1, 0, 0, 0, 0, 0, 97];
const KEY_UP: &[u8] = &[4, 0, 0, 0, 0, 0, 0, 97];

#[tokio::test(start_paused = true)]
async fn a_viewer_that_leaves_has_its_keys_released() {
    let (mut bench, relay) = bench(false);
    let script = async {
        bench.shake_hands().await;
        bench.say(KEY_DOWN).await;
        bench.say(&[4, 1, 0]).await; // half a message, which is never forwarded
        bench
            .say
            .send(Ok(Incoming::Close))
            .await
            .expect("the relay runs");
        assert_eq!(bench.rest().await, [KEY_DOWN, KEY_UP].concat());
        bench.leave().await;
    };
    let (closed, ()) = tokio::join!(relay, script);
    assert!(matches!(closed, Closed::ViewerLeft));
    assert_eq!(bench.activities.load(Ordering::Relaxed), 1);
    assert_eq!(bench.abandoned.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn half_a_forwarded_message_is_not_followed_by_another() {
    let (mut bench, relay) = bench(false);
    let script = async {
        bench.shake_hands().await;
        bench.say(KEY_DOWN).await;
        let half: &[u8] = &[6, 0, 0, 0, 0, 0, 0, 9, b'h'];
        bench.say(&[6, 0, 0, 0, 0, 0, 0, 9, b'h']).await;
        bench
            .say
            .send(Err("reset".into()))
            .await
            .expect("the relay runs");
        assert_eq!(bench.rest().await, [KEY_DOWN, half].concat());
        bench.leave().await;
    };
    let (closed, ()) = tokio::join!(relay, script);
    assert!(matches!(closed, Closed::ViewerLost(_)));
    assert_eq!(bench.abandoned.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn view_only_passes_requests_and_no_input() {
    let (mut bench, relay) = bench(true);
    let request: &'static [u8] = &[3, 0, 0, 0, 0, 0, 0, 9, 0, 9];
    let script = async {
        bench.shake_hands().await;
        bench.say(KEY_DOWN).await;
        bench.say(request).await;
        bench.say(KEY_DOWN).await;
        bench.stop.cancel();
        assert_eq!(
            bench.close_frame().await,
            (1001, "deskd is stopping".into())
        );
        let rest = bench.rest().await;
        assert!(rest.is_empty() || rest == request, "{rest:?}");
        bench.leave().await;
    };
    let (closed, ()) = tokio::join!(relay, script);
    assert!(matches!(closed, Closed::Stopping));
    assert_eq!(bench.activities.load(Ordering::Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_message_closes_with_its_type() {
    let (mut bench, relay) = bench(false);
    let script = async {
        bench.shake_hands().await;
        bench.say(&[99]).await;
        let expected = (1002, "unknown RFB message type 99".into());
        assert_eq!(bench.close_frame().await, expected);
        assert_eq!(bench.rest().await, b"");
        bench.leave().await;
    };
    tokio::join!(relay, script);
}

#[tokio::test(start_paused = true)]
async fn a_text_frame_closes_with_1003() {
    let (mut bench, relay) = bench(false);
    let script = async {
        bench
            .say
            .send(Ok(Incoming::Text))
            .await
            .expect("the relay runs");
        assert_eq!(bench.close_frame().await.0, 1003);
    };
    tokio::join!(relay, script);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_passed_on_and_named() {
    let (mut bench, relay) = bench(false);
    let script = async {
        bench.server.write_all(GREETING).await.expect("written");
        bench.say(GREETING).await;
        let mut version = [0; 12];
        bench.server.read_exact(&mut version).await.expect("read");
        bench
            .server
            .write_all(b"\0\0\0\0\x04busy")
            .await
            .expect("written");
        bench.server.shutdown().await.expect("closed");
        let (code, reason) = bench.close_frame().await;
        assert_eq!(code, 1008);
        assert!(reason.ends_with("busy"), "{reason}");
        bench.leave().await;
    };
    tokio::join!(relay, script);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_server_or_of_the_desktop_closes_with_1012() {
    let (mut one, relay) = bench(false);
    let script = async {
        one.shake_hands().await;
        drop(one.server);
        let (code, reason) = {
            let mut frame = one.hear.recv().await;
            while frame == Some(Outgoing::Ping) {
                frame = one.hear.recv().await;
            }
            match frame {
                Some(Outgoing::Close { code, reason }) => (code, reason),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(
            (code, reason.as_str()),
            (1012, "the desktop's RFB server is gone")
        );
    };
    tokio::join!(relay, script);
    let (mut two, relay) = bench(false);
    let script = async {
        two.ended.cancel();
        let (code, reason) = two.close_frame().await;
        assert_eq!((code, reason.as_str()), (1012, "the desktop has ended"));
    };
    tokio::join!(relay, script);
}

#[tokio::test(start_paused = true)]
async fn a_viewer_that_does_not_read_is_closed_and_yet_heard() {
    let (mut bench, relay) = bench(false);
    let start = Instant::now();
    let script = async {
        bench.shake_hands().await;
        // Two frames fit into the channel; the third waits.
        for _ in 0..3 {
            bench.server.write_all(&[7; 1024]).await.expect("written");
        }
        bench.say(KEY_DOWN).await;
        let mut got = [0; 8];
        bench
            .server
            .read_exact(&mut got)
            .await
            .expect("input passes meanwhile");
        assert_eq!(got, KEY_DOWN);
        assert_eq!(bench.rest().await, KEY_UP);
        bench.leave().await;
    };
    let (closed, ()) = tokio::join!(relay, script);
    assert_eq!(
        (closed.code(), closed.reason().as_str()),
        (Some(1013), "viewer does not read")
    );
    assert!(start.elapsed() >= Timings::default().stall_after);
    assert!(bench.traffic.to_viewer() >= 3 * 1024);
}

#[tokio::test(start_paused = true)]
async fn a_silent_viewer_is_pinged_and_then_closed() {
    let (mut bench, relay) = bench(false);
    let start = Instant::now();
    let script = async {
        for _ in 0..3 {
            assert_eq!(bench.hear.recv().await, Some(Outgoing::Ping));
            bench
                .say
                .send(Ok(Incoming::Pong))
                .await
                .expect("the relay runs");
        }
        assert_eq!(bench.close_frame().await.0, 1001);
        bench.leave().await;
    };
    let (closed, ()) = tokio::join!(relay, script);
    assert!(matches!(closed, Closed::ViewerSilent));
    assert_eq!(start.elapsed().as_secs(), 15 * 5);
}

const POINTER: &[u8] = &[5, 0, 0, 1, 0, 1];

#[tokio::test(start_paused = true)]
async fn keys_and_what_follows_them_wait_at_a_closed_gate_and_nothing_else_does() {
    let (mut bench, relay) = bench(false);
    let mut closer = bench.gate.closer();
    let start = Instant::now();
    let script = async {
        bench.shake_hands().await;
        let _ = closer.close();
        bench.say(POINTER).await;
        assert_eq!(bench.got(6).await, POINTER, "no key, no wait");
        bench.say(KEY_DOWN).await;
        bench.say(POINTER).await;
        bench.say(KEY_UP).await;
        while !closer.is_awaited() {
            tokio::task::yield_now().await;
        }
        let mut more = [0; 1];
        let nothing = timeout(Duration::from_millis(500), bench.server.read(&mut more));
        assert!(nothing.await.is_err(), "the key and what follows wait");
        closer.open();
        let in_order = [KEY_DOWN, POINTER, KEY_UP].concat();
        assert_eq!(bench.got(in_order.len()).await, in_order);
        assert!(start.elapsed() < Duration::from_secs(1), "by the opening");
        bench.stop.cancel();
        bench.leave().await;
    };
    tokio::join!(relay, script);
}

#[tokio::test(start_paused = true)]
async fn keys_pass_a_gate_that_stays_closed_after_a_while() {
    let (mut bench, relay) = bench(false);
    let mut closer = bench.gate.closer();
    let script = async {
        bench.shake_hands().await;
        let _ = closer.close();
        let start = Instant::now();
        bench.say(KEY_DOWN).await;
        assert_eq!(bench.got(8).await, KEY_DOWN);
        assert_eq!(start.elapsed().as_secs(), 1);
        bench.stop.cancel();
        assert_eq!(bench.rest().await, KEY_UP, "so does the release");
        bench.leave().await;
    };
    tokio::join!(relay, script);
}

#[tokio::test(start_paused = true)]
async fn a_wait_at_the_gate_ends_with_the_relay() {
    let (mut bench, relay) = bench(false);
    let mut closer = bench.gate.closer();
    let start = Instant::now();
    let script = async {
        bench.shake_hands().await;
        let _ = closer.close();
        bench.say(KEY_DOWN).await;
        while !closer.is_awaited() {
            tokio::task::yield_now().await;
        }
        bench.ended.cancel();
        assert_eq!(bench.close_frame().await.0, 1012);
        assert_eq!(start.elapsed(), Duration::ZERO);
        // Whatever the server has of the key, it is not down.
        assert_eq!(bench.rest().await, KEY_UP);
        bench.leave().await;
    };
    tokio::join!(relay, script);
}
