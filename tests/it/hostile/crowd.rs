//! Many clients at once, and clients that vanish in the middle of an action.

use std::sync::Arc;

use reqwest::Method;
use serde_json::json;
use tokio::{task::JoinSet, time::timeout};

use crate::{
    hostile::{Raw, Recorder, eventually, held, is_empty, released},
    support::daemon::{Daemon, PATIENCE, json as json_of},
};

async fn full_screen(daemon: &Daemon) -> Recorder {
    Recorder::open(daemon, (0, 0), (1280, 800), 0x22_44_66).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_clients_click_whole_clicks_and_get_whole_pictures() {
    let daemon = Arc::new(Daemon::start(&[]));
    let window = full_screen(&daemon).await;
    let mut tasks = JoinSet::new();
    for client in 0..50 {
        let daemon = Arc::clone(&daemon);
        tasks.spawn(async move {
            for round in 0..4 {
                let at = [client * 20, round * 100];
                let click = json!({"action": "left_click", "coordinate": at});
                daemon.action(click).await;
                let (wide, format) = (100 + client, ["png", "jpeg", "webp"][round % 3]);
                let path =
                    format!("/api/v0/desktop/screenshot?width={wide}&height=80&format={format}");
                let bytes = daemon.get(&path).await.bytes().await.expect("a body");
                let picture = image::load_from_memory(&bytes).expect("a whole picture");
                assert_eq!((picture.width() as usize, picture.height()), (wide, 80));
            }
        });
    }
    timeout(PATIENCE * 2, tasks.join_all())
        .await
        .expect("all are served");
    let events = window.events();
    assert_eq!(events.len(), 50 * 4 * 2);
    for pair in events.chunks(2) {
        assert_eq!(
            pair[0].replace('+', "-"),
            pair[1],
            "released where it was pressed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_while_it_holds_a_key_leaves_nothing() {
    let daemon = Daemon::start(&[]);
    let hold = json!({"action": "hold_key", "text": "ctrl+shift+a", "duration": 300_000});
    for reset in [false, true] {
        let mut raw = Raw::open(&daemon).await;
        let request = raw.action(&hold);
        raw.send(request).await;
        eventually("the keys are down", async || {
            !is_empty(&held(&daemon).await["server"])
        })
        .await;
        if reset {
            raw.reset();
        } else {
            drop(raw);
        }
        released(&daemon).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_what_a_client_hid_behind_a_second_request() {
    let daemon = Daemon::start(&[]);
    let hold = json!({"action": "hold_key", "text": "ctrl+a", "duration": 300_000});
    let mut raw = Raw::open(&daemon).await;
    let request = raw.action(&hold) + &raw.head("GET /healthz") + "\r\n";
    raw.send(request).await;
    eventually("the keys are down", async || {
        !is_empty(&held(&daemon).await["server"])
    })
    .await;
    raw.reset();
    // HTTP/1.1 reads no further than the second request, so the end of the connection is not seen.
    let answer = daemon
        .request(Method::POST, "/api/v0/desktop/input/reset")
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 200);
    released(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_vanishes_while_it_types_or_drags_leaves_nothing() {
    let daemon = Daemon::start(&[]);
    let window = full_screen(&daemon).await;
    let text = json!({"action": "type", "text": "Shifted TEXT! ".repeat(50_000)});
    let drag =
        json!({"action": "left_click_drag", "start_coordinate": [0, 0], "coordinate": [1279, 799]});
    for action in [&text, &drag, &drag, &drag, &text, &drag] {
        window.events();
        let mut raw = Raw::open(&daemon).await;
        let request = raw.action(action);
        raw.send(request).await;
        eventually("it has begun", async || !window.events().is_empty()).await;
        raw.reset();
        released(&daemon).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_a_hold_of_five_minutes() {
    let daemon = Arc::new(Daemon::start(&[]));
    daemon.started().await;
    let mut tasks = JoinSet::new();
    let holder = Arc::clone(&daemon);
    tasks.spawn(async move {
        let hold = json!({"action": "hold_key", "text": "shift+a", "duration": 300_000});
        json_of(holder.post("/api/v0/desktop/action", hold).await).await
    });
    eventually("the keys are down", async || {
        !is_empty(&held(&daemon).await["held"])
    })
    .await;
    let answer = daemon
        .request(Method::POST, "/api/v0/desktop/input/reset")
        .send()
        .await;
    let (status, body) = json_of(answer.expect("an answer")).await;
    assert_eq!(status, 200, "{body}");
    assert!(
        is_empty(&body["held"]) && is_empty(&body["server"]),
        "{body}"
    );
    let (status, body) = tasks.join_next().await.expect("a task").expect("no panic");
    assert_eq!((status, &body["code"]), (409, &json!("input_cancelled")));
    released(&daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_desktop_that_dies_under_fifty_clients_comes_back_with_nothing_down() {
    let daemon = Arc::new(Daemon::start(&[]));
    let pid = daemon.started().await["pid"].as_i64().expect("a pid");
    let mut tasks = JoinSet::new();
    for client in 0..50 {
        let daemon = Arc::clone(&daemon);
        tasks.spawn(async move {
            for _ in 0..4 {
                let at = [client * 20, 300];
                let click = json!({"action": "left_click", "coordinate": at});
                let (status, body) =
                    json_of(daemon.post("/api/v0/desktop/action", click).await).await;
                // A click may or may not have reached the server that died, and is not done twice.
                let honest = status == 200 || body["code"] == "desktop_connection_lost";
                assert!(honest, "{status} {body}");
            }
        });
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("killed");
    timeout(PATIENCE * 2, tasks.join_all())
        .await
        .expect("all are answered");
    eventually("it was restarted", async || {
        daemon.desktop().await["restarts"] == 1
    })
    .await;
    released(&daemon).await;
}
