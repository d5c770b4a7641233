//! Lines that differ only in how often one character is repeated: rulers, box drawings, runs of blanks.
//!
//! Lines are compared by their *folds*: each run of a character as one. Two lines with the same fold differ in the
//! lengths of runs alone, and the hint is about those of which just one does.

use std::collections::{HashMap, HashSet};

use super::{Budget, OutOfTime};
use crate::vfs::edit::lines::{Line, Lines, written_lines};

/// A line of the search that the file has with one run longer or shorter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// From 1, in the search.
    pub(super) search_line: usize,
    pub(super) difference: Difference,
    /// From 1, in the file: all that differ in the same way.
    pub(super) file_lines: Vec<usize>,
}

/// The run that differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) char: char,
    /// How often the search has it there.
    pub(super) searched: usize,
    /// How often it stands in the file.
    pub(super) stands: usize,
}

/// The first line of the search that is not in the file but for one run. White space around lines does not count.
pub(super) fn find(
    content: &[u8],
    search: &[u8],
    budget: &mut Budget<'_>,
) -> Result<Option<Found>, OutOfTime> {
    let mut folds: HashMap<String, Vec<usize>> = HashMap::new();
    let mut wanted = Vec::new();
    for (index, line) in written_lines(search).into_iter().enumerate() {
        budget.spend(line.text.len())?;
        let text = text_of(line);
        if !text.is_empty() {
            folds.entry(fold(text)).or_default().push(wanted.len());
            wanted.push(Wanted {
                number: index + 1,
                text,
                is_there: false,
                found: None,
            });
        }
    }
    // Lines with the same fold begin and end alike: most others need not be folded.
    let wanted_ends: HashSet<_> = wanted
        .iter()
        .map(|wanted| ends(wanted.text.as_bytes()))
        .collect();
    for (number, (_, line)) in (1..).zip(Lines::of(content)) {
        budget.spend(line.text.len() / 16)?;
        if !wanted_ends.contains(&ends(line.trimmed())) {
            continue;
        }
        budget.spend(line.text.len())?;
        let text = text_of(line);
        for index in folds.get(&fold(text)).into_iter().flatten() {
            budget.spend(text.len())?;
            wanted[*index].see(text, number);
        }
    }
    Ok(wanted
        .into_iter()
        .filter(|wanted| !wanted.is_there)
        .find_map(|wanted| wanted.found))
}

/// A line of the search, and what the file has of it.
struct Wanted<'a> {
    number: usize,
    text: &'a str,
    is_there: bool,
    found: Option<Found>,
}

impl Wanted<'_> {
    /// Takes notice of a file line with the same fold.
    fn see(&mut self, text: &str, number: usize) {
        if self.is_there || text == self.text {
            self.is_there = true;
            return;
        }
        let Some(difference) = one_run(self.text, text) else {
            return;
        };
        let found = self.found.get_or_insert(Found {
            search_line: self.number,
            difference,
            file_lines: Vec::new(),
        });
        if found.difference == difference {
            found.file_lines.push(number);
        }
    }
}

/// A line without the white space around it; nothing if it is not UTF-8.
fn text_of(line: Line<'_>) -> &str {
    std::str::from_utf8(line.trimmed()).unwrap_or_default()
}

fn ends(text: &[u8]) -> (Option<&u8>, Option<&u8>) {
    (text.first(), text.last())
}

fn fold(text: &str) -> String {
    runs(text).map(|(char, _)| char).collect()
}

/// The run that differs, if just one does. Both texts have the same fold.
fn one_run(searched: &str, stands: &str) -> Option<Difference> {
    let mut differing = runs(searched)
        .zip(runs(stands))
        .filter(|(one, other)| one.1 != other.1);
    let ((char, searched), (_, stands)) = differing.next()?;
    differing.next().is_none().then_some(Difference {
        char,
        searched,
        stands,
    })
}

/// Characters and how often each is repeated.
fn runs(text: &str) -> impl Iterator<Item = (char, usize)> {
    let mut chars = text.chars().peekable();
    std::iter::from_fn(move || {
        let char = chars.next()?;
        let mut count = 1;
        while chars.next_if_eq(&char).is_some() {
            count += 1;
        }
        Some((char, count))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str, search: &str) -> Option<Found> {
        let mut budget = Budget::new(&|| false);
        find(content.as_bytes(), search.as_bytes(), &mut budget).expect("time without an end")
    }

    #[test]
    fn a_ruler_of_another_length_is_found() {
        let content = "a\n─────\nb\n────\n c\n─────\n";
        assert_eq!(
            found(content, "a\n──────\n"),
            Some(Found {
                search_line: 2,
                difference: Difference {
                    char: '─',
                    searched: 6,
                    stands: 5
                },
                file_lines: vec![2, 6],
            })
        );
    }

    #[test]
    fn lines_that_are_there_or_differ_otherwise_are_not() {
        assert_eq!(found("a  b\na b\n", "a b\n"), None, "it is there");
        assert_eq!(found("aabb\n", "ab\n"), None, "two runs");
        assert_eq!(found("aab\n", "aac\n"), None);
        assert_eq!(
            found("x  y\n", "x y\nz\n").map(|found| found.difference.stands),
            Some(2)
        );
    }
}
