//! From what a scan keeps to what it tells: pairs, renames, texts, one diff.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::{Hash, Hasher},
    sync::Arc,
    time::Instant,
};

use sha2::{Digest, Sha256};

use super::{
    assemble::Assembly,
    attributes::Attributes,
    checkout::Checkout,
    content::Contents,
    disk::Stat,
    error::GitError,
    guard::Guard,
    index::Index,
    objects::{Id, ObjectKind},
    rename,
    render::{New, Pair, Rendered, Renderer, What},
    scan::{self, Kept},
    snapshot::{Change, FileChange, Order, Snapshot, Status},
    standing::Standing,
    text::Counts,
    tree::{Differences, Side, Trees},
    walk::{self, LINK},
};

/// Bytes of texts that are kept for the next report.
const KEPT_TEXT: u64 = 4 << 20;
/// Texts that are kept for it.
const KEPT_PARTS: usize = 10_000;
/// Digits of ids that git shows at least.
const LEAST_DIGITS: usize = 7;

/// Reports what is kept, in the way that was asked for.
pub(super) fn report(
    kept: &mut Kept,
    order: &Order,
    begun: Instant,
    guard: &Guard,
) -> Result<Snapshot, GitError> {
    let before = std::mem::take(&mut kept.rendered);
    let attributes = RefCell::new(Attributes::new(
        &kept.checkout.place.common_dir.join("info/attributes"),
        kept.checkout.settings.attributes_file.as_deref(),
    ));
    let contents = Contents {
        root: &kept.checkout.directory,
        objects: &kept.checkout.objects,
        index: &kept.index,
        settings: &kept.checkout.settings,
        attributes: &attributes,
        most: order.most_bytes,
    };
    let mut changes = tracked_changes(kept, order, guard)?;
    find_renames(&mut changes, &contents, guard)?;
    changes.sort_by(|left, right| left.pair.path.cmp(&right.pair.path));
    let renderer = Renderer {
        contents: &contents,
        context: order.context,
        digits: digits(contents.objects.packed()),
        limit: order.limit,
    };
    let mut writer = Writer::new(order, guard, &renderer, before);
    for change in changes.into_iter().chain(untracked_changes(kept, order)) {
        writer.write(change)?;
    }
    let (files, assembly, rendered, hash) = writer.finish();
    if order.whole && assembly.is_over() {
        return Err(GitError::DiffTooLarge { limit: order.limit });
    }
    kept.rendered = rendered;
    let diff = assembly.finish();
    let most = order.most_files.min(files.len());
    let truncated = diff.cut || files.len() > order.most_files || kept.further > 0;
    Ok(Snapshot {
        root: kept.checkout.root.clone(),
        standing: kept.standing.clone(),
        fingerprint: fingerprint(hash, &kept.standing, kept.further, &files, &diff.text),
        files: files[..most].into(),
        diff: diff.text.into(),
        parts: diff.parts.into(),
        truncated,
        took: begun.elapsed(),
    })
}

/// Files, text, and whether something was cut.
type Between = (Arc<[FileChange]>, Arc<[u8]>, bool);

/// Files and diff between two trees, of which the differences are given.
pub(super) fn between(
    checkout: &Checkout,
    differences: &Differences,
    order: &Order,
    guard: &Guard,
) -> Result<Between, GitError> {
    let attributes = RefCell::new(Attributes::new(
        &checkout.place.common_dir.join("info/attributes"),
        checkout.settings.attributes_file.as_deref(),
    ));
    let contents = Contents {
        root: &checkout.directory,
        objects: &checkout.objects,
        index: &Index::default(),
        settings: &checkout.settings,
        attributes: &attributes,
        most: order.most_bytes,
    };
    let wanted = differences.iter().filter(|(path, _)| order.wants(path));
    let mut changes: Vec<Change> = wanted
        .map(|(path, (old, new))| {
            let status = match (old, new) {
                (None, _) => Status::Added,
                (_, None) => Status::Deleted,
                (Some(old), Some(new)) if old.mode & 0o170_000 != new.mode & 0o170_000 => {
                    Status::TypeChanged
                }
                _ => Status::Modified,
            };
            let new = new.map(|side| New {
                mode: side.mode,
                what: stored(side),
            });
            let pair = Pair {
                path: path.clone(),
                renamed: None,
                old: *old,
                new,
            };
            Change {
                pair,
                status,
                staged: false,
                unstaged: false,
            }
        })
        .collect();
    find_renames(&mut changes, &contents, guard)?;
    let renderer = Renderer {
        contents: &contents,
        context: order.context,
        digits: digits(contents.objects.packed()),
        limit: order.limit,
    };
    let mut writer = Writer::new(order, guard, &renderer, HashMap::new());
    for change in changes {
        writer.write(change)?;
    }
    let (files, assembly, _, _) = writer.finish();
    if order.whole && assembly.is_over() {
        return Err(GitError::DiffTooLarge { limit: order.limit });
    }
    let diff = assembly.finish();
    let most = order.most_files.min(files.len());
    let truncated = diff.cut || files.len() > order.most_files;
    Ok((files[..most].into(), diff.text.into(), truncated))
}

