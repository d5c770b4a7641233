//! The place in a file that is most like a search.
//!
//! Candidates are the windows, as long as the search, of which at least one line is equal to its counterpart with
//! white space aside (blank lines do not make a candidate). They are found by votes: each file line that is equal to
//! a line of the search votes for the window that would set the two side by side. Those with most votes are scored
//! first, so that running out of time costs least. Without any candidate the file line decides that is most like the
//! first line of the search.

use std::{cell::OnceCell, cmp::Reverse, collections::HashMap};

use super::{
    Budget, Difference, MAX_LINE, MAX_TEXT, MAX_TEXT_LINES, Nearest, OutOfTime, Room,
    ratio::{self, WHOLE},
};
use crate::vfs::edit::lines::{Ending, Line, Lines, written_lines};

/// A file line less like the first line of the search is not worth showing.
const ALIKE: u64 = WHOLE / 10 * 6;

/// What a look for the nearest place came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) place: Option<Place>,
    /// Time ran out first.
    pub(super) incomplete: bool,
}

/// Where a search would stand, and how well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// How many file lines stand before it; below 0 when its first lines lie before the file.
    start: isize,
    /// The sum over the pairs of lines.
    score: u64,
}

/// Looks for the place. Of several that are equally near it is the first.
pub(super) fn look(content: &[u8], search: &[u8], budget: &mut Budget<'_>) -> Outcome {
    let mut place = None;
    let complete = Sides::of(content, search, budget)
        .and_then(|sides| sides.nearest(&mut place, budget))
        .is_ok();
    Outcome {
        place,
        incomplete: !complete,
    }
}

/// What of the place is shown; `None` when there is no room for any of its text.
pub(super) fn show(
    content: &[u8],
    search: &[u8],
    place: &Place,
    room: &mut Room,
) -> Option<Nearest> {
    let search = written_lines(search);
    let first = usize::try_from(place.start).unwrap_or(0);
    let end = usize::try_from(place.start + signed(search.len())).unwrap_or(0);
    let lines: Vec<_> = file_lines(content).take(end).skip(first).collect();
    let first_difference = difference(&search, place.start, first, &lines, room);

    let shown = &lines[..lines.len().min(MAX_TEXT_LINES)];
    let text: Vec<u8> = shown
        .iter()
        .flat_map(|line| [line.text, line.ending.bytes()])
        .flatten()
        .take(MAX_TEXT + 1)
        .copied()
        .collect();
    let text = room.cut(&text, MAX_TEXT);
    (!text.is_empty()).then(|| Nearest {
        start_line: first + 1,
        end_line: first + lines.len(),
        score: mean(place.score, search.len()),
        text,
        first_difference,
    })
}

/// The first pair that differs: with white space aside if there is one, else in white space, else in the ending.
fn difference(
    search: &[Line<'_>],
    start: isize,
    first: usize,
    lines: &[Line<'_>],
    room: &mut Room,
) -> Option<Difference> {
    let counterpart = |index: usize| {
        let at = usize::try_from(start + signed(index)).ok()?;
        lines.get(at.checked_sub(first)?).map(|line| (at + 1, line))
    };
    let differs = |same: fn(&Line<'_>, &Line<'_>) -> bool| {
        let differ = |index: &usize| {
            counterpart(*index).is_none_or(|(_, line)| !same(&search[*index], line))
        };
        (0..search.len()).find(differ)
    };
    let in_text = differs(|one, other| one.trimmed() == other.trimmed())
        .or_else(|| differs(|one, other| one.text == other.text));
    let index = in_text.or_else(|| differs(|one, other| one.ending == other.ending))?;
    let mut shown = |line: &Line<'_>| match in_text {
        Some(_) => room.cut(line.text, MAX_LINE),
        None => room.cut(&[line.text, line.ending.bytes()].concat(), MAX_LINE),
    };
    let found = counterpart(index);
    Some(Difference {
        search_line: index + 1,
        file_line: found.map(|(number, _)| number),
        expected: shown(&search[index]),
        found: found.map(|(_, line)| shown(line)).unwrap_or_default(),
    })
}

/// The lines of search and file, without the white space around them.
struct Sides<'a> {
    search: Vec<&'a [u8]>,
    file: Vec<&'a [u8]>,
    /// The lines of the search as the ratio wants them, each made when it is needed.
    measures: Vec<OnceCell<ratio::Line>>,
}

