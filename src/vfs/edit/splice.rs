//! Passes 2 and 3, the replacing: a window's lines become the replacement's, and keep what the caller did not mean.
//!
//! Search and replacement are aligned once: the equal lines at their start, the equal lines at their end, a middle.
//! So each line of the replacement has a line of the search to refer to, and through it a line of the window:
//!
//! ```text
//!  search        replacement
//!  head ───────▶ head            by index
//!  middle ─────▶ middle          by index, as long as the search has middle lines
//!       ╲╌╌╌╌╌╌▶ inserted        refers to the line above or below, but is paired with none
//!  tail ───────▶ tail            from the end
//! ```
//!
//! A *paired* line keeps the file's blanks where search and replacement agree, and the file's ending. An *inserted*
//! line is indented in the file's units.

use std::cell::OnceCell;

use super::{
    Edit, Refusal,
    indent::{Habit, Lead, Unit, translate},
    lines::{Ending, Line, Lines, dominant_ending, written_lines},
    sink::Sink,
    window::Window,
};

/// One edit, ready to be made in any window of one file.
#[derive(Debug)]
pub(super) struct Splice<'a> {
    content: &'a [u8],
    search: Vec<Line<'a>>,
    replace: Vec<Line<'a>>,
    /// Equal lines at the start of both.
    head: usize,
    /// Equal lines at the end of both, none of them among the head.
    tail: usize,
    /// The ending that inner lines get.
    forced: Option<Ending>,
    /// What one level of indentation is in search and replacement.
    unit: Option<Unit>,
    /// The habit of the whole file, looked at when a window has none.
    file_habit: OnceCell<Habit>,
    /// The ending of most lines, looked at when no other is known.
    dominant: OnceCell<Ending>,
}

/// The line of the search, by its index, that a line of the replacement goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reference {
    Paired(usize),
    Inserted(usize),
}

impl<'a> Splice<'a> {
    pub(super) fn new(content: &'a [u8], edit: &Edit<'a>, forced: Option<Ending>) -> Splice<'a> {
        let (search, replace) = (written_lines(edit.search), written_lines(edit.replace));
        let same = |(one, other): &(&Line<'_>, &Line<'_>)| one.trimmed() == other.trimmed();
        let head = search.iter().zip(&replace).take_while(same).count();
        let backwards = search[head..]
            .iter()
            .rev()
            .zip(replace[head..].iter().rev());
        let tail = backwards.take_while(same).count();
        let unit = Habit::of(search.iter().chain(&replace).copied()).unit();
        Splice {
            content,
            search,
            replace,
            head,
            tail,
            forced,
            unit,
            file_habit: OnceCell::new(),
            dominant: OnceCell::new(),
        }
    }

    /// The file with the replacement in each of the windows.
    pub(super) fn replace(
        &self,
        windows: impl IntoIterator<Item = Window>,
        limit: usize,
    ) -> Result<Vec<u8>, Refusal> {
        let mut out = Sink::new(self.content.len(), limit);
        let mut kept_to = 0;
        for window in windows {
            out.put(&self.content[kept_to..window.range.start])?;
            self.put_window(&window, &mut out)?;
            kept_to = window.range.end;
        }
        out.put(&self.content[kept_to..])?;
        Ok(out.into_bytes())
    }

    fn put_window(&self, window: &Window, out: &mut Sink) -> Result<(), Refusal> {
        let file: Vec<_> = Lines::of(&self.content[window.range.clone()])
            .take(self.search.len())
            .map(|(_, line)| line)
            .collect();
        let inserts = self.replace.len() > self.search.len();
        let habit = inserts.then(|| Habit::of(file.iter().copied()));
        for (index, line) in self.replace.iter().enumerate() {
            let reference = self.reference(index);
            match reference {
                _ if line.body().is_empty() => out.put(line.lead())?,
                Reference::Paired(at) => put_paired(self.search[at], file[at], *line, out)?,
                Reference::Inserted(at) => {
                    let habit = habit.unwrap_or(Habit::Mixed);
                    put_lead(self.inserted_lead(habit, at, file[at], *line), out)?;
                    out.put(line.body())?;
                    out.put(line.trail())?;
                }
            }
            let ending = self.ending(index, reference, &file, window.open_end);
            out.put(ending.bytes())?;
        }
        Ok(())
    }

    fn reference(&self, index: usize) -> Reference {
        let (searched, replacing) = (self.search.len(), self.replace.len());
        let middle = searched - self.head - self.tail;
        if index < self.head + middle.min(replacing - self.head - self.tail) {
            return Reference::Paired(index);
        }
        if index >= replacing - self.tail {
            return Reference::Paired(index + searched - replacing);
        }
        let above = self.head.checked_sub(1);
        let below = (self.tail > 0).then(|| searched - self.tail);
        let lead_is = |at: usize| self.search[at].lead() == self.replace[index].lead();
        Reference::Inserted(match (above, below) {
            (Some(above), Some(below)) if !lead_is(below) && lead_is(above) => above,
            (_, Some(below)) => below,
            (Some(above), None) => above,
            (None, None) => index.min(searched - 1),
        })
    }

    /// The lead of an inserted line that refers to the line `at` of the search, which is `file` in the window.
    fn inserted_lead<'l>(
        &self,
        window: Habit,
        at: usize,
        file: Line<'l>,
        line: Line<'l>,
    ) -> Lead<'l> {
        let unit = match window {
            Habit::Uniform(unit) => Some(unit),
            Habit::Mixed => None,
            Habit::Bare => match self.file_habit() {
                Habit::Uniform(unit) => Some(unit),
                // Nothing to go by: better the caller's indentation than none.
                Habit::Bare | Habit::Mixed => return Lead::Given(line.lead()),
            },
        };
        let translated = self.unit.zip(unit).and_then(|(caller, unit)| {
            let reference = self.search[at].lead();
            translate(caller, unit, line.lead(), reference, file.lead())
        });
        translated.unwrap_or(Lead::Given(file.lead()))
    }

    fn ending(
        &self,
        index: usize,
        reference: Reference,
        file: &[Line<'_>],
        open_end: bool,
    ) -> Ending {
        let last = index + 1 == self.replace.len();
        let own = self.replace[index].ending;
        let ending = match reference {
            Reference::Paired(at) => {
                let same_class = self.search[at].ending.is_newline() == own.is_newline();
                // An inner line without an ending would run into the next.
                let fits = last || file[at].ending.is_newline();
                if same_class && fits {
                    file[at].ending
                } else {
                    own
                }
            }
            Reference::Inserted(_) if last && open_end => Ending::None,
            Reference::Inserted(_) => own,
        };
        if last && open_end {
            return ending;
        }
        match self.forced {
            Some(forced) => forced,
            None if last && ending == Ending::None => self.dominant_ending(),
            None => ending,
        }
    }

    fn file_habit(&self) -> Habit {
        *self
            .file_habit
            .get_or_init(|| Habit::of(Lines::of(self.content).map(|(_, line)| line)))
    }

    fn dominant_ending(&self) -> Ending {
        *self.dominant.get_or_init(|| dominant_ending(self.content))
    }
}

