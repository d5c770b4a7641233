//! `deskd vnc`: the desktop on a local port, for VNC programs.

use clap::Args;
use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::Message;

use super::{RemoteError, client, print};
use crate::{
    cli::complain,
    client::{Client, error::ClientError},
    config::{Environment, client::ClientArgs},
};

/// `deskd vnc`
#[derive(Args, Debug)]
pub(in crate::cli) struct Vnc {
    /// Port on 127.0.0.1; 0 picks one
    #[arg(default_value = "5901")]
    port: u16,
    /// The daemon drops keys, pointer and clipboard
    #[arg(long)]
    view_only: bool,
    #[command(flatten)]
    daemon: ClientArgs,
}

impl Vnc {
    /// Serves until it is interrupted. Whoever connects to the port has the desktop without a token, so it is on loopback.
    pub(super) async fn run(self, environment: &Environment) -> Result<(), RemoteError> {
        let client = client(&self.daemon, environment)?;
        let what = format!("listen on 127.0.0.1:{}", self.port);
        let listener = TcpListener::bind(("127.0.0.1", self.port)).await;
        let listener = listener.map_err(RemoteError::local(what))?;
        let address = listener
            .local_addr()
            .map_err(RemoteError::local("ask for the port"))?;
        if self.daemon.json {
            print::row(&serde_json::json!({"address": address.to_string()}))?;
        } else {
            print::line(&format!("forwarding {address}"))?;
        }
        let path = if self.view_only {
            "/api/v0/desktop/vnc?view_only=true"
        } else {
            "/api/v0/desktop/vnc"
        };
        let mut viewers = futures_util::stream::FuturesUnordered::new();
        loop {
            tokio::select! {
                viewer = listener.accept() => {
                    let (viewer, _) = viewer.map_err(RemoteError::local("accept a viewer"))?;
                    viewers.push(carry(&client, path, viewer));
                }
                Some(ended) = viewers.next() => {
                    if let Err(error) = ended {
                        complain(&crate::cli::chain(&error));
                    }
                }
            }
        }
    }
}

/// One VNC connection to its end.
async fn carry(client: &Client, path: &str, mut viewer: TcpStream) -> Result<(), RemoteError> {
    let _ = viewer.set_nodelay(true);
    let (mut sink, mut stream) = client.websocket(path).await?.split();
    let (mut read, mut write) = viewer.split();
    let up = async {
        let mut piece = vec![0; 64 << 10];
        loop {
            let size = read.read(&mut piece).await.unwrap_or(0);
            if size == 0 {
                let _ = sink.send(Message::Close(None)).await;
                return;
            }
            let bytes = piece[..size].to_vec();
            if sink.send(Message::Binary(bytes.into())).await.is_err() {
                return;
            }
        }
    };
    let down = async {
        while let Some(message) = stream.next().await {
            match message.map_err(|error| ClientError::Socket(Box::new(error)))? {
                Message::Binary(bytes) if write.write_all(&bytes).await.is_err() => return Ok(()),
                Message::Close(Some(frame)) if !frame.reason.is_empty() => {
                    complain(&format!("the viewer was closed: {}", frame.reason));
                    return Ok(());
                }
                _ => {}
            }
        }
        Ok(())
    };
    tokio::select! {
        () = up => Ok(()),
        ended = down => ended,
    }
}
