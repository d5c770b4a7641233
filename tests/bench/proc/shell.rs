//! A shell that is typed to: what starting and ending programs costs without anybody between.

use std::{
    io::{BufRead, BufReader, Write},
    process::{ChildStdin, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use crate::{
    Outcome,
    cleanup::Place,
    process::{Running, program},
};

/// A running `sh` that reads commands from a pipe.
#[derive(Debug)]
pub(crate) struct Shell {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    _running: Running,
}

impl Shell {
    /// Starts it.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        let mut command = program(place, "sh");
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            input: child.stdin.take().ok_or("it is piped")?,
            output: BufReader::new(child.stdout.take().ok_or("it is piped")?),
            _running: Running(child),
        })
    }

    /// Has it carry out a line that prints one line; how long that took, and what it printed.
    pub(crate) fn line(&mut self, line: &str) -> Outcome<(Duration, String)> {
        let start = Instant::now();
        self.input.write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        if self.output.read_line(&mut answer)? == 0 {
            return Err("the shell ended".into());
        }
        Ok((start.elapsed(), answer.trim_end().to_owned()))
    }
}
