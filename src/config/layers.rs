//! The layers of settings: the command line, the variables, the file; and what each setting came from.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, parser::ValueSource};

use super::{ConfigError, Setting, files, process};

/// Prefix of every environment variable of ours.
const PREFIX: &str = "DESKD_";

/// Variables with our prefix that the daemon does not read, but clients of it do.
const CLIENT_VARIABLES: [&str; 2] = ["DESKD_URL", "DESKD_CHAT_ID"];

/// Flags that are not settings: they say where settings come from.
const NOT_SETTINGS: [&str; 3] = ["config", "help", "version"];

/// A snapshot of the environment, taken once at start.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<OsString, OsString>);

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        Self(std::env::vars_os().collect())
    }

    /// One variable; empty counts as unset.
    pub fn get(&self, name: &str) -> Option<&OsString> {
        self.0
            .get(std::ffi::OsStr::new(name))
            .filter(|value| !value.is_empty())
    }

    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    /// All pairs.
    pub fn pairs(&self) -> Vec<(OsString, OsString)> {
        self.0.clone().into_iter().collect()
    }
}

/// Adds the file layer to a command whose subcommands take [`ServeArgs`]: parses once to find the file,
/// then again with the file's values as defaults. Gives the matches and the keys that the file set.
pub fn parse_with_file(
    command: &Command,
    argv: &[OsString],
    environment: &Environment,
) -> Result<(ArgMatches, Vec<String>), ConfigError> {
    let first = command.clone().try_get_matches_from(argv)?;
    let Some((name, sub)) = first.subcommand() else {
        return Ok((first, Vec::new()));
    };
    // Asked from the definition: what was parsed says only in debug builds that it has no such argument.
    if !settings(command, name).any(|arg| arg.get_id() == "listen") {
        return Ok((first, Vec::new())); // not a command with settings
    }
    check_variables(command, name, environment)?;
    let chosen = sub.get_one::<PathBuf>("config").cloned();
    let Some((path, text)) = read_file(chosen, environment)? else {
        return Ok((first, Vec::new()));
    };
    let values = file_values(command, name, &path, &text)?;
    let keys = values.keys().cloned().collect();
    let with_file = command.clone().mut_subcommand(name, |sub| {
        values.into_iter().fold(sub, |sub, (key, values)| {
            sub.mut_arg(key.replace('-', "_"), |arg| arg.default_values(values))
        })
    });
    Ok((with_file.try_get_matches_from(argv)?, keys))
}

fn settings<'a>(command: &'a Command, subcommand: &str) -> impl Iterator<Item = &'a Arg> {
    let sub = command.find_subcommand(subcommand);
    sub.into_iter()
        .flat_map(Command::get_arguments)
        .filter(|arg| {
            arg.get_long()
                .is_some_and(|long| !NOT_SETTINGS.contains(&long))
        })
}

fn check_variables(
    command: &Command,
    subcommand: &str,
    environment: &Environment,
) -> Result<(), ConfigError> {
    let known = |name: &str| {
        name == "DESKD_CONFIG"
            || CLIENT_VARIABLES.contains(&name)
            || settings(command, subcommand).any(|arg| arg.get_env().is_some_and(|env| env == name))
    };
    for name in environment.0.keys().filter_map(|name| name.to_str()) {
        if name.starts_with(PREFIX) && !known(name) {
            return Err(ConfigError::UnknownVariable {
                name: name.to_owned(),
            });
        }
    }
    Ok(())
}

/// The file that was named (which must exist), or the usual one (which need not).
fn read_file(
    chosen: Option<PathBuf>,
    environment: &Environment,
) -> Result<Option<(PathBuf, String)>, ConfigError> {
    let usual = || {
        let base = environment
            .path("XDG_CONFIG_HOME")
            .or_else(|| environment.path("HOME").map(|home| home.join(".config")))?;
        Some(base.join("deskd/config.toml"))
    };
    let named = chosen.is_some();
    let Some(path) = chosen.or_else(usual) else {
        return Ok(None);
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some((path, text))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => Ok(None),
        Err(source) => Err(ConfigError::ReadFile { path, source }),
    }
}

fn file_values(
    command: &Command,
    subcommand: &str,
    path: &Path,
    text: &str,
) -> Result<BTreeMap<String, Vec<String>>, ConfigError> {
    let table: toml::Table = text.parse().map_err(|source| ConfigError::ParseFile {
        path: path.to_owned(),
        source: Box::new(source),
    })?;
    let mut values = BTreeMap::new();
    for (key, value) in table {
        if let ("process", toml::Value::Table(table)) = (key.as_str(), &value) {
            let unknown = |key| ConfigError::UnknownKey {
                key,
                path: path.to_owned(),
            };
            process::table_values(table, &mut values).map_err(unknown)?;
            continue;
        }
        if let ("mount", toml::Value::Array(tables)) = (key.as_str(), &value)
            && tables.iter().any(toml::Value::is_table)
        {
            let unknown = |key| ConfigError::UnknownKey {
                key,
                path: path.to_owned(),
            };
            let mounts = files::mount_values(tables).map_err(unknown)?;
            values.insert(key, mounts);
            continue;
        }
        let name = key.replace('_', "-");
        if !settings(command, subcommand).any(|arg| arg.get_long() == Some(&name)) {
            return Err(ConfigError::UnknownKey {
                key,
                path: path.to_owned(),
            });
        }
        let Some(texts) = as_texts(&value) else {
            return Err(ConfigError::WrongType {
                key,
                path: path.to_owned(),
            });
        };
        values.insert(name, texts);
    }
    Ok(values)
}

fn as_texts(value: &toml::Value) -> Option<Vec<String>> {
    match value {
        toml::Value::String(text) => Some(vec![text.clone()]),
        toml::Value::Integer(number) => Some(vec![number.to_string()]),
        toml::Value::Float(number) => Some(vec![number.to_string()]),
        toml::Value::Boolean(flag) => Some(vec![flag.to_string()]),
        toml::Value::Array(items) => items
            .iter()
            .map(as_texts)
            .collect::<Option<Vec<_>>>()
            .map(|lists| lists.concat()),
        toml::Value::Datetime(_) | toml::Value::Table(_) => None,
    }
}

/// The settings of a parsed command with their sources, in the order of the flags.
pub fn effective(
    command: &Command,
    subcommand: &str,
    matches: &ArgMatches,
    file_keys: &[String],
) -> Vec<Setting> {
    settings(command, subcommand)
        .filter_map(|arg| {
            let name = arg.get_long()?.to_owned();
            let raw = matches.get_raw(arg.get_id().as_str());
            let value = raw.map(|values| {
                values
                    .map(|value| value.to_string_lossy())
                    .collect::<Vec<_>>()
                    .join(",")
            });
            let source = match matches.value_source(arg.get_id().as_str()) {
                Some(ValueSource::CommandLine) => "flag",
                Some(ValueSource::EnvVariable) => "environment",
                Some(_) if file_keys.contains(&name) => "file",
                _ => "default",
            };
            Some(Setting {
                name,
                value: value.unwrap_or_default(),
                source,
            })
        })
        .collect()
}
