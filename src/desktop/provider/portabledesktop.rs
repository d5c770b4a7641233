//! The provider `portabledesktop`: a program that starts a desktop and says where it is, in one line of JSON.

use std::{
    fs, io, net,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use serde_json::Value;

use super::{Config, Folder, Parts, Place, RfbAddress, StartError, file_error, need};
use crate::{
    desktop::{authority, command, error::Step, geometry::Size, x11::Address},
    sys::{
        child::{Process, Spec},
        logfile::Watch,
    },
};

/// Longest line we read of it, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// What the program says of its desktop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// `:N`.
    pub display: String,
    /// RFB port on loopback.
    pub port: u16,
    /// Size of the screen.
    pub geometry: Size,
    /// The X server.
    pub server: i32,
}

/// Starts the program and waits for its line. What was started is in `parts` at once.
pub async fn launch(
    config: &Config,
    folder: &Folder,
    parts: &mut Parts,
) -> Result<Place, StartError> {
    let program = need(config, &config.portabledesktop_bin)?;
    warn_about_tcp();
    let mut base = command::base_environment(&config.base_env, &folder.id);
    base.extend(
        config
            .base_env
            .iter()
            .filter(|(name, _)| name == "XAUTHORITY")
            .cloned(),
    );
    // A file, not a pipe: the program must be able to write after we are gone.
    let path = folder.write("portabledesktop.json", b"")?;
    let output = fs::OpenOptions::new().append(true).mode(0o600).open(&path);
    let output = output.map_err(|source| file_error(&path, source))?;
    let watch = Watch::new([&path]).map_err(|source| file_error(&path, source))?;
    let launcher = Spec::new(program)
        .arguments(command::portabledesktop(config.size))
        .environment(&base)
        .output(output)
        .errors(folder.open_log("portabledesktop")?)
        .start()
        .map(Arc::new)
        .map_err(StartError::Program)?;
    parts.launcher = Some(launcher.clone());
    let limit = config.limits.announcement;
    let line = tokio::select! {
        biased;
        line = read_line(&path, &watch) => line.map_err(|source| file_error(&path, source))?,
        // What it wrote before it ended may still be a line; then its X server may live on without it.
        ending = launcher.wait() => match complete_line(&path) {
            Ok(Some(line)) => line,
            _ => return Err(folder.ended("portabledesktop", ending)),
        },
        () = tokio::time::sleep(limit) => return Err(StartError::TimedOut { step: Step::Display, limit }),
    };
    let said = parse(&line)?;
    let server = Process::adopt(said.server, None).ok_or_else(|| StartError::Field {
        field: "xvncPid",
        value: format!("{} (no such process)", said.server),
    })?;
    parts.server = Some(Arc::new(server));
    parts.display = Some(said.display.clone());
    Ok(place(&base, &said))
}

fn place(base: &command::Environment, said: &Announcement) -> Place {
    let xauthority = base
        .iter()
        .find(|(name, _)| name == "XAUTHORITY")
        .map(|(_, value)| Path::new(value).to_owned());
    let cookie = xauthority
        .as_ref()
        .and_then(|path| fs::read(path).ok())
        .and_then(|file| authority::find(&file, said.display.trim_start_matches(':')));
    Place {
        environment: command::desktop_environment(base, &said.display, xauthority.as_deref(), None),
        address: Address {
            display: said.display.clone(),
            cookie,
        },
        xauthority,
        rfb: Some(RfbAddress::Tcp(net::SocketAddr::from((
            net::Ipv4Addr::LOCALHOST,
            said.port,
        )))),
    }
}

fn warn_about_tcp() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if !SAID.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            "portabledesktop offers RFB on a TCP port of this machine: every user of it can connect"
        );
    }
}

async fn read_line(path: &Path, watch: &Watch) -> io::Result<String> {
    loop {
        if let Some(line) = complete_line(path)? {
            return Ok(line);
        }
        watch.written().await?;
    }
}

