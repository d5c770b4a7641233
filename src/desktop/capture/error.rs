//! Why there is no picture.

use crate::desktop::{
    encode::{Cause, EncodeError},
    geometry::{Rect, Size},
};

/// Why there is no picture. Cheap to clone: many may wait for the same one.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CaptureError {
    /// The connection to the screen broke; this capture gives no more pictures.
    #[error("the connection to the screen is lost")]
    ConnectionLost {
        /// What broke it.
        source: Cause,
    },
    /// The capture was ended, with its handles or by a fault of its own.
    #[error("the capture has ended")]
    Ended,
    /// Too many requests wait already; try again.
    #[error("too many requests for pictures are waiting")]
    Busy,
    /// The region is empty or leaves the declared frame.
    #[error("the region {region:?} does not lie in the frame of {} x {} pixels", frame.width, frame.height)]
    BadRegion {
        /// Region that was asked for.
        region: Rect,
        /// The declared frame.
        frame: Size,
    },
    /// No picture keeps to the limit.
    #[error("no picture fits into {max_bytes} bytes")]
    CannotFit {
        /// The limit.
        max_bytes: usize,
    },
    /// The encoder failed.
    #[error("failed to encode the picture")]
    Encode {
        /// What it said.
        source: Cause,
    },
    /// The screen's server refused a request.
    #[error("the display server failed to {operation}")]
    Server {
        /// What it was asked to do.
        operation: &'static str,
        /// What it said.
        source: Cause,
    },
    /// The screen is not one this capture can read.
    #[error("the screen cannot be captured: {0}")]
    Unsupported(String),
    /// Nobody tells what changes on this screen.
    #[error("this desktop does not report what changes on it, so nobody knows when it is at rest")]
    SettleUnsupported,
    /// The screen did not take the size.
    #[error("the screen is {} x {} pixels and did not become {} x {}", is.width, is.height, wanted.width, wanted.height)]
    Resize {
        /// Size that was asked for.
        wanted: Size,
        /// Size it has.
        is: Size,
    },
}

impl CaptureError {
    /// Whether no later request can succeed.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::ConnectionLost { .. } | Self::Ended)
    }
}

impl From<EncodeError> for CaptureError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::CannotFit { max_bytes, .. } => Self::CannotFit { max_bytes },
            error => Self::Encode {
                source: std::sync::Arc::new(error),
            },
        }
    }
}
