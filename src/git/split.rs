//! Split indexes: what most entries are lies in a shared file, what has changed since in the index itself (gitformat-index(5),
//! "Split index"; the bitmaps are those of gitformat-bitmap(5)).

use super::{
    index::{Index, IndexError},
    objects::Id,
};

/// Bits of a word.
const WORD: u64 = 64;

/// The extension `link`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    /// The hash of the shared file; zero when there is none.
    base: Id,
    /// Two bitmaps: entries of the shared file that are gone, and those that are replaced.
    bitmaps: Vec<u8>,
}

impl Link {
    /// Reads the extension.
    pub(super) fn read(body: &[u8]) -> Result<Self, IndexError> {
        let (base, bitmaps) = body.split_at_checked(20).ok_or(IndexError::Damaged)?;
        Ok(Self {
            base: Id::from_bytes(base.try_into().expect("twenty bytes")),
            bitmaps: bitmaps.to_vec(),
        })
    }

    /// The name of the shared file; it lies beside the index.
    pub(super) fn file(&self) -> Option<String> {
        (self.base != Id::zero()).then(|| format!("sharedindex.{}", self.base))
    }

    /// Puts what the index says of the shared file's entries into them. The first `nameless` entries of the index stand for
    /// those that are replaced, in their order; the others are new.
    pub(super) fn join(
        &self,
        base: Index,
        top: Index,
        nameless: usize,
    ) -> Result<Index, IndexError> {
        let most = base.entries.len();
        let mut rest = &self.bitmaps[..];
        let mut gone = vec![false; most];
        let mut replaced = vec![false; most];
        if !rest.is_empty() {
            read_bitmap(&mut rest, &mut gone)?;
            read_bitmap(&mut rest, &mut replaced)?;
        }
        if replaced.iter().filter(|is| **is).count() != nameless {
            return Err(IndexError::Damaged);
        }
        base.overlaid(top, nameless, &gone, &replaced)
    }
}

/// A compressed bitmap: runs of equal words, each followed by words as they are.
fn read_bitmap(rest: &mut &[u8], bits: &mut [bool]) -> Result<(), IndexError> {
    let _size = number(rest)?;
    let words = number(rest)? as usize;
    let length = words.checked_mul(8).ok_or(IndexError::Damaged)?;
    let (body, after) = rest.split_at_checked(length).ok_or(IndexError::Damaged)?;
    *rest = after;
    let _last_run = number(rest)?;
    let mut words = body
        .chunks_exact(8)
        .map(|word| u64::from_be_bytes(word.try_into().expect("eight bytes")));
    let mut at = 0;
    while let Some(run) = words.next() {
        let (is_set, length, literal) = (run & 1 == 1, (run >> 1) & 0xffff_ffff, run >> 33);
        if is_set {
            set(bits, at, length * WORD)?;
        }
        at += length * WORD;
        for _ in 0..literal {
            let word = words.next().ok_or(IndexError::Damaged)?;
            for bit in (0..WORD).filter(|bit| word >> bit & 1 == 1) {
                set(bits, at + bit, 1)?;
            }
            at += WORD;
        }
    }
    Ok(())
}

fn set(bits: &mut [bool], from: u64, count: u64) -> Result<(), IndexError> {
    let from = usize::try_from(from).map_err(|_| IndexError::Damaged)?;
    let count = usize::try_from(count).map_err(|_| IndexError::Damaged)?;
    let end = from.checked_add(count).ok_or(IndexError::Damaged)?;
    let range = bits.get_mut(from..end).ok_or(IndexError::Damaged)?;
    range.fill(true);
    Ok(())
}

fn number(rest: &mut &[u8]) -> Result<u32, IndexError> {
    let (bytes, after) = rest.split_at_checked(4).ok_or(IndexError::Damaged)?;
    *rest = after;
    Ok(u32::from_be_bytes(bytes.try_into().expect("four bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bitmap(words: &[u64]) -> Vec<u8> {
        let mut bytes = 0_u32.to_be_bytes().to_vec();
        bytes.extend(u32::try_from(words.len()).expect("few").to_be_bytes());
        for word in words {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend([0; 4]);
        bytes
    }

    #[test]
    fn bitmaps_are_runs_and_words() {
        let mut bits = vec![false; 200];
        let bytes = bitmap(&[1 | 1 << 1 | 1 << 33, 0b101, 2 << 33, 0, 1 << 8]);
        let mut rest = &bytes[..];
        read_bitmap(&mut rest, &mut bits).expect_err("the last word is beyond what there is");
        let bytes = bitmap(&[1 | 1 << 1 | 1 << 33, 0b101, 1 << 33, 1 << 7]);
        let mut rest = &bytes[..];
        bits.fill(false);
        read_bitmap(&mut rest, &mut bits).expect("whole");
        assert!(rest.is_empty());
        let set: Vec<usize> = (0..200).filter(|at| bits[*at]).collect();
        let due: Vec<usize> = (0..64).chain([64, 66, 135]).collect();
        assert_eq!(set, due);
    }

    #[test]
    fn any_bytes_are_a_bitmap_or_none() {
        for length in 0..40 {
            for fill in [0_u8, 1, 0x7f, 0x80, 0xff] {
                let bytes = vec![fill; length];
                let _ = read_bitmap(&mut &bytes[..], &mut [false; 8]);
            }
        }
        let huge = bitmap(&[u64::MAX]);
        assert!(read_bitmap(&mut &huge[..], &mut [false; 8]).is_err());
        let empty = bitmap(&[0xffff_ffff << 1, 0xffff_ffff << 1]);
        read_bitmap(&mut &empty[..], &mut [false; 8]).expect("nothing is set");
    }
}
