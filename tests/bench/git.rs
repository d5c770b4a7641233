//! `scripts/bench git`: repositories through ours beside the git program, in one run.

#![allow(dead_code, reason = "the helpers serve the other benchmarks, too")]

mod cleanup;
#[path = "git/daemon.rs"]
mod daemon;
mod http;
mod process;
#[path = "git/rows.rs"]
mod rows;
mod served;
mod stats;
#[path = "git/steady.rs"]
mod steady;
mod table;

use std::{error::Error, path::PathBuf, process::ExitCode};

/// What can fail ends the row, not the run.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: scripts/bench git [--quick] [--only ROW]... [--json]
  --quick  a tenth of the samples
  --only   a row by a part of its name
  --json   one JSON object a row instead of the table
  --daemon FILE  the program to measure";

/// The command line.
#[derive(Debug)]
struct Options {
    quick: bool,
    json: bool,
    only: Vec<String>,
    daemon: PathBuf,
}

impl Options {
    /// So many samples, or a tenth of them.
    fn samples(&self, full: usize) -> usize {
        if self.quick { (full / 10).max(3) } else { full }
    }
}

fn parse(arguments: &[String]) -> Result<Options, String> {
    let mut options = Options {
        quick: false,
        json: false,
        only: Vec::new(),
        daemon: PathBuf::from(env!("CARGO_BIN_EXE_deskd")),
    };
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--quick" => options.quick = true,
            "--json" => options.json = true,
            "--only" => options
                .only
                .push(arguments.next().ok_or("--only wants a row")?.clone()),
            "--daemon" => options.daemon = arguments.next().ok_or("--daemon wants a file")?.into(),
            "--bench" => {} // cargo says so to every benchmark
            other => return Err(format!("unknown argument {other}")),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match parse(&arguments) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("error: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    match run(&options) {
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
    let wanted =
        |name: &str| options.only.is_empty() || options.only.iter().any(|part| name.contains(part));
    for (name, measure) in rows::ROWS.iter().filter(|(name, _)| wanted(name)) {
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
