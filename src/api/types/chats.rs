//! Wire types of chats.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{files::time as calendar, tokens::invalid};
use crate::{
    api::error::ApiError,
    chat::{
        Deletion,
        registry::{Change, ChatInfo, Edit, Which},
    },
    vfs::entry::Time,
};

/// Characters of a title, or of the label of a token.
const LONGEST_TEXT: usize = 200;
/// Roots of a page that names no limit.
const USUAL_PAGE: usize = 100;
/// Roots of a page.
const LARGEST_PAGE: usize = 1000;

/// Nanoseconds since 1970 as RFC 3339 text, UTC.
pub(super) fn time(nanos: u64) -> String {
    let (seconds, nanos) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    calendar::format(Time {
        seconds: i64::try_from(seconds).expect("below 2^34"),
        nanos: u32::try_from(nanos).expect("below a second"),
    })
}

/// The chat that a field names.
pub(super) fn chat_of(field: &str, text: &str) -> Result<Uuid, ApiError> {
    let id = Uuid::parse_str(text.trim()).ok().filter(|id| !id.is_nil());
    id.ok_or_else(|| invalid(field, "not a UUID"))
}

/// A text for people.
pub(super) fn checked_text(field: &str, text: String) -> Result<String, ApiError> {
    if text.chars().nth(LONGEST_TEXT).is_some() {
        return Err(invalid(
            field,
            &format!("more than {LONGEST_TEXT} characters"),
        ));
    }
    Ok(text)
}

/// Body of `PUT /api/v0/chats/{id}`. What is left out stays; `null` clears.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ChatChangeBody {
    /// The parent. One that is not known becomes known.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub parent_id: Edit<String>,
    /// The title; up to 200 characters.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub title: Edit<String>,
}

/// Tells `null` from what is left out.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Edit<String>, D::Error> {
    let value = Option::deserialize(value)?;
    Ok(value.map_or(Edit::Clear, Edit::Set))
}

/// Checks a value that is set.
fn checked<T>(
    edit: Edit<String>,
    check: impl FnOnce(String) -> Result<T, ApiError>,
) -> Result<Edit<T>, ApiError> {
    Ok(match edit {
        Edit::Leave => Edit::Leave,
        Edit::Clear => Edit::Clear,
        Edit::Set(text) => Edit::Set(check(text)?),
    })
}

impl ChatChangeBody {
    /// Checks it.
    pub fn check(self) -> Result<Change, ApiError> {
        let parent = |text: String| {
            let named = chat_of("parent_id", &text);
            named.map_err(|error| error.with_code("invalid_chat_id"))
        };
        Ok(Change {
            parent: checked(self.parent_id, parent)?,
            title: checked(self.title, |text| checked_text("title", text))?,
        })
    }
}

/// Query of `GET /api/v0/chats`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct ChatsQuery {
    /// `false` (default), `true` or `all`.
    #[param(pattern = "^(false|true|all)$")]
    pub archived: Option<String>,
    /// Roots of the page, 1 to 1000. Default 100.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// Roots before the page.
    pub skip: Option<usize>,
}

/// What of the chats is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// Archived ones, the others, or both.
    pub which: Which,
    /// Roots of the page.
    pub limit: usize,
    /// Roots before it.
    pub skip: usize,
}

impl ChatsQuery {
    /// Checks it.
    pub fn check(&self) -> Result<Page, ApiError> {
        let which = match self.archived.as_deref() {
            None | Some("false") => Which::Current,
            Some("true") => Which::Archived,
            Some("all") => Which::All,
            Some(_) => return Err(invalid("archived", "false, true or all is due")),
        };
        let limit = self.limit.unwrap_or(USUAL_PAGE);
        if !(1..=LARGEST_PAGE).contains(&limit) {
            return Err(invalid("limit", &format!("not from 1 to {LARGEST_PAGE}")));
        }
        let skip = self.skip.unwrap_or(0);
        Ok(Page { which, limit, skip })
    }
}

/// Body of `POST /api/v0/chats/{id}/archive`.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
pub struct ArchiveBody {
    /// `false` brings the chat back. Default `true`.
    pub archived: Option<bool>,
}

/// Query of `DELETE /api/v0/chats/{id}`.
#[derive(Clone, Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct DeleteChatQuery {
    /// Everything below goes, too.
    pub recursive: Option<bool>,
}

/// Answer of `GET /api/v0/chats`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatsAnswer {
    /// Roots, the one seen last first.
    pub chats: Vec<ChatBody>,
    /// How many roots there are.
    pub total: usize,
}

/// A chat.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChatBody {
    /// Its id.
    pub id: String,
    /// Its parent; `null` for a root.
    pub parent_id: Option<String>,
    /// All chats above it, as far as they are known.
    pub ancestor_ids: Vec<String>,
    /// Its title.
    pub title: Option<String>,
    /// Whether it is archived.
    pub archived: bool,
    /// Since when.
    pub archived_at: Option<String>,
    /// When it became known.
    pub created_at: String,
    /// When its last request came.
    pub last_seen_at: String,
    /// Its processes.
    pub processes: ChatProcesses,
    /// Repositories that were found from its paths.
    pub repositories: usize,
    /// Its WebSockets and event streams.
    pub connections: usize,
    /// Live tokens that are bound to it.
    pub tokens: usize,
    /// Its children.
    #[schema(no_recursion)]
    pub children: Vec<ChatBody>,
}

/// Processes of a chat.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct ChatProcesses {
    /// Those that run.
    pub running: usize,
    /// Those that have ended and are remembered.
    pub kept: usize,
}

impl ChatBody {
    /// A chat with the processes of each.
    pub fn new(info: ChatInfo, processes: &HashMap<Uuid, (usize, usize)>) -> Self {
        let (running, kept) = processes.get(&info.id).copied().unwrap_or_default();
        let children = info.children.into_iter();
        Self {
            id: info.id.to_string(),
            parent_id: info.parent.map(|id| id.to_string()),
            ancestor_ids: info.ancestors.iter().map(Uuid::to_string).collect(),
            title: info.title,
            archived: info.archived_at.is_some(),
            archived_at: info.archived_at.map(time),
            created_at: time(info.created_at),
            last_seen_at: time(info.last_seen_at),
            processes: ChatProcesses { running, kept },
            repositories: info.repositories,
            connections: info.connections,
            tokens: info.tokens,
            children: children.map(|child| Self::new(child, processes)).collect(),
        }
    }
}

/// Answer of `DELETE /api/v0/chats/{id}`.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct DeleteChatAnswer {
    /// Chats that are gone.
    pub chats: usize,
    /// Processes that were ended.
    pub processes_ended: usize,
    /// Paths that were forgotten.
    pub paths_forgotten: usize,
    /// Tokens that were revoked.
    pub tokens_revoked: usize,
}

impl DeleteChatAnswer {
    /// Of a deletion that is done.
    pub fn new(deletion: &Deletion, processes_ended: usize, paths_forgotten: usize) -> Self {
        Self {
            chats: deletion.chats.len(),
            processes_ended,
            paths_forgotten,
            tokens_revoked: deletion.tokens_revoked,
        }
    }
}
