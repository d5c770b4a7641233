//! A window that writes down what reaches it.

use deskd::desktop::x11::{self, Address};
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        xproto::{ConnectionExt as _, CreateWindowAux, EventMask, InputFocus, WindowClass},
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

/// A window over the whole screen that notes what reaches it.
#[derive(Debug)]
pub struct Recorder {
    connection: RustConnection,
}

impl Recorder {
    /// Opens it, waits until it is shown, and gives it the keyboard.
    pub fn open(address: &Address) -> Self {
        let (connection, screen) = x11::connect(address).expect("a connection");
        let setup = &connection.setup().roots[screen];
        let (root, width, height) = (setup.root, setup.width_in_pixels, setup.height_in_pixels);
        let id = connection.generate_id().expect("an id");
        let mask = EventMask::BUTTON_PRESS
            | EventMask::BUTTON_RELEASE
            | EventMask::POINTER_MOTION
            | EventMask::KEY_PRESS
            | EventMask::KEY_RELEASE
            | EventMask::EXPOSURE;
        let values = CreateWindowAux::new().event_mask(mask).override_redirect(1);
        let class = WindowClass::INPUT_OUTPUT;
        connection
            .create_window(0, id, root, 0, 0, width, height, 0, class, 0, &values)
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

    /// What came since the last call. An answered action has reached the server, so a round trip
    /// brings all of it.
    pub fn events(&self) -> Vec<String> {
        self.connection.sync().expect("a round trip");
        let mut lines = Vec::new();
        while let Some(event) = self.connection.poll_for_event().expect("events") {
            lines.push(match event {
                Event::ButtonPress(e) => format!("+{} {},{}", e.detail, e.event_x, e.event_y),
                Event::ButtonRelease(e) => format!("-{} {},{}", e.detail, e.event_x, e.event_y),
                Event::MotionNotify(e) => format!("~ {},{}", e.event_x, e.event_y),
                Event::KeyPress(e) => format!("k+{} {}", e.detail, u16::from(e.state)),
                Event::KeyRelease(e) => format!("k-{} {}", e.detail, u16::from(e.state)),
                _ => continue,
            });
        }
        lines
    }

    /// The same without motion.
    pub fn clicks(&self) -> Vec<String> {
        self.events()
            .into_iter()
            .filter(|line| !line.starts_with('~'))
            .collect()
    }
}
