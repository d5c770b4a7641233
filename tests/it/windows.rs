//! The window routes, on real windows under the real window manager.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
};

use reqwest::Method;
use serde_json::{Value, json};
use x11rb::{
    connection::Connection,
    protocol::xproto::{
        AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask,
        PropMode, WindowClass,
    },
    wrapper::ConnectionExt as _,
};

use crate::{
    desktop::address,
    support::{
        daemon::{Daemon, PATIENCE, json as json_of},
        selection::Peer,
    },
};

const WINDOWS: &str = "/api/v0/desktop/windows";

async fn windows(daemon: &Daemon) -> Vec<Value> {
    let (status, body) = json_of(daemon.get(WINDOWS).await).await;
    assert_eq!(status, 200, "{body}");
    body["windows"].as_array().expect("a list").clone()
}

/// Waits for windows by the window manager's own news of them.
pub struct Watch(Peer);

impl Watch {
    pub async fn start(daemon: &Daemon) -> Self {
        let peer = Peer::open(&address(daemon).await);
        let root = peer.connection.setup().roots[0].root;
        let watch = Self(peer);
        watch.listen(root);
        watch
    }

    /// The window that this is true of, as soon as it is listed.
    pub async fn for_one(&self, daemon: &Daemon, is: impl Fn(&Value) -> bool) -> Value {
        let mut heard = Vec::new();
        loop {
            let all = windows(daemon).await;
            let ids = all.iter().filter_map(|window| window["id"].as_u64());
            let new: Vec<u64> = ids.filter(|id| !heard.contains(id)).collect();
            if let Some(window) = all.into_iter().find(&is) {
                return window;
            }
            for id in &new {
                self.listen(u32::try_from(*id).expect("an id"));
            }
            // A title may have changed before it was listened for.
            if new.is_empty() {
                let event = || self.0.connection.wait_for_event().expect("news");
                tokio::task::block_in_place(event);
            }
            heard.extend(new);
        }
    }

    /// Window managers tell of windows by properties of the root, programs by those of their windows.
    fn listen(&self, window: u32) {
        let news = ChangeWindowAttributesAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let cookie = self.0.connection.change_window_attributes(window, &news);
        // It may be gone already.
        let _ = cookie.expect("sent").check();
    }

    /// The window with this title, when it has the keyboard.
    pub async fn titled(&self, daemon: &Daemon, title: &str) -> Value {
        let is = |window: &Value| window["title"] == title && window["focused"] == true;
        self.for_one(daemon, is).await
    }
}

/// The answer of a verb.
async fn ask(daemon: &Daemon, id: &Value, verb: &str, body: Value) -> (u16, Value) {
    let path = format!("{WINDOWS}/{id}/{verb}");
    let answer = daemon.post(&path, body).await;
    let status = answer.status().as_u16();
    let text = answer.text().await.expect("a body");
    (status, serde_json::from_str(&text).unwrap_or(Value::Null))
}

async fn done(daemon: &Daemon, id: &Value, verb: &str, body: Value) -> Value {
    let (status, answer) = ask(daemon, id, verb, body).await;
    assert_eq!(status, 200, "{verb}: {answer}");
    answer
}

/// An xterm that stays until its window is closed.
async fn xterm(daemon: &Daemon, title: &str) -> Child {
    let mut command = daemon.program("xterm").await;
    command.args(["-T", title, "-e", "cat"]);
    command.spawn().expect("xterm starts")
}

async fn xprop(daemon: &Daemon, id: &Value, property: &str) -> String {
    let mut command = daemon.program("xprop").await;
    let output = command.args(["-id", &id.to_string(), property]).output();
    String::from_utf8(output.expect("xprop starts: scripts/setup test").stdout).expect("text")
}

