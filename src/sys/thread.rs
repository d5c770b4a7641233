//! Named threads: the only place that starts one. And whether one of ours does anything.

use std::{io, thread::JoinHandle};

/// Starts a thread with a name of at most 15 bytes (the kernel cuts longer ones), as `ps -T` shows it.
pub fn spawn<T, F>(name: &str, work: F) -> io::Result<JoinHandle<T>>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
}

/// Gives the calling thread, and as the first one the process, the name that lists of processes show.
pub fn name_process(name: &str) {
    if let Ok(name) = std::ffi::CString::new(name) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// A thread of this process, as the kernel numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id(i32);

impl Id {
    /// The calling thread.
    pub fn own() -> Self {
        Self(nix::unistd::gettid().as_raw())
    }
}

/// How much a thread has done: nanoseconds on a processor, and how often it was put on one (`/proc/PID/task/TID/schedstat`,
/// `Documentation/scheduler/sched-stats.rst`). Equal twice: it stood still. None where the kernel does not tell.
pub fn activity(thread: Id) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/self/task/{}/schedstat", thread.0)).ok()?;
    let mut fields = text.split_ascii_whitespace().map(str::parse);
    let ran = fields.next()?.ok()?;
    let times = fields.nth(1)?.ok()?;
    Some((ran, times))
}
