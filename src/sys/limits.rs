//! Resource limits: the daemon takes the descriptors it may have, its children get back what was there before.

use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit, rlim_t, setrlimit};

/// Descriptors that the daemon wants: every connection and viewer takes some.
const WANTED: rlim_t = 65_536;

static BEFORE: OnceLock<(rlim_t, rlim_t)> = OnceLock::new();

/// Raises the soft limit of open descriptors towards the hard one. Failing to is not an error: the
/// accept loop copes with running out.
pub fn raise_descriptors() {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return;
    };
    if soft < WANTED.min(hard) && setrlimit(Resource::RLIMIT_NOFILE, WANTED.min(hard), hard).is_ok()
    {
        let _ = BEFORE.set((soft, hard));
    }
}

/// The limits (soft, hard) that children get back: programs that use `select(2)` break above 1024.
/// `None` when nothing was changed.
pub fn descriptors_before() -> Option<(rlim_t, rlim_t)> {
    BEFORE.get().copied()
}
