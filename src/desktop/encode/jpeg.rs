//! JPEG straight from the pixels of the screen.

use std::sync::Arc;

use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

use super::Cause;
use crate::desktop::pixels::View;

/// From this quality on, colour keeps the full resolution: coloured text is unreadable without.
const FULL_COLOUR: u8 = 70;

pub(super) fn encode(view: View<'_>, quality: u8, work: &mut Vec<u8>) -> Result<Vec<u8>, Cause> {
    let size = view.size();
    let side = |side: u32| u16::try_from(side).map_err(|source| Arc::new(source) as Cause);
    let (width, height) = (side(size.width)?, side(size.height)?);
    let pixels = view.packed(work);
    let mut out = Vec::with_capacity(pixels.len() / 16);
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(if quality >= FULL_COLOUR {
        SamplingFactor::R_4_4_4
    } else {
        SamplingFactor::R_4_2_0
    });
    encoder
        .encode(pixels, width, height, ColorType::Bgra)
        .map_err(|source| Arc::new(source) as Cause)?;
    Ok(out)
}
