//! Rows of the event table one by one, and the machine against a simpler model under random operations.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn running(now: Now) -> Machine {
    let mut machine = Machine::new();
    machine.request(Request::Use);
    machine.event(Event::Launched, now);
    assert_eq!(machine.phase(), Phase::Running);
    machine
}

/// A crash and its clearing.
fn crash(machine: &mut Machine, now: Now) {
    assert_eq!(machine.event(Event::ServerDied, now), [Effect::Clear]);
    assert_eq!(machine.phase(), Phase::Failed);
    assert_eq!(machine.event(Event::Cleared, now), []);
}

#[test]
fn uses_share_one_start() {
    let mut machine = Machine::new();
    let first = machine.request(Request::Use);
    assert_eq!(
        first,
        (Verdict::Accepted, Some(Effect::Launch { again: false }))
    );
    for request in [Request::Use, Request::Start, Request::Restart] {
        assert_eq!(machine.request(request), (Verdict::Already, None));
    }
    assert_eq!(machine.event(Event::Launched, SECOND), []);
    assert_eq!(machine.request(Request::Use), (Verdict::Already, None));
}

#[test]
fn pauses_double_up_to_ten_seconds() {
    let pauses: Vec<u128> = (1..=8)
        .map(|failures| pause(failures).as_millis())
        .collect();
    assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
}

#[test]
fn a_crash_is_followed_by_a_pause_and_a_launch() {
    let mut machine = running(SECOND);
    crash(&mut machine, SECOND * 2);
    let due = machine.deadline().expect("a deadline");
    assert_eq!(due, SECOND * 2 + FIRST_PAUSE);
    assert_eq!(
        machine.event(Event::Timer, due.saturating_sub(Duration::from_millis(1))),
        []
    );
    assert_eq!(
        machine.event(Event::Timer, due),
        [Effect::Launch { again: true }]
    );
    assert_eq!(machine.phase(), Phase::Starting);
}

#[test]
fn nothing_is_launched_before_the_rest_is_cleared() {
    let mut machine = running(SECOND);
    machine.event(Event::ServerDied, SECOND);
    assert_eq!(machine.deadline(), None);
    assert_eq!(machine.event(Event::Timer, SECOND * 30), []);
    assert_eq!(
        machine.event(Event::Cleared, SECOND * 31),
        [Effect::Launch { again: true }]
    );
}

#[test]
fn the_fifth_crash_in_a_minute_is_the_last() {
    let mut machine = running(SECOND);
    for round in 1..=5 {
        let now = SECOND * round * 10;
        crash(&mut machine, now);
        if round < 5 {
            assert_eq!(
                machine.event(Event::Timer, now + SECOND * 9),
                [Effect::Launch { again: true }]
            );
            machine.event(Event::Launched, now + SECOND * 9);
        }
    }
    assert_eq!(machine.retry(), Some(Retry::Never));
    assert_eq!(machine.deadline(), None);
    assert_eq!(
        machine.request(Request::Use),
        (Verdict::Refused(Refusal::GaveUp), None)
    );
    let again = machine.request(Request::Start);
    assert_eq!(
        again,
        (Verdict::Accepted, Some(Effect::Launch { again: false }))
    );
    machine.event(Event::Launched, SECOND * 51);
    crash(&mut machine, SECOND * 52);
    assert_eq!(
        machine.retry(),
        Some(Retry::At(SECOND * 52 + FIRST_PAUSE)),
        "the past is forgotten"
    );
}

#[test]
fn crashes_far_apart_are_not_counted_together() {
    let mut machine = running(SECOND);
    for round in 1..=20 {
        let now = SECOND * round * 70;
        crash(&mut machine, now);
        assert_eq!(machine.retry(), Some(Retry::At(now + FIRST_PAUSE)));
        machine.event(Event::Timer, now + SECOND);
        machine.event(Event::Launched, now + SECOND);
    }
}

#[test]
fn a_failed_start_that_was_no_crash_waits_for_the_next_use() {
    let mut machine = Machine::new();
    machine.request(Request::Use);
    machine.event(Event::LaunchFailed { crash: false }, SECOND);
    assert_eq!(
        (machine.phase(), machine.retry()),
        (Phase::Failed, Some(Retry::OnDemand))
    );
    assert_eq!(machine.deadline(), None);
    let again = machine.request(Request::Use);
    assert_eq!(
        again,
        (Verdict::Accepted, Some(Effect::Launch { again: false }))
    );
}

