//! Pictures of a desktop that is not ours, by `xcap`. It tells nothing of changes and draws no pointer, so every request
//! grabs, and no picture shows where the pointer is.

use std::{io, sync::Arc};

use xcap::{Monitor, XCapError};

use crate::desktop::{
    capture::{CaptureError, FrameSource, Knowledge, Shot, Stamp},
    geometry::{Point, Size},
    pixels::{PIXEL, byte_length},
};

/// The screen that the environment of this process names. Every grab opens connections of its own.
#[derive(Debug, Default)]
pub(super) struct XcapSource {
    grabs: u64,
}

/// A picture with rows from the top, 4 bytes a pixel, without gaps.
#[derive(Debug)]
struct Picture {
    pixels: Vec<u8>,
    size: Size,
}

impl XcapSource {
    /// Takes a picture, to see that it can.
    pub(super) fn open() -> Result<Self, CaptureError> {
        desktop().map(|_| Self::default())
    }
}

impl FrameSource for XcapSource {
    fn pump(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }

    fn verify(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }

    fn knowledge(&self) -> Knowledge {
        Knowledge {
            stamp: self.stamp(),
            pixels: false,
            cursor: false,
        }
    }

    fn grab(&mut self, _cursor: bool) -> Result<Shot, CaptureError> {
        let Picture { mut pixels, size } = desktop()?;
        // Red, green, blue, alpha become blue, green, red and a byte of no meaning.
        for pixel in pixels.chunks_exact_mut(PIXEL) {
            pixel.swap(0, 2);
        }
        self.grabs += 1;
        Ok(Shot {
            pixels: Box::new(pixels),
            size,
            pointer: None,
            stamp: self.stamp(),
        })
    }

    /// By a picture: xcap divides the size of a monitor by a scale that the pictures do not have.
    fn size(&mut self) -> Result<Size, CaptureError> {
        desktop().map(|picture| picture.size)
    }

    /// A desktop that is not ours keeps its size.
    fn resize(&mut self, wanted: Size) -> Result<Size, CaptureError> {
        match self.size()? {
            is if is == wanted => Ok(is),
            is => Err(CaptureError::Resize { wanted, is }),
        }
    }

    fn tidy(&mut self) {}
}

impl XcapSource {
    fn stamp(&self) -> Stamp {
        Stamp {
            pixels: self.grabs,
            cursor: self.grabs,
        }
    }
}

/// All monitors in one picture, as they lie beside each other.
fn desktop() -> Result<Picture, CaptureError> {
    let monitors = Monitor::all().map_err(failed("list the monitors"))?;
    match &monitors[..] {
        [] => Err(CaptureError::Unsupported("it has no monitor".to_owned())),
        [only] => capture(only),
        all => {
            let parts = all
                .iter()
                .map(|monitor| Ok((origin(monitor)?, capture(monitor)?)));
            Ok(compose(&parts.collect::<Result<Vec<_>, CaptureError>>()?))
        }
    }
}

fn capture(monitor: &Monitor) -> Result<Picture, CaptureError> {
    let image = monitor.capture_image().map_err(failed("take a picture"))?;
    let (width, height) = image.dimensions();
    let size = Size { width, height };
    let pixels = image.into_raw();
    if pixels.is_empty() || pixels.len() != byte_length(size) {
        let said = format!("its picture has {} bytes", pixels.len());
        return Err(CaptureError::Unsupported(said));
    }
    Ok(Picture { pixels, size })
}

/// Top left corner in native pixels. xcap divides it by the scale and cuts the rest off: with a scale other than 1 it
/// may be off by a pixel.
fn origin(monitor: &Monitor) -> Result<Point, CaptureError> {
    let place = || {
        let scale = monitor.scale_factor()?;
        let native = |at: i32| scaled(at, scale);
        Ok(Point {
            x: native(monitor.x()?),
            y: native(monitor.y()?),
        })
    };
    place().map_err(failed("place a monitor"))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "coordinates of screens are small"
)]
fn scaled(at: i32, scale: f32) -> i32 {
    (at as f32 * scale).round() as i32
}

/// Puts pictures where they belong; what no monitor shows is black.
fn compose(parts: &[(Point, Picture)]) -> Picture {
    let offset = |at: i32| u32::try_from(at).unwrap_or(0);
    let far = |of: fn(&(Point, Picture)) -> (i32, u32)| {
        let ends = parts.iter().map(of);
        ends.map(|(at, length)| offset(at) + length)
            .max()
            .unwrap_or(0)
    };
    let size = Size {
        width: far(|(at, picture)| (at.x, picture.size.width)),
        height: far(|(at, picture)| (at.y, picture.size.height)),
    };
    let row_length = byte_length(Size { height: 1, ..size });
    let mut pixels = vec![0; byte_length(size)];
    for (at, picture) in parts {
        let length = byte_length(Size {
            height: 1,
            ..picture.size
        });
        let left = byte_length(Size {
            width: offset(at.x),
            height: 1,
        });
        let top = byte_length(Size {
            width: size.width,
            height: offset(at.y),
        });
        let targets = pixels[top..].chunks_exact_mut(row_length);
        for (target, row) in targets.zip(picture.pixels.chunks_exact(length)) {
            target[left..left + length].copy_from_slice(row);
        }
    }
    Picture { pixels, size }
}

/// Fails this picture alone: that the display is gone is noticed by the input's connection, which stays open.
fn failed(operation: &'static str) -> impl Fn(XCapError) -> CaptureError {
    move |error| CaptureError::Server {
        operation,
        source: Arc::new(io::Error::other(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(x: i32, y: i32, width: u32, height: u32, value: u8) -> (Point, Picture) {
        let size = Size { width, height };
        let pixels = vec![value; byte_length(size)];
        (Point { x, y }, Picture { pixels, size })
    }

    #[test]
    fn monitors_lie_where_they_are() {
        let picture = compose(&[part(0, 0, 2, 1, 7), part(2, 1, 1, 2, 9)]);
        assert_eq!((picture.size.width, picture.size.height), (3, 3));
        let first = picture.pixels.chunks_exact(PIXEL).map(|pixel| pixel[0]);
        assert_eq!(first.collect::<Vec<_>>(), [7, 7, 0, 0, 0, 9, 0, 0, 9]);
    }

    #[test]
    fn scaled_places_are_native_again() {
        assert_eq!(scaled(1280, 1.5), 1920);
        assert_eq!(scaled(0, 2.0), 0);
    }
}
