//! Deleting chats: marking them, and forgetting them when all that they had is gone.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Chats, Part, error::ChatError, now, registry::Begun};

impl Chats {
    /// Marks a chat, and with `recursive` all below it: no stream is opened for them any more. Waits for a deletion that is
    /// under way. Must be followed by [`Chats::cut_off`] and [`Chats::finish_delete`].
    pub async fn begin_delete(&self, id: Uuid, recursive: bool) -> Result<Deletion, ChatError> {
        loop {
            let begun = self.book().registry.begin_delete(id, recursive)?;
            let underway: CancellationToken = match begun {
                Begun::Marked(chats) => {
                    return Ok(Deletion {
                        chats: chats.into_iter().collect(),
                        tokens_revoked: 0,
                    });
                }
                Begun::Underway(done) => done,
            };
            underway.cancelled().await;
        }
    }

    /// Ends the streams of the chats and revokes their tokens, which is written down.
    pub async fn cut_off(&self, deletion: &mut Deletion) {
        deletion.tokens_revoked = {
            let mut book = self.book();
            book.registry.end_streams(&deletion.chats);
            book.tokens.revoke_of(&deletion.chats, now())
        };
        if deletion.tokens_revoked == 0 {
            return;
        }
        self.note(Part::Tokens);
        if let Err(error) = self.save_tokens().await {
            tracing::error!(%error, "the tokens of a deleted chat are revoked, but that is not saved");
        }
    }

    /// Forgets the paths of the chats and the chats; how many paths there were.
    pub fn finish_delete(&self, deletion: &Deletion) -> usize {
        let mut store = self.store();
        let paths = deletion.chats.iter().map(|chat| store.forget(*chat)).sum();
        drop(store);
        let ids: Vec<_> = deletion.chats.iter().copied().collect();
        self.book().registry.finish_delete(&ids);
        self.note(Part::Chats);
        self.note(Part::Paths);
        paths
    }
}

/// A deletion that is under way.
#[derive(Clone, Debug)]
pub struct Deletion {
    /// The chats that go.
    pub chats: HashSet<Uuid>,
    /// Tokens that went with them.
    pub tokens_revoked: usize,
}
