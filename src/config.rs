//! The only reader of flags, environment and file: flag, then `DESKD_<FLAG>`, then the TOML file, then the default.
//!
//! The file layer becomes the command line parser's defaults, so one parser checks every layer and
//! words every error. What a value came from is asked from the parser, not remembered.

pub mod client;
pub mod files;
pub mod git;
mod layers;
pub mod mcp;
pub mod process;

use std::{
    ffi::OsString,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::{Args, ValueEnum};

use crate::{
    api::ws::Liveness,
    desktop::{self, geometry::Size, provider::Provider},
    proc::{self, table::Retention},
    telemetry::LogFormat,
    vfs::setup,
};

pub use self::layers::{Environment, effective, parse_with_file};
use self::{files::FileArgs, git::GitArgs, mcp::McpArgs, process::ProcessArgs};

/// Flags of `deskd serve`, each also an environment variable and a key of the file.
#[derive(Args, Clone, Debug)]
pub struct ServeArgs {
    /// Address to listen on; port 0 picks one; repeatable
    #[arg(
        long,
        env = "DESKD_LISTEN",
        value_name = "ADDR:PORT",
        default_value = "127.0.0.1:7380",
        value_delimiter = ','
    )]
    pub listen: Vec<SocketAddr>,
    /// Unix socket to listen on [default: deskd.sock in the runtime directory]
    #[arg(long, env = "DESKD_SOCKET", value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// File descriptor that gets a line when all listeners accept
    #[arg(long, env = "DESKD_READY_FD", value_name = "N")]
    pub ready_fd: Option<i32>,
    /// Directory for what outlives the daemon: token, session, logs
    #[arg(long, env = "DESKD_STATE_DIR", value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Directory for sockets and cookies
    #[arg(long, env = "DESKD_RUNTIME_DIR", value_name = "DIR")]
    pub runtime_dir: Option<PathBuf>,
    /// Configuration file [default: deskd/config.toml in the XDG config directory]
    #[arg(long, env = "DESKD_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// File with the token, mode 0600 [default: made at first start in the state directory]
    #[arg(long, env = "DESKD_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Ask for no token; only with every TCP listener on loopback
    #[arg(long, env = "DESKD_NO_AUTH")]
    pub no_auth: bool,
    /// Host name that requests may name beside loopback and the listen address; repeatable
    #[arg(
        long,
        env = "DESKD_ALLOWED_HOST",
        value_name = "HOST",
        value_delimiter = ','
    )]
    pub allowed_host: Vec<String>,
    /// Origin that browsers may come from beside our own; repeatable
    #[arg(
        long,
        env = "DESKD_ALLOWED_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    pub allowed_origin: Vec<String>,
    /// When the desktop starts
    #[arg(long, env = "DESKD_DESKTOP", value_enum, default_value = "lazy")]
    pub desktop: DesktopMode,
    /// What runs the desktop
    #[arg(
        long,
        env = "DESKD_DESKTOP_PROVIDER",
        value_enum,
        default_value = "auto"
    )]
    pub desktop_provider: ProviderChoice,
    /// Native size of the desktop in pixels
    #[arg(long, env = "DESKD_DESKTOP_SIZE", value_name = "WxH", default_value = "1920x1080", value_parser = parse_size)]
    pub desktop_size: Size,
    /// The portabledesktop program [default: found in PATH]
    #[arg(long, env = "DESKD_PORTABLEDESKTOP_BIN", value_name = "FILE")]
    pub portabledesktop_bin: Option<PathBuf>,
    /// Display of the existing desktop, for the provider `host`
    #[arg(long, env = "DESKD_HOST_DISPLAY", value_name = "DISPLAY")]
    pub host_display: Option<String>,
    /// RFB server of the existing desktop, for the provider `host`
    #[arg(long, env = "DESKD_HOST_VNC", value_name = "ADDR:PORT")]
    pub host_vnc: Option<SocketAddr>,
    /// Longest time that a key or button stays held, in seconds
    #[arg(long, env = "DESKD_MAX_HOLD", value_name = "SECONDS", default_value = "300", value_parser = parse_seconds)]
    pub max_hold: Duration,
    /// Time between pings of a WebSocket, in seconds
    #[arg(long, env = "DESKD_WS_PING_INTERVAL", value_name = "SECONDS", default_value = "15", value_parser = parse_seconds)]
    pub ws_ping_interval: Duration,
    /// Time for the answer to a ping, in seconds
    #[arg(long, env = "DESKD_WS_PING_TIMEOUT", value_name = "SECONDS", default_value = "15", value_parser = parse_seconds)]
    pub ws_ping_timeout: Duration,
    /// Time for an orderly stop, in seconds
    #[arg(long, env = "DESKD_SHUTDOWN_TIMEOUT", value_name = "SECONDS", default_value = "10", value_parser = parse_seconds)]
    pub shutdown_timeout: Duration,
    /// Form of the log lines
    #[arg(long, env = "DESKD_LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
    #[command(flatten)]
    pub process: ProcessArgs,
    #[command(flatten)]
    pub files: FileArgs,
    #[command(flatten)]
    pub git: GitArgs,
    #[command(flatten)]
    pub mcp: McpArgs,
}

