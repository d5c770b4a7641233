//! The desktop's routes as a client uses them: each action changes what a program sees.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use deskd::desktop::{
    authority,
    x11::{self, Address},
};
use serde_json::{Value, json};
use x11rb::{
    connection::Connection,
    protocol::xproto::{ConnectionExt as _, MapState},
};

use crate::support::{
    daemon::{Daemon, PATIENCE, json as json_of},
    recorder::Recorder,
};

const ACTION: &str = "/api/v0/desktop/action";
const SHOT: &str = "/api/v0/desktop/screenshot";

/// Where the test's own windows connect to.
pub async fn address(daemon: &Daemon) -> Address {
    let desktop = daemon.started().await;
    let display = desktop["display"].as_str().expect("a display").to_owned();
    let file = fs::read(desktop["xauthority"].as_str().expect("a file")).expect("the cookie file");
    let cookie = authority::find(&file, &display);
    assert!(cookie.is_some(), "the file has a cookie for the display");
    Address { display, cookie }
}

/// A program that says `ready` when it has the keyboard and writes what it was given into a file.
pub struct Entry {
    child: Child,
    file: std::path::PathBuf,
}

impl Entry {
    pub async fn start(daemon: &Daemon, script: &str) -> Self {
        let file = daemon.home().path().join("written");
        let path = format!("{}/tests/it/programs/{script}", env!("CARGO_MANIFEST_DIR"));
        let mut command = daemon.program("/usr/bin/python3").await;
        let mut child = command
            .arg(path)
            .arg(&file)
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("piped");
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(
            line.trim_end(),
            "ready",
            "{script} needs its toolkit: scripts/setup test"
        );
        Self { child, file }
    }

    /// What it has written when it ends.
    pub fn finish(mut self) -> String {
        assert!(self.child.wait().expect("a child").success());
        fs::read_to_string(&self.file).expect("what it wrote")
    }
}

async fn typed_into(script: &str, text: &str) -> String {
    let daemon = Daemon::start(&[]);
    let entry = Entry::start(&daemon, script).await;
    let typed = json!({"action": "type", "text": text});
    assert_eq!(
        daemon.action(typed).await["output"],
        "type action performed"
    );
    daemon
        .action(json!({"action": "key", "text": "Return"}))
        .await;
    entry.finish()
}

const TEXT: &str = r#"The quick "brown" fox: {}[]|\~^ 100% <of> $5 & `it` wörld ñ ß €"#;

#[tokio::test]
async fn text_arrives_exactly_in_a_gtk_entry() {
    assert_eq!(typed_into("gtk_entry.py", TEXT).await, TEXT);
}

#[tokio::test]
async fn text_arrives_exactly_in_a_qt_entry() {
    assert_eq!(typed_into("qt_entry.py", TEXT).await, TEXT);
}

#[tokio::test]
async fn the_example_with_curl_alone_proves_its_text() {
    let daemon = Daemon::start(&[]);
    let picture = daemon.home().path().join("picture.png");
    #[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
    let output = Command::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/examples/drive-xterm.sh"
    ))
    .arg(&picture)
    .env("DESKD_URL", format!("http://{}", daemon.address))
    .env("DESKD_TOKEN_FILE", daemon.home().state().join("token"))
    .output()
    .expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("every one arrived"), "{said}");
    let picture = image::open(&picture).expect("a picture");
    assert_eq!((picture.width(), picture.height()), (1280, 800));
}

