//! Pixels as the X server gives them: cut, converted, scaled, with the cursor drawn in. Pure.
//!
//! A pixel is 4 bytes: blue, green, red, and one of no meaning (it is not constant, and never alpha).

use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

use super::geometry::{Point, Rect, Size};

/// Bytes of a pixel.
pub const PIXEL: usize = 4;

/// Rows of pixels inside somebody's buffer.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    stride: usize,
    size: Size,
}

/// Bytes that `size` takes, rows without gaps.
pub fn byte_length(size: Size) -> usize {
    index(size.width) * index(size.height) * PIXEL
}

impl<'a> View<'a> {
    /// Rows without gaps. `None` when the buffer is too short or the size is empty.
    pub fn new(bytes: &'a [u8], size: Size) -> Option<Self> {
        let bytes = bytes.get(..byte_length(size)).filter(|b| !b.is_empty())?;
        Some(Self {
            bytes,
            stride: index(size.width) * PIXEL,
            size,
        })
    }

    /// Size in pixels.
    pub fn size(&self) -> Size {
        self.size
    }

    /// The part inside a rectangle. `None` when the rectangle is empty or leaves the view.
    pub fn crop(&self, rect: Rect) -> Option<Self> {
        let (x, y) = (u32::try_from(rect.x).ok()?, u32::try_from(rect.y).ok()?);
        let fits = x.checked_add(rect.width)? <= self.size.width
            && y.checked_add(rect.height)? <= self.size.height;
        if !fits || rect.width == 0 || rect.height == 0 {
            return None;
        }
        let start = index(y) * self.stride + index(x) * PIXEL;
        Some(Self {
            bytes: &self.bytes[start..],
            stride: self.stride,
            size: Size {
                width: rect.width,
                height: rect.height,
            },
        })
    }

    /// One row of pixels.
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y * self.stride;
        &self.bytes[start..start + index(self.size.width) * PIXEL]
    }

    /// Every row, from the top.
    pub fn rows(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let view = *self;
        (0..index(self.size.height)).map(move |y| view.row(y))
    }

    /// The pixels without gaps, copied into `scratch` only when there are gaps.
    pub fn packed<'b>(&self, scratch: &'b mut Vec<u8>) -> &'b [u8]
    where
        'a: 'b,
    {
        if self.stride == index(self.size.width) * PIXEL {
            return &self.bytes[..byte_length(self.size)];
        }
        scratch.clear();
        scratch.reserve(byte_length(self.size));
        self.rows().for_each(|row| scratch.extend_from_slice(row));
        scratch
    }
}

/// Converts pixels to red, green, blue. `rgb` holds three bytes for each four of `row`; the rest of the longer is left.
pub fn write_rgb(row: &[u8], rgb: &mut [u8]) {
    let (rgb, _) = rgb.as_chunks_mut::<3>();
    let (row, _) = row.as_chunks::<PIXEL>();
    for (to, from) in rgb.iter_mut().zip(row) {
        *to = [from[2], from[1], from[0]];
    }
}

/// Shape of the pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sprite {
    /// Size of the image.
    pub size: Size,
    /// The pixel of the image that lies on the pointer's position.
    pub hot: Point,
    /// Premultiplied alpha, red, green, blue from the highest byte down (`GetCursorImage` of the fixes extension).
    pub pixels: Vec<u32>,
}

/// Draws a cursor over pixels without gaps. What lies outside the picture is cut off.
pub fn draw(canvas: &mut [u8], size: Size, sprite: &Sprite, at: Point) {
    let width = index(sprite.size.width).max(1);
    for (y, row) in (0_i64..).zip(sprite.pixels.chunks_exact(width)) {
        let y = i64::from(at.y) - i64::from(sprite.hot.y) + y;
        if !(0..i64::from(size.height)).contains(&y) {
            continue;
        }
        for (x, &over) in (0_i64..).zip(row) {
            let x = i64::from(at.x) - i64::from(sprite.hot.x) + x;
            if !(0..i64::from(size.width)).contains(&x) {
                continue;
            }
            let Ok(offset) = usize::try_from((y * i64::from(size.width) + x) * 4) else {
                continue;
            };
            if let Some(pixel) = canvas.get_mut(offset..offset + 3) {
                blend(pixel, over);
            }
        }
    }
}

/// `over` in front of `pixel`: each channel is the front's plus what the front lets through.
fn blend(pixel: &mut [u8], over: u32) {
    let [blue, green, red, alpha] = over.to_le_bytes();
    let through = 255 - u32::from(alpha);
    for (back, front) in pixel.iter_mut().zip([blue, green, red]) {
        let mixed = u32::from(front) + (u32::from(*back) * through + 127) / 255;
        *back = u8::try_from(mixed).unwrap_or(u8::MAX);
    }
}