/// When the desktop starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DesktopMode {
    /// Never: its routes answer 503.
    Off,
    /// On first use.
    Lazy,
    /// With the daemon.
    Eager,
}

/// What runs the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProviderChoice {
    /// The first that this machine can run.
    Auto,
    /// Xvnc and openbox of the distribution.
    Xvnc,
    /// The portabledesktop program.
    Portabledesktop,
    /// A desktop that exists already.
    Host,
}

/// The effective configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// TCP listeners.
    pub listen: Vec<SocketAddr>,
    /// Unix socket.
    pub socket: PathBuf,
    /// Descriptor for the ready line.
    pub ready_fd: Option<i32>,
    /// systemd's notification socket.
    pub notify_socket: Option<OsString>,
    /// What outlives the daemon.
    pub state_dir: PathBuf,
    /// Sockets and cookies.
    pub runtime_dir: PathBuf,
    /// A token file that the operator wrote, or `None` for ours.
    pub token_file: Option<PathBuf>,
    /// Ask for no token.
    pub no_auth: bool,
    /// Hosts beside loopback and the listen address.
    pub allowed_hosts: Vec<String>,
    /// Origins beside our own.
    pub allowed_origins: Vec<String>,
    /// The desktop's part.
    pub desktop: desktop::Config,
    /// The part of processes.
    pub process: proc::Config,
    /// The part of files.
    pub files: setup::Config,
    /// The part of repositories.
    pub git: crate::git::service::Config,
    /// The part of the Model Context Protocol.
    pub mcp: crate::api::mcp::Settings,
    /// When peers of WebSockets are asked whether they live.
    pub liveness: Liveness,
    /// Time for an orderly stop.
    pub shutdown_timeout: Duration,
    /// Form of the log lines.
    pub log_format: LogFormat,
    /// `RUST_LOG`.
    pub log_filter: Option<String>,
    /// Whether `NO_COLOR` is unset.
    pub colour: bool,
}

/// One line of `deskd config`.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Flag name without dashes in front.
    pub name: String,
    /// Effective value as it would be typed.
    pub value: String,
    /// `flag`, `environment`, `file` or `default`.
    pub source: &'static str,
}

/// Why the configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line, a variable or a value in the file does not parse; also `--help` and `--version`.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// The file cannot be read.
    #[error("failed to read the configuration file {path}")]
    ReadFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not valid TOML")]
    ParseFile {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// The file has a key that is no setting.
    #[error("unknown key `{key}` in {path}; `deskd config` prints the known ones")]
    UnknownKey {
        /// The key as written.
        key: String,
        /// Which file.
        path: PathBuf,
    },
    /// A key has a table or a date where a value is due.
    #[error("the key `{key}` in {path} must be a string, a number, a boolean or a list of them")]
    WrongType {
        /// The key as written.
        key: String,
        /// Which file.
        path: PathBuf,
    },
    /// A variable with our prefix is no setting.
    #[error(
        "unknown environment variable `{name}`; settings are named after the flags, as in DESKD_LISTEN"
    )]
    UnknownVariable {
        /// The variable.
        name: String,
    },
    /// `--no-auth` with a listener that others can reach.
    #[error(
        "--no-auth is refused: {listener} is not a loopback address; drop --no-auth or listen on 127.0.0.1"
    )]
    NoAuthOffLoopback {
        /// The listener.
        listener: SocketAddr,
    },
    /// No directory can be derived.
    #[error("no {what} directory: set HOME, or --{what}-dir")]
    NoDirectory {
        /// `state` or `runtime`.
        what: &'static str,
    },
}

