//! The relay between a viewer and a real Xvnc: pictures out, input in, and every way to part.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use deskd::{
    desktop::{
        gate::Gate,
        relay::{
            Closed, Dismissal, Incoming, Outgoing, RelayOptions, SocketError, Timings,
            ViewerReader, ViewerWriter, connect, relay,
        },
        rfb::RfbAddress,
        viewers::Traffic,
    },
    shutdown::Shutdown,
    telemetry::{Metrics, Probes},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use x11rb::{
    connection::Connection,
    protocol::xproto::{
        ConnectionExt, CreateWindowAux, EventMask, GrabMode, KeyButMask, WindowClass,
    },
    rust_connection::{DefaultStream, RustConnection},
};

use crate::support::{rfb_client::RfbClient, xserver::XServer};

/// Patience of the tests with a real server.
const PATIENCE: Duration = Duration::from_secs(20);
const SHIFT: u32 = 0xffe1;

/// The relay's reading end of a viewer in memory: what the viewer wrote, as binary frames.
struct Reader(DuplexStream);

impl ViewerReader for Reader {
    async fn recv(&mut self) -> Option<Result<Incoming, SocketError>> {
        let mut bytes = vec![0; 4096];
        match self.0.read(&mut bytes).await {
            Ok(0) => None,
            Ok(length) => {
                bytes.truncate(length);
                Some(Ok(Incoming::Binary(Bytes::from(bytes))))
            }
            Err(error) => Some(Err(error.into())),
        }
    }
}

/// The relay's writing end: the viewer gets the bytes of binary frames; pings count as answered.
struct Writer {
    bytes: DuplexStream,
    longest: Arc<AtomicUsize>,
    closed: Option<oneshot::Sender<(u16, String)>>,
}

impl ViewerWriter for Writer {
    async fn send(&mut self, frame: Outgoing) -> Result<(), SocketError> {
        match frame {
            Outgoing::Binary(bytes) => {
                self.longest.fetch_max(bytes.len(), Ordering::Relaxed);
                self.bytes.write_all(&bytes).await?;
            }
            Outgoing::Ping => {}
            Outgoing::Close { code, reason } => {
                if let Some(closed) = self.closed.take() {
                    let _ = closed.send((code, reason));
                }
            }
        }
        Ok(())
    }
}

/// The viewer's own end.
struct Stream {
    read: DuplexStream,
    write: DuplexStream,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.read).poll_read(context, buffer)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.write).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.write).poll_shutdown(context)
    }
}

/// A viewer behind a running relay.
struct Viewer {
    client: RfbClient<Stream>,
    relay: JoinHandle<Closed>,
    close_frame: oneshot::Receiver<(u16, String)>,
    moved: Arc<AtomicUsize>,
    longest: Arc<AtomicUsize>,
    traffic: Arc<Traffic>,
}

async fn view(server: &XServer, view_only: bool, timings: Timings) -> Viewer {
    let (near_out, far_out) = duplex(4096);
    let (near_in, far_in) = duplex(4096);
    let (closed, close_frame) = oneshot::channel();
    let (moved, longest, traffic) = (Arc::default(), Arc::default(), Arc::<Traffic>::default());
    let writer = Writer {
        bytes: far_in,
        longest: Arc::clone(&longest),
        closed: Some(closed),
    };
    let pointer = Arc::<AtomicUsize>::clone(&moved);
    let options = RelayOptions {
        view_only,
        timings,
        stop: CancellationToken::new(),
        ended: CancellationToken::new(),
        dismissal: Dismissal::default(),
        probes: Probes::new("/test", Arc::default()),
        traffic: Arc::clone(&traffic),
        metrics: Arc::new(Metrics::new()),
        gate: Gate::default(),
        on_activity: Box::new(move |activity| {
            if activity.pointer {
                pointer.fetch_add(1, Ordering::Relaxed);
            }
        }),
        on_abandoned: Box::new(|| {}),
    };
    let socket = connect(&RfbAddress::Unix(server.rfb()))
        .await
        .expect("Xvnc listens");
    let relay = Shutdown::new().spawn(relay(Reader(far_out), writer, socket, options));
    let stream = Stream {
        read: near_in,
        write: near_out,
    };
    let client = RfbClient::connect(stream)
        .await
        .expect("a handshake through the relay");
    Viewer {
        client,
        relay,
        close_frame,
        moved,
        longest,
        traffic,
    }
}

impl Viewer {
    /// How the relay ended, after the viewer has gone without a word.
    async fn vanish(self) -> Closed {
        drop(self.client);
        ended(self.relay).await
    }
}

async fn ended(relay: JoinHandle<Closed>) -> Closed {
    let closed = timeout(PATIENCE, relay).await;
    closed.expect("the relay ends").expect("without panic")
}

