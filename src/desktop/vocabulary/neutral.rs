//! The words of `POST /api/v0/desktop/actions`: all of the compatible route's, and what goes beyond them.
//!
//! Everything but the frame is checked here, before anything starts; whether points lie in the frame shows when the
//! size of the screen is known.

use std::time::Duration;

use super::{
    DEFAULT_HOLD, DEFAULT_SCROLL, MAX_HOLD,
    check::{
        self, BadAction, ScrollDirection, bad, combos, missing, point, text, typable, unknown,
    },
};
use crate::desktop::{
    batch::Deed,
    geometry::{Point, Rect},
    input::{Action, Button, MAX_SCROLL},
    keys::Keysym,
    picture::PictureRequest,
    windows::WindowId,
};

/// Points that the path of a drag may have.
pub const MAX_PATH: usize = 1000;

/// How long the waits and holds of one batch may last together: nobody else's input runs meanwhile.
pub const MAX_WAITS: Duration = MAX_HOLD;

/// Every action.
pub const ACTIONS: [&str; 26] = [
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
    "right_mouse_down",
    "right_mouse_up",
    "middle_mouse_down",
    "middle_mouse_up",
    "scroll",
    "hold_key",
    "key_down",
    "key_up",
    "drag",
    "wait",
    "screenshot",
    "zoom",
    "paste",
    "focus_window",
];

/// One action, undecoded beyond its types. `None` is absent or null.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NeutralFields {
    /// Which action.
    pub action: String,
    /// x and y in the declared frame.
    pub coordinate: Option<[i64; 2]>,
    /// Where a drag begins.
    pub start_coordinate: Option<[i64; 2]>,
    /// Points that a drag passes.
    pub path: Option<Vec<[i64; 2]>>,
    /// Text, or keys.
    pub text: Option<String>,
    /// Milliseconds.
    pub duration: Option<i64>,
    /// Clicks of the wheel; negative turns the other way.
    pub scroll_amount: Option<i64>,
    /// `up`, `down`, `left` or `right`.
    pub scroll_direction: Option<String>,
    /// Clicks to the right.
    pub scroll_x: Option<i64>,
    /// Clicks down.
    pub scroll_y: Option<i64>,
    /// Id of a window.
    pub window: Option<String>,
    /// Names of keys to hold meanwhile.
    pub modifiers: Vec<String>,
    /// How a picture is wanted.
    pub picture: PictureRequest,
}

/// Checks one action.
pub fn deed(fields: &NeutralFields) -> Result<Deed, BadAction> {
    let known = ACTIONS.iter().find(|action| **action == fields.action);
    let name = *known.ok_or_else(|| unknown(&fields.action, &ACTIONS))?;
    let deed = match name {
        "screenshot" => Deed::Picture(fields.picture.clone()),
        "zoom" => Deed::Picture(zoom(fields)?),
        "paste" => Deed::Paste(text(fields.text.as_deref(), name)?.to_owned()),
        "focus_window" => Deed::Focus(window(fields)?),
        _ => return input(name, fields).map(Deed::Input),
    };
    no_modifiers(name, fields)?;
    Ok(deed)
}

fn input(name: &str, fields: &NeutralFields) -> Result<Action, BadAction> {
    if let Some(action) = pointing(name, fields)? {
        return with(action, &fields.modifiers);
    }
    no_modifiers(name, fields)?;
    let text = || text(fields.text.as_deref(), name);
    let keys = || combos(text()?).map(all_keys);
    Ok(match name {
        "key" => Action::Key(combos(text()?)?),
        "type" => Action::Type(typable(text()?)?),
        "cursor_position" => Action::CursorPosition,
        "key_down" => Action::KeyDown(keys()?),
        "key_up" => Action::KeyUp(keys()?),
        "hold_key" => Action::HoldKey {
            keys: keys()?,
            duration: duration(name, fields)?.unwrap_or(DEFAULT_HOLD),
        },
        "wait" => Action::Wait(duration(name, fields)?.ok_or_else(|| missing("duration", name))?),
        other => return Err(unknown(other, &ACTIONS)),
    })
}

/// Actions of the pointer, which may be done while modifiers are held.
fn pointing(name: &str, fields: &NeutralFields) -> Result<Option<Action>, BadAction> {
    let at = fields.coordinate.map(point);
    let needed = || at.ok_or_else(|| missing("coordinate", name));
    let click = |button, count| Action::Click { at, button, count };
    Ok(Some(match name {
        "mouse_move" => Action::Move(needed()?),
        "left_click" => click(Button::Left, 1),
        "right_click" => click(Button::Right, 1),
        "middle_click" => click(Button::Middle, 1),
        "double_click" => click(Button::Left, 2),
        "triple_click" => click(Button::Left, 3),
        "left_mouse_down" => Action::ButtonDown(Button::Left),
        "left_mouse_up" => Action::ButtonUp(Button::Left),
        "right_mouse_down" => Action::ButtonDown(Button::Right),
        "right_mouse_up" => Action::ButtonUp(Button::Right),
        "middle_mouse_down" => Action::ButtonDown(Button::Middle),
        "middle_mouse_up" => Action::ButtonUp(Button::Middle),
        "left_click_drag" => Action::Drag {
            from: fields.start_coordinate.map(point),
            path: vec![needed()?],
            button: Button::Left,
        },
        "drag" => drag(fields)?,
        "scroll" => scroll(fields, at)?,
        _ => return Ok(None),
    }))
}

