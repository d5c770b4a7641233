//! Which added file is a removed one under another name, found as git finds it, so that the same pairs with the same likeness
//! come out (`diffcore-rename` and `diffcore-delta` in git's documentation, gitdiffcore(7)).

use std::collections::{BTreeMap, HashMap};

use super::{clean, error::GitError, guard::Guard, objects::Id};

/// A likeness of 100 %.
pub(super) const WHOLE: u64 = 60_000;
/// The least likeness of a pair: 50 %.
const LEAST: u64 = 30_000;
/// The least likeness of a pair whose names are the same and occur once.
const LEAST_OF_NAMES: u64 = 45_000;
/// Removed times added files that are compared; with more, only equal ones are found.
const MOST_PAIRS: usize = 1000 * 1000;
/// Best sources that are kept for each added file.
const CANDIDATES: usize = 4;
/// Equal sources that are looked at for an added file.
const MOST_EQUAL: usize = 100;
/// Bytes of a piece, when no line ends before.
const PIECE: usize = 64;
/// Hashes of pieces are below it.
const BASE: u32 = 107_927;

/// A file that was removed or added.
#[derive(Clone, Debug)]
pub(super) struct File {
    pub(super) path: Vec<u8>,
    pub(super) mode: u32,
    /// None: its content is not known.
    pub(super) id: Option<Id>,
    pub(super) size: Option<u64>,
}

/// Gives the content of a removed (`false`) or added (`true`) file by its number.
pub(super) type Load<'a> = dyn FnMut(bool, usize) -> Result<Option<Vec<u8>>, GitError> + 'a;

/// For each added file that is a removed one: which, and how alike they are.
pub(super) fn find(
    removed: &[File],
    added: &[File],
    guard: &Guard,
    load: &mut Load<'_>,
) -> Result<BTreeMap<usize, (usize, u64)>, GitError> {
    let mut search = Search {
        removed,
        added,
        guard,
        load,
        used: vec![false; removed.len()],
        found: BTreeMap::new(),
        pieces: HashMap::new(),
    };
    if !removed.is_empty() && !added.is_empty() {
        search.equal();
        search.by_name()?;
        search.alike()?;
    }
    Ok(search.found)
}

/// Hashes of the pieces of a content, with the bytes in them.
type Pieces = std::rc::Rc<Vec<(u32, u64)>>;

struct Search<'a, 'l> {
    removed: &'a [File],
    added: &'a [File],
    guard: &'a Guard,
    load: &'a mut Load<'l>,
    used: Vec<bool>,
    found: BTreeMap<usize, (usize, u64)>,
    pieces: HashMap<(bool, usize), Option<(Pieces, u64)>>,
}

fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn is_regular(mode: u32) -> bool {
    mode & 0o170_000 == 0o100_000
}

impl Search<'_, '_> {
    fn record(&mut self, added: usize, removed: usize, score: u64) {
        self.used[removed] = true;
        self.found.insert(added, (removed, score));
    }

    /// Pairs of the same content.
    fn equal(&mut self) {
        let mut by_id: HashMap<Id, Vec<usize>> = HashMap::new();
        for (at, file) in self.removed.iter().enumerate() {
            if let Some(id) = file.id {
                by_id.entry(id).or_default().push(at);
            }
        }
        for (at, file) in self.added.iter().enumerate() {
            let Some(sources) = file.id.and_then(|id| by_id.get(&id)) else {
                continue;
            };
            let mut best = None;
            for source in sources.iter().take(MOST_EQUAL + 1) {
                let other = &self.removed[*source];
                let both = is_regular(other.mode) && is_regular(file.mode);
                if self.used[*source] || (!both && other.mode != file.mode) {
                    continue;
                }
                let score = 1 + u32::from(name(&other.path) == name(&file.path));
                if best.is_none_or(|(before, _)| score > before) {
                    best = Some((score, *source));
                }
            }
            if let Some((_, source)) = best {
                self.record(at, source, WHOLE);
            }
        }
    }

