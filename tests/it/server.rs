//! What every route shares: listeners, door, envelope, ids, configuration, stop.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::{
        fd::AsRawFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    process::Command,
};

use futures_util::StreamExt;
use nix::sys::signal::Signal;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{self, Message};

use crate::support::daemon::{Daemon, Home, PATIENCE, deskd, deskd_serve, json as json_of};

#[tokio::test]
async fn it_says_where_it_listens_and_answers_there() {
    let daemon = Daemon::start(&[]);
    assert_eq!(
        daemon.announced[0],
        format!("deskd listening on http://{}", daemon.address)
    );
    assert!(
        !daemon.announced.join("\n").contains(&daemon.token()),
        "stdout is no terminal"
    );
    let answer = daemon
        .bare(Method::GET, "/healthz")
        .send()
        .await
        .expect("an answer");
    assert_eq!(json_of(answer).await, (200, json!({"status": "ok"})));
    let (status, ready) = json_of(daemon.get("/readyz").await).await;
    assert_eq!((status, &ready["ready"]), (200, &Value::Bool(true)));
    let mode = |path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(daemon.home().runtime()), 0o700);
    assert_eq!(mode(daemon.home().runtime().join("deskd.sock")), 0o600);
    assert_eq!(mode(daemon.home().state().join("token")), 0o600);
}

#[tokio::test]
async fn the_unix_socket_needs_no_token() {
    let daemon = Daemon::start(&[]);
    let path = daemon.home().runtime().join("deskd.sock");
    let mut socket = tokio::net::UnixStream::connect(path)
        .await
        .expect("connected");
    let request = b"GET /api/v0/version HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n";
    socket.write_all(request).await.expect("sent");
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_live_one_refused() {
    let home = Home::new();
    fs::create_dir_all(home.runtime()).expect("created");
    let path = home.runtime().join("deskd.sock");
    drop(UnixListener::bind(&path).expect("bound")); // leaves the file behind
    let daemon = Daemon::start_in(&home, &[]);
    assert_eq!(
        daemon
            .bare(Method::GET, "/healthz")
            .send()
            .await
            .expect("up")
            .status(),
        200
    );

    let other = Home::new();
    let output = deskd_serve(&other)
        .arg("--socket")
        .arg(&path)
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("is the socket of a daemon that is running"),
        "{error}"
    );
}

#[tokio::test]
async fn the_second_daemon_of_a_state_directory_names_the_first() {
    let daemon = Daemon::start(&[]);
    let output = deskd_serve(daemon.home()).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(&format!("pid {}", daemon.pid())), "{error}");
}

#[tokio::test]
async fn a_token_is_asked_for_everywhere_but_at_the_health_route_and_the_page() {
    let daemon = Daemon::start(&[]);
    for path in ["/healthz", "/"] {
        let answer = daemon
            .bare(Method::GET, path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), 200, "{path}");
    }
    for path in [
        "/readyz",
        "/metrics",
        "/docs",
        "/api/v0/desktop",
        "/api/v0/openapi.json",
        "/nowhere",
    ] {
        let answer = daemon
            .bare(Method::GET, path)
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.headers()["www-authenticate"], "Bearer", "{path}");
        let (status, body) = json_of(answer).await;
        assert_eq!(
            (status, &body["code"]),
            (401, &json!("unauthorized")),
            "{path}"
        );
    }
}

#[tokio::test]
async fn wrong_tokens_and_tokens_in_wrong_places_are_refused() {
    let daemon = Daemon::start(&[]);
    let token = daemon.token();
    let version = |header: &'static str, value: String| {
        daemon
            .bare(Method::GET, "/api/v0/version")
            .header(header, value)
            .send()
    };
    for (header, value) in [
        ("authorization", String::new()),
        ("authorization", "Bearer".to_owned()),
        ("authorization", "Bearer ".to_owned()),
        ("authorization", token.clone()),
        ("authorization", format!("Basic {token}")),
        ("authorization", format!("Bearer {}", &token[1..])),
        ("authorization", format!("Bearer {token}{token}")),
        ("x-token", token.clone()),
        ("cookie", format!("token={token}")),
    ] {
        let answer = version(header, value.clone()).await.expect("an answer");
        assert_eq!(answer.status(), 401, "{header}: {value}");
    }
    let path = format!("/api/v0/version?token={token}");
    let answer = daemon
        .bare(Method::GET, &path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(
        answer.status(),
        401,
        "in the address of a route that is no page"
    );
    let answer = version("authorization", format!("Bearer {token}"))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
}

