//! Injects by XTEST, with the keyboard map from XKB.
//!
//! Requests stay buffered until [`InputSink::sync`], whose round trip also proves that the server has
//! taken them: XTEST events are processed in the order of the requests.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use x11rb::{
    connection::{Connection, RequestConnection},
    cookie::Cookie,
    errors::{ConnectionError, ReplyError},
    protocol::{
        Event, xkb,
        xkb::ConnectionExt as _,
        xproto::{self, ConnectionExt as _},
        xtest::{self, ConnectionExt as _},
    },
    rust_connection::RustConnection,
};

use super::keymap::{Layout, RawMap};
use crate::desktop::{
    geometry::{Point, Size},
    input::{Button, Cancel, InputError, InputSink, KeyStroke, ServerHeld, TextReport},
    keys::Keysym,
};

/// The keyboard that programs listen to.
pub(super) const KEYBOARD: u16 = 0x100;

/// A sink over a connection of its own. Dropping it takes its temporary keys out of the map and closes
/// the connection.
#[derive(Debug)]
pub struct XtestSink {
    pub(super) connection: RustConnection,
    root: xproto::Window,
    pub(super) map: RawMap,
    pub(super) layout: Layout,
    /// The server said that the map changed.
    pub(super) stale: bool,
    /// Temporary keys in the map, least recently used first.
    pub(super) temporary: Vec<Temporary>,
    /// When we changed the map, until programs can have read it.
    pub(super) changed: Option<Instant>,
}

/// A spare key that we gave a symbol.
#[derive(Clone, Copy, Debug)]
pub(super) struct Temporary {
    pub(super) code: u8,
    pub(super) keysym: Keysym,
    /// When it was pressed last.
    pub(super) used: Instant,
}

impl XtestSink {
    /// Takes over a connection and reads the keyboard map. Blocks for a few round trips.
    ///
    /// # Errors
    /// [`InputError::MissingExtension`] without XTEST or XKB.
    pub fn new(connection: RustConnection, screen: usize) -> Result<Self, InputError> {
        for (name, missing) in [
            (xtest::X11_EXTENSION_NAME, "XTEST"),
            (xkb::X11_EXTENSION_NAME, "XKB"),
        ] {
            let present = connection
                .extension_information(name)
                .map_err(lost("setup"))?;
            present.ok_or(InputError::MissingExtension(missing))?;
        }
        let supported = reply("XKB", connection.xkb_use_extension(1, 0).map(Cookie::reply))?;
        if !supported.supported {
            return Err(InputError::MissingExtension("XKB"));
        }
        let events = xkb::EventType::NEW_KEYBOARD_NOTIFY | xkb::EventType::MAP_NOTIFY;
        let (clear, parts) = (xkb::EventType::default(), map_parts());
        connection
            .xkb_select_events(
                KEYBOARD,
                clear,
                events,
                parts,
                parts,
                &xkb::SelectEventsAux::new(),
            )
            .map_err(lost("setup"))?;
        let root = connection.setup().roots[screen].root;
        let map = read_map(&connection)?;
        let layout = map.layout(0, false);
        Ok(Self {
            connection,
            root,
            map,
            layout,
            stale: false,
            temporary: Vec::new(),
            changed: None,
        })
    }

    fn fake(&self, kind: u8, detail: u8, at: (i16, i16)) -> Result<(), InputError> {
        self.connection
            .xtest_fake_input(
                kind,
                detail,
                x11rb::CURRENT_TIME,
                x11rb::NONE,
                at.0,
                at.1,
                0,
            )
            .map(drop)
            .map_err(lost("an input step"))
    }

    pub(super) fn fake_key(&self, code: u8, press: bool) -> Result<(), InputError> {
        let kind = if press {
            xproto::KEY_PRESS_EVENT
        } else {
            xproto::KEY_RELEASE_EVENT
        };
        self.fake(kind, code, (0, 0))
    }

    pub(super) fn state(&self) -> Result<xkb::GetStateReply, InputError> {
        reply(
            "the keyboard state",
            self.connection.xkb_get_state(KEYBOARD).map(Cookie::reply),
        )
    }

    /// Keycodes that are down.
    pub(super) fn keys_down(&self) -> Result<Vec<u8>, InputError> {
        let keys = reply(
            "the pressed keys",
            self.connection.query_keymap().map(Cookie::reply),
        )?;
        let down = |code: &u8| keys.keys[usize::from(code / 8)] & (1 << (code % 8)) != 0;
        Ok((0..=u8::MAX).filter(down).collect())
    }

    /// The layout of a group, read again if the server said that the map changed.
    pub(super) fn refresh(&mut self, group: u8, num_lock_on: bool) -> Result<(), InputError> {
        if self.stale {
            self.stale = false;
            self.map = read_map(&self.connection)?;
            // What somebody else took away is no key of ours any more.
            let map = &self.map;
            self.temporary
                .retain(|key| map.base_symbol(key.code, 0) == Some(key.keysym));
        } else if self.layout.group == group && self.layout.num_lock_on == num_lock_on {
            return Ok(());
        }
        self.layout = self.map.layout(group, num_lock_on);
        Ok(())
    }

    fn stroke(&self, keysym: Keysym) -> Option<KeyStroke> {
        let position = self.layout.keysym(keysym)?;
        let modifiers = self.layout.keys_for(position.modifiers)?;
        Some(KeyStroke {
            code: u32::from(position.code),
            modifiers: modifiers.into_iter().map(u32::from).collect(),
        })
    }
}

