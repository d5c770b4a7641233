//! The supervisor against real programs: every way they can die, and what is left of them.

use std::{
    ffi::OsString,
    fs,
    os::fd::RawFd,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use deskd::{
    desktop::{
        Config, Desktop, DesktopError, Mode, Running, StartError, Status,
        error::Step,
        geometry::Size,
        provider::Provider,
        session::{MARKER, Session},
        state::Phase,
    },
    shutdown::Shutdown,
    sys::{
        child::{Process, Spec},
        procfs,
    },
    telemetry::Metrics,
};
use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::portabledesktop;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(30);

struct Fixture {
    folder: TempDir,
    shutdown: Shutdown,
    metrics: Arc<Metrics>,
    desktop: Desktop,
}

fn config(folder: &Path) -> Config {
    let mut config = Config::new(
        folder.join("state"),
        folder.join("run"),
        std::env::vars_os().collect(),
    );
    config.provider = Some(Provider::Xvnc);
    config.size = Size {
        width: 1024,
        height: 768,
    };
    config
}

impl Fixture {
    fn new(change: impl FnOnce(&mut Config, &Path)) -> Self {
        Self::on(tempfile::tempdir().expect("a folder"), change)
    }

    fn on(folder: TempDir, change: impl FnOnce(&mut Config, &Path)) -> Self {
        let mut config = config(folder.path());
        change(&mut config, folder.path());
        let (shutdown, metrics) = (Shutdown::new(), Arc::new(Metrics::new()));
        let desktop = Desktop::spawn(config, &shutdown, metrics.clone());
        Self {
            folder,
            shutdown,
            metrics,
            desktop,
        }
    }

    async fn running(&self) -> Arc<Running> {
        self.desktop.running().await.expect("a desktop")
    }

    async fn until(&self, wanted: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.desktop.subscribe();
        tokio::time::timeout(PATIENCE, status.wait_for(wanted))
            .await
            .expect("in time")
            .expect("the driver lives")
            .clone()
    }

    /// Stops as the daemon does, and looks that nothing is left.
    async fn end(self) {
        let session = self
            .desktop
            .running_now()
            .map(|running| session_of(&running));
        let display = self.desktop.status().display;
        self.shutdown.stop();
        assert!(self.shutdown.drain(PATIENCE).await, "all tasks end");
        if let Some(session) = session {
            assert_nothing_left(self.folder.path(), &session, display.as_deref());
        }
    }
}

fn session_of(running: &Running) -> String {
    let (_, value) = running
        .environment
        .iter()
        .find(|(name, _)| name == MARKER)
        .expect("the mark");
    value.to_str().expect("ascii").to_owned()
}

fn assert_nothing_left(folder: &Path, session: &str, display: Option<&str>) {
    let left = procfs::marked(&Session::mark(session));
    assert!(left.is_empty(), "{left:?}");
    assert!(
        !folder
            .join("run")
            .join(format!("desktop-{session}"))
            .exists()
    );
    assert!(!folder.join("state/desktop/session.json").exists());
    if let Some(number) = display.map(|display| display.trim_start_matches(':')) {
        // Another test may have the number by now, with a server that answers.
        let socket = PathBuf::from(format!("/tmp/.X11-unix/X{number}"));
        let stale = socket.exists() && std::os::unix::net::UnixStream::connect(&socket).is_err();
        assert!(!stale, "{} is left", socket.display());
    }
}

fn process(pid: i32) -> Process {
    Process::adopt(pid, None).expect("a living process")
}

/// The window manager of a session.
fn window_manager(running: &Running) -> Process {
    let found = procfs::marked(&Session::mark(&session_of(running)));
    let named = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let found = found
        .iter()
        .find(|stat| named(stat.pid).trim() == "openbox");
    process(found.expect("openbox runs").pid)
}

fn program(running: &Running, name: &str, arguments: &[&str]) -> Process {
    let found = procfs::find_program(Path::new(name), b"/usr/bin:/bin").expect("the program");
    Spec::new(found)
        .arguments(arguments)
        .environment(&running.environment)
        .start()
        .expect("the program starts")
}

#[tokio::test]
async fn a_hundred_first_uses_start_one_desktop() {
    let fixture = Fixture::new(|_, _| {});
    assert_eq!(fixture.desktop.status().state, Phase::Stopped);
    let uses: Vec<_> = (0..100)
        .map(|_| {
            let desktop = fixture.desktop.clone();
            fixture
                .shutdown
                .spawn(async move { desktop.running().await })
        })
        .collect();
    let mut displays = Vec::new();
    for one in uses {
        let running = one.await.expect("no panic").expect("a desktop");
        displays.push((running.display.clone(), session_of(&running)));
    }
    displays.dedup();
    assert_eq!(displays.len(), 1, "{displays:?}");
    let sessions = fs::read_dir(fixture.folder.path().join("run")).expect("the folder");
    assert_eq!(sessions.count(), 1);
    fixture.desktop.start().await.expect("running is no error");
    let status = fixture.desktop.status();
    assert_eq!((status.state, status.restarts), (Phase::Running, 0));
    assert!(status.pid.is_some() && status.started_at.is_some());
    fixture.end().await;
}

#[tokio::test]
async fn nobody_gets_in_by_tcp_or_without_the_cookie() {
    let fixture = Fixture::new(|_, _| {});
    let running = fixture.running().await;
    let pid = fixture.desktop.status().pid.expect("a pid");
    let own: Vec<String> = fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("its descriptors")
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            Some(
                link.to_str()?
                    .strip_prefix("socket:[")?
                    .strip_suffix(']')?
                    .to_owned(),
            )
        })
        .collect();
    for table in ["tcp", "tcp6"] {
        let lines = fs::read_to_string(format!("/proc/net/{table}")).expect("the table");
        let ours = lines.lines().filter(|line| {
            line.split_whitespace()
                .nth(9)
                .is_some_and(|inode| own.iter().any(|one| one == inode))
        });
        assert_eq!(ours.count(), 0, "{table}");
    }
    let address = |cookie| deskd::desktop::x11::Address {
        display: running.display.clone(),
        cookie,
    };
    assert!(deskd::desktop::x11::connect(&address(None)).is_err());
    assert!(deskd::desktop::x11::connect(&address(Some([0; 16]))).is_err());
    fixture.end().await;
}

