//! Tags of files, and what callers demand of a file before something is done to it (RFC 9110, sections 8.8.3 and 13.1).
//!
//! A tag says its kind by its first letter: `h-` is the SHA-256 of the content, everything else comes from the file's version.
//! What a caller sent is compared by the kind that it sent.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use sha2::{Digest as _, Sha256};

use super::{
    entry::{Attributes, Time, Version},
    fault::{Fault, Kind, Result},
    pool::Wanted,
    provider::{CHUNK, OpenFile},
};

/// A file that changed this lately may change again within the same tick of the kernel's clock and keep its time.
pub const YOUNG: Duration = Duration::from_millis(20);

/// Largest file whose content is hashed for a tag that nobody asked for.
pub const HASHED_UNASKED: u64 = 64 * 1024 * 1024;

/// SHA-256 of a content.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Reads a hash of 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let pair = str::from_utf8(pair).ok()?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The tag of the content, without quotes.
    pub fn tag(&self) -> String {
        format!("h-{self}")
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A content that passes by, hashed.
#[derive(Clone, Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The hash of all of them.
    pub fn finish(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher")
    }
}

/// Hashes a file from its start to its end. One that changes meanwhile is [`Kind::Changed`].
pub fn hash_file(file: &dyn OpenFile, wanted: &Wanted) -> Result<ContentHash> {
    let before = file.attributes()?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK];
    let mut offset = 0;
    loop {
        wanted.check()?;
        let count = file.read_at(&mut buffer, offset)?;
        hasher.update(&buffer[..count]);
        offset += count as u64;
        if count < buffer.len() {
            break;
        }
    }
    if !file.is_endless() && file.attributes()?.version != before.version {
        return Err(Fault::new(Kind::Changed, "hash", b""));
    }
    Ok(hasher.finish())
}

/// The time now.
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let since = since.unwrap_or_default();
    Time {
        seconds: since.as_secs().cast_signed(),
        nanos: since.subsec_nanos(),
    }
}

/// Whether two changes could share this version: its time is younger than the clock of the kernel tells apart.
pub fn is_young(version: &Version, now: Time) -> bool {
    let Version::Stat { mtime, .. } = version else {
        return false;
    };
    let nanos = |time: &Time| i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos);
    nanos(&now) - nanos(mtime) < YOUNG.as_nanos().cast_signed()
}

/// A tag as a caller sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Said to be weak.
    pub weak: bool,
    /// What stands between the quotes.
    pub opaque: String,
}

/// The tags of a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tags {
    /// `*`: any that there is.
    Any,
    /// One of these.
    These(Vec<Given>),
}

/// A list of tags that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("neither * nor a list of tags in quotes")]
pub struct BadTags;

impl Tags {
    /// Reads `*` or a list of tags, as headers carry them.
    pub fn parse(text: &str) -> Result<Self, BadTags> {
        let mut rest = text.trim();
        if rest == "*" {
            return Ok(Self::Any);
        }
        let mut tags = Vec::new();
        while !rest.is_empty() {
            let (weak, quoted) = match rest.strip_prefix("W/") {
                Some(quoted) => (true, quoted),
                None => (false, rest),
            };
            let quoted = quoted.strip_prefix('"').ok_or(BadTags)?;
            let (opaque, after) = quoted.split_once('"').ok_or(BadTags)?;
            let opaque = opaque.to_owned();
            tags.push(Given { weak, opaque });
            rest = after.trim_start();
            rest = match rest.strip_prefix(',') {
                Some(more) => more.trim_start_matches([',', ' ', '\t']),
                None if rest.is_empty() => rest,
                None => return Err(BadTags),
            };
        }
        if tags.is_empty() {
            return Err(BadTags);
        }
        Ok(Self::These(tags))
    }

    /// Whether the content has to be hashed to compare.
    pub fn needs_content(&self) -> bool {
        matches!(self, Self::These(tags) if tags.iter().any(|tag| tag.opaque.starts_with("h-")))
    }

    /// Whether one of them is the file's. `strong`: weak ones do not count.
    pub fn matches(&self, version: &Version, hash: Option<&ContentHash>, strong: bool) -> bool {
        let Self::These(tags) = self else {
            return true;
        };
        let (version, hash) = (version.tag(), hash.map(ContentHash::tag));
        tags.iter()
            .filter(|tag| !(strong && tag.weak))
            .any(|tag| tag.opaque == version || Some(&tag.opaque) == hash.as_ref())
    }
}

