//! Why a search may not have been found: each hint is a question with an answer, and they are asked in a fixed order.

use memchr::memmem::Finder;

use super::{Budget, MAX_HINTS, alike, runs};
use crate::vfs::edit::{
    Edit, MAX_LINES, Style,
    exact::occurrences,
    lines::{is_white_space, written_lines},
    refusal::at_lines,
    window::{Pattern, Tolerance},
};

/// Line numbers in a hint.
const MAX_NAMED: usize = 5;

/// A larger file is not copied and folded for the sake of a hint.
const MAX_FOLDED: usize = 8 * 1024 * 1024;

type Question = fn(&[u8], &Edit<'_>, &mut Budget<'_>) -> Option<String>;

/// The hints that hold, at most three.
pub(super) fn hints(content: &[u8], edit: &Edit<'_>, budget: &mut Budget<'_>) -> Vec<String> {
    let questions: [Question; 5] = [
        other_number_of_a_character,
        already_there,
        line_numbers_copied,
        characters_that_look_alike,
        patience_would_do,
    ];
    let mut hints = Vec::new();
    for question in questions {
        // Asking takes time in proportion to the file, and is not interrupted.
        if hints.len() == MAX_HINTS || budget.spend(content.len() / 64).is_err() {
            break;
        }
        hints.extend(question(content, edit, budget));
    }
    hints
}

/// A line of the search is in the file but for the number of one repeated character.
fn other_number_of_a_character(
    content: &[u8],
    edit: &Edit<'_>,
    budget: &mut Budget<'_>,
) -> Option<String> {
    let found = runs::find(content, edit.search, budget).ok()??;
    let runs::Difference {
        char,
        searched,
        stands,
    } = found.difference;
    let lines = &found.file_lines[..found.file_lines.len().min(MAX_NAMED)];
    Some(format!(
        "line {} of the search has '{}' (U+{:04X}) {searched} times in a row where the file has it {stands} times ({})",
        found.search_line,
        char.escape_debug(),
        u32::from(char),
        at_lines(lines, found.file_lines.len()),
    ))
}

/// The replacement is in the file: the two may be swapped, or the edit made before.
fn already_there(content: &[u8], edit: &Edit<'_>, _budget: &mut Budget<'_>) -> Option<String> {
    if is_white_space(edit.replace) {
        return None;
    }
    let places = stands(content, edit.replace)?;
    let lines = &places.lines[..places.lines.len().min(MAX_NAMED)];
    Some(format!(
        "the replacement is in the file already ({}): are search and replacement swapped, or was this edit made before?",
        at_lines(lines, places.count)
    ))
}

/// The search was copied with the line numbers that reading by lines puts before each.
fn line_numbers_copied(
    content: &[u8],
    edit: &Edit<'_>,
    _budget: &mut Budget<'_>,
) -> Option<String> {
    let mut search = Vec::with_capacity(edit.search.len());
    for line in written_lines(edit.search) {
        let digits = line.text.trim_ascii_start();
        let number = digits.iter().take_while(|byte| byte.is_ascii_digit());
        let (number, rest) = digits.split_at(number.count());
        let text = rest.strip_prefix(b"\t").filter(|_| !number.is_empty())?;
        search.extend_from_slice(text);
        search.extend_from_slice(line.ending.bytes());
    }
    if is_white_space(&search) {
        return None;
    }
    let places = stands(content, &search)?;
    let lines = &places.lines[..places.lines.len().min(MAX_NAMED)];
    Some(format!(
        "the lines of the search begin with a number and a TAB, as read-file-lines gives them; without those it is found ({})",
        at_lines(lines, places.count)
    ))
}

/// Only characters differ that look alike.
fn characters_that_look_alike(
    content: &[u8],
    edit: &Edit<'_>,
    _budget: &mut Budget<'_>,
) -> Option<String> {
    if content.len() > MAX_FOLDED || edit.search.is_ascii() && content.is_ascii() {
        return None;
    }
    let found = alike::find(content, edit.search)?;
    let differences: Vec<_> = found.pairs.iter().map(alike::Pair::to_string).collect();
    Some(format!(
        "only characters that look alike differ from line {} of the file: {}",
        found.line,
        differences.join(", ")
    ))
}

/// A pass that was not tried would find it.
fn patience_would_do(content: &[u8], edit: &Edit<'_>, _budget: &mut Budget<'_>) -> Option<String> {
    let intent = Style::of(content, edit).intent;
    if edit.fuzzy && !intent || is_white_space(edit.search) {
        return None;
    }
    let places = by_lines(content, edit.search)?;
    let lines = &places.lines[..places.lines.len().min(MAX_NAMED)];
    let at = at_lines(lines, places.count);
    Some(if intent {
        format!(
            "search and replacement end their lines differently, so line endings count; with those aside it would match ({at})"
        )
    } else {
        format!("with fuzzy it would match ({at}): white space or line endings differ")
    })
}

/// Where a text stands.
struct Places {
    count: usize,
    lines: Vec<usize>,
}

/// As bytes, or else as lines with white space aside.
fn stands(content: &[u8], text: &[u8]) -> Option<Places> {
    let exact = occurrences(content, &Finder::new(text));
    if exact.count == 0 {
        return by_lines(content, text);
    }
    Some(Places {
        count: exact.count,
        lines: exact.lines,
    })
}

fn by_lines(content: &[u8], text: &[u8]) -> Option<Places> {
    let tolerances = [Tolerance::LineEnds, Tolerance::BothEnds];
    let mut tallies = tolerances
        .iter()
        .map(|tolerance| Pattern::of(text, *tolerance).tally(content));
    let tally = tallies.find(|tally| tally.count > 0)?;
    debug_assert!(tally.lines.len() <= MAX_LINES);
    Some(Places {
        count: tally.count,
        lines: tally.lines,
    })
}
