//! Watching a tree: as a WebSocket, as server-sent events, or by long poll.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json,
    body::Body,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::query::{Fields, invalid};
use crate::{
    api::{
        error::{ApiError, ErrorBody},
        identity::Visitor,
        state::ApiState,
        types::files::watch::{WatchEvent, WatchMessage, format_cursor, parse_cursor},
        ws::{self, Beat, Pulse},
    },
    chat::Stay,
    shutdown::Shutdown,
    telemetry::Probes,
    vfs::{
        path::ClientPath,
        view::Opened,
        watch::{Position, Subscription, coalesce::coalesce, filter::Filter},
    },
};

/// Events of a message.
const EVENTS: usize = 500;
/// Changes that are joined at once: what one client may hold besides the ring.
const BATCH: usize = 16_384;
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(15);
/// Time for a client to take a message.
const STALLED: Duration = Duration::from_secs(30);
/// Longest wait of a long poll.
const LONGEST_WAIT: u64 = 60_000;

struct Ask {
    path: ClientPath,
    recursive: bool,
    ignore: bool,
    globs: Vec<String>,
    cursor: Option<Position>,
    coalesce: Duration,
    wait: Option<Duration>,
}

impl Ask {
    fn new(mut fields: Fields, headers: &HeaderMap) -> Result<Self, ApiError> {
        let path = fields.path("path")?;
        let recursive = fields.flag("recursive", true)?;
        let ignore = fields.flag("ignore", true)?;
        let globs = fields.texts("glob")?;
        let last = headers
            .get("last-event-id")
            .and_then(|id| id.to_str().ok())
            .map(str::to_owned);
        let cursor = fields.text("cursor")?;
        let cursor = last.or(cursor).map(|text| {
            parse_cursor(&text).ok_or_else(|| {
                ApiError::bad_request("bad_cursor", "The cursor is none of a watch.")
                    .with_validation(
                        "cursor".to_owned(),
                        "is not a cursor of this route".to_owned(),
                    )
            })
        });
        let coalesce = fields.number("coalesce_ms")?.unwrap_or(50);
        if coalesce > 5000 {
            return Err(invalid("coalesce_ms", "is more than 5000"));
        }
        let wait = fields.number("wait_ms")?;
        if wait.is_some_and(|wait| wait > LONGEST_WAIT) {
            return Err(invalid("wait_ms", format!("is more than {LONGEST_WAIT}")));
        }
        fields.finish()?;
        Ok(Self {
            path,
            recursive,
            ignore,
            globs,
            cursor: cursor.transpose()?,
            coalesce: Duration::from_millis(coalesce),
            wait: wait.map(Duration::from_millis),
        })
    }
}

/// Tells what happens below a directory: made, changed, renamed, removed.
///
/// A WebSocket upgrade gives text frames, `Accept: text/event-stream` server-sent events whose id is the cursor, anything else
/// one JSON message: at once without `cursor` and `wait_ms`, else when something has happened or after `wait_ms`. The first
/// message has `ready`: all watches are set. Whoever applies the events to a listing that was taken after `ready` ends with the
/// tree as it is; what was lost is an `overflow`, and what is renamed from a path that the client does not know is to be listed.
/// Within `coalesce_ms` what happens to a path is joined. A cursor from the middle of a window of more than 500 events begins that
/// window again. A WebSocket closes with 1000 when the directory is gone, 1001 when deskd stops, the chat is deleted or a ping is
/// not answered, 1008 when its token ends, 1011 when the watch failed, 1013 when the client takes nothing for 30 s.
#[utoipa::path(get, path = "/api/v0/files/watch", tag = "files",
    params(("path" = String, Query, description = "The directory"),
           ("recursive" = Option<bool>, Query, description = "All below it; default true"),
           ("ignore" = Option<bool>, Query, description = "Without what gitignore names; default true"),
           ("glob" = Option<Vec<String>>, Query, description = "Which paths; `!` in front excludes"),
           ("cursor" = Option<String>, Query, description = "Where to continue"),
           ("coalesce_ms" = Option<u64>, Query, description = "Window, 0 to 5000; default 50", minimum = 0, maximum = 5000),
           ("wait_ms" = Option<u64>, Query, description = "Of a long poll, 0 to 60000; default 25000", minimum = 0, maximum = 60_000)),
    responses((status = 200, description = "One message, or events", body = WatchMessage),
              (status = 101, description = "Messages as text frames"),
              (status = 400, description = "`invalid_field`, `bad_cursor`, `not_a_directory`, `not_supported`", body = ErrorBody),
              (status = 404, description = "`not_found`", body = ErrorBody),
              (status = 410, description = "`chat_deleting`", body = ErrorBody)))]
