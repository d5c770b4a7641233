//! Injects by XTEST, with the keyboard map from XKB.
//!
//! Requests stay buffered until [`InputSink::sync`], whose round trip also proves that the server has
//! taken them: XTEST events are processed in the order of the requests.

use std::{
    collections::BTreeSet,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
    time::Instant,
};

use x11rb::{
    connection::{Connection, RequestConnection},
    cookie::Cookie,
    errors::{ConnectionError, ReplyError},
    protocol::{
        Event, xinput,
        xinput::ConnectionExt as _,
        xkb,
        xkb::ConnectionExt as _,
        xproto::{self, ConnectionExt as _},
        xtest::{self, ConnectionExt as _},
    },
    rust_connection::RustConnection,
};

use super::{
    keymap::{Layout, RawMap},
    temporary::{Stretch, TemporaryKeys},
    turn::Turn,
    witness::Witness,
};
use crate::desktop::{
    gate::Gate,
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
    pub(super) root: xproto::Window,
    keyboard: Keyboard,
    pub(super) map: RawMap,
    pub(super) layout: Layout,
    /// The server said that the map changed.
    pub(super) stale: bool,
    /// Temporary keys in the map.
    pub(super) temporary: TemporaryKeys,
    /// Levels lost their symbols, and no program has shown since that it knows.
    pub(super) emptied: bool,
    /// The map changed, and no program has shown since that it knows.
    pub(super) untold: bool,
    pub(super) witness: Witness,
    /// Keeps the keys of viewers away while a part of a text is typed.
    pub(super) gate: Gate,
    /// Keys that are down by our doing.
    pub(super) pressed: BTreeSet<u8>,
    /// Key events that were made, by anybody, less those that we made; see [`XtestSink::others_typed`].
    balance: i64,
    /// When somebody else pressed or released a key.
    pub(super) others: Option<Instant>,
    /// Codes that were spare and that somebody else gave symbols.
    pub(super) foreign: Vec<u8>,
    /// When the removal of the temporary keys was put off.
    pub(super) postponed: Option<Instant>,
}

/// The device whose keys we press, and the events by which XTEST presses them.
#[derive(Clone, Copy, Debug)]
struct Keyboard {
    device: u8,
    press: u8,
    release: u8,
}

impl Keyboard {
    /// XTEST's own keyboard.
    const XTEST: Self = Self {
        device: 0,
        press: xproto::KEY_PRESS_EVENT,
        release: xproto::KEY_RELEASE_EVENT,
    };

