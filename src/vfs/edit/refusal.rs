//! Why an edit was refused.

use thiserror::Error;

use super::Pass;

/// An edit that was not made. The text of each is a sentence that a caller can act on.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("search string must not be empty")]
    EmptySearch,
    #[error("search string not found")]
    NotFound,
    /// Not there as bytes; and line by line, with white space aside, it would be everywhere.
    #[error(
        "search string not found: it is white space only, and that is looked for as it stands; add text to it"
    )]
    Blank,
    /// Several places, and only one may be meant.
    #[error(
        "search string matches {count} occurrences ({}); add context until it is unique, or set replace_all",
        at_lines(lines, *count)
    )]
    Ambiguous {
        pass: Pass,
        /// Counted from the start without overlap.
        count: usize,
        /// Where the first [`MAX_LINES`](super::MAX_LINES) of them begin, from 1.
        lines: Vec<usize>,
    },
    #[error("the edited file would exceed {limit} bytes")]
    TooLarge { limit: usize },
}

/// "line 3", "lines 3, 4" or "lines 3, 4 and 7 more".
pub(super) fn at_lines(lines: &[usize], count: usize) -> String {
    let word = if count == 1 { "line" } else { "lines" };
    let numbers: Vec<_> = lines.iter().map(usize::to_string).collect();
    match count.saturating_sub(lines.len()) {
        0 => format!("{word} {}", numbers.join(", ")),
        more => format!("{word} {} and {more} more", numbers.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ambiguous_search_is_told_where() {
        let refusal = Refusal::Ambiguous {
            pass: Pass::Bytes,
            count: 22,
            lines: vec![1, 5],
        };
        assert_eq!(
            refusal.to_string(),
            "search string matches 22 occurrences (lines 1, 5 and 20 more); add context until it is unique, \
             or set replace_all"
        );
    }
}
