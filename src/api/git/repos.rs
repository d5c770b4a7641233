//! The repositories that are known.

use std::{collections::BTreeSet, path::PathBuf};

use axum::{Json, extract::State};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::query::root_of;

use crate::{
    api::{
        error::{ApiError, ErrorBody, git::of_git},
        files::query::{Fields, invalid},
        identity::Visitor,
        state::ApiState,
        types::git::{milliseconds, path_text, timestamp},
    },
    git::watch::{Outcome, Overview},
};

/// A watched repository.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct KnownBody {
    /// The work tree's root.
    pub repo_root: String,
    /// Short name of the branch.
    pub branch: String,
    /// Id of HEAD's commit.
    pub head: String,
    /// URL of `origin`, without user name and password.
    pub remote_origin: Option<String>,
    /// Connections that watch it.
    pub watchers: usize,
    /// Changes are notified; else it is looked at every 5 s.
    pub notifications: bool,
    /// When the last scan began.
    pub last_scanned_at: Option<String>,
    /// How long it took, in milliseconds.
    pub scan_ms: Option<f64>,
    /// Code of its failure.
    pub error: Option<&'static str>,
}

/// Answer of `repos`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReposAnswer {
    /// Sorted by root.
    pub repositories: Vec<KnownBody>,
}

impl From<&Overview> for KnownBody {
    fn from(known: &Overview) -> Self {
        let latest = known.latest.as_deref();
        let snapshot = match latest.map(|latest| &latest.outcome) {
            Some(Outcome::Scanned(snapshot)) => Some(snapshot),
            _ => None,
        };
        let error = match latest.map(|latest| &latest.outcome) {
            Some(Outcome::Failed(error)) => Some(of_git(error).code()),
            _ => None,
        };
        let standing = snapshot.map(|snapshot| &snapshot.standing);
        Self {
            repo_root: path_text(&known.root),
            branch: standing
                .map(|standing| standing.branch.clone())
                .unwrap_or_default(),
            head: standing
                .and_then(|standing| standing.head.clone())
                .unwrap_or_default(),
            remote_origin: standing.and_then(|standing| standing.remote_origin.clone()),
            watchers: known.watchers,
            notifications: known.notified,
            last_scanned_at: latest.map(|latest| timestamp(latest.at)),
            scan_ms: snapshot.map(|snapshot| milliseconds(snapshot.took)),
            error,
        }
    }
}

/// The repositories that a chat works in; without a chat, those that somebody watches.
#[utoipa::path(get, path = "/api/v0/git/repos", tag = "git",
    params(("chat_id" = Option<String>, Query, description = "Chat; without it the chat of the request's header")),
    responses((status = 200, description = "The repositories", body = ReposAnswer),
              (status = 400, description = "`invalid_field`", body = ErrorBody),
              (status = 403, description = "`chat_not_allowed`", body = ErrorBody)))]
pub async fn list_repositories(
    State(api): State<ApiState>,
    visitor: Visitor,
    mut fields: Fields,
) -> Result<Json<ReposAnswer>, ApiError> {
    let chat = match fields.text("chat_id")? {
        None => visitor.chat(),
        Some(text) => {
            let chat = Uuid::parse_str(text.trim());
            let chat = chat.map_err(|_| invalid("chat_id", "is not a UUID"))?;
            visitor.in_query(&api, chat)?.chat()
        }
    };
    fields.finish()?;
    let mut all = api.git().watchers().list();
    if let Some(chat) = chat {
        let roots = roots(&api, chat).await;
        all.retain(|known| roots.contains(&known.root));
        let watched: BTreeSet<_> = all.iter().map(|known| known.root.clone()).collect();
        all.extend(roots.difference(&watched).cloned().map(Overview::unwatched));
        all.sort_by(|left, right| left.root.cmp(&right.root));
    }
    Ok(Json(ReposAnswer {
        repositories: all.iter().map(KnownBody::from).collect(),
    }))
}

/// The roots of the work trees in which a chat works.
async fn roots(api: &ApiState, chat: Uuid) -> BTreeSet<PathBuf> {
    let mut paths: BTreeSet<PathBuf> = api.chats().paths(chat).into_iter().collect();
    paths.extend(api.chats().repositories(chat));
    let mut roots = BTreeSet::new();
    for path in paths {
        if roots.iter().any(|root| path == *root) {
            continue;
        }
        if let Ok(root) = root_of(api, path.as_os_str().as_encoded_bytes()).await {
            roots.insert(root);
        }
    }
    roots
}
