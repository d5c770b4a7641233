//! Windows by way of the window manager: EWMH 1.5, and ICCCM 4 where EWMH builds on it. Blocks; one connection a request.

mod convert;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use x11rb::{
    atom_manager,
    connection::Connection,
    cookie::Cookie,
    protocol::{
        Event,
        xproto::{
            Atom, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt as _,
            CreateWindowAux, EventMask, GetPropertyReply, Window, WindowClass,
        },
    },
    rust_connection::RustConnection,
};

use self::convert::{existing, frame_of, lost, moveresize, numbers, refused, text};
use super::{Address, connect, events::next_event};
use crate::desktop::{
    geometry::{Point, Rect, Size},
    windows::{Verb, WindowError, WindowId, WindowInfo, WindowState},
};

/// How long the effect of a verb is waited for.
const EFFECT: Duration = Duration::from_secs(1);
/// Windows that are listed.
const MAX_WINDOWS: u32 = 1024;
/// Most bytes of a title or a class.
const MAX_TEXT: usize = 1024;
/// Source indication of a pager, which window managers obey (EWMH, "Source indication in requests").
const PAGER: u32 = 2;

atom_manager! {
    /// Names of EWMH and ICCCM.
    Atoms: AtomsCookie {
        UTF8_STRING,
        WM_CHANGE_STATE,
        _NET_SUPPORTING_WM_CHECK,
        _NET_CLIENT_LIST,
        _NET_CLIENT_LIST_STACKING,
        _NET_ACTIVE_WINDOW,
        _NET_CLOSE_WINDOW,
        _NET_MOVERESIZE_WINDOW,
        _NET_FRAME_EXTENTS,
        _NET_REQUEST_FRAME_EXTENTS,
        _NET_SUPPORTED,
        _NET_WM_NAME,
        _NET_WM_VISIBLE_NAME,
        _NET_WM_PID,
        _NET_WM_STATE,
        _NET_WM_STATE_HIDDEN,
        _NET_WM_STATE_MAXIMIZED_HORZ,
        _NET_WM_STATE_MAXIMIZED_VERT,
        _NET_WM_STATE_FULLSCREEN,
        _NET_WM_STATE_SHADED,
        _NET_WM_STATE_ABOVE,
        _NET_WM_STATE_BELOW,
        _NET_WM_STATE_MODAL,
        _NET_WM_STATE_DEMANDS_ATTENTION,
    }
}

/// A connection that asks the window manager. Dropping it closes it.
pub(in crate::desktop) struct Manager {
    connection: RustConnection,
    root: Window,
    atoms: Atoms,
}

type Pending<'a> = Cookie<'a, RustConnection, GetPropertyReply>;

impl Manager {
    /// Connects, and sees that a window manager is there.
    pub(in crate::desktop) fn open(address: &Address) -> Result<Self, WindowError> {
        let unreachable = |error| WindowError::Unreachable(Arc::new(error));
        let (connection, screen) = connect(address).map_err(unreachable)?;
        let root = connection.setup().roots[screen].root;
        let atoms = Atoms::new(&connection).map_err(lost("naming atoms"))?;
        let atoms = atoms.reply().map_err(refused("naming atoms"))?;
        let manager = Self {
            connection,
            root,
            atoms,
        };
        manager
            .is_managed()?
            .then_some(manager)
            .ok_or(WindowError::NotSupported)
    }

    /// The root names a window, and that window names itself: the second part tells a living manager from a leftover.
    fn is_managed(&self) -> Result<bool, WindowError> {
        let check = self.atoms._NET_SUPPORTING_WM_CHECK;
        let named_by = |window| Ok(self.numbers(window, check, 1)?.first().copied());
        match named_by(self.root)? {
            Some(window) => Ok(named_by(window)? == Some(window)),
            None => Ok(false),
        }
    }

