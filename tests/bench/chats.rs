//! `scripts/bench chats`: what chats, tokens and open streams cost.

#![allow(dead_code, reason = "the helpers serve the other benchmarks, too")]

mod cleanup;
mod http;
mod options;
mod process;
#[path = "chats/rows.rs"]
mod rows;
mod served;
mod stats;
#[path = "chats/streams.rs"]
mod streams;
mod suite;
mod table;

use std::{error::Error, process::ExitCode};

/// What can fail ends the row, not the run.
type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
usage: scripts/bench chats [--quick] [--only ROW]... [--json]
  --quick  a tenth of the samples
  --only   a row by a part of its name
  --json   one JSON object a row instead of the table
  --daemon FILE  the program to measure";

fn main() -> ExitCode {
    let rows = [rows::ROWS, streams::ROWS].concat();
    suite::main(USAGE, &rows)
}