/// Changes of tracked paths, sorted.
fn tracked_changes(kept: &Kept, order: &Order, guard: &Guard) -> Result<Vec<Change>, GitError> {
    let other_base = match order.base {
        None => None,
        Some(tree) if Some(tree) == kept.tree => None,
        Some(tree) => {
            let trees = Trees {
                objects: &kept.checkout.objects,
                guard,
                root: &kept.checkout.root,
            };
            Some(trees.compare_index(Some(tree), &kept.index)?)
        }
    };
    let base: &Differences = other_base.as_ref().unwrap_or(&kept.staged);
    let nothing = BTreeMap::new();
    let changed = if order.staged {
        &nothing
    } else {
        &kept.changed
    };
    let paths: BTreeSet<&Vec<u8>> = base.keys().chain(changed.keys()).collect();
    let mut changes = Vec::new();
    for path in paths.into_iter().filter(|path| order.wants(path)) {
        guard.check()?;
        changes.push(change(
            kept,
            path,
            base.get(path),
            changed.get(path),
            order.staged,
        ));
    }
    Ok(changes)
}

fn change(
    kept: &Kept,
    path: &[u8],
    base: Option<&(Option<Side>, Option<Side>)>,
    work: Option<&Option<New>>,
    staged: bool,
) -> Change {
    let entry = kept
        .index
        .find(path)
        .next()
        .map(|at| &kept.index.entries[at]);
    let conflicted = entry.is_some_and(|entry| entry.stage != 0);
    let in_index = entry.filter(|entry| entry.stage == 0 && !entry.intent);
    let in_index = in_index.map(|entry| Side {
        mode: entry.mode,
        id: entry.id,
    });
    let old = base.map_or(in_index, |(old, _)| *old);
    let new = match work {
        Some(work) => *work,
        None => in_index.map(|side| New {
            mode: side.mode,
            what: stored(side),
        }),
    };
    let is_staged = kept.staged.contains_key(path) && !entry.is_some_and(|entry| entry.intent);
    let status = match (old, new) {
        _ if conflicted => Status::Conflicted,
        (None, _) => Status::Added,
        (_, None) => Status::Deleted,
        (Some(old), Some(new)) if old.mode & 0o170_000 != new.mode & 0o170_000 => {
            Status::TypeChanged
        }
        _ => Status::Modified,
    };
    let pair = Pair {
        path: path.to_vec(),
        renamed: None,
        old,
        new,
    };
    Change {
        pair,
        status,
        staged: is_staged || conflicted,
        unstaged: !staged && (conflicted || kept.changed.contains_key(path)),
    }
}

fn stored(side: Side) -> What {
    if side.mode == walk::SUBMODULE {
        What::Commit(side.id, false)
    } else {
        What::Stored(side.id)
    }
}

/// One after the other: there may be very many.
fn untracked_changes(kept: &Kept, order: &Order) -> impl Iterator<Item = Change> {
    let is_asked = order.untracked && !order.staged;
    let wanted = kept.untracked.iter();
    let wanted = wanted.filter(move |(path, _)| is_asked && order.wants(path));
    let change = |(path, stat): (&Vec<u8>, &Stat)| {
        let mode = walk::mode_of(stat, None, &kept.checkout.settings)?;
        let new = Some(New {
            mode,
            what: What::OnDisk(Some(*stat), None),
        });
        let pair = Pair {
            path: path.clone(),
            renamed: None,
            old: None,
            new,
        };
        Some(Change {
            pair,
            status: Status::Untracked,
            staged: false,
            unstaged: true,
        })
    };
    wanted.filter_map(change)
}

