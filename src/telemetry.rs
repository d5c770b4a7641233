//! Log format, metrics registry, panic hook. A leaf: every module may use the metrics.

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{EnvFilter, fmt};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For a terminal.
    Text,
    /// One object a line.
    Json,
}

/// Stage of a screenshot, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Stage {
    /// From the request to pixels in shared memory.
    Grab,
    /// Crop and resize.
    Scale,
    /// Pixels to PNG, JPEG or WebP.
    Encode,
}

/// Label set of [`Metrics::screenshot_seconds`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct StageLabels {
    /// Which stage.
    pub stage: Stage,
}

/// What became of a ping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// The peer sent something.
    Ok,
    /// It did not, in time.
    Timeout,
    /// It left meanwhile.
    PeerClosed,
    /// We ended the stream meanwhile.
    Cancelled,
    /// The ping could not be sent.
    Error,
}

impl Probe {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Timeout => "timeout",
            Self::PeerClosed => "peer_closed",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }
}

/// Label set of [`Metrics::ws_probes`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProbeLabels {
    /// Route pattern.
    pub route: &'static str,
    /// What became of it.
    pub result: &'static str,
}

/// Counts and logs the pings of one WebSocket.
#[derive(Clone, Debug)]
pub struct Probes {
    route: &'static str,
    metrics: Arc<Metrics>,
}

impl Probes {
    /// Of a WebSocket of this route.
    pub fn new(route: &'static str, metrics: Arc<Metrics>) -> Self {
        Self { route, metrics }
    }

    /// A ping has come to its end.
    pub fn count(&self, probe: Probe) {
        let (route, result) = (self.route, probe.name());
        if probe == Probe::Error {
            tracing::warn!(route, result, "ping");
        } else {
            tracing::debug!(route, result, "ping");
        }
        let labels = ProbeLabels { route, result };
        self.metrics.ws_probes.get_or_create(&labels).inc();
    }
}

/// What a scan of a repository came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Scanned {
    /// All is told.
    Ok,
    /// There is no repository any more.
    Removed,
    /// It is not opened: its owner, its format.
    Refused,
    /// Part of it cannot be read.
    Failed,
    /// It took too long.
    Timeout,
}

/// Label set of [`Metrics::git_scan_seconds`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ScanLabels {
    /// What came of it.
    pub result: Scanned,
}

/// Raises a gauge for as long as it lives.
#[derive(Debug)]
pub struct Raised(Gauge<i64, AtomicI64>);

impl Raised {
    /// By one.
    pub fn new(gauge: &Gauge<i64, AtomicI64>) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Label set of [`Metrics::request_seconds`]; the route is the pattern, never the path, so the set is closed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// Method, or `OTHER`.
    pub method: String,
    /// Matched route pattern, or `unmatched`.
    pub route: String,
    /// Status code.
    pub status: u16,
}

/// Direction of relayed bytes, as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Direction {
    /// X server to viewer.
    ToViewer,
    /// Viewer to X server.
    ToServer,
}

/// Label set of [`Metrics::relay_bytes`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DirectionLabels {
    /// Which way.
    pub direction: Direction,
}

/// Makes histograms with buckets from 0.1 ms to 10 s.
#[derive(Clone, Debug)]
pub struct SecondsBuckets;

impl MetricConstructor<Histogram> for SecondsBuckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0,
        ])
    }
}

/// Histogram family in seconds.
pub type SecondsFamily<L> = Family<L, Histogram, SecondsBuckets>;

