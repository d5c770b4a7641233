//! Live output of processes: server-sent events, and both directions over a WebSocket.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::Body,
    extract::{
        Path, State, WebSocketUpgrade,
        rejection::PathRejection,
        ws::{Message, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use utoipa::{IntoParams, ToSchema};

use super::{
    error::{ApiError, ErrorBody},
    identity::{Identity, Visitor},
    processes::{CheckedQuery, exit_object, find},
    state::ApiState,
    types::{
        process_answers::{GapBody, state_name},
        processes::{SizeBody, StreamName, signal_number},
    },
    ws::{self, Beat, Pulse},
};
use crate::chat::{Over, Stay};
use crate::proc::{
    entry::Entry,
    error::{BeyondEnd, InputError},
    excerpt::clean,
    follow::{Event, Follower},
    history::View,
    record::Window,
};
use crate::telemetry::Probes;

/// Between two comments of an event stream.
const BEAT: Duration = Duration::from_secs(15);
/// Time without progress towards a client, or towards a process.
const STALLED: Duration = Duration::from_secs(30);
/// Largest message of a client.
const MESSAGE: usize = 1 << 20;
/// Bytes of input that may wait for the process, of each client.
const UNREAD: usize = 1 << 20;
/// Messages of input that may wait, of each client.
const QUEUE: usize = 1024;
/// Replies that may wait for a client; when they are as many, its messages are not read.
const REPLIES: usize = 64;

/// Query of `GET /api/v0/processes/{id}/events`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct EventsQuery {
    /// Cursor to begin at, default 0; `Last-Event-ID` goes before.
    pub since: Option<u64>,
    /// Which stream.
    #[param(inline)]
    pub stream: Option<StreamName>,
    /// `text` (default) or `base64`.
    #[param(inline)]
    pub encoding: Option<Encoding>,
}

/// Form of the bytes.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Cleaned text.
    #[default]
    Text,
    /// As they are.
    Base64,
}

/// Query of `GET /api/v0/processes/{id}/attach`.
#[derive(Debug, Default, Deserialize, IntoParams, ToSchema)]
#[into_params(parameter_in = Query)]
pub struct AttachQuery {
    /// Cursor to begin at; default: now.
    pub since: Option<u64>,
    /// Which stream.
    #[param(inline)]
    pub stream: Option<StreamName>,
}

fn begin(entry: &Entry, view: View, since: u64) -> Result<u64, ApiError> {
    let total = Entry::total(&entry.status(), view);
    if since > total {
        let window = Window { start: 0, total };
        let cursor = since;
        return Err(BeyondEnd { cursor, window }.into());
    }
    Ok(since)
}

/// Output and ending as server-sent events: `output`, `gap`, `exit`, `closed`. Replay first, then live.
///
/// The id of an event is the cursor behind it. A comment line comes every 15 s.
#[utoipa::path(get, path = "/api/v0/processes/{id}/events", tag = "processes",
    params(("id" = String, Path, description = "Its id"), EventsQuery),
    responses((status = 200, description = "The events", content((String = "text/event-stream"))),
              (status = 400, description = "`invalid_field`, `cursor_beyond_end`", body = ErrorBody),
              (status = 404, description = "`process_not_found`", body = ErrorBody)))]
pub async fn stream_events(
    State(api): State<ApiState>,
    visitor: Visitor,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
    CheckedQuery(query): CheckedQuery<EventsQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let entry = find(&api, &caller, id)?;
    let view: View = query.stream.unwrap_or_default().into();
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.parse().ok());
    let since = begin(&entry, view, last.or(query.since).unwrap_or(0))?;
    let stay = visitor.stay(&api)?;
    let encoding = query.encoding.unwrap_or_default();
    let events = Events {
        follower: Follower::new(entry, view, since, encoding == Encoding::Text),
        encoding,
        view,
        over: false,
    };
    let stream =
        futures_util::stream::unfold((events, api, stay), async |(mut events, api, stay)| {
            let text = tokio::select! {
                biased;
                () = api.shutdown().stopped() => return None,
                _ = stay.over() => return None,
                text = events.next() => text?,
            };
            Some((Ok::<_, Infallible>(Bytes::from(text)), (events, api, stay)))
        });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, Body::from_stream(stream)).into_response())
}

