//! The state of one work tree that is kept between scans, so that only what may have changed is looked at again.
//!
//! ```text
//!   HEAD's tree ──staged──▶ index ──changed──▶ work tree ──untracked──▶
//! ```
//!
//! What is kept of each arrow is the paths that differ, and what was read to know it. A full scan walks the work tree; a partial
//! one looks at the paths it is given, and at those that a new index has made different. Nothing is written: what git would
//! note in the index (that a file with a new time has its old content) is noted here.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    attributes::Attributes,
    checkout::{Checkout, Site},
    commits::Commits,
    content::{Contents, Loaded, Opaque, Why},
    disk::Stat,
    error::GitError,
    eyes::{Course, Eyes, Inner},
    guard::Guard,
    ignore::Ignore,
    index::{self, Index, IndexError},
    objects::Id,
    program::{self, Program},
    refs::{self, Head},
    render::{New, Pair, Rendered, What},
    report,
    repository::{OpenError, Owners},
    snapshot::{Order, Snapshot},
    standing::{self, Counted, Standing},
    submodule,
    tree::{Differences, Trees},
    walk::{Finds, Seen, Walk},
};

/// A file that was changed so shortly before it was read may be changed again without looking different.
const FRESH: Duration = Duration::from_millis(100);
/// With more paths to look at, all are.
const MOST_PATHS: usize = 2000;
/// Scans that are thrown away because HEAD or the index moved meanwhile.
const RETRIES: usize = 2;

/// Submodules in submodules; deeper ones count as without changes.
const MOST_NESTED: usize = 8;

/// How much is looked at.
#[derive(Clone, Debug)]
pub enum Extent {
    /// Everything.
    Full,
    /// These paths below the root, and what is below them.
    Paths(BTreeSet<Vec<u8>>),
}

/// The state of one work tree.
#[derive(Debug)]
pub struct Scan {
    root: PathBuf,
    owners: Owners,
    program: Option<Program>,
    kept: Option<Kept>,
}

/// What is kept while the repository stays where it is.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) checkout: Checkout,
    pub(super) index: Index,
    head: Head,
    pub(super) tree: Option<Id>,
    /// Where the index differs from HEAD.
    pub(super) staged: Differences,
    /// Where the work tree differs from the index: what is there instead.
    pub(super) changed: BTreeMap<Vec<u8>, Option<New>>,
    pub(super) untracked: BTreeMap<Vec<u8>, Stat>,
    pub(super) further: u64,
    /// Contents that were read, of files that do not look as they were added.
    known: HashMap<Vec<u8>, (Stat, What)>,
    /// What was rendered for the last report.
    pub(super) rendered: HashMap<Pair, Rendered>,
    counted: Counted,
    pub(super) standing: Standing,
    /// A walk has ended since the settings were read.
    walked: bool,
}

impl Scan {
    /// Of the work tree with this root. Nothing is read yet.
    pub fn new(root: &Path, owners: &Owners) -> Self {
        Self {
            root: root.to_owned(),
            owners: owners.clone(),
            program: None,
            kept: None,
        }
    }

    /// With a program for what is not read here.
    #[must_use]
    pub fn with_program(mut self, program: Option<&Program>) -> Self {
        self.program = program.cloned();
        self
    }

    /// Looks, and reports. When HEAD or the index change meanwhile it looks again, at most twice more.
    pub fn run(
        &mut self,
        extent: &Extent,
        order: &Order,
        guard: &Guard,
    ) -> Result<Snapshot, GitError> {
        self.run_watched(extent, order, guard, &())
    }

    /// The same, and says of each directory that it is going to be read.
    pub fn run_watched(
        &mut self,
        extent: &Extent,
        order: &Order,
        guard: &Guard,
        eyes: &dyn Eyes,
    ) -> Result<Snapshot, GitError> {
        let begun = Instant::now();
        let course = Course {
            guard,
            eyes,
            depth: 0,
        };
        match self.run_here(extent.clone(), order, begun, course) {
            Err(error @ GitError::Open(OpenError::Unsupported { .. })) => {
                self.run_outside(error, order, course)
            }
            scanned => scanned,
        }
    }

