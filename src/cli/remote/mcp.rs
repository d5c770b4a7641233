//! `deskd mcp`: the Model Context Protocol on standard input and output, carried to `/mcp` of the daemon.
//!
//! ```text
//! before initialize --answer--> session --end of input--> answers of what is under way --> session ended
//!                                 |  ^
//!                                 404 (daemon restarted, or idle for long): initialize again, and the message once more
//! ```
//!
//! A line is a message. Messages go to the daemon in their order: the next one is not sent before the one before has
//! arrived. Nothing but messages goes to standard output; what fails is an error of JSON-RPC there, and a line on standard
//! error.

use std::{collections::HashSet, sync::Arc, time::Duration};

use clap::Args;
use hyper::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    sync::{Mutex, mpsc, watch},
};

use super::{RemoteError, client, print};
use crate::{
    client::{Answer, Client, error::ClientError, whole},
    config::{Environment, client::ClientArgs},
};

/// Time for answers that are under way when the input ends.
const DRAIN: Duration = Duration::from_secs(5);
/// Longest wait for the arrival of a message before the next one is sent all the same.
const ARRIVAL: Duration = Duration::from_secs(1);
/// Pause before a stream that ended is opened again.
const AGAIN: Duration = Duration::from_secs(1);
/// Answers that wait for standard output.
const QUEUE: usize = 64;
const ROUTE: &str = "/mcp";

/// `deskd mcp`
#[derive(Args, Debug)]
pub(in crate::cli) struct Mcp {
    /// The same as --chat-id
    #[arg(long, value_name = "UUID")]
    chat: Option<String>,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Mcp {
    /// Carries messages until the input ends.
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let mut daemon = self.daemon;
        daemon.chat_id = self.chat.or(daemon.chat_id);
        let client = client(&daemon, environment)?;
        let (out, mut lines) = mpsc::channel::<String>(QUEUE);
        let bridge = Arc::new(Bridge {
            client,
            out,
            session: watch::Sender::default(),
            opening: Mutex::default(),
            under_way: watch::Sender::default(),
            given_up: std::sync::Mutex::default(),
        });
        let print = async {
            while let Some(line) = lines.recv().await {
                print::line(&line)?;
            }
            Ok(())
        };
        tokio::select! {
            printed = print => printed,
            read = bridge.carry() => read,
        }
    }
}

struct Bridge {
    client: Client,
    out: mpsc::Sender<String>,
    session: watch::Sender<Session>,
    /// The message that began the session; held while one is begun again.
    opening: Mutex<Option<String>>,
    under_way: watch::Sender<usize>,
    /// Requests that the client has given up; nobody waits for their answers. Held for an operation of the set.
    given_up: std::sync::Mutex<HashSet<String>>,
}

/// The session that messages are sent in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Session {
    id: Option<String>,
    version: Option<String>,
}

/// What is looked at of a message of the daemon.
#[derive(Debug, Deserialize)]
struct Seen {
    id: Option<Value>,
    result: Option<SeenResult>,
}

#[derive(Debug, Deserialize)]
struct SeenResult {
    #[serde(rename = "protocolVersion")]
    version: Option<String>,
}

/// What a line is.
struct Line {
    text: String,
    id: Option<Value>,
    method: String,
    /// The request that it gives up.
    gives_up: Option<String>,
}

impl Line {
    fn new(text: String) -> Result<Self, serde_json::Error> {
        let value: Value = serde_json::from_str(&text)?;
        let method = value["method"].as_str().unwrap_or_default().to_owned();
        let id = value.get("id").filter(|id| !id.is_null()).cloned();
        let given_up = &value["params"]["requestId"];
        let gives_up = (method == "notifications/cancelled").then(|| given_up.to_string());
        Ok(Self {
            text,
            gives_up,
            // An answer to the daemon's own request has an id, too, but expects nothing.
            id: id.filter(|_| !method.is_empty()),
            method,
        })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a client waits for no task: what is left ends with the program"
)]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}

