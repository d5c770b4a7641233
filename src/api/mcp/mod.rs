//! The Model Context Protocol at `/mcp`: tools and resources for models, by streamable HTTP.
//!
//! A tool is one or several requests to our own routes, made within the process ([`call`]) as whoever called it: it never
//! does what the API cannot, and errors keep their codes. [`transport`] speaks the protocol; whose request it is, sessions,
//! limits, and what becomes of a client that goes away are here and in [`session`].
//!
//! A session of the protocol acts for one chat: that of the header `Coder-Chat-Id`, or of the token, or one made for it.
//! Clients of the version 2026-07-28 have no sessions: each request stands for itself, and acts for the header's chat.

mod answer;
mod arguments;
mod call;
mod catalog;
mod command;
pub mod http;
mod resources;
mod session;
mod tools;
mod transport;

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    http::{HeaderValue, request::Parts},
};
use futures_util::FutureExt;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;
use uuid::Uuid;

use self::{
    answer::{Answer, Trouble},
    call::{Call, fitted},
    resources::{Content, Listed, Watched},
    session::{Running, Session, Sessions},
    transport::Transport,
};
use super::{
    access_log::{self, REQUEST_ID},
    error::ApiError,
    identity::{Identity, Visitor, scope_required},
    state::ApiState,
};
use crate::desktop::geometry::Size;

/// Largest message of a client, in bytes.
const LARGEST: usize = 16 << 20;
/// Time after which clients are told to take up a stream that broke off.
const COME_BACK: Duration = Duration::from_secs(1);
/// Time between two reports of progress.
const PROGRESS: Duration = Duration::from_secs(1);
/// Time between two looks for idle sessions, at most.
const SWEEP: Duration = Duration::from_secs(30);

/// How the protocol is served.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// List the tools under their other names, too.
    pub aliases: bool,
    /// End the processes that a session started when it ends.
    pub end_processes: bool,
    /// A session that nobody uses for so long ends.
    pub idle: Duration,
    /// Bytes of a picture in an answer, in base64.
    pub picture_bytes: u64,
    /// Size of the desktop before it runs.
    pub desktop_size: Size,
}

impl Settings {
    /// Bytes of a picture, before it is written in base64.
    fn picture_limit(&self) -> u64 {
        self.picture_bytes / 4 * 3
    }
}

/// Handle on the tools. Clones are the same.
#[derive(Clone, Debug)]
pub struct Mcp(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    api: ApiState,
    settings: Settings,
    /// The routes, made for the first call.
    inside: OnceLock<Router>,
    transport: OnceLock<Transport>,
    sessions: Sessions,
}

/// Whose request a message came with.
#[derive(Clone, Debug)]
struct Origin {
    /// Acts for the chat of the session.
    visitor: Visitor,
    session: Arc<Session>,
    request_id: Option<HeaderValue>,
}

/// A call that was taken in.
struct Begun {
    call: Call,
    running: Running,
    tool: &'static catalog::Tool,
    named: String,
}

impl Mcp {
    /// The tools of the routes. Nothing is made before somebody asks.
    pub fn new(api: ApiState, settings: Settings) -> Self {
        Self(Arc::new(Inner {
            api,
            settings,
            inside: OnceLock::new(),
            transport: OnceLock::new(),
            sessions: Sessions::default(),
        }))
    }

    fn transport(&self) -> &Transport {
        self.0.transport.get_or_init(|| {
            let stop = self.0.api.shutdown().token().child_token();
            self.0.api.shutdown().spawn(self.clone().sweep());
            Transport::new(Arc::downgrade(&self.0), stop, LARGEST)
        })
    }

    fn inside(&self) -> Router {
        let make = || {
            let (routes, _) = super::own_routes(&self.0.api).split();
            call::inside(routes, self.0.api.clone())
        };
        self.0.inside.get_or_init(make).clone()
    }

    /// Ends sessions that nobody uses, until the daemon stops.
    async fn sweep(self) {
        let pause = SWEEP
            .min(self.0.settings.idle / 2)
            .max(Duration::from_millis(100));
        loop {
            tokio::select! {
                biased;
                () = self.0.api.shutdown().stopped() => return,
                () = tokio::time::sleep(pause) => {}
            }
            for id in self.0.sessions.idle(self.0.settings.idle) {
                self.end(&id).await;
            }
            for id in self.0.sessions.ids() {
                if !self.transport().has(&id).await {
                    self.end(&id).await;
                }
            }
        }
    }

    /// Ends a session: its calls, its streams, and its processes where that is configured.
    async fn end(&self, id: &str) {
        let Some(session) = self.0.sessions.remove(id) else {
            return;
        };
        let started = session.end();
        self.transport().close(id).await;
        tracing::debug!(sessions = self.0.sessions.count(), "a session has ended");
        if self.0.settings.end_processes {
            self.end_processes(&session, &started);
        }
    }

    fn end_processes(&self, session: &Session, started: &[Uuid]) {
        let api = &self.0.api;
        let visitor = Visitor::admin();
        let visitor = match session.chat() {
            Some(chat) => visitor.in_query(api, chat).unwrap_or(visitor),
            None => visitor,
        };
        let Identity(caller) = Identity::of(&visitor, api);
        for id in started {
            if let Some(entry) = api.processes().find(&caller, *id) {
                let processes = api.processes().clone();
                api.shutdown()
                    .spawn(async move { processes.end(&entry).await });
            }
        }
    }