/// What must hold before a file is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demands {
    /// One of these is there.
    pub if_match: Option<Tags>,
    /// None of these is there.
    pub if_none_match: Option<Tags>,
    /// This content is there.
    pub sha256: Option<ContentHash>,
}

impl Demands {
    /// Whether anything is demanded.
    pub fn is_none(&self) -> bool {
        self.if_match.is_none() && self.if_none_match.is_none() && self.sha256.is_none()
    }

    /// Whether the content has to be hashed.
    pub fn need_content(&self) -> bool {
        let asks = |tags: &Option<Tags>| tags.as_ref().is_some_and(Tags::needs_content);
        self.sha256.is_some() || asks(&self.if_match) || asks(&self.if_none_match)
    }

    /// Whether nothing may be there.
    pub fn must_be_missing(&self) -> bool {
        self.if_none_match == Some(Tags::Any)
    }

    /// Whether all of it holds for what is there. The hash is needed when [`Demands::need_content`] says so.
    pub fn hold(&self, found: Option<&Attributes>, hash: Option<&ContentHash>) -> bool {
        let Some(found) = found else {
            return self.if_match.is_none() && self.sha256.is_none();
        };
        let is = |tags: &Tags, strong| tags.matches(&found.version, hash, strong);
        self.if_match.as_ref().is_none_or(|tags| is(tags, true))
            && !self
                .if_none_match
                .as_ref()
                .is_some_and(|tags| is(tags, false))
            && self.sha256.is_none_or(|due| hash == Some(&due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::entry::Identity;

    fn version(nanos: u32) -> Version {
        let identity = Identity {
            device: 1,
            inode: 2,
        };
        let mtime = Time { seconds: 10, nanos };
        Version::Stat {
            identity,
            size: 3,
            mtime,
        }
    }

    fn these(text: &str) -> Tags {
        Tags::parse(text).expect("a list of tags")
    }

    #[test]
    fn lists_of_tags_are_read() {
        assert_eq!(Tags::parse(" * "), Ok(Tags::Any));
        let Tags::These(tags) = these(r#""a", W/"b,c" ,, "" "#) else {
            panic!("a list")
        };
        let read: Vec<_> = tags
            .iter()
            .map(|tag| (tag.weak, tag.opaque.as_str()))
            .collect();
        assert_eq!(read, [(false, "a"), (true, "b,c"), (false, "")]);
        for bad in ["", "a", "\"a", "\"a\"\"b\"", "\"a\" b", ",", "W/a"] {
            assert_eq!(Tags::parse(bad), Err(BadTags), "{bad}");
        }
    }

    #[test]
    fn tags_are_compared_by_the_kind_that_was_sent() {
        let (now, hash) = (version(5), ContentHash::of(b"abc"));
        let stat = these(&format!("\"{}\"", now.tag()));
        assert!(stat.matches(&now, None, true) && !stat.needs_content());
        assert!(!stat.matches(&version(6), Some(&hash), true));
        let content = these(&format!("\"x\", \"{}\"", hash.tag()));
        assert!(content.needs_content() && content.matches(&version(6), Some(&hash), true));
        assert!(!content.matches(&now, None, true));
        let weak = these(&format!("W/\"{}\"", now.tag()));
        assert!(!weak.matches(&now, None, true) && weak.matches(&now, None, false));
    }

    #[test]
    fn a_time_that_two_changes_can_share_is_young() {
        let at = |seconds, nanos| Time { seconds, nanos };
        assert!(is_young(&version(0), at(10, 19_999_999)));
        assert!(!is_young(&version(0), at(10, 20_000_000)));
        assert!(is_young(&version(5), at(9, 0)), "in the future");
        assert!(!is_young(&Version::Generation(1), at(10, 0)));
    }

    #[test]
    fn hashes_are_read_as_they_are_written() {
        let hash = ContentHash::of(b"");
        assert_eq!(
            hash.to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            ContentHash::from_hex(&hash.to_string().to_uppercase()),
            Some(hash)
        );
        assert_eq!(ContentHash::from_hex("e3"), None);
        assert_eq!(ContentHash::from_hex(&"é".repeat(32)), None);
    }
}