impl<'a> Sides<'a> {
    fn of(
        content: &'a [u8],
        search: &'a [u8],
        budget: &mut Budget<'_>,
    ) -> Result<Sides<'a>, OutOfTime> {
        let mut file = Vec::new();
        for line in file_lines(content) {
            budget.spend(8)?;
            file.push(line.trimmed());
        }
        let search: Vec<_> = written_lines(search)
            .into_iter()
            .map(Line::trimmed)
            .collect();
        Ok(Sides {
            measures: search.iter().map(|_| OnceCell::new()).collect(),
            search,
            file,
        })
    }

    /// Leaves the best place found so far in `best`, also when time runs out.
    fn nearest(&self, best: &mut Option<Place>, budget: &mut Budget<'_>) -> Result<(), OutOfTime> {
        let candidates = self.candidates(budget)?;
        if let Some((start, votes)) = candidates.first() {
            *best = Some(Place {
                start: *start,
                score: u64::from(*votes) * WHOLE,
            });
            return self.best_of(&candidates, best, budget);
        }
        if let Some(start) = self.most_alike(budget)? {
            *best = Some(Place { start, score: 0 });
            let score = self.score(start, None, budget)?;
            *best = score.map(|score| Place { start, score });
        }
        Ok(())
    }

    /// Where windows begin that hold an equal line, and how many they hold; those with most of them first. Windows
    /// that reach beyond the file only if no other does.
    fn candidates(&self, budget: &mut Budget<'_>) -> Result<Vec<(isize, u32)>, OutOfTime> {
        let mut places: HashMap<&[u8], Vec<usize>> = HashMap::new();
        for (index, line) in self.search.iter().enumerate() {
            if !line.is_empty() {
                places.entry(line).or_default().push(index);
            }
        }
        let mut votes: HashMap<isize, u32> = HashMap::new();
        for (at, line) in self.file.iter().enumerate() {
            budget.spend(line.len() / 8 + 16)?;
            for index in places.get(line).into_iter().flatten() {
                budget.spend(32)?;
                *votes.entry(signed(at) - signed(*index)).or_default() += 1;
            }
        }
        let last = signed(self.file.len()) - signed(self.search.len());
        let mut candidates: Vec<_> = votes.into_iter().collect();
        budget.spend(candidates.len() * 8)?;
        if candidates
            .iter()
            .any(|(start, _)| (0..=last).contains(start))
        {
            candidates.retain(|(start, _)| (0..=last).contains(start));
        }
        candidates.sort_unstable_by_key(|(start, votes)| (Reverse(*votes), *start));
        Ok(candidates)
    }

    fn best_of(
        &self,
        candidates: &[(isize, u32)],
        best: &mut Option<Place>,
        budget: &mut Budget<'_>,
    ) -> Result<(), OutOfTime> {
        let mut scored: Option<Place> = None;
        for (start, _) in candidates {
            if let Some(score) = self.score(*start, scored, budget)? {
                let place = Place {
                    start: *start,
                    score,
                };
                scored = Some(place);
                *best = scored;
            }
        }
        Ok(())
    }

    /// The sum over the pairs of lines, if it is better than what there is: more, or as much and further up.
    fn score(
        &self,
        start: isize,
        best: Option<Place>,
        budget: &mut Budget<'_>,
    ) -> Result<Option<u64>, OutOfTime> {
        let beats = |score: u64| {
            best.is_none_or(|best| score > best.score || score == best.score && start < best.start)
        };
        let mut missing = 0;
        let most = self.search.len() as u64 * WHOLE;
        for index in 0..self.search.len() {
            missing += WHOLE - self.pair(index, start + signed(index), budget)?;
            if !beats(most - missing) {
                return Ok(None);
            }
        }
        Ok(Some(most - missing))
    }

    /// How much alike a line of the search and one of the file are; not at all where the file has none.
    fn pair(&self, index: usize, at: isize, budget: &mut Budget<'_>) -> Result<u64, OutOfTime> {
        budget.spend(8)?;
        let line = usize::try_from(at).ok().and_then(|at| self.file.get(at));
        match line {
            None => Ok(0),
            Some(line) if *line == self.search[index] => Ok(WHOLE),
            Some(line) => self.measure(index, budget)?.ratio(line, 0, budget),
        }
    }

    /// Where the search would begin if its first line that is not blank stood at the file line most like it.
    fn most_alike(&self, budget: &mut Budget<'_>) -> Result<Option<isize>, OutOfTime> {
        let Some(index) = self.search.iter().position(|line| !line.is_empty()) else {
            return Ok(None);
        };
        let measure = self.measure(index, budget)?;
        let (mut floor, mut best) = (ALIKE, None);
        for (at, line) in self.file.iter().enumerate() {
            let ratio = measure.ratio(line, floor, budget)?;
            if ratio >= floor {
                floor = ratio + 1;
                best = Some(signed(at) - signed(index));
            }
        }
        Ok(best)
    }

    fn measure(&self, index: usize, budget: &mut Budget<'_>) -> Result<&ratio::Line, OutOfTime> {
        if self.measures[index].get().is_none() {
            budget.spend(self.search[index].len() * 16)?;
        }
        Ok(self.measures[index].get_or_init(|| ratio::Line::of(self.search[index])))
    }
}

/// The lines of a file, without the empty one behind its last newline: there is nothing to see.
fn file_lines(content: &[u8]) -> impl Iterator<Item = Line<'_>> {
    let is_line = |line: &Line<'_>| !line.text.is_empty() || line.ending != Ending::None;
    Lines::of(content).map(|(_, line)| line).filter(is_line)
}

fn mean(score: u64, lines: usize) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a score is shown with a few digits"
    )]
    let (score, most) = (score as f64, (lines as u64 * WHOLE) as f64);
    score / most
}

/// A number of lines as a distance: no text has as many lines as would not fit.
fn signed(lines: usize) -> isize {
    lines.cast_signed()
}