impl Bridge {
    async fn carry(self: Arc<Self>) -> Result<(), RemoteError> {
        let mut input = BufReader::new(tokio::io::stdin()).lines();
        spawn(Arc::clone(&self).listen());
        loop {
            let line = input.next_line().await;
            let Some(line) = line.map_err(RemoteError::local("read standard input"))? else {
                break;
            };
            if !line.trim().is_empty() {
                self.take(line).await;
            }
        }
        let mut under_way = self.under_way.subscribe();
        let done = under_way.wait_for(|count| *count == 0);
        let _ = tokio::time::timeout(DRAIN, done).await;
        self.end().await;
        // What was answered last is still to be printed.
        while self.out.capacity() < QUEUE {
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Sends one line, and waits until it has arrived.
    async fn take(self: &Arc<Self>, text: String) {
        let line = match Line::new(text) {
            Ok(line) => line,
            Err(error) => {
                let message = format!("A line is no message: {error}.");
                return self.fail(&Value::Null, -32_700, &message).await;
            }
        };
        if let Some(id) = &line.gives_up {
            self.given_up().insert(id.clone());
        }
        let (arrived, arrival) = tokio::sync::oneshot::channel();
        self.under_way.send_modify(|count| *count += 1);
        let bridge = Arc::clone(self);
        let opens = line.method == "initialize";
        spawn(async move {
            bridge.deliver(line, arrived).await;
            bridge.under_way.send_modify(|count| *count -= 1);
        });
        if opens {
            // Nothing can be sent before there is a session.
            let _ = arrival.await;
        } else {
            let _ = tokio::time::timeout(ARRIVAL, arrival).await;
        }
    }

    /// Sends a message and prints what answers it.
    async fn deliver(&self, line: Line, arrived: tokio::sync::oneshot::Sender<()>) {
        let sent = match self.post(&line.text).await {
            Err(ClientError::Refused(refusal))
                if refusal.status == 404 && line.method != "initialize" =>
            {
                match self.open_again().await {
                    Ok(()) => self.post(&line.text).await,
                    Err(error) => Err(error),
                }
            }
            sent => sent,
        };
        let answer = match sent {
            Ok(answer) => answer,
            Err(error) => return self.refused(&line, &error).await,
        };
        if line.method == "initialize" {
            *self.opening.lock().await = Some(line.text.clone());
            self.opened(&answer);
        }
        let _ = arrived.send(());
        let mut answered = false;
        let outcome = self
            .print(answer, |message| {
                answered |= message.id == line.id;
                if line.method == "initialize" {
                    self.negotiated(message);
                }
            })
            .await;
        let given_up = line.id.as_ref().map(Value::to_string);
        let given_up = given_up.is_some_and(|id| self.given_up().remove(&id));
        if let (Some(id), false, false) = (&line.id, answered, given_up) {
            let why = match outcome {
                Ok(()) => "the answer ended early".to_owned(),
                Err(error) => crate::cli::chain(&error),
            };
            self.fail(id, -32_000, &format!("deskd did not answer: {why}"))
                .await;
        }
    }

    fn given_up(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.given_up.lock().expect("no panic while held")
    }

    async fn refused(&self, line: &Line, error: &ClientError) {
        // The daemon's own error of JSON-RPC goes on as it is.
        if let ClientError::Refused(refusal) = error
            && refusal.body["jsonrpc"].is_string()
        {
            let _ = self.out.send(refusal.body.to_string()).await;
            return;
        }
        let why = crate::cli::chain(error);
        match &line.id {
            Some(id) => self.fail(id, -32_000, &why).await,
            None => eprintln!("deskd: {why}"),
        }
    }

    async fn fail(&self, id: &Value, code: i64, message: &str) {
        eprintln!("deskd: {message}");
        let error =
            json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}});
        let _ = self.out.send(error.to_string()).await;
    }

    async fn post(&self, text: &str) -> Result<Answer, ClientError> {
        let session = self.session.borrow().clone();
        self.send(Method::POST, &session, None, whole(text.to_owned()))
            .await
    }

    async fn send(
        &self,
        method: Method,
        session: &Session,
        last: Option<&str>,
        body: crate::client::Body,
    ) -> Result<Answer, ClientError> {
        let mut headers = vec![
            ("content-type", "application/json"),
            ("accept", "application/json, text/event-stream"),
        ];
        if let Some(id) = &session.id {
            headers.push(("mcp-session-id", id));
        }
        if let Some(version) = &session.version {
            headers.push(("mcp-protocol-version", version));
        }
        if let Some(last) = last {
            headers.push(("last-event-id", last));
        }
        self.client.send(method, ROUTE, &headers, body).await
    }

    /// A session has begun.
    fn opened(&self, answer: &Answer) {
        let id = answer.headers.get("mcp-session-id");
        let id = id.and_then(|id| id.to_str().ok()).map(ToOwned::to_owned);
        self.session.send_replace(Session { id, version: None });
    }

    /// Both have agreed on a version.
    fn negotiated(&self, message: &Seen) {
        let result = message.result.as_ref();
        let version = result.and_then(|result| result.version.clone());
        self.session
            .send_modify(|session| session.version = version);
    }

    /// Begins the session anew, as the client did it.
    async fn open_again(&self) -> Result<(), ClientError> {
        let before = self.session.borrow().clone();
        let opening = self.opening.lock().await;
        if *self.session.borrow() != before {
            return Ok(()); // another message has done it meanwhile
        }
        let Some(text) = opening.as_ref() else {
            return Ok(());
        };
        let body = whole(text.clone());
        let answer = self
            .send(Method::POST, &Session::default(), None, body)
            .await?;
        self.opened(&answer);
        let messages = answer.bytes().await?;
        for message in events(&String::from_utf8_lossy(&messages)) {
            if let Ok(message) = serde_json::from_str(&message.data) {
                self.negotiated(&message);
            }
        }
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        self.post(&ready.to_string()).await.map(drop)
    }

    /// Prints the messages of an answer as they come; `seen` looks at each.
    async fn print(
        &self,
        mut answer: Answer,
        mut seen: impl FnMut(&Seen),
    ) -> Result<(), ClientError> {
        let kind = answer.headers.get("content-type");
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.starts_with("application/json") {
            let data = String::from_utf8_lossy(&answer.bytes().await?).into_owned();
            self.pass(Event { id: None, data }, &mut seen).await;
            return Ok(());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await? {
            bytes.extend_from_slice(&piece);
            for event in whole_events(&mut bytes) {
                self.pass(event, &mut seen).await;
            }
        }
        Ok(())
    }

    /// Prints a message as it came, but in one line.
    async fn pass(&self, event: Event, seen: &mut impl FnMut(&Seen)) {
        if event.data.is_empty() {
            return;
        }
        match serde_json::from_str::<Seen>(&event.data) {
            Ok(message) => {
                seen(&message);
                // A newline in JSON is white space: those of texts are escaped.
                let line = event.data.replace(['\n', '\r'], " ");
                let _ = self.out.send(line).await;
            }
            Err(error) => eprintln!("deskd: the daemon sent no message: {error}"),
        }
    }

    /// Prints what the daemon says by itself, in whichever session there is.
    async fn listen(self: Arc<Self>) {
        let mut sessions = self.session.subscribe();
        loop {
            let ready = |session: &Session| session.id.is_some() && session.version.is_some();
            let Ok(session) = sessions
                .wait_for(ready)
                .await
                .map(|session| session.clone())
            else {
                return;
            };
            let mut last = None;
            let follow = async {
                loop {
                    self.follow(&session, &mut last).await;
                    tokio::time::sleep(AGAIN).await;
                }
            };
            tokio::select! {
                () = follow => {}
                _ = sessions.wait_for(|now| *now != session) => {}
            }
        }
    }

    async fn follow(&self, session: &Session, last: &mut Option<String>) {
        let opened = self
            .send(Method::GET, session, last.as_deref(), whole(""))
            .await;
        let Ok(mut answer) = opened else {
            return; // the next message finds out why
        };
        let mut bytes = Vec::new();
        while let Ok(Some(piece)) = answer.chunk().await {
            bytes.extend_from_slice(&piece);
            for event in whole_events(&mut bytes) {
                if event.id.is_some() {
                    last.clone_from(&event.id);
                }
                self.pass(event, &mut |_: &Seen| {}).await;
            }
        }
    }

    async fn end(&self) {
        let session = self.session.borrow().clone();
        if session.id.is_some() {
            let _ = self.send(Method::DELETE, &session, None, whole("")).await;
        }
    }
}

