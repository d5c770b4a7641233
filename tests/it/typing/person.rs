//! A person types by VNC while a text is typed: neither changes what the other enters.

use std::time::Duration;

use deskd::desktop::keys::Keysym;
use tokio::{net::UnixStream, sync::oneshot, time::interval};

use super::{
    exact::{difference, mixed, read_back},
    input,
    programs::{Kind, Program, Stage},
    typed,
};
use crate::support::{rfb_client::RfbClient, xserver::XServer};

/// What the person types, with Shift where it belongs, and partly beyond the layout; the text has none of it.
const WORD: &str = "0123456789QZ%&XŁőű漢";

/// Between two keys of the person, who is quick.
const STROKE: Duration = Duration::from_millis(10);

/// Strokes of silence after a word.
const PAUSE: usize = 30;

/// A viewer of the X server's own RFB.
struct Person {
    viewer: RfbClient<UnixStream>,
    entered: String,
}

impl Person {
    async fn sit_down(server: &XServer) -> Self {
        let stream = UnixStream::connect(server.rfb()).await.expect("the socket");
        let viewer = RfbClient::connect(stream).await.expect("a handshake");
        let entered = String::new();
        Self { viewer, entered }
    }

    /// Types words until told to stop, as viewers do: Shift goes down and up by itself.
    async fn type_until(&mut self, mut stop: oneshot::Receiver<()>) {
        let mut stroke = interval(STROKE);
        while stop.try_recv().is_err() {
            for c in WORD.chars() {
                let keysym = Keysym::from_char(c).0;
                let mut steps = vec![(keysym, true), (keysym, false)];
                if c.is_uppercase() || "%&".contains(c) {
                    steps = vec![
                        (0xffe1, true),
                        (keysym, true),
                        (keysym, false),
                        (0xffe1, false),
                    ];
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
    let stage = Stage::start();
    let input = input(&stage.server, Duration::from_mins(1));
    let program = Program::start(&stage.server, kind);
    let mut person = Person::sit_down(&stage.server).await;
    let mut text: String = mixed().chars().take(2500).collect();
    text.retain(|c| !WORD.contains(c));
    let (stop, stopped) = oneshot::channel();
    let machine = async {
        typed(&input, &text).await;
        stop.send(()).expect("the person listens");
    };
    tokio::join!(machine, person.type_until(stopped));
    let got = read_back(&input, &program, &text).await;
    let (theirs, ours): (String, String) = got.chars().partition(|c| WORD.contains(*c));
    let entered = &person.entered;
    assert!(
        theirs == *entered,
        "the person: {}",
        difference(entered, &theirs)
    );
    assert!(ours == text, "the text: {}", difference(&text, &ours));
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
