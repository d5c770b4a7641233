//! The text that an edit makes, with a bound: a small request must not make a file of any size.

use super::Refusal;

/// Collects bytes, and refuses those that would exceed the limit before it takes any of them.
#[derive(Debug)]
pub(super) struct Sink {
    bytes: Vec<u8>,
    limit: usize,
}

impl Sink {
    pub(super) fn new(capacity: usize, limit: usize) -> Sink {
        Sink {
            bytes: Vec::with_capacity(capacity.min(limit)),
            limit,
        }
    }

    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.admit(bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The same byte, `count` times.
    pub(super) fn fill(&mut self, byte: u8, count: usize) -> Result<(), Refusal> {
        self.admit(count)?;
        self.bytes.resize(self.bytes.len() + count, byte);
        Ok(())
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn admit(&self, count: usize) -> Result<(), Refusal> {
        let limit = self.limit;
        if count > limit.saturating_sub(self.bytes.len()) {
            return Err(Refusal::TooLarge { limit });
        }
        Ok(())
    }
}
