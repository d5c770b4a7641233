//! The environment of this process, for libraries that read it and take no other word.

use std::{fs, io};

/// Sets variables, and removes those without a value. To be called before the first thread is started.
///
/// # Errors
/// There are other threads already, or it cannot be known; then nothing was changed.
#[expect(
    unsafe_code,
    reason = "other threads may read the environment while it changes"
)]
pub fn set(variables: &[(&str, Option<&str>)]) -> io::Result<()> {
    if fs::read_dir("/proc/self/task")?.count() != 1 {
        return Err(io::Error::other(
            "the environment cannot be changed beside other threads",
        ));
    }
    for (name, value) in variables {
        match value {
            // SAFETY: this is the only thread, as was just counted, so nobody reads the environment meanwhile.
            Some(value) => unsafe { std::env::set_var(name, value) },
            // SAFETY: as above.
            None => unsafe { std::env::remove_var(name) },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn it_is_left_alone_beside_other_threads() {
        let (end, ended) = sync_channel::<()>(0);
        crate::sys::thread::spawn("idle", move || ended.recv().is_err()).expect("a thread");
        let error = set(&[("UNUSED", Some("1"))]).expect_err("two threads are there");
        assert!(error.to_string().contains("threads"), "{error}");
        drop(end);
    }
}
