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
//!   diff HEAD ▶ the diff            (after `add` of what is in conflict, to the copy of the index)
//!   add -N, diff ▶ untracked files  (in an index of their own)
//! ```

mod listing;
mod patch;
mod run;
mod stand_in;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs,
    io::BufReader,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use sha2::{Digest, Sha256};

use self::{
    listing::{Kind, Listing, Mark},
    patch::{Entry, Part, Patch},
    run::{Failed, Running},
    stand_in::StandIn,
};
use super::{
    assemble::Assembly,
    checkout::{Site, damaged},
    content::{Opaque, Why},
    error::GitError,
    guard::Guard,
    render::{self, Rendered},
    settings::{Format, Settings},
    snapshot::{FileChange, Order, Snapshot, Status},
    standing,
};
use crate::sys::{private, procfs};

/// Untracked files that are shown.
const MOST_UNTRACKED: usize = 50_000;

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
    let Some(mut listing) = asked.listing()? else {
        return Ok(None);
    };
    let mut found = Found::new(order);
    asked.tracked(&listing, &mut found)?;
    asked.untracked(&mut listing, &mut found)?;
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

/// One question to the program, which takes several runs.
struct Asked<'a> {
    git: PathBuf,
    stand_in: StandIn,
    path: Vec<u8>,
    site: &'a Site,
    order: &'a Order,
    guard: &'a Guard,
}

/// What has been found so far.
struct Found {
    assembly: Assembly,
    files: Vec<FileChange>,
    hash: Sha256,
}

impl Found {
    fn new(order: &Order) -> Self {
        Self {
            assembly: Assembly::new(order.limit, !order.whole),
            files: Vec::new(),
            hash: Sha256::new(),
        }
    }

    fn finish(mut self) -> (Vec<FileChange>, super::assemble::Assembled, Sha256) {
        self.files.sort_by(|left, right| left.path.cmp(&right.path));
        (self.files, self.assembly.finish(), self.hash)
    }
}