    fn run_here(
        &mut self,
        mut extent: Extent,
        order: &Order,
        begun: Instant,
        course: Course<'_>,
    ) -> Result<Snapshot, GitError> {
        let guard = course.guard;
        for _ in 0..RETRIES {
            self.look(&extent, order.most_bytes, course)?;
            let snapshot = self.report(order, begun, guard)?;
            if self.kept.as_ref().is_some_and(Kept::is_still) {
                return Ok(snapshot);
            }
            extent = Extent::Paths(BTreeSet::new());
        }
        self.look(&extent, order.most_bytes, course)?;
        self.report(order, begun, guard)
    }

    /// Has the git program look at a work tree that is not read here, when there is one.
    fn run_outside(
        &self,
        refused: GitError,
        order: &Order,
        course: Course<'_>,
    ) -> Result<Snapshot, GitError> {
        let site = Site::find(&self.root, &self.owners)?;
        let (Some(program), Some(format)) = (&self.program, &site.format) else {
            return Err(refused);
        };
        let place = &site.place;
        course.eyes.git(None, &place.git_dir, &place.common_dir);
        course.eyes.program();
        let scanned = program::scan(program, &site, format, order, course.guard)?;
        scanned.ok_or(refused)
    }

    /// Forgets everything: the next scan begins anew.
    pub fn forget(&mut self) {
        self.kept = None;
    }

    fn report(
        &mut self,
        order: &Order,
        begun: Instant,
        guard: &Guard,
    ) -> Result<Snapshot, GitError> {
        let kept = self.kept.as_mut().expect("looked at before");
        report::report(kept, order, begun, guard)
    }

    fn look(&mut self, extent: &Extent, most: u64, course: Course<'_>) -> Result<(), GitError> {
        if self
            .kept
            .as_ref()
            .is_some_and(|kept| !kept.checkout.is_current())
        {
            self.kept = None;
        }
        let kept = match &mut self.kept {
            Some(kept) => kept,
            none => none.insert(Kept::new(Checkout::open(&self.root, &self.owners)?)),
        };
        let place = &kept.checkout.place;
        course.eyes.git(None, &place.git_dir, &place.common_dir);
        let looked = kept.look(extent, most, &self.owners, course);
        if looked.is_err() {
            // What was begun is not whole.
            kept.walked = false;
        }
        looked
    }
}

impl Kept {
    fn new(checkout: Checkout) -> Self {
        Self {
            checkout,
            index: Index::default(),
            head: Head::default(),
            tree: None,
            staged: Differences::new(),
            changed: BTreeMap::new(),
            untracked: BTreeMap::new(),
            further: 0,
            known: HashMap::new(),
            rendered: HashMap::new(),
            counted: None,
            standing: Standing::default(),
            walked: false,
        }
    }

