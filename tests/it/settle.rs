//! Stillness of a real X server: windows that redraw on a schedule of their own, real carets, a display that dies.

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use deskd::{
    desktop::{
        capture::{CaptureError, Screen},
        geometry::Rect,
        picture::{Answer, PictureRequest},
        settle::{Settle, Settled},
        x11::{Address, X11Source, connect},
    },
    telemetry::Metrics,
};
use futures_util::future::join_all;
use reqwest::{
    Method, Response, StatusCode,
    header::{ACCEPT, IF_NONE_MATCH},
};
use serde_json::json;
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        damage::{ConnectionExt as _, ReportLevel},
        xproto::{
            ChangeGCAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, EventMask, InputFocus,
            Rectangle, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use crate::support::{
    daemon::{self, Daemon, PATIENCE},
    xserver::XServer,
};

const VIDEO: Rect = rect(100, 50, 320, 240);
const SPINNER: Rect = rect(500, 400, 24, 24);
/// Longer than a busy machine keeps a painter from painting, and than any caret rests.
const QUIET: Duration = Duration::from_secs(2);

const fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
    Rect {
        x,
        y,
        width,
        height,
    }
}

fn connected(server: &XServer) -> (RustConnection, u32) {
    connected_to(&address(server))
}

fn connected_to(server: &Address) -> (RustConnection, u32) {
    let (connection, number) = connect(server).expect("the server takes us");
    let root = connection.setup().roots[number].root;
    (connection, root)
}

fn address(server: &XServer) -> Address {
    Address {
        display: server.display.clone(),
        cookie: Some(server.cookie),
    }
}

fn screen(server: &XServer) -> Screen {
    let source = X11Source::open(&address(server)).expect("a screen");
    Screen::spawn(Box::new(source), Arc::new(Metrics::new())).expect("threads")
}

fn quiet_for(quiet: Duration) -> Settle {
    Settle {
        quiet,
        timeout: PATIENCE,
        ignore: Vec::new(),
    }
}

async fn settled(screen: &Screen, settle: Settle) -> Settled {
    screen.settle(settle, None).await.expect("an answer")
}

/// A wish that a screen which changes all the time cannot fulfil.
fn impatient(ignore: &[Rect]) -> Settle {
    Settle {
        quiet: QUIET,
        timeout: QUIET * 2,
        ignore: ignore.to_vec(),
    }
}

/// A window in a thread of its own that is filled with another colour each time. Dropping it ends the painting.
struct Painter {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    /// Before and after each time it was painted.
    strokes: Arc<Mutex<Vec<(Instant, Instant)>>>,
}

impl Painter {
    /// Opens the window, paints once, and then goes on by itself.
    #[expect(
        clippy::disallowed_methods,
        reason = "a client of the X server, not a part of deskd"
    )]
    fn start_at(server: &Address, place: Rect, every: Duration, times: usize) -> Self {
        let (connection, root) = connected_to(server);
        let (window, gc) = open_window(&connection, root, place);
        let strokes = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = channel();
        let notes = strokes.clone();
        let paint = move |step: usize| {
            let before = Instant::now();
            let colour = u32::try_from(step * 7919 % 0xff_ffff).expect("24 bits");
            connection
                .change_gc(gc, &ChangeGCAux::new().foreground(colour))
                .expect("sent");
            let all = Rectangle {
                x: 0,
                y: 0,
                width: u16::try_from(place.width).expect("small"),
                height: u16::try_from(place.height).expect("small"),
            };
            connection
                .poly_fill_rectangle(window, gc, &[all])
                .expect("sent");
            let painted = connection.sync().is_ok();
            let mut notes = notes.lock().expect("nobody panicked");
            notes.push((before, Instant::now()));
            painted
        };
        paint(1);
        let thread = std::thread::spawn(move || {
            for step in 2..=times {
                let over = stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout);
                if over || !paint(step) {
                    return;
                }
            }
        });
        Self {
            stop: Some(stop),
            thread: Some(thread),
            strokes,
        }
    }

    fn start(server: &XServer, place: Rect, every: Duration, times: usize) -> Self {
        Self::start_at(&address(server), place, every, times)
    }

    /// Times it was painted, after making sure that an answer given at `answered` was true: nothing had been painted
    /// for the quiet time before it.
    fn check(&self, answered: Instant, quiet: Duration) -> usize {
        let strokes = self.strokes.lock().expect("nobody panicked");
        for (before, after) in strokes.iter().filter(|stroke| stroke.1 <= answered) {
            let ago = answered - *before;
            assert!(ago >= quiet, "painted {ago:?} before, by {after:?}");
        }
        strokes.len()
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(matches!(ended, Some(Ok(()))) || std::thread::panicking());
    }
}

