//! Sessions of clients: whose they are, what runs in them, when they end.
//!
//! ```text
//! open --used--> open --idle for long, or deleted, or the daemon stops--> ended
//! ```
//!
//! The table owns the sessions; requests and calls hold clones. A session is in use while a request of it is open or a call
//! runs. Ending one cancels its calls and its subscriptions.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::api::{error::ApiError, identity::Visitor};

/// Sessions at a time; with one more the one that is idle for longest goes.
const MOST_SESSIONS: usize = 512;
/// Calls of a session at a time.
const MOST_CALLS: usize = 64;
/// Subscriptions of a session.
const MOST_SUBSCRIPTIONS: usize = 64;
/// Processes that are remembered as started by a session; there are never more that run.
const MOST_STARTED: usize = 1000;

/// One client, from its `initialize` on; of a client that has no sessions, one request.
#[derive(Debug)]
pub(super) struct Session {
    /// The scoped token that opened it.
    token: Option<Uuid>,
    /// The chat that it acts for.
    chat: Option<Uuid>,
    ended: CancellationToken,
    /// Guards what changes; held for a few instructions, never across an await.
    book: Mutex<Book>,
}

#[derive(Debug)]
struct Book {
    used: Instant,
    /// Requests that are open.
    open: usize,
    /// Of these, streams that took up one that had broken off.
    resumed: usize,
    calls: HashMap<u64, (String, CancellationToken)>,
    next_call: u64,
    subscriptions: HashMap<String, CancellationToken>,
    started: VecDeque<Uuid>,
}

/// Why a call or a subscription is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// As many calls run as may.
    #[error("{MOST_CALLS} calls of this session run already")]
    Calls,
    /// As many subscriptions as may be.
    #[error("there are {MOST_SUBSCRIPTIONS} subscriptions already")]
    Subscriptions,
}

impl Session {
    /// A session of a visitor, for a chat.
    pub(super) fn new(visitor: &Visitor, chat: Option<Uuid>, ended: CancellationToken) -> Self {
        Self {
            token: visitor.token_id(),
            chat,
            ended,
            book: Mutex::new(Book {
                used: Instant::now(),
                open: 0,
                resumed: 0,
                calls: HashMap::new(),
                next_call: 0,
                subscriptions: HashMap::new(),
                started: VecDeque::new(),
            }),
        }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("no panic while held")
    }

    /// The chat that it acts for.
    pub(super) fn chat(&self) -> Option<Uuid> {
        self.chat
    }

    /// Cancelled when it is over.
    pub(super) fn ended(&self) -> &CancellationToken {
        &self.ended
    }

    /// Ends it: its calls are cancelled, its subscriptions end. The processes that it started, for whoever ends them.
    pub(super) fn end(&self) -> Vec<Uuid> {
        self.ended.cancel();
        self.book().started.drain(..).collect()
    }

    /// Takes in a request for as long as the guard lives.
    pub(super) fn enter(self: &Arc<Self>, resumes: bool) -> Presence {
        let mut book = self.book();
        book.open += 1;
        book.resumed += usize::from(resumes);
        drop(book);
        Presence {
            session: Arc::clone(self),
            resumes,
        }
    }

    /// Takes in a call with the id of its request, as it was written.
    pub(super) fn begin(self: &Arc<Self>, id: String) -> Result<Running, Full> {
        let cancelled = self.ended.child_token();
        let mut book = self.book();
        if book.calls.len() >= MOST_CALLS {
            return Err(Full::Calls);
        }
        let number = book.next_call;
        book.next_call += 1;
        book.calls.insert(number, (id, cancelled.clone()));
        drop(book);
        Ok(Running {
            session: Arc::clone(self),
            number,
            cancelled,
        })
    }

    /// Whether somebody has taken up a stream that broke off.
    pub(super) fn is_resumed(&self) -> bool {
        self.book().resumed > 0
    }

    /// Whether a call with this id runs.
    pub(super) fn runs(&self, id: &str) -> bool {
        self.book().calls.values().any(|(of, _)| of == id)
    }

    /// Cancels the calls with this id.
    pub(super) fn cancel(&self, id: &str) {
        let book = self.book();
        let calls = book.calls.values().filter(|(of, _)| of == id);
        calls.for_each(|(_, cancelled)| cancelled.cancel());
    }

