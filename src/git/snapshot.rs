//! What a scan tells: where a repository stands, which files have changed, and the diff.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};

use super::{
    assemble::Assembly,
    place::Place,
    refs,
    render::{Pair, Rendered},
    standing::Standing,
};

/// What has happened to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// HEAD does not have it.
    Added,
    /// Its content or its mode changed.
    Modified,
    /// It is gone.
    Deleted,
    /// HEAD has it under another name.
    Renamed,
    /// A file became a link, or the other way round.
    TypeChanged,
    /// A merge could not be finished.
    Conflicted,
    /// Neither HEAD nor the index has it.
    Untracked,
}

/// A changed file.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileChange {
    /// Below the root, with `/`; any bytes.
    pub path: Vec<u8>,
    /// Where HEAD has it.
    pub old_path: Option<Vec<u8>>,
    /// What has happened to it.
    pub status: Status,
    /// Index and HEAD differ.
    pub staged: bool,
    /// Work tree and index differ.
    pub unstaged: bool,
    /// Lines added and removed; none when it is binary or was not compared.
    pub lines: Option<(u64, u64)>,
    /// It is no text.
    pub binary: bool,
}

/// What a scan found. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The work tree's root, without links.
    pub root: PathBuf,
    /// Branch, commit, upstream.
    pub standing: Standing,
    /// Sorted by path.
    pub files: Arc<[FileChange]>,
    /// The text, any bytes.
    pub diff: Arc<[u8]>,
    /// For each file in the text, how long its head and its part are.
    pub(super) parts: Arc<[(usize, usize)]>,
    /// Something was cut by a limit.
    pub truncated: bool,
    /// How long it took.
    pub took: Duration,
    /// Differs when anything in it differs, also what the diff does not show.
    pub fingerprint: [u8; 32],
}

impl Snapshot {
    /// Of a repository whose format is not read: what is known of it, and a line that says so.
    pub(super) fn unsupported(root: &Path, format: &str) -> Self {
        let branch = Place::find(root)
            .ok()
            .flatten()
            .and_then(|place| refs::branch(&place));
        let branch = branch.unwrap_or_default();
        let diff = format!("Repository not shown: {format}\n").into_bytes();
        let mut hash = Sha256::new();
        hash.update(&diff);
        hash.update(&branch);
        Self {
            root: root.to_owned(),
            standing: Standing {
                branch,
                ..Standing::default()
            },
            files: Arc::new([]),
            parts: Arc::new([(diff.len(), diff.len())]),
            diff: diff.into(),
            truncated: false,
            took: Duration::ZERO,
            fingerprint: hash.finalize().into(),
        }
    }

    /// The text for who has less room: large parts become stubs, the largest first; when that is not enough, one line stands
    /// for all. `cost` is what a part takes.
    pub fn shortened(&self, room: usize, cost: impl Fn(&[u8]) -> usize) -> Vec<u8> {
        let mut assembly = Assembly::new(room as u64, true);
        let mut at = 0;
        for (head, length) in self.parts.iter() {
            let text = &self.diff[at..at + length];
            assembly.push(&Rendered {
                head: text[..*head].to_vec(),
                text: text.into(),
                size: cost(text) as u64,
                stub: text.len() == *head,
                ..Rendered::default()
            });
            at += length;
        }
        assembly.finish().text
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Order {
    /// The commit to compare with; none: HEAD.
    pub base: Option<super::objects::Id>,
    /// The index instead of the work tree.
    pub staged: bool,
    /// Untracked files, too.
    pub untracked: bool,
    /// Lines of context.
    pub context: u32,
    /// These files and directories alone; empty: all.
    pub only: Vec<Vec<u8>>,
    /// Bytes of the diff.
    pub limit: u64,
    /// Nothing is replaced for its size: over the limit is an error.
    pub whole: bool,
    /// Files that are listed.
    pub most_files: usize,
    /// Largest file that is read.
    pub most_bytes: u64,
}

impl Default for Order {
    fn default() -> Self {
        Self {
            base: None,
            staged: false,
            untracked: true,
            context: 3,
            only: Vec::new(),
            limit: 3 << 20,
            whole: false,
            most_files: 5000,
            most_bytes: 16 << 20,
        }
    }
}

impl Order {
    /// Whether a path is asked for.
    pub(super) fn wants(&self, path: &[u8]) -> bool {
        let covers = |only: &Vec<u8>| {
            path.strip_prefix(&only[..])
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/' || only.is_empty())
        };
        self.only.is_empty() || self.only.iter().any(covers)
    }
}

/// A pair with what is said of its file.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) pair: Pair,
    pub(super) status: Status,
    pub(super) staged: bool,
    pub(super) unstaged: bool,
}