pub async fn watch_files(
    State(api): State<ApiState>,
    visitor: Visitor,
    headers: HeaderMap,
    fields: Fields,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let ask = Ask::new(fields, &headers)?;
    let (wait, resumed) = (ask.wait, ask.cursor.is_some());
    let stay = visitor.stay(&api)?;
    let messages = Messages::of(Feed::open(api.clone(), ask).await?, stay);
    let events = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok());
    match upgrade {
        Ok(upgrade) => {
            let shutdown = api.shutdown().clone();
            let stop = shutdown.clone();
            let probes = Probes::new("/api/v0/files/watch", Arc::clone(api.metrics()));
            let pulse = Pulse::new(api.liveness(), probes);
            let serve = async move |writer, reader| {
                serve_socket(messages, pulse, stop, writer, reader).await;
            };
            Ok(ws::accept_socket(upgrade, &shutdown, 1 << 16, serve))
        }
        Err(_) if events.is_some_and(|accept| accept.contains("text/event-stream")) => {
            Ok(serve_events(messages))
        }
        Err(_) => {
            let at_once = wait.is_none() && !resumed;
            let wait = if at_once {
                Duration::ZERO
            } else {
                wait.unwrap_or(Duration::from_secs(25))
            };
            Ok(Json(messages.poll(wait).await?).into_response())
        }
    }
}

/// The messages of one client.
struct Feed {
    api: ApiState,
    root: Opened,
    subscription: Subscription,
    /// Away while it is at work on the pool.
    filter: Option<Filter>,
    window: Duration,
    ready: bool,
    /// Events of the last window that did not fit the message, and where the window began.
    rest: VecDeque<WatchEvent>,
    began: Position,
}

impl Feed {
    async fn open(api: ApiState, ask: Ask) -> Result<Self, ApiError> {
        let view = api.vfs().view();
        let watches = api.vfs().watches().clone();
        let Ask {
            path,
            recursive,
            ignore,
            globs,
            cursor,
            coalesce: window,
            ..
        } = ask;
        let asked = path.clone();
        let work = api.vfs().run(&view, &asked, move |view, _| {
            let root = view.open_directory(&path, "watch")?;
            let filter = Filter::new(view.clone(), root.clone(), ignore, &globs);
            let subscription = watches.subscribe(view, root.clone(), recursive, cursor)?;
            Ok((root, filter, subscription))
        });
        let (root, filter, mut subscription) = work.await?;
        let filter = filter.map_err(|error| {
            ApiError::bad_request("bad_pattern", "A glob is not as it should be.")
                .with_validation(format!("glob[{}]", error.index), error.to_string())
        })?;
        let began = subscription.position();
        let filter = Some(filter);
        Ok(Self {
            api,
            root,
            subscription,
            filter,
            window,
            ready: true,
            rest: VecDeque::new(),
            began,
        })
    }

    fn message(&mut self, events: Vec<WatchEvent>) -> WatchMessage {
        let position = if self.rest.is_empty() {
            self.subscription.position()
        } else {
            self.began
        };
        let ready = std::mem::take(&mut self.ready);
        WatchMessage {
            cursor: format_cursor(&position),
            ready,
            polled: ready && self.subscription.is_polled(),
            events,
        }
    }

    /// The next message; `None` when the watch has ended.
    async fn next(&mut self) -> Result<Option<WatchMessage>, ApiError> {
        if self.ready {
            let limits = self.subscription.limits();
            let events = limits.iter().take(EVENTS).map(WatchEvent::from).collect();
            return Ok(Some(self.message(events)));
        }
        loop {
            if self.rest.is_empty() && !self.fill().await? {
                return Ok(None);
            }
            let count = self.rest.len().min(EVENTS);
            if count > 0 {
                let events = self.rest.drain(..count).collect();
                return Ok(Some(self.message(events)));
            }
        }
    }

    /// Waits for a window with something in it and joins what happened. Not to be dropped half way: see [`Messages`].
    async fn fill(&mut self) -> Result<bool, ApiError> {
        if !self.subscription.wait().await {
            return Ok(false);
        }
        // What has to wait for its turn has waited long enough.
        if self.subscription.waiting() < BATCH {
            sleep(self.window).await;
        }
        self.began = self.subscription.position();
        let changes = self.subscription.read(BATCH);
        let mut filter = self.filter.take().expect("it comes back");
        let work = self.api.vfs().run_in(&self.root.mount, move |_| {
            let joined = filter.pass(coalesce(changes));
            Ok((filter, joined))
        });
        let (filter, joined) = work.await?;
        self.filter = Some(filter);
        self.rest = joined.iter().map(WatchEvent::from).collect();
        Ok(true)
    }
}

/// The messages of one client, made ahead by one: taking one may be given up at any time without losing any.
struct Messages {
    queue: mpsc::Receiver<Result<WatchMessage, ApiError>>,
    stay: Stay,
}

