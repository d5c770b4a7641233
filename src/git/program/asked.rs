//! One question to the program, which takes several runs.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    io::{self, BufRead, BufReader},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt},
    },
    path::PathBuf,
};

use sha2::{Digest, Sha256};

use super::{
    listing::{Kind, Listing, Mark},
    patch::{Entry, Part, Patch},
    run::{Failed, Running},
    stand_in::{self, StandIn},
};
use crate::git::{
    assemble::{Assembled, Assembly},
    checkout::Site,
    content::{Opaque, Why},
    error::GitError,
    guard::Guard,
    render::{self, Rendered},
    snapshot::{FileChange, Order, Status},
};

/// Untracked files that are shown.
const MOST_UNTRACKED: usize = 50_000;

/// What is asked, of which program.
pub(super) struct Asked<'a> {
    pub(super) git: PathBuf,
    pub(super) stand_in: StandIn,
    /// As `PATH`.
    pub(super) path: Vec<u8>,
    pub(super) site: &'a Site,
    pub(super) order: &'a Order,
    pub(super) guard: &'a Guard,
}

/// What has been found so far.
pub(super) struct Found {
    pub(super) assembly: Assembly,
    files: Vec<FileChange>,
    hash: Sha256,
}

impl Found {
    pub(super) fn new(order: &Order) -> Self {
        Self {
            assembly: Assembly::new(order.limit, !order.whole),
            files: Vec::new(),
            hash: Sha256::new(),
        }
    }

