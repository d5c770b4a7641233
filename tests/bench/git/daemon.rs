//! The daemon under test, and those who watch through it.

use std::{net::TcpStream, path::Path, time::Duration};

use serde_json::Value;
use tokio_tungstenite::tungstenite::{
    Message, WebSocket, client::IntoClientRequest, handshake::client::Request,
};

use crate::{Outcome, cleanup::Place, http::Client, served::Served};

/// A running daemon, and who asks it.
#[derive(Debug)]
pub(crate) struct Ours(Served);

impl Ours {
    /// Starts it.
    pub(crate) fn start(place: &Place) -> Outcome<Self> {
        Ok(Self(Served::start(place)?))
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.0.pid()
    }

    /// A connection to it.
    pub(crate) fn client(&self) -> Outcome<Client> {
        self.0.client()
    }

    /// One who watches a repository, with the first message behind it.
    pub(crate) fn watch(&self, repository: &Path) -> Outcome<Watcher> {
        let url = format!(
            "ws://{}/api/v0/git/watch?path={}",
            self.0.address,
            repository.display()
        );
        let mut request: Request = url.into_client_request()?;
        let value = format!("Bearer {}", self.0.token).parse()?;
        request.headers_mut().insert("authorization", value);
        let stream = TcpStream::connect(&self.0.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let (socket, _) = tokio_tungstenite::tungstenite::client(request, stream)
            .map_err(|error| error.to_string())?;
        let mut watcher = Watcher(socket);
        watcher.entry()?;
        Ok(watcher)
    }
}

/// One who watches.
pub(crate) struct Watcher(WebSocket<TcpStream>);

impl Watcher {
    /// The next message.
    pub(crate) fn next(&mut self) -> Outcome<Value> {
        loop {
            if let Message::Text(text) = self.0.read()? {
                return Ok(serde_json::from_str(&text)?);
            }
        }
    }

    /// The first entry of the next message that has one.
    pub(crate) fn entry(&mut self) -> Outcome<Value> {
        loop {
            let mut message = self.next()?;
            if !message["repositories"][0].is_null() {
                return Ok(message["repositories"][0].take());
            }
        }
    }
}
