//! What the files of a request would become: read, held against what is demanded, edited in memory. All files are tried.

use std::time::{Duration, Instant};

use super::{
    Change, Edited, FileChanges, MAX_FILE, MAX_REQUEST, Miss, Problem, Refused, Request,
    RewriteError, resolve::Walked,
};
use crate::vfs::{
    Vfs,
    edit::{
        Edit, Found, Refusal, apply_all,
        report::{Room, report},
        unified,
    },
    entry::{Attributes, Version},
    fault::{Fault, Kind, Result},
    pool::Wanted,
    read::open_at,
    tag::ContentHash,
    view::Place,
};

/// Time for the report on one change that was refused.
const REPORT_TIME: Duration = Duration::from_millis(20);
/// Time in which a diff is made as short as can be.
const DIFF_TIME: Duration = Duration::from_millis(500);
/// How often a file is read again that changes while it is read.
const TRIES: usize = 4;

/// A file and its new content.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) place: Place,
    /// What was read.
    pub(super) attributes: Attributes,
    /// The new content, when it is another.
    pub(super) content: Option<Vec<u8>>,
    found: Vec<Found>,
    diff: Option<Vec<u8>>,
}

impl Prepared {
    pub(super) fn is_changed(&self) -> bool {
        self.content.is_some()
    }

    pub(super) fn unwritten(self) -> Edited {
        Edited {
            changed: self.is_changed(),
            found: self.found,
            diff: self.diff,
            tag: None,
        }
    }

    /// As it is when it needs no change.
    pub(super) fn written(self) -> Edited {
        let version = self.attributes.version.clone();
        self.replaced(&version)
    }

    /// As it is after it was replaced.
    pub(super) fn replaced(self, version: &Version) -> Edited {
        Edited {
            tag: Some(version.tag()),
            ..self.unwritten()
        }
    }
}

/// What all files of a request share.
#[derive(Debug, Default)]
struct Budget {
    room: Room,
    bytes: u64,
}

pub(super) async fn prepare(
    vfs: &Vfs,
    request: &Request,
    places: Vec<Walked>,
) -> Result<Vec<Prepared>, RewriteError> {
    let mut budget = Budget::default();
    let (mut prepared, mut misses) = (Vec::new(), Vec::new());
    for (number, (file, place)) in request.files.iter().zip(places).enumerate() {
        let mut miss = |path: Vec<u8>, problem| {
            misses.push(Miss {
                file: number,
                path,
                problem,
            });
        };
        let place = match place {
            Err(problem @ (Problem::NoPath | Problem::Path(_))) => {
                miss(file.path.clone(), problem);
                continue;
            }
            _ if file.changes.is_empty() => {
                miss(file.path.clone(), Problem::NoChanges);
                continue;
            }
            Err(problem) => {
                miss(file.path.clone(), problem);
                continue;
            }
            Ok(located) => located.place,
        };
        let (path, mount) = (place.path.to_bytes(), std::sync::Arc::clone(&place.mount));
        let (file, diffs) = (file.clone(), request.diffs);
        let tried = vfs.run_in(&mount, move |wanted| {
            let tried = attempt(place, &file, diffs, &mut budget, wanted);
            Ok((tried, budget))
        });
        let (tried, left) = tried.await?;
        budget = left;
        match tried {
            Ok(file) => prepared.push(file),
            Err(problem) => miss(path, problem),
        }
    }
    if misses.is_empty() {
        Ok(prepared)
    } else {
        Err(RewriteError::Misses(misses))
    }
}

fn attempt(
    mut place: Place,
    file: &FileChanges,
    diffs: bool,
    budget: &mut Budget,
    wanted: &Wanted,
) -> Result<Prepared, Problem> {
    let (attributes, before) = read(&mut place, budget, wanted)?;
    let hash = file
        .demands
        .need_content()
        .then(|| ContentHash::of(&before));
    if !file.demands.hold(Some(&attributes), hash.as_ref()) {
        return Err(Problem::Unmet(attributes.version.tag()));
    }
    let edits: Vec<_> = file.changes.iter().map(edit).collect();
    let sequence = apply_all(&before, &edits, MAX_FILE).map_err(|failed| {
        if matches!(failed.refusal, Refusal::TooLarge { .. }) {
            return Problem::TooLarge;
        }
        let end = Instant::now() + REPORT_TIME;
        let expired = || Instant::now() >= end;
        let edit = &edits[failed.edit];
        let report = report(
            &failed.content,
            edit,
            &failed.refusal,
            &mut budget.room,
            &expired,
        );
        Problem::Refused(Box::new(Refused {
            change: failed.edit,
            refusal: failed.refusal,
            report,
        }))
    })?;
    let diff = diffs.then(|| {
        let deadline = Instant::now() + DIFF_TIME;
        unified(&file.path, &before, &sequence.content, deadline)
    });
    let changed = sequence.content != before;
    Ok(Prepared {
        place,
        attributes,
        content: changed.then_some(sequence.content),
        found: sequence.found,
        diff,
    })
}

fn edit(change: &Change) -> Edit<'_> {
    Edit {
        search: &change.search,
        replace: &change.replace,
        replace_all: change.replace_all,
        fuzzy: change.fuzzy,
    }
}

/// Reads the whole file as it is now, under its lock.
fn read(
    place: &mut Place,
    budget: &mut Budget,
    wanted: &Wanted,
) -> Result<(Attributes, Vec<u8>), Problem> {
    let path = place.path.to_bytes();
    for _ in 0..TRIES {
        match read_once(place, budget, wanted) {
            Ok(Some(read)) => return Ok(read),
            Ok(None) => return Err(Problem::TooLarge),
            Err(fault) if fault.kind() == Kind::Changed => {}
            Err(fault) => return Err(Problem::Fault(fault.at(&path))),
        }
    }
    Err(Problem::Fault(Fault::new(Kind::Changed, "read", path)))
}

/// None when it is too large.
fn read_once(
    place: &mut Place,
    budget: &mut Budget,
    wanted: &Wanted,
) -> Result<Option<(Attributes, Vec<u8>)>> {
    if let Some(name) = &place.name
        && place.missing.is_empty()
    {
        place.found = match place.directory.lookup(name) {
            Ok(found) => Some(found),
            Err(fault) if fault.kind() == Kind::NotFound => None,
            Err(fault) => return Err(fault),
        };
    }
    let source = open_at(place)?;
    place.require_writable("edit")?;
    let source = match source.with_length(MAX_FILE as u64, wanted) {
        Err(fault) if fault.kind() == Kind::TooLarge => return Ok(None),
        source => source?,
    };
    let length = source.length.unwrap_or_default();
    if length > MAX_FILE as u64 || budget.bytes + length > MAX_REQUEST {
        return Ok(None);
    }
    let content = source.read(0..length)?;
    let now = source.file.attributes()?;
    if now.version != source.attributes.version {
        return Err(place.fault(Kind::Changed, "read"));
    }
    budget.bytes += length;
    Ok(Some((source.attributes, content.into())))
}
