//! Wire types of the desktop routes, with their conversions.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::error::ApiError,
    desktop::{
        geometry::{SIDE_RANGE, Size},
        input::{Held, HeldReport},
        picture::{Format, Picture, PictureRequest},
        settle::Rest,
        viewers::ViewerInfo,
        vocabulary::coder::CoderFields,
    },
};

use super::settle::{self, SettledBody, parse_rect};

/// JPEG quality when the query names none.
const DEFAULT_QUALITY: u8 = 80;

/// Body of `GET /api/v0/desktop` and of the routes that change its state.
#[derive(Debug, Serialize, ToSchema)]
pub struct DesktopBody {
    /// `stopped`, `starting`, `running`, `failed` or `stopping`.
    pub state: &'static str,
    /// What runs it: `xvnc`, `portabledesktop` or `host`.
    pub provider: Option<&'static str>,
    /// X display, as in `:7`.
    pub display: Option<String>,
    /// File for `XAUTHORITY`.
    pub xauthority: Option<String>,
    /// Native width in pixels, as the X server says.
    pub width: Option<u32>,
    /// Native height in pixels, as the X server says.
    pub height: Option<u32>,
    /// Process id of the X server.
    pub pid: Option<i32>,
    /// Milliseconds since it runs.
    pub uptime_ms: Option<u64>,
    /// Restarts after a crash since the daemon started.
    pub restarts: u64,
    /// The last failure, with the end of the child's log.
    pub last_error: Option<LastErrorBody>,
    /// Who watches.
    pub viewers: Vec<ViewerBody>,
    /// Whether a key or button is held by a request of ours.
    pub input_held: bool,
    /// Whether who asks may send input: without `desktop:control` a viewer only looks.
    pub may_control: bool,
}

/// The last failure of the desktop.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastErrorBody {
    /// What failed.
    pub message: String,
    /// The last lines of the log of the program that failed.
    pub log_tail: Vec<String>,
}

/// One viewer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ViewerBody {
    /// Id, unique in this daemon's life.
    pub id: String,
    /// Address, or `unix`.
    pub peer: String,
    /// The chat for which it looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chat_id: Option<String>,
    /// Whether its input is dropped.
    pub view_only: bool,
    /// Milliseconds since it came.
    pub connected_ms: u64,
    /// Bytes sent to it.
    pub bytes_to_viewer: u64,
    /// Bytes received from it.
    pub bytes_to_server: u64,
}

impl From<ViewerInfo> for ViewerBody {
    fn from(viewer: ViewerInfo) -> Self {
        let connected = viewer.connected_at.elapsed().unwrap_or_default();
        Self {
            id: viewer.id.to_string(),
            peer: viewer.peer,
            chat_id: viewer.chat.map(|chat| chat.to_string()),
            view_only: viewer.view_only,
            connected_ms: u64::try_from(connected.as_millis()).unwrap_or(u64::MAX),
            bytes_to_viewer: viewer.bytes_to_viewer,
            bytes_to_server: viewer.bytes_to_server,
        }
    }
}

/// Body of `POST /api/v0/desktop/resize`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ResizeBody {
    /// Pixels across, 320 to 7680.
    pub width: i64,
    /// Pixels down, 320 to 7680.
    pub height: i64,
}

impl ResizeBody {
    /// Sizes within the range, or the field that is not.
    pub fn size(&self) -> Result<Size, ApiError> {
        let side = |field, value: i64| {
            u32::try_from(value)
                .ok()
                .filter(|v| SIDE_RANGE.contains(v))
                .ok_or_else(|| {
                    let detail = format!("must be {} to {}", SIDE_RANGE.start(), SIDE_RANGE.end());
                    ApiError::invalid_field("The size is out of range.", field, detail)
                })
        };
        Ok(Size {
            width: side("width", self.width)?,
            height: side("height", self.height)?,
        })
    }
}

