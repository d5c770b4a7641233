//! What holds for all texts.

use std::time::{Duration, Instant};

use proptest::{collection::vec, prelude::*};

use crate::vfs::edit::{
    Edit, Pass, Refusal, apply, apply_all,
    report::{Room, report},
    unified,
};

const LIMIT: usize = 1 << 20;

fn edit<'a>(search: &'a [u8], replace: &'a [u8], replace_all: bool) -> Edit<'a> {
    Edit {
        search,
        replace,
        replace_all,
        fuzzy: true,
    }
}

/// Text of few letters, so that much matches: blanks, white space that is none, endings of all kinds.
fn text(most: usize) -> impl Strategy<Value = Vec<u8>> {
    const PIECES: &[&str] = &[
        "a", "b", " ", "    ", "\t", "\n", "\n", "\r\n", "\r", "\u{a0}", "é", "==",
    ];
    vec(prop::sample::select(PIECES), 0..most).prop_map(|pieces| pieces.concat().into_bytes())
}

/// Bytes that no decoder likes.
fn binary() -> impl Strategy<Value = Vec<u8>> {
    let ends_lines = |byte: u8| if byte % 8 == 1 { b'\n' } else { byte };
    vec(any::<u8>(), 0..80).prop_map(move |bytes| bytes.into_iter().map(ends_lines).collect())
}

proptest! {
    #[test]
    fn a_search_that_is_there_once_is_simply_replaced(
        before in "[ab ]{0,20}(\n[ab\t ]{0,9}){0,9}",
        search in "<[ab \n]{0,9}>",
        after in "[ab ]{0,20}(\n[ab\t ]{0,9}){0,9}",
        replace in "[ab\t ]{0,20}(\n[ab\t ]{0,9}){0,3}",
    ) {
        let content = format!("{before}{search}{after}");
        let applied = apply(content.as_bytes(), &edit(search.as_bytes(), replace.as_bytes(), false), LIMIT)
            .expect("it is there");
        prop_assert_eq!(applied.content, content.replacen(&search, &replace, 1).into_bytes());
        prop_assert_eq!(applied.found.line, before.matches('\n').count() + 1);
        prop_assert_eq!(applied.found.pass, Pass::Bytes);
    }

    #[test]
    fn nothing_panics_and_what_is_not_replaced_stays(
        content in text(60),
        search in text(8),
        replace in text(8),
        replace_all: bool,
    ) {
        let edit = edit(&search, &replace, replace_all);
        match apply(&content, &edit, LIMIT) {
            Ok(applied) => {
                let lines = applied.found.line - 1;
                let kept: Vec<_> = content.split_inclusive(|byte| *byte == b'\n').take(lines).collect();
                prop_assert!(applied.content.starts_with(&kept.concat()));
                prop_assert!(applied.found.count == 1 || replace_all);
                prop_assert_eq!(applied.found.lines.first(), Some(&applied.found.line));
            }
            Err(refusal) => {
                let _report = report(&content, &edit, &refusal, &mut Room::default(), &|| false);
            }
        }
    }

    #[test]
    fn what_stands_around_a_window_stays_in_any_encoding(
        mut before in binary(),
        after in binary(),
        pass in 1_u8..=3,
    ) {
        before.push(b'\n');
        let (found, search) = match pass {
            1 => ("  <one>\n<two>\n", "<one>\n<two>"),
            2 => ("<one>  \n<two>\t\n", "<one>\n<two>\n"),
            _ => ("\t<one>\n\t<two>\n", "  <one>\n  <two>\n"),
        };
        let content = [&before[..], found.as_bytes(), &after].concat();
        let applied = apply(&content, &edit(search.as_bytes(), b"<2>", false), LIMIT).expect("it is there");
        prop_assert_eq!(applied.found.pass.number(), pass);
        prop_assert!(applied.content.starts_with(&before));
        prop_assert!(applied.content.ends_with(&after));
        let middle = applied.content.len() - before.len() - after.len();
        prop_assert!(middle < found.len());
    }

    #[test]
    fn utf_16_is_bytes_like_any_other(around in "[a-zé€\n]{0,40}") {
        let utf_16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
        let content = utf_16(&format!("{around}<x>{around}"));
        let applied = apply(&content, &edit(&utf_16("<x>"), &utf_16("é\n"), false), LIMIT).expect("it is there");
        prop_assert_eq!(applied.content, utf_16(&format!("{around}é\n{around}")));
    }

    #[test]
    fn a_sequence_is_its_edits_one_by_one_or_nothing(
        content in text(40),
        edits in vec((text(4), text(4), any::<bool>()), 0..4),
    ) {
        let edits: Vec<_> = edits.iter().map(|(search, replace, all)| edit(search, replace, *all)).collect();
        let mut by_hand = content.clone();
        let mut refused = None;
        for (number, edit) in edits.iter().enumerate() {
            match apply(&by_hand, edit, LIMIT) {
                Ok(applied) => by_hand = applied.content,
                Err(refusal) => {
                    refused = Some((number, refusal));
                    break;
                }
            }
        }
        match (apply_all(&content, &edits, LIMIT), refused) {
            (Ok(sequence), None) => {
                prop_assert_eq!(sequence.content, by_hand);
                prop_assert_eq!(sequence.found.len(), edits.len());
            }
            (Err(failed), Some(refused)) => {
                prop_assert_eq!((failed.edit, failed.refusal), refused);
                prop_assert_eq!(failed.content, by_hand);
            }
            (outcome, refused) => prop_assert!(false, "{:?} against {:?}", outcome, refused),
        }
    }

    #[test]
    fn a_diff_never_fails(before in binary(), after in binary()) {
        let deadline = Instant::now() + Duration::from_mins(1);
        let diff = unified(b"/f", &before, &after, deadline);
        prop_assert_eq!(diff.is_empty(), before == after);
    }
}

#[test]
fn a_later_edit_sees_what_an_earlier_one_made() {
    let edits = [edit(b"one", b"two", false), edit(b"two", b"x", false)];
    let failed = apply_all(b"one two\n", &edits, LIMIT).expect_err("made ambiguous");
    assert_eq!(failed.edit, 1);
    assert!(matches!(
        failed.refusal,
        Refusal::Ambiguous { count: 2, .. }
    ));
    let sequence = apply_all(b"one\n", &edits, LIMIT).expect("both");
    assert_eq!(sequence.content, b"x\n");
}

#[test]
fn a_mebibyte_of_anything_is_no_burden() {
    // Not a measurement: whatever is quadratic here would take minutes.
    let half = 1 << 19;
    let blanks = vec![b' '; half];
    let almost = [b"a\n".repeat(1000), b"b".to_vec()].concat();
    let indented = b" a\n".repeat(half / 8);
    let cases = [
        (b"a\n".repeat(half), almost.clone()),
        ("\u{a0}\n".repeat(half / 2).into_bytes(), almost),
        (vec![b'\n'; 2 * half], indented.clone()),
        (b"a \n".repeat(half / 2), indented),
        (blanks.repeat(2), [&blanks[..], b"b"].concat()),
        (
            [&blanks[..], &vec![b'a'; half]].concat(),
            [&blanks[..], b"b"].concat(),
        ),
    ];
    for (content, search) in &cases {
        let edit = edit(search, b"b\n", true);
        let started = Instant::now();
        let expired = || started.elapsed() > Duration::from_millis(20);
        if let Err(refusal) = apply(content, &edit, 1 << 24) {
            report(content, &edit, &refusal, &mut Room::default(), &expired);
        }
    }
}
