//! The write phase: drafts of all files first, then each takes its place, in order. A failure puts back what was replaced.

use super::{Edited, RewriteError, State, pieces, prepare::Prepared};
use crate::vfs::{
    entry::Identity,
    fault::{Fault, Kind, Result},
    intent::Intents,
    path::TreePath,
    provider::{Commit, Committed, Condition, Creation, Draft, Previous, Staging},
};

/// A new content that lies ready.
struct Ready {
    file: usize,
    draft: Box<dyn Draft>,
}

/// A file that was replaced.
struct Replaced {
    path: TreePath,
    previous: Option<Box<dyn Previous>>,
}

pub(super) fn publish(
    mut files: Vec<Prepared>,
    intents: &Intents,
    sync: bool,
) -> Result<Vec<Edited>, RewriteError> {
    let ready = stage(&mut files)?;
    // One file is replaced in one step anyway.
    let several = ready.len() > 1;
    let intent = if several {
        let replacing = replacing(&files, &ready);
        let recorded = intents.record(&replacing, sync);
        Some(recorded.map_err(|error| {
            let path = files[ready[0].file].place.path.clone();
            let source = Fault::from_io(error.source, "record", path.to_bytes());
            RewriteError::Write {
                path,
                undone: 0,
                source: source.because(format!("failed to {} an intent", error.verb)),
            }
        })?)
    } else {
        None
    };
    let mut versions = vec![None; files.len()];
    let mut replaced = Vec::with_capacity(ready.len());
    for Ready { file, draft } in ready {
        let path = files[file].place.path.clone();
        match replace(&files[file], draft, sync) {
            Ok(committed) => {
                versions[file] = Some(committed.attributes.version);
                let previous = committed.previous;
                replaced.push(Replaced { path, previous });
            }
            Err(source) => return Err(put_back(replaced, path, source)),
        }
    }
    // First the word that there is nothing to undo, then what it could be undone with.
    drop(intent);
    drop(replaced);
    let edited = files.into_iter().zip(versions);
    Ok(edited
        .map(|(file, version)| match version {
            Some(version) => file.replaced(&version),
            None => file.written(),
        })
        .collect())
}

/// Writes every new content to a draft of its own.
fn stage(files: &mut [Prepared]) -> Result<Vec<Ready>, RewriteError> {
    let mut ready = Vec::new();
    for (file, prepared) in files.iter_mut().enumerate() {
        let Some(content) = prepared.content.as_mut() else {
            continue;
        };
        let content = std::mem::take(content);
        let draft = draft(prepared, &content).map_err(|source| RewriteError::Write {
            path: prepared.place.path.clone(),
            undone: 0,
            source: source.at(prepared.place.path.to_bytes()),
        })?;
        ready.push(Ready { file, draft });
    }
    Ok(ready)
}

fn draft(prepared: &Prepared, content: &[u8]) -> Result<Box<dyn Draft>> {
    let place = &prepared.place;
    let creation = Creation {
        size: Some(content.len() as u64),
        ..Creation::default()
    };
    let mut draft = place
        .directory
        .create(place.require_name("edit")?, &creation)?;
    pieces(content).try_for_each(|piece| draft.write(piece))?;
    Ok(draft)
}

/// What the intent has to know. A file that is no file of the machine needs none: it does not outlive the daemon.
fn replacing(files: &[Prepared], ready: &[Ready]) -> Vec<(Staging, Identity)> {
    ready
        .iter()
        .filter_map(|ready| {
            Some((
                ready.draft.staging()?,
                files[ready.file].attributes.identity,
            ))
        })
        .collect()
}

fn replace(file: &Prepared, draft: Box<dyn Draft>, sync: bool) -> Result<Committed> {
    let how = Commit {
        condition: Condition::Is(file.attributes.version.clone()),
        sync,
        hold: true,
    };
    draft.commit(&how).map_err(|fault| {
        let fault = fault.at(file.place.path.to_bytes());
        match fault.kind() {
            // It went.
            Kind::NotFound => Fault::new(Kind::Changed, "edit", fault.path()),
            _ => fault,
        }
    })
}

/// Puts back what was replaced, the last first.
fn put_back(replaced: Vec<Replaced>, path: TreePath, source: Fault) -> RewriteError {
    let undone = replaced.len();
    let mut states: Vec<(TreePath, State)> = Vec::with_capacity(undone);
    for Replaced { path, previous } in replaced.into_iter().rev() {
        let restored = match previous {
            Some(previous) => previous.restore(),
            None => Err(Fault::new(Kind::NotSupported, "restore", path.to_bytes())),
        };
        let state = match restored {
            Ok(()) => State::Old,
            Err(fault) => State::New(fault.at(path.to_bytes())),
        };
        states.push((path, state));
    }
    if states
        .iter()
        .any(|(_, state)| matches!(state, State::New(_)))
    {
        states.reverse();
        states.push((path, State::Old));
        return RewriteError::RollBack { states, source };
    }
    RewriteError::Write {
        path,
        undone,
        source,
    }
}
