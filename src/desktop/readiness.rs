//! Is the desktop ready? Each step by its own event, with its own limit and its own error.

use std::{future::Future, io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    net::{TcpStream, UnixStream},
    sync::oneshot,
};

use super::{
    error::{StartError, Step},
    provider::RfbAddress,
    x11::{
        Address,
        root::{Root, RootError},
    },
};
use crate::sys::thread;

/// How long each step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Until the X server has named its display.
    pub display: Duration,
    /// Until the X server has answered.
    pub connection: Duration,
    /// Until the RFB server has greeted.
    pub rfb: Duration,
    /// Until the window manager owns the root window.
    pub window_manager: Duration,
    /// Until portabledesktop has written its line.
    pub announcement: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            display: Duration::from_secs(10),
            connection: Duration::from_secs(5),
            rfb: Duration::from_secs(5),
            window_manager: Duration::from_secs(10),
            announcement: Duration::from_secs(15),
        }
    }
}

async fn within<T>(
    step: Step,
    limit: Duration,
    work: impl Future<Output = Result<T, StartError>>,
) -> Result<T, StartError> {
    let timed_out = |_| StartError::TimedOut { step, limit };
    tokio::time::timeout(limit, work).await.map_err(timed_out)?
}

/// Does blocking work in a thread of its own. Dropping the future does not end the work, only the wait for it.
pub async fn apart<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (sender, receiver) = oneshot::channel();
    thread::spawn(name, move || sender.send(work()).is_ok())?;
    receiver
        .await
        .map_err(|_| io::Error::other("the thread panicked"))
}

/// The RFB server greets with a version of the protocol (RFC 6143, 7.1.1).
pub async fn greets(address: &RfbAddress, limit: Duration) -> Result<(), StartError> {
    within(Step::Rfb, limit, async {
        match address {
            RfbAddress::Unix(path) => greeting(UnixStream::connect(path).await).await,
            RfbAddress::Tcp(address) => greeting(TcpStream::connect(address).await).await,
        }
    })
    .await
}

async fn greeting(stream: io::Result<impl AsyncRead + Unpin>) -> Result<(), StartError> {
    let mut bytes = [0; 12];
    let mut stream = stream.map_err(StartError::Rfb)?;
    stream
        .read_exact(&mut bytes)
        .await
        .map_err(StartError::Rfb)?;
    if bytes.starts_with(b"RFB 003.") && bytes.ends_with(b"\n") {
        Ok(())
    } else {
        Err(StartError::Greeting(
            String::from_utf8_lossy(&bytes).into_owned(),
        ))
    }
}

fn failed(step: Step) -> impl Fn(RootError) -> StartError {
    move |error| match error {
        RootError::Connect(error) => StartError::Connect(error),
        RootError::Request(_) | RootError::Wait(_) => StartError::X {
            step,
            source: Box::new(error),
        },
    }
}

/// The X server answers.
pub async fn answers(address: &Address, limit: Duration) -> Result<Root, StartError> {
    let address = address.clone();
    within(Step::Connection, limit, async {
        apart("desk-root", move || Root::open(&address))
            .await
            .map_err(|error| StartError::Attach(Box::new(error)))?
            .map_err(failed(Step::Connection))
    })
    .await
}

/// The root window has a background and an arrow.
pub async fn painted(root: Root, limit: Duration) -> Result<Root, StartError> {
    within(Step::Background, limit, async {
        apart("desk-root", move || root.paint().map(|()| root))
            .await
            .map_err(|error| StartError::Attach(Box::new(error)))?
            .map_err(failed(Step::Background))
    })
    .await
}

/// A window manager is there within the limit; whether it is.
pub async fn managed(root: Root, limit: Duration) -> Result<bool, StartError> {
    apart("desk-wm-wait", move || root.wait_for_window_manager(limit))
        .await
        .map_err(|error| StartError::Attach(Box::new(error)))?
        .map_err(failed(Step::WindowManager))
}

/// A window manager must be there within the limit.
pub async fn must_be_managed(root: Root, limit: Duration) -> Result<(), StartError> {
    if managed(root, limit).await? {
        Ok(())
    } else {
        Err(StartError::TimedOut {
            step: Step::WindowManager,
            limit,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{io::AsyncWriteExt, net::UnixListener};

    async fn greeted_with(bytes: &[u8]) -> Result<(), StartError> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rfb");
        let listener = UnixListener::bind(&path).expect("a socket");
        let serve = async {
            let (mut stream, _) = listener.accept().await.expect("a caller");
            stream.write_all(bytes).await.expect("writing");
        };
        let address = RfbAddress::Unix(path);
        let limit = Duration::from_secs(10);
        tokio::join!(greets(&address, limit), serve).0
    }

    #[tokio::test]
    async fn only_rfb_servers_are_taken() {
        greeted_with(b"RFB 003.008\n").await.expect("an RFB server");
        let other = greeted_with(b"HTTP/1.1 200").await.expect_err("another");
        assert!(matches!(other, StartError::Greeting(_)), "{other}");
        let short = greeted_with(b"RFB").await.expect_err("cut off");
        assert!(matches!(short, StartError::Rfb(_)), "{short}");
    }

    #[tokio::test]
    async fn a_silent_server_times_out_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rfb");
        let _listener = UnixListener::bind(&path).expect("a socket");
        let error = greets(&RfbAddress::Unix(path), Duration::from_millis(10)).await;
        let error = error.expect_err("nothing is said");
        assert!(
            matches!(
                error,
                StartError::TimedOut {
                    step: Step::Rfb,
                    ..
                }
            ),
            "{error}"
        );
    }
}