struct Events {
    follower: Follower,
    encoding: Encoding,
    view: View,
    over: bool,
}

impl Events {
    /// Text of the next events, or a comment; `None` behind the last one.
    async fn next(&mut self) -> Option<String> {
        if self.over {
            return None;
        }
        let Ok(event) = tokio::time::timeout(BEAT, self.follower.next()).await else {
            return Some(": alive\n\n".to_owned());
        };
        Some(match event {
            Event::Output(piece) => {
                let mut from = piece.start;
                let mut text = String::new();
                let mut rest = &piece.bytes[..];
                for (stream, length) in &piece.runs {
                    let (bytes, later) = rest.split_at(*length);
                    let to = from + u64::try_from(*length).expect("a length fits");
                    let mut data = json!({
                        "stream": stream_name(self.view, *stream),
                        "from": from,
                        "to": to,
                    });
                    match self.encoding {
                        Encoding::Text => data["text"] = clean(bytes).into(),
                        Encoding::Base64 => data["base64"] = STANDARD.encode(bytes).into(),
                    }
                    text.push_str(&format_event("output", Some(to), &data));
                    (from, rest) = (to, later);
                }
                text
            }
            Event::Gap { from, to } => {
                format_event("gap", Some(to), &json!(GapBody::new(from, to)))
            }
            Event::Exit(status) => format_event("exit", None, &exit_object(&status)),
            Event::Closed => {
                self.over = true;
                format_event("closed", None, &json!({}))
            }
        })
    }
}

/// The stream that bytes are of; of a view that is not apart, the view.
fn stream_name(view: View, stream: View) -> &'static str {
    match (view, stream) {
        (_, View::Stderr) | (View::Stderr, _) => "stderr",
        (View::Stdout | View::Merged, View::Stdout | View::Merged) => "stdout",
    }
}

fn format_event(name: &str, id: Option<u64>, data: &Value) -> String {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!("event: {name}\n{id}data: {data}\n\n")
}

/// Output and input of a process over a WebSocket.
///
/// Binary frames are a channel byte and bytes: 0 standard input (client), 1 standard output, 2 standard error
/// (server). Text frames are objects: `resize`, `signal` and `eof` from the client, `attached`, `gap`, `exit`,
/// `closed` and `error` from the server. Close codes: 1000 the output is closed, 1001 deskd stops, the chat is deleted or a
/// ping was not answered, 1008 the token was revoked or expired, 1009 a message over 1 MiB, 1013 the process does not read its input, or the client its output.
#[utoipa::path(get, path = "/api/v0/processes/{id}/attach", tag = "processes",
    params(("id" = String, Path, description = "Its id"), AttachQuery),
    responses((status = 101, description = "The connection is a WebSocket now"),
              (status = 400, description = "`invalid_field`, `cursor_beyond_end`", body = ErrorBody),
              (status = 404, description = "`process_not_found`", body = ErrorBody),
              (status = 426, description = "`websocket_required`", body = ErrorBody)))]
pub async fn attach_process(
    State(api): State<ApiState>,
    visitor: Visitor,
    Identity(caller): Identity,
    id: Result<Path<String>, PathRejection>,
    CheckedQuery(query): CheckedQuery<AttachQuery>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, ApiError> {
    let upgrade = upgrade.map_err(|rejection| ws::not_an_upgrade(&rejection))?;
    let entry = find(&api, &caller, id)?;
    let view: View = query.stream.unwrap_or_default().into();
    let now = Entry::total(&entry.status(), view);
    let cursor = begin(&entry, view, query.since.unwrap_or(now))?;
    let probes = Probes::new("/api/v0/processes/{id}/attach", Arc::clone(api.metrics()));
    let session = Session {
        stay: visitor.stay(&api)?,
        pulse: Pulse::new(api.liveness(), probes),
        api: api.clone(),
        entry,
        view,
        cursor,
    };
    let shutdown = api.shutdown().clone();
    Ok(ws::accept_socket(
        upgrade,
        &shutdown,
        MESSAGE,
        async move |writer, reader| session.run(writer, reader).await,
    ))
}

type Writer = SplitSink<WebSocket, Message>;
type Reader = SplitStream<WebSocket>;

struct Session {
    api: ApiState,
    stay: Stay,
    pulse: Pulse,
    entry: Arc<Entry>,
    view: View,
    cursor: u64,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Complete,
    ClientGone,
    ClientSilent,
    ClientStalled,
    ProcessStalled,
    TooLarge,
    Stopping,
    Over(Over),
}

impl End {
    fn close(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Complete => Some((1000, "the output is closed")),
            Self::ClientGone => None,
            Self::ClientSilent => Some((1001, "ping timeout")),
            Self::ClientStalled => Some((1013, "the client does not read")),
            Self::ProcessStalled => Some((1013, "the process does not read its input")),
            Self::TooLarge => Some((1009, "the message is too large")),
            Self::Stopping => Some((1001, "deskd is stopping")),
            Self::Over(why) => Some(why.close()),
        }
    }
}

