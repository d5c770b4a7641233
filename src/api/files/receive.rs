//! Bodies that stream in: pieces of one size, without a limit of their own, but with a deadline for silence.

use std::time::Duration;

use axum::{body::Body, http::StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

use crate::{
    api::{error::ApiError, extract},
    vfs::provider::CHUNK,
};

/// How long a client may send nothing.
pub const IDLE: Duration = Duration::from_secs(20);

/// A body on its way. A client that waits for `100 Continue` is told to go on by the first [`Incoming::next`].
#[derive(Debug)]
pub struct Incoming {
    body: Body,
    held: BytesMut,
    ended: bool,
    begun: bool,
}

impl Incoming {
    /// Takes a body, and nothing of it yet.
    pub fn new(body: Body) -> Self {
        Self {
            body,
            held: BytesMut::new(),
            ended: false,
            begun: false,
        }
    }

    /// The next piece of [`CHUNK`] bytes; the last may be shorter; none at the end. Dropping the future loses nothing that came.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        self.begun = true;
        while !self.ended && self.held.len() < CHUNK {
            let frame = tokio::time::timeout(IDLE, self.body.frame());
            let frame = frame.await.map_err(|_| self.over(timed_out()))?;
            match frame {
                None => self.ended = true,
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.held.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Err(self.over(incomplete(&error))),
            }
        }
        let size = self.held.len().min(CHUNK);
        let piece = self.held.split_to(size).freeze();
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    fn over(&mut self, error: ApiError) -> ApiError {
        self.ended = true;
        error
    }

    /// All of it, held in memory.
    pub async fn whole(&mut self, limit: usize) -> Result<Bytes, ApiError> {
        let mut all = BytesMut::new();
        while let Some(piece) = self.next().await? {
            if all.len() + piece.len() > limit {
                return Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    format!("The body is larger than {limit} bytes."),
                ));
            }
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }

    /// Reads the rest of a body that is refused and throws it away, as far as it is small; a client that waits for a word to
    /// begin is not given it.
    pub async fn refuse(&mut self, waits: bool) {
        if !self.ended && (self.begun || !waits) {
            extract::discard(&mut self.body).await;
        }
    }
}

fn timed_out() -> ApiError {
    ApiError::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_timeout",
        format!("No byte of the body came for {} s.", IDLE.as_secs()),
    )
}

fn incomplete(error: &axum::Error) -> ApiError {
    ApiError::bad_request(
        "body_incomplete",
        "The body could not be read to its end; nothing was changed.",
    )
    .with_detail(error.to_string())
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(parts: Vec<Result<Bytes, std::io::Error>>, hangs: bool) -> Incoming {
        let parts = stream::iter(parts);
        if hangs {
            use futures_util::StreamExt;
            return Incoming::new(Body::from_stream(parts.chain(stream::pending())));
        }
        Incoming::new(Body::from_stream(parts))
    }

    #[tokio::test]
    async fn pieces_have_one_size() {
        let parts = (0..10).map(|_| Ok(Bytes::from(vec![7; 100_000])));
        let mut incoming = body(parts.collect(), false);
        let mut sizes = Vec::new();
        while let Some(piece) = incoming.next().await.expect("whole") {
            sizes.push(piece.len());
        }
        assert_eq!(sizes, [CHUNK, CHUNK, CHUNK, 1_000_000 - 3 * CHUNK]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_client_is_given_up() {
        let start = tokio::time::Instant::now();
        let mut incoming = body(vec![Ok(Bytes::from_static(b"x"))], true);
        let error = incoming.next().await.expect_err("silent");
        assert_eq!(error.code(), "body_timeout");
        assert_eq!(start.elapsed(), IDLE);
    }

    #[tokio::test]
    async fn a_broken_body_and_a_large_one_are_told_apart() {
        let broken = vec![
            Ok(Bytes::from_static(b"x")),
            Err(std::io::Error::other("cut")),
        ];
        let error = body(broken, false).next().await.expect_err("broken");
        assert_eq!(error.code(), "body_incomplete");
        let large = || vec![Ok(Bytes::from_static(b"12345"))];
        let error = body(large(), false).whole(4).await.expect_err("too large");
        assert_eq!(error.code(), "body_too_large");
        assert_eq!(body(large(), false).whole(5).await.expect("fits").len(), 5);
    }
}
