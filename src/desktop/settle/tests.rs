//! Sequences of changes as carets, spinners, videos and windows cause them, and a model that forgets nothing.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    Activity, Looks, Pace, Settle, Worth,
    area::{contains, sticks_out},
};
use crate::desktop::{geometry::Rect, pixels::PIXEL};

const fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
    Rect {
        x,
        y,
        width,
        height,
    }
}

fn ms(value: u64) -> Duration {
    Duration::from_millis(value)
}

const CARET: Rect = rect(100, 200, 8, 16);

/// Activity in which every change is watched for at once.
struct Watched {
    start: Instant,
    activity: Activity,
}

impl Watched {
    fn new() -> Self {
        let start = Instant::now();
        Self {
            start,
            activity: Activity::new(start),
        }
    }

    fn damaged(&mut self, place: Rect, at: u64) {
        let now = self.start + ms(at);
        self.activity.damaged(place, now, now);
        self.activity.watched(now);
    }

    /// Milliseconds since the start until which it was busy.
    fn busy_until(&self, ignore: &[Rect]) -> u128 {
        let until = self.activity.busy_until(ignore);
        (until - self.start).as_millis()
    }
}

#[test]
fn carets_count_once() {
    // Qt, Chromium and Firefox; GTK; xterm.
    for steps in [[500, 500], [800, 400], [600, 300]] {
        let mut screen = Watched::new();
        let mut now = 0;
        for step in steps.iter().cycle().take(20) {
            now += step;
            screen.damaged(CARET, now);
            // A letter is drawn on the box.
            screen.damaged(rect(101, 201, 6, 17), now + 1);
        }
        assert!(screen.busy_until(&[]) <= u128::from(steps[0] + 1));
    }
}

#[test]
fn a_fading_caret_comes_to_count_no_more() {
    let mut screen = Watched::new();
    for fade in 0..10 {
        for frame in 0..18 {
            screen.damaged(CARET, 600 * fade + 17 * frame);
        }
    }
    assert!(screen.busy_until(&[]) < 600);
}

#[test]
fn spinners_count_however_small() {
    for step in [16, 33, 50, 100, 200] {
        let mut screen = Watched::new();
        let mut last = 0;
        for now in (0..5000).step_by(step) {
            last = u64::try_from(now).expect("small");
            screen.damaged(CARET, last);
        }
        assert_eq!(screen.busy_until(&[]), u128::from(last), "{step}");
    }
}

#[test]
fn a_spinner_at_the_place_of_a_caret_counts_soon() {
    let mut screen = Watched::new();
    for now in [0, 500, 1000, 1500] {
        screen.damaged(CARET, now);
    }
    for now in (2000..3000).step_by(50) {
        screen.damaged(CARET, now);
    }
    assert_eq!(screen.busy_until(&[]), 2950);
}

#[test]
fn typed_characters_count() {
    let mut screen = Watched::new();
    for now in [0, 500, 1000] {
        screen.damaged(CARET, now);
    }
    assert_eq!(screen.busy_until(&[]), 0);
    for (step, x) in (0_u64..).zip([108, 116, 124]) {
        let now = 1500 + 500 * step;
        screen.damaged(rect(x - 8, 200, 8, 16), now);
        screen.damaged(rect(x, 200, 8, 16), now);
        assert_eq!(screen.busy_until(&[]), u128::from(now), "{x}");
        // The overhang of a letter does not make it the same place.
        screen.damaged(rect(x - 1, 200, 9, 16), now + 1);
    }
}

#[test]
fn what_changes_too_seldom_or_is_too_large_is_no_caret() {
    let mut screen = Watched::new();
    for now in [0, 3000, 6000] {
        screen.damaged(CARET, now);
        assert_eq!(screen.busy_until(&[]), u128::from(now));
    }
    let mut screen = Watched::new();
    for now in [0, 500, 1000] {
        screen.damaged(rect(0, 0, 33, 16), now);
        assert_eq!(screen.busy_until(&[]), u128::from(now));
    }
}

