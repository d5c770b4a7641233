//! Reading what a process has printed: pieces from a cursor, head and tail, and honest gaps. The other side is
//! `keeper::spool`, whose module describes the files.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::record::{Status, Window};

/// Names of the rows of files.
pub(super) const OUTPUT: &str = "out";
pub(super) const ERRORS: &str = "err";
pub(super) const INDEX: &str = "index";
pub(super) const MERGED: &str = "merged";
/// Bytes at the start of each view that are kept for as long as its entry; half of what a text answer shows.
pub const HEAD_BYTES: usize = 16 << 10;
pub(super) use HEAD_BYTES as HEAD;
/// One record of the index.
pub(super) const INDEX_RECORD: usize = 16;
/// Bytes in a file of the index.
pub(super) const INDEX_SEGMENT: u64 = 64 << 10;
/// Bit of an index record that says standard error.
pub(super) const IS_STDERR: u64 = 1 << 63;
/// Bit that every index record has. Where one could not be written there is a hole, which reads as zeroes.
pub(super) const IS_RECORD: u64 = 1 << 62;

/// A sequence of bytes with offsets from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum View {
    /// Both streams, in the order in which they were read.
    #[default]
    Merged,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// Bytes of a view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Offset of the first one: the cursor, or behind it when older ones are gone.
    pub start: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Which stream how many of them are of, one after the other.
    pub runs: Vec<(View, usize)>,
}

impl Piece {
    /// Offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.start + u64::try_from(self.bytes.len()).expect("a length fits")
    }
}

/// The files of one process, and how they are cut.
#[derive(Clone, Debug)]
pub struct History {
    /// Its folder; not there before the first byte.
    pub(super) folder: PathBuf,
    /// Bytes in a file.
    pub(super) segment: u64,
    /// Standard error is apart.
    pub(super) separate: bool,
}

impl History {
    /// Bytes that the view ever had.
    pub fn total(status: &Status, view: View) -> u64 {
        match view {
            View::Merged => status.merged_total,
            View::Stdout => status.stdout.total,
            View::Stderr => status.stderr.total,
        }
    }

    /// At most `limit` bytes from the cursor on; fewer only at the end, at a gap, or where a file ends. The status must
    /// have been taken before. Blocks for reads of files.
    pub fn read(&self, status: &Status, view: View, from: u64, limit: usize) -> Piece {
        match view {
            View::Merged if self.separate => self.read_merged(status, from, limit),
            View::Merged | View::Stdout => self.read_row(View::Stdout, status.stdout, from, limit),
            View::Stderr => self.read_row(View::Stderr, status.stderr, from, limit),
        }
    }

    /// The first bytes of a view, as far as they are kept; at most [`HEAD`] are when the view has become long.
    pub fn head(&self, status: &Status, view: View, length: usize) -> Vec<u8> {
        let name = match view {
            View::Merged if self.separate => MERGED,
            View::Merged | View::Stdout => OUTPUT,
            View::Stderr => ERRORS,
        };
        let piece = self.read(status, view, 0, length);
        if piece.start == 0
            && (piece.bytes.len() == length || piece.end() == Self::total(status, view))
        {
            return piece.bytes;
        }
        let mut bytes = vec![0; length];
        let read = File::open(self.folder.join(format!("{name}.head")))
            .and_then(|file| read_up_to(&file, &mut bytes, 0));
        bytes.truncate(read.unwrap_or(0));
        if piece.start == 0 && piece.bytes.len() > bytes.len() {
            return piece.bytes;
        }
        bytes
    }

    fn read_row(&self, stream: View, window: Window, from: u64, limit: usize) -> Piece {
        let name = if stream == View::Stderr {
            ERRORS
        } else {
            OUTPUT
        };
        let mut at = from.max(window.start);
        let mut bytes = Vec::new();
        let mut start = at;
        while at < window.total && bytes.len() < limit {
            let (number, offset) = (at / self.segment, at % self.segment);
            let left = u64::try_from(limit - bytes.len()).expect("a length fits");
            let wanted = left.min(self.segment - offset).min(window.total - at);
            let before = bytes.len();
            bytes.resize(
                before + usize::try_from(wanted).expect("below the limit"),
                0,
            );
            let read = File::open(self.folder.join(format!("{name}.{number}")))
                .and_then(|file| read_up_to(&file, &mut bytes[before..], offset))
                .unwrap_or(0);
            bytes.truncate(before + read);
            at += u64::try_from(read).expect("a length fits");
            if bytes.is_empty() {
                // The file went after the status was taken.
                at = ((number + 1) * self.segment).min(window.total);
                start = at;
            } else if read == 0 {
                break;
            }
        }
        let runs = if bytes.is_empty() {
            Vec::new()
        } else {
            vec![(stream, bytes.len())]
        };
        Piece { start, bytes, runs }
    }

