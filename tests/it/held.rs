//! Nothing stays down: six ways to hold something, five ways to fail, and the X server is asked each time.

use deskd::desktop::x11::{self, Address};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use x11rb::{
    protocol::{
        res::{ClientIdMask, ClientIdSpec, ConnectionExt as _},
        xproto::{ConnectionExt as _, KeyButMask},
    },
    rust_connection::RustConnection,
};

use crate::{
    batch::ACTIONS,
    desktop::address,
    support::daemon::{Daemon, Home, PATIENCE, json as json_of},
};

/// A connection of the test's own, which asks what is down.
struct Witness(RustConnection, u32);

impl Witness {
    fn new(address: &Address) -> Self {
        let (connection, screen) = x11::connect(address).expect("a connection");
        let root = x11rb::connection::Connection::setup(&connection).roots[screen].root;
        Self(connection, root)
    }

    /// Keycodes and buttons that are down.
    fn down(&self) -> Vec<u16> {
        let keys = self.0.query_keymap().expect("sent").reply().expect("keys");
        let code = |code: &u16| keys.keys[usize::from(code / 8)] & (1 << (code % 8)) != 0;
        let keys = (0..256_u16).filter(code);
        let pointer = self.0.query_pointer(self.1).expect("sent");
        let mask = pointer.reply().expect("the pointer").mask;
        let buttons = [KeyButMask::BUTTON1, KeyButMask::BUTTON3];
        let buttons = buttons.into_iter().filter(|button| mask.contains(*button));
        keys.chain(buttons.map(u16::from)).collect()
    }

