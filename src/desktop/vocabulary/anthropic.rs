//! The words of Anthropic's computer tool, versions 20241022, 20250124 and 20251124 and the toolset 20260801, whose
//! members are the same actions: one call to deeds.
//!
//! Source: the vendor's description of the tool and the types of its client libraries. A client does not say in the
//! call which version it declared, so every action is understood always. `text` names modifiers on clicks, drags and
//! scrolls; durations are in seconds.

use std::time::Duration;

use super::{
    MAX_HOLD,
    check::{BadAction, ScrollDirection, bad, combos, missing, point, text, typable, unknown},
    neutral::{all_keys, clicks, modifiers, region},
};
use crate::desktop::{
    batch::Deed,
    input::{Action, Button},
    keys::Combo,
    picture::PictureRequest,
};

/// Times that one call may press its keys.
const MAX_REPEAT: usize = 100;

/// Every action, in the order of the versions that brought them.
pub const ACTIONS: [&str; 17] = [
    "key",
    "type",
    "mouse_move",
    "left_click",
    "right_click",
    "middle_click",
    "double_click",
    "left_click_drag",
    "screenshot",
    "cursor_position",
    "left_mouse_down",
    "left_mouse_up",
    "triple_click",
    "scroll",
    "hold_key",
    "wait",
    "zoom",
];

/// The `input` of a call, undecoded beyond its types. `None` is absent or null.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnthropicFields {
    /// Which action.
    pub action: String,
    /// x and y in the declared frame.
    pub coordinate: Option<[i64; 2]>,
    /// Where a drag begins.
    pub start_coordinate: Option<[i64; 2]>,
    /// Text, keys, or modifiers.
    pub text: Option<String>,
    /// Seconds.
    pub duration: Option<f64>,
    /// Clicks of the wheel.
    pub scroll_amount: Option<i64>,
    /// `up`, `down`, `left` or `right`.
    pub scroll_direction: Option<String>,
    /// Corners of a part of the frame: x0, y0, x1, y1.
    pub region: Option<[i64; 4]>,
    /// Times that keys are pressed; once when absent.
    pub repeat: Option<i64>,
}

/// Checks a call. The deeds are to be done in order; a picture among them is the answer's.
pub fn deeds(fields: &AnthropicFields) -> Result<Vec<Deed>, BadAction> {
    let known = ACTIONS.iter().find(|action| **action == fields.action);
    let name = *known.ok_or_else(|| unknown(&fields.action, &ACTIONS))?;
    let action = match name {
        "screenshot" => return Ok(vec![Deed::Picture(PictureRequest::default())]),
        "zoom" => return Ok(vec![Deed::Picture(zoom(fields)?)]),
        // The vendor's own loop refuses a place here; going there first is what the model means.
        "left_mouse_down" | "left_mouse_up" => {
            let go = fields.coordinate.map(|at| Action::Move(point(at)));
            let button = if name == "left_mouse_down" {
                Action::ButtonDown(Button::Left)
            } else {
                Action::ButtonUp(Button::Left)
            };
            return Ok(go.into_iter().chain([button]).map(Deed::Input).collect());
        }
        _ => action(name, fields)?,
    };
    Ok(vec![Deed::Input(action)])
}

fn action(name: &str, fields: &AnthropicFields) -> Result<Action, BadAction> {
    let text = || text(fields.text.as_deref(), name);
    let needed = || {
        let at = fields.coordinate.map(point);
        at.ok_or_else(|| missing("coordinate", name))
    };
    let click = |button, count| {
        let at = fields.coordinate.map(point);
        with(Action::Click { at, button, count }, fields)
    };
    Ok(match name {
        "key" => Action::Key(repeated(combos(text()?)?, fields.repeat)?),
        "type" => Action::Type(typable(text()?)?),
        "mouse_move" => Action::Move(needed()?),
        "left_click" => click(Button::Left, 1)?,
        "right_click" => click(Button::Right, 1)?,
        "middle_click" => click(Button::Middle, 1)?,
        "double_click" => click(Button::Left, 2)?,
        "triple_click" => click(Button::Left, 3)?,
        "left_click_drag" => {
            let drag = Action::Drag {
                from: fields.start_coordinate.map(point),
                path: vec![needed()?],
                button: Button::Left,
            };
            with(drag, fields)?
        }
        "cursor_position" => Action::CursorPosition,
        "scroll" => scroll(fields)?,
        "hold_key" => Action::HoldKey {
            keys: all_keys(combos(text()?)?),
            duration: duration(name, fields)?,
        },
        "wait" => Action::Wait(duration(name, fields)?),
        other => return Err(unknown(other, &ACTIONS)),
    })
}

