//! `scripts/bench proc`: commands through ours over HTTP, started directly, and through the peers, in one run.

#![allow(
    dead_code,
    reason = "the helpers serve the benchmark of the desktop, too"
)]

mod cleanup;
mod http;
#[path = "proc/live.rs"]
mod live;
mod options;
#[path = "proc/ours.rs"]
mod ours;
#[path = "proc/peers.rs"]
mod peers;
mod process;
#[path = "proc/rows.rs"]
mod rows;
mod served;
#[path = "proc/shell.rs"]
mod shell;
mod stats;
mod table;

use std::{error::Error, process::ExitCode};

use options::Options;

/// What can fail ends the row, not the run.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: scripts/bench proc [--peers] [--quick] [--only ROW]... [--json]
  --peers  also measure sandbox-agent, fetched from npm, and swe-rex, fetched from PyPI
  --quick  a tenth of the samples
  --only   a row by a part of its name
  --json   one JSON object a row instead of the table
  --daemon FILE  the program to measure";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let result = match Options::parse(&arguments, USAGE) {
        Ok(Some(options)) => run(&options),
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Outcome<()> {
    let place = cleanup::Place::new(&options.daemon)?;
    let mut report = table::Report::default();
    let mut failed = Vec::new();
    for (name, measure) in rows::ROWS.iter().filter(|(name, _)| options.wants(name)) {
        eprintln!("measuring: {name}");
        if let Err(error) = measure(&place, options, &mut report) {
            eprintln!("error: {name}: {error}");
            failed.push(*name);
        }
    }
    report.print(options.json)?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("not measured: {}", failed.join(", ")).into())
}
