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

fn main() -> ExitCode {
    let rows = [rows::ROWS, streams::ROWS].concat();
    suite::main("chats", &rows)
}
