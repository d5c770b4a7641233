//! VNC over WebSocket against the real daemon: pictures, input, and every way to leave badly.

mod tigervnc;

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::Notify,
    task::JoinSet,
    time::timeout,
};
use tokio_tungstenite::tungstenite::{self, Message, protocol::CloseFrame};

use crate::{
    hostile::{eventually, held, is_empty, released},
    support::{
        daemon::{Daemon, PATIENCE, Socket},
        rfb_client::RfbClient,
    },
};

const VNC: &str = "/api/v0/desktop/vnc";
const SHIFT: u32 = 0xffe1;

/// A viewer. Dropping it vanishes: the connection ends without a close frame.
pub struct Viewer {
    pub client: RfbClient<DuplexStream>,
    silence: Arc<Notify>,
    pump: JoinSet<Option<CloseFrame>>,
}

impl Viewer {
    pub async fn open(daemon: &Daemon, query: &str) -> Self {
        let path = format!("{VNC}{query}");
        Self::over(daemon.websocket(&path).await.expect("upgraded")).await
    }

    pub async fn over(socket: Socket) -> Self {
        let (ours, theirs) = duplex(1 << 20);
        let mut tasks = JoinSet::new();
        let silence = Arc::<Notify>::default();
        tasks.spawn(pump(socket, theirs, Arc::clone(&silence)));
        let client = timeout(PATIENCE, RfbClient::connect(ours)).await;
        let client = client.expect("in time").expect("a handshake");
        Self {
            client,
            silence,
            pump: tasks,
        }
    }

    /// Reads and answers nothing from now on; the connection stays.
    pub fn fall_silent(&self) {
        self.silence.notify_one();
    }

    /// The whole screen.
    pub async fn look(&mut self) {
        self.client.request(false).await.expect("sent");
        let update = timeout(PATIENCE, self.client.update()).await;
        update.expect("in time").expect("an update");
    }

    /// Waits until the daemon closes.
    pub async fn closed(mut self) -> (u16, String) {
        // What still comes as pixels is thrown away, so that the close frame behind it is reached.
        let gone = async { while self.client.update().await.is_ok() {} };
        timeout(PATIENCE, gone).await.expect("closed in time");
        let frame = self.pump.join_next().await.expect("a task");
        let frame = frame.expect("no panic").expect("a close frame");
        (frame.code.into(), frame.reason.to_string())
    }
}

/// Bytes of the stream to frames and back, until either ends; gives the close frame if one came.
async fn pump(
    mut socket: Socket,
    mut stream: DuplexStream,
    silence: Arc<Notify>,
) -> Option<CloseFrame> {
    let mut bytes = vec![0; 1 << 16];
    loop {
        tokio::select! {
            () = silence.notified() => std::future::pending().await,
            frame = socket.next() => match frame {
                Some(Ok(Message::Binary(bytes))) => stream.write_all(&bytes).await.ok()?,
                Some(Ok(Message::Close(frame))) => return frame,
                Some(Ok(_)) => {}
                _ => return None,
            },
            read = stream.read(&mut bytes) => match read {
                Ok(length @ 1..) => {
                    let frame = Message::Binary(bytes[..length].to_vec().into());
                    socket.send(frame).await.ok()?;
                }
                _ => return None,
            },
        }
    }
}

/// Where the pointer is, as the other route says.
async fn pointer(daemon: &Daemon) -> String {
    let at = daemon.action(json!({"action": "cursor_position"})).await;
    at["output"].as_str().expect("text").to_owned()
}

async fn viewers(daemon: &Daemon) -> Vec<Value> {
    daemon.desktop().await["viewers"]
        .as_array()
        .expect("a list")
        .clone()
}

async fn close_frame(socket: &mut Socket) -> CloseFrame {
    let closed = async {
        loop {
            match socket.next().await {
                Some(Ok(Message::Close(frame))) => return frame.expect("a code"),
                Some(Ok(_)) => {}
                other => panic!("no close frame but {other:?}"),
            }
        }
    };
    timeout(PATIENCE, closed).await.expect("closed in time")
}

