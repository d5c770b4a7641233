//! Descriptors that the runtime watches.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
};

use tokio::io::{Interest, unix::AsyncFd};

/// A descriptor whose readiness for reading can be awaited. Needs a tokio runtime.
pub fn readable(descriptor: impl Into<OwnedFd>) -> io::Result<AsyncFd<OwnedFd>> {
    watched(descriptor.into(), Interest::READABLE)
}

/// A descriptor whose readiness for writing can be awaited. Needs a tokio runtime.
pub fn writable(descriptor: impl Into<OwnedFd>) -> io::Result<AsyncFd<OwnedFd>> {
    watched(descriptor.into(), Interest::WRITABLE)
}

/// A descriptor whose readiness for both can be awaited. Needs a tokio runtime.
pub fn both(descriptor: impl Into<OwnedFd>) -> io::Result<AsyncFd<OwnedFd>> {
    watched(descriptor.into(), Interest::READABLE | Interest::WRITABLE)
}

/// Resolves when standard output is a pipe that nobody reads any more; never for anything else. Needs a tokio runtime.
pub async fn reader_of_output_gone() {
    let output = io::stdout().as_fd().try_clone_to_owned();
    match output.and_then(|output| watched(output, Interest::ERROR)) {
        Ok(output) if output.ready(Interest::ERROR).await.is_ok() => {}
        _ => std::future::pending().await, // files cannot be watched, and always take what comes
    }
}

/// Reads and writes of it never block; what has nothing to give, or no room, says `WouldBlock`.
pub fn set_nonblocking(descriptor: impl AsFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(descriptor, true).map_err(Into::into)
}

/// Bytes that stand in a pipe or a terminal and can be read at once.
pub fn waiting(descriptor: impl AsFd) -> io::Result<usize> {
    let count = rustix::io::ioctl_fionread(descriptor)?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

/// Reads what is there, at most the buffer.
pub fn read(descriptor: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::read(&descriptor, &mut *buffer)).map_err(Into::into)
}

/// Writes what there is room for.
pub fn write(descriptor: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    rustix::io::retry_on_intr(|| rustix::io::write(&descriptor, bytes)).map_err(Into::into)
}

#[expect(unsafe_code, reason = "the promise that the number stays the same")]
fn watched(descriptor: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an `OwnedFd` has the same, open number for as long as it lives, and `AsyncFd` owns it.
    let watched = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    watched.map_err(Into::into)
}

/// The descriptor that whoever started us handed over under this number; nobody else may use it.
#[expect(unsafe_code, reason = "a number becomes a descriptor")]
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    if number < 3 {
        return Err(io::Error::other("a standard file is not handed over"));
    }
    // SAFETY: fcntl(2) on a number; one that is not open is an error.
    let flags = unsafe { nix::libc::fcntl(number, nix::libc::F_SETFD, nix::libc::FD_CLOEXEC) };
    if flags < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, as was just seen, and our starter's word is that nothing else here uses it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
