//! Examples of the matcher, each a row: what stands in the file, what is asked for, what comes of it.
//!
//! `⏎` is LF, `⇐` CRLF, `→` TAB, `␠` a space, `4␠` four, `⍽` a no-break space.

use crate::vfs::edit::{Applied, Edit, Pass, Refusal, apply};

/// A row: number, content, search, replacement, and the result with its pass.
type Row = (
    u8,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    u8,
);

const REPLACED: &[Row] = &[
    (
        1,
        "alpha␠␠⏎beta⏎",
        "alpha⏎beta⏎",
        "ALPHA⏎beta⏎",
        "ALPHA␠␠⏎beta⏎",
        2,
    ),
    (2, "p⇐q⇐r⇐", "q⏎", "", "p⇐r⇐", 2),
    (
        3,
        "→call(1)⏎→call(2)⏎",
        "4␠call(1)⏎",
        "4␠call(9)⏎",
        "→call(9)⏎→call(2)⏎",
        3,
    ),
    (4, "→call(1)⏎", "2␠call(1)⏎", "6␠call(1)⏎", "6␠call(1)⏎", 3),
    (
        5,
        "head⏎→item⏎tail⏎",
        "4␠item⏎",
        "4␠item⏎4␠more⏎",
        "head⏎→item⏎→more⏎tail⏎",
        3,
    ),
    (
        6,
        "{⏎2␠go(1);⏎2␠go(2);⏎}⏎",
        "4␠go(1);⏎4␠go(2);",
        "4␠go(1);⏎4␠if (z) {⏎8␠go(2);⏎4␠}",
        "{⏎2␠go(1);⏎2␠if (z) {⏎4␠go(2);⏎2␠}⏎}⏎",
        3,
    ),
    // The second line keeps the caller's spaces: search and replacement do not agree about its lead.
    (
        7,
        "{⏎→if (z) {⏎→→go(1);⏎→→go(2);⏎→}⏎}⏎",
        "4␠if (z) {⏎8␠go(1);⏎8␠go(2);⏎4␠}",
        "4␠go(1);⏎4␠go(2);",
        "{⏎→go(1);⏎4␠go(2);⏎}⏎",
        3,
    ),
    (8, "m⏎n", "m⏎n⏎", "m⏎o⏎p⏎", "m⏎o⏎p", 2),
    (9, "m⏎keep⏎n⏎", "keep⏎", "KEEP", "m⏎KEEPn⏎", 1),
    (11, "aaa", "aa", "b", "ba", 1),
    (12, "a⇐b⏎c⇐", "b", "B1⏎B2", "a⇐B1⇐B2⏎c⇐", 1),
    (13, "a⏎b⇐c⏎", "b⏎", "B1⏎B2⏎", "a⏎B1⏎B2⏎c⏎", 2),
    (15, "x⏎y⏎", "x⏎", "X⇐", "X⇐y⏎", 1),
    (17, "a⇐⇐b⇐", "a⏎⏎b⏎", "a⏎b⏎", "a⇐b⇐", 2),
    (18, "a⇐b", "b", "b⏎c", "a⇐b⇐c", 1),
    (19, "→one⏎→two⏎", "2␠one⏎", "2␠ONE", "→ONE⏎→two⏎", 3),
    (20, "a⏎b⏎", "b⏎⏎", "B⏎⏎", "a⏎B⏎", 2),
    // The no-break space is lost: it is no blank, so it belongs to no lead that could stay.
    (21, "⍽foo⏎", "foo␠⏎", "bar␠⏎", "bar⏎", 3),
    (24, "a⇐b", "b⏎", "c⏎d⏎", "a⇐c⇐d", 2),
    (25, "x⏎y⏎", "x⇐y⇐", "X⇐Y⇐", "X⏎Y⏎", 2),
    (26, "x⏎y⏎", "x⏎y⏎", "X⇐Y⇐", "X⇐Y⇐", 1),
    (27, "a⏎⏎⏎b⏎", "⏎⏎⏎", "⏎⏎", "a⏎⏎b⏎", 1),
    (
        29,
        "→if a {⏎→→b()⏎→}⏎",
        "4␠if a {⏎8␠b()⏎4␠}⏎",
        "4␠if a {⏎⏎8␠b()⏎4␠}⏎",
        "→if a {⏎⏎→→b()⏎→}⏎",
        3,
    ),
    (
        30,
        "→p()⏎→q()⏎→r()⏎",
        "4␠p()⏎4␠q()⏎",
        "4␠p()⏎4␠new()⏎4␠q()⏎",
        "→p()⏎→new()⏎→q()⏎→r()⏎",
        3,
    ),
    (
        31,
        "def f():⏎2␠a()⏎",
        "4␠a()⏎",
        "4␠a()⏎4␠if b:⏎8␠c()⏎",
        "def f():⏎2␠a()⏎2␠if b:⏎4␠c()⏎",
        3,
    ),
    (32, "one⏎two", "two⏎", "", "one⏎", 2),
    (33, "x⇐y⇐z", "y⏎z⏎", "Y⏎Z⏎W⏎", "x⇐Y⇐Z⇐W", 2),
    (34, "→a⏎→b⏎→c⏎", "2␠a⏎2␠b⏎2␠c⏎", "2␠a⏎2␠c⏎", "→a⏎→c⏎", 3),
    // A replacement is no pattern.
    (35, "cost⏎", "cost", r"$1\0&", r"$1\0&⏎", 1),
    (37, "a␠⏎", "a⏎", "a⏎4␠b⏎", "a␠⏎4␠b⏎", 2),
];

