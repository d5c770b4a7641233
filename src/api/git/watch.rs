//! Changes of repositories, pushed over a WebSocket.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::StatusCode,
    response::Response,
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde_json::Value;
use tokio::time::{Instant, sleep_until};
use uuid::Uuid;

use super::{
    messages::{Message as Text, error_message, messages},
    query::root_of,
};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        extract::Segment,
        files::query::{Fields, invalid},
        identity::Visitor,
        state::ApiState,
        ws::{self, Beat, Pulse},
    },
    chat::{Over, Signals, Stay},
    git::watch::session::{News, Session},
    telemetry::{Probes, Raised},
};

/// Largest message of a client.
const LIMIT: usize = 4 * 1024 * 1024;
/// Paths of a request.
const MOST_PATHS: usize = 64;
/// Connections at a time.
const MOST_CONNECTIONS: usize = 10_000;
/// Scans that end within it share a message.
const SHARED: Duration = Duration::from_millis(50);
/// Between messages without entries.
const BEATS_APART: Duration = Duration::from_secs(1);
/// Paths that led nowhere are tried again so often.
const POLL: Duration = Duration::from_secs(30);
/// How long a client may not read.
const STALLED: Duration = Duration::from_secs(30);

static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// What a client asks for.
#[derive(Debug)]
struct WatchQuery {
    /// Who asks, acting for the chat whose repositories are watched; none: it named no chat that could be one.
    visitor: Option<Visitor>,
    /// Further ones.
    paths: Vec<PathBuf>,
}

impl WatchQuery {
    /// Reads a query; without a chat in it, that of the request counts.
    fn read(api: &ApiState, fields: &mut Fields, visitor: &Visitor) -> Result<Self, ApiError> {
        let visitor = match fields.text("chat_id")? {
            None => Some(visitor.clone()),
            Some(text) => {
                let chat = Uuid::parse_str(text.trim()).ok();
                let chat = chat.filter(|chat| !chat.is_nil());
                if chat.is_none() {
                    tracing::debug!("the chat of a git watch is no id: it has no repository");
                }
                chat.map(|chat| visitor.in_query(api, chat)).transpose()?
            }
        };
        Ok(Self {
            visitor,
            paths: paths(fields)?,
        })
    }
}

/// Takes `path`.
fn paths(fields: &mut Fields) -> Result<Vec<PathBuf>, ApiError> {
    let paths = fields.list("path");
    if paths.len() > MOST_PATHS {
        return Err(invalid("path", format!("at most {MOST_PATHS} are taken")));
    }
    let path = |bytes| PathBuf::from(OsString::from_vec(bytes));
    Ok(paths.into_iter().map(path).collect())
}

/// Changes of the repositories that a chat works in, and of those that `path` names.
///
/// Text messages from the server: `{"type": "changes", "scanned_at", "repositories": […], "errors"?}` and `{"type": "error",
/// "message"}`. The first has all repositories, the next ones those that differ; one without any tells that a scan has ended.
/// From the client: `{"type": "refresh"}`. Close codes: 1001 deskd stops, the chat was deleted or a ping was not answered,
/// 1008 the token ended, 1009 a message over 4 MiB, 1013 the client does not read.
#[utoipa::path(get, path = "/api/v0/git/watch", tag = "git",
    params(("chat_id" = Option<String>, Query, description = "Chat; without it the chat of the request's header"),
           ("path" = Option<Vec<String>>, Query, description = "Absolute path in a repository to watch besides; repeatable, up to 64")),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 400, description = "`invalid_field`", body = ErrorBody),
              (status = 403, description = "`chat_not_allowed`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody),
              (status = 426, description = "`websocket_required`", body = ErrorBody),
              (status = 429, description = "`git_busy`", body = ErrorBody)))]
