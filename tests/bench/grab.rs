//! The floor of pictures: shared memory, cursor, encoder, and nothing around them.

use base64::{Engine, engine::general_purpose::STANDARD};
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};
use jpeg_encoder::{ColorType as JpegColor, Encoder as JpegEncoder, SamplingFactor};
use memmap2::MmapMut;
use png::{BitDepth, ColorType, DeflateCompression, Encoder, Filter};
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use x11rb::{
    connection::Connection,
    protocol::{
        shm::{self, ConnectionExt as _},
        xfixes::{ConnectionExt as _, GetCursorImageReply},
        xproto::ImageFormat,
    },
};

use crate::{Outcome, display::Display};

/// A connection with one segment, kept.
#[derive(Debug)]
pub(crate) struct Grabber {
    display: Display,
    segment: shm::Seg,
    map: MmapMut,
    rgb: Vec<u8>,
}

impl Grabber {
    /// Connects, and shares memory for the whole screen.
    pub(crate) fn new(display: Display) -> Outcome<Self> {
        display.connection.xfixes_query_version(5, 0)?.reply()?;
        let bytes = usize::from(display.width) * usize::from(display.height) * 4;
        let memory = memfd_create("deskd-bench", MemfdFlags::CLOEXEC)?;
        ftruncate(&memory, u64::try_from(bytes)?)?;
        #[expect(
            unsafe_code,
            reason = "the X server writes into memory that is mapped here"
        )]
        // SAFETY: only the X server shares the memory; nobody shortens it, and nobody reads it while the server writes.
        let map = unsafe { MmapMut::map_mut(&memory)? };
        let segment = display.connection.generate_id()?;
        shm::attach_fd(&display.connection, segment, memory, false)?.check()?;
        Ok(Self {
            display,
            segment,
            map,
            rgb: Vec::new(),
        })
    }

    /// The screen with its cursor, into our memory.
    pub(crate) fn grab(&mut self) -> Outcome<()> {
        let (width, height) = (self.display.width, self.display.height);
        let connection = &self.display.connection;
        let format = ImageFormat::Z_PIXMAP.into();
        let image = connection.shm_get_image(
            self.display.root,
            0,
            0,
            width,
            height,
            !0,
            format,
            self.segment,
            0,
        )?;
        let cursor = connection.xfixes_get_cursor_image()?;
        image.reply()?;
        let cursor = cursor.reply()?;
        draw(&mut self.map, i32::from(width), i32::from(height), &cursor);
        Ok(())
    }

    /// PNG without filter at this level of zlib-rs, 8-bit RGB.
    pub(crate) fn png(&mut self, level: u8) -> Outcome<Vec<u8>> {
        let (width, height) = (self.display.width, self.display.height);
        encode_png(&self.map, &mut self.rgb, width.into(), height.into(), level)
    }

    /// JPEG straight from the screen's pixels, colour in full resolution.
    pub(crate) fn jpeg(&self, quality: u8) -> Outcome<Vec<u8>> {
        let mut out = Vec::with_capacity(self.map.len() / 16);
        let mut encoder = JpegEncoder::new(&mut out, quality);
        encoder.set_sampling_factor(SamplingFactor::R_4_4_4);
        let (width, height) = (self.display.width, self.display.height);
        encoder.encode(&self.map, width, height, JpegColor::Bgra)?;
        Ok(out)
    }

    /// Shrunk with the filter that the daemon uses, then PNG, then base64.
    pub(crate) fn scaled(
        &mut self,
        resizer: &mut Resizer,
        width: u32,
        height: u32,
    ) -> Outcome<String> {
        let (from_width, from_height) = (self.display.width.into(), self.display.height.into());
        let from = ImageRef::new(from_width, from_height, &self.map, PixelType::U8x4)?;
        let mut to = Image::new(width, height, PixelType::U8x4);
        let options = ResizeOptions::new()
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
            .use_alpha(false);
        resizer.resize(&from, &mut to, &options)?;
        let png = encode_png(to.buffer(), &mut self.rgb, width, height, 2)?;
        Ok(STANDARD.encode(png))
    }
}

fn encode_png(
    pixels: &[u8],
    rgb: &mut Vec<u8>,
    width: u32,
    height: u32,
    level: u8,
) -> Outcome<Vec<u8>> {
    rgb.resize(pixels.len() / 4 * 3, 0);
    let (to, _) = rgb.as_chunks_mut::<3>();
    let (from, _) = pixels.as_chunks::<4>();
    for (to, from) in to.iter_mut().zip(from) {
        *to = [from[2], from[1], from[0]];
    }
    let mut out = Vec::with_capacity(256 * 1024);
    let mut encoder = Encoder::new(&mut out, width, height);
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_filter(Filter::NoFilter);
    encoder.set_deflate_compression(DeflateCompression::Level(level));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(out)
}

/// The cursor's pixels are premultiplied: the front plus what it lets through.
fn draw(canvas: &mut [u8], width: i32, height: i32, cursor: &GetCursorImageReply) {
    let (left, top) = (
        i32::from(cursor.x) - i32::from(cursor.xhot),
        i32::from(cursor.y) - i32::from(cursor.yhot),
    );
    let rows = cursor.cursor_image.chunks(usize::from(cursor.width).max(1));
    for (y, row) in (top..).zip(rows) {
        for (x, over) in (left..).zip(row) {
            if !(0..width).contains(&x) || !(0..height).contains(&y) {
                continue;
            }
            let at = usize::try_from((y * width + x) * 4).expect("inside the canvas");
            let [blue, green, red, alpha] = over.to_le_bytes();
            for (back, front) in canvas[at..at + 3].iter_mut().zip([blue, green, red]) {
                let through = u32::from(*back) * (255 - u32::from(alpha)) / 255;
                *back = front.saturating_add(u8::try_from(through).expect("at most 255"));
            }
        }
    }
}