/// What a client sends to standard input.
#[derive(Debug)]
enum Typed {
    Bytes(Bytes, tokio::sync::OwnedSemaphorePermit),
    End,
}

impl Session {
    async fn run(self, mut writer: Writer, mut reader: Reader) {
        let (replies, queue) = mpsc::channel(REPLIES);
        let (typed, keyboard) = mpsc::channel(QUEUE);
        let end = tokio::select! {
            biased;
            () = self.api.shutdown().stopped() => End::Stopping,
            why = self.stay.over() => End::Over(why),
            end = self.listen(&mut reader, &typed, &replies) => end,
            end = self.type_in(keyboard, &replies) => end,
            end = self.show(&mut writer, queue) => end,
        };
        if end == End::ClientGone {
            self.pulse.peer_left();
        }
        if let Some((code, reason)) = end.close() {
            ws::close(&mut writer, &mut reader, code, reason).await;
        }
        tracing::debug!(process_id = %self.entry.id(), ?end, "client detached");
    }

    /// Sends output, replies and pings. Whatever is sent is sent whole before anything else is looked at.
    async fn show(&self, writer: &mut Writer, mut replies: mpsc::Receiver<Value>) -> End {
        let hello = json!({"attached": {
            "id": self.entry.id().to_string(),
            "state": state_name(self.entry.state()),
            "cursor": self.cursor,
            "pty": self.entry.facts().pty,
        }});
        if let Err(end) = send(writer, Message::Text(hello.to_string().into())).await {
            return end;
        }
        let mut follower = Follower::new(Arc::clone(&self.entry), self.view, self.cursor, false);
        loop {
            let messages = tokio::select! {
                biased;
                reply = replies.recv() => match reply {
                    Some(reply) => vec![text(&reply)],
                    None => return End::ClientGone,
                },
                () = self.pulse.due() => match self.pulse.beat() {
                    Beat::Ping => vec![Message::Ping(Bytes::new())],
                    Beat::Silent => return End::ClientSilent,
                    Beat::Nothing | Beat::Answered => Vec::new(),
                },
                event = follower.next() => self.messages(event),
            };
            for message in messages {
                let last = matches!(&message, Message::Text(text) if text.as_str() == CLOSED);
                let ping = matches!(message, Message::Ping(_));
                if let Err(end) = send(writer, message).await {
                    return end;
                }
                if ping {
                    self.pulse.sent();
                }
                if last {
                    return End::Complete;
                }
            }
        }
    }

    fn messages(&self, event: Event) -> Vec<Message> {
        match event {
            Event::Output(piece) => {
                let mut rest = &piece.bytes[..];
                let mut all = Vec::with_capacity(piece.runs.len());
                for (stream, length) in piece.runs {
                    let (bytes, later) = rest.split_at(length);
                    let is_error = stream_name(self.view, stream) == "stderr";
                    let mut frame = Vec::with_capacity(length + 1);
                    frame.push(if is_error { 2 } else { 1 });
                    frame.extend_from_slice(bytes);
                    all.push(Message::Binary(frame.into()));
                    rest = later;
                }
                all
            }
            Event::Gap { from, to } => vec![text(&json!({"gap": GapBody::new(from, to)}))],
            Event::Exit(status) => vec![text(&json!({"exit": exit_object(&status)}))],
            Event::Closed => vec![Message::Text(CLOSED.into())],
        }
    }