#[tokio::test]
async fn a_killed_x_server_comes_back() {
    let fixture = Fixture::new(|_, _| {});
    let first = fixture.running().await;
    let program = program(&first, "sleep", &["1000"]);
    let pid = fixture.desktop.status().pid.expect("a pid");
    process(pid).signal(Signal::KILL);
    tokio::time::timeout(PATIENCE, first.ended.cancelled())
        .await
        .expect("its users are told");
    let second = fixture.running().await;
    assert_ne!(session_of(&first), session_of(&second));
    tokio::time::timeout(PATIENCE, program.wait())
        .await
        .expect("its programs end");
    let status = fixture.desktop.status();
    assert_eq!((status.state, status.restarts), (Phase::Running, 1));
    assert_ne!(status.pid, Some(pid));
    assert_eq!(fixture.metrics.desktop_restarts.get(), 1);
    let error = status.last_error.expect("why it was restarted");
    assert!(error.message.contains("SIGKILL"), "{}", error.message);
    let left = procfs::marked(&Session::mark(&session_of(&first)));
    assert!(left.is_empty(), "{left:?}");
    fixture.end().await;
}

#[tokio::test]
async fn a_killed_window_manager_comes_back_alone() {
    let fixture = Fixture::new(|_, _| {});
    let running = fixture.running().await;
    let pid = fixture.desktop.status().pid;
    let old = window_manager(&running);
    old.signal(Signal::KILL);
    let root = deskd::desktop::x11::root::Root::open(&deskd::desktop::x11::Address {
        display: running.display.clone(),
        cookie: cookie(&running),
    })
    .expect("a connection");
    tokio::time::timeout(PATIENCE, old.ended())
        .await
        .expect("it dies");
    let back = deskd::desktop::readiness::managed(root, PATIENCE)
        .await
        .expect("the X server lives");
    assert!(back, "a window manager owns the root again");
    assert_ne!(window_manager(&running).pid(), old.pid());
    let status = fixture.desktop.status();
    assert_eq!(
        (status.state, status.pid, status.restarts),
        (Phase::Running, pid, 0)
    );
    assert!(!running.ended.is_cancelled());
    fixture.end().await;
}

fn cookie(running: &Running) -> Option<[u8; 16]> {
    let file = fs::read(running.xauthority.as_ref()?).expect("the cookie file");
    deskd::desktop::authority::find(&file, running.display.trim_start_matches(':'))
}

