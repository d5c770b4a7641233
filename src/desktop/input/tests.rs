//! The actor over a recording sink: order, cancellation, guard, reset, end. The real display is in
//! `tests/it/input.rs`.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::*;
use crate::desktop::{
    geometry::{Point, Size},
    keys::{Keysym, parse},
};

const LONG: Duration = Duration::from_hours(1);

/// What reached the sink, and how it is to fail.
#[derive(Debug, Default)]
struct Log {
    lines: Vec<String>,
    down: Vec<u32>,
    break_at: Option<usize>,
    pressed: Arc<Notify>,
}

#[derive(Clone, Debug, Default)]
struct Recorder(Arc<Mutex<Log>>);

impl Recorder {
    fn note(&self, line: String) -> Result<(), InputError> {
        let mut log = self.0.lock().expect("no panic while locked");
        if log.break_at.is_some_and(|at| log.lines.len() >= at) {
            return Err(InputError::ConnectionLost {
                operation: "a test",
                source: Arc::new(io::Error::other("cut")),
            });
        }
        log.lines.push(line);
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("no panic while locked").lines.clone()
    }

    fn down(&self) -> Vec<u32> {
        self.0.lock().expect("no panic while locked").down.clone()
    }

    fn pressed(&self) -> Arc<Notify> {
        self.0
            .lock()
            .expect("no panic while locked")
            .pressed
            .clone()
    }

    fn hold(&self, code: u32, press: bool) {
        let mut log = self.0.lock().expect("no panic while locked");
        log.down.retain(|down| *down != code);
        if press {
            log.down.push(code);
            log.pressed.notify_one();
        }
    }
}

impl InputSink for Recorder {
    fn native_size(&mut self) -> Result<Size, InputError> {
        Ok(Size {
            width: 1920,
            height: 1080,
        })
    }
    fn pointer(&mut self) -> Result<Point, InputError> {
        Ok(Point { x: 960, y: 540 })
    }
    fn motion(&mut self, to: Point) -> Result<(), InputError> {
        self.note(format!("move {} {}", to.x, to.y))
    }
    fn button(&mut self, button: Button, press: bool) -> Result<(), InputError> {
        self.note(format!("{} {press}", button.name()))?;
        self.hold(1000 + u32::from(button.number()), press);
        Ok(())
    }
    fn resolve(&mut self, keys: &[Keysym], _: &Cancel) -> Result<Vec<KeyStroke>, InputError> {
        let stroke = |key: &Keysym| {
            let upper = key.to_char().is_some_and(char::is_uppercase);
            KeyStroke {
                code: key.0,
                modifiers: if upper { vec![0xffe1] } else { Vec::new() },
            }
        };
        Ok(keys.iter().map(stroke).collect())
    }
    fn key(&mut self, code: u32, press: bool) -> Result<(), InputError> {
        self.note(format!("{} {press}", Keysym(code)))?;
        self.hold(code, press);
        Ok(())
    }
    fn text(&mut self, text: &str, _: &Cancel) -> Result<TextReport, InputError> {
        self.note(format!("text {text}"))?;
        Ok(TextReport {
            characters: text.chars().count(),
            ..TextReport::default()
        })
    }
    fn sync(&mut self) -> Result<(), InputError> {
        Ok(())
    }
    fn server_held(&mut self) -> Result<ServerHeld, InputError> {
        let codes = self.down();
        let keys = codes.into_iter().filter(|code| *code != 1001);
        Ok(ServerHeld {
            keys: keys.map(|code| (code, Keysym(code).name())).collect(),
            buttons: if self.down().contains(&1001) {
                vec![Button::Left]
            } else {
                Vec::new()
            },
        })
    }
}

fn input(recorder: &Recorder, max_hold: Duration) -> Input {
    let options = InputOptions {
        max_hold,
        on_moved: Box::new(|| {}),
    };
    let sink = Box::new(recorder.clone());
    Input::spawn(sink, options, Arc::new(Metrics::new())).expect("a thread")
}

fn hold(key: u32) -> Action {
    Action::HoldKey {
        keys: vec![Keysym(key)],
        duration: LONG,
    }
}

