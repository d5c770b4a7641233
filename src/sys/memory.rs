//! The memory of this process.

/// Gives free memory back to the system, of all threads (`malloc_trim(3)`). It takes some milliseconds for each hundred MiB.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "a call of the C library")]
pub fn trim() {
    // SAFETY: it may be called at any time, by any thread.
    unsafe {
        nix::libc::malloc_trim(0);
    }
}

/// Other C libraries do so by themselves.
#[cfg(not(target_env = "gnu"))]
pub fn trim() {}
