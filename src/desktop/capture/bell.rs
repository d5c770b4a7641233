//! What the threads of a capture sleep on: a bell that handles ring, and the reports of the display.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io::Errno,
};

/// Wakes one thread. Rung before the thread sleeps, it keeps it awake.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self(eventfd(
            0,
            EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK,
        )?))
    }

    pub(super) fn ring(&self) {
        // Fails only when the counter is full, and then the bell rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Sleeps until it is rung, `events` can be read, or the limit is over. False: the limit is over.
    pub(super) fn wait(
        &self,
        events: Option<BorrowedFd<'_>>,
        limit: Option<Duration>,
    ) -> io::Result<bool> {
        let limit = limit.and_then(|limit| Timespec::try_from(limit).ok());
        let mut fds = vec![PollFd::new(&self.0, PollFlags::IN)];
        fds.extend(events.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let woken = match poll(&mut fds, limit.as_ref()) {
            Ok(ready) => ready > 0,
            Err(Errno::INTR) => true,
            Err(error) => return Err(error.into()),
        };
        // Fails when the bell did not ring.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
        Ok(woken)
    }
}

/// Whether nothing can be read there now, not even an end.
pub(super) fn is_silent(events: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&events, PollFlags::IN)];
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    poll(&mut fds, Some(&now)) == Ok(0)
}
