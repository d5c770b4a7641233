//! References, as files have them (gitrepository-layout(5)): HEAD, branches, tags.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use super::{disk, objects::Id, place::Place};

/// Longest file of one reference.
const MAX_FILE: u64 = 4096;
/// Longest `packed-refs`.
const MAX_PACKED: u64 = 256 << 20;
/// References that name each other.
const MAX_STEPS: usize = 8;
/// References that are listed.
const MOST: usize = 200_000;

/// What HEAD says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// The branch, `refs/heads/…`; none when HEAD is detached.
    pub(super) branch: Option<String>,
    /// The commit; none before the first.
    pub(super) commit: Option<Id>,
}

/// What a reference holds.
enum Held {
    Id(Id),
    Name(String),
}

/// Reads HEAD.
pub(super) fn head(place: &Place) -> io::Result<Head> {
    let file = place.git_dir.join("HEAD");
    let held = if file.is_symlink() {
        let target = std::fs::read_link(&file)?;
        Held::Name(target.to_str().ok_or_else(damaged)?.to_owned())
    } else {
        let bytes = disk::read_path(&file, MAX_FILE)?.ok_or_else(damaged)?;
        held(&bytes).ok_or_else(damaged)?
    };
    match held {
        Held::Id(id) => Ok(Head {
            branch: None,
            commit: Some(id),
        }),
        Held::Name(name) if is_name(&name) => {
            let commit = resolve(place, &name)?;
            Ok(Head {
                branch: Some(name),
                commit,
            })
        }
        Held::Name(_) => Err(damaged()),
    }
}

/// The short name of the branch that HEAD names, whether or not it can be followed.
pub(super) fn branch(place: &Place) -> Option<String> {
    let bytes = disk::read_path(&place.git_dir.join("HEAD"), MAX_FILE).ok()??;
    let Some(Held::Name(name)) = held(&bytes) else {
        return None;
    };
    let short = name
        .strip_prefix("refs/heads/")
        .filter(|_| is_name(&name))?;
    (!short.starts_with('.')).then(|| short.to_owned())
}

fn damaged() -> io::Error {
    io::Error::other("it names nothing")
}

/// Follows a reference to an id. None: there is no such one.
pub(super) fn resolve(place: &Place, name: &str) -> io::Result<Option<Id>> {
    let mut name = name.to_owned();
    for _ in 0..MAX_STEPS {
        if !is_name(&name) {
            return Ok(None);
        }
        let bytes = match disk::read_path(&file_of(place, &name), MAX_FILE) {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => None,
            bytes => bytes?,
        };
        let Some(bytes) = bytes else {
            return packed(place, &name);
        };
        match held(&bytes) {
            Some(Held::Id(id)) => return Ok(Some(id)),
            Some(Held::Name(next)) => name = next,
            None => return Err(damaged()),
        }
    }
    Err(io::Error::other("references name each other"))
}

/// Names below `refs/` alone: no reference leads to another file.
fn is_name(name: &str) -> bool {
    name.starts_with("refs/")
        && name.len() <= 1024
        && !name.contains("..")
        && !name.contains("//")
        && !name.bytes().any(|byte| {
            byte < 0x20
                || matches!(
                    byte,
                    0x7f | b'\\' | b' ' | b'~' | b'^' | b':' | b'?' | b'*' | b'['
                )
        })
}

fn file_of(place: &Place, name: &str) -> PathBuf {
    let own = ["refs/bisect/", "refs/worktree/", "refs/rewritten/"];
    let base = if own.iter().any(|start| name.starts_with(start)) {
        &place.git_dir
    } else {
        &place.common_dir
    };
    base.join(name)
}

fn held(bytes: &[u8]) -> Option<Held> {
    if let Some(name) = bytes.strip_prefix(b"ref:") {
        return Some(Held::Name(
            std::str::from_utf8(name).ok()?.trim().to_owned(),
        ));
    }
    let rest = bytes.get(40..).unwrap_or_default();
    let ends = rest.first().is_none_or(u8::is_ascii_whitespace);
    Id::parse(bytes.get(..40)?).filter(|_| ends).map(Held::Id)
}

fn read_packed(place: &Place) -> io::Result<Vec<u8>> {
    let bytes = disk::read_path(&place.common_dir.join("packed-refs"), MAX_PACKED)?;
    Ok(bytes.unwrap_or_default())
}

fn packed(place: &Place, name: &str) -> io::Result<Option<Id>> {
    let bytes = read_packed(place)?;
    let wanted = format!(" {name}\n");
    let found = memchr::memmem::find_iter(&bytes, wanted.as_bytes()).find_map(|at| {
        let start = at.checked_sub(40)?;
        let begins = start == 0 || bytes[start - 1] == b'\n';
        Id::parse(&bytes[start..at]).filter(|_| begins)
    });
    Ok(found)
}

/// All references below `refs/heads`, `refs/remotes` and `refs/tags`, by name, with what a tag finally names where that is
/// known.
pub(super) fn all(place: &Place) -> BTreeMap<String, Id> {
    let mut found = BTreeMap::new();
    let mut peeled = BTreeMap::new();
    let bytes = read_packed(place).unwrap_or_default();
    let mut last = None;
    for line in bytes.split(|byte| *byte == b'\n').take(MOST) {
        let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
        if let Some(id) = line.strip_prefix(b"^") {
            if let (Some(name), Some(id)) = (last.take(), Id::parse(id)) {
                peeled.insert(name, id);
            }
        } else if line.len() > 41
            && let (Some(id), Some(name)) = (Id::parse(&line[..40]), text(&line[41..]))
        {
            last = Some(name.clone());
            found.insert(name, id);
        }
    }
    for top in ["refs/heads", "refs/remotes", "refs/tags"] {
        loose(place, Path::new(top), &mut found, 0);
    }
    found
        .into_iter()
        .map(|(name, id)| {
            let id = peeled.remove(&name).unwrap_or(id);
            (name, id)
        })
        .collect()
}

fn loose(place: &Place, below: &Path, found: &mut BTreeMap<String, Id>, depth: usize) {
    let Ok(entries) = std::fs::read_dir(place.common_dir.join(below)) else {
        return;
    };
    for entry in entries.flatten() {
        let path = below.join(entry.file_name());
        let (Some(name), Ok(kind)) = (path.to_str(), entry.file_type()) else {
            continue;
        };
        if found.len() > MOST || depth > 16 {
            return;
        }
        if kind.is_dir() {
            loose(place, &path, found, depth + 1);
        } else if kind.is_file()
            && let Ok(Some(id)) = resolve(place, name)
        {
            found.insert(name.to_owned(), id);
        }
    }
}