/// The first line that is not blank, once it is complete or too long to be one.
fn complete_line(path: &Path) -> io::Result<Option<String>> {
    let bytes = fs::read(path)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_start();
    match text.split_once('\n') {
        Some((line, _)) => Ok(Some(line.trim_end().to_owned())),
        None if text.len() > LONGEST_LINE => Ok(Some(text.to_owned())),
        None => Ok(None),
    }
}

/// Reads the program's line. Nothing in it has a default.
pub fn parse(line: &str) -> Result<Announcement, StartError> {
    let not_json = |source| StartError::NotJson {
        line: line.chars().take(200).collect(),
        source,
    };
    let value: Value = serde_json::from_str(line).map_err(|error| not_json(Some(error)))?;
    let object = value.as_object().ok_or_else(|| not_json(None))?;
    let get = |field| object.get(field).unwrap_or(&Value::Null);
    Ok(Announcement {
        display: display(get("display"))?,
        port: number("vncPort", get("vncPort"))?,
        geometry: geometry(get("geometry"))?,
        server: number("xvncPid", get("xvncPid"))?,
    })
}

fn bad(field: &'static str, value: &Value) -> StartError {
    StartError::Field {
        field,
        value: value.to_string().chars().take(200).collect(),
    }
}

/// A number over zero.
fn number<N: TryFrom<i64>>(field: &'static str, value: &Value) -> Result<N, StartError> {
    value
        .as_i64()
        .filter(|number| *number > 0)
        .and_then(|number| N::try_from(number).ok())
        .ok_or_else(|| bad(field, value))
}

/// A number, or a string of the form `:N`.
fn display(value: &Value) -> Result<String, StartError> {
    let number = match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.strip_prefix(':').unwrap_or(text).parse().ok(),
        _ => None,
    };
    match number.map(u16::try_from) {
        Some(Ok(number)) => Ok(format!(":{number}")),
        Some(Err(_)) | None => Err(bad("display", value)),
    }
}

fn geometry(value: &Value) -> Result<Size, StartError> {
    let side = |text: &str| {
        text.parse::<u32>()
            .ok()
            .filter(|side| (1..=65_535).contains(side))
    };
    value
        .as_str()
        .and_then(|text| text.split_once('x'))
        .and_then(|(width, height)| {
            Some(Size {
                width: side(width)?,
                height: side(height)?,
            })
        })
        .ok_or_else(|| bad("geometry", value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_line_is_read() {
        let said = Announcement {
            display: ":7".to_owned(),
            port: 5907,
            geometry: Size {
                width: 1280,
                height: 800,
            },
            server: 42,
        };
        for display in ["7", "\":7\"", "\"7\""] {
            let line = format!(
                r#"{{"display":{display},"vncPort":5907,"geometry":"1280x800","xvncPid":42,"more":1}}"#
            );
            assert_eq!(parse(&line).expect("a good line"), said);
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let good = [
            ("display", "7"),
            ("vncPort", "5907"),
            ("geometry", "\"1x1\""),
            ("xvncPid", "1"),
        ];
        let cases = [
            ("display", "-1"),
            ("display", "\"host:1\""),
            ("display", "null"),
            ("vncPort", "0"),
            ("vncPort", "65536"),
            ("vncPort", "\"5907\""),
            ("geometry", "\"wide\""),
            ("geometry", "\"0x800\""),
            ("geometry", "\"1280x\""),
            ("geometry", "7"),
            ("xvncPid", "0"),
            ("xvncPid", "-4"),
            ("xvncPid", "99999999999"),
        ];
        for (wrong, text) in cases {
            let fields = good.map(|(name, value)| {
                format!("\"{name}\":{}", if name == wrong { text } else { value })
            });
            let error = parse(&format!("{{{}}}", fields.join(","))).expect_err("a bad field");
            assert!(
                matches!(&error, StartError::Field { field, .. } if *field == wrong),
                "{error}"
            );
        }
    }

    #[test]
    fn rubbish_is_quoted() {
        for line in ["hello", "", "[1]", "{\"display\":"] {
            let error = parse(line).expect_err("no object");
            assert!(matches!(&error, StartError::NotJson { .. }), "{error}");
        }
    }
}
