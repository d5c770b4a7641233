//! Pictures of an X screen: shared memory for the pixels, `XFixes` for the cursor, damage for what changed.

use std::{
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use x11rb::{
    NONE,
    connection::{Connection, RequestConnection},
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        ErrorKind, Event,
        damage::{ConnectionExt as _, Damage, ReportLevel},
        randr::{ConnectionExt as _, NotifyMask},
        shm::ConnectionExt as _,
        xfixes::{ConnectionExt as _, CursorNotifyMask},
        xinput::{self, ConnectionExt as _, Device, EventMask, XIEventMask},
        xproto::{ConnectionExt as _, ImageFormat, ImageOrder, QueryPointerReply, Screen, Setup},
    },
    rust_connection::RustConnection,
};

use super::{
    Address,
    changes::X11Changes,
    connect,
    cursor::Cursor,
    damage::Reports,
    image::{Frame, Segments},
    randr,
};
use crate::desktop::{
    capture::{CaptureError, ChangeSource, FrameSource, Knowledge, Shot, Stamp},
    geometry::{Point, Size},
    pixels::{byte_length, draw},
};

/// Times a grab is tried while the screen changes its size under it.
const TRIES: usize = 8;

/// The screen of one X server, by a connection of its own.
pub struct X11Source {
    connection: RustConnection,
    root: u32,
    damage: Damage,
    segments: Segments,
    cursor: Cursor,
    /// Size of the screen when it was last grabbed, across and down.
    size: (u16, u16),
    /// Stamp of the pixels of the last grab.
    pixels: u64,
    /// Reports of changed pixels.
    changes: Reports,
    /// Reports of a moved or changed pointer.
    moves: Reports,
    /// Reports of motion are switched on; one switches them off until the next look, so that a busy pointer costs
    /// nothing while nobody looks.
    motion: bool,
    /// The server has `XInput` 2.
    xinput: bool,
    /// Given away once.
    places: Option<X11Changes>,
}

impl std::fmt::Debug for X11Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("X11Source")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl X11Source {
    /// Connects, twice, and makes sure that the screen can be captured. Blocks on the server.
    ///
    /// # Errors
    /// [`CaptureError::Unsupported`] names the missing extension or the unknown layout of pixels.
    pub fn open(address: &Address) -> Result<Self, CaptureError> {
        let (connection, screen) =
            connect(address).map_err(|source| CaptureError::ConnectionLost {
                source: Arc::new(source),
            })?;
        let setup = connection.setup();
        let screen = setup.roots[screen].clone();
        check_pixels(setup, &screen)?;
        let xinput = negotiate(&connection)?;
        let damage = watch(&connection, screen.root).map_err(failed("report changes"))?;
        let mut source = Self {
            connection,
            root: screen.root,
            damage,
            segments: Segments::default(),
            cursor: Cursor::default(),
            size: (screen.width_in_pixels, screen.height_in_pixels),
            pixels: 0,
            changes: Reports::default(),
            moves: Reports::default(),
            motion: false,
            xinput,
            places: Some(X11Changes::open(address)?),
        };
        source.changes.add(0);
        source.verify()?;
        Ok(source)
    }

    /// Takes in the events that have arrived.
    fn drain(&mut self) -> Result<(), ReplyError> {
        while let Some((event, sequence)) = self.connection.poll_for_event_with_sequence()? {
            match event {
                Event::DamageNotify(_)
                | Event::RandrScreenChangeNotify(_)
                | Event::ConfigureNotify(_) => self.changes.add(sequence),
                Event::XfixesCursorNotify(event) => {
                    self.cursor.display(event.cursor_serial);
                    self.moves.add(sequence);
                }
                Event::XinputRawMotion(_) => {
                    self.moves.add(sequence);
                    self.report_motion(false)?;
                }
                _ => {}
            }
        }
        self.connection.flush()?;
        Ok(())
    }

    fn report_motion(&mut self, on: bool) -> Result<(), ReplyError> {
        if self.xinput && self.motion != on {
            let mask = if on {
                XIEventMask::RAW_MOTION
            } else {
                XIEventMask::default()
            };
            let masks = [EventMask {
                deviceid: Device::ALL_MASTER.into(),
                mask: vec![mask],
            }];
            self.connection.xinput_xi_select_events(self.root, &masks)?;
            self.motion = on;
        }
        Ok(())
    }

