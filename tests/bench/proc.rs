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
mod suite;
mod table;

use std::{error::Error, process::ExitCode};

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
    suite::main(USAGE, rows::ROWS)
}
