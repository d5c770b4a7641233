//! How much alike two lines are: twice their longest common subsequence through the sum of their lengths, in characters.
//!
//! The length of the subsequence is found 64 characters at a time: Hyyrö, "Bit-parallel LCS-length computation
//! revisited" (2004). The zeros in `row` are the places where the length grows.

use std::collections::HashMap;

use super::{Budget, OutOfTime};

/// One, as a ratio: whole numbers, so that equal means are equal.
pub(super) const WHOLE: u64 = 1_000_000_000;

/// Of a longer line only so many characters are looked at.
const LONGEST: usize = 4096;

/// A line, ready to be compared with many others.
#[derive(Debug)]
pub(super) struct Line {
    /// In characters.
    length: usize,
    /// For each character that the line has, the places where it stands: a bit each, in so many words as all need.
    places: Vec<u64>,
    /// Which of them belong to a character.
    ascii: [Option<usize>; 128],
    others: HashMap<char, usize>,
}

impl Line {
    pub(super) fn of(text: &[u8]) -> Line {
        let length = characters(text).count();
        let mut line = Line {
            length,
            places: Vec::new(),
            ascii: [None; 128],
            others: HashMap::new(),
        };
        for (at, char) in characters(text).enumerate() {
            let start = line.places_of(char).unwrap_or_else(|| line.enter(char));
            line.places[start + at / 64] |= 1 << (at % 64);
        }
        line
    }

    /// The ratio to another line, of [`WHOLE`]; two empty lines are equal. 0 when it must be below `floor`, which is
    /// seen by the lengths.
    pub(super) fn ratio(
        &self,
        other: &[u8],
        floor: u64,
        budget: &mut Budget<'_>,
    ) -> Result<u64, OutOfTime> {
        // No character takes more than four bytes.
        let least = (other.len() / 4).min(LONGEST);
        if least > self.length && quotient(self.length, self.length, least) < floor {
            return Ok(0);
        }
        let length = if other.is_ascii() {
            other.len().min(LONGEST)
        } else {
            characters(other).count()
        };
        budget.spend(length / 4)?;
        if quotient(self.length.min(length), self.length, length) < floor {
            return Ok(0);
        }
        Ok(quotient(self.common(other, budget)?, self.length, length))
    }

    /// The length of the longest common subsequence.
    fn common(&self, other: &[u8], budget: &mut Budget<'_>) -> Result<usize, OutOfTime> {
        let words = self.words();
        let mut row = vec![u64::MAX; words];
        for char in characters(other) {
            let Some(start) = self.places_of(char) else {
                continue;
            };
            budget.spend(words)?;
            let mut carry = false;
            for (word, places) in row.iter_mut().zip(&self.places[start..start + words]) {
                let hits = *word & places;
                let (sum, over) = word.overflowing_add(hits);
                let (sum, over_again) = sum.overflowing_add(u64::from(carry));
                carry = over || over_again;
                *word = sum | (*word & !places);
            }
        }
        // Bits behind the last character stay set: no character stands there.
        Ok(row.iter().map(|word| word.count_zeros() as usize).sum())
    }

    /// Words that hold a bit for each character.
    fn words(&self) -> usize {
        self.length.div_ceil(64)
    }

    /// Where the places of a character begin; `None` if it stands nowhere.
    fn places_of(&self, char: char) -> Option<usize> {
        match self.ascii.get(char as usize) {
            Some(start) => *start,
            None => self.others.get(&char).copied(),
        }
    }

    /// Makes room for the places of a new character.
    fn enter(&mut self, char: char) -> usize {
        let start = self.places.len();
        self.places.resize(start + self.words(), 0);
        match self.ascii.get_mut(char as usize) {
            Some(entry) => *entry = Some(start),
            None => {
                self.others.insert(char, start);
            }
        }
        start
    }
}

/// The ratio of two lengths that have so much in common.
fn quotient(common: usize, one: usize, two: usize) -> u64 {
    match one + two {
        0 => WHOLE,
        sum => 2 * common as u64 * WHOLE / sum as u64,
    }
}

/// The characters of a text; each run of what is not UTF-8 is one replacement character.
fn characters(text: &[u8]) -> impl Iterator<Item = char> {
    let chunks = text.utf8_chunks().flat_map(|chunk| {
        let invalid = (!chunk.invalid().is_empty()).then_some(char::REPLACEMENT_CHARACTER);
        chunk.valid().chars().chain(invalid)
    });
    chunks.take(LONGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ratio(one: &str, other: &str) -> u64 {
        Line::of(one.as_bytes())
            .ratio(other.as_bytes(), 0, &mut Budget::new(&|| false))
            .expect("a budget without an end")
    }

    /// The textbook's table.
    fn common_by_table(one: &[char], other: &[char]) -> usize {
        let mut row = vec![0; other.len() + 1];
        for char in one {
            let mut diagonal = 0;
            for (at, with) in other.iter().enumerate() {
                let above = row[at + 1];
                row[at + 1] = if char == with {
                    diagonal + 1
                } else {
                    above.max(row[at])
                };
                diagonal = above;
            }
        }
        row[other.len()]
    }

    #[test]
    fn equal_lines_are_wholly_alike_and_others_are_not() {
        assert_eq!(ratio("", ""), WHOLE);
        assert_eq!(ratio("abc", "abc"), WHOLE);
        assert_eq!(ratio("abc", "xyz"), 0);
        assert_eq!(ratio("ab", "abcd"), WHOLE * 2 * 2 / 6);
        assert_eq!(ratio("é", "e"), 0, "characters, not bytes");
    }

    #[test]
    fn a_ratio_that_cannot_reach_the_floor_is_not_worked_out() {
        let mut budget = Budget::new(&|| false);
        let ratio = Line::of(b"ab").ratio(b"abcdefghij", WHOLE / 2, &mut budget);
        assert_eq!(ratio, Ok(0));
    }

    proptest! {
        #[test]
        fn words_of_bits_find_what_the_table_finds(one in "[ab─]{0,200}", other in "[ab─]{0,200}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            let common = Line::of(one.as_bytes())
                .common(other.as_bytes(), &mut Budget::new(&|| false))
                .expect("a budget without an end");
            prop_assert_eq!(common, common_by_table(&chars(&one), &chars(&other)));
        }
    }
}