    /// Follows the index through both rows; what is missing of either ends the piece, or moves its start.
    fn read_merged(&self, status: &Status, from: u64, limit: usize) -> Piece {
        let total = status.merged_total;
        let changes = self.index(total);
        let mut at = from.max(oldest(&changes, status));
        let mut piece = Piece {
            start: at,
            ..Piece::default()
        };
        let first = changes.partition_point(|change| change.merged <= at);
        let mut next = first.saturating_sub(1);
        while at < total && piece.bytes.len() < limit {
            let change = &changes[next];
            let end = changes.get(next + 1).map_or(total, |change| change.merged);
            let offset = change.offset + (at - change.merged);
            let window = match change.stream {
                View::Stderr => status.stderr,
                View::Stdout | View::Merged => status.stdout,
            };
            let room = limit - piece.bytes.len();
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX).min(room);
            let part = self.read_row(change.stream, window, offset, wanted);
            if part.start != offset {
                if !piece.bytes.is_empty() {
                    break;
                }
                at = (at + (part.start - offset)).min(end);
                piece.start = at;
                if at < end {
                    continue;
                }
            }
            if part.bytes.is_empty() && at < end {
                break;
            }
            at += u64::try_from(part.bytes.len()).expect("a length fits");
            piece.runs.extend(part.runs);
            piece.bytes.extend(part.bytes);
            if at >= end {
                next += 1;
                if next >= changes.len() {
                    break;
                }
            }
        }
        piece
    }

    fn index(&self, total: u64) -> Vec<Change> {
        let mut all = Vec::new();
        let mut numbers: Vec<u64> = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| {
                let name = entry.ok()?.file_name();
                name.to_str()?.strip_prefix("index.")?.parse().ok()
            })
            .collect();
        numbers.sort_unstable();
        for number in numbers {
            let Ok(bytes) = std::fs::read(self.folder.join(format!("{INDEX}.{number}"))) else {
                all.clear();
                continue;
            };
            all.extend(bytes.chunks_exact(INDEX_RECORD).filter_map(Change::decode));
        }
        all.retain(|change: &Change| change.merged < total);
        all
    }
}

/// From here on the merged view has bytes of this stream, from this offset of it.
#[derive(Clone, Copy, Debug)]
struct Change {
    merged: u64,
    stream: View,
    offset: u64,
}

impl Change {
    /// `None` for a hole.
    fn decode(record: &[u8]) -> Option<Self> {
        let number = |at: usize| {
            let bytes = record[at..at + 8].try_into().expect("eight bytes");
            u64::from_le_bytes(bytes)
        };
        let (merged, marked) = (number(0), number(8));
        let stream = if marked & IS_STDERR == 0 {
            View::Stdout
        } else {
            View::Stderr
        };
        (marked & IS_RECORD != 0).then_some(Self {
            merged,
            stream,
            offset: marked & !(IS_STDERR | IS_RECORD),
        })
    }
}

/// Offset in the merged view after which nothing of either stream is missing.
fn oldest(changes: &[Change], status: &Status) -> u64 {
    let Some(first) = changes.first() else {
        return status.merged_total;
    };
    let kept = [
        (View::Stdout, status.stdout.start),
        (View::Stderr, status.stderr.start),
    ];
    let oldest_of = |(stream, start): (View, u64)| {
        let mut runs = changes.iter().rev().filter(|run| run.stream == stream);
        // The run with the oldest byte that is kept; without one, all runs of the stream begin behind it.
        let run = runs.find(|run| run.offset <= start)?;
        (start > 0).then(|| run.merged + (start - run.offset))
    };
    kept.into_iter()
        .filter_map(oldest_of)
        .max()
        .unwrap_or(0)
        .max(first.merged)
        .min(status.merged_total)
}

fn read_up_to(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut done = 0;
    while done < bytes.len() {
        let at = offset + u64::try_from(done).expect("a length fits");
        match file.read_at(&mut bytes[done..], at) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// The folder of a process below the one of all.
pub(super) fn folder(all: &Path, id: uuid::Uuid) -> PathBuf {
    all.join(super::wire::HISTORY).join(id.to_string())
}