/// Every metric of the daemon. A value, not a global: several servers may live in one test process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Requests by route, method and status.
    pub request_seconds: SecondsFamily<RequestLabels>,
    /// Screenshots by stage.
    pub screenshot_seconds: SecondsFamily<StageLabels>,
    /// Steps injected (motions, presses, releases, characters).
    pub input_steps: Counter,
    /// Actions from their first step to the server's answer to the last.
    pub input_action_seconds: Histogram,
    /// Bytes relayed between viewers and the RFB server.
    pub relay_bytes: Family<DirectionLabels, Counter>,
    /// Pings of WebSockets by route and what became of them.
    pub ws_probes: Family<ProbeLabels, Counter>,
    /// Viewers connected now.
    pub viewers: Gauge<i64, AtomicI64>,
    /// Desktops running now (0 or 1).
    pub desktops: Gauge<i64, AtomicI64>,
    /// Times the desktop was started again after a crash.
    pub desktop_restarts: Counter,
    /// Pictures waiting for an encoder.
    pub encode_queue: Gauge<i64, AtomicI64>,
    /// Refused authentications.
    pub auth_failures: Counter,
    /// Starts of processes, from the request to exec.
    pub process_start_seconds: Histogram,
    /// Processes that have not exited.
    pub processes: Gauge<i64, AtomicI64>,
    /// Clients that watch files now.
    pub file_watchers: Gauge<i64, AtomicI64>,
    /// Scans of watched repositories by what came of them.
    pub git_scan_seconds: SecondsFamily<ScanLabels>,
    /// Repositories that wait for a free worker.
    pub git_scan_queue: Gauge<i64, AtomicI64>,
    /// Requests about repositories that are being worked on.
    pub git_requests: Gauge<i64, AtomicI64>,
    /// Repositories that have a scanner.
    pub git_repositories: Gauge<i64, AtomicI64>,
    /// Connections that watch repositories now.
    pub git_watchers: Gauge<i64, AtomicI64>,
    /// Directories of repositories whose changes the system notifies.
    pub git_watches: Gauge<i64, AtomicI64>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// A fresh registry with every metric at zero.
    pub fn new() -> Self {
        let request_seconds = SecondsFamily::new_with_constructor(SecondsBuckets);
        let screenshot_seconds = SecondsFamily::new_with_constructor(SecondsBuckets);
        let mut metrics = Self {
            request_seconds,
            screenshot_seconds,
            input_steps: Counter::default(),
            input_action_seconds: SecondsBuckets.new_metric(),
            relay_bytes: Family::default(),
            ws_probes: Family::default(),
            viewers: Gauge::default(),
            desktops: Gauge::default(),
            desktop_restarts: Counter::default(),
            encode_queue: Gauge::default(),
            auth_failures: Counter::default(),
            process_start_seconds: SecondsBuckets.new_metric(),
            processes: Gauge::default(),
            file_watchers: Gauge::default(),
            git_scan_seconds: SecondsFamily::new_with_constructor(SecondsBuckets),
            git_scan_queue: Gauge::default(),
            git_requests: Gauge::default(),
            git_repositories: Gauge::default(),
            git_watchers: Gauge::default(),
            git_watches: Gauge::default(),
            registry: Registry::default(),
        };
        metrics.registry = metrics.registered();
        metrics
    }

    /// A registry that has every one of them by its name.
    fn registered(&self) -> Registry {
        let mut registry = Registry::default();
        let (r, m) = (&mut registry, self);
        r.register_with_unit(
            "deskd_http_request",
            "HTTP requests by route",
            Unit::Seconds,
            m.request_seconds.clone(),
        );
        r.register_with_unit(
            "deskd_screenshot",
            "Screenshots by stage",
            Unit::Seconds,
            m.screenshot_seconds.clone(),
        );
        let steps = m.input_steps.clone();
        r.register("deskd_input_steps", "Input steps injected", steps);
        r.register_with_unit(
            "deskd_input_action",
            "Input actions",
            Unit::Seconds,
            m.input_action_seconds.clone(),
        );
        r.register_with_unit(
            "deskd_relay",
            "Bytes relayed to and from viewers",
            Unit::Bytes,
            m.relay_bytes.clone(),
        );
        let probes = m.ws_probes.clone();
        r.register("deskd_ws_probes", "Pings of WebSockets", probes);
        r.register(
            "deskd_desktop_viewers",
            "Viewers connected",
            m.viewers.clone(),
        );
        r.register(
            "deskd_desktop_running",
            "Desktops running",
            m.desktops.clone(),
        );
        r.register(
            "deskd_desktop_restarts",
            "Desktop restarts after a crash",
            m.desktop_restarts.clone(),
        );
        r.register(
            "deskd_encode_queue_depth",
            "Pictures waiting for an encoder",
            m.encode_queue.clone(),
        );
        r.register(
            "deskd_auth_failures",
            "Refused authentications",
            m.auth_failures.clone(),
        );
        r.register_with_unit(
            "deskd_process_start",
            "Starts of processes",
            Unit::Seconds,
            m.process_start_seconds.clone(),
        );
        r.register(
            "deskd_processes",
            "Processes that have not exited",
            m.processes.clone(),
        );
        m.register_files(r);
        m.register_git(r);
        registry
    }

    fn register_files(&self, registry: &mut Registry) {
        registry.register(
            "deskd_files_watchers",
            "Clients that watch files",
            self.file_watchers.clone(),
        );
    }

    fn register_git(&self, registry: &mut Registry) {
        registry.register_with_unit(
            "deskd_git_scan",
            "Scans of watched repositories by result",
            Unit::Seconds,
            self.git_scan_seconds.clone(),
        );
        for (name, help, gauge) in [
            (
                "deskd_git_scan_queue_depth",
                "Repositories that wait for a worker",
                &self.git_scan_queue,
            ),
            (
                "deskd_git_requests",
                "Requests about repositories in progress",
                &self.git_requests,
            ),
            (
                "deskd_git_repositories",
                "Repositories that are watched",
                &self.git_repositories,
            ),
            (
                "deskd_git_watchers",
                "Connections that watch repositories",
                &self.git_watchers,
            ),
            (
                "deskd_git_watches",
                "Directories of repositories that the system watches",
                &self.git_watches,
            ),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// A scan has ended.
    pub fn count_scan(&self, result: Scanned, took: Duration) {
        let labels = ScanLabels { result };
        let histogram = self.git_scan_seconds.get_or_create(&labels);
        histogram.observe(took.as_secs_f64());
    }

    /// The registry in OpenMetrics text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a String cannot fail");
        text
    }
}

