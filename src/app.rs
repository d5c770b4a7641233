//! Composition root: config, then handles, then router, then serve, then drain.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    net::{TcpListener, UnixListener},
    signal::unix::{SignalKind, signal},
};

use crate::{
    api::{self, ApiState, Auth, Listener, Server},
    chat::{self, Chats},
    config::{Config, client::SOCKET_LINK},
    desktop::{Desktop, viewers::Viewers},
    git::Git,
    proc::{Moment, Observer, Processes},
    shutdown::Shutdown,
    sys::{
        lock::{self, LockError},
        notify,
        private::{self, PrivateError},
        reaper::{self, Reaper},
    },
    telemetry::{self, Metrics},
    toolcall::ToolCalls,
    vfs::setup::{self, SetupError},
};

/// Why the daemon did not start, or did not end in order.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// A directory or the token file cannot be used.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// Another daemon uses the state directory.
    #[error("failed to take the state directory")]
    Lock(#[source] LockError),
    /// The token file holds too little.
    #[error("the token in {path} is shorter than 16 characters")]
    WeakToken {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no random bytes.
    #[error("failed to make a token: {0}")]
    Random(getrandom::Error),
    /// An address cannot be listened on.
    #[error("failed to listen on {address}")]
    Listen {
        /// Address or path.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// A live daemon has the socket.
    #[error("{path} is the socket of a daemon that is running")]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// There is no tree of files.
    #[error("failed to set up the tree of files")]
    Files(#[source] SetupError),
    /// The runtime or the signal handlers cannot be made.
    #[error("failed to start the runtime")]
    Runtime(#[source] io::Error),
    /// The environment cannot name the foreign display.
    #[cfg(feature = "host")]
    #[error("failed to point the environment at the display")]
    Environment(#[source] io::Error),
    /// Whoever waits for us cannot be told.
    #[error("failed to say that the daemon is ready on {target}")]
    Ready {
        /// Where.
        target: &'static str,
        /// Why.
        source: io::Error,
    },
}

/// Runs the daemon until a signal stops it.
pub fn serve(config: Config) -> Result<(), AppError> {
    #[cfg(feature = "host")]
    crate::desktop::provider::host::prepare(&config.desktop).map_err(AppError::Environment)?;
    let _log = telemetry::init(
        config.log_format,
        config.log_filter.as_deref(),
        config.colour,
    );
    crate::sys::limits::raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(AppError::Runtime)?;
    let result = runtime.block_on(run(config));
    // Whatever still blocks in a pool thread must not hold the exit.
    runtime.shutdown_timeout(Duration::from_millis(200));
    result
}

async fn run(config: Config) -> Result<(), AppError> {
    private::directory(&config.state_dir)?;
    let _lock = lock::take(&config.state_dir.join("deskd.lock")).map_err(AppError::Lock)?;
    private::directory(&config.runtime_dir)?;
    let token = (!config.no_auth).then(|| load_token(&config)).transpose()?;
    let vfs = setup::open(&config.files).map_err(AppError::Files)?;
    let shutdown = Shutdown::new();
    shutdown.spawn(vfs.clone().keep_swept(shutdown.clone()));
    watch_signals(&shutdown)?;
    // Before the first child, so that no orphan of one goes elsewhere.
    reaper::adopt_orphans().map_err(AppError::Runtime)?;
    Shutdown::spawn_detached(Reaper::new().map_err(AppError::Runtime)?.run());
    let listeners = Listeners::bind(&config).await?;
    let link = link_socket(&config);

    let metrics = Arc::new(Metrics::new());
    let desktop = Desktop::spawn(config.desktop.clone(), &shutdown, Arc::clone(&metrics));
    let viewers = Viewers::new(Arc::clone(&metrics));
    let folder = chat::folder(&config.state_dir);
    private::directory(&folder)?;
    let chats = Chats::open(folder, &shutdown).map_err(AppError::Runtime)?;
    let processes = Processes::open(
        config.process.clone(),
        &shutdown,
        Arc::clone(&metrics),
        observer(chats.clone()),
    )
    .await;
    let state = ApiState::new(
        door(&config, token.as_deref()),
        listeners.addresses.iter().copied().map(reachable).collect(),
        chats.clone(),
        config.liveness,
        desktop,
        viewers,
        processes,
        vfs,
        Git::new(config.git.clone(), &shutdown, Arc::clone(&metrics)),
        ToolCalls::new(),
        metrics,
        shutdown.clone(),
    );
    let server = Server::new(api::router(state, config.mcp), shutdown.clone());

    let addresses = listeners.addresses.clone();
    for listener in listeners.all {
        shutdown.spawn(server.clone().run(listener));
    }
    let announced = announce(&config, &addresses, token.as_deref());
    if announced.is_err() {
        shutdown.stop(); // in order: a desktop may have started already
    }

    shutdown.stopped().await;
    tracing::info!("stopping");
    let _ = notify_systemd(&config, "STOPPING=1");
    let in_order = shutdown.drain(config.shutdown_timeout).await;
    chats.save().await;
    if in_order {
        tracing::info!("stopped");
    } else {
        tracing::error!("some tasks did not end within the shutdown timeout");
    }
    let _ = std::fs::remove_file(link);
    let _ = std::fs::remove_file(&config.socket);
    announced
}

/// The rules of the door.
fn door(config: &Config, token: Option<&str>) -> Auth {
    let (hosts, origins) = (&config.allowed_hosts, &config.allowed_origins);
    Auth::new(token, hosts.clone(), origins.clone())
}

/// A chat worked on the directory that it named for a process, when that starts and when it ends.
fn observer(chats: Chats) -> Observer {
    Observer::new(move |facts, moment| {
        let Some(chat) = facts.chat else { return };
        let named = facts.named_workdir.then_some(facts.workdir.as_bytes());
        if named.is_some() || moment == Moment::Ended {
            chats.worked_on(chat, &facts.ancestors, named);
        }
    })
}

/// The first signal stops in order, the second without grace.
fn watch_signals(shutdown: &Shutdown) -> Result<(), AppError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(AppError::Runtime)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(AppError::Runtime)?;
    let watched = shutdown.clone();
    // Not awaited by the drain: it watches for the second signal until the very end.
    Shutdown::spawn_detached(async move {
        let mut signals = 0_u32;
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            signals += 1;
            if signals == 1 {
                watched.stop();
            } else {
                watched.hurry();
            }
        }
    });
    Ok(())
}

/// The operator's token, or ours: made at the first start, 256 random bits.
fn load_token(config: &Config) -> Result<String, AppError> {
    let (path, make) = match &config.token_file {
        Some(path) => (path.clone(), false),
        None => (config.state_dir.join("token"), true),
    };
    if make && !path.exists() {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(AppError::Random)?;
        private::write_secret(&path, &hex(&bytes))?;
    }
    let token = private::read_secret(&path)?;
    if token.len() < 16 {
        return Err(AppError::WeakToken { path });
    }
    Ok(token)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

struct Listeners {
    all: Vec<Listener>,
    addresses: Vec<SocketAddr>,
}

impl Listeners {
    async fn bind(config: &Config) -> Result<Self, AppError> {
        let mut all = vec![Listener::Unix(bind_socket(&config.socket).await?)];
        let mut addresses = Vec::new();
        for address in &config.listen {
            let failed = |source| AppError::Listen {
                address: address.to_string(),
                source,
            };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            addresses.push(listener.local_addr().map_err(failed)?);
            all.push(Listener::Tcp(listener));
        }
        Ok(Self { all, addresses })
    }
}

/// A link to the socket in the state directory, for clients whose session has another runtime directory than we.
fn link_socket(config: &Config) -> PathBuf {
    let link = config.state_dir.join(SOCKET_LINK);
    let _ = std::fs::remove_file(&link); // of a daemon that was killed
    let target = std::path::absolute(&config.socket);
    let linked = target.and_then(|target| std::os::unix::fs::symlink(target, &link));
    if let Err(error) = linked {
        tracing::warn!(%error, "no link to the socket in the state directory");
    }
    link
}

/// Binds the Unix socket with mode 0600; a stale one is dialled first, then replaced.
async fn bind_socket(path: &Path) -> Result<UnixListener, AppError> {
    let failed = |source| AppError::Listen {
        address: path.display().to_string(),
        source,
    };
    match tokio::net::UnixStream::connect(path).await {
        Ok(_) => {
            return Err(AppError::SocketInUse {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        Err(_) => {} // nothing there; anything else is told by the bind
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // The directory is 0700 when it is ours; the mode matters when the operator chose another place.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Says that every listener accepts. The token stands in the viewer's address only for a person at a terminal.
fn announce(
    config: &Config,
    addresses: &[SocketAddr],
    token: Option<&str>,
) -> Result<(), AppError> {
    let mut stdout = io::stdout().lock();
    // Whoever read the first line may have gone: no reason to end.
    let mut say = |line: String| {
        if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
            tracing::warn!(%error, "nobody reads standard output");
        }
    };
    for address in addresses {
        say(format!("deskd listening on http://{address}"));
    }
    let page = addresses
        .first()
        .map(|address| format!("http://{}/", reachable(*address)));
    match (page, token) {
        (Some(page), Some(token)) if io::stdout().is_terminal() => {
            say(format!("deskd viewer at {page}?token={token}"));
        }
        (Some(page), Some(_)) => {
            let file = config
                .token_file
                .clone()
                .unwrap_or_else(|| config.state_dir.join("token"));
            say(format!(
                "deskd viewer at {page} (token in {})",
                file.display()
            ));
        }
        (Some(page), None) => say(format!("deskd viewer at {page}")),
        (None, _) => {}
    }
    if let Some(fd) = config.ready_fd {
        let first = addresses
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        notify::ready_fd(fd, &format!("http://{first}")).map_err(|source| AppError::Ready {
            target: "the descriptor of --ready-fd",
            source,
        })?;
    }
    notify_systemd(config, "READY=1").map_err(|source| AppError::Ready {
        target: "NOTIFY_SOCKET",
        source,
    })
}

/// An address that a browser on this machine can open.
fn reachable(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let loopback: IpAddr = if address.is_ipv4() {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    };
    SocketAddr::new(loopback, address.port())
}

fn notify_systemd(config: &Config, state: &str) -> io::Result<()> {
    config
        .notify_socket
        .as_ref()
        .map_or(Ok(()), |socket| notify::systemd(socket, state))
}
