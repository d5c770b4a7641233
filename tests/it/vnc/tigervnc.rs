//! TigerVNC's own viewer on a display of its own, through the forward in `examples/`.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use deskd::desktop::x11;
use x11rb::{
    connection::Connection,
    protocol::{
        xproto::{
            BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, ImageFormat,
            MOTION_NOTIFY_EVENT,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

use crate::{
    hostile::{Recorder, eventually},
    support::{daemon::Daemon, xserver::XServer},
    typing::address,
    vnc::pointer,
};

/// Of the window that is looked for; nothing else on the desktop has it.
const COLOUR: u32 = 0x00_e0_30_c0;

/// A child that ends with the test.
struct Ours(Child);

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `examples/vnc-forward.py` on a free port, and the port.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn forward(daemon: &Daemon) -> (Ours, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/vnc-forward.py");
    let mut child = Command::new("python3")
        .args([script, "0"])
        .env("DESKD_URL", format!("http://{}", daemon.address))
        .env("DESKD_TOKEN_FILE", daemon.home().state().join("token"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let stdout = child.stdout.take().expect("stdout is piped");
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).expect("a line");
    let port = line.trim_end().rsplit(':').next().expect("a port");
    (Ours(child), port.to_owned())
}

/// Where the colour begins on this screen, and how many pixels have it.
fn find(connection: &RustConnection, root: u32) -> Option<((i16, i16), usize)> {
    let image = connection.get_image(ImageFormat::Z_PIXMAP, root, 0, 0, 1400, 900, u32::MAX);
    let data = image.expect("sent").reply().expect("an image").data;
    let near = |pixel: &[u8]| {
        let due = COLOUR.to_le_bytes();
        pixel
            .iter()
            .zip(due)
            .take(3)
            .all(|(is, due)| is.abs_diff(due) < 8)
    };
    let mut places = (0..)
        .zip(data.chunks_exact(4))
        .filter(|(_, pixel)| near(pixel))
        .map(|(index, _)| index);
    let first: i32 = places.next()?;
    let at = |c: i32| i16::try_from(c).expect("on the screen");
    Some(((at(first % 1400), at(first / 1400)), 1 + places.count()))
}

#[tokio::test(flavor = "multi_thread")]
async fn tigervnc_shows_the_desktop_and_drives_it() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&daemon, (100, 80), (200, 150), COLOUR).await;
    let (_forward, port) = forward(&daemon);
    let outer = XServer::start(1400, 900);
    let viewer = outer
        .command("xtigervncviewer")
        .args(["-SecurityTypes", "None", "-AlertOnFatalError=0"])
        .arg(format!("127.0.0.1::{port}"))
        .env("HOME", daemon.home().path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let _viewer = Ours(viewer.expect("xtigervncviewer starts"));
    let (connection, screen) = x11::connect(&address(&outer)).expect("a connection");
    let root = connection.setup().roots[screen].root;
    let mut found = None;
    eventually("the window is seen", async || {
        found = find(&connection, root).filter(|(_, count)| *count > 29_000);
        found.is_some()
    })
    .await;
    let ((x, y), _) = found.expect("it was seen");
    let act = |kind, button, x, y| {
        let sent = connection.xtest_fake_input(kind, button, 0, root, x, y, 0);
        sent.expect("sent").check().expect("done");
    };
    act(MOTION_NOTIFY_EVENT, 0, x + 50, y + 40);
    eventually("the pointer follows", async || {
        pointer(&daemon).await == "x=150,y=120"
    })
    .await;
    act(BUTTON_PRESS_EVENT, 1, 0, 0);
    act(BUTTON_RELEASE_EVENT, 1, 0, 0);
    let mut events = Vec::new();
    eventually("the click arrives", async || {
        events.extend(window.events());
        events.len() >= 2
    })
    .await;
    assert_eq!(events, ["+1 50,40", "-1 50,40"]);
}
