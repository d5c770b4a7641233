//! What changes on an X screen, place by place, by a connection of its own.
//!
//! The picture's connection has a damage object as well, which reports once and is emptied by a grab; nothing to read
//! there means that nothing happened, so this one must not write into it.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use x11rb::{
    NONE,
    connection::Connection,
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        ErrorKind, Event,
        damage::{ConnectionExt as _, Damage, ReportLevel},
        randr::{ConnectionExt as _, NotifyMask},
        xproto::{ConnectionExt as _, ImageFormat, Rectangle},
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use super::{Address, connect, source::failed};
use crate::desktop::{
    capture::{CaptureError, ChangeSource},
    geometry::Rect,
};

/// Reports of changed places.
pub(super) struct X11Changes {
    connection: RustConnection,
    root: u32,
    damage: Damage,
}

impl X11Changes {
    /// Connects to a server that is known to have the extensions.
    pub(super) fn open(address: &Address) -> Result<Self, CaptureError> {
        let (connection, screen) =
            connect(address).map_err(|source| CaptureError::ConnectionLost {
                source: Arc::new(source),
            })?;
        let root = connection.setup().roots[screen].root;
        let damage = watch(&connection, root).map_err(failed("report changed places"))?;
        Ok(Self {
            connection,
            root,
            damage,
        })
    }

    fn drain(&self, places: &mut Vec<Rect>) -> Result<(), ReplyError> {
        while let Some(event) = self.connection.poll_for_event()? {
            match event {
                Event::DamageNotify(event) => places.push(rect(event.area)),
                Event::RandrScreenChangeNotify(event) => places.push(Rect {
                    x: 0,
                    y: 0,
                    width: event.width.into(),
                    height: event.height.into(),
                }),
                _ => {}
            }
        }
        Ok(())
    }
}

impl ChangeSource for X11Changes {
    fn events(&self) -> BorrowedFd<'_> {
        self.connection.stream().as_fd()
    }

    fn take(&mut self, places: &mut Vec<Rect>) -> Result<(), CaptureError> {
        self.drain(places).map_err(failed("report changed places"))
    }

    fn watch_all(&mut self) -> Result<(), CaptureError> {
        let empty = || -> Result<(), ReplyError> {
            self.connection
                .damage_subtract(self.damage, NONE, NONE)?
                .ignore_error();
            self.connection.sync()
        };
        empty().map_err(failed("report changed places"))
    }

    /// Through the socket, not by shared memory: it is for a small part of the screen, now and then.
    fn grab(&mut self, place: Rect) -> Result<Option<Vec<u8>>, CaptureError> {
        let Some((x, y, width, height)) = sides(place) else {
            return Ok(None);
        };
        let format = ImageFormat::Z_PIXMAP;
        let image = || -> Result<_, ReplyError> {
            self.connection
                .get_image(format, self.root, x, y, width, height, !0)?
                .reply()
        };
        match image() {
            Ok(image) => Ok(Some(image.data)),
            Err(ReplyError::X11Error(error)) if error.error_kind == ErrorKind::Match => Ok(None),
            Err(error) => Err(failed("give a part of a picture")(error)),
        }
    }
}

fn watch(connection: &RustConnection, root: u32) -> Result<Damage, ReplyOrIdError> {
    // Both want to be asked for their version before anything else.
    let damage_version = connection.damage_query_version(1, 1)?;
    let randr_version = connection.randr_query_version(1, 3)?;
    damage_version.reply()?;
    randr_version.reply()?;
    let damage = connection.generate_id()?;
    connection
        .damage_create(damage, root, ReportLevel::DELTA_RECTANGLES)?
        .check()?;
    connection
        .randr_select_input(root, NotifyMask::SCREEN_CHANGE)?
        .check()?;
    Ok(damage)
}

fn rect(area: Rectangle) -> Rect {
    Rect {
        x: area.x.into(),
        y: area.y.into(),
        width: area.width.into(),
        height: area.height.into(),
    }
}

/// Left, top, width and height as the protocol has them.
fn sides(place: Rect) -> Option<(i16, i16, u16, u16)> {
    Some((
        place.x.try_into().ok()?,
        place.y.try_into().ok()?,
        place.width.try_into().ok()?,
        place.height.try_into().ok()?,
    ))
}