#[tokio::test]
async fn a_page_opened_with_the_token_sets_a_cookie_that_opens_the_rest() {
    let daemon = Daemon::start(&[]);
    let path = format!("/?token={}&chat=a%26b", daemon.token());
    let answer = daemon
        .bare(Method::GET, &path)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 303);
    assert_eq!(answer.headers()["location"], "/?chat=a%26b");
    let cookie = answer.headers()["set-cookie"]
        .to_str()
        .expect("text")
        .to_owned();
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict"), "{cookie}");
    assert!(!cookie.contains(&daemon.token()));
    let pair = cookie.split(';').next().expect("a pair").to_owned();
    let request = daemon
        .bare(Method::GET, "/api/v0/version")
        .header("cookie", pair);
    assert_eq!(request.send().await.expect("an answer").status(), 200);
    let answer = daemon
        .bare(Method::GET, "/?token=wrong")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused_even_without_authentication() {
    let daemon = Daemon::start(&[
        "--no-auth",
        "--allowed-host",
        "desk.example",
        "--allowed-origin",
        "https://ok.example",
    ]);
    let with = async |name: &'static str, value: &'static str| {
        let request = daemon
            .bare(Method::GET, "/api/v0/version")
            .header(name, value);
        json_of(request.send().await.expect("an answer")).await
    };
    let (status, body) = with("host", "evil.example").await;
    assert_eq!((status, &body["code"]), (421, &json!("host_not_allowed")));
    let (status, body) = with("origin", "http://evil.example").await;
    assert_eq!((status, &body["code"]), (403, &json!("origin_not_allowed")));
    assert_eq!(with("origin", "null").await.0, 403);
    assert_eq!(with("host", "desk.example:1").await.0, 200);
    assert_eq!(with("origin", "https://ok.example").await.0, 200);
    let mut request = tungstenite::client::IntoClientRequest::into_client_request(format!(
        "ws://{}/api/v0/desktop/vnc",
        daemon.address
    ))
    .expect("a request");
    request
        .headers_mut()
        .insert("origin", "http://evil.example".parse().expect("a value"));
    let error = tokio_tungstenite::connect_async(request)
        .await
        .expect_err("refused");
    let tungstenite::Error::Http(answer) = error else {
        panic!("{error}")
    };
    assert_eq!(answer.status(), 403);
    let body: Value =
        serde_json::from_slice(answer.body().as_deref().expect("a body")).expect("JSON");
    assert_eq!(body["code"], "origin_not_allowed");
    let answer = daemon
        .bare(Method::GET, "/api/v0/desktop")
        .send()
        .await
        .expect("an answer");
    let (_, desktop) = json_of(answer).await;
    assert_eq!(
        desktop["state"], "stopped",
        "no desktop boots for a refused upgrade"
    );
}

#[test]
fn no_authentication_is_refused_off_loopback() {
    let home = Home::new();
    let output = deskd_serve(&home)
        .args(["--no-auth", "--listen", "0.0.0.0:0"])
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("0.0.0.0:0 is not a loopback"));
}

#[test]
fn a_token_file_that_others_may_read_is_refused_with_the_cure() {
    let home = Home::new();
    let file = home.path().join("secret");
    fs::write(&file, "0123456789abcdef0123").expect("written");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("opened up");
    let output = deskd_serve(&home)
        .arg("--token-file")
        .arg(&file)
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("chmod 0600"));
}

const ACTION: &str = "/api/v0/desktop/action";

/// Method, path, body, and the status and code that refuse them.
const REFUSALS: [(Method, &str, &[u8], u16, &str); 8] = [
    (Method::GET, "/nowhere", b"", 404, "not_found"),
    (
        Method::DELETE,
        "/api/v0/version",
        b"",
        405,
        "method_not_allowed",
    ),
    (
        Method::GET,
        "/api/v0/desktop/vnc",
        b"",
        426,
        "websocket_required",
    ),
    (
        Method::GET,
        "/api/v0/desktop/screenshot?width=0",
        b"",
        400,
        "invalid_request",
    ),
    (Method::POST, ACTION, b"", 400, "empty_body"),
    (Method::POST, ACTION, b"{", 400, "invalid_json"),
    (Method::POST, ACTION, b"\xff\xfe", 400, "invalid_json"),
    (
        Method::POST,
        ACTION,
        b"{\"action\": 7}",
        400,
        "invalid_request",
    ),
];

