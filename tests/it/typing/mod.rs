//! Texts typed into real programs, read back from what the programs say they got.

mod exact;
mod gate;
mod person;
mod programs;
mod table;

use std::{process::Child, sync::Arc, time::Duration};

use deskd::{
    desktop::{
        input::{Action, Cancel, Input, InputOptions, InputSink, Outcome, TextReport},
        keys,
        x11::{self, Address, inject::XtestSink},
    },
    telemetry::Metrics,
};
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        xproto::{ChangeWindowAttributesAux, ConnectionExt as _, EventMask, InputFocus},
    },
};

use crate::support::xserver::XServer;

pub fn address(server: &XServer) -> Address {
    Address {
        display: server.display.clone(),
        cookie: Some(server.cookie),
    }
}

pub fn input(server: &XServer, max_hold: Duration) -> Input {
    let (connection, screen) = x11::connect(&address(server)).expect("a connection");
    let sink = XtestSink::new(connection, screen).expect("a sink");
    let options = InputOptions {
        max_hold,
        on_moved: Box::new(|| {}),
    };
    Input::spawn(Box::new(sink), options, Arc::new(Metrics::new())).expect("a thread")
}

/// An xterm whose program writes what it reads into a file.
struct Terminal {
    child: Child,
    file: tempfile::NamedTempFile,
}

impl Terminal {
    /// Starts it and waits until its window is mapped and has the focus.
    fn start(server: &XServer) -> Self {
        let (connection, screen) = x11::connect(&address(server)).expect("a connection");
        let root = connection.setup().roots[screen].root;
        let watch = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
        connection
            .change_window_attributes(root, &watch)
            .expect("sent")
            .check()
            .expect("watching");
        let file = tempfile::NamedTempFile::new().expect("a file");
        let script = format!("cat > {}", file.path().display());
        let child = server
            .command("xterm")
            .env("LC_ALL", "C.UTF-8")
            .args(["-u8", "-e", "sh", "-c", &script])
            .spawn()
            .expect("xterm starts");
        let window = loop {
            if let Event::MapNotify(event) = connection.wait_for_event().expect("an event") {
                break event.window;
            }
        };
        let focus = connection.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME);
        focus
            .expect("sent")
            .check()
            .expect("the window takes the focus");
        Self { child, file }
    }

    /// Ends the input and gives what was read.
    async fn finish(mut self, input: &Input) -> String {
        let end = keys::parse("Return ctrl+d").expect("keys");
        input.perform(Action::Key(end), (0, 0)).await.expect("keys");
        let child = &mut self.child;
        tokio::task::block_in_place(|| child.wait()).expect("xterm ends");
        std::fs::read_to_string(self.file.path()).expect("the file")
    }
}

async fn typed(input: &Input, text: &str) -> TextReport {
    match input.perform(Action::Type(text.to_owned()), (0, 0)).await {
        Ok(Outcome::Typed(report)) => report,
        other => panic!("{other:?}"),
    }
}

fn run(server: &XServer, program: &str, arguments: &[&str]) -> Vec<u8> {
    let output = server
        .command(program)
        .args(arguments)
        .output()
        .expect("a program");
    assert!(output.status.success(), "{program}: {output:?}");
    output.stdout
}

fn keymap(server: &XServer) -> String {
    let dump = run(server, "xkbcomp", &[&server.display, "-"]);
    String::from_utf8_lossy(&dump).into_owned()
}

/// The modifiers that are on, locks included.
fn held_modifiers(server: &XServer) -> u16 {
    let (connection, screen) = x11::connect(&address(server)).expect("a connection");
    let root = connection.setup().roots[screen].root;
    let pointer = connection.query_pointer(root).expect("sent").reply();
    u16::from(pointer.expect("a reply").mask) & 0xff
}

