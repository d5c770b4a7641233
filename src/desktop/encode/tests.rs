//! Round trips through the decoders of another crate.

use super::*;
use crate::desktop::pixels::PIXEL;

const SIZE: Size = Size {
    width: 200,
    height: 120,
};

/// Flat colours with rubbish in the fourth byte.
fn drawn() -> Vec<u8> {
    pixels(|x, y| [u8::from(x > 100) * 200, u8::from(y > 60) * 90, 40])
}

/// Noise over a slope, as photographs are.
fn photograph() -> Vec<u8> {
    let mut state = 1_u32;
    pixels(move |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = state >> 27;
        [x + noise, y + noise / 2, x / 2 + y / 2].map(|c| u8::try_from(c).expect("at most 255"))
    })
}

fn pixels(mut colour: impl FnMut(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for y in 0..SIZE.height {
        for x in 0..SIZE.width {
            bytes.extend(colour(x, y));
            bytes.push(if x % 3 == 0 { 0xff } else { 0 });
        }
    }
    bytes
}

fn whole() -> Layout {
    part(0, 0, SIZE.width, SIZE.height)
}

fn part(x: i32, y: i32, width: u32, height: u32) -> Layout {
    Layout {
        crop: Rect {
            x,
            y,
            width,
            height,
        },
        size: Size { width, height },
    }
}

fn encode(bytes: &[u8], layout: Layout, options: Options) -> Result<Encoded, EncodeError> {
    let view = View::new(bytes, SIZE).expect("enough bytes");
    Encoder::default().encode(view, layout, options)
}

fn options(format: Format) -> Options {
    Options {
        format,
        quality: 90,
        max_bytes: None,
    }
}

fn decode(encoded: &Encoded) -> image::RgbImage {
    let image = image::load_from_memory(&encoded.bytes).expect("a picture");
    assert_eq!(
        (image.width(), image.height()),
        (encoded.size.width, encoded.size.height)
    );
    image.to_rgb8()
}

#[test]
fn lossless_formats_give_every_pixel_back() {
    for bytes in [drawn(), photograph()] {
        for format in [Format::Png, Format::WebP] {
            for layout in [whole(), part(7, 9, 33, 21), part(199, 119, 1, 1)] {
                let image = decode(&encode(&bytes, layout, options(format)).expect("encoded"));
                for (x, y, pixel) in image.enumerate_pixels() {
                    let column = x + u32::try_from(layout.crop.x).expect("positive");
                    let row = y + u32::try_from(layout.crop.y).expect("positive");
                    let at = usize::try_from(row * SIZE.width + column).expect("small") * PIXEL;
                    let [red, green, blue] = pixel.0;
                    assert_eq!([blue, green, red], bytes[at..at + 3], "{format} {x},{y}");
                }
            }
        }
    }
}

#[test]
fn jpeg_is_close_in_either_sampling() {
    for quality in [95, 50] {
        let options = Options {
            quality,
            ..options(Format::Jpeg)
        };
        let image = decode(&encode(&drawn(), part(110, 70, 64, 40), options).expect("encoded"));
        for pixel in image.pixels() {
            for (got, wanted) in pixel.0.iter().zip([40, 90, 200]) {
                assert!(got.abs_diff(wanted) < 8, "{pixel:?}");
            }
        }
    }
}

#[test]
fn photographs_are_not_matched_and_not_stored() {
    let encoded = encode(&photograph(), whole(), options(Format::Png)).expect("encoded");
    let raw = usize::try_from(SIZE.width * SIZE.height * 3).expect("small");
    assert!(
        encoded.bytes.len() < raw * 9 / 10,
        "{}",
        encoded.bytes.len()
    );
}

#[test]
fn lossless_pictures_shrink_to_the_limit_and_say_so() {
    let limit = Options {
        max_bytes: Some(9000),
        ..options(Format::Png)
    };
    let encoded = encode(&photograph(), whole(), limit).expect("fits");
    assert!(encoded.bytes.len() <= 9000);
    assert!(encoded.size.width < SIZE.width);
    let reduced = encoded.reduced.as_deref().expect("it says so");
    assert!(reduced.starts_with("size 200x120 to "), "{reduced}");
    decode(&encoded);
}

#[test]
fn jpeg_lowers_quality_first() {
    let full = encode(&photograph(), whole(), options(Format::Jpeg)).expect("encoded");
    assert_eq!(full.reduced, None);
    let limit = Options {
        max_bytes: Some(full.bytes.len() * 3 / 4),
        ..options(Format::Jpeg)
    };
    let encoded = encode(&photograph(), whole(), limit).expect("fits");
    assert_eq!(encoded.size, SIZE);
    let reduced = encoded.reduced.expect("it says so");
    assert!(reduced.starts_with("quality 90 to "), "{reduced}");
}

#[test]
fn what_cannot_fit_is_an_error() {
    for format in [Format::Png, Format::Jpeg, Format::WebP] {
        let options = Options {
            max_bytes: Some(20),
            ..options(format)
        };
        let error = encode(&photograph(), whole(), options).expect_err("nothing is that small");
        assert!(matches!(
            error,
            EncodeError::CannotFit { max_bytes: 20, .. }
        ));
    }
}

#[test]
fn a_part_outside_is_an_error() {
    let error = encode(&drawn(), part(190, 0, 20, 5), options(Format::Png)).expect_err("outside");
    assert!(matches!(error, EncodeError::Crop(_)));
}
