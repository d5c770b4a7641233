//! Batches: deeds one after the other as one unit of input, then stillness, then a picture.
//!
//! ```text
//! checked against the frame -> unit of input taken -> deed, deed, … -> unit ended -> still, or timed out -> picture
//!         |                                             |
//!         +-- a point outside: nothing is done          +-- a failure: nothing is held; stop, or go on with the next
//! ```
//!
//! Input without anything else between is one order to the input thread, which gives each deed its own result and time.
//! The queue of input is held from the first deed to the last and no longer: while one client's screen comes to rest,
//! others may act. A batch of pictures alone holds nothing.

mod runner;

use std::{sync::Arc, time::Duration};

use super::{
    DesktopError,
    capture::CaptureError,
    clipboard::ClipboardError,
    geometry::{Frame, Point, Rect, Size},
    input::{Action, InputError, Outcome},
    picture::{MAX_SIDE, Picture, PictureRequest},
    settle::{Rest, Settled},
    windows::{WindowError, WindowId},
};

/// Deeds of one batch at most.
pub const MAX_DEEDS: usize = 200;

/// How long a program may take to fetch a text that is pasted.
pub const PASTE_LIMIT: Duration = Duration::from_secs(2);

/// The size that a client works in. A side that is not given follows the other and keeps the aspect; none means native.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Pixels across.
    pub width: Option<u32>,
    /// Pixels down.
    pub height: Option<u32>,
}

impl Declared {
    /// The frame on a screen of this size.
    pub fn frame(self, native: Size) -> Frame {
        Frame::keeping_aspect(self.width, self.height, MAX_SIDE, native)
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Input, with its points in the batch's frame.
    Input(Action),
    /// A picture of the screen as it is then.
    Picture(PictureRequest),
    /// A text through the clipboard and ctrl+v; what was in the clipboard is put back.
    Paste(String),
    /// Shows a window, raises it and gives it the keyboard.
    Focus(WindowId),
}

impl Deed {
    fn action(&self) -> Option<&Action> {
        match self {
            Self::Input(action) => Some(action),
            Self::Paste(_) | Self::Focus(_) | Self::Picture(_) => None,
        }
    }

    /// Whether it holds the queue of input.
    pub fn is_input(&self) -> bool {
        match self {
            Self::Input(_) | Self::Paste(_) | Self::Focus(_) => true,
            Self::Picture(_) => false,
        }
    }
}

/// What becomes of the rest after a deed that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// The rest is not done.
    #[default]
    Stop,
    /// The rest is done all the same.
    Continue,
}

/// What to do, in which frame, and what to answer with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The frame of all points and regions, except those of pictures that name a frame of their own.
    pub declared: Declared,
    /// In this order.
    pub deeds: Vec<Deed>,
    /// After a failure.
    pub on_error: OnError,
    /// What to wait for after the last deed.
    pub settle: Option<Rest>,
    /// The picture to answer with.
    pub picture: Option<PictureRequest>,
}

/// What a deed came to.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Input was taken by the display.
    Input(Outcome),
    /// A picture was taken.
    Picture(Arc<Picture>),
    /// So many characters were fetched by the program that has the keyboard.
    Pasted(usize),
    /// The window has the keyboard.
    Focused,
}

/// Why a deed was not done, or not in full.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeedError {
    /// The display did not take the input.
    #[error(transparent)]
    Input(#[from] InputError),
    /// There was no picture.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The clipboard did not take or give its text.
    #[error(transparent)]
    Clipboard(#[from] ClipboardError),
    /// The window did not get the keyboard.
    #[error(transparent)]
    Window(#[from] WindowError),
    /// Nobody fetched the text that was to be pasted.
    #[error(
        "no program fetched the text within {} ms: what has the keyboard does not paste on ctrl+v; type the text",
        PASTE_LIMIT.as_millis()
    )]
    NotPasted,
    /// One before it failed.
    #[error("an action before this one failed, so it was not run")]
    NotRun,
}

/// One deed's result.
#[derive(Debug)]
pub struct DeedReport {
    /// What it came to.
    pub result: Result<Effect, DeedError>,
    /// Time that it took, without the wait for the queue.
    pub elapsed: Duration,
}

/// What a batch came to.
#[derive(Debug)]
pub struct BatchReport {
    /// The frame that it was done in.
    pub frame: Frame,
    /// One a deed, in their order.
    pub results: Vec<DeedReport>,
    /// How the wait for stillness ended, when one was asked for.
    pub settled: Option<Result<Settled, CaptureError>>,
    /// The picture at the end, when one was asked for.
    pub picture: Option<Result<Arc<Picture>, CaptureError>>,
}

/// Which part of a batch names a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A deed, from 0.
    Deed(usize),
    /// The wait for stillness.
    Settle,
    /// The picture at the end.
    Picture,
}

