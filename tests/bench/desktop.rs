//! `scripts/bench desktop`: ours over HTTP, the floor in this process, the peers' programs, on one display in one run.

mod cleanup;
mod daemon;
mod display;
mod grab;
mod http;
mod options;
mod process;
mod producer;
mod rows;
mod scene;
mod stats;
mod table;
mod viewer;

use std::{error::Error, process::ExitCode};

use options::Options;

/// What can fail ends the row, not the run.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Said after a wrong command line, and for `--help`.
const USAGE: &str = "\
usage: scripts/bench desktop [--peers] [--quick] [--only ROW]... [--json]
  --peers     also measure sandbox-agent, fetched from npm
  --quick     a tenth of the samples
  --only ROW  only rows whose key contains ROW: daemon, click, batch, text, photo, jpeg, unchanged, type, settle,
              coder, start, first, mcp, relay
  --json      one JSON object a row instead of the table
  --daemon FILE  the program to measure";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, target] = arguments.as_slice()
        && flag == producer::COPY_FLAG
    {
        return code(producer::copy_to(target));
    }
    match Options::parse(&arguments, USAGE) {
        Ok(Some(options)) => code(run(&options)),
        Ok(None) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn code(result: Outcome<()>) -> ExitCode {
    if let Err(error) = result {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn run(options: &Options) -> Outcome<()> {
    let place = cleanup::Place::new(&options.daemon)?;
    let mut report = table::Report::default();
    let mut failed = Vec::new();
    for group in rows::GROUPS {
        if !group.rows.iter().any(|row| options.wants(row)) {
            continue;
        }
        eprintln!("measuring: {}", group.rows.join(", "));
        if let Err(error) = (group.measure)(&place, options, &mut report) {
            eprintln!("error: {}: {error}", group.rows.join(", "));
            failed.push(group.rows.join(", "));
        }
    }
    report.print(options.json)?;
    if failed.is_empty() {
        return Ok(());
    }
    Err(format!("not measured: {}", failed.join("; ")).into())
}
