//! The root window: its background and pointer, and whether a window manager is there (EWMH,
//! `_NET_SUPPORTING_WM_CHECK`).

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use x11rb::{
    connection::Connection,
    errors::{ConnectionError, ReplyError, ReplyOrIdError},
    protocol::{
        Event,
        xproto::{
            Atom, AtomEnum, ChangeWindowAttributesAux, ClientMessageEvent, ConnectionExt,
            CreateWindowAux, EventMask, PropMode, Window, WindowClass,
        },
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use super::{Address, ConnectError, connect};

/// Glyph of the usual arrow in the font `cursor` (X11/cursorfont.h, `XC_left_ptr`); its mask is the next one.
const LEFT_POINTER: u16 = 68;
/// What programs that read the X resource database get: without it xterm looks for bitmap fonts that a bare server
/// lacks, and has no sign for most of Unicode.
const RESOURCES: &[u8] = b"XTerm*faceName: DejaVu Sans Mono\nXTerm*faceSize: 11\nXTerm*utf8: 1\n";
/// Red, green and blue of the background: a quiet slate that neither white nor black windows melt into.
const BACKGROUND: [u16; 3] = [0x3b00, 0x4200, 0x5200];

/// How long a window manager that owns the root window may take to answer; it is there all the same.
const ANSWER: Duration = Duration::from_secs(2);

/// When a question that had no answer is asked again.
const AGAIN: Duration = Duration::from_millis(10);

/// A connection that looks after the root window. Blocks; dropping it changes nothing on the screen.
#[derive(Debug)]
pub struct Root {
    connection: RustConnection,
    window: Window,
    check: Atom,
}

/// The X server said no, or is gone.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A request failed.
    #[error("a request for the root window failed")]
    Request(#[source] ReplyError),
    /// The wait for events failed.
    #[error("the wait for the X server failed")]
    Wait(#[source] std::io::Error),
}

impl From<ConnectionError> for RootError {
    fn from(error: ConnectionError) -> Self {
        Self::Request(error.into())
    }
}

impl From<ReplyError> for RootError {
    fn from(error: ReplyError) -> Self {
        Self::Request(error)
    }
}

impl Root {
    /// Connects.
    pub fn open(address: &Address) -> Result<Self, RootError> {
        let (connection, screen) = connect(address)?;
        let root = connection.setup().roots[screen].root;
        let check = connection
            .intern_atom(false, b"_NET_SUPPORTING_WM_CHECK")?
            .reply()?
            .atom;
        Ok(Self {
            connection,
            window: root,
            check,
        })
    }

    /// Gives the root window a background, the usual arrow and resources, which a bare X server has not.
    pub fn paint(&self) -> Result<(), RootError> {
        let connection = &self.connection;
        let (property, kind) = (AtomEnum::RESOURCE_MANAGER, AtomEnum::STRING);
        connection
            .change_property8(PropMode::REPLACE, self.window, property, kind, RESOURCES)?
            .check()?;
        let colormap = connection
            .setup()
            .roots
            .iter()
            .find(|screen| screen.root == self.window);
        let colormap = colormap.map_or(x11rb::NONE, |screen| screen.default_colormap);
        let [red, green, blue] = BACKGROUND;
        let pixel = connection
            .alloc_color(colormap, red, green, blue)?
            .reply()?
            .pixel;
        let font = self.new_id()?;
        connection.open_font(font, b"cursor")?;
        let cursor = self.new_id()?;
        connection.create_glyph_cursor(
            cursor,
            font,
            font,
            LEFT_POINTER,
            LEFT_POINTER + 1,
            0,
            0,
            0,
            0xffff,
            0xffff,
            0xffff,
        )?;
        let attributes = ChangeWindowAttributesAux::new().background_pixel(pixel);
        connection
            .change_window_attributes(self.window, &attributes)?
            .check()?;
        // A server without its fonts has no such cursor; it then keeps its own.
        let attributes = ChangeWindowAttributesAux::new().cursor(cursor);
        let _ = connection
            .change_window_attributes(self.window, &attributes)?
            .check();
        connection
            .clear_area(false, self.window, 0, 0, 0, 0)?
            .check()?;
        Ok(())
    }

    /// Waits until a window manager owns the root window and works its events off, and at most so long; whether one
    /// owns it.
    ///
    /// Owning comes first: openbox then looks for windows, grabs its buttons and only then listens. A click or a window
    /// that comes in between is lost. So it is asked something that it answers in its turn; one that knows no such
    /// question is taken at its word.
    pub fn wait_for_window_manager(&self, limit: Duration) -> Result<bool, RootError> {
        let deadline = Instant::now() + limit;
        self.listen(self.window)?;
        while !self.has_window_manager()? {
            if !self.wait_for_change(deadline)? {
                return Ok(false);
            }
        }
        self.wait_for_answer(deadline.min(Instant::now() + ANSWER))?;
        Ok(true)
    }

    /// Asks the window manager how wide the frame of a window would be (EWMH, `_NET_REQUEST_FRAME_EXTENTS`), and waits
    /// for the answer until then.
    fn wait_for_answer(&self, deadline: Instant) -> Result<(), RootError> {
        let atom =
            |name| Ok::<_, RootError>(self.connection.intern_atom(false, name)?.reply()?.atom);
        let supported = atom(b"_NET_SUPPORTED")?;
        let question = atom(b"_NET_REQUEST_FRAME_EXTENTS")?;
        let answer = atom(b"_NET_FRAME_EXTENTS")?;
        let known = loop {
            let known = self.atoms_of(self.window, supported)?;
            if !known.is_empty() || !self.wait_for_change(deadline)? {
                break known;
            }
        };
        if !known.contains(&question) {
            return Ok(());
        }
        let window = self.new_id()?;
        let connection = &self.connection;
        let (class, values) = (WindowClass::INPUT_OUTPUT, CreateWindowAux::new());
        connection
            .create_window(0, window, self.window, -1, -1, 1, 1, 0, class, 0, &values)?
            .check()?;
        self.listen(window)?;
        let message = ClientMessageEvent::new(32, window, question, [0_u32; 5]);
        let mask = EventMask::SUBSTRUCTURE_REDIRECT | EventMask::SUBSTRUCTURE_NOTIFY;
        // What comes while it takes over the screen is lost, questions too: so it is asked again.
        while !self.has_property(window, answer)? && Instant::now() < deadline {
            connection.send_event(false, self.window, mask, message)?;
            connection.flush()?;
            self.wait_for_change(deadline.min(Instant::now() + AGAIN))?;
        }
        connection.destroy_window(window)?.check()?;
        Ok(())
    }

    fn atoms_of(&self, window: Window, property: Atom) -> Result<Vec<Atom>, RootError> {
        let reply = self
            .connection
            .get_property(false, window, property, AtomEnum::ATOM, 0, 1024)?
            .reply()?;
        Ok(reply.value32().map(Iterator::collect).unwrap_or_default())
    }

    fn has_property(&self, window: Window, property: Atom) -> Result<bool, RootError> {
        let reply = self
            .connection
            .get_property(false, window, property, AtomEnum::ANY, 0, 0)?
            .reply()?;
        Ok(reply.type_ != x11rb::NONE)
    }

    fn new_id(&self) -> Result<u32, RootError> {
        self.connection.generate_id().map_err(|error| match error {
            ReplyOrIdError::ConnectionError(error) => error.into(),
            ReplyOrIdError::X11Error(error) => ReplyError::X11Error(error).into(),
            ReplyOrIdError::IdsExhausted => ConnectionError::UnknownError.into(),
        })
    }

    fn listen(&self, window: Window) -> Result<(), RootError> {
        let mask = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        // The window may be gone by now: then nothing is heard of it.
        let _ = self
            .connection
            .change_window_attributes(window, &mask)?
            .check();
        Ok(())
    }

    /// The root names a window, and that window names itself: the second part tells a living one from a leftover.
    fn has_window_manager(&self) -> Result<bool, RootError> {
        let Some(window) = self.named_by(self.window)? else {
            return Ok(false);
        };
        self.listen(window)?;
        Ok(self.named_by(window)? == Some(window))
    }

    fn named_by(&self, window: Window) -> Result<Option<Window>, RootError> {
        let reply = self
            .connection
            .get_property(false, window, self.check, AtomEnum::WINDOW, 0, 1)?
            .reply();
        match reply {
            Ok(reply) => Ok(reply.value32().and_then(|mut values| values.next())),
            Err(ReplyError::X11Error(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for a change of a property; `false` at the deadline.
    fn wait_for_change(&self, deadline: Instant) -> Result<bool, RootError> {
        loop {
            while let Some(event) = self.connection.poll_for_event()? {
                if matches!(event, Event::PropertyNotify(_)) {
                    return Ok(true);
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            let left = Timespec::try_from(left).unwrap_or(Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            });
            let stream = self.connection.stream().as_fd();
            match poll(&mut [PollFd::new(&stream, PollFlags::IN)], Some(&left)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(RootError::Wait(error.into())),
            }
        }
    }
}
