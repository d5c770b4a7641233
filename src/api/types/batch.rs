//! Wire types of `POST /api/v0/desktop/actions`, with their conversions.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    desktop::{PictureBody, ScreenshotQuery},
    settle::{SettleBody, SettledBody},
};
use crate::{
    api::error::{ApiError, ErrorBody},
    desktop::{
        batch::{Batch, BatchReport, Declared, Deed, DeedReport, Effect, MAX_DEEDS, OnError},
        input::{Outcome, TextReport},
        picture::PictureRequest,
        vocabulary::{
            check::BadAction,
            neutral::{self, NeutralFields},
        },
    },
};

/// Body of `POST /api/v0/desktop/actions`.
#[derive(Debug, Deserialize, ToSchema)]
pub struct BatchBody {
    /// Width of the frame that all points are in, 1 to 7680; one side alone keeps the aspect, none is native.
    pub width: Option<i64>,
    /// Height of the frame that all points are in, 1 to 7680.
    pub height: Option<i64>,
    /// At most 200, run in order, with nobody else's input between them.
    #[schema(max_items = 200)]
    pub actions: Vec<StepBody>,
    /// `stop` (default) or `continue`: what becomes of the rest after an action that failed.
    pub on_error: Option<String>,
    /// Waits after the last action until the screen is at rest.
    pub settle: Option<SettleBody>,
    /// The picture to answer with; `true` for one with all defaults.
    pub screenshot: Option<ScreenshotWish>,
}

/// One action of a batch.
#[derive(Debug, Deserialize, ToSchema)]
pub struct StepBody {
    /// Name of the action, as in `left_click`.
    #[serde(default)]
    pub action: String,
    /// Point in the declared frame; clicks and scrolls without one act at the pointer.
    pub coordinate: Option<[i64; 2]>,
    /// Where `left_click_drag` starts; at the pointer when absent.
    pub start_coordinate: Option<[i64; 2]>,
    /// Points that `drag` passes, the first where it presses.
    pub path: Option<Vec<[i64; 2]>>,
    /// Text to type or paste, or key names.
    pub text: Option<String>,
    /// Milliseconds, for `hold_key` (1000 when absent) and `wait`.
    pub duration: Option<i64>,
    /// Wheel clicks; 3 when absent, negative inverts.
    pub scroll_amount: Option<i64>,
    /// `up`, `down`, `left` or `right`; `down` when absent.
    pub scroll_direction: Option<String>,
    /// Wheel clicks to the right; instead of direction and amount.
    pub scroll_x: Option<i64>,
    /// Wheel clicks down; instead of direction and amount.
    pub scroll_y: Option<i64>,
    /// Id of the window for `focus_window`, as `GET /api/v0/desktop/windows` gives it.
    pub window: Option<WindowName>,
    /// Names of keys that are held during a click, move, drag or scroll.
    #[serde(default)]
    pub modifiers: Vec<String>,
    /// How `screenshot` and `zoom` are wanted.
    #[serde(flatten)]
    pub picture: PictureWish,
}

/// Options of a picture, as in the query of `GET /api/v0/desktop/screenshot`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct PictureWish {
    /// `png` (default), `jpeg` or `webp`.
    pub format: Option<String>,
    /// JPEG quality, 1 to 100; 80 when absent.
    pub quality: Option<i64>,
    /// Width of a frame of its own; the batch's when absent.
    pub width: Option<i64>,
    /// Height of a frame of its own; the batch's when absent.
    pub height: Option<i64>,
    /// Part of the declared frame: `[x, y, width, height]`.
    pub region: Option<[i64; 4]>,
    /// Whether the region fills the declared size.
    pub zoom: Option<bool>,
    /// Whether the real cursor is drawn; true when absent.
    pub cursor: Option<bool>,
    /// Most bytes of the picture.
    pub max_bytes: Option<u64>,
}

/// A window's id, as a number or as text.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum WindowName {
    /// As in `41943043`.
    Number(u32),
    /// As in `0x2800003`.
    Text(String),
}

