//! Listeners and connections: accept, name the peer, serve HTTP/1.1 or h2c, drain at stop.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use axum::{Router, extract::Request};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tower::ServiceExt;

use super::{patience::Patient, peer::Peer};
use crate::shutdown::Shutdown;

/// Connections at a time; further ones wait in the kernel's backlog.
pub const MAX_CONNECTIONS: usize = 2048;

/// Time for a client to send the whole head of a request; also the longest idle time between two.
const HEADER_DEADLINE: Duration = Duration::from_mins(1);

/// Time for open requests to finish once the daemon stops.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Pause after a failed accept, when descriptors have run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A bound listener.
#[derive(Debug)]
pub enum Listener {
    /// TCP.
    Tcp(TcpListener),
    /// Unix socket.
    Unix(UnixListener),
}

/// What all connections share.
#[derive(Clone, Debug)]
pub struct Server {
    router: Router,
    shutdown: Shutdown,
    permits: Arc<Semaphore>,
}

impl Server {
    /// A server of one router.
    pub fn new(router: Router, shutdown: Shutdown) -> Self {
        Self {
            router,
            shutdown,
            permits: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        }
    }

    /// Accepts until the daemon stops. Dropping it stops accepting; open connections go on.
    pub async fn run(self, listener: Listener) {
        loop {
            let permit = tokio::select! {
                biased;
                () = self.shutdown.stopped() => return,
                permit = Arc::clone(&self.permits).acquire_owned() => permit.expect("never closed"),
            };
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.stopped() => return,
                accepted = self.accept(&listener, permit) => accepted,
            };
            if let Err(error) = accepted {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to accept");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Cancel safe: a connection is either still in the backlog or has its task.
    async fn accept(&self, listener: &Listener, permit: OwnedSemaphorePermit) -> io::Result<()> {
        match listener {
            Listener::Tcp(listener) => {
                let (stream, remote) = listener.accept().await?;
                // Two small writes without it wait 40 ms for a delayed acknowledgement.
                stream.set_nodelay(true)?;
                let peer = Peer::Tcp {
                    remote,
                    local: stream.local_addr()?,
                };
                self.shutdown
                    .spawn(self.clone().connection(stream, peer, permit));
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                let same_user = stream.peer_cred()?.uid() == nix::unistd::getuid().as_raw();
                let peer = Peer::Unix { same_user };
                self.shutdown
                    .spawn(self.clone().connection(stream, peer, permit));
            }
        }
        Ok(())
    }

    fn connection<S>(
        self,
        stream: S,
        peer: Peer,
        permit: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let router = self.router;
        let shutdown = self.shutdown;
        async move {
            let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(peer.clone());
                router
                    .clone()
                    .oneshot(request.map(axum::body::Body::new) as Request)
            });
            let builder = http_builder();
            let mut connection = pin!(
                builder.serve_connection_with_upgrades(TokioIo::new(Patient::new(stream)), service)
            );
            let ended = tokio::select! {
                biased;
                () = shutdown.stopped() => None,
                ended = connection.as_mut() => Some(ended),
            };
            if ended.is_none() {
                connection.as_mut().graceful_shutdown();
                let _ = tokio::time::timeout(DRAIN_DEADLINE, connection).await;
            }
            drop(permit);
        }
    }
}

fn http_builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(64 * 1024)
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(Duration::from_secs(30)))
        .max_concurrent_streams(128);
    builder
}