/// A connection to ask X what really happened.
fn connect_x(server: &XServer) -> (RustConnection, u32) {
    let path = format!("/tmp/.X11-unix/X{}", &server.display[1..]);
    let socket = std::os::unix::net::UnixStream::connect(path).expect("X listens");
    let (stream, _) = DefaultStream::from_unix_stream(socket).expect("a stream");
    let name = b"MIT-MAGIC-COOKIE-1".to_vec();
    let cookie = server.cookie.to_vec();
    let x = RustConnection::connect_to_stream_with_auth_info(stream, 0, name, cookie)
        .expect("the cookie opens X");
    let root = x.setup().roots[0].root;
    (x, root)
}

/// A window over the whole screen; its connection is told of every key, button and motion.
fn listen(x: &RustConnection, root: u32) {
    let window = x.generate_id().expect("an id");
    let events = EventMask::POINTER_MOTION | EventMask::BUTTON_PRESS | EventMask::BUTTON_RELEASE;
    let attributes = CreateWindowAux::new()
        .override_redirect(1)
        .background_pixel(0x0012_3456);
    x.create_window(
        0,
        window,
        root,
        0,
        0,
        400,
        300,
        0,
        WindowClass::INPUT_OUTPUT,
        0,
        &attributes,
    )
    .expect("sent");
    x.map_window(window).expect("sent");
    x.grab_pointer(
        true,
        window,
        events,
        GrabMode::ASYNC,
        GrabMode::ASYNC,
        0_u32,
        0_u32,
        0_u32,
    )
    .expect("sent")
    .reply()
    .expect("the pointer is free");
    x.grab_keyboard(true, window, 0_u32, GrabMode::ASYNC, GrabMode::ASYNC)
        .expect("sent")
        .reply()
        .expect("the keyboard is free");
}

/// Waits for X's next event about input of the wanted kind, off the runtime.
async fn next_event(
    x: &Arc<RustConnection>,
    wanted: fn(&x11rb::protocol::Event) -> bool,
) -> x11rb::protocol::Event {
    let x = Arc::clone(x);
    let waiting = tokio::task::spawn_blocking(move || {
        loop {
            let event = x.wait_for_event().expect("X lives");
            if wanted(&event) {
                return event;
            }
        }
    });
    timeout(PATIENCE, waiting)
        .await
        .expect("an event in time")
        .expect("no panic")
}

fn keys_down(x: &RustConnection) -> u32 {
    let map = x.query_keymap().expect("sent").reply().expect("answered");
    map.keys.iter().map(|byte| byte.count_ones()).sum()
}

fn is_motion(event: &x11rb::protocol::Event) -> bool {
    matches!(event, x11rb::protocol::Event::MotionNotify(_))
}

fn is_key_press(event: &x11rb::protocol::Event) -> bool {
    matches!(event, x11rb::protocol::Event::KeyPress(_))
}

fn is_key_release(event: &x11rb::protocol::Event) -> bool {
    matches!(event, x11rb::protocol::Event::KeyRelease(_))
}

fn is_button_press(event: &x11rb::protocol::Event) -> bool {
    matches!(event, x11rb::protocol::Event::ButtonPress(_))
}

fn is_button_release(event: &x11rb::protocol::Event) -> bool {
    matches!(event, x11rb::protocol::Event::ButtonRelease(_))
}