#[tokio::test]
async fn five_crashes_are_the_last_until_someone_starts_it() {
    let fixture = Fixture::new(|config, folder| {
        let text = format!(
            "[ -e {}/good ] && exec Xvnc \"$@\"\necho no such luck >&2\nexit 7",
            folder.display()
        );
        config.xvnc_bin = portabledesktop::script(&folder.join("server"), &text);
    });
    let error = fixture
        .desktop
        .running()
        .await
        .expect_err("it always crashes");
    let DesktopError::GaveUp {
        crashes,
        log_tail,
        source,
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!(crashes, 5);
    assert_eq!(log_tail, ["no such luck"; 5]);
    assert!(
        source.to_string().contains("exited with code 7"),
        "{source}"
    );
    let status = fixture.desktop.status();
    assert_eq!((status.state, status.restarts), (Phase::Failed, 4));
    assert_eq!(status.last_error.expect("the error").log_tail, log_tail);
    fs::write(fixture.folder.path().join("good"), "").expect("the cure");
    let again = fixture
        .desktop
        .running()
        .await
        .expect_err("a use does not try again");
    assert!(matches!(again, DesktopError::GaveUp { .. }), "{again}");
    fixture.desktop.start().await.expect("a start does");
    fixture.running().await;
    fixture.end().await;
}

/// Our sockets to this display.
fn connections(display: &str) -> Vec<RawFd> {
    use nix::sys::socket::{UnixAddr, getpeername};
    let path = PathBuf::from(format!(
        "/tmp/.X11-unix/X{}",
        display.trim_start_matches(':')
    ));
    fs::read_dir("/proc/self/fd")
        .expect("our descriptors")
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|number| {
            getpeername::<UnixAddr>(*number).is_ok_and(|peer| peer.path() == Some(&path))
        })
        .collect()
}

#[tokio::test]
async fn a_broken_connection_is_made_anew_without_a_restart() {
    let fixture = Fixture::new(|_, _| {});
    let first = fixture.running().await;
    let pid = fixture.desktop.status().pid;
    // One that was made for a moment may be gone by now.
    let broken = connections(&first.display)
        .into_iter()
        .filter(|fd| nix::sys::socket::shutdown(*fd, nix::sys::socket::Shutdown::Both).is_ok());
    assert!(broken.count() > 0);
    tokio::time::timeout(PATIENCE, first.attached.closed())
        .await
        .expect("it is noticed");
    // The handle changes under the same run.
    let second = tokio::time::timeout(PATIENCE, fixture.desktop.changed_from(&first)).await;
    let second = second.expect("in time").expect("a desktop");
    assert!(!first.ended.is_cancelled() && !second.ended.is_cancelled());
    let status = fixture.desktop.status();
    assert_eq!(
        (status.state, status.pid, status.restarts),
        (Phase::Running, pid, 0)
    );
    fixture.end().await;
}

#[tokio::test]
async fn stop_leaves_nothing_and_a_use_starts_again() {
    let fixture = Fixture::new(|_, _| {});
    fixture.desktop.stop().await.expect("stopped is no error");
    let running = fixture.running().await;
    let (session, display) = (session_of(&running), running.display.clone());
    let mut hidden = running.environment.clone();
    hidden.retain(|(name, _)| name == "PATH");
    let env = hidden
        .iter()
        .map(|(name, value)| format!("{}={}", name.display(), value.display()));
    let mut arguments = vec!["-i".to_owned()];
    arguments.extend(env);
    arguments.extend(["sh", "-c", "trap '' TERM; sleep 1000"].map(str::to_owned));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let deaf = program(&running, "env", &arguments);
    drop(program(&running, "xterm", &[]));
    fixture.desktop.stop().await.expect("it stops");
    assert_eq!(fixture.desktop.status().state, Phase::Stopped);
    assert!(running.ended.is_cancelled());
    assert_nothing_left(fixture.folder.path(), &session, Some(&display));
    deaf.stop(Duration::ZERO, std::future::ready(())).await;
    fixture.desktop.stop().await.expect("again is no error");
    fixture.running().await;
    fixture.desktop.restart().await.expect("a restart");
    assert_eq!(
        fixture.desktop.status().restarts,
        0,
        "asked for, not a crash"
    );
    fixture.end().await;
}

#[tokio::test]
async fn a_start_can_be_stopped_half_way() {
    let fixture = Fixture::new(|config, folder| {
        config.xvnc_bin = portabledesktop::script(&folder.join("server"), "exec sleep 1000");
    });
    let desktop = fixture.desktop.clone();
    let waiting = fixture
        .shutdown
        .spawn(async move { desktop.running().await });
    fixture
        .until(|status| status.state == Phase::Starting)
        .await;
    fixture.desktop.stop().await.expect("it stops");
    let error = waiting.await.expect("no panic").expect_err("stopped");
    assert!(matches!(error, DesktopError::Stopped), "{error}");
    let left = fs::read_dir(fixture.folder.path().join("run")).expect("the folder");
    assert_eq!(left.count(), 0);
    fixture.end().await;
}

