//! Which entries are left out of listings and searches: the rules of gitignore(5), read from our own tree, so that they hold in
//! every provider. As `rg --no-require-git --no-ignore-global`: from `.ignore`, `.gitignore` and `.git/info/exclude` of each
//! directory on the way, inside of a repository or not, and never from a file of the person.
//!
//! ```text
//!   nearest .ignore ▶ … ▶ farthest .ignore ▶ nearest .gitignore ▶ … ▶ nearest exclude ▶ …    the first that says something
//! ```

use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
    overrides::{Override, OverrideBuilder},
};

use super::{
    entry::EntryKind,
    fault::Kind,
    path::{ClientPath, Name, TreePath},
    provider::{CHUNK, OpenFile},
    view::{Last, Opened, View},
};

/// Largest file of rules; what lies beyond is not read.
const MAX_RULES: usize = 1024 * 1024;

/// The rules that hold in one directory: its own and those from above. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Rules(Option<Arc<Level>>);

#[derive(Debug)]
struct Level {
    above: Rules,
    ignore: Gitignore,
    git: Gitignore,
    exclude: Gitignore,
}

/// What the rules say of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    None,
    /// It is left out, and all below it.
    Ignored,
    /// It is kept, though it be hidden.
    Kept,
}

impl Rules {
    /// No rules.
    pub fn none() -> Self {
        Self(None)
    }

    /// The rules that hold in a directory: those of its parents up to the repository, or to the top of the mount, included.
    pub fn at(view: &View, opened: &Opened) -> Self {
        let names = opened.path.names();
        let top = opened.mount.at().names().len().min(names.len());
        let mut chain = Vec::new();
        for length in (top..names.len()).rev() {
            let inner = chain.last().unwrap_or(opened);
            if is_repository(inner) {
                break;
            }
            let path = TreePath::new(names[..length].to_vec());
            // What may be passed but not opened has no rules for us.
            match view.open_directory(&ClientPath::of(&path), "open") {
                Ok(above) => chain.push(above),
                Err(_) => break,
            }
        }
        let above = chain.iter().rev();
        above
            .fold(Self::none(), |rules, level| rules.enter(view, level))
            .enter(view, opened)
    }

    /// The rules that hold in a directory below: these, and its own.
    #[must_use]
    pub fn enter(&self, view: &View, opened: &Opened) -> Self {
        let has = |name: &[u8]| {
            let name = Name::new(name).expect("a name");
            opened.directory.lookup(&name).ok()
        };
        let rules = |name: &[u8]| match has(name) {
            Some(_) => read_rules(view, opened, &opened.path.to_bytes(), name),
            None => Gitignore::empty(),
        };
        let (ignore, git) = (rules(b".ignore"), rules(b".gitignore"));
        let exclude = match has(b".git").map(|found| found.kind) {
            Some(EntryKind::Dir) => {
                read_rules(view, opened, &opened.path.to_bytes(), b".git/info/exclude")
            }
            Some(EntryKind::File) => exclude_of_worktree(view, opened),
            _ => Gitignore::empty(),
        };
        if ignore.is_empty() && git.is_empty() && exclude.is_empty() {
            return self.clone();
        }
        let above = self.clone();
        Self(Some(Arc::new(Level {
            above,
            ignore,
            git,
            exclude,
        })))
    }

    /// What they say of an entry of the directory, by its path in the tree.
    pub fn verdict(&self, path: &Path, directory: bool) -> Verdict {
        if path.file_name() == Some(OsStr::new(".git")) {
            return Verdict::Ignored;
        }
        let kinds: [fn(&Level) -> &Gitignore; 3] = [
            |level| &level.ignore,
            |level| &level.git,
            |level| &level.exclude,
        ];
        for kind in kinds {
            let mut next = self.0.as_deref();
            while let Some(level) = next {
                match kind(level).matched(path, directory) {
                    Match::None => next = level.above.0.as_deref(),
                    Match::Ignore(_) => return Verdict::Ignored,
                    Match::Whitelist(_) => return Verdict::Kept,
                }
            }
        }
        Verdict::None
    }
}

/// A path in the tree, as the matchers take it.
pub fn as_path(path: &TreePath) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(&path.to_bytes()))
}

/// Globs by which entries below a directory are chosen: one without `!` in front says what is wanted, one with it what is not;
/// the last that fits decides. One without `/` fits names at any depth.
pub fn selection(root: &TreePath, globs: &[String]) -> Result<Override, BadGlob> {
    let mut builder = OverrideBuilder::new(as_path(root));
    for (index, glob) in globs.iter().enumerate() {
        builder.add(glob).map_err(|error| BadGlob {
            index,
            reason: error.to_string(),
        })?;
    }
    builder.build().map_err(|error| BadGlob {
        index: 0,
        reason: error.to_string(),
    })
}

/// A glob that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct BadGlob {
    /// Which one.
    pub index: usize,
    /// Why.
    pub reason: String,
}

fn is_repository(opened: &Opened) -> bool {
    let name = Name::new(b".git").expect("a name");
    opened.directory.lookup(&name).is_ok()
}

/// `.git` of a linked work tree is a file that says where the repository is; its `commondir` says where the rules are
/// (gitrepository-layout(5)).
fn exclude_of_worktree(view: &View, opened: &Opened) -> Gitignore {
    let read = |base: &[u8], name: &[u8]| -> Option<Vec<u8>> { read(view, base, name) };
    let here = opened.path.to_bytes();
    let Some(text) = read(&here, b".git") else {
        return Gitignore::empty();
    };
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(directory) = line.strip_prefix(b"gitdir: ") else {
        return Gitignore::empty();
    };
    let directory = joined(&here, directory);
    let common = read(&directory, b"commondir").map_or_else(
        || directory.clone(),
        |common| joined(&directory, common.trim_ascii()),
    );
    read_rules(view, opened, &common, b"info/exclude")
}

fn joined(base: &[u8], name: &[u8]) -> Vec<u8> {
    if name.first() == Some(&b'/') {
        return name.to_vec();
    }
    [base, b"/", name].concat()
}

/// The rules of a file; none when it cannot be read. A line that is no rule is passed over.
fn read_rules(view: &View, opened: &Opened, base: &[u8], name: &[u8]) -> Gitignore {
    let Some(text) = read(view, base, name) else {
        return Gitignore::empty();
    };
    let mut builder = GitignoreBuilder::new(as_path(&opened.path));
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Ok(line) = str::from_utf8(line)
            && let Err(error) = builder.add_line(None, line)
        {
            tracing::debug!(%error, directory = %opened.path, "passed over a rule of gitignore");
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

fn read(view: &View, base: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let path = ClientPath::parse(&joined(base, name)).ok()?;
    let place = view.resolve(&path, Last::Follow).ok()?;
    place
        .found
        .as_ref()
        .filter(|found| found.kind == EntryKind::File)?;
    let file = place.directory.open(place.name.as_ref()?);
    match file.and_then(|file| read_start(&*file)) {
        Ok(bytes) => Some(bytes),
        Err(fault) => {
            if fault.kind() != Kind::NotFound {
                tracing::debug!(%fault, "cannot read rules of gitignore");
            }
            None
        }
    }
}

fn read_start(file: &dyn OpenFile) -> super::fault::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = vec![0; CHUNK.min(16 * 1024)];
    while bytes.len() < MAX_RULES {
        let count = file.read_at(&mut buffer, bytes.len() as u64)?;
        bytes.extend_from_slice(&buffer[..count]);
        if count == 0 {
            break;
        }
    }
    Ok(bytes)
}
