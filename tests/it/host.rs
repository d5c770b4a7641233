//! The provider `host`: the real daemon on an X server that is not its own.

#[cfg(feature = "host")]
mod supported {
    use std::{fs, net::TcpListener, process::Child};

    use deskd::desktop::x11::{self, Address};
    use futures_util::StreamExt;
    use serde_json::{Value, json};
    use tokio_tungstenite::tungstenite;
    use x11rb::{
        connection::Connection,
        protocol::{
            Event,
            xproto::{
                ChangeWindowAttributesAux, ConnectionExt as _, CreateWindowAux, EventMask,
                InputFocus, WindowClass,
            },
        },
        rust_connection::RustConnection,
    };

    use crate::support::{
        daemon::{Daemon, Home, PATIENCE, deskd_serve, json as json_of},
        xserver::XServer,
    };

    const SCREENSHOT: &str = "/api/v0/desktop/screenshot?cursor=false";
    const GREEN: u32 = 0x0011_a044;

    /// The daemon on this display.
    fn daemon(server: &XServer, further: &[&str]) -> Daemon {
        let home = Home::new();
        let mut command = deskd_serve(&home);
        command
            .args([
                "--desktop-provider",
                "host",
                "--host-display",
                &server.display,
            ])
            .args(further)
            .env("XAUTHORITY", server.xauthority());
        Daemon::start_command(&home, &mut command)
    }

    fn connection(server: &XServer) -> (RustConnection, usize) {
        let address = Address {
            display: server.display.clone(),
            cookie: Some(server.cookie),
        };
        x11::connect(&address).expect("the server takes us")
    }

    /// A window that has the focus and notes what reaches it.
    struct Window {
        connection: RustConnection,
        codes: std::collections::HashMap<u8, u32>,
    }

    /// What reached it.
    #[derive(Debug, PartialEq)]
    enum Seen {
        Button(u8, i16, i16),
        Key(u32),
    }

    impl Window {
        fn open(server: &XServer, x: i16, y: i16, width: u16, height: u16) -> Self {
            let (connection, screen) = connection(server);
            let root = connection.setup().roots[screen].root;
            let id = connection.generate_id().expect("an id");
            let mask = EventMask::BUTTON_PRESS | EventMask::KEY_PRESS | EventMask::EXPOSURE;
            let values = CreateWindowAux::new()
                .event_mask(mask)
                .background_pixel(GREEN);
            let class = WindowClass::INPUT_OUTPUT;
            connection
                .create_window(0, id, root, x, y, width, height, 0, class, 0, &values)
                .expect("sent");
            connection.map_window(id).expect("sent");
            connection.flush().expect("flushed");
            while !matches!(
                connection.wait_for_event().expect("an event"),
                Event::Expose(_)
            ) {}
            let focus = connection.set_input_focus(InputFocus::PARENT, id, x11rb::CURRENT_TIME);
            focus.expect("sent").check().expect("the focus");
            let map = connection
                .get_keyboard_mapping(8, 248)
                .expect("sent")
                .reply();
            let map = map.expect("a map");
            let rows = map.keysyms.chunks(usize::from(map.keysyms_per_keycode));
            let codes = (8..=u8::MAX).zip(rows.map(|row| row[0])).collect();
            Self { connection, codes }
        }

        /// The next so many presses.
        fn seen(&self, count: usize) -> Vec<Seen> {
            let mut all = Vec::new();
            while all.len() < count {
                match self.connection.wait_for_event().expect("an event") {
                    Event::ButtonPress(event) => {
                        all.push(Seen::Button(event.detail, event.root_x, event.root_y));
                    }
                    Event::KeyPress(event) => all.push(Seen::Key(self.codes[&event.detail])),
                    _ => {}
                }
            }
            all
        }
    }

