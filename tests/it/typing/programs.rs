//! The programs that are typed into. Each gives what it got, from its own state, with every Return.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    time::{Duration, Instant},
};

use deskd::desktop::x11::{self, Address, root::Root};
use nix::{
    sys::{
        signal::{Signal, killpg},
        stat::Mode,
    },
    unistd::{Pid, mkfifo},
};
use tempfile::TempDir;
use x11rb::protocol::xproto::{AtomEnum, ConnectionExt as _};

use crate::support::xserver::XServer;

/// How long a program may take to start, or to give a text that it has got. Browsers are slow to start beside each other.
const PATIENCE: Duration = Duration::from_mins(1);

/// Lines that may wait for the test; it reads each one before it types the next.
const LINES: usize = 256;

const PAGE: &str = include_str!("../programs/page.html");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Xterm,
    Gtk3,
    Gtk4,
    Qt5,
    Chromium,
    Firefox,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Xterm,
        Self::Gtk3,
        Self::Gtk4,
        Self::Qt5,
        Self::Chromium,
        Self::Firefox,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Xterm => "xterm",
            Self::Gtk3 => "GTK 3 entry",
            Self::Gtk4 => "GTK 4 entry",
            Self::Qt5 => "Qt 5 entry",
            Self::Chromium => "Chromium",
            Self::Firefox => "Firefox",
        }
    }
}

/// Where programs may be started.
pub trait Display {
    /// A program that has the display in its environment.
    fn command(&self, program: &str) -> Command;
    /// For a connection of the test.
    fn address(&self) -> Address;
}

impl Display for XServer {
    fn command(&self, program: &str) -> Command {
        Self::command(self, program)
    }

    fn address(&self) -> Address {
        super::address(self)
    }
}

/// A running program that has the keyboard. Killed with all its children on drop.
pub struct Program {
    child: Child,
    lines: Receiver<String>,
    _folder: TempDir,
}

