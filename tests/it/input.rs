//! Actions injected into a real X server, seen by a window of the test's own.

use std::time::Duration;

use crate::{
    support::{recorder::Recorder, xserver::XServer},
    typing::{address, input},
};
use deskd::desktop::{
    geometry::Point,
    input::{Action, Button, HeldReport, InputError, Outcome},
    keys::{self, Keysym},
};

const LONG: Duration = Duration::from_mins(5);

fn at(x: i32, y: i32) -> Point {
    Point { x, y }
}

fn click(x: i32, y: i32, count: u8) -> Action {
    Action::Click {
        at: Some(at(x, y)),
        button: Button::Left,
        count,
    }
}

fn hold_key(name: &str) -> Action {
    Action::HoldKey {
        keys: keys::parse(name).expect("a key")[0].keys.clone(),
        duration: LONG,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pointer_actions_land_where_the_declared_frame_says() {
    let server = XServer::start(1920, 1080);
    let (window, input) = (Recorder::open(&address(&server)), input(&server, LONG));
    let declared = (1280, 720);
    input
        .perform(click(640, 360, 2), declared)
        .await
        .expect("a click");
    let once = ["+1 960,540", "-1 960,540"];
    assert_eq!(window.clicks(), [once, once].concat());
    let pointer = input
        .perform(Action::CursorPosition, declared)
        .await
        .expect("a position");
    assert_eq!(pointer, Outcome::Pointer(at(640, 360)));
    input
        .perform(Action::Move(at(5000, -3)), declared)
        .await
        .expect("a move");
    assert_eq!(window.events().last().map(String::as_str), Some("~ 1919,0"));
    let scroll = Action::Scroll {
        at: Some(at(10, 10)),
        right: -7,
        down: 0,
    };
    input.perform(scroll, (0, 0)).await.expect("a scroll");
    assert_eq!(window.clicks(), ["+6 10,10", "-6 10,10"].repeat(7));
    let drag = Action::Drag {
        from: Some(at(100, 100)),
        path: vec![at(200, 150)],
        button: Button::Left,
    };
    input.perform(drag, (0, 0)).await.expect("a drag");
    let events = window.events();
    let down = events
        .iter()
        .position(|line| line == "+1 100,100")
        .expect("down at the start");
    let up = events
        .iter()
        .position(|line| line == "-1 200,150")
        .expect("up at the end");
    assert!(up - down > 10, "moved in steps: {events:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn combinations_hold_their_modifiers() {
    let server = XServer::start(800, 600);
    let (window, input) = (Recorder::open(&address(&server)), input(&server, LONG));
    let combos = keys::parse("ctrl+shift+t").expect("keys");
    input
        .perform(Action::Key(combos), (0, 0))
        .await
        .expect("a key");
    let events = window.clicks();
    assert_eq!(events.len(), 6, "{events:?}");
    assert!(
        events[2].starts_with("k+") && events[2].ends_with(" 5"),
        "Control and Shift: {events:?}"
    );
    assert_eq!(input.held().await.expect("a report"), HeldReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn clicks_of_many_clients_do_not_interleave() {
    let server = XServer::start(800, 600);
    let (window, input) = (Recorder::open(&address(&server)), input(&server, LONG));
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..20 {
        let input = input.clone();
        tasks.spawn(async move {
            for round in 0..10 {
                input
                    .perform(click(client * 30, round * 20, 1), (0, 0))
                    .await
                    .expect("a click");
            }
        });
    }
    tasks.join_all().await;
    let events = window.clicks();
    assert_eq!(events.len(), 400);
    for pair in events.chunks(2) {
        assert_eq!(
            pair[0].replace('+', "-"),
            pair[1],
            "released where it was pressed"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_nothing_down() {
    let server = XServer::start(800, 600);
    let input = input(&server, LONG);
    tokio::select! {
        result = input.perform(hold_key("ctrl+a"), (0, 0)) => panic!("{result:?}"),
        () = async { while !input.any_held() { tokio::task::yield_now().await } } => {}
    }
    input
        .perform(Action::Move(at(1, 1)), (0, 0))
        .await
        .expect("the next action works");
    assert_eq!(input.held().await.expect("a report"), HeldReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_ends_a_hold_and_releases_what_others_hold() {
    let server = XServer::start(800, 600);
    let (ours, other) = (input(&server, LONG), input(&server, LONG));
    let shift = vec![Keysym(0xffe1)];
    other
        .perform(Action::KeyDown(shift), (0, 0))
        .await
        .expect("down");
    other
        .perform(Action::ButtonDown(Button::Right), (0, 0))
        .await
        .expect("down");
    let reset = async {
        while !ours.any_held() {
            tokio::task::yield_now().await;
        }
        let held = ours
            .held()
            .await
            .expect("a report in the middle of the hold");
        assert_eq!((held.ours.keys.len(), held.server.keys.len()), (1, 2));
        ours.reset().await.expect("a reset")
    };
    let (held, report) = tokio::join!(ours.perform(hold_key("a"), (0, 0)), reset);
    assert!(matches!(held, Err(InputError::Cancelled)));
    assert_eq!(report, HeldReport::default());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_server_is_noticed_while_idle() {
    let mut server = XServer::start(800, 600);
    let input = input(&server, LONG);
    input
        .perform(Action::ButtonDown(Button::Left), (0, 0))
        .await
        .expect("down");
    server.kill();
    assert!(matches!(
        input.closed().await,
        InputError::ConnectionLost { .. }
    ));
    let result = input.perform(click(1, 1, 1), (0, 0)).await;
    assert!(matches!(result, Err(InputError::Stopped)), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guard_releases_at_the_server() {
    let server = XServer::start(800, 600);
    let (input, witness) = (
        input(&server, Duration::from_millis(50)),
        input(&server, LONG),
    );
    let keys = keys::parse("ctrl+a").expect("keys")[0].keys.clone();
    input
        .perform(Action::KeyDown(keys), (0, 0))
        .await
        .expect("down");
    let released = async { while !witness.held().await.expect("a report").server.is_empty() {} };
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, released)
        .await
        .expect("released by the guard");
    // The server hears of the release before the ledger is written; a report comes after both.
    assert!(input.held().await.expect("a report").ours.is_empty());
    assert!(!input.any_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_and_drags_that_are_called_off_leave_nothing_down() {
    let server = XServer::start(800, 600);
    let (window, input) = (Recorder::open(&address(&server)), input(&server, LONG));
    let drag = Action::Drag {
        from: None,
        path: (0..400_000).map(|i| at(i % 800, i % 600)).collect(),
        button: Button::Left,
    };
    for action in [drag, Action::Type("Shifted TEXT! ".repeat(50_000))] {
        // Called off in the middle: after its first events, long before its last.
        tokio::select! {
            biased;
            result = input.perform(action, (0, 0)) => panic!("{result:?}"),
            () = async { while window.events().is_empty() { tokio::task::yield_now().await } } => {}
        }
        assert_eq!(input.held().await.expect("a report"), HeldReport::default());
        input
            .perform(click(5, 5, 1), (0, 0))
            .await
            .expect("the next action works");
        assert_eq!(input.held().await.expect("a report"), HeldReport::default());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptors_do_not_grow() {
    let server = XServer::start(800, 600);
    let input = input(&server, LONG);
    let sockets = || {
        let links = std::fs::read_dir("/proc/self/fd").expect("descriptors");
        links.count()
    };
    input
        .perform(click(1, 1, 1), (0, 0))
        .await
        .expect("a click");
    let before = sockets();
    for x in 0..1000 {
        input
            .perform(click(x % 800, 1, 1), (0, 0))
            .await
            .expect("a click");
    }
    // Other tests of this process open some meanwhile; a leak would be a thousand.
    assert!(sockets() < before + 200);
}
