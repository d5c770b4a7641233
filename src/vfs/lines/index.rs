//! Where the lines of a file begin, as far as it was scanned: for each block of the file, how many line feeds there are up to its
//! end. Pure: bytes in, places out.

/// Bytes of a block, at first.
pub(super) const BLOCK: u64 = 64 * 1024;

/// Blocks that are told apart. A larger file has larger blocks.
const MAX_BLOCKS: usize = 128 * 1024;

/// A place at which reading can begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    /// Bytes before it.
    pub(super) offset: u64,
    /// Line feeds before it.
    pub(super) line_feeds: u64,
}

/// The index of one version of a file.
#[derive(Debug)]
pub(super) struct Index {
    block: u64,
    /// Line feeds up to the end of each whole block.
    ends: Vec<u64>,
    scanned: u64,
    line_feeds: u64,
}

impl Default for Index {
    fn default() -> Self {
        Self {
            block: BLOCK,
            ends: Vec::new(),
            scanned: 0,
            line_feeds: 0,
        }
    }
}

impl Index {
    /// Bytes that were scanned, from the start.
    pub(super) fn scanned(&self) -> u64 {
        self.scanned
    }

    /// Line feeds among them.
    pub(super) fn line_feeds(&self) -> u64 {
        self.line_feeds
    }

    /// Memory that it takes, in bytes.
    pub(super) fn weight(&self) -> usize {
        self.ends.capacity() * size_of::<u64>() + size_of::<Self>()
    }

    /// Adds the bytes that follow.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let left = self.block - self.scanned % self.block;
            let size = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
            let (part, rest) = bytes.split_at(size);
            self.line_feeds += memchr::memchr_iter(b'\n', part).count() as u64;
            self.scanned += size as u64;
            bytes = rest;
            if self.scanned.is_multiple_of(self.block) {
                self.ends.push(self.line_feeds);
                self.coarsen();
            }
        }
    }

    /// Makes one block of two, when there are too many.
    fn coarsen(&mut self) {
        if self.ends.len() < MAX_BLOCKS {
            return;
        }
        let ends = self.ends.chunks_exact(2).map(|pair| pair[1]);
        self.ends = ends.collect();
        self.block *= 2;
    }

    /// The start of the block in which a line feed lies, counted from 1; of the block behind all that was scanned, when it was
    /// not found yet. Number 0 is the start of the file.
    pub(super) fn start_of(&self, line_feed: u64) -> Start {
        let whole = match line_feed {
            0 => 0,
            _ => self.ends.partition_point(|end| *end < line_feed),
        };
        Start {
            offset: whole as u64 * self.block,
            line_feeds: whole.checked_sub(1).map_or(0, |last| self.ends[last]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_feeds_before(text: &[u8], offset: u64) -> u64 {
        let offset = usize::try_from(offset).expect("small");
        memchr::memchr_iter(b'\n', &text[..offset]).count() as u64
    }

    #[test]
    fn starts_are_at_most_a_block_before_the_line_feed() {
        let mut text = vec![b'x'; 300_000];
        let at = [0, 65_535, 65_536, 65_537, 200_000, 299_999];
        for at in at {
            text[at] = b'\n';
        }
        let mut index = Index::default();
        text.chunks(1000).for_each(|part| index.feed(part));
        assert_eq!((index.scanned(), index.line_feeds()), (300_000, 6));
        assert_eq!(
            index.start_of(0),
            Start {
                offset: 0,
                line_feeds: 0
            }
        );
        for (number, at) in at.iter().enumerate() {
            let start = index.start_of(number as u64 + 1);
            let distance = (*at as u64)
                .checked_sub(start.offset)
                .expect("not behind it");
            assert!(distance < BLOCK, "{number}");
            assert_eq!(start.line_feeds, line_feeds_before(&text, start.offset));
        }
        assert_eq!(index.start_of(7).offset, 4 * BLOCK);
    }

    #[test]
    fn a_larger_file_has_larger_blocks_and_no_more_of_them() {
        let mut index = Index::default();
        let block = [&b"\n"[..], &vec![b'x'; 65_535]].concat();
        for _ in 0..MAX_BLOCKS + 10 {
            index.feed(&block);
        }
        assert_eq!(index.block, 2 * BLOCK);
        assert_eq!(
            index.start_of(3),
            Start {
                offset: 2 * BLOCK,
                line_feeds: 2
            }
        );
        assert!(index.weight() <= (MAX_BLOCKS + 10) * 8 + 100);
    }
}