/// Body of `POST /api/v0/desktop/action`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct ActionBody {
    /// Name of the action, as in `left_click`.
    #[serde(default)]
    pub action: String,
    /// Point in the declared frame.
    pub coordinate: Option<[i64; 2]>,
    /// Where a drag starts.
    pub start_coordinate: Option<[i64; 2]>,
    /// Text or key names.
    pub text: Option<String>,
    /// Milliseconds, for `hold_key`; 1000 when absent.
    pub duration: Option<i64>,
    /// Wheel clicks; 3 when absent, negative inverts.
    pub scroll_amount: Option<i64>,
    /// `up`, `down`, `left` or `right`; `down` when absent.
    pub scroll_direction: Option<String>,
    /// Width of the frame that the points are in; native when absent or not positive.
    pub scaled_width: Option<i64>,
    /// Height of the frame that the points are in; native when absent or not positive.
    pub scaled_height: Option<i64>,
}

impl From<ActionBody> for CoderFields {
    fn from(body: ActionBody) -> Self {
        Self {
            action: body.action,
            coordinate: body.coordinate,
            start_coordinate: body.start_coordinate,
            text: body.text,
            duration: body.duration,
            scroll_amount: body.scroll_amount,
            scroll_direction: body.scroll_direction,
            scaled_width: body.scaled_width,
            scaled_height: body.scaled_height,
        }
    }
}

/// Answer of `POST /api/v0/desktop/action`; empty fields are left out.
#[derive(Debug, Serialize, ToSchema)]
pub struct ActionAnswer {
    /// What was done, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// PNG in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub screenshot_data: String,
    /// Width of the picture, which is the declared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screenshot_width: Option<u32>,
    /// Height of the picture, which is the declared one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screenshot_height: Option<u32>,
}

/// Query of `GET /api/v0/desktop/screenshot`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ScreenshotQuery {
    /// `png` (default), `jpeg` or `webp`.
    #[param(pattern = "^(png|jpeg|webp)$")]
    pub format: Option<String>,
    /// JPEG quality, 1 to 100; 80 when absent.
    #[param(minimum = 1, maximum = 100)]
    pub quality: Option<i64>,
    /// Width of the answer, which is the declared frame; one side alone keeps the aspect.
    #[param(minimum = 1, maximum = 7680)]
    pub width: Option<i64>,
    /// Height of the answer, which is the declared frame; one side alone keeps the aspect.
    #[param(minimum = 1, maximum = 7680)]
    pub height: Option<i64>,
    /// `x,y,w,h` in the declared frame.
    pub region: Option<String>,
    /// Whether the region fills the declared size.
    pub zoom: Option<bool>,
    /// Whether the real cursor is drawn; true when absent.
    pub cursor: Option<bool>,
    /// Most bytes of the answer; quality, then size are lowered until it fits.
    #[param(minimum = 1)]
    pub max_bytes: Option<u64>,
    /// The picture is taken when nothing has changed for so many milliseconds, or at the timeout.
    #[param(minimum = 0, maximum = 10_000)]
    pub settle_ms: Option<i64>,
    /// Longest wait for that in milliseconds; 5000 when absent.
    #[param(minimum = 0, maximum = 60_000)]
    pub settle_timeout_ms: Option<i64>,
    /// Places whose changes do not count: `x,y,w,h` in the declared frame, several separated by `;`.
    pub settle_ignore: Option<String>,
}

/// Largest side of a picture in pixels.
const MAX_SIDE: i64 = 7680;