    /// The visitor, acting for the chat of a session.
    fn origin(
        &self,
        visitor: &Visitor,
        session: &Arc<Session>,
        parts: &Parts,
    ) -> Result<Origin, ApiError> {
        let visitor = match session.chat() {
            Some(chat) => visitor.in_query(&self.0.api, chat)?,
            None => visitor.clone(),
        };
        Ok(Origin {
            visitor,
            session: Arc::clone(session),
            request_id: parts.headers.get(REQUEST_ID).cloned(),
        })
    }

    fn call(&self, origin: &Origin, cancelled: CancellationToken) -> Call {
        Call {
            api: self.0.api.clone(),
            settings: self.0.settings,
            inside: self.inside(),
            visitor: origin.visitor.clone(),
            session: Arc::clone(&origin.session),
            request_id: origin.request_id.clone(),
            cancelled,
            doing: Arc::new(Mutex::new("under way".to_owned())),
        }
    }

    /// What a client is told of the tools that it may use.
    async fn list_tools(&self, origin: &Origin) -> Vec<Map<String, Value>> {
        let native = match self.0.api.desktop().running_now() {
            Some(running) => running.attached.screen.native_size().await.ok(),
            None => None,
        };
        let frame = fitted(native.unwrap_or(self.0.settings.desktop_size));
        catalog::list(origin.visitor.scopes(), frame, self.0.settings.aliases)
    }

    /// Takes a call in. A tool that there is not is a trouble of the protocol.
    fn begin(&self, origin: &Origin, id: String, name: &str) -> Result<Begun, Trouble> {
        let unknown = || Trouble::new("unknown_tool", format!("There is no tool {name}."));
        let tool = catalog::find(name).ok_or_else(unknown)?;
        let running = origin.session.begin(id);
        let running = running.map_err(|full| Trouble::new("busy", full.to_string()))?;
        Ok(Begun {
            call: self.call(origin, running.cancelled().clone()),
            running,
            tool,
            named: name.to_owned(),
        })
    }

    async fn list_resources(&self, origin: &Origin) -> Result<Vec<Listed>, Trouble> {
        let call = self.call(origin, origin.session.ended().child_token());
        resources::list(&call).await
    }

    async fn read_resource(&self, origin: &Origin, uri: &str) -> Result<Content, Trouble> {
        let call = self.call(origin, origin.session.ended().child_token());
        resources::read(&call, uri).await
    }

    /// Tells of changes of a resource until the session or the subscription ends, or nobody can be told.
    fn subscribe<F>(
        &self,
        origin: &Origin,
        uri: &str,
        tell: impl Fn() -> F + Send + Sync + 'static,
    ) -> Result<(), Trouble>
    where
        F: Future<Output = bool> + Send,
    {
        let call = self.call(origin, origin.session.ended().child_token());
        let mut watched = Watched::new(call, uri)?;
        let taken = origin.session.subscribe(uri);
        let taken = taken.map_err(|full| Trouble::new("busy", full.to_string()))?;
        let Some(over) = taken else {
            return Ok(());
        };
        self.0.api.shutdown().spawn(async move {
            let follow = async { while watched.changed().await && tell().await {} };
            over.run_until_cancelled(follow).await;
        });
        Ok(())
    }
}

impl Begun {
    /// Cancelled when the call is to stop.
    fn cancelled(&self) -> &CancellationToken {
        &self.call.cancelled
    }

    /// Says what is under way.
    fn doing(&self) -> impl Fn() -> String + Send + use<> {
        let doing = Arc::clone(&self.call.doing);
        move || doing.lock().expect("no panic while held").clone()
    }

    /// Runs it to its end, or until it is cancelled; what it started is then ended.
    async fn run(self, arguments: Map<String, Value>) -> Answer {
        let Self {
            call,
            running,
            tool,
            named,
        } = self;
        let span = span_of(&call);
        let began = Instant::now();
        let work = async {
            let outcome = Self::attempt(&call, tool, &named, arguments).await;
            let code = outcome.as_ref().err().map(|trouble| trouble.code.as_str());
            let duration_us = began.elapsed().as_micros();
            tracing::info!(tool = tool.name, code, duration_us, "tool call");
            outcome.unwrap_or_else(|trouble| trouble.answer())
        };
        let answer = work.instrument(span).await;
        drop(running);
        answer
    }

    async fn attempt(
        call: &Call,
        tool: &catalog::Tool,
        named: &str,
        arguments: Map<String, Value>,
    ) -> Result<Answer, Trouble> {
        if let Some(missing) = tool.lacks(call.visitor.scopes()) {
            return Err(scope_required(missing).into());
        }
        let arguments = catalog::translated(named, arguments);
        let work = async {
            // These end what they have started; for the others it is enough that they are dropped.
            if matches!(tool.name.as_str(), "execute" | "launch") {
                return tools::run(call, &tool.name, arguments).await;
            }
            tokio::select! {
                biased;
                () = call.cancelled.cancelled() => Err(Trouble::new("cancelled", "The call was cancelled.")),
                outcome = tools::run(call, &tool.name, arguments) => outcome,
            }
        };
        // The panic hook has logged where it happened.
        let caught = AssertUnwindSafe(work).catch_unwind().await;
        caught.unwrap_or_else(|_| {
            let message = "Something failed inside deskd; its log has the cause.";
            Err(Trouble::new("internal_error", message))
        })
    }
}

fn span_of(call: &Call) -> tracing::Span {
    let mut headers = axum::http::HeaderMap::new();
    if let Some(id) = &call.request_id {
        headers.insert(REQUEST_ID, id.clone());
    }
    access_log::span(&headers, &call.visitor)
}