pub async fn watch_repositories(
    State(api): State<ApiState>,
    visitor: Visitor,
    mut fields: Fields,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let query = WatchQuery::read(&api, &mut fields, &visitor)?;
    serve_watch(&api, &visitor, "/api/v0/git/watch", query, upgrade)
}

/// Changes of the repositories of a chat: as `GET /api/v0/git/watch`.
#[utoipa::path(get, path = "/api/experimental/chats/{chat}/git/watch", tag = "chats",
    params(("chat" = String, Path, description = "Its id"),
           ("path" = Option<Vec<String>>, Query, description = "Absolute path in a repository to watch besides; repeatable, up to 64")),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 400, description = "`invalid_chat_id`, `invalid_field`", body = ErrorBody),
              (status = 404, description = "`chat_not_found`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody),
              (status = 426, description = "`websocket_required`", body = ErrorBody),
              (status = 429, description = "`git_busy`", body = ErrorBody)))]
pub async fn watch_chat_repositories(
    State(api): State<ApiState>,
    visitor: Visitor,
    Segment(chat): Segment,
    fields: Fields,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let route = "/api/experimental/chats/{chat}/git/watch";
    watch_for(&api, &visitor.in_path(&api, &chat)?, route, fields, upgrade)
}

/// Changes of the repositories of a chat: as `GET /api/v0/git/watch`.
#[utoipa::path(get, path = "/api/experimental/chats/{chat}/stream/git", tag = "chats",
    params(("chat" = String, Path, description = "Its id"),
           ("path" = Option<Vec<String>>, Query, description = "Absolute path in a repository to watch besides; repeatable, up to 64")),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 400, description = "`invalid_chat_id`, `invalid_field`", body = ErrorBody),
              (status = 404, description = "`chat_not_found`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody),
              (status = 426, description = "`websocket_required`", body = ErrorBody),
              (status = 429, description = "`git_busy`", body = ErrorBody)))]
pub async fn stream_chat_repositories(
    State(api): State<ApiState>,
    visitor: Visitor,
    Segment(chat): Segment,
    fields: Fields,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let route = "/api/experimental/chats/{chat}/stream/git";
    watch_for(&api, &visitor.in_path(&api, &chat)?, route, fields, upgrade)
}

/// The same for the chat that the visitor acts for.
fn watch_for(
    api: &ApiState,
    visitor: &Visitor,
    route: &'static str,
    mut fields: Fields,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let query = WatchQuery {
        visitor: Some(visitor.clone()),
        paths: paths(&mut fields)?,
    };
    serve_watch(api, visitor, route, query, upgrade)
}

/// The connection of one who watches. Whatever can be refused is refused before the upgrade.
fn serve_watch(
    api: &ApiState,
    visitor: &Visitor,
    route: &'static str,
    query: WatchQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| ws::not_an_upgrade(&rejection))?;
    let place = Place::take().ok_or_else(|| {
        let message = "Too many connections watch repositories.";
        ApiError::new(StatusCode::TOO_MANY_REQUESTS, "git_busy", message)
    })?;
    let stay = query.visitor.as_ref().unwrap_or(visitor).stay(api)?;
    let connection = Connection::new(api, route, query);
    let shutdown = api.shutdown().clone();
    let counted = Raised::new(&api.metrics().git_watchers);
    let serve = async move |writer, reader| {
        connection.run(stay, writer, reader).await;
        drop((place, counted));
    };
    Ok(ws::accept_socket(upgrade, &shutdown, LIMIT, serve))
}

/// One of the connections that there may be.
struct Place;

impl Place {
    fn take() -> Option<Self> {
        let before = CONNECTIONS.fetch_add(1, Ordering::Relaxed);
        let place = Self;
        (before < MOST_CONNECTIONS).then_some(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::Relaxed);
    }
}

type Writer = SplitSink<WebSocket, Message>;
type Reader = SplitStream<WebSocket>;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    ClientGone,
    ClientSilent,
    ClientStalled,
    TooLarge,
    Over(Over),
    Stopping,
}

