//! Which chats there are and who stands above whom: decisions without lock, clock or I/O.
//!
//! ```text
//!  (unknown) ──see, put──▶ Known ⇄ Archived          Known, Archived ──begin_delete──▶ Deleting ──finish_delete──▶ (unknown)
//!      ▲                     │
//!      └──evicted: idle──────┘
//! ```
//!
//! A chat has **claims**, the ancestors that headers named, and at most one **parent**: what was said, else what follows from
//! the claims. Where nothing follows yet, the chat is *undecided* and stands as a root; it is looked at again when somebody
//! learned something. The tree never has a cycle and never more than [`MAX_LEVELS`](super::MAX_LEVELS) levels, and below an archived chat all are
//! archived.

mod archive;
mod delete;
mod tree;

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(super) use self::delete::Begun;
use super::{MAX_CHATS, ending::Ending, error::ChatError};

/// Claims that count for one chat.
const MAX_CLAIMS: usize = 64;

/// All chats.
#[derive(Debug, Default)]
pub(super) struct Registry {
    chats: HashMap<Uuid, Chat>,
    /// Every chat by when it was last seen.
    seen: BTreeSet<(u64, Uuid)>,
    /// Chats with claims of which no parent follows yet.
    undecided: HashSet<Uuid>,
    /// Somebody learned something since they were looked at.
    unsettled: bool,
}

/// What was said about the parent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing: it follows from the claims.
    #[default]
    Nothing,
    /// That there is none.
    Root,
    /// This one.
    Parent(Uuid),
}

/// When a chat was archived, and with which others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Archived {
    /// Nanoseconds since 1970.
    pub(super) at: u64,
    /// The same for all that were archived at once.
    pub(super) with: Uuid,
}

/// One chat.
#[derive(Debug, Default)]
struct Chat {
    said: Said,
    parent: Option<Uuid>,
    children: HashSet<Uuid>,
    /// Ancestors that headers named.
    claims: BTreeSet<Uuid>,
    /// Who claims this one.
    claimants: HashSet<Uuid>,
    title: Option<String>,
    archived: Option<Archived>,
    created: u64,
    seen: u64,
    connections: usize,
    /// Cancelled when the deletion, which is under way, is over.
    deleting: Option<CancellationToken>,
    /// Ends the streams of the chat.
    ending: Ending,
}

/// A chat as it is written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: Uuid,
    pub(super) said: Said,
    pub(super) claims: Vec<Uuid>,
    pub(super) title: Option<String>,
    pub(super) archived: Option<Archived>,
    pub(super) created: u64,
    pub(super) seen: u64,
}

/// What becomes of one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// It stays.
    #[default]
    Leave,
    /// It has no value any more.
    Clear,
    /// It has this one.
    Set(T),
}

/// What a `PUT` changes.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The parent.
    pub parent: Edit<Uuid>,
    /// The title.
    pub title: Edit<String>,
}

impl Change {
    /// The new parent.
    pub fn parent(&self) -> Option<Uuid> {
        match self.parent {
            Edit::Set(parent) => Some(parent),
            Edit::Leave | Edit::Clear => None,
        }
    }
}

/// Which chats a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Archived ones.
    Archived,
    /// The others.
    Current,
    /// All.
    All,
}

/// A chat as it was when it was looked at. Times are nanoseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChatInfo {
    /// Its id.
    pub id: Uuid,
    /// Its parent.
    pub parent: Option<Uuid>,
    /// The chain of parents together with what headers said, sorted.
    pub ancestors: Vec<Uuid>,
    /// Its title.
    pub title: Option<String>,
    /// When it was archived.
    pub archived_at: Option<u64>,
    /// When it became known.
    pub created_at: u64,
    /// When its last request came.
    pub last_seen_at: u64,
    /// WebSockets and event streams.
    pub connections: usize,
    /// Live tokens that are bound to it.
    pub tokens: usize,
    /// Repositories that were found from its paths.
    pub repositories: usize,
    /// Its children, the one seen last first.
    pub children: Vec<Self>,
}

impl Registry {
    /// How many chats would have to go so that these are known.
    pub(super) fn lacks_room(&self, chat: Uuid, claimed: &[Uuid]) -> bool {
        let new = |id: &&Uuid| !self.chats.contains_key(id);
        let new = claimed.iter().filter(new).count() + usize::from(!self.chats.contains_key(&chat));
        new > 0 && self.chats.len() + new > MAX_CHATS
    }

    /// Takes in a request of a chat and the ancestors that it named. What there is no room for stays unknown.
    pub(super) fn see(
        &mut self,
        chat: Uuid,
        claimed: &[Uuid],
        now: u64,
        goes: &dyn Fn(Uuid) -> bool,
    ) {
        let keep = |id: Uuid| id == chat || claimed.contains(&id);
        let goes = |id: Uuid| !keep(id) && goes(id);
        if !self.ensure(chat, now, &goes) {
            return;
        }
        self.touch(chat, now);
        let mut learned = false;
        for ancestor in claimed.iter().filter(|id| **id != chat) {
            learned |= self.claim(chat, *ancestor, now, &goes);
        }
        if learned {
            self.derive(chat);
            self.unsettled = true;
        }
    }

    fn claim(&mut self, chat: Uuid, ancestor: Uuid, now: u64, goes: &dyn Fn(Uuid) -> bool) -> bool {
        let claims = &self.chats[&chat].claims;
        if claims.contains(&ancestor)
            || claims.len() >= MAX_CLAIMS
            || !self.ensure(ancestor, now, goes)
        {
            return false;
        }
        self.chat(chat).claims.insert(ancestor);
        self.chat(ancestor).claimants.insert(chat);
        true
    }