#[tokio::test]
async fn pointer_actions_reach_the_window_below() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    let clicks = async |body: Value| {
        let action = body["action"].as_str().expect("a name").to_owned();
        let output = daemon.action(body).await["output"].clone();
        assert_eq!(output, format!("{action} action performed"));
        window.clicks().join(" ")
    };
    let at = |action: &str| json!({"action": action, "coordinate": [50, 60]});
    assert_eq!(clicks(at("left_click")).await, "+1 50,60 -1 50,60");
    assert_eq!(clicks(at("middle_click")).await, "+2 50,60 -2 50,60");
    assert_eq!(clicks(at("right_click")).await, "+3 50,60 -3 50,60");
    assert_eq!(
        clicks(at("double_click")).await,
        ["+1 50,60 -1 50,60"; 2].join(" ")
    );
    assert_eq!(
        clicks(at("triple_click")).await,
        ["+1 50,60 -1 50,60"; 3].join(" ")
    );
    assert_eq!(clicks(at("mouse_move")).await, "");
    assert_eq!(
        clicks(json!({"action": "left_mouse_down"})).await,
        "+1 50,60"
    );
    assert_eq!(clicks(json!({"action": "left_mouse_up"})).await, "-1 50,60");
    assert_eq!(
        clicks(at("scroll")).await,
        ["+5 50,60 -5 50,60"; 3].join(" ")
    );
    let up = json!({"action": "scroll", "coordinate": [50, 60], "scroll_amount": -2});
    assert_eq!(clicks(up).await, ["+4 50,60 -4 50,60"; 2].join(" "));
    let left = json!({"action": "scroll", "coordinate": [50, 60], "scroll_amount": 1, "scroll_direction": "left"});
    assert_eq!(clicks(left).await, "+6 50,60 -6 50,60");
    let drag = json!({"action": "left_click_drag", "start_coordinate": [10, 10], "coordinate": [300, 200]});
    assert_eq!(clicks(drag).await, "+1 10,10 -1 300,200");
    // Declared 640x400 on 1280x800: the middle of the declared pixel; outside is clamped.
    let scaled = json!({"action": "left_click", "coordinate": [100, 5000], "scaled_width": 640, "scaled_height": 400});
    assert_eq!(clicks(scaled).await, "+1 201,799 -1 201,799");
    let answer = daemon.action(json!({"action": "cursor_position"})).await;
    assert_eq!(answer["output"], "x=201,y=799");
}

#[tokio::test]
async fn keys_come_with_their_modifiers_and_are_held_as_long_as_asked() {
    let daemon = Daemon::start(&[]);
    let window = Recorder::open(&address(&daemon).await);
    daemon
        .action(json!({"action": "key", "text": "ctrl+shift+F5"}))
        .await;
    let events = window.clicks();
    assert_eq!(events.len(), 6, "{events:?}");
    assert!(
        events[2].starts_with("k+") && events[2].ends_with(" 5"),
        "Shift and Control: {events:?}"
    );
    let begin = std::time::Instant::now();
    daemon
        .action(json!({"action": "hold_key", "text": "a", "duration": 120}))
        .await;
    assert!(begin.elapsed().as_millis() >= 120);
    assert_eq!(window.clicks().len(), 2);
    let (_, held) = json_of(daemon.get("/api/v0/desktop/input").await).await;
    assert_eq!(
        held,
        json!({"held": {"keys": [], "buttons": []}, "server": {"keys": [], "buttons": []}})
    );
}

#[tokio::test]
async fn what_is_held_is_told_and_reset() {
    let daemon = Daemon::start(&["--max-hold", "60"]);
    daemon.action(json!({"action": "left_mouse_down"})).await;
    let (_, held) = json_of(daemon.get("/api/v0/desktop/input").await).await;
    assert_eq!(held["held"]["buttons"], json!(["left"]));
    assert_eq!(held["server"]["buttons"], json!(["left"]));
    assert_eq!(daemon.desktop().await["input_held"], true);
    let (status, held) = json_of(
        daemon
            .post("/api/v0/desktop/input/reset", Value::Null)
            .await,
    )
    .await;
    assert_eq!((status, &held["server"]["buttons"]), (200, &json!([])));
    assert_eq!(daemon.desktop().await["input_held"], false);
}

