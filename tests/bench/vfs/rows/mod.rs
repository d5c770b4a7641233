//! The rows, in the order of the table.

mod git;
mod looking;
mod moving;
mod reading;
mod resolving;

use std::{path::Path, time::Duration};

use crate::{
    Outcome,
    cleanup::Place,
    process::timed,
    suite::Measure,
    table::{Better, Figure},
};

/// All of them.
pub(crate) const ROWS: &[(&str, Measure)] = &[
    ("lines", reading::lines),
    ("transfer", moving::transfer),
    ("archive", moving::archive),
    ("search", looking::search),
    ("edit", reading::edit),
    ("list", looking::list),
    ("git", git::measure),
    ("resolve", resolving::measure),
    ("memory", moving::memory),
    ("materialize", moving::materialize),
];

/// Bytes in some time.
fn rate(bytes: u64, samples: &crate::stats::Samples) -> Figure {
    let seconds = samples.quantile(50).as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "printed with three digits")]
    let megabytes = bytes as f64 / 1e6;
    Figure::value(megabytes / seconds, "MB/s", Better::More)
}

/// Runs a program whose output is a file or nothing.
fn run(place: &Place, name: &str, arguments: &[&Path]) -> Outcome<Duration> {
    timed(crate::process::program(place, name).args(arguments))
}
