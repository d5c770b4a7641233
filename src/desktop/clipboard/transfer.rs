//! Large contents in pieces (ICCCM 2.7.2, `INCR`): what is sent next, and what has come. Pure.
//!
//! ```text
//! Outgoing:  announced --taken--> piece --taken--> piece … --taken--> empty piece: over
//! Incoming:  announced --taken--> piece, piece …, empty piece: whole      more than the limit: refused
//! ```

use bytes::Bytes;

use super::MAX_BYTES;

/// What is larger goes in pieces of this length: well below the longest request that every server takes (ICCCM 2.5).
pub const PIECE: usize = 128 * 1024;

/// What is still to be sent.
#[derive(Debug)]
pub struct Outgoing {
    rest: Option<Bytes>,
}

impl Outgoing {
    /// Of everything.
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: Some(bytes) }
    }

    /// The next piece, when the one before was taken; the last one is empty, and `None` comes after it.
    pub fn next_piece(&mut self) -> Option<Bytes> {
        let mut rest = self.rest.take()?;
        if rest.is_empty() {
            return Some(rest);
        }
        let piece = rest.split_to(PIECE.min(rest.len()));
        self.rest = Some(rest);
        Some(piece)
    }

    /// Whether everything was sent.
    pub fn is_over(&self) -> bool {
        self.rest.is_none()
    }
}

/// It is more than [`MAX_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch;

/// What has come so far.
#[derive(Debug)]
pub struct Incoming {
    bytes: Vec<u8>,
    limit: usize,
}

impl Incoming {
    /// Nothing has; the owner announces at least so many bytes.
    pub fn announced(bytes: usize, limit: usize) -> Result<Self, TooMuch> {
        let limit = limit.min(MAX_BYTES);
        if bytes > limit {
            return Err(TooMuch);
        }
        Ok(Self {
            bytes: Vec::new(),
            limit,
        })
    }

    /// Another piece; the whole when it was the last.
    pub fn add(&mut self, piece: &[u8]) -> Result<Option<Vec<u8>>, TooMuch> {
        if piece.is_empty() {
            return Ok(Some(std::mem::take(&mut self.bytes)));
        }
        if piece.len() > self.limit - self.bytes.len() {
            return Err(TooMuch);
        }
        self.bytes.extend_from_slice(piece);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_out_comes_in() {
        for length in [0, 1, PIECE, PIECE + 1, 3 * PIECE - 1] {
            let bytes: Vec<u8> = (0..length)
                .map(|i| u8::try_from(i % 251).expect("small"))
                .collect();
            let mut outgoing = Outgoing::new(bytes.clone().into());
            let mut incoming = Incoming::announced(length, MAX_BYTES).expect("not too much");
            let whole = loop {
                let piece = outgoing
                    .next_piece()
                    .expect("not over before the empty piece");
                assert!(piece.len() <= PIECE);
                if let Some(whole) = incoming.add(&piece).expect("not too much") {
                    break whole;
                }
            };
            assert!(whole == bytes, "{length} bytes");
            assert!(outgoing.is_over() && outgoing.next_piece().is_none());
        }
    }

    #[test]
    fn too_much_is_refused_as_soon_as_it_shows() {
        assert!(Incoming::announced(MAX_BYTES + 1, usize::MAX).is_err());
        let mut incoming = Incoming::announced(0, 10).expect("nothing yet");
        assert_eq!(incoming.add(&[0; 6]), Ok(None));
        assert_eq!(incoming.add(&[0; 5]), Err(TooMuch));
    }
}
