//! A daemon and a directory to work in.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::{Daemon, Home, deskd_serve, json};

/// A user that the machine has besides root.
const PLAIN_USER: &str = "65534";

/// A daemon and an empty directory.
#[derive(Debug)]
pub struct Case {
    pub daemon: Daemon,
    pub work: TempDir,
}

impl Case {
    /// As the user who runs the tests.
    pub fn new() -> Self {
        Self {
            daemon: Daemon::start(&[]),
            work: directory(),
        }
    }

    /// As a user without rights; none when the tests do not run as root.
    pub fn as_plain_user() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let (home, work) = (Home::new(), directory());
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(home.path(), open.clone()).expect("ours");
        fs::set_permissions(work.path(), open).expect("ours");
        let daemon = deskd_serve(&home);
        let mut command = plain(daemon.get_program());
        command.args(daemon.get_args());
        for (name, value) in daemon.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let daemon = Daemon::start_command(&home, &mut command);
        Some(Self { daemon, work })
    }

    /// A path in the directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.work.path().join(name)
    }

    /// A file in the directory.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).expect("written");
        path
    }

    /// A request of a route with the path as its query, and more of it.
    pub fn request(
        &self,
        method: Method,
        route: &str,
        path: impl AsRef<Path>,
        more: &str,
    ) -> RequestBuilder {
        let path = query(path.as_ref());
        self.daemon
            .request(method, &format!("/api/v0/{route}?path={path}{more}"))
    }

    /// `GET /read-file`
    pub async fn read(&self, path: impl AsRef<Path>, more: &str) -> Response {
        let request = self.request(Method::GET, "read-file", path, more);
        request.send().await.expect("an answer")
    }

    /// `GET /read-file-lines`
    pub async fn lines(&self, path: impl AsRef<Path>, more: &str) -> Value {
        let request = self.request(Method::GET, "read-file-lines", path, more);
        let (status, body) = json(request.send().await.expect("an answer")).await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// `POST /write-file`
    pub async fn write(
        &self,
        path: impl AsRef<Path>,
        more: &str,
        body: impl Into<reqwest::Body>,
    ) -> (u16, Value) {
        let request = self.request(Method::POST, "write-file", path, more);
        json(request.body(body).send().await.expect("an answer")).await
    }

    /// `POST /edit-files`
    pub async fn edit(&self, body: Value) -> (u16, Value) {
        json(self.daemon.post("/api/v0/edit-files", body).await).await
    }

    /// The names in the directory, sorted.
    pub fn names(&self) -> Vec<String> {
        names(self.work.path())
    }
}

fn directory() -> TempDir {
    let directory = tempfile::Builder::new().prefix("deskd-work-").tempdir();
    directory.expect("a directory")
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let mut names: Vec<_> = entries
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    names
}

/// A program that will run without rights.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn plain(program: &std::ffi::OsStr) -> Command {
    let mut command = Command::new("setpriv");
    let ids = [
        "--reuid",
        PLAIN_USER,
        "--regid",
        PLAIN_USER,
        "--clear-groups",
    ];
    command.env_clear().args(ids).arg(program);
    command
}

/// Runs a program to its end and says whether it succeeded.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
pub fn ran(program: &str, args: &[&str]) -> bool {
    let output = Command::new(program).args(args).output();
    output.is_ok_and(|output| output.status.success())
}

/// A path as the value of a query.
pub fn query(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    percent_encode(path.as_os_str().as_bytes(), NON_ALPHANUMERIC).to_string()
}

/// A header as text.
pub fn header(response: &Response, name: &str) -> String {
    let value = response.headers().get(name);
    value.map_or_else(String::new, |value| {
        value.to_str().expect("text").to_owned()
    })
}

/// Bytes that tell where they stand.
pub fn pattern(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

/// The permissions of a file.
pub fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o7777
}
