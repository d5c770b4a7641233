//! Log files of children: appended to by the child itself, so that it may outlive us, and kept small by us.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::inotify::{CreateFlags, WatchFlags, add_watch, init},
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use super::descriptor::readable;

/// A log is cut when it is longer than this, in bytes.
pub const LIMIT: u64 = 1 << 20;
/// What is kept of a log that is cut, in bytes.
const KEEP: u64 = 256 << 10;

/// Opens a log for a child to append to; made if missing, readable by its owner alone.
pub fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
}

/// The last lines of a log, oldest first; as far as the file can be read. Bytes that are no UTF-8 are replaced.
pub fn tail(path: &Path, lines: usize) -> Vec<String> {
    let bytes = last_bytes(path, 64 << 10).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let skip = all.len().saturating_sub(lines);
    all[skip..].iter().map(|line| (*line).to_owned()).collect()
}

fn last_bytes(path: &Path, count: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(count)))?;
    let mut bytes = Vec::new();
    file.take(count).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Cuts a log that is over [`LIMIT`] to its last part, from the start of a line. What the child writes in the same
/// moment may be lost; its next line is appended as before.
pub fn trim(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.len() <= LIMIT {
        return Ok(());
    }
    let bytes = last_bytes(path, KEEP)?;
    let start = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let mut file = OpenOptions::new().append(true).open(path)?;
    file.set_len(0)?;
    file.write_all(&bytes[start..])
}

/// Tells when files are written to, by inotify.
#[derive(Debug)]
pub struct Watch {
    inotify: AsyncFd<OwnedFd>,
}

impl Watch {
    /// Watches these files, which must exist. Needs a tokio runtime.
    pub fn new<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> io::Result<Self> {
        let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        for path in paths {
            add_watch(&inotify, path, WatchFlags::MODIFY)?;
        }
        let inotify = readable(inotify)?;
        Ok(Self { inotify })
    }

    /// Resolves when one of them was written to since the last call. May be dropped and called again.
    pub async fn written(&self) -> io::Result<()> {
        let mut events = [0; 4096];
        loop {
            let mut ready = self.inotify.readable().await?;
            match rustix::io::read(self.inotify.get_ref(), &mut events) {
                Ok(_) => return Ok(()),
                Err(Errno::AGAIN) => ready.clear_ready(),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// Keeps the logs under [`LIMIT`] for as long as it is polled; ends with an error when the system's watches do.
pub async fn keep_bounded(paths: Vec<PathBuf>) -> io::Result<()> {
    let watch = Watch::new(&paths)?;
    loop {
        for path in &paths {
            if let Err(error) = trim(path) {
                tracing::debug!(path = %path.display(), %error, "a log cannot be cut");
            }
        }
        watch.written().await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn tail_gives_the_last_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        assert!(tail(&path, 3).is_empty(), "no file, no lines");
        open(&path)
            .expect("a log")
            .write_all(b"a\nb\n\nc\xff\nd")
            .expect("writing");
        assert_eq!(tail(&path, 2), ["c\u{fffd}", "d"]);
        assert_eq!(tail(&path, 20).len(), 4);
    }

    #[test]
    fn trim_keeps_the_end_and_the_writers_go_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut file = open(&path).expect("a log");
        let line = format!("{}\n", "x".repeat(99));
        for _ in 0..=(LIMIT / 100) {
            file.write_all(line.as_bytes()).expect("writing");
        }
        trim(&path).expect("trimming");
        file.write_all(b"last\n").expect("writing");
        let text = fs::read_to_string(&path).expect("the log");
        assert!(text.len() < 257 << 10, "{}", text.len());
        assert!(text.starts_with('x') && text.ends_with("x\nlast\n"));
        assert!(text.lines().all(|line| line.len() == 99 || line == "last"));
    }

    #[tokio::test]
    async fn a_write_wakes_the_watch() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut file = open(&path).expect("a log");
        let watch = Watch::new([&path]).expect("inotify");
        file.write_all(b"x").expect("writing");
        tokio::time::timeout(Duration::from_secs(10), watch.written())
            .await
            .expect("in time")
            .expect("inotify works");
    }
}