    /// The only keyboard there is beside XTEST's own, if it is the only one: that of the VNC server. Pressing its keys
    /// spares the server the exchange of keymaps each time that a person and we take turns, in which the keys get lost
    /// that it gives symbols of the person's. (XTEST extension, "Input extension events"; XI 1 events.)
    fn find(connection: &RustConnection, root: xproto::Window) -> Result<Self, InputError> {
        let extension = connection.extension_information(xinput::X11_EXTENSION_NAME);
        let Some(extension) = extension.map_err(lost("setup"))? else {
            return Ok(Self::XTEST);
        };
        let version = connection.xinput_xi_query_version(2, 0).map(Cookie::reply);
        reply("setup", version)?;
        let devices = connection
            .xinput_xi_query_device(xinput::Device::ALL)
            .map(Cookie::reply);
        let devices = reply("setup", devices)?.infos;
        let mut own = devices.iter().filter(|device| {
            device.type_ == xinput::DeviceType::SLAVE_KEYBOARD
                && device.enabled
                && !String::from_utf8_lossy(&device.name).contains("XTEST")
        });
        let keys = xinput::XIEventMask::RAW_KEY_PRESS | xinput::XIEventMask::RAW_KEY_RELEASE;
        let mask = xinput::EventMask {
            deviceid: xinput::Device::ALL_MASTER.into(),
            mask: vec![keys],
        };
        connection
            .xinput_xi_select_events(root, &[mask])
            .map_err(lost("setup"))?;
        let (Some(only), None) = (own.next(), own.next()) else {
            return Ok(Self::XTEST);
        };
        Ok(
            u8::try_from(only.deviceid).map_or(Self::XTEST, |device| Self {
                device,
                press: extension.first_event + xinput::DEVICE_KEY_PRESS_EVENT,
                release: extension.first_event + xinput::DEVICE_KEY_RELEASE_EVENT,
            }),
        )
    }
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
        let witness = Witness::new(&connection)?;
        let keyboard = Keyboard::find(&connection, root)?;
        let mut sink = Self {
            connection,
            root,
            keyboard,
            map,
            layout,
            stale: false,
            emptied: false,
            untold: false,
            temporary: TemporaryKeys::default(),
            witness,
            gate: Gate::default(),
            pressed: BTreeSet::new(),
            balance: 0,
            others: None,
            foreign: Vec::new(),
            postponed: None,
        };
        sink.inherit()?;
        Ok(sink)
    }

    /// Texts close this gate, instead of one that nobody passes.
    #[must_use]
    pub fn behind(mut self, gate: Gate) -> Self {
        self.gate = gate;
        self
    }

    fn fake(&self, kind: u8, detail: u8, at: (i16, i16), device: u8) -> Result<(), InputError> {
        self.connection
            .xtest_fake_input(
                kind,
                detail,
                x11rb::CURRENT_TIME,
                x11rb::NONE,
                at.0,
                at.1,
                device,
            )
            .map(drop)
            .map_err(lost("an input step"))
    }

    pub(super) fn fake_key(&mut self, code: u8, press: bool) -> Result<(), InputError> {
        self.balance -= 1;
        if press {
            self.pressed.insert(code);
        } else {
            self.pressed.remove(&code);
        }
        let Keyboard {
            device,
            press: down,
            release: up,
        } = self.keyboard;
        self.fake(if press { down } else { up }, code, (0, 0), device)
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
    /// Whether it is another than before.
    pub(super) fn refresh(&mut self, group: u8, num_lock_on: bool) -> Result<bool, InputError> {
        self.take_events()?;
        if self.stale {
            self.stale = false;
            let spare = self.map.spare();
            self.map = read_map(&self.connection)?;
            // What somebody else took away is no key of ours any more.
            let map = &self.map;
            self.temporary
                .retain(|code, symbols| map.holds(code, symbols));
            let taken = self.map.taken(&spare);
            let ours = &self.temporary;
            self.foreign
                .extend(taken.filter(|code| !ours.contains(*code)));
        } else if self.layout.group == group && self.layout.num_lock_on == num_lock_on {
            return Ok(false);
        }
        self.layout = self.map.layout(group, num_lock_on);
        Ok(true)
    }

    /// Takes what the server sent, without waiting.
    pub(super) fn take_events(&mut self) -> Result<(), InputError> {
        while let Some(event) = self.connection.poll_for_event().map_err(lost("waiting"))? {
            if let Event::MappingNotify(_)
            | Event::XkbNewKeyboardNotify(_)
            | Event::XkbMapNotify(_) = event
            {
                self.stale = true;
            }
            if let Event::XinputRawKeyPress(_) | Event::XinputRawKeyRelease(_) = event {
                self.balance += 1;
            }
            self.witness.hear(&event);
        }
        Ok(())
    }

    /// Notes whether somebody else typed since the last call. To be called when the server has taken all our keys: it
    /// tells of them in the same breath, so that what is more is not ours.
    pub(super) fn others_typed(&mut self) -> Result<(), InputError> {
        self.take_events()?;
        if self.balance > 0 {
            self.others = Some(Instant::now());
        }
        self.balance = 0;
        Ok(())
    }

    /// Asks to be told when modifiers go down and up, or no longer.
    pub(super) fn watch_modifiers(&self, watch: bool) -> Result<(), InputError> {
        let (event, none) = (xkb::EventType::STATE_NOTIFY, xkb::EventType::default());
        let (clear, select) = if watch { (none, event) } else { (event, none) };
        let (parts, details) = (xkb::MapPart::default(), xkb::SelectEventsAux::new());
        self.connection
            .xkb_select_events(KEYBOARD, clear, select, parts, parts, &details)
            .map(drop)
            .map_err(lost("the keyboard state"))
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
        self.take_events()?;
        if self.balance > 0 {
            self.others = Some(Instant::now());
            self.balance = 0;
        }
        Ok(())
    }

    fn idle_deadline(&self) -> Option<Instant> {
        self.idle_since()
    }

    fn tidy(&mut self) -> Result<(), InputError> {
        self.remove_idle()
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
            0,
        )
    }

    fn button(&mut self, button: Button, press: bool) -> Result<(), InputError> {
        let kind = if press {
            xproto::BUTTON_PRESS_EVENT
        } else {
            xproto::BUTTON_RELEASE_EVENT
        };
        self.fake(kind, button.number(), (0, 0), 0)
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
        let missing = missing(self);
        if !missing.is_empty() {
            let needed = keysyms.iter().copied().collect();
            let stretch = Stretch {
                length: keysyms.len(),
                needed,
                missing,
            };
            self.make_temporary(&stretch, cancel, &mut Turn::new(&self.gate))?;
            self.refresh(group, num_lock_on)?;
        }
        let strokes = keysyms
            .iter()
            .map(|keysym| self.stroke(*keysym).ok_or(InputError::NoKey(*keysym)));
        strokes.collect()
    }

    fn key(&mut self, code: u32, press: bool) -> Result<(), InputError> {
        self.witness.touch();
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

    /// One answer for both: the server answers in the order of the requests.
    fn sync_size(&mut self) -> Result<Size, InputError> {
        self.native_size()
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
