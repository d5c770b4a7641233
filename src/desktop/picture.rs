//! What a caller can ask of a picture, and what a picture is. Pure.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use bytes::Bytes;

use super::geometry::{Frame, Point, Rect, Size};

/// Longest side of a picture in pixels; longer wishes are cut to it.
pub const MAX_SIDE: u32 = 7680;

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Lossless, 8-bit RGB.
    Png,
    /// Lossy, by [`PictureRequest::quality`].
    Jpeg,
    /// Lossless.
    WebP,
}

impl Format {
    /// Media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Jpeg => "image/jpeg",
            Self::WebP => "image/webp",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::Jpeg => "JPEG",
            Self::WebP => "WebP",
        })
    }
}

/// A wish for a picture. The default is the whole screen at its own size as PNG with the cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureRequest {
    /// Encoding.
    pub format: Format,
    /// 1 to 100; only JPEG heeds it.
    pub quality: u8,
    /// Width of the declared frame; alone, the height keeps the aspect. `None` for both is the native size.
    pub width: Option<u32>,
    /// Height of the declared frame; alone, the width keeps the aspect.
    pub height: Option<u32>,
    /// Only this part, in the declared frame; answered in its own size unless `zoom`.
    pub region: Option<Rect>,
    /// The region fills the declared frame.
    pub zoom: bool,
    /// The pointer is drawn in.
    pub cursor: bool,
    /// No more bytes than these: quality goes down first, where the format has one, then the size.
    pub max_bytes: Option<usize>,
    /// An `If-None-Match` header: one or more entity tags, weak or strong, or `*`.
    pub if_none_match: Option<String>,
}

impl Default for PictureRequest {
    fn default() -> Self {
        Self {
            format: Format::Png,
            quality: 80,
            width: None,
            height: None,
            region: None,
            zoom: false,
            cursor: true,
            max_bytes: None,
            if_none_match: None,
        }
    }
}

/// Which pixels of the screen, in what size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Part of the screen, in native pixels; never empty, never outside.
    pub crop: Rect,
    /// Size of the picture.
    pub size: Size,
}

impl PictureRequest {
    /// The declared frame on a screen of this size.
    pub fn frame(&self, native: Size) -> Frame {
        Frame::keeping_aspect(self.width, self.height, MAX_SIDE, native)
    }

    /// What to cut and what size to give it; `None` when the region is empty or leaves the declared frame.
    pub fn layout(&self, native: Size) -> Option<Layout> {
        let frame = self.frame(native);
        let Some(region) = self.region else {
            let crop = Rect {
                x: 0,
                y: 0,
                width: native.width,
                height: native.height,
            };
            return Some(Layout {
                crop,
                size: frame.declared(),
            });
        };
        if !inside(region, frame.declared()) {
            return None;
        }
        let size = if self.zoom {
            frame.declared()
        } else {
            Size {
                width: region.width,
                height: region.height,
            }
        };
        let crop = frame.region_to_native(region)?;
        Some(Layout { crop, size })
    }

    /// Everything that decides what the picture looks like, in one number.
    pub(crate) fn options(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let quality = matches!(self.format, Format::Jpeg).then_some(self.quality);
        let zoom = self.zoom && self.region.is_some();
        (self.format, quality, self.width, self.height).hash(&mut hasher);
        (self.region, zoom, self.cursor, self.max_bytes).hash(&mut hasher);
        hasher.finish()
    }

    /// Whether the caller already has the picture with this tag (RFC 9110, 13.1.2: weak comparison).
    pub(crate) fn has(&self, etag: &str) -> bool {
        let Some(header) = &self.if_none_match else {
            return false;
        };
        header
            .split(',')
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
    }
}

fn inside(region: Rect, frame: Size) -> bool {
    let axis = |start: i32, length: u32, side: u32| {
        length > 0 && start >= 0 && i64::from(start) + i64::from(length) <= i64::from(side)
    };
    axis(region.x, region.width, frame.width) && axis(region.y, region.height, frame.height)
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The picture the caller named in `if_none_match` still shows the screen.
    Unchanged {
        /// Its entity tag, in quotes.
        etag: String,
    },
    /// A picture taken after the request arrived.
    Picture(Arc<Picture>),
}

