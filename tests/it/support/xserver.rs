//! A real Xvnc that is not the daemon's, for tests below the HTTP interface.

use std::{
    io::Read,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

/// A running Xvnc; killed and cleaned up on drop.
#[derive(Debug)]
pub struct XServer {
    child: Child,
    dir: TempDir,
    /// `:N`
    pub display: String,
    /// MIT-MAGIC-COOKIE-1 data the server demands.
    pub cookie: [u8; 16],
}

impl XServer {
    /// Starts Xvnc with the given size and waits until it takes connections.
    pub fn start(width: u32, height: u32) -> Self {
        Self::start_with(width, height, &[])
    }

    /// The same with further arguments, such as the display it must have; the last word on an option counts.
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    pub fn start_with(width: u32, height: u32, further: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let cookie = *b"0123456789abcdef";
        let auth = dir.path().join("auth");
        std::fs::write(&auth, authority(&cookie)).expect("writing the cookie");
        let rfb = dir.path().join("rfb.sock");
        let mut child = Command::new("Xvnc")
            .args([
                "-displayfd",
                "1",
                "-nolisten",
                "tcp",
                "-SecurityTypes",
                "None",
                "-depth",
                "24",
            ])
            .args([
                "-rfbport",
                "-1",
                "-AlwaysShared",
                "-noreset",
                "-AcceptSetDesktopSize=1",
            ])
            .arg("-geometry")
            .arg(format!("{width}x{height}"))
            .arg("-auth")
            .arg(&auth)
            .arg("-rfbunixpath")
            .arg(&rfb)
            .args(further)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvnc starts");
        let mut number = String::new();
        let mut stdout = child.stdout.take().expect("stdout is piped");
        let mut byte = [0; 1];
        while stdout.read(&mut byte).expect("reading the display number") == 1 && byte[0] != b'\n' {
            number.push(char::from(byte[0]));
        }
        assert!(!number.is_empty(), "Xvnc ended before it named its display");
        Self {
            child,
            dir,
            display: format!(":{number}"),
            cookie,
        }
    }

    /// File for `XAUTHORITY` of programs on this display.
    pub fn xauthority(&self) -> std::path::PathBuf {
        self.dir.path().join("auth")
    }

    /// RFB socket of this server.
    pub fn rfb(&self) -> std::path::PathBuf {
        self.dir.path().join("rfb.sock")
    }

    /// A program with this display in its environment.
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &self.display)
            .env("XAUTHORITY", self.xauthority());
        command
    }

    /// Kills the server as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killing Xvnc");
        self.child.wait().expect("reaping Xvnc");
    }
}

impl Drop for XServer {
    fn drop(&mut self) {
        // TERM lets the server remove its lock file and socket.
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        if nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).is_ok() {
            let _ = self.child.wait();
        }
    }
}

/// An Xauthority file of one wildcard entry: family, address, number, name, data (Xsecurity(7), libXau).
fn authority(cookie: &[u8; 16]) -> Vec<u8> {
    let mut out = vec![0xff, 0xff, 0, 0, 0, 0];
    for field in [&b"MIT-MAGIC-COOKIE-1"[..], cookie] {
        out.extend(u16::try_from(field.len()).expect("short").to_be_bytes());
        out.extend(field);
    }
    out
}