#[tokio::test]
async fn a_picture_says_what_it_shows_and_is_not_sent_twice() {
    let daemon = Daemon::start(&[]);
    let first = daemon.get(&format!("{SHOT}?width=640")).await;
    let header = |name: &str| first.headers()[name].to_str().expect("text").to_owned();
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("x-deskd-frame-size"), "640x400");
    assert_eq!(header("x-deskd-native-size"), "1280x800");
    let etag = header("etag");
    let ask = |etag: String| {
        let path = format!("{SHOT}?width=640");
        daemon
            .request(reqwest::Method::GET, &path)
            .header("if-none-match", etag)
            .send()
    };
    let same = ask(etag.clone()).await.expect("an answer");
    assert_eq!(same.status(), 304);
    assert!(same.bytes().await.expect("no error").is_empty());
    daemon
        .action(json!({"action": "mouse_move", "coordinate": [3, 3]}))
        .await;
    let moved = ask(etag).await.expect("an answer");
    assert_eq!(moved.status(), 200, "the pointer is in the picture");
    let (status, body) = json_of(
        daemon
            .request(reqwest::Method::GET, SHOT)
            .header("accept", "application/json")
            .send()
            .await
            .expect("an answer"),
    )
    .await;
    assert_eq!(
        (status, &body["media_type"], &body["cursor"]),
        (200, &json!("image/png"), &json!({"x": 3, "y": 3}))
    );
    for (format, kind) in [
        ("jpeg", image::ImageFormat::Jpeg),
        ("webp", image::ImageFormat::WebP),
    ] {
        let path =
            format!("{SHOT}?format={format}&region=0,0,200,100&zoom=true&width=800&height=400");
        let bytes = daemon.get(&path).await.bytes().await.expect("bytes");
        let picture = image::load_from_memory_with_format(&bytes, kind).expect(format);
        assert_eq!((picture.width(), picture.height()), (800, 400));
    }
    let small = daemon
        .get(&format!("{SHOT}?format=jpeg&max_bytes=4000"))
        .await;
    assert!(small.headers().contains_key("x-deskd-reduced"));
    assert!(small.bytes().await.expect("bytes").len() <= 4000);
    let (status, body) = json_of(daemon.get(&format!("{SHOT}?region=1270,0,20,20")).await).await;
    assert_eq!((status, &body["code"]), (400, &json!("out_of_frame")));
}

#[tokio::test]
async fn the_compatible_picture_has_the_declared_size() {
    let daemon = Daemon::start(&[]);
    let body = json!({"action": "screenshot", "scaled_width": 640, "scaled_height": 360});
    let answer = daemon.action(body).await;
    assert_eq!(answer["output"], "screenshot");
    assert_eq!(
        (&answer["screenshot_width"], &answer["screenshot_height"]),
        (&json!(640), &json!(360))
    );
    let data = answer["screenshot_data"].as_str().expect("base64");
    let picture = image::load_from_memory(&STANDARD.decode(data).expect("base64")).expect("a PNG");
    assert_eq!((picture.width(), picture.height()), (640, 360));
}

#[tokio::test]
async fn a_resize_is_seen_by_pictures_and_pointers() {
    let daemon = Daemon::start(&[]);
    let body = json!({"width": 1024, "height": 600});
    let (status, desktop) = json_of(daemon.post("/api/v0/desktop/resize", body).await).await;
    assert_eq!(
        (status, &desktop["width"], &desktop["height"]),
        (200, &json!(1024), &json!(600))
    );
    let picture = daemon.get(SHOT).await;
    assert_eq!(picture.headers()["x-deskd-native-size"], "1024x600");
    daemon
        .action(json!({"action": "mouse_move", "coordinate": [9999, 9999]}))
        .await;
    let answer = daemon.action(json!({"action": "cursor_position"})).await;
    assert_eq!(answer["output"], "x=1023,y=599");
}

#[tokio::test]
async fn wrong_bodies_are_told_in_words_and_boot_nothing() {
    let daemon = Daemon::start(&[]);
    for (body, message) in [
        (
            json!({"action": "hold_key"}),
            r#"Missing "text" for hold_key action."#,
        ),
        (
            json!({"action": "left_click"}),
            r#"Missing "coordinate" for left_click action."#,
        ),
        (
            json!({"action": "left_click_drag", "coordinate": [1, 1]}),
            r#"Missing "start_coordinate" for left_click_drag action."#,
        ),
        (
            json!({"action": "key", "text": ""}),
            r#"Missing "text" for key action."#,
        ),
    ] {
        let (status, answer) = json_of(daemon.post(ACTION, body).await).await;
        assert_eq!((status, answer["message"].as_str()), (400, Some(message)));
    }
    for (body, word) in [
        (json!({"action": "fly"}), "fly"),
        (json!({}), "action"),
        (
            json!({"action": "scroll", "coordinate": [1, 1], "scroll_direction": "inwards"}),
            "inwards",
        ),
        (json!({"action": "key", "text": "ctlr+c"}), "ctrl"),
    ] {
        let (status, answer) = json_of(daemon.post(ACTION, body).await).await;
        assert_eq!(status, 400);
        assert!(answer.to_string().contains(word), "{answer}");
    }
    assert_eq!(daemon.desktop().await["state"], "stopped");
}

