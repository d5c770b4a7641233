//! Bodies and queries to typed values; each refusal names the field.

use std::time::Duration;

use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Path, Request},
    http::{StatusCode, request::Parts},
};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::error::ApiError;

/// Largest JSON body, in bytes.
pub const JSON_LIMIT: usize = 1024 * 1024;

/// Bytes of a too large body that are read and thrown away before the connection is given up.
const DISCARD_LIMIT: usize = 64 * 1024 * 1024;

/// Time for a client to send its whole body.
const BODY_DEADLINE: Duration = Duration::from_secs(30);

/// A JSON body of at most [`JSON_LIMIT`] bytes. The content type is not looked at: clients of the
/// compatible routes do not all send one.
#[derive(Debug)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let bytes = read_body(request.into_body(), JSON_LIMIT).await?;
        parse_json(&bytes).map(Self)
    }
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub struct OptionalJson<T>(pub Option<T>);

impl<S, T> FromRequest<S> for OptionalJson<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let bytes = read_body(request.into_body(), JSON_LIMIT).await?;
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Ok(Self(None));
        }
        parse_json(&bytes).map(Self)
    }
}

/// The one variable segment of a path.
#[derive(Debug)]
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        path.map(|Path(text)| Self(text)).map_err(|error| {
            ApiError::bad_request("invalid_request", "The path is not as it should be.")
                .with_detail(error.body_text())
        })
    }
}

/// Reads a whole body within the limit and the deadline.
pub(super) async fn read_body(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match tokio::time::timeout(BODY_DEADLINE, collect(body, limit)).await {
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "request_timeout",
            format!(
                "The body did not arrive within {} s.",
                BODY_DEADLINE.as_secs()
            ),
        )),
        Ok(collected) => collected,
    }
}

/// A body that is too large is still read, up to [`DISCARD_LIMIT`], and thrown away: a client that writes
/// all of it before it reads would find a broken connection instead of the refusal.
async fn collect(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let (mut kept, mut seen) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::bad_request("body_incomplete", "The body could not be read to its end.")
                .with_detail(error.to_string())
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        seen = seen.saturating_add(data.len());
        if seen > DISCARD_LIMIT {
            break;
        }
        if seen <= limit {
            kept.extend_from_slice(&data);
        }
    }
    if seen > limit {
        return Err(ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("The body is larger than {limit} bytes."),
        ));
    }
    Ok(kept.freeze())
}

/// Reads what is left of a body that is refused, up to [`DISCARD_LIMIT`] and within the deadline, and throws it away: a
/// client that writes all of it before it reads would find a broken connection instead of the refusal.
pub(super) async fn discard(body: &mut Body) {
    let rest = async {
        let mut seen = 0_usize;
        while let Some(Ok(frame)) = body.frame().await {
            seen = seen.saturating_add(frame.data_ref().map_or(0, Bytes::len));
            if seen > DISCARD_LIMIT {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(BODY_DEADLINE, rest).await;
}

/// Bytes as JSON; each refusal names the field.
pub(super) fn parse_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(ApiError::bad_request(
            "empty_body",
            "The request needs a JSON body, but it is empty.",
        ));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        // A list that is longer than it should be ends the reader, too, but is JSON.
        let is_json = || serde_json::from_slice::<IgnoredAny>(bytes).is_ok();
        if inner.is_data() || is_json() {
            let field = named(&path, &inner.to_string());
            ApiError::invalid_field(
                format!("The field \"{field}\" is not as it should be."),
                field,
                inner.to_string(),
            )
        } else {
            not_json(&inner)
        }
    })?;
    deserializer.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

/// The field that an error is about: at this path, or missing there.
fn named(path: &str, error: &str) -> String {
    let missing = error.strip_prefix("missing field `");
    match (path, missing.and_then(|rest| rest.split('`').next())) {
        (".", Some(field)) => field.to_owned(),
        (path, Some(field)) => format!("{path}.{field}"),
        (".", None) => "body".to_owned(),
        (path, None) => path.to_owned(),
    }
}

fn not_json(error: &serde_json::Error) -> ApiError {
    ApiError::bad_request("invalid_json", "The body is not valid JSON.")
        .with_detail(error.to_string())
}

/// The query string as a typed value; unknown names are ignored.
#[derive(Debug)]
pub struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = form_urlencoded::parse(query.as_bytes());
        let deserializer = serde_urlencoded::Deserializer::new(pairs);
        serde_path_to_error::deserialize(deserializer)
            .map(Self)
            .map_err(|error| {
                let field = error.path().to_string();
                ApiError::invalid_field(
                    format!("The query parameter \"{field}\" is not as it should be."),
                    field,
                    error.into_inner().to_string(),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Sample {
        #[expect(dead_code, reason = "only its type matters")]
        coordinate: Option<[i64; 2]>,
    }

    async fn refusal(body: &[u8]) -> (StatusCode, serde_json::Value) {
        let error = parse_json::<Sample>(body).expect_err("must be refused");
        let response = error.into_response();
        let status = response.status();
        let bytes = response
            .into_body()
            .collect()
            .await
            .expect("a body")
            .to_bytes();
        (status, serde_json::from_slice(&bytes).expect("JSON"))
    }

    #[tokio::test]
    async fn wrong_types_name_the_field() {
        let (status, body) = refusal(br#"{"coordinate": [1, "x"]}"#).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(body["validations"][0]["field"], "coordinate[1]");
        let (_, body) = refusal(br#"{"coordinate": [1, 2, 3]}"#).await;
        assert_eq!(body["validations"][0]["field"], "coordinate");
    }

    #[tokio::test]
    async fn empty_truncated_and_doubled_bodies_have_codes_of_their_own() {
        assert_eq!(refusal(b" \n").await.1["code"], "empty_body");
        assert_eq!(
            refusal(b"{\"coordinate\": [1").await.1["code"],
            "invalid_json"
        );
        assert_eq!(refusal(b"{} {}").await.1["code"], "invalid_json");
        assert_eq!(refusal(b"[]").await.1["validations"][0]["field"], "body");
    }

    #[test]
    fn unknown_fields_are_ignored() {
        assert!(parse_json::<Sample>(br#"{"other": 1}"#).is_ok());
    }
}