fn drag(fields: &NeutralFields) -> Result<Action, BadAction> {
    let path = fields.path.as_deref().unwrap_or_default();
    let wrong = |detail: &str| {
        bad(
            "Invalid \"path\" for drag action.",
            "path",
            Some(detail.into()),
        )
    };
    if path.len() > MAX_PATH {
        return Err(wrong("It has at most 1000 points."));
    }
    let points: Vec<Point> = path.iter().copied().map(point).collect();
    match points.split_first() {
        None => Err(missing("path", "drag")),
        Some((_, [])) => Err(wrong(
            "It needs two points or more: where to press, and where to go.",
        )),
        Some((from, rest)) => Ok(Action::Drag {
            from: Some(*from),
            path: rest.to_vec(),
            button: Button::Left,
        }),
    }
}

fn scroll(fields: &NeutralFields, at: Option<Point>) -> Result<Action, BadAction> {
    if fields.scroll_x.is_none() && fields.scroll_y.is_none() {
        let direction = ScrollDirection::parse(fields.scroll_direction.as_deref())?;
        let amount = clicks(
            fields.scroll_amount.unwrap_or(DEFAULT_SCROLL),
            "scroll_amount",
        )?;
        return Ok(direction.scroll(at, i64::from(amount)));
    }
    Ok(Action::Scroll {
        at,
        right: clicks(fields.scroll_x.unwrap_or(0), "scroll_x")?,
        down: clicks(fields.scroll_y.unwrap_or(0), "scroll_y")?,
    })
}

/// Clicks of the wheel, either way.
pub(super) fn clicks(amount: i64, field: &'static str) -> Result<i32, BadAction> {
    let clicks = i32::try_from(amount).ok();
    let clicks = clicks.filter(|clicks| clicks.unsigned_abs() <= MAX_SCROLL);
    clicks.ok_or_else(|| {
        let message = format!("Invalid \"{field}\" {amount} for scroll action.");
        let detail = format!(
            "It counts clicks of the wheel, some three lines each, at most {MAX_SCROLL}; \
             for longer ways scroll again, or press Home, End or Page_Down."
        );
        bad(message, field, Some(detail))
    })
}

fn window(fields: &NeutralFields) -> Result<WindowId, BadAction> {
    let id = fields.window.as_deref();
    let id = id.ok_or_else(|| missing("window", "focus_window"))?;
    id.parse().map_err(|_| {
        let message = format!("Invalid \"window\" {:?}.", check::shown(id));
        let detail = "It is an id from the list of windows.".to_owned();
        bad(message, "window", Some(detail))
    })
}

fn zoom(fields: &NeutralFields) -> Result<PictureRequest, BadAction> {
    if fields.picture.region.is_none() {
        return Err(missing("region", "zoom"));
    }
    Ok(PictureRequest {
        zoom: true,
        ..fields.picture.clone()
    })
}

/// A region from its corners; `None` when it is empty or turned around.
pub(super) fn region([x0, y0, x1, y1]: [i64; 4]) -> Option<Rect> {
    let (from, to) = (point([x0, y0]), point([x1, y1]));
    let side = |from: i32, to: i32| u32::try_from(i64::from(to) - i64::from(from)).ok();
    Some(Rect {
        x: from.x,
        y: from.y,
        width: side(from.x, to.x).filter(|side| *side > 0)?,
        height: side(from.y, to.y).filter(|side| *side > 0)?,
    })
}

fn duration(name: &str, fields: &NeutralFields) -> Result<Option<Duration>, BadAction> {
    let Some(milliseconds) = fields.duration else {
        return Ok(None);
    };
    let duration = u64::try_from(milliseconds).ok().map(Duration::from_millis);
    let within = duration.filter(|duration| *duration <= MAX_HOLD);
    let message = || format!("Invalid \"duration\" for {name} action.");
    let detail = || format!("It is in milliseconds, 0 to {}.", MAX_HOLD.as_millis());
    within
        .map(Some)
        .ok_or_else(|| bad(message(), "duration", Some(detail())))
}

/// The action while the keys of these names are held; the action itself without names.
fn with(action: Action, names: &[String]) -> Result<Action, BadAction> {
    if names.is_empty() {
        return Ok(action);
    }
    let modifiers = modifiers(&names.join("+"), "modifiers")?;
    Ok(Action::With {
        modifiers,
        action: Box::new(action),
    })
}

/// Keys that are held together, as in `ctrl+shift`.
pub(super) fn modifiers(names: &str, field: &'static str) -> Result<Vec<Keysym>, BadAction> {
    let combos = combos(names).map_err(|error| BadAction { field, ..error })?;
    Ok(all_keys(combos))
}