impl Program {
    /// Starts it and waits until it says that it has the keyboard.
    pub fn start(server: &dyn Display, kind: Kind) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("deskd-test-")
            .tempdir()
            .expect("a folder");
        let (sender, lines) = sync_channel(LINES);
        let mut command = match kind {
            Kind::Chromium => chromium(server, folder.path(), &serve(sender)),
            Kind::Firefox => firefox(server, folder.path(), &serve(sender)),
            _ => reader(server, kind, folder.path(), sender),
        };
        let child = command
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", folder.path())
            .env("XMODIFIERS", "@im=none")
            .env("LIBGL_ALWAYS_SOFTWARE", "1")
            .env("NO_AT_BRIDGE", "1")
            .env_remove("DBUS_SESSION_BUS_ADDRESS")
            .env("GDK_BACKEND", "x11")
            .env("QT_QPA_PLATFORM", "xcb")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the program starts");
        let program = Self {
            child,
            lines,
            _folder: folder,
        };
        while program.line() != "ready" {}
        if kind == Kind::Xterm {
            // The program within cannot tell whether its terminal has the keyboard.
            wait_for_focus(server, "xterm");
        }
        program
    }

    /// What it had when Return reached it.
    pub fn line(&self) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        line.expect("the program gives what it has")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let group = Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        let _ = killpg(group, Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Asks for the focus until a window of this class has it.
fn wait_for_focus(server: &dyn Display, class: &str) {
    let (connection, _) = x11::connect(&server.address()).expect("a connection");
    let begin = Instant::now();
    loop {
        let focus = connection.get_input_focus().expect("sent").reply();
        let window = focus.expect("a reply").focus;
        let name = connection
            .get_property(false, window, AtomEnum::WM_CLASS, AtomEnum::STRING, 0, 64)
            .expect("sent")
            .reply();
        if name.is_ok_and(|name| name.value.starts_with(class.as_bytes())) {
            return;
        }
        assert!(begin.elapsed() < PATIENCE, "{class} never got the focus");
    }
}

/// A display with a window manager, without which browsers take no keyboard.
pub struct Stage {
    manager: Child,
    pub server: XServer,
}

impl Stage {
    /// Starts both and waits until windows are managed.
    pub fn start() -> Self {
        let server = XServer::start(1000, 700);
        let manager = server
            .command("openbox")
            .args(["--sm-disable", "--config-file", "/etc/xdg/openbox/rc.xml"])
            .env("LC_ALL", "C.UTF-8")
            .env("XCOMPOSEFILE", "/dev/null")
            .stderr(Stdio::null())
            .spawn()
            .expect("openbox starts");
        let root = Root::open(&super::address(&server)).expect("a connection");
        let managed = root.wait_for_window_manager(PATIENCE).expect("the display");
        assert!(managed, "openbox takes over");
        Self { manager, server }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = self.manager.kill();
        let _ = self.manager.wait();
    }
}

/// A program of ours that writes into a pipe.
fn reader(server: &dyn Display, kind: Kind, folder: &Path, sender: SyncSender<String>) -> Command {
    let pipe = folder.join("lines");
    mkfifo(&pipe, Mode::S_IRWXU).expect("a pipe");
    let program = |name| format!("{}/tests/it/programs/{name}", env!("CARGO_MANIFEST_DIR"));
    let mut command = match kind {
        Kind::Xterm => server.command("xterm"),
        _ => server.command("/usr/bin/python3"),
    };
    match kind {
        Kind::Xterm => command
            .args(["-u8", "-e", "/usr/bin/python3"])
            .arg(program("terminal_lines.py")),
        Kind::Gtk3 => command.arg(program("gtk_lines.py")).arg("3.0"),
        Kind::Gtk4 => command.arg(program("gtk_lines.py")).arg("4.0"),
        _ => command.arg(program("qt_lines.py")),
    };
    command.arg(&pipe);
    let work = move || {
        // Opens when the program opens its end, ends when the program does.
        let lines = BufReader::new(File::open(pipe).expect("the pipe")).lines();
        for line in lines.map_while(Result::ok) {
            forward(&line, &sender);
        }
    };
    deskd::sys::thread::spawn("lines", work).expect("a thread");
    command
}

fn forward(line: &str, sender: &SyncSender<String>) {
    let text = serde_json::from_str(line).expect("a string of JSON");
    // A test that is over takes no more.
    let _ = sender.send(text);
}

fn chromium(server: &dyn Display, folder: &Path, url: &str) -> Command {
    let mut command = server.command("chromium");
    command
        .arg(format!("--user-data-dir={}", folder.display()))
        .arg(format!("--app={url}"))
        .args([
            "--no-sandbox",
            "--test-type", // no bar about the flag before, which moves the page while it is typed into
            "--no-first-run",
            "--no-default-browser-check",
            "--password-store=basic",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-breakpad",
            "--disable-features=Translate",
        ]);
    command
}

fn firefox(server: &dyn Display, folder: &Path, url: &str) -> Command {
    let preferences = r#"
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("browser.aboutwelcome.enabled", false);
user_pref("browser.startup.homepage_override.mstone", "ignore");
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("datareporting.policy.firstRunURL", "");
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("termsofuse.bypassNotification", true);
user_pref("app.update.enabled", false);
user_pref("browser.sessionstore.resume_from_crash", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("extensions.getAddons.cache.enabled", false);
user_pref("services.settings.server", "http://127.0.0.1:9");
"#;
    std::fs::write(folder.join("user.js"), preferences).expect("the preferences");
    let mut command = server.command("firefox-esr");
    command
        .env("MOZ_ENABLE_WAYLAND", "0")
        .env("MOZ_DISABLE_CONTENT_SANDBOX", "1")
        .args(["--no-remote", "--new-instance", "--kiosk", "--profile"])
        .arg(folder)
        .arg(url);
    command
}

/// Serves the page, forwards what it posts, and gives the page's address. Ends with the test's process.
fn serve(sender: SyncSender<String>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let work = move || {
        for stream in listener.incoming().flatten() {
            let sender = sender.clone();
            // A browser opens connections that it may never use.
            let answer = move || answer(&stream, &sender);
            deskd::sys::thread::spawn("page", answer).expect("a thread");
        }
    };
    deskd::sys::thread::spawn("pages", work).expect("a thread");
    format!("http://{address}/")
}

/// One request of HTTP/1.1. What a browser breaks off is no matter.
fn answer(stream: &TcpStream, sender: &SyncSender<String>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).ok()?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let page = if request.starts_with("GET / ") {
        PAGE
    } else {
        ""
    };
    if request.starts_with("POST") {
        forward(std::str::from_utf8(&body).ok()?, sender);
    }
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{page}",
        page.len()
    )
    .ok()
}
