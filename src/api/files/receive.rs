//! Bodies that stream in: pieces that are neither tiny nor large, without a limit of their own, but with a deadline for silence.

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

/// From how many bytes on what came together stays together. Less is gathered.
const ENOUGH: usize = CHUNK / 4;
/// Bytes that are handed on together.
const TOGETHER: usize = 2 * CHUNK;

/// A body on its way. A client that waits for `100 Continue` is told to go on by the first [`Incoming::next`].
#[derive(Debug)]
pub struct Incoming {
    body: Body,
    /// What came, and is not in a piece yet.
    frame: Bytes,
    /// The piece that is gathered.
    held: BytesMut,
    ended: bool,
    begun: bool,
}

impl Incoming {
    /// Takes a body, and nothing of it yet.
    pub fn new(body: Body) -> Self {
        Self {
            body,
            frame: Bytes::new(),
            held: BytesMut::new(),
            ended: false,
            begun: false,
        }
    }

    /// The next piece of at most [`CHUNK`] bytes, and of at least a quarter of it unless it is the last; none at the end. What
    /// came in one go is not copied. Dropping the future loses nothing that came.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        self.begun = true;
        while self.held.len() < CHUNK {
            if self.frame.is_empty() {
                if self.ended {
                    break;
                }
                self.receive().await?;
            } else if self.held.is_empty() && self.frame.len() >= ENOUGH {
                let size = self.frame.len().min(CHUNK);
                return Ok(Some(self.frame.split_to(size)));
            } else {
                let size = self.frame.len().min(CHUNK - self.held.len());
                self.held.extend_from_slice(&self.frame.split_to(size));
            }
        }
        let piece = self.held.split().freeze();
        Ok(Some(piece).filter(|piece| !piece.is_empty()))
    }

    /// Some pieces for one turn of a mount: a turn costs more than to write one piece. None at the end. Dropping the future loses
    /// what it had gathered.
    pub async fn several(&mut self) -> Result<Vec<Bytes>, ApiError> {
        let (mut pieces, mut bytes) = (Vec::new(), 0);
        while bytes < TOGETHER
            && let Some(piece) = self.next().await?
        {
            bytes += piece.len();
            pieces.push(piece);
        }
        Ok(pieces)
    }

    async fn receive(&mut self) -> Result<(), ApiError> {
        let frame = tokio::time::timeout(IDLE, self.body.frame());
        let frame = frame.await.map_err(|_| self.over(timed_out()))?;
        match frame {
            None => self.ended = true,
            Some(Ok(frame)) => self.frame = frame.into_data().unwrap_or_default(),
            Some(Err(error)) => return Err(self.over(incomplete(&error))),
        }
        Ok(())
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
    async fn pieces_are_neither_tiny_nor_large() {
        for (size, due) in [
            (100, vec![CHUNK, CHUNK, CHUNK, 1_000_000 - 3 * CHUNK]),
            (100_000, vec![100_000; 10]),
            (600_000, vec![CHUNK, CHUNK, 75_712, CHUNK, 137_856]),
        ] {
            let bytes: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
            let parts = bytes.chunks(size).map(Bytes::copy_from_slice).map(Ok);
            let mut incoming = body(parts.collect(), false);
            let (mut sizes, mut all) = (Vec::new(), Vec::new());
            while let Some(piece) = incoming.next().await.expect("whole") {
                sizes.push(piece.len());
                all.extend_from_slice(&piece);
            }
            assert_eq!(sizes, due, "of {size}");
            assert_eq!(all, bytes);
        }
    }

    #[tokio::test]
    async fn some_pieces_go_together() {
        let parts = (0..10).map(|_| Ok(Bytes::from(vec![7; 100_000])));
        let mut incoming = body(parts.collect(), false);
        let mut counts = Vec::new();
        loop {
            match incoming.several().await.expect("whole").len() {
                0 => break,
                count => counts.push(count),
            }
        }
        assert_eq!(counts, [6, 4]);
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