    /// The files, the diff, and what a text could hide.
    pub(super) fn finish(mut self) -> (Vec<FileChange>, Assembled, Sha256) {
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
    pub(super) fn listing(&self) -> Result<Option<Listing>, GitError> {
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
    pub(super) fn tracked(&self, listing: &Listing, found: &mut Found) -> Result<(), GitError> {
        let large = self.hide_large(listing)?;
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
        let meaning = |entry: &Entry| {
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
        };
        let seen = self.diff(stand_in::INDEX, &arguments, found, (&large, &meaning))?;
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
            let mut lines = Some((0, 0));
            if large.contains(&path[..]) {
                lines = None;
                let head = render::head(path, path, None, None);
                found
                    .assembly
                    .push(&self.too_large(path, head, &mut found.hash));
            }
            let file = self.file(path.clone(), None, status, *mark, lines);
            found.files.push(file);
        }
        Ok(())
    }

    /// Takes large files that differ from the index out of the diff: git would read them to their end for the ids that it prints.
    fn hide_large<'a>(&self, listing: &'a Listing) -> Result<BTreeSet<&'a [u8]>, GitError> {
        if self.order.staged {
            return Ok(BTreeSet::new());
        }
        let marks = listing.marks.iter();
        let large = marks.filter(|(path, mark)| mark.unstaged && self.is_large(path));
        let (conflicted, changed): (Vec<_>, Vec<_>) =
            large.partition(|(_, mark)| mark.kind == Kind::Conflicted);
        let paths = |marks: &[(&'a Vec<u8>, &Mark)]| -> Vec<&'a [u8]> {
            marks.iter().map(|(path, _)| &path[..]).collect()
        };
        let (conflicted, changed) = (paths(&conflicted), paths(&changed));
        for (how, paths) in [
            ("--assume-unchanged", &changed),
            ("--force-remove", &conflicted),
        ] {
            if !paths.is_empty() {
                let arguments = ["update-index", how, "-z", "--stdin"];
                self.change(stand_in::INDEX, &arguments, paths)?;
            }
        }
        Ok(changed.into_iter().chain(conflicted).collect())
    }

    fn is_large(&self, path: &[u8]) -> bool {
        let path = self.site.root.join(OsStr::from_bytes(path));
        fs::symlink_metadata(path).is_ok_and(|metadata| metadata.len() > self.order.most_bytes)
    }

    /// Adds the files that nothing tracks.
    pub(super) fn untracked(&self, listing: &Listing, found: &mut Found) -> Result<(), GitError> {
        let mark = Mark {
            unstaged: true,
            ..Mark::default()
        };
        let mut paths: Vec<&[u8]> = Vec::new();
        for path in listing
            .untracked
            .iter()
            .filter(|path| self.order.wants(path))
        {
            let place = self.site.root.join(OsStr::from_bytes(path));
            // What went meanwhile would make git refuse all of them.
            let Ok(metadata) = fs::symlink_metadata(place) else {
                continue;
            };
            if metadata.len() <= self.order.most_bytes {
                paths.push(path);
                continue;
            }
            let executable = metadata.permissions().mode() & 0o100 != 0;
            let mode = if executable { 0o100_755 } else { 0o100_644 };
            let head = render::head(path, path, None, Some(mode));
            found
                .assembly
                .push(&self.too_large(path, head, &mut found.hash));
            let file = self.file(path.clone(), None, Status::Untracked, mark, None);
            found.files.push(file);
        }
        if paths.is_empty() {
            return Ok(());
        }
        let arguments = [
            "add",
            "--intent-to-add",
            "--pathspec-from-file=-",
            "--pathspec-file-nul",
        ];
        self.change(stand_in::UNTRACKED, &arguments, &paths)?;
        let meaning = |_: &Entry| (Status::Untracked, mark);
        self.diff(
            stand_in::UNTRACKED,
            &[],
            found,
            (&BTreeSet::new(), &meaning),
        )?;
        Ok(())
    }

    /// Changes an index of ours.
    fn change(&self, index: &str, arguments: &[&str; 4], paths: &[&[u8]]) -> Result<(), GitError> {
        let list = self.stand_in.list(paths);
        let list = list.map_err(|source| self.failed(Failed::Start(source)))?;
        let mut running = self.run(index, Some(list), &arguments.map(OsStr::new))?;
        let read = io::copy(&mut running, &mut io::sink());
        read.map_err(|source| self.failed(running.explain(source)))?;
        // When one of them has gone it changes none: the next scan will see.
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
        what: What<'_>,
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
        let written = self.write(&mut patch, found, what);
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
        patch: &mut Patch<impl BufRead>,
        found: &mut Found,
        (large, meaning): What<'_>,
    ) -> Result<BTreeSet<Vec<u8>>, Written> {
        let mut seen = BTreeSet::new();
        for entry in patch.entries()? {
            self.guard.check()?;
            let (status, mark) = meaning(&entry);
            let mut part = || patch.part(&entry, &mut found.hash);
            let rendered = match entry.letter {
                // In conflict: it has no diff in the index.
                b'U' => Rendered::default(),
                b'T' => typechange(&entry, part()?, part()?),
                _ => part()?.rendered(),
            };
            let rendered = match entry.letter {
                _ if !large.contains(&entry.path[..]) => rendered,
                // It was taken out of the index, and is there.
                b'D' => {
                    let head = render::head(&entry.path, &entry.path, None, None);
                    self.too_large(&entry.path, head, &mut found.hash)
                }
                _ => self.too_large(&entry.path, rendered.head, &mut found.hash),
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

    /// The stub of a large file. Its times are hashed: by them a change is noticed.
    fn too_large(&self, path: &[u8], head: Vec<u8>, hash: &mut Sha256) -> Rendered {
        let found = fs::symlink_metadata(self.site.root.join(OsStr::from_bytes(path)));
        if let Ok(found) = &found {
            hash.update(path);
            hash.update(found.ctime().to_ne_bytes());
            hash.update(found.ctime_nsec().to_ne_bytes());
        }
        let opaque = Opaque {
            why: Why::TooLarge,
            size: found.ok().map(|found| found.len()),
        };
        render::stubbed(head, opaque, None)
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

/// The paths of which no diff is shown, and what an entry means.
type What<'a> = (&'a BTreeSet<&'a [u8]>, &'a dyn Fn(&Entry) -> (Status, Mark));

/// Why a diff could not be taken in.
enum Written {
    Output(io::Error),
    Over(GitError),
}

impl From<io::Error> for Written {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

impl From<GitError> for Written {
    fn from(error: GitError) -> Self {
        Self::Over(error)
    }
}