/// Makes one change of two where an added file is a removed one.
fn find_renames(
    changes: &mut Vec<Change>,
    contents: &Contents<'_>,
    guard: &Guard,
) -> Result<(), GitError> {
    let is_empty = |id: Option<Id>| id == Some(Id::of_content(b""));
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    for (at, change) in changes.iter().enumerate() {
        match (change.pair.old, change.pair.new) {
            (Some(_), None) => removed.push(at),
            (None, Some(_)) => added.push(at),
            _ => {}
        }
    }
    if removed.is_empty() || added.is_empty() {
        return Ok(());
    }
    let size = |id: Id| match contents.objects.header(id) {
        Ok((ObjectKind::Blob, size)) => Some(size),
        _ => None,
    };
    let file = |at: usize| {
        let pair = &changes[at].pair;
        let (mode, id) = match (pair.old, pair.new) {
            (Some(old), None) => (old.mode, Some(old.id)),
            (_, new) => new.map_or((0, None), |new| (new.mode, new.id())),
        };
        let id = id.filter(|id| !is_empty(Some(*id)) || pair.new.is_none());
        let size = pair.old.and_then(|old| size(old.id));
        rename::File {
            path: pair.path.clone(),
            mode,
            id,
            size,
        }
    };
    let (old, new): (Vec<_>, Vec<_>) = (
        removed.iter().map(|at| file(*at)).collect(),
        added.iter().map(|at| file(*at)).collect(),
    );
    let mut load = |is_new: bool, at: usize| {
        let at = if is_new { added[at] } else { removed[at] };
        Ok(load(&changes[at].pair, contents))
    };
    let found = rename::find(&old, &new, guard, &mut load)?;
    let mut gone = BTreeSet::new();
    for (target, (source, score)) in found {
        let (from, to) = (removed[source], added[target]);
        let old = changes[from].pair.clone();
        let change = &mut changes[to];
        change.pair.old = old.old;
        change.pair.renamed = Some((old.path, score));
        change.status = Status::Renamed;
        gone.insert(from);
    }
    let mut at = 0;
    changes.retain(|_| {
        at += 1;
        !gone.contains(&(at - 1))
    });
    Ok(())
}

/// The one content of a pair that has only one.
fn load(pair: &Pair, contents: &Contents<'_>) -> Option<Vec<u8>> {
    use super::content::Loaded;
    let stored = |id| contents.stored(id).ok().map(|bytes| bytes.to_vec());
    match (pair.old, pair.new.map(|new| new.what)) {
        (Some(old), _) if old.mode != LINK => stored(old.id),
        (_, Some(What::Stored(id))) => stored(id),
        (_, Some(What::OnDisk(..))) => match contents.on_disk(&pair.path) {
            Loaded::Bytes(_, bytes) => Some(bytes),
            Loaded::AsStored(_, id) => stored(id),
            Loaded::Gone | Loaded::Opaque(..) => None,
        },
        _ => None,
    }
}

/// How many digits git shows of an id, by the number of objects (`core.abbrev=auto`).
fn digits(packed: u64) -> usize {
    let bits = (u64::BITS - packed.leading_zeros()) as usize;
    bits.div_ceil(2).max(LEAST_DIGITS)
}

/// Writes changes one after the other.
struct Writer<'a> {
    order: &'a Order,
    guard: &'a Guard,
    renderer: &'a Renderer<'a>,
    before: HashMap<Pair, Rendered>,
    kept: HashMap<Pair, Rendered>,
    kept_text: u64,
    assembly: Assembly,
    files: Vec<FileChange>,
    hash: Sha256,
}

impl<'a> Writer<'a> {
    fn new(
        order: &'a Order,
        guard: &'a Guard,
        renderer: &'a Renderer<'a>,
        before: HashMap<Pair, Rendered>,
    ) -> Self {
        Self {
            order,
            guard,
            renderer,
            before,
            kept: HashMap::new(),
            kept_text: 0,
            assembly: Assembly::new(order.limit, !order.whole),
            files: Vec::new(),
            hash: Sha256::new(),
        }
    }

