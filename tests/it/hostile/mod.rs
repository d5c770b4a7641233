//! deskd under clients that mean no good: bad bodies, broken framing, crowds, and clients that vanish.

mod alone;
mod bodies;
mod crowd;
mod outside;
mod wire;

use deskd::desktop::x11::{self, Address};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        xproto::{ConnectionExt as _, CreateWindowAux, EventMask, InputFocus, WindowClass},
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use crate::support::daemon::{Daemon, PATIENCE, json};

/// Asks again and again until it holds.
pub async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let held = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let in_time = timeout(PATIENCE, held).await;
    assert!(in_time.is_ok(), "not within {PATIENCE:?}: {what}");
}

/// Our own connection to the daemon's X server, with the cookie from the file that it names.
pub async fn display(daemon: &Daemon) -> (RustConnection, usize) {
    x11::connect(&address(&daemon.started().await)).expect("a connection")
}

pub fn address(desktop: &Value) -> Address {
    let file = desktop["xauthority"].as_str().expect("an authority file");
    let bytes = std::fs::read(file).expect("the cookie file");
    Address {
        display: desktop["display"].as_str().expect("a display").to_owned(),
        cookie: bytes.last_chunk::<16>().copied(),
    }
}

/// `GET /api/v0/desktop/input`
pub async fn held(daemon: &Daemon) -> Value {
    let (status, body) = json(daemon.get("/api/v0/desktop/input").await).await;
    assert_eq!(status, 200, "{body}");
    body
}

pub fn is_empty(of: &Value) -> bool {
    let none = |name: &str| of[name].as_array().is_some_and(Vec::is_empty);
    none("keys") && none("buttons")
}

/// Waits until neither we nor the server hold anything, then acts.
pub async fn released(daemon: &Daemon) {
    let free = async || {
        let body = held(daemon).await;
        is_empty(&body["held"]) && is_empty(&body["server"])
    };
    eventually("everything is released", free).await;
    let click = serde_json::json!({"action": "left_click", "coordinate": [3, 3]});
    timeout(PATIENCE, daemon.action(click))
        .await
        .expect("the next action works");
}

/// A window on the daemon's desktop that notes what reaches it.
pub struct Recorder {
    connection: RustConnection,
}

impl Recorder {
    /// Above everything, in a colour, with the keyboard.
    pub async fn open(daemon: &Daemon, at: (i16, i16), size: (u16, u16), colour: u32) -> Self {
        let (connection, screen) = display(daemon).await;
        let root = connection.setup().roots[screen].root;
        let id = connection.generate_id().expect("an id");
        let mask = EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::KEY_PRESS
            | EventMask::EXPOSURE;
        let values = CreateWindowAux::new()
            .event_mask(mask)
            .background_pixel(colour)
            .override_redirect(1);
        let class = WindowClass::INPUT_OUTPUT;
        connection
            .create_window(
                0, id, root, at.0, at.1, size.0, size.1, 0, class, 0, &values,
            )
            .expect("sent");
        connection.map_window(id).expect("sent");
        connection.flush().expect("flushed");
        while !matches!(
            connection.wait_for_event().expect("an event"),
            Event::Expose(_)
        ) {}
        let focus = connection.set_input_focus(InputFocus::PARENT, id, x11rb::CURRENT_TIME);
        focus.expect("sent").check().expect("the focus");
        Self { connection }
    }

    /// What came since the last call.
    pub fn events(&self) -> Vec<String> {
        self.connection.sync().expect("a round trip");
        let mut lines = Vec::new();
        while let Some(event) = self.connection.poll_for_event().expect("events") {
            lines.push(match event {
                Event::ButtonPress(e) => format!("+{} {},{}", e.detail, e.event_x, e.event_y),
                Event::ButtonRelease(e) => format!("-{} {},{}", e.detail, e.event_x, e.event_y),
                Event::KeyPress(e) => format!("k{}", e.detail),
                _ => continue,
            });
        }
        lines
    }
}

/// A connection on which every byte is the test's own.
pub struct Raw {
    pub stream: TcpStream,
    token: String,
}

impl Raw {
    pub async fn open(daemon: &Daemon) -> Self {
        let stream = TcpStream::connect(&daemon.address)
            .await
            .expect("connected");
        stream.set_nodelay(true).expect("an option");
        let token = daemon.token();
        Self { stream, token }
    }

    /// First line and headers, with the token, up to where further headers may follow.
    pub fn head(&self, line: &str) -> String {
        let token = &self.token;
        format!("{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n")
    }

    /// A whole POST of an action.
    pub fn action(&self, body: &Value) -> String {
        let (head, body) = (self.head("POST /api/v0/desktop/action"), body.to_string());
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.expect("sent");
    }

    /// Everything that comes until the daemon closes.
    pub async fn rest(&mut self) -> String {
        let mut all = Vec::new();
        // A reset after the last byte is an end, too: the daemon need not read what it has refused.
        let read = timeout(PATIENCE, self.stream.read_to_end(&mut all)).await;
        let _ = read.expect("the daemon closes");
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Ends the connection as a crashed machine's would be: with a reset.
    pub fn reset(self) {
        self.stream.set_zero_linger().expect("an option");
    }
}