fn repeated(combos: Vec<Combo>, times: Option<i64>) -> Result<Vec<Combo>, BadAction> {
    let times = usize::try_from(times.unwrap_or(1)).ok();
    let times = times.filter(|times| (1..=MAX_REPEAT).contains(times));
    let times = times.ok_or_else(|| {
        let detail = format!("It is 1 to {MAX_REPEAT} times.");
        bad("Invalid \"repeat\" for key action.", "repeat", Some(detail))
    })?;
    Ok(std::iter::repeat_n(combos, times).flatten().collect())
}

fn scroll(fields: &AnthropicFields) -> Result<Action, BadAction> {
    let word = fields.scroll_direction.as_deref();
    let word = word.ok_or_else(|| missing("scroll_direction", "scroll"))?;
    let direction = ScrollDirection::parse(Some(word))?;
    let amount = fields.scroll_amount;
    let amount = clicks(amount.unwrap_or(super::DEFAULT_SCROLL), "scroll_amount")?;
    let scroll = direction.scroll(fields.coordinate.map(point), i64::from(amount));
    with(scroll, fields)
}

fn zoom(fields: &AnthropicFields) -> Result<PictureRequest, BadAction> {
    let wrong = |message: &str| {
        let detail =
            "It is [x0, y0, x1, y1] in pixels of the screenshot, with x0 < x1 and y0 < y1.";
        bad(message, "region", Some(detail.to_owned()))
    };
    let corners = fields.region;
    let corners = corners.ok_or_else(|| wrong("Missing \"region\" for zoom action."))?;
    let region = region(corners).ok_or_else(|| wrong("Invalid \"region\" for zoom action."))?;
    Ok(PictureRequest {
        region: Some(region),
        zoom: true,
        ..PictureRequest::default()
    })
}

fn duration(name: &str, fields: &AnthropicFields) -> Result<Duration, BadAction> {
    let seconds = fields.duration.ok_or_else(|| missing("duration", name))?;
    let duration = Duration::try_from_secs_f64(seconds).ok();
    duration.filter(|d| *d <= MAX_HOLD).ok_or_else(|| {
        let message = format!("Invalid \"duration\" for {name} action.");
        let detail = format!("It is in seconds, 0 to {}.", MAX_HOLD.as_secs());
        bad(message, "duration", Some(detail))
    })
}