    fn write(&mut self, change: Change) -> Result<(), GitError> {
        self.guard.check()?;
        let pair = &change.pair;
        let same = match (pair.old, pair.new) {
            (None, None) => true,
            (Some(old), Some(new)) => {
                pair.renamed.is_none() && old.mode == new.mode && new.id() == Some(old.id)
            }
            _ => false,
        };
        let unread = self.assembly.is_over() && self.files.len() >= self.order.most_files;
        let mut rendered = if same {
            Rendered {
                counts: Some(Counts::default()),
                ..Rendered::default()
            }
        } else if unread {
            Rendered {
                size: on_disk_size(pair),
                ..Rendered::default()
            }
        } else {
            self.render(pair)
        };
        let vanished = change.status == Status::Untracked
            && rendered.id.is_none()
            && !rendered.stub
            && !unread;
        if vanished {
            return Ok(());
        }
        if !same {
            if rendered.size > 0 {
                self.assembly.push(&rendered);
            }
            self.note(pair, &rendered);
        }
        rendered.text = Vec::new().into();
        self.files.push(FileChange {
            path: change.pair.path,
            old_path: change.pair.renamed.map(|(path, _)| path),
            status: change.status,
            staged: change.staged,
            unstaged: change.unstaged,
            lines: rendered
                .counts
                .map(|counts| (counts.additions, counts.deletions)),
            binary: rendered.binary,
        });
        Ok(())
    }

    fn render(&mut self, pair: &Pair) -> Rendered {
        if let Some(rendered) = self.before.remove(pair) {
            self.keep(pair, &rendered);
            return rendered;
        }
        let rendered = self.renderer.render(pair);
        let settled = match pair.new.map(|new| new.what) {
            Some(What::OnDisk(Some(stat), _) | What::Opaque(Some(stat), _)) => {
                scan::is_settled(&stat)
            }
            Some(What::OnDisk(None, _) | What::Opaque(None, _)) => false,
            _ => true,
        };
        if settled {
            self.keep(pair, &rendered);
        }
        rendered
    }

    fn keep(&mut self, pair: &Pair, rendered: &Rendered) {
        let size = rendered.text.len() as u64;
        let has_room = self.kept_text + size <= KEPT_TEXT && self.kept.len() < KEPT_PARTS;
        if has_room && *self.order == Order::default() {
            self.kept_text += size;
            self.kept.insert(pair.clone(), rendered.clone());
        }
    }

    /// What a text could hide counts as a difference, too.
    fn note(&mut self, pair: &Pair, rendered: &Rendered) {
        let mut hasher = Bytes(&mut self.hash);
        (&pair.path, &pair.renamed, pair.old, rendered.size).hash(&mut hasher);
        match (rendered.id, pair.new) {
            (Some(id), Some(new)) => (id, new.mode).hash(&mut hasher),
            (_, new) => new.hash(&mut hasher),
        }
    }

    fn finish(mut self) -> (Vec<FileChange>, Assembly, HashMap<Pair, Rendered>, Sha256) {
        self.files.sort_by(|left, right| left.path.cmp(&right.path));
        (self.files, self.assembly, self.kept, self.hash)
    }
}

/// Feeds what is hashed into a digest.
struct Bytes<'a>(&'a mut Sha256);

impl Hasher for Bytes<'_> {
    fn finish(&self) -> u64 {
        0
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

fn on_disk_size(pair: &Pair) -> u64 {
    match pair.new.map(|new| new.what) {
        Some(What::OnDisk(Some(stat), _)) => stat.size,
        _ => 0,
    }
}

/// What differs when anything differs that is told; `hash` has what a text could hide.
pub(super) fn fingerprint(
    mut hash: Sha256,
    standing: &Standing,
    further: u64,
    files: &[FileChange],
    diff: &[u8],
) -> [u8; 32] {
    let mut hasher = Bytes(&mut hash);
    (standing, files, further).hash(&mut hasher);
    hash.update(diff);
    hash.finalize().into()
}