impl Asked<'_> {
    /// Begins a run with this index.
    fn run(
        &self,
        index: &str,
        input: Option<fs::File>,
        arguments: &[&OsStr],
    ) -> Result<Running<'_>, GitError> {
        let environment = self.stand_in.environment(index, self.site, &self.path);
        let started = Running::start(
            &self.git,
            &self.site.root,
            &environment,
            arguments,
            input,
            self.guard,
        );
        started.map_err(|source| self.failed(Failed::Start(source)))
    }

    fn failed(&self, failed: Failed) -> GitError {
        match failed {
            Failed::Over(error) => error,
            other => GitError::unreadable(&self.site.root, "work tree", other),
        }
    }

    /// Asks where it stands and what has changed. None: the program does not read the format.
    fn listing(&self) -> Result<Option<Listing>, GitError> {
        let untracked = self.order.untracked && !self.order.staged;
        let arguments = [
            "status",
            "--porcelain=v2",
            "-z",
            "--branch",
            "--no-renames",
            "--ignore-submodules=all",
            if untracked {
                "--untracked-files=all"
            } else {
                "--untracked-files=no"
            },
        ];
        let mut running = self.run(stand_in::INDEX, None, &arguments.map(OsStr::new))?;
        let listing = Listing::read(&mut BufReader::new(&mut running), MOST_UNTRACKED);
        let listing = listing.map_err(|source| self.failed(running.explain(source)))?;
        if listing.cut {
            return Ok(Some(listing));
        }
        match running.finish() {
            Ok(()) => Ok(Some(listing)),
            Err(Failed::Over(error)) => Err(error),
            Err(failed) if listing.is_empty() => {
                tracing::debug!(root = %self.site.root.display(), error = %failed, "the git program does not read a repository");
                Ok(None)
            }
            Err(failed) => Err(self.failed(failed)),
        }
    }

    /// Adds what has changed beside HEAD.
    fn tracked(&self, listing: &Listing, found: &mut Found) -> Result<(), GitError> {
        let conflicts = listing
            .marks
            .iter()
            .filter(|(_, mark)| mark.kind == Kind::Conflicted);
        let conflicts: Vec<&[u8]> = conflicts.map(|(path, _)| &path[..]).collect();
        if !conflicts.is_empty() && !self.order.staged {
            self.add(stand_in::INDEX, "--all", &conflicts)?;
        }
        let mut arguments: Vec<&OsStr> = Vec::new();
        if self.order.staged {
            arguments.push(OsStr::new("--cached"));
        }
        let nothing = self.stand_in.empty_tree();
        arguments.push(OsStr::new(if listing.standing.head.is_some() {
            "HEAD"
        } else {
            nothing
        }));
        let seen = self.diff(stand_in::INDEX, &arguments, found, |entry| {
            let mark = listing.marks.get(&entry.path).copied();
            let conflicted = mark.is_some_and(|mark| mark.kind == Kind::Conflicted);
            let status = match entry.letter {
                _ if conflicted => Status::Conflicted,
                b'A' => Status::Added,
                b'D' => Status::Deleted,
                b'R' => Status::Renamed,
                b'T' => Status::TypeChanged,
                b'U' => Status::Conflicted,
                _ => Status::Modified,
            };
            (status, mark.unwrap_or_default())
        })?;
        // What the index has otherwise than both HEAD and the work tree, which have it alike.
        for (path, mark) in &listing.marks {
            let is_asked = self.order.wants(path) && (mark.staged || !self.order.staged);
            if seen.contains(path) || !is_asked {
                continue;
            }
            let status = match mark.kind {
                Kind::Conflicted => Status::Conflicted,
                Kind::Added => Status::Added,
                Kind::Known => Status::Modified,
            };
            found
                .files
                .push(self.file(path.clone(), None, status, *mark, Some((0, 0))));
        }
        Ok(())
    }

    /// Adds the files that nothing tracks.
    fn untracked(&self, listing: &mut Listing, found: &mut Found) -> Result<(), GitError> {
        // What went meanwhile would make git refuse all of them.
        let is_there = |path: &Vec<u8>| {
            let path = self.site.root.join(OsStr::from_bytes(path));
            fs::symlink_metadata(path).is_ok()
        };
        listing
            .untracked
            .retain(|path| self.order.wants(path) && is_there(path));
        if listing.untracked.is_empty() {
            return Ok(());
        }
        let paths: Vec<&[u8]> = listing.untracked.iter().map(|path| &path[..]).collect();
        self.add(stand_in::UNTRACKED, "--intent-to-add", &paths)?;
        let mark = Mark {
            unstaged: true,
            ..Mark::default()
        };
        self.diff(stand_in::UNTRACKED, &[], found, |_| {
            (Status::Untracked, mark)
        })?;
        Ok(())
    }

    /// Adds paths to an index of ours.
    fn add(&self, index: &str, how: &str, paths: &[&[u8]]) -> Result<(), GitError> {
        let list = self.stand_in.list(paths);
        let list = list.map_err(|source| self.failed(Failed::Start(source)))?;
        let arguments = ["add", how, "--pathspec-from-file=-", "--pathspec-file-nul"];
        let mut running = self.run(index, Some(list), &arguments.map(OsStr::new))?;
        let read = std::io::copy(&mut running, &mut std::io::sink());
        read.map_err(|source| self.failed(running.explain(source)))?;
        // When one of them has gone it adds none: then there is no diff of them, until the next scan.
        match running.finish() {
            Err(Failed::Over(error)) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Adds a diff; gives the paths that it has.
    fn diff(
        &self,
        index: &str,
        more: &[&OsStr],
        found: &mut Found,
        meaning: impl Fn(&Entry) -> (Status, Mark),
    ) -> Result<BTreeSet<Vec<u8>>, GitError> {
        let context = format!("--unified={}", self.order.context);
        let arguments = [
            "diff",
            "--raw",
            "-z",
            "--patch",
            "--no-color",
            "--no-ext-diff",
            "--no-textconv",
            "--find-renames",
            "--ignore-submodules=all",
            context.as_str(),
        ];
        let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        arguments.extend(more);
        arguments.push(OsStr::new("--"));
        if index == stand_in::INDEX {
            arguments.extend(self.order.only.iter().map(|path| OsStr::from_bytes(path)));
        }
        let mut running = self.run(index, None, &arguments)?;
        let mut patch = Patch::new(BufReader::new(&mut running), self.order.limit);
        let written = self.write(&mut patch, found, meaning);
        drop(patch);
        let seen = written.map_err(|error| match error {
            Written::Output(source) => self.failed(running.explain(source)),
            Written::Over(error) => error,
        })?;
        running.finish().map_err(|failed| self.failed(failed))?;
        Ok(seen)
    }

    fn write(
        &self,
        patch: &mut Patch<impl std::io::BufRead>,
        found: &mut Found,
        meaning: impl Fn(&Entry) -> (Status, Mark),
    ) -> Result<BTreeSet<Vec<u8>>, Written> {
        let mut seen = BTreeSet::new();
        for entry in patch.entries()? {
            self.guard.check()?;
            let (status, mark) = meaning(&entry);
            let rendered = match entry.letter {
                // It has no diff beside the index.
                b'U' => Rendered::default(),
                b'T' => typechange(
                    &entry,
                    patch.part(&entry, &mut found.hash)?,
                    patch.part(&entry, &mut found.hash)?,
                ),
                _ => self.rendered(&entry, patch.part(&entry, &mut found.hash)?),
            };
            if rendered.size > 0 {
                found.assembly.push(&rendered);
            }
            let lines = rendered
                .counts
                .map(|counts| (counts.additions, counts.deletions));
            let mut file = self.file(entry.path.clone(), entry.old_path, status, mark, lines);
            file.binary = rendered.binary;
            found.files.push(file);
            seen.insert(entry.path);
        }
        Ok(seen)
    }

    fn file(
        &self,
        path: Vec<u8>,
        old_path: Option<Vec<u8>>,
        status: Status,
        mark: Mark,
        lines: Option<(u64, u64)>,
    ) -> FileChange {
        FileChange {
            path,
            old_path,
            status,
            staged: mark.staged,
            unstaged: !self.order.staged && mark.unstaged,
            lines,
            binary: false,
        }
    }

    /// Git calls large files binary, as it was told to: they are not read.
    fn rendered(&self, entry: &Entry, part: Part) -> Rendered {
        let rendered = part.rendered();
        let path = self.site.root.join(OsStr::from_bytes(&entry.path));
        let size = fs::symlink_metadata(path).map_or(0, |metadata| metadata.len());
        if !rendered.binary || size <= self.order.most_bytes || self.order.staged {
            return rendered;
        }
        let opaque = Opaque {
            why: Why::TooLarge,
            size: Some(size),
        };
        render::stubbed(rendered.head, opaque, None)
    }
}

/// A file that became a link, or the other way round: it goes and comes.
fn typechange(entry: &Entry, gone: Part, come: Part) -> Rendered {
    let head = render::head(
        &entry.path,
        &entry.path,
        Some(entry.modes.0),
        Some(entry.modes.1),
    );
    let (gone, come) = (gone.rendered(), come.rendered());
    render::both(head, &gone, &come)
}

/// Why a diff could not be taken in.
enum Written {
    Output(std::io::Error),
    Over(GitError),
}

impl From<std::io::Error> for Written {
    fn from(error: std::io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<GitError> for Written {
    fn from(error: GitError) -> Self {
        Self::Over(error)
    }
}

/// Paths and what is said of them.
type Marks = BTreeMap<Vec<u8>, Mark>;
