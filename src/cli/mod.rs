//! The command line: one file a command.

mod doctor;
mod man;
mod remote;
mod show_config;

use std::{ffi::OsString, io::Write, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::{
    app,
    config::{self, Config, ConfigError, Environment, ServeArgs},
    proc::keeper,
    telemetry,
};

/// Gives an AI agent a computer: a supervised desktop with pictures, input and VNC over WebSocket.
#[derive(Debug, Parser)]
#[command(
    name = "deskd",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
struct Cli {
    #[command(subcommand)]
    command: CliCommand,
}

#[derive(Debug, Subcommand)]
enum CliCommand {
    /// Runs the daemon
    Serve(Box<ServeArgs>),
    /// Checks what this machine lacks, and prints the command that cures each
    Doctor(DoctorArgs),
    /// Prints the effective configuration with the source of each value
    Config(Box<ShowConfigArgs>),
    /// Prints shell completions
    Completions {
        /// For which shell
        shell: Shell,
    },
    /// Prints the manual page, or writes one for each command to a folder
    Man {
        /// Folder for the pages; made when missing
        folder: Option<std::path::PathBuf>,
    },
    #[command(flatten)]
    Remote(remote::Remote),
    /// Keeps processes; started by the daemon
    #[command(hide = true)]
    Keeper(KeeperArgs),
}

#[derive(clap::Args, Debug)]
struct KeeperArgs {
    /// Folder of the processes
    #[arg(long)]
    folder: std::path::PathBuf,
    /// Descriptor that is connected to the daemon
    #[arg(long)]
    connection: Option<i32>,
    /// Bytes kept of each stream
    #[arg(long)]
    spool_bytes: u64,
    /// Bytes kept of all streams
    #[arg(long)]
    spool_total: u64,
}

#[derive(clap::Args, Debug)]
struct DoctorArgs {
    /// Print the findings as JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct ShowConfigArgs {
    /// Print the settings as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    serve: ServeArgs,
}

/// Exit code for a wrong command line or configuration.
const USAGE: u8 = 2;

/// Runs one command line to its end.
pub fn run(argv: &[OsString], environment: &Environment) -> ExitCode {
    match try_run(argv, environment) {
        Ok(code) => code,
        Err(ConfigError::Usage(error)) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            let _ = error.print();
            ExitCode::from(code)
        }
        Err(error) => {
            complain(&chain(&error));
            ExitCode::from(USAGE)
        }
    }
}

fn try_run(argv: &[OsString], environment: &Environment) -> Result<ExitCode, ConfigError> {
    let command = Cli::command();
    let (matches, file_keys) = config::parse_with_file(&command, argv, environment)?;
    let cli = <Cli as clap::FromArgMatches>::from_arg_matches(&matches)?;
    Ok(match cli.command {
        CliCommand::Serve(args) => finish(app::serve(Config::resolve(*args, environment)?)),
        CliCommand::Doctor(args) => doctor::run(args.json, environment),
        CliCommand::Config(args) => {
            let sub = matches
                .subcommand_matches("config")
                .expect("this command was parsed");
            let settings = config::effective(&command, "config", sub, &file_keys);
            let config = Config::resolve(args.serve, environment)?;
            show_config::run(&settings, &config, args.json)
        }
        CliCommand::Remote(command) => remote::run(command, environment),
        CliCommand::Keeper(args) => {
            // The file that standard error is, is its log.
            let _log = telemetry::init(telemetry::LogFormat::Text, None, false);
            finish(keeper::run(keeper::Config {
                folder: args.folder,
                first: args.connection,
                row: args.spool_bytes,
                total: args.spool_total,
            }))
        }
        CliCommand::Completions { shell } => {
            // Into a buffer first: the generator panics when the reader of a pipe is gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "deskd", &mut script);
            finish(show(&script))
        }
        CliCommand::Man { folder: None } => {
            finish(man::page(Cli::command()).and_then(|page| show(&page)))
        }
        CliCommand::Man {
            folder: Some(folder),
        } => finish(man::write_all(Cli::command(), &folder)),
    })
}

/// Writes to standard output. A reader that goes away, as `head` does, has what it wanted.
fn show(text: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}

fn finish<E: std::error::Error>(result: Result<(), E>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// A sentence on standard error; nobody may be there to read it.
fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "deskd: {text}");
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