/// One server-sent event.
#[derive(Debug, Default, PartialEq, Eq)]
struct Event {
    id: Option<String>,
    data: String,
}

/// Takes the events that have come whole off the front.
fn whole_events(bytes: &mut Vec<u8>) -> Vec<Event> {
    let Some(end) = last_gap(bytes) else {
        return Vec::new();
    };
    let rest = bytes.split_off(end);
    let whole = std::mem::replace(bytes, rest);
    events(&String::from_utf8_lossy(&whole))
}

/// Behind the last empty line.
fn last_gap(bytes: &[u8]) -> Option<usize> {
    let ends = |gap: &[u8]| {
        let at = bytes.windows(gap.len()).rposition(|window| window == gap)?;
        Some(at + gap.len())
    };
    ends(b"\n\n").max(ends(b"\r\n\r\n"))
}

/// Events of a text that ends with one (HTML standard, 9.2.6).
fn events(text: &str) -> Vec<Event> {
    let mut all = Vec::new();
    let mut event = Event::default();
    let mut data: Vec<&str> = Vec::new();
    for line in text.lines() {
        if line.is_empty() {
            event.data = data.join("\n");
            data.clear();
            if event != Event::default() {
                all.push(std::mem::take(&mut event));
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => data.push(value),
            "id" => event.id = Some(value.to_owned()),
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_taken_when_they_are_whole() {
        let mut bytes = b": alive\n\nid: 1\ndata: {\"a\":1}\n\ndata: b\ndata: c\r\n\r\nda".to_vec();
        let event = |id: Option<&str>, data: &str| Event {
            id: id.map(ToOwned::to_owned),
            data: data.to_owned(),
        };
        let taken = whole_events(&mut bytes);
        assert_eq!(taken, [event(Some("1"), "{\"a\":1}"), event(None, "b\nc")]);
        assert_eq!(bytes, b"da");
        assert_eq!(whole_events(&mut bytes), []);
        bytes.extend_from_slice(b"ta: d\n\n");
        assert_eq!(whole_events(&mut bytes), [event(None, "d")]);
    }

    #[test]
    fn an_answer_of_the_client_expects_nothing() {
        let of = |text: &str| Line::new(text.to_owned()).map(|line| line.id);
        assert_eq!(
            of(r#"{"id": 1, "method": "ping"}"#).ok(),
            Some(Some(json!(1)))
        );
        assert_eq!(of(r#"{"id": 1, "result": {}}"#).ok(), Some(None));
        assert_eq!(
            of(r#"{"method": "notifications/initialized"}"#).ok(),
            Some(None)
        );
        assert!(of("x").is_err());
    }
}
