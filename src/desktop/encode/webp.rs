//! Lossless WebP.

use std::sync::Arc;

use image::{ExtendedColorType, codecs::webp::WebPEncoder};

use super::Cause;
use crate::desktop::pixels::{PIXEL, View, write_rgb};

pub(super) fn encode(view: View<'_>, work: &mut Vec<u8>) -> Result<Vec<u8>, Cause> {
    let size = view.size();
    let pixels: usize = view.rows().map(|row| row.len() / PIXEL).sum();
    work.resize(pixels * 3, 0);
    let mut rest = work.as_mut_slice();
    for row in view.rows() {
        let (to, next) = rest.split_at_mut(row.len() / PIXEL * 3);
        write_rgb(row, to);
        rest = next;
    }
    let mut out = Vec::with_capacity(pixels / 4);
    WebPEncoder::new_lossless(&mut out)
        .encode(work, size.width, size.height, ExtendedColorType::Rgb8)
        .map_err(|source| Arc::new(source) as Cause)?;
    Ok(out)
}
