//! The floor of a start: X server and window manager, one after the other, with nothing around them.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    cleanup::Place,
    display::Display,
    process::{Running, program},
};

/// A desktop of the benchmark's own. Ended when dropped, the window manager first.
pub(super) struct Bare {
    pub(super) display: Display,
    /// From before the start of the X server until the window manager was there.
    pub(super) taken: Duration,
    _window_manager: Running,
    _server: Running,
}

/// Starts both with the arguments that the daemon uses.
pub(super) fn start(place: &Place) -> Outcome<Bare> {
    let folder = place.folder("bare-")?;
    let (authority, rfb) = (folder.join("authority"), folder.join("rfb"));
    fs::write(&authority, entry(b"0123456789abcdef"))?;
    let configuration = configuration(&folder)?;

    let begin = Instant::now();
    let mut child = program(place, "Xvnc")
        .args(["-displayfd", "1", "-rfbport", "-1", "-rfbunixpath"])
        .arg(&rfb)
        .arg("-auth")
        .arg(&authority)
        .args(["-geometry", "1280x800", "-depth", "24", "-noreset"])
        .args(["-nolisten", "tcp", "-s", "0", "-dpms"])
        .args([
            "-SecurityTypes",
            "None",
            "-AlwaysShared=1",
            "-AcceptSetDesktopSize=1",
        ])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut stdout = child.stdout.take().ok_or("stdout is piped")?;
    let server = Running(child);
    let mut number = String::from(":");
    let mut byte = [0];
    while stdout.read(&mut byte)? == 1 && byte[0] != b'\n' {
        number.push(char::from(byte[0]));
    }
    let mut banner = [0; 12];
    UnixStream::connect(&rfb)?.read_exact(&mut banner)?;

    let display = Display::connect(&number, Some(&authority))?;
    let mut command = program(place, "openbox");
    command
        .args(["--sm-disable", "--config-file"])
        .arg(&configuration)
        .env("XCOMPOSEFILE", "/dev/null");
    let window_manager = Running(display.dress(&mut command).spawn()?);
    display.window_manager(Duration::from_secs(10))?;
    Ok(Bare {
        taken: begin.elapsed(),
        display,
        _window_manager: window_manager,
        _server: server,
    })
}

/// The daemon's own configuration of the window manager.
fn configuration(folder: &Path) -> Outcome<std::path::PathBuf> {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/session");
    let menu = assets.join("menu.xml");
    let text = fs::read_to_string(assets.join("rc.xml"))?;
    let text = text.replace("@MENU@", &menu.to_string_lossy());
    let path = folder.join("rc.xml");
    fs::File::create(&path)?.write_all(text.as_bytes())?;
    Ok(path)
}

/// One entry for every display: family, address, number, name, data (Xsecurity(7)).
fn entry(cookie: &[u8; 16]) -> Vec<u8> {
    let mut out = vec![0xff, 0xff, 0, 0, 0, 0, 0, 18];
    out.extend(b"MIT-MAGIC-COOKIE-1");
    out.extend([0, 16]);
    out.extend(cookie);
    out
}