#[tokio::test]
async fn the_picture_arrives_and_the_pointer_moves() {
    let server = XServer::start(400, 300);
    let (x, root) = connect_x(&server);
    let x = Arc::new(x);
    let mut viewer = view(&server, false, Timings::default()).await;
    assert_eq!((viewer.client.width, viewer.client.height), (400, 300));
    listen(&x, root);
    viewer.client.request(false).await.expect("sent");
    while !viewer
        .client
        .pixels
        .iter()
        .all(|&pixel| pixel == 0x0012_3456)
    {
        let update = timeout(PATIENCE, viewer.client.update()).await;
        update.expect("an update in time").expect("an update");
        viewer.client.request(true).await.expect("sent");
    }
    viewer.client.pointer(123, 45, 0).await.expect("sent");
    next_event(&x, is_motion).await;
    let pointer = x
        .query_pointer(root)
        .expect("sent")
        .reply()
        .expect("answered");
    assert_eq!((pointer.root_x, pointer.root_y), (123, 45));
    assert!(viewer.traffic.to_viewer() > 400 * 300 * 4);
    let moved = Arc::clone(&viewer.moved);
    assert!(matches!(viewer.vanish().await, Closed::ViewerLeft));
    assert_eq!(moved.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_view_only_viewer_sees_and_does_nothing() {
    let server = XServer::start(400, 300);
    let (x, root) = connect_x(&server);
    let x = Arc::new(x);
    listen(&x, root);
    let mut looker = view(&server, true, Timings::default()).await;
    let mut driver = view(&server, false, Timings::default()).await;
    looker.client.pointer(10, 10, 1).await.expect("sent");
    looker.client.key(SHIFT, true).await.expect("sent");
    looker.client.request(false).await.expect("sent");
    let update = timeout(PATIENCE, looker.client.update()).await;
    assert!(update.expect("an update in time").expect("an update") > 0);
    // The server has answered what the looker sent after its input, so only the driver can be seen moving.
    driver.client.pointer(200, 100, 0).await.expect("sent");
    next_event(&x, is_motion).await;
    let pointer = x
        .query_pointer(root)
        .expect("sent")
        .reply()
        .expect("answered");
    assert_eq!((pointer.root_x, pointer.root_y), (200, 100));
    assert_eq!(pointer.mask, KeyButMask::default());
    assert_eq!(keys_down(&x), 0);
    assert_eq!(looker.moved.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_unknown_message_closes_with_1002_and_its_type() {
    let server = XServer::start(400, 300);
    let mut viewer = view(&server, false, Timings::default()).await;
    viewer.client.send(&[77]).await.expect("sent");
    let expected = (1002, "unknown RFB message type 77".to_owned());
    assert_eq!(viewer.close_frame.await, Ok(expected));
    assert!(matches!(ended(viewer.relay).await, Closed::Protocol(_)));
}

#[tokio::test]
async fn a_stalled_viewer_is_closed_and_slows_nobody() {
    let server = XServer::start(1920, 1080);
    let timings = Timings {
        stall_after: Duration::from_millis(300),
        ..Timings::default()
    };
    let mut stalled = view(&server, false, timings).await;
    let mut other = view(&server, false, Timings::default()).await;
    stalled.client.request(false).await.expect("sent"); // 8 MB that nobody reads
    for _ in 0..3 {
        other.client.request(false).await.expect("sent");
        timeout(PATIENCE, other.client.update())
            .await
            .expect("in time")
            .expect("an update");
    }
    let expected = (1013, "viewer does not read".to_owned());
    assert_eq!(stalled.close_frame.await, Ok(expected));
    // The pipe to the viewer holds 4 KiB; the relay took one chunk and no more.
    assert!(stalled.longest.load(Ordering::Relaxed) <= 2 * deskd::desktop::relay::CHUNK);
    assert!(
        stalled.traffic.to_viewer() < 300_000,
        "{}",
        stalled.traffic.to_viewer()
    );
    assert!(matches!(ended(stalled.relay).await, Closed::ViewerStalled));
    other.client.request(false).await.expect("sent");
    timeout(PATIENCE, other.client.update())
        .await
        .expect("in time")
        .expect("an update");
}

#[tokio::test]
async fn what_a_vanished_viewer_held_is_released() {
    let server = XServer::start(400, 300);
    let (x, root) = connect_x(&server);
    let x = Arc::new(x);
    listen(&x, root);
    let mut viewer = view(&server, false, Timings::default()).await;
    viewer.client.key(SHIFT, true).await.expect("sent");
    next_event(&x, is_key_press).await;
    viewer.client.pointer(50, 60, 1).await.expect("sent");
    next_event(&x, is_button_press).await;
    assert_eq!(keys_down(&x), 1);
    // Half a pointer message with another button, then gone.
    viewer.client.send(&[5, 3, 0]).await.expect("sent");
    assert!(matches!(viewer.vanish().await, Closed::ViewerLeft));
    next_event(&x, is_button_release).await;
    let pointer = x
        .query_pointer(root)
        .expect("sent")
        .reply()
        .expect("answered");
    assert_eq!(pointer.mask & KeyButMask::BUTTON1, KeyButMask::default());
    assert_eq!((pointer.root_x, pointer.root_y), (50, 60));
    assert_eq!(keys_down(&x), 0);
    view(&server, false, Timings::default()).await; // the server takes the next one
}

#[tokio::test]
async fn a_viewer_gone_within_a_clipboard_leaves_no_key_down() {
    let server = XServer::start(400, 300);
    let (x, root) = connect_x(&server);
    let x = Arc::new(x);
    listen(&x, root);
    let mut viewer = view(&server, false, Timings::default()).await;
    viewer.client.key(SHIFT, true).await.expect("sent");
    next_event(&x, is_key_press).await;
    viewer
        .client
        .send(&[6, 0, 0, 0, 0, 0, 1, 0, b'h', b'a'])
        .await
        .expect("sent");
    assert!(matches!(viewer.vanish().await, Closed::ViewerLeft));
    next_event(&x, is_key_release).await;
    assert_eq!(keys_down(&x), 0);
}

#[tokio::test]
async fn a_killed_server_closes_with_1012() {
    let mut server = XServer::start(400, 300);
    let viewer = view(&server, false, Timings::default()).await;
    server.kill();
    let (code, reason) = viewer.close_frame.await.expect("a close frame");
    assert_eq!(
        (code, reason.as_str()),
        (1012, "the desktop's RFB server is gone")
    );
    assert!(matches!(ended(viewer.relay).await, Closed::ServerGone));
}

#[tokio::test]
async fn no_server_is_an_error_that_names_it() {
    let address = RfbAddress::Unix("/nonexistent/rfb.sock".into());
    let error = connect(&address).await.expect_err("nobody listens");
    assert_eq!(
        error.to_string(),
        "failed to connect to the RFB server at unix:/nonexistent/rfb.sock"
    );
}