    /// All windows, the topmost first.
    pub(in crate::desktop) fn list(&self) -> Result<Vec<WindowInfo>, WindowError> {
        let ids = self.ids()?;
        let active = self.active()?;
        let mut asked = Vec::with_capacity(ids.len());
        for id in ids.into_iter().rev() {
            asked.push((id, Question::ask(self, id)?));
        }
        let mut windows = Vec::with_capacity(asked.len());
        for (id, question) in asked {
            windows.extend(question.answer(self, id, active == Some(id))?);
        }
        Ok(windows)
    }

    /// The first window that is so, as soon as the window manager lists it; `None` when none is until then.
    pub(in crate::desktop) fn wait_for(
        &self,
        is: &dyn Fn(&WindowInfo) -> bool,
        until: Instant,
    ) -> Result<Option<WindowInfo>, WindowError> {
        self.listen(self.root, EventMask::PROPERTY_CHANGE)?;
        let mut known = Vec::new();
        loop {
            let ids = self.ids()?;
            if ids != known {
                known = ids;
                let found = self.list()?.into_iter().find(|window| is(window));
                if found.is_some() {
                    return Ok(found);
                }
            }
            let event = next_event(&self.connection, until);
            if event.map_err(lost("waiting for a window"))?.is_none() {
                return Ok(None);
            }
        }
    }

    /// Does something with a window, and waits for the effect.
    pub(in crate::desktop) fn perform(
        &self,
        id: WindowId,
        verb: Verb,
    ) -> Result<Option<WindowInfo>, WindowError> {
        let window = id.0;
        self.listen(self.root, EventMask::PROPERTY_CHANGE)?;
        self.listen(
            window,
            EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY,
        )?;
        if !self.ids()?.contains(&window) {
            return Err(WindowError::NoSuchWindow(id));
        }
        let before = self.area(window)?.ok_or(WindowError::NoSuchWindow(id))?;
        let mut configured = false;
        self.request(window, verb)?;
        let until = Instant::now() + EFFECT;
        loop {
            match self.effect(window, verb, before, configured)? {
                Effect::Done => break,
                Effect::Gone if verb == Verb::Close => return Ok(None),
                Effect::Gone => return Err(WindowError::NoSuchWindow(id)),
                Effect::None => {}
            }
            match next_event(&self.connection, until).map_err(lost("waiting for the effect"))? {
                Some(Event::ConfigureNotify(event)) => configured |= event.window == window,
                Some(_) => {}
                None => {
                    return Err(WindowError::NoEffect {
                        id,
                        verb: verb.name(),
                        waited: EFFECT,
                    });
                }
            }
        }
        self.let_finish(until)?;
        let focused = self.active()? == Some(window);
        let info = Question::ask(self, window)?.answer(self, window, focused)?;
        info.map(Some).ok_or(WindowError::NoSuchWindow(id))
    }

    /// Waits until the window manager has done all that it was asked before, at most until then: a state is told of before
    /// the window has its new place. It works its events off in order, so its answer to a later question is the sign.
    fn let_finish(&self, until: Instant) -> Result<(), WindowError> {
        let (question, answer) = (
            self.atoms._NET_REQUEST_FRAME_EXTENTS,
            self.atoms._NET_FRAME_EXTENTS,
        );
        if !self
            .numbers(self.root, self.atoms._NET_SUPPORTED, 1024)?
            .contains(&question)
        {
            return Ok(());
        }
        let asking = lost("asking the window manager");
        let window = self
            .connection
            .generate_id()
            .map_err(|source| WindowError::Refused {
                operation: "an id for a window",
                source: Arc::new(source),
            })?;
        let (class, events) = (WindowClass::INPUT_OUTPUT, EventMask::PROPERTY_CHANGE);
        let attributes = CreateWindowAux::new().event_mask(events);
        self.connection
            .create_window(0, window, self.root, -1, -1, 1, 1, 0, class, 0, &attributes)
            .map_err(&asking)?;
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        let message = ClientMessageEvent::new(32, window, question, [0; 5]);
        self.connection
            .send_event(false, self.root, mask, message)
            .map_err(&asking)?;
        loop {
            match next_event(&self.connection, until).map_err(&asking)? {
                Some(Event::PropertyNotify(event))
                    if (event.window, event.atom) == (window, answer) =>
                {
                    return Ok(());
                }
                Some(_) => {}
                None => return Ok(()),
            }
        }
    }

