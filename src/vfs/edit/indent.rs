//! Units of indentation: what one level is to the caller, what it is to the file, and a lead said in the other's.

use super::lines::Line;

/// What one level of indentation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unit {
    byte: u8,
    width: usize,
}

/// What the leads of some lines have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// No line with a body is indented.
    Bare,
    Uniform(Unit),
    /// TABs and spaces.
    Mixed,
}

impl Habit {
    pub(super) fn unit(self) -> Option<Unit> {
        match self {
            Habit::Uniform(unit) => Some(unit),
            Habit::Bare | Habit::Mixed => None,
        }
    }

    /// Of the indented lines that have a body: one TAB if all are led by TABs, the greatest common divisor of the
    /// counts if all are led by spaces.
    pub(super) fn of<'a>(lines: impl Iterator<Item = Line<'a>>) -> Habit {
        let mut habit = Habit::Bare;
        for line in lines {
            let lead = line.lead();
            if lead.is_empty() || line.body().is_empty() {
                continue;
            }
            habit = habit.and(lead);
            if habit == Habit::Mixed {
                break;
            }
        }
        habit
    }

    fn and(self, lead: &[u8]) -> Habit {
        let byte = lead[0];
        if lead.iter().any(|other| *other != byte) {
            return Habit::Mixed;
        }
        let width = if byte == b'\t' { 1 } else { lead.len() };
        match self {
            Habit::Bare => Habit::Uniform(Unit { byte, width }),
            Habit::Uniform(unit) if unit.byte == byte => Habit::Uniform(Unit {
                byte,
                width: greatest_common_divisor(unit.width, width),
            }),
            Habit::Uniform(_) | Habit::Mixed => Habit::Mixed,
        }
    }
}

impl Unit {
    /// How many units a lead is; `None` if it is no whole number of them. No lead is level 0.
    fn levels(self, lead: &[u8]) -> Option<usize> {
        let whole =
            lead.iter().all(|byte| *byte == self.byte) && lead.len().is_multiple_of(self.width);
        whole.then(|| lead.len() / self.width)
    }
}

/// The lead of an inserted line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lead<'a> {
    /// These blanks.
    Given(&'a [u8]),
    /// So many of this blank: kept as a number, since it may be larger than what any file may be.
    Repeated { byte: u8, count: usize },
}

/// The lead of an inserted line in the file's units: as far from the file's reference line as the caller put it from
/// the search's. `None` when the leads are no whole levels, or the line would stand left of the margin.
pub(super) fn translate(
    caller: Unit,
    file: Unit,
    inserted: &[u8],
    search_reference: &[u8],
    file_reference: &[u8],
) -> Option<Lead<'static>> {
    let level = file.levels(file_reference)? + caller.levels(inserted)?;
    let level = level.checked_sub(caller.levels(search_reference)?)?;
    Some(Lead::Repeated {
        byte: file.byte,
        count: level.saturating_mul(file.width),
    })
}

fn greatest_common_divisor(mut one: usize, mut other: usize) -> usize {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::edit::lines::written_lines;

    fn habit(text: &str) -> Habit {
        Habit::of(written_lines(text.as_bytes()).into_iter())
    }

    fn uniform(byte: u8, width: usize) -> Habit {
        Habit::Uniform(Unit { byte, width })
    }

    #[test]
    fn the_unit_is_what_all_leads_have_in_common() {
        assert_eq!(habit("a\n    b\n      c\n"), uniform(b' ', 2));
        assert_eq!(habit("\ta\n\t\t\tb\n"), uniform(b'\t', 1));
        assert_eq!(habit("\ta\n  b\n"), Habit::Mixed);
        assert_eq!(habit("\t a\n"), Habit::Mixed);
        assert_eq!(
            habit("a\n   \nb\n"),
            Habit::Bare,
            "blank lines do not count"
        );
    }

    #[test]
    fn a_lead_is_translated_by_levels() {
        let four = Unit {
            byte: b' ',
            width: 4,
        };
        let tab = Unit {
            byte: b'\t',
            width: 1,
        };
        let tabs = |count| Some(Lead::Repeated { byte: b'\t', count });
        assert_eq!(translate(four, tab, b"        ", b"    ", b"\t\t"), tabs(3));
        assert_eq!(translate(four, tab, b"", b"    ", b"\t"), tabs(0));
        assert_eq!(
            translate(four, tab, b"", b"    ", b""),
            None,
            "left of the margin"
        );
        assert_eq!(
            translate(four, tab, b"   ", b"", b""),
            None,
            "no whole level"
        );
        assert_eq!(
            translate(four, tab, b"    ", b"", b"  "),
            None,
            "not in the file's unit"
        );
    }
}