fn open_window(connection: &RustConnection, root: u32, place: Rect) -> (u32, u32) {
    let window = connection.generate_id().expect("an id");
    let gc = connection.generate_id().expect("an id");
    let aux = CreateWindowAux::new()
        .override_redirect(1)
        .background_pixel(1)
        .event_mask(EventMask::EXPOSURE);
    let (depth, class) = (x11rb::COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
    let (x, y) = (
        place.x.try_into().expect("small"),
        place.y.try_into().expect("small"),
    );
    let (width, height) = (
        place.width.try_into().expect("small"),
        place.height.try_into().expect("small"),
    );
    connection
        .create_window(depth, window, root, x, y, width, height, 0, class, 0, &aux)
        .expect("sent");
    connection
        .create_gc(gc, window, &CreateGCAux::new())
        .expect("sent");
    connection.map_window(window).expect("sent");
    connection.flush().expect("sent");
    while !matches!(connection.wait_for_event(), Ok(Event::Expose(_))) {}
    (window, gc)
}

/// A program with a caret, ended when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sees damage as any other client would.
struct Witness {
    connection: RustConnection,
    damage: u32,
}

impl Witness {
    fn new(server: &XServer) -> Self {
        let (connection, root) = connected(server);
        let version = connection.damage_query_version(1, 1).expect("sent");
        version.reply().expect("it has the extension");
        let damage = connection.generate_id().expect("an id");
        let level = ReportLevel::NON_EMPTY;
        let created = connection.damage_create(damage, root, level);
        created.expect("sent").check().expect("a damage object");
        let witness = Self { connection, damage };
        // It is told first that the whole screen is new.
        witness.again();
        witness
    }

    /// Waits for so many changes, one after the other.
    fn wait_for(&self, changes: usize) {
        self.again();
        for _ in 0..changes {
            while !matches!(
                self.connection.wait_for_event().expect("an event"),
                Event::DamageNotify(_)
            ) {}
            self.again();
        }
    }

    fn again(&self) {
        let none = x11rb::NONE;
        let subtracted = self.connection.damage_subtract(self.damage, none, none);
        subtracted.expect("sent").check().expect("taken");
        while self.connection.poll_for_event().expect("alive").is_some() {}
    }

    /// Whether anything changed since the last call.
    fn saw(&self) -> bool {
        self.connection.sync().expect("a round trip");
        let saw = matches!(
            self.connection.poll_for_event().expect("alive"),
            Some(Event::DamageNotify(_))
        );
        self.again();
        saw
    }
}

#[tokio::test]
async fn a_window_that_redraws_is_waited_for() {
    let server = XServer::start(640, 480);
    let screen = screen(&server);
    for quiet in [50, 200, 400].map(Duration::from_millis) {
        let painter = Painter::start(&server, VIDEO, Duration::from_millis(10), 30);
        let answer = settled(&screen, quiet_for(quiet)).await;
        let painted = painter.check(Instant::now(), quiet);
        assert!(answer.still && answer.waited >= quiet, "{answer:?}");
        assert!(painted > 1, "it was at rest before it was painted again");
    }
}

#[tokio::test]
async fn a_screen_at_rest_is_answered_at_once_unless_it_counts_from_later() {
    let server = XServer::start(640, 480);
    let screen = screen(&server);
    let first = settled(&screen, quiet_for(QUIET)).await;
    assert!(first.still, "{first:?}");
    let witness = Witness::new(&server);
    for step in 0..100 {
        point(&witness, step);
    }
    assert!(!witness.saw(), "the pointer is no damage");
    let second = settled(&screen, quiet_for(QUIET)).await;
    assert!(second.still && second.waited < QUIET, "{second:?}");
    let since = Some(Instant::now());
    let third = screen.settle(quiet_for(QUIET), since).await;
    let third = third.expect("an answer");
    assert!(third.still && third.waited >= QUIET, "{third:?}");
}

fn point(witness: &Witness, x: i16) {
    let motion = x11rb::protocol::xproto::MOTION_NOTIFY_EVENT;
    let moved = witness
        .connection
        .xtest_fake_input(motion, 0, 0, x11rb::NONE, x, 7, 0);
    moved.expect("sent").check().expect("moved");
}

#[tokio::test]
async fn what_never_rests_ends_with_the_timeout() {
    let server = XServer::start(640, 480);
    let screen = screen(&server);
    for (place, every) in [(VIDEO, 40), (SPINNER, 50), (rect(10, 10, 8, 16), 100)] {
        let painter = Painter::start(&server, place, Duration::from_millis(every), usize::MAX);
        let wish = impatient(&[]);
        let answer = settled(&screen, wish.clone()).await;
        assert!(
            !answer.still && answer.waited >= wish.timeout,
            "{place:?}: {answer:?}"
        );
        drop(painter);
    }
}

#[tokio::test]
async fn ignored_places_do_not_count_and_what_reaches_beyond_them_does() {
    let server = XServer::start(640, 480);
    let screen = screen(&server);
    let _spinner = Painter::start(&server, SPINNER, Duration::from_millis(50), usize::MAX);
    let halves = [
        rect(SPINNER.x, SPINNER.y, 12, 24),
        rect(SPINNER.x + 12, SPINNER.y - 5, 500, 500),
    ];
    let both = impatient(&halves);
    let answer = settled(&screen, both.clone()).await;
    assert!(answer.still, "{answer:?}");
    let again = settled(&screen, both).await;
    assert!(again.still && again.waited < QUIET, "{again:?}");
    let answer = settled(&screen, impatient(&halves[..1])).await;
    assert!(!answer.still, "{answer:?}");
}

#[tokio::test]
async fn a_caret_of_xterm_does_not_count_and_a_typed_character_does() {
    let server = XServer::start(640, 480);
    let (witness, keyboard) = (Witness::new(&server), Witness::new(&server));
    let command = &mut server.command("xterm");
    command.args(["-bc", "-e", "cat"]);
    let _program = focused(&server, command);
    check_caret(&server, &witness).await;
    let screen = screen(&server);
    let first = settled(&screen, quiet_for(QUIET)).await;
    assert!(first.still, "{first:?}");
    for _ in 0..3 {
        let pressed = Instant::now();
        for kind in [2, 3] {
            let key = keyboard
                .connection
                .xtest_fake_input(kind, 38, 0, x11rb::NONE, 0, 0, 0);
            key.expect("sent").check().expect("pressed");
        }
        witness.wait_for(1);
        let answer = settled(&screen, quiet_for(QUIET)).await;
        assert!(answer.still, "{answer:?}");
        assert!(pressed.elapsed() >= QUIET, "the character did not count");
    }
}

#[tokio::test]
async fn a_caret_of_gtk_does_not_count_although_it_redraws_its_window() {
    let server = XServer::start(640, 480);
    let witness = Witness::new(&server);
    let folder = tempfile::tempdir().expect("a directory");
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/it/programs/gtk_entry.py"
    );
    let command = &mut server.command("/usr/bin/python3");
    command
        .arg(script)
        .arg(folder.path().join("text"))
        .env("GDK_BACKEND", "x11");
    let _program = focused(&server, command);
    check_caret(&server, &witness).await;
}

