//! `scripts/bench git`: repositories through ours beside the git program, in one run.

#![allow(dead_code, reason = "the helpers serve the other benchmarks, too")]

mod cleanup;
#[path = "git/daemon.rs"]
mod daemon;
mod http;
mod options;
mod process;
#[path = "git/rows.rs"]
mod rows;
mod served;
mod stats;
#[path = "git/steady.rs"]
mod steady;
mod suite;
mod table;

use std::{error::Error, process::ExitCode};

/// What can fail ends the row, not the run.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: scripts/bench git [--quick] [--only ROW]... [--json]
  --quick  a tenth of the samples
  --only   a row by a part of its name
  --json   one JSON object a row instead of the table
  --daemon FILE  the program to measure";

fn main() -> ExitCode {
    suite::main(USAGE, rows::ROWS)
}
