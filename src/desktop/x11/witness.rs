//! Proof that programs have taken the keys that were sent to them.
//!
//! A program takes the events of its connection in their order. So the answer to a `_NET_WM_PING` (Extended Window
//! Manager Hints, "Window Manager Protocols") tells that it has taken every key, and every change of the map,
//! before it. GTK, Qt, Chromium and Firefox answer from their event loop, also when another program than the window
//! manager asks. xterm and others built on Xt do not: for them, time must do.

use std::time::{Duration, Instant};

use x11rb::{
    connection::Connection,
    cookie::Cookie,
    protocol::{
        Event,
        xproto::{
            Atom, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _,
            EventMask, Window,
        },
    },
    rust_connection::RustConnection,
};

use super::inject::{XtestSink, lost, reply};
use crate::desktop::input::{Cancel, InputError, wait_for};

/// What a program that answers no ping gets to read its keys, from the last one on. xterm was exact with 100 ms, on an
/// idle machine.
const SETTLE: Duration = Duration::from_millis(200);

/// How long a program that does answer may take. One that hangs longer loses what it has not read.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Windows above the focus that are looked at.
const DEPTH: usize = 8;

/// Who must have read what was typed.
#[derive(Debug)]
pub(super) struct Witness {
    protocols: Atom,
    ping: Atom,
    /// Number of the last ping, its timestamp.
    serial: u32,
    /// Windows that had the keyboard since the last proof.
    windows: Vec<Window>,
    /// When a key was sent last.
    sent: Option<Instant>,
    /// The last key of those that have been read, or had their time.
    read: Option<Instant>,
    /// The ping that was answered last.
    answered: u32,
}

impl Witness {
    pub(super) fn new(connection: &RustConnection) -> Result<Self, InputError> {
        let atom = |name: &[u8]| {
            let answer = reply(
                "setup",
                connection.intern_atom(false, name).map(Cookie::reply),
            )?;
            Ok::<_, InputError>(answer.atom)
        };
        Ok(Self {
            protocols: atom(b"WM_PROTOCOLS")?,
            ping: atom(b"_NET_WM_PING")?,
            serial: 0,
            windows: Vec::new(),
            sent: None,
            read: None,
            answered: 0,
        })
    }

    /// Notes that a key was sent.
    pub(super) fn touch(&mut self) {
        self.sent = Some(Instant::now());
    }

    /// Notes who gets keys.
    pub(super) fn typed(&mut self, focus: Window) {
        if !self.windows.contains(&focus) {
            self.windows.push(focus);
        }
    }

    /// When a key was sent last.
    pub(super) fn sent(&self) -> Option<Instant> {
        self.sent
    }

    /// Whether nothing is left to be read, or nobody reads it.
    pub(super) fn is_done(&self) -> bool {
        self.read == self.sent
    }

    /// Takes the answer to a ping, if this is one.
    pub(super) fn hear(&mut self, event: &Event) {
        if let Event::ClientMessage(message) = event
            && message.type_ == self.protocols
            && let [ping, serial, ..] = message.data.as_data32()
            && ping == self.ping
        {
            self.answered = serial;
        }
    }
}

impl XtestSink {
    /// Waits until all programs that were typed into have read it, each no longer than `patience`. Whether they have.
    pub(super) fn await_readers(
        &mut self,
        cancel: Option<&Cancel>,
        patience: Duration,
    ) -> Result<bool, InputError> {
        let focus = self.focus()?;
        let mut windows = self.witness.windows.clone();
        if !windows.contains(&focus) {
            windows.push(focus);
        }
        let mut silent = Vec::new();
        let sent = self.witness.sent;
        for window in windows {
            let read = match self.pingable(window)? {
                Some(answering) => self.ping(answering, cancel, patience)?,
                None => self.give_time(cancel, patience)?,
            };
            silent.extend((!read).then_some(window));
        }
        self.witness.read = sent;
        self.witness.windows = silent;
        Ok(self.witness.windows.is_empty())
    }

