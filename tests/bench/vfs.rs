//! `scripts/bench vfs`: files through ours over HTTP, beside the programs that people use for the same, in one run.

#![allow(dead_code, reason = "the helpers serve the other benchmarks, too")]

mod cleanup;
mod http;
mod options;
#[path = "vfs/ours.rs"]
mod ours;
#[path = "proc/peers.rs"]
mod peers;
mod process;
#[path = "vfs/rows/mod.rs"]
mod rows;
mod served;
mod stats;
mod suite;
mod table;
#[path = "vfs/trees.rs"]
mod trees;
#[path = "vfs/wire.rs"]
mod wire;

use std::{error::Error, process::ExitCode};

/// What can fail ends the row, not the run.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: scripts/bench vfs [--peers] [--quick] [--only ROW]... [--json]
  --peers     also measure sandbox-agent, fetched from npm
  --quick     a tenth of the samples, and of what is transferred
  --only ROW  only rows whose key contains ROW: lines, transfer, archive, search, edit, list, git, resolve, memory,
              materialize
  --json      one JSON object a row instead of the table
  --daemon FILE  the program to measure";

fn main() -> ExitCode {
    suite::main(USAGE, rows::ROWS)
}
