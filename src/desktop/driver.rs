//! The one task that owns the desktop. What happened to the desktop is taken before what someone asks of it; the work
//! itself (launching, clearing) is done by tasks that report back, so that the driver always listens.

mod publish;

use std::{sync::Arc, time::Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::{
    Config, Mode, Running, StartError, Status,
    attach::{Attached, attach},
    gate::Gate,
    launch::{self, Context, Live},
    provider::Provider,
    state::{Effect, Event, Machine, Now, Phase, Request, Retry, Verdict},
};
use crate::{
    shutdown::Shutdown,
    sys::{
        child::{Ending, Process},
        logfile,
    },
    telemetry::Metrics,
};

/// What someone asks for.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) request: Request,
    pub(super) reply: oneshot::Sender<Verdict>,
}

/// What those who wait for the desktop look at.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) phase: Phase,
    pub(super) retry: Option<Retry>,
    pub(super) running: Option<Arc<Running>>,
    pub(super) failure: Option<Arc<StartError>>,
}

/// What tasks report back. `run` tells which life of the desktop they speak of.
enum Fact {
    Launched(Box<Live>),
    LaunchFailed(StartError),
    NotAdopted,
    Cleared,
    Exited {
        run: u64,
        program: Program,
        ending: Ending,
    },
    WindowManager {
        run: u64,
        result: Result<Arc<Process>, StartError>,
    },
    Lost {
        run: u64,
        link: u64,
        reason: String,
    },
    Attached {
        run: u64,
        result: Result<Attached, StartError>,
    },
}

#[derive(Clone, Copy)]
enum Program {
    Server(&'static str),
    WindowManager,
}

/// Facts that wait for the driver; their tasks wait with them.
const FACTS: usize = 32;

struct Driver {
    context: Context,
    machine: Machine,
    zero: Instant,
    facts: mpsc::Sender<Fact>,
    snapshot: watch::Sender<Snapshot>,
    status: watch::Sender<Status>,
    live: Option<Live>,
    running: Option<Arc<Running>>,
    failure: Option<Arc<StartError>>,
    restarts: u64,
    /// Counts lives of the desktop.
    run: u64,
    /// Counts our connections.
    link: u64,
    /// Breaks the launch off.
    cancel: CancellationToken,
    /// Whether someone asked for a desktop while an old one is looked at.
    wanted: bool,
}

/// Starts the driver.
pub(super) fn spawn(
    config: Config,
    commands: mpsc::Receiver<Command>,
    shutdown: &Shutdown,
    metrics: Arc<Metrics>,
) -> (watch::Receiver<Snapshot>, watch::Receiver<Status>) {
    let (facts, reported) = mpsc::channel(FACTS);
    let context = Context {
        config: Arc::new(config),
        metrics,
        gate: Gate::default(),
        shutdown: shutdown.clone(),
    };
    let first = Snapshot {
        phase: Phase::Stopped,
        retry: None,
        running: None,
        failure: None,
    };
    let mut driver = Driver {
        context,
        machine: Machine::new(),
        zero: Instant::now(),
        facts,
        snapshot: watch::Sender::new(first),
        status: watch::Sender::new(Status::of_nothing()),
        live: None,
        running: None,
        failure: None,
        restarts: 0,
        run: 0,
        link: 0,
        cancel: CancellationToken::new(),
        wanted: false,
    };
    driver.begin();
    let watches = (driver.snapshot.subscribe(), driver.status.subscribe());
    shutdown.spawn(driver.drive(commands, reported));
    watches
}

impl Driver {
    /// Adopts what is left of the last daemon, or starts at once if that is wanted.
    fn begin(&mut self) {
        let mode = self.context.config.mode;
        self.wanted = mode == Mode::Eager;
        if launch::left_behind(&self.context.config) {
            let (_, effect) = self.machine.request(Request::Use);
            if effect.is_some() {
                self.adopt();
            }
        } else if mode == Mode::Eager {
            self.request(Request::Use);
        }
        self.publish();
    }

    async fn drive(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut reported: mpsc::Receiver<Fact>,
    ) {
        let shutdown = self.context.shutdown.clone();
        let mut closing = false;
        while !(closing && self.machine.phase() == Phase::Stopped) {
            let deadline = self.machine.deadline().map(|at| self.zero + at);
            tokio::select! {
                biased;
                Some(fact) = reported.recv() => self.take(fact),
                () = shutdown.stopped(), if !closing => {
                    closing = true;
                    self.request(Request::Close);
                }
                () = sleep_until(deadline) => self.event(Event::Timer),
                Some(command) = commands.recv() => {
                    let verdict = self.request(command.request);
                    self.publish();
                    // Nobody waits any more when this fails; the request stands.
                    let _ = command.reply.send(verdict);
                }
            }
            self.publish();
        }
    }

