//! Arguments and environment of each program of the desktop. Pure.

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

use super::{geometry::Size, session::MARKER};

/// Longest text that viewers may exchange by the clipboard, in bytes.
pub const CUT_TEXT: u32 = 10 << 20;

/// What of the daemon's environment programs may see. Never the daemon's own settings, never a token.
const ALLOWED: [&str; 31] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "HOSTNAME",
    "XDG_RUNTIME_DIR",
    "XDG_CONFIG_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_DATA_HOME",
    "XDG_DATA_DIRS",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "EDITOR",
];

/// An environment: names and values, in the order of their meaning.
pub type Environment = Vec<(OsString, OsString)>;

/// The allowed part of the daemon's environment, with a UTF-8 locale and the session's mark: what every program of the
/// desktop gets, the X server included.
pub fn base_environment(ours: &[(OsString, OsString)], session: &str) -> Environment {
    let mut all: Environment = ours
        .iter()
        .filter(|(name, _)| {
            name.to_str().is_some_and(|name| {
                ALLOWED.contains(&name) || (name.starts_with("LC_") && name != "LC_ALL")
            })
        })
        .cloned()
        .collect();
    let utf8 = |value: &OsString| {
        let value = value.to_string_lossy().to_ascii_lowercase();
        value.ends_with("utf-8") || value.ends_with("utf8")
    };
    // A C locale makes programs mistake typed text; C.UTF-8 is part of the C library.
    if !all
        .iter()
        .any(|(name, value)| name == "LANG" && utf8(value))
    {
        all.retain(|(name, _)| name != "LANG");
        set(&mut all, "LANG", "C.UTF-8");
    }
    all.retain(|(name, value)| name != "LC_CTYPE" || utf8(value));
    if !all.iter().any(|(name, _)| name == "PATH") {
        set(&mut all, "PATH", "/usr/local/bin:/usr/bin:/bin");
    }
    set(&mut all, MARKER, session);
    all
}

/// What programs on the desktop get beside the base: where it is, and which of its ways toolkits shall use.
pub fn desktop_environment(
    base: &Environment,
    display: &str,
    xauthority: Option<&Path>,
    bus: Option<&Path>,
) -> Environment {
    let mut all = base.clone();
    set(&mut all, "DISPLAY", display);
    if let Some(file) = xauthority {
        set(&mut all, "XAUTHORITY", file);
    }
    if let Some(socket) = bus {
        set(&mut all, "DBUS_SESSION_BUS_ADDRESS", bus_address(socket));
    }
    // A Wayland session beside ours must not draw the programs away.
    set(&mut all, "XDG_SESSION_TYPE", "x11");
    set(&mut all, "GDK_BACKEND", "x11");
    set(&mut all, "QT_QPA_PLATFORM", "xcb");
    set(&mut all, "MOZ_ENABLE_WAYLAND", "0");
    set(&mut all, "XDG_CURRENT_DESKTOP", "Openbox");
    // Input methods rewrite what is typed, and none runs here to do so.
    set(&mut all, "XMODIFIERS", "@im=none");
    // There is no graphics card behind this server; looking for one costs each program time and a warning.
    set(&mut all, "LIBGL_ALWAYS_SOFTWARE", "1");
    set(&mut all, "TERM", "xterm-256color");
    all
}

/// The window manager's own addition: every change of the keymap makes it read the Compose table again, 40 ms each
/// time, and it composes nothing.
pub fn window_manager_environment(desktop: &Environment) -> Environment {
    let mut all = desktop.clone();
    set(&mut all, "XCOMPOSEFILE", "/dev/null");
    all
}

fn set(all: &mut Environment, name: &str, value: impl AsRef<OsStr>) {
    all.retain(|(other, _)| other != name);
    all.push((name.into(), value.as_ref().to_owned()));
}

/// Xvnc: no TCP for X nor for RFB, blank screen saver and DPMS off, sharing and resizing
/// allowed, big clipboards; it survives its last client.
///
/// The abstract socket stays: it is what makes the choice of the display number atomic. With `-nolisten local` two
/// servers that start together take the same number, and the second removes the first one's socket (seen with
/// TigerVNC 1.12). The cookie guards it like the other one.
pub fn xvnc(display_fd: i32, size: Size, xauthority: &Path, rfb: &Path) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["-displayfd".into(), display_fd.to_string().into()];
    all.extend(["-rfbport", "-1", "-rfbunixpath"].map(OsString::from));
    all.push(rfb.into());
    all.push("-auth".into());
    all.push(xauthority.into());
    all.push("-geometry".into());
    all.push(format!("{}x{}", size.width, size.height).into());
    all.extend(
        [
            "-nolisten",
            "tcp",
            "-depth",
            "24",
            "-noreset",
            "-s",
            "0",
            "-dpms",
            // The socket lies in a folder that only this user may enter.
            "-SecurityTypes",
            "None",
            "-AlwaysShared=1",
            // A viewer that leaves in the handshake counts as a failed login, and all share one address here:
            // five of them would lock everybody out. Logins are the daemon's business.
            "-UseBlacklist=0",
            "-AcceptSetDesktopSize=1",
            "-desktop",
            "deskd",
        ]
        .map(OsString::from),
    );
    all.push(format!("-MaxCutText={CUT_TEXT}").into());
    all
}