#[tokio::test]
async fn what_hangs_is_named() {
    let fixture = Fixture::new(|config, folder| {
        config.limits.display = Duration::from_millis(50);
        config.xvnc_bin = portabledesktop::script(&folder.join("server"), "exec sleep 1000");
    });
    let error = fixture.desktop.running().await.expect_err("nothing comes");
    assert!(
        matches!(
            error,
            DesktopError::StartFailed {
                step: Step::Display,
                ..
            }
        ),
        "{error}"
    );
    fixture.end().await;
    let fixture = Fixture::new(|config, folder| {
        config.limits.window_manager = Duration::from_millis(50);
        config.window_manager_bin =
            portabledesktop::script(&folder.join("manager"), "exec sleep 1000");
    });
    let error = fixture.desktop.running().await.expect_err("nothing comes");
    assert!(
        matches!(
            error,
            DesktopError::StartFailed {
                step: Step::WindowManager,
                ..
            }
        ),
        "{error}"
    );
    fixture.end().await;
    let fixture = Fixture::new(|config, _| config.window_manager_bin = "no-such-program".into());
    let error = fixture.desktop.running().await.expect_err("nothing there");
    assert!(matches!(error, DesktopError::StartFailed { .. }), "{error}");
    assert!(
        fixture
            .desktop
            .status()
            .last_error
            .expect("it")
            .message
            .contains("no-such-program")
    );
    fixture.end().await;
}

#[tokio::test]
async fn off_is_off() {
    let fixture = Fixture::new(|config, _| config.mode = Mode::Off);
    let error = fixture.desktop.running().await.expect_err("off");
    assert!(matches!(error, DesktopError::Disabled), "{error}");
    fixture.end().await;
}

#[tokio::test]
async fn eager_starts_by_itself_and_nothing_starts_while_the_daemon_stops() {
    let fixture = Fixture::new(|config, _| config.mode = Mode::Eager);
    fixture.until(|status| status.state == Phase::Running).await;
    let desktop = fixture.desktop.clone();
    fixture.end().await;
    let error = desktop.running().await.expect_err("it stops");
    assert!(matches!(error, DesktopError::ShuttingDown), "{error}");
}

/// A daemon that dies without a word, and what it leaves: its folder, its session's id and environment, and a program.
struct Orphan {
    folder: TempDir,
    session: String,
    display: String,
    server: i32,
    manager: i32,
    program: i32,
}

fn orphan() -> Orphan {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let orphan = runtime.block_on(async {
        let fixture = Fixture::new(|_, _| {});
        let running = fixture.running().await;
        Orphan {
            session: session_of(&running),
            display: running.display.clone(),
            server: fixture.desktop.status().pid.expect("a pid"),
            manager: window_manager(&running).pid(),
            program: program(&running, "sleep", &["1000"]).pid(),
            folder: fixture.folder,
        }
    });
    // No task gets to run again.
    runtime.shutdown_background();
    orphan
}

#[test]
fn the_next_daemon_adopts_the_desktop() {
    let orphan = orphan();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let fixture = Fixture::on(orphan.folder, |_, _| {});
        let status = fixture.until(|status| status.state == Phase::Running).await;
        assert_eq!(status.display.as_deref(), Some(&*orphan.display));
        assert_eq!(status.pid, Some(orphan.server));
        let running = fixture.running().await;
        assert_eq!(session_of(&running), orphan.session);
        assert_eq!(window_manager(&running).pid(), orphan.manager);
        assert!(process(orphan.program).is_alive());
        // What happens to it is noticed, though it is not our child.
        let server = process(orphan.server);
        server.signal(Signal::KILL);
        tokio::time::timeout(PATIENCE, running.ended.cancelled())
            .await
            .expect("noticed");
        let next = fixture.running().await;
        assert_ne!(session_of(&next), orphan.session);
        fixture.end().await;
    });
}

#[test]
fn a_desktop_without_its_window_manager_gets_another_one() {
    let orphan = orphan();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let manager = process(orphan.manager);
        manager.signal(Signal::KILL);
        manager.wait().await;
        let fixture = Fixture::on(orphan.folder, |_, _| {});
        let running = fixture.running().await;
        assert_eq!(session_of(&running), orphan.session);
        assert_ne!(window_manager(&running).pid(), orphan.manager);
        fixture.end().await;
    });
}

