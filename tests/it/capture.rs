//! Pictures of a real X server, compared pixel by pixel with what was drawn.

use std::{sync::Arc, time::Duration};

use deskd::{
    desktop::{
        capture::{CaptureError, Screen},
        geometry::{Point, Rect, Size},
        picture::{Answer, Format, Picture, PictureRequest},
        x11::{Address, X11Source, connect},
    },
    telemetry::Metrics,
};
use image::{Rgb, RgbImage};
use x11rb::{
    connection::Connection,
    protocol::{
        xfixes::ConnectionExt as _,
        xproto::{
            ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, CreateWindowAux, Rectangle,
            WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
    wrapper::ConnectionExt as _,
};

use crate::support::xserver::XServer;

const SIZE: Size = Size {
    width: 640,
    height: 480,
};
const RED: Rgb<u8> = Rgb([200, 10, 20]);
const BLUE: Rgb<u8> = Rgb([30, 40, 250]);

/// A server, a program that draws on it, and the screen as the daemon sees it.
struct Stage {
    server: XServer,
    connection: RustConnection,
    root: u32,
    metrics: Arc<Metrics>,
    screen: Screen,
}

impl Stage {
    fn new() -> Self {
        let server = XServer::start(SIZE.width, SIZE.height);
        let (connection, number) = connect(&address(&server)).expect("the server takes us");
        let root = connection.setup().roots[number].root;
        let metrics = Arc::new(Metrics::new());
        let screen = screen(&server, &metrics);
        let stage = Self {
            server,
            connection,
            root,
            metrics,
            screen,
        };
        stage.fill(0, 0, 640, 480, Rgb([0, 0, 0]));
        stage.point(600, 400);
        stage
    }

    /// Draws straight on the root window and waits until the server has.
    fn fill(&self, x: i16, y: i16, width: u16, height: u16, colour: Rgb<u8>) {
        let gc = self.connection.generate_id().expect("an id");
        let aux = CreateGCAux::new()
            .foreground(pixel(colour))
            .subwindow_mode(x11rb::protocol::xproto::SubwindowMode::INCLUDE_INFERIORS);
        let rectangle = Rectangle {
            x,
            y,
            width,
            height,
        };
        self.connection
            .create_gc(gc, self.root, &aux)
            .expect("a gc");
        self.connection
            .poly_fill_rectangle(self.root, gc, &[rectangle])
            .expect("drawing");
        self.connection.free_gc(gc).expect("freeing");
        self.connection.sync().expect("the server answers");
    }

    /// Moves the pointer as a person would: an event, and nobody tells the screen.
    fn point(&self, x: i16, y: i16) {
        let motion = x11rb::protocol::xproto::MOTION_NOTIFY_EVENT;
        self.connection
            .xtest_fake_input(motion, 0, x11rb::CURRENT_TIME, self.root, x, y, 0)
            .expect("moving");
        self.connection.sync().expect("the server answers");
    }

    async fn picture(&self, request: PictureRequest) -> Arc<Picture> {
        match self.screen.picture(request).await.expect("a picture") {
            Answer::Picture(picture) => picture,
            Answer::Unchanged { etag } => panic!("unchanged: {etag}"),
        }
    }

    async fn image(&self, request: PictureRequest) -> RgbImage {
        decode(&*self.picture(request).await)
    }

    /// Whether the picture with this tag still is what the screen shows.
    async fn still(&self, etag: &str, request: &PictureRequest) -> bool {
        let request = PictureRequest {
            if_none_match: Some(etag.to_owned()),
            ..request.clone()
        };
        match self.screen.picture(request).await.expect("an answer") {
            Answer::Unchanged { etag: now } => {
                assert_eq!(now, etag);
                true
            }
            Answer::Picture(picture) => {
                assert_ne!(picture.etag, etag);
                false
            }
        }
    }

    fn grabs(&self) -> usize {
        let text = self.metrics.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("deskd_screenshot_seconds_count{stage=\"Grab\"} "));
        line.map_or(0, |count| count.parse().expect("a number"))
    }
}

fn address(server: &XServer) -> Address {
    Address {
        display: server.display.clone(),
        cookie: Some(server.cookie),
    }
}

fn screen(server: &XServer, metrics: &Arc<Metrics>) -> Screen {
    let source = X11Source::open(&address(server)).expect("a screen");
    Screen::spawn(Box::new(source), metrics.clone()).expect("threads")
}

fn pixel(Rgb([red, green, blue]): Rgb<u8>) -> u32 {
    u32::from_be_bytes([0, red, green, blue])
}

fn decode(picture: &Picture) -> RgbImage {
    let image = image::load_from_memory(&picture.bytes).expect("a whole picture");
    assert_eq!(size(image.width(), image.height()), picture.size);
    image.to_rgb8()
}

fn size(width: u32, height: u32) -> Size {
    Size { width, height }
}

/// PNG without the cursor.
fn plain() -> PictureRequest {
    PictureRequest {
        cursor: false,
        ..PictureRequest::default()
    }
}

/// Counts the pixels of one colour inside a rectangle and outside of it.
fn count(image: &RgbImage, colour: Rgb<u8>, rect: Rect) -> (usize, usize) {
    let within = |x: u32, y: u32| {
        let axis = |at: u32, start: i32, length: u32| {
            let start = u32::try_from(start).expect("positive");
            (start..start + length).contains(&at)
        };
        axis(x, rect.x, rect.width) && axis(y, rect.y, rect.height)
    };
    let (inside, outside): (Vec<_>, Vec<_>) = image
        .enumerate_pixels()
        .filter(|(_, _, pixel)| **pixel == colour)
        .partition(|(x, y, _)| within(*x, *y));
    (inside.len(), outside.len())
}

fn rect(x: i32, y: i32, width: u32, height: u32) -> Rect {
    Rect {
        x,
        y,
        width,
        height,
    }
}

#[tokio::test]
async fn every_pixel_is_where_it_was_drawn() {
    let stage = Stage::new();
    stage.fill(100, 50, 30, 20, RED);
    for format in [Format::Png, Format::WebP] {
        let image = stage.image(PictureRequest { format, ..plain() }).await;
        assert_eq!(
            count(&image, RED, rect(100, 50, 30, 20)),
            (600, 0),
            "{format}"
        );
    }
    let format = Format::Jpeg;
    let image = stage.image(PictureRequest { format, ..plain() }).await;
    let Rgb([red, green, blue]) = image.get_pixel(115, 60);
    assert!(red.abs_diff(200) < 5 && green.abs_diff(10) < 5 && blue.abs_diff(20) < 5);
}

#[tokio::test]
async fn a_mapped_window_is_in_the_next_picture() {
    let stage = Stage::new();
    let window = stage.connection.generate_id().expect("an id");
    let aux = CreateWindowAux::new()
        .background_pixel(pixel(BLUE))
        .override_redirect(1);
    let (depth, class) = (x11rb::COPY_DEPTH_FROM_PARENT, WindowClass::INPUT_OUTPUT);
    stage
        .connection
        .create_window(depth, window, stage.root, 10, 20, 64, 32, 0, class, 0, &aux)
        .expect("a window");
    for mapped in [true, false, true] {
        if mapped {
            stage.connection.map_window(window).expect("mapping");
        } else {
            stage.connection.unmap_window(window).expect("unmapping");
        }
        stage.connection.sync().expect("the server answers");
        let image = stage.image(plain()).await;
        let found = count(&image, BLUE, rect(10, 20, 64, 32));
        assert_eq!(found.1, 0);
        if mapped {
            assert_eq!(found.0, 64 * 32);
        }
    }
}

#[tokio::test]
async fn the_cursor_is_drawn_when_asked_for() {
    let stage = Stage::new();
    let cursor = cursor(&stage, RED);
    show(&stage, cursor);
    stage.point(300, 200);
    let picture = stage.picture(PictureRequest::default()).await;
    assert_eq!(picture.cursor, Some(Point { x: 300, y: 200 }));
    let shape = rect(292, 192, 16, 16);
    assert_eq!(count(&decode(&picture), RED, shape), (256, 0));
    let without = stage.picture(plain()).await;
    assert_eq!(without.cursor, None);
    assert_eq!(count(&decode(&without), RED, shape), (0, 0));
}

/// A square cursor of one colour, 16 pixels wide, its hot spot in the middle.
fn cursor(stage: &Stage, colour: Rgb<u8>) -> u32 {
    let connection = &stage.connection;
    let (pixmap, gc, cursor) = (
        connection.generate_id().expect("an id"),
        connection.generate_id().expect("an id"),
        connection.generate_id().expect("an id"),
    );
    connection
        .create_pixmap(1, pixmap, stage.root, 16, 16)
        .expect("a pixmap");
    connection
        .create_gc(gc, pixmap, &CreateGCAux::new().foreground(1))
        .expect("a gc");
    let all = Rectangle {
        x: 0,
        y: 0,
        width: 16,
        height: 16,
    };
    connection
        .poly_fill_rectangle(pixmap, gc, &[all])
        .expect("drawing");
    let [r, g, b] = colour.0.map(|c| u16::from(c) * 257);
    connection
        .create_cursor(cursor, pixmap, pixmap, r, g, b, 0, 0, 0, 8, 8)
        .expect("a cursor");
    cursor
}

fn show(stage: &Stage, cursor: u32) {
    let aux = ChangeWindowAttributesAux::new().cursor(cursor);
    stage
        .connection
        .change_window_attributes(stage.root, &aux)
        .expect("setting the cursor");
    stage.connection.sync().expect("the server answers");
}

#[tokio::test]
async fn sizes_regions_and_zoom() {
    let stage = Stage::new();
    stage.fill(320, 240, 64, 48, RED);
    let half = PictureRequest {
        width: Some(320),
        ..plain()
    };
    let image = stage.image(half.clone()).await;
    assert_eq!(
        (image.width(), image.height()),
        (320, 240),
        "the aspect is kept"
    );
    assert_eq!(image.get_pixel(170, 130), &RED);
    let axis = PictureRequest {
        width: Some(320),
        height: Some(480),
        ..plain()
    };
    let image = stage.image(axis).await;
    assert_eq!(
        (image.width(), image.height()),
        (320, 480),
        "one axis alone"
    );
    assert_eq!(image.get_pixel(176, 264), &RED);
    let region = PictureRequest {
        region: Some(rect(160, 120, 32, 24)),
        ..half.clone()
    };
    let part = stage.image(region.clone()).await;
    let whole = stage.image(half.clone()).await;
    for (x, y, pixel) in part.enumerate_pixels() {
        let same = whole.get_pixel(x + 160, y + 120).0;
        let near = same.iter().zip(pixel.0).all(|(a, b)| a.abs_diff(b) <= 2);
        assert!(near, "{x},{y}: {same:?} {pixel:?}");
    }
    let zoom = PictureRequest {
        zoom: true,
        ..region.clone()
    };
    let image = stage.image(zoom).await;
    assert_eq!((image.width(), image.height()), (320, 240));
    let inner = rect(10, 10, 300, 220);
    assert_eq!(count(&image, RED, inner).0, 300 * 220, "all but the edge");
    let native = PictureRequest {
        region: Some(rect(318, 238, 4, 4)),
        ..plain()
    };
    let image = stage.image(native).await;
    assert_eq!(count(&image, RED, rect(2, 2, 2, 2)), (4, 0));
    let outside = PictureRequest {
        region: Some(rect(300, 230, 32, 24)),
        ..half
    };
    let error = stage.screen.picture(outside).await.expect_err("outside");
    assert!(matches!(error, CaptureError::BadRegion { frame, .. } if frame == size(320, 240)));
}

#[tokio::test]
async fn a_still_screen_keeps_its_tag_and_costs_no_grab() {
    let stage = Stage::new();
    let request = PictureRequest::default();
    let etag = stage.picture(request.clone()).await.etag.clone();
    let grabs = stage.grabs();
    for header in [
        etag.clone(),
        format!("W/{etag}"),
        format!("\"x\", {etag}"),
        "*".to_owned(),
    ] {
        let request = PictureRequest {
            if_none_match: Some(header.clone()),
            ..request.clone()
        };
        let answer = stage.screen.picture(request).await.expect("an answer");
        assert!(
            matches!(answer, Answer::Unchanged { etag: now } if now == etag),
            "{header}"
        );
    }
    let again = stage.picture(request).await;
    assert_eq!(again.etag, etag, "the picture was kept");
    assert_eq!(stage.grabs(), grabs);
}

#[tokio::test]
async fn the_tag_changes_with_the_pixels_and_with_the_cursor_only_where_it_is_drawn() {
    let stage = Stage::new();
    let with = PictureRequest::default();
    let shapes = [cursor(&stage, RED), cursor(&stage, BLUE)];
    let mut tags = (String::new(), String::new());
    let steps: [(&str, &dyn Fn(), bool); 8] = [
        ("drawing", &|| stage.fill(5, 5, 1, 1, RED), true),
        ("the same again", &|| stage.fill(5, 5, 1, 1, RED), true),
        ("motion", &|| stage.point(11, 12), false),
        ("shape", &|| show(&stage, shapes[0]), false),
        ("other shape", &|| show(&stage, shapes[1]), false),
        (
            "drawing after motion",
            &|| stage.fill(9, 9, 1, 1, BLUE),
            true,
        ),
        ("motion again", &|| stage.point(13, 14), false),
        ("motion once more", &|| stage.point(14, 14), false),
    ];
    for (what, step, pixels) in steps {
        tags.0 = stage.picture(with.clone()).await.etag.clone();
        tags.1 = stage.picture(plain()).await.etag.clone();
        assert!(stage.still(&tags.0, &with).await, "before {what}");
        assert!(stage.still(&tags.1, &plain()).await, "before {what}");
        step();
        assert!(!stage.still(&tags.0, &with).await, "{what}");
        assert_eq!(
            !stage.still(&tags.1, &plain()).await,
            pixels,
            "{what}, no cursor"
        );
    }
}

#[tokio::test]
async fn a_warped_pointer_that_we_are_told_of_is_seen_at_once() {
    let stage = Stage::new();
    let request = PictureRequest::default();
    for x in 0..50 {
        let etag = stage.picture(request.clone()).await.etag.clone();
        stage
            .connection
            .warp_pointer(x11rb::NONE, stage.root, 0, 0, 0, 0, x, 7)
            .expect("warping");
        stage.connection.sync().expect("the server answers");
        stage.screen.invalidate();
        assert!(!stage.still(&etag, &request).await, "{x}");
    }
}

#[tokio::test]
async fn tags_of_two_captures_differ() {
    let stage = Stage::new();
    let first = stage.picture(plain()).await;
    let other = screen(&stage.server, &stage.metrics);
    let Answer::Picture(second) = other.picture(plain()).await.expect("a picture") else {
        panic!("nothing was named");
    };
    assert_ne!(first.etag, second.etag);
}

#[tokio::test]
async fn the_screen_changes_its_size_without_a_restart() {
    let stage = Stage::new();
    for (width, height) in [
        (800, 600),
        (1024, 700),
        (320, 200),
        (333, 777),
        (640, 480),
        (7680, 4320),
    ] {
        let wanted = size(width, height);
        let is = stage.screen.resize(wanted).await.expect("resized");
        assert_eq!(is, wanted);
        assert_eq!(stage.screen.native_size().await.expect("a size"), wanted);
        let picture = stage.picture(plain()).await;
        assert_eq!((picture.native, picture.size), (wanted, wanted));
        let (w, h) = (
            u16::try_from(width).expect("small"),
            u16::try_from(height).expect("small"),
        );
        stage.fill(0, 0, w, h, RED);
        let region = Some(rect(i32::from(w) - 8, i32::from(h) - 8, 8, 8));
        let image = stage.image(PictureRequest { region, ..plain() }).await;
        assert_eq!(count(&image, RED, rect(0, 0, 8, 8)), (64, 0));
    }
    let error = stage
        .screen
        .resize(size(100_000, 1))
        .await
        .expect_err("too large");
    assert!(matches!(error, CaptureError::Resize { .. }), "{error}");
    stage.picture(plain()).await;
}

#[tokio::test]
async fn pictures_taken_while_the_size_changes_are_whole() {
    let stage = Stage::new();
    let screen = stage.screen.clone();
    let pictures = async {
        for _ in 0..40 {
            decode(&*stage.picture(plain()).await);
        }
    };
    let sizes = async {
        for step in 0..20 {
            let wanted = size(400 + step % 3 * 100, 300 + step % 2 * 300);
            screen.resize(wanted).await.expect("resized");
        }
    };
    tokio::join!(pictures, sizes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_share_a_few_grabs() {
    let stage = Arc::new(Stage::new());
    stage.fill(100, 50, 30, 20, RED);
    let grabs = stage.grabs();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let stage = stage.clone();
        tasks.spawn(async move { stage.image(plain()).await });
    }
    while let Some(image) = tasks.join_next().await {
        let image = image.expect("no panic");
        assert_eq!(count(&image, RED, rect(100, 50, 30, 20)), (600, 0));
    }
    assert!(stage.grabs() - grabs <= 3, "{}", stage.grabs() - grabs);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_picture_is_newer_than_its_request() {
    let stage = Stage::new();
    for step in 0..200_u8 {
        let colour = Rgb([step, 255 - step, 77]);
        stage.fill(0, 0, 640, 480, colour);
        let image = stage.image(plain()).await;
        assert_eq!(
            count(&image, colour, rect(0, 0, 640, 480)),
            (640 * 480, 0),
            "{step}"
        );
    }
}

#[tokio::test]
async fn a_killed_server_ends_the_capture_and_says_so() {
    let mut stage = Stage::new();
    let etag = stage.picture(plain()).await.etag.clone();
    stage.server.kill();
    let closed = tokio::time::timeout(Duration::from_secs(5), stage.screen.closed());
    let reason = closed.await.expect("it is noticed");
    assert!(
        matches!(*reason, CaptureError::ConnectionLost { .. }),
        "{reason}"
    );
    let request = PictureRequest {
        if_none_match: Some(etag),
        ..plain()
    };
    let error = stage.screen.picture(request).await.expect_err("no screen");
    assert!(error.is_final(), "{error}");
    let error = stage.screen.native_size().await.expect_err("no screen");
    assert!(error.is_final(), "{error}");
}

#[tokio::test]
async fn what_is_dropped_is_abandoned_and_harms_nobody() {
    let stage = Stage::new();
    for step in 0..100_u8 {
        stage.fill(0, 0, 10, 10, Rgb([step, 1, 2]));
        let dropped = stage.screen.picture(plain());
        tokio::select! {
            biased;
            _ = dropped => {}
            () = tokio::task::yield_now() => {}
        }
    }
    let image = stage.image(plain()).await;
    assert_eq!(count(&image, Rgb([99, 1, 2]), rect(0, 0, 10, 10)), (100, 0));
}

#[tokio::test]
async fn a_limit_in_bytes_is_kept() {
    let stage = Stage::new();
    stage.fill(100, 50, 300, 200, RED);
    let whole = stage.picture(plain()).await;
    let request = PictureRequest {
        max_bytes: Some(whole.bytes.len() * 2 / 3),
        ..plain()
    };
    let picture = stage.picture(request.clone()).await;
    assert!(picture.bytes.len() <= whole.bytes.len() * 2 / 3);
    assert!(picture.reduced.is_some() && picture.size.width < SIZE.width);
    let error = stage
        .screen
        .picture(PictureRequest {
            max_bytes: Some(10),
            ..request
        })
        .await
        .expect_err("nothing is that small");
    assert!(matches!(error, CaptureError::CannotFit { max_bytes: 10 }));
}

#[tokio::test]
async fn nothing_grows_with_pictures_or_with_screens() {
    let stage = Stage::new();
    stage.picture(plain()).await;
    let before = descriptors();
    for step in 0..1000_u32 {
        let [_, _, low, high] = step.to_be_bytes();
        stage.fill(0, 0, 1, 1, Rgb([low, high, 0]));
        let cursor = step % 2 == 0;
        stage.picture(PictureRequest { cursor, ..plain() }).await;
    }
    assert!(descriptors() <= before, "{} > {before}", descriptors());
    for _ in 0..20 {
        let screen = screen(&stage.server, &stage.metrics);
        screen.picture(plain()).await.expect("a picture");
        let closing = screen.clone();
        drop(screen);
        closing.picture(plain()).await.expect("one handle is left");
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while (descriptors() > before || threads() > 1) && tokio::time::Instant::now() < deadline {
        tokio::task::yield_now().await;
    }
    assert!(descriptors() <= before, "{} > {before}", descriptors());
    assert_eq!(threads(), 1, "only the first screen has a capture thread");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").expect("procfs").count()
}

/// Capture threads of this process; nextest runs each test in one of its own.
fn threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").expect("procfs");
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .filter(|name| name.trim() == "capture")
        .count()
}

#[tokio::test]
async fn a_wrong_cookie_is_refused() {
    let server = XServer::start(320, 200);
    let address = Address {
        cookie: Some([0; 16]),
        ..address(&server)
    };
    let error = X11Source::open(&address).expect_err("the cookie is wrong");
    assert!(
        matches!(error, CaptureError::ConnectionLost { .. }),
        "{error}"
    );
    assert!(stage_xfixes(&server), "the right one is let in");
}

fn stage_xfixes(server: &XServer) -> bool {
    let (connection, _) = connect(&address(server)).expect("the server takes us");
    let version = connection.xfixes_query_version(5, 0).expect("asking");
    version.reply().is_ok()
}
