//! Chats: who they are, what they worked on, and the tokens that speak for them.
//!
//! ```text
//!   request ──▶ find (token) ──▶ arrive (registry) ──▶ stay (a stream) ──▶ over: token or chat
//!                   │                 │
//!                   ▼                 ▼                      worked_on ──▶ PathStore ──▶ Signals
//!                Tokens           Registry                                    │
//!                   └───── Book ──────┘                                       │
//!                           └───────────▶ record: three files ◀───────────────┘
//! ```
//!
//! Three parts decide, without lock, clock or I/O: [`registry`] knows the chats and their tree, [`tokens`] the tokens, [`paths`]
//! what was worked on. [`Chats`] is the handle: chats and tokens stand behind one lock, paths behind another; each is held for
//! one decision, never together, and never across an await. Nothing here calls another part of the daemon.
//!
//! **On disk**, in `chats` of the state directory: `chats.json`, `tokens.json`, `paths.json`, each replaced whole, within a second
//! of a change and at the stop. A token is written before it is told, and before its end is answered.

mod deletion;
mod ending;
pub mod error;
mod paths;
mod record;
pub mod registry;
pub mod scope;
mod stream;
#[cfg(test)]
mod tests;
pub mod tokens;
mod work;

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::{
    deletion::Deletion,
    ending::{Ending, Over},
    stream::Stay,
    work::Signals,
};
use self::{
    error::{ChatError, TokenError},
    paths::{Bounds, PathStore},
    registry::{Change, ChatInfo, Registry, Which},
    scope::Scopes,
    tokens::{Found, Shown, Token, Tokens, cookie_value, digest},
};
use crate::{shutdown::Shutdown, sys::thread};

/// Chats that are known.
pub const MAX_CHATS: usize = 10_000;
/// Levels of the tree of chats.
pub const MAX_LEVELS: usize = 16;
/// Tokens that are not over.
pub const MAX_TOKENS: usize = 1000;

/// What begins a token, so that people and scanners know one when they see it.
pub const TOKEN_PREFIX: &str = "deskd_";

/// How much is kept of paths.
const BOUNDS: Bounds = Bounds {
    of_chat: 4096,
    all: 200_000,
    repositories: 256,
};

/// From a change to its being written.
const WRITE_AFTER: Duration = Duration::from_millis(600);

/// Longest sleep of the task that ends tokens: clocks may be set.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);

/// Handle on all chats. Clones speak of the same ones.
#[derive(Clone, Debug)]
pub struct Chats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: PathBuf,
    /// Guards chats and tokens; held for one decision, never across an await, never together with another.
    book: OnceLock<Mutex<Book>>,
    /// Guards paths and subscribers; the same rules.
    paths: OnceLock<Mutex<PathStore>>,
    /// Which files are older than what they are of.
    stale: [AtomicBool; 3],
    changed: Notify,
    /// One writer at a time. What is written is taken while it is held, so that nothing older follows.
    disk: Mutex<()>,
}

#[derive(Debug, Default)]
struct Book {
    registry: Registry,
    tokens: Tokens,
}

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Chats,
    Tokens,
    Paths,
}

impl Part {
    const ALL: [Self; 3] = [Self::Chats, Self::Tokens, Self::Paths];

    fn name(self) -> &'static str {
        match self {
            Self::Chats => "chats.json",
            Self::Tokens => "tokens.json",
            Self::Paths => "paths.json",
        }
    }
}

/// A token as it was asked for, checked.
#[derive(Clone, Debug)]
pub struct TokenOrder {
    /// The chat that it is bound to.
    pub chat: Option<Uuid>,
    /// What it may do; not empty.
    pub scopes: Scopes,
    /// How long it lives.
    pub lifetime: Duration,
    /// For people.
    pub label: Option<String>,
}