#[tokio::test]
async fn combinations_press_in_order_and_release_in_reverse() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let combos = parse("ctrl+shift+t A").expect("keys");
    let outcome = input.perform(Action::Key(combos), (0, 0)).await;
    assert!(matches!(outcome, Ok(Outcome::Done)));
    let expected = "Control_L true,Shift_L true,t true,t false,Shift_L false,Control_L false,\
                    Shift_L true,A true,A false,Shift_L false";
    assert_eq!(recorder.lines().join(","), expected);
    assert!(!input.any_held());
}

#[tokio::test]
async fn a_modifier_that_is_held_stays_held() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let down = Action::KeyDown(vec![Keysym(0xffe1)]);
    input.perform(down, (0, 0)).await.expect("down");
    let combos = parse("A").expect("keys");
    input
        .perform(Action::Key(combos), (0, 0))
        .await
        .expect("key");
    assert_eq!(recorder.down(), [0xffe1]);
    assert!(input.any_held());
    let report = input.held().await.expect("a report");
    assert_eq!(report.ours.keys, ["Shift_L"]);
    input
        .perform(Action::KeyUp(vec![Keysym(0xffe1)]), (0, 0))
        .await
        .expect("up");
    assert!(recorder.down().is_empty() && !input.any_held());
}

#[tokio::test]
async fn a_dropped_future_releases_and_a_queued_one_never_runs() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let pressed = recorder.pressed();
    let mut running = Box::pin(input.perform(hold(0x61), (0, 0)));
    let mut queued = Box::pin(input.perform(Action::Type("never".into()), (0, 0)));
    tokio::select! {
        biased;
        _ = &mut running => panic!("it holds for an hour"),
        // Polled after the hold was queued, so it stands behind it.
        _ = &mut queued => panic!("it waits"),
        () = pressed.notified() => {}
    }
    drop(queued);
    drop(running);
    input
        .perform(Action::Type("next".into()), (0, 0))
        .await
        .expect("the next action runs");
    assert_eq!(recorder.lines(), ["a true", "a false", "text next"]);
}

#[tokio::test]
async fn a_reset_ends_the_running_action_and_releases_what_others_hold() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    recorder.hold(1001, true);
    recorder.pressed().notified().await;
    let pressed = recorder.pressed();
    let running = input.perform(hold(0x61), (0, 0));
    let reset = async {
        pressed.notified().await;
        let held = input
            .held()
            .await
            .expect("answered in the middle of the wait");
        assert_eq!(held.ours.keys, ["a"]);
        input.reset().await.expect("a reset")
    };
    let (result, report) = tokio::join!(running, reset);
    assert!(matches!(result, Err(InputError::Cancelled)), "{result:?}");
    assert_eq!(report, HeldReport::default());
    assert!(recorder.down().is_empty());
}

#[tokio::test]
async fn the_guard_releases_what_is_held_for_too_long() {
    let recorder = Recorder::default();
    let input = input(&recorder, Duration::from_millis(20));
    input
        .perform(Action::ButtonDown(Button::Left), (0, 0))
        .await
        .expect("down");
    let patience = Duration::from_secs(10);
    tokio::time::timeout(patience, async {
        while input.any_held() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the guard works while idle");
    assert_eq!(recorder.lines(), ["left true", "left false"]);
}

#[tokio::test]
async fn a_broken_connection_fails_the_running_and_the_later_jobs() {
    let recorder = Recorder::default();
    recorder.0.lock().expect("no panic while locked").break_at = Some(1);
    let input = input(&recorder, LONG);
    let click = Action::Click {
        at: None,
        button: Button::Left,
        count: 1,
    };
    let running = input.perform(click.clone(), (0, 0)).await;
    assert!(
        matches!(running, Err(InputError::ConnectionLost { .. })),
        "{running:?}"
    );
    let later = input.perform(click, (0, 0)).await;
    assert!(matches!(later, Err(InputError::Stopped)), "{later:?}");
    assert!(matches!(
        input.closed().await,
        InputError::ConnectionLost { .. }
    ));
}

#[tokio::test]
async fn dropping_the_last_handle_releases_everything() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    input
        .perform(Action::ButtonDown(Button::Left), (0, 0))
        .await
        .expect("down");
    let mut ended = input.shared.ended.clone();
    drop(input);
    ended
        .wait_for(Option::is_some)
        .await
        .expect("the thread says why it ended");
    assert!(recorder.down().is_empty());
    assert_eq!(Arc::strong_count(&recorder.0), 1, "the sink is gone");
}

#[tokio::test]
async fn a_full_queue_is_busy() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let pressed = recorder.pressed();
    let many = async {
        pressed.notified().await;
        let ask = |_| input.perform(Action::CursorPosition, (0, 0));
        let asked = futures_util::future::join_all((0..=mailbox::QUEUE).map(ask));
        let (results, reset) = tokio::join!(asked, input.reset());
        reset.expect("a reset still goes");
        results
    };
    let (_, results) = tokio::join!(input.perform(hold(0x61), (0, 0)), many);
    let (busy, done): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_err);
    assert!(matches!(busy[..], [Err(InputError::Busy)]), "{busy:?}");
    assert_eq!(done.len(), mailbox::QUEUE);
}