    /// Makes a chat known; whether it is.
    fn ensure(&mut self, id: Uuid, now: u64, goes: &dyn Fn(Uuid) -> bool) -> bool {
        if self.chats.contains_key(&id) {
            return true;
        }
        if self.chats.len() >= MAX_CHATS && !self.evict(goes) {
            return false;
        }
        let chat = Chat {
            created: now,
            seen: now,
            ..Chat::default()
        };
        self.chats.insert(id, chat);
        self.seen.insert((now, id));
        true
    }

    /// Has the one go that was seen longest ago and that nothing holds.
    fn evict(&mut self, goes: &dyn Fn(Uuid) -> bool) -> bool {
        let idle = |id: &Uuid| {
            let chat = &self.chats[id];
            chat.connections == 0
                && chat.children.is_empty()
                && chat.title.is_none()
                && chat.deleting.is_none()
                && goes(*id)
        };
        let oldest = self.seen.iter().map(|(_, id)| *id).find(idle);
        if let Some(id) = oldest {
            self.remove(id);
        }
        oldest.is_some()
    }

    fn touch(&mut self, id: Uuid, now: u64) {
        let chat = self.chat(id);
        let (before, now) = (chat.seen, now.max(chat.seen));
        chat.seen = now;
        self.seen.remove(&(before, id));
        self.seen.insert((now, id));
    }

    fn chat(&mut self, id: Uuid) -> &mut Chat {
        self.chats.get_mut(&id).expect("the chat is known")
    }

    /// Whether the chat is known.
    pub(super) fn knows(&self, id: Uuid) -> bool {
        self.chats.contains_key(&id)
    }

    /// Changes a chat, or makes it.
    pub(super) fn put(
        &mut self,
        id: Uuid,
        change: Change,
        now: u64,
        goes: &dyn Fn(Uuid) -> bool,
    ) -> Result<(), ChatError> {
        let parent = change.parent();
        self.check_put(id, parent)?;
        let keep = |other: Uuid| other == id || Some(other) == parent;
        let goes = |other: Uuid| !keep(other) && goes(other);
        for id in [Some(id), parent].into_iter().flatten() {
            if !self.ensure(id, now, &goes) {
                return Err(ChatError::Full);
            }
        }
        match change.title {
            Edit::Leave => {}
            Edit::Clear => self.chat(id).title = None,
            Edit::Set(title) => self.chat(id).title = Some(title),
        }
        let said = match change.parent {
            Edit::Leave => return Ok(()),
            Edit::Clear => Said::Root,
            Edit::Set(parent) => Said::Parent(parent),
        };
        self.chat(id).said = said;
        self.derive(id);
        self.unsettled = true;
        Ok(())
    }

    fn check_put(&mut self, id: Uuid, parent: Option<Uuid>) -> Result<(), ChatError> {
        self.settle();
        let all = [Some(id), parent].into_iter().flatten();
        if all
            .filter_map(|id| self.chats.get(&id))
            .any(|chat| chat.deleting.is_some())
        {
            return Err(ChatError::Deleting);
        }
        let Some(parent) = parent else {
            return Ok(());
        };
        self.may_hang(id, parent)?;
        let is_archived = |id| {
            self.chats
                .get(&id)
                .is_some_and(|chat: &Chat| chat.archived.is_some())
        };
        if self.knows(id) && !is_archived(id) && is_archived(parent) {
            return Err(ChatError::ParentArchived);
        }
        Ok(())
    }

    /// Takes a stream in; `None` when the chat is unknown. Refused while the chat is being deleted.
    pub(super) fn connect(&mut self, id: Uuid) -> Result<Option<Ending>, ChatError> {
        let Some(chat) = self.chats.get_mut(&id) else {
            return Ok(None);
        };
        if chat.deleting.is_some() {
            return Err(ChatError::Deleting);
        }
        chat.connections += 1;
        Ok(Some(chat.ending.clone()))
    }

    /// Takes a stream out that came with this ending. A chat that was made anew since does not count it.
    pub(super) fn disconnect(&mut self, id: Uuid, ending: &Ending) {
        if let Some(chat) = self.chats.get_mut(&id)
            && chat.ending.is(ending)
        {
            chat.connections = chat.connections.saturating_sub(1);
        }
    }

    /// Everything, for the file.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let all = self.chats.iter();
        all.map(|(id, chat)| Kept {
            id: *id,
            said: chat.said,
            claims: chat.claims.iter().copied().collect(),
            title: chat.title.clone(),
            archived: chat.archived,
            created: chat.created,
            seen: chat.seen,
        })
        .collect()
    }

    /// What the file has, as a registry. What contradicts itself there is left out.
    pub(super) fn restored(kept: &[Kept]) -> Self {
        let mut registry = Self::default();
        for one in kept {
            if registry.chats.len() < MAX_CHATS {
                registry.ensure(one.id, one.seen, &|_| false);
            }
        }
        for one in kept {
            let known: Vec<_> = one
                .claims
                .iter()
                .copied()
                .filter(|id| registry.knows(*id))
                .collect();
            let Some(chat) = registry.chats.get_mut(&one.id) else {
                continue;
            };
            chat.title.clone_from(&one.title);
            chat.archived = one.archived;
            chat.created = one.created;
            chat.said = one.said;
            chat.claims.extend(
                known
                    .iter()
                    .copied()
                    .filter(|id| *id != one.id)
                    .take(MAX_CLAIMS),
            );
            for claimed in chat.claims.clone() {
                registry.chat(claimed).claimants.insert(one.id);
            }
        }
        registry.hang_all(kept.iter().map(|one| one.id));
        registry
    }
}
