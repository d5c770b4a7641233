//! A person types by VNC while a text is typed: neither changes what the other enters. The person's viewer speaks to the
//! X server itself, past the gate, so the words begin without Shift; see `gate` for those of the daemon's viewers.

use std::time::Duration;

use deskd::desktop::keys::Keysym;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    sync::oneshot,
    time::interval,
};

use super::{
    exact::{difference, mixed, read_back},
    input,
    programs::{Kind, Program, Stage},
    typed,
};
use crate::support::rfb_client::RfbClient;

/// What the person types, with Shift where it belongs, and partly beyond the layout; the text has none of it.
const WORD: &str = "0123456789QZ%&XŁőű漢";

/// Between two keys of the person, who is quick.
const STROKE: Duration = Duration::from_millis(10);

/// Strokes of silence after a word.
const PAUSE: usize = 30;

/// Somebody who types words by a viewer.
pub struct Person<'a, S> {
    pub viewer: &'a mut RfbClient<S>,
    pub word: &'a str,
    /// Strokes of silence after a word.
    pub pause: usize,
    pub entered: String,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Person<'_, S> {
    /// Types words until told to stop, as viewers do: Shift goes down and up by itself.
    pub async fn type_until(&mut self, mut stop: oneshot::Receiver<()>) {
        let mut stroke = interval(STROKE);
        while stop.try_recv().is_err() {
            for c in self.word.chars() {
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
            for _ in 0..self.pause {
                stroke.tick().await;
            }
        }
    }
}

async fn both_type_into(kind: Kind) {
    let stage = Stage::start();
    let input = input(&stage.server, Duration::from_mins(1));
    let program = Program::start(&stage.server, kind);
    let stream = UnixStream::connect(stage.server.rfb()).await;
    let viewer = RfbClient::connect(stream.expect("the socket")).await;
    let mut person = Person {
        viewer: &mut viewer.expect("a handshake"),
        word: WORD,
        pause: PAUSE,
        entered: String::new(),
    };
    let mut text: String = mixed().chars().take(2500).collect();
    text.retain(|c| !WORD.contains(c));
    let (stop, stopped) = oneshot::channel();
    let machine = async {
        typed(&input, &text).await;
        stop.send(()).expect("the person listens");
    };
    tokio::join!(machine, person.type_until(stopped));
    let got = read_back(&input, &program, &text).await;
    assert_both(&got, (WORD, &person.entered), &text);
}

/// What the program got is the one and the other, each exact and in its order. They have no character in common.
pub fn assert_both(got: &str, (word, entered): (&str, &str), text: &str) {
    let (theirs, ours): (String, String) = got.chars().partition(|c| word.contains(*c));
    assert!(
        theirs == entered,
        "the person: {}",
        difference(entered, &theirs)
    );
    assert!(ours == text, "the text: {}", difference(text, &ours));
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
