//! The words of `OpenAI`'s computer tool: one action of a `computer_call` to one deed.
//!
//! Source: the vendor's guide and the types of its client libraries. Scrolls are in pixels; `keys` of an action of the
//! pointer are held meanwhile.

use std::time::Duration;

use super::check::{self, BadAction, bad, missing, point, text, typable};
use crate::desktop::{
    batch::Deed,
    geometry::Point,
    input::{Action, Button, MAX_SCROLL},
    keys::{self, Combo, Keysym},
    picture::PictureRequest,
};

/// Every action.
pub const ACTIONS: [&str; 9] = [
    "click",
    "double_click",
    "drag",
    "keypress",
    "move",
    "screenshot",
    "scroll",
    "type",
    "wait",
];

/// Pixels that one click of the wheel stands for.
const PIXELS_A_CLICK: u64 = 120;

/// How long `wait` waits; the action has no field for it.
const WAIT: Duration = Duration::from_secs(2);

/// An action, undecoded beyond its types. `None` is absent or null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenAiFields {
    /// Which action: the field `type`.
    pub kind: String,
    /// Place in the declared frame.
    pub x: Option<i64>,
    /// Place in the declared frame.
    pub y: Option<i64>,
    /// `left`, `right`, `wheel`, `back` or `forward`.
    pub button: Option<String>,
    /// Keys to press together, or to hold meanwhile.
    pub keys: Vec<String>,
    /// Points that a drag passes.
    pub path: Vec<[i64; 2]>,
    /// Pixels to the right.
    pub scroll_x: Option<i64>,
    /// Pixels down.
    pub scroll_y: Option<i64>,
    /// Text to type.
    pub text: Option<String>,
}

/// Checks an action.
pub fn deed(fields: &OpenAiFields) -> Result<Deed, BadAction> {
    let kind = fields.kind.as_str();
    let action = match kind {
        "screenshot" => return Ok(Deed::Picture(PictureRequest::default())),
        "type" => Action::Type(typable(text(fields.text.as_deref(), kind)?)?),
        "wait" => Action::Wait(WAIT),
        "keypress" => Action::Key(vec![
            combo(&fields.keys)?.ok_or_else(|| missing("keys", kind))?,
        ]),
        _ => return with(pointing(fields)?, &fields.keys).map(Deed::Input),
    };
    Ok(Deed::Input(action))
}

fn pointing(fields: &OpenAiFields) -> Result<Action, BadAction> {
    Ok(match fields.kind.as_str() {
        "click" => Action::Click {
            at: Some(at(fields)?),
            button: button(fields)?,
            count: 1,
        },
        "double_click" => Action::Click {
            at: Some(at(fields)?),
            button: Button::Left,
            count: 2,
        },
        "move" => Action::Move(at(fields)?),
        "scroll" => Action::Scroll {
            at: Some(at(fields)?),
            right: clicks(fields.scroll_x.unwrap_or(0)),
            down: clicks(fields.scroll_y.unwrap_or(0)),
        },
        "drag" => drag(fields)?,
        other => return Err(unknown(other)),
    })
}

fn unknown(kind: &str) -> BadAction {
    let error = if kind.is_empty() {
        bad("Missing \"type\" of the action.", "type", None)
    } else {
        check::unknown(kind, &ACTIONS)
    };
    BadAction {
        field: "type",
        ..error
    }
}

fn at(fields: &OpenAiFields) -> Result<Point, BadAction> {
    let x = fields.x.ok_or_else(|| missing("x", &fields.kind))?;
    let y = fields.y.ok_or_else(|| missing("y", &fields.kind))?;
    Ok(point([x, y]))
}

fn button(fields: &OpenAiFields) -> Result<Button, BadAction> {
    Ok(match fields.button.as_deref() {
        None | Some("" | "left") => Button::Left,
        Some("right") => Button::Right,
        Some("wheel" | "middle") => Button::Middle,
        Some("back") => Button::Back,
        Some("forward") => Button::Forward,
        Some(other) => {
            let message = format!(
                "Invalid \"button\" {:?} for click action.",
                check::shown(other)
            );
            let detail = "It is one of left, right, wheel, back, forward.".to_owned();
            return Err(bad(message, "button", Some(detail)));
        }
    })
}

fn drag(fields: &OpenAiFields) -> Result<Action, BadAction> {
    let wrong = |detail: String| bad("Invalid \"path\" for drag action.", "path", Some(detail));
    if fields.path.len() > super::neutral::MAX_PATH {
        return Err(wrong(format!(
            "It has at most {} points.",
            super::neutral::MAX_PATH
        )));
    }
    match fields.path.split_first() {
        Some((from, rest)) if !rest.is_empty() => Ok(Action::Drag {
            from: Some(point(*from)),
            path: rest.iter().copied().map(point).collect(),
            button: Button::Left,
        }),
        _ => Err(wrong(
            "It needs two points or more: where to press, and where to go.".to_owned(),
        )),
    }
}

/// Pixels to clicks of the wheel: away from zero, and no more than an action may have.
fn clicks(pixels: i64) -> i32 {
    let clicks = pixels
        .unsigned_abs()
        .div_ceil(PIXELS_A_CLICK)
        .min(u64::from(MAX_SCROLL));
    let clicks = i32::try_from(clicks).expect("at most a hundred");
    if pixels < 0 { -clicks } else { clicks }
}

