//! The daemon under test, without a desktop.

use std::{
    fmt::Write as _,
    fs,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde_json::Value;

use crate::{
    Outcome,
    cleanup::Place,
    http::Client,
    process::{peak, reset_peak, resident},
    served::Served,
    wire::Wire,
};

/// A running daemon, and who asks it.
#[derive(Debug)]
pub(crate) struct Ours(Served);

impl Ours {
    /// Starts it.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        Ok(Self(Served::start(place)?))
    }

    /// A connection for requests and answers that fit into memory.
    pub(crate) fn client(&self) -> Outcome<Client> {
        self.0.client()
    }

    /// A connection for streams.
    pub(crate) fn wire(&self) -> Outcome<Wire> {
        Wire::connect(&self.0.address, &self.0.token)
    }

    /// Sends JSON, wants this status, and gives what came back with the time it took.
    pub(crate) fn post(&self, path: &str, body: &Value, status: u16) -> Outcome<(Duration, Value)> {
        let mut client = self.client()?;
        let request = client.post(path, &body.to_string());
        let answer = client.expect(&request, status)?;
        Ok((answer.taken, serde_json::from_slice(answer.body)?))
    }

    /// How much more memory was resident at once during some work than before it, in MiB.
    pub(crate) fn growth(&self, work: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
        let pid = self.0.pid();
        reset_peak(pid)?;
        let before = resident(pid)?;
        work()?;
        Ok((peak(pid)? - before) / 1024.0)
    }
}

/// A path as a query has it.
pub(crate) fn query(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.~".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// A path as JSON has it.
pub(crate) fn text(path: &Path) -> Outcome<&str> {
    Ok(path.to_str().ok_or("a path of ours is text")?)
}

/// A fresh name in a folder: nothing is there.
pub(crate) fn fresh(folder: &Path, name: &str) -> PathBuf {
    let path = folder.join(name);
    let _ = fs::remove_file(&path);
    let _ = fs::remove_dir_all(&path);
    path
}