    /// Sees where the pointer is. `asked` is the number of the request that gave the reply.
    fn look_at_pointer(
        &mut self,
        pointer: &QueryPointerReply,
        asked: u64,
    ) -> Result<Point, ReplyError> {
        let place = Point {
            x: pointer.root_x.into(),
            y: pointer.root_y.into(),
        };
        self.cursor.shape(&self.connection)?;
        self.cursor.stamp_at(place);
        self.moves.cover(asked);
        Ok(place)
    }

    /// One grab, with all requests in one write. `None` when the screen has another size than we thought.
    fn try_grab(&mut self, frame: &Frame) -> Result<Option<Point>, ReplyError> {
        self.report_motion(true)?;
        let (connection, root) = (&self.connection, self.root);
        let (width, height) = self.size;
        let clear = connection.damage_subtract(self.damage, NONE, NONE)?;
        let covered = clear.sequence_number();
        drop(clear);
        let geometry = connection.get_geometry(root)?;
        let format = ImageFormat::Z_PIXMAP.into();
        let image =
            connection.shm_get_image(root, 0, 0, width, height, !0, format, frame.id(), 0)?;
        let pointer = connection.query_pointer(root)?;
        let asked = pointer.sequence_number();
        let geometry = geometry.reply()?;
        let image = image.reply();
        let pointer = pointer.reply()?;
        self.drain()?;
        let size = (geometry.width, geometry.height);
        let void = match image {
            Ok(_) => size != self.size,
            Err(ReplyError::X11Error(error)) if error.error_kind == ErrorKind::Match => true,
            Err(error) => return Err(error),
        };
        if void {
            // It cleared the damage and shows nothing, so everything counts as changed.
            self.size = size;
            self.changes.add(covered);
            return Ok(None);
        }
        if self.changes.cover(covered) {
            self.pixels += 1;
        }
        self.look_at_pointer(&pointer, asked).map(Some)
    }

    fn extent(&self) -> Size {
        Size {
            width: self.size.0.into(),
            height: self.size.1.into(),
        }
    }
}

impl FrameSource for X11Source {
    fn events(&self) -> Option<BorrowedFd<'_>> {
        Some(self.connection.stream().as_fd())
    }

    fn pump(&mut self) -> Result<(), CaptureError> {
        self.drain().map_err(failed("report changes"))
    }

    fn verify(&mut self) -> Result<(), CaptureError> {
        let mut look = || {
            self.report_motion(true)?;
            let pointer = self.connection.query_pointer(self.root)?;
            let asked = pointer.sequence_number();
            let pointer = pointer.reply()?;
            self.drain()?;
            self.look_at_pointer(&pointer, asked)
        };
        look()
            .map(|_| ())
            .map_err(failed("name the pointer's place"))
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge {
            stamp: Stamp {
                pixels: self.pixels,
                cursor: self.cursor.stamp(),
            },
            pixels: !self.changes.any(),
            cursor: self.xinput && !self.moves.any(),
        }
    }

    fn grab(&mut self, cursor: bool) -> Result<Shot, CaptureError> {
        for _ in 0..TRIES {
            let size = self.extent();
            let mut frame = self.segments.take(&self.connection, byte_length(size))?;
            let place = self.try_grab(&frame).map_err(failed("give a picture"))?;
            let Some(place) = place else {
                continue;
            };
            if cursor {
                let shape = self.cursor.shape(&self.connection);
                let shape = shape.map_err(failed("give the cursor"))?;
                draw(frame.bytes_mut(), size, shape, place);
            }
            return Ok(Shot {
                pixels: Box::new(frame),
                size,
                pointer: Some(place),
                stamp: self.knowledge().stamp,
            });
        }
        let source = std::io::Error::other("its size does not come to rest");
        Err(CaptureError::Server {
            operation: "give a picture",
            source: Arc::new(source),
        })
    }

    fn size(&mut self) -> Result<Size, CaptureError> {
        let ask = || self.connection.get_geometry(self.root)?.reply();
        let geometry = ask().map_err(failed("name the size of the screen"))?;
        Ok(Size {
            width: geometry.width.into(),
            height: geometry.height.into(),
        })
    }

    fn resize(&mut self, wanted: Size) -> Result<Size, CaptureError> {
        let is = self.size()?;
        if is == wanted {
            return Ok(is);
        }
        let size = randr::protocol_size(wanted).ok_or(CaptureError::Resize { wanted, is })?;
        randr::resize(&self.connection, self.root, size)
            .map_err(failed("change the size of the screen"))?;
        let is = self.size()?;
        if is == wanted {
            Ok(is)
        } else {
            Err(CaptureError::Resize { wanted, is })
        }
    }

    fn tidy(&mut self) {
        self.segments.clear(&self.connection);
    }

    fn take_changes(&mut self) -> Option<Box<dyn ChangeSource>> {
        let places = self.places.take()?;
        Some(Box::new(places))
    }
}

