//! From pixels in memory to a file: cut, scale, encode, and lower what must be lowered to keep to a limit. Pure.

mod fit;
mod jpeg;
mod png;
mod webp;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fast_image_resize::Resizer;

use self::fit::Attempt;
use super::{
    geometry::{Rect, Size},
    picture::{Format, Layout},
    pixels::{View, scale},
};

/// Cause of a failed encoding; shared, because many may wait for one picture.
pub type Cause = Arc<dyn std::error::Error + Send + Sync>;

/// Why there is no file.
#[derive(Clone, Debug, thiserror::Error)]
pub enum EncodeError {
    /// The encoder refused.
    #[error("failed to encode {} x {} pixels as {format}", size.width, size.height)]
    Encode {
        /// Encoding that was asked for.
        format: Format,
        /// Size of the picture.
        size: Size,
        /// What it said.
        source: Cause,
    },
    /// The resampler refused.
    #[error("failed to scale to {} x {} pixels", size.width, size.height)]
    Scale {
        /// Size that was asked for.
        size: Size,
        /// What it said.
        source: Cause,
    },
    /// The part to encode does not lie in the picture.
    #[error("{0:?} does not lie in the picture")]
    Crop(Rect),
    /// Not even the smallest picture keeps to the limit.
    #[error("no {format} of 16 pixels across fits into {max_bytes} bytes")]
    CannotFit {
        /// Encoding that was asked for.
        format: Format,
        /// The limit.
        max_bytes: usize,
    },
}

/// How to encode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Encoding.
    pub format: Format,
    /// 1 to 100; only JPEG heeds it.
    pub quality: u8,
    /// Limit for the file.
    pub max_bytes: Option<usize>,
}

/// A file, and how it came about.
#[derive(Debug)]
pub struct Encoded {
    /// The file.
    pub bytes: Bytes,
    /// Size of the picture in it.
    pub size: Size,
    /// What was lowered to keep to the limit, in words.
    pub reduced: Option<String>,
    /// Time spent on scaling, of all attempts.
    pub scaling: Duration,
    /// Time spent on encoding, of all attempts.
    pub encoding: Duration,
}

/// Encodes one picture after the other; keeps its buffers between them. One per thread.
#[derive(Default)]
pub struct Encoder {
    resizer: Resizer,
    scaled: Vec<u8>,
    work: Vec<u8>,
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").finish_non_exhaustive()
    }
}

impl Encoder {
    /// Encodes a part of the screen.
    pub fn encode(
        &mut self,
        screen: View<'_>,
        layout: Layout,
        options: Options,
    ) -> Result<Encoded, EncodeError> {
        let asked = Attempt {
            size: layout.size,
            quality: options.quality.clamp(1, 100),
        };
        let (mut scaling, mut encoding) = (Duration::ZERO, Duration::ZERO);
        let mut attempt = asked;
        loop {
            let begin = Instant::now();
            let view = resample(
                &mut self.resizer,
                &mut self.scaled,
                screen,
                layout.crop,
                attempt.size,
            )?;
            let scaled = Instant::now();
            let bytes = file(view, options.format, attempt.quality, &mut self.work)?;
            scaling += scaled - begin;
            encoding += scaled.elapsed();
            let limit = options.max_bytes.unwrap_or(usize::MAX);
            if bytes.len() <= limit {
                return Ok(Encoded {
                    bytes: Bytes::from(bytes),
                    size: attempt.size,
                    reduced: attempt.reduced_from(asked),
                    scaling,
                    encoding,
                });
            }
            attempt = attempt.lower(options.format, bytes.len(), limit).ok_or(
                EncodeError::CannotFit {
                    format: options.format,
                    max_bytes: limit,
                },
            )?;
        }
    }
}

/// The part in its size: nothing is resampled or copied when it has that size already.
fn resample<'b>(
    resizer: &mut Resizer,
    scratch: &'b mut Vec<u8>,
    screen: View<'b>,
    crop: Rect,
    size: Size,
) -> Result<View<'b>, EncodeError> {
    let part = screen.crop(crop).ok_or(EncodeError::Crop(crop))?;
    if part.size() == size {
        return Ok(part);
    }
    scale(resizer, screen, crop, size, scratch).map_err(|source| EncodeError::Scale {
        size,
        source: Arc::new(source),
    })
}

fn file(
    view: View<'_>,
    format: Format,
    quality: u8,
    work: &mut Vec<u8>,
) -> Result<Vec<u8>, EncodeError> {
    let result = match format {
        Format::Png => png::encode(view),
        Format::Jpeg => jpeg::encode(view, quality, work),
        Format::WebP => webp::encode(view, work),
    };
    result.map_err(|source| EncodeError::Encode {
        format,
        size: view.size(),
        source,
    })
}

#[cfg(test)]
mod tests;
