//! One run of the program: its output is read as it comes, and it ends with whoever reads.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, PipeReader, Read},
    path::Path,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};

use crate::{
    git::{error::GitError, guard::Guard},
    sys::child::{
        Ending, Process, Spec,
        setup::{Limit, Setup},
    },
};

/// Bytes of its address space: what a delta or a huge file may come to.
const MEMORY: u64 = 4 << 30;
/// How long it may take to end after its last output.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked whether somebody still waits.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 50_000_000,
};

/// Why a run has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    /// It could not be begun.
    #[error("failed to start the git program")]
    Start(#[source] io::Error),
    /// What it printed cannot be read.
    #[error("failed to read what the git program printed")]
    Output(#[source] io::Error),
    /// It failed.
    #[error("the git program {0}")]
    Ended(Ending),
    /// The time is up, or nobody waits.
    #[error(transparent)]
    Over(GitError),
}

/// A run that goes on. Dropping it kills the program.
#[derive(Debug)]
pub(super) struct Running<'a> {
    process: Process,
    output: PipeReader,
    guard: &'a Guard,
}

impl<'a> Running<'a> {
    /// Starts it. Must be called on a thread of a runtime, which may block.
    pub(super) fn start(
        git: &Path,
        directory: &Path,
        environment: &[(OsString, OsString)],
        arguments: &[&OsStr],
        input: Option<File>,
        guard: &'a Guard,
    ) -> io::Result<Self> {
        let (output, theirs) = io::pipe()?;
        let setup = Setup {
            limits: vec![(Limit::AddressSpace, MEMORY)],
            ..Setup::default()
        };
        let mut spec = Spec::new(git)
            .name("git")
            .arguments(arguments)
            .environment(environment)
            .directory(directory)
            .output(theirs)
            .setup(setup);
        if let Some(input) = input {
            spec = spec.input(input.into());
        }
        let process = spec.start().map_err(|error| error.source)?;
        Ok(Self {
            process,
            output,
            guard,
        })
    }

    /// What a failure to read means.
    pub(super) fn explain(&self, error: io::Error) -> Failed {
        match self.guard.check() {
            Err(over) => Failed::Over(over),
            Ok(()) => Failed::Output(error),
        }
    }

    /// Waits for its end, which must be a good one.
    pub(super) fn finish(self) -> Result<(), Failed> {
        self.guard.check().map_err(Failed::Over)?;
        match self.process.wait_blocking(GRACE) {
            Some(Ending::Exited(0)) => Ok(()),
            ending => Err(Failed::Ended(ending.unwrap_or(Ending::Killed))),
        }
    }
}

impl Read for Running<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            self.guard.check().map_err(io::Error::other)?;
            let mut ready = [PollFd::new(&self.output, PollFlags::IN)];
            match poll(&mut ready, Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return self.output.read(buffer),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.process.signal(Signal::KILL);
        // Killed, it ends at once, or when the disk that it waits for answers.
        if self.process.wait_blocking(GRACE).is_none() {
            self.process.abandon();
        }
    }
}