pub(super) fn all_keys(combos: Vec<crate::desktop::keys::Combo>) -> Vec<Keysym> {
    combos.into_iter().flat_map(|combo| combo.keys).collect()
}

fn no_modifiers(name: &str, fields: &NeutralFields) -> Result<(), BadAction> {
    if fields.modifiers.is_empty() {
        return Ok(());
    }
    let message = format!(
        "\"modifiers\" do not go with {} action.",
        check::shown(name)
    );
    let detail = "They go with clicks, moves, drags, mouse buttons and scroll; \
                  for keys write them into \"text\", as in ctrl+c.";
    Err(bad(message, "modifiers", Some(detail.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(action: &str) -> NeutralFields {
        NeutralFields {
            action: action.to_owned(),
            ..NeutralFields::default()
        }
    }

    fn full(action: &str) -> NeutralFields {
        NeutralFields {
            coordinate: Some([10, 20]),
            start_coordinate: Some([1, 2]),
            path: Some(vec![[1, 2], [3, 4], [5, 6]]),
            text: Some("shift+a".to_owned()),
            duration: Some(250),
            window: Some("0x2800003".to_owned()),
            picture: PictureRequest {
                region: region([0, 0, 10, 10]),
                ..PictureRequest::default()
            },
            ..fields(action)
        }
    }

    fn action(fields: &NeutralFields) -> Action {
        match deed(fields) {
            Ok(Deed::Input(action)) => action,
            other => panic!("{}: {other:?}", fields.action),
        }
    }

    #[test]
    fn every_action_is_known() {
        for name in ACTIONS {
            assert!(deed(&full(name)).is_ok(), "{name}");
        }
        let jump = deed(&fields("jump")).expect_err("unknown");
        assert!(jump.explanation().contains("Known actions: key, "));
    }

    #[test]
    fn clicks_without_a_coordinate_act_at_the_pointer() {
        let click = |at, button, count| Action::Click { at, button, count };
        let at = Some(Point { x: 10, y: 20 });
        assert_eq!(
            action(&fields("double_click")),
            click(None, Button::Left, 2)
        );
        assert_eq!(action(&full("right_click")), click(at, Button::Right, 1));
        assert_eq!(
            deed(&fields("mouse_move")).expect_err("no place").field,
            "coordinate"
        );
    }

    #[test]
    fn modifiers_wrap_what_the_pointer_does_and_nothing_else() {
        let mut click = full("left_click");
        click.modifiers = vec!["ctrl".to_owned(), "Shift".to_owned()];
        match action(&click) {
            Action::With { modifiers, action } => {
                assert_eq!(modifiers, [Keysym(0xffe3), Keysym(0xffe1)]);
                assert!(matches!(*action, Action::Click { count: 1, .. }));
            }
            other => panic!("{other:?}"),
        }
        let mut typed = full("type");
        typed.modifiers = vec!["ctrl".to_owned()];
        assert_eq!(deed(&typed).expect_err("refused").field, "modifiers");
        click.modifiers = vec!["crtl".to_owned()];
        let unknown = deed(&click).expect_err("refused");
        assert_eq!(unknown.field, "modifiers");
        assert!(unknown.explanation().contains("ctrl"), "{unknown:?}");
    }

    #[test]
    fn scrolls_go_both_ways_and_are_limited() {
        let mut both = fields("scroll");
        (both.scroll_x, both.scroll_y) = (Some(2), Some(-3));
        let expected = Action::Scroll {
            at: None,
            right: 2,
            down: -3,
        };
        assert_eq!(action(&both), expected);
        let mut up = fields("scroll");
        up.scroll_direction = Some("up".to_owned());
        assert!(matches!(action(&up), Action::Scroll { down: -3, .. }));
        up.scroll_amount = Some(10_000);
        let refused = deed(&up).expect_err("too far");
        assert!(refused.explanation().contains("at most 100"));
    }

    #[test]
    fn paths_and_durations_are_checked() {
        assert_eq!(deed(&fields("drag")).expect_err("no path").field, "path");
        let mut short = full("drag");
        short.path = Some(vec![[1, 2]]);
        assert_eq!(deed(&short).expect_err("one point").field, "path");
        short.path = Some(vec![[1, 2]; MAX_PATH + 1]);
        assert_eq!(deed(&short).expect_err("too many").field, "path");
        assert_eq!(
            deed(&fields("wait")).expect_err("how long").field,
            "duration"
        );
        for wrong in [-1, 300_001, i64::MAX] {
            let mut wait = full("wait");
            wait.duration = Some(wrong);
            assert_eq!(deed(&wait).expect_err("too long").field, "duration");
        }
        assert_eq!(
            deed(&fields("zoom")).expect_err("no region").field,
            "region"
        );
    }

    #[test]
    fn regions_have_an_extent() {
        assert_eq!(region([5, 5, 5, 9]), None);
        assert_eq!(region([9, 5, 5, 9]), None);
        assert_eq!(
            region([i64::MIN, 0, i64::MAX, 1]).map(|r| r.height),
            Some(1)
        );
    }
}
