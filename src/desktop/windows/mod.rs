//! The windows that the window manager manages (EWMH 1.5): a list, and what can be done with one.
//!
//! Each request is an errand on a connection of its own, so nothing is kept between two of them, and a window manager or
//! a program that hangs delays its own request alone. Verbs ask the window manager, as a taskbar does, and wait until the
//! effect shows, at most a second.

mod error;

use std::{
    fmt,
    str::FromStr,
    sync::Arc,
    time::{Duration, Instant},
};

pub use self::error::WindowError;
use super::{
    errand::{Errands, Turned},
    geometry::{Point, Rect, Size},
    x11::{Address, windows::Manager},
};

/// Names a window: its id on the X server, as `xwininfo` prints it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WindowId(pub u32);

impl fmt::Display for WindowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// Text that is no window's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is no number, decimal or with 0x")]
pub struct BadId;

impl FromStr for WindowId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let number = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
            Some(digits) => u32::from_str_radix(digits, 16),
            None => text.parse(),
        };
        // Rust's parser takes a plus sign.
        number
            .ok()
            .filter(|_| !text.contains('+'))
            .map(Self)
            .ok_or(BadId)
    }
}

/// How a window is shown (`_NET_WM_STATE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowState {
    /// Not on the screen.
    Minimized,
    /// In both directions.
    Maximized,
    /// In width alone.
    MaximizedHorizontally,
    /// In height alone.
    MaximizedVertically,
    /// Covers the screen, without a frame.
    Fullscreen,
    /// Only its title bar shows.
    Shaded,
    /// Stays above others.
    Above,
    /// Stays below others.
    Below,
    /// A dialog that wants an answer first.
    Modal,
    /// It asks for attention.
    Urgent,
}

/// Width of the frame on each side, in native pixels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Left of the window.
    pub left: u32,
    /// Right of it.
    pub right: u32,
    /// Above it, with the title bar.
    pub top: u32,
    /// Below it.
    pub bottom: u32,
}

/// A window as it was when asked. All texts are the program's own words: at most 1 KiB, any characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowInfo {
    /// Id.
    pub id: WindowId,
    /// Title; empty without one.
    pub title: String,
    /// Class of the program, as in `XTerm`.
    pub class: String,
    /// Name of this instance of it, as in `xterm`.
    pub instance: String,
    /// Process id, as the program says.
    pub pid: Option<u32>,
    /// Place and size in native pixels of the screen, without the frame.
    pub area: Rect,
    /// What the window manager put around it.
    pub frame: Frame,
    /// Whether it has the keyboard.
    pub focused: bool,
    /// How it is shown.
    pub states: Vec<WindowState>,
}

/// What can be done with a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Shows it, raises it and gives it the keyboard.
    Focus,
    /// Asks its program to close it; the program may ask back.
    Close,
    /// Puts the top left corner of its area there, in native pixels.
    Move(Point),
    /// Gives its area that size, as far as the program takes such sizes.
    Resize(Size),
    /// Takes it off the screen; or, `false`, shows it and gives it the keyboard.
    Minimize(bool),
    /// Lets it fill the screen in both directions, or not.
    Maximize(bool),
}

impl Verb {
    /// `focus`, `close`, `move`, `resize`, `minimize` or `maximize`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Focus => "focus",
            Self::Close => "close",
            Self::Move(_) => "move",
            Self::Resize(_) => "resize",
            Self::Minimize(_) => "minimize",
            Self::Maximize(_) => "maximize",
        }
    }
}

/// Handle on the windows of one display. Holds no connection.
#[derive(Clone, Debug)]
pub struct Windows {
    address: Address,
    errands: Errands,
    /// Waits, which must not hold up requests.
    waits: Errands,
}

/// One look for a window lasts so long; then whoever waits is looked for, too.
const LOOK: Duration = Duration::from_secs(1);

impl Windows {
    /// Of the display at this address. Each request connects.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            errands: Errands::new("windows"),
            waits: Errands::new("window-waits"),
        }
    }

    /// All windows, the topmost first.
    pub async fn list(&self) -> Result<Vec<WindowInfo>, WindowError> {
        self.errand(Manager::list).await
    }

    /// Does something with a window, and gives the window as it is then: `None` once it is closed. Dropping the future
    /// abandons the wait, not the deed.
    pub async fn perform(
        &self,
        id: WindowId,
        verb: Verb,
    ) -> Result<Option<WindowInfo>, WindowError> {
        self.errand(move |manager| manager.perform(id, verb)).await
    }

    /// [`Verb::Focus`].
    pub async fn focus(&self, id: WindowId) -> Result<WindowInfo, WindowError> {
        self.shown(id, Verb::Focus).await
    }

    /// [`Verb::Close`].
    pub async fn close(&self, id: WindowId) -> Result<(), WindowError> {
        self.perform(id, Verb::Close).await.map(drop)
    }

    /// [`Verb::Move`].
    pub async fn move_to(&self, id: WindowId, to: Point) -> Result<WindowInfo, WindowError> {
        self.shown(id, Verb::Move(to)).await
    }

    /// [`Verb::Resize`].
    pub async fn resize(&self, id: WindowId, size: Size) -> Result<WindowInfo, WindowError> {
        self.shown(id, Verb::Resize(size)).await
    }

    /// [`Verb::Minimize`].
    pub async fn minimize(&self, id: WindowId, on: bool) -> Result<WindowInfo, WindowError> {
        self.shown(id, Verb::Minimize(on)).await
    }

    /// [`Verb::Maximize`].
    pub async fn maximize(&self, id: WindowId, on: bool) -> Result<WindowInfo, WindowError> {
        self.shown(id, Verb::Maximize(on)).await
    }

    /// Waits until a window is listed that this is true of, at most until then. Told by the window manager, not asked again and
    /// again. Dropping the future ends the wait within a second.
    pub async fn wait_for(
        &self,
        is: impl Fn(&WindowInfo) -> bool + Clone + Send + 'static,
        until: Instant,
    ) -> Result<Option<WindowInfo>, WindowError> {
        loop {
            let look = until.min(Instant::now() + LOOK);
            let is = is.clone();
            let found = Self::run(&self.waits, &self.address, move |manager| {
                manager.wait_for(&is, look)
            });
            if let Some(window) = found.await? {
                return Ok(Some(window));
            }
            if Instant::now() >= until {
                return Ok(None);
            }
        }
    }

    async fn shown(&self, id: WindowId, verb: Verb) -> Result<WindowInfo, WindowError> {
        let window = self.perform(id, verb).await?;
        window.ok_or(WindowError::NoSuchWindow(id))
    }

    async fn errand<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Manager) -> Result<T, WindowError> + Send + 'static,
    ) -> Result<T, WindowError> {
        Self::run(&self.errands, &self.address, work).await
    }

    async fn run<T: Send + 'static>(
        errands: &Errands,
        address: &Address,
        work: impl FnOnce(&Manager) -> Result<T, WindowError> + Send + 'static,
    ) -> Result<T, WindowError> {
        let address = address.clone();
        let errand = move || work(&Manager::open(&address)?);
        match errands.run(errand).await {
            Ok(done) => done,
            Err(Turned::Away) => Err(WindowError::Busy),
            Err(Turned::Failed(source)) => Err(WindowError::Refused {
                operation: "a thread",
                source: Arc::new(source),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = WindowId(0x0120_000a);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("18874378".parse(), Ok(id));
        for text in ["", "0x", "x", "-1", "+1", "0x+1", "1.5", "4294967296", " 1"] {
            assert_eq!(text.parse::<WindowId>(), Err(BadId), "{text:?}");
        }
    }
}
