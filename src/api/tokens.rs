//! The routes of scoped tokens: check, convert, forward, answer.

use axum::{Json, extract::State, http::StatusCode};
use uuid::Uuid;

use super::{
    error::{ApiError, ErrorBody},
    extract::Segment,
    processes::Checked,
    state::ApiState,
    types::tokens::{MadeTokenAnswer, TokenBody, TokensAnswer},
};
use crate::chat::error::TokenError;

/// Makes a token that may do less than the daemon's own, and for a while. It is told in this one answer.
#[utoipa::path(post, path = "/api/v0/tokens", tag = "tokens", request_body = TokenBody,
    responses((status = 201, description = "The token", body = MadeTokenAnswer),
              (status = 400, description = "`invalid_field`, `invalid_json`", body = ErrorBody),
              (status = 429, description = "`too_many_tokens`", body = ErrorBody)))]
pub async fn make_token(
    State(api): State<ApiState>,
    Checked(body): Checked<TokenBody>,
) -> Result<(StatusCode, Json<MadeTokenAnswer>), ApiError> {
    let (made, token) = api.chats().issue(body.check()?).await?;
    tracing::info!(made_token_id = %made.id, "token made");
    Ok((
        StatusCode::CREATED,
        Json(MadeTokenAnswer::new(&made, token)),
    ))
}

/// Tokens that are not over, without their secrets.
#[utoipa::path(get, path = "/api/v0/tokens", tag = "tokens",
    responses((status = 200, description = "The tokens", body = TokensAnswer)))]
pub async fn list_tokens(State(api): State<ApiState>) -> Json<TokensAnswer> {
    let tokens = api.chats().tokens();
    Json(TokensAnswer {
        tokens: tokens.iter().map(Into::into).collect(),
    })
}

/// Revokes a token: its next request is 401, its WebSockets and event streams end within a second.
#[utoipa::path(delete, path = "/api/v0/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is revoked"),
              (status = 404, description = "`token_not_found`", body = ErrorBody)))]
pub async fn revoke_token(
    State(api): State<ApiState>,
    Segment(id): Segment,
) -> Result<StatusCode, ApiError> {
    let id = Uuid::parse_str(&id).map_err(|_| TokenError::NotFound)?;
    api.chats().revoke(id).await?;
    tracing::info!(revoked_token_id = %id, "token revoked");
    Ok(StatusCode::NO_CONTENT)
}