/// All keys of the list held together; `None` for an empty list.
fn combo(names: &[String]) -> Result<Option<Combo>, BadAction> {
    if names.is_empty() {
        return Ok(None);
    }
    let spelled = names.iter().map(|name| match name.as_str() {
        "+" => "plus",
        name if !name.is_empty() && name.trim().is_empty() => "space",
        name => name.trim(),
    });
    let spelled: Vec<&str> = spelled.collect();
    let parsed = keys::parse(&spelled.join("+")).map_err(|error| {
        bad(
            "Invalid \"keys\": they name no keys.",
            "keys",
            Some(error.to_string()),
        )
    })?;
    let keys: Vec<Keysym> = parsed.into_iter().flat_map(|combo| combo.keys).collect();
    Ok(Some(Combo { keys }))
}

fn with(action: Action, names: &[String]) -> Result<Action, BadAction> {
    Ok(match combo(names)? {
        None => action,
        Some(Combo { keys }) => Action::With {
            modifiers: keys,
            action: Box::new(action),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(kind: &str) -> OpenAiFields {
        OpenAiFields {
            kind: kind.to_owned(),
            x: Some(7),
            y: Some(8),
            ..OpenAiFields::default()
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    const AT: Point = Point { x: 7, y: 8 };

    fn click(button: Button, count: u8) -> Action {
        Action::Click {
            at: Some(AT),
            button,
            count,
        }
    }

    /// The vendor's table: action, its fields, what is done.
    #[test]
    fn every_action() {
        let (ctrl, l) = (Keysym(0xffe3), Keysym(0x6c));
        let mut drag = fields("drag");
        drag.path = vec![[1, 2], [3, 4], [7, 8]];
        let dragged = Action::Drag {
            from: Some(Point { x: 1, y: 2 }),
            path: vec![Point { x: 3, y: 4 }, AT],
            button: Button::Left,
        };
        let mut keypress = fields("keypress");
        keypress.keys = names(&["CTRL", "L"]);
        let mut scroll = fields("scroll");
        (scroll.scroll_x, scroll.scroll_y) = (Some(-1), Some(121));
        let scrolled = Action::Scroll {
            at: Some(AT),
            right: -1,
            down: 2,
        };
        let mut typed = fields("type");
        typed.text = Some("hi".to_owned());
        let table = [
            (fields("click"), Deed::Input(click(Button::Left, 1))),
            (fields("double_click"), Deed::Input(click(Button::Left, 2))),
            (drag, Deed::Input(dragged)),
            (
                keypress,
                Deed::Input(Action::Key(vec![Combo {
                    keys: vec![ctrl, l],
                }])),
            ),
            (fields("move"), Deed::Input(Action::Move(AT))),
            (
                fields("screenshot"),
                Deed::Picture(PictureRequest::default()),
            ),
            (scroll, Deed::Input(scrolled)),
            (typed, Deed::Input(Action::Type("hi".to_owned()))),
            (fields("wait"), Deed::Input(Action::Wait(WAIT))),
        ];
        assert_eq!(table.len(), ACTIONS.len());
        for (fields, expected) in table {
            assert!(ACTIONS.contains(&fields.kind.as_str()));
            assert_eq!(deed(&fields).expect("a deed"), expected, "{}", fields.kind);
        }
    }

    #[test]
    fn buttons_and_held_keys() {
        for (word, button) in [
            ("left", Button::Left),
            ("right", Button::Right),
            ("wheel", Button::Middle),
            ("back", Button::Back),
            ("forward", Button::Forward),
        ] {
            let mut fields = fields("click");
            fields.button = Some(word.to_owned());
            assert_eq!(deed(&fields), Ok(Deed::Input(click(button, 1))));
            fields.keys = names(&["SHIFT"]);
            let expected = Action::With {
                modifiers: vec![Keysym(0xffe1)],
                action: Box::new(click(button, 1)),
            };
            assert_eq!(deed(&fields), Ok(Deed::Input(expected)));
        }
    }

    #[test]
    fn keys_by_the_vendors_names() {
        for (name, expected) in [
            ("ENTER", "Return"),
            ("ARROWLEFT", "Left"),
            ("ESC", "Escape"),
            ("CMD", "Super_L"),
            ("OPTION", "Alt_L"),
            ("SPACE", "space"),
            (" ", "space"),
            ("+", "plus"),
            ("/", "slash"),
            ("PAGEDOWN", "Next"),
            ("F5", "F5"),
        ] {
            let mut fields = fields("keypress");
            fields.keys = names(&[name]);
            let keys = match deed(&fields) {
                Ok(Deed::Input(Action::Key(combos))) => combos[0].keys.clone(),
                other => panic!("{name}: {other:?}"),
            };
            assert_eq!(keys[0].name(), expected);
        }
    }

    #[test]
    fn pixels_round_away_from_zero_up_to_a_limit() {
        for (pixels, expected) in [
            (0, 0),
            (1, 1),
            (120, 1),
            (121, 2),
            (-119, -1),
            (-241, -3),
            (i64::MAX, 100),
            (i64::MIN, -100),
        ] {
            assert_eq!(clicks(pixels), expected);
        }
    }

    #[test]
    fn mistakes_are_named() {
        let field = |fields: &OpenAiFields| deed(fields).expect_err("a refusal").field;
        assert_eq!(field(&fields("tap")), "type");
        assert_eq!(field(&fields("")), "type");
        assert_eq!(field(&fields("keypress")), "keys");
        assert_eq!(field(&fields("type")), "text");
        assert_eq!(field(&fields("drag")), "path");
        let mut click = fields("click");
        click.button = Some("middel".to_owned());
        assert_eq!(field(&click), "button");
        click.x = None;
        assert_eq!(field(&click), "x");
    }
}
