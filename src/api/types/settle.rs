//! Wire form of a wish for stillness and of its outcome, with their conversions.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    api::error::ApiError,
    desktop::{
        geometry::{Frame, Rect},
        settle::{Rest, Settle, Settled},
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

/// From the parameters of a query; `None` when nothing was asked for.
pub fn from_query(
    quiet: Option<i64>,
    timeout: Option<i64>,
    ignore: Option<&str>,
) -> Result<Option<Rest>, ApiError> {
    let Some(quiet) = quiet else {
        if timeout.is_some() || ignore.is_some() {
            return Err(wrong(
                "settle_ms",
                "must be given with settle_timeout_ms and settle_ignore",
            ));
        }
        return Ok(None);
    };
    Ok(Some(Rest {
        quiet: millis("settle_ms", quiet, LONGEST_QUIET)?,
        timeout: millis(
            "settle_timeout_ms",
            timeout.unwrap_or(DEFAULT_WAIT),
            LONGEST_WAIT,
        )?,
        ignore: ignore.map(parse_places).transpose()?.unwrap_or_default(),
    }))
}

/// A wish on a screen; 400 for a place outside.
pub fn on(rest: &Rest, frame: Frame) -> Result<Settle, ApiError> {
    rest.on(frame).map_err(|_| {
        ApiError::bad_request("out_of_frame", "A place to ignore is outside of the frame.")
            .with_validation(
                "settle_ignore".to_owned(),
                "must be within the frame".to_owned(),
            )
    })
}

/// The wish of a batch.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct SettleBody {
    /// The screen is at rest when nothing has changed for so many milliseconds, 0 to 10 000.
    pub quiet_ms: i64,
    /// Longest wait for that in milliseconds, 0 to 60 000; 5000 when absent.
    pub timeout_ms: Option<i64>,
    /// Places whose changes do not count: `[x, y, width, height]` in the declared frame, at most 32.
    #[serde(default)]
    pub ignore: Vec<[i32; 4]>,
}

impl SettleBody {
    /// The wish, or the field that is wrong.
    pub fn rest(&self) -> Result<Rest, ApiError> {
        let place = |[x, y, width, height]: &[i32; 4]| {
            let side = |side: &i32| u32::try_from(*side).ok().filter(|side| *side > 0);
            Some(Rect {
                x: *x,
                y: *y,
                width: side(width)?,
                height: side(height)?,
            })
        };
        let places: Option<Vec<Rect>> = self.ignore.iter().map(place).collect();
        let places = places.filter(|places| places.len() <= MOST_PLACES);
        let detail =
            format!("must be at most {MOST_PLACES} of [x, y, width, height], none of them empty");
        Ok(Rest {
            quiet: millis("settle.quiet_ms", self.quiet_ms, LONGEST_QUIET)?,
            timeout: millis(
                "settle.timeout_ms",
                self.timeout_ms.unwrap_or(DEFAULT_WAIT),
                LONGEST_WAIT,
            )?,
            ignore: places.ok_or_else(|| wrong("settle.ignore", &detail))?,
        })
    }
}

fn wrong(field: &str, detail: &str) -> ApiError {
    let message = format!("The parameter \"{field}\" is not as it should be.");
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
        let wish = from_query(Some(200), None, Some("0,0,10,20; 950, 530,100,100"));
        let rest = wish.expect("it is well-formed").expect("asked for");
        let settle = on(&rest, frame()).expect("they touch the frame");
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
            let wish = from_query(quiet, timeout, ignore);
            assert!(wish.is_err(), "{quiet:?} {timeout:?} {ignore:?}");
        }
        let outside = from_query(Some(1), None, Some("960,0,5,5"));
        let wish = outside.expect("it is well-formed").expect("asked for");
        assert!(on(&wish, frame()).is_err());
    }
}
