//! Input into a desktop that is not ours: `enigo` moves the pointer and presses buttons and keys.
//!
//! Which key enters what is not left to it: it looks at the first level of the layout only and changes the keyboard map
//! for every capital, which programs then read too late. The map is read by our own X connection instead, which also
//! types texts, says where the pointer is and what is held, and notices the end of the display.

use std::{fmt, os::fd::BorrowedFd, sync::Arc};

use enigo::{Coordinate, Direction, Enigo, Keyboard, Mouse, NewConError, Settings};

use crate::desktop::{
    gate::Gate,
    geometry::{Point, Size},
    input::{Button, Cancel, InputError, InputSink, KeyStroke, ServerHeld, TextReport},
    keys::Keysym,
    x11::{self, Address, ConnectError, XtestSink},
};

/// Why there is no input.
#[derive(Debug, thiserror::Error)]
pub(super) enum OpenError {
    /// No connection of our own.
    #[error("no connection for input")]
    Connect(#[source] ConnectError),
    /// The display lacks something.
    #[error("the display {display} takes no input")]
    Display {
        /// Which.
        display: String,
        /// What it lacks.
        source: InputError,
    },
    /// enigo cannot connect, or found no key without a symbol; it does not say which.
    #[error(
        "enigo cannot use the display {display}; it needs a spare key on the keyboard, which `setxkbmap` frees"
    )]
    Enigo {
        /// Which.
        display: String,
        /// What it said.
        source: NewConError,
    },
}

/// Dropping it releases what it holds and closes both connections.
pub(super) struct EnigoSink {
    enigo: Enigo,
    display: XtestSink,
}

impl fmt::Debug for EnigoSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnigoSink")
            .field("display", &self.display)
            .finish_non_exhaustive()
    }
}

impl EnigoSink {
    /// Connects. Blocks for some round trips. enigo reads the cookie file that the environment names.
    pub(super) fn open(address: &Address, gate: Gate) -> Result<Self, OpenError> {
        let name = || address.display.clone();
        let (connection, screen) = x11::connect(address).map_err(OpenError::Connect)?;
        let display = XtestSink::new(connection, screen).map_err(|source| OpenError::Display {
            display: name(),
            source,
        })?;
        let settings = Settings {
            // The X server would wait this long twice for each click and each step of a wheel.
            linux_delay: 0,
            x11_display: Some(name()),
            ..Settings::default()
        };
        let enigo = Enigo::new(&settings).map_err(|source| OpenError::Enigo {
            display: name(),
            source,
        })?;
        Ok(Self {
            enigo,
            display: display.behind(gate),
        })
    }
}

fn refused(operation: &'static str) -> impl Fn(enigo::InputError) -> InputError {
    move |error| InputError::Refused {
        operation,
        source: Arc::new(error),
    }
}

fn direction(press: bool) -> Direction {
    if press {
        Direction::Press
    } else {
        Direction::Release
    }
}

fn button_of(button: Button) -> enigo::Button {
    match button {
        Button::Left => enigo::Button::Left,
        Button::Middle => enigo::Button::Middle,
        Button::Right => enigo::Button::Right,
        Button::WheelUp => enigo::Button::ScrollUp,
        Button::WheelDown => enigo::Button::ScrollDown,
        Button::WheelLeft => enigo::Button::ScrollLeft,
        Button::WheelRight => enigo::Button::ScrollRight,
        Button::Back => enigo::Button::Back,
        Button::Forward => enigo::Button::Forward,
    }
}

impl InputSink for EnigoSink {
    fn event_source(&self) -> Option<BorrowedFd<'_>> {
        self.display.event_source()
    }

    fn pump(&mut self) -> Result<(), InputError> {
        self.display.pump()
    }

    /// Of the root window: enigo would give the first mode that the monitor has, not the one it is in.
    fn native_size(&mut self) -> Result<Size, InputError> {
        self.display.native_size()
    }

    fn pointer(&mut self) -> Result<Point, InputError> {
        self.display.pointer()
    }

    /// Negative coordinates, which enigo would pass on, are 0.
    fn motion(&mut self, to: Point) -> Result<(), InputError> {
        let (x, y) = (to.x.max(0), to.y.max(0));
        let moved = self.enigo.move_mouse(x, y, Coordinate::Abs);
        moved.map_err(refused("a motion"))
    }

    fn button(&mut self, button: Button, press: bool) -> Result<(), InputError> {
        let pressed = self.enigo.button(button_of(button), direction(press));
        pressed.map_err(refused("a button"))
    }

    fn resolve(
        &mut self,
        keysyms: &[Keysym],
        cancel: &Cancel,
    ) -> Result<Vec<KeyStroke>, InputError> {
        self.display.resolve(keysyms, cancel)
    }

    fn key(&mut self, code: u32, press: bool) -> Result<(), InputError> {
        let code = u16::try_from(code).expect("codes come from the map");
        let pressed = self.enigo.raw(code, direction(press));
        pressed.map_err(refused("a key"))
    }

    /// By our own connection, which turns locks off and back on around the text.
    fn text(&mut self, text: &str, cancel: &Cancel) -> Result<TextReport, InputError> {
        self.display.text(text, cancel)
    }

    /// enigo waits for the display after each step, so the own connection is all there is to wait for.
    fn sync(&mut self) -> Result<(), InputError> {
        self.display.sync()
    }

    fn server_held(&mut self) -> Result<ServerHeld, InputError> {
        self.display.server_held()
    }
}
