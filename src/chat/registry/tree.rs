//! Who stands above whom.

use std::collections::{BTreeSet, HashSet};

use uuid::Uuid;

use super::{Chat, ChatInfo, Registry, Said, Which};
use crate::chat::{MAX_LEVELS, error::ChatError};

impl Registry {
    /// The parents of a chat, the nearest first.
    pub(super) fn chain(&self, id: Uuid) -> impl Iterator<Item = Uuid> {
        let parent = |id: &Uuid| self.chats.get(id).and_then(|chat| chat.parent);
        std::iter::successors(parent(&id), move |id| parent(id))
    }

    /// The chain of parents together with what headers said.
    pub(in crate::chat) fn ancestors(&self, id: Uuid) -> BTreeSet<Uuid> {
        let claims = self.chats.get(&id).map(|chat| chat.claims.clone());
        let mut all = claims.unwrap_or_default();
        all.extend(self.chain(id));
        all
    }

    /// Whether the one is among the ancestors of the other.
    pub(in crate::chat) fn is_above(&self, above: Uuid, id: Uuid) -> bool {
        let claims = |chat: &Chat| chat.claims.contains(&above);
        self.chats.get(&id).is_some_and(claims) || self.chain(id).any(|parent| parent == above)
    }

    /// All chats among whose ancestors this one is.
    pub(in crate::chat) fn below(&mut self, id: Uuid) -> HashSet<Uuid> {
        self.settle();
        let mut all = self.subtree(id);
        if let Some(chat) = self.chats.get(&id) {
            all.extend(&chat.claimants);
        }
        all.remove(&id);
        all
    }

    /// The chat and everything below it in the tree.
    pub(super) fn subtree(&self, id: Uuid) -> HashSet<Uuid> {
        let (mut all, mut next) = (HashSet::from([id]), vec![id]);
        while let Some(id) = next.pop() {
            for child in self
                .chats
                .get(&id)
                .into_iter()
                .flat_map(|chat| &chat.children)
            {
                if all.insert(*child) {
                    next.push(*child);
                }
            }
        }
        all
    }

    fn height(&self, id: Uuid) -> usize {
        let Some(chat) = self.chats.get(&id) else {
            return 1;
        };
        1 + chat
            .children
            .iter()
            .map(|child| self.height(*child))
            .max()
            .unwrap_or(0)
    }

    /// Whether the chat may have this parent.
    pub(super) fn may_hang(&self, id: Uuid, parent: Uuid) -> Result<(), ChatError> {
        if parent == id || self.chain(parent).any(|above| above == id) {
            return Err(ChatError::Cycle);
        }
        let levels = self.chain(parent).count() + 1 + self.height(id);
        if levels > MAX_LEVELS {
            return Err(ChatError::TooDeep);
        }
        Ok(())
    }

    /// Finds the parent of a chat anew and hangs it there.
    pub(super) fn derive(&mut self, id: Uuid) {
        let wanted = match self.chats[&id].said {
            Said::Root => None,
            Said::Parent(parent) => Some(parent),
            Said::Nothing => self.follows(id),
        };
        let parent = wanted.filter(|parent| self.knows(*parent));
        self.detach(id); // so that the tree below does not count the chat as its own ancestor
        let parent = parent.filter(|parent| self.may_hang(id, *parent).is_ok());
        let chat = &self.chats[&id];
        let decided = parent.is_some() || chat.claims.is_empty() || chat.said == Said::Root;
        if decided {
            self.undecided.remove(&id);
        } else {
            self.undecided.insert(id);
        }
        if let Some(parent) = parent {
            self.attach(id, parent);
        }
    }

    /// The parent that follows from the claims: the only one; of several the one that knows all the others above itself.
    fn follows(&self, id: Uuid) -> Option<Uuid> {
        let claims = &self.chats[&id].claims;
        if claims.len() == 1 {
            return claims.first().copied();
        }
        let nearest = |candidate: &&Uuid| {
            let others = claims.iter().filter(|other| other != candidate);
            let mut others = others.peekable();
            others.peek().is_some() && others.all(|other| self.is_above(*other, **candidate))
        };
        let mut nearest = claims.iter().filter(nearest);
        let first = nearest.next().copied();
        first.filter(|_| nearest.next().is_none())
    }

