//! Wire form of a wish for stillness and of its outcome, with their conversions.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    api::error::ApiError,
    desktop::{
        geometry::{Frame, Rect},
        settle::{Settle, Settled},
    },
};

/// Longest quiet time, in milliseconds.
const LONGEST_QUIET: i64 = 10_000;

/// Longest wait, in milliseconds.
const LONGEST_WAIT: i64 = 60_000;

/// The wait when none is named, in milliseconds.
const DEFAULT_WAIT: i64 = 5_000;

/// Places to ignore; each costs a look at every change.
const MOST_PLACES: usize = 32;

/// What a client asked for, its places in the declared frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleWish {
    quiet: Duration,
    timeout: Duration,
    ignore: Vec<Rect>,
}

impl SettleWish {
    /// From the parameters of a query; `None` when nothing was asked for.
    pub fn from_query(
        quiet: Option<i64>,
        timeout: Option<i64>,
        ignore: Option<&str>,
    ) -> Result<Option<Self>, ApiError> {
        let Some(quiet) = quiet else {
            if timeout.is_some() || ignore.is_some() {
                return Err(wrong(
                    "settle_ms",
                    "must be given with settle_timeout_ms and settle_ignore",
                ));
            }
            return Ok(None);
        };
        Ok(Some(Self {
            quiet: millis("settle_ms", quiet, LONGEST_QUIET)?,
            timeout: millis(
                "settle_timeout_ms",
                timeout.unwrap_or(DEFAULT_WAIT),
                LONGEST_WAIT,
            )?,
            ignore: ignore.map(parse_places).transpose()?.unwrap_or_default(),
        }))
    }

    /// Longest time that it takes.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The same in native pixels; places are cut to the frame.
    pub fn on(self, frame: Frame) -> Result<Settle, ApiError> {
        let outside = || {
            ApiError::bad_request("out_of_frame", "A place to ignore is outside of the frame.")
                .with_validation(
                    "settle_ignore".to_owned(),
                    "must be within the frame".to_owned(),
                )
        };
        let native = |place: Rect| frame.region_to_native(place).ok_or_else(outside);
        Ok(Settle {
            quiet: self.quiet,
            timeout: self.timeout,
            ignore: self
                .ignore
                .into_iter()
                .map(native)
                .collect::<Result<_, _>>()?,
        })
    }
}

fn wrong(field: &str, detail: &str) -> ApiError {
    let message = format!("The query parameter \"{field}\" is not as it should be.");
    ApiError::invalid_field(message, field, detail)
}

fn millis(field: &str, value: i64, most: i64) -> Result<Duration, ApiError> {
    let within = u64::try_from(value).ok().filter(|_| value <= most);
    within
        .map(Duration::from_millis)
        .ok_or_else(|| wrong(field, &format!("must be 0 to {most} ms")))
}

fn parse_places(text: &str) -> Result<Vec<Rect>, ApiError> {
    let places: Option<Vec<Rect>> = text.split(';').map(parse_rect).collect();
    places
        .filter(|places| places.len() <= MOST_PLACES)
        .ok_or_else(|| {
            let detail = format!(
                "must be x,y,w,h in pixels of the declared frame, w and h at least 1, several separated by \";\", \
                 at most {MOST_PLACES}"
            );
            wrong("settle_ignore", &detail)
        })
}

/// `x,y,w,h` in pixels; `None` when it is not of that form or empty.
pub(super) fn parse_rect(text: &str) -> Option<Rect> {
    let mut numbers = text.split(',').map(|part| part.trim().parse::<i32>().ok());
    let mut next = || numbers.next().flatten();
    let (x, y) = (next()?, next()?);
    let (width, height) = (u32::try_from(next()?).ok()?, u32::try_from(next()?).ok()?);
    let over = numbers.next().is_some();
    (width > 0 && height > 0 && !over).then_some(Rect {
        x,
        y,
        width,
        height,
    })
}

/// How a wait for stillness ended.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct SettledBody {
    /// The screen is at rest. False: the timeout ended the wait.
    pub still: bool,
    /// Milliseconds that were waited.
    pub waited_ms: u64,
}

impl SettledBody {
    /// For the header: `still` or `timeout`.
    pub fn word(self) -> &'static str {
        if self.still { "still" } else { "timeout" }
    }
}

impl From<Settled> for SettledBody {
    fn from(settled: Settled) -> Self {
        Self {
            still: settled.still,
            waited_ms: u64::try_from(settled.waited.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desktop::geometry::Size;

    fn frame() -> Frame {
        let native = Size {
            width: 1920,
            height: 1080,
        };
        Frame::new(960, 540, native)
    }

    #[test]
    fn places_become_native() {
        let wish = SettleWish::from_query(Some(200), None, Some("0,0,10,20; 950, 530,100,100"));
        let settle = wish
            .expect("it is well-formed")
            .expect("it was asked for")
            .on(frame())
            .expect("they touch the frame");
        let rect = |x, y, width, height| Rect {
            x,
            y,
            width,
            height,
        };
        assert_eq!(settle.quiet, Duration::from_millis(200));
        assert_eq!(settle.timeout, Duration::from_secs(5));
        assert_eq!(
            settle.ignore,
            [rect(0, 0, 20, 40), rect(1900, 1060, 20, 20)]
        );
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let many = vec!["1,1,1,1"; MOST_PLACES + 1].join(";");
        for (quiet, timeout, ignore) in [
            (Some(-1), None, None),
            (Some(10_001), None, None),
            (Some(1), Some(-1), None),
            (Some(1), Some(60_001), None),
            (Some(1), None, Some("")),
            (Some(1), None, Some("1,1,1,1;")),
            (Some(1), None, Some("1,1,0,1")),
            (Some(1), None, Some("1,1,1,1,1")),
            (Some(1), None, Some(many.as_str())),
            (None, Some(1), None),
            (None, None, Some("1,1,1,1")),
        ] {
            let wish = SettleWish::from_query(quiet, timeout, ignore);
            assert!(wish.is_err(), "{quiet:?} {timeout:?} {ignore:?}");
        }
        let outside = SettleWish::from_query(Some(1), None, Some("960,0,5,5"));
        let wish = outside.expect("it is well-formed").expect("asked for");
        assert!(wish.on(frame()).is_err());
    }
}
