//! The record of a running desktop in the state folder, by which the next daemon finds and adopts it.

use std::{
    fs, io,
    io::Write,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::provider::{Provider, RfbAddress};
use crate::sys::child::Process;

/// Variable in the environment of everything that is started for a desktop; its value is the session's id.
pub const MARKER: &str = "_DESKD_SESSION";

/// Who a process is, for good: numbers are used again, numbers with start times are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProcessId {
    /// Process id.
    pub pid: i32,
    /// Ticks from boot to its start.
    pub started: u64,
}

impl From<&Process> for ProcessId {
    fn from(process: &Process) -> Self {
        Self {
            pid: process.pid(),
            started: process.started(),
        }
    }
}

/// A running desktop, as far as someone who finds it later must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Sixteen hexadecimal digits, the value of [`MARKER`].
    pub id: String,
    /// Who runs it.
    pub provider: Provider,
    /// `:N`.
    pub display: String,
    /// Folder of its sockets and secrets.
    pub runtime: PathBuf,
    /// Cookie file.
    pub xauthority: Option<PathBuf>,
    /// Where RFB is spoken.
    pub rfb: RfbAddress,
    /// The X server.
    pub server: ProcessId,
    /// The program that started the X server, where that was not us.
    pub launcher: Option<ProcessId>,
    /// The window manager, where we started it.
    pub window_manager: Option<ProcessId>,
}

impl Session {
    /// The entry that marks the environment of all its processes.
    pub fn mark(id: &str) -> Vec<u8> {
        format!("{MARKER}={id}").into_bytes()
    }
}

/// Wire form of the file. `version` is for daemons to come: another number is not adopted, only cleared away.
#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    id: String,
    provider: String,
    display: String,
    runtime: PathBuf,
    xauthority: Option<PathBuf>,
    rfb_path: Option<PathBuf>,
    rfb_address: Option<SocketAddr>,
    server: (i32, u64),
    launcher: Option<(i32, u64)>,
    window_manager: Option<(i32, u64)>,
}

const VERSION: u32 = 1;

/// Writes the record, whole or not at all, readable by its owner alone.
pub fn write(path: &Path, session: &Session) -> io::Result<()> {
    let pair = |id: ProcessId| (id.pid, id.started);
    let (rfb_path, rfb_address) = match &session.rfb {
        RfbAddress::Unix(path) => (Some(path.clone()), None),
        RfbAddress::Tcp(address) => (None, Some(*address)),
    };
    let record = Record {
        version: VERSION,
        id: session.id.clone(),
        provider: session.provider.name().to_owned(),
        display: session.display.clone(),
        runtime: session.runtime.clone(),
        xauthority: session.xauthority.clone(),
        rfb_path,
        rfb_address,
        server: pair(session.server),
        launcher: session.launcher.map(pair),
        window_manager: session.window_manager.map(pair),
    };
    replace(path, &serde_json::to_vec(&record)?)
}

/// Writes that a session with this id is being started: if we are killed before it is up, the next daemon ends what
/// there is of it.
pub fn announce(path: &Path, id: &str) -> io::Result<()> {
    replace(
        path,
        serde_json::json!({ "version": 0, "id": id })
            .to_string()
            .as_bytes(),
    )
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(bytes)?;
    fs::rename(&draft, path)
}

/// What the state folder says about an earlier desktop.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A desktop that may still run.
    Session(Box<Session>),
    /// A file that is no record of ours, or of another version: with its id, where it has one, what is left of it can
    /// be ended.
    Unreadable(Option<String>),
}

/// Reads the record.
pub fn read(path: &Path) -> Found {
    match fs::read(path) {
        Ok(bytes) => parse(&bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Found::Nothing,
        Err(_) => Found::Unreadable(None),
    }
}

fn parse(bytes: &[u8]) -> Found {
    let id = || {
        let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        value
            .get("id")?
            .as_str()
            .filter(|id| is_id(id))
            .map(str::to_owned)
    };
    serde_json::from_slice(bytes)
        .ok()
        .and_then(session)
        .map_or_else(
            || Found::Unreadable(id()),
            |session| Found::Session(Box::new(session)),
        )
}

fn session(record: Record) -> Option<Session> {
    let id = |(pid, started)| ProcessId { pid, started };
    let rfb = match (record.rfb_path, record.rfb_address) {
        (Some(path), None) => RfbAddress::Unix(path),
        (None, Some(address)) => RfbAddress::Tcp(address),
        _ => return None,
    };
    let folder = format!("desktop-{}", record.id);
    let ours = record.version == VERSION && is_id(&record.id) && record.runtime.ends_with(folder);
    ours.then_some(())?;
    Some(Session {
        id: record.id,
        provider: Provider::by_name(&record.provider)?,
        display: record.display,
        runtime: record.runtime,
        xauthority: record.xauthority,
        rfb,
        server: id(record.server),
        launcher: record.launcher.map(id),
        window_manager: record.window_manager.map(id),
    })
}

/// Sixteen hexadecimal digits, and nothing that could lead out of a folder.
fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// A new id.
pub fn new_id() -> io::Result<String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session() -> Session {
        let process = |pid| ProcessId { pid, started: 77 };
        Session {
            id: "0123456789abcdef".to_owned(),
            provider: Provider::Xvnc,
            display: ":7".to_owned(),
            runtime: "/run/desktop-0123456789abcdef".into(),
            xauthority: Some("/run/x/xauthority".into()),
            rfb: RfbAddress::Unix("/run/x/rfb.sock".into()),
            server: process(12),
            launcher: None,
            window_manager: Some(process(13)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("session.json");
        assert_eq!(read(&path), Found::Nothing);
        write(&path, &session()).expect("writing");
        assert_eq!(read(&path), Found::Session(Box::new(session())));
        let tcp = Session {
            rfb: RfbAddress::Tcp(([127, 0, 0, 1], 5901).into()),
            ..session()
        };
        write(&path, &tcp).expect("writing");
        assert_eq!(read(&path), Found::Session(Box::new(tcp)));
    }

    #[test]
    fn rubbish_is_told_from_nothing() {
        assert_eq!(parse(b"{"), Found::Unreadable(None));
        assert_eq!(parse(br#"{"id":"../../x"}"#), Found::Unreadable(None));
        let old = br#"{"version":0,"id":"0123456789abcdef"}"#;
        assert_eq!(
            parse(old),
            Found::Unreadable(Some("0123456789abcdef".to_owned()))
        );
    }

    #[test]
    fn ids_are_ids() {
        assert!(is_id(&new_id().expect("random bytes")));
        assert!(!is_id("../../../../etc/"));
    }
}
