//! The pointer's shape and place (`XFixes`, sections 5 and 6): the server never draws it into a picture.

use x11rb::{
    errors::ReplyError,
    protocol::xfixes::{ConnectionExt as _, GetCursorImageReply},
    rust_connection::RustConnection,
};

use crate::desktop::{
    geometry::{Point, Size},
    pixels::Sprite,
};

/// Shapes that are kept. A program that changes between a few is not asked again.
const SHAPES: usize = 8;

/// What is known of the pointer. A shape is named by the server's serial number and never changes.
#[derive(Default)]
pub(super) struct Cursor {
    shapes: Vec<(u32, Sprite)>,
    /// Shape the server displays.
    displayed: Option<u32>,
    /// Place and shape of the last stamp.
    seen: Option<(Point, Option<u32>)>,
    /// Grows with each change of `seen`.
    stamp: u64,
}

impl Cursor {
    /// The server displays another shape.
    pub(super) fn display(&mut self, serial: u32) {
        self.displayed = Some(serial);
    }

    /// Stamp of the pointer at this place with the shape displayed now.
    pub(super) fn stamp_at(&mut self, place: Point) -> u64 {
        let now = Some((place, self.displayed));
        if self.seen != now {
            self.seen = now;
            self.stamp += 1;
        }
        self.stamp
    }

    /// Stamp of what was seen last.
    pub(super) fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The shape displayed now; asks the server only for one it has not told yet.
    pub(super) fn shape(&mut self, connection: &RustConnection) -> Result<&Sprite, ReplyError> {
        let known = self
            .shapes
            .iter()
            .position(|(serial, _)| Some(*serial) == self.displayed);
        let at = if let Some(at) = known {
            at
        } else {
            let image = connection.xfixes_get_cursor_image()?.reply()?;
            self.displayed = Some(image.cursor_serial);
            self.shapes.truncate(SHAPES - 1);
            self.shapes.insert(0, (image.cursor_serial, sprite(image)));
            0
        };
        self.shapes[..=at].rotate_right(1);
        Ok(&self.shapes[0].1)
    }
}

fn sprite(image: GetCursorImageReply) -> Sprite {
    Sprite {
        size: Size {
            width: image.width.into(),
            height: image.height.into(),
        },
        hot: Point {
            x: image.xhot.into(),
            y: image.yhot.into(),
        },
        pixels: image.cursor_image,
    }
}
