//! What the configuration of a repository and of the user says about how files are compared. What would run a program is not
//! read at all; what would change how a diff looks is not heeded.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{config::Config, place::Place};

/// Extensions of the format that change nothing for who only reads.
const HARMLESS: [&str; 6] = [
    "noop",
    "noop-v1",
    "partialclone",
    "preciousobjects",
    "worktreeconfig",
    "relativeworktrees",
];

/// `core.autocrlf`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AutoCrlf {
    Off,
    On,
    Input,
}

/// The settings of one repository.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) config: Config,
    pub(super) file_mode: bool,
    pub(super) symlinks: bool,
    pub(super) auto_crlf: AutoCrlf,
    pub(super) excludes_file: Option<PathBuf>,
    pub(super) attributes_file: Option<PathBuf>,
}

/// A format that is not read here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub(super) struct Format {
    reason: String,
    /// What the git program has to be told to read it; nothing: it is not asked.
    pub(super) extensions: Vec<(&'static str, &'static str)>,
}

impl Format {
    fn unknown(reason: String) -> Self {
        Self {
            reason,
            extensions: Vec::new(),
        }
    }

    /// Ids are SHA-256.
    pub(super) fn is_sha256(&self) -> bool {
        self.extensions.contains(&("objectformat", "sha256"))
    }

    /// References are in tables.
    pub(super) fn is_reftable(&self) -> bool {
        self.extensions.contains(&("refstorage", "reftable"))
    }

    /// Why a repository is not read here. None: it is.
    pub(super) fn unsupported(local: &Config) -> Option<Self> {
        let text = |key: &str| local.text(key).unwrap_or_default().to_ascii_lowercase();
        let version = local.text("core.repositoryformatversion");
        match version.as_deref().unwrap_or("0").trim() {
            "0" => return None,
            "1" => {}
            version => {
                let reason = format!("the format has version {}", short(version));
                return Some(Self::unknown(reason));
            }
        }
        let known =
            |name: &str| HARMLESS.contains(&name) || matches!(name, "objectformat" | "refstorage");
        if let Some(name) = local.names("extensions.").find(|name| !known(name)) {
            return Some(Self::unknown(format!(
                "it has the extension {}",
                short(&name)
            )));
        }
        let (objects, references) = (
            text("extensions.objectformat"),
            text("extensions.refstorage"),
        );
        let mut reasons = Vec::new();
        let mut extensions = Vec::new();
        let mut asked = true;
        if !matches!(objects.as_str(), "" | "sha1") {
            reasons.push("its objects have other ids than SHA-1");
            asked &= objects == "sha256";
            extensions.push(("objectformat", "sha256"));
        }
        if !matches!(references.as_str(), "" | "files") {
            reasons.push("its references are not stored as files");
            asked &= references == "reftable";
            extensions.push(("refstorage", "reftable"));
        }
        if !asked {
            extensions.clear();
        }
        (!reasons.is_empty()).then(|| Self {
            reason: reasons.join(", and "),
            extensions,
        })
    }
}

fn short(text: &str) -> String {
    text.chars()
        .take(40)
        .filter(|letter| !letter.is_control())
        .collect()
}

impl Settings {
    /// The repository's own files alone: what decides whether it can be opened.
    pub(super) fn local(place: &Place) -> io::Result<Config> {
        let mut config = Config::default();
        config.add_file(&place.common_dir.join("config"), &place.git_dir)?;
        if config.flag("extensions.worktreeconfig") == Some(true) {
            config.add_file(&place.git_dir.join("config.worktree"), &place.git_dir)?;
        }
        Ok(config)
    }

    /// Reads the system's, the user's and the repository's files. What of the first two cannot be read says nothing.
    pub(super) fn read(place: &Place) -> io::Result<Self> {
        let mut config = Config::default();
        let users = [
            git2::Config::find_system(),
            git2::Config::find_xdg(),
            git2::Config::find_global(),
        ];
        for file in users.into_iter().flatten() {
            let _ = config.add_file(&file, &place.git_dir);
        }
        config.add_file(&place.common_dir.join("config"), &place.git_dir)?;
        if config.flag("extensions.worktreeconfig") == Some(true) {
            config.add_file(&place.git_dir.join("config.worktree"), &place.git_dir)?;
        }
        Ok(Self::of(config))
    }

    fn of(config: Config) -> Self {
        let auto_crlf = match config.bytes("core.autocrlf") {
            Some(value) if value.eq_ignore_ascii_case(b"input") => AutoCrlf::Input,
            _ if config.flag("core.autocrlf") == Some(true) => AutoCrlf::On,
            _ => AutoCrlf::Off,
        };
        let user_file = |name: &str| {
            let xdg = git2::Config::find_xdg().ok();
            let beside = xdg.as_deref().and_then(Path::parent).map(Path::to_owned);
            let home = git2::Config::find_global().ok();
            let home = home
                .as_deref()
                .and_then(Path::parent)
                .map(|home| home.join(".config/git"));
            beside.or(home).map(|directory| directory.join(name))
        };
        Self {
            file_mode: config.flag("core.filemode").unwrap_or(true),
            symlinks: config.flag("core.symlinks").unwrap_or(true),
            auto_crlf,
            excludes_file: config
                .path("core.excludesfile")
                .or_else(|| user_file("ignore")),
            attributes_file: config
                .path("core.attributesfile")
                .or_else(|| user_file("attributes")),
            config,
        }
    }

    /// Whether a filter would run something or must run. None of them is run.
    pub(super) fn has_filter(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name);
        let set = |key: &str| {
            self.config
                .bytes(&format!("filter.{name}.{key}"))
                .is_some_and(|value| !value.is_empty())
        };
        set("clean")
            || set("process")
            || self.config.flag(&format!("filter.{name}.required")) == Some(true)
    }

    /// `diff.<driver>.binary`.
    pub(super) fn driver_is_binary(&self, driver: &[u8]) -> Option<bool> {
        let driver = String::from_utf8_lossy(driver);
        self.config.flag(&format!("diff.{driver}.binary"))
    }
}