#[tokio::test]
async fn nothing_comes_between_the_actions_of_a_unit() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let mut unit = input.unit().await.expect("its turn");
    unit.perform(Action::Type("one".into()), (0, 0))
        .await
        .expect("one");
    let other = input.perform(Action::Type("other".into()), (0, 0));
    let rest = async {
        // Asked and answered while the unit lasts, after the other action was queued.
        input.held().await.expect("a report");
        unit.perform(Action::ButtonDown(Button::Left), (0, 0))
            .await
            .expect("two");
        unit.end().await.expect("an end");
    };
    let (other, ()) = tokio::join!(other, rest);
    other.expect("the other action, afterwards");
    assert_eq!(recorder.lines(), ["text one", "left true", "text other"]);
    assert!(input.any_held(), "what was kept stays down after the end");
}

#[tokio::test]
async fn a_unit_that_is_dropped_or_reset_releases_everything() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let down = || Action::ButtonDown(Button::Left);
    let mut unit = input.unit().await.expect("its turn");
    unit.perform(down(), (0, 0)).await.expect("down");
    drop(unit);
    let mut unit = input.unit().await.expect("its turn");
    assert!(recorder.down().is_empty(), "released before the next turn");
    unit.perform(down(), (0, 0)).await.expect("down");
    input.reset().await.expect("a reset");
    assert!(recorder.down().is_empty());
    let result = unit.perform(down(), (0, 0)).await;
    assert!(matches!(result, Err(InputError::Cancelled)), "{result:?}");
    assert!(matches!(unit.end().await, Err(InputError::Cancelled)));
    input
        .perform(Action::Type("next".into()), (0, 0))
        .await
        .expect("the queue goes on");
}

#[tokio::test]
async fn a_place_in_the_queue_can_be_given_up() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let unit = input.unit().await.expect("its turn");
    let waiting = input.unit();
    tokio::select! {
        biased;
        _ = waiting => panic!("the first one lasts"),
        report = input.held() => drop(report.expect("a report")),
    }
    unit.end().await.expect("an end");
    input
        .perform(Action::Type("next".into()), (0, 0))
        .await
        .expect("nobody holds the queue");
}

#[tokio::test]
async fn after_a_failure_nothing_is_held() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    input
        .perform(Action::ButtonDown(Button::Left), (0, 0))
        .await
        .expect("down");
    let bell = Action::Type("\u{7}".into());
    let result = input.perform(bell, (0, 0)).await;
    assert!(matches!(result, Err(InputError::ControlCharacter { .. })));
    assert!(recorder.down().is_empty() && !input.any_held());
}

#[tokio::test]
async fn an_end_calls_a_unit_off_whose_holder_stays() {
    let recorder = Recorder::default();
    let input = input(&recorder, LONG);
    let mut unit = input.unit().await.expect("its turn");
    let pressed = recorder.pressed();
    let end = async {
        pressed.notified().await;
        input.end();
    };
    let (result, ()) = tokio::join!(unit.perform(hold(0x61), (0, 0)), end);
    assert!(matches!(result, Err(InputError::Cancelled)), "{result:?}");
    let result = unit.perform(hold(0x61), (0, 0)).await;
    assert!(matches!(result, Err(InputError::Cancelled)), "{result:?}");
    assert!(matches!(input.closed().await, InputError::Stopped));
    assert!(recorder.down().is_empty());
}
