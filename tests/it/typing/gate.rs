//! A person types by a viewer of the daemon while it types a text: a Shift that goes down in the middle of a part waits
//! at the gate. And what the gate relies on: the X server takes keys of viewers before a request that is
//! sent later and delayed.

use std::process::Command;

use deskd::desktop::{
    authority,
    x11::{self, Address},
};
use serde_json::json;
use tokio::{net::UnixStream, sync::oneshot};
use x11rb::{
    connection::Connection,
    protocol::{
        xproto::{ConnectionExt as _, KEY_PRESS_EVENT, KeyButMask},
        xtest::ConnectionExt as _,
    },
};

use super::{
    address,
    exact::mixed,
    person::{Person, assert_both},
    programs::{Display, Kind, Program},
};
use crate::{
    support::{daemon::Daemon, rfb_client::RfbClient, xserver::XServer},
    vnc::Viewer,
};

const SHIFT: u32 = 0xffe1;

/// What the person types; the text has none of it. It begins with Shift.
const WORD: &str = "Person ";

/// A little more than what a text waits for, so that most of the text is typed while a word begins.
const PAUSE: usize = 17;

const ROUNDS: usize = 5;

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

async fn words_and_texts_into(kind: Kind, length: usize) {
    let daemon = Daemon::start(&[]);
    let desk = Desk::of(&daemon).await;
    let program = Program::start(&desk, kind);
    let mut viewer = Viewer::open(&daemon, "").await;
    // So few beyond the layout that no key gets another symbol: nothing but parts.
    let mut text: String = mixed();
    text.retain(|c| matches!(c, '!'..='~' | 'а'..='я') && !WORD.contains(c));
    let text: String = text.chars().take(length).collect();
    for _ in 0..ROUNDS {
        let mut person = Person {
            viewer: &mut viewer.client,
            word: WORD,
            pause: PAUSE,
            entered: String::new(),
        };
        let (stop, stopped) = oneshot::channel();
        let machine = async {
            daemon.action(json!({"action": "type", "text": text})).await;
            stop.send(()).expect("the person listens");
        };
        tokio::join!(machine, person.type_until(stopped));
        daemon
            .action(json!({"action": "key", "text": "Return"}))
            .await;
        assert_both(&program.line(), (WORD, &person.entered), &text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_begin_with_shift_come_through_in_xterm() {
    words_and_texts_into(Kind::Xterm, 2500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_begin_with_shift_come_through_in_a_gtk_4_entry() {
    words_and_texts_into(Kind::Gtk4, 1200).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_request_of_xtest_is_taken_after_the_keys_of_viewers_before_it() {
    let server = XServer::start(640, 480);
    let stream = UnixStream::connect(server.rfb()).await.expect("the socket");
    let mut viewer = RfbClient::connect(stream).await.expect("a handshake");
    let (connection, screen) = x11::connect(&address(&server)).expect("a connection");
    let root = connection.setup().roots[screen].root;
    for round in 0..2000 {
        let down = round % 2 == 0;
        // As after a part of a text: the server is at work when the key comes. Without the delay one round in four fails.
        for _ in 0..round % 50 {
            connection.no_operation().expect("sent");
        }
        connection.flush().expect("sent");
        viewer.key(SHIFT, down).await.expect("sent");
        let refused = connection.xtest_fake_input(KEY_PRESS_EVENT, 0, 1, x11rb::NONE, 0, 0, 0);
        refused.expect("sent").check().expect_err("no such key");
        let pointer = connection.query_pointer(root).expect("sent").reply();
        let mask = pointer.expect("a reply").mask;
        assert_eq!(mask.contains(KeyButMask::SHIFT), down, "in round {round}");
    }
}