/// Starts a program and gives its window the keyboard.
fn focused(server: &XServer, command: &mut Command) -> Program {
    let (connection, root) = connected(server);
    let watch = x11rb::protocol::xproto::ChangeWindowAttributesAux::new()
        .event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
    let watched = connection.change_window_attributes(root, &watch);
    watched.expect("sent").check().expect("watching");
    let program = Program(command.stdin(Stdio::null()).spawn().expect("it starts"));
    let window = loop {
        if let Event::MapNotify(event) = connection.wait_for_event().expect("an event") {
            break event.window;
        }
    };
    let focus = connection.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME);
    focus.expect("sent").check().expect("it takes the focus");
    program
}

/// While it blinks, the screen is at rest; and that is known before anybody asks. GTK gives up blinking after 10 s.
async fn check_caret(server: &XServer, witness: &Witness) {
    let quiet = Duration::from_millis(1200);
    let screen = screen(server);
    let first = settled(&screen, quiet_for(quiet)).await;
    assert!(first.still && first.waited >= quiet, "{first:?}");
    witness.wait_for(3);
    let second = settled(&screen, quiet_for(quiet)).await;
    assert!(second.still && second.waited < quiet, "{second:?}");
    witness.wait_for(1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_wait_at_once_and_nobody_waits_for_them() {
    let server = XServer::start(640, 480);
    let screen = screen(&server);
    let painter = Painter::start(&server, VIDEO, Duration::from_millis(40), usize::MAX);
    let wishes = (0..100).map(|_| settled(&screen, quiet_for(QUIET)));
    let waits = join_all(wishes);
    let pictures = async {
        for _ in 0..20 {
            let answer = screen.picture(PictureRequest::default()).await;
            assert!(matches!(answer, Ok(Answer::Picture(_))), "{answer:?}");
        }
        painter
    };
    tokio::pin!(waits);
    let painter = tokio::select! {
        biased;
        answers = &mut waits => panic!("nothing was at rest: {answers:?}"),
        painter = pictures => painter,
    };
    drop(painter);
    assert!(waits.await.iter().all(|answer| answer.still));
}

#[tokio::test]
async fn who_leaves_is_forgotten_at_once() {
    let server = XServer::start(640, 480);
    let screen = screen(&server);
    let _painter = Painter::start(&server, VIDEO, Duration::from_millis(40), usize::MAX);
    // Far more than may wait at a time.
    for _ in 0..20 {
        let waits = join_all((0..200).map(|_| settled(&screen, quiet_for(QUIET))));
        tokio::select! {
            biased;
            answers = waits => panic!("nothing was at rest: {answers:?}"),
            answer = settled(&screen, quiet_for(Duration::ZERO)) => assert!(answer.still),
        }
    }
    let too_many = join_all((0..1000).map(|_| screen.settle(quiet_for(QUIET), None)));
    tokio::select! {
        biased;
        answers = too_many => panic!("nothing was at rest: {answers:?}"),
        refused = screen.settle(quiet_for(QUIET), None) => {
            assert!(matches!(refused, Err(CaptureError::Busy)), "{refused:?}");
        }
    }
    let answer = settled(&screen, quiet_for(Duration::ZERO)).await;
    assert!(answer.still, "{answer:?}");
}

#[tokio::test]
async fn a_killed_display_ends_the_waits() {
    let mut server = XServer::start(640, 480);
    let screen = screen(&server);
    let waits = join_all((0..10).map(|_| screen.settle(quiet_for(PATIENCE), None)));
    let kill = async {
        // The waits are with the thread as soon as it answers one that came after them.
        settled(&screen, quiet_for(Duration::ZERO)).await;
        server.kill();
    };
    let (answers, ()) = tokio::join!(waits, kill);
    for answer in answers {
        let error = answer.expect_err("the display is gone");
        assert!(
            matches!(error, CaptureError::ConnectionLost { .. }),
            "{error}"
        );
    }
    screen.closed().await;
    let error = screen.settle(quiet_for(QUIET), None).await;
    assert!(error.expect_err("no screen").is_final());
}

#[tokio::test]
async fn a_screenshot_waits_for_stillness_and_says_how_it_went() {
    let daemon = Daemon::start(&[]);
    let desktop = daemon.started().await;
    let server = Address {
        display: desktop["display"].as_str().expect("a name").to_owned(),
        cookie: Some(cookie(desktop["xauthority"].as_str().expect("a file"))),
    };
    let still = daemon
        .get("/api/v0/desktop/screenshot?settle_ms=2000&settle_timeout_ms=60000")
        .await;
    assert_eq!(
        (still.status(), header(&still, SETTLED)),
        (StatusCode::OK, "still")
    );
    let etag = header(&still, "etag").to_owned();
    let path = "/api/v0/desktop/screenshot?settle_ms=500";
    let same = daemon
        .request(Method::GET, path)
        .header(IF_NONE_MATCH, etag);
    let same = same.send().await.expect("an answer");
    let told = (same.status(), header(&same, SETTLED));
    assert_eq!(told, (StatusCode::NOT_MODIFIED, "still"));
    let acted = Instant::now();
    daemon
        .action(json!({"action": "mouse_move", "coordinate": [10, 10]}))
        .await;
    let later = daemon
        .get("/api/v0/desktop/screenshot?settle_ms=2000")
        .await;
    assert_eq!(header(&later, SETTLED), "still");
    let ago = acted.elapsed();
    assert!(ago >= QUIET, "a program has time to answer input: {ago:?}");
    let plain = daemon.get("/api/v0/desktop/screenshot").await;
    assert!(plain.headers().get(SETTLED).is_none(), "nobody asked");

    // The screen is 1280×800, and the spinner at twice its place in a frame of half the size.
    let place = rect(500, 400, 24, 24);
    let _spinner = Painter::start_at(&server, place, Duration::from_millis(50), usize::MAX);
    let path = "/api/v0/desktop/screenshot?width=640&settle_ms=2000&settle_timeout_ms=3000";
    let json_of = async |path: &str| {
        let request = daemon.request(Method::GET, path);
        let answer = request.header(ACCEPT, "application/json").send().await;
        let answer = answer.expect("an answer");
        let word = header(&answer, SETTLED).to_owned();
        (word, daemon::json(answer).await.1["settled"].clone())
    };
    let (word, settled) = json_of(path).await;
    assert_eq!(
        (word.as_str(), &settled["still"]),
        ("timeout", &false.into())
    );
    assert!(settled["waited_ms"].as_u64() >= Some(3000), "{settled}");
    let (word, settled) = json_of(&format!("{path}0&settle_ignore=250,200,12,12")).await;
    assert_eq!((word.as_str(), &settled["still"]), ("still", &true.into()));
}

#[tokio::test]
async fn a_wrong_wish_for_stillness_names_its_field_and_starts_no_desktop() {
    let daemon = Daemon::start(&[]);
    for (query, field) in [
        ("settle_ms=-1", "settle_ms"),
        ("settle_ms=10001", "settle_ms"),
        ("settle_ms=a", "settle_ms"),
        ("settle_ms=1&settle_timeout_ms=60001", "settle_timeout_ms"),
        ("settle_ms=1&settle_ignore=1,2,3", "settle_ignore"),
        ("settle_ms=1&settle_ignore=0,0,1,1;1,1,0,1", "settle_ignore"),
        ("settle_timeout_ms=1", "settle_ms"),
        ("settle_ignore=1,2,3,4", "settle_ms"),
    ] {
        let path = format!("/api/v0/desktop/screenshot?{query}");
        let (status, body) = daemon::json(daemon.get(&path).await).await;
        assert_eq!(status, 400, "{query}: {body}");
        assert_eq!(body["validations"][0]["field"], field, "{query}: {body}");
    }
    assert_eq!(daemon.desktop().await["state"], "stopped");
    let path = "/api/v0/desktop/screenshot?settle_ms=1&settle_ignore=1280,0,5,5";
    let (status, body) = daemon::json(daemon.get(path).await).await;
    assert_eq!(
        (status, &body["code"]),
        (400, &"out_of_frame".into()),
        "{body}"
    );
}

const SETTLED: &str = "x-deskd-settled";

fn header<'a>(answer: &'a Response, name: &str) -> &'a str {
    let value = answer.headers().get(name).expect("the header");
    value.to_str().expect("printable")
}

