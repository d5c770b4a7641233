//! Settings of processes.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use clap::{ArgAction, Args};

use crate::proc::spec::Limits;

/// Flags of `deskd serve` about processes.
#[expect(
    clippy::struct_field_names,
    reason = "the flags are named after the fields"
)]
#[derive(Args, Clone, Debug)]
pub struct ProcessArgs {
    /// User that processes run as, when the daemon is root [default: the daemon's]
    #[arg(long, env = "DESKD_PROCESS_USER", value_name = "USER")]
    pub process_user: Option<String>,
    /// Directory of processes that name none [default: the user's home]
    #[arg(long, env = "DESKD_PROCESS_WORKDIR", value_name = "DIR")]
    pub process_workdir: Option<PathBuf>,
    /// Variable of every process; repeatable; in the file the table [process.env]
    #[arg(long, env = "DESKD_PROCESS_ENV", value_name = "NAME=VALUE", value_parser = parse_variable)]
    pub process_env: Vec<(String, String)>,
    /// Limit of processes that name none: `memory_bytes`, `cpu_seconds`, `pids`, `nofile`; repeatable; in the file
    /// the table [process.limits]
    #[arg(long, env = "DESKD_PROCESS_LIMITS", value_name = "NAME=VALUE", value_parser = parse_limit)]
    pub process_limits: Vec<(String, u64)>,
    /// Run processes with a nice value that is 5 higher
    #[arg(long, env = "DESKD_PROCESS_NICE", value_name = "BOOL", default_value = "true", action = ArgAction::Set)]
    pub process_nice: bool,
    /// Have processes killed before the daemon when memory runs out
    #[arg(long, env = "DESKD_PROCESS_OOM_SCORE", value_name = "BOOL", default_value = "true", action = ArgAction::Set)]
    pub process_oom_score: bool,
    /// Mode bits that new files of processes lack, octal
    #[arg(long, env = "DESKD_PROCESS_UMASK", value_name = "OCTAL", default_value = "022", value_parser = parse_umask)]
    pub process_umask: u32,
    /// Time from TERM to KILL when processes are ended, in seconds
    #[arg(long, env = "DESKD_PROCESS_GRACE", value_name = "SECONDS", default_value = "5", value_parser = super::parse_seconds)]
    pub process_grace: Duration,
    /// Bytes kept of each stream of a process
    #[arg(long, env = "DESKD_PROCESS_SPOOL_BYTES", value_name = "BYTES", default_value = "8388608", value_parser = clap::value_parser!(u64).range(65_536..))]
    pub process_spool_bytes: u64,
    /// Bytes kept of all streams
    #[arg(long, env = "DESKD_PROCESS_SPOOL_TOTAL", value_name = "BYTES", default_value = "1073741824", value_parser = clap::value_parser!(u64).range(65_536..))]
    pub process_spool_total: u64,
    /// Time for which an exited process without a client token is remembered, in seconds
    #[arg(long, env = "DESKD_PROCESS_RETENTION", value_name = "SECONDS", default_value = "300", value_parser = super::parse_seconds)]
    pub process_retention: Duration,
    /// Time for which an exited process with a client token is remembered, in seconds
    #[arg(long, env = "DESKD_PROCESS_TOKEN_RETENTION", value_name = "SECONDS", default_value = "3600", value_parser = super::parse_seconds)]
    pub process_token_retention: Duration,
}

impl ProcessArgs {
    /// The limits by their fields.
    pub(super) fn limits(&self) -> Limits {
        let named = |name: &str| {
            let mut all = self.process_limits.iter().rev();
            all.find(|(known, _)| known == name)
                .map(|(_, value)| *value)
        };
        Limits {
            memory_bytes: named("memory_bytes"),
            cpu_seconds: named("cpu_seconds"),
            pids: named("pids"),
            nofile: named("nofile"),
        }
    }
}

/// The table `[process]` of the file as values of flags: `env` and `limits`. The key that is none of them.
pub(super) fn table_values(
    table: &toml::Table,
    values: &mut BTreeMap<String, Vec<String>>,
) -> Result<(), String> {
    for (key, value) in table {
        let flag = match key.as_str() {
            "env" => "process-env",
            "limits" => "process-limits",
            _ => return Err(format!("process.{key}")),
        };
        let Some(pairs) = value.as_table() else {
            return Err(format!("process.{key}"));
        };
        let mut all = Vec::new();
        for (name, value) in pairs {
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(number) => number.to_string(),
                toml::Value::Boolean(flag) => flag.to_string(),
                _ => return Err(format!("process.{key}.{name}")),
            };
            all.push(format!("{name}={text}"));
        }
        if !all.is_empty() {
            values.insert(flag.to_owned(), all);
        }
    }
    Ok(())
}

fn parse_variable(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("expected NAME=VALUE".to_owned()),
    }
}

fn parse_limit(text: &str) -> Result<(String, u64), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    if !["memory_bytes", "cpu_seconds", "pids", "nofile"].contains(&name) {
        return Err("known limits: memory_bytes, cpu_seconds, pids, nofile".to_owned());
    }
    match value.parse() {
        Ok(number) if number > 0 => Ok((name.to_owned(), number)),
        _ => Err("a limit is a number from 1 on".to_owned()),
    }
}

fn parse_umask(text: &str) -> Result<u32, String> {
    match u32::from_str_radix(text, 8) {
        Ok(mask) if mask <= 0o777 => Ok(mask),
        _ => Err("expected up to three octal digits, as in 022".to_owned()),
    }
}
