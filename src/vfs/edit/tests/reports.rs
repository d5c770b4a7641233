//! What is said of searches that were not found.

use crate::vfs::edit::{
    Edit, Refusal, apply,
    report::{Difference, Nearest, Report, Room, report},
};

fn edit<'a>(search: &'a str, replace: &'a str) -> Edit<'a> {
    Edit {
        search: search.as_bytes(),
        replace: replace.as_bytes(),
        replace_all: false,
        fuzzy: true,
    }
}

/// The report on an edit that is refused, with all the time it needs.
fn missed(content: &str, edit: &Edit<'_>) -> Report {
    let refusal = apply(content.as_bytes(), edit, 1 << 20).expect_err("a refusal");
    let room = &mut Room::default();
    report(content.as_bytes(), edit, &refusal, room, &|| false)
}

fn nearest(content: &str, search: &str) -> Nearest {
    let report = missed(content, &edit(search, "x"));
    assert!(!report.incomplete && !report.nothing_similar);
    report.nearest.expect("something near")
}

fn hints(content: &str, edit: &Edit<'_>) -> Vec<String> {
    missed(content, edit).hints
}

#[test]
fn stale_text_is_shown_as_it_is_now() {
    let content = "fn a() {\n    one();\n    two(2);\n}\n\nfn b() {\n    one();\n    three();\n}\n";
    let near = nearest(content, "fn a() {\n    one();\n    two();\n}\n");
    assert_eq!((near.start_line, near.end_line), (1, 4));
    assert_eq!(near.text, b"fn a() {\n    one();\n    two(2);\n}\n");
    // Three lines are equal; of "two();" and "two(2);" six characters of 6 and 7 are common.
    assert!(
        (near.score - (3.0 + 12.0 / 13.0) / 4.0).abs() < 1e-6,
        "{}",
        near.score
    );
    assert_eq!(
        near.first_difference,
        Some(Difference {
            search_line: 3,
            file_line: Some(3),
            expected: b"    two();".to_vec(),
            found: b"    two(2);".to_vec(),
        })
    );
}

#[test]
fn the_first_of_equally_near_places_is_shown() {
    let near = nearest("a\nx\n-\na\nx\n", "a\ny\n");
    assert_eq!((near.start_line, near.end_line), (1, 2));
}

#[test]
fn a_better_place_wins_over_one_further_up() {
    let near = nearest("a\nqqqq\n-\na\nyyyx\n", "a\nyyyy\n");
    assert_eq!((near.start_line, near.end_line), (4, 5));
}

#[test]
fn blank_lines_are_equal_but_make_no_place() {
    let near = nearest("q\n\nr\na\n\nc\n", "a\n\nb\n");
    assert_eq!((near.start_line, near.end_line), (4, 6));
    assert!((near.score - 2.0 / 3.0).abs() < 1e-6);
    let report = missed("q\n\nr\n", &edit("aaa\n\nbbb\n", "x"));
    assert!(report.nothing_similar);
}

#[test]
fn a_search_longer_than_what_is_left_of_the_file_is_cut() {
    let near = nearest("z\na\nb\n", "a\nb\nc\nd\n");
    assert_eq!((near.start_line, near.end_line), (2, 3));
    let difference = near.first_difference.expect("two lines are missing");
    assert_eq!((difference.search_line, difference.file_line), (3, None));
    let near = nearest("b\nc\n", "a\nb\nc\n");
    assert_eq!((near.start_line, near.end_line), (1, 2));
}

#[test]
fn without_an_equal_line_the_first_one_decides() {
    let near = nearest(
        "zzz\nlet value = 1;\nlet valve = 2;\n",
        "\nlet value = 2;\n",
    );
    assert_eq!((near.start_line, near.end_line), (1, 2));
    let report = missed("abc\ndef\n", &edit("xyz", "-"));
    assert_eq!(report.nearest, None);
    assert_eq!(
        report.explanation(),
        "; no line of the search is in the file"
    );
    assert_eq!(report.excerpt(), b"");
}

#[test]
fn other_endings_are_the_difference_when_there_is_no_other() {
    let report = missed("-\nx\r\ny\r\n", &edit("x\ny\n", "X\r\nY\r\n"));
    let near = report.nearest.expect("the lines, endings aside");
    assert!(near.score >= 1.0);
    assert_eq!(
        near.first_difference,
        Some(Difference {
            search_line: 1,
            file_line: Some(2),
            expected: b"x\n".to_vec(),
            found: b"x\r\n".to_vec(),
        })
    );
}

