//! The provider `xvnc`: TigerVNC's Xvnc, openbox and, where there is one, a D-Bus daemon, all from the distribution.

use std::{os::fd::OwnedFd, path::Path, sync::Arc, time::Duration};

use rustix::fs::{OFlags, fcntl_setfl};

use super::{Config, Folder, Parts, Place, RfbAddress, StartError, find, need};
use crate::{
    desktop::{authority, command, command::Environment, error::Step, x11::Address},
    sys::{
        child::{Process, Spec},
        descriptor::readable,
    },
};

const CONFIGURATION: &str = include_str!("../../../assets/session/rc.xml");
const MENU: &str = include_str!("../../../assets/session/menu.xml");

/// Starts the programs. What was started is in `parts` at once, also when this fails or is dropped half way.
pub async fn launch(
    config: &Config,
    folder: &Folder,
    parts: &mut Parts,
) -> Result<Place, StartError> {
    let server = need(config, &config.xvnc_bin)?;
    let cookie = new_cookie(folder)?;
    let base = command::base_environment(&config.base_env, &folder.id);
    let (reader, writer) = std::io::pipe().map_err(|source| StartError::File {
        path: "a pipe".into(),
        source,
    })?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&writer);
    let arguments = command::xvnc(number, config.size, &folder.xauthority(), &folder.rfb());
    let spec = Spec::new(server).arguments(arguments).pass(writer.into());
    let server = parts
        .server
        .insert(start(spec, &base, folder, "xvnc")?)
        .clone();
    // The X server takes its time; what does not need it starts beside it.
    let bus = start_bus(config, folder, &base, parts)?;
    write_configuration(folder)?;
    let display = tokio::select! {
        biased;
        display = read_display(reader.into(), config.limits.display) => match display {
            Err(StartError::Display(text)) if text.is_empty() => {
                return Err(folder.ended("xvnc", server.wait().await));
            }
            other => other?,
        },
        ending = server.wait() => return Err(folder.ended("xvnc", ending)),
    };
    parts.display = Some(display.clone());
    let xauthority = folder.xauthority();
    let environment = command::desktop_environment(
        &base,
        &display,
        Some(&xauthority),
        bus.then(|| folder.bus()).as_deref(),
    );
    let place = Place {
        address: Address {
            display,
            cookie: Some(cookie),
        },
        xauthority: Some(xauthority),
        rfb: Some(RfbAddress::Unix(folder.rfb())),
        environment,
    };
    parts.window_manager = Some(start_window_manager(config, folder, &place.environment)?);
    Ok(place)
}

/// Starts the window manager on a running desktop.
pub fn start_window_manager(
    config: &Config,
    folder: &Folder,
    desktop: &Environment,
) -> Result<Arc<Process>, StartError> {
    let program = need(config, &config.window_manager_bin)?;
    let configuration = folder.runtime().join("rc.xml");
    let spec = Spec::new(program).arguments(command::openbox(&configuration));
    let environment = command::window_manager_environment(desktop);
    start(spec, &environment, folder, "openbox")
}

/// Writes the files that the window manager reads.
pub fn write_configuration(folder: &Folder) -> Result<(), StartError> {
    let menu = folder.write("menu.xml", MENU.as_bytes())?;
    let configuration = command::openbox_configuration(CONFIGURATION, &menu);
    folder.write("rc.xml", configuration.as_bytes())?;
    Ok(())
}

fn new_cookie(folder: &Folder) -> Result<authority::Cookie, StartError> {
    let mut cookie = [0; 16];
    getrandom::fill(&mut cookie)
        .map_err(|error| StartError::Random(std::io::Error::other(error)))?;
    let host = std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
    // No display number in the file: the server chooses it after it has read this.
    folder.write(
        "xauthority",
        &authority::encode(host.trim_ascii_end(), "", &cookie),
    )?;
    Ok(cookie)
}

fn start_bus(
    config: &Config,
    folder: &Folder,
    base: &Environment,
    parts: &mut Parts,
) -> Result<bool, StartError> {
    let Some(program) = find(config, Path::new("dbus-daemon")) else {
        return Ok(false);
    };
    let spec = Spec::new(program).arguments(command::dbus_daemon(&folder.bus()));
    parts.bus = Some(start(spec, base, folder, "dbus")?);
    Ok(true)
}

fn start(
    spec: Spec,
    environment: &Environment,
    folder: &Folder,
    log: &str,
) -> Result<Arc<Process>, StartError> {
    let errors = folder.open_log(log)?;
    let output = errors.try_clone().map_err(|source| StartError::File {
        path: folder.log(log),
        source,
    })?;
    let home = environment.iter().find(|(name, _)| name == "HOME");
    let home = home
        .map(|(_, value)| Path::new(value))
        .filter(|path| path.is_dir());
    spec.environment(environment)
        .directory(home.unwrap_or(Path::new("/")))
        .output(output)
        .errors(errors)
        .start()
        .map(Arc::new)
        .map_err(StartError::Program)
}

/// Reads the line that the server writes when it takes connections. An empty [`StartError::Display`] means that it
/// closed the pipe without a word.
async fn read_display(reader: OwnedFd, limit: Duration) -> Result<String, StartError> {
    let line = tokio::time::timeout(limit, read_line(reader)).await;
    let line = line.map_err(|_| StartError::TimedOut {
        step: Step::Display,
        limit,
    })?;
    let number = line.trim_end();
    if number.parse::<u16>().is_err() {
        return Err(StartError::Display(number.to_owned()));
    }
    Ok(format!(":{number}"))
}

/// A short line from a pipe; what there is of it when the pipe closes or fails.
async fn read_line(reader: OwnedFd) -> String {
    let mut line = Vec::new();
    let watched = fcntl_setfl(&reader, OFlags::NONBLOCK).map_err(std::io::Error::from);
    let Ok(reader) = watched.and_then(|()| readable(reader)) else {
        return String::new();
    };
    while !line.ends_with(b"\n") && line.len() < 64 {
        let Ok(mut ready) = reader.readable().await else {
            break;
        };
        let mut buffer = [0; 16];
        match ready.try_io(|pipe| Ok(rustix::io::read(pipe.get_ref(), &mut buffer)?)) {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(count)) => line.extend(&buffer[..count]),
            Err(_) => {}
        }
    }
    String::from_utf8_lossy(&line).into_owned()
}