    /// Sends what a taskbar would send.
    fn request(&self, window: Window, verb: Verb) -> Result<(), WindowError> {
        let atoms = &self.atoms;
        let activate = (
            atoms._NET_ACTIVE_WINDOW,
            [PAGER, x11rb::CURRENT_TIME, 0, 0, 0],
        );
        let (kind, data) = match verb {
            Verb::Focus | Verb::Minimize(false) => activate,
            Verb::Close => (
                atoms._NET_CLOSE_WINDOW,
                [x11rb::CURRENT_TIME, PAGER, 0, 0, 0],
            ),
            Verb::Move(Point { x, y }) => {
                let frame = frame_of(&self.numbers(window, atoms._NET_FRAME_EXTENTS, 4)?);
                let corner = |at: i32, frame: u32| at.cast_unsigned().wrapping_sub(frame);
                (
                    atoms._NET_MOVERESIZE_WINDOW,
                    [
                        moveresize(0b0011),
                        corner(x, frame.left),
                        corner(y, frame.top),
                        0,
                        0,
                    ],
                )
            }
            Verb::Resize(Size { width, height }) => {
                let flags = moveresize(0b1100);
                (atoms._NET_MOVERESIZE_WINDOW, [flags, 0, 0, width, height])
            }
            // IconicState (ICCCM 4.1.4).
            Verb::Minimize(true) => (atoms.WM_CHANGE_STATE, [3, 0, 0, 0, 0]),
            Verb::Maximize(on) => {
                let both = (
                    atoms._NET_WM_STATE_MAXIMIZED_HORZ,
                    atoms._NET_WM_STATE_MAXIMIZED_VERT,
                );
                (
                    atoms._NET_WM_STATE,
                    [u32::from(on), both.0, both.1, PAGER, 0],
                )
            }
        };
        let message = ClientMessageEvent::new(32, window, kind, data);
        let mask = EventMask::SUBSTRUCTURE_NOTIFY | EventMask::SUBSTRUCTURE_REDIRECT;
        self.connection
            .send_event(false, self.root, mask, message)
            .map(drop)
            .map_err(lost("asking the window manager"))
    }

    fn effect(
        &self,
        window: Window,
        verb: Verb,
        before: Rect,
        configured: bool,
    ) -> Result<Effect, WindowError> {
        if !self.ids()?.contains(&window) {
            return Ok(Effect::Gone);
        }
        let hidden = self.has_states(window, &[self.atoms._NET_WM_STATE_HIDDEN])?;
        let done = match verb {
            Verb::Close => false,
            Verb::Focus | Verb::Minimize(false) => self.active()? == Some(window) && !hidden,
            Verb::Minimize(true) => hidden,
            Verb::Maximize(on) => self.is_maximized(window, on)?,
            Verb::Move(_) | Verb::Resize(_) => {
                let Some(area) = self.area(window)? else {
                    return Ok(Effect::Gone);
                };
                let wanted = match verb {
                    Verb::Move(to) => Rect {
                        x: to.x,
                        y: to.y,
                        ..before
                    },
                    Verb::Resize(size) => Rect {
                        width: size.width,
                        height: size.height,
                        ..before
                    },
                    _ => before,
                };
                // A window manager may grant less than was asked, and says so by a ConfigureNotify (ICCCM 4.1.5).
                area == wanted || (configured && area != before)
            }
        };
        Ok(if done { Effect::Done } else { Effect::None })
    }