impl InputSink for XtestSink {
    fn event_source(&self) -> Option<BorrowedFd<'_>> {
        Some(self.connection.stream().as_fd())
    }

    fn pump(&mut self) -> Result<(), InputError> {
        while let Some(event) = self.connection.poll_for_event().map_err(lost("waiting"))? {
            if let Event::MappingNotify(_)
            | Event::XkbNewKeyboardNotify(_)
            | Event::XkbMapNotify(_) = event
            {
                self.stale = true;
            }
        }
        Ok(())
    }

    fn native_size(&mut self) -> Result<Size, InputError> {
        let size = reply(
            "the screen size",
            self.connection.get_geometry(self.root).map(Cookie::reply),
        )?;
        Ok(Size {
            width: u32::from(size.width),
            height: u32::from(size.height),
        })
    }

    fn pointer(&mut self) -> Result<Point, InputError> {
        let at = reply(
            "the pointer",
            self.connection.query_pointer(self.root).map(Cookie::reply),
        )?;
        Ok(Point {
            x: i32::from(at.root_x),
            y: i32::from(at.root_y),
        })
    }

    fn motion(&mut self, to: Point) -> Result<(), InputError> {
        let coordinate = |c: i32| i16::try_from(c.max(0)).unwrap_or(i16::MAX);
        self.fake(
            xproto::MOTION_NOTIFY_EVENT,
            0,
            (coordinate(to.x), coordinate(to.y)),
        )
    }

    fn button(&mut self, button: Button, press: bool) -> Result<(), InputError> {
        let kind = if press {
            xproto::BUTTON_PRESS_EVENT
        } else {
            xproto::BUTTON_RELEASE_EVENT
        };
        self.fake(kind, button.number(), (0, 0))
    }

    fn resolve(
        &mut self,
        keysyms: &[Keysym],
        cancel: &Cancel,
    ) -> Result<Vec<KeyStroke>, InputError> {
        let state = self.state()?;
        let locked = u8::try_from(u16::from(state.locked_mods)).unwrap_or(0);
        let (group, num_lock_on) = (u8::from(state.group), locked & self.layout.num_lock != 0);
        self.refresh(group, num_lock_on)?;
        let missing = |sink: &Self| -> Vec<Keysym> {
            keysyms
                .iter()
                .copied()
                .filter(|keysym| sink.stroke(*keysym).is_none())
                .collect()
        };
        let wanted = missing(self);
        if !wanted.is_empty() {
            let needed = keysyms.iter().copied().collect();
            self.make_temporary(&wanted, &needed, cancel)?;
            self.refresh(group, num_lock_on)?;
        }
        self.settle(cancel)?;
        let strokes = keysyms
            .iter()
            .map(|keysym| self.stroke(*keysym).ok_or(InputError::NoKey(*keysym)));
        strokes.collect()
    }

    fn key(&mut self, code: u32, press: bool) -> Result<(), InputError> {
        self.fake_key(u8::try_from(code).expect("codes come from the map"), press)
    }

    fn text(&mut self, text: &str, cancel: &Cancel) -> Result<TextReport, InputError> {
        self.type_text(text, cancel)
    }

    fn sync(&mut self) -> Result<(), InputError> {
        reply(
            "a round trip",
            self.connection.get_input_focus().map(Cookie::reply),
        )
        .map(drop)
    }

    fn server_held(&mut self) -> Result<ServerHeld, InputError> {
        self.pump()?;
        let group = self.layout.group;
        self.refresh(group, self.layout.num_lock_on)?;
        let name = |code: u8| match self.map.base_symbol(code, group) {
            Some(keysym) => keysym.name(),
            None => format!("keycode {code}"),
        };
        let keys = self
            .keys_down()?
            .into_iter()
            .map(|code| (u32::from(code), name(code)));
        let pointer = reply(
            "the pointer",
            self.connection.query_pointer(self.root).map(Cookie::reply),
        )?;
        let held = [Button::Left, Button::Middle, Button::Right].into_iter();
        let mask = u16::from(pointer.mask);
        Ok(ServerHeld {
            keys: keys.collect(),
            buttons: held
                .filter(|button| mask & (0x80 << button.number()) != 0)
                .collect(),
        })
    }
}

/// Types, symbols and the modifier map.
fn map_parts() -> xkb::MapPart {
    xkb::MapPart::KEY_TYPES | xkb::MapPart::KEY_SYMS | xkb::MapPart::MODIFIER_MAP
}

pub(super) fn read_map(connection: &RustConnection) -> Result<RawMap, InputError> {
    let (full, none) = (map_parts(), xkb::MapPart::default());
    let vmods = xkb::VMod::default();
    let cookie = connection.xkb_get_map(
        KEYBOARD, full, none, 0, 0, 0, 0, 0, 0, 0, 0, vmods, 0, 0, 0, 0, 0, 0,
    );
    reply("the keyboard map", cookie.map(Cookie::reply)).map(RawMap::from_reply)
}

/// The connection broke while a request was sent.
pub(super) fn lost(operation: &'static str) -> impl Fn(ConnectionError) -> InputError {
    move |source| InputError::ConnectionLost {
        operation,
        source: Arc::new(source),
    }
}

/// The answer to a request, or which way it failed.
pub(super) fn reply<T>(
    operation: &'static str,
    answer: Result<Result<T, ReplyError>, ConnectionError>,
) -> Result<T, InputError> {
    let answer = answer.map_err(lost(operation))?;
    answer.map_err(|source| refused(operation, source))
}

/// Tells a refusal from a broken connection.
pub(super) fn refused(operation: &'static str, source: ReplyError) -> InputError {
    match source {
        ReplyError::ConnectionError(source) => lost(operation)(source),
        source @ ReplyError::X11Error(_) => InputError::Refused {
            operation,
            source: Arc::new(source),
        },
    }
}
