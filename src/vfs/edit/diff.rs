//! Unified diffs of a file, as bytes: what is not UTF-8 stays as it is, and whoever makes text of it cleans it.

use std::{io::Write as _, ops::Range, time::Instant};

use similar::{Algorithm, DiffOp, DiffTag, capture_diff_slices_deadline, group_diff_ops};

use crate::vfs::path::quoted;

/// Lines shown before and behind a change.
const CONTEXT: usize = 3;

/// Bytes that are compared at once.
const BLOCK: usize = 4096;

/// The unified diff of two texts, both labelled with the path; empty when they are equal. Behind the deadline it is
/// still right, but may be longer than need be.
///
/// A path with control characters, quotes or broken characters is quoted as git quotes it, so that no name can forge a line.
pub fn unified(path: &[u8], before: &[u8], after: &[u8], deadline: Instant) -> Vec<u8> {
    if before == after {
        return Vec::new();
    }
    let mut out = Vec::new();
    let path = quoted(path);
    for mark in ["--- ", "+++ "] {
        out.extend_from_slice(mark.as_bytes());
        out.extend_from_slice(path.as_bytes());
        out.push(b'\n');
    }
    let changed = Changed::between(before, after);
    for hunk in group_diff_ops(changed.operations(deadline), CONTEXT) {
        changed.put_hunk(&hunk, &mut out);
    }
    out
}

/// The part of two texts that holds all changes, and the context around it. Most edits are small, and no more than
/// this is cut into lines and compared.
#[derive(Debug)]
struct Changed<'a> {
    /// Lines before it.
    skipped: usize,
    /// Context at its start and at its end, in lines: equal in both.
    head: usize,
    tail: usize,
    old: Vec<&'a [u8]>,
    new: Vec<&'a [u8]>,
}

impl<'a> Changed<'a> {
    fn between(before: &'a [u8], after: &'a [u8]) -> Changed<'a> {
        let same = common_start(before, after);
        let change = memchr::memrchr(b'\n', &before[..same]).map_or(0, |at| at + 1);
        let (start, head) = lines_up(before, change);

        let same = common_end(&before[change..], &after[change..]);
        let tail = &before[before.len() - same..];
        let tail = memchr::memchr(b'\n', tail).map_or(&[][..], |at| &tail[at + 1..]);
        let shown: Vec<_> = lines(tail).take(CONTEXT).collect();
        let hidden = tail.len() - shown.iter().map(|line| line.len()).sum::<usize>();

        Changed {
            skipped: memchr::memchr_iter(b'\n', &before[..start]).count(),
            head,
            tail: shown.len(),
            old: lines(&before[start..before.len() - hidden]).collect(),
            new: lines(&after[start..after.len() - hidden]).collect(),
        }
    }

    /// What makes the new lines of the old.
    fn operations(&self, deadline: Instant) -> Vec<DiffOp> {
        let (old_end, new_end) = (self.old.len() - self.tail, self.new.len() - self.tail);
        let equal = |old_index, new_index, len| DiffOp::Equal {
            old_index,
            new_index,
            len,
        };
        let middle = capture_diff_slices_deadline(
            Algorithm::Myers,
            &self.old[self.head..old_end],
            &self.new[self.head..new_end],
            Some(deadline),
        );
        let mut operations = Vec::with_capacity(middle.len() + 2);
        operations.extend((self.head > 0).then(|| equal(0, 0, self.head)));
        operations.extend(middle.into_iter().map(|each| moved(each, self.head)));
        operations.extend((self.tail > 0).then(|| equal(old_end, new_end, self.tail)));
        operations
    }

    fn put_hunk(&self, hunk: &[DiffOp], out: &mut Vec<u8>) {
        let (Some(first), Some(last)) = (hunk.first(), hunk.last()) else {
            return;
        };
        let old = self.place(first.old_range().start..last.old_range().end);
        let new = self.place(first.new_range().start..last.new_range().end);
        let _never = writeln!(out, "@@ -{old} +{new} @@");
        for operation in hunk {
            let equal = operation.tag() == DiffTag::Equal;
            for line in &self.old[operation.old_range()] {
                put_line(if equal { b' ' } else { b'-' }, line, out);
            }
            for line in self.new[operation.new_range()].iter().filter(|_| !equal) {
                put_line(b'+', line, out);
            }
        }
    }

    /// Where a hunk stands, from 1; the line before it when it is empty; the count only when it is not 1.
    fn place(&self, lines: Range<usize>) -> String {
        let start = self.skipped + lines.start;
        match lines.len() {
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            count => format!("{},{count}", start + 1),
        }
    }
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split_inclusive(|byte| *byte == b'\n')
}