    fn unreadable(
        &self,
        part: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> GitError {
        GitError::unreadable(&self.checkout.root, part, source)
    }

    /// Whether HEAD and the index are those that were read.
    fn is_still(&self) -> bool {
        let index = index::look(&self.checkout.place.git_dir.join("index"));
        index.is_ok_and(|index| index == self.index.written)
            && refs::head(&self.checkout.place).is_ok_and(|head| head == self.head)
    }

    fn look(
        &mut self,
        extent: &Extent,
        most: u64,
        owners: &Owners,
        course: Course<'_>,
    ) -> Result<(), GitError> {
        let guard = course.guard;
        let mut paths = match extent {
            Extent::Paths(paths) if self.walked && paths.len() <= MOST_PATHS => Some(paths.clone()),
            _ => None,
        };
        if paths
            .as_ref()
            .is_some_and(|paths| paths.iter().any(|path| is_rules(path)))
        {
            paths = None;
        }
        self.look_at_head(&mut paths, guard)?;
        self.standing = standing::standing(&self.checkout, &self.head, &mut self.counted, guard);
        let paths = paths.filter(|paths| paths.len() <= MOST_PATHS);
        let finds = match &paths {
            Some(paths) => self.look_at(paths, course)?,
            None => self.walk(course)?,
        };
        self.settle(finds, paths.is_none(), most, owners, course)?;
        self.walked = true;
        Ok(())
    }

    /// Reads HEAD and the index when they have moved, and what differs between them.
    fn look_at_head(
        &mut self,
        paths: &mut Option<BTreeSet<Vec<u8>>>,
        guard: &Guard,
    ) -> Result<(), GitError> {
        let head =
            refs::head(&self.checkout.place).map_err(|error| self.unreadable("HEAD", error))?;
        let tree = if head.commit == self.head.commit && self.walked {
            self.tree
        } else {
            let commits = Commits::new(
                &self.checkout.objects,
                &self.checkout.place,
                &self.checkout.root,
                guard,
            );
            head.commit
                .map(|id| commits.read(id))
                .transpose()?
                .map(|commit| commit.tree)
        };
        let file = self.checkout.place.git_dir.join("index");
        let written = index::look(&file).map_err(|error| self.unreadable("index", error))?;
        let is_new = !self.walked || written != self.index.written;
        let trees = Trees {
            objects: &self.checkout.objects,
            guard,
            root: &self.checkout.root,
        };
        let new = if is_new {
            let mut index = Index::read(&file).map_err(|error| refused(&self.checkout, error))?;
            index.expand(|tree| trees.files(tree))?;
            Some(index)
        } else {
            None
        };
        if is_new || tree != self.tree {
            self.staged = trees.compare_index(tree, new.as_ref().unwrap_or(&self.index))?;
        }
        if let Some(new) = new {
            if let Some(paths) = paths {
                note_differences(&self.index, &new, paths);
            }
            self.index = new;
        }
        (self.head, self.tree) = (head, tree);
        Ok(())
    }

    fn walker<'a>(&'a self, course: Course<'a>) -> Walk<'a> {
        let exclude = self.checkout.place.common_dir.join("info/exclude");
        Walk {
            index: &self.index,
            settings: &self.checkout.settings,
            guard: course.guard,
            eyes: course.eyes,
            ignore: Ignore::new(&exclude, self.checkout.settings.excludes_file.as_deref()),
            finds: Finds::default(),
        }
    }

    fn walk(&mut self, course: Course<'_>) -> Result<Finds, GitError> {
        let mut walk = self.walker(course);
        let all = 0..self.index.entries.len();
        walk.directory(&self.checkout.directory, &mut Vec::new(), all, false, 0)?;
        let finds = walk.finds;
        self.changed.clear();
        self.untracked.clear();
        self.further = 0;
        Ok(finds)
    }

    fn look_at(
        &mut self,
        paths: &BTreeSet<Vec<u8>>,
        course: Course<'_>,
    ) -> Result<Finds, GitError> {
        let mut walk = self.walker(course);
        let mut forget = Vec::new();
        let mut last: Option<&Vec<u8>> = None;
        for path in paths {
            let is_below = |above: &Vec<u8>| {
                path.strip_prefix(&above[..])
                    .is_some_and(|rest| rest.first() == Some(&b'/'))
            };
            if !last.is_some_and(is_below) {
                forget.push(walk.path(&self.checkout.directory, path)?);
                last = Some(path);
            }
        }
        let finds = walk.finds;
        for path in forget {
            remove_below(&mut self.changed, &path);
            remove_below(&mut self.untracked, &path);
        }
        Ok(finds)
    }

    /// Decides what was found: which suspects differ, by their contents where nothing else tells.
    fn settle(
        &mut self,
        finds: Finds,
        full: bool,
        most: u64,
        owners: &Owners,
        course: Course<'_>,
    ) -> Result<(), GitError> {
        let place = &self.checkout.place;
        let attributes = RefCell::new(Attributes::new(
            &place.common_dir.join("info/attributes"),
            self.checkout.settings.attributes_file.as_deref(),
        ));
        let contents = Contents {
            root: &self.checkout.directory,
            objects: &self.checkout.objects,
            index: &self.index,
            settings: &self.checkout.settings,
            attributes: &attributes,
            most,
        };
        let mut known = HashMap::new();
        for (at, seen) in finds.suspects {
            course.guard.check()?;
            let entry = &self.index.entries[at];
            let path = self.index.path(entry);
            let now = match seen {
                Seen::Missing => None,
                Seen::Unreadable => {
                    let opaque = Opaque {
                        why: Why::Unreadable,
                        size: None,
                    };
                    Some(New {
                        mode: entry.mode,
                        what: What::Opaque(None, opaque),
                    })
                }
                Seen::Submodule => Some(submodule::look(
                    &self.checkout.root,
                    path,
                    entry.id,
                    owners,
                    course,
                )),
                Seen::File(stat, mode) => {
                    let before = self.known.get(path).filter(|(known, _)| *known == stat);
                    let what =
                        before.map_or_else(|| load(&contents, path), |(_, what)| Some(*what));
                    if let Some(what) = what.filter(|_| is_settled(&stat)) {
                        known.insert(path.to_vec(), (stat, what));
                    }
                    what.map(|what| New { mode, what })
                }
            };
            let same = entry.stage == 0
                && !entry.intent
                && now.is_some_and(|new| new.mode == entry.mode && new.id() == Some(entry.id));
            if !same {
                self.changed.insert(path.to_vec(), now);
            }
        }
        if full {
            self.known = known;
        } else {
            self.known.extend(known);
        }
        self.untracked.extend(finds.untracked);
        self.further += finds.further;
        Ok(())
    }
}

impl New {
    /// The content, when it is known to be a stored one.
    pub(super) fn id(&self) -> Option<Id> {
        match self.what {
            What::Stored(id) | What::Commit(id, false) | What::OnDisk(_, Some(id)) => Some(id),
            What::Commit(_, true) | What::OnDisk(_, None) | What::Opaque(..) => None,
        }
    }
}

/// Whether a later change would show in what is known of a file.
pub(super) fn is_settled(stat: &Stat) -> bool {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let (seconds, nanoseconds) = stat.changed.max(stat.modified);
    let changed = Duration::new(u64::try_from(seconds).unwrap_or(0), nanoseconds);
    changed + FRESH < now
}

/// What a file of the work tree would be stored as. None: there is none any more.
fn load(contents: &Contents<'_>, path: &[u8]) -> Option<What> {
    Some(match contents.on_disk(path) {
        Loaded::Gone => return None,
        Loaded::Bytes(stat, bytes) => What::OnDisk(Some(stat), Some(Id::of_content(&bytes))),
        Loaded::AsStored(stat, id) => What::OnDisk(Some(stat), Some(id)),
        Loaded::Opaque(stat, opaque) => What::Opaque(stat, opaque),
    })
}

fn refused(checkout: &Checkout, error: IndexError) -> GitError {
    match error {
        IndexError::Unsupported(format) => {
            let path = checkout.place.git_dir.clone();
            let format = format!("its index has {format}");
            OpenError::Unsupported { path, format }.into()
        }
        error => GitError::unreadable(&checkout.root, "index", error),
    }
}

/// Files whose change changes what is said of others.
fn is_rules(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    name == b".gitattributes" || name == b".gitignore"
}

/// Notes the paths that two indexes do not have alike.
fn note_differences(old: &Index, new: &Index, paths: &mut BTreeSet<Vec<u8>>) {
    let (mut left, mut right) = (old.entries.iter().peekable(), new.entries.iter().peekable());
    while paths.len() <= MOST_PATHS {
        let order = match (left.peek(), right.peek()) {
            (None, None) => return,
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => {
                (old.path(left), left.stage).cmp(&(new.path(right), right.stage))
            }
        };
        let left = if order.is_le() { left.next() } else { None };
        let right = if order.is_ge() { right.next() } else { None };
        match (left, right) {
            (Some(left), Some(right)) if left.is_like(right) => {}
            (Some(left), _) => drop(paths.insert(old.path(left).to_vec())),
            (None, Some(right)) => drop(paths.insert(new.path(right).to_vec())),
            (None, None) => return,
        }
    }
}

fn remove_below<T>(map: &mut BTreeMap<Vec<u8>, T>, path: &[u8]) {
    if path.is_empty() {
        map.clear();
        return;
    }
    map.remove(path);
    let from = [path, b"/"].concat();
    let below = map
        .range(from.clone()..)
        .map(|(path, _)| path)
        .take_while(|path| path.starts_with(&from));
    let below: Vec<_> = below.cloned().collect();
    for path in below {
        map.remove(&path);
    }
}

/// Whether anything that is tracked in the submodule at a path differs from its HEAD. Untracked files do not count, as in
/// `git diff`.
pub(super) fn is_dirty(
    root: &Path,
    path: &[u8],
    owners: &Owners,
    course: Course<'_>,
) -> Result<bool, GitError> {
    let mut scan = Scan::new(root, owners);
    let inner = Course {
        guard: course.guard,
        eyes: &Inner {
            path,
            outer: course.eyes,
        },
        depth: course.depth + 1,
    };
    if inner.depth > MOST_NESTED {
        return Ok(false);
    }
    scan.look(&Extent::Full, Order::default().most_bytes, inner)?;
    let kept = scan.kept.as_ref().expect("looked at before");
    Ok(!kept.staged.is_empty() || !kept.changed.is_empty())
}