    pub(super) fn detach(&mut self, id: Uuid) {
        if let Some(parent) = self.chat(id).parent.take()
            && let Some(parent) = self.chats.get_mut(&parent)
        {
            parent.children.remove(&id);
        }
    }

    fn attach(&mut self, id: Uuid, parent: Uuid) {
        self.chat(id).parent = Some(parent);
        self.chat(parent).children.insert(id);
        if let Some(archived) = self.chats[&parent].archived {
            for id in self.subtree(id) {
                let chat = self.chat(id);
                chat.archived = chat.archived.or(Some(archived));
            }
        }
    }

    /// Hangs what was read from a file: what was said first, then what follows.
    pub(super) fn hang_all(&mut self, ids: impl Iterator<Item = Uuid>) {
        let mut later = Vec::new();
        for id in ids.filter(|id| self.knows(*id)).collect::<Vec<_>>() {
            match self.chats[&id].said {
                Said::Nothing => later.push(id),
                Said::Root | Said::Parent(_) => self.derive(id),
            }
        }
        for id in later {
            self.derive(id);
        }
        self.unsettled = true;
        self.settle();
    }

    /// Looks again at the chats of which no parent followed. One that is decided may decide another.
    pub(in crate::chat) fn settle(&mut self) {
        if !std::mem::take(&mut self.unsettled) {
            return;
        }
        for _ in 0..MAX_LEVELS {
            let before = self.undecided.len();
            for id in self.undecided.iter().copied().collect::<Vec<_>>() {
                self.derive(id);
            }
            if self.undecided.is_empty() || self.undecided.len() == before {
                return;
            }
        }
    }

    /// The chat with its children.
    pub(in crate::chat) fn describe(&mut self, id: Uuid, which: Which) -> Option<ChatInfo> {
        self.settle();
        self.chats.contains_key(&id).then(|| self.info(id, which))
    }

    /// Roots, the one seen last first, with their children; and how many roots there are.
    pub(in crate::chat) fn list(
        &mut self,
        which: Which,
        limit: usize,
        skip: usize,
    ) -> (Vec<ChatInfo>, usize) {
        self.settle();
        let roots = self.seen.iter().rev().map(|(_, id)| *id).filter(|id| {
            let chat = &self.chats[id];
            chat.parent.is_none() && which.has(chat)
        });
        let mut total = 0;
        let mut page = Vec::new();
        for id in roots {
            if total >= skip && page.len() < limit {
                page.push(id);
            }
            total += 1;
        }
        (
            page.into_iter().map(|id| self.info(id, which)).collect(),
            total,
        )
    }

    fn info(&self, id: Uuid, which: Which) -> ChatInfo {
        let chat = &self.chats[&id];
        let mut children: Vec<_> = chat
            .children
            .iter()
            .filter(|child| which.has(&self.chats[*child]))
            .map(|child| self.info(*child, which))
            .collect();
        children.sort_by_key(|child| std::cmp::Reverse((child.last_seen_at, child.id)));
        ChatInfo {
            id,
            parent: chat.parent,
            ancestors: self.ancestors(id).into_iter().collect(),
            title: chat.title.clone(),
            archived_at: chat.archived.map(|archived| archived.at),
            created_at: chat.created,
            last_seen_at: chat.seen,
            connections: chat.connections,
            tokens: 0,
            repositories: 0,
            children,
        }
    }
}

impl Which {
    fn has(self, chat: &Chat) -> bool {
        match self {
            Self::All => true,
            Self::Archived => chat.archived.is_some(),
            Self::Current => chat.archived.is_none(),
        }
    }

    /// Whether a chat that was described is one of them.
    pub fn includes(self, chat: &ChatInfo) -> bool {
        match self {
            Self::All => true,
            Self::Archived => chat.archived_at.is_some(),
            Self::Current => chat.archived_at.is_none(),
        }
    }
}
