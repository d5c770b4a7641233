//! Settings of the tree of files.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Environment, temp_dir};
use crate::vfs::{order::MountOrder, provider::host::Resolver, setup};

/// Flags of `deskd serve` about files.
#[derive(Args, Clone, Debug)]
pub struct FileArgs {
    /// Directory of the machine that clients reach, at its own path, instead of all of it; repeatable
    #[arg(
        long,
        env = "DESKD_ROOT",
        value_name = "DIR",
        value_delimiter = ',',
        value_parser = absolute
    )]
    pub root: Vec<PathBuf>,
    /// Further mount, as in /data=host:/srv/data,ro; repeatable; in the variable with `;` between, in the file [[mount]]
    #[arg(long, env = "DESKD_MOUNT", value_name = "AT=PROVIDER:SOURCE[,ro][,key=value]", value_delimiter = ';', value_parser = MountOrder::parse)]
    pub mount: Vec<MountOrder>,
    /// How paths are followed on the machine
    #[arg(long, env = "DESKD_FS_RESOLVER", value_enum, default_value = "auto")]
    pub fs_resolver: ResolverChoice,
    /// Bytes that all memory mounts may hold together
    #[arg(
        long,
        env = "DESKD_MEMORY_MOUNTS",
        value_name = "BYTES",
        default_value = "1073741824"
    )]
    pub memory_mounts: u64,
    /// Largest body of a request of edits, in bytes
    #[arg(
        long,
        env = "DESKD_MAX_EDIT_BODY",
        value_name = "BYTES",
        default_value = "67108864"
    )]
    pub max_edit_body: usize,
    /// Directory below which trees are materialized [default: the temp directory]
    #[arg(long, env = "DESKD_MATERIALIZE_DIR", value_name = "DIR", value_parser = absolute)]
    pub materialize_dir: Option<PathBuf>,
    /// Directory that clients may mount, though they do not reach it by a mount; repeatable
    #[arg(long, env = "DESKD_ALLOW_MOUNT", value_name = "DIR", value_delimiter = ',', value_parser = absolute)]
    pub allow_mount: Vec<PathBuf>,
}

/// How paths are followed on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResolverChoice {
    /// In one step where the kernel can.
    Auto,
    /// In one step, or not at all.
    Openat2,
    /// One name at a time.
    Walk,
}

impl From<ResolverChoice> for Resolver {
    fn from(choice: ResolverChoice) -> Self {
        match choice {
            ResolverChoice::Auto => Self::Auto,
            ResolverChoice::Openat2 => Self::Openat2,
            ResolverChoice::Walk => Self::Walk,
        }
    }
}

/// The part of files.
pub(super) fn config(
    files: &FileArgs,
    environment: &Environment,
    state_dir: &Path,
    runtime_dir: &Path,
) -> setup::Config {
    let temp = || temp_dir(environment);
    setup::Config {
        roots: files.root.clone(),
        mounts: files.mount.clone(),
        resolver: files.fs_resolver.into(),
        memory_bytes: files.memory_mounts,
        max_edit_body: files.max_edit_body,
        materialize_dir: files.materialize_dir.clone().unwrap_or_else(temp),
        allow: files.allow_mount.clone(),
        home: environment
            .path("HOME")
            .unwrap_or_else(|| PathBuf::from("/")),
        state_dir: state_dir.to_owned(),
        runtime_dir: runtime_dir.to_owned(),
    }
}

fn absolute(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    path.is_absolute()
        .then_some(path)
        .ok_or_else(|| "expected an absolute path".to_owned())
}

/// The tables `[[mount]]` of the file as values of the flag; the key that is none.
pub(super) fn mount_values(tables: &[toml::Value]) -> Result<Vec<String>, String> {
    tables.iter().map(mount_value).collect()
}

fn mount_value(table: &toml::Value) -> Result<String, String> {
    let table = table.as_table().ok_or("mount")?;
    let (mut at, mut provider, mut source) = (String::new(), String::new(), String::new());
    let mut rest = String::new();
    for (key, value) in table {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            _ => return Err(format!("mount.{key}")),
        };
        if text.contains(',') || text.contains(';') {
            return Err(format!("mount.{key}"));
        }
        match (key.as_str(), text.as_str()) {
            ("at", _) => at = text,
            ("provider", _) => provider = text,
            ("source" | "directory" | "repository", _) => source = text,
            ("mode", "ro" | "rw") => rest = format!("{rest},{text}"),
            ("mode", _) => return Err("mount.mode".to_owned()),
            _ => rest = format!("{rest},{key}={text}"),
        }
    }
    Ok(format!("{at}={provider}:{source}{rest}"))
}
