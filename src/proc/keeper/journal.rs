//! The journal: what the next keeper must know when this one is killed, too. One JSON object a line, only appended to.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::proc::record::{Applied, Ending, Record, State, Status};

/// Bytes after which it is written anew, if most of it is of no use any more.
const REWRITE: u64 = 4 << 20;

/// One line.
#[expect(clippy::large_enum_variant, reason = "one at a time, written or read")]
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Line<'a> {
    /// It is about to be started: `pid` is 0.
    Reserved(#[serde(borrow)] Known<'a>),
    /// It runs.
    Started {
        id: Uuid,
        pid: i32,
        birth: u64,
        started_ns: u64,
        #[serde(default)]
        applied: Applied,
    },
    /// Its state changed.
    Changed { id: Uuid, status: Status },
    /// It was not started, or is forgotten.
    Forgotten { id: Uuid },
}

/// A record that is borrowed when it is written and owned when it was read.
pub(super) type Known<'a> = std::borrow::Cow<'a, Record>;

/// The open file. A disk that is full costs the journal, never a process.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: Option<File>,
    length: u64,
}

impl Journal {
    /// Opens it, and reads what is in it. A line that is not whole is where its writer was killed.
    pub(super) fn open(path: PathBuf, now_ns: u64) -> (Self, Vec<Record>) {
        let records = read(&path, now_ns);
        let mut journal = Self {
            path,
            file: None,
            length: 0,
        };
        journal.rewrite(records.iter());
        (journal, records)
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &Line<'_>) {
        let Some(file) = &mut self.file else { return };
        let mut text = serde_json::to_vec(line).expect("plain data");
        text.push(b'\n');
        // One call for each line, so that what is there is whole lines whenever we are killed.
        match file.write_all(&text) {
            Ok(()) => self.length += u64::try_from(text.len()).expect("a length fits"),
            Err(error) => {
                tracing::warn!(%error, "the journal cannot be written");
                self.length = u64::MAX; // tried again with the next rewriting
            }
        }
    }

    /// Whether it should be written anew, given how many records are alive.
    pub(super) fn is_long(&self, records: usize) -> bool {
        let useful = u64::try_from(records).expect("a count fits") * 4096;
        self.length > REWRITE.max(useful)
    }

    /// Writes it anew with just these.
    pub(super) fn rewrite<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        let temporary = self.path.with_extension("new");
        let written = (|| {
            let mut file = OpenOptions::new()
                .create(true)
                .write(true)
                .truncate(true)
                .mode(0o600)
                .open(&temporary)?;
            let mut text = Vec::new();
            for record in records {
                serde_json::to_writer(&mut text, &Line::Reserved(Known::Borrowed(record)))?;
                text.push(b'\n');
            }
            file.write_all(&text)?;
            std::fs::rename(&temporary, &self.path)?;
            Ok::<_, io::Error>((file, text.len()))
        })();
        match written {
            Ok((file, length)) => {
                self.file = Some(file);
                self.length = u64::try_from(length).expect("a length fits");
            }
            Err(error) => tracing::warn!(%error, "the journal cannot be written anew"),
        }
    }
}

/// Who was not seen to end is lost; who was never started, too, but it is said so.
fn read(path: &Path, now_ns: u64) -> Vec<Record> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let mut records: HashMap<Uuid, Record> = HashMap::new();
    for line in BufReader::new(file).split(b'\n') {
        let Ok(line) = line else { break };
        match serde_json::from_slice::<Line<'_>>(&line) {
            Ok(Line::Reserved(record)) => {
                records.insert(record.id, record.into_owned());
            }
            Ok(Line::Started {
                id,
                pid,
                birth,
                started_ns,
                applied,
            }) => {
                if let Some(record) = records.get_mut(&id) {
                    (record.pid, record.birth) = (pid, birth);
                    (record.started_ns, record.applied) = (started_ns, applied);
                }
            }
            Ok(Line::Changed { id, status }) => {
                if let Some(record) = records.get_mut(&id) {
                    record.status = status;
                }
            }
            Ok(Line::Forgotten { id }) => {
                records.remove(&id);
            }
            Err(error) => tracing::warn!(%error, "a line of the journal is not whole"),
        }
    }
    for record in records.values_mut() {
        if record.status.state == State::Exited {
            continue;
        }
        let ending = if record.pid == 0 {
            Ending::SpawnFailed {
                message: "the keeper of processes ended before it was executed".to_owned(),
            }
        } else {
            Ending::Lost {
                message: "the keeper of processes was not there when it ended".to_owned(),
            }
        };
        record.status.close(ending, now_ns);
    }
    records.into_values().collect()
}