#[test]
fn the_window_manager_is_started_alone() {
    let mut machine = running(SECOND);
    assert_eq!(
        machine.event(Event::WindowManagerDied, SECOND),
        [Effect::StartWindowManager]
    );
    assert_eq!(machine.phase(), Phase::Running);
    machine.event(Event::WindowManagerUp, SECOND);
    assert_eq!(
        machine.event(Event::WindowManagerDied, SECOND * 2),
        [],
        "not at once again"
    );
    let due = machine.deadline().expect("a deadline");
    assert_eq!(due, SECOND * 2 + FIRST_PAUSE);
    assert_eq!(
        machine.event(Event::Timer, due),
        [Effect::StartWindowManager]
    );
    machine.event(Event::WindowManagerUp, due);
    let later = due + SPAN;
    assert_eq!(
        machine.event(Event::WindowManagerDied, later),
        [Effect::StartWindowManager]
    );
}

#[test]
fn a_broken_connection_is_made_again_until_the_server_counts_as_sick() {
    let mut machine = running(SECOND);
    assert_eq!(
        machine.event(Event::ConnectionLost, SECOND),
        [Effect::Connect]
    );
    assert_eq!(
        machine.event(Event::ConnectionLost, SECOND),
        [],
        "it is being made"
    );
    assert_eq!(machine.event(Event::Connected, SECOND), []);
    let mut now = SECOND * 100;
    assert_eq!(machine.event(Event::ConnectionLost, now), [Effect::Connect]);
    for _ in 1..RECONNECTIONS {
        assert_eq!(machine.event(Event::ConnectFailed, now), []);
        now = machine.deadline().expect("another try");
        assert_eq!(machine.event(Event::Timer, now), [Effect::Connect]);
    }
    assert_eq!(machine.event(Event::ConnectFailed, now), [Effect::Clear]);
    assert_eq!(machine.phase(), Phase::Failed);
}

#[test]
fn a_start_can_be_called_off_and_on_again() {
    let mut machine = Machine::new();
    machine.request(Request::Use);
    assert_eq!(
        machine.request(Request::Stop),
        (Verdict::Accepted, Some(Effect::CancelLaunch))
    );
    assert_eq!(machine.request(Request::Stop), (Verdict::Already, None));
    assert_eq!(machine.request(Request::Start), (Verdict::Accepted, None));
    assert_eq!(
        machine.event(Event::Launched, SECOND),
        [Effect::Clear],
        "it was through already"
    );
    assert_eq!(
        machine.event(Event::Cleared, SECOND),
        [Effect::Launch { again: false }]
    );
}

#[test]
fn nothing_starts_while_the_daemon_stops() {
    let mut machine = running(SECOND);
    assert_eq!(
        machine.request(Request::Close),
        (Verdict::Accepted, Some(Effect::Clear))
    );
    for request in [Request::Use, Request::Start, Request::Restart] {
        assert_eq!(
            machine.request(request),
            (Verdict::Refused(Refusal::Closing), None)
        );
    }
    machine.event(Event::Cleared, SECOND);
    assert_eq!(machine.phase(), Phase::Stopped);
}

/// What a test does to the machine; what makes no sense at the moment is passed over.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Ask(Request),
    Pass(u64),
    EndLaunch { up: bool, crash: bool },
    EndClear,
    ServerDies,
    PartFails(Event),
    PartComes(Event),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        prop_oneof![
            Just(Request::Use),
            Just(Request::Start),
            Just(Request::Stop),
            Just(Request::Restart),
        ]
        .prop_map(Operation::Ask),
        (0_u64..20_000).prop_map(Operation::Pass),
        (any::<bool>(), any::<bool>()).prop_map(|(up, crash)| Operation::EndLaunch { up, crash }),
        Just(Operation::EndClear),
        Just(Operation::ServerDies),
        prop_oneof![Just(Event::WindowManagerDied), Just(Event::ConnectionLost)]
            .prop_map(Operation::PartFails),
        prop_oneof![Just(Event::WindowManagerUp), Just(Event::Connected)]
            .prop_map(Operation::PartComes),
    ]
}

/// The simpler model: what is there, what is being done, and what was wanted last. It knows nothing of pauses.
#[expect(
    clippy::struct_excessive_bools,
    reason = "a model is not a state machine"
)]
#[derive(Debug, Default)]
struct Model {
    now: Now,
    up: bool,
    launching: bool,
    clearing: bool,
    /// A stop or restart was asked for since the work under way began.
    going_down: bool,
    /// A desktop was asked for last.
    wanted: bool,
    /// A launch or a run failed since the last stop.
    failed: bool,
    crashes: Vec<Now>,
}