    /// Managed windows, the topmost last.
    fn ids(&self) -> Result<Vec<Window>, WindowError> {
        let stacking =
            self.numbers(self.root, self.atoms._NET_CLIENT_LIST_STACKING, MAX_WINDOWS)?;
        if !stacking.is_empty() {
            return Ok(stacking);
        }
        self.numbers(self.root, self.atoms._NET_CLIENT_LIST, MAX_WINDOWS)
    }

    fn active(&self) -> Result<Option<Window>, WindowError> {
        let active = self.numbers(self.root, self.atoms._NET_ACTIVE_WINDOW, 1)?;
        Ok(active.first().copied())
    }

    /// In both directions; or, `false`, in neither.
    fn is_maximized(&self, window: Window, on: bool) -> Result<bool, WindowError> {
        let atoms = &self.atoms;
        let wide = self.has_states(window, &[atoms._NET_WM_STATE_MAXIMIZED_HORZ])?;
        let high = self.has_states(window, &[atoms._NET_WM_STATE_MAXIMIZED_VERT])?;
        Ok(wide == on && high == on)
    }

    fn has_states(&self, window: Window, wanted: &[Atom]) -> Result<bool, WindowError> {
        let states = self.numbers(window, self.atoms._NET_WM_STATE, 64)?;
        Ok(wanted.iter().all(|state| states.contains(state)))
    }

    /// Where a window is; `None` when it is gone.
    fn area(&self, window: Window) -> Result<Option<Rect>, WindowError> {
        let size = self
            .connection
            .get_geometry(window)
            .map_err(lost("asking for a window"))?;
        let place = self
            .connection
            .translate_coordinates(window, self.root, 0, 0)
            .map_err(lost("asking for a window"))?;
        let (size, place) = (existing(size.reply())?, existing(place.reply())?);
        let area = size.zip(place).map(|(size, place)| Rect {
            x: place.dst_x.into(),
            y: place.dst_y.into(),
            width: size.width.into(),
            height: size.height.into(),
        });
        Ok(area)
    }

    fn listen(&self, window: Window, events: EventMask) -> Result<(), WindowError> {
        let attributes = ChangeWindowAttributesAux::new().event_mask(events);
        // A window that is gone is found missing from the list.
        self.connection
            .change_window_attributes(window, &attributes)
            .map(drop)
            .map_err(lost("watching a window"))
    }

    fn property(
        &self,
        window: Window,
        property: Atom,
        words: u32,
    ) -> Result<Pending<'_>, WindowError> {
        self.connection
            .get_property(false, window, property, AtomEnum::ANY, 0, words)
            .map_err(lost("reading a property"))
    }

    /// Numbers in a property; none when there is no such window or property.
    fn numbers(&self, window: Window, property: Atom, most: u32) -> Result<Vec<u32>, WindowError> {
        numbers(self.property(window, property, most)?)
    }
}

enum Effect {
    None,
    Done,
    Gone,
}

/// All that is asked of one window, sent before any answer is waited for.
struct Question<'a> {
    size: Cookie<'a, RustConnection, x11rb::protocol::xproto::GetGeometryReply>,
    place: Cookie<'a, RustConnection, x11rb::protocol::xproto::TranslateCoordinatesReply>,
    name: Pending<'a>,
    old_name: Pending<'a>,
    visible_name: Pending<'a>,
    class: Pending<'a>,
    pid: Pending<'a>,
    frame: Pending<'a>,
    states: Pending<'a>,
}

impl<'a> Question<'a> {
    fn ask(manager: &'a Manager, window: Window) -> Result<Self, WindowError> {
        let (connection, atoms) = (&manager.connection, &manager.atoms);
        let asking = lost("asking for a window");
        let text = u32::try_from(MAX_TEXT / 4).expect("small");
        Ok(Self {
            size: connection.get_geometry(window).map_err(&asking)?,
            place: connection
                .translate_coordinates(window, manager.root, 0, 0)
                .map_err(&asking)?,
            name: manager.property(window, atoms._NET_WM_NAME, text)?,
            old_name: manager.property(window, AtomEnum::WM_NAME.into(), text)?,
            visible_name: manager.property(window, atoms._NET_WM_VISIBLE_NAME, text)?,
            class: manager.property(window, AtomEnum::WM_CLASS.into(), text)?,
            pid: manager.property(window, atoms._NET_WM_PID, 1)?,
            frame: manager.property(window, atoms._NET_FRAME_EXTENTS, 4)?,
            states: manager.property(window, atoms._NET_WM_STATE, 64)?,
        })
    }

