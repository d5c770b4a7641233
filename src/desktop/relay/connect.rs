//! Connects to an RFB server.

use std::{io, time::Duration};

use tokio::{
    net::{TcpStream, UnixStream},
    time::timeout,
};

use crate::desktop::rfb::RfbAddress;

/// A local server answers at once or is not there.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Pause before the next try while the server has more connections to accept than it can queue.
const BACKLOG_PAUSE: Duration = Duration::from_millis(5);

/// A connection to an RFB server.
#[derive(Debug)]
pub enum RfbStream {
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Over TCP, without Nagle's delay.
    Tcp(TcpStream),
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The operating system said no.
    #[error("failed to connect to the RFB server at {address}")]
    Connect {
        /// Where.
        address: RfbAddress,
        /// Why.
        source: io::Error,
    },
    /// Nothing happened for five seconds.
    #[error("the RFB server at {address} did not accept a connection within {CONNECT_WITHIN:?}")]
    Timeout {
        /// Where.
        address: RfbAddress,
    },
}

/// Connects within five seconds. Dropping the future gives up without a trace.
pub async fn connect(address: &RfbAddress) -> Result<RfbStream, ConnectError> {
    let connected = timeout(CONNECT_WITHIN, open(address)).await;
    let address = address.clone();
    match connected {
        Err(_) => Err(ConnectError::Timeout { address }),
        Ok(Err(source)) => Err(ConnectError::Connect { address, source }),
        Ok(Ok(stream)) => Ok(stream),
    }
}

async fn open(address: &RfbAddress) -> io::Result<RfbStream> {
    match address {
        RfbAddress::Unix(path) => loop {
            match UnixStream::connect(path).await {
                // Its backlog is full, and no readiness tells when there is room (connect(2), EAGAIN).
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    tokio::time::sleep(BACKLOG_PAUSE).await;
                }
                connected => return connected.map(RfbStream::Unix),
            }
        },
        RfbAddress::Tcp(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?; // a key must not wait for the acknowledgement of the one before
            Ok(RfbStream::Tcp(stream))
        }
    }
}