/// More rows: what the numbered ones leave open.
const MORE: &[Row] = &[
    // The line is the file's, so its ending is, though the file has other ones elsewhere.
    (101, "a␠⇐b⏎c⏎", "a⏎", "A⏎", "A␠⇐b⏎c⏎", 2),
    // No ending was asked for, none is forced: that of most lines, so that no LF enters a CRLF file.
    (102, "→a⇐→b⇐", "2␠a⇐", "2␠A", "→A⇐→b⇐", 3),
    // The window has no indented line: the unit is the file's.
    (103, "f␠⏎→g⏎", "f⏎", "f⏎4␠h⏎", "f␠⏎→h⏎→g⏎", 2),
    // Left of the margin cannot be translated: the lead of the line it goes by.
    (
        104,
        "→a⏎→b⏎",
        "8␠a⏎8␠b⏎",
        "8␠a⏎b2⏎4␠c⏎8␠b⏎",
        "→a⏎→b2⏎c⏎→b⏎",
        3,
    ),
    // At the end of a file without newline a deleted last line leaves the newline before it.
    (105, "a␠⏎b", "a⏎b⏎", "a⏎", "a␠⏎", 2),
    (106, "a␠⏎b", "b⏎", "B⏎C", "a␠⏎B⏎C", 2),
    // White space counts where it stands as asked for.
    (107, "a␠␠b", "␠␠", "␠", "a␠b", 1),
    (108, "a\u{2028}⏎", "a⏎b", "x", "", 0),
    (109, "a⇐⏎", "a⏎⏎", "b⏎⏎", "b⏎⏎", 2),
];

const MANY: &[(u8, &str, &str, &str, &str, u8, usize)] = &[
    (
        22,
        "→x = 1⏎→→x = 1⏎",
        "4␠x = 1⏎",
        "4␠x = 2⏎",
        "→x = 2⏎→→x = 2⏎",
        3,
        2,
    ),
    (111, "aaaa", "aa", "aaa", "aaaaaa", 1, 2),
    (112, "a␠⏎a␠⏎a␠⏎", "a⏎a⏎", "", "a␠⏎", 2, 1),
];

/// Turns the signs into what they stand for.
fn text(signs: &str) -> Vec<u8> {
    let mut out = String::new();
    let mut chars = signs.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '⏎' => out.push('\n'),
            '⇐' => out.push_str("\r\n"),
            '→' => out.push('\t'),
            '␠' => out.push(' '),
            '⍽' => out.push('\u{a0}'),
            digit @ '1'..='9' if chars.next_if_eq(&'␠').is_some() => {
                let count = digit.to_digit(10).expect("a digit");
                (0..count).for_each(|_| out.push(' '));
            }
            other => out.push(other),
        }
    }
    out.into_bytes()
}

/// The other way round, for whoever reads a failure.
fn signs(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes)
        .replace("\r\n", "⇐")
        .replace('\n', "⏎")
        .replace('\t', "→")
        .replace(' ', "␠")
        .replace('\u{a0}', "⍽")
}

fn run(
    content: &str,
    search: &str,
    replace: &str,
    replace_all: bool,
    fuzzy: bool,
) -> Result<Applied, Refusal> {
    let edit = Edit {
        search: &text(search),
        replace: &text(replace),
        replace_all,
        fuzzy,
    };
    apply(&text(content), &edit, 1 << 20)
}

fn refused(content: &str, search: &str, replace: &str) -> Refusal {
    run(content, search, replace, false, true).expect_err("a refusal")
}

