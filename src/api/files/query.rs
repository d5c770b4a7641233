//! Query strings of the file routes. Strict: what is missing, given twice, unknown or no number is refused, and named. Values
//! may be any bytes, because names are.

use axum::{
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use percent_encoding::percent_decode;

use crate::{
    api::error::ApiError,
    vfs::path::{ClientPath, PathError},
};

/// What the message of a refused query says; clients of the compatible routes look for it.
const INVALID: &str = "Query parameters have invalid values.";

/// The fields of a query, taken one by one; [`Fields::finish`] refuses what is left.
#[derive(Debug)]
pub struct Fields(Vec<(String, Vec<u8>)>);

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

/// A refused field.
pub fn invalid(field: &str, detail: impl Into<String>) -> ApiError {
    ApiError::bad_request("invalid_field", INVALID).with_validation(field.to_owned(), detail.into())
}

impl Fields {
    /// Splits a query. `+` is a space; percent signs are decoded once.
    pub fn parse(query: &str) -> Self {
        let decode = |text: &str| -> Vec<u8> {
            let spaced = text.replace('+', " ");
            percent_decode(spaced.as_bytes()).collect()
        };
        let fields = query
            .split('&')
            .filter(|field| !field.is_empty())
            .map(|field| {
                let (name, value) = field.split_once('=').unwrap_or((field, ""));
                (
                    String::from_utf8_lossy(&decode(name)).into_owned(),
                    decode(value),
                )
            });
        Self(fields.collect())
    }

    /// Takes a field that may be given once. Empty counts as not given.
    pub fn bytes(&mut self, name: &str) -> Result<Option<Vec<u8>>, ApiError> {
        let mut values = self.list(name);
        if values.len() > 1 {
            return Err(invalid(name, format!("{name:?} is given more than once")));
        }
        Ok(values.pop().filter(|value| !value.is_empty()))
    }

    /// Takes all values of a field that is a list.
    pub fn list(&mut self, name: &str) -> Vec<Vec<u8>> {
        let mut taken = Vec::new();
        self.0.retain_mut(|(field, value)| {
            let here = field == name;
            if here {
                taken.push(std::mem::take(value));
            }
            !here
        });
        taken
    }

    /// Takes all values of a list of texts.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, ApiError> {
        let text =
            |value| String::from_utf8(value).map_err(|_| invalid(name, "is not valid UTF-8"));
        self.list(name).into_iter().map(text).collect()
    }

    /// Takes a text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let value = self.bytes(name)?;
        value
            .map(|value| String::from_utf8(value).map_err(|_| invalid(name, "is not valid UTF-8")))
            .transpose()
    }

    /// Takes a path that has to be there.
    pub fn path(&mut self, name: &str) -> Result<ClientPath, ApiError> {
        let value = self
            .bytes(name)?
            .ok_or_else(|| invalid(name, format!("{name:?} is required")))?;
        ClientPath::parse(&value).map_err(|error| refused_path(name, error))
    }

    /// Takes a path that may be left out.
    pub fn optional_path(&mut self, name: &str) -> Result<Option<ClientPath>, ApiError> {
        let value = self.bytes(name)?;
        value
            .map(|value| ClientPath::parse(&value).map_err(|error| refused_path(name, error)))
            .transpose()
    }

    /// Takes a number, not negative.
    pub fn number(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        if let Ok(number) = text.parse::<u64>() {
            return Ok(Some(number));
        }
        let digits = text.strip_prefix('-').unwrap_or(&text);
        let number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        Err(match (number, text.starts_with('-')) {
            (true, true) => invalid(name, format!("value is negative: {text}")),
            (true, false) => invalid(name, format!("value is too large: {text}")),
            (false, _) => invalid(name, format!("{text:?} is not an integer")),
        })
    }

    /// Takes a number of which 0 means "not given".
    pub fn limit(&mut self, name: &str) -> Result<Option<u64>, ApiError> {
        Ok(self.number(name)?.filter(|number| *number > 0))
    }

    /// Takes a yes or no.
    pub fn flag(&mut self, name: &str, default: bool) -> Result<bool, ApiError> {
        match self.text(name)?.as_deref() {
            None => Ok(default),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(invalid(
                name,
                format!("{other:?} is not one of true, false, 1, 0"),
            )),
        }
    }

    /// Takes one of some words.
    pub fn word<T: Copy>(
        &mut self,
        name: &str,
        words: &[(&str, T)],
        default: T,
    ) -> Result<T, ApiError> {
        let Some(text) = self.text(name)? else {
            return Ok(default);
        };
        words
            .iter()
            .find(|(word, _)| *word == text)
            .map(|(_, value)| *value)
            .ok_or_else(|| {
                let due: Vec<_> = words.iter().map(|(word, _)| *word).collect();
                invalid(name, format!("{text:?} is not one of {}", due.join(", ")))
            })
    }

    /// Refuses what nobody took.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(invalid(
                name,
                format!("{name:?} is not a query parameter of this route"),
            )),
        }
    }
}

/// The refusal of a path in a field.
pub fn refused_path(field: &str, error: PathError) -> ApiError {
    let code = match error {
        PathError::NotAbsolute => "path_not_absolute",
        PathError::TooLong(_) | PathError::NameTooLong(_) => "name_too_long",
        PathError::Empty | PathError::Nul | PathError::NotAName => "invalid_path",
    };
    ApiError::new(
        StatusCode::BAD_REQUEST,
        code,
        format!("Cannot use the path: {error}."),
    )
    .with_validation(field.to_owned(), error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, ApiError>) -> (String, String) {
        let body = result.expect_err("refused").into_body();
        let validation = body.validations.into_iter().next().expect("a validation");
        (validation.field, validation.detail)
    }

    #[test]
    fn values_are_bytes_decoded_once() {
        let mut fields = Fields::parse("path=%2Fa+b%252e%FF&glob=x&glob=%26&q=1");
        assert_eq!(fields.path("path").expect("a path").given(), b"/a b%2e\xff");
        assert_eq!(fields.list("glob"), [b"x", b"&"]);
        assert_eq!(refused(fields.finish()).0, "q");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let number = |query: &str| Fields::parse(query).number("n");
        assert_eq!(number("").expect("not given"), None);
        assert_eq!(number("n=007").expect("a number"), Some(7));
        assert!(refused(number("n=-1")).1.contains("value is negative"));
        assert!(refused(number("n=1.5")).1.contains("not an integer"));
        assert!(
            refused(number("n=99999999999999999999"))
                .1
                .contains("too large")
        );
        assert!(refused(number("n=1&n=1")).1.contains("more than once"));
        assert!(
            refused(Fields::parse("path=").path("path"))
                .1
                .contains("\"path\" is required")
        );
        assert_eq!(refused(Fields::parse("b=yes").flag("b", true)).0, "b");
        assert!(
            refused(Fields::parse("path=x").path("path"))
                .1
                .contains("must be absolute")
        );
    }
}
