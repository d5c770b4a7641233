//! Intents: what a write of several files is about to replace, on disk before the first is, so that a daemon that is killed in the
//! middle leaves all of it or none.
//!
//! ```text
//!   drafts lie beside their targets ─▶ intent recorded ─▶ each draft changes places with its target ─▶ intent removed ─▶ old files go
//!                                          │                     │                                        │
//!   killed here: drafts go       all targets as they were   those that changed places change back    all are new, old files go
//! ```
//!
//! A draft that changed places leaves the old file under its own name. So the next start tells by device and inode alone what
//! was done: it changes back what must be, and leaves the removal of whatever then has a draft's name to the notes of drafts.

use std::{
    ffi::OsStr,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use uuid::Uuid;

use super::{entry::Identity, path::Name, provider::Staging, tag::ContentHash};

const MAGIC: &[u8] = b"deskd intent 1\n";

/// Where intents are recorded. Clones are the same place.
#[derive(Clone, Debug, Default)]
pub struct Intents(Option<Arc<PathBuf>>);

/// Why an intent cannot be recorded, or what was found not be dealt with.
#[derive(Debug, thiserror::Error)]
#[error("failed to {verb} {path}")]
pub struct IntentError {
    /// `make`, `read`, `write`.
    pub verb: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// One file that is about to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    directory: PathBuf,
    draft: Name,
    target: Name,
    old: Identity,
    new: Identity,
}

/// What a start found of a daemon that was killed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Writes that had been done whole.
    pub whole: usize,
    /// Writes that were undone.
    pub undone: usize,
    /// Files that could not be put back, because they are others by now.
    pub left: usize,
}

/// An intent that is on disk. Dropping it removes it: there is nothing any more to be finished or undone.
#[derive(Debug)]
pub struct Intent(Option<PathBuf>);

impl Drop for Intent {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = fs::remove_file(path)
        {
            tracing::warn!(%error, path = %path.display(), "failed to remove an intent");
        }
    }
}

impl Intents {
    /// Opens the place in the state directory. Deals with what a killed daemon left there first: before drafts are removed.
    pub fn open(state: &Path) -> Result<(Self, Recovered), IntentError> {
        let directory = state.join("intents");
        let failed = |verb: &'static str, path: &Path| {
            let path = path.to_owned();
            move |source| IntentError { verb, path, source }
        };
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(failed("make", &directory)(error));
            }
            _ => {}
        }
        let mut recovered = Recovered::default();
        for entry in fs::read_dir(&directory).map_err(failed("read", &directory))? {
            let path = entry.map_err(failed("read", &directory))?.path();
            let bytes = fs::read(&path).map_err(failed("read", &path))?;
            // One that is not whole was not recorded yet: nothing had been replaced.
            if let Some(entries) = decode(&bytes) {
                recover(&entries, &mut recovered);
            }
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
        Ok((Self(Some(Arc::new(directory))), recovered))
    }

    /// Records what is about to be replaced: drafts with the identities of what lies at their targets now.
    pub(super) fn record(
        &self,
        replacing: &[(Staging, Identity)],
        sync: bool,
    ) -> Result<Intent, IntentError> {
        let Some(directory) = &self.0 else {
            return Ok(Intent(None));
        };
        let path = directory.join(Uuid::now_v7().to_string());
        let failed = |source| IntentError {
            verb: "write",
            path: path.clone(),
            source,
        };
        let entries = replacing.iter().map(entry).collect::<io::Result<Vec<_>>>();
        let bytes = encode(&entries.map_err(failed)?);
        let intent = Intent(Some(path.clone()));
        let mut file = OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&path);
        let mut file = file.map_err(failed)?;
        file.write_all(&bytes).map_err(failed)?;
        if sync {
            file.sync_all().map_err(failed)?;
            let directory = File::open(&**directory).map_err(failed)?;
            directory.sync_all().map_err(failed)?;
        }
        Ok(intent)
    }
}

fn entry((staging, old): &(Staging, Identity)) -> io::Result<Entry> {
    let new = identity(&staging.directory, &staging.draft)?;
    Ok(Entry {
        directory: staging.directory.clone(),
        draft: staging.draft.clone(),
        target: staging.target.clone(),
        old: *old,
        new,
    })
}

fn path(directory: &Path, name: &Name) -> PathBuf {
    directory.join(OsStr::from_bytes(name.as_bytes()))
}

fn identity(directory: &Path, name: &Name) -> io::Result<Identity> {
    let found = fs::symlink_metadata(path(directory, name))?;
    Ok(Identity {
        device: found.dev(),
        inode: found.ino(),
    })
}

/// Undoes what was done in part.
fn recover(entries: &[Entry], recovered: &mut Recovered) {
    let at = |entry: &Entry, name: &Name| identity(&entry.directory, name).ok();
    let replaced = |entry: &&Entry| {
        at(entry, &entry.target) == Some(entry.new) && at(entry, &entry.draft) == Some(entry.old)
    };
    let done: Vec<_> = entries.iter().filter(replaced).collect();
    if done.len() == entries.len() {
        recovered.whole += 1;
        return;
    }
    let untouched = |entry: &Entry| at(entry, &entry.target) == Some(entry.old);
    recovered.undone += 1;
    recovered.left += entries
        .iter()
        .filter(|entry| !replaced(entry) && !untouched(entry))
        .count();
    for entry in done.iter().rev() {
        let (draft, target) = (
            path(&entry.directory, &entry.draft),
            path(&entry.directory, &entry.target),
        );
        if let Err(error) = renameat_with(CWD, &draft, CWD, &target, RenameFlags::EXCHANGE) {
            tracing::error!(%error, path = %target.display(), "failed to put back a file of an unfinished edit");
            recovered.left += 1;
        }
    }
}

