//! What the clipboard routes negotiate: selections, media types, `Accept`.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::{
    api::error::ApiError,
    desktop::clipboard::{Kind, Selection},
};

/// Query of the clipboard routes.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ClipboardQuery {
    /// `clipboard` (default) or `primary`.
    #[param(pattern = "^(clipboard|primary)$")]
    pub selection: Option<String>,
}

impl ClipboardQuery {
    /// The selection, or the parameter that is wrong.
    pub fn selection(&self) -> Result<Selection, ApiError> {
        let Some(name) = self.selection.as_deref() else {
            return Ok(Selection::Clipboard);
        };
        let mut all = Selection::ALL.into_iter();
        all.find(|selection| selection.name() == name)
            .ok_or_else(|| {
                ApiError::invalid_field(
                    "The query parameter \"selection\" is not as it should be.",
                    "selection",
                    "must be clipboard or primary",
                )
            })
    }
}

/// The kinds that we speak, in the order in which they are preferred.
const KINDS: [Kind; 3] = [Kind::Text, Kind::Html, Kind::Png];

/// `Content-Type` of an answer.
pub fn content_type(kind: &Kind) -> &'static str {
    match kind {
        Kind::Text => "text/plain; charset=utf-8",
        Kind::Html => "text/html; charset=utf-8",
        Kind::Png => "image/png",
        Kind::Other(_) => "application/octet-stream",
    }
}

/// The kind that a `Content-Type` names; `None` for one that we do not carry. Text must be UTF-8.
pub fn kind_of(content_type: &str) -> Option<Kind> {
    let mut parts = content_type.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let kind = KINDS.into_iter().find(|kind| kind.name() == essence)?;
    let foreign = parts
        .filter_map(|part| part.split_once('='))
        .any(|(name, value)| {
            let value = value.trim_matches('"').to_ascii_lowercase();
            name.eq_ignore_ascii_case("charset")
                && !["utf-8", "utf8", "us-ascii"].contains(&&*value)
        });
    (kind == Kind::Png || !foreign).then_some(kind)
}

/// The kinds that an `Accept` takes, the most wanted first (RFC 9110, 12.5.1); without one, text.
pub fn accepted(accept: Option<&str>) -> Vec<Kind> {
    let Some(accept) = accept.filter(|accept| !accept.trim().is_empty()) else {
        return vec![Kind::Text];
    };
    let ranges: Vec<(String, f32)> = accept.split(',').map(range).collect();
    let quality = |kind: &Kind| {
        let (class, _) = kind.name().split_once('/').unwrap_or_default();
        // The most exact range counts.
        let by = |wanted: &str| ranges.iter().find(|(range, _)| range == wanted);
        by(kind.name())
            .or_else(|| by(&format!("{class}/*")))
            .or_else(|| by("*/*"))
            .map_or(0.0, |(_, quality)| *quality)
    };
    let mut kinds: Vec<Kind> = KINDS
        .into_iter()
        .filter(|kind| quality(kind) > 0.0)
        .collect();
    kinds.sort_by(|a, b| quality(b).total_cmp(&quality(a)));
    kinds
}

/// A media range and its weight.
fn range(text: &str) -> (String, f32) {
    let mut parts = text.split(';').map(str::trim);
    let range = parts.next().unwrap_or_default().to_ascii_lowercase();
    let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
    let weight = weight.map_or(1.0, |text| text.parse().unwrap_or(0.0));
    (range, weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_orders_kinds() {
        use Kind::{Html, Png, Text};
        for (accept, kinds) in [
            ("", vec![Text]),
            ("*/*", vec![Text, Html, Png]),
            ("image/png", vec![Png]),
            ("text/*", vec![Text, Html]),
            ("text/html, */*;q=0.5", vec![Html, Text, Png]),
            ("text/plain;q=0, */*", vec![Html, Png]),
            ("TEXT/HTML; q=0.2, image/png;q=0.9", vec![Png, Html]),
            ("application/pdf", vec![]),
            ("image/png;q=rubbish", vec![]),
        ] {
            assert_eq!(accepted(Some(accept)), kinds, "{accept:?}");
        }
        assert_eq!(accepted(None), [Text]);
    }

    #[test]
    fn content_types_name_kinds() {
        assert_eq!(kind_of("text/plain"), Some(Kind::Text));
        assert_eq!(kind_of("Text/HTML; charset=\"UTF-8\""), Some(Kind::Html));
        assert_eq!(kind_of("image/png"), Some(Kind::Png));
        for other in [
            "",
            "text/plain; charset=latin1",
            "text/css",
            "application/x-www-form-urlencoded",
        ] {
            assert_eq!(kind_of(other), None, "{other}");
        }
    }
}
