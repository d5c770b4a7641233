//! Settings of repositories.

use std::{os::unix::ffi::OsStrExt, path::Path, time::Duration};

use clap::Args;

use super::Environment;
use crate::{
    git::{Owners, Program, service},
    sys::child::setup::Account,
};

/// Flags of `deskd serve` about repositories.
#[expect(
    clippy::struct_field_names,
    reason = "the flags are named after the fields"
)]
#[derive(Args, Clone, Debug)]
pub struct GitArgs {
    /// Largest file of a repository that is read for a diff, in bytes
    #[arg(long, env = "DESKD_GIT_MAX_FILE_BYTES", value_name = "BYTES", default_value = "16777216", value_parser = clap::value_parser!(u64).range(1024..=67_108_864))]
    pub git_max_file_bytes: u64,
    /// Repositories that are scanned at a time
    #[arg(long, env = "DESKD_GIT_WORKERS", value_name = "COUNT", default_value = "4", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub git_workers: u32,
    /// Directories of repositories that are watched
    #[arg(
        long,
        env = "DESKD_GIT_MAX_WATCHES",
        value_name = "COUNT",
        default_value = "100000"
    )]
    pub git_max_watches: usize,
    /// Time between scans of a repository that nothing has caused, in seconds
    #[arg(long, env = "DESKD_GIT_POLL_INTERVAL", value_name = "SECONDS", default_value = "30", value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub git_poll_interval: u32,
}

/// The part of repositories. They may belong to the daemon's user, and to the one that processes run as.
pub(super) fn config(
    args: &GitArgs,
    environment: &Environment,
    process_user: Option<&str>,
    runtime_dir: &Path,
) -> service::Config {
    let users = [Account::own(), process_user.and_then(Account::find)];
    let users = users.into_iter().flatten().map(|account| account.uid);
    service::Config {
        owners: Owners::new(users),
        max_file_bytes: args.git_max_file_bytes,
        workers: args.git_workers as usize,
        max_watches: args.git_max_watches,
        poll: Duration::from_secs(args.git_poll_interval.into()),
        program: Some(Program::new(
            environment
                .get("PATH")
                .map_or(&b""[..], |path| path.as_bytes()),
            runtime_dir.join("git"),
        )),
    }
}