    /// Reads what the client says. Input that waits is bounded; when it is as much, nothing is read.
    async fn listen(
        &self,
        reader: &mut Reader,
        typed: &mpsc::Sender<Typed>,
        replies: &mpsc::Sender<Value>,
    ) -> End {
        let room = Arc::new(Semaphore::new(UNREAD));
        while let Some(message) = reader.next().await {
            self.pulse.heard();
            match message {
                Ok(Message::Binary(bytes)) => {
                    if bytes.first() != Some(&0) {
                        let error = error_object("unknown_channel", "Only channel 0 is written.");
                        let _ = replies.send(error).await;
                        continue;
                    }
                    let bytes = bytes.slice(1..);
                    let size = u32::try_from(bytes.len()).expect("below the limit of a message");
                    self.pulse.set_deaf(true);
                    let Ok(permit) = Arc::clone(&room).acquire_many_owned(size).await else {
                        return End::ClientGone;
                    };
                    if typed.send(Typed::Bytes(bytes, permit)).await.is_err() {
                        return End::ClientGone;
                    }
                    self.pulse.set_deaf(false);
                }
                Ok(Message::Text(text)) => {
                    if let Err(error) = self.obey(&text, typed).await {
                        let body = error.body();
                        let _ = replies.send(error_object(body.code, &body.message)).await;
                    }
                }
                Ok(Message::Close(_)) => return End::ClientGone,
                Ok(Message::Ping(_) | Message::Pong(_)) => {}
                Err(error) => return ended_by(&error),
            }
        }
        End::ClientGone
    }

    /// Carries out one object of the client.
    async fn obey(&self, text: &str, typed: &mpsc::Sender<Typed>) -> Result<(), ApiError> {
        let order: ClientObject = serde_json::from_str(text).map_err(|error| {
            ApiError::bad_request(
                "invalid_json",
                "The message is not an object of this route.",
            )
            .with_detail(error.to_string())
        })?;
        match order {
            ClientObject::Resize(size) => {
                let (rows, columns) = size.check()?;
                self.entry.input().resize(rows, columns)?;
            }
            ClientObject::Signal(name) => {
                let signal = signal_number(&name).ok_or_else(|| {
                    ApiError::bad_request("unsupported_signal", "Unsupported signal.")
                })?;
                self.api.processes().signal(&self.entry, signal).await?;
            }
            ClientObject::Eof(true) => {
                let _ = typed.send(Typed::End).await;
            }
            ClientObject::Eof(false) => {}
        }
        Ok(())
    }

    /// Gives the process what was typed, message by message.
    async fn type_in(
        &self,
        mut keyboard: mpsc::Receiver<Typed>,
        replies: &mpsc::Sender<Value>,
    ) -> End {
        while let Some(typed) = keyboard.recv().await {
            let result = match &typed {
                Typed::Bytes(bytes, _permit) => self.write(bytes).await,
                Typed::End => self.end_input().await,
            };
            match result {
                Ok(()) => {}
                Err(InputError::Stalled { .. }) => return End::ProcessStalled,
                Err(error) => {
                    let error = ApiError::from(error);
                    let body = error.body();
                    let _ = replies.send(error_object(body.code, &body.message)).await;
                }
            }
        }
        End::ClientGone
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), InputError> {
        self.entry.input().turn().await?.write(bytes).await
    }

    async fn end_input(&self) -> Result<(), InputError> {
        let mut turn = self.entry.input().turn().await?;
        if let Some(byte) = self.entry.input().end_of_file() {
            return turn.write(&[byte]).await;
        }
        self.api.processes().close_input(&self.entry).await;
        Ok(())
    }
}

const CLOSED: &str = r#"{"closed":true}"#;

/// Text frames of a client.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ClientObject {
    Resize(SizeBody),
    Signal(String),
    Eof(bool),
}

fn text(object: &Value) -> Message {
    Message::Text(object.to_string().into())
}

fn error_object(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

async fn send(writer: &mut Writer, message: Message) -> Result<(), End> {
    match tokio::time::timeout(STALLED, writer.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::ClientGone),
        Err(_) => Err(End::ClientStalled),
    }
}

/// A message over the limit is told from a connection that broke by the error's own words: its type is not public.
fn ended_by(error: &axum::Error) -> End {
    if error.to_string().contains("too long") {
        End::TooLarge
    } else {
        End::ClientGone
    }
}
