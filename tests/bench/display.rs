//! The benchmark's own connection to the X server: input without anything around it, and waiting until all is drawn.

use std::{
    cell::Cell,
    fs,
    os::fd::AsFd,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        damage::{ConnectionExt as _, ReportLevel},
        xfixes::ConnectionExt as _,
        xproto::{
            BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ChangeWindowAttributesAux,
            ConnectionExt as _, CreateWindowAux, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
            MOTION_NOTIFY_EVENT, Window, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::{DefaultStream, RustConnection},
};

use crate::Outcome;

/// Bytes of an MIT-MAGIC-COOKIE-1.
const COOKIE: usize = 16;

/// One connection.
#[derive(Debug)]
pub(crate) struct Display {
    pub(crate) connection: RustConnection,
    pub(crate) root: Window,
    pub(crate) width: u16,
    pub(crate) height: u16,
    name: String,
    authority: Option<PathBuf>,
}

/// A key and whether Shift belongs to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    code: u8,
    shifted: bool,
}

impl Display {
    /// Connects by the Unix socket, with the cookie of the file. All entries of our files hold the same one.
    pub(crate) fn connect(name: &str, authority: Option<&Path>) -> Outcome<Self> {
        let number = name.trim_start_matches(':');
        let socket = UnixStream::connect(format!("/tmp/.X11-unix/X{number}"))?;
        let (stream, _) = DefaultStream::from_unix_stream(socket)?;
        let (method, cookie) = match authority {
            Some(file) => {
                let bytes = fs::read(file)?;
                let cookie = bytes[bytes.len().saturating_sub(COOKIE)..].to_vec();
                (b"MIT-MAGIC-COOKIE-1".to_vec(), cookie)
            }
            None => (Vec::new(), Vec::new()),
        };
        let connection =
            RustConnection::connect_to_stream_with_auth_info(stream, 0, method, cookie)?;
        let screen = &connection.setup().roots[0];
        Ok(Self {
            root: screen.root,
            width: screen.width_in_pixels,
            height: screen.height_in_pixels,
            name: name.to_owned(),
            authority: authority.map(Path::to_owned),
            connection,
        })
    }

    /// Another connection to the same server.
    pub(crate) fn again(&self) -> Outcome<Self> {
        Self::connect(&self.name, self.authority.as_deref())
    }

