//! Expands an action into steps. Pure.

use std::time::Duration;

use super::{
    action::{Action, Button},
    error::InputError,
};
use crate::desktop::{
    geometry::{Frame, Point},
    keys::Keysym,
};

/// Wheel clicks of one action.
pub const MAX_SCROLL: u32 = 100;

/// Native pixels between two motions of a drag: below the drag thresholds of the toolkits (GTK 8, Qt 10).
const DRAG_STEP: i32 = 6;
/// Motions of one stretch of a drag at most.
const DRAG_STEPS: i32 = 64;

/// One thing to inject. Points are native.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Move(Point),
    Press(Button),
    Release(Button),
    /// Down in order, up in reverse.
    Combo(Vec<Keysym>),
    KeysDown(Vec<Keysym>),
    KeysUp(Vec<Keysym>),
    Wait(Duration),
    Text(String),
    /// Reports the pointer.
    Pointer,
    /// What was pressed stays down.
    Keep,
}

/// The steps of an action. An error means that nothing of it may be done.
pub(super) fn plan(action: &Action, frame: &Frame) -> Result<Vec<Step>, InputError> {
    let go = |at: &Option<Point>| at.map(|at| Step::Move(frame.to_native(at)));
    let mut steps = Vec::new();
    match action {
        Action::Key(combos) => {
            steps.extend(combos.iter().map(|combo| Step::Combo(combo.keys.clone())));
        }
        Action::Type(text) => steps.push(Step::Text(typable(text)?)),
        Action::CursorPosition => steps.push(Step::Pointer),
        Action::Move(to) => steps.push(Step::Move(frame.to_native(*to))),
        Action::Click { at, button, count } => {
            steps.extend(go(at));
            click(&mut steps, *button, u32::from(*count));
        }
        Action::Drag { path, button } => drag(&mut steps, path, *button, frame),
        Action::ButtonDown(button) => steps.extend([Step::Press(*button), Step::Keep]),
        Action::ButtonUp(button) => steps.push(Step::Release(*button)),
        Action::Scroll {
            at,
            direction,
            clicks,
        } => {
            steps.extend(go(at));
            click(&mut steps, direction.button(), (*clicks).min(MAX_SCROLL));
        }
        Action::HoldKey { keys, duration } => {
            // What it pressed is released at its end, as at every action's.
            steps.extend([Step::KeysDown(keys.clone()), Step::Wait(*duration)]);
        }
        Action::KeyDown(keys) => steps.extend([Step::KeysDown(keys.clone()), Step::Keep]),
        Action::KeyUp(keys) => steps.push(Step::KeysUp(keys.clone())),
    }
    Ok(steps)
}

fn click(steps: &mut Vec<Step>, button: Button, count: u32) {
    for _ in 0..count {
        steps.extend([Step::Press(button), Step::Release(button)]);
    }
}

fn drag(steps: &mut Vec<Step>, path: &[Point], button: Button, frame: &Frame) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let mut from = frame.to_native(*first);
    steps.extend([Step::Move(from), Step::Press(button)]);
    for to in rest {
        let to = frame.to_native(*to);
        steps.extend(stretch(from, to).into_iter().map(Step::Move));
        from = to;
    }
    steps.push(Step::Release(button));
}

/// Points on the way, without the start and with the end.
fn stretch(from: Point, to: Point) -> Vec<Point> {
    let (dx, dy) = (to.x - from.x, to.y - from.y);
    let length = dx.abs().max(dy.abs());
    let count = ((length + DRAG_STEP - 1) / DRAG_STEP).clamp(1, DRAG_STEPS);
    let part = |from: i32, d: i32, i: i32| {
        let moved = i64::from(d) * i64::from(i) / i64::from(count);
        from + i32::try_from(moved).expect("a part of a distance in i32")
    };
    let points = (1..=count).map(|i| Point {
        x: part(from.x, dx, i),
        y: part(from.y, dy, i),
    });
    points.collect()
}

/// The text with CR LF as one newline; every other control character but newline and tab is refused.
pub fn typable(text: &str) -> Result<String, InputError> {
    let joined = text.replace("\r\n", "\n");
    let mut characters = text.chars().enumerate().peekable();
    while let Some((position, c)) = characters.next() {
        let line_end = c == '\r' && characters.peek().is_some_and(|(_, next)| *next == '\n');
        if c.is_control() && !matches!(c, '\n' | '\t') && !line_end {
            return Err(InputError::ControlCharacter {
                position,
                code: u32::from(c),
            });
        }
    }
    Ok(joined)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::desktop::{geometry::Size, input::action::ScrollDirection};

    fn frame() -> Frame {
        let native = Size {
            width: 1920,
            height: 1080,
        };
        Frame::new(1280, 720, native)
    }

    fn at(x: i32, y: i32) -> Point {
        Point { x, y }
    }

    fn steps(action: &Action) -> Vec<Step> {
        plan(action, &frame()).expect("a plan")
    }

    #[test]
    fn clicks_move_first() {
        let left = Button::Left;
        let action = Action::Click {
            at: Some(at(640, 360)),
            button: left,
            count: 2,
        };
        let (press, release) = (Step::Press(left), Step::Release(left));
        let expected = [
            Step::Move(at(960, 540)),
            press.clone(),
            release.clone(),
            press,
            release,
        ];
        assert_eq!(steps(&action), expected);
    }

    #[test]
    fn scrolls_are_limited() {
        let action = Action::Scroll {
            at: None,
            direction: ScrollDirection::Down,
            clicks: 5000,
        };
        let steps = steps(&action);
        assert_eq!(steps.len(), 200);
        assert_eq!(steps[0], Step::Press(Button::WheelDown));
    }

    #[test]
    fn only_down_is_kept() {
        assert!(steps(&Action::ButtonDown(Button::Left)).contains(&Step::Keep));
        assert!(steps(&Action::KeyDown(vec![Keysym::TAB])).contains(&Step::Keep));
        let hold = Action::HoldKey {
            keys: vec![Keysym::TAB],
            duration: Duration::from_secs(1),
        };
        assert!(!steps(&hold).contains(&Step::Keep));
    }

    #[test]
    fn control_characters_are_refused_by_position() {
        assert_eq!(typable("a\r\nb\tc\n").expect("typable"), "a\nb\tc\n");
        for (text, at) in [
            ("ab\u{7}", 2),
            ("\u{1b}[A", 0),
            ("é\r", 1),
            ("\r\n\r", 2),
            ("\u{9b}", 0),
        ] {
            match typable(text) {
                Err(InputError::ControlCharacter { position, .. }) => assert_eq!(position, at),
                other => panic!("{text:?}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn a_drag_passes_its_points_in_small_steps(path in prop::collection::vec((0..1280, 0..720), 1..5)) {
            let path: Vec<Point> = path.into_iter().map(|(x, y)| at(x, y)).collect();
            let steps = steps(&Action::Drag { path: path.clone(), button: Button::Left });
            let moves: Vec<Point> = steps.iter().filter_map(|step| match step {
                Step::Move(to) => Some(*to),
                _ => None,
            }).collect();
            let mut seen = moves.iter();
            for point in &path {
                prop_assert!(seen.any(|to| *to == frame().to_native(*point)));
            }
            for pair in moves.windows(2) {
                prop_assert!((pair[0].x - pair[1].x).abs() <= 1920 / DRAG_STEPS + 1);
            }
            prop_assert_eq!(&steps[1], &Step::Press(Button::Left));
            prop_assert_eq!(steps.last(), Some(&Step::Release(Button::Left)));
        }
    }
}