fn crash(pid: &Value) {
    let pid = i32::try_from(pid.as_i64().expect("a pid")).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_the_desktop_and_moves_the_pointer() {
    let daemon = Daemon::start(&[]);
    let mut viewer = Viewer::open(&daemon, "").await;
    assert_eq!((viewer.client.width, viewer.client.height), (1280, 800));
    viewer.look().await;
    assert!(viewer.client.pixels.iter().any(|pixel| *pixel != 0));
    viewer.client.pointer(300, 200, 0).await.expect("sent");
    eventually("the pointer moved", async || {
        pointer(&daemon).await == "x=300,y=200"
    })
    .await;
    let listed = viewers(&daemon).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["view_only"], false);
    assert!(listed[0]["bytes_to_viewer"].as_u64() > Some(1280 * 800));
    drop(viewer);
    eventually("it is gone", async || viewers(&daemon).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_look_changes_nothing() {
    let daemon = Daemon::start(&[]);
    daemon
        .action(json!({"action": "mouse_move", "coordinate": [11, 12]}))
        .await;
    let mut viewer = Viewer::open(&daemon, "?view_only=true").await;
    viewer.client.pointer(300, 200, 1).await.expect("sent");
    viewer.client.key(SHIFT, true).await.expect("sent");
    let clipboard = [6, 0, 0, 0, 0, 0, 0, 3, b'a', b'b', b'c'];
    viewer.client.send(&clipboard).await.expect("sent");
    // The answer to what was asked afterwards proves that all of it was judged.
    viewer.look().await;
    assert_eq!(pointer(&daemon).await, "x=11,y=12");
    assert!(is_empty(&held(&daemon).await["server"]));
    assert_eq!(viewers(&daemon).await[0]["view_only"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_and_unknown_messages_end_with_their_own_codes() {
    let daemon = Daemon::start(&[]);
    let mut socket = daemon.websocket(VNC).await.expect("upgraded");
    socket.send(Message::text("hello")).await.expect("sent");
    let frame = close_frame(&mut socket).await;
    assert_eq!(u16::from(frame.code), 1003, "{}", frame.reason);

    let mut viewer = Viewer::open(&daemon, "").await;
    viewer.client.send(&[99]).await.expect("sent");
    let (code, reason) = viewer.closed().await;
    assert!(code == 1002 && reason.contains("99"), "{code} {reason}");

    let mut socket = daemon.websocket(VNC).await.expect("upgraded");
    let garbage = Message::binary(b"GET / HTTP/1.1\r\n\r\n".to_vec());
    socket.send(garbage).await.expect("sent");
    let frame = close_frame(&mut socket).await;
    assert_eq!(u16::from(frame.code), 1002, "{}", frame.reason);
    eventually("all are gone", async || viewers(&daemon).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_beyond_the_limit_end_the_viewer_alone() {
    let daemon = Daemon::start(&[]);
    let mut good = Viewer::open(&daemon, "").await;
    let mut socket = daemon.websocket(VNC).await.expect("upgraded");
    let _ = socket.send(Message::binary(vec![0; 16 << 20])).await;
    let ended = async { while let Some(Ok(_)) = socket.next().await {} };
    timeout(PATIENCE, ended).await.expect("ended in time");
    eventually("it is gone", async || viewers(&daemon).await.len() == 1).await;
    good.look().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_vanished_viewer_held_is_released() {
    let daemon = Daemon::start(&[]);
    let half_of_a_pointer_message = [5, 1, 0];
    for tail in [&[][..], &half_of_a_pointer_message] {
        let mut viewer = Viewer::open(&daemon, "").await;
        viewer.client.key(SHIFT, true).await.expect("sent");
        viewer.client.key(0x61, true).await.expect("sent");
        viewer.client.pointer(60, 60, 1).await.expect("sent");
        eventually("it is down", async || {
            let server = &held(&daemon).await["server"];
            server["keys"].as_array().map(Vec::len) == Some(2)
                && server["buttons"].as_array().map(Vec::len) == Some(1)
        })
        .await;
        viewer.client.send(tail).await.expect("sent");
        drop(viewer);
        released(&daemon).await;
    }
    eventually("both are gone", async || viewers(&daemon).await.is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_x_server_closes_with_a_reason_and_comes_back() {
    let daemon = Daemon::start(&[]);
    let mut viewer = Viewer::open(&daemon, "").await;
    viewer.look().await;
    let before = daemon.desktop().await;
    crash(&before["pid"]);
    let (code, reason) = viewer.closed().await;
    assert_eq!(code, 1012, "{reason}");
    assert!(!reason.is_empty());
    eventually("it was restarted", async || {
        daemon.desktop().await["restarts"] == 1
    })
    .await;
    let mut again = Viewer::open(&daemon, "").await;
    again.look().await;
    let after = daemon.desktop().await;
    assert_ne!(after["pid"], before["pid"]);
    assert_eq!(viewers(&daemon).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_viewer_too_many_is_refused_and_a_place_is_given_back() {
    let daemon = Daemon::start(&[]);
    daemon.started().await;
    let mut open = Vec::new();
    for _ in 0..256 {
        open.push(daemon.websocket(VNC).await.expect("upgraded"));
    }
    let Err(tungstenite::Error::Http(answer)) = daemon.websocket(VNC).await else {
        panic!("the 257th was let in");
    };
    assert_eq!(answer.status(), 503);
    let body: Value =
        serde_json::from_slice(answer.body().as_deref().expect("a body")).expect("JSON");
    assert_eq!(body["code"], "too_many_viewers");
    open.pop();
    eventually("a place is free", async || {
        viewers(&daemon).await.len() < 256
    })
    .await;
    daemon.websocket(VNC).await.expect("room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_that_leave_in_the_handshake_lock_nobody_out() {
    let daemon = Daemon::start(&[]);
    for _ in 0..30 {
        let mut socket = daemon.websocket(VNC).await.expect("upgraded");
        let greeting = socket.next().await.expect("a frame").expect("a greeting");
        assert_eq!(greeting.into_data().as_ref(), b"RFB 003.008\n");
    }
    let mut viewer = Viewer::open(&daemon, "").await;
    viewer.look().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_after_a_crash_takes_over_what_runs() {
    let daemon = Daemon::start(&[]);
    let before = daemon.started().await;
    let mut command = daemon.program("xterm").await;
    let mut xterm = command.spawn().expect("xterm starts");
    let mut viewer = Viewer::open(&daemon, "").await;
    viewer.look().await;
    let home = daemon.crash();
    let daemon = Daemon::start_in(&home, &[]);
    let after = daemon.started().await;
    for name in ["display", "pid", "xauthority"] {
        assert_eq!(before[name], after[name], "{name}");
    }
    let mut again = Viewer::open(&daemon, "").await;
    again.look().await;
    assert!(again.client.pixels.iter().any(|pixel| *pixel != 0));
    assert!(xterm.try_wait().expect("a child").is_none(), "xterm lives");
    assert!(daemon.stop().success());
    xterm.wait().expect("a child of ours");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_never_reads_slows_nobody() {
    let daemon = Daemon::start(&[]);
    let mut good = Viewer::open(&daemon, "").await;
    let alone = twenty_looks(&mut good).await;
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut socket = daemon.websocket(VNC).await.expect("upgraded");
        let ask = [3, 0, 0, 0, 0, 0, 5, 0, 3, 32]; // 1280×800, whole
        let mut asks = vec![1, 2, 0, 0, 1, 0, 0, 0, 0]; // shared; raw pixels
        asks.extend(ask.repeat(100));
        for answer in [b"RFB 003.008\n".to_vec(), vec![1], asks] {
            socket.next().await.expect("a frame").expect("its turn");
            socket.send(Message::binary(answer)).await.expect("sent");
        }
        stalled.push(socket);
    }
    let beside = twenty_looks(&mut good).await;
    println!("20 pictures: {alone:?} alone, {beside:?} beside four that never read");
    assert!(
        beside < alone * 4 + PATIENCE / 10,
        "{alone:?} became {beside:?}"
    );
    assert_eq!(viewers(&daemon).await.len(), 5);
}

async fn twenty_looks(viewer: &mut Viewer) -> std::time::Duration {
    let start = std::time::Instant::now();
    for _ in 0..20 {
        viewer.look().await;
    }
    start.elapsed()
}
