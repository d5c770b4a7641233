//! The output of one process on disk: the newest bytes of each stream, addressed by absolute offset, and the head.
//!
//! A stream is a row of files of the same size, `out.0`, `out.1`…: the byte at offset `n` is in file `n / segment`, at
//! `n % segment`. A file is only appended to; the oldest goes when the row is longer than its limit. So whoever reads needs no lock
//! with whoever writes: a file is there with what was written, or it is not there, which is a gap. Before the first file goes, the head
//! is copied to `out.head`.
//!
//! With standard error apart there is a second row, `err`, and `index`: 16 bytes for each change of stream, the offset in
//! the merged view and the offset in the stream (its highest bit: standard error).
//!
//! Writing never fails: bytes that cannot be written are a gap, and all before them is given up, which makes room.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::proc::{
    history::{
        ERRORS, HEAD, INDEX, INDEX_RECORD, INDEX_SEGMENT, IS_RECORD, IS_STDERR, MERGED, OUTPUT,
    },
    record::Window,
};

/// Files of a stream's row, when it is as long as it may be.
const FILES: u64 = 32;
/// Smallest row, in bytes, whatever the limits are.
const SMALLEST: u64 = 64 << 10;
/// Longest index: 65 536 changes of stream.
const INDEX_LIMIT: u64 = 1 << 20;

/// Which pipe bytes came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pipe {
    Output,
    Errors,
}

/// Size of a file for rows of this length; at least the head, which is copied from the first one.
pub(super) fn segment(limit: u64) -> u64 {
    (limit / FILES).max(16 << 10)
}

/// The rows of one process.
#[derive(Debug)]
pub(super) struct Spools {
    folder: PathBuf,
    output: Row,
    errors: Option<Apart>,
    merged: u64,
}

#[derive(Debug)]
struct Apart {
    row: Row,
    index: Row,
    last: Option<Pipe>,
    head: Option<File>,
}

impl Spools {
    /// Nothing on disk yet. The folder is made with the first byte.
    pub(super) fn new(folder: PathBuf, limit: u64, separate: bool) -> Self {
        let limit = limit.max(SMALLEST);
        let row = |name, segment, limit| Row {
            name,
            segment,
            limit,
            window: Window::default(),
            file: None,
            kept: 0,
            head_saved: false,
        };
        let size = segment(limit);
        Self {
            folder,
            output: row(OUTPUT, size, limit),
            errors: separate.then(|| Apart {
                row: row(ERRORS, size, limit),
                index: row(INDEX, INDEX_SEGMENT, INDEX_LIMIT),
                last: None,
                head: None,
            }),
            merged: 0,
        }
    }

    /// Adds bytes. `tight`: the row may not grow beyond the smallest.
    pub(super) fn append(&mut self, pipe: Pipe, bytes: &[u8], tight: bool) {
        if bytes.is_empty() {
            return;
        }
        if self.merged == 0 {
            // When it fails, so does the first write, which is where it is dealt with.
            let _ = fs::DirBuilder::new()
                .mode(0o700)
                .recursive(true)
                .create(&self.folder);
        }
        match &mut self.errors {
            None => self.output.append(&self.folder, bytes, tight),
            Some(apart) => {
                let row = match pipe {
                    Pipe::Output => &mut self.output,
                    Pipe::Errors => &mut apart.row,
                };
                let at = row.window.total;
                row.append(&self.folder, bytes, tight);
                apart.note(&self.folder, pipe, self.merged, at, bytes);
            }
        }
        self.merged += u64::try_from(bytes.len()).expect("a length fits");
    }

    /// What is kept: standard output, standard error, and the bytes of both.
    pub(super) fn windows(&self) -> (Window, Window, u64) {
        let errors = self.errors.as_ref().map(|apart| apart.row.window);
        (self.output.window, errors.unwrap_or_default(), self.merged)
    }

    /// Bytes on disk.
    pub(super) fn kept(&self) -> u64 {
        let apart = self.errors.as_ref();
        self.output.kept + apart.map_or(0, |apart| apart.row.kept + apart.index.kept)
    }

    /// Closes the files: nothing more comes.
    pub(super) fn close(&mut self) {
        self.output.file = None;
        if let Some(apart) = &mut self.errors {
            (apart.row.file, apart.index.file, apart.head) = (None, None, None);
        }
    }