    fn now(&self) -> Now {
        self.zero.elapsed()
    }

    fn request(&mut self, request: Request) -> Verdict {
        let (verdict, effect) = self.machine.request(request);
        match request {
            Request::Use | Request::Start | Request::Restart => self.wanted = true,
            Request::Stop | Request::Close => self.wanted = false,
        }
        if request != Request::Use && verdict == Verdict::Accepted {
            self.failure = None;
        }
        if let Some(effect) = effect {
            self.apply(effect);
        }
        verdict
    }

    fn event(&mut self, event: Event) {
        let now = self.now();
        for effect in self.machine.event(event, now) {
            self.apply(effect);
        }
    }

    /// Work beside the driver, which ends with a fact.
    fn work(&self, work: impl Future<Output = Fact> + Send + 'static) {
        let facts = self.facts.clone();
        self.context.shutdown.spawn(async move {
            let fact = work.await;
            // The driver ends only when no work is left that matters.
            let _ = facts.send(fact).await;
        });
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { again } => {
                if again {
                    self.restarts += 1;
                    self.context.metrics.desktop_restarts.inc();
                }
                self.launch();
            }
            Effect::CancelLaunch => self.cancel.cancel(),
            Effect::Clear => self.clear(),
            Effect::StartWindowManager => self.start_window_manager(),
            Effect::Connect => self.connect(),
        }
    }

    fn launch(&mut self) {
        self.cancel = CancellationToken::new();
        let (context, cancel) = (self.context.clone(), self.cancel.clone());
        self.work(async move {
            match launch::bring_up(&context, cancel).await {
                Ok(live) => Fact::Launched(Box::new(live)),
                Err(error) => Fact::LaunchFailed(error),
            }
        });
    }

    fn adopt(&mut self) {
        self.cancel = CancellationToken::new();
        let (context, cancel) = (self.context.clone(), self.cancel.clone());
        self.work(async move {
            match launch::adopt(&context, cancel).await {
                Ok(live) => Fact::Launched(Box::new(live)),
                Err(_) => Fact::NotAdopted,
            }
        });
    }

    fn clear(&mut self) {
        let Some(live) = self.live.take() else {
            self.work(std::future::ready(Fact::Cleared));
            return;
        };
        self.run += 1;
        let context = self.context.clone();
        self.work(async move {
            launch::clear(&context, &live.folder, &live.parts).await;
            Fact::Cleared
        });
    }

    fn start_window_manager(&self) {
        let Some(live) = &self.live else { return };
        let (run, context) = (self.run, self.context.clone());
        let (folder, place) = (live.folder.clone(), live.place.clone());
        self.work(async move {
            let result = launch::start_window_manager(&context, &folder, &place).await;
            Fact::WindowManager { run, result }
        });
    }

    fn connect(&self) {
        let Some(live) = &self.live else { return };
        let (run, context, address) = (self.run, self.context.clone(), live.place.address.clone());
        self.work(async move {
            let result = attach(&context, &address).await;
            if let Ok(attached) = &result {
                attached.release().await;
            }
            Fact::Attached { run, result }
        });
    }

    fn take(&mut self, fact: Fact) {
        match fact {
            Fact::Launched(live) => self.launched(*live),
            Fact::LaunchFailed(error) => {
                let crash = error.is_crash();
                self.fail(error);
                self.event(Event::LaunchFailed { crash });
            }
            Fact::NotAdopted => self.not_adopted(),
            Fact::Cleared => self.event(Event::Cleared),
            Fact::Exited {
                run,
                program,
                ending,
            } if run == self.run => self.exited(program, ending),
            Fact::WindowManager { run, result } => self.window_manager(run, result),
            Fact::Lost { run, link, reason } if run == self.run && link == self.link => {
                tracing::warn!(reason, "a connection of ours to the X server broke");
                self.lost(reason);
            }
            Fact::Attached { run, result } if run == self.run => self.attached(result),
            // Of a life that is over.
            Fact::Exited { .. } | Fact::Lost { .. } | Fact::Attached { .. } => {}
        }
    }

    /// Of an existing desktop our connections are all we have: when they break, it is gone.
    fn lost(&mut self, reason: String) {
        let host = |live: &&Live| live.provider == Provider::Host;
        if let Some(live) = &self.live {
            // Whoever acts through the connection that is left must not go on beside the next one.
            live.attached.input.end();
        }
        let Some(live) = self.live.as_ref().filter(host) else {
            return self.event(Event::ConnectionLost);
        };
        let display = live.place.address.display.clone();
        self.fail(StartError::DisplayLost { display, reason });
        self.event(Event::ServerDied);
    }

    fn fail(&mut self, error: StartError) {
        if matches!(error, StartError::Cancelled) {
            return;
        }
        tracing::warn!(error = error.sentence(), "the desktop failed");
        self.failure = Some(Arc::new(error));
    }

