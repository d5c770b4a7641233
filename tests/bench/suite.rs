//! What benchmarks have around their rows: the command line, the run, the table.

use std::process::ExitCode;

use crate::{Outcome, cleanup::Place, options::Options, table::Report};

/// Measures a row, or several that share their preparation.
pub(crate) type Measure = fn(&Place, &Options, &mut Report) -> Outcome<()>;

/// Rows by the key that `--only` looks for.
pub(crate) type Rows = [(&'static str, Measure)];

/// Runs the rows that were asked for. What fails ends its row, not the run.
pub(crate) fn main(usage: &str, rows: &Rows) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let options = match Options::parse(&arguments, usage) {
        Ok(Some(options)) => options,
        Ok(None) => return ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}\n{usage}");
            return ExitCode::from(2);
        }
    };
    match run(&options, rows) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, rows: &Rows) -> Outcome<()> {
    let place = Place::new(&options.daemon)?;
    let mut report = Report::default();
    let mut failed = Vec::new();
    for (name, measure) in rows.iter().filter(|(name, _)| options.wants(name)) {
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