    /// Gives up all but head and tail of the text answer.
    pub(super) fn trim(&mut self) {
        self.output.trim(&self.folder);
        if let Some(apart) = &mut self.errors {
            apart.row.trim(&self.folder);
        }
    }

    /// Removes everything from disk.
    pub(super) fn remove(self) {
        if self.merged > 0 {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

impl Apart {
    /// Notes a change of stream, and keeps the head of the merged view.
    fn note(&mut self, folder: &Path, pipe: Pipe, merged: u64, at: u64, bytes: &[u8]) {
        if self.last != Some(pipe) {
            self.last = Some(pipe);
            let mark = if pipe == Pipe::Errors { IS_STDERR } else { 0 };
            let mut record = [0; INDEX_RECORD];
            record[..8].copy_from_slice(&merged.to_le_bytes());
            record[8..].copy_from_slice(&(at | mark | IS_RECORD).to_le_bytes());
            self.index.append(folder, &record, false);
        }
        let head = u64::try_from(HEAD).expect("small");
        if merged < head {
            let room = usize::try_from(head - merged).expect("small");
            if self.head.is_none() {
                self.head = create(&folder.join(format!("{MERGED}.head"))).ok();
            }
            if let Some(file) = &self.head {
                let _ = file.write_all_at(&bytes[..bytes.len().min(room)], merged);
            }
        }
    }
}

/// One stream.
#[derive(Debug)]
struct Row {
    name: &'static str,
    segment: u64,
    limit: u64,
    window: Window,
    file: Option<(u64, File)>,
    kept: u64,
    head_saved: bool,
}

impl Row {
    fn append(&mut self, folder: &Path, mut bytes: &[u8], tight: bool) {
        while !bytes.is_empty() {
            let at = self.window.total % self.segment;
            let room = usize::try_from(self.segment - at).unwrap_or(usize::MAX);
            let (now, later) = bytes.split_at(bytes.len().min(room));
            let length = u64::try_from(now.len()).expect("a length fits");
            let number = self.window.total / self.segment;
            let written = self
                .current(folder, number, tight)
                .and_then(|file| file.write_all_at(now, at));
            self.window.total += length;
            match written {
                Ok(()) => self.kept += length,
                Err(error) => self.give_up(folder, &error),
            }
            bytes = later;
        }
    }

    /// The file with this number; made, and the oldest ones removed, when it is a new one.
    fn current(&mut self, folder: &Path, number: u64, tight: bool) -> io::Result<&File> {
        if self.file.as_ref().is_none_or(|(open, _)| *open != number) {
            self.file = None;
            let limit = if tight { SMALLEST } else { self.limit };
            let kept = limit.saturating_sub(self.segment);
            while self.window.total - self.window.start > kept {
                self.drop_oldest(folder);
            }
            self.file = Some((number, create(&self.path(folder, number))?));
        }
        let (_, file) = self.file.as_ref().expect("it was opened");
        Ok(file)
    }

    fn path(&self, folder: &Path, number: u64) -> PathBuf {
        folder.join(format!("{}.{number}", self.name))
    }

    fn drop_oldest(&mut self, folder: &Path) {
        let number = self.window.start / self.segment;
        if number == 0 {
            self.save_head(folder);
        }
        let _ = fs::remove_file(self.path(folder, number));
        let next = ((number + 1) * self.segment).min(self.window.total);
        self.kept = self.kept.saturating_sub(next - self.window.start);
        self.window.start = next;
    }

    /// Copies the first bytes to a file of their own, before the first file goes.
    fn save_head(&mut self, folder: &Path) {
        if self.head_saved || self.window.start > 0 || self.name == INDEX {
            return;
        }
        let mut head = vec![0; HEAD];
        let length = u64::try_from(HEAD).expect("small").min(self.window.total);
        head.truncate(usize::try_from(length).expect("small"));
        let path = folder.join(format!("{}.head", self.name));
        let saved = File::open(self.path(folder, 0))
            .and_then(|file| file.read_exact_at(&mut head, 0))
            .and_then(|()| create(&path)?.write_all_at(&head, 0));
        self.head_saved = saved.is_ok();
    }

    /// The disk is full or broken: what is on it goes, and the history begins behind what was lost.
    fn give_up(&mut self, folder: &Path, error: &io::Error) {
        tracing::warn!(%error, stream = self.name, "output cannot be kept");
        self.file = None;
        while self.window.start < self.window.total {
            self.drop_oldest(folder);
        }
        self.kept = 0;
    }

    /// Leaves only the last bytes, in sparse files of the same names.
    fn trim(&mut self, folder: &Path) {
        let tail = u64::try_from(HEAD).expect("small");
        let start = self.window.total.saturating_sub(tail);
        if start <= self.window.start {
            return;
        }
        while (self.window.start / self.segment) < start / self.segment {
            self.drop_oldest(folder);
        }
        if start <= self.window.start {
            return;
        }
        if self.window.start / self.segment == 0 {
            self.save_head(folder);
        }
        let number = start / self.segment;
        let path = self.path(folder, number);
        let end = self.window.total.min((number + 1) * self.segment);
        let mut bytes = vec![0; usize::try_from(end - start).expect("small")];
        let at = start % self.segment;
        let temporary = folder.join("trimmed");
        let replaced = File::open(&path)
            .and_then(|file| file.read_exact_at(&mut bytes, at))
            .and_then(|()| create(&temporary)?.write_all_at(&bytes, at))
            .and_then(|()| fs::rename(&temporary, &path));
        if replaced.is_err() {
            let _ = fs::remove_file(&path);
            self.window.start = end;
        } else {
            self.window.start = start;
        }
        self.kept = self.window.total - self.window.start;
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::{
        history::{History, View},
        record::Status,
    };

    fn reader(folder: &Path, limit: u64) -> History {
        History {
            folder: folder.to_owned(),
            segment: segment(limit),
            separate: true,
        }
    }

    fn status(spools: &Spools) -> Status {
        let (stdout, stderr, merged_total) = spools.windows();
        Status {
            stdout,
            stderr,
            merged_total,
            ..Status::running()
        }
    }

    /// The merged view from its oldest byte on, read in pieces of this size, and where that is.
    fn read(history: &History, status: &Status, piece: usize) -> (u64, Vec<u8>) {
        let (mut at, mut start, mut all) = (0, None, Vec::new());
        while at < status.merged_total {
            let found = history.read(status, View::Merged, at, piece);
            assert!(
                !found.bytes.is_empty() || found.start > at,
                "it goes on from {at}"
            );
            assert!(
                start.is_none() || found.start == at,
                "one gap, at the start"
            );
            start.get_or_insert(found.start);
            at = found.end();
            all.extend(found.bytes);
        }
        (start.unwrap_or(0), all)
    }

    #[test]
    fn the_merged_view_of_rows_that_wrapped_has_one_gap_and_then_everything() {
        let folder = tempfile::tempdir().expect("a folder");
        let limit = SMALLEST;
        let mut spools = Spools::new(folder.path().to_owned(), limit, true);
        let mut all = Vec::new();
        for number in 0..6000_usize {
            // One stream writes much more than the other, so that its row wraps much earlier.
            let (pipe, length) = match number % 7 {
                0 => (Pipe::Errors, 3 + number % 11),
                other => (Pipe::Output, 20 + other * (number % 13)),
            };
            let bytes: Vec<u8> = (0..length)
                .map(|at| (number * 31 + at).to_le_bytes()[0])
                .collect();
            spools.append(pipe, &bytes, false);
            all.extend(bytes);
        }
        let (history, status) = (reader(folder.path(), limit), status(&spools));
        assert!(status.stdout.start > 0 && status.stderr.start == 0);
        for piece in [16, 1000, 1 << 20] {
            let (start, bytes) = read(&history, &status, piece);
            let at = usize::try_from(start).expect("small");
            assert!(
                start > 0 && bytes == all[at..],
                "in pieces of {piece} from {start}"
            );
        }
    }

    #[test]
    fn records_that_could_not_be_written_are_a_gap_and_no_invention() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut spools = Spools::new(folder.path().to_owned(), SMALLEST, true);
        let index = folder.path().join("index.0");
        // In its place is a folder for a while, as if the disk had been full.
        fs::create_dir(&index).expect("made");
        for _ in 0..3 {
            spools.append(Pipe::Output, b"lost ", false);
            spools.append(Pipe::Errors, b"gone ", false);
        }
        fs::remove_dir(&index).expect("it is empty");
        for _ in 0..3 {
            spools.append(Pipe::Output, b"out ", false);
            spools.append(Pipe::Errors, b"err ", false);
        }
        let (history, status) = (reader(folder.path(), SMALLEST), status(&spools));
        assert_eq!(
            read(&history, &status, 16),
            (30, b"out err out err out err ".to_vec())
        );
    }
}