impl Config {
    /// Checks the settings against each other and derives the directories.
    pub fn resolve(args: ServeArgs, environment: &Environment) -> Result<Self, ConfigError> {
        if let Some(open) = args
            .listen
            .iter()
            .find(|a| args.no_auth && !a.ip().is_loopback())
        {
            return Err(ConfigError::NoAuthOffLoopback { listener: *open });
        }
        let state_dir = match args.state_dir.clone() {
            Some(dir) => dir,
            None => state_dir(environment).ok_or(ConfigError::NoDirectory { what: "state" })?,
        };
        let runtime_dir = args
            .runtime_dir
            .clone()
            .unwrap_or_else(|| runtime_dir(environment));
        Ok(Self {
            socket: args
                .socket
                .clone()
                .unwrap_or_else(|| runtime_dir.join("deskd.sock")),
            notify_socket: environment.get("NOTIFY_SOCKET").cloned(),
            log_filter: environment
                .get("RUST_LOG")
                .map(|f| f.to_string_lossy().into_owned()),
            colour: environment.get("NO_COLOR").is_none(),
            desktop: desktop_config(&args, environment, &state_dir, &runtime_dir),
            process: process_config(&args, environment, &state_dir),
            files: files::config(&args.files, environment, &state_dir, &runtime_dir),
            git: git::config(
                &args.git,
                environment,
                args.process.process_user.as_deref(),
                &runtime_dir,
            ),
            mcp: mcp::config(&args.mcp, args.desktop_size),
            listen: args.listen,
            ready_fd: args.ready_fd,
            state_dir,
            runtime_dir,
            token_file: args.token_file,
            no_auth: args.no_auth,
            allowed_hosts: args.allowed_host,
            allowed_origins: args.allowed_origin,
            liveness: Liveness {
                ping_every: args.ws_ping_interval,
                pong_within: args.ws_ping_timeout,
            },
            shutdown_timeout: args.shutdown_timeout,
            log_format: args.log_format,
        })
    }
}

fn state_dir(environment: &Environment) -> Option<PathBuf> {
    let home = || Some(environment.path("HOME")?.join(".local/state"));
    let base = environment.path("XDG_STATE_HOME").or_else(home)?;
    Some(base.join("deskd"))
}

fn runtime_dir(environment: &Environment) -> PathBuf {
    environment.path("XDG_RUNTIME_DIR").map_or_else(
        || temp_dir(environment).join(format!("deskd-{}", nix::unistd::getuid())),
        |base| base.join("deskd"),
    )
}

fn desktop_config(
    args: &ServeArgs,
    environment: &Environment,
    state_dir: &Path,
    runtime_dir: &Path,
) -> desktop::Config {
    let usual = desktop::Config::new(
        state_dir.to_owned(),
        runtime_dir.to_owned(),
        environment.pairs(),
    );
    desktop::Config {
        mode: match args.desktop {
            DesktopMode::Off => desktop::Mode::Off,
            DesktopMode::Lazy => desktop::Mode::Lazy,
            DesktopMode::Eager => desktop::Mode::Eager,
        },
        provider: match args.desktop_provider {
            ProviderChoice::Auto => None,
            ProviderChoice::Xvnc => Some(Provider::Xvnc),
            ProviderChoice::Portabledesktop => Some(Provider::Portabledesktop),
            ProviderChoice::Host => Some(Provider::Host),
        },
        size: args.desktop_size,
        max_hold: args.max_hold,
        portabledesktop_bin: args
            .portabledesktop_bin
            .clone()
            .unwrap_or(usual.portabledesktop_bin),
        host_display: args.host_display.clone(),
        host_vnc: args.host_vnc,
        ..usual
    }
}

fn process_config(args: &ServeArgs, environment: &Environment, state_dir: &Path) -> proc::Config {
    let process = &args.process;
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    proc::Config {
        keep_display: args.desktop_provider == ProviderChoice::Host,
        env: process.process_env.clone(),
        limits: process.limits(),
        workdir: process.process_workdir.clone(),
        user: process.process_user.clone(),
        nice: process.process_nice,
        oom_score: process.process_oom_score,
        umask: process.process_umask,
        grace: process.process_grace,
        spool_bytes: process.process_spool_bytes,
        spool_total: process.process_spool_total,
        retention: Retention {
            plain_ns: nanos(process.process_retention),
            token_ns: nanos(process.process_token_retention),
        },
        ..proc::Config::new(state_dir, environment.pairs())
    }
}

fn temp_dir(environment: &Environment) -> PathBuf {
    environment
        .path("TMPDIR")
        .unwrap_or_else(|| PathBuf::from("/tmp"))
}

fn parse_size(text: &str) -> Result<Size, String> {
    let parsed = text.split_once(['x', 'X']).and_then(|(width, height)| {
        Some(Size {
            width: width.parse().ok()?,
            height: height.parse().ok()?,
        })
    });
    let size = parsed.ok_or("expected WIDTHxHEIGHT in pixels, as in 1920x1080")?;
    let range = desktop::geometry::SIDE_RANGE;
    if !range.contains(&size.width) || !range.contains(&size.height) {
        return Err(format!(
            "each side must be {} to {} pixels",
            range.start(),
            range.end()
        ));
    }
    Ok(size)
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "expected a number of seconds, as in 10 or 0.5")?;
    if !(seconds > 0.0 && seconds <= 86_400.0) {
        return Err("must be more than 0 and at most 86400 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
