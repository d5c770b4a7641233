//! The files of chats, tokens and paths: the one place of this module whose types are written down, and therefore have serde.
//!
//! Each is replaced whole: a new file beside it, then a rename. One that cannot be read is set aside under another name.

use std::{
    ffi::OsString,
    fs, io,
    io::Write,
    os::unix::{ffi::OsStringExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::{
    ending::{Ending, Over},
    paths,
    registry::{self, Archived, Said},
    scope::Scope,
    tokens::Token,
};

const VERSION: u32 = 1;

/// A file of this module, of whatever it has many.
#[derive(Serialize, Deserialize)]
struct File<T> {
    version: u32,
    all: Vec<T>,
}

/// Wire form of a chat.
#[derive(Serialize, Deserialize)]
struct ChatRecord {
    id: Uuid,
    /// Absent: nothing was said; nil: that there is no parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<Uuid>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    claims: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    archived: Option<(u64, Uuid)>,
    created: u64,
    seen: u64,
}

/// Wire form of a token.
#[derive(Serialize, Deserialize)]
struct TokenRecord {
    id: Uuid,
    chat: Option<Uuid>,
    scopes: Vec<String>,
    label: Option<String>,
    created: u64,
    expires: u64,
    used: Option<u64>,
    secret: String,
    cookie: String,
    /// When it was over, and whether by its time.
    over: Option<(u64, bool)>,
}

/// Wire form of the paths of a chat. Bytes that are no text are in base64.
#[derive(Serialize, Deserialize)]
struct PathsRecord {
    chat: Uuid,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    paths: Vec<PathRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    repositories: Vec<PathRecord>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathRecord {
    Text(String),
    Bytes { base64: String },
}

/// The chats as they are written.
pub(super) fn chats(all: &[registry::Kept]) -> Vec<u8> {
    let records = all.iter().map(|chat| ChatRecord {
        id: chat.id,
        parent: match chat.said {
            Said::Nothing => None,
            Said::Root => Some(Uuid::nil()),
            Said::Parent(parent) => Some(parent),
        },
        claims: chat.claims.clone(),
        title: chat.title.clone(),
        archived: chat.archived.map(|archived| (archived.at, archived.with)),
        created: chat.created,
        seen: chat.seen,
    });
    text(records.collect())
}

/// The chats of a file.
pub(super) fn read_chats(path: &Path) -> Vec<registry::Kept> {
    let records = read::<ChatRecord>(path).into_iter();
    let chat = |record: ChatRecord| registry::Kept {
        id: record.id,
        said: match record.parent {
            None => Said::Nothing,
            Some(parent) if parent.is_nil() => Said::Root,
            Some(parent) => Said::Parent(parent),
        },
        claims: record.claims,
        title: record.title,
        archived: record.archived.map(|(at, with)| Archived { at, with }),
        created: record.created,
        seen: record.seen,
    };
    records.map(chat).collect()
}

/// The tokens as they are written: digests, no secrets.
pub(super) fn tokens<'a>(all: impl Iterator<Item = &'a Token>) -> Vec<u8> {
    let records = all.map(|token| TokenRecord {
        id: token.id,
        chat: token.chat,
        scopes: token
            .scopes
            .given()
            .map(|scope| scope.name().to_owned())
            .collect(),
        label: token.label.clone(),
        created: token.created_at,
        expires: token.expires_at,
        used: token.last_used_at,
        secret: STANDARD.encode(token.secret),
        cookie: STANDARD.encode(token.cookie),
        over: token.over.map(|(at, why)| (at, why == Over::TokenExpired)),
    });
    text(records.collect())
}

/// The tokens of a file.
pub(super) fn read_tokens(path: &Path) -> Vec<Token> {
    let records = read::<TokenRecord>(path).into_iter();
    let digest = |text: &str| STANDARD.decode(text).ok()?.try_into().ok();
    let token = |record: TokenRecord| {
        let ending = Ending::default();
        let over = record.over.map(|(at, expired)| {
            let why = if expired {
                Over::TokenExpired
            } else {
                Over::TokenRevoked
            };
            ending.end(why);
            (at, why)
        });
        Some(Token {
            id: record.id,
            chat: record.chat,
            scopes: record
                .scopes
                .iter()
                .filter_map(|name| Scope::by_name(name))
                .collect(),
            label: record.label,
            created_at: record.created,
            expires_at: record.expires,
            last_used_at: record.used,
            secret: digest(&record.secret)?,
            cookie: digest(&record.cookie)?,
            over,
            ending,
        })
    };
    records.filter_map(token).collect()
}

/// The paths as they are written.
pub(super) fn paths(all: &[paths::Kept]) -> Vec<u8> {
    let record = |bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => PathRecord::Text(text.to_owned()),
        Err(_) => PathRecord::Bytes {
            base64: STANDARD.encode(bytes),
        },
    };
    let records = all.iter().map(|(chat, paths, repositories)| PathsRecord {
        chat: *chat,
        paths: paths.iter().map(|path| record(path)).collect(),
        repositories: repositories
            .iter()
            .map(|root| record(root.as_os_str().as_encoded_bytes()))
            .collect(),
    });
    text(records.collect())
}

/// The paths of a file.
pub(super) fn read_paths(path: &Path) -> Vec<paths::Kept> {
    let bytes = |record: PathRecord| match record {
        PathRecord::Text(text) => Some(text.into_bytes()),
        PathRecord::Bytes { base64 } => STANDARD.decode(base64).ok(),
    };
    let records = read::<PathsRecord>(path).into_iter();
    records
        .map(|record| {
            let paths = record.paths.into_iter().filter_map(bytes);
            let roots = record.repositories.into_iter().filter_map(bytes);
            (
                record.chat,
                paths.map(Into::into).collect(),
                roots
                    .map(|root| PathBuf::from(OsString::from_vec(root)))
                    .collect(),
            )
        })
        .collect()
}

fn text<T: Serialize>(all: Vec<T>) -> Vec<u8> {
    let version = VERSION;
    serde_json::to_vec(&File { version, all }).expect("records are plain data")
}

/// What a file has. One that is not there has nothing; one that is not ours is set aside.
fn read<T: DeserializeOwned>(path: &Path) -> Vec<T> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            set_aside(path, &error);
            return Vec::new();
        }
    };
    match serde_json::from_slice::<File<T>>(&bytes) {
        Ok(file) if file.version == VERSION => file.all,
        Ok(file) => {
            let error = format!("version {} is not known", file.version);
            set_aside(path, &io::Error::other(error));
            Vec::new()
        }
        Err(error) => {
            set_aside(path, &error.into());
            Vec::new()
        }
    }
}

