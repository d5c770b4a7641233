//! What was worked on for a chat, and who is told of it.

use std::path::PathBuf;

use tokio::sync::watch;
use uuid::Uuid;

use super::{Chats, Part, paths::clean};

impl Chats {
    /// Adds paths to a chat and to each of its ancestors, and tells who subscribed. Relative and overlong ones are left out;
    /// subscribers are told all the same.
    pub fn worked_on<'a>(
        &self,
        chat: Uuid,
        ancestors: &[Uuid],
        paths: impl IntoIterator<Item = &'a [u8]>,
    ) {
        let paths: Vec<_> = paths.into_iter().filter_map(clean).collect();
        let mut store = self.store();
        let mut added = false;
        for chat in std::iter::once(&chat).chain(ancestors) {
            for path in &paths {
                added |= store.add(*chat, path);
            }
            if paths.is_empty() {
                store.tell(*chat);
            }
        }
        drop(store);
        if added {
            self.note(Part::Paths);
        }
    }

    /// Paths that were worked on for the chat, sorted by their bytes.
    pub fn paths(&self, chat: Uuid) -> Vec<PathBuf> {
        self.store().of(chat)
    }

    /// Signals from now on: something was worked on for the chat, by itself or by one below it.
    pub fn subscribe(&self, chat: Uuid) -> Signals {
        Signals {
            receiver: self.store().subscribe(chat),
            chat,
            chats: self.clone(),
        }
    }

    /// Keeps the roots of repositories that were found from paths of the chat.
    pub fn note_repositories(&self, chat: Uuid, roots: &[PathBuf]) {
        if self.store().note_repositories(chat, roots) {
            self.note(Part::Paths);
        }
    }

    /// The repositories of the chat, the one touched longest ago first.
    pub fn repositories(&self, chat: Uuid) -> Vec<PathBuf> {
        self.store().repositories(chat)
    }
}

/// What tells of paths of one chat. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Signals {
    chats: Chats,
    chat: Uuid,
    receiver: watch::Receiver<u64>,
}

impl Signals {
    /// The next signal; those that came since the last one are one. Safe to drop: none is lost.
    pub async fn next(&mut self) {
        if self.receiver.changed().await.is_err() {
            // Never: who tells goes with the last subscriber.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        self.chats.store().unsubscribe(self.chat);
    }
}
