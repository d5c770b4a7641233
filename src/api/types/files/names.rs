//! Names and paths in JSON. A name is bytes, JSON has only text: what is not valid UTF-8 is cleaned for people, and stands
//! beside it in base64 for programs. A client may send either; a text with U+FFFD is a name of its own.

use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    api::{
        error::ApiError,
        files::query::{invalid, refused_path},
    },
    proc::excerpt::clean,
    vfs::path::ClientPath,
};

/// A name as JSON shows it: the text, and the bytes in base64 when the text is not the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// For `name`, `path`, `target`.
    pub text: String,
    /// For `name_base64`, `path_base64`, `target_base64`.
    pub base64: Option<String>,
}

/// How bytes are shown.
pub fn shown(bytes: &[u8]) -> Shown {
    match str::from_utf8(bytes) {
        Ok(text) => Shown {
            text: text.to_owned(),
            base64: None,
        },
        Err(_) => Shown {
            text: clean(bytes),
            base64: Some(STANDARD.encode(bytes)),
        },
    }
}

/// The bytes that a client named by a text, by base64, or by both if they agree; `None` when by neither.
pub fn given(
    field: &str,
    text: Option<&str>,
    base64: Option<&str>,
) -> Result<Option<Vec<u8>>, ApiError> {
    let companion = format!("{field}_base64");
    let decoded = base64.map(|base64| STANDARD.decode(base64)).transpose();
    let decoded = decoded.map_err(|_| invalid(&companion, "is not standard base64"))?;
    match (text, decoded) {
        (Some(text), Some(bytes)) if text.as_bytes() != bytes => Err(invalid(
            &companion,
            format!("names something else than {field:?}"),
        )),
        (_, Some(bytes)) => Ok(Some(bytes)),
        (text, None) => Ok(text.map(|text| text.as_bytes().to_vec())),
    }
}

/// A path that has to be there.
pub fn path(field: &str, text: Option<&str>, base64: Option<&str>) -> Result<ClientPath, ApiError> {
    optional_path(field, text, base64)?.ok_or_else(|| required(field))
}

/// A path that may be left out; empty counts as left out.
pub fn optional_path(
    field: &str,
    text: Option<&str>,
    base64: Option<&str>,
) -> Result<Option<ClientPath>, ApiError> {
    let bytes = given(field, text, base64)?.filter(|bytes| !bytes.is_empty());
    bytes
        .map(|bytes| ClientPath::parse(&bytes).map_err(|error| refused_path(field, error)))
        .transpose()
}

/// A list of names, or its companion in base64, or both if they agree item by item.
pub fn given_list(
    field: &str,
    texts: Option<&[String]>,
    base64: Option<&[String]>,
) -> Result<Option<Vec<Vec<u8>>>, ApiError> {
    let most = texts
        .map_or(0, <[_]>::len)
        .max(base64.map_or(0, <[_]>::len));
    if let (Some(texts), Some(base64)) = (texts, base64)
        && texts.len() != base64.len()
    {
        let companion = format!("{field}_base64");
        return Err(invalid(
            &companion,
            format!("has not as many items as {field:?}"),
        ));
    }
    if texts.is_none() && base64.is_none() {
        return Ok(None);
    }
    let item = |list: Option<&[String]>, index: usize| list.map(|list| list[index].clone());
    let items = (0..most).map(|index| {
        let (text, base64) = (item(texts, index), item(base64, index));
        let bytes = given(field, text.as_deref(), base64.as_deref())?;
        Ok(bytes.expect("one of the lists has it"))
    });
    items.collect::<Result<_, _>>().map(Some)
}

fn required(field: &str) -> ApiError {
    invalid(field, format!("{field:?} is required"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused<T: std::fmt::Debug>(result: Result<T, ApiError>) -> String {
        let body = result.expect_err("refused").into_body();
        body.validations[0].field.clone()
    }

    #[test]
    fn only_broken_names_have_a_companion() {
        assert_eq!(shown("a\n\u{fffd}".as_bytes()).text, "a\n\u{fffd}");
        assert_eq!(shown("a\n\u{fffd}".as_bytes()).base64, None);
        let broken = shown(b"a\xff");
        assert_eq!(broken.text, "a\u{fffd}");
        assert_eq!(broken.base64.as_deref(), Some("Yf8="));
    }

    #[test]
    fn a_client_names_by_either_or_by_both_alike() {
        let broken = given("path", None, Some("Yf8=")).expect("good");
        assert_eq!(broken.as_deref(), Some(&b"a\xff"[..]));
        // What is shown of a broken name does not name it.
        assert_eq!(
            refused(given("path", Some("a\u{fffd}"), Some("Yf8="))),
            "path_base64"
        );
        let same = given("path", Some("a"), Some("YQ==")).expect("good");
        assert_eq!(same.as_deref(), Some(&b"a"[..]));
        assert_eq!(refused(given("to", None, Some("!"))), "to_base64");
        assert_eq!(refused(path("path", Some(""), None)), "path");
        assert_eq!(refused(path("path", Some("x"), None)), "path");
    }

    #[test]
    fn lists_agree_item_by_item() {
        let texts = ["a".to_owned(), "b".to_owned()];
        let base64 = ["YQ==".to_owned()];
        assert_eq!(
            refused(given_list("paths", Some(&texts), Some(&base64))),
            "paths_base64"
        );
        let all = given_list("paths", Some(&texts[..1]), Some(&base64)).expect("good");
        assert_eq!(all, Some(vec![b"a".to_vec()]));
        assert_eq!(given_list("paths", None, None).expect("good"), None);
    }
}
