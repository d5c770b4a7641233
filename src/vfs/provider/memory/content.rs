//! What a file holds: pieces that versions of it share, each with its charge.

use std::sync::Arc;

use super::{
    super::CHUNK,
    ledger::{Charge, Ledger, Short},
};

/// The bytes of one version of a file. A clone shares the pieces; what is added to one does not show in the other.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// All but the last have [`CHUNK`] bytes; the last may have more than the length says.
    pieces: Vec<Arc<Piece>>,
    length: u64,
}

#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    charge: Charge,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Reads up to the buffer's length. Fewer bytes only at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let (Ok(offset), wanted) = (usize::try_from(offset), left.min(buffer.len())) else {
            return 0;
        };
        let (mut index, mut within, mut done) = (offset / CHUNK, offset % CHUNK, 0);
        while done < wanted {
            let Some(rest) = self
                .pieces
                .get(index)
                .and_then(|piece| piece.bytes.get(within..))
            else {
                break;
            };
            let count = rest.len().min(wanted - done);
            buffer[done..done + count].copy_from_slice(&rest[..count]);
            done += count;
            (index, within) = (index + 1, 0);
        }
        done
    }

    /// Adds bytes at the end, all or none.
    pub(super) fn append(&mut self, ledger: &Arc<Ledger>, bytes: &[u8]) -> Result<(), Short> {
        let mut charge = Charge::take(ledger, bytes.len())?;
        let within = self.within();
        let room = if self.pieces.is_empty() {
            0
        } else {
            CHUNK - within
        };
        let (first, rest) = bytes.split_at(room.min(bytes.len()));
        if !first.is_empty() {
            let last = self.pieces.last_mut().expect("it has room");
            // A reader holds the piece: it keeps its own, and what is copied counts as well.
            if last.bytes.len() != within || Arc::get_mut(last).is_none() {
                let charge = Charge::take(ledger, within)?;
                *last = Arc::new(Piece {
                    bytes: last.bytes[..within].to_vec(),
                    charge,
                });
            }
            let last = Arc::get_mut(last).expect("nobody else has it");
            last.bytes.extend_from_slice(first);
            last.charge.join(charge.split(first.len()));
        }
        for bytes in rest.chunks(CHUNK) {
            let charge = charge.split(bytes.len());
            self.pieces.push(Arc::new(Piece {
                bytes: bytes.to_vec(),
                charge,
            }));
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Drops what lies behind a length. Needs no room, whoever reads.
    pub(super) fn truncate(&mut self, length: u64) {
        self.length = self.length.min(length);
        let pieces = usize::try_from(self.length.div_ceil(CHUNK as u64)).unwrap_or(usize::MAX);
        self.pieces.truncate(pieces);
        let within = self.within();
        // A piece that is read meanwhile stays as it is; it is copied when something is added.
        if let Some(piece) = self.pieces.last_mut().and_then(Arc::get_mut) {
            drop(piece.charge.split(piece.bytes.len() - within));
            piece.bytes.truncate(within);
        }
    }

    /// Bytes that count in the last piece; 0 without one.
    fn within(&self) -> usize {
        let before = self.pieces.len().saturating_sub(1) as u64 * CHUNK as u64;
        usize::try_from(self.length - before).expect("a piece is small")
    }

    /// Gives back memory that was set aside for bytes that will not come.
    pub(super) fn finish(&mut self) {
        if let Some(piece) = self.pieces.last_mut().and_then(Arc::get_mut) {
            piece.bytes.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::ledger::Budget, *};

    fn ledger(quota: u64) -> Arc<Ledger> {
        Ledger::new(quota, Budget::new(u64::MAX))
    }

    fn whole(content: &Content) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(content.len()).expect("small")];
        assert_eq!(content.read_at(&mut bytes, 0), bytes.len());
        bytes
    }

    #[test]
    fn a_version_that_is_held_stays_as_it_was() {
        let ledger = ledger(20);
        let mut content = Content::default();
        content.append(&ledger, b"old").expect("within");
        let held = content.clone();
        content.append(&ledger, b" new").expect("within");
        assert_eq!(
            (whole(&held), whole(&content)),
            (b"old".to_vec(), b"old new".to_vec())
        );
        assert_eq!(ledger.used(), 10, "both versions count while both are held");
        drop(held);
        assert_eq!(ledger.used(), 7);
        content
            .append(&ledger, &[0; 14])
            .expect_err("over the quota");
        assert_eq!((whole(&content), ledger.used()), (b"old new".to_vec(), 7));
    }

    #[test]
    fn what_is_cut_off_is_given_back_when_nobody_reads_it() {
        let ledger = ledger(10);
        let mut content = Content::default();
        content.append(&ledger, b"12345678").expect("within");
        content.truncate(6);
        assert_eq!((whole(&content), ledger.used()), (b"123456".to_vec(), 6));
        let held = content.clone();
        content.truncate(2);
        assert_eq!((whole(&content), ledger.used()), (b"12".to_vec(), 6));
        content.append(&ledger, b"ab").expect("the copy has room");
        assert_eq!(
            (whole(&content), whole(&held)),
            (b"12ab".to_vec(), b"123456".to_vec())
        );
        drop(held);
        assert_eq!(ledger.used(), 4);
        content.truncate(0);
        assert_eq!((whole(&content), ledger.used()), (Vec::new(), 0));
    }

    proptest! {
        #[test]
        fn pieces_read_as_one(
            parts in proptest::collection::vec(0..2 * CHUNK, 1..5),
            offset in 0..4 * CHUNK, length in 0..3 * CHUNK,
        ) {
            let ledger = ledger(u64::MAX);
            let (mut content, mut plain) = (Content::default(), Vec::new());
            for (number, length) in parts.into_iter().enumerate() {
                let bytes: Vec<u8> = (0..length).map(|at| (at * 7 + number).to_le_bytes()[0]).collect();
                content.append(&ledger, &bytes).expect("no quota");
                plain.extend(bytes);
            }
            prop_assert_eq!(content.len(), plain.len() as u64);
            prop_assert_eq!(ledger.used(), plain.len() as u64);
            let due = plain.get(offset..).map_or(&[][..], |rest| &rest[..length.min(rest.len())]);
            let mut buffer = vec![0; length];
            let count = content.read_at(&mut buffer, offset as u64);
            prop_assert_eq!(&buffer[..count], due);
        }
    }
}