/// An encoded picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// The file.
    pub bytes: Bytes,
    /// How it is encoded.
    pub format: Format,
    /// Size of the picture.
    pub size: Size,
    /// Size of the screen when it was taken.
    pub native: Size,
    /// Where the pointer was, in native pixels, when the cursor was asked for.
    pub cursor: Option<Point>,
    /// Entity tag in quotes: changes when the pixels or, where it is drawn, the cursor changed.
    pub etag: String,
    /// What was lowered to keep to `max_bytes`, in words.
    pub reduced: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATIVE: Size = Size {
        width: 1920,
        height: 1080,
    };

    fn size(width: u32, height: u32) -> Size {
        Size { width, height }
    }

    #[test]
    fn one_side_alone_keeps_the_aspect() {
        let declared = |width, height| {
            let request = PictureRequest {
                width,
                height,
                ..PictureRequest::default()
            };
            request.frame(NATIVE).declared()
        };
        assert_eq!(declared(None, None), NATIVE);
        assert_eq!(declared(Some(1280), None), size(1280, 720));
        assert_eq!(declared(None, Some(720)), size(1280, 720));
        assert_eq!(declared(Some(100), Some(100)), size(100, 100));
        assert_eq!(declared(Some(1), None), size(1, 1));
        assert_eq!(declared(Some(u32::MAX), None), size(7680, 4320));
    }

    #[test]
    fn a_region_keeps_its_size_unless_it_is_zoomed() {
        let mut request = PictureRequest {
            width: Some(1280),
            height: Some(720),
            region: Some(Rect {
                x: 640,
                y: 360,
                width: 64,
                height: 36,
            }),
            ..PictureRequest::default()
        };
        let crop = Rect {
            x: 960,
            y: 540,
            width: 96,
            height: 54,
        };
        assert_eq!(
            request.layout(NATIVE),
            Some(Layout {
                crop,
                size: size(64, 36)
            })
        );
        request.zoom = true;
        assert_eq!(
            request.layout(NATIVE),
            Some(Layout {
                crop,
                size: size(1280, 720)
            })
        );
    }

    #[test]
    fn a_region_outside_the_frame_is_refused() {
        for (x, y, width, height) in [
            (-1, 0, 2, 2),
            (0, 0, 0, 2),
            (1919, 0, 2, 1),
            (0, 1080, 1, 1),
            (1, 1, u32::MAX, 1),
        ] {
            let request = PictureRequest {
                region: Some(Rect {
                    x,
                    y,
                    width,
                    height,
                }),
                ..PictureRequest::default()
            };
            assert_eq!(request.layout(NATIVE), None, "{x},{y},{width},{height}");
        }
    }

    #[test]
    fn entity_tags_match_in_lists_weak_and_by_star() {
        let request = |header: &str| PictureRequest {
            if_none_match: Some(header.to_owned()),
            ..PictureRequest::default()
        };
        for header in ["\"a\"", "W/\"a\"", "\"b\", \"a\"", " W/\"b\" ,W/\"a\"", "*"] {
            assert!(request(header).has("\"a\""), "{header}");
        }
        for header in ["", "a", "\"b\"", "\"aa\"", "W/"] {
            assert!(!request(header).has("\"a\""), "{header}");
        }
        assert!(!PictureRequest::default().has("\"a\""));
    }

    #[test]
    fn options_differ_by_what_can_be_seen() {
        let png = PictureRequest::default();
        let same = PictureRequest {
            quality: 3,
            zoom: true,
            ..png.clone()
        };
        assert_eq!(
            png.options(),
            same.options(),
            "PNG has no quality, zoom needs a region"
        );
        let other = PictureRequest {
            cursor: false,
            ..png.clone()
        };
        assert_ne!(png.options(), other.options());
    }
}