/// Only the layout that every server of today has: 32 bits a pixel, blue in the lowest byte.
fn check_pixels(setup: &Setup, screen: &Screen) -> Result<(), CaptureError> {
    let depth = screen.root_depth;
    let format = setup.pixmap_formats.iter().find(|f| f.depth == depth);
    let bits = format.map_or(0, |format| format.bits_per_pixel);
    let visual = screen
        .allowed_depths
        .iter()
        .flat_map(|depth| &depth.visuals)
        .find(|visual| visual.visual_id == screen.root_visual);
    let masks = visual.map(|v| [v.red_mask, v.green_mask, v.blue_mask]);
    let order = setup.image_byte_order;
    if bits == 32 && order == ImageOrder::LSB_FIRST && masks == Some([0xff_0000, 0xff00, 0xff]) {
        return Ok(());
    }
    Err(CaptureError::Unsupported(format!(
        "depth {depth} in {bits} bits, byte order {order:?}, masks {masks:x?}"
    )))
}

/// Agrees on versions, which some extensions demand before anything else. Gives whether there is `XInput` 2.
fn negotiate(connection: &RustConnection) -> Result<bool, CaptureError> {
    let missing = |name| CaptureError::Unsupported(format!("the display server lacks {name}"));
    let agree = || {
        let shm = connection.shm_query_version()?;
        let fixes = connection.xfixes_query_version(5, 0)?;
        let damage = connection.damage_query_version(1, 1)?;
        let randr = connection.randr_query_version(1, 3)?;
        let shm = shm.reply()?;
        fixes.reply()?;
        damage.reply()?;
        randr.reply()?;
        Ok((shm.major_version, shm.minor_version))
    };
    for name in ["MIT-SHM", "XFIXES", "DAMAGE", "RANDR"] {
        let known = connection.extension_information(name);
        let known =
            known.map_err(|error| failed("list its extensions")(ReplyError::from(error)))?;
        known.ok_or_else(|| missing(name))?;
    }
    let version = agree().map_err(failed::<ReplyError>("agree on its extensions"))?;
    if version < (1, 2) {
        return Err(missing("MIT-SHM 1.2"));
    }
    let xinput = connection
        .extension_information(xinput::X11_EXTENSION_NAME)
        .map_err(|error| failed("list its extensions")(ReplyError::from(error)))?
        .is_some();
    Ok(xinput && xinput_2(connection))
}

fn xinput_2(connection: &RustConnection) -> bool {
    connection
        .xinput_xi_query_version(2, 2)
        .is_ok_and(|cookie| {
            cookie
                .reply()
                .is_ok_and(|version| version.major_version >= 2)
        })
}

/// Asks for all reports but motion.
fn watch(connection: &RustConnection, root: u32) -> Result<Damage, ReplyOrIdError> {
    let damage = connection.generate_id()?;
    connection
        .damage_create(damage, root, ReportLevel::NON_EMPTY)?
        .check()?;
    connection
        .xfixes_select_cursor_input(root, CursorNotifyMask::DISPLAY_CURSOR)?
        .check()?;
    connection
        .randr_select_input(root, NotifyMask::SCREEN_CHANGE)?
        .check()?;
    Ok(damage)
}

/// Tells a broken connection from a request that the server refused.
pub(super) fn failed<E: Into<ReplyOrIdError>>(
    operation: &'static str,
) -> impl Fn(E) -> CaptureError {
    move |error| {
        let error = error.into();
        let lost = matches!(error, ReplyOrIdError::ConnectionError(_));
        let source = Arc::new(error);
        if lost {
            CaptureError::ConnectionLost { source }
        } else {
            CaptureError::Server { operation, source }
        }
    }
}
