//! Batches of actions: check, convert, forward, answer.

use std::time::Duration;

use axum::{Json as JsonAnswer, extract::State};

use crate::desktop::batch::Batch;

use super::{
    desktop::within,
    error::{ApiError, ErrorBody},
    extract::Json,
    state::ApiState,
    types::batch::{BatchAnswer, BatchBody},
};

/// Time to start, to queue and to act, beside the waits that a batch asks for.
pub(super) const TIME: Duration = Duration::from_mins(7);

/// When a batch is given up.
pub(super) fn deadline(batch: &Batch) -> Duration {
    TIME + batch
        .settle
        .as_ref()
        .map_or(Duration::ZERO, |rest| rest.timeout)
}

/// Runs actions one after the other, with nobody else's input between them. The body is checked before anything
/// starts; an action that fails is told in its result, and afterwards no key or button is down.
#[utoipa::path(post, path = "/api/v0/desktop/actions", tag = "desktop", request_body = BatchBody,
    responses((status = 200, description = "A result for each action; `ok` tells whether all were done", body = BatchAnswer),
              (status = 400, description = "A field is wrong, or `out_of_frame`: nothing was done", body = ErrorBody),
              (status = 503, description = "The desktop cannot start, or `busy`", body = ErrorBody)))]
pub async fn perform_batch(
    State(api): State<ApiState>,
    Json(body): Json<BatchBody>,
) -> Result<JsonAnswer<BatchAnswer>, ApiError> {
    let batch = body.batch()?;
    within(deadline(&batch), async move {
        let report = api.desktop().run_batch(&batch).await?;
        Ok(JsonAnswer(BatchAnswer::new(&body, report)))
    })
    .await
}