    async fn picture(daemon: &Daemon) -> image::RgbImage {
        let answer = daemon.get(SCREENSHOT).await;
        let status = answer.status();
        let bytes = answer.bytes().await.expect("a body");
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&bytes));
        image::load_from_memory(&bytes)
            .expect("a picture")
            .to_rgb8()
    }

    #[tokio::test]
    async fn stillness_is_refused_where_nobody_reports_changes() {
        let server = XServer::start(640, 480);
        let daemon = daemon(&server, &[]);
        let answer = daemon.get(&format!("{SCREENSHOT}&settle_ms=100")).await;
        let (status, body) = json_of(answer).await;
        assert_eq!(status, 501, "{body}");
        assert_eq!(body["code"], "settle_unsupported", "{body}");
    }

    #[tokio::test]
    async fn pictures_show_the_existing_desktop() {
        let server = XServer::start(640, 480);
        let _window = Window::open(&server, 40, 30, 100, 80);
        let daemon = daemon(&server, &[]);
        let picture = picture(&daemon).await;
        assert_eq!(picture.dimensions(), (640, 480));
        for (x, y) in [(40, 30), (139, 109), (90, 70)] {
            assert_eq!(picture.get_pixel(x, y).0, [0x11, 0xa0, 0x44], "at {x}, {y}");
        }
        for (x, y) in [(39, 30), (140, 109), (90, 110)] {
            assert_ne!(picture.get_pixel(x, y).0, [0x11, 0xa0, 0x44], "at {x}, {y}");
        }
        let body = daemon.desktop().await;
        let shown = [
            &body["state"],
            &body["provider"],
            &body["display"],
            &body["pid"],
        ];
        assert_eq!(
            shown,
            [
                &json!("running"),
                &json!("host"),
                &json!(server.display),
                &Value::Null
            ]
        );
        assert_eq!(
            [&body["width"], &body["height"]],
            [&json!(640), &json!(480)]
        );
    }

    #[tokio::test]
    async fn the_size_is_its_owners() {
        let server = XServer::start(640, 480);
        let daemon = daemon(&server, &[]);
        let wanted = json!({"width": 800, "height": 600});
        let answer = json_of(daemon.post("/api/v0/desktop/resize", wanted).await).await;
        assert_ne!(answer.0, 200, "{}", answer.1);
        assert_eq!(picture(&daemon).await.dimensions(), (640, 480));
        let (connection, screen) = connection(&server);
        assert_eq!(connection.setup().roots[screen].width_in_pixels, 640);
    }

    #[tokio::test]
    async fn the_pointer_and_the_keys_reach_it() {
        let server = XServer::start(640, 480);
        let window = Window::open(&server, 0, 0, 640, 480);
        let daemon = daemon(&server, &[]);
        daemon
            .action(json!({"action": "left_click", "coordinate": [100, 120]}))
            .await;
        assert_eq!(window.seen(1), [Seen::Button(1, 100, 120)]);
        // In a frame of half the size.
        let half = json!({"action": "right_click", "coordinate": [50, 60], "scaled_width": 320, "scaled_height": 240});
        daemon.action(half).await;
        let [Seen::Button(3, x, y)] = window.seen(1)[..] else {
            panic!("another event");
        };
        assert!(
            (100..=102).contains(&x) && (120..=122).contains(&y),
            "{x}, {y}"
        );
        let scroll = json!({"action": "scroll", "coordinate": [9, 8], "scroll_direction": "down", "scroll_amount": 2});
        daemon.action(scroll).await;
        assert_eq!(
            window.seen(2),
            [Seen::Button(5, 9, 8), Seen::Button(5, 9, 8)]
        );
        daemon
            .action(json!({"action": "key", "text": "ctrl+a Return"}))
            .await;
        assert_eq!(
            window.seen(3),
            [Seen::Key(0xffe3), Seen::Key(0x61), Seen::Key(0xff0d)]
        );
        let held = json_of(daemon.get("/api/v0/desktop/input").await).await;
        assert!(
            held.1.to_string().contains("[]"),
            "nothing is held: {}",
            held.1
        );
    }

    /// An xterm with the focus, whose program writes what it reads into the file.
    fn terminal(server: &XServer, file: &std::path::Path) -> Child {
        let (connection, screen) = connection(server);
        let root = connection.setup().roots[screen].root;
        let watch = ChangeWindowAttributesAux::new().event_mask(EventMask::SUBSTRUCTURE_NOTIFY);
        let watching = connection
            .change_window_attributes(root, &watch)
            .expect("sent");
        watching.check().expect("watching");
        let child = server
            .command("xterm")
            .env("LC_ALL", "C.UTF-8")
            .args([
                "-u8",
                "-e",
                "sh",
                "-c",
                &format!("cat > {}", file.display()),
            ])
            .spawn()
            .expect("xterm starts");
        let window = loop {
            if let Event::MapNotify(event) = connection.wait_for_event().expect("an event") {
                break event.window;
            }
        };
        let focus = connection.set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME);
        focus.expect("sent").check().expect("the focus");
        child
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn texts_arrive_exactly() {
        let server = XServer::start(800, 600);
        let daemon = daemon(&server, &[]);
        let file = tempfile::NamedTempFile::new().expect("a file");
        let mut terminal = terminal(&server, file.path());
        let text: String = (' '..='~').collect();
        daemon.action(json!({"action": "type", "text": text})).await;
        daemon
            .action(json!({"action": "key", "text": "Return"}))
            .await;
        daemon
            .action(json!({"action": "type", "text": "Grün → 5 €"}))
            .await;
        daemon
            .action(json!({"action": "key", "text": "Return ctrl+d"}))
            .await;
        tokio::task::block_in_place(|| terminal.wait()).expect("xterm ends");
        let read = fs::read_to_string(file.path()).expect("the file");
        assert_eq!(read, format!("{text}\nGrün → 5 €\n"));
    }

    #[tokio::test]
    async fn there_is_no_vnc_unless_a_server_is_named() {
        let server = XServer::start(640, 480);
        let daemon = daemon(&server, &[]);
        match daemon.websocket("/api/v0/desktop/vnc").await {
            Err(tungstenite::Error::Http(answer)) => {
                assert_eq!(answer.status(), 503);
                let body = answer.body().clone().unwrap_or_default();
                let body = String::from_utf8_lossy(&body).into_owned();
                assert!(body.contains("vnc_unavailable"), "{body}");
            }
            other => panic!("{other:?}"),
        }
    }

    /// A port that was free a moment ago.
    fn free_port() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.local_addr().expect("its address").port()
    }

    #[tokio::test]
    async fn a_named_vnc_server_is_relayed() {
        let port = free_port().to_string();
        let further = ["-rfbport", &port, "-interface", "127.0.0.1"];
        let server = XServer::start_with(640, 480, &further);
        let daemon = daemon(&server, &["--host-vnc", &format!("127.0.0.1:{port}")]);
        let mut socket = daemon
            .websocket("/api/v0/desktop/vnc")
            .await
            .expect("a viewer");
        let greeting = socket
            .next()
            .await
            .expect("a message")
            .expect("no error")
            .into_data();
        assert!(greeting.starts_with(b"RFB 003."), "{greeting:?}");
    }

    #[tokio::test]
    async fn a_vnc_server_that_is_not_there_fails_the_start() {
        let server = XServer::start(640, 480);
        let daemon = daemon(
            &server,
            &["--host-vnc", &format!("127.0.0.1:{}", free_port())],
        );
        let (status, body) = json_of(daemon.get(SCREENSHOT).await).await;
        assert_eq!(status, 503, "{body}");
        assert!(body.to_string().contains("RFB server"), "{body}");
    }

    #[tokio::test]
    async fn a_stop_ends_nothing_but_our_connections() {
        let server = XServer::start(640, 480);
        let window = Window::open(&server, 0, 0, 640, 480);
        let daemon = daemon(&server, &[]);
        picture(&daemon).await;
        let (status, body) = json_of(daemon.post("/api/v0/desktop/stop", Value::Null).await).await;
        assert_eq!((status, &body["state"]), (200, &json!("stopped")));
        picture(&daemon).await; // joined again
        assert_eq!(daemon.desktop().await["restarts"], 0);
        assert!(daemon.stop().success());
        let focus = window.connection.get_input_focus().expect("sent");
        focus.reply().expect("the server and its programs live");
    }

    #[tokio::test]
    async fn without_a_display_it_says_what_to_do() {
        let daemon = Daemon::start(&["--desktop-provider", "host"]);
        let (status, body) = json_of(daemon.get(SCREENSHOT).await).await;
        assert_eq!(status, 503, "{body}");
        assert!(body.to_string().contains("--host-display"), "{body}");
    }

    /// On a number that no server picks by itself, so that it is still free when the display comes back.
    #[tokio::test]
    async fn a_lost_display_is_an_error_until_it_is_back() {
        let display = format!(":{}", 1000 + std::process::id() % 4000);
        let mut server = XServer::start_with(640, 480, &[&display]);
        let daemon = daemon(&server, &[]);
        picture(&daemon).await;
        server.kill();
        // The answer of a request that was under way may blame the picture.
        let lost = async {
            loop {
                let (status, body) = json_of(daemon.get(SCREENSHOT).await).await;
                assert!(status >= 500, "{body}");
                if status == 503 && body.to_string().contains("X socket") {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, lost)
            .await
            .expect("the loss is noticed");
        let body = daemon.desktop().await;
        assert_eq!(body["state"], "failed", "{body}");
        let number = server.display.trim_start_matches(':');
        let message = body["last_error"]["message"].to_string();
        assert!(message.contains(&format!("X{number}")), "{body}");
        assert!(daemon.log().contains("was lost"), "{}", daemon.log());

        let again = XServer::start_with(320, 240, &[&server.display]);
        assert_eq!(again.display, server.display);
        assert_eq!(picture(&daemon).await.dimensions(), (320, 240));
    }
}

#[cfg(not(feature = "host"))]
mod unsupported {
    use crate::support::daemon::{Daemon, json};

    #[tokio::test]
    async fn a_build_without_it_says_how_to_get_it() {
        let daemon = Daemon::start(&["--desktop-provider", "host", "--host-display", ":0"]);
        let (status, body) = json(daemon.get("/api/v0/desktop/screenshot").await).await;
        assert_eq!(status, 503, "{body}");
        assert!(
            body.to_string()
                .contains("cargo build --release --features host"),
            "{body}"
        );
        assert_eq!(daemon.desktop().await["provider"], "host");
    }
}