/// Where the context before the line at `start` begins, and how many lines it has.
fn lines_up(text: &[u8], mut start: usize) -> (usize, usize) {
    let mut count = 0;
    while count < CONTEXT && start > 0 {
        start = memchr::memrchr(b'\n', &text[..start - 1]).map_or(0, |at| at + 1);
        count += 1;
    }
    (start, count)
}

/// How many bytes two texts have in common at their start.
fn common_start(one: &[u8], other: &[u8]) -> usize {
    let blocks = one.chunks(BLOCK).zip(other.chunks(BLOCK));
    let whole = blocks.take_while(|(one, other)| one == other).count() * BLOCK;
    let whole = whole.min(one.len()).min(other.len());
    let bytes = one[whole..].iter().zip(&other[whole..]);
    whole + bytes.take_while(|(one, other)| one == other).count()
}

/// How many bytes two texts have in common at their end.
fn common_end(one: &[u8], other: &[u8]) -> usize {
    let blocks = one.rchunks(BLOCK).zip(other.rchunks(BLOCK));
    let whole = blocks.take_while(|(one, other)| one == other).count() * BLOCK;
    let whole = whole.min(one.len()).min(other.len());
    let (one, other) = (&one[..one.len() - whole], &other[..other.len() - whole]);
    let bytes = one.iter().rev().zip(other.iter().rev());
    whole + bytes.take_while(|(one, other)| one == other).count()
}

/// The operation, so many lines further down.
fn moved(mut operation: DiffOp, by: usize) -> DiffOp {
    match &mut operation {
        DiffOp::Equal {
            old_index,
            new_index,
            ..
        }
        | DiffOp::Delete {
            old_index,
            new_index,
            ..
        }
        | DiffOp::Insert {
            old_index,
            new_index,
            ..
        }
        | DiffOp::Replace {
            old_index,
            new_index,
            ..
        } => {
            *old_index += by;
            *new_index += by;
        }
    }
    operation
}

