//! What git leaves out: the rules of gitignore(5) for one walk through a work tree.

use std::{os::fd::OwnedFd, path::Path, rc::Rc};

use super::{disk, pattern::Pattern};

/// Largest file of rules; what lies beyond is not read.
const MAX_RULES: u64 = 4 * 1024 * 1024;

type Patterns = Rc<Vec<Pattern>>;

/// The rules that hold in the directory that the walk is in.
#[derive(Clone, Debug)]
pub(super) struct Ignore {
    /// From the top down: a directory without a slash at its end, and its own rules.
    levels: Vec<(Vec<u8>, Patterns)>,
    /// The repository's own file, then the user's: the first that says something decides.
    shared: [Patterns; 2],
}

impl Ignore {
    /// The rules that hold everywhere.
    pub(super) fn new(exclude: &Path, user: Option<&Path>) -> Self {
        let read = |path: &Path| {
            disk::read_path(path, MAX_RULES)
                .ok()
                .flatten()
                .unwrap_or_default()
        };
        let shared = [read(exclude), user.map(read).unwrap_or_default()];
        Self {
            levels: Vec::new(),
            shared: shared.map(|bytes| Rc::new(parse(&bytes))),
        }
    }

    /// Takes up the rules of a directory that has some, by its path. Gives back what [`Ignore::leave`] takes.
    pub(super) fn enter(&mut self, directory: &OwnedFd, path: &[u8]) -> usize {
        let depth = self.levels.len();
        let bytes = disk::read_start(directory, c".gitignore", MAX_RULES);
        let patterns = parse(&bytes.ok().flatten().unwrap_or_default());
        if !patterns.is_empty() {
            self.levels.push((path.to_vec(), Rc::new(patterns)));
        }
        depth
    }

    /// What [`Ignore::leave`] takes to come back to here.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Forgets the rules of directories that were left.
    pub(super) fn leave(&mut self, depth: usize) {
        self.levels.truncate(depth);
    }

    /// Whether an entry of the directory is left out. Those above it are not: the walk never got here otherwise.
    pub(super) fn covers(&self, path: &[u8], is_directory: bool) -> bool {
        let levels = self
            .levels
            .iter()
            .rev()
            .map(|(base, patterns)| (&base[..], patterns));
        let shared = self.shared.iter().map(|patterns| (&b""[..], patterns));
        for (base, patterns) in levels.chain(shared) {
            let below = if base.is_empty() {
                path
            } else {
                path.get(base.len() + 1..).unwrap_or_default()
            };
            let last = patterns
                .iter()
                .rev()
                .find(|pattern| pattern.matches(below, is_directory));
            if let Some(pattern) = last {
                return !pattern.negated;
            }
        }
        false
    }
}

fn parse(bytes: &[u8]) -> Vec<Pattern> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines
        .filter(|line| !line.is_empty())
        .filter_map(Pattern::of_line)
        .collect()
}
