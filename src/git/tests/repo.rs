//! Repositories that the git program makes.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// A repository in a directory of its own.
pub(in crate::git) struct Repo {
    directory: Arc<tempfile::TempDir>,
    name: &'static str,
}

impl Repo {
    /// An empty one.
    pub(in crate::git) fn new() -> Self {
        Self::of_format(&[])
    }

    /// An empty one of another format.
    pub(in crate::git) fn of_format(options: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let repo = Self {
            directory: Arc::new(directory),
            name: "repo",
        };
        fs::create_dir(repo.path()).expect("a work tree");
        repo.git(&[&["init", "-q", "-b", "main"], options].concat());
        repo
    }

    /// Another one, that lies beside this one.
    pub(in crate::git) fn neighbour(&self, name: &'static str) -> Self {
        Self {
            directory: Arc::clone(&self.directory),
            name,
        }
    }

    /// One with these files committed.
    pub(in crate::git) fn with(files: &[(&str, &str)]) -> Self {
        let repo = Self::new();
        for (path, content) in files {
            repo.write(path, content);
        }
        repo.commit();
        repo
    }

    pub(in crate::git) fn path(&self) -> PathBuf {
        self.directory
            .path()
            .canonicalize()
            .expect("it is there")
            .join(self.name)
    }

    /// A place beside the work tree.
    pub(in crate::git) fn beside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(in crate::git) fn at(&self, path: impl AsRef<[u8]>) -> PathBuf {
        self.path().join(OsStr::from_bytes(path.as_ref()))
    }

    pub(in crate::git) fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a directory");
        fs::write(path, content).expect("written");
    }

    pub(in crate::git) fn link(&self, path: impl AsRef<[u8]>, target: &str) {
        symlink(target, self.at(path)).expect("a link");
    }

    pub(in crate::git) fn mode(&self, path: impl AsRef<[u8]>, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).expect("ours");
    }

    pub(in crate::git) fn remove(&self, path: impl AsRef<[u8]>) {
        let path = self.at(path);
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).expect("removed");
        } else {
            fs::remove_file(path).expect("removed");
        }
    }

    pub(in crate::git) fn commit(&self) {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", "a commit"]);
    }

    /// Runs git; it must succeed.
    #[track_caller]
    pub(in crate::git) fn git(&self, arguments: &[&str]) -> Vec<u8> {
        let (success, out) = self.try_git(arguments);
        assert!(success, "git {arguments:?} failed");
        out
    }

    /// Runs git.
    pub(in crate::git) fn try_git(&self, arguments: &[&str]) -> (bool, Vec<u8>) {
        run(
            &self.path(),
            &arguments.iter().map(OsStr::new).collect::<Vec<_>>(),
        )
    }

    /// Leaves a merge unfinished: another branch from there on, and this one, have changed a file each in its way.
    pub(in crate::git) fn conflict(&self, path: &str, from: &str) {
        self.git(&["checkout", "-q", "-b", "other", from]);
        self.write(path, "theirs\n");
        self.commit();
        self.git(&["checkout", "-q", "main"]);
        self.write(path, "ours\n");
        self.commit();
        assert!(!self.try_git(&["merge", "other"]).0, "it has a conflict");
    }

    /// Runs `git fast-import` with this input.
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    pub(in crate::git) fn import(&self, input: &str, arguments: &[&str]) {
        let file = self.beside("input");
        fs::write(&file, input).expect("written");
        let status = Command::new("git")
            .args(["fast-import", "--quiet"])
            .args(arguments)
            .current_dir(self.path())
            .stdin(fs::File::open(file).expect("it is there"))
            .status();
        assert!(status.expect("git is installed").success());
    }

    /// What `git diff HEAD` prints, and behind it a new file for each that is untracked.
    pub(in crate::git) fn diff(&self) -> Vec<u8> {
        let (has_head, _) = self.try_git(&["rev-parse", "--verify", "-q", "HEAD"]);
        let nothing = self.git(&["hash-object", "-t", "tree", "/dev/null"]);
        let nothing = str::from_utf8(nothing.trim_ascii()).expect("an id");
        let base = if has_head { "HEAD" } else { nothing };
        let mut all = self.git(&["diff", "--no-ext-diff", "--no-textconv", base]);
        let others = self.git(&["ls-files", "-o", "--exclude-standard", "-z"]);
        let mut others: Vec<&[u8]> = others.split(|byte| *byte == 0).collect();
        others.sort_unstable();
        for path in others
            .into_iter()
            .filter(|path| !path.is_empty() && !path.ends_with(b"/"))
        {
            let arguments = [
                "diff",
                "--no-ext-diff",
                "--no-textconv",
                "--no-index",
                "--",
                "/dev/null",
            ];
            let mut arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
            arguments.push(OsStr::from_bytes(path));
            if self.at(path).is_symlink() {
                all.extend(self.link_diff(path));
                continue;
            }
            all.extend(run(&self.path(), &arguments).1);
        }
        all
    }
}

impl Repo {
    /// The diff of an untracked link: `--no-index` would follow it, so that it is added to an index of its own.
    fn link_diff(&self, path: &[u8]) -> Vec<u8> {
        let index = self.beside("index of a link");
        let _ = fs::remove_file(&index);
        let git = |words: &[&str]| {
            let mut all: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
            all.extend([OsStr::new("--"), OsStr::from_bytes(path)]);
            run_with(&self.path(), Some(&index), &all).1
        };
        git(&["add", "-N", "-f"]);
        git(&["diff"])
    }
}

/// Runs git in a directory, with nobody's settings.
pub(in crate::git) fn run(directory: &Path, arguments: &[&OsStr]) -> (bool, Vec<u8>) {
    run_with(directory, None, arguments)
}

#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
fn run_with(directory: &Path, index: Option<&Path>, arguments: &[&OsStr]) -> (bool, Vec<u8>) {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", "/nonexistent");
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("LC_ALL", "C")
        .env("GIT_OPTIONAL_LOCKS", "0");
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "A U Thor")
            .env(format!("GIT_{who}_EMAIL"), "a@example.com");
        command.env(format!("GIT_{who}_DATE"), "1700000000 +0100");
    }
    command
        .arg("-c")
        .arg("protocol.file.allow=always")
        .args(arguments)
        .current_dir(directory);
    if let Some(index) = index {
        command.env("GIT_INDEX_FILE", index);
    }
    let output = command.output().expect("git is installed");
    (output.status.success(), output.stdout)
}
