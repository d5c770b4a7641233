//! Named threads: the only place that starts one.

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
