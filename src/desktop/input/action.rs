//! What can be asked of input, and what comes back.

use std::time::Duration;

use super::InputError;
use crate::desktop::{
    geometry::Point,
    keys::{Combo, Keysym},
};

/// A button of the pointer. Wheels are buttons, one press a click (X11 convention).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each says what it is")]
pub enum Button {
    Left = 1,
    Middle = 2,
    Right = 3,
    WheelUp = 4,
    WheelDown = 5,
    WheelLeft = 6,
    WheelRight = 7,
    Back = 8,
    Forward = 9,
}

impl Button {
    /// Number in the X protocol.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// Word for people and programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Middle => "middle",
            Self::Right => "right",
            Self::WheelUp => "wheel_up",
            Self::WheelDown => "wheel_down",
            Self::WheelLeft => "wheel_left",
            Self::WheelRight => "wheel_right",
            Self::Back => "back",
            Self::Forward => "forward",
        }
    }
}

/// One step of input as people know it: no other action's come between its own. Points are in the
/// declared frame and are clamped to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Combinations down and up, one after the other.
    Key(Vec<Combo>),
    /// A text, exactly. Newlines are Return, tabs are Tab.
    Type(String),
    /// Where the pointer is.
    CursorPosition,
    /// Moves the pointer.
    Move(Point),
    /// Clicks, `count` times within the double-click time.
    Click {
        /// Where to, first; `None` clicks where the pointer is.
        at: Option<Point>,
        /// Which button.
        button: Button,
        /// 1 to 3 are useful.
        count: u8,
    },
    /// Down, through all points in steps, up at the last.
    Drag {
        /// Where it begins; `None` begins where the pointer is.
        from: Option<Point>,
        /// Points to pass; nothing happens when empty.
        path: Vec<Point>,
        /// Which button.
        button: Button,
    },
    /// Presses a button and keeps it down beyond this action, at most `max_hold` long.
    ButtonDown(Button),
    /// Releases a button, whoever pressed it.
    ButtonUp(Button),
    /// Turns the wheels, the vertical one first.
    Scroll {
        /// Where to move first.
        at: Option<Point>,
        /// Clicks to the right; negative to the left.
        right: i32,
        /// Clicks down; negative up.
        down: i32,
    },
    /// Does nothing for a time, and lets nobody else act meanwhile.
    Wait(Duration),
    /// Another action while keys are held.
    With {
        /// Held together, pressed before and released after.
        modifiers: Vec<Keysym>,
        /// What is done meanwhile.
        action: Box<Action>,
    },
    /// All keys down, a wait, all keys up.
    HoldKey {
        /// Held together.
        keys: Vec<Keysym>,
        /// How long.
        duration: Duration,
    },
    /// Presses keys and keeps them down beyond this action, at most `max_hold` long.
    KeyDown(Vec<Keysym>),
    /// Releases keys, whoever pressed them.
    KeyUp(Vec<Keysym>),
}

impl Action {
    /// The points that it names.
    pub fn points(&self) -> Vec<Point> {
        match self {
            Self::Move(to) => vec![*to],
            Self::Click { at, .. } | Self::Scroll { at, .. } => at.iter().copied().collect(),
            Self::Drag { from, path, .. } => from.iter().chain(path).copied().collect(),
            Self::With { action, .. } => action.points(),
            Self::Key(_)
            | Self::Type(_)
            | Self::CursorPosition
            | Self::ButtonDown(_)
            | Self::ButtonUp(_)
            | Self::HoldKey { .. }
            | Self::KeyDown(_)
            | Self::KeyUp(_)
            | Self::Wait(_) => Vec::new(),
        }
    }
}

/// One of several actions, and what it came to.
#[derive(Debug)]
pub struct Performed {
    /// As the action alone would give.
    pub result: Result<Outcome, InputError>,
    /// Time that it took.
    pub elapsed: Duration,
}

/// What an action came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is done: the display has taken every step.
    Done,
    /// The pointer, in the declared frame.
    Pointer(Point),
    /// The text is delivered.
    Typed(TextReport),
}

/// How a text was typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextReport {
    /// Characters that the display took; CR and LF together count as one.
    pub characters: usize,
    /// Of these, by keys of the layout.
    pub by_layout: usize,
    /// Of these, by temporary keys.
    pub by_temporary: usize,
    /// Times the keyboard map was changed for it.
    pub map_changes: usize,
    /// Modifiers that another device holds and that could not be released for the text.
    pub foreign_modifiers: bool,
}

/// Keys and buttons that are down, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// X keysym names.
    pub keys: Vec<String>,
    /// Names of [`Button`].
    pub buttons: Vec<String>,
}

impl Held {
    /// Nothing is down.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.buttons.is_empty()
    }
}

/// What is down: by our doing, and as the display sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeldReport {
    /// What we pressed and have not released.
    pub ours: Held,
    /// What the display reports, whoever pressed it.
    pub server: Held,
}