impl ScreenshotQuery {
    /// The request that the query stands for, or the parameter that is wrong.
    pub fn request(&self, if_none_match: Option<String>) -> Result<PictureRequest, ApiError> {
        let wrong = |field: &str, detail: &str| {
            let message = format!("The parameter \"{field}\" is not as it should be.");
            ApiError::invalid_field(message, field, detail)
        };
        let side = |field, value: Option<i64>| match value {
            None => Ok(None),
            Some(v @ 1..=MAX_SIDE) => Ok(u32::try_from(v).ok()),
            Some(_) => Err(wrong(field, "must be 1 to 7680 pixels")),
        };
        let format = match self.format.as_deref() {
            None | Some("png") => Format::Png,
            Some("jpeg" | "jpg") => Format::Jpeg,
            Some("webp") => Format::WebP,
            Some(_) => return Err(wrong("format", "must be png, jpeg or webp")),
        };
        let quality = match self.quality {
            None => DEFAULT_QUALITY,
            Some(value) => u8::try_from(value)
                .ok()
                .filter(|value| (1..=100).contains(value))
                .ok_or_else(|| wrong("quality", "must be 1 to 100"))?,
        };
        let region = self.region.as_deref().map(|text| {
            parse_rect(text).ok_or_else(|| {
                wrong(
                    "region",
                    "must be x,y,w,h in pixels of the declared frame, w and h at least 1",
                )
            })
        });
        let max_bytes = match self.max_bytes {
            Some(0) => return Err(wrong("max_bytes", "must be at least 1")),
            other => other.map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
        };
        Ok(PictureRequest {
            format,
            quality,
            width: side("width", self.width)?,
            height: side("height", self.height)?,
            region: region.transpose()?,
            zoom: self.zoom.unwrap_or(false),
            cursor: self.cursor.unwrap_or(true),
            max_bytes,
            if_none_match,
        })
    }

    /// The stillness that the picture waits for, or the parameter that is wrong.
    pub fn settle(&self) -> Result<Option<Rest>, ApiError> {
        let ignore = self.settle_ignore.as_deref();
        settle::from_query(self.settle_ms, self.settle_timeout_ms, ignore)
    }
}

/// JSON form of a picture.
#[derive(Debug, Serialize, ToSchema)]
pub struct PictureBody {
    /// The picture in base64.
    pub data: String,
    /// Media type, as in `image/png`.
    pub media_type: &'static str,
    /// Width of the picture in pixels.
    pub width: u32,
    /// Height of the picture in pixels.
    pub height: u32,
    /// Width of the desktop in pixels.
    pub native_width: u32,
    /// Height of the desktop in pixels.
    pub native_height: u32,
    /// Pointer in native pixels.
    pub cursor: Option<PointBody>,
    /// What was lowered for `max_bytes`.
    pub reduced: Option<String>,
    /// How the wait for stillness ended, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<SettledBody>,
}

/// A picture in base64.
pub fn encoded(picture: &Picture) -> String {
    STANDARD.encode(&picture.bytes)
}

impl PictureBody {
    /// The JSON form.
    pub fn new(picture: &Picture) -> Self {
        Self {
            data: encoded(picture),
            media_type: picture.format.media_type(),
            width: picture.size.width,
            height: picture.size.height,
            native_width: picture.native.width,
            native_height: picture.native.height,
            cursor: picture.cursor.map(|at| PointBody { x: at.x, y: at.y }),
            reduced: picture.reduced.clone(),
            settled: None,
        }
    }
}

/// A point in pixels.
#[derive(Debug, Serialize, ToSchema)]
pub struct PointBody {
    /// From the left edge.
    pub x: i32,
    /// From the top edge.
    pub y: i32,
}

/// Answer of `GET /api/v0/desktop/input` and of the reset.
#[derive(Debug, Serialize, ToSchema)]
pub struct InputBody {
    /// What requests of ours hold.
    pub held: HeldBody,
    /// What the X server reports as down.
    pub server: HeldBody,
}

/// Keys and buttons that are down.
#[derive(Debug, Serialize, ToSchema)]
pub struct HeldBody {
    /// Key names.
    pub keys: Vec<String>,
    /// Buttons by name, as in `left`.
    pub buttons: Vec<String>,
}

impl From<HeldReport> for InputBody {
    fn from(report: HeldReport) -> Self {
        Self {
            held: report.ours.into(),
            server: report.server.into(),
        }
    }
}

impl From<Held> for HeldBody {
    fn from(held: Held) -> Self {
        Self {
            keys: held.keys,
            buttons: held.buttons,
        }
    }
}
