//! The words of the compatible route `POST /api/v0/desktop/action`.
//!
//! Everything is checked before anything starts: a [`BadAction`] boots no desktop.

use std::time::Duration;

use super::{
    DEFAULT_HOLD, DEFAULT_SCROLL, MAX_HOLD,
    check::{BadAction, ScrollDirection, bad, combos, missing, point, text, typable, unknown},
};
use crate::desktop::{
    geometry::Point,
    input::{Action, Button, Outcome},
    picture::MAX_SIDE,
};

/// The body, undecoded beyond its types. `None` is absent or null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CoderFields {
    /// Which action.
    pub action: String,
    /// x and y in the declared frame.
    pub coordinate: Option<[i64; 2]>,
    /// Where a drag begins.
    pub start_coordinate: Option<[i64; 2]>,
    /// Text, or keys.
    pub text: Option<String>,
    /// Milliseconds.
    pub duration: Option<i64>,
    /// Clicks of the wheel; negative turns the other way.
    pub scroll_amount: Option<i64>,
    /// `up`, `down`, `left` or `right`.
    pub scroll_direction: Option<String>,
    /// Declared width; 0 or less means native.
    pub scaled_width: Option<i64>,
    /// Declared height; 0 or less means native.
    pub scaled_height: Option<i64>,
}

/// What a checked body asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CoderRequest {
    /// Input. Points are in the declared frame and may lie outside: the compatible route clamps them.
    Input(Action),
    /// A picture in the declared size.
    Screenshot,
}

/// A checked body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoderCommand {
    /// What to do.
    pub request: CoderRequest,
    /// Declared size, 0 for native.
    pub declared: (i64, i64),
    /// Name of the action, one of the known.
    pub action: &'static str,
}

/// Every action of the route.
pub const ACTIONS: [&str; 15] = [
    "key",
    "type",
    "cursor_position",
    "mouse_move",
    "left_click",
    "right_click",
    "middle_click",
    "double_click",
    "triple_click",
    "left_click_drag",
    "left_mouse_down",
    "left_mouse_up",
    "scroll",
    "hold_key",
    "screenshot",
];

impl CoderCommand {
    /// Checks a body.
    pub fn new(fields: &CoderFields) -> Result<Self, BadAction> {
        let known = ACTIONS.iter().find(|action| **action == fields.action);
        let action = *known.ok_or_else(|| unknown(&fields.action, &ACTIONS))?;
        Ok(Self {
            declared: (
                declared(fields.scaled_width, "scaled_width")?,
                declared(fields.scaled_height, "scaled_height")?,
            ),
            request: request(action, fields)?,
            action,
        })
    }

    /// The `output` field of the answer.
    pub fn output(&self, outcome: &Outcome) -> String {
        match outcome {
            Outcome::Pointer(at) => format!("x={},y={}", at.x, at.y),
            Outcome::Done | Outcome::Typed(_) if self.request == CoderRequest::Screenshot => {
                "screenshot".to_owned()
            }
            Outcome::Done | Outcome::Typed(_) => format!("{} action performed", self.action),
        }
    }
}

/// A side of the frame. No picture is larger than [`MAX_SIDE`], so points of a larger frame would miss what its
/// client sees.
fn declared(side: Option<i64>, field: &'static str) -> Result<i64, BadAction> {
    let side = side.unwrap_or(0);
    if side > i64::from(MAX_SIDE) {
        let detail = format!("It is at most {MAX_SIDE} pixels; 0 or less means native.");
        return Err(bad(format!("Invalid \"{field}\"."), field, Some(detail)));
    }
    Ok(side)
}