/// A line that stands for one of the file: where the caller changed nothing about a blank, the file's stays.
fn put_paired(
    search: Line<'_>,
    file: Line<'_>,
    line: Line<'_>,
    out: &mut Sink,
) -> Result<(), Refusal> {
    let kept = |searched: &[u8], file, replacing| {
        if searched == replacing {
            file
        } else {
            replacing
        }
    };
    out.put(kept(search.lead(), file.lead(), line.lead()))?;
    out.put(line.body())?;
    out.put(kept(search.trail(), file.trail(), line.trail()))
}

fn put_lead(lead: Lead<'_>, out: &mut Sink) -> Result<(), Refusal> {
    match lead {
        Lead::Given(blanks) => out.put(blanks),
        Lead::Repeated { byte, count } => out.fill(byte, count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What each line of the replacement refers to.
    fn references(search: &str, replace: &str) -> Vec<Reference> {
        let edit = Edit {
            search: search.as_bytes(),
            replace: replace.as_bytes(),
            replace_all: false,
            fuzzy: true,
        };
        let splice = Splice::new(b"", &edit, None);
        (0..splice.replace.len())
            .map(|index| splice.reference(index))
            .collect()
    }

    #[test]
    fn a_line_between_equal_lines_goes_by_the_one_that_is_indented_like_it() {
        use Reference::{Inserted, Paired};
        let search = "  a\n    z\n";
        assert_eq!(
            references(search, "  a\n  n\n    z\n"),
            [Paired(0), Inserted(0), Paired(1)]
        );
        assert_eq!(
            references(search, "  a\n    n\n    z\n"),
            [Paired(0), Inserted(1), Paired(1)]
        );
        assert_eq!(
            references(search, "  a\nn\n    z\n"),
            [Paired(0), Inserted(1), Paired(1)],
            "like neither: the line below"
        );
    }

    #[test]
    fn middle_lines_are_paired_as_long_as_there_are_any() {
        use Reference::{Inserted, Paired};
        assert_eq!(
            references("a\nb\nc\n", "a\nx\ny\nc\n"),
            [Paired(0), Paired(1), Inserted(2), Paired(2)]
        );
        assert_eq!(
            references("b\n", "x\ny\nz\n"),
            [Paired(0), Inserted(0), Inserted(0)]
        );
        assert_eq!(references("a\nb\nc\n", "a\nc\n"), [Paired(0), Paired(2)]);
        assert_eq!(references("a\n", ""), []);
    }

    #[test]
    fn equal_lines_are_counted_once() {
        use Reference::{Inserted, Paired};
        assert_eq!(references("a\n", "a\na\n"), [Paired(0), Inserted(0)]);
        assert_eq!(references("a\na\n", "a\n"), [Paired(0)]);
    }
}
