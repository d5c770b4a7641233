//! Wire types of scoped tokens.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::chats::{chat_of, checked_text, time};
use crate::{
    api::error::ApiError,
    chat::{
        TokenOrder,
        scope::{Scope, Scopes},
        tokens::Token,
    },
};

/// Lifetime of a token that names none, in seconds.
const USUAL: u64 = 3600;
/// Longest lifetime: 30 days, in seconds.
const LONGEST: u64 = 2_592_000;

/// Body of `POST /api/v0/tokens`.
#[derive(Clone, Debug, Deserialize, ToSchema)]
pub struct TokenBody {
    /// The chat that the token is bound to: it acts for no other one.
    pub chat_id: Option<String>,
    /// At least one of `desktop:view`, `desktop:control`, `process`, `files:read`, `files:write`, `git`, `admin`.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Lifetime in seconds, 1 to 2592000. Default 3600.
    pub ttl_s: Option<u64>,
    /// For people; up to 200 characters.
    pub label: Option<String>,
}

impl TokenBody {
    /// Checks it.
    pub fn check(self) -> Result<TokenOrder, ApiError> {
        let chat = self
            .chat_id
            .as_deref()
            .map(|id| chat_of("chat_id", id))
            .transpose()?;
        let scopes: Scopes = self
            .scopes
            .iter()
            .map(|name| scope(name))
            .collect::<Result<_, _>>()?;
        if scopes.is_empty() {
            return Err(invalid("scopes", "at least one is due"));
        }
        if chat.is_some() && scopes.include(Scope::Admin) {
            return Err(invalid("scopes", "admin cannot be bound to a chat"));
        }
        let lifetime = self.ttl_s.unwrap_or(USUAL);
        if !(1..=LONGEST).contains(&lifetime) {
            return Err(invalid("ttl_s", &format!("not from 1 to {LONGEST}")));
        }
        Ok(TokenOrder {
            chat,
            scopes,
            lifetime: Duration::from_secs(lifetime),
            label: self
                .label
                .map(|label| checked_text("label", label))
                .transpose()?,
        })
    }
}

fn scope(name: &str) -> Result<Scope, ApiError> {
    Scope::by_name(name).ok_or_else(|| invalid("scopes", "one of them is not known"))
}

/// 400 that names a field of the body.
pub(super) fn invalid(field: &str, detail: &str) -> ApiError {
    let message = format!("The field \"{field}\" is not as it should be.");
    ApiError::invalid_field(message, field, detail).with_code("invalid_field")
}

/// Answer of `POST /api/v0/tokens`.
#[derive(Clone, Serialize, ToSchema)]
pub struct MadeTokenAnswer {
    /// Its id, by which it is revoked.
    pub id: String,
    /// The token. It is told here and never again.
    pub token: String,
    /// When its time is up.
    pub expires_at: String,
}

impl std::fmt::Debug for MadeTokenAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MadeTokenAnswer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl MadeTokenAnswer {
    /// Tells a token to whoever asked for it.
    pub fn new(made: &Token, token: String) -> Self {
        Self {
            id: made.id.to_string(),
            token,
            expires_at: time(made.expires_at),
        }
    }
}

/// Answer of `GET /api/v0/tokens`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokensAnswer {
    /// Those that are not over, the oldest first.
    pub tokens: Vec<TokenEntryBody>,
}

/// A token, without its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TokenEntryBody {
    /// Its id.
    pub id: String,
    /// The chat that it is bound to.
    pub chat_id: Option<String>,
    /// What it may do.
    pub scopes: Vec<&'static str>,
    /// For people.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: String,
    /// When its time is up.
    pub expires_at: String,
    /// When a request last came with it.
    pub last_used_at: Option<String>,
}

impl From<&Token> for TokenEntryBody {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id.to_string(),
            chat_id: token.chat.map(|chat| chat.to_string()),
            scopes: token.scopes.given().map(Scope::name).collect(),
            label: token.label.clone(),
            created_at: time(token.created_at),
            expires_at: time(token.expires_at),
            last_used_at: token.last_used_at.map(time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: serde_json::Value) -> Result<TokenOrder, String> {
        let body: TokenBody = serde_json::from_value(body).expect("the types are right");
        let field = |error: ApiError| error.body().validations[0].field.clone();
        body.check().map_err(field)
    }

    #[test]
    fn orders_are_checked() {
        use serde_json::json;
        let order = check(json!({"scopes": ["git", "process", "git"]})).expect("well formed");
        assert_eq!(order.lifetime, Duration::from_hours(1));
        assert_eq!(order.scopes.given().count(), 2);
        let chat = "6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa";
        assert!(check(json!({"scopes": ["git"], "chat_id": chat, "ttl_s": 2_592_000})).is_ok());
        for (bad, field) in [
            (json!({}), "scopes"),
            (json!({"scopes": []}), "scopes"),
            (json!({"scopes": ["all"]}), "scopes"),
            (json!({"scopes": ["admin"], "chat_id": chat}), "scopes"),
            (json!({"scopes": ["git"], "chat_id": "x"}), "chat_id"),
            (json!({"scopes": ["git"], "ttl_s": 0}), "ttl_s"),
            (json!({"scopes": ["git"], "ttl_s": 2_592_001}), "ttl_s"),
            (
                json!({"scopes": ["git"], "label": "x".repeat(201)}),
                "label",
            ),
        ] {
            assert_eq!(check(bad.clone()).expect_err("refused"), field, "{bad}");
        }
        assert!(check(json!({"scopes": ["git"], "label": "ü".repeat(200)})).is_ok());
    }
}