/// Resamples the part inside `crop` to the size `to`, into `scratch`, which grows as needed and is then the picture.
///
/// Catmull-Rom, widened when it shrinks so that every pixel counts: sharper text than bilinear, fewer rings than
/// Lanczos.
pub fn scale<'b>(
    resizer: &mut Resizer,
    from: View<'_>,
    crop: Rect,
    to: Size,
    scratch: &'b mut Vec<u8>,
) -> Result<View<'b>, ResizeError> {
    let length = byte_length(to);
    if scratch.len() < length {
        scratch.resize(length, 0);
    }
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
        .use_alpha(false)
        .crop(
            f64::from(crop.x),
            f64::from(crop.y),
            f64::from(crop.width),
            f64::from(crop.height),
        );
    let source = ImageRef::new(
        from.size.width,
        from.size.height,
        from.bytes,
        PixelType::U8x4,
    )
    .expect("a whole view has a buffer of its size");
    let mut target =
        Image::from_slice_u8(to.width, to.height, &mut scratch[..length], PixelType::U8x4)
            .expect("the buffer was made for this size");
    resizer.resize(&source, &mut target, &options)?;
    Ok(View::new(scratch, to).expect("the buffer was made for this size"))
}

fn index(side: u32) -> usize {
    usize::try_from(side).expect("an address space of 32 bits or more")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        width: 3,
        height: 2,
    };

    fn gradient() -> Vec<u8> {
        (0..24).collect()
    }

    #[test]
    fn the_fourth_byte_means_nothing() {
        let mut rgb = [0; 6];
        write_rgb(&[1, 2, 3, 0, 4, 5, 6, 0xff], &mut rgb);
        assert_eq!(rgb, [3, 2, 1, 6, 5, 4]);
    }

    #[test]
    fn a_crop_is_packed_row_by_row() {
        let bytes = gradient();
        let view = View::new(&bytes, SIZE).expect("enough bytes");
        let rect = Rect {
            x: 1,
            y: 0,
            width: 1,
            height: 2,
        };
        let crop = view.crop(rect).expect("inside");
        assert_eq!(
            crop.packed(&mut Vec::new()),
            [4, 5, 6, 7, 16, 17, 18, 19],
            "the middle column"
        );
        assert_eq!(view.packed(&mut Vec::new()), bytes);
    }

    #[test]
    fn a_view_never_leaves_its_buffer() {
        let bytes = gradient();
        assert!(View::new(&bytes[1..], SIZE).is_none());
        let view = View::new(&bytes, SIZE).expect("enough bytes");
        for (x, y, width, height) in [
            (-1, 0, 1, 1),
            (3, 0, 1, 1),
            (0, 0, 4, 1),
            (0, 2, 1, 1),
            (0, 0, 0, 1),
        ] {
            let rect = Rect {
                x,
                y,
                width,
                height,
            };
            assert!(view.crop(rect).is_none(), "{rect:?}");
        }
    }

    #[test]
    fn a_cursor_is_blended_and_cut_at_the_edges() {
        let mut canvas = vec![100; 24];
        let sprite = Sprite {
            size: Size {
                width: 2,
                height: 1,
            },
            hot: Point { x: 1, y: 0 },
            pixels: vec![0xff01_0203, 0x8040_0000],
        };
        draw(&mut canvas, SIZE, &sprite, Point { x: 0, y: 1 });
        assert_eq!(canvas[..12], [100; 12], "the first row is untouched");
        assert_eq!(canvas[12..16], [50, 50, 114, 100], "half red over grey");
        draw(&mut canvas, SIZE, &sprite, Point { x: 2, y: 0 });
        assert_eq!(canvas[4..7], [3, 2, 1], "opaque");
        draw(
            &mut canvas,
            SIZE,
            &sprite,
            Point {
                x: i32::MIN,
                y: i32::MAX,
            },
        );
    }

    #[test]
    fn scaling_a_flat_picture_keeps_its_colour() {
        let bytes = [10, 20, 30, 0].repeat(64 * 64);
        let size = Size {
            width: 64,
            height: 64,
        };
        let view = View::new(&bytes, size).expect("enough bytes");
        let crop = Rect {
            x: 8,
            y: 8,
            width: 40,
            height: 20,
        };
        for to in [
            Size {
                width: 13,
                height: 7,
            },
            Size {
                width: 90,
                height: 80,
            },
            Size {
                width: 1,
                height: 1,
            },
        ] {
            let mut scratch = vec![9; 5];
            let scaled = scale(&mut Resizer::new(), view, crop, to, &mut scratch).expect("scaled");
            assert_eq!(scaled.size(), to);
            for row in scaled.rows() {
                for pixel in row.chunks(PIXEL) {
                    assert_eq!(pixel[..3], [10, 20, 30]);
                }
            }
        }
    }
}
