//! The supervisor's decisions: what a request or an event does in each state. Pure: time comes in as a value, what is
//! to be done goes out as effects. `desktop/mod.rs` draws the diagram.

use std::{collections::VecDeque, time::Duration};

/// Time since the supervisor began, on a clock that only goes forward.
pub type Now = Duration;

/// First pause before a restart; each further one doubles it.
pub const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause before a restart.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The span in which crashes are counted; what ran longer begins anew with the shortest pause.
pub const SPAN: Duration = Duration::from_mins(1);
/// So many crashes within [`SPAN`] are the last.
pub const CRASHES: usize = 5;
/// So many failed reconnections in a row mean that the X server itself is sick.
pub const RECONNECTIONS: u32 = 5;

/// What people see of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Nothing runs, and nobody asked for it.
    Stopped,
    /// On its way up.
    Starting,
    /// Up and usable.
    Running,
    /// Down after a crash or a failed start; a restart may be due.
    Failed,
    /// On its way down.
    Stopping,
}

impl Phase {
    /// Its name in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Failed => "failed",
            Self::Stopping => "stopping",
        }
    }
}

/// When a failed desktop is started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// By itself, then.
    At(Now),
    /// With the next use.
    OnDemand,
    /// Not before someone asks for a start.
    Never,
}

/// Every state, with what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Stopped,
    /// A launch is under way.
    Starting,
    Running {
        since: Now,
        window_manager: Part,
        connections: Part,
    },
    /// `clearing`: what is left of the last run is still being removed.
    Failed {
        retry: Retry,
        clearing: bool,
    },
    /// A launch is being cancelled, or a run is being removed.
    Stopping {
        then_start: bool,
    },
}

/// Something that is restarted alone while the X server lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Part {
    failures: u32,
    state: PartState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartState {
    Up { since: Now },
    Working,
    Waiting { until: Now },
}

/// What someone asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// A running desktop, started if need be.
    Use,
    /// The same, also after the last crash.
    Start,
    /// No desktop.
    Stop,
    /// A new desktop.
    Restart,
    /// No desktop ever again: the daemon stops.
    Close,
}

/// What became of a request at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It changes something.
    Accepted,
    /// It is so, or on its way, already.
    Already,
    /// It is not done.
    Refused(Refusal),
}

/// Why a request is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many crashes; only [`Request::Start`] and [`Request::Restart`] try again.
    GaveUp,
    /// The daemon stops.
    Closing,
}

/// What happened to the desktop itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The launch is done.
    Launched,
    /// The launch ended without a desktop and has cleared up after itself. `crash`: because a program died.
    LaunchFailed {
        /// A program died, so that trying again may help.
        crash: bool,
    },
    /// The X server died.
    ServerDied,
    /// What was left of a run is removed.
    Cleared,
    /// The window manager died.
    WindowManagerDied,
    /// The window manager is up again.
    WindowManagerUp,
    /// A connection of ours broke.
    ConnectionLost,
    /// Our connections stand again.
    Connected,
    /// They could not be made.
    ConnectFailed,
    /// A deadline passed.
    Timer,
}

/// What is to be done now. `Launch` ends with `Launched` or `LaunchFailed`, `Clear` with `Cleared`, and so on; there is
/// never more than one of `Launch` and `Clear` under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Start a desktop.
    Launch {
        /// After a crash, by itself.
        again: bool,
    },
    /// Break the launch off; it still ends with its event.
    CancelLaunch,
    /// End all programs of this run and remove its files.
    Clear,
    /// Start the window manager.
    StartWindowManager,
    /// Make our connections anew.
    Connect,
}

/// The machine.
#[derive(Clone, Debug)]
pub struct Machine {
    state: State,
    crashes: VecDeque<Now>,
    streak: u32,
    closing: bool,
}

/// Pause before the next try after so many failures in a row.
pub fn pause(failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    (FIRST_PAUSE * 2_u32.pow(doublings)).min(LONGEST_PAUSE)
}

impl Part {
    fn up(now: Now) -> Self {
        Self {
            failures: 0,
            state: PartState::Up { since: now },
        }
    }

    /// It failed: tries again at once the first time, later after a pause.
    fn failed(&mut self, now: Now) {
        if matches!(self.state, PartState::Up { since } if now.saturating_sub(since) >= SPAN) {
            self.failures = 0;
        }
        let delay = match self.failures {
            0 => Duration::ZERO,
            failures => pause(failures),
        };
        self.failures += 1;
        self.state = PartState::Waiting { until: now + delay };
    }

    fn came_up(&mut self, now: Now) {
        self.state = PartState::Up { since: now };
    }