impl End {
    fn close(self) -> Option<(u16, &'static str)> {
        match self {
            Self::ClientGone => None,
            Self::ClientSilent => Some((1001, "ping timeout")),
            Self::ClientStalled => Some((1013, "the client does not read")),
            Self::TooLarge => Some((1009, "the message is too large")),
            Self::Over(over) => Some(over.close()),
            Self::Stopping => Some((1001, "deskd is stopping")),
        }
    }
}

struct Connection {
    api: ApiState,
    /// The chat, and what tells of its work.
    chat: Option<(Uuid, Signals)>,
    paths: BTreeSet<PathBuf>,
    /// Paths and the roots that they led to; the others are tried again.
    resolved: BTreeMap<PathBuf, PathBuf>,
    session: Session,
    /// When the newest scan that was told began.
    at: SystemTime,
    /// When the last message went out.
    said: Option<Instant>,
    /// A scan has ended of which nothing was said yet.
    owed: bool,
    /// Errors that were told.
    errors: Vec<Arc<str>>,
    pulse: Pulse,
}

impl Connection {
    fn new(api: &ApiState, route: &'static str, query: WatchQuery) -> Self {
        // Subscribed before the paths are read: none is missed.
        let chat = query.visitor.and_then(|visitor| visitor.chat());
        let probes = Probes::new(route, Arc::clone(api.metrics()));
        Self {
            session: Session::new(api.git()),
            chat: chat.map(|chat| (chat, api.chats().subscribe(chat))),
            pulse: Pulse::new(api.liveness(), probes),
            api: api.clone(),
            paths: query.paths.into_iter().collect(),
            resolved: BTreeMap::new(),
            at: SystemTime::UNIX_EPOCH,
            said: None,
            owed: false,
            errors: Vec::new(),
        }
    }

    async fn run(mut self, stay: Stay, mut writer: Writer, mut reader: Reader) {
        let stop = self.api.shutdown().clone();
        let end = tokio::select! {
            biased;
            () = stop.stopped() => End::Stopping,
            over = stay.over() => End::Over(over),
            end = self.serve(&mut writer, &mut reader) => end,
        };
        match end.close() {
            Some((code, reason)) => ws::close(&mut writer, &mut reader, code, reason).await,
            None => self.pulse.peer_left(),
        }
        tracing::debug!(?end, "a git watch ended");
    }

