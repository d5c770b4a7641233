//! Which drafts lie on the machine at this moment: each is noted before it is made and struck out when it is gone, so that the
//! next start can remove what a killed daemon left.
//!
//! The file is a row of slots, one for each draft that lies somewhere: the length of a path in two bytes, little end first, and
//! the path; length 0 is a free slot. A slot is written by one call, so the file never grows beyond the drafts that were there
//! at once, and a torn slot names nothing that is removed: only regular files with a name of ours are.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io,
    os::unix::{ffi::OsStrExt, fs::FileExt, fs::OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::vfs::path::Name;

/// Bytes of a slot: the longest path, a name, and the length.
const SLOT: u64 = 8192;
const PREFIX: &[u8] = b".deskd-";
/// Digits after the prefix.
const DIGITS: usize = 16;

/// The notes of one daemon.
#[derive(Debug)]
pub struct Notes {
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    file: File,
    directory: PathBuf,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    free: BTreeSet<u64>,
    next: u64,
}

/// Why notes cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum NotesError {
    /// The file cannot be opened or read.
    #[error("failed to {verb} {path}")]
    Io {
        /// `open`, `read` or `cut`.
        verb: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Notes {
    /// Opens the notes in the state directory and removes what they name: call it after unfinished work of the last run was
    /// undone or finished, because that needs the drafts. Gives how many were removed. The directory also takes contents that
    /// fit nowhere else for a moment.
    pub fn open(directory: &Path) -> Result<(Arc<Self>, usize), NotesError> {
        let path = directory.join("drafts");
        let failed = |verb| {
            let path = path.clone();
            move |source| NotesError::Io { verb, path, source }
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed("open"))?;
        let removed = recover(&file).map_err(failed("read"))?;
        file.set_len(0).map_err(failed("cut"))?;
        let kept = Kept {
            file,
            directory: directory.to_owned(),
            slots: Mutex::default(),
        };
        Ok((Arc::new(Self { kept: Some(kept) }), removed))
    }

    /// Notes nothing: what a killed program leaves stays.
    pub fn none() -> Arc<Self> {
        Arc::new(Self { kept: None })
    }

    /// Notes a draft that is about to be made.
    pub(super) fn note(self: &Arc<Self>, path: &Path) -> io::Result<Note> {
        let Some(kept) = &self.kept else {
            return Ok(Note {
                notes: Arc::clone(self),
                slot: None,
            });
        };
        let slot = kept.take();
        let note = Note {
            notes: Arc::clone(self),
            slot: Some(slot),
        };
        let bytes = path.as_os_str().as_bytes();
        let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
        if u64::from(length) + 2 > SLOT {
            return Err(io::Error::from(io::ErrorKind::InvalidFilename));
        }
        let mut record = Vec::with_capacity(bytes.len() + 2);
        record.extend_from_slice(&length.to_le_bytes());
        record.extend_from_slice(bytes);
        kept.file.write_all_at(&record, slot * SLOT)?;
        Ok(note)
    }

    /// A file without a name for contents that fit nowhere else: in the state directory, or in memory without one.
    pub(super) fn scratch(&self) -> io::Result<File> {
        use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, memfd_create, openat};
        let Some(kept) = &self.kept else {
            return Ok(memfd_create(c"draft", MemfdFlags::CLOEXEC)?.into());
        };
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        if let Ok(file) = openat(CWD, &kept.directory, flags, Mode::from_raw_mode(0o600)) {
            return Ok(file.into());
        }
        let path = kept
            .directory
            .join(std::ffi::OsStr::from_bytes(staging_name()?.as_bytes()));
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    }
}

impl Kept {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> u64 {
        let mut slots = self.slots();
        slots.free.pop_first().unwrap_or_else(|| {
            slots.next += 1;
            slots.next - 1
        })
    }
}

/// A draft that is noted. Dropping it strikes the note out.
#[derive(Debug)]
pub(super) struct Note {
    notes: Arc<Notes>,
    slot: Option<u64>,
}

impl Drop for Note {
    fn drop(&mut self) {
        if let (Some(slot), Some(kept)) = (self.slot, &self.notes.kept) {
            // What cannot be struck out names a file that is gone: the next start finds nothing to remove.
            let _ = kept.file.write_all_at(&[0, 0], slot * SLOT);
            kept.slots().free.insert(slot);
        }
    }
}

/// A fresh name for a draft.
pub(in crate::vfs::provider) fn staging_name() -> io::Result<Name> {
    let number = getrandom::u64().map_err(io::Error::other)?;
    let mut bytes = PREFIX.to_vec();
    bytes.extend_from_slice(format!("{number:016x}").as_bytes());
    Ok(Name::new(&bytes).expect("letters and digits are a name"))
}

/// Whether a name is one of a draft.
pub(in crate::vfs::provider) fn is_staging(name: &[u8]) -> bool {
    let digits = name.strip_prefix(PREFIX);
    digits.is_some_and(|digits| digits.len() == DIGITS && digits.iter().all(u8::is_ascii_hexdigit))
}

fn recover(file: &File) -> io::Result<usize> {
    let length = file.metadata()?.len();
    let mut removed = 0;
    let mut record = vec![0_u8; usize::try_from(SLOT).unwrap_or(usize::MAX)];
    for slot in 0..length.div_ceil(SLOT) {
        let filled = read_slot(file, &mut record, slot)?;
        removed += usize::from(noted(&record[..filled]).is_some_and(remove));
    }
    Ok(removed)
}

fn read_slot(file: &File, record: &mut [u8], slot: u64) -> io::Result<usize> {
    let mut filled = 0;
    while filled < record.len() {
        match file.read_at(&mut record[filled..], slot * SLOT + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn noted(record: &[u8]) -> Option<&Path> {
    let (length, rest) = record.split_first_chunk::<2>()?;
    let path = rest.get(..usize::from(u16::from_le_bytes(*length)))?;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    let name = path.file_name()?.as_bytes();
    (path.is_absolute() && is_staging(name)).then_some(path)
}

fn remove(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) && fs::remove_file(path).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_noted_and_left_is_removed_by_the_next_start() {
        let state = tempfile::tempdir().expect("a directory");
        let work = tempfile::tempdir().expect("a directory");
        let (notes, _) = Notes::open(state.path()).expect("opened");
        let draft = |name: &Name| {
            work.path()
                .join(std::ffi::OsStr::from_bytes(name.as_bytes()))
        };
        let left = draft(&staging_name().expect("a name"));
        let struck = draft(&staging_name().expect("a name"));
        let foreign = work.path().join("mine");
        let directory = draft(&staging_name().expect("a name"));
        for path in [&left, &struck, &foreign] {
            fs::write(path, "x").expect("written");
        }
        fs::create_dir(&directory).expect("made");
        let kept: Vec<Note> = [&left, &foreign, &directory]
            .into_iter()
            .map(|path| notes.note(path).expect("noted"))
            .collect();
        drop(notes.note(&struck).expect("noted"));
        let bytes = fs::read(state.path().join("drafts")).expect("read");
        let copy = tempfile::tempdir().expect("a directory");
        fs::write(copy.path().join("drafts"), bytes).expect("written");
        let (_, removed) = Notes::open(copy.path()).expect("opened");
        assert_eq!(removed, 1);
        assert!(!left.exists() && struck.exists() && foreign.exists() && directory.exists());
        drop(kept);
    }

    #[test]
    fn slots_are_used_again() {
        let state = tempfile::tempdir().expect("a directory");
        let (notes, _) = Notes::open(state.path()).expect("opened");
        for _ in 0..100 {
            drop(notes.note(Path::new("/a/b")).expect("noted"));
        }
        let length = fs::metadata(state.path().join("drafts"))
            .expect("there")
            .len();
        assert!(length < SLOT, "{length}");
    }

    #[test]
    fn torn_slots_name_nothing() {
        assert_eq!(noted(b""), None);
        assert_eq!(noted(b"\xff\xff/a"), None);
        assert_eq!(noted(b"\x04\0/a/b"), None);
        let mut record = vec![26, 0];
        record.extend_from_slice(b"/a/.deskd-0123456789abcdef");
        assert_eq!(
            noted(&record),
            Some(Path::new("/a/.deskd-0123456789abcdef"))
        );
    }
}