impl Model {
    fn phase(&self) -> Phase {
        match (self.launching, self.clearing) {
            (true, _) if !self.going_down => Phase::Starting,
            (true, _) => Phase::Stopping,
            (_, true) if self.going_down => Phase::Stopping,
            (_, true) => Phase::Failed,
            (false, false) if self.up => Phase::Running,
            (false, false) if self.failed => Phase::Failed,
            (false, false) => Phase::Stopped,
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Launch { again } => {
                assert!(!self.up && !self.launching && !self.clearing, "{self:?}");
                assert!(self.wanted, "nobody wants it");
                assert!(!again || self.failed);
                (self.launching, self.failed, self.going_down) = (true, false, false);
            }
            Effect::CancelLaunch => {
                assert!(self.launching);
                self.going_down = true;
            }
            Effect::Clear => {
                assert!(!self.launching && !self.clearing, "{self:?}");
                (self.clearing, self.up) = (true, false);
            }
            Effect::StartWindowManager | Effect::Connect => assert!(self.up),
        }
    }

    fn asked(&mut self, request: Request, verdict: Verdict) {
        if verdict != Verdict::Accepted {
            return;
        }
        self.wanted = request != Request::Stop;
        let down = request == Request::Stop || (request == Request::Restart && self.up);
        if down && (self.up || self.launching || self.clearing) {
            self.going_down = true;
        }
        if request == Request::Stop {
            self.failed = false;
        } else if request != Request::Use {
            self.crashes.clear();
        }
    }

    fn crashed(&mut self) {
        self.failed = true;
        self.crashes.push(self.now);
        let recent = |at: &&Now| self.now.saturating_sub(**at) < SPAN;
        let recent = self.crashes.iter().filter(recent).count();
        assert!(recent <= CRASHES, "a sixth launch within a minute");
    }
}

/// Does one operation to both.
fn step(machine: &mut Machine, model: &mut Model, operation: Operation) {
    let event = match operation {
        Operation::Ask(request) => {
            let (verdict, effect) = machine.request(request);
            model.asked(request, verdict);
            if let Some(effect) = effect {
                model.perform(effect);
            }
            let (again, _) = machine.clone().request(request);
            assert!(
                verdict != Verdict::Accepted || again == Verdict::Already,
                "{request:?} twice"
            );
            return;
        }
        Operation::Pass(milliseconds) => {
            model.now += Duration::from_millis(milliseconds);
            Event::Timer
        }
        Operation::EndLaunch { up, crash } if model.launching => {
            model.launching = false;
            model.up = up;
            match (up, model.going_down) {
                (true, _) => Event::Launched,
                (false, true) => {
                    model.going_down = false;
                    Event::LaunchFailed { crash }
                }
                (false, false) => {
                    model.failed = true;
                    if crash {
                        model.crashed();
                    }
                    Event::LaunchFailed { crash }
                }
            }
        }
        Operation::EndClear if model.clearing => {
            (model.clearing, model.going_down) = (false, false);
            Event::Cleared
        }
        Operation::ServerDies if model.up && !model.clearing => {
            model.crashed();
            Event::ServerDied
        }
        Operation::PartFails(event) | Operation::PartComes(event) => event,
        Operation::EndLaunch { .. } | Operation::EndClear | Operation::ServerDies => return,
    };
    for effect in machine.event(event, model.now) {
        model.perform(effect);
    }
}

proptest! {
    #[test]
    fn the_machine_does_what_the_model_says(operations in prop::collection::vec(operation(), 1..200)) {
        let (mut machine, mut model) = (Machine::new(), Model::default());
        for operation in operations {
            step(&mut machine, &mut model, operation);
            prop_assert_eq!(machine.phase(), model.phase(), "after {:?}: {:?}", operation, model);
        }
        // Whatever was before: a stop ends in nothing, and a start in a desktop.
        step(&mut machine, &mut model, Operation::Ask(Request::Stop));
        step(&mut machine, &mut model, Operation::EndLaunch { up: true, crash: false });
        step(&mut machine, &mut model, Operation::EndClear);
        step(&mut machine, &mut model, Operation::Pass(100_000));
        prop_assert_eq!((machine.phase(), machine.deadline()), (Phase::Stopped, None));
        step(&mut machine, &mut model, Operation::Ask(Request::Start));
        step(&mut machine, &mut model, Operation::EndLaunch { up: true, crash: false });
        prop_assert_eq!(machine.phase(), Phase::Running);
    }
}
