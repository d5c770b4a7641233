//! Who runs the desktop: the choice of a provider, and what each one gives back.

pub mod host;
pub mod portabledesktop;
pub mod xvnc;

use std::{
    fs, io,
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, OpenOptionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
};

pub use super::rfb::RfbAddress;
use super::{Config, StartError, command::Environment, session, x11};
use crate::sys::{child::Process, logfile, procfs};

/// Who runs the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Provider {
    /// TigerVNC's Xvnc and openbox, started by us.
    Xvnc,
    /// The program `portabledesktop`.
    Portabledesktop,
    /// Nobody: a desktop that is there already.
    Host,
}

impl Provider {
    /// Its name in configuration and answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xvnc => "xvnc",
            Self::Portabledesktop => "portabledesktop",
            Self::Host => "host",
        }
    }

    /// The one with this name.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::Xvnc, Self::Portabledesktop, Self::Host]
            .into_iter()
            .find(|one| one.name() == name)
    }
}

/// Programs of a running desktop. Dropping it leaves them running.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    /// The X server: the desktop lives as long as it does.
    pub server: Option<Arc<Process>>,
    /// The program that started the X server, where that was not us.
    pub launcher: Option<Arc<Process>>,
    /// The window manager, where we started it.
    pub window_manager: Option<Arc<Process>>,
    /// The D-Bus daemon, where there is one and we started it in this life of the daemon.
    pub bus: Option<Arc<Process>>,
    /// `:N`, once it is known.
    pub display: Option<String>,
}

impl Parts {
    /// All that are there.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Process>> {
        [
            &self.launcher,
            &self.server,
            &self.window_manager,
            &self.bus,
        ]
        .into_iter()
        .flatten()
    }
}

/// Where a desktop is, once its X server has a display.
#[derive(Clone, Debug)]
pub struct Place {
    /// Display and cookie.
    pub address: x11::Address,
    /// Cookie file for programs.
    pub xauthority: Option<PathBuf>,
    /// Where RFB is spoken; `None` where nobody speaks it.
    pub rfb: Option<RfbAddress>,
    /// What programs on the desktop get.
    pub environment: Environment,
}

/// The files of one session: a folder in the runtime folder for sockets and secrets, and logs in the state folder,
/// which outlive it.
#[derive(Clone, Debug)]
pub struct Folder {
    /// The session's id.
    pub id: String,
    runtime: PathBuf,
    state: PathBuf,
}

impl Folder {
    /// The folders of the session with this id, made or not.
    pub fn new(config: &Config, id: String) -> Self {
        Self {
            runtime: config.runtime_dir.join(format!("desktop-{id}")),
            state: config.state_dir.join("desktop"),
            id,
        }
    }

    /// The folders of a session that was found.
    pub fn found(config: &Config, found: &session::Session) -> Self {
        Self {
            runtime: found.runtime.clone(),
            ..Self::new(config, found.id.clone())
        }
    }

    /// Makes both for a new session, for their owner alone.
    pub fn create(config: &Config) -> Result<Self, StartError> {
        let folder = Self::new(config, session::new_id().map_err(StartError::Random)?);
        for path in [&folder.runtime, &folder.state] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(path)
                .map_err(|source| file_error(path, source))?;
        }
        // sun_path holds 108 bytes, one of them the end.
        let longest = folder.rfb();
        if longest.as_os_str().len() > 107 {
            return Err(StartError::SocketPath(longest));
        }
        Ok(folder)
    }

    /// A file in the runtime folder.
    fn runtime_file(&self, name: &str) -> PathBuf {
        self.runtime.join(name)
    }

    /// The folder of sockets and secrets.
    pub fn runtime(&self) -> &Path {
        &self.runtime
    }

    /// The cookie file.
    pub fn xauthority(&self) -> PathBuf {
        self.runtime_file("xauthority")
    }

    /// The RFB socket.
    pub fn rfb(&self) -> PathBuf {
        self.runtime_file("rfb.sock")
    }

    /// The D-Bus socket.
    pub fn bus(&self) -> PathBuf {
        self.runtime_file("bus")
    }

    /// The log of a program.
    pub fn log(&self, program: &str) -> PathBuf {
        self.state.join(format!("{program}.log"))
    }

    /// The record for the next daemon.
    pub fn record(&self) -> PathBuf {
        record(&self.state)
    }

    /// Writes a file into the runtime folder, readable by its owner alone.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<PathBuf, StartError> {
        use io::Write;
        let path = self.runtime_file(name);
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(|source| file_error(&path, source))?;
        Ok(path)
    }

    /// Opens a log for a program to append to.
    pub fn open_log(&self, program: &str) -> Result<fs::File, StartError> {
        let path = self.log(program);
        logfile::open(&path).map_err(|source| file_error(&path, source))
    }

    /// Error of a program that ended, with the end of its log.
    pub fn ended(&self, program: &str, ending: crate::sys::child::Ending) -> StartError {
        StartError::Ended {
            program: program.to_owned(),
            ending,
            log_tail: logfile::tail(&self.log(program), LOG_TAIL),
        }
    }
}

/// Lines of a log that go into an error.
pub const LOG_TAIL: usize = 20;

/// The record for the next daemon, in the state folder of the desktop.
fn record(state: &Path) -> PathBuf {
    state.join("session.json")
}

/// The record for the next daemon.
pub fn record_of(config: &Config) -> PathBuf {
    record(&config.state_dir.join("desktop"))
}

fn file_error(path: &Path, source: io::Error) -> StartError {
    StartError::File {
        path: path.to_owned(),
        source,
    }
}

/// Finds a program by its configured name or path.
pub fn find(config: &Config, program: &Path) -> Option<PathBuf> {
    let path = config
        .base_env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map_or(&b"/usr/local/bin:/usr/bin:/bin"[..], |(_, value)| {
            value.as_bytes()
        });
    procfs::find_program(program, path)
}

/// Finds a program that must be there.
pub fn need(config: &Config, program: &Path) -> Result<PathBuf, StartError> {
    find(config, program).ok_or_else(|| StartError::NotFound {
        program: program.to_owned(),
    })
}

/// The provider to use: the configured one, or the first that this machine can run.
pub fn choose(config: &Config) -> Result<Provider, StartError> {
    if let Some(provider) = config.provider {
        return Ok(provider);
    }
    if find(config, &config.xvnc_bin).is_some()
        && find(config, &config.window_manager_bin).is_some()
    {
        Ok(Provider::Xvnc)
    } else if find(config, &config.portabledesktop_bin).is_some() {
        Ok(Provider::Portabledesktop)
    } else if host::SUPPORTED && config.host_display.is_some() {
        Ok(Provider::Host)
    } else {
        let names = [
            &config.xvnc_bin,
            &config.window_manager_bin,
            &config.portabledesktop_bin,
        ];
        Err(StartError::NothingInstalled {
            tried: names.map(|name| name.display().to_string()).into(),
        })
    }
}
