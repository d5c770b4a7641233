//! Wire types of the computer routes: what vendors' models write, and what goes back to them.

pub mod anthropic;
pub mod lenient;
pub mod openai;

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::{batch::declared, desktop::ScreenshotQuery, settle};
use crate::{
    api::error::ApiError,
    desktop::{
        batch::{Batch, Deed},
        picture::PictureRequest,
        settle::Rest,
    },
};

/// Most bytes of a picture for a model when the query does not say: below what the vendors take in base64.
const MAX_BYTES: u64 = 3_600_000;

/// Quiet time after input when the query does not say, in milliseconds.
const QUIET_MS: i64 = 200;

/// How long to wait for it at most, when the query does not say, in milliseconds.
const PATIENCE_MS: i64 = 3_000;

/// Query of the computer routes.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ComputerQuery {
    /// Width of the screen as the model was told; one side alone keeps the aspect, none is native.
    #[param(minimum = 1, maximum = 7680)]
    pub width: Option<i64>,
    /// Height of the screen as the model was told.
    #[param(minimum = 1, maximum = 7680)]
    pub height: Option<i64>,
    /// Milliseconds without change before the picture is taken; 200 after input when absent, 0 takes it at once.
    #[param(minimum = 0, maximum = 10000)]
    pub settle_ms: Option<i64>,
    /// Milliseconds after which the picture is taken all the same; 3000 when absent.
    #[param(minimum = 0, maximum = 60000)]
    pub settle_timeout_ms: Option<i64>,
    /// `png` (default), `jpeg` or `webp`.
    #[param(pattern = "^(png|jpeg|webp)$")]
    pub format: Option<String>,
    /// JPEG quality, 1 to 100; 80 when absent.
    #[param(minimum = 1, maximum = 100)]
    pub quality: Option<i64>,
    /// Most bytes of the picture; 3 600 000 when absent.
    #[param(minimum = 1)]
    pub max_bytes: Option<u64>,
}

impl ComputerQuery {
    /// The batch that does these deeds and answers with a picture, unless the last deed is one; or the parameter
    /// that is wrong.
    pub fn batch(&self, deeds: Vec<Deed>) -> Result<Batch, ApiError> {
        let wish = self.picture()?;
        let styled = |deed| match deed {
            Deed::Picture(request) => Deed::Picture(PictureRequest {
                region: request.region,
                zoom: request.zoom,
                ..wish.clone()
            }),
            other => other,
        };
        let deeds: Vec<Deed> = deeds.into_iter().map(styled).collect();
        let shows = matches!(deeds.last(), Some(Deed::Picture(_)));
        Ok(Batch {
            declared: declared(self.width, self.height)?,
            settle: self.settle(deeds.iter().any(Deed::is_input))?,
            picture: (!shows).then_some(wish),
            deeds,
            ..Batch::default()
        })
    }

    fn picture(&self) -> Result<PictureRequest, ApiError> {
        let query = ScreenshotQuery {
            format: self.format.clone(),
            quality: self.quality,
            max_bytes: Some(self.max_bytes.unwrap_or(MAX_BYTES)),
            ..ScreenshotQuery::default()
        };
        query.request(None)
    }

    /// Without a word of the caller the screen comes to rest after input, and a look alone waits for nothing.
    fn settle(&self, after_input: bool) -> Result<Option<Rest>, ApiError> {
        let quiet = self.settle_ms.or(after_input.then_some(QUIET_MS));
        let timeout = quiet.and(self.settle_timeout_ms.or(Some(PATIENCE_MS)));
        settle::from_query(quiet, timeout, None)
    }
}

/// Query of `GET /api/v0/computer/tools`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ToolsQuery {
    /// `anthropic` or `openai`.
    #[param(pattern = "^(anthropic|openai)$")]
    pub vendor: String,
    /// Width that the model is told; one side alone keeps the aspect, none is native.
    #[param(minimum = 1, maximum = 7680)]
    pub width: Option<i64>,
    /// Height that the model is told.
    #[param(minimum = 1, maximum = 7680)]
    pub height: Option<i64>,
    /// Version of the tool: `20251124` (default), `20250124` or `20241022`, or the toolset `20260801`; `preview` for `OpenAI`'s older one.
    pub version: Option<String>,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::{anthropic::ToolUse, openai::ComputerCall};
    use crate::desktop::vocabulary::{anthropic, openai};

    /// Anything that may stand in a field.
    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            Just(json!("ctrl+a")),
            Just(json!("left")),
        ];
        leaf.prop_recursive(2, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::hash_map("[xyz]", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// An object whose action is one of these, with anything in these fields.
    fn object(
        kind: &'static str,
        actions: &'static [&'static str],
        fields: &'static [&'static str],
    ) -> impl Strategy<Value = Value> {
        let others = prop::collection::vec((prop::sample::select(fields), value()), 0..5);
        (prop::sample::select(actions), others).prop_map(move |(action, others)| {
            let mut object = json!({ kind: action });
            for (field, value) in others {
                object[field] = value;
            }
            object
        })
    }

    proptest! {
        /// Whatever a model writes is understood or refused with a way out, and nothing panics.
        #[test]
        fn whatever_a_model_writes_has_an_answer(
            input in object("action", &anthropic::ACTIONS, &[
                "coordinate", "start_coordinate", "text", "duration", "scroll_amount", "scroll_direction", "region",
            ]),
            action in object("type", &openai::ACTIONS, &[
                "x", "y", "button", "keys", "path", "scroll_x", "scroll_y", "text",
            ]),
        ) {
            let call = ToolUse::new(input).expect("it has an action");
            if let Err(bad) = call.fields().and_then(|fields| anthropic::deeds(&fields)) {
                prop_assert!(bad.explanation().len() > 10 && bad.explanation().len() < 1000);
            }
            let call = ComputerCall::new(json!({"call_id": "c", "actions": [action]})).expect("a call");
            for fields in call.actions() {
                if let Err(bad) = fields.and_then(|fields| openai::deed(&fields)) {
                    prop_assert!(bad.explanation().len() > 10 && bad.explanation().len() < 1000);
                }
            }
        }
    }
}