fn put(bytes: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("paths are short");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(part);
}

/// The magic, the entries, and the hash of both.
fn encode(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for entry in entries {
        put(&mut bytes, entry.directory.as_os_str().as_bytes());
        put(&mut bytes, entry.draft.as_bytes());
        put(&mut bytes, entry.target.as_bytes());
        for number in [entry.old, entry.new] {
            bytes.extend_from_slice(&number.device.to_le_bytes());
            bytes.extend_from_slice(&number.inode.to_le_bytes());
        }
    }
    let hash = ContentHash::of(&bytes);
    bytes.extend_from_slice(&hash.0);
    bytes
}

fn take<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (part, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some(part)
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

fn take_identity(bytes: &mut &[u8]) -> Option<Identity> {
    Some(Identity {
        device: take_number(bytes)?,
        inode: take_number(bytes)?,
    })
}

/// The entries, when the record is whole.
fn decode(bytes: &[u8]) -> Option<Vec<Entry>> {
    let (all, hash) = bytes.split_last_chunk::<32>()?;
    let mut rest = all.strip_prefix(MAGIC)?;
    if ContentHash::of(all).0 != *hash {
        return None;
    }
    let mut entries = Vec::new();
    while !rest.is_empty() {
        entries.push(Entry {
            directory: PathBuf::from(OsStr::from_bytes(take(&mut rest)?)),
            draft: Name::new(take(&mut rest)?).ok()?,
            target: Name::new(take(&mut rest)?).ok()?,
            old: take_identity(&mut rest)?,
            new: take_identity(&mut rest)?,
        });
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Case {
        state: tempfile::TempDir,
        work: tempfile::TempDir,
        replacing: Vec<(Staging, Identity)>,
    }

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).expect("a name")
    }

    fn case(files: usize) -> Case {
        let work = tempfile::tempdir().expect("a directory");
        let staging = |number: usize| {
            let staging = Staging {
                directory: work.path().to_owned(),
                draft: name(&format!("draft{number}")),
                target: name(&format!("target{number}")),
            };
            fs::write(path(work.path(), &staging.draft), "new").expect("written");
            fs::write(path(work.path(), &staging.target), "old").expect("written");
            let old = identity(work.path(), &staging.target).expect("there");
            (staging, old)
        };
        let replacing = (0..files).map(staging).collect();
        let state = tempfile::tempdir().expect("a directory");
        Case {
            state,
            work,
            replacing,
        }
    }

    impl Case {
        /// Records the intent, replaces so many, and dies.
        fn die_after(&self, replaced: usize) -> Recovered {
            let (intents, _) = Intents::open(self.state.path()).expect("opened");
            let intent = intents.record(&self.replacing, false).expect("recorded");
            let _kept = std::mem::ManuallyDrop::new(intent);
            for (staging, _) in &self.replacing[..replaced] {
                let draft = path(self.work.path(), &staging.draft);
                let target = path(self.work.path(), &staging.target);
                renameat_with(CWD, draft, CWD, target, RenameFlags::EXCHANGE).expect("exchanged");
            }
            Intents::open(self.state.path()).expect("opened").1
        }

        fn contents(&self) -> Vec<String> {
            let read = |(staging, _): &(Staging, Identity)| {
                fs::read_to_string(path(self.work.path(), &staging.target)).expect("there")
            };
            self.replacing.iter().map(read).collect()
        }
    }

    #[test]
    fn what_was_done_in_part_is_undone_and_what_was_done_stays() {
        for replaced in 0..=3 {
            let case = case(3);
            let recovered = case.die_after(replaced);
            let (word, whole) = if replaced == 3 {
                ("new", 1)
            } else {
                ("old", 0)
            };
            assert_eq!(case.contents(), [word; 3], "{replaced}");
            assert_eq!((recovered.whole, recovered.undone), (whole, 1 - whole));
            assert_eq!(recovered.left, 0);
            let again = Intents::open(case.state.path()).expect("opened").1;
            assert_eq!(again, Recovered::default(), "the intent is gone");
        }
    }

    #[test]
    fn a_file_that_is_another_by_now_is_left() {
        let case = case(2);
        let (intents, _) = Intents::open(case.state.path()).expect("opened");
        let intent = intents.record(&case.replacing, false).expect("recorded");
        let _kept = std::mem::ManuallyDrop::new(intent);
        fs::write(case.work.path().join("other"), "theirs").expect("written");
        fs::rename(
            case.work.path().join("other"),
            case.work.path().join("target0"),
        )
        .expect("renamed");
        let recovered = Intents::open(case.state.path()).expect("opened").1;
        assert_eq!((recovered.undone, recovered.left), (1, 1));
        assert_eq!(case.contents(), ["theirs", "old"]);
    }

    #[test]
    fn a_torn_record_is_none() {
        let case = case(2);
        let entries: Vec<_> = case
            .replacing
            .iter()
            .map(|one| entry(one).expect("there"))
            .collect();
        let bytes = encode(&entries);
        assert_eq!(decode(&bytes), Some(entries));
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), None, "{end}");
        }
    }

    #[test]
    fn an_intent_that_is_dropped_is_gone() {
        let case = case(1);
        let (intents, _) = Intents::open(case.state.path()).expect("opened");
        drop(intents.record(&case.replacing, true).expect("recorded"));
        let mut left = fs::read_dir(case.state.path().join("intents")).expect("there");
        assert!(left.next().is_none());
    }
}