/// Why nothing of a batch was done.
#[derive(Debug, thiserror::Error)]
pub enum BatchError {
    /// There is no desktop.
    #[error(transparent)]
    Desktop(#[from] DesktopError),
    /// The screen did not name its size.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The queue of input gave no turn.
    #[error(transparent)]
    Input(#[from] InputError),
    /// A point lies outside of the frame.
    #[error("({}, {}) is outside of the frame of {} x {} pixels", point.x, point.y, frame.width, frame.height)]
    PointOutside {
        /// Which deed names it, from 0.
        index: usize,
        /// The point.
        point: Point,
        /// The frame.
        frame: Size,
    },
    /// A region is empty or leaves the frame.
    #[error("the region {} x {} at ({}, {}) does not lie in the frame of {} x {} pixels",
        region.width, region.height, region.x, region.y, frame.width, frame.height)]
    RegionOutside {
        /// Who names it.
        by: By,
        /// The region.
        region: Rect,
        /// The frame.
        frame: Size,
    },
}

impl Batch {
    /// How long its waits and holds last together.
    pub fn waits(&self) -> Duration {
        let wait = |deed: &Deed| match deed {
            Deed::Input(Action::Wait(wait) | Action::HoldKey { duration: wait, .. }) => *wait,
            _ => Duration::ZERO,
        };
        self.deeds
            .iter()
            .map(wait)
            .fold(Duration::ZERO, Duration::saturating_add)
    }

    /// Finds the first point or region outside of its frame.
    fn check(&self, native: Size) -> Result<Frame, BatchError> {
        let frame = self.declared.frame(native);
        for (index, deed) in self.deeds.iter().enumerate() {
            match deed {
                Deed::Input(action) => {
                    let outside = action.points().into_iter().find(|p| !frame.contains(*p));
                    if let Some(point) = outside {
                        let frame = frame.declared();
                        return Err(BatchError::PointOutside {
                            index,
                            point,
                            frame,
                        });
                    }
                }
                Deed::Picture(request) => self.check_region(By::Deed(index), request, native)?,
                Deed::Paste(_) | Deed::Focus(_) => {}
            }
        }
        if let Some(request) = &self.picture {
            self.check_region(By::Picture, request, native)?;
        }
        let outside = |region| BatchError::RegionOutside {
            by: By::Settle,
            region,
            frame: frame.declared(),
        };
        if let Some(rest) = &self.settle {
            rest.on(frame).map_err(outside)?;
        }
        Ok(frame)
    }

    fn check_region(
        &self,
        by: By,
        request: &PictureRequest,
        native: Size,
    ) -> Result<(), BatchError> {
        let request = self.in_frame(request.clone());
        match request.region {
            Some(region) if request.layout(native).is_none() => Err(BatchError::RegionOutside {
                by,
                region,
                frame: request.frame(native).declared(),
            }),
            _ => Ok(()),
        }
    }

    /// A picture that names no frame has the batch's.
    fn in_frame(&self, mut request: PictureRequest) -> PictureRequest {
        if request.width.is_none() && request.height.is_none() {
            (request.width, request.height) = (self.declared.width, self.declared.height);
        }
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::input::Button;

    const NATIVE: Size = Size {
        width: 1920,
        height: 1080,
    };

    fn batch(deeds: Vec<Deed>) -> Batch {
        Batch {
            declared: Declared {
                width: Some(1280),
                height: None,
            },
            deeds,
            ..Batch::default()
        }
    }

    fn click(x: i32, y: i32) -> Deed {
        Deed::Input(Action::Click {
            at: Some(Point { x, y }),
            button: Button::Left,
            count: 1,
        })
    }

    fn region(x: i32, y: i32, width: u32, height: u32) -> PictureRequest {
        PictureRequest {
            region: Some(Rect {
                x,
                y,
                width,
                height,
            }),
            ..PictureRequest::default()
        }
    }

    #[test]
    fn points_are_held_to_the_frame_with_its_aspect() {
        let frame = batch(vec![click(1279, 719)]).check(NATIVE).expect("inside");
        assert_eq!(
            (frame.declared().width, frame.declared().height),
            (1280, 720)
        );
        for (x, y) in [(1280, 0), (0, 720), (-1, 0), (i32::MIN, i32::MAX)] {
            match batch(vec![click(0, 0), click(x, y)]).check(NATIVE) {
                Err(BatchError::PointOutside {
                    index: 1, point, ..
                }) => {
                    assert_eq!(point, Point { x, y });
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn regions_are_held_to_their_own_frame_or_the_batchs() {
        let inside = Deed::Picture(region(1180, 620, 100, 100));
        batch(vec![inside]).check(NATIVE).expect("inside");
        let own = PictureRequest {
            width: Some(1920),
            ..region(1800, 900, 100, 100)
        };
        batch(vec![Deed::Picture(own.clone())])
            .check(NATIVE)
            .expect("inside its own");
        let outside = batch(vec![Deed::Picture(region(1800, 900, 100, 100))]).check(NATIVE);
        assert!(matches!(
            outside,
            Err(BatchError::RegionOutside {
                by: By::Deed(0),
                ..
            })
        ));
        let mut last = batch(Vec::new());
        last.picture = Some(region(0, 0, 1281, 1));
        assert!(matches!(
            last.check(NATIVE),
            Err(BatchError::RegionOutside {
                by: By::Picture,
                ..
            })
        ));
    }
}