fn request(action: &'static str, fields: &CoderFields) -> Result<CoderRequest, BadAction> {
    let to = || at(fields.coordinate, "coordinate", action);
    let text = || text(fields.text.as_deref(), action);
    let click = |button, count| {
        let at = Some(to()?);
        Ok(Action::Click { at, button, count })
    };
    let action = match action {
        "screenshot" => return Ok(CoderRequest::Screenshot),
        "key" => Action::Key(combos(text()?)?),
        "type" => Action::Type(typable(text()?)?),
        "cursor_position" => Action::CursorPosition,
        "mouse_move" => Action::Move(to()?),
        "left_click" => click(Button::Left, 1)?,
        "right_click" => click(Button::Right, 1)?,
        "middle_click" => click(Button::Middle, 1)?,
        "double_click" => click(Button::Left, 2)?,
        "triple_click" => click(Button::Left, 3)?,
        "left_click_drag" => Action::Drag {
            from: Some(at(fields.start_coordinate, "start_coordinate", action)?),
            path: vec![to()?],
            button: Button::Left,
        },
        "left_mouse_down" => Action::ButtonDown(Button::Left),
        "left_mouse_up" => Action::ButtonUp(Button::Left),
        "scroll" => scroll(fields, to()?)?,
        "hold_key" => Action::HoldKey {
            keys: combos(text()?)?
                .into_iter()
                .flat_map(|combo| combo.keys)
                .collect(),
            duration: duration(fields)?,
        },
        other => return Err(unknown(other, &ACTIONS)),
    };
    Ok(CoderRequest::Input(action))
}

fn at(at: Option<[i64; 2]>, field: &'static str, action: &str) -> Result<Point, BadAction> {
    at.map(point).ok_or_else(|| missing(field, action))
}

fn scroll(fields: &CoderFields, at: Point) -> Result<Action, BadAction> {
    let direction = ScrollDirection::parse(fields.scroll_direction.as_deref())?;
    let clicks = fields.scroll_amount.unwrap_or(DEFAULT_SCROLL);
    Ok(direction.scroll(Some(at), clicks))
}

