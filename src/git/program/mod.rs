//! What neither the library nor we read, SHA-256 objects and reftables, read by the git program where there is one.
//!
//! Nothing of the repository runs. What could name a program is its configuration, and the program never sees that one: it is
//! given a git directory of our own ([`StandIn`]), whose configuration we wrote, and in which the references and the objects are
//! the repository's and the index is a copy. Attributes then name filters and drivers that are not defined anywhere, there are no
//! hooks, and submodules are not entered. The environment is empty but for what is set here, the memory has a limit, and the
//! program is killed when its time is up or when nobody waits any more.
//!
//! ```text
//!   status ▶ where it stands, what is staged, untracked, in conflict
//!   diff HEAD ▶ the diff            (large files are taken out of the copy of the index before: they would be read)
//!   add -N, diff ▶ untracked files  (in an index of their own)
//! ```

mod asked;
mod listing;
mod patch;
mod run;
mod stand_in;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use self::{
    asked::{Asked, Found},
    listing::Mark,
    stand_in::StandIn,
};
use super::{
    checkout::{Site, damaged},
    error::GitError,
    guard::Guard,
    settings::{Format, Settings},
    snapshot::{Order, Snapshot},
    standing,
};
use crate::sys::{private, procfs};

/// Where the git program is looked for, and where it may be given directories of ours. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Program(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: Vec<u8>,
    scratch: PathBuf,
    /// The scratch directory is there, and empty of what an earlier daemon left.
    ready: OnceLock<bool>,
    next: AtomicU64,
}

impl Program {
    /// Looks for `git` in `path` (as `PATH`) each time it is needed; nobody else may use the directory.
    pub fn new(path: impl Into<Vec<u8>>, scratch: PathBuf) -> Self {
        Self(Arc::new(Inner {
            path: path.into(),
            scratch,
            ready: OnceLock::new(),
            next: AtomicU64::new(0),
        }))
    }

    fn find(&self) -> Option<PathBuf> {
        procfs::find_program(Path::new("git"), &self.0.path).filter(|path| path.is_absolute())
    }

    /// A name for a directory that nobody has.
    fn place(&self) -> Option<PathBuf> {
        let scratch = &self.0.scratch;
        let ready = self.0.ready.get_or_init(|| {
            let _ = fs::remove_dir_all(scratch);
            let made = private::directory(scratch);
            made.inspect_err(|error| tracing::warn!(%error, "the git program cannot be used"))
                .is_ok()
        });
        let number = self.0.next.fetch_add(1, Ordering::Relaxed);
        ready.then(|| scratch.join(number.to_string()))
    }
}

/// Scans a work tree whose format is not read here. None: there is no program for it, or it cannot read that either.
pub(super) fn scan(
    program: &Program,
    site: &Site,
    format: &Format,
    order: &Order,
    guard: &Guard,
) -> Result<Option<Snapshot>, GitError> {
    let begun = Instant::now();
    // A linked work tree has its HEAD in a table of its own; and without tables git would find no commit where there are some.
    let is_linked = site.place.git_dir != site.place.common_dir;
    let has_tables = site.place.common_dir.join("reftable").is_dir();
    if format.extensions.is_empty() || (format.is_reftable() && (is_linked || !has_tables)) {
        return Ok(None);
    }
    let (Some(git), Some(place)) = (program.find(), program.place()) else {
        return Ok(None);
    };
    let unreadable = |part, source: std::io::Error| GitError::unreadable(&site.root, part, source);
    let settings = Settings::read(&site.place).map_err(|_| damaged(&site.root))?;
    super::pipes::look_at_references(&site.place)
        .map_err(|source| unreadable("directory", source))?;
    let stand_in = StandIn::make(place, site, format, &settings, order.most_bytes)
        .map_err(|source| unreadable("index", source))?;
    let asked = Asked {
        git,
        stand_in,
        path: program.0.path.clone(),
        site,
        order,
        guard,
    };
    let Some(listing) = asked.listing()? else {
        return Ok(None);
    };
    let mut found = Found::new(order);
    asked.tracked(&listing, &mut found)?;
    asked.untracked(&listing, &mut found)?;
    if order.whole && found.assembly.is_over() {
        return Err(GitError::DiffTooLarge { limit: order.limit });
    }
    let mut standing = listing.standing;
    standing.operation = standing::operation(&site.place);
    standing.remote_origin = standing::remote_origin(&settings);
    let (files, diff, hash) = found.finish();
    let most = order.most_files.min(files.len());
    Ok(Some(Snapshot {
        root: site.root.clone(),
        fingerprint: super::report::fingerprint(
            hash,
            &standing,
            u64::from(listing.cut),
            &files,
            &diff.text,
        ),
        truncated: diff.cut || files.len() > order.most_files || listing.cut,
        standing,
        files: files[..most].into(),
        diff: diff.text.into(),
        parts: diff.parts.into(),
        took: begun.elapsed(),
    }))
}

/// Paths and what is said of them.
type Marks = BTreeMap<Vec<u8>, Mark>;