impl WindowName {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// `true`, or options.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum ScreenshotWish {
    /// Whether there is to be one, with all defaults.
    Plain(bool),
    /// How it is wanted.
    Options(Box<PictureWish>),
}

impl PictureWish {
    fn request(&self) -> Result<PictureRequest, ApiError> {
        let region = self.region.map(|numbers| {
            let numbers = numbers.map(|n| n.to_string());
            numbers.join(",")
        });
        let query = ScreenshotQuery {
            format: self.format.clone(),
            quality: self.quality,
            width: self.width,
            height: self.height,
            region,
            zoom: self.zoom,
            cursor: self.cursor,
            max_bytes: self.max_bytes,
            ..ScreenshotQuery::default()
        };
        query.request(None)
    }
}

impl BatchBody {
    /// The batch that the body stands for, or the field that is wrong. Nothing of it was done.
    pub fn batch(&self) -> Result<Batch, ApiError> {
        if self.actions.len() > MAX_DEEDS {
            let detail = format!("there are {}, at most {MAX_DEEDS} run", self.actions.len());
            return Err(ApiError::invalid_field(
                "Too many actions.",
                "actions",
                detail,
            ));
        }
        let steps = self.actions.iter().enumerate();
        let deeds = steps.map(|(index, step)| step.deed(index));
        let batch = Batch {
            declared: declared(self.width, self.height)?,
            deeds: deeds.collect::<Result<_, _>>()?,
            on_error: self.on_error()?,
            settle: self.settle.as_ref().map(SettleBody::rest).transpose()?,
            picture: self.picture()?,
        };
        let waits = batch.waits();
        if waits > neutral::MAX_WAITS {
            let detail = format!(
                "its waits and holds last {} s together, at most {} s",
                waits.as_secs(),
                neutral::MAX_WAITS.as_secs()
            );
            return Err(ApiError::invalid_field(
                "The batch waits too long.",
                "actions",
                detail,
            ));
        }
        Ok(batch)
    }

    fn on_error(&self) -> Result<OnError, ApiError> {
        match self.on_error.as_deref() {
            None | Some("stop") => Ok(OnError::Stop),
            Some("continue") => Ok(OnError::Continue),
            Some(_) => Err(ApiError::invalid_field(
                "The field \"on_error\" is not as it should be.",
                "on_error",
                "must be stop or continue",
            )),
        }
    }

    fn picture(&self) -> Result<Option<PictureRequest>, ApiError> {
        match &self.screenshot {
            None | Some(ScreenshotWish::Plain(false)) => Ok(None),
            Some(ScreenshotWish::Plain(true)) => Ok(Some(PictureRequest::default())),
            Some(ScreenshotWish::Options(wish)) => {
                let request = wish.request().map_err(|error| error.within("screenshot."));
                request.map(Some)
            }
        }
    }
}

impl StepBody {
    fn deed(&self, index: usize) -> Result<Deed, ApiError> {
        let within = |error: ApiError| error.within(&format!("actions[{index}]."));
        let fields = NeutralFields {
            action: self.action.clone(),
            coordinate: self.coordinate,
            start_coordinate: self.start_coordinate,
            path: self.path.clone(),
            text: self.text.clone(),
            duration: self.duration,
            scroll_amount: self.scroll_amount,
            scroll_direction: self.scroll_direction.clone(),
            scroll_x: self.scroll_x,
            scroll_y: self.scroll_y,
            window: self.window.as_ref().map(WindowName::text),
            modifiers: self.modifiers.clone(),
            picture: self.picture.request().map_err(within)?,
        };
        neutral::deed(&fields).map_err(|bad: BadAction| within(bad.into()))
    }
}

/// A declared frame, or the side that is out of range.
pub fn declared(width: Option<i64>, height: Option<i64>) -> Result<Declared, ApiError> {
    let query = ScreenshotQuery {
        width,
        height,
        ..ScreenshotQuery::default()
    };
    let PictureRequest { width, height, .. } = query.request(None)?;
    Ok(Declared { width, height })
}