#[test]
fn what_was_not_watched_is_busy_until_it_is() {
    let mut screen = Watched::new();
    let at = |at: u64| screen.start + ms(at);
    let (damaged, watched) = (at(100), at(300));
    screen
        .activity
        .damaged(rect(0, 0, 100, 100), damaged, damaged);
    assert_eq!(screen.busy_until(&[]), 100);
    screen.activity.watched(watched);
    assert_eq!(screen.busy_until(&[]), 300);
}

#[test]
fn a_slow_look_makes_no_caret_of_a_spinner() {
    let mut screen = Watched::new();
    let mut last = 0;
    // Ten frames a second, and a look every 300 ms: it was watched for less than a frame each time.
    for now in (0..6000_u64).step_by(300) {
        last = now;
        screen
            .activity
            .watched(screen.start + ms(now.saturating_sub(100)));
        let now = screen.start + ms(now);
        screen.activity.damaged(CARET, now, now);
    }
    assert_eq!(screen.busy_until(&[]), u128::from(last));
}

#[test]
fn stillness_counts_from_the_later_of_change_and_moment() {
    let mut screen = Watched::new();
    screen.damaged(rect(0, 0, 100, 100), 400);
    let wish = |quiet| Settle {
        quiet,
        timeout: ms(1),
        ignore: vec![],
    };
    let from = |since: Option<u64>| {
        let since = since.map(|at| screen.start + ms(at));
        let still = wish(ms(50)).still_from(&screen.activity, since);
        (still.expect("a moment") - screen.start).as_millis()
    };
    assert_eq!(from(None), 450);
    assert_eq!(from(Some(100)), 450);
    assert_eq!(from(Some(700)), 750);
    let never = wish(Duration::MAX).still_from(&screen.activity, None);
    assert_eq!(never, None);
}

#[test]
fn the_pace_allows_a_few_at_once_and_then_one_an_interval() {
    let start = Instant::now();
    let mut pace = Pace::new(start);
    let mut done = 0;
    for now in 0..2000 {
        let now = start + ms(now);
        if pace.due(ms(200)) <= now {
            pace.spend(ms(200), now);
            done += 1;
        }
    }
    assert!((10..=15).contains(&done), "{done}");
    // Another interval is in force soon, whatever was spent.
    let now = start + ms(2000);
    pace.spend(ms(10), now);
    assert!(pace.due(ms(10)) <= now + ms(10));
}

/// Pixels of one colour, with a rectangle of another.
fn drawn(place: Rect, inner: Option<Rect>, scrap: u8) -> Vec<u8> {
    let mut pixels = Vec::new();
    for y in 0..i32::try_from(place.height).expect("small") {
        for x in 0..i32::try_from(place.width).expect("small") {
            let here = rect(place.x + x, place.y + y, 1, 1);
            let value = if inner.is_some_and(|inner| contains(inner, here)) {
                255
            } else {
                9
            };
            pixels.extend([value, value, value, scrap]);
        }
    }
    assert_eq!(
        pixels.len(),
        usize::try_from(place.width * place.height).expect("small") * PIXEL
    );
    pixels
}