    /// Gives a program this display.
    pub(crate) fn dress<'a>(
        &self,
        command: &'a mut std::process::Command,
    ) -> &'a mut std::process::Command {
        command.env("DISPLAY", &self.name);
        if let Some(file) = &self.authority {
            command.env("XAUTHORITY", file);
        }
        command
    }

    /// `:N`
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the server has done all that was sent.
    pub(crate) fn sync(&self) -> Outcome<()> {
        self.connection.get_input_focus()?.reply()?;
        Ok(())
    }

    /// Move, press, release, sync.
    pub(crate) fn click(&self, x: i16, y: i16) -> Outcome<()> {
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y)?;
        self.fake(BUTTON_PRESS_EVENT, 1, 0, 0)?;
        self.fake(BUTTON_RELEASE_EVENT, 1, 0, 0)?;
        self.sync()
    }

    /// Keys for ASCII text: what the keyboard has on its first two levels.
    pub(crate) fn keys(&self, text: &str) -> Outcome<Vec<Key>> {
        let setup = self.connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let map = self
            .connection
            .get_keyboard_mapping(first, last - first + 1)?
            .reply()?;
        let levels = usize::from(map.keysyms_per_keycode);
        let find = |sign: char| {
            let codes = (first..=last).zip(map.keysyms.chunks(levels));
            codes.into_iter().find_map(|(code, keysyms)| {
                let level = keysyms
                    .iter()
                    .take(2)
                    .position(|sym| *sym == u32::from(sign))?;
                Some(Key {
                    code,
                    shifted: level == 1,
                })
            })
        };
        text.chars()
            .map(|sign| find(sign).ok_or_else(|| format!("no key for {sign:?}").into()))
            .collect()
    }

    /// Presses and releases keys with Shift where it belongs, then syncs.
    pub(crate) fn type_keys(&self, keys: &[Key], shift: u8) -> Outcome<()> {
        for key in keys {
            if key.shifted {
                self.fake(KEY_PRESS_EVENT, shift, 0, 0)?;
            }
            self.fake(KEY_PRESS_EVENT, key.code, 0, 0)?;
            self.fake(KEY_RELEASE_EVENT, key.code, 0, 0)?;
            if key.shifted {
                self.fake(KEY_RELEASE_EVENT, shift, 0, 0)?;
            }
        }
        self.sync()
    }

    /// The code of the left Shift.
    pub(crate) fn shift(&self) -> Outcome<u8> {
        let map = self.connection.get_modifier_mapping()?.reply()?;
        map.keycodes
            .iter()
            .copied()
            .find(|code| *code != 0)
            .ok_or_else(|| "no Shift".into())
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) -> Outcome<()> {
        self.connection
            .xtest_fake_input(kind, detail, x11rb::CURRENT_TIME, self.root, x, y, 0)?;
        Ok(())
    }

    /// The window with this title, wherever in the tree.
    pub(crate) fn find(&self, title: &str) -> Outcome<Option<Window>> {
        let mut left = vec![self.root];
        while let Some(window) = left.pop() {
            if self.property(window, x11rb::protocol::xproto::AtomEnum::WM_NAME.into())?
                == title.as_bytes()
            {
                return Ok(Some(window));
            }
            if let Ok(tree) = self.connection.query_tree(window)?.reply() {
                left.extend(tree.children);
            }
        }
        Ok(None)
    }

    /// Keys go there now.
    pub(crate) fn focus(&self, window: Window) -> Outcome<()> {
        self.connection
            .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)?;
        self.sync()
    }

    fn property(&self, window: Window, name: u32) -> Outcome<Vec<u8>> {
        let any = x11rb::protocol::xproto::AtomEnum::ANY;
        let cookie = self
            .connection
            .get_property(false, window, name, any, 0, 64)?;
        // A window that went away meanwhile has no properties.
        Ok(cookie.reply().map(|reply| reply.value).unwrap_or_default())
    }

    /// Waits until a window manager says that it is there: on its property, not by asking again and again.
    pub(crate) fn window_manager(&self, patience: Duration) -> Outcome<()> {
        let check = self
            .connection
            .intern_atom(false, b"_NET_SUPPORTING_WM_CHECK")?
            .reply()?
            .atom;
        let select = ChangeWindowAttributesAux::new()
            .event_mask(x11rb::protocol::xproto::EventMask::PROPERTY_CHANGE);
        self.connection
            .change_window_attributes(self.root, &select)?;
        let end = Instant::now() + patience;
        while self.property(self.root, check)?.is_empty() {
            if self
                .event_within(end.saturating_duration_since(Instant::now()))?
                .is_none()
            {
                return Err("no window manager".into());
            }
        }
        Ok(())
    }

    /// Waits until nothing was drawn for a while.
    pub(crate) fn quiet(&self, for_this_long: Duration) -> Outcome<()> {
        self.connection.damage_query_version(1, 1)?.reply()?;
        self.connection.xfixes_query_version(5, 0)?.reply()?;
        let damage = self.connection.generate_id()?;
        self.connection
            .damage_create(damage, self.root, ReportLevel::NON_EMPTY)?;
        let end = Instant::now() + Duration::from_secs(20);
        while let Some(event) = self.event_within(for_this_long)? {
            if matches!(event, Event::DamageNotify(_)) {
                self.connection
                    .damage_subtract(damage, x11rb::NONE, x11rb::NONE)?;
            }
            if Instant::now() > end {
                return Err("the desktop does not come to rest".into());
            }
        }
        self.connection.damage_destroy(damage)?;
        self.sync()
    }

    /// The next event, if one comes in time.
    pub(crate) fn event_within(&self, time: Duration) -> Outcome<Option<Event>> {
        self.connection.flush()?;
        if let Some(event) = self.connection.poll_for_event()? {
            return Ok(Some(event));
        }
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut fds = [PollFd::new(
                self.connection.stream().as_fd(),
                PollFlags::POLLIN,
            )];
            if poll(&mut fds, PollTimeout::try_from(left)?)? == 0 {
                return Ok(None);
            }
            if let Some(event) = self.connection.poll_for_event()? {
                return Ok(Some(event));
            }
        }
    }
}

/// A small window that changes its colour, so that a picture is never the one from before.
#[derive(Debug)]
pub(crate) struct Lamp<'a> {
    display: &'a Display,
    window: Window,
    lit: Cell<u32>,
}

impl<'a> Lamp<'a> {
    /// Maps it in the corner, above all and under no window manager.
    pub(crate) fn new(display: &'a Display) -> Outcome<Self> {
        let window = display.connection.generate_id()?;
        let attributes = CreateWindowAux::new()
            .override_redirect(1)
            .background_pixel(0);
        display.connection.create_window(
            x11rb::COPY_DEPTH_FROM_PARENT,
            window,
            display.root,
            0,
            0,
            2,
            2,
            0,
            WindowClass::INPUT_OUTPUT,
            x11rb::COPY_FROM_PARENT,
            &attributes,
        )?;
        display.connection.map_window(window)?;
        display.sync()?;
        Ok(Self {
            display,
            window,
            lit: Cell::new(0),
        })
    }

    /// Another colour; it is on the screen when this returns.
    pub(crate) fn change(&self) -> Outcome<()> {
        self.lit.set((self.lit.get() + 1) & 0xff);
        let colour = ChangeWindowAttributesAux::new().background_pixel(self.lit.get() << 8);
        let connection = &self.display.connection;
        connection.change_window_attributes(self.window, &colour)?;
        connection.clear_area(false, self.window, 0, 0, 0, 0)?;
        self.display.sync()
    }
}

impl Drop for Lamp<'_> {
    fn drop(&mut self) {
        let _ = self.display.connection.destroy_window(self.window);
        let _ = self.display.connection.flush();
    }
}