/// Answer of `POST /api/v0/desktop/actions`.
#[derive(Debug, Serialize, ToSchema)]
pub struct BatchAnswer {
    /// Whether every action was done, and what was asked for at the end came about.
    pub ok: bool,
    /// Width of the frame that the points were in.
    pub width: u32,
    /// Height of the frame that the points were in.
    pub height: u32,
    /// One an action, in their order.
    pub results: Vec<StepAnswer>,
    /// How the wait for stillness ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settled: Option<SettledBody>,
    /// Why nobody knows whether the screen is at rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_error: Option<ErrorBody>,
    /// The picture at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screenshot: Option<PictureBody>,
    /// Why there is no picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screenshot_error: Option<ErrorBody>,
}

/// What became of one action.
#[derive(Debug, Serialize, ToSchema)]
pub struct StepAnswer {
    /// Its name.
    pub action: String,
    /// Whether it was done, whole.
    pub ok: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorBody>,
    /// Microseconds that it took.
    pub elapsed_us: u64,
    /// How a text was delivered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivered: Option<DeliveredBody>,
    /// The pointer in the declared frame, for `cursor_position`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinate: Option<[i32; 2]>,
    /// The picture of `screenshot` and `zoom`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub screenshot: Option<PictureBody>,
}

/// How a text was delivered.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct DeliveredBody {
    /// Characters that the display took; CR and LF together count as one.
    pub characters: usize,
    /// Of these, by keys of the layout.
    pub by_layout: usize,
    /// Of these, by temporary keys.
    pub by_temporary: usize,
    /// Times the keyboard map was changed for it.
    pub map_changes: usize,
}

impl From<TextReport> for DeliveredBody {
    fn from(report: TextReport) -> Self {
        Self {
            characters: report.characters,
            by_layout: report.by_layout,
            by_temporary: report.by_temporary,
            map_changes: report.map_changes,
        }
    }
}

impl BatchAnswer {
    /// The answer to a batch with these actions.
    pub fn new(body: &BatchBody, report: BatchReport) -> Self {
        let named = body.actions.iter().zip(report.results);
        let results = named.map(|(step, report)| StepAnswer::new(&step.action, report));
        let results: Vec<StepAnswer> = results.collect();
        let (screenshot, screenshot_error) = match report.picture {
            None => (None, None),
            Some(Ok(picture)) => (Some(PictureBody::new(&picture)), None),
            Some(Err(error)) => (None, Some(ApiError::from(error).into_body())),
        };
        let (settled, settle_error) = match report.settled {
            None => (None, None),
            Some(Ok(settled)) => (Some(settled.into()), None),
            Some(Err(error)) => (None, Some(ApiError::from(error).into_body())),
        };
        let size = report.frame.declared();
        let answered = screenshot_error.is_none() && settle_error.is_none();
        Self {
            ok: answered && results.iter().all(|result| result.ok),
            width: size.width,
            height: size.height,
            results,
            settled,
            settle_error,
            screenshot,
            screenshot_error,
        }
    }
}

impl StepAnswer {
    fn new(action: &str, report: DeedReport) -> Self {
        let mut answer = Self {
            action: action.to_owned(),
            ok: report.result.is_ok(),
            error: None,
            elapsed_us: u64::try_from(report.elapsed.as_micros()).unwrap_or(u64::MAX),
            delivered: None,
            coordinate: None,
            screenshot: None,
        };
        match report.result {
            Ok(Effect::Input(Outcome::Typed(text))) => answer.delivered = Some(text.into()),
            Ok(Effect::Input(Outcome::Pointer(at))) => answer.coordinate = Some([at.x, at.y]),
            Ok(Effect::Pasted(characters)) => {
                answer.delivered = Some(DeliveredBody {
                    characters,
                    ..DeliveredBody::default()
                });
            }
            Ok(Effect::Input(Outcome::Done) | Effect::Focused) => {}
            Ok(Effect::Picture(picture)) => answer.screenshot = Some(PictureBody::new(&picture)),
            Err(error) => answer.error = Some(ApiError::from(error).into_body()),
        }
        answer
    }
}