/// Nanoseconds since 1970.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, nanos)
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Chats {
    /// What the files in `folder` have, which is ours and there. They are read aside, so that nobody waits for them before the
    /// first request does.
    pub fn open(folder: PathBuf, shutdown: &Shutdown) -> io::Result<Self> {
        let this = Self(Arc::new(Inner {
            folder,
            book: OnceLock::new(),
            paths: OnceLock::new(),
            stale: Default::default(),
            changed: Notify::new(),
            disk: Mutex::default(),
        }));
        let reader = this.clone();
        thread::spawn("chats", move || reader.read())?;
        shutdown.spawn(this.clone().keep(shutdown.clone()));
        Ok(this)
    }

    fn read(&self) {
        let file = |part: Part| self.0.folder.join(part.name());
        let registry = Registry::restored(&record::read_chats(&file(Part::Chats)));
        let mut tokens = Tokens::default();
        for token in record::read_tokens(&file(Part::Tokens)) {
            tokens.add(token);
        }
        let book = Book { registry, tokens };
        let mut paths = PathStore::new(BOUNDS);
        let first = self.0.book.set(Mutex::new(book)).is_ok();
        paths.restore(record::read_paths(&file(Part::Paths)));
        let second = self.0.paths.set(Mutex::new(paths)).is_ok();
        debug_assert!(first && second, "they are read once");
    }

    /// Ends tokens in their time and writes what changed.
    async fn keep(self, shutdown: Shutdown) {
        loop {
            let sleep = self.sweep();
            tokio::select! {
                biased;
                () = shutdown.stopped() => return, // whoever stops writes the last state
                () = tokio::time::sleep(sleep) => {}
                () = self.0.changed.notified() => {
                    let _ = tokio::time::timeout(WRITE_AFTER, shutdown.stopped()).await;
                    self.save().await;
                }
            }
        }
    }

    /// Ends tokens whose time is up; until when there is nothing to do.
    fn sweep(&self) -> Duration {
        let mut book = self.book();
        let now = now();
        let ended = book.tokens.sweep(now);
        let next = book.tokens.next_sweep();
        drop(book);
        if ended {
            self.note(Part::Tokens);
        }
        let next = next.map(|at| Duration::from_nanos(at.saturating_sub(now)));
        next.map_or(LONGEST_SLEEP, |sleep| sleep.min(LONGEST_SLEEP))
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        let book = self.0.book.wait();
        book.lock().expect("no panic while held")
    }

    fn store(&self) -> MutexGuard<'_, PathStore> {
        let paths = self.0.paths.wait();
        paths.lock().expect("no panic while held")
    }

    /// Has a file written soon.
    fn note(&self, part: Part) {
        if !self.0.stale[part as usize].swap(true, Ordering::Relaxed) {
            self.0.changed.notify_one();
        }
    }

    /// Writes every file that is stale, away from the runtime. Failures are logged and tried again with the next change.
    pub async fn save(&self) {
        let this = self.clone();
        let saved = tokio::task::spawn_blocking(move || {
            for part in Part::ALL {
                if let Err(error) = this.write_if_stale(part, false) {
                    tracing::error!(%error, "chats are not saved");
                }
            }
        });
        let _ = saved.await;
    }

    /// Writes the tokens so that they survive the machine, too.
    async fn save_tokens(&self) -> Result<(), TokenError> {
        let this = self.clone();
        let saved = tokio::task::spawn_blocking(move || this.write_if_stale(Part::Tokens, true));
        saved.await.unwrap_or(Ok(()))
    }

    fn write_if_stale(&self, part: Part, lasting: bool) -> Result<(), TokenError> {
        let _disk = self.0.disk.lock().expect("no panic while held");
        let stale = &self.0.stale[part as usize];
        if !stale.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let bytes = match part {
            Part::Chats => {
                let kept = self.book().registry.kept();
                record::chats(&kept)
            }
            Part::Tokens => record::tokens(self.book().tokens.all()),
            Part::Paths => {
                let kept = self.store().kept();
                record::paths(&kept)
            }
        };
        let path = self.0.folder.join(part.name());
        record::replace(&path, &bytes, lasting).map_err(|source| {
            stale.store(true, Ordering::Relaxed);
            TokenError::Save { path, source }
        })
    }
}

/// Tokens.
impl Chats {
    /// What is known of a secret; a good one was used with this.
    pub fn find(&self, shown: Shown<'_>) -> Found {
        let found = self.book().tokens.find(shown, now());
        if matches!(found, Found::Live(_)) {
            self.note(Part::Tokens);
        }
        found
    }

    /// Makes a token and writes it down; the secret is told here and never again.
    pub async fn issue(&self, order: TokenOrder) -> Result<(Token, String), TokenError> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(TokenError::Random)?;
        let secret = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(bytes));
        let now = now();
        let token = Token {
            id: Uuid::now_v7(),
            chat: order.chat,
            scopes: order.scopes,
            label: order.label,
            created_at: now,
            expires_at: now.saturating_add(nanos(order.lifetime)),
            last_used_at: None,
            secret: digest(&secret),
            cookie: digest(&cookie_value(&secret)),
            over: None,
            ending: Ending::default(),
        };
        if !self.book().tokens.add(token.clone()) {
            return Err(TokenError::Full);
        }
        self.note(Part::Tokens);
        if let Err(error) = self.save_tokens().await {
            self.book().tokens.forget(token.id);
            return Err(error);
        }
        Ok((token, secret))
    }

    /// Ends a live token and writes that down. Its streams end.
    pub async fn revoke(&self, id: Uuid) -> Result<(), TokenError> {
        if !self.book().tokens.revoke(id, now()) {
            return Err(TokenError::NotFound);
        }
        self.note(Part::Tokens);
        self.save_tokens().await
    }

    /// Tokens that are not over, the oldest first.
    pub fn tokens(&self) -> Vec<Token> {
        let now = now();
        let book = self.book();
        let live = book.tokens.live().filter(|token| token.expires_at > now);
        let mut live: Vec<_> = live.cloned().collect();
        live.sort_by_key(|token| (token.created_at, token.id));
        live
    }
}