#[test]
fn time_that_runs_out_is_said() {
    let content = "some line\n".repeat(50_000);
    let search = format!("{}another line\n", "some line\n".repeat(2_000));
    let asked = std::cell::Cell::new(0);
    let expired = || {
        asked.set(asked.get() + 1);
        asked.get() > 2_000
    };
    let edit = edit(&search, "x");
    let refusal = Refusal::NotFound;
    let room = &mut Room::default();
    let report = report(content.as_bytes(), &edit, &refusal, room, &expired);
    assert!(report.incomplete && !report.nothing_similar);
    assert_eq!(asked.get(), 2_001, "and nothing is done after that");
}

#[test]
fn reports_are_bounded_one_by_one_and_together() {
    let lines = (0..100).map(|number| format!("{number} {}\n", "é".repeat(100)));
    let content = lines.collect::<Vec<_>>().concat();
    let search = content.replace("50 é", "51 é");
    let edit = edit(&search, "x");
    let room = &mut Room::default();
    let mut sizes = Vec::new();
    for _ in 0..10 {
        let report = report(content.as_bytes(), &edit, &Refusal::NotFound, room, &|| {
            false
        });
        let text = report.nearest.map(|near| near.text).unwrap_or_default();
        assert!(std::str::from_utf8(&text).is_ok(), "no character is split");
        sizes.push(text.len());
    }
    assert!(sizes[0] > 4000 && sizes[0] <= 4096, "{sizes:?}");
    assert!(sizes.iter().sum::<usize>() <= 16 * 1024);
    assert_eq!(sizes[9], 0);
    let lines = "line\n".repeat(60) + "last\n";
    let near = nearest(&lines, &("line\n".repeat(60) + "least\n"));
    assert_eq!(near.text, "line\n".repeat(40).into_bytes());
    assert_eq!(near.end_line, 61);
}

#[test]
fn a_repeated_character_is_counted() {
    let hints = hints("a\n=====\n", &edit("a\n====\n", "b\n"));
    assert_eq!(
        hints,
        [
            "line 2 of the search has '=' (U+003D) 4 times in a row where the file has it 5 times (line 2)"
        ]
    );
}

#[test]
fn a_replacement_that_is_there_is_told() {
    let content = "new\n".repeat(8);
    let hints = hints(&content, &edit("old", "new"));
    assert_eq!(
        hints,
        [
            "the replacement is in the file already (lines 1, 2, 3, 4, 5 and 3 more): \
          are search and replacement swapped, or was this edit made before?"
        ]
    );
}

#[test]
fn line_numbers_that_were_copied_are_told() {
    let hints = hints(
        "\tone\n\n\ttwo\n",
        &edit("1\t\tone\n2\t\n3\t\ttwo\n", "x\n"),
    );
    assert_eq!(
        hints,
        [
            "the lines of the search begin with a number and a TAB, as read-file-lines gives them; \
          without those it is found (line 1)"
        ]
    );
}

#[test]
fn characters_that_look_alike_are_told() {
    let hints = hints("x\nit\u{2019}s\n", &edit("it's", "y"));
    assert_eq!(
        hints,
        [
            "only characters that look alike differ from line 2 of the file: \
          the search has U+0027 (apostrophe), the file U+2019 (curly quote)"
        ]
    );
}

#[test]
fn a_pass_that_was_not_tried_is_told() {
    let strict = Edit {
        fuzzy: false,
        ..edit("alpha\nbeta\n", "ALPHA\nbeta\n")
    };
    assert_eq!(
        hints("alpha  \nbeta\n", &strict),
        ["with fuzzy it would match (line 1): white space or line endings differ"]
    );
    assert_eq!(
        hints("x\r\ny\r\n", &edit("x\ny\n", "X\r\nY\r\n")),
        [
            "search and replacement end their lines differently, so line endings count; \
          with those aside it would match (line 1)"
        ]
    );
}

#[test]
fn hints_are_three_at_most_and_in_order() {
    let edit = Edit {
        fuzzy: false,
        ..edit("it's  ====\n", "new\n")
    };
    let report = missed("it's  =====\nnew\nit\u{2019}s  ==== \n", &edit);
    let starts: Vec<_> = report.hints.iter().map(|hint| &hint[..10]).collect();
    assert_eq!(starts, ["line 1 of ", "the replac", "only chara"]);
    let explanation = report.explanation();
    assert!(
        explanation.starts_with("; line 1 of the search has"),
        "{explanation}"
    );
}

#[test]
fn the_excerpt_shows_place_and_difference() {
    let report = missed("a\nb1\n", &edit("a\nb2\n", "x"));
    assert_eq!(
        String::from_utf8(report.excerpt()).expect("ASCII"),
        "nearest: lines 1 to 2 (score 0.75)\na\nb1\n\
         line 2 of the search is:\nb2\nline 2 of the file is:\nb1\n"
    );
}

#[test]
fn only_a_search_that_is_not_found_has_a_report() {
    assert_eq!(missed("a\na\n", &edit("a", "b")), Report::default());
    assert_eq!(missed("a\n", &edit("  ", "b")), Report::default());
}
