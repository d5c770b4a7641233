//! Conditions of requests: headers with tags, digests, and the hash that a caller believes is there.

use axum::http::{HeaderMap, HeaderName, header};
use base64::{Engine, engine::general_purpose::STANDARD};

use super::query::{Fields, invalid};
use crate::{
    api::error::ApiError,
    vfs::tag::{ContentHash, Demands, Tags},
};

/// RFC 9530, section 2.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// The text of a header, several joined by commas.
fn joined(headers: &HeaderMap, name: &HeaderName) -> Result<Option<String>, ApiError> {
    let mut text = None::<String>;
    for value in headers.get_all(name) {
        let value = value
            .to_str()
            .map_err(|_| invalid(name.as_str(), "has characters that no tag has"))?;
        text = Some(match text {
            None => value.to_owned(),
            Some(before) => format!("{before}, {value}"),
        });
    }
    Ok(text)
}

/// The tags of `If-Match` or `If-None-Match`.
pub fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ApiError> {
    let parse =
        |text: String| Tags::parse(&text).map_err(|bad| invalid(name.as_str(), bad.to_string()));
    joined(headers, name)?.map(parse).transpose()
}

/// A field of a body that is not as it should be.
pub fn refused(field: &str, detail: String) -> ApiError {
    ApiError::bad_request(
        "invalid_field",
        format!("The field {field:?} is not as it should be."),
    )
    .with_validation(field.to_owned(), detail)
}

/// A hash of 64 hexadecimal digits.
pub fn sha256(field: &str, text: Option<&str>) -> Result<Option<ContentHash>, ApiError> {
    let parse = |text: &str| {
        ContentHash::from_hex(text)
            .ok_or_else(|| invalid(field, "is not a SHA-256 of 64 hexadecimal digits"))
    };
    text.map(parse).transpose()
}

/// What must hold before a file is written.
pub fn demands(headers: &HeaderMap, fields: &mut Fields) -> Result<Demands, ApiError> {
    let expected = fields.text("expected_sha256")?;
    Ok(Demands {
        if_match: tags(headers, &header::IF_MATCH)?,
        if_none_match: tags(headers, &header::IF_NONE_MATCH)?,
        sha256: sha256("expected_sha256", expected.as_deref())?,
    })
}

/// The SHA-256 among the digests of the content, if it is among them.
pub fn content_digest(headers: &HeaderMap) -> Result<Option<ContentHash>, ApiError> {
    let Some(text) = joined(headers, &CONTENT_DIGEST)? else {
        return Ok(None);
    };
    let mut found = None;
    for member in text.split(',').map(str::trim) {
        let Some(value) = member.strip_prefix("sha-256=") else {
            continue;
        };
        let value = value.split(';').next().unwrap_or_default();
        let bytes = value
            .strip_prefix(':')
            .and_then(|value| value.strip_suffix(':'))
            .and_then(|value| STANDARD.decode(value).ok())
            .and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| {
            invalid(
                "content-digest",
                "sha-256 is not 32 bytes in base64 between colons",
            )
        })?;
        found = Some(ContentHash(bytes));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Result<Option<ContentHash>, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_DIGEST, text.parse().expect("a header"));
        content_digest(&headers)
    }

    #[test]
    fn digests_are_read_as_rfc_9530_writes_them() {
        let due = ContentHash::of(b"{\"hello\": \"world\"}\n");
        let example = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:";
        assert_eq!(digest(example).expect("good"), Some(due));
        let two = format!("md5=:AAAA:, {example};x=1");
        assert_eq!(digest(&two).expect("good"), Some(due));
        assert_eq!(digest("md5=:AAAA:").expect("others are skipped"), None);
        assert!(digest("sha-256=RK").is_err());
        assert!(digest("sha-256=:RK:").is_err());
    }
}
