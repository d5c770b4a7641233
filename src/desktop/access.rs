//! Pictures, input, clipboard and windows of whatever desktop runs: starts it when need be, and follows it over a
//! restart.

use std::{sync::Arc, time::Instant};

use super::{
    Desktop, DesktopError, Running,
    capture::CaptureError,
    clipboard::{ClipboardError, Content, Item, Kind, Selection},
    geometry::Size,
    input::{Action, HeldReport, InputError, Outcome},
    picture::{Answer, PictureRequest},
    settle::{Settle, Settled},
    windows::{Verb, WindowError, WindowId, WindowInfo},
};

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    /// There is no desktop.
    #[error(transparent)]
    Desktop(#[from] DesktopError),
    /// There is one, but it gave none.
    #[error(transparent)]
    Capture(#[from] CaptureError),
}

/// Why an action was not done.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// There is no desktop.
    #[error(transparent)]
    Desktop(#[from] DesktopError),
    /// There is one, but it did not take the action.
    #[error(transparent)]
    Input(#[from] InputError),
}

/// Why nothing was read from the clipboard or written to it.
#[derive(Debug, thiserror::Error)]
pub enum ShareError {
    /// There is no desktop.
    #[error(transparent)]
    Desktop(#[from] DesktopError),
    /// There is one, but its clipboard failed.
    #[error(transparent)]
    Clipboard(#[from] ClipboardError),
}

/// Why windows were not listed, or nothing became of what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// There is no desktop.
    #[error(transparent)]
    Desktop(#[from] DesktopError),
    /// There is one, but it did not do it.
    #[error(transparent)]
    Window(#[from] WindowError),
}

impl Desktop {
    /// A picture. One that breaks off with its desktop is taken from the next one, once: looking changes nothing.
    /// Dropping the future abandons the work.
    pub async fn picture(&self, request: PictureRequest) -> Result<Answer, PictureError> {
        let running = self.running().await?;
        match running.attached.screen.picture(request.clone()).await {
            Err(error) if error.is_final() => {
                let next = self.successor(&running).await?;
                Ok(next.attached.screen.picture(request).await?)
            }
            answer => Ok(answer?),
        }
    }

    /// Waits until the screen is at rest, as [`Screen::settle`](super::capture::Screen::settle) does. A desktop that
    /// dies meanwhile ends the wait: what the caller waited for is gone with it. Dropping the future abandons the wait.
    pub async fn settle(
        &self,
        settle: Settle,
        since: Option<Instant>,
    ) -> Result<Settled, PictureError> {
        let running = self.running().await?;
        Ok(running.attached.screen.settle(settle, since).await?)
    }

    /// The size of the screen, asked from its server. Follows a restart like [`Desktop::picture`].
    pub async fn native_size(&self) -> Result<Size, PictureError> {
        let running = self.running().await?;
        match running.attached.screen.native_size().await {
            Err(error) if error.is_final() => {
                let next = self.successor(&running).await?;
                Ok(next.attached.screen.native_size().await?)
            }
            size => Ok(size?),
        }
    }

    /// Changes the size of the screen; gives the one it then has.
    pub async fn resize(&self, size: Size) -> Result<Size, PictureError> {
        Ok(self.running().await?.attached.screen.resize(size).await?)
    }

    /// Performs one action. It is tried again on the next desktop only when this one took nothing of it. Stillness
    /// counts from its end. Dropping the future calls the action off.
    pub async fn perform(&self, action: Action, declared: (i64, i64)) -> Result<Outcome, ActError> {
        let running = self.running().await?;
        match running.attached.perform(action.clone(), declared).await {
            Err(InputError::Stopped) => {
                let next = self.successor(&running).await?;
                Ok(next.attached.perform(action, declared).await?)
            }
            outcome => Ok(outcome?),
        }
    }

    /// What is held.
    pub async fn held(&self) -> Result<HeldReport, ActError> {
        Ok(self.running().await?.attached.input.held().await?)
    }

    /// Calls the running action off and releases everything.
    pub async fn reset_input(&self) -> Result<HeldReport, ActError> {
        Ok(self.running().await?.attached.input.reset().await?)
    }

    /// What lies on a selection, in the first of these kinds that is there. Tried again on the next
    /// desktop when the display of this one took no connection, as are the next two.
    pub async fn copied(
        &self,
        selection: Selection,
        wanted: Vec<Kind>,
    ) -> Result<Item, ShareError> {
        let running = self.running().await?;
        let clipboard = &running.attached.clipboard;
        match clipboard.read_first(selection, wanted.clone()).await {
            Err(error) if error.is_unreachable() => {
                let next = self.successor(&running).await?;
                let clipboard = &next.attached.clipboard;
                Ok(clipboard.read_first(selection, wanted).await?)
            }
            done => Ok(done?),
        }
    }

    /// Puts something onto a selection.
    pub async fn copy(&self, selection: Selection, content: Content) -> Result<(), ShareError> {
        let running = self.running().await?;
        let clipboard = &running.attached.clipboard;
        match clipboard.write(selection, content.clone()).await {
            Err(error) if error.is_unreachable() => {
                let next = self.successor(&running).await?;
                Ok(next.attached.clipboard.write(selection, content).await?)
            }
            done => Ok(done?),
        }
    }

    /// All windows, the topmost first.
    pub async fn windows(&self) -> Result<Vec<WindowInfo>, ManageError> {
        let running = self.running().await?;
        match running.attached.windows.list().await {
            Err(error) if error.is_unreachable() => {
                let next = self.successor(&running).await?;
                Ok(next.attached.windows.list().await?)
            }
            done => Ok(done?),
        }
    }

    /// Does something with a window; gives the window as it is then, unless it is closed. Never on another desktop than
    /// the one that runs now: an id means another window there.
    pub async fn manage(
        &self,
        id: WindowId,
        verb: Verb,
    ) -> Result<Option<WindowInfo>, ManageError> {
        let running = self.running().await?;
        Ok(running.attached.windows.perform(id, verb).await?)
    }

    /// The desktop after one whose connections broke.
    pub(super) async fn successor(
        &self,
        broken: &Arc<Running>,
    ) -> Result<Arc<Running>, DesktopError> {
        let wait = self.wait;
        match tokio::time::timeout(wait, self.changed_from(broken)).await {
            Ok(Some(running)) => Ok(running),
            Ok(None) => Err(DesktopError::ShuttingDown),
            Err(_) => Err(DesktopError::TimedOut {
                waited: wait,
                source: None,
            }),
        }
    }
}
