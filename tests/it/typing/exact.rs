//! Texts arrive exactly, in every program, with every layout, whatever is locked; and leave the keyboard as it was.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use deskd::desktop::{
    input::{Action, Input, TextReport},
    keys,
};

use super::{
    held_modifiers, input, keymap,
    programs::{Kind, Program, Stage},
    run, typed,
};
use crate::support::xserver::XServer;

pub const LINE: &str = r#"Hello "wörld" ñ ß € Привет 你好 こんにちは 😀 — {}[]|\~^"#;

/// Layouts with their variants.
pub const LAYOUTS: [(&str, &str); 5] = [
    ("us", ""),
    ("de", ""),
    ("fr", ""),
    ("ru", ""),
    ("us", "dvorak"),
];

/// What is locked, as keys and as the modifiers that are then on: Caps Lock is Lock, Num Lock is Mod2.
const LOCKS: [(&str, u16); 4] = [
    ("", 0),
    ("Caps_Lock", 2),
    ("Num_Lock", 0x10),
    ("Caps_Lock Num_Lock", 0x12),
];

/// 5 000 characters in lines of 80: ASCII, and a third from some two hundred letters, signs and pictures that few
/// layouts have. Always the same.
pub fn mixed() -> String {
    let others: Vec<char> = ('а'..='я')
        .chain('α'..='ω')
        .chain('一'..='丿')
        .chain('ぁ'..='ん')
        .chain("äöüßñ€—😀🎉çéèøåœ".chars())
        .collect();
    let ascii: Vec<char> = (' '..='~').collect();
    let mut state: u32 = 12_345;
    // Numerical Recipes' generator; its low bits are poor.
    let mut pick = |count: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as usize % count
    };
    let character = |index: usize| match (index % 80, pick(3)) {
        (79, _) => '\n',
        (_, 0) => others[pick(others.len())],
        _ => ascii[pick(ascii.len())],
    };
    (0..5000).map(character).collect()
}

/// Where two texts part, for people.
pub fn difference(wanted: &str, got: &str) -> String {
    let (wanted, got): (Vec<char>, Vec<char>) = (wanted.chars().collect(), got.chars().collect());
    let same = wanted.iter().zip(&got).take_while(|(a, b)| a == b).count();
    let part = |text: &[char]| text[same..].iter().take(20).collect::<String>();
    let mut said = format!("{} characters of {}", got.len(), wanted.len());
    let _ = write!(
        said,
        ", at {same} {:?} instead of {:?}",
        part(&got),
        part(&wanted)
    );
    said
}

/// What the program got of a text that ends without Return.
pub async fn read_back(input: &Input, program: &Program, text: &str) -> String {
    let end = keys::parse("Return").expect("keys");
    input
        .perform(Action::Key(end), (0, 0))
        .await
        .expect("Return");
    let lines = text.matches('\n').count() + 1;
    let lines: Vec<String> = (0..lines).map(|_| program.line()).collect();
    lines.join("\n")
}

async fn assert_exact(input: &Input, program: &Program, text: &str, what: &str) -> TextReport {
    let report = typed(input, text).await;
    let got = read_back(input, program, text).await;
    assert!(got == text, "{what}: {}", difference(text, &got));
    report
}

pub fn set_layout(server: &XServer, (layout, variant): (&str, &str)) {
    run(server, "setxkbmap", &[layout, "-variant", variant]);
}

pub async fn press(input: &Input, names: &str) {
    if !names.is_empty() {
        let keys = keys::parse(names).expect("keys");
        input
            .perform(Action::Key(keys), (0, 0))
            .await
            .expect("keys");
    }
}

/// The line in every layout with everything locked, the first layout set before the program starts and the others while
/// it runs; then the long text. The keymap is compared before and after.
async fn everything_into(kind: Kind) {
    let stage = Stage::start();
    let server = &stage.server;
    let first = Kind::ALL
        .iter()
        .position(|other| *other == kind)
        .expect("it is there");
    let layouts = || LAYOUTS.iter().cycle().skip(first).take(LAYOUTS.len());
    set_layout(server, *layouts().next().expect("five"));
    let program = Program::start(server, kind);
    let text = mixed();
    for layout in layouts() {
        set_layout(server, *layout);
        let input = input(server, Duration::from_mins(1));
        // The first key of another keyboard makes its map the shared one; that is not a change of ours.
        press(&input, "Shift_L").await;
        let before = keymap(server);
        for (locks, modifiers) in LOCKS {
            press(&input, locks).await;
            let what = format!("{} with {layout:?} and {locks:?}", kind.name());
            assert_exact(&input, &program, LINE, &what).await;
            assert_eq!(held_modifiers(server), modifiers, "{what}");
            press(&input, locks).await;
        }
        if *layout == LAYOUTS[0] {
            let what = format!("the long text in {}", kind.name());
            let report = assert_exact(&input, &program, &text, &what).await;
            assert!(
                report.map_changes > 5,
                "more than one set of keys: {report:?}"
            );
        }
        drop(input);
        await_keymap(server, &before);
    }
}

/// Waits until the keymap is this one. The removal has no event that a program of ours could tell from others.
pub fn await_keymap(server: &XServer, wanted: &str) {
    let begin = Instant::now();
    loop {
        let now = keymap(server);
        if now == wanted {
            return;
        }
        let other = now.lines().zip(wanted.lines()).find(|(a, b)| a != b);
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "the keymap is another: {other:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_xterm() {
    everything_into(Kind::Xterm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_a_gtk_3_entry() {
    everything_into(Kind::Gtk3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_a_gtk_4_entry() {
    everything_into(Kind::Gtk4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_a_qt_5_entry() {
    everything_into(Kind::Qt5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_chromium() {
    everything_into(Kind::Chromium).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_arrives_in_firefox() {
    everything_into(Kind::Firefox).await;
}
