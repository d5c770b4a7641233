//! Parses arguments, runs the command, turns the result into an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    let argv: Vec<_> = std::env::args_os().collect();
    deskd::cli::run(&argv, &deskd::config::Environment::of_process())
}