fn printable() -> String {
    (' '..='~').collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn printable_ascii_arrives_and_leaves_the_keymap_alone() {
    let server = XServer::start(800, 600);
    let input = input(&server, Duration::from_mins(1));
    let terminal = Terminal::start(&server);
    let before = keymap(&server);
    let text = format!("{}\r\n\tx", printable());
    let report = typed(&input, &text).await;
    assert_eq!(report.by_layout, report.characters);
    assert_eq!(report.map_changes, 0);
    assert_eq!(keymap(&server), before);
    assert_eq!(
        terminal.finish(&input).await,
        format!("{}\n\tx\n", printable())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn locks_and_held_modifiers_do_not_change_the_text_and_stay() {
    let server = XServer::start(800, 600);
    let input = input(&server, Duration::from_mins(1));
    let terminal = Terminal::start(&server);
    let caps = keys::parse("Caps_Lock Num_Lock").expect("keys");
    input
        .perform(Action::Key(caps.clone()), (0, 0))
        .await
        .expect("locks");
    let shift = keys::parse("shift").expect("keys")[0].keys.clone();
    input
        .perform(Action::KeyDown(shift.clone()), (0, 0))
        .await
        .expect("shift");
    typed(&input, "Hello, World 1+1=2").await;
    let held = input.held().await.expect("a report");
    assert_eq!(held.server.keys, ["Shift_L"], "still held");
    input
        .perform(Action::KeyUp(shift), (0, 0))
        .await
        .expect("shift");
    typed(&input, " abc ABC").await;
    assert_eq!(
        held_modifiers(&server),
        0x12,
        "Caps Lock and Num Lock are still on"
    );
    input
        .perform(Action::Key(caps), (0, 0))
        .await
        .expect("locks");
    assert_eq!(
        terminal.finish(&input).await,
        "Hello, World 1+1=2 abc ABC\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_layouts_are_followed() {
    let server = XServer::start(800, 600);
    let input = input(&server, Duration::from_mins(1));
    let terminal = Terminal::start(&server);
    typed(&input, "yz").await;
    run(&server, "setxkbmap", &["de", "nodeadkeys"]);
    let text = "YZ yz @€{[]}\\~|µ äöüÄÖÜß ?=)(/&%$§\"!";
    let report = typed(&input, text).await;
    assert_eq!(report.by_temporary, 0, "{report:?}");
    run(&server, "setxkbmap", &["us"]);
    typed(&input, "yz").await;
    assert_eq!(terminal.finish(&input).await, format!("yz{text}yz\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn unicode_arrives_by_temporary_keys() {
    let server = XServer::start(800, 600);
    let before = keymap(&server);
    let input = input(&server, Duration::from_mins(1));
    let terminal = Terminal::start(&server);
    let line = "Hello \"wörld\" ñ ß € Привет 你好 😀";
    let first = typed(&input, line).await;
    assert!(
        first.by_temporary > 0 && first.map_changes == 1,
        "{first:?}"
    );
    let second = typed(&input, line).await;
    assert_eq!(second.map_changes, 0, "kept for the next time");
    // More distinct characters than the spare keys have levels.
    let many: String = ('А'..='я').chain('α'..='ω').collect();
    let third = typed(&input, &many).await;
    assert!(third.map_changes > 1, "{third:?}");
    assert_eq!(
        terminal.finish(&input).await,
        format!("{line}{line}{many}\n")
    );
    drop(input);
    exact::await_keymap(&server, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_keys_go_away_when_nobody_types() {
    let server = XServer::start(800, 600);
    let before = keymap(&server);
    let input = input(&server, Duration::from_mins(1));
    let terminal = Terminal::start(&server);
    typed(&input, "Привет").await;
    assert_ne!(keymap(&server), before, "kept for the next text");
    exact::await_keymap(&server, &before);
    typed(&input, " 你好").await;
    assert_eq!(terminal.finish(&input).await, "Привет 你好\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_after_one_that_was_killed_clears_its_keys() {
    let server = XServer::start(800, 600);
    let before = keymap(&server);
    let (connection, screen) = x11::connect(&address(&server)).expect("a connection");
    let killed = XtestSink::new(connection, screen).expect("a sink");
    // Never dropped, as if by kill -9; its connection does not matter.
    let mut killed = std::mem::ManuallyDrop::new(killed);
    let cancel = Cancel::detached().expect("a descriptor");
    killed.text("Привет", &cancel).expect("typed");
    assert_ne!(keymap(&server), before);
    let _input = input(&server, Duration::from_mins(1));
    exact::await_keymap(&server, &before);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_are_refused_before_anything_is_typed() {
    let server = XServer::start(800, 600);
    let input = input(&server, Duration::from_mins(1));
    let terminal = Terminal::start(&server);
    let error = input
        .perform(Action::Type("ab\u{1b}c".to_owned()), (0, 0))
        .await;
    assert!(
        error
            .expect_err("refused")
            .to_string()
            .contains("position 2")
    );
    assert_eq!(terminal.finish(&input).await, "\n");
}
