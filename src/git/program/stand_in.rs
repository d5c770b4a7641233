//! A git directory of our own, through which the program reads a repository without its configuration.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File},
    io::{self, Seek, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, symlink},
    },
    path::{Path, PathBuf},
};

use rustix::fs::CWD;

use crate::git::{
    checkout::Site,
    config::Config,
    disk,
    settings::{AutoCrlf, Format, Settings},
};

/// The copy of the repository's index.
pub(super) const INDEX: &str = "index";
/// An index of untracked files alone.
pub(super) const UNTRACKED: &str = "untracked";
/// Longest file of rules that is copied.
const MOST_RULES: u64 = 1 << 20;
/// Largest index: of some million files. The copy may lie in memory.
const MOST_INDEX: u64 = 256 << 20;
/// Entries that are looked through for parts of a split index.
const MOST_ENTRIES: usize = 10_000;
/// Settings of branches and remotes that are handed on.
const MOST_SETTINGS: usize = 10_000;

/// Removed when it is dropped.
#[derive(Debug)]
pub(super) struct StandIn {
    path: PathBuf,
    is_sha256: bool,
}

impl Drop for StandIn {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

impl StandIn {
    /// Makes it at a place where nothing is.
    pub(super) fn make(
        path: PathBuf,
        site: &Site,
        format: &Format,
        settings: &Settings,
        most_bytes: u64,
    ) -> io::Result<Self> {
        DirBuilder::new().mode(0o700).create(&path)?;
        let stand_in = Self {
            path,
            is_sha256: format.is_sha256(),
        };
        let path = &stand_in.path;
        let (own, common) = (&site.place.git_dir, &site.place.common_dir);
        fs::create_dir(path.join("objects"))?;
        fs::create_dir(path.join("info"))?;
        for name in ["refs", "packed-refs", "reftable", "shallow"] {
            let target = common.join(name);
            if target.symlink_metadata().is_ok() {
                symlink(target, path.join(name))?;
            }
        }
        let head = disk::read_path(&own.join("HEAD"), MOST_RULES)?;
        fs::write(path.join("HEAD"), head.unwrap_or_default())?;
        for name in ["info/exclude", "info/attributes"] {
            if let Ok(Some(rules)) = disk::read_path(&common.join(name), MOST_RULES) {
                fs::write(path.join(name), rules)?;
            }
        }
        copy_index(&own.join("index"), &path.join(INDEX))?;
        for entry in fs::read_dir(own)?.take(MOST_ENTRIES) {
            let entry = entry?;
            if entry.file_name().as_bytes().starts_with(b"sharedindex.") {
                symlink(entry.path(), path.join(entry.file_name()))?;
            }
        }
        fs::write(
            path.join("config"),
            configuration(format, settings, most_bytes),
        )?;
        Ok(stand_in)
    }

    /// What the program is to see of the world.
    pub(super) fn environment(
        &self,
        index: &str,
        site: &Site,
        path: &[u8],
    ) -> Vec<(OsString, OsString)> {
        let nothing = Path::new("/dev/null");
        let mut objects = b"\"".to_vec();
        for byte in site.place.common_dir.join("objects").as_os_str().as_bytes() {
            if matches!(byte, b'"' | b'\\') {
                objects.push(b'\\');
            }
            objects.push(*byte);
        }
        objects.push(b'"');
        let (objects, path) = (OsString::from_vec(objects), OsStr::from_bytes(path));
        let index = self.path.join(index);
        let all: [(&str, &OsStr); 17] = [
            ("PATH", path),
            ("HOME", self.path.as_ref()),
            ("LC_ALL", "C".as_ref()),
            ("GIT_DIR", self.path.as_ref()),
            ("GIT_WORK_TREE", site.root.as_ref()),
            ("GIT_INDEX_FILE", index.as_ref()),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects),
            ("GIT_CONFIG_NOSYSTEM", "1".as_ref()),
            ("GIT_CONFIG_SYSTEM", nothing.as_ref()),
            ("GIT_CONFIG_GLOBAL", nothing.as_ref()),
            ("GIT_ATTR_NOSYSTEM", "1".as_ref()),
            ("GIT_LITERAL_PATHSPECS", "1".as_ref()),
            ("GIT_OPTIONAL_LOCKS", "0".as_ref()),
            ("GIT_NO_LAZY_FETCH", "1".as_ref()),
            ("GIT_ALLOW_PROTOCOL", "".as_ref()),
            ("GIT_TERMINAL_PROMPT", "0".as_ref()),
            ("GIT_PAGER", "cat".as_ref()),
        ];
        all.map(|(name, value)| (name.into(), value.to_owned()))
            .into()
    }

