//! Where the files of a request lie: each path is walked once, and no file may be named twice.

use std::{collections::HashMap, sync::Arc};

use super::{FileChanges, Problem, RewriteError};
use crate::vfs::{
    Vfs,
    entry::Identity,
    fault::Result,
    locks::Key,
    path::ClientPath,
    view::{Last, Place, View},
};

/// Where a file lies, and by what it is locked.
#[derive(Clone, Debug)]
pub(super) struct Located {
    pub(super) place: Place,
    pub(super) key: Option<Key>,
}

pub(super) type Walked = Result<Located, Problem>;

pub(super) async fn resolve(vfs: &Vfs, view: &View, files: &[FileChanges]) -> Vec<Walked> {
    let mut places = Vec::with_capacity(files.len());
    for file in files {
        places.push(walk(vfs, view, file).await);
    }
    places
}

async fn walk(vfs: &Vfs, view: &View, file: &FileChanges) -> Walked {
    if file.path.is_empty() {
        return Err(Problem::NoPath);
    }
    let path = ClientPath::parse(&file.path).map_err(Problem::Path)?;
    let walked = path.clone();
    let located = vfs.run(view, &path, move |view, _| {
        let place = view.resolve(&walked, Last::Follow)?;
        let key = match &place.name {
            Some(name) if place.missing.is_empty() => {
                let directory = place.directory.attributes()?.identity;
                let name = name.clone();
                Some(Key { directory, name })
            }
            _ => None,
        };
        Ok(Located { place, key })
    });
    located.await.map_err(Problem::Fault)
}

/// The locks of all files that were found.
pub(super) fn keys(places: &[Walked]) -> Vec<Key> {
    let located = places.iter().filter_map(|place| place.as_ref().ok());
    located.filter_map(|located| located.key.clone()).collect()
}

/// By paths without links, or as they were given where that failed, and by the objects that they lead to. A file without a path
/// is told before.
pub(super) fn refuse_duplicates(
    files: &[FileChanges],
    places: &[Walked],
) -> Result<(), RewriteError> {
    if files.iter().any(|file| file.path.is_empty()) {
        return Ok(());
    }
    let mut paths: HashMap<Vec<u8>, usize> = HashMap::new();
    let mut objects: HashMap<(Identity, usize), usize> = HashMap::new();
    for (number, place) in places.iter().enumerate() {
        let place = place.as_ref().ok().map(|located| &located.place);
        let path = place.map_or_else(|| files[number].path.clone(), |place| place.path.to_bytes());
        let before = paths.insert(path, number);
        // Numbers of objects are unique within the machine, and within a mount.
        let object = place.and_then(|place| {
            let found = place.found.as_ref()?;
            let machine = place.mount.provider().capabilities().host_path;
            let scope = if machine {
                0
            } else {
                Arc::as_ptr(&place.mount) as usize
            };
            Some((found.identity, scope))
        });
        let before = before.or_else(|| objects.insert(object?, number));
        if let Some(before) = before {
            return Err(RewriteError::Duplicate {
                first: files[before].path.clone(),
                second: files[number].path.clone(),
            });
        }
    }
    Ok(())
}