/// The registry.
impl Chats {
    /// Takes in a request of a chat with the ancestors that it named; all its ancestors. `live` gives the chats with processes
    /// that run; it is asked for only when one has to go so that this one can be known.
    pub fn arrive(
        &self,
        chat: Uuid,
        claimed: &[Uuid],
        live: impl FnOnce() -> HashSet<Uuid>,
    ) -> Vec<Uuid> {
        let full = self.book().registry.lacks_room(chat, claimed);
        let held = if full {
            self.held(live())
        } else {
            HashSet::new()
        };
        let mut book = self.book();
        book.registry
            .see(chat, claimed, now(), &|id| full && !held.contains(&id));
        let mut ancestors = book.registry.ancestors(chat);
        drop(book);
        ancestors.extend(claimed.iter().filter(|id| **id != chat));
        self.note(Part::Chats);
        ancestors.into_iter().collect()
    }

    /// Chats that may not go: of running processes, and of live tokens.
    fn held(&self, mut live: HashSet<Uuid>) -> HashSet<Uuid> {
        live.extend(self.book().tokens.live().filter_map(|token| token.chat));
        live
    }

    /// All chats among whose ancestors this one is.
    pub fn below(&self, chat: Uuid) -> HashSet<Uuid> {
        self.book().registry.below(chat)
    }

    /// Whether the first is among the ancestors of the second.
    pub fn is_above(&self, above: Uuid, chat: Uuid) -> bool {
        let mut book = self.book();
        book.registry.settle();
        book.registry.is_above(above, chat)
    }

    /// Changes a chat, or makes it.
    pub fn put(
        &self,
        id: Uuid,
        change: Change,
        live: impl FnOnce() -> HashSet<Uuid>,
    ) -> Result<ChatInfo, ChatError> {
        let parents: Vec<_> = change.parent().into_iter().collect();
        let full = self.book().registry.lacks_room(id, &parents);
        let held = if full {
            self.held(live())
        } else {
            HashSet::new()
        };
        let put = self
            .book()
            .registry
            .put(id, change, now(), &|id| full && !held.contains(&id));
        self.note(Part::Chats);
        put?;
        self.describe(id, Which::All).ok_or(ChatError::NotFound)
    }

    /// Archives a chat and all below it, or brings it back with what went along.
    pub fn archive(&self, id: Uuid, archived: bool) -> Result<ChatInfo, ChatError> {
        self.book()
            .registry
            .archive(id, archived, now(), Uuid::now_v7())?;
        self.note(Part::Chats);
        self.describe(id, Which::All).ok_or(ChatError::NotFound)
    }

    /// One chat with its children of this kind.
    pub fn describe(&self, id: Uuid, which: Which) -> Option<ChatInfo> {
        let mut book = self.book();
        let mut info = book.registry.describe(id, which)?;
        count_tokens(&book.tokens, std::slice::from_mut(&mut info));
        drop(book);
        self.count_repositories(std::slice::from_mut(&mut info));
        Some(info)
    }

    /// Roots, the one seen last first, with their children; and how many roots there are.
    pub fn list(&self, which: Which, limit: usize, skip: usize) -> (Vec<ChatInfo>, usize) {
        let mut book = self.book();
        let (mut page, total) = book.registry.list(which, limit, skip);
        count_tokens(&book.tokens, &mut page);
        drop(book);
        self.count_repositories(&mut page);
        (page, total)
    }

    fn count_repositories(&self, chats: &mut [ChatInfo]) {
        let store = self.store();
        each(chats, &mut |chat| {
            chat.repositories = store.repository_count(chat.id);
        });
    }
}

fn each(chats: &mut [ChatInfo], with: &mut impl FnMut(&mut ChatInfo)) {
    for chat in chats {
        with(chat);
        each(&mut chat.children, with);
    }
}

fn count_tokens(tokens: &Tokens, chats: &mut [ChatInfo]) {
    let mut counts = std::collections::HashMap::<Uuid, usize>::new();
    for chat in tokens.live().filter_map(|token| token.chat) {
        *counts.entry(chat).or_default() += 1;
    }
    each(chats, &mut |chat| {
        chat.tokens = counts.get(&chat.id).copied().unwrap_or(0);
    });
}

/// Where a part of the state directory lies.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("chats")
}