    async fn serve(&mut self, writer: &mut Writer, reader: &mut Reader) -> End {
        self.resolve().await;
        self.session.first().await;
        if let Err(end) = self.tell(writer, true).await {
            return end;
        }
        let mut tried = Instant::now();
        // When what has come is told.
        let mut due: Option<Instant> = None;
        loop {
            let poll = tried + POLL;
            let next = due.map_or(poll, |due| due.min(poll));
            let end = tokio::select! {
                biased;
                message = reader.next() => self.obey(message, writer).await,
                () = signalled(&mut self.chat) => {
                    self.resolve().await;
                    self.session.touch();
                    Ok(())
                }
                () = self.session.changed() => {
                    let now = Instant::now();
                    // Nobody else's result can come meanwhile.
                    let alone = self.session.is_at_rest();
                    due = due.or(Some(if alone { now } else { now + SHARED }));
                    Ok(())
                }
                () = self.pulse.due() => self.beat(writer).await,
                () = sleep_until(next) => Ok(()),
            };
            if let Err(end) = end {
                return end;
            }
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                due = match self.tell(writer, false).await {
                    Ok(later) => later,
                    Err(end) => return end,
                };
            }
            if poll <= now {
                tried = now;
                self.resolve().await;
            }
        }
    }

    /// Finds the repositories of new paths, and of those that led to none before. What the tree does not show has none.
    async fn resolve(&mut self) {
        let mut paths = self.paths.clone();
        if let Some((chat, _)) = &self.chat {
            paths.extend(self.api.chats().paths(*chat));
            // They stay known after the path has gone from which they were found.
            paths.extend(self.api.chats().repositories(*chat));
        }
        self.resolved.retain(|path, _| paths.contains(path));
        paths.retain(|path| !self.resolved.contains_key(path));
        for path in paths {
            if let Ok(root) = root_of(&self.api, path.as_os_str().as_encoded_bytes()).await {
                self.session.add(&root);
                if let Some((chat, _)) = &self.chat
                    && !self.paths.contains(&path)
                {
                    self.api
                        .chats()
                        .note_repositories(*chat, std::slice::from_ref(&root));
                }
                self.resolved.insert(path, root);
            }
        }
    }

    async fn beat(&mut self, writer: &mut Writer) -> Result<(), End> {
        match self.pulse.beat() {
            Beat::Nothing | Beat::Answered => Ok(()),
            Beat::Silent => Err(End::ClientSilent),
            Beat::Ping => {
                send(writer, Message::Ping(Bytes::new())).await?;
                self.pulse.sent();
                Ok(())
            }
        }
    }

    async fn obey(
        &mut self,
        message: Option<Result<Message, axum::Error>>,
        writer: &mut Writer,
    ) -> Result<(), End> {
        self.pulse.heard();
        let bytes = match message {
            Some(Err(error)) if error.to_string().contains("too long") => {
                return Err(End::TooLarge);
            }
            None | Some(Ok(Message::Close(_)) | Err(_)) => return Err(End::ClientGone),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Text(text))) => Bytes::from(text),
            Some(Ok(Message::Binary(bytes))) => bytes,
        };
        let object = serde_json::from_slice::<Value>(&bytes).ok();
        let kind = object
            .as_ref()
            .and_then(|object| object.as_object())
            .map(|object| object.get("type"));
        let wrong = match kind {
            Some(Some(Value::String(kind))) if kind == "refresh" => {
                self.resolve().await;
                self.session.refresh();
                return Ok(());
            }
            Some(Some(Value::String(kind))) => {
                let kind: String = kind
                    .chars()
                    .filter(|letter| !letter.is_control())
                    .take(40)
                    .collect();
                format!("unknown message type: {kind}")
            }
            Some(_) => "unknown message type: it has none".to_owned(),
            None => "the message is not a JSON object".to_owned(),
        };
        send(writer, Message::Text(error_message(&wrong).into())).await
    }

    /// Tells what is new. Gives back when what is held back is due.
    async fn tell(&mut self, writer: &mut Writer, first: bool) -> Result<Option<Instant>, End> {
        let held_back = self
            .said
            .map(|said| said + BEATS_APART)
            .filter(|free| *free > Instant::now());
        let News {
            at,
            entries,
            removed,
            gone,
            failed,
        } = self.session.news();
        self.resolved.retain(|_, root| !gone.contains(root));
        self.at = self.at.max(at.unwrap_or(self.at));
        let (texts, errors) = messages(self.at, &entries, &removed, &failed);
        let has_news = !entries.is_empty() || !removed.is_empty() || errors != self.errors;
        self.owed |= at.is_some();
        if !self.owed && !has_news {
            return Ok(None);
        }
        if !has_news && !first && held_back.is_some() {
            return Ok(held_back);
        }
        self.owed = false;
        self.errors = errors;
        self.said = Some(Instant::now());
        for Text(text) in texts {
            send(writer, Message::Text(text)).await?;
        }
        Ok(None)
    }
}

/// Resolves when something was done for the chat; never without one. Safe to drop.
async fn signalled(chat: &mut Option<(Uuid, Signals)>) {
    match chat {
        Some((_, signals)) => signals.next().await,
        None => std::future::pending().await,
    }
}

async fn send(writer: &mut Writer, message: Message) -> Result<(), End> {
    match tokio::time::timeout(STALLED, writer.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::ClientGone),
        Err(_) => Err(End::ClientStalled),
    }
}
