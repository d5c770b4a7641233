//! Bodies and queries whose faults have the codes of the routes of processes, files, chats and tokens.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::{
    error::ApiError,
    extract::{Json, OptionalJson, Query},
};

/// A JSON body whose faults have the codes of these routes.
#[derive(Debug)]
pub struct Checked<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Checked<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(error) => Err(recoded(error)),
        }
    }
}

/// The same for a body that may be left out.
#[derive(Debug)]
pub struct CheckedOptional<T>(pub Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for CheckedOptional<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match OptionalJson::from_request(request, state).await {
            Ok(OptionalJson(body)) => Ok(Self(body)),
            Err(error) => Err(recoded(error)),
        }
    }
}

/// A refusal of a body or query with the codes of these routes.
pub(super) fn recoded(error: ApiError) -> ApiError {
    match error.code() {
        "invalid_request" => error.with_code("invalid_field"),
        "empty_body" => ApiError::bad_request(
            "invalid_json",
            "The body is empty, which is not valid JSON.",
        ),
        _ => error,
    }
}

/// A query whose faults have the codes of these routes.
#[derive(Debug)]
pub struct CheckedQuery<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for CheckedQuery<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(error) => Err(recoded(error)),
        }
    }
}
