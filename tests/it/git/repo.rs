//! A daemon and a repository that the git program makes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use reqwest::{Method, Response};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::{Daemon, json};

/// A daemon and an empty directory.
#[derive(Debug)]
pub struct Case {
    pub daemon: Daemon,
    pub work: TempDir,
}

impl Case {
    pub fn new() -> Self {
        Self::with(&[])
    }

    pub fn with(args: &[&str]) -> Self {
        Self {
            daemon: Daemon::start(args),
            work: tempfile::tempdir().expect("a directory"),
        }
    }

    /// A repository with a commit of these files.
    pub fn repo(&self, name: &str, files: &[(&str, &str)]) -> Repo {
        let path = self
            .work
            .path()
            .canonicalize()
            .expect("it is there")
            .join(name);
        let repo = Repo(path);
        fs::create_dir_all(&repo.0).expect("a directory");
        repo.git(&["init", "-q", "-b", "main"]);
        for (path, content) in files {
            repo.write(path, content);
        }
        repo.commit("first");
        repo
    }

    /// A request of a route for a path, and more of its query.
    pub async fn send(&self, route: &str, path: &Path, more: &str) -> Response {
        let path = path.to_str().expect("UTF-8");
        let path: String = form_urlencoded::byte_serialize(path.as_bytes()).collect();
        let request = self.daemon.request(
            Method::GET,
            &format!("/api/v0/git/{route}?path={path}{more}"),
        );
        request.send().await.expect("an answer")
    }

    /// Its answer, which is 200.
    #[track_caller]
    pub fn ask(&self, route: &str, path: &Path, more: &str) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        async move {
            let (status, body) = json(self.send(route, path, more).await).await;
            assert_eq!(status, 200, "{body} at {at}");
            body
        }
    }

    /// A write of the file API for a chat, and below another one.
    pub async fn write_for(&self, chat: &str, above: &str, path: &Path, content: &str) {
        let route = format!("/api/v0/write-file?path={}", path.display());
        let request = self.daemon.request(Method::POST, &route);
        let request = request
            .header("Coder-Chat-Id", chat)
            .header("Coder-Ancestor-Chat-Ids", above);
        let answer = request.body(content.to_owned()).send().await;
        assert!(answer.expect("an answer").status().is_success());
    }

    /// What a metric adds up to, over all its labels.
    pub async fn metric(&self, name: &str) -> u64 {
        let text = self.daemon.get("/metrics").await.text().await;
        let text = text.expect("a text");
        let is_it = |line: &&str| {
            line.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        };
        let value = |line: &str| -> Option<u64> { line.rsplit(' ').next()?.parse().ok() };
        text.lines().filter(is_it).filter_map(value).sum()
    }

    /// Its refusal.
    pub async fn refused(&self, route: &str, path: &Path, more: &str) -> (u16, String) {
        let (status, body) = json(self.send(route, path, more).await).await;
        (
            status,
            body["code"]
                .as_str()
                .unwrap_or_else(|| panic!("{body}"))
                .to_owned(),
        )
    }
}

/// A work tree.
#[derive(Debug)]
pub struct Repo(pub PathBuf);

impl Repo {
    pub fn at(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        fs::write(path, content).expect("written");
    }

    pub fn commit(&self, message: &str) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    /// Runs git; it must succeed.
    #[track_caller]
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = git(&self.0, arguments);
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// Runs git in a directory, with nobody's settings.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
pub fn git(directory: &Path, arguments: &[&str]) -> std::process::Output {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/nonexistent");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("LC_ALL", "C");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "A U Thor")
            .env(format!("GIT_{who}_EMAIL"), "a@example.com");
        command.env(format!("GIT_{who}_DATE"), "1700000000 +0130");
    }
    command
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("git is installed")
}
