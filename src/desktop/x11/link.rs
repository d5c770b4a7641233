//! A connection that only tells when the X server, or the way to it, is gone.

use std::{
    io,
    os::fd::AsRawFd,
    sync::{Arc, Mutex},
};

use nix::sys::socket::{Shutdown, shutdown};
use tokio_util::sync::CancellationToken;
use x11rb::{connection::Connection, rust_connection::RustConnection};

use super::{Address, ConnectError, connect};
use crate::sys::thread;

/// The connection; dropping the last clone closes it and ends its thread.
#[derive(Clone, Debug)]
pub struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Arc<RustConnection>,
    closed: CancellationToken,
    /// Why it broke. Held for a copy only.
    reason: Arc<Mutex<String>>,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No thread.
    #[error("failed to start the thread of a link")]
    Thread(#[source] io::Error),
}

impl Link {
    /// Connects, and listens in a thread of its own. Blocks until the server has answered.
    pub fn open(address: &Address) -> Result<Self, LinkError> {
        let (connection, _) = connect(address)?;
        let connection = Arc::new(connection);
        let closed = CancellationToken::new();
        let reason = Arc::new(Mutex::new(String::new()));
        let (heard, token, text) = (connection.clone(), closed.clone(), reason.clone());
        thread::spawn("desk-link", move || {
            let error = loop {
                if let Err(error) = heard.wait_for_event() {
                    break error;
                }
            };
            if let Ok(mut text) = text.lock() {
                *text = error.to_string();
            }
            token.cancel();
        })
        .map_err(LinkError::Thread)?;
        Ok(Self(Arc::new(Inner {
            connection,
            closed,
            reason,
        })))
    }

    /// Resolves when it broke, with the reason. May be dropped and called again.
    pub async fn closed(&self) -> String {
        self.0.closed.cancelled().await;
        self.0
            .reason
            .lock()
            .map(|text| text.clone())
            .unwrap_or_default()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Wakes the thread, which ends with it.
        let _ = shutdown(self.connection.stream().as_raw_fd(), Shutdown::Both);
    }
}
