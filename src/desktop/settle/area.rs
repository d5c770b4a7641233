//! Rectangles on the screen: what lies in what.

use crate::desktop::geometry::Rect;

/// Edges: left, top, right, bottom; the latter two lie outside.
type Edges = [i64; 4];

fn edges(r: Rect) -> Edges {
    let (x, y) = (i64::from(r.x), i64::from(r.y));
    [x, y, x + i64::from(r.width), y + i64::from(r.height)]
}

fn is_empty([left, top, right, bottom]: Edges) -> bool {
    left >= right || top >= bottom
}

fn common(one: Edges, other: Edges) -> Edges {
    [
        one[0].max(other[0]),
        one[1].max(other[1]),
        one[2].min(other[2]),
        one[3].min(other[3]),
    ]
}

fn pixels(edges: Edges) -> i64 {
    let [left, top, right, bottom] = edges;
    if is_empty(edges) {
        0
    } else {
        (right - left).saturating_mul(bottom - top)
    }
}

/// Whether the first holds the whole of the second.
pub(super) fn contains(outer: Rect, inner: Rect) -> bool {
    let inner = edges(inner);
    common(edges(outer), inner) == inner
}

/// The smallest rectangle around both.
pub(super) fn around(one: Rect, other: Rect) -> Rect {
    let (first, second) = (edges(one), edges(other));
    let length = |axis: usize| {
        let start = first[axis].min(second[axis]);
        let end = first[axis + 2].max(second[axis + 2]);
        u32::try_from(end - start).unwrap_or(u32::MAX)
    };
    Rect {
        x: one.x.min(other.x),
        y: one.y.min(other.y),
        width: length(0),
        height: length(1),
    }
}

/// Whether they share at least half of the smaller one. Neighbours that touch, or overlap by the overhang of a letter,
/// do not.
pub(super) fn same_place(one: Rect, other: Rect) -> bool {
    let (one, other) = (edges(one), edges(other));
    let smaller = pixels(one).min(pixels(other));
    smaller > 0 && pixels(common(one, other)).saturating_mul(2) >= smaller
}

/// Whether a pixel of it lies in none of the others.
pub(super) fn sticks_out(place: Rect, others: &[Rect]) -> bool {
    let others: Vec<Edges> = others.iter().copied().map(edges).collect();
    uncovered(edges(place), &others)
}

/// Cuts away the first rectangle and looks at the up to four parts around it.
fn uncovered(place: Edges, others: &[Edges]) -> bool {
    if is_empty(place) {
        return false;
    }
    let Some((first, rest)) = others.split_first() else {
        return true;
    };
    let [left, top, right, bottom] = place;
    let hole = common(place, *first);
    if is_empty(hole) {
        return uncovered(place, rest);
    }
    let parts = [
        [left, top, right, hole[1]],
        [left, hole[3], right, bottom],
        [left, hole[1], hole[0], hole[3]],
        [hole[2], hole[1], right, hole[3]],
    ];
    parts.into_iter().any(|part| uncovered(part, rest))
}