    fn not_adopted(&mut self) {
        if self.wanted && self.machine.phase() == Phase::Starting {
            self.launch();
        } else {
            self.machine.request(Request::Stop);
            self.event(Event::LaunchFailed { crash: false });
        }
    }

    fn launched(&mut self, live: Live) {
        self.run += 1;
        let server = if live.parts.launcher.is_some() {
            "portabledesktop"
        } else {
            "xvnc"
        };
        for process in [&live.parts.server, &live.parts.launcher]
            .into_iter()
            .flatten()
        {
            self.watch(process.clone(), Program::Server(server));
        }
        if let Some(process) = &live.parts.window_manager {
            self.watch(process.clone(), Program::WindowManager);
        }
        let ended = CancellationToken::new();
        self.bound_logs(&live, ended.clone());
        tracing::info!(
            display = live.place.address.display,
            provider = live.provider.name(),
            "the desktop is up"
        );
        let attached = live.attached.clone();
        self.live = Some(live);
        self.set_running(attached, ended);
        self.event(Event::Launched);
    }

    /// Publishes a new [`Running`], with connections that are looked after.
    fn set_running(&mut self, attached: Attached, ended: CancellationToken) {
        let Some(live) = &self.live else { return };
        self.link += 1;
        let (run, link) = (self.run, self.link);
        let (heard, over, facts) = (attached.clone(), ended.clone(), self.facts.clone());
        self.context.shutdown.spawn(async move {
            tokio::select! {
                biased;
                () = over.cancelled() => {}
                reason = heard.closed() => {
                    let _ = facts.send(Fact::Lost { run, link, reason }).await;
                }
            }
        });
        self.running = Some(Arc::new(Running {
            attached,
            provider: live.provider,
            rfb: live.place.rfb.clone(),
            display: live.place.address.display.clone(),
            xauthority: live.place.xauthority.clone(),
            environment: live.place.environment.clone(),
            ended,
        }));
    }

    fn watch(&self, process: Arc<Process>, program: Program) {
        let run = self.run;
        self.work(async move {
            let ending = process.wait().await;
            Fact::Exited {
                run,
                program,
                ending,
            }
        });
    }

    fn bound_logs(&self, live: &Live, ended: CancellationToken) {
        let logs = ["xvnc", "openbox", "dbus", "portabledesktop"].map(|name| live.folder.log(name));
        let logs: Vec<_> = logs.into_iter().filter(|path| path.exists()).collect();
        self.context.shutdown.spawn(async move {
            tokio::select! {
                biased;
                () = ended.cancelled() => {}
                result = logfile::keep_bounded(logs) => if let Err(error) = result {
                    tracing::warn!(%error, "the logs of the desktop are not bounded");
                }
            }
        });
    }

    fn exited(&mut self, program: Program, ending: Ending) {
        let Some(live) = &mut self.live else { return };
        match program {
            Program::Server(name) => {
                let error = live.folder.ended(name, ending);
                self.fail(error);
                self.event(Event::ServerDied);
            }
            Program::WindowManager => {
                tracing::warn!(%ending, "the window manager died");
                live.parts.window_manager = None;
                self.event(Event::WindowManagerDied);
            }
        }
    }

    fn window_manager(&mut self, run: u64, result: Result<Arc<Process>, StartError>) {
        match (result, &mut self.live) {
            (Ok(process), Some(live)) if run == self.run => {
                live.parts.window_manager = Some(process.clone());
                launch::save(live);
                self.watch(process, Program::WindowManager);
                self.event(Event::WindowManagerUp);
            }
            (Ok(process), _) => {
                // Too late: its X server is gone.
                self.context.shutdown.spawn(async move {
                    process
                        .stop(std::time::Duration::ZERO, std::future::ready(()))
                        .await
                });
            }
            (Err(error), _) if run == self.run => {
                tracing::warn!(
                    error = error.sentence(),
                    "the window manager does not start"
                );
                self.event(Event::WindowManagerDied);
            }
            (Err(_), _) => {}
        }
    }

    fn attached(&mut self, result: Result<Attached, StartError>) {
        match result {
            Ok(attached) => {
                if let (Some(live), Some(running)) = (&mut self.live, self.running.take()) {
                    // What we own on the clipboard stays ours.
                    let clipboard = live.attached.clipboard.clone();
                    let attached = Attached {
                        clipboard,
                        ..attached
                    };
                    live.attached = attached.clone();
                    self.set_running(attached, running.ended.clone());
                }
                self.event(Event::Connected);
            }
            Err(error) => {
                tracing::warn!(error = error.sentence(), "no connection to the X server");
                self.event(Event::ConnectFailed);
                if self.machine.phase() == Phase::Failed {
                    self.fail(StartError::Unresponsive);
                }
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
