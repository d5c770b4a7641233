//! A client of the daemon: HTTP/1.1 and WebSockets over its Unix socket, or over TCP.
//!
//! One connection a request: it costs a fraction of a millisecond, and nothing of one request concerns another.
//! Dropping a future or an answer closes its connection, and the daemon ends the work that was done for it.

pub mod error;

use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{Method, Request, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};

use self::error::{ClientError, Refusal};

/// What is sent with a request; an error breaks the connection off.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// A connection of either kind.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A WebSocket of either kind of connection.
pub type Socket = WebSocketStream<Box<dyn Stream>>;

/// Longest body of an answer that is taken into memory, and longest message of a WebSocket.
const LARGEST: usize = 256 << 20;

/// Where the daemon is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its socket: a peer of the daemon's own user needs no token.
    Unix(PathBuf),
    /// `HOST:PORT`.
    Tcp(String),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(authority) => write!(f, "http://{authority}"),
        }
    }
}

/// Where the daemon is, and as whom it is asked.
#[derive(Clone)]
pub struct Client {
    place: Place,
    token: Option<String>,
    chat: Option<String>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = &self.place;
        write!(f, "Client({place})") // never the token
    }
}

/// An answer of the 200s.
#[derive(Debug)]
pub struct Answer {
    /// Its headers.
    pub headers: hyper::HeaderMap,
    body: Incoming,
}

impl Answer {
    /// The next bytes; none behind the last.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        while let Some(frame) = self.body.frame().await {
            if let Ok(bytes) = frame.map_err(ClientError::Broken)?.into_data() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }

    /// All that is left, up to 256 MiB.
    pub async fn bytes(mut self) -> Result<Vec<u8>, ClientError> {
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if all.len() + bytes.len() > LARGEST {
                return Err(ClientError::TooLarge);
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }

    /// The whole as JSON; an empty body is null.
    pub async fn json(self) -> Result<Value, ClientError> {
        let bytes = self.bytes().await?;
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&bytes).map_err(ClientError::NotJson)
    }
}

/// A body that is there already.
pub fn whole(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

impl Client {
    /// A client; nothing is connected yet.
    pub fn new(place: Place, token: Option<String>, chat: Option<String>) -> Self {
        Self { place, token, chat }
    }

    /// Where it asks.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The token that it has.
    pub fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, ClientError> {
        let failed = |source| ClientError::Connect {
            place: self.place.to_string(),
            source,
        };
        Ok(match &self.place {
            Place::Unix(path) => Box::new(UnixStream::connect(path).await.map_err(failed)?),
            Place::Tcp(authority) => {
                let stream = TcpStream::connect(authority).await.map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                Box::new(stream)
            }
        })
    }

    fn head(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let host = match &self.place {
            Place::Unix(_) => "localhost",
            Place::Tcp(authority) => authority,
        };
        let mut head = Request::builder().method(method).uri(path);
        head = head.header(header::HOST, host);
        if let Some(token) = &self.token {
            head = head.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if let Some(chat) = &self.chat {
            head = head.header("Coder-Chat-Id", chat);
        }
        head
    }

    /// One request. Whatever is no answer of the 200s is an error with the daemon's own words.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Result<Answer, ClientError> {
        let stream = TokioIo::new(self.connect().await?);
        let handshake = hyper::client::conn::http1::handshake(stream).await;
        let (mut sender, connection) = handshake.map_err(ClientError::Broken)?;
        // It ends with the answer's body, or when the request is given up.
        #[expect(
            clippy::disallowed_methods,
            reason = "a client waits for no task: what is left ends with the program"
        )]
        drop(tokio::spawn(connection));
        let mut head = self.head(method, path);
        for (name, value) in headers {
            head = head.header(*name, *value);
        }
        let request = head.body(body).map_err(ClientError::BadRequest)?;
        let answer = sender.send_request(request).await;
        let (head, body) = answer.map_err(ClientError::Broken)?.into_parts();
        let answer = Answer {
            headers: head.headers,
            body,
        };
        if head.status.is_success() {
            return Ok(answer);
        }
        Err(ClientError::Refused(refusal(
            head.status,
            &answer.bytes().await?,
        )))
    }

    /// GET of JSON.
    pub async fn get(&self, path: &str) -> Result<Value, ClientError> {
        let answer = self.send(Method::GET, path, &[], whole("")).await?;
        answer.json().await
    }

    /// POST of JSON for JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        let kind = [("content-type", "application/json")];
        let body = whole(body.to_string());
        let answer = self.send(Method::POST, path, &kind, body).await?;
        answer.json().await
    }

    /// A WebSocket; a refusal has the daemon's own words.
    pub async fn websocket(&self, path: &str) -> Result<Socket, ClientError> {
        let head = self
            .head(Method::GET, path)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(
                header::SEC_WEBSOCKET_KEY,
                tungstenite::handshake::client::generate_key(),
            );
        let mut request = head.body(()).map_err(ClientError::BadRequest)?;
        // The library takes the host from the address, which has to be whole for it.
        let whole = format!("ws://localhost{path}").parse();
        *request.uri_mut() = whole
            .map_err(|error: hyper::http::uri::InvalidUri| ClientError::BadRequest(error.into()))?;
        let config = tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(Some(LARGEST))
            .max_frame_size(Some(LARGEST));
        let stream = self.connect().await?;
        match client_async_with_config(request, stream, Some(config)).await {
            Ok((socket, _)) => Ok(socket),
            Err(tungstenite::Error::Http(answer)) => {
                let status = answer.status();
                let body = answer.into_body().unwrap_or_default();
                Err(ClientError::Refused(refusal(status, &body)))
            }
            Err(error) => Err(ClientError::Socket(Box::new(error))),
        }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().map(str::to_owned);
    Refusal {
        status: status.as_u16(),
        message: text("message").unwrap_or_else(|| status.to_string()),
        code: text("code").unwrap_or_default(),
        detail: text("detail"),
        body,
    }
}