    /// Pairs whose names occur once on each side.
    fn by_name(&mut self) -> Result<(), GitError> {
        let mut sources: HashMap<&[u8], Option<usize>> = HashMap::new();
        for (at, file) in self
            .removed
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.used[*at])
        {
            sources
                .entry(name(&file.path))
                .and_modify(|found| *found = None)
                .or_insert(Some(at));
        }
        let mut targets: HashMap<&[u8], Option<usize>> = HashMap::new();
        for (at, file) in self
            .added
            .iter()
            .enumerate()
            .filter(|(at, _)| !self.found.contains_key(at))
        {
            targets
                .entry(name(&file.path))
                .and_modify(|found| *found = None)
                .or_insert(Some(at));
        }
        for source in 0..self.removed.len() {
            let base = name(&self.removed[source].path);
            let pair = (
                sources.get(base).copied().flatten(),
                targets.get(base).copied().flatten(),
            );
            if let (Some(at), Some(target)) = pair
                && at == source
                && !self.found.contains_key(&target)
            {
                let score = self.likeness(source, target)?;
                if score >= LEAST_OF_NAMES {
                    self.record(target, source, score);
                }
            }
        }
        Ok(())
    }

    /// The best pairs of all that are left.
    fn alike(&mut self) -> Result<(), GitError> {
        let sources: Vec<usize> = (0..self.removed.len())
            .filter(|at| !self.used[*at])
            .collect();
        let targets: Vec<usize> = (0..self.added.len())
            .filter(|at| !self.found.contains_key(at))
            .collect();
        if sources.is_empty() || sources.len() * targets.len() > MOST_PAIRS {
            return Ok(());
        }
        let mut all: Vec<(u64, bool, usize, usize)> = Vec::new();
        for target in targets {
            let mut best: Vec<(u64, bool, usize, usize)> = Vec::new();
            for source in &sources {
                let score = self.likeness(*source, target)?;
                let same = name(&self.removed[*source].path) == name(&self.added[target].path);
                keep_best(&mut best, (score, same, target, *source));
            }
            all.extend(best);
        }
        all.sort_by_key(|pair| std::cmp::Reverse((pair.0, pair.1)));
        for (score, _, target, source) in all {
            if score < LEAST {
                break;
            }
            if !self.used[source] && !self.found.contains_key(&target) {
                self.record(target, source, score);
            }
        }
        Ok(())
    }

    /// How much of a removed file is in an added one. 0: not enough.
    fn likeness(&mut self, source: usize, target: usize) -> Result<u64, GitError> {
        self.guard.check()?;
        let (old, new) = (&self.removed[source], &self.added[target]);
        if !is_regular(old.mode) || !is_regular(new.mode) {
            return Ok(0);
        }
        if let (Some(old), Some(new)) = (old.size, new.size)
            && is_too_different(old, new)
        {
            return Ok(0);
        }
        let (Some((old, old_size)), Some((new, new_size))) =
            (self.pieces(false, source)?, self.pieces(true, target)?)
        else {
            return Ok(0);
        };
        let largest = old_size.max(new_size);
        if new_size == 0 || largest == 0 || is_too_different(old_size, new_size) {
            return Ok(0);
        }
        Ok(common(&old, &new) * WHOLE / largest)
    }

    fn pieces(&mut self, added: bool, at: usize) -> Result<Option<(Pieces, u64)>, GitError> {
        if let Some(known) = self.pieces.get(&(added, at)) {
            return Ok(known.clone());
        }
        let bytes = (self.load)(added, at)?;
        let pieces = bytes.map(|bytes| (Pieces::new(cut(&bytes)), bytes.len() as u64));
        self.pieces.insert((added, at), pieces.clone());
        Ok(pieces)
    }
}

fn is_too_different(old: u64, new: u64) -> bool {
    old.max(new) * (WHOLE - LEAST) < old.abs_diff(new) * WHOLE
}

/// Puts a candidate in the place of the worst one when it is better.
fn keep_best(best: &mut Vec<(u64, bool, usize, usize)>, candidate: (u64, bool, usize, usize)) {
    if best.len() < CANDIDATES {
        best.push(candidate);
        return;
    }
    let mut worst = 0;
    for (at, other) in best.iter().enumerate() {
        if (other.0, other.1) < (best[worst].0, best[worst].1) {
            worst = at;
        }
    }
    if (best[worst].0, best[worst].1) < (candidate.0, candidate.1) {
        best[worst] = candidate;
    }
}

/// Bytes of pieces that both have.
fn common(old: &[(u32, u64)], new: &[(u32, u64)]) -> u64 {
    let mut right = new.iter().peekable();
    let mut copied = 0;
    for (hash, count) in old {
        while right.next_if(|(other, _)| other < hash).is_some() {}
        if let Some((_, other)) = right.next_if(|(other, _)| other == hash) {
            copied += count.min(other);
        }
    }
    copied
}

/// Cuts a content at ends of lines, or after 64 bytes.
fn cut(bytes: &[u8]) -> Vec<(u32, u64)> {
    let is_text = !clean::is_binary(bytes);
    let mut counts: HashMap<u32, u64> = HashMap::new();
    let (mut first, mut second, mut length) = (0_u32, 0_u32, 0_usize);
    for (at, byte) in bytes.iter().enumerate() {
        if is_text && *byte == b'\r' && bytes.get(at + 1) == Some(&b'\n') {
            continue;
        }
        let before = first;
        first = (first << 7) ^ (second >> 25);
        second = (second << 7) ^ (before >> 25);
        first = first.wrapping_add(u32::from(*byte));
        length += 1;
        if length < PIECE && *byte != b'\n' {
            continue;
        }
        *counts.entry(piece_hash(first, second)).or_default() += length as u64;
        (first, second, length) = (0, 0, 0);
    }
    if length > 0 {
        *counts.entry(piece_hash(first, second)).or_default() += length as u64;
    }
    let mut pieces: Vec<_> = counts.into_iter().collect();
    pieces.sort_unstable();
    pieces
}

fn piece_hash(first: u32, second: u32) -> u32 {
    first.wrapping_add(second.wrapping_mul(0x61)) % BASE
}