fn close(mut child: Child) {
    let _ = child.kill();
    child.wait().expect("a child");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_says_what_is_there() {
    let daemon = Daemon::start(&[]);
    let watch = Watch::start(&daemon).await;
    assert_eq!(windows(&daemon).await, Vec::<Value>::new());
    let first = xterm(&daemon, "erstes – 一").await;
    let one = watch.titled(&daemon, "erstes – 一").await;
    assert_eq!(
        [&one["class"], &one["instance"]],
        [&json!("XTerm"), &json!("xterm")]
    );
    assert_eq!(one["pid"], first.id());
    assert!(one["frame"]["top"].as_u64() > Some(5), "a title bar: {one}");
    let second = xterm(&daemon, "zweites").await;
    watch.titled(&daemon, "zweites").await;
    let focused = done(&daemon, &one["id"], "focus", Value::Null).await;
    assert_eq!(
        (&focused["focused"], &focused["title"]),
        (&json!(true), &one["title"])
    );
    let all = windows(&daemon).await;
    let titles: Vec<_> = all.iter().map(|window| &window["title"]).collect();
    assert_eq!(titles, ["erstes – 一", "zweites"], "the topmost first");
    assert_eq!(
        all.iter()
            .filter(|window| window["focused"] == true)
            .count(),
        1
    );
    let mut command = daemon.program("xdotool").await;
    let output = command
        .args(["getwindowfocus", "getwindowpid"])
        .output()
        .expect("xdotool starts");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim(),
        first.id().to_string()
    );
    close(first);
    close(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_move_and_change_their_size() {
    let daemon = Daemon::start(&[]);
    let watch = Watch::start(&daemon).await;
    let child = xterm(&daemon, "moving").await;
    let id = watch.titled(&daemon, "moving").await["id"].clone();
    let moved = done(&daemon, &id, "move", json!({"x": 300, "y": 200})).await;
    assert_eq!([&moved["x"], &moved["y"]], [&json!(300), &json!(200)]);
    // The same again changes nothing, and is done.
    let again = done(&daemon, &id, "move", json!({"x": 300, "y": 200})).await;
    assert_eq!([&again["x"], &again["y"]], [&moved["x"], &moved["y"]]);
    let sized = done(&daemon, &id, "resize", json!({"width": 700, "height": 500})).await;
    // xterm takes whole characters.
    let near =
        |field: &str, wanted: i64| (sized[field].as_i64().expect("a number") - wanted).abs() < 30;
    assert!(near("width", 700) && near("height", 500), "{sized}");
    assert_eq!([&sized["x"], &sized["y"]], [&json!(300), &json!(200)]);
    let mut command = daemon.program("xwininfo").await;
    let output = command
        .args(["-id", &id.to_string()])
        .output()
        .expect("xwininfo starts");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for (name, field) in [
        ("Absolute upper-left X:", "x"),
        ("Absolute upper-left Y:", "y"),
        ("Width:", "width"),
        ("Height:", "height"),
    ] {
        let line = said
            .lines()
            .find_map(|line| line.trim().strip_prefix(name))
            .expect(name);
        assert_eq!(line.trim(), sized[field].to_string(), "{said}");
    }
    close(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_are_maximized_and_minimized_and_back() {
    let daemon = Daemon::start(&[]);
    let watch = Watch::start(&daemon).await;
    let child = xterm(&daemon, "states").await;
    let before = watch.titled(&daemon, "states").await;
    let id = before["id"].clone();
    let large = done(&daemon, &id, "maximize", Value::Null).await;
    assert_eq!(large["state"], json!(["maximized"]));
    assert!(
        xprop(&daemon, &id, "_NET_WM_STATE")
            .await
            .contains("MAXIMIZED_VERT")
    );
    let hidden = done(&daemon, &id, "minimize", json!({})).await;
    assert_eq!(hidden["state"], json!(["minimized", "maximized"]));
    assert_eq!(hidden["focused"], false);
    assert!(xprop(&daemon, &id, "WM_STATE").await.contains("Iconic"));
    let shown = done(&daemon, &id, "minimize", json!({"on": false})).await;
    assert_eq!(
        (&shown["state"], &shown["focused"]),
        (&json!(["maximized"]), &json!(true))
    );
    let small = done(&daemon, &id, "maximize", json!({"on": false})).await;
    assert_eq!(
        [&small["state"], &small["width"]],
        [&json!([]), &before["width"]]
    );
    // Focus shows a hidden window.
    done(&daemon, &id, "minimize", json!({"on": true})).await;
    let focused = done(&daemon, &id, "focus", Value::Null).await;
    assert_eq!(
        (&focused["state"], &focused["focused"]),
        (&json!([]), &json!(true))
    );
    close(child);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_is_gone() {
    let daemon = Daemon::start(&[]);
    let watch = Watch::start(&daemon).await;
    let mut child = xterm(&daemon, "closing").await;
    let id = watch.titled(&daemon, "closing").await["id"].clone();
    assert_eq!(ask(&daemon, &id, "close", Value::Null).await.0, 204);
    child.wait().expect("a child");
    assert_eq!(windows(&daemon).await, Vec::<Value>::new());
    for (verb, body) in [
        ("focus", Value::Null),
        ("close", Value::Null),
        ("move", json!({"x": 1, "y": 1})),
        ("resize", json!({"width": 100, "height": 100})),
        ("minimize", Value::Null),
        ("maximize", Value::Null),
    ] {
        let (status, answer) = ask(&daemon, &id, verb, body).await;
        assert_eq!(
            (status, &answer["code"]),
            (404, &json!("no_such_window")),
            "{verb}"
        );
    }
}

/// It neither closes when it is asked to, nor says what it is in a way that anybody should believe.
#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_window_harms_nobody() {
    let daemon = Daemon::start(&[]);
    let watch = Watch::start(&daemon).await;
    // openbox overlooks a window that is mapped in the instant in which it takes over the screen.
    let first = xterm(&daemon, "first").await;
    watch.titled(&daemon, "first").await;
    let peer = Peer::open(&address(&daemon).await);
    let (connection, root) = (&peer.connection, peer.connection.setup().roots[0].root);
    let id = connection.generate_id().expect("an id");
    let values = CreateWindowAux::new().event_mask(EventMask::STRUCTURE_NOTIFY);
    connection
        .create_window(
            0,
            id,
            root,
            0,
            0,
            100,
            100,
            0,
            WindowClass::INPUT_OUTPUT,
            0,
            &values,
        )
        .expect("sent");
    let long = [b"title \xff ".repeat(500), vec![0xe2, 0x82]].concat();
    let (utf8, delete) = (peer.atom("UTF8_STRING"), peer.atom("WM_DELETE_WINDOW"));
    let set = |name: &str, type_, bytes: &[u8]| {
        connection
            .change_property8(PropMode::REPLACE, id, peer.atom(name), type_, bytes)
            .expect("sent");
    };
    set("_NET_WM_NAME", utf8, &long);
    set("WM_CLASS", AtomEnum::STRING.into(), &b"x".repeat(5_000));
    set("_NET_WM_PID", AtomEnum::STRING.into(), b"1");
    connection
        .change_property32(
            PropMode::REPLACE,
            id,
            peer.atom("WM_PROTOCOLS"),
            AtomEnum::ATOM,
            &[delete],
        )
        .expect("sent");
    connection.map_window(id).expect("sent");
    connection.sync().expect("a round trip");
    let listed = watch
        .for_one(&daemon, |window| window["title"] != "first")
        .await;
    let title = listed["title"].as_str().expect("text");
    assert!(
        title.len() <= 1024 && title.starts_with("title \u{fffd}"),
        "{}",
        title.len()
    );
    assert!(listed["instance"].as_str().expect("text").len() <= 1024);
    assert_eq!(listed["pid"], Value::Null, "it is no number: {listed}");
    let (status, answer) = ask(&daemon, &listed["id"], "close", Value::Null).await;
    assert_eq!(
        (status, &answer["code"]),
        (409, &json!("no_effect")),
        "{answer}"
    );
    assert_eq!(windows(&daemon).await.len(), 2);
    close(first);
}

#[tokio::test]
async fn wrong_requests_are_refused_and_start_nothing() {
    let daemon = Daemon::start(&[]);
    for (path, body, field) in [
        ("x/focus", "", "id"),
        ("-1/focus", "", "id"),
        ("4294967296/close", "", "id"),
        ("1/move", r#"{"x": 1}"#, "y"),
        ("1/move", r#"{"x": 1, "y": 40000}"#, "y"),
        ("1/move", r#"{"x": 1.5, "y": 4}"#, "x"),
        ("1/resize", r#"{"width": 0, "height": 1}"#, "width"),
        ("1/resize", r#"{"width": 1, "height": -1}"#, "height"),
        ("1/minimize", r#"{"on": 1}"#, "on"),
        ("1/maximize", "[]", "body"),
    ] {
        let request = daemon.request(Method::POST, &format!("{WINDOWS}/{path}"));
        let answer = request.body(body).send().await.expect("an answer");
        let (status, answer) = json_of(answer).await;
        assert_eq!(status, 400, "{path} {body}: {answer}");
        assert_eq!(
            answer["validations"][0]["field"], field,
            "{path} {body}: {answer}"
        );
    }
    assert_eq!(daemon.desktop().await["state"], "stopped");
}

/// A desktop without a window manager says so; the supervisor brings ours back.
#[tokio::test(flavor = "multi_thread")]
async fn the_list_comes_back_with_the_window_manager() {
    let daemon = Daemon::start(&[]);
    let watch = Watch::start(&daemon).await;
    let child = xterm(&daemon, "survivor").await;
    watch.titled(&daemon, "survivor").await;
    let mut command = daemon.program("xprop").await;
    let mut spy = command
        .args(["-root", "-spy", "_NET_SUPPORTING_WM_CHECK"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("xprop starts");
    let mut lines = BufReader::new(spy.stdout.take().expect("piped")).lines();
    lines.next().expect("a line").expect("text");
    let peer = Peer::open(&address(&daemon).await);
    let root = peer.connection.setup().roots[0].root;
    let check = peer.atom("_NET_SUPPORTING_WM_CHECK");
    let cookie = peer
        .connection
        .get_property(false, root, check, AtomEnum::WINDOW, 0, 1);
    let reply = cookie.expect("sent").reply().expect("a property");
    let manager = reply
        .value32()
        .and_then(|mut ids| ids.next())
        .expect("a window");
    peer.connection
        .kill_client(manager)
        .expect("sent")
        .check()
        .expect("killed");
    lines.next().expect("a line").expect("text");
    let back = async {
        loop {
            let (status, body) = json_of(daemon.get(WINDOWS).await).await;
            match status {
                200 if body["windows"][0]["title"] == "survivor" => return,
                // The new one has not looked around yet.
                200 => {}
                _ => assert_eq!((status, &body["code"]), (503, &json!("no_window_manager"))),
            }
        }
    };
    tokio::time::timeout(PATIENCE, back)
        .await
        .expect("it is back");
    close(spy);
    close(child);
}
