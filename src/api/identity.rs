//! Whose request it is: the chat and those above it, from headers and from the token. Bad headers are never an error.
//!
//! The door makes a [`Visitor`] of every request that it lets in; handlers take it, or the [`Identity`] within.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderName, StatusCode, request::Parts},
};
use uuid::Uuid;

use super::{error::ApiError, state::ApiState};
use crate::{
    chat::{
        Ending, Stay,
        scope::{Scope, Scopes},
        tokens::Pass,
    },
    proc::spec::Caller,
    vfs::path::ClientPath,
};

const CHAT: HeaderName = HeaderName::from_static("coder-chat-id");
const ANCESTORS: HeaderName = HeaderName::from_static("coder-ancestor-chat-ids");

/// Ancestors that count; further ones are dropped.
const MOST: usize = 64;

/// What the headers of a request say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Claim {
    chat: Option<Uuid>,
    ancestors: Vec<Uuid>,
}

/// Who came in: what the token allows, and the chat that is acted for.
#[derive(Clone, Debug)]
pub struct Visitor {
    scopes: Scopes,
    /// The scoped token, when it is one.
    token: Option<(Uuid, Ending)>,
    /// The chat that the token is bound to.
    bound: Option<Uuid>,
    chat: Option<Uuid>,
    /// All that are known: what the headers said, and the registry.
    ancestors: Vec<Uuid>,
}

/// The chat that is acted for, with those above and below it.
#[derive(Clone, Debug)]
pub struct Identity(pub Caller);

impl Visitor {
    /// Whoever may do everything: the daemon's own token, the Unix socket, `--no-auth`.
    pub(super) fn admin() -> Self {
        Self {
            scopes: Scopes::ADMIN,
            token: None,
            bound: None,
            chat: None,
            ancestors: Vec::new(),
        }
    }

    /// Whoever needs no token.
    pub(super) fn anyone() -> Self {
        Self {
            scopes: Scopes::default(),
            ..Self::admin()
        }
    }

    /// Whoever came with a scoped token.
    pub(super) fn with(pass: Pass) -> Self {
        Self {
            scopes: pass.scopes,
            token: Some((pass.token, pass.ending)),
            bound: pass.chat,
            chat: pass.chat,
            ancestors: Vec::new(),
        }
    }

    /// The same, acting for the chat that the headers name, as far as it may; nothing is known of it yet.
    pub(super) fn claiming(self, headers: &HeaderMap) -> Self {
        let named = claimed(headers).chat;
        if named.is_none() && headers.get(CHAT).is_some_and(|value| !value.is_empty()) {
            tracing::debug!("the header of the chat is no id");
        }
        let chat = self.bound.or(named);
        Self { chat, ..self }
    }

    /// Takes the request in: its chat is known from now on. A token that is bound acts for its own chat alone, whatever
    /// ancestors are named.
    pub(super) fn arrive(&mut self, api: &ApiState, headers: &HeaderMap) -> Result<(), ApiError> {
        let claim = claimed(headers);
        let foreign = claim.chat.is_some_and(|chat| Some(chat) != self.chat);
        if foreign {
            return Err(not_allowed());
        }
        if let Some(chat) = self.chat {
            let named = if self.bound.is_some() {
                &[]
            } else {
                claim.ancestors.as_slice()
            };
            self.ancestors = arrive(api, chat, named);
        }
        Ok(())
    }

    /// The chat that is acted for.
    pub fn chat(&self) -> Option<Uuid> {
        self.chat
    }

    /// All chats above that one.
    pub fn ancestors(&self) -> &[Uuid] {
        &self.ancestors
    }

    /// The chat that the token is bound to.
    pub fn bound(&self) -> Option<Uuid> {
        self.bound
    }

    /// Id of the token, when it is a scoped one.
    pub fn token_id(&self) -> Option<Uuid> {
        self.token.as_ref().map(|(id, _)| *id)
    }

    /// What the token allows.
    pub fn scopes(&self) -> Scopes {
        self.scopes
    }