/// The action while the keys named by `text` are held.
fn with(action: Action, fields: &AnthropicFields) -> Result<Action, BadAction> {
    let Some(names) = fields.text.as_deref().filter(|names| !names.is_empty()) else {
        return Ok(action);
    };
    Ok(Action::With {
        modifiers: modifiers(names, "text")?,
        action: Box::new(action),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::{
        geometry::Point,
        keys::{Keysym, parse},
    };

    fn fields(action: &str) -> AnthropicFields {
        AnthropicFields {
            action: action.to_owned(),
            ..AnthropicFields::default()
        }
    }

    fn one(fields: &AnthropicFields) -> Action {
        match &deeds(fields).expect("deeds")[..] {
            [Deed::Input(action)] => action.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn refusal(fields: &AnthropicFields) -> BadAction {
        deeds(fields).expect_err("a refusal")
    }

    const AT: Point = Point { x: 0, y: 0 };

    fn click(at: Option<Point>, button: Button, count: u8) -> Action {
        Action::Click { at, button, count }
    }

    /// The vendor's table: action, its fields, what is done.
    #[test]
    #[expect(clippy::too_many_lines, reason = "one table, seventeen rows")]
    fn every_action() {
        let mut seen = Vec::new();
        let mut expect = |name: &str, change: &dyn Fn(&mut AnthropicFields), expected: &[Deed]| {
            let mut fields = fields(name);
            change(&mut fields);
            assert_eq!(deeds(&fields).expect("deeds"), expected, "{name}");
            seen.push(name.to_owned());
        };
        let input = |action| vec![Deed::Input(action)];
        let said = |text: &'static str| {
            move |fields: &mut AnthropicFields| fields.text = Some(text.to_owned())
        };
        let origin = |fields: &mut AnthropicFields| fields.coordinate = Some([0, 0]);
        let combos = parse("ctrl+s").expect("keys");
        expect("key", &said("ctrl+s"), &input(Action::Key(combos)));
        expect("type", &said("hé\n"), &input(Action::Type("hé\n".into())));
        expect("mouse_move", &origin, &input(Action::Move(AT)));
        for (name, button, count) in [
            ("left_click", Button::Left, 1),
            ("right_click", Button::Right, 1),
            ("middle_click", Button::Middle, 1),
            ("double_click", Button::Left, 2),
            ("triple_click", Button::Left, 3),
        ] {
            expect(name, &origin, &input(click(Some(AT), button, count)));
        }
        let drag = |fields: &mut AnthropicFields| {
            fields.start_coordinate = Some([3, 4]);
            fields.coordinate = Some([0, 0]);
        };
        let dragged = Action::Drag {
            from: Some(Point { x: 3, y: 4 }),
            path: vec![AT],
            button: Button::Left,
        };
        expect("left_click_drag", &drag, &input(dragged));
        let picture = Deed::Picture(PictureRequest::default());
        expect("screenshot", &|_| (), &[picture]);
        expect("cursor_position", &|_| (), &input(Action::CursorPosition));
        let (down, up) = (
            Action::ButtonDown(Button::Left),
            Action::ButtonUp(Button::Left),
        );
        expect("left_mouse_down", &|_| (), &input(down));
        let moved_up = [Deed::Input(Action::Move(AT)), Deed::Input(up)];
        expect("left_mouse_up", &origin, &moved_up);
        let scroll = |fields: &mut AnthropicFields| {
            fields.coordinate = Some([0, 0]);
            fields.scroll_direction = Some("left".to_owned());
            fields.scroll_amount = Some(5);
        };
        let scrolled = Action::Scroll {
            at: Some(AT),
            right: -5,
            down: 0,
        };
        expect("scroll", &scroll, &input(scrolled));
        let hold = |fields: &mut AnthropicFields| {
            fields.text = Some("shift".to_owned());
            fields.duration = Some(1.5);
        };
        let held = Action::HoldKey {
            keys: vec![Keysym(0xffe1)],
            duration: Duration::from_millis(1500),
        };
        expect("hold_key", &hold, &input(held));
        let two = |fields: &mut AnthropicFields| fields.duration = Some(2.0);
        expect("wait", &two, &input(Action::Wait(Duration::from_secs(2))));
        let zoom = |fields: &mut AnthropicFields| fields.region = Some([10, 20, 110, 70]);
        let zoomed = PictureRequest {
            region: region([10, 20, 110, 70]),
            zoom: true,
            ..PictureRequest::default()
        };
        expect("zoom", &zoom, &[Deed::Picture(zoomed)]);
        seen.sort_unstable();
        let mut all = ACTIONS.map(str::to_owned);
        all.sort_unstable();
        assert_eq!(seen, all);
    }

    #[test]
    fn clicks_without_a_place_act_at_the_pointer_and_text_holds_modifiers() {
        let mut left = fields("left_click");
        assert_eq!(one(&left), click(None, Button::Left, 1));
        left.text = Some("ctrl+shift".to_owned());
        let modifiers = vec![Keysym(0xffe3), Keysym(0xffe1)];
        let action = Box::new(click(None, Button::Left, 1));
        assert_eq!(one(&left), Action::With { modifiers, action });
        let mut drag = fields("left_click_drag");
        drag.coordinate = Some([0, 0]);
        assert!(matches!(one(&drag), Action::Drag { from: None, .. }));
    }

    #[test]
    fn keys_are_repeated_and_drags_hold_modifiers() {
        let mut key = fields("key");
        key.text = Some("Down".to_owned());
        key.repeat = Some(3);
        assert_eq!(
            one(&key),
            Action::Key(parse("Down Down Down").expect("keys"))
        );
        for wrong in [0, -1, 101] {
            key.repeat = Some(wrong);
            assert_eq!(refusal(&key).field, "repeat");
        }
        let mut drag = fields("left_click_drag");
        drag.coordinate = Some([0, 0]);
        drag.text = Some("shift".to_owned());
        assert!(matches!(one(&drag), Action::With { .. }));
    }

    #[test]
    fn mistakes_say_what_to_send() {
        let explain = |fields: &AnthropicFields| refusal(fields).explanation();
        assert_eq!(refusal(&fields("mouse_move")).field, "coordinate");
        assert!(explain(&fields("tap")).contains("left_click"));
        let mut key = fields("key");
        key.text = Some("ctrl+Entr".to_owned());
        assert!(explain(&key).contains("\"enter\""), "{}", explain(&key));
        key.text = Some("CTRL+L".to_owned());
        assert_eq!(one(&key), Action::Key(parse("ctrl+l").expect("keys")));
        key.text = Some(String::new());
        assert_eq!(refusal(&key).message, "Missing \"text\" for key action.");
        let mut scroll = fields("scroll");
        assert_eq!(refusal(&scroll).field, "scroll_direction");
        scroll.scroll_direction = Some("down".to_owned());
        scroll.scroll_amount = Some(10_000);
        assert!(explain(&scroll).contains("at most 100"));
        let mut wait = fields("wait");
        for wrong in [-1.0, 301.0, f64::NAN, f64::INFINITY] {
            wait.duration = Some(wrong);
            assert!(explain(&wait).contains("0 to 300"));
        }
        let mut zoom = fields("zoom");
        zoom.region = Some([110, 20, 10, 70]);
        assert!(explain(&zoom).contains("x0 < x1"));
        let mut bell = fields("type");
        bell.text = Some("a\u{7}".to_owned());
        assert!(explain(&bell).contains("position 1"));
    }
}
