//! A person types by a viewer of the daemon while it types a text: neither changes what the other enters, wherever the
//! person presses Shift.

use std::{process::Command, time::Duration};

use deskd::desktop::{authority, keys::Keysym, x11::Address};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::interval,
};

use super::{
    exact::{difference, mixed},
    programs::{Display, Kind, Program},
};
use crate::{
    support::{daemon::Daemon, rfb_client::RfbClient},
    vnc::Viewer,
};

/// What the person types, with Shift first and where else it belongs, and partly beyond the layout; the text has none
/// of it.
const WORD: &str = "QZ%0X7&Łő漢";

/// Between two keys of the person, who is quick.
const STROKE: Duration = Duration::from_millis(10);

const SHIFT: u32 = 0xffe1;

/// Strokes of silence after a word: a little more than what a text waits for, so that most of the text is typed while a
/// word begins.
const PAUSE: usize = 17;

/// Words of the person at most, so that the text comes to its end on a machine that has too much to do.
const WORDS: usize = 40;

/// How long a text may take that so many words interrupt.
const LONG: Duration = Duration::from_mins(3);

/// The daemon's own desktop.
struct Desk {
    display: String,
    xauthority: String,
}

impl Desk {
    async fn of(daemon: &Daemon) -> Self {
        let desktop = daemon.started().await;
        let text = |field: &str| desktop[field].as_str().expect("it runs").to_owned();
        Self {
            display: text("display"),
            xauthority: text("xauthority"),
        }
    }
}

impl Display for Desk {
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("DISPLAY", &self.display)
            .env("XAUTHORITY", &self.xauthority);
        command
    }

    fn address(&self) -> Address {
        let file = std::fs::read(&self.xauthority).expect("the authority file");
        Address {
            display: self.display.clone(),
            cookie: authority::find(&file, self.display.trim_start_matches(':')),
        }
    }
}

/// Somebody who types words by a viewer.
struct Person<'a, S> {
    viewer: &'a mut RfbClient<S>,
    entered: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Person<'_, S> {
    /// Types words until told to stop, or tired, as viewers do: Shift goes down and up by itself.
    async fn type_until(&mut self, mut stop: oneshot::Receiver<()>) {
        let mut stroke = interval(STROKE);
        for _ in 0..WORDS {
            if stop.try_recv().is_ok() {
                return;
            }
            for c in WORD.chars() {
                let keysym = Keysym::from_char(c).0;
                let mut steps = vec![(keysym, true), (keysym, false)];
                if c.is_uppercase() || "%&".contains(c) {
                    steps.insert(0, (SHIFT, true));
                    steps.push((SHIFT, false));
                }
                for (keysym, down) in steps {
                    stroke.tick().await;
                    self.viewer.key(keysym, down).await.expect("sent");
                }
                self.entered.push(c);
            }
            for _ in 0..PAUSE {
                stroke.tick().await;
            }
        }
    }
}

async fn both_type_into(kind: Kind) {
    let daemon = Daemon::start(&[]);
    let desk = Desk::of(&daemon).await;
    let program = Program::start(&desk, kind);
    let mut viewer = Viewer::open(&daemon, "").await;
    let mut person = Person {
        viewer: &mut viewer.client,
        entered: String::new(),
    };
    let mut text: String = mixed().chars().take(1000).collect();
    text.retain(|c| !WORD.contains(c));
    let (stop, stopped) = oneshot::channel();
    let machine = async {
        let request = daemon.request(Method::POST, "/api/v0/desktop/action");
        let body = json!({"action": "type", "text": text});
        let answer = request.timeout(LONG).json(&body).send().await;
        assert_eq!(answer.expect("an answer").status(), 200);
        // The person may be tired.
        let _ = stop.send(());
    };
    tokio::join!(machine, person.type_until(stopped));
    daemon
        .action(json!({"action": "key", "text": "Return"}))
        .await;
    let lines = text.matches('\n').count() + 1;
    let lines: Vec<String> = (0..lines).map(|_| program.line()).collect();
    assert_both(&lines.join("\n"), &person.entered, &text);
}

/// What the program got is the one and the other, each exact and in its order. They have no character in common.
fn assert_both(got: &str, entered: &str, text: &str) {
    let (theirs, ours): (String, String) = got.chars().partition(|c| WORD.contains(*c));
    assert!(
        theirs == entered && ours == text,
        "the person: {}; the text: {}",
        difference(entered, &theirs),
        difference(text, &ours)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_disturbs_the_other_in_xterm() {
    both_type_into(Kind::Xterm).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_disturbs_the_other_in_a_gtk_4_entry() {
    both_type_into(Kind::Gtk4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_disturbs_the_other_in_a_qt_5_entry() {
    both_type_into(Kind::Qt5).await;
}