#[test]
fn one_place_is_replaced() {
    for (number, content, search, replace, result, pass) in REPLACED.iter().chain(MORE) {
        let outcome = run(content, search, replace, false, true);
        if *pass == 0 {
            assert_eq!(outcome, Err(Refusal::NotFound), "row {number}");
            continue;
        }
        let applied = outcome.unwrap_or_else(|refusal| panic!("row {number}: {refusal}"));
        let shown = signs(&applied.content);
        assert_eq!(shown, signs(&text(result)), "row {number}");
        assert_eq!(applied.found.pass.number(), *pass, "pass of row {number}");
        assert_eq!(applied.found.count, 1, "count of row {number}");
    }
}

#[test]
fn all_places_are_replaced_when_that_is_asked_for() {
    for (number, content, search, replace, result, pass, count) in MANY {
        let applied = run(content, search, replace, true, true).expect("replaced");
        assert_eq!(
            signs(&applied.content),
            signs(&text(result)),
            "row {number}"
        );
        assert_eq!(applied.found.pass.number(), *pass, "pass of row {number}");
        assert_eq!(applied.found.count, *count, "count of row {number}");
    }
}

#[test]
fn white_space_alone_is_never_looked_for_with_patience() {
    assert_eq!(refused("foo⏎", "3␠", "X"), Refusal::Blank, "row 10");
    assert_eq!(refused("a⇐⇐b⇐", "⏎⏎", "⏎"), Refusal::Blank, "row 28");
    assert_eq!(refused("foo⏎", "⍽", "X"), Refusal::Blank);
    let strict = run("foo⏎", "3␠", "X", false, false);
    assert_eq!(strict, Err(Refusal::NotFound));
    let asks_for_other_endings = refused("foo⏎", "␠⏎␠⏎", "a⇐b⇐");
    assert_eq!(asks_for_other_endings, Refusal::NotFound);
}

#[test]
fn other_endings_are_not_found_by_overlooking_endings() {
    assert_eq!(refused("x⇐y⇐", "x⏎y⏎", "X⇐Y⇐"), Refusal::NotFound, "row 14");
}

#[test]
fn one_of_several_is_not_chosen() {
    assert_eq!(
        refused("→x = 1⏎→→x = 1⏎", "4␠x = 1⏎", "4␠x = 2⏎"),
        Refusal::Ambiguous {
            pass: Pass::BothEnds,
            count: 2,
            lines: vec![1, 2]
        },
        "row 16"
    );
    let many = "ab⏎".repeat(25);
    assert_eq!(
        refused(&many, "b", "c"),
        Refusal::Ambiguous {
            pass: Pass::Bytes,
            count: 25,
            lines: (1..=20).collect()
        }
    );
}

#[test]
fn blank_lines_case_and_blanks_inside_a_line_count() {
    // Row 23.
    assert_eq!(refused("a⏎⏎b⏎", "a⏎b⏎", "x"), Refusal::NotFound);
    assert_eq!(refused("Foo⏎", "foo", "x"), Refusal::NotFound);
    assert_eq!(refused("a→b⏎", "a␠b⏎", "x"), Refusal::NotFound);
}

#[test]
fn without_patience_only_bytes_count() {
    let strict = run("alpha␠␠⏎beta⏎", "alpha⏎beta⏎", "ALPHA⏎beta⏎", false, false);
    assert_eq!(strict, Err(Refusal::NotFound), "row 36");
}

#[test]
fn an_empty_search_is_refused() {
    assert_eq!(refused("a", "", "b"), Refusal::EmptySearch);
}

#[test]
fn no_edit_makes_more_than_it_may() {
    let refusal = |content: &[u8], search: &[u8], replace: &[u8]| {
        let edit = Edit {
            search,
            replace,
            replace_all: true,
            fuzzy: true,
        };
        apply(content, &edit, 1000).expect_err("too large")
    };
    let too_large = Refusal::TooLarge { limit: 1000 };
    assert_eq!(refusal(&[b'a'; 100], b"a", &[b'b'; 100]), too_large);
    let line = [&[b' '; 400][..], b"a\n"].concat();
    assert_eq!(refusal(&line, b"a \n", b"a \nb\nc\n"), too_large);
    // One level here is 400 spaces, and the replacement is 1000 levels deep.
    let deep = [&b" a \n"[..], &[b' '; 1000], b"b\n"].concat();
    assert_eq!(refusal(&line, b" a \n", &deep), too_large);
}
