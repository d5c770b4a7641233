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

/// Whether the plan of an action needs to know where the pointer is.
pub(super) fn begins_at_pointer(action: &Action) -> bool {
    match action {
        Action::Drag { from, .. } => from.is_none(),
        Action::With { action, .. } => begins_at_pointer(action),
        _ => false,
    }
}

/// The steps of an action, with the pointer at `pointer` (native; matters to those that begin there). An
/// error means that nothing of it may be done.
pub(super) fn plan(
    action: &Action,
    frame: &Frame,
    pointer: Point,
) -> Result<Vec<Step>, InputError> {
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
        Action::Drag { from, path, button } => {
            steps.extend(go(from));
            let from = from.map_or(pointer, |from| frame.to_native(from));
            drag(&mut steps, from, path, *button, frame);
        }
        Action::ButtonDown(button) => steps.extend([Step::Press(*button), Step::Keep]),
        Action::ButtonUp(button) => steps.push(Step::Release(*button)),
        Action::Scroll { at, right, down } => {
            steps.extend(go(at));
            turn(&mut steps, *down, Button::WheelUp, Button::WheelDown);
            turn(&mut steps, *right, Button::WheelLeft, Button::WheelRight);
        }
        Action::Wait(duration) => steps.push(Step::Wait(*duration)),
        Action::With { modifiers, action } => {
            // Released after it, as everything that an action pressed and did not keep.
            steps.push(Step::KeysDown(modifiers.clone()));
            steps.extend(plan(action, frame, pointer)?);
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

/// A wheel, one way or the other.
fn turn(steps: &mut Vec<Step>, clicks: i32, back: Button, forth: Button) {
    let button = if clicks < 0 { back } else { forth };
    click(steps, button, clicks.unsigned_abs().min(MAX_SCROLL));
}

fn drag(steps: &mut Vec<Step>, start: Point, path: &[Point], button: Button, frame: &Frame) {
    if path.is_empty() {
        return;
    }
    steps.push(Step::Press(button));
    let mut from = start;
    for to in path {
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
    use crate::desktop::geometry::Size;

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
        plan(action, &frame(), at(960, 540)).expect("a plan")
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
        let scroll = |right, down| {
            let at = None;
            steps(&Action::Scroll { at, right, down })
        };
        let steps = scroll(0, 5000);
        assert_eq!(steps.len(), 200);
        assert_eq!(steps[0], Step::Press(Button::WheelDown));
        let (up, left) = (Button::WheelUp, Button::WheelLeft);
        let expected = [
            Step::Press(up),
            Step::Release(up),
            Step::Press(left),
            Step::Release(left),
        ];
        assert_eq!(scroll(-1, -1), expected);
    }

    #[test]
    fn modifiers_come_first() {
        let shift = vec![Keysym(0xffe1)];
        let action = Action::With {
            modifiers: shift.clone(),
            action: Box::new(Action::Move(at(0, 0))),
        };
        let expected = [Step::KeysDown(shift), Step::Move(at(0, 0))];
        assert_eq!(steps(&action), expected);
        assert_eq!(action.points(), [at(0, 0)]);
    }

    #[test]
    fn a_drag_may_begin_at_the_pointer() {
        let from_pointer = Action::Drag {
            from: None,
            path: vec![at(640, 362)],
            button: Button::Left,
        };
        assert!(begins_at_pointer(&from_pointer));
        let steps = steps(&from_pointer);
        assert_eq!(steps[0], Step::Press(Button::Left));
        assert_eq!(steps[1], Step::Move(at(960, 543)));
        assert_eq!(steps[2], Step::Release(Button::Left));
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
            let drag = Action::Drag { from: Some(path[0]), path: path[1..].to_vec(), button: Button::Left };
            let steps = steps(&drag);
            if path.len() == 1 {
                prop_assert!(!steps.contains(&Step::Press(Button::Left)));
                return Ok(());
            }
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