    /// Whether the token allows this.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.include(scope)
    }

    /// Refuses what the token does not allow. For what depends on query or body: what a route needs in any case stands in the
    /// table of scopes.
    pub fn require(&self, scope: Scope) -> Result<(), ApiError> {
        if self.may(scope) {
            return Ok(());
        }
        Err(scope_required(scope))
    }

    /// The same visitor for the chat of a query. 403 when the token is bound to another one that is not above it.
    pub fn in_query(&self, api: &ApiState, chat: Uuid) -> Result<Self, ApiError> {
        self.acting_for(api, chat).ok_or_else(not_allowed)
    }

    /// The same visitor for the chat of a path, which takes the place of the header's. 400 when it is no id, 404 when the
    /// token is bound to another one that is not above it.
    pub fn in_path(&self, api: &ApiState, chat: &str) -> Result<Self, ApiError> {
        let chat = path_id(chat)?;
        self.acting_for(api, chat).ok_or_else(chat_not_found)
    }

    fn acting_for(&self, api: &ApiState, chat: Uuid) -> Option<Self> {
        if self.chat == Some(chat) {
            return Some(self.clone());
        }
        if let Some(bound) = self.bound
            && !api.chats().is_above(bound, chat)
        {
            return None;
        }
        tracing::Span::current().record("chat_id", chat.to_string());
        Some(Self {
            chat: Some(chat),
            ancestors: arrive(api, chat, &[]),
            ..self.clone()
        })
    }

    /// Takes in a stream that this request opens: it has to end with its token, and with its chat. 410 `chat_deleting`.
    pub fn stay(&self, api: &ApiState) -> Result<Stay, ApiError> {
        let ending = self.token.as_ref().map(|(_, ending)| ending.clone());
        Ok(api.chats().stay(self.chat, ending)?)
    }
}

/// Takes in a request of a chat; all its ancestors.
fn arrive(api: &ApiState, chat: Uuid, claimed: &[Uuid]) -> Vec<Uuid> {
    api.chats()
        .arrive(chat, claimed, || api.processes().live_chats())
}

/// The id of a chat in a path.
pub(super) fn path_id(text: &str) -> Result<Uuid, ApiError> {
    chat_id(text).ok_or_else(|| {
        ApiError::bad_request(
            "invalid_chat_id",
            "The path does not name a chat: a UUID is due.",
        )
    })
}

pub(super) fn chat_not_found() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "chat_not_found",
        "The chat was not found.",
    )
}

fn not_allowed() -> ApiError {
    let message = "The token is bound to another chat.";
    ApiError::new(StatusCode::FORBIDDEN, "chat_not_allowed", message)
}

/// 403 that names the scope.
pub(super) fn scope_required(scope: Scope) -> ApiError {
    let message = "The token does not allow this.";
    ApiError::new(StatusCode::FORBIDDEN, "scope_required", message).with_detail(scope.name())
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let visitor = parts.extensions.get::<Self>();
        Ok(visitor.cloned().unwrap_or_else(Self::anyone))
    }
}

impl Identity {
    /// Of a visitor, with the chats below its own.
    pub(super) fn of(visitor: &Visitor, api: &ApiState) -> Self {
        let below = visitor.chat.map(|chat| api.chats().below(chat));
        Self(Caller {
            chat: visitor.chat,
            ancestors: visitor.ancestors.clone(),
            descendants: below.unwrap_or_default(),
        })
    }
}

impl FromRequestParts<ApiState> for Identity {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Infallible> {
        let visitor = Visitor::from_request_parts(parts, api).await?;
        Ok(Self::of(&visitor, api))
    }
}

/// For a handler that changes files: where it says what it changed.
#[derive(Clone, Debug)]
pub struct Work {
    api: ApiState,
    visitor: Visitor,
}

impl FromRequestParts<ApiState> for Work {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, api: &ApiState) -> Result<Self, Infallible> {
        let visitor = Visitor::from_request_parts(parts, api).await?;
        let api = api.clone();
        Ok(Self { api, visitor })
    }
}

impl Work {
    /// Adds paths that were written, made, moved or removed to the chat's and its ancestors', as they were given.
    pub fn on<'a>(&self, paths: impl IntoIterator<Item = &'a ClientPath>) {
        self.on_bytes(paths.into_iter().map(ClientPath::given));
    }

    /// The same for paths as bytes.
    pub fn on_bytes<'a>(&self, paths: impl IntoIterator<Item = &'a [u8]>) {
        if let Some(chat) = self.visitor.chat {
            self.api
                .chats()
                .worked_on(chat, &self.visitor.ancestors, paths);
        }
    }
}

/// The chat of the first header, and the valid entries of the list; nobody when the chat is no id.
fn claimed(headers: &HeaderMap) -> Claim {
    let text = |name| headers.get(name)?.to_str().ok();
    let Some(chat) = text(CHAT).and_then(chat_id) else {
        return Claim::default();
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
    Claim {
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

    fn of(chat: &str, ancestors: &str) -> Claim {
        let mut headers = HeaderMap::new();
        headers.insert(CHAT, chat.parse().expect("a value"));
        headers.insert(ANCESTORS, ancestors.parse().expect("a value"));
        claimed(&headers)
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
            assert_eq!(of(text, &format!("[\"{ID}\"]")), Claim::default(), "{text}");
        }
        assert_eq!(claimed(&HeaderMap::new()), Claim::default());
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