impl Messages {
    fn of(mut feed: Feed, stay: Stay) -> Self {
        let (sender, queue) = mpsc::channel(1);
        let shutdown = feed.api.shutdown().clone();
        let metrics = Arc::clone(feed.api.metrics());
        shutdown.clone().spawn(async move {
            metrics.file_watchers.inc();
            let pump = async {
                while let Some(message) = feed.next().await.transpose() {
                    let failed = message.is_err();
                    if sender.send(message).await.is_err() || failed {
                        return;
                    }
                }
            };
            tokio::select! {
                biased;
                () = shutdown.stopped() => {}
                () = sender.closed() => {}
                () = pump => {}
            }
            metrics.file_watchers.dec();
        });
        Self { queue, stay }
    }

    /// The next message; `None` when the watch has ended. Safe to drop.
    async fn next(&mut self) -> Result<Option<WatchMessage>, ApiError> {
        self.queue.recv().await.transpose()
    }

    /// One message: the first that has events, or an empty one after a time.
    async fn poll(mut self, wait: Duration) -> Result<WatchMessage, ApiError> {
        // It is there at once, and says that all is set.
        let first = self.next().await?;
        let stopping = "deskd is stopping, or the watch has ended.";
        let first = first
            .ok_or_else(|| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", stopping))?;
        if !first.events.is_empty() {
            return Ok(first);
        }
        match timeout(wait, self.next()).await {
            Ok(Ok(Some(found))) => Ok(WatchMessage {
                ready: first.ready,
                polled: first.polled,
                ..found
            }),
            Ok(Err(error)) => Err(error),
            Ok(Ok(None)) | Err(_) => Ok(first),
        }
    }
}

fn serve_events(messages: Messages) -> Response {
    let stream = futures_util::stream::unfold(messages, async |mut messages| {
        let next = async {
            tokio::select! {
                biased;
                _ = messages.stay.over() => Ok(None),
                message = messages.queue.recv() => message.transpose(),
            }
        };
        let text = match timeout(BEAT, next).await {
            Err(_) => ": alive\n\n".to_owned(),
            Ok(Ok(Some(message))) => {
                let data = serde_json::to_string(&message).expect("plain data");
                format!("id: {}\ndata: {data}\n\n", message.cursor)
            }
            Ok(Ok(None) | Err(_)) => return None,
        };
        Some((Ok::<_, Infallible>(Bytes::from(text)), messages))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (headers, Body::from_stream(stream)).into_response()
}

type Writer = SplitSink<WebSocket, Message>;
type Reader = SplitStream<WebSocket>;

async fn serve_socket(
    mut messages: Messages,
    pulse: Pulse,
    stop: Shutdown,
    mut writer: Writer,
    mut reader: Reader,
) {
    let Messages { queue, stay } = &mut messages;
    let end = tokio::select! {
        biased;
        () = stop.stopped() => Some((1001, "deskd is stopping")),
        why = stay.over() => Some(why.close()),
        () = listen(&mut reader, &pulse) => None,
        end = show(queue, &mut writer, &pulse) => end,
    };
    match end {
        Some((code, reason)) => ws::close(&mut writer, &mut reader, code, reason).await,
        None => pulse.peer_left(),
    }
}

/// Returns when the client has gone.
async fn listen(reader: &mut Reader, pulse: &Pulse) {
    while let Some(Ok(message)) = reader.next().await {
        pulse.heard();
        if matches!(message, Message::Close(_)) {
            return;
        }
    }
}

/// Sends what there is to tell; how to close, or nothing when the client has gone.
async fn show(
    queue: &mut mpsc::Receiver<Result<WatchMessage, ApiError>>,
    writer: &mut Writer,
    pulse: &Pulse,
) -> Option<(u16, &'static str)> {
    loop {
        let message = tokio::select! {
            biased;
            () = pulse.due() => match pulse.beat() {
                Beat::Ping => Message::Ping(Bytes::new()),
                Beat::Silent => return Some((1001, "ping timeout")),
                Beat::Nothing | Beat::Answered => continue,
            },
            found = queue.recv() => match found {
                Some(Ok(message)) => {
                    Message::Text(serde_json::to_string(&message).expect("plain data").into())
                }
                None => return Some((1000, "the watch has ended")),
                Some(Err(_)) => return Some((1011, "the watch failed")),
            },
        };
        let ping = matches!(message, Message::Ping(_));
        match timeout(STALLED, writer.send(message)).await {
            Ok(Ok(())) if ping => pulse.sent(),
            Ok(Ok(())) => {}
            Ok(Err(_)) => return None,
            Err(_) => return Some((1013, "the client does not read")),
        }
    }
}
