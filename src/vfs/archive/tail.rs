//! Telling a tar archive that was cut short from one that has ended: it ends with blocks of zeros (POSIX.1-2017 pax, "ustar
//! Interchange Format"), which readers of archives do not insist on.

use std::io::{self, Read};

/// Bytes of a block.
const BLOCK: usize = 512;

/// Passes bytes on and remembers whether the last whole block was zeros.
#[derive(Debug)]
pub(super) struct Tail<R> {
    inner: R,
    /// Bytes of the block that is being read.
    filled: usize,
    zeros: bool,
    ended: bool,
}

impl<R> Tail<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            filled: 0,
            zeros: true,
            ended: false,
        }
    }

    /// Whether the last whole block was one of the end.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    fn see(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK - self.filled));
            self.zeros &= now.iter().all(|byte| *byte == 0);
            self.filled += now.len();
            if self.filled == BLOCK {
                self.ended = self.zeros;
                (self.filled, self.zeros) = (0, true);
            }
            bytes = later;
        }
    }
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.see(&buffer[..count]);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(bytes: &[u8]) -> bool {
        let mut tail = Tail::new(bytes);
        let mut buffer = [0; 100];
        while tail.read(&mut buffer).expect("bytes") > 0 {}
        tail.has_ended()
    }

    #[test]
    fn the_last_whole_block_decides() {
        let (data, zeros) = ([1_u8; BLOCK], [0_u8; BLOCK]);
        assert!(!ended(b""));
        assert!(!ended(&data));
        assert!(ended(&[data, zeros].concat()));
        assert!(ended(&[data, zeros, zeros].concat()));
        assert!(!ended(&[zeros, data].concat()));
        assert!(ended(&[&data[..], &zeros, &[1]].concat()));
        assert!(!ended(&[&data[..], &zeros[..511]].concat()));
    }
}