#[tokio::test]
async fn every_refusal_has_the_envelope_and_a_request_id() {
    let daemon = Daemon::start(&[]);
    let big = vec![b'x'; 10 * 1024 * 1024];
    let too_large = (Method::POST, ACTION, &big[..], 413, "body_too_large");
    for (method, path, body, status, code) in REFUSALS.into_iter().chain([too_large]) {
        let request = daemon
            .request(method.clone(), path)
            .header("x-request-id", "mine-1")
            .body(body.to_vec());
        let answer = request.send().await.expect("an answer");
        assert_eq!(
            answer.headers()["x-request-id"],
            "mine-1",
            "{method} {path}"
        );
        assert_eq!(
            answer.headers()["content-type"],
            "application/json",
            "{method} {path}"
        );
        let (got, body) = json_of(answer).await;
        assert_eq!(
            (got, body["code"].as_str()),
            (status, Some(code)),
            "{method} {path}: {body}"
        );
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|text| !text.is_empty())
        );
    }
    assert_eq!(daemon.desktop().await["state"], "stopped");
    let answer = daemon
        .request(Method::GET, "/healthz")
        .header("x-request-id", "a b")
        .send()
        .await;
    assert_ne!(
        answer.expect("an answer").headers()["x-request-id"],
        "a b",
        "not printable"
    );
}

#[tokio::test]
async fn a_body_sent_byte_by_byte_is_read() {
    let daemon = Daemon::start(&[]);
    let mut stream = tokio::net::TcpStream::connect(&daemon.address)
        .await
        .expect("connected");
    stream.set_nodelay(true).expect("an option");
    let body = r#"{"action":"fly"}"#;
    let request = format!(
        "POST /api/v0/desktop/action HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        daemon.token(),
        body.len()
    );
    for byte in request.bytes() {
        stream.write_all(&[byte]).await.expect("sent");
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("fly"),
        "{answer}"
    );
}

#[tokio::test]
async fn h2c_works_on_the_same_port() {
    let daemon = Daemon::start(&[]);
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .expect("a client");
    let answer = client
        .get(format!("http://{}/healthz", daemon.address))
        .send()
        .await;
    let answer = answer.expect("an answer");
    assert_eq!(
        (answer.status().as_u16(), answer.version()),
        (200, reqwest::Version::HTTP_2)
    );
}

#[tokio::test]
async fn a_stop_closes_open_sockets_with_a_reason_and_leaves_nothing() {
    let mut daemon = Daemon::start(&[]);
    let pid = daemon.started().await["pid"].as_i64().expect("a pid");
    let mut viewer = daemon
        .websocket("/api/v0/desktop/vnc")
        .await
        .expect("upgraded");
    let greeting = viewer.next().await.expect("a frame").expect("no error");
    assert!(greeting.into_data().starts_with(b"RFB "));
    let home = daemon.home().clone();
    daemon.signal(Signal::SIGTERM);
    let closed = tokio::time::timeout(PATIENCE, async {
        while let Some(frame) = viewer.next().await {
            if let Ok(Message::Close(frame)) = frame {
                return frame;
            }
        }
        None
    });
    let frame = closed.await.expect("in time").expect("a close frame");
    assert_eq!(u16::from(frame.code), 1001);
    assert!(!frame.reason.is_empty());
    assert!(daemon.wait().success());
    assert!(
        !std::path::Path::new(&format!("/proc/{pid}")).exists(),
        "Xvnc is gone"
    );
    assert!(!home.runtime().join("deskd.sock").exists());
}

#[test]
fn flags_win_over_the_environment_and_the_environment_over_the_file() {
    let home = Home::new();
    let file = home.path().join("config.toml");
    fs::write(&file, "max-hold = 7\ndesktop_size = '800x600'\nallowed_host = ['a.example', 'b.example']\nlog_format = 'json'\n").expect("written");
    let output = deskd(&home)
        .args(["config", "--json", "--desktop-size", "640x480"])
        .env("DESKD_CONFIG", &file)
        .env("DESKD_MAX_HOLD", "8")
        .output()
        .expect("runs");
    let settings: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let got = |name: &str| {
        (
            settings[name]["value"].as_str(),
            settings[name]["source"].as_str(),
        )
    };
    assert_eq!(got("desktop-size"), (Some("640x480"), Some("flag")));
    assert_eq!(got("max-hold"), (Some("8"), Some("environment")));
    assert_eq!(
        got("allowed-host"),
        (Some("a.example,b.example"), Some("file"))
    );
    assert_eq!(got("log-format"), (Some("json"), Some("file")));
    assert_eq!(got("desktop"), (Some("lazy"), Some("default")));
}

#[test]
fn unknown_keys_and_variables_are_named() {
    let home = Home::new();
    let file = home.path().join("config.toml");
    fs::write(&file, "port = 1\n").expect("written");
    let output = deskd(&home)
        .args(["config", "--config"])
        .arg(&file)
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("unknown key `port`"));
    let output = deskd(&home)
        .arg("config")
        .env("DESKD_PORT", "1")
        .output()
        .expect("runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("`DESKD_PORT`"));
}

