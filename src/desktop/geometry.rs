//! Points, sizes and frames; the one place that maps coordinates.

/// Sides that a desktop may have, in pixels.
pub const SIDE_RANGE: std::ops::RangeInclusive<u32> = 320..=7680;

/// A point in pixels. The origin is the top left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: i32,
    /// Pixels from the top edge.
    pub y: i32,
}

/// A size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// A rectangle in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rect {
    /// Left edge.
    pub x: i32,
    /// Top edge.
    pub y: i32,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// A declared size laid over the native one: the only place that maps coordinates.
///
/// Each axis maps alone, from size `F` to size `T`: equal sizes clamp to `0..=T-1`; else
/// `(c + 0.5) * T / F - 0.5`, clamped to `0..=T-1`, rounded half away from zero. The same formula
/// goes both ways. It is computed in integers, so no result depends on floating point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Frame {
    declared: Size,
    native: Size,
}

impl Frame {
    /// Lays a declared size over the native one. A declared width or height of 0 or less means
    /// native, each for itself; one beyond `i32::MAX` counts as `i32::MAX`. A native size of 0
    /// counts as 1, so that every frame holds a pixel.
    pub fn new(declared_width: i64, declared_height: i64, native: Size) -> Self {
        let native = Size {
            width: native.width.max(1),
            height: native.height.max(1),
        };
        let declared = Size {
            width: declared_axis(declared_width, native.width),
            height: declared_axis(declared_height, native.height),
        };
        Self { declared, native }
    }

    /// Lays a declared size over the native one; a side that is not given follows the other and keeps the aspect,
    /// none means native. Sides are cut to 1 to `most`.
    pub fn keeping_aspect(
        width: Option<u32>,
        height: Option<u32>,
        most: u32,
        native: Size,
    ) -> Self {
        let aspect = |side: u32, from: u32, to: u32| {
            let (side, from, to) = (u64::from(side), u64::from(from.max(1)), u64::from(to));
            u32::try_from((side * to + from / 2) / from).unwrap_or(most)
        };
        let bound = |side: u32| side.clamp(1, most);
        let (width, height) = match (width.map(bound), height.map(bound)) {
            (None, None) => (native.width, native.height),
            (Some(w), None) => (w, bound(aspect(w, native.width, native.height))),
            (None, Some(h)) => (bound(aspect(h, native.height, native.width)), h),
            (Some(w), Some(h)) => (w, h),
        };
        Self::new(i64::from(width), i64::from(height), native)
    }

    /// The size the client works in.
    pub fn declared(&self) -> Size {
        self.declared
    }

    /// The size of the screen.
    pub fn native(&self) -> Size {
        self.native
    }

    /// A point of the declared frame on the screen. Points outside are clamped to the edge.
    pub fn to_native(self, p: Point) -> Point {
        map_point(p, self.declared, self.native)
    }

    /// A point of the screen in the declared frame. Points outside are clamped to the edge.
    pub fn to_declared(self, p: Point) -> Point {
        map_point(p, self.native, self.declared)
    }

    /// Whether the point lies inside the declared frame.
    pub fn contains(&self, p: Point) -> bool {
        let inside = |c: i32, size: u32| u32::try_from(c).is_ok_and(|c| c < size);
        inside(p.x, self.declared.width) && inside(p.y, self.declared.height)
    }

    /// The pixels of the screen that a rectangle of the declared frame touches: cut to the frame,
    /// edges mapped outwards, so never empty. `None` when nothing of it lies in the frame.
    pub fn region_to_native(&self, r: Rect) -> Option<Rect> {
        let (declared, native) = (self.declared, self.native);
        let (x, width) = map_span(r.x, r.width, declared.width, native.width)?;
        let (y, height) = map_span(r.y, r.height, declared.height, native.height)?;
        Some(Rect {
            x,
            y,
            width,
            height,
        })
    }
}

fn declared_axis(declared: i64, native: u32) -> u32 {
    if declared <= 0 {
        return native;
    }
    u32::try_from(declared.min(i64::from(i32::MAX))).expect("clamped to 1..=i32::MAX")
}

fn map_point(p: Point, from: Size, to: Size) -> Point {
    Point {
        x: map_axis(p.x, from.width, to.width),
        y: map_axis(p.y, from.height, to.height),
    }
}

/// `round((c + 0.5) * T / F - 0.5)` is `floor((2c + 1) * T / 2F)`; the bounds are whole numbers, so
/// clamping after rounding equals clamping before.
fn map_axis(c: i32, from: u32, to: u32) -> i32 {
    let (c, from, to) = (i128::from(c), i128::from(from), i128::from(to));
    let mapped = if from == to {
        c
    } else {
        ((2 * c + 1) * to).div_euclid(2 * from)
    };
    let last = (to - 1).min(i128::from(i32::MAX));
    i32::try_from(mapped.clamp(0, last)).expect("clamped to 0..=i32::MAX")
}

