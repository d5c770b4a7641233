//! Why a request of a client came to nothing.

use serde_json::Value;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error(
        "no daemon answers at {place}; `deskd serve` starts one, --url or --socket names another"
    )]
    Connect {
        /// The socket or the address.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// An argument cannot stand in a request.
    #[error("the request cannot be written")]
    BadRequest(#[source] hyper::http::Error),
    /// The daemon said no.
    #[error("{0}")]
    Refused(Refusal),
    /// The connection ended in the middle.
    #[error("the connection to the daemon broke")]
    Broken(#[source] hyper::Error),
    /// A WebSocket ended in the middle.
    #[error("the connection to the daemon broke")]
    Socket(#[source] Box<tokio_tungstenite::tungstenite::Error>),
    /// The daemon ended a WebSocket.
    #[error("the daemon closed the connection{}{reason}", if .reason.is_empty() { "" } else { ": " })]
    Closed {
        /// Its words.
        reason: String,
    },
    /// The answer is larger than the memory that is meant for it.
    #[error("the answer is larger than 256 MiB")]
    TooLarge,
    /// The answer is not what was asked for.
    #[error("the answer is no JSON: is this a deskd?")]
    NotJson(#[source] serde_json::Error),
}

/// What the daemon said instead.
#[derive(Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// A sentence.
    pub message: String,
    /// A word for programs.
    pub code: String,
    /// The cause, when there is one to tell.
    pub detail: Option<String>,
    /// The whole answer.
    pub body: Value,
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        match self.status {
            401 => f.write_str("; --token-file names the file with the daemon's token"),
            _ => Ok(()),
        }
    }
}