fn put_line(mark: u8, line: &[u8], out: &mut Vec<u8>) {
    out.push(mark);
    out.extend_from_slice(line);
    if !line.ends_with(b"\n") {
        out.extend_from_slice(b"\n\\ No newline at end of file\n");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn diff(before: &str, after: &str) -> String {
        let deadline = Instant::now() + Duration::from_mins(1);
        let bytes = unified(b"/a b", before.as_bytes(), after.as_bytes(), deadline);
        String::from_utf8(bytes).expect("two texts and ASCII")
    }

    /// Applies a diff by its line numbers, as `patch` does; what it keeps and deletes must be there.
    fn patch(before: &[u8], diff: &[u8]) -> Vec<u8> {
        let old: Vec<_> = lines(before).collect();
        let mut out: Vec<u8> = Vec::new();
        let mut at = 0;
        let mut taken_from_old = false;
        for line in lines(diff).skip(2) {
            let text = &line[1..];
            match line[0] {
                b'@' => {
                    let numbers = text.split(|byte| !byte.is_ascii_digit());
                    let mut numbers = numbers.filter(|word| !word.is_empty());
                    let start = std::str::from_utf8(numbers.next().expect("a line number"));
                    let start: usize = start.expect("digits").parse().expect("a number");
                    let empty = text.starts_with(b"@ -") && {
                        let old = text[3..].split(|byte| *byte == b' ').next();
                        old.is_some_and(|old| old.ends_with(b",0"))
                    };
                    let to = if empty { start } else { start - 1 };
                    out.extend(old[at..to].concat());
                    at = to;
                }
                mark @ (b' ' | b'-') => {
                    assert_eq!(text.trim_ascii_end(), old[at].trim_ascii_end());
                    at += 1;
                    taken_from_old = mark == b'-';
                    if mark == b' ' {
                        out.extend(text);
                    }
                }
                b'+' => {
                    taken_from_old = false;
                    out.extend(text);
                }
                b'\\' if taken_from_old => {}
                b'\\' => {
                    out.pop();
                }
                other => panic!("{other} begins no line of a diff"),
            }
        }
        out.extend(old[at..].concat());
        out
    }

    /// "1", "2" and so on, a line each.
    fn counted(lines: usize) -> String {
        let lines: Vec<_> = (1..=lines).map(|number| format!("{number}\n")).collect();
        lines.concat()
    }

    #[test]
    fn a_change_is_shown_with_three_lines_around_it() {
        let before = counted(20);
        let after = before.replace("10\n", "ten\n");
        assert_eq!(
            diff(&before, &after),
            "--- /a b\n+++ /a b\n@@ -7,7 +7,7 @@\n 7\n 8\n 9\n-10\n+ten\n 11\n 12\n 13\n"
        );
    }

    #[test]
    fn far_changes_have_hunks_of_their_own() {
        let before = counted(20);
        let after = before.replace("2\n3\n", "2\n").replace("18\n", "18\n18\n");
        assert_eq!(diff(&before, &after).matches("\n@@ ").count(), 2);
    }

    #[test]
    fn a_missing_last_newline_is_said() {
        assert_eq!(
            diff("a", "a\n"),
            "--- /a b\n+++ /a b\n@@ -1 +1 @@\n-a\n\\ No newline at end of file\n+a\n"
        );
        assert_eq!(diff("", "a\n"), "--- /a b\n+++ /a b\n@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff("a\n", ""), "--- /a b\n+++ /a b\n@@ -1 +0,0 @@\n-a\n");
        assert_eq!(diff("a\n", "a\n"), "");
    }

    #[test]
    fn no_name_forges_a_line() {
        let label = |path: &[u8]| {
            let deadline = Instant::now() + Duration::from_mins(1);
            let bytes = unified(path, b"a", b"b", deadline);
            let text = String::from_utf8(bytes).expect("two texts and ASCII");
            text.lines().next().map(str::to_owned)
        };
        assert_eq!(label(b"/a b").as_deref(), Some("--- /a b"));
        assert_eq!(
            label(b"/a\n+++ \"b\\\x01\x7f\xff").as_deref(),
            Some(r#"--- "/a\n+++ \"b\\\001\177\377""#)
        );
    }

    #[test]
    fn a_deadline_that_has_passed_costs_length_not_truth() {
        let before: Vec<u8> = (0..4000_u32)
            .flat_map(|n| [(n * 7 % 11) as u8 + b'a', b'\n'])
            .collect();
        let after: Vec<u8> = (0..4000_u32)
            .flat_map(|n| [(n * 5 % 13) as u8 + b'a', b'\n'])
            .collect();
        let diff = unified(b"/f", &before, &after, Instant::now());
        assert_eq!(patch(&before, &diff), after);
    }

    proptest! {
        #[test]
        fn whoever_applies_the_diff_has_the_new_text(
            before in "([abc]\r?\n){0,20}[ab]?",
            after in "([abc]\r?\n){0,20}[ab]?",
        ) {
            let diff = diff(&before, &after);
            let patched = if diff.is_empty() {
                before.clone().into_bytes()
            } else {
                patch(before.as_bytes(), diff.as_bytes())
            };
            prop_assert_eq!(patched, after.into_bytes());
        }
    }
}