fn duration(fields: &CoderFields) -> Result<Duration, BadAction> {
    let Some(milliseconds) = fields.duration else {
        return Ok(DEFAULT_HOLD);
    };
    let milliseconds = u64::try_from(milliseconds).map_err(|_| {
        let message = "Invalid \"duration\" for hold_key action.".to_owned();
        bad(
            message,
            "duration",
            Some("It is in milliseconds, 0 or more.".to_owned()),
        )
    })?;
    Ok(Duration::from_millis(milliseconds).min(MAX_HOLD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::{
        keys::{self, Keysym},
        vocabulary::check::Fault,
    };

    fn fields(action: &str) -> CoderFields {
        CoderFields {
            action: action.to_owned(),
            coordinate: Some([10, 20]),
            start_coordinate: Some([1, 2]),
            text: Some("ctrl+c".to_owned()),
            ..CoderFields::default()
        }
    }

    fn input(fields: &CoderFields) -> Action {
        match CoderCommand::new(fields).expect("a command").request {
            CoderRequest::Input(action) => action,
            CoderRequest::Screenshot => panic!("input"),
        }
    }

    fn refusal(fields: &CoderFields) -> BadAction {
        CoderCommand::new(fields).expect_err("a refusal")
    }

    #[test]
    fn every_action() {
        let at = Point { x: 10, y: 20 };
        let click = |button, count| Action::Click {
            at: Some(at),
            button,
            count,
        };
        let keys = vec![Keysym(0xffe3), Keysym(0x63)];
        let expected = [
            ("key", Action::Key(vec![keys::Combo { keys: keys.clone() }])),
            ("type", Action::Type("ctrl+c".to_owned())),
            ("cursor_position", Action::CursorPosition),
            ("mouse_move", Action::Move(at)),
            ("left_click", click(Button::Left, 1)),
            ("right_click", click(Button::Right, 1)),
            ("middle_click", click(Button::Middle, 1)),
            ("double_click", click(Button::Left, 2)),
            ("triple_click", click(Button::Left, 3)),
            (
                "left_click_drag",
                Action::Drag {
                    from: Some(Point { x: 1, y: 2 }),
                    path: vec![at],
                    button: Button::Left,
                },
            ),
            ("left_mouse_down", Action::ButtonDown(Button::Left)),
            ("left_mouse_up", Action::ButtonUp(Button::Left)),
            (
                "scroll",
                Action::Scroll {
                    at: Some(at),
                    right: 0,
                    down: 3,
                },
            ),
            (
                "hold_key",
                Action::HoldKey {
                    keys,
                    duration: DEFAULT_HOLD,
                },
            ),
        ];
        assert_eq!(expected.len() + 1, ACTIONS.len());
        for (name, action) in expected {
            assert_eq!(input(&fields(name)), action, "{name}");
            let command = CoderCommand::new(&fields(name)).expect("a command");
            assert_eq!(
                command.output(&Outcome::Done),
                format!("{name} action performed")
            );
        }
        let screenshot = CoderCommand::new(&fields("screenshot")).expect("a command");
        assert_eq!(screenshot.request, CoderRequest::Screenshot);
        assert_eq!(screenshot.output(&Outcome::Done), "screenshot");
        assert_eq!(screenshot.output(&Outcome::Pointer(at)), "x=10,y=20");
    }

    #[test]
    fn missing_fields_are_named() {
        for (field, actions) in [
            ("text", &["key", "type", "hold_key"][..]),
            (
                "coordinate",
                &[
                    "mouse_move",
                    "left_click",
                    "right_click",
                    "middle_click",
                    "double_click",
                    "triple_click",
                    "left_click_drag",
                    "scroll",
                ],
            ),
            ("start_coordinate", &["left_click_drag"]),
        ] {
            for action in actions {
                let mut fields = fields(action);
                match field {
                    "text" => fields.text = None,
                    "coordinate" => fields.coordinate = None,
                    _ => fields.start_coordinate = None,
                }
                let bad = refusal(&fields);
                assert_eq!(
                    bad.message,
                    format!("Missing \"{field}\" for {action} action.")
                );
                assert_eq!(bad.field, field);
                fields.text = Some(String::new());
                assert_eq!(refusal(&fields).field, field);
            }
        }
    }

    #[test]
    fn unknown_words_are_named() {
        assert!(refusal(&fields("jump")).message.contains("\"jump\""));
        assert_eq!(refusal(&fields("")).message, "Missing \"action\".");
        let mut scroll = fields("scroll");
        scroll.scroll_direction = Some("sideways".to_owned());
        assert!(refusal(&scroll).message.contains("\"sideways\""));
        let mut key = fields("key");
        key.text = Some("Retrun".to_owned());
        assert!(refusal(&key).detail.expect("a detail").contains("Return"));
    }

    #[test]
    fn numbers_are_limited() {
        let mut scroll = fields("scroll");
        for (amount, clicks) in [(-5, -5), (0, 0), (i64::MAX, 100), (i64::MIN, -100)] {
            scroll.scroll_amount = Some(amount);
            match input(&scroll) {
                Action::Scroll { right, down, .. } => assert_eq!((right, down), (0, clicks)),
                other => panic!("{other:?}"),
            }
        }
        let mut hold = fields("hold_key");
        hold.duration = Some(i64::MAX);
        assert!(matches!(
            input(&hold),
            Action::HoldKey {
                duration: MAX_HOLD,
                ..
            }
        ));
        hold.duration = Some(-1);
        assert_eq!(refusal(&hold).field, "duration");
        let mut bell = fields("type");
        bell.text = Some("ab\u{7}".to_owned());
        assert_eq!(refusal(&bell).fault, Fault::ControlCharacter);
        let mut wide = fields("screenshot");
        wide.scaled_width = Some(7681);
        assert_eq!(refusal(&wide).field, "scaled_width");
        let mut far = fields("mouse_move");
        far.coordinate = Some([i64::MIN, i64::MAX]);
        far.scaled_width = Some(1280);
        assert_eq!(
            input(&far),
            Action::Move(Point {
                x: i32::MIN,
                y: i32::MAX
            })
        );
        assert_eq!(
            CoderCommand::new(&far).expect("a command").declared,
            (1280, 0)
        );
    }
}