    /// A file with paths, each ended by NUL.
    pub(super) fn list(&self, paths: &[&[u8]]) -> io::Result<File> {
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(self.path.join("paths"))?;
        let mut all = paths.join(&0);
        all.push(0);
        file.write_all(&all)?;
        file.rewind()?;
        Ok(file)
    }

    /// The id of the tree without entries.
    pub(super) fn empty_tree(&self) -> &'static str {
        if self.is_sha256 {
            "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
        } else {
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        }
    }
}

/// The copy has the time of the index: by that, git knows which of its files it has to read.
fn copy_index(from: &Path, to: &Path) -> io::Result<()> {
    let Some(file) = from.file_name() else {
        return Ok(());
    };
    let directory = disk::open_root(from.parent().unwrap_or(Path::new("/")))?;
    let Some((mut index, stat)) = disk::open_regular(&directory, &disk::c_name(file.as_bytes())?)?
    else {
        return Ok(());
    };
    if stat.size > MOST_INDEX {
        return Err(io::Error::other("it is too large"));
    }
    io::copy(&mut index, &mut File::create_new(to)?)?;
    let time = rustix::fs::Timespec {
        tv_sec: stat.modified.0,
        tv_nsec: stat.modified.1.into(),
    };
    let times = rustix::fs::Timestamps {
        last_access: time,
        last_modification: time,
    };
    Ok(rustix::fs::utimensat(
        CWD,
        to,
        &times,
        rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
    )?)
}

/// A configuration that names no program: what the repository's own says of how files are compared, and which branch follows
/// which.
fn configuration(format: &Format, settings: &Settings, most_bytes: u64) -> Vec<u8> {
    let mut text = Vec::new();
    let mut set = |key: &str, value: &[u8]| push_setting(&mut text, key, value);
    let flag = |value: bool| if value { &b"true"[..] } else { b"false" };
    set("core.repositoryformatversion", b"1");
    set("core.bare", b"false");
    for (extension, value) in &format.extensions {
        set(&format!("extensions.{extension}"), value.as_bytes());
    }
    set("core.filemode", flag(settings.file_mode));
    set("core.symlinks", flag(settings.symlinks));
    let auto_crlf = match settings.auto_crlf {
        AutoCrlf::Off => &b"false"[..],
        AutoCrlf::On => b"true",
        AutoCrlf::Input => b"input",
    };
    set("core.autocrlf", auto_crlf);
    let rules = [
        ("core.excludesfile", &settings.excludes_file),
        ("core.attributesfile", &settings.attributes_file),
    ];
    for (key, file) in rules {
        let file = file.as_deref().unwrap_or(Path::new("/dev/null"));
        set(key, file.as_os_str().as_bytes());
    }
    set("core.hookspath", b"/dev/null");
    set("core.fsmonitor", b"false");
    set("core.untrackedcache", b"false");
    set(
        "core.bigfilethreshold",
        most_bytes.saturating_add(1).to_string().as_bytes(),
    );
    // What it maps of packs counts as its memory.
    set("core.packedgitwindowsize", b"64m");
    set("core.packedgitlimit", b"1g");
    set("status.aheadbehind", b"true");
    for (key, value) in following(&settings.config) {
        set(&key, value);
    }
    text
}

/// The settings that say which branch follows which.
fn following(config: &Config) -> impl Iterator<Item = (String, &[u8])> {
    let is_one = |key: &str| {
        let last = key.rsplit('.').next();
        match key.split('.').next() {
            Some("branch") => matches!(last, Some("remote" | "merge")),
            Some("remote") => last == Some("fetch"),
            _ => false,
        }
    };
    let all = config
        .iter()
        .filter_map(|(key, value)| Some((std::str::from_utf8(key).ok()?, value)));
    all.filter(move |(key, _)| is_one(key))
        .map(|(key, value)| (key.to_owned(), value))
        .take(MOST_SETTINGS)
}

fn push_setting(text: &mut Vec<u8>, key: &str, value: &[u8]) {
    let Some((section, name)) = key.rsplit_once('.') else {
        return;
    };
    match section.split_once('.') {
        Some((section, below)) => {
            let below = below.replace('\\', "\\\\").replace('"', "\\\"");
            text.extend_from_slice(format!("[{section} \"{below}\"]\n").as_bytes());
        }
        None => text.extend_from_slice(format!("[{section}]\n").as_bytes()),
    }
    text.extend_from_slice(format!("{name} = \"").as_bytes());
    for byte in value {
        match byte {
            b'"' | b'\\' => text.extend_from_slice(&[b'\\', *byte]),
            b'\n' => text.extend_from_slice(b"\\n"),
            byte => text.push(*byte),
        }
    }
    text.extend_from_slice(b"\"\n");
}
