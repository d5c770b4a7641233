//! Descriptors that the runtime watches.

use std::{io, os::fd::OwnedFd};

use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor whose readiness for reading can be awaited. Needs a tokio runtime.
#[expect(unsafe_code, reason = "the promise that the number stays the same")]
pub fn readable(descriptor: impl Into<OwnedFd>) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` has the same, open number for as long as it lives, and `AsyncFd` owns it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor.into(), Interest::READABLE) };
    watched.map_err(Into::into)
}