/// The cookie is the end of its file: all entries hold the same one.
fn cookie(file: &str) -> [u8; 16] {
    let bytes = std::fs::read(file).expect("the file");
    *bytes.last_chunk().expect("an entry")
}

/// What nextest runs by itself.
mod alone {
    use std::path::{Path, PathBuf};

    use super::*;

    #[tokio::test]
    async fn nobody_waiting_costs_next_to_nothing() {
        let server = XServer::start(640, 480);
        let watched = screen(&server);
        settled(&watched, quiet_for(Duration::ZERO)).await;
        let thread = stillness_thread();
        // Another screen's wait is the clock: it takes so long, however the machine is loaded.
        let other = XServer::start(320, 200);
        let clock = screen(&other);
        let begin = wake_ups(&thread);
        tick(&clock).await;
        let idle = wake_ups(&thread) - begin;
        assert!(idle <= 2, "a screen at rest woke it {idle} times");
        let painter = Painter::start(&server, VIDEO, Duration::from_millis(10), usize::MAX);
        let (start, begin) = (Instant::now(), wake_ups(&thread));
        tick(&clock).await;
        let woken = wake_ups(&thread) - begin;
        let seconds = start.elapsed().as_secs() + 1;
        assert!(woken <= 10 + 30 * seconds, "{woken} in {seconds} s");
        drop(painter);
    }

    async fn tick(clock: &Screen) {
        let since = Some(Instant::now());
        let ticked = clock.settle(quiet_for(QUIET), since).await;
        assert!(ticked.expect("an answer").still);
    }

    /// The only one of this process: nextest runs each test in one of its own.
    fn stillness_thread() -> PathBuf {
        let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
        let mut tasks = tasks.map(|task| task.expect("procfs").path());
        let is_it = |task: &PathBuf| {
            std::fs::read_to_string(task.join("comm")).is_ok_and(|name| name.trim() == "stillness")
        };
        tasks.find(is_it).expect("the thread")
    }

    /// Times that a thread has gone to sleep.
    fn wake_ups(thread: &Path) -> u64 {
        let status = std::fs::read_to_string(thread.join("status")).expect("procfs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        line.expect("it is counted")
            .trim()
            .parse()
            .expect("a number")
    }
}