    /// Remembers a process that was started in it.
    pub(super) fn has_started(&self, process: Uuid) {
        let mut book = self.book();
        if book.started.len() >= MOST_STARTED {
            book.started.pop_front();
        }
        book.started.push_back(process);
    }

    /// A token for a subscription that is to be served until it is cancelled; none when there is one already.
    pub(super) fn subscribe(&self, uri: &str) -> Result<Option<CancellationToken>, Full> {
        let mut book = self.book();
        if book.subscriptions.contains_key(uri) {
            return Ok(None);
        }
        if book.subscriptions.len() >= MOST_SUBSCRIPTIONS {
            return Err(Full::Subscriptions);
        }
        let over = self.ended.child_token();
        book.subscriptions.insert(uri.to_owned(), over.clone());
        Ok(Some(over))
    }

    /// Ends a subscription, if there is one.
    pub(super) fn unsubscribe(&self, uri: &str) {
        if let Some(over) = self.book().subscriptions.remove(uri) {
            over.cancel();
        }
    }

    /// Since when nobody uses it.
    fn idle_since(&self) -> Option<Instant> {
        let book = self.book();
        (book.open == 0 && book.calls.is_empty()).then_some(book.used)
    }
}

/// An open request of a session.
#[derive(Debug)]
pub(super) struct Presence {
    session: Arc<Session>,
    resumes: bool,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut book = self.session.book();
        book.open -= 1;
        book.resumed -= usize::from(self.resumes);
        book.used = Instant::now();
    }
}

/// A call that runs.
#[derive(Debug)]
pub(super) struct Running {
    session: Arc<Session>,
    number: u64,
    cancelled: CancellationToken,
}

impl Running {
    /// Cancelled when the call is to stop.
    pub(super) fn cancelled(&self) -> &CancellationToken {
        &self.cancelled
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut book = self.session.book();
        book.calls.remove(&self.number);
        book.used = Instant::now();
    }
}

/// The sessions by their ids.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

impl Sessions {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Session>>> {
        self.0.lock().expect("no panic while held")
    }

    /// The session of an id, for whoever came with the token that opened it. 404 for others, 403 for another chat.
    pub(super) fn find(&self, id: &str, visitor: &Visitor) -> Result<Arc<Session>, ApiError> {
        let found = self.all().get(id).cloned();
        let session = found
            .filter(|session| session.token == visitor.token_id() && !session.ended.is_cancelled())
            .ok_or_else(not_found)?;
        if visitor
            .chat()
            .is_some_and(|chat| session.chat != Some(chat))
        {
            let message = "The session belongs to another chat.";
            let status = axum::http::StatusCode::FORBIDDEN;
            return Err(ApiError::new(status, "chat_not_allowed", message));
        }
        Ok(session)
    }

    /// Whether there is a place for one more; if not, the one that must go for it.
    pub(super) fn make_room(&self) -> Result<Option<String>, ApiError> {
        let all = self.all();
        if all.len() < MOST_SESSIONS {
            return Ok(None);
        }
        let idle = all
            .iter()
            .filter_map(|(id, session)| Some((session.idle_since()?, id)));
        let oldest = idle.min().map(|(_, id)| id.clone());
        oldest.map(Some).ok_or_else(|| {
            let message = format!("{MOST_SESSIONS} sessions are in use.");
            let status = axum::http::StatusCode::TOO_MANY_REQUESTS;
            ApiError::new(status, "too_many_sessions", message)
        })
    }

    /// Adds one.
    pub(super) fn insert(&self, id: String, session: Arc<Session>) {
        self.all().insert(id, session);
    }

    /// Takes one out.
    pub(super) fn remove(&self, id: &str) -> Option<Arc<Session>> {
        self.all().remove(id)
    }

    /// Ids of those that nobody has used for so long.
    pub(super) fn idle(&self, longest: Duration) -> Vec<String> {
        let all = self.all();
        let idle = all.iter().filter(|(_, session)| {
            session
                .idle_since()
                .is_some_and(|since| since.elapsed() >= longest)
        });
        idle.map(|(id, _)| id.clone()).collect()
    }

    /// Ids of all.
    pub(super) fn ids(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }
}

fn not_found() -> ApiError {
    let message = "There is no such session, or no more: send initialize for a new one.";
    let status = axum::http::StatusCode::NOT_FOUND;
    ApiError::new(status, "session_not_found", message)
}
