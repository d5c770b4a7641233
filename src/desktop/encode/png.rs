//! PNG: rows are converted, filtered and compressed in strips that stay in the cache.
//!
//! Two kinds of pictures want two kinds of work. Drawn ones (text, flat colours) repeat themselves: no filter, quick
//! matching. Photographs do not: matching costs five times as much there and finds nothing, but neighbours differ
//! little, so they get the Sub filter and Huffman codes alone.

use std::{io, sync::Arc};

use png::{BitDepth, ColorType, Encoder, Writer, chunk};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Status, Strategy};

use super::Cause;
use crate::desktop::pixels::{PIXEL, View, write_rgb};

/// Bytes of filtered rows given to the compressor at once, and of compressed ones in a chunk.
const STRIP: usize = 64 * 1024;

/// Quickest level whose files are as small as those of the slow ones, within a fifth.
const LEVEL: i32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Drawn,
    Photograph,
}

pub(super) fn encode(view: View<'_>) -> Result<Vec<u8>, Cause> {
    let size = view.size();
    let mut out = Vec::with_capacity(256 * 1024);
    let mut header = Encoder::new(&mut out, size.width, size.height);
    header.set_color(ColorType::Rgb);
    header.set_depth(BitDepth::Eight);
    let mut writer = header.write_header().map_err(cause)?;
    let kind = kind(view)?;
    let mut deflate = Deflate::new_with_config(config(kind));
    compress(&mut deflate, view, kind, |data| {
        writer.write_chunk(chunk::IDAT, data).map_err(cause)
    })?;
    Writer::finish(writer).map_err(cause)?;
    Ok(out)
}

fn config(kind: Kind) -> DeflateConfig {
    DeflateConfig {
        level: LEVEL,
        strategy: match kind {
            Kind::Drawn => Strategy::Default,
            Kind::Photograph => Strategy::HuffmanOnly,
        },
        ..DeflateConfig::default()
    }
}

/// Compresses all rows and hands on what comes out, in pieces of at most [`STRIP`] bytes.
fn compress(
    deflate: &mut Deflate,
    view: View<'_>,
    kind: Kind,
    mut sink: impl FnMut(&[u8]) -> Result<(), Cause>,
) -> Result<(), Cause> {
    let row = 1 + view.row(0).len() / PIXEL * 3;
    let count = (STRIP / row).max(1);
    let mut strip = vec![0; row * count];
    let mut out = Pieces::new();
    let mut rows = view.rows();
    loop {
        let mut used = 0;
        for (to, from) in strip.chunks_exact_mut(row).zip(rows.by_ref().take(count)) {
            filter(from, kind, to);
            used += row;
        }
        let last = used < strip.len();
        out.push(deflate, &strip[..used], last, &mut sink)?;
        if last {
            return Ok(());
        }
    }
}

/// Output of the compressor on its way out.
struct Pieces {
    buffer: Vec<u8>,
    filled: usize,
}

impl Pieces {
    fn new() -> Self {
        Self {
            buffer: vec![0; STRIP],
            filled: 0,
        }
    }

    fn push(
        &mut self,
        deflate: &mut Deflate,
        mut input: &[u8],
        last: bool,
        sink: &mut impl FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let flush = if last {
            DeflateFlush::Finish
        } else {
            DeflateFlush::NoFlush
        };
        loop {
            let (read, written) = (deflate.total_in(), deflate.total_out());
            let status = deflate
                .compress(input, &mut self.buffer[self.filled..], flush)
                .map_err(|error| cause(io::Error::other(error.as_str())))?;
            input = &input[length(deflate.total_in() - read)..];
            self.filled += length(deflate.total_out() - written);
            let ended = matches!(status, Status::StreamEnd);
            if self.filled == self.buffer.len() || ended {
                sink(&self.buffer[..self.filled])?;
                self.filled = 0;
            }
            if ended || (!last && input.is_empty()) {
                return Ok(());
            }
        }
    }
}

/// One row: the number of the filter, then red, green, blue (PNG, 9.2).
fn filter(row: &[u8], kind: Kind, to: &mut [u8]) {
    let (head, to) = to.split_at_mut(1);
    match kind {
        Kind::Drawn => {
            head[0] = 0;
            write_rgb(row, to);
        }
        Kind::Photograph => {
            head[0] = 1;
            write_rgb(&row[..PIXEL], to);
            let (pixels, _) = row.as_chunks::<PIXEL>();
            let (to, _) = to[3..].as_chunks_mut::<3>();
            for (to, pair) in to.iter_mut().zip(pixels.windows(2)) {
                let (left, here) = (pair[0], pair[1]);
                *to = [2, 1, 0].map(|channel| here[channel].wrapping_sub(left[channel]));
            }
        }
    }
}

/// Looks at a few rows. Where neighbours mostly equal each other it is drawn, at no cost; else compressing a few rows
/// tells, because patterns repeat without equal neighbours.
fn kind(view: View<'_>) -> Result<Kind, Cause> {
    let height = view.rows().count();
    if repeats(view, height) {
        return Ok(Kind::Drawn);
    }
    let row = view.row(0).len() / PIXEL * 3;
    let groups = 4.min(height.div_ceil(6));
    let mut sample = Vec::with_capacity(groups * 6 * row);
    for group in 0..groups {
        let first = group * height / groups;
        for y in first..(first + 6).min(height) {
            let start = sample.len();
            sample.resize(start + row, 0);
            write_rgb(view.row(y), &mut sample[start..]);
        }
    }
    let mut deflate = Deflate::new(1, false, 15);
    let mut compressed = 0;
    Pieces::new().push(&mut deflate, &sample, true, &mut |data| {
        compressed += data.len();
        Ok(())
    })?;
    Ok(if compressed > sample.len() / 2 {
        Kind::Photograph
    } else {
        Kind::Drawn
    })
}

/// Whether most pixels of every 16th row equal their left neighbour.
fn repeats(view: View<'_>, height: usize) -> bool {
    let (mut equal, mut all) = (0, 0);
    for y in (0..height).step_by(16) {
        let (pixels, _) = view.row(y).as_chunks::<PIXEL>();
        all += pixels.len();
        equal += pixels
            .windows(2)
            .filter(|pair| pair[0][..3] == pair[1][..3])
            .count();
    }
    equal > all / 2
}

fn length(bytes: u64) -> usize {
    usize::try_from(bytes).expect("no more than the buffer it was counted in")
}

fn cause(error: impl std::error::Error + Send + Sync + 'static) -> Cause {
    Arc::new(error)
}