fn set_aside(path: &Path, error: &io::Error) {
    let mut aside = path.as_os_str().to_owned();
    aside.push(format!(".damaged-{}", Uuid::now_v7()));
    let moved = fs::rename(path, &aside).is_ok();
    tracing::error!(file = %path.display(), aside = %Path::new(&aside).display(), moved, %error, "a file of chats cannot be read and is set aside");
}

/// Replaces a file, readable by its owner alone: whoever reads the path sees all of the old or all of the new. With `lasting`
/// it is on disk when this returns.
pub(super) fn replace(path: &Path, bytes: &[u8], lasting: bool) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    if lasting {
        file.sync_data()?;
    }
    fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::tokens::digest;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chats.json");
        assert!(read_chats(&path).is_empty());
        let chat = |number: u128, said| registry::Kept {
            id: Uuid::from_u128(number),
            said,
            claims: vec![Uuid::from_u128(9)],
            title: Some("ü".to_owned()),
            archived: Some(Archived {
                at: 3,
                with: Uuid::from_u128(4),
            }),
            created: u64::MAX,
            seen: 2,
        };
        let parent = Said::Parent(Uuid::from_u128(1));
        let all = [chat(1, Said::Nothing), chat(2, Said::Root), chat(3, parent)];
        replace(&path, &chats(&all), false).expect("written");
        assert_eq!(read_chats(&path), all);
        let kept: paths::Kept = (
            Uuid::from_u128(1),
            vec![b"/a\xff"[..].into(), b"/b"[..].into()],
            vec![PathBuf::from("/r")],
        );
        replace(&path, &super::paths(std::slice::from_ref(&kept)), false).expect("written");
        assert_eq!(read_paths(&path), [kept]);
    }

    #[test]
    fn tokens_are_digests_there_and_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens.json");
        let token = Token {
            id: Uuid::from_u128(1),
            chat: Some(Uuid::from_u128(2)),
            scopes: [Scope::Git, Scope::FilesRead].into_iter().collect(),
            label: Some("x".to_owned()),
            created_at: 1,
            expires_at: 2,
            last_used_at: Some(3),
            secret: digest("a"),
            cookie: digest("b"),
            over: Some((4, Over::TokenRevoked)),
            ending: Ending::default(),
        };
        replace(&path, &tokens([&token].into_iter()), false).expect("written");
        let read = read_tokens(&path);
        assert_eq!(read.len(), 1);
        assert_eq!(
            format!("{:?}", read[0].scopes),
            format!("{:?}", token.scopes)
        );
        assert_eq!((read[0].secret, read[0].over), (token.secret, token.over));
    }

    #[test]
    fn a_damaged_file_is_set_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chats.json");
        for bad in [
            "",
            "{",
            "{\"version\":2,\"all\":[]}",
            "{\"version\":1,\"all\":[7]}",
        ] {
            fs::write(&path, bad).expect("written");
            assert!(read_chats(&path).is_empty(), "{bad}");
            assert!(!path.exists(), "{bad}");
        }
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 4);
    }
}
