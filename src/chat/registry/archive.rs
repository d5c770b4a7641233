//! Archiving: with everything below, and back with what went along.

use uuid::Uuid;

use super::{Archived, Registry};
use crate::chat::error::ChatError;

impl Registry {
    /// Archives a chat and all below it that are not, or brings it back with those that were archived with it. What is so
    /// already stays as it is. `with` names what is archived at once.
    pub(in crate::chat) fn archive(
        &mut self,
        id: Uuid,
        archived: bool,
        now: u64,
        with: Uuid,
    ) -> Result<(), ChatError> {
        self.settle();
        let chat = self.chats.get(&id).ok_or(ChatError::NotFound)?;
        match (chat.archived, archived) {
            (None, true) => {
                for id in self.subtree(id) {
                    let chat = self.chat(id);
                    chat.archived = chat.archived.or(Some(Archived { at: now, with }));
                }
            }
            (Some(was), false) => {
                let parent = chat.parent.and_then(|parent| self.chats.get(&parent));
                if parent.is_some_and(|parent| parent.archived.is_some()) {
                    return Err(ChatError::ParentArchived);
                }
                self.bring_back(id, was.with);
            }
            (Some(_), true) | (None, false) => {}
        }
        Ok(())
    }

    /// Only through chats that come back themselves, so that none does below one that stays.
    fn bring_back(&mut self, id: Uuid, with: Uuid) {
        let mut next = vec![id];
        while let Some(id) = next.pop() {
            let chat = self.chat(id);
            if chat.archived.is_some_and(|archived| archived.with == with) {
                chat.archived = None;
                next.extend(&chat.children);
            }
        }
    }
}
