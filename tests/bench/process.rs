//! Programs, and what the kernel says about them.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    poll::PollTimeout,
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{Outcome, cleanup::Place};

/// Clock ticks a second in `/proc/PID/stat` on every Linux that Debian knows.
const TICKS: f64 = 100.0;

/// A program that is found again at the end of the run.
#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark starts its peers directly"
)]
pub(crate) fn program(place: &Place, name: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(name);
    command
        .env("TMPDIR", place.path())
        .env("LANG", "C.UTF-8")
        .env_remove("LC_ALL")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A child that is ended when dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Ends it in order and waits.
    pub(crate) fn end(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = kill(raw(self.pid()), Signal::SIGTERM);
            let _ = self.0.wait();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Runs to the end; the time that took, from before its start.
pub(crate) fn timed(command: &mut Command) -> Outcome<Duration> {
    let start = Instant::now();
    let status = command
        .status()
        .map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let taken = start.elapsed();
    if !status.success() {
        return Err(format!("{} ended with {status}", command.get_program().display()).into());
    }
    Ok(taken)
}

/// Lets time pass where no event can be waited for: between looks at processes and files of others.
pub(crate) fn pause(time: Duration) {
    let time = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
    let _ = nix::poll::poll(&mut [], time);
}

/// Looks until it is there, for at most as long as `patience`.
pub(crate) fn until<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Outcome<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > end {
            return Err(format!("{what} did not come within {patience:?}").into());
        }
        pause(Duration::from_millis(2));
    }
}

/// Resident memory in KiB (`VmRSS`).
pub(crate) fn resident(pid: u32) -> Outcome<f64> {
    field(Path::new(&format!("/proc/{pid}/status")), "VmRSS:")
}

/// The most memory in KiB that was resident at once since [`reset_peak`] (`VmHWM`).
#[allow(dead_code, reason = "shared by several benchmarks")]
pub(crate) fn peak(pid: u32) -> Outcome<f64> {
    field(Path::new(&format!("/proc/{pid}/status")), "VmHWM:")
}

/// Begins to look for the peak anew (`proc_pid_clear_refs(5)`).
#[allow(dead_code, reason = "shared by several benchmarks")]
pub(crate) fn reset_peak(pid: u32) -> Outcome<()> {
    Ok(fs::write(format!("/proc/{pid}/clear_refs"), "5")?)
}

/// Memory in KiB, what is shared counted in parts, of a process, with its descendants or without.
pub(crate) fn proportional(pid: u32, descendants: bool) -> Outcome<f64> {
    let of = |pid| field(Path::new(&format!("/proc/{pid}/smaps_rollup")), "Pss:");
    let mut sum = of(pid)?;
    for child in family(pid, descendants).into_iter().skip(1) {
        // One that ends meanwhile has no memory any more.
        sum += of(child).unwrap_or_default();
    }
    Ok(sum)
}

/// Seconds of processor time that a process has used, with its living descendants or without.
pub(crate) fn processor_seconds(pid: u32, descendants: bool) -> f64 {
    family(pid, descendants)
        .into_iter()
        .filter_map(ticks)
        .sum::<f64>()
        / TICKS
}

fn field(file: &Path, name: &str) -> Outcome<f64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number
        .ok_or_else(|| format!("no {name} in {}", file.display()))?
        .parse()?)
}

/// User and system time, in ticks.
fn ticks(pid: u32) -> Option<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn family(pid: u32, descendants: bool) -> Vec<u32> {
    let mut all = vec![pid];
    if !descendants {
        return all;
    }
    let mut next = 0;
    while let Some(&parent) = all.get(next) {
        next += 1;
        let children = format!("/proc/{parent}/task/{parent}/children");
        let children = fs::read_to_string(children).unwrap_or_default();
        all.extend(children.split_whitespace().flat_map(str::parse::<u32>));
    }
    all
}

/// The id as signals want it.
pub(crate) fn raw(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("process ids are positive and small"))
}
