//! Standard input of a process: a pipe or a terminal, written by one client after the other.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::{OwnedSemaphorePermit, Semaphore},
};

use super::error::InputError;
use crate::sys::{descriptor, pty};

/// Bodies that may wait while another one is written.
const WAITING: usize = 16;
/// Time without a byte taken after which a writer gives up.
const STALLED: Duration = Duration::from_secs(30);
/// End of file of a terminal whose modes name none.
const CONTROL_D: u8 = 4;

/// Where input is written. Closed when the process has exited.
#[derive(Debug)]
pub struct Input {
    terminal: bool,
    /// Guards the place of the descriptor; never held across an await.
    end: Mutex<Option<Arc<AsyncFd<OwnedFd>>>>,
    turn: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

/// The right to write: no bytes of others come between until it is dropped.
#[derive(Debug)]
pub struct Turn {
    end: Arc<AsyncFd<OwnedFd>>,
    written: u64,
    _permits: [OwnedSemaphorePermit; 2],
}

impl Input {
    pub(super) fn new(end: Option<OwnedFd>, terminal: bool) -> Self {
        let end = end.and_then(|end| descriptor::writable(end).ok());
        Self {
            terminal,
            end: Mutex::new(end.map(Arc::new)),
            turn: Arc::new(Semaphore::new(1)),
            places: Arc::new(Semaphore::new(WAITING + 1)),
        }
    }

    fn end(&self) -> Option<Arc<AsyncFd<OwnedFd>>> {
        self.end.lock().expect("no panic while held").clone()
    }

    /// Whether bytes can be written.
    pub fn is_open(&self) -> bool {
        self.end().is_some()
    }

    /// Waits until nobody else writes. Dropping the future gives the place up.
    pub async fn turn(&self) -> Result<Turn, InputError> {
        if !self.is_open() {
            return Err(InputError::NotOpen);
        }
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| InputError::Busy)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await;
        let turn = turn.expect("it is never closed");
        // Whoever was before may have closed it.
        let end = self.end().ok_or(InputError::NotOpen)?;
        Ok(Turn {
            end,
            written: 0,
            _permits: [turn, place],
        })
    }

    /// Closes our copy of a pipe. The keeper has another one.
    pub(super) fn close(&self) {
        self.end.lock().expect("no panic while held").take();
    }

    /// What ends the input of a terminal; `None` for a pipe, which is closed instead.
    pub fn end_of_file(&self) -> Option<u8> {
        if !self.terminal {
            return None;
        }
        let byte = self.end().map(|end| pty::end_of_file(end.get_ref()));
        Some(byte.and_then(Result::ok).flatten().unwrap_or(CONTROL_D))
    }

    /// Rows and columns of the terminal, while it is open.
    pub fn size(&self) -> Option<(u16, u16)> {
        if !self.terminal {
            return None;
        }
        pty::size(self.end()?.get_ref()).ok()
    }

    /// Changes the size of the terminal; the foreground group is told by the system.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<(), InputError> {
        if !self.terminal {
            return Err(InputError::NoTerminal);
        }
        let end = self.end().ok_or(InputError::Exited)?;
        pty::resize(end.get_ref(), rows, columns).map_err(|_| InputError::Exited)
    }
}

impl Turn {
    /// Writes all of it, as fast as the process reads. Dropping the future leaves a part written; [`Turn::written`]
    /// tells which.
    pub async fn write(&mut self, mut bytes: &[u8]) -> Result<(), InputError> {
        while !bytes.is_empty() {
            let ready = tokio::time::timeout(STALLED, self.end.writable()).await;
            let Ok(Ok(ready)) = ready else {
                let written = self.written;
                return Err(InputError::Stalled { written });
            };
            drop(ready);
            let result = self
                .end
                .try_io(Interest::WRITABLE, |end| descriptor::write(end, bytes));
            match result {
                Ok(count) => {
                    self.written += u64::try_from(count).expect("a length fits");
                    bytes = &bytes[count..];
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    let written = self.written;
                    return Err(InputError::Closed { written });
                }
            }
        }
        Ok(())
    }

    /// Bytes that the pipe has taken.
    pub fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_does_not_read_is_given_up_after_half_a_minute() {
        let (reader, writer) = io::pipe().expect("a pipe");
        descriptor::set_nonblocking(&writer).expect("a pipe of ours");
        let input = Input::new(Some(writer.into()), false);
        let mut turn = input.turn().await.expect("open");
        let before = tokio::time::Instant::now();
        let result = turn.write(&vec![0; 100_000]).await;
        let Err(InputError::Stalled { written }) = result else {
            panic!("{result:?}");
        };
        assert_eq!(
            (written, turn.written()),
            (65_536, 65_536),
            "what a pipe holds"
        );
        assert!(before.elapsed() >= STALLED);
        drop(turn);
        drop(reader);
        let mut turn = input.turn().await.expect("still open");
        let closed = turn.write(b"x").await;
        assert!(
            matches!(closed, Err(InputError::Closed { written: 0 })),
            "{closed:?}"
        );
    }
}
