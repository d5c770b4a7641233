//! Wire types of the window routes, with their conversions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::error::ApiError,
    desktop::{
        geometry::{Point, Size},
        windows::{Frame, Verb, WindowId, WindowInfo, WindowState},
    },
};

/// Answer of `GET /api/v0/desktop/windows`.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowsBody {
    /// The topmost first.
    pub windows: Vec<WindowBody>,
}

/// A window. Title and class are the program's own words.
#[derive(Debug, Serialize, ToSchema)]
pub struct WindowBody {
    /// Id on the X server, for the other window routes; `xwininfo` prints it in hexadecimal.
    pub id: u32,
    /// Title, at most 1 KiB.
    pub title: String,
    /// Class of the program, as in `XTerm`.
    pub class: String,
    /// Name of this instance of it, as in `xterm`.
    pub instance: String,
    /// Process id, as the program says.
    pub pid: Option<u32>,
    /// Left edge in native pixels, without the frame.
    pub x: i32,
    /// Top edge in native pixels, without the frame.
    pub y: i32,
    /// Pixels across, without the frame.
    pub width: u32,
    /// Pixels down, without the frame.
    pub height: u32,
    /// What the window manager put around it.
    pub frame: FrameBody,
    /// Whether it has the keyboard.
    pub focused: bool,
    /// `minimized`, `maximized`, `maximized_horizontally`, `maximized_vertically`, `fullscreen`, `shaded`, `above`,
    /// `below`, `modal`, `urgent`.
    pub state: Vec<&'static str>,
}

/// Width of the frame on each side, in native pixels.
#[derive(Debug, Serialize, ToSchema)]
pub struct FrameBody {
    /// Left of the window.
    pub left: u32,
    /// Right of it.
    pub right: u32,
    /// Above it, with the title bar.
    pub top: u32,
    /// Below it.
    pub bottom: u32,
}

impl From<Frame> for FrameBody {
    fn from(frame: Frame) -> Self {
        Self {
            left: frame.left,
            right: frame.right,
            top: frame.top,
            bottom: frame.bottom,
        }
    }
}

impl From<WindowInfo> for WindowBody {
    fn from(window: WindowInfo) -> Self {
        Self {
            id: window.id.0,
            title: window.title,
            class: window.class,
            instance: window.instance,
            pid: window.pid,
            x: window.area.x,
            y: window.area.y,
            width: window.area.width,
            height: window.area.height,
            frame: window.frame.into(),
            focused: window.focused,
            state: window.states.into_iter().map(state_name).collect(),
        }
    }
}

fn state_name(state: WindowState) -> &'static str {
    match state {
        WindowState::Minimized => "minimized",
        WindowState::Maximized => "maximized",
        WindowState::MaximizedHorizontally => "maximized_horizontally",
        WindowState::MaximizedVertically => "maximized_vertically",
        WindowState::Fullscreen => "fullscreen",
        WindowState::Shaded => "shaded",
        WindowState::Above => "above",
        WindowState::Below => "below",
        WindowState::Modal => "modal",
        WindowState::Urgent => "urgent",
    }
}

/// The id in a path: decimal, or hexadecimal with `0x`.
pub fn window_id(text: &str) -> Result<WindowId, ApiError> {
    text.parse().map_err(|_| {
        let detail = "must be a window's id, decimal or hexadecimal with 0x";
        ApiError::invalid_field("The window's id is not as it should be.", "id", detail)
    })
}

/// Body of `POST …/windows/{id}/move`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct MoveBody {
    /// Left edge of the window in native pixels, without its frame.
    pub x: i64,
    /// Top edge of the window in native pixels, without its frame.
    pub y: i64,
}

impl MoveBody {
    /// What an X coordinate can be, or the field that is out of range.
    pub fn verb(&self) -> Result<Verb, ApiError> {
        let coordinate = |field, value: i64| {
            let fine = i16::try_from(value).map(i32::from);
            fine.map_err(|_| out_of_range(field, "must be -32768 to 32767"))
        };
        Ok(Verb::Move(Point {
            x: coordinate("x", self.x)?,
            y: coordinate("y", self.y)?,
        }))
    }
}

/// Body of `POST …/windows/{id}/resize`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct WindowSizeBody {
    /// Pixels across, without the frame.
    pub width: i64,
    /// Pixels down, without the frame.
    pub height: i64,
}

impl WindowSizeBody {
    /// What the side of an X window can be, or the field that is out of range.
    pub fn verb(&self) -> Result<Verb, ApiError> {
        let side = |field, value: i64| {
            let fine = i16::try_from(value)
                .ok()
                .and_then(|side| u32::try_from(side).ok());
            fine.filter(|side| *side > 0)
                .ok_or_else(|| out_of_range(field, "must be 1 to 32767"))
        };
        Ok(Verb::Resize(Size {
            width: side("width", self.width)?,
            height: side("height", self.height)?,
        }))
    }
}

fn out_of_range(field: &str, detail: &str) -> ApiError {
    ApiError::invalid_field(
        format!("The field \"{field}\" is out of range."),
        field,
        detail,
    )
}

/// Body of `POST …/windows/{id}/minimize` and `…/maximize`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct SwitchBody {
    /// True when absent; false undoes it.
    pub on: Option<bool>,
}
