//! Waits for events of a connection, with a deadline, and for a thread's wake-up.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
    time::Instant,
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use x11rb::{
    connection::Connection, errors::ConnectionError, protocol::Event,
    rust_connection::RustConnection,
};

/// Ends the wait of a thread that also waits for a connection.
#[derive(Clone, Debug)]
pub struct Wake(Arc<OwnedFd>);

impl Wake {
    /// # Errors
    /// No descriptor is left.
    pub fn new() -> io::Result<Self> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Ends the wait that is under way, or the next one.
    pub fn wake(&self) {
        // Fails only when the counter is full, and then the wait ends anyway.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }
}

/// The next event, or `None` at the deadline. Sends what is buffered first.
pub(super) fn next_event(
    connection: &RustConnection,
    until: Instant,
) -> Result<Option<Event>, ConnectionError> {
    connection.flush()?;
    loop {
        if let Some(event) = connection.poll_for_event()? {
            return Ok(Some(event));
        }
        if Instant::now() >= until {
            return Ok(None);
        }
        wait(connection, None, Some(until))?;
    }
}

/// Waits until the connection has something to read, until the wake-up, or until the time. May end early. What the
/// connection has already read does not end it: poll for events first.
pub(super) fn wait(
    connection: &RustConnection,
    wake: Option<&Wake>,
    until: Option<Instant>,
) -> Result<(), ConnectionError> {
    let limit = until.map(|until| until.saturating_duration_since(Instant::now()));
    let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
    let stream = connection.stream().as_fd();
    let mut fds = vec![PollFd::new(&stream, PollFlags::IN)];
    fds.extend(wake.map(|wake| PollFd::new(&*wake.0, PollFlags::IN)));
    match poll(&mut fds, limit.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(ConnectionError::IoError(error.into())),
    }
    let woken = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
    if let (Some(wake), true) = (wake, woken) {
        let _ = rustix::io::read(&*wake.0, &mut [0_u8; 8]);
    }
    Ok(())
}