#[tokio::test]
async fn a_disabled_desktop_says_so_and_a_missing_server_names_itself() {
    let daemon = Daemon::start(&["--desktop", "off"]);
    for path in ["/api/v0/desktop", SHOT] {
        let (status, body) = json_of(daemon.get(path).await).await;
        assert_eq!(
            (status, &body["code"]),
            (503, &json!("desktop_disabled")),
            "{path}"
        );
    }
    let daemon = Daemon::start(&[
        "--desktop-provider",
        "portabledesktop",
        "--portabledesktop-bin",
        "/nonexistent/program",
    ]);
    let (status, body) = json_of(daemon.post(ACTION, json!({"action": "screenshot"})).await).await;
    assert_eq!(
        (status, &body["message"]),
        (500, &json!("Failed to start desktop session."))
    );
    assert!(
        body["detail"]
            .as_str()
            .is_some_and(|text| text.contains("/nonexistent/program")),
        "{body}"
    );
    assert_eq!(daemon.get("/readyz").await.status(), 503);
}

#[tokio::test]
async fn the_next_daemon_after_a_crash_adopts_the_desktop_with_its_programs() {
    let daemon = Daemon::start(&[]);
    let before = daemon.started().await;
    let mut xterm = daemon.program("xterm").await.spawn().expect("xterm starts");
    daemon.action(json!({"action": "left_mouse_down"})).await;
    let home = daemon.crash();
    let daemon = Daemon::start_in(&home, &[]);
    let status = tokio::time::timeout(PATIENCE, async {
        loop {
            let desktop = daemon.desktop().await;
            if desktop["state"] != "starting" {
                return desktop;
            }
        }
    });
    let after = status.await.expect("adopted in time");
    assert_eq!(
        (&after["state"], &after["display"], &after["pid"]),
        (&json!("running"), &before["display"], &before["pid"])
    );
    assert!(matches!(xterm.try_wait(), Ok(None)), "the program lives");
    let (_, held) = json_of(daemon.get("/api/v0/desktop/input").await).await;
    assert_eq!(
        held["server"]["buttons"],
        json!([]),
        "what the dead daemon held is released"
    );
    daemon
        .action(json!({"action": "left_click", "coordinate": [10, 10]}))
        .await;
    assert!(daemon.stop().success());
    xterm.wait().expect("the program ends with its desktop");
}

#[tokio::test]
async fn requests_right_after_a_crash_of_the_x_server_are_served_by_the_next_one() {
    let daemon = Daemon::start(&[]);
    for restarts in 1..=2 {
        let pid = daemon.started().await["pid"].as_i64().expect("a pid");
        let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it runs");
        if restarts == 1 {
            daemon
                .action(json!({"action": "left_click", "coordinate": [10, 10]}))
                .await;
        } else {
            assert_eq!(daemon.get(SHOT).await.status(), 200);
        }
        let desktop = daemon.desktop().await;
        assert_eq!(
            (&desktop["state"], &desktop["restarts"]),
            (&json!("running"), &json!(restarts))
        );
    }
}

#[tokio::test]
async fn the_first_click_of_a_fresh_desktop_opens_the_menu() {
    for _ in 0..3 {
        let daemon = Daemon::start(&[]);
        let click = json!({"action": "right_click", "coordinate": [600, 400]});
        daemon.action(click).await;
        let (connection, screen) = x11::connect(&address(&daemon).await).expect("a connection");
        let root = connection.setup().roots[screen].root;
        let shown = |window: &u32| {
            let attributes = connection.get_window_attributes(*window).expect("sent");
            let place = connection.get_geometry(*window).expect("sent").reply();
            let seen = attributes
                .reply()
                .is_ok_and(|a| a.map_state == MapState::VIEWABLE);
            // The window manager's helpers lie outside of the screen.
            seen && place.is_ok_and(|place| place.x >= 0 && place.y >= 0)
        };
        let menu = async {
            loop {
                let windows = connection
                    .query_tree(root)
                    .expect("sent")
                    .reply()
                    .expect("a tree");
                if windows.children.iter().any(shown) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let opened = tokio::time::timeout(PATIENCE, menu).await;
        opened.expect("the menu opens");
    }
}