    /// Waits until something is down, or nothing.
    async fn until(&self, something: bool) {
        let wait = async {
            while self.down().is_empty() == something {
                tokio::task::yield_now().await;
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, wait).await;
        assert!(in_time.is_ok(), "still down: {:?}", self.down());
    }

    /// Breaks every connection of this process to the X server, as the server would.
    fn cut(&self, pid: u32) {
        let spec = ClientIdSpec {
            client: x11rb::NONE,
            mask: ClientIdMask::LOCAL_CLIENT_PID,
        };
        let ids = self.0.res_query_client_ids(&[spec]).expect("sent");
        for id in ids.reply().expect("clients").ids {
            if id.value == [pid] {
                // Ours end together, so the second may be gone when the first is.
                let killed = self.0.kill_client(id.spec.client).expect("sent");
                let _ = killed.check();
            }
        }
    }
}

/// A long wait in which the action before it is still in force.
fn long() -> Value {
    json!({"action": "wait", "duration": 250_000})
}

/// What is held, and how: each ends only by a failure.
fn holds() -> [(&'static str, Value); 6] {
    let text = "SHIFTED text! ".repeat(20_000);
    [
        (
            "a key",
            json!([{"action": "key_down", "text": "ctrl+shift+a"}, long()]),
        ),
        (
            "a button",
            json!([{"action": "left_mouse_down", "coordinate": [9, 9]}, long()]),
        ),
        (
            "a held key",
            json!([{"action": "hold_key", "text": "shift", "duration": 250_000}]),
        ),
        (
            "a drag with a modifier",
            json!([{"action": "key_down", "text": "alt"}, {"action": "right_mouse_down"},
                   {"action": "mouse_move", "coordinate": [99, 99]}, long()]),
        ),
        (
            "a key and a button",
            json!([{"action": "left_mouse_down"}, {"action": "hold_key", "text": "a", "duration": 250_000}]),
        ),
        (
            "a text",
            json!([{"action": "key_down", "text": "super"}, {"action": "type", "text": text}, long()]),
        ),
    ]
}

/// Starts the batch and goes on with `failure` once something is down; what came back, if anything did.
async fn hold_and(
    daemon: &Daemon,
    witness: &Witness,
    actions: &Value,
    failure: impl Future<Output = ()>,
) -> (u16, Value) {
    let batch = daemon.post(ACTIONS, json!({ "actions": actions }));
    let failed = async {
        witness.until(true).await;
        failure.await;
    };
    let both = async { tokio::join!(batch, failed).0 };
    let answer = tokio::time::timeout(PATIENCE * 2, both).await;
    json_of(answer.expect("it is answered, or fails")).await
}

#[tokio::test]
async fn a_client_that_vanishes() {
    let daemon = Daemon::start(&[]);
    let witness = Witness::new(&address(&daemon).await);
    for (what, actions) in holds() {
        let body = json!({ "actions": actions });
        tokio::select! {
            biased;
            answer = daemon.post(ACTIONS, body) => panic!("{what}: {answer:?}"),
            () = witness.until(true) => {}
        }
        witness.until(false).await;
        daemon.action(json!({"action": "key", "text": "a"})).await;
    }
}

#[tokio::test]
async fn an_action_that_fails() {
    let daemon = Daemon::start(&[]);
    let witness = Witness::new(&address(&daemon).await);
    for (what, actions) in holds() {
        let mut actions = actions;
        for action in actions.as_array_mut().expect("actions") {
            if action["duration"].is_u64() {
                action["duration"] = json!(1);
            }
        }
        let list = actions.as_array_mut().expect("actions");
        list.push(json!({"action": "left_mouse_down"}));
        list.push(json!({"action": "screenshot", "max_bytes": 1}));
        let answer = json_of(daemon.post(ACTIONS, json!({ "actions": actions })).await).await;
        assert_eq!(
            (answer.0, &answer.1["ok"]),
            (200, &json!(false)),
            "{what}: {}",
            answer.1
        );
        assert_eq!(
            witness.down(),
            [0_u16; 0],
            "{what}: already when it was answered"
        );
    }
}

#[tokio::test]
async fn a_reset_by_somebody_else() {
    let daemon = Daemon::start(&[]);
    let witness = Witness::new(&address(&daemon).await);
    for (what, actions) in holds() {
        let reset = async {
            let reset = daemon
                .post("/api/v0/desktop/input/reset", Value::Null)
                .await;
            assert_eq!(json_of(reset).await.0, 200);
            assert_eq!(
                witness.down(),
                [0_u16; 0],
                "{what}: already when it was answered"
            );
        };
        let (status, answer) = hold_and(&daemon, &witness, &actions, reset).await;
        assert_eq!(
            (status, &answer["ok"]),
            (200, &json!(false)),
            "{what}: {answer}"
        );
        assert_eq!(witness.down(), [0_u16; 0], "{what}");
    }
}

#[tokio::test]
async fn a_connection_that_breaks() {
    let daemon = Daemon::start(&[]);
    let witness = Witness::new(&address(&daemon).await);
    for (what, actions) in holds() {
        let cut = async { witness.cut(daemon.pid()) };
        let (status, answer) = hold_and(&daemon, &witness, &actions, cut).await;
        assert_eq!(
            (status, &answer["ok"]),
            (200, &json!(false)),
            "{what}: {answer}"
        );
        witness.until(false).await;
        daemon.action(json!({"action": "key", "text": "a"})).await;
    }
}

#[tokio::test]
async fn a_daemon_that_is_killed() {
    let mut home: Option<Home> = None;
    for (what, actions) in holds() {
        let daemon = home
            .as_ref()
            .map_or_else(|| Daemon::start(&[]), |home| Daemon::start_in(home, &[]));
        let witness = Witness::new(&address(&daemon).await);
        witness.until(false).await;
        let body = json!({ "actions": actions });
        let killed = async {
            witness.until(true).await;
            daemon.signal(Signal::SIGKILL);
        };
        let (answer, ()) = tokio::join!(
            daemon
                .request(reqwest::Method::POST, ACTIONS)
                .json(&body)
                .send(),
            killed
        );
        assert!(answer.is_err(), "{what}: nobody is there to answer");
        home = Some(daemon.crash());
        let next = Daemon::start_in(home.as_ref().expect("it was kept"), &[]);
        next.started().await;
        witness.until(false).await;
        next.action(json!({"action": "key", "text": "a"})).await;
        home = Some(next.crash());
    }
    let last = Daemon::start_in(home.as_ref().expect("it was kept"), &[]);
    last.started().await;
    assert!(last.stop().success());
}
