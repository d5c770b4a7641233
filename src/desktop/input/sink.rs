//! What injects: the one trait between the actor and a display.

use std::{fmt::Debug, os::fd::BorrowedFd, time::Instant};

use super::{
    action::{Button, TextReport},
    error::InputError,
    mailbox::Cancel,
};
use crate::desktop::{
    geometry::{Point, Size},
    keys::Keysym,
};

/// A key and the keys to hold for its level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStroke {
    /// Code of the key, in the sink's own numbering.
    pub code: u32,
    /// Codes of the modifiers that the wanted symbol needs.
    pub modifiers: Vec<u32>,
}

/// Codes with names, and buttons, that the display reports as down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerHeld {
    /// Code and keysym name.
    pub keys: Vec<(u32, String)>,
    /// Buttons; wheels are never held.
    pub buttons: Vec<Button>,
}

/// Injects into one display. Called by one thread; calls may block for a round trip, and only
/// [`InputSink::text`] and [`InputSink::resolve`] wait longer, then heeding `cancel`. Injected steps
/// may stay buffered until [`InputSink::sync`].
pub trait InputSink: Debug + Send + 'static {
    /// A descriptor that is readable when [`InputSink::pump`] has something to do.
    fn event_source(&self) -> Option<BorrowedFd<'_>> {
        None
    }
    /// Takes what the display has sent, without waiting. An error means that the display is gone.
    fn pump(&mut self) -> Result<(), InputError> {
        Ok(())
    }
    /// When [`InputSink::tidy`] has something to do, if nothing is injected until then.
    fn idle_deadline(&self) -> Option<Instant> {
        None
    }
    /// Undoes what was set up for the last actions and is not needed meanwhile. Called between actions; may take half a
    /// second when a program hangs.
    fn tidy(&mut self) -> Result<(), InputError> {
        Ok(())
    }
    /// The size of the screen now.
    fn native_size(&mut self) -> Result<Size, InputError>;
    /// The pointer, in native pixels.
    fn pointer(&mut self) -> Result<Point, InputError>;
    /// Moves the pointer to a native point.
    fn motion(&mut self, to: Point) -> Result<(), InputError>;
    /// Presses or releases a button.
    fn button(&mut self, button: Button, press: bool) -> Result<(), InputError>;
    /// Finds the keys for keysyms, in their order, making temporary ones where there are none.
    fn resolve(
        &mut self,
        keysyms: &[Keysym],
        cancel: &Cancel,
    ) -> Result<Vec<KeyStroke>, InputError>;
    /// Presses or releases a key.
    fn key(&mut self, code: u32, press: bool) -> Result<(), InputError>;
    /// Types a text without control characters other than `\n` and `\t`. Leaves locks, modifiers and
    /// held keys as they were, also on error and cancel.
    fn text(&mut self, text: &str, cancel: &Cancel) -> Result<TextReport, InputError>;
    /// Returns when the display has taken everything that was injected.
    fn sync(&mut self) -> Result<(), InputError>;
    /// [`InputSink::sync`], and the size of the screen then.
    fn sync_size(&mut self) -> Result<Size, InputError> {
        self.sync()?;
        self.native_size()
    }
    /// What the display reports as down.
    fn server_held(&mut self) -> Result<ServerHeld, InputError>;
}