/// openbox with our configuration and nothing of the user's.
pub fn openbox(configuration: &Path) -> Vec<OsString> {
    [
        "--sm-disable".into(),
        "--config-file".into(),
        configuration.into(),
    ]
    .into()
}

/// A session bus at an address we know beforehand, so that nobody has to wait for it.
pub fn dbus_daemon(socket: &Path) -> Vec<OsString> {
    let mut address = OsString::from("--address=");
    address.push(bus_address(socket));
    [
        "--session".into(),
        "--nofork".into(),
        "--nopidfile".into(),
        "--nosyslog".into(),
        address,
    ]
    .into()
}

/// portabledesktop, as it wants to be called.
pub fn portabledesktop(size: Size) -> Vec<OsString> {
    let geometry = format!("{}x{}", size.width, size.height);
    ["up", "--json", "--foreground", "--geometry", &geometry]
        .map(OsString::from)
        .into()
}

/// D-Bus addresses escape all but a few characters (D-Bus specification, "Server Addresses").
fn bus_address(socket: &Path) -> OsString {
    let mut address = b"unix:path=".to_vec();
    for byte in socket.as_os_str().as_bytes() {
        match byte {
            b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'/' | b'.' | b'*' => {
                address.push(*byte);
            }
            _ => address.extend(format!("%{byte:02x}").bytes()),
        }
    }
    OsString::from_vec(address)
}

/// openbox' configuration with the place of its menu, which must be absolute.
pub fn openbox_configuration(template: &str, menu: &Path) -> String {
    let menu = menu
        .to_string_lossy()
        .replace('&', "&amp;")
        .replace('<', "&lt;");
    template.replace("@MENU@", &menu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(all: &Environment, name: &str) -> Option<String> {
        let found: Vec<_> = all.iter().filter(|(one, _)| one == name).collect();
        assert!(found.len() < 2, "{name} stands twice");
        found
            .first()
            .map(|(_, value)| value.to_string_lossy().into_owned())
    }

    fn base(ours: &[(&str, &str)]) -> Environment {
        let ours: Environment = ours
            .iter()
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        base_environment(&ours, "0123456789abcdef")
    }

    #[test]
    fn nothing_of_ours_reaches_programs() {
        let all = base(&[
            ("DESKD_TOKEN", "x"),
            ("HOME", "/h"),
            ("LC_TIME", "de_DE"),
            ("LC_ALL", "C"),
            ("WAYLAND_DISPLAY", "w"),
        ]);
        let names: Vec<_> = all
            .iter()
            .map(|(name, _)| name.to_str().expect("ascii"))
            .collect();
        assert_eq!(names, ["HOME", "LC_TIME", "LANG", "PATH", MARKER]);
    }

    #[test]
    fn the_locale_speaks_utf8() {
        assert_eq!(
            text(&base(&[("LANG", "de_DE.UTF-8")]), "LANG").as_deref(),
            Some("de_DE.UTF-8")
        );
        for bad in ["C", "", "de_DE"] {
            let all = base(&[("LANG", bad), ("LC_CTYPE", "C")]);
            assert_eq!(text(&all, "LANG").as_deref(), Some("C.UTF-8"), "{bad}");
            assert_eq!(text(&all, "LC_CTYPE"), None);
        }
    }

    #[test]
    fn programs_find_the_desktop() {
        let all = desktop_environment(
            &base(&[]),
            ":7",
            Some(Path::new("/r/x")),
            Some(Path::new("/r a/bus")),
        );
        assert_eq!(text(&all, "DISPLAY").as_deref(), Some(":7"));
        assert_eq!(text(&all, "XAUTHORITY").as_deref(), Some("/r/x"));
        assert_eq!(
            text(&all, "DBUS_SESSION_BUS_ADDRESS").as_deref(),
            Some("unix:path=/r%20a/bus")
        );
        assert_eq!(text(&all, "XCOMPOSEFILE"), None, "programs compose");
        assert_eq!(
            text(&window_manager_environment(&all), "XCOMPOSEFILE").as_deref(),
            Some("/dev/null")
        );
    }

    #[test]
    fn no_server_listens_on_tcp() {
        let size = Size {
            width: 1280,
            height: 800,
        };
        let all = xvnc(5, size, Path::new("/r/x"), Path::new("/r/s")).join(OsStr::new(" "));
        let all = all.to_str().expect("ascii");
        for part in [
            "-displayfd 5",
            "-rfbport -1",
            "-rfbunixpath /r/s",
            "-auth /r/x",
            "-geometry 1280x800",
            "-nolisten tcp",
            "-MaxCutText=10485760",
            "-s 0 -dpms",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert_eq!(
            portabledesktop(size).join(OsStr::new(" ")),
            "up --json --foreground --geometry 1280x800"
        );
    }

    #[test]
    fn the_menu_is_named_in_xml() {
        assert_eq!(
            openbox_configuration("<file>@MENU@</file>", Path::new("/a&<b")),
            "<file>/a&amp;&lt;b</file>"
        );
    }
}
