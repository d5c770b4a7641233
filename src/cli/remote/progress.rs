//! How far a transfer is: a line on standard error for a person who waits more than a second.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, Instant},
};

/// A transfer that is over by then shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// Time between two lines.
const PAUSE: Duration = Duration::from_millis(100);
/// Characters of the bar.
const BAR: usize = 30;

/// A transfer. Dropping it takes its line away.
#[derive(Debug)]
pub(super) struct Progress {
    total: Option<u64>,
    done: u64,
    begin: Instant,
    /// When a line is due; none when nobody looks.
    due: Option<Instant>,
    drawn: bool,
}

impl Progress {
    /// What comes goes to standard output; a terminal there shows how it gets on.
    pub(super) fn of_download(total: Option<u64>) -> Self {
        let seen = std::io::stderr().is_terminal() && !std::io::stdout().is_terminal();
        Self::new(total, seen)
    }

    /// What goes comes from standard input, whose length is known when it is a file.
    pub(super) fn of_upload() -> Self {
        let seen = std::io::stderr().is_terminal() && !std::io::stdin().is_terminal();
        let input = std::fs::metadata("/dev/stdin").ok();
        let total = input.filter(std::fs::Metadata::is_file);
        Self::new(total.map(|file| file.len()), seen)
    }

    fn new(total: Option<u64>, seen: bool) -> Self {
        let begin = Instant::now();
        Self {
            total,
            done: 0,
            begin,
            due: seen.then(|| begin + PATIENCE),
            drawn: false,
        }
    }

    /// So many bytes more.
    pub(super) fn add(&mut self, bytes: usize) {
        self.done += u64::try_from(bytes).expect("a length fits");
        let now = Instant::now();
        if self.due.is_some_and(|due| due <= now) {
            self.due = Some(now + PAUSE);
            self.drawn = true;
            let line = line(self.done, self.total, now - self.begin);
            let _ = write!(std::io::stderr(), "\r{line}\u{1b}[K");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn {
            let _ = write!(std::io::stderr(), "\r\u{1b}[K");
        }
    }
}

fn line(done: u64, total: Option<u64>, since: Duration) -> String {
    let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX).max(1);
    let speed = size(done.saturating_mul(1000) / millis);
    let Some(total) = total.filter(|total| *total >= done && *total > 0) else {
        return format!("{}  {speed}/s", size(done));
    };
    let percent = done.saturating_mul(100) / total;
    let full = usize::try_from(percent).expect("at most 100") * BAR / 100;
    let bar = "#".repeat(full) + &"-".repeat(BAR - full);
    format!(
        "[{bar}] {percent:>3} %  {} of {}  {speed}/s",
        size(done),
        size(total)
    )
}

/// Bytes in the unit that leaves the fewest digits, as in `3.4 MiB`.
fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let Some(unit) = (0..units.len())
        .rev()
        .find(|unit| bytes >> (10 * (unit + 1)) > 0)
    else {
        return format!("{bytes} B");
    };
    let tenths = (bytes >> (10 * unit)).saturating_mul(10) / 1024;
    format!("{}.{} {}", tenths / 10, tenths % 10, units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_how_far_it_is() {
        let second = Duration::from_secs(1);
        assert_eq!(
            line(512 << 10, Some(1 << 20), second),
            "[###############---------------]  50 %  512.0 KiB of 1.0 MiB  512.0 KiB/s"
        );
        assert_eq!(line(1000, None, second * 2), "1000 B  500 B/s");
        // A file that grew while it was read.
        assert_eq!(line(3, Some(2), second), "3 B  3 B/s");
        assert_eq!(line(0, Some(0), Duration::ZERO), "0 B  0 B/s");
        assert_eq!(size(5 << 40), "5.0 TiB");
        assert_eq!(size(u64::MAX), "16777215.9 TiB");
    }
}
