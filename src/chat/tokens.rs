//! Scoped tokens: decisions without lock, clock or I/O.
//!
//! ```text
//!  add ──▶ Live ──revoke──▶ Revoked ──an hour──▶ forgotten
//!            └──its time──▶ Expired ──an hour──▶ forgotten
//! ```
//!
//! A secret is known by its SHA-256 alone. A map is searched by the digest and not by the secret, so how long that takes
//! tells nothing about the secret; the digest that is found is compared in constant time all the same.

use std::collections::{HashMap, HashSet, VecDeque};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    MAX_TOKENS,
    ending::{Ending, Over},
    scope::Scopes,
};

/// How long it is remembered that a token is over, in nanoseconds.
pub(super) const REMEMBERED: u64 = 3600 * 1_000_000_000;

/// Tokens that are over and remembered.
const MAX_OVER: usize = 10 * MAX_TOKENS;

/// SHA-256 of a secret.
pub type Digest = [u8; 32];

/// The digest under which a secret is known.
pub fn digest(secret: &str) -> Digest {
    Sha256::digest(secret.as_bytes()).into()
}

/// What a browser's cookie holds instead of the token, which cannot be derived from it.
pub fn cookie_value(secret: &str) -> String {
    use std::fmt::Write as _;
    let value = digest(&format!("deskd cookie value\0{secret}"));
    value.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One token. Times are nanoseconds since 1970.
#[derive(Clone, Debug)]
pub struct Token {
    /// Its id, which is no secret.
    pub id: Uuid,
    /// The chat that it is bound to.
    pub chat: Option<Uuid>,
    /// What it may do.
    pub scopes: Scopes,
    /// For people.
    pub label: Option<String>,
    /// When it was made.
    pub created_at: u64,
    /// When its time is up.
    pub expires_at: u64,
    /// When a request last came with it.
    pub last_used_at: Option<u64>,
    pub(super) secret: Digest,
    pub(super) cookie: Digest,
    pub(super) over: Option<(u64, Over)>,
    pub(super) ending: Ending,
}

/// Where a client may show a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown<'a> {
    /// The token itself.
    Token(&'a str),
    /// The value of the cookie.
    Cookie(&'a str),
}

/// What is known of a secret.
#[derive(Clone, Debug)]
pub enum Found {
    /// It is good: whose requests come with it, and what ends their streams.
    Live(Pass),
    /// It was good.
    Over(Over),
    /// It is not known.
    Unknown,
}

/// What a token gives to a request.
#[derive(Clone, Debug)]
pub struct Pass {
    /// Id of the token.
    pub token: Uuid,
    /// The chat that it is bound to.
    pub chat: Option<Uuid>,
    /// What it may do.
    pub scopes: Scopes,
    /// Ends with the token.
    pub ending: Ending,
}

/// All tokens.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    all: HashMap<Uuid, Token>,
    by_digest: HashMap<Digest, Uuid>,
    live: usize,
    /// Tokens that are over, in that order.
    over: VecDeque<Uuid>,
}

impl Tokens {
    /// Takes in a token; whether there is room.
    pub(super) fn add(&mut self, token: Token) -> bool {
        if token.over.is_none() {
            if self.live >= MAX_TOKENS {
                return false;
            }
            self.live += 1;
        } else {
            self.over.push_back(token.id);
        }
        self.by_digest.insert(token.secret, token.id);
        self.by_digest.insert(token.cookie, token.id);
        self.all.insert(token.id, token);
        true
    }

    /// Looks a secret up, and notes that it was used.
    pub(super) fn find(&mut self, shown: Shown<'_>, now: u64) -> Found {
        let digest = match shown {
            Shown::Token(secret) | Shown::Cookie(secret) => digest(secret),
        };
        let id = self.by_digest.get(&digest).copied();
        let Some(token) = id.and_then(|id| self.all.get_mut(&id)) else {
            return Found::Unknown;
        };
        let due = match shown {
            Shown::Token(_) => &token.secret,
            Shown::Cookie(_) => &token.cookie,
        };
        if !bool::from(due.ct_eq(&digest)) {
            return Found::Unknown;
        }
        if let Some((_, why)) = token.over {
            return Found::Over(why);
        }
        if token.expires_at <= now {
            return Found::Over(Over::TokenExpired);
        }
        token.last_used_at = Some(now);
        Found::Live(Pass {
            token: token.id,
            chat: token.chat,
            scopes: token.scopes,
            ending: token.ending.clone(),
        })
    }

    /// Ends a live token; whether there was one.
    pub(super) fn revoke(&mut self, id: Uuid, now: u64) -> bool {
        let live = self.all.get(&id).is_some_and(|token| token.over.is_none());
        if live {
            self.end(id, Over::TokenRevoked, now);
        }
        live
    }

    /// Ends the live tokens that are bound to these chats; how many there were.
    pub(super) fn revoke_of(&mut self, chats: &HashSet<Uuid>, now: u64) -> usize {
        let bound = |token: &&Token| token.chat.is_some_and(|chat| chats.contains(&chat));
        let live = self.live().filter(bound).map(|token| token.id);
        let live: Vec<_> = live.collect();
        for id in &live {
            self.end(*id, Over::TokenRevoked, now);
        }
        live.len()
    }

    fn end(&mut self, id: Uuid, why: Over, now: u64) {
        if let Some(token) = self.all.get_mut(&id) {
            token.over = Some((now, why));
            token.ending.end(why);
            self.live -= 1;
            self.over.push_back(id);
        }
    }

    /// Ends those whose time is up and forgets those that were over for long enough. Whether anything changed.
    pub(super) fn sweep(&mut self, now: u64) -> bool {
        let up = self.live().filter(|token| token.expires_at <= now);
        let up: Vec<_> = up.map(|token| token.id).collect();
        for id in &up {
            self.end(*id, Over::TokenExpired, now);
        }
        let mut changed = !up.is_empty();
        while let Some(id) = self.over.front().copied() {
            let since = self.all.get(&id).and_then(|token| token.over);
            let old = since.is_none_or(|(at, _)| at.saturating_add(REMEMBERED) <= now);
            if !old && self.over.len() <= MAX_OVER {
                break;
            }
            self.over.pop_front();
            self.forget(id);
            changed = true;
        }
        changed
    }

    /// Takes a token out as if it had never been.
    pub(super) fn forget(&mut self, id: Uuid) {
        if let Some(token) = self.all.remove(&id) {
            self.by_digest.remove(&token.secret);
            self.by_digest.remove(&token.cookie);
            self.live -= usize::from(token.over.is_none());
        }
    }

    /// When [`Tokens::sweep`] has something to do next.
    pub(super) fn next_sweep(&self) -> Option<u64> {
        let expiry = self.live().map(|token| token.expires_at).min();
        let over = self.over.front().and_then(|id| self.all.get(id)?.over);
        let forgetting = over.map(|(at, _)| at.saturating_add(REMEMBERED));
        [expiry, forgetting].into_iter().flatten().min()
    }

    /// Tokens that are not over.
    pub(super) fn live(&self) -> impl Iterator<Item = &Token> {
        self.all.values().filter(|token| token.over.is_none())
    }

    /// Everything, for the file.
    pub(super) fn all(&self) -> impl Iterator<Item = &Token> {
        self.all.values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::scope::Scope;

    fn token(number: u128, secret: &str, expires_at: u64) -> Token {
        Token {
            id: Uuid::from_u128(number),
            chat: (number % 2 == 1).then(|| Uuid::from_u128(77)),
            scopes: [Scope::Git].into_iter().collect(),
            label: None,
            created_at: 0,
            expires_at,
            last_used_at: None,
            secret: digest(secret),
            cookie: digest(&cookie_value(secret)),
            over: None,
            ending: Ending::default(),
        }
    }

    #[derive(Debug, PartialEq)]
    enum Known {
        Live,
        Over(Over),
        Not,
    }

    fn state(tokens: &mut Tokens, secret: &str, now: u64) -> Known {
        match tokens.find(Shown::Token(secret), now) {
            Found::Live(_) => Known::Live,
            Found::Over(why) => Known::Over(why),
            Found::Unknown => Known::Not,
        }
    }

    #[test]
    fn a_token_lives_until_it_is_revoked_or_its_time_is_up() {
        let mut tokens = Tokens::default();
        assert!(tokens.add(token(1, "a", 100)));
        assert!(tokens.add(token(2, "b", 100)));
        assert_eq!(state(&mut tokens, "a", 99), Known::Live);
        assert_eq!(state(&mut tokens, "c", 99), Known::Not);
        assert_eq!(
            state(&mut tokens, "a", 100),
            Known::Over(Over::TokenExpired),
            "before the sweep"
        );
        assert!(tokens.revoke(Uuid::from_u128(2), 50));
        assert!(!tokens.revoke(Uuid::from_u128(2), 50));
        assert_eq!(state(&mut tokens, "b", 51), Known::Over(Over::TokenRevoked));
        assert_eq!(tokens.next_sweep(), Some(100));
        assert!(tokens.sweep(100));
        assert_eq!(
            state(&mut tokens, "a", 100 + REMEMBERED - 1),
            Known::Over(Over::TokenExpired)
        );
        assert_eq!(tokens.next_sweep(), Some(50 + REMEMBERED));
        assert!(tokens.sweep(100 + REMEMBERED));
        assert_eq!(state(&mut tokens, "a", 0), Known::Not);
        assert!(
            tokens.all.is_empty() && tokens.by_digest.is_empty() && tokens.next_sweep().is_none()
        );
    }

    #[test]
    fn a_cookie_is_no_token_and_a_token_no_cookie() {
        let mut tokens = Tokens::default();
        tokens.add(token(1, "a", 100));
        let cookie = cookie_value("a");
        assert!(matches!(
            tokens.find(Shown::Cookie(&cookie), 1),
            Found::Live(_)
        ));
        assert!(matches!(
            tokens.find(Shown::Token(&cookie), 1),
            Found::Unknown
        ));
        assert!(matches!(tokens.find(Shown::Cookie("a"), 1), Found::Unknown));
    }

    #[test]
    fn live_ones_are_bounded_and_those_of_a_chat_go_with_it() {
        let mut tokens = Tokens::default();
        for number in 0..MAX_TOKENS as u128 {
            assert!(tokens.add(token(number, &number.to_string(), 100)));
        }
        assert!(!tokens.add(token(5000, "x", 100)));
        let chats = HashSet::from([Uuid::from_u128(77)]);
        assert_eq!(tokens.revoke_of(&chats, 10), MAX_TOKENS / 2);
        assert!(tokens.add(token(5000, "x", 100)));
        assert_eq!(tokens.live().count(), MAX_TOKENS / 2 + 1);
    }
}
