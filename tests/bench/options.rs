//! What was asked for on the command line.

use std::path::PathBuf;

/// The command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// Also measure what must be fetched.
    pub(crate) peers: bool,
    /// A tenth of the samples.
    pub(crate) quick: bool,
    /// Machine-readable.
    pub(crate) json: bool,
    /// The program to measure.
    pub(crate) daemon: PathBuf,
    only: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            peers: false,
            quick: false,
            json: false,
            daemon: PathBuf::from(env!("CARGO_BIN_EXE_deskd")),
            only: Vec::new(),
        }
    }
}

impl Options {
    /// `None` when only the help was asked for, which is printed.
    pub(crate) fn parse(arguments: &[String], usage: &str) -> Result<Option<Self>, String> {
        let mut options = Self::default();
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--peers" => options.peers = true,
                "--quick" => options.quick = true,
                "--json" => options.json = true,
                "--only" => match arguments.next() {
                    Some(row) => options.only.push(row.clone()),
                    None => return Err("--only wants a row".to_owned()),
                },
                "--daemon" => match arguments.next() {
                    Some(file) => options.daemon = file.into(),
                    None => return Err("--daemon wants a file".to_owned()),
                },
                "--bench" => {} // cargo says so to every benchmark
                "--help" | "-h" => {
                    println!("{usage}");
                    return Ok(None);
                }
                other => return Err(format!("unknown argument {other}")),
            }
        }
        Ok(Some(options))
    }

    /// Whether the row with this key is to be measured.
    pub(crate) fn wants(&self, row: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| row.contains(only.as_str()))
    }

    /// So many samples, or a tenth of them.
    pub(crate) fn samples(&self, full: usize) -> usize {
        if self.quick { (full / 10).max(3) } else { full }
    }
}