    /// Waits until the program that has the keyboard knows the map as it is now, no longer than `patience`.
    ///
    /// Chromium asks GTK what a key enters, which learns of the map by a connection of its own; the loop of the program
    /// looks at both in each turn. So one answer is not enough, but the second shows that a whole turn is over. Who
    /// answers no ping has one connection, and so the change before the keys.
    pub(super) fn await_news(
        &mut self,
        cancel: Option<&Cancel>,
        patience: Duration,
    ) -> Result<bool, InputError> {
        let focus = self.focus()?;
        let Some(window) = self.pingable(focus)? else {
            return Ok(true);
        };
        Ok(self.ping(window, cancel, patience)? && self.ping(window, cancel, patience)?)
    }

    /// What a program that answers no ping gets, counted from the last key.
    fn give_time(
        &mut self,
        cancel: Option<&Cancel>,
        patience: Duration,
    ) -> Result<bool, InputError> {
        let Some(sent) = self.witness.sent else {
            return Ok(true);
        };
        let enough = sent + SETTLE;
        let until = enough.min(Instant::now() + patience);
        while Instant::now() < until {
            self.take_events()?;
            self.pause(cancel, until)?;
        }
        Ok(until == enough)
    }

    /// Waits for the server, the time or the cancellation. May end early.
    pub(super) fn pause(&self, cancel: Option<&Cancel>, until: Instant) -> Result<(), InputError> {
        let stream = self.connection.stream();
        if let Some(cancel) = cancel {
            return cancel.wait_for(stream, until);
        }
        wait_for(stream, until);
        Ok(())
    }

    pub(super) fn focus(&self) -> Result<Window, InputError> {
        let focus = self.connection.get_input_focus().map(Cookie::reply);
        Ok(reply("the focus", focus)?.focus)
    }

    /// The window itself or the one around it that answers pings. A window that is gone has none.
    fn pingable(&self, mut window: Window) -> Result<Option<Window>, InputError> {
        for _ in 0..DEPTH {
            // None and PointerRoot are no windows.
            if window <= 1 || window == self.root {
                return Ok(None);
            }
            let (protocols, kind) = (self.witness.protocols, AtomEnum::ATOM);
            let asked = self
                .connection
                .get_property(false, window, protocols, kind, 0, 64);
            let parent = self
                .connection
                .query_tree(window)
                .map_err(lost("the focus"))?;
            let Ok(found) = asked.map_err(lost("the focus"))?.reply() else {
                return Ok(None);
            };
            if found
                .value32()
                .is_some_and(|mut atoms| atoms.any(|atom| atom == self.witness.ping))
            {
                return Ok(Some(window));
            }
            let Ok(tree) = parent.reply() else {
                return Ok(None);
            };
            window = tree.parent;
        }
        Ok(None)
    }

    fn ping(
        &mut self,
        window: Window,
        cancel: Option<&Cancel>,
        patience: Duration,
    ) -> Result<bool, InputError> {
        self.witness.serial = self.witness.serial.wrapping_add(1);
        let serial = self.witness.serial;
        let data = [self.witness.ping, serial, window, 0, 0];
        let message = ClientMessageEvent::new(32, window, self.witness.protocols, data);
        // The answer goes to the root window, to whoever listens there as window managers do. Qt 5 sends it to
        // those who listen to the root window itself.
        self.listen(EventMask::SUBSTRUCTURE_NOTIFY | EventMask::STRUCTURE_NOTIFY)?;
        self.connection
            .send_event(false, window, EventMask::NO_EVENT, message)
            .map_err(lost("a ping"))?;
        self.connection.flush().map_err(lost("a ping"))?;
        let answered = self.hear_until(serial, cancel, Instant::now() + patience);
        self.listen(EventMask::NO_EVENT)?;
        answered
    }

    fn hear_until(
        &mut self,
        serial: u32,
        cancel: Option<&Cancel>,
        until: Instant,
    ) -> Result<bool, InputError> {
        loop {
            self.take_events()?;
            if self.witness.answered == serial {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            self.pause(cancel, until)?;
        }
    }

    fn listen(&self, mask: EventMask) -> Result<(), InputError> {
        let values = ChangeWindowAttributesAux::new().event_mask(mask);
        self.connection
            .change_window_attributes(self.root, &values)
            .map(drop)
            .map_err(lost("a ping"))
    }
}
