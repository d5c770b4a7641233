//! The files of the repository, as values that a rule can be given and a test can make up.

use std::{os::unix::fs::PermissionsExt as _, path::Path, process::Command};

/// One file of the repository.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) executable: bool,
}

pub(crate) type Tree = Vec<File>;
pub(crate) type Rule = fn(&Tree) -> Vec<String>;

/// Files that git knows or would take, as they are in the working tree. Binary files have no text.
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
pub(crate) fn repository() -> Tree {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("git")
        .args([
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root)
        .output()
        .expect("git starts");
    assert!(
        output.status.success(),
        "git ls-files: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let names = String::from_utf8(output.stdout).expect("file names are UTF-8");
    let files = names.split_terminator('\0').filter_map(|path| {
        let metadata = std::fs::metadata(root.join(path))
            .ok()
            .filter(std::fs::Metadata::is_file)?;
        Some(File {
            path: path.to_owned(),
            text: std::fs::read_to_string(root.join(path)).unwrap_or_default(),
            executable: metadata.permissions().mode() & 0o100 != 0,
        })
    });
    files.collect()
}

pub(crate) fn sources<'a>(tree: &'a Tree, under: &'a str) -> impl Iterator<Item = &'a File> {
    tree.iter()
        .filter(move |file| file.path.starts_with(under) && has_extension(&file.path, "rs"))
}

pub(crate) fn text_of<'a>(tree: &'a Tree, path: &str) -> &'a str {
    tree.iter()
        .find(|file| file.path == path)
        .map_or("", |file| &file.text)
}

pub(crate) fn has_extension(path: &str, extension: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, found)| found == extension)
}