/// Log lines that may wait for a slow reader; further ones are dropped and counted.
const LOG_QUEUE: usize = 8192;

/// Flushes the log when dropped, at the very end of the daemon.
#[derive(Debug)]
pub struct LogGuard(#[expect(dead_code, reason = "held for its drop")] WorkerGuard);

/// Libraries that tell at `debug` and `trace` what clients sent: patterns, frames, headers, messages. At no level is that logged.
const DISCREET: [&str; 10] = [
    "globset",
    "grep_regex",
    "grep_searcher",
    "h2",
    "hyper",
    "hyper_util",
    "ignore",
    "rmcp",
    "tokio_tungstenite",
    "tungstenite",
];

/// The wished filter, or `info`, without what it says of those libraries.
fn discreet(wished: &str) -> String {
    let of_theirs = |wish: &str| DISCREET.iter().any(|name| wish.starts_with(name));
    let wishes = wished.split(',').map(str::trim);
    let mut kept: Vec<_> = wishes
        .filter(|wish| !wish.is_empty() && !of_theirs(wish))
        .collect();
    // A filter of the libraries alone would leave out all the rest.
    if kept.is_empty() {
        kept.push("info");
    }
    let quiet = DISCREET.map(|name| format!("{name}=warn"));
    format!("{},{}", kept.join(","), quiet.join(","))
}

/// Starts the log on standard error and makes panics lines of it. The daemon's requests never wait for the log.
pub fn init(format: LogFormat, filter: Option<&str>, colour: bool) -> LogGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(LOG_QUEUE)
        .lossy(true)
        .thread_name("log")
        .finish(std::io::stderr());
    let filter = EnvFilter::builder().parse_lossy(discreet(filter.unwrap_or_default()));
    let colours = colour && std::io::IsTerminal::is_terminal(&std::io::stderr());
    let lines = fmt().with_env_filter(filter).with_writer(writer);
    match format {
        LogFormat::Text => lines.with_ansi(colours).with_target(false).init(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no message");
        tracing::error!(place, text, "panic");
    }));
    LogGuard(guard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wish_makes_the_libraries_tell_what_clients_sent() {
        let unsaid = discreet("");
        let quiet = unsaid.strip_prefix("info").expect("what is told by itself");
        assert!(quiet.contains("rmcp=warn") && quiet.contains("tungstenite=warn"));
        assert_eq!(discreet("trace"), format!("trace{quiet}"));
        assert_eq!(discreet(" rmcp=trace ,"), unsaid);
        let wished = "deskd=debug, rmcp=trace,rmcp::service=debug";
        assert_eq!(discreet(wished), format!("deskd=debug{quiet}"));
    }
}