    /// Whether it is to be worked on now.
    fn is_due(&mut self, now: Now) -> bool {
        let due = matches!(self.state, PartState::Waiting { until } if until <= now);
        if due {
            self.state = PartState::Working;
        }
        due
    }

    fn deadline(&self) -> Option<Now> {
        match self.state {
            PartState::Waiting { until } => Some(until),
            PartState::Up { .. } | PartState::Working => None,
        }
    }
}

impl Default for Machine {
    fn default() -> Self {
        Self::new()
    }
}

impl Machine {
    /// Stopped, without a past.
    pub fn new() -> Self {
        Self {
            state: State::Stopped,
            crashes: VecDeque::new(),
            streak: 0,
            closing: false,
        }
    }

    /// What people see.
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Stopped => Phase::Stopped,
            State::Starting => Phase::Starting,
            State::Running { .. } => Phase::Running,
            State::Failed { .. } => Phase::Failed,
            State::Stopping { .. } => Phase::Stopping,
        }
    }

    /// How a failed desktop comes back; `None` in the other states.
    pub fn retry(&self) -> Option<Retry> {
        match self.state {
            State::Failed { retry, .. } => Some(retry),
            State::Stopped | State::Starting | State::Running { .. } | State::Stopping { .. } => {
                None
            }
        }
    }

    /// When [`Event::Timer`] is due.
    pub fn deadline(&self) -> Option<Now> {
        match &self.state {
            State::Failed {
                retry: Retry::At(at),
                clearing: false,
            } => Some(*at),
            State::Running {
                window_manager,
                connections,
                ..
            } => [window_manager.deadline(), connections.deadline()]
                .into_iter()
                .flatten()
                .min(),
            State::Failed { .. } | State::Stopped | State::Starting | State::Stopping { .. } => {
                None
            }
        }
    }

    /// Takes a request.
    pub fn request(&mut self, request: Request) -> (Verdict, Option<Effect>) {
        if self.closing && request != Request::Stop && request != Request::Close {
            return (Verdict::Refused(Refusal::Closing), None);
        }
        match request {
            Request::Use => self.up(false),
            Request::Start => {
                let (verdict, effect) = self.up(true);
                if verdict == Verdict::Accepted {
                    self.forget();
                }
                (verdict, effect)
            }
            Request::Stop => self.down(),
            Request::Restart => self.anew(),
            Request::Close => {
                self.closing = true;
                self.down()
            }
        }
    }

    fn forget(&mut self) {
        self.crashes.clear();
        self.streak = 0;
    }

    fn launch(&mut self, again: bool) -> Effect {
        self.state = State::Starting;
        Effect::Launch { again }
    }

    fn up(&mut self, forced: bool) -> (Verdict, Option<Effect>) {
        match &mut self.state {
            State::Stopped => (Verdict::Accepted, Some(self.launch(false))),
            State::Starting | State::Running { .. } | State::Stopping { then_start: true } => {
                (Verdict::Already, None)
            }
            State::Stopping { then_start } => {
                *then_start = true;
                (Verdict::Accepted, None)
            }
            State::Failed { retry, clearing } => match (*retry, forced) {
                (Retry::At(_), false) => (Verdict::Already, None),
                (Retry::Never, false) => (Verdict::Refused(Refusal::GaveUp), None),
                (Retry::At(_) | Retry::Never, true) | (Retry::OnDemand, _) => {
                    if *clearing {
                        // At once, when the rest is cleared.
                        let at_once = Retry::At(Duration::ZERO);
                        let verdict = if *retry == at_once {
                            Verdict::Already
                        } else {
                            Verdict::Accepted
                        };
                        *retry = at_once;
                        return (verdict, None);
                    }
                    (Verdict::Accepted, Some(self.launch(false)))
                }
            },
        }
    }

    fn down(&mut self) -> (Verdict, Option<Effect>) {
        let effect = match &mut self.state {
            State::Stopped | State::Stopping { then_start: false } => {
                return (Verdict::Already, None);
            }
            State::Stopping { then_start } => {
                *then_start = false;
                return (Verdict::Accepted, None);
            }
            State::Starting => Some(Effect::CancelLaunch),
            State::Running { .. } => Some(Effect::Clear),
            State::Failed { clearing: true, .. } => None,
            State::Failed {
                clearing: false, ..
            } => {
                self.state = State::Stopped;
                return (Verdict::Accepted, None);
            }
        };
        self.state = State::Stopping { then_start: false };
        (Verdict::Accepted, effect)
    }

    fn anew(&mut self) -> (Verdict, Option<Effect>) {
        let running = matches!(self.state, State::Running { .. });
        let (verdict, effect) = if running { self.down() } else { self.up(true) };
        if running {
            self.state = State::Stopping { then_start: true };
        }
        if verdict == Verdict::Accepted {
            self.forget();
        }
        (verdict, effect)
    }

    /// Takes what happened. Events of a run that is over must be kept away by the caller.
    pub fn event(&mut self, event: Event, now: Now) -> Vec<Effect> {
        let effect = match event {
            Event::Launched => self.launched(now),
            Event::LaunchFailed { crash } => self.launch_failed(crash, now),
            Event::ServerDied => self.server_died(now),
            Event::Cleared => self.cleared(),
            Event::WindowManagerDied
            | Event::WindowManagerUp
            | Event::ConnectionLost
            | Event::Connected
            | Event::ConnectFailed => self.part(event, now),
            Event::Timer => None,
        };
        let mut effects: Vec<Effect> = effect.into_iter().collect();
        effects.extend(self.due(now));
        effects
    }

    fn launched(&mut self, now: Now) -> Option<Effect> {
        match self.state {
            State::Starting => {
                self.state = State::Running {
                    since: now,
                    window_manager: Part::up(now),
                    connections: Part::up(now),
                };
                None
            }
            // The stop came while the launch was already through.
            State::Stopping { .. } => Some(Effect::Clear),
            State::Stopped | State::Running { .. } | State::Failed { .. } => None,
        }
    }

    fn launch_failed(&mut self, crash: bool, now: Now) -> Option<Effect> {
        match self.state {
            State::Starting => {
                let retry = if crash {
                    self.crashed(now)
                } else {
                    Retry::OnDemand
                };
                self.state = State::Failed {
                    retry,
                    clearing: false,
                };
                None
            }
            State::Stopping { .. } => self.cleared(),
            State::Stopped | State::Running { .. } | State::Failed { .. } => None,
        }
    }

    fn server_died(&mut self, now: Now) -> Option<Effect> {
        let State::Running { since, .. } = self.state else {
            return None;
        };
        if now.saturating_sub(since) >= SPAN {
            self.streak = 0;
        }
        self.state = State::Failed {
            retry: self.crashed(now),
            clearing: true,
        };
        Some(Effect::Clear)
    }

    fn crashed(&mut self, now: Now) -> Retry {
        self.streak += 1;
        self.crashes.push_back(now);
        self.crashes.retain(|at| now.saturating_sub(*at) < SPAN);
        if self.crashes.len() >= CRASHES {
            Retry::Never
        } else {
            Retry::At(now + pause(self.streak))
        }
    }

    fn cleared(&mut self) -> Option<Effect> {
        match &mut self.state {
            State::Stopping { then_start: true } => Some(self.launch(false)),
            State::Stopping { then_start: false } => {
                self.state = State::Stopped;
                None
            }
            State::Failed { clearing, .. } => {
                *clearing = false;
                None
            }
            State::Stopped | State::Starting | State::Running { .. } => None,
        }
    }

    fn part(&mut self, event: Event, now: Now) -> Option<Effect> {
        let State::Running {
            window_manager,
            connections,
            ..
        } = &mut self.state
        else {
            return None;
        };
        match event {
            Event::WindowManagerDied => window_manager.failed(now),
            Event::WindowManagerUp => window_manager.came_up(now),
            Event::Connected => connections.came_up(now),
            Event::ConnectionLost => {
                // While a new one is being made, the old one's end is no news.
                if matches!(connections.state, PartState::Up { .. }) {
                    connections.failed(now);
                }
            }
            Event::ConnectFailed => {
                connections.failed(now);
                if connections.failures > RECONNECTIONS {
                    return self.server_died(now);
                }
            }
            Event::Launched
            | Event::LaunchFailed { .. }
            | Event::ServerDied
            | Event::Cleared
            | Event::Timer => {}
        }
        None
    }

    /// What is due by time alone.
    fn due(&mut self, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match &mut self.state {
            State::Failed {
                retry: Retry::At(at),
                clearing: false,
            } if *at <= now => effects.push(self.launch(true)),
            State::Running {
                window_manager,
                connections,
                ..
            } => {
                if window_manager.is_due(now) {
                    effects.push(Effect::StartWindowManager);
                }
                if connections.is_due(now) {
                    effects.push(Effect::Connect);
                }
            }
            State::Failed { .. } | State::Stopped | State::Starting | State::Stopping { .. } => {}
        }
        effects
    }
}

#[cfg(test)]
mod tests;