#[test]
fn completions_and_version_are_printed_and_a_wrong_flag_is_usage() {
    let home = Home::new();
    let run = |args: &[&str]| deskd(&home).args(args).output().expect("runs");
    assert!(String::from_utf8_lossy(&run(&["completions", "bash"]).stdout).contains("_deskd"));
    assert!(run(&["--version"]).stdout.starts_with(b"deskd "));
    assert_eq!(run(&["serve", "--no-such-flag"]).status.code(), Some(2));
    assert_eq!(
        run(&["serve", "--desktop-size", "10x10"]).status.code(),
        Some(2)
    );
}

#[test]
fn the_ready_descriptor_gets_a_line() {
    let home = Home::new();
    let (reader, writer) = nix::unistd::pipe().expect("a pipe");
    let number = writer.as_raw_fd().to_string();
    let daemon = Daemon::start_command(&home, deskd_serve(&home).args(["--ready-fd", &number]));
    drop(writer);
    let mut line = String::new();
    BufReader::new(fs::File::from(reader))
        .read_line(&mut line)
        .expect("a line");
    assert_eq!(line.trim_end(), format!("http://{}", daemon.address));

    let refused = deskd_serve(&Home::new())
        .args(["--ready-fd", "777"])
        .output()
        .expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--ready-fd"));

    let home = Home::new();
    let mut eager = deskd_serve(&home);
    let refused = eager
        .args(["--ready-fd", "777", "--desktop", "eager"])
        .output()
        .expect("runs");
    assert_eq!(refused.status.code(), Some(1));
    let left = fs::read_dir(home.runtime())
        .expect("the runtime directory")
        .count();
    assert_eq!(left, 0, "neither a socket nor a session of a desktop");
}

#[tokio::test]
async fn secrets_stay_out_of_arguments_environment_and_log() {
    let daemon = Daemon::start(&[]);
    let pid = daemon.started().await["pid"].as_i64().expect("a pid");
    let answer = daemon
        .bare(Method::GET, &format!("/?token={}", daemon.token()))
        .send()
        .await;
    assert_eq!(answer.expect("an answer").status(), 303);
    daemon
        .action(json!({"action": "type", "text": "hunter2"}))
        .await;
    let token = daemon.token();
    for of in [i64::from(daemon.pid()), pid] {
        for file in ["cmdline", "environ"] {
            let text = fs::read(format!("/proc/{of}/{file}")).expect("ours");
            assert!(
                !String::from_utf8_lossy(&text).contains(&token),
                "{file} of {of}"
            );
        }
    }
    let home = daemon.home().clone();
    let log_of = |home: &Home| fs::read_to_string(home.path().join("log")).expect("a log");
    assert!(daemon.stop().success());
    let log = log_of(&home);
    assert!(log.contains("/api/v0/desktop/action"), "{log}");
    assert!(!log.contains(&token) && !log.contains("hunter2"), "{log}");
}

#[tokio::test]
async fn the_api_is_what_it_was() {
    let daemon = Daemon::start(&[]);
    let (status, mut document) = json_of(daemon.get("/api/v0/openapi.json").await).await;
    assert_eq!(status, 200);
    // Each daemon's cookie has a name of its own.
    let name = &mut document["components"]["securitySchemes"]["cookie"]["name"];
    assert!(
        name.as_str().is_some_and(|name| name.starts_with("deskd_")),
        "{name}"
    );
    *name = "deskd_cookie".into();
    insta::assert_json_snapshot!("openapi", document);
    let page = daemon.get("/docs").await;
    assert!(
        page.headers()["content-security-policy"]
            .to_str()
            .expect("text")
            .starts_with("default-src 'none'")
    );
    let text = page.text().await.expect("a page");
    for path in document["paths"].as_object().expect("paths").keys() {
        assert!(text.contains(path.as_str()), "{path} is not on the page");
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "tests start programs directly")]
async fn children_get_back_the_descriptors_that_the_daemon_was_started_with() {
    let home = Home::new();
    let mut limited = Command::new("sh");
    let serve = deskd_serve(&home);
    limited
        .args(["-c", "ulimit -Sn 700; exec \"$0\" \"$@\""])
        .arg(serve.get_program())
        .args(serve.get_args())
        .env("HOME", home.path());
    let daemon = Daemon::start_command(&home, &mut limited);
    let soft = |pid: i64| {
        let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("ours");
        let line = limits
            .lines()
            .find(|line| line.starts_with("Max open files"))
            .map(str::to_owned);
        line.expect("the limit")
            .split_whitespace()
            .nth(3)
            .expect("a number")
            .to_owned()
    };
    let child = daemon.started().await["pid"].as_i64().expect("a pid");
    assert_eq!(soft(child), "700");
    assert_ne!(
        soft(i64::from(daemon.pid())),
        "700",
        "the daemon takes what it may have"
    );
}
