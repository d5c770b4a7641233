//! What to lower next so that a picture keeps to a limit in bytes. Pure.

use crate::desktop::{geometry::Size, picture::Format};

/// Narrowest picture that is tried.
const LEAST_WIDTH: u32 = 16;

/// Worst quality that is tried before the size goes down: below it, text of the same bytes reads better when smaller.
const LEAST_QUALITY: u8 = 30;

/// Size and quality of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attempt {
    pub(super) size: Size,
    pub(super) quality: u8,
}

impl Attempt {
    /// The next try after one that took `length` bytes of the `limit` allowed; `None` when there is nothing left to
    /// lower. Every try is smaller than the one before.
    pub(super) fn lower(self, format: Format, length: usize, limit: usize) -> Option<Self> {
        if matches!(format, Format::Jpeg) && self.quality > LEAST_QUALITY {
            let quality = if length / 3 > limit {
                LEAST_QUALITY
            } else {
                (self.quality / 4 * 3).max(LEAST_QUALITY)
            };
            return Some(Self { quality, ..self });
        }
        if self.size.width <= LEAST_WIDTH {
            return None;
        }
        let width = shrink(self.size.width, length, limit).max(LEAST_WIDTH);
        let height = u64::from(self.size.height) * u64::from(width) / u64::from(self.size.width);
        let size = Size {
            width,
            height: u32::try_from(height).unwrap_or(u32::MAX).max(1),
        };
        Some(Self { size, ..self })
    }

    /// What this try lowered, in words.
    pub(super) fn reduced_from(self, asked: Self) -> Option<String> {
        let mut parts = Vec::new();
        if self.quality != asked.quality {
            parts.push(format!("quality {} to {}", asked.quality, self.quality));
        }
        if self.size != asked.size {
            let (from, to) = (asked.size, self.size);
            parts.push(format!(
                "size {}x{} to {}x{}",
                from.width, from.height, to.width, to.height
            ));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

/// Bytes go with the area, so the side with their root; a little less, because small pictures compress worse, and
/// never less than a tenth off, so that it ends.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "an estimate: positive, and below a width that is a u32"
)]
fn shrink(width: u32, length: usize, limit: usize) -> u32 {
    let ratio = (limit as f64 / length as f64).sqrt() * 0.95;
    (f64::from(width) * ratio.min(0.9)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(width: u32, quality: u8) -> Attempt {
        let height = width / 2;
        Attempt {
            size: Size { width, height },
            quality,
        }
    }

    #[test]
    fn lossless_formats_only_shrink() {
        let next = attempt(1000, 80).lower(Format::Png, 400, 100);
        assert_eq!(
            next,
            Some(attempt(475, 80)).map(|a| Attempt {
                size: Size {
                    width: 475,
                    height: 237
                },
                ..a
            })
        );
        assert_eq!(attempt(16, 80).lower(Format::Png, 400, 100), None);
    }

    #[test]
    fn jpeg_gives_up_quality_first() {
        let mut qualities = vec![];
        let mut now = attempt(1000, 80);
        while now.size.width == 1000 {
            qualities.push(now.quality);
            now = now
                .lower(Format::Jpeg, 200, 100)
                .expect("not the least yet");
        }
        assert_eq!(qualities, [80, 60, 45, 33, 30]);
        let far = attempt(1000, 80).lower(Format::Jpeg, 1000, 100);
        assert_eq!(far.map(|a| a.quality), Some(30));
    }

    #[test]
    fn it_always_ends() {
        let mut now = Some(attempt(7680, 100));
        let mut steps = 0;
        while let Some(attempt) = now {
            now = attempt.lower(Format::Jpeg, 101, 100);
            steps += 1;
        }
        assert!(steps < 80, "{steps}");
    }
}
