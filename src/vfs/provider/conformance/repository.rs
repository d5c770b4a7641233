//! Repositories that the git program makes.

use std::{
    cell::RefCell,
    collections::HashMap,
    ffi::OsStr,
    fs,
    io::Write,
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::{Node, Snapshot};
use crate::git::Owners;

/// When commits are made.
pub(in crate::vfs) const COMMIT_TIME: i64 = 1_700_000_000;

/// A repository in a directory of its own.
pub(in crate::vfs) struct Repo {
    pub(in crate::vfs) directory: tempfile::TempDir,
    /// What was shown before, by object: it never changes.
    shown: RefCell<HashMap<String, Vec<u8>>>,
}

impl Repo {
    /// An empty one.
    pub(in crate::vfs) fn new() -> Self {
        let repo = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            shown: RefCell::default(),
        };
        fs::create_dir(repo.path()).expect("a work tree");
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    /// One with a commit of this tree.
    pub(in crate::vfs) fn with(tree: &Snapshot) -> Self {
        let repo = Self::new();
        repo.commit(tree, "first");
        repo
    }

    /// The work tree.
    pub(in crate::vfs) fn path(&self) -> PathBuf {
        self.directory.path().join("repo")
    }

    /// Those whose repositories are ours.
    pub(in crate::vfs) fn owners(&self) -> Owners {
        Owners::new([self.user()])
    }

    pub(in crate::vfs) fn user(&self) -> u32 {
        fs::metadata(self.path()).expect("it is there").uid()
    }

    /// Adds files and commits them.
    pub(in crate::vfs) fn commit(&self, tree: &Snapshot, subject: &str) {
        write_tree(&self.path(), tree);
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", subject]);
    }

    /// Commits a tree object.
    pub(in crate::vfs) fn commit_tree(&self, tree: &str) {
        let commit = self.text(&["commit-tree", "-m", "odd", tree]);
        self.git(&["update-ref", "HEAD", &commit]);
    }

    /// Writes an object, whatever is in it; gives its id.
    pub(in crate::vfs) fn object(&self, kind: &str, bytes: &[u8]) -> String {
        let arguments = ["hash-object", "-t", kind, "-w", "--stdin", "--literally"];
        let id = run(&self.path(), &arguments, bytes);
        String::from_utf8(id).expect("an id").trim().to_owned()
    }

    /// The file of an object.
    pub(in crate::vfs) fn object_file(&self, id: &str) -> PathBuf {
        self.path()
            .join(".git/objects")
            .join(&id[..2])
            .join(&id[2..])
    }

    /// What the program prints, without the end of the line.
    pub(in crate::vfs) fn text(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.git(arguments))
            .expect("text")
            .trim_end()
            .to_owned()
    }

    pub(in crate::vfs) fn git(&self, arguments: &[&str]) -> Vec<u8> {
        run(&self.path(), arguments, b"")
    }

    /// What `git show` prints of a path, which is the object of this id.
    pub(in crate::vfs) fn show(&self, commit: &str, path: &[u8], id: &str) -> Vec<u8> {
        let show = || {
            let object = [commit.as_bytes(), b":", path].concat();
            let arguments = [OsStr::new("show"), OsStr::from_bytes(&object)];
            run(&self.path(), &arguments, b"")
        };
        let mut shown = self.shown.borrow_mut();
        shown.entry(id.to_owned()).or_insert_with(show).clone()
    }
}

/// Puts a tree into a directory of the machine.
pub(in crate::vfs) fn write_tree(directory: &Path, tree: &Snapshot) {
    for (path, node) in tree {
        let path = directory.join(OsStr::from_bytes(path));
        match node {
            Node::File { bytes, executable } => {
                fs::write(&path, bytes).expect("write");
                let mode = if *executable { 0o755 } else { 0o644 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("chmod");
            }
            Node::Dir => fs::create_dir(&path).expect("mkdir"),
            Node::Link(target) => symlink(OsStr::from_bytes(target), &path).expect("link"),
            Node::Submodule(_) => panic!("no file is a submodule"),
        }
    }
}

/// Runs git, which must succeed, away from the configuration of who runs the tests.
pub(in crate::vfs) fn run(
    directory: &Path,
    arguments: &[impl AsRef<OsStr>],
    input: &[u8],
) -> Vec<u8> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the program is the reference, not a part of the daemon"
    )]
    let mut command = Command::new("git");
    let time = format!("{COMMIT_TIME} +0200");
    command.args(arguments).current_dir(directory);
    for name in [
        "GIT_DIR",
        "GIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_OBJECT_DIRECTORY",
    ] {
        command.env_remove(name);
    }
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    command
        .env("GIT_AUTHOR_DATE", &time)
        .env("GIT_COMMITTER_DATE", &time);
    for who in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{who}_NAME"), "deskd")
            .env(format!("GIT_{who}_EMAIL"), "deskd@localhost");
    }
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("git is installed");
    child
        .stdin
        .take()
        .expect("it is a pipe")
        .write_all(input)
        .expect("git reads it");
    let output = child.wait_with_output().expect("git ends");
    assert!(
        output.status.success(),
        "git: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}