#[test]
fn a_look_finds_what_changed_and_leaves_a_video_alone() {
    let window = rect(50, 60, 200, 40);
    let caret = rect(70, 65, 1, 17);
    let (mut looks, mut now) = (Looks::default(), Instant::now());
    assert_eq!(looks.reported(window, now), Worth::Counts);
    assert_eq!(looks.reported(window, now), Worth::Remember);
    assert_eq!(looks.seen(window, Some(drawn(window, None, 0)), now), None);
    for (inner, changed) in [
        (Some(caret), Some(caret)),
        (Some(caret), None),
        (None, Some(caret)),
    ] {
        now += ms(400);
        assert_eq!(looks.reported(window, now), Worth::Compare);
        let seen = looks.seen(window, Some(drawn(window, inner, 7)), now);
        assert_eq!(seen, changed);
    }
    let (mut looked, mut all) = (0, 0);
    for frame in 0..1000_u32 {
        now += ms(40);
        let pixels = drawn(window, (frame % 2 == 0).then_some(window), 0);
        let worth = looks.reported(window, now);
        if worth != Worth::Counts {
            looks.seen(window, Some(pixels), now);
            looked += 1;
        }
        all += 1;
    }
    assert!(looked * 10 < all, "{looked} of {all}");
    let idle = looks.tidy_from().expect("pixels are kept");
    looks.tidy(idle);
    assert_eq!(looks.tidy_from(), None);
    assert_eq!(looks.reported(window, idle), Worth::Counts, "forgotten");
}

#[test]
fn a_place_that_cannot_be_grabbed_counts() {
    let window = rect(50, 60, 200, 40);
    let (mut looks, now) = (Looks::default(), Instant::now());
    for worth in [Worth::Counts, Worth::Remember] {
        assert_eq!(looks.reported(window, now), worth);
    }
    assert_eq!(looks.seen(window, None, now), Some(window));
    let other = rect(0, 0, 100, 100);
    assert_eq!(looks.seen(other, None, now), Some(other));
    assert_eq!(
        looks.reported(rect(0, 0, 4000, 4000), now),
        Worth::Counts,
        "too large"
    );
    assert_eq!(looks.reported(CARET, now), Worth::Counts, "small enough");
}

fn any_rect() -> impl Strategy<Value = Rect> {
    (-5..60_i32, -5..60_i32, 0..40_u32, 0..40_u32).prop_map(|(x, y, width, height)| Rect {
        x,
        y,
        width,
        height,
    })
}

/// Too large for a caret.
fn large_rect() -> impl Strategy<Value = Rect> {
    (0..200_i32, 0..200_i32, 33..200_u32, 1..200_u32).prop_map(|(x, y, width, height)| Rect {
        x,
        y,
        width,
        height,
    })
}

proptest! {
    #[test]
    fn a_rectangle_sticks_out_when_a_pixel_does(place in any_rect(), others in prop::collection::vec(any_rect(), 0..5)) {
        let holds = |r: &Rect, x: i32, y: i32| contains(*r, rect(x, y, 1, 1));
        let pixels = (-5..100).flat_map(|x| (-5..100).map(move |y| (x, y)));
        let mut inside = pixels.filter(|(x, y)| holds(&place, *x, *y));
        let out = inside.any(|(x, y)| !others.iter().any(|other| holds(other, x, y)));
        prop_assert_eq!(sticks_out(place, &others), out);
    }

    /// Nothing is forgotten but what cannot matter, and with too many places some may count for longer.
    #[test]
    fn activity_agrees_with_a_model_that_forgets_nothing(
        steps in prop::collection::vec((large_rect(), any::<bool>(), 1..50_u64), 1..120),
        ignore in prop::collection::vec(large_rect(), 0..4),
    ) {
        let start = Instant::now();
        let mut activity = Activity::new(start);
        let mut model: Vec<(Rect, Instant, bool)> = Vec::new();
        let mut now = start;
        for (place, watched, pause) in &steps {
            now += ms(*pause);
            activity.damaged(*place, now, now);
            model.push((*place, now, true));
            if *watched {
                now += ms(1);
                activity.watched(now);
                for (_, until, open) in model.iter_mut().filter(|entry| entry.2) {
                    (*until, *open) = (now, false);
                }
            }
        }
        let counts = model.iter().filter(|(place, ..)| sticks_out(*place, &ignore));
        let expected = counts.map(|(_, until, _)| *until).max().unwrap_or(start);
        let until = activity.busy_until(&ignore);
        if steps.len() <= super::PLACES {
            prop_assert_eq!(until, expected);
        } else {
            prop_assert!(until >= expected);
        }
    }
}
