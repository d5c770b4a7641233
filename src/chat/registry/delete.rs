//! Deleting: a chat is marked first, then what it has is ended, then it is forgotten.

use std::collections::HashSet;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Registry, Said};
use crate::chat::{ending::Over, error::ChatError};

/// What becomes of a deletion.
#[derive(Debug)]
pub(in crate::chat) enum Begun {
    /// These are marked; must be followed by [`Registry::finish_delete`].
    Marked(Vec<Uuid>),
    /// Another one is under way; ask again when this is cancelled.
    Underway(CancellationToken),
}

impl Registry {
    /// Marks a chat, and with `recursive` all below it: nothing is started for them any more.
    pub(in crate::chat) fn begin_delete(
        &mut self,
        id: Uuid,
        recursive: bool,
    ) -> Result<Begun, ChatError> {
        self.settle();
        let chat = self.chats.get(&id).ok_or(ChatError::NotFound)?;
        if let Some(done) = &chat.deleting {
            return Ok(Begun::Underway(done.clone()));
        }
        if !recursive && !chat.children.is_empty() {
            return Err(ChatError::HasChildren);
        }
        let all: Vec<_> = self.subtree(id).into_iter().collect();
        let underway = all.iter().find_map(|id| self.chats[id].deleting.clone());
        if let Some(done) = underway {
            return Ok(Begun::Underway(done));
        }
        let done = CancellationToken::new();
        for id in &all {
            self.chat(*id).deleting = Some(done.clone());
        }
        Ok(Begun::Marked(all))
    }

    /// Ends the streams of chats that are marked.
    pub(in crate::chat) fn end_streams(&mut self, ids: &HashSet<Uuid>) {
        for chat in ids.iter().filter_map(|id| self.chats.get(id)) {
            chat.ending.end(Over::ChatDeleted);
        }
    }

    /// Forgets chats that were marked.
    pub(in crate::chat) fn finish_delete(&mut self, ids: &[Uuid]) {
        for id in ids {
            self.remove(*id);
        }
    }

    /// Forgets a chat. Who hung below it, or claimed it, is looked at again.
    pub(super) fn remove(&mut self, id: Uuid) {
        if !self.knows(id) {
            return;
        }
        self.detach(id);
        let Some(chat) = self.chats.remove(&id) else {
            return;
        };
        self.seen.remove(&(chat.seen, id));
        self.undecided.remove(&id);
        for claimed in &chat.claims {
            if let Some(claimed) = self.chats.get_mut(claimed) {
                claimed.claimants.remove(&id);
            }
        }
        for claimant in &chat.claimants {
            if let Some(claimant) = self.chats.get_mut(claimant) {
                claimant.claims.remove(&id);
            }
        }
        for child in &chat.children {
            let child = self.chat(*child);
            child.parent = None;
            if child.said == Said::Parent(id) {
                child.said = Said::Root;
            }
        }
        for other in chat.children.union(&chat.claimants) {
            self.derive(*other);
        }
        if let Some(done) = chat.deleting {
            done.cancel();
        }
    }
}
