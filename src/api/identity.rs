//! Whose request it is: the chat and those above it, from headers. Never an error.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, request::Parts},
};
use uuid::Uuid;

use crate::proc::spec::Caller;

const CHAT: HeaderName = HeaderName::from_static("coder-chat-id");
const ANCESTORS: HeaderName = HeaderName::from_static("coder-ancestor-chat-ids");

/// Ancestors that count; further ones are dropped.
const MOST: usize = 64;

/// Who asks.
#[derive(Clone, Debug)]
pub struct Identity(pub Caller);

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(Self(caller(&parts.headers)))
    }
}

/// The chat of the first header, and the valid entries of the list; nobody when the chat is no id.
pub(super) fn caller(headers: &HeaderMap) -> Caller {
    let text = |name| headers.get(name)?.to_str().ok();
    let Some(chat) = text(CHAT).and_then(chat_id) else {
        return Caller::default();
    };
    let listed: Vec<serde_json::Value> = text(ANCESTORS)
        .and_then(|list| serde_json::from_str(list).ok())
        .unwrap_or_default();
    let mut ancestors: Vec<Uuid> = listed
        .iter()
        .take(MOST)
        .filter_map(|entry| chat_id(entry.as_str()?))
        .collect();
    ancestors.sort_unstable();
    ancestors.dedup();
    Caller {
        chat: Some(chat),
        ancestors,
    }
}

fn chat_id(text: &str) -> Option<Uuid> {
    Uuid::parse_str(text.trim()).ok().filter(|id| !id.is_nil())
}

/// Ids with commas between them.
pub(super) fn joined(ids: &[Uuid]) -> String {
    let texts: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";

    fn of(chat: &str, ancestors: &str) -> Caller {
        let mut headers = HeaderMap::new();
        headers.insert(CHAT, chat.parse().expect("a value"));
        headers.insert(ANCESTORS, ancestors.parse().expect("a value"));
        caller(&headers)
    }

    #[test]
    fn ids_are_read_in_every_form_and_bad_ones_are_nobody() {
        let due = Uuid::parse_str(ID).ok();
        let braces = format!("{{{ID}}}");
        let urn = format!("urn:uuid:{ID}");
        for text in [ID, &ID.to_uppercase(), &ID.replace('-', ""), &braces, &urn] {
            assert_eq!(of(text, "").chat, due, "{text}");
        }
        for text in ["", "x", "00000000-0000-0000-0000-000000000000"] {
            assert_eq!(
                of(text, &format!("[\"{ID}\"]")),
                Caller::default(),
                "{text}"
            );
        }
        assert_eq!(caller(&HeaderMap::new()), Caller::default());
    }

    #[test]
    fn ancestors_are_a_set_of_the_valid_ones() {
        let other = "00000000-0000-0000-0000-000000000001";
        let list = format!("[\"{other}\", \"x\", 7, null, \"{other}\"]");
        assert_eq!(of(ID, &list).ancestors, [Uuid::from_u128(1)]);
        for bad in ["", "{}", "[", "7"] {
            assert!(of(ID, bad).ancestors.is_empty(), "{bad}");
        }
        let many: Vec<Uuid> = (1..1000).map(Uuid::from_u128).collect();
        let list = serde_json::to_string(&many).expect("JSON");
        assert_eq!(of(ID, &list).ancestors.len(), MOST);
    }
}