#[test]
fn half_a_desktop_is_cleared_away() {
    let orphan = orphan();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let server = process(orphan.server);
        server.signal(Signal::KILL);
        server.wait().await;
        let fixture = Fixture::on(orphan.folder, |_, _| {});
        assert_eq!(
            fixture.desktop.status().state,
            Phase::Starting,
            "it is being looked at"
        );
        fixture.until(|status| status.state == Phase::Stopped).await;
        assert_nothing_left(
            fixture.folder.path(),
            &orphan.session,
            Some(&orphan.display),
        );
        fixture.running().await;
        fixture.end().await;
    });
}

#[tokio::test]
async fn portabledesktop_is_driven_by_its_command_line() {
    let fixture = Fixture::new(|config, folder| {
        config.provider = Some(Provider::Portabledesktop);
        config.portabledesktop_bin = portabledesktop::good(folder);
    });
    let running = fixture.running().await;
    assert_eq!(running.provider, Provider::Portabledesktop);
    assert!(
        matches!(&running.rfb, Some(deskd::desktop::RfbAddress::Tcp(address)) if address.ip().is_loopback())
    );
    let pid = fixture.desktop.status().pid.expect("the X server's");
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).expect("its name");
    assert!(
        name.starts_with("Xvnc") || name.starts_with("Xtigervnc"),
        "{name}"
    );
    fixture.end().await;
}

async fn portable_error(program: impl FnOnce(&Path) -> PathBuf) -> (DesktopError, Fixture) {
    let fixture = Fixture::new(|config, folder| {
        config.provider = Some(Provider::Portabledesktop);
        config.limits.announcement = Duration::from_millis(300);
        config.portabledesktop_bin = program(folder);
    });
    let error = fixture.desktop.running().await.expect_err("it misbehaves");
    (error, fixture)
}

#[tokio::test]
async fn portabledesktop_that_misbehaves_is_named() {
    let cases = [
        ("up and running", "no JSON"),
        (
            r#"{"display":7,"vncPort":0,"geometry":"1x1","xvncPid":1}"#,
            "vncPort = 0",
        ),
        (
            r#"{"display":7,"vncPort":5900,"geometry":"wide","xvncPid":1}"#,
            "geometry = \"wide\"",
        ),
        (
            r#"{"display":7,"vncPort":5900,"geometry":"1x1"}"#,
            "xvncPid = null",
        ),
        (
            r#"{"vncPort":5900,"geometry":"1x1","xvncPid":1}"#,
            "display = null",
        ),
    ];
    for (line, words) in cases {
        let (error, fixture) = portable_error(|folder| portabledesktop::saying(folder, line)).await;
        let DesktopError::StartFailed { source, .. } = error else {
            panic!("{error}");
        };
        assert!(source.to_string().contains(words), "{source}");
        assert_eq!(fixture.desktop.status().state, Phase::Failed);
        fixture.end().await;
    }
}

#[tokio::test]
async fn portabledesktop_that_hangs_or_ends_is_named() {
    let hangs = |folder: &Path| portabledesktop::script(&folder.join("hangs"), "exec sleep 1000");
    let (error, fixture) = portable_error(hangs).await;
    let DesktopError::StartFailed { source, .. } = error else {
        panic!("{error}");
    };
    assert!(
        matches!(
            &*source,
            StartError::TimedOut {
                step: Step::Display,
                ..
            }
        ),
        "{source}"
    );
    fixture.end().await;
    let ends = |folder: &Path| {
        portabledesktop::script(&folder.join("ends"), "echo no display for you >&2; exit 3")
    };
    let (error, fixture) = portable_error(ends).await;
    let DesktopError::GaveUp {
        source, log_tail, ..
    } = error
    else {
        panic!("{error}");
    };
    assert!(
        source
            .to_string()
            .contains("exited with code 3: no display for you"),
        "{source}"
    );
    assert_eq!(
        log_tail.last().map(String::as_str),
        Some("no display for you")
    );
    fixture.end().await;
}

#[tokio::test]
async fn programs_get_the_desktop_and_nothing_of_the_daemon() {
    let secret: (OsString, OsString) = ("DESKD_TOKEN".into(), "secret".into());
    let fixture = Fixture::new(|config, _| config.base_env.push(secret.clone()));
    let running = fixture.running().await;
    let program = program(&running, "sleep", &["1000"]);
    let environ = fs::read(format!("/proc/{}/environ", program.pid())).expect("its environment");
    let environ = String::from_utf8_lossy(&environ);
    for name in [
        "DISPLAY=:",
        "XAUTHORITY=/",
        "DBUS_SESSION_BUS_ADDRESS=unix:path=/",
    ] {
        assert!(
            environ.split('\0').any(|entry| entry.starts_with(name)),
            "{name}"
        );
    }
    assert!(!environ.contains("secret"));
    fixture.end().await;
}
