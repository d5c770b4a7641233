//! Failures of chats and tokens: status, code and sentence.

use axum::http::StatusCode;

use super::{ApiError, sentence};
use crate::chat::error::{ChatError, TokenError};

impl From<ChatError> for ApiError {
    fn from(error: ChatError) -> Self {
        let (status, code) = match error {
            ChatError::NotFound => (StatusCode::NOT_FOUND, "chat_not_found"),
            ChatError::Cycle => (StatusCode::CONFLICT, "chat_cycle"),
            ChatError::TooDeep => (StatusCode::CONFLICT, "chat_too_deep"),
            ChatError::ParentArchived => (StatusCode::CONFLICT, "parent_archived"),
            ChatError::HasChildren => (StatusCode::CONFLICT, "chat_has_children"),
            ChatError::Deleting => (StatusCode::GONE, "chat_deleting"),
            ChatError::Full => (StatusCode::TOO_MANY_REQUESTS, "too_many_chats"),
        };
        Self::new(status, code, sentence(&error))
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        match &error {
            TokenError::Full => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "too_many_tokens",
                sentence(&error),
            ),
            TokenError::NotFound => {
                Self::new(StatusCode::NOT_FOUND, "token_not_found", sentence(&error))
            }
            TokenError::Random(_) | TokenError::Save { .. } => Self::internal(&error),
        }
    }
}