/// Start and length on the target axis of what `start..start + length` touches there.
fn map_span(start: i32, length: u32, from: u32, to: u32) -> Option<(i32, u32)> {
    let (first, from, to) = (i128::from(start), i128::from(from), i128::from(to));
    let end = (first + i128::from(length)).min(from);
    let first = first.max(0);
    if first >= end {
        return None;
    }
    let low = (first * to).div_euclid(from);
    let high = (end * to + from - 1).div_euclid(from);
    Some((
        i32::try_from(low).ok()?,
        u32::try_from(high - low).expect("a span is no longer than its axis"),
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL_HD: Size = Size {
        width: 1920,
        height: 1080,
    };

    fn point(x: i32, y: i32) -> Point {
        Point { x, y }
    }

    fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
        Rect {
            x,
            y,
            width,
            height,
        }
    }

    #[test]
    fn pinned_values() {
        let hd = Frame::new(1280, 720, FULL_HD);
        assert_eq!(hd.to_native(point(640, 360)), point(960, 540));
        assert_eq!(hd.to_declared(point(960, 540)), point(640, 360));
        let odd = Frame::new(1366, 768, FULL_HD);
        assert_eq!(odd.to_native(point(1365, 767)), point(1919, 1079));
    }

    #[test]
    fn points_outside_are_clamped() {
        let hd = Frame::new(1280, 720, FULL_HD);
        assert_eq!(hd.to_native(point(-5, 5000)), point(0, 1079));
        assert_eq!(hd.to_native(point(i32::MAX, i32::MIN)), point(1919, 0));
        let same = Frame::new(0, 0, FULL_HD);
        assert_eq!(same.to_native(point(1920, -1)), point(1919, 0));
        assert!(!hd.contains(point(1280, 0)) && !hd.contains(point(0, -1)));
        assert!(hd.contains(point(1279, 719)));
    }

    #[test]
    fn zero_or_less_means_native_for_each_axis_alone() {
        let frame = Frame::new(-1, 540, FULL_HD);
        assert_eq!(
            frame.declared(),
            Size {
                width: 1920,
                height: 540
            }
        );
        assert_eq!(frame.to_native(point(7, 10)), point(7, 21));
        assert_eq!(
            Frame::new(i64::MAX, 0, FULL_HD).declared().width,
            i32::MAX.unsigned_abs()
        );
    }

    #[test]
    fn regions_map_by_their_edges() {
        let hd = Frame::new(1280, 720, FULL_HD);
        assert_eq!(
            hd.region_to_native(rect(0, 0, 1280, 720)),
            Some(rect(0, 0, 1920, 1080))
        );
        assert_eq!(
            hd.region_to_native(rect(640, 360, 2, 2)),
            Some(rect(960, 540, 3, 3))
        );
        assert_eq!(
            hd.region_to_native(rect(-10, 700, 20, 100)),
            Some(rect(0, 1050, 15, 30))
        );
        assert_eq!(hd.region_to_native(rect(1280, 0, 5, 5)), None);
        assert_eq!(hd.region_to_native(rect(-5, 0, 5, 5)), None);
        assert_eq!(hd.region_to_native(rect(5, 5, 0, 5)), None);
        let fine = Frame::new(7680, 4320, FULL_HD);
        assert_eq!(
            fine.region_to_native(rect(3, 3, 1, 1)),
            Some(rect(0, 0, 1, 1))
        );
    }

    /// The formula as written, in floating point.
    fn formula(c: i32, from: u32, to: u32) -> f64 {
        let (f, t) = (f64::from(from), f64::from(to));
        ((f64::from(c) + 0.5) * t / f - 0.5)
            .clamp(0.0, t - 1.0)
            .round()
    }

    proptest! {
        /// Both ways and back is off by at most a pixel, from the coarser side of each axis.
        #[test]
        fn round_trip_is_within_a_pixel(declared in 1_u32..8000, native in 1_u32..8000, at in 0.0..1.0_f64) {
            let (coarse, fine) = (declared.min(native), declared.max(native));
            #[expect(clippy::cast_possible_truncation, reason = "below 8000")]
            let c = (f64::from(coarse) * at) as i32;
            let back = map_axis(map_axis(c, coarse, fine), fine, coarse);
            prop_assert!((back - c).abs() <= 1, "{c} -> {back}");
        }

        #[test]
        fn integers_agree_with_the_formula(from in 1_u32..8000, to in 1_u32..8000, c in -100..9000) {
            prop_assume!(from != to);
            let exact = f64::from(map_axis(c, from, to));
            prop_assert!((exact - formula(c, from, to)).abs() < 0.5);
        }

        #[test]
        fn regions_stay_on_the_screen(w in 0_i64..8000, h in 0_i64..8000, x in -9000..9000, y in -9000..9000,
                                      rw in 0_u32..9000, rh in 0_u32..9000) {
            if let Some(r) = Frame::new(w, h, FULL_HD).region_to_native(rect(x, y, rw, rh)) {
                prop_assert!(r.width > 0 && r.height > 0 && r.x >= 0 && r.y >= 0);
                prop_assert!(r.x.unsigned_abs() + r.width <= 1920 && r.y.unsigned_abs() + r.height <= 1080);
            }
        }
    }
}