    /// `None` when the window is gone.
    fn answer(
        self,
        manager: &Manager,
        window: Window,
        focused: bool,
    ) -> Result<Option<WindowInfo>, WindowError> {
        let (size, place) = (existing(self.size.reply())?, existing(self.place.reply())?);
        let name = existing(self.name.reply())?;
        let old_name = existing(self.old_name.reply())?;
        let visible_name = existing(self.visible_name.reply())?;
        let class = existing(self.class.reply())?;
        let pid = numbers(self.pid)?.first().copied();
        let frame = numbers(self.frame)?;
        let states = numbers(self.states)?;
        let (Some(size), Some(place)) = (size, place) else {
            return Ok(None);
        };
        let text = |reply: Option<GetPropertyReply>| {
            reply.map_or_else(String::new, |reply| {
                text(&reply.value, reply.type_ == u32::from(AtomEnum::STRING))
            })
        };
        // Old programs have titles in COMPOUND_TEXT, which the window manager has decoded for its title bar.
        let plain = [AtomEnum::STRING.into(), manager.atoms.UTF8_STRING];
        let (plain, encoded) = match old_name {
            Some(name) if plain.contains(&name.type_) => (Some(name), None),
            other => (None, other),
        };
        let titles = [name, plain, visible_name, encoded].into_iter().map(text);
        let title = titles.into_iter().find(|title| !title.is_empty());
        let class = text(class);
        let mut names = class.split('\0').map(str::to_owned);
        let (instance, class) = (
            names.next().unwrap_or_default(),
            names.next().unwrap_or_default(),
        );
        Ok(Some(WindowInfo {
            id: WindowId(window),
            title: title.unwrap_or_default(),
            class,
            instance,
            pid,
            area: Rect {
                x: place.dst_x.into(),
                y: place.dst_y.into(),
                width: size.width.into(),
                height: size.height.into(),
            },
            frame: frame_of(&frame),
            // Window managers clear the active window only after they have hidden it.
            focused: focused && !states.contains(&manager.atoms._NET_WM_STATE_HIDDEN),
            states: manager.atoms.states(&states),
        }))
    }
}

impl Atoms {
    fn states(&self, found: &[Atom]) -> Vec<WindowState> {
        let has = |atom: Atom| found.contains(&atom);
        let wide = has(self._NET_WM_STATE_MAXIMIZED_HORZ);
        let high = has(self._NET_WM_STATE_MAXIMIZED_VERT);
        let all = [
            (has(self._NET_WM_STATE_HIDDEN), WindowState::Minimized),
            (wide && high, WindowState::Maximized),
            (wide && !high, WindowState::MaximizedHorizontally),
            (high && !wide, WindowState::MaximizedVertically),
            (has(self._NET_WM_STATE_FULLSCREEN), WindowState::Fullscreen),
            (has(self._NET_WM_STATE_SHADED), WindowState::Shaded),
            (has(self._NET_WM_STATE_ABOVE), WindowState::Above),
            (has(self._NET_WM_STATE_BELOW), WindowState::Below),
            (has(self._NET_WM_STATE_MODAL), WindowState::Modal),
            (
                has(self._NET_WM_STATE_DEMANDS_ATTENTION),
                WindowState::Urgent,
            ),
        ];
        let is = all.into_iter().filter(|(is, _)| *is);
        is.map(|(_, state)| state).collect()
    }
}
