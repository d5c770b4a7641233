//! The input thread: takes jobs, injects their steps, and never leaves anything down behind an action.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::TryRecvError,
    },
    time::{Duration, Instant},
};

use tokio::sync::{oneshot, watch};

use super::{
    Action, Cancel, Held, HeldReport, InputError, InputOptions, InputSink, KeyStroke, Outcome,
    Performed,
    held::{Item, Ledger},
    mailbox::{Hold, Job, Mailbox, Next, Order, Perform, Series},
    plan::{Step, begins_at_pointer, plan},
};
use crate::{
    desktop::{
        geometry::{Frame, Point, Size},
        keys::Keysym,
    },
    telemetry::Metrics,
};

/// Owns the sink and the ledger; lives on its own thread.
pub(super) struct Actor {
    sink: Box<dyn InputSink>,
    options: InputOptions,
    metrics: Arc<Metrics>,
    mailbox: Arc<Mailbox>,
    any_held: Arc<AtomicBool>,
    ledger: Ledger,
}

/// How an action failed: with nothing of it done, or maybe with some.
enum Failure {
    Before(InputError),
    During(InputError),
}

/// Closes the mailbox however the thread ends, so that no caller waits for an answer that cannot come.
struct CloseOnDrop(Arc<Mailbox>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Actor {
    pub(super) fn new(
        sink: Box<dyn InputSink>,
        options: InputOptions,
        metrics: Arc<Metrics>,
        mailbox: Arc<Mailbox>,
        any_held: Arc<AtomicBool>,
    ) -> Self {
        Self {
            sink,
            options,
            metrics,
            mailbox,
            any_held,
            ledger: Ledger::default(),
        }
    }

    /// Works until the mailbox is closed or the display is gone; then says why.
    pub(super) fn run(mut self, end: &watch::Sender<Option<InputError>>) {
        let close = CloseOnDrop(self.mailbox.clone());
        let reason = self.work().err().unwrap_or(InputError::Stopped);
        // The display may be gone: then there is nothing left to release.
        let _ = self
            .release(&self.ledger.all())
            .and_then(|()| self.sink.sync());
        self.any_held.store(false, Ordering::Release);
        // The connection closes before anyone hears of the end.
        drop(self);
        end.send_replace(Some(reason));
        drop(close);
    }

    fn work(&mut self) -> Result<(), InputError> {
        loop {
            match self.mailbox.next() {
                Next::Job(job) => self.job(job)?,
                Next::Closed => return Ok(()),
                Next::Empty => {
                    self.pause(self.sink.idle_deadline())?;
                    self.sink.tidy()?;
                }
            }
        }
    }

    /// Waits for a wake, the display, the guard's next deadline or the given time, whichever is first.
    fn pause(&mut self, until: Option<Instant>) -> Result<(), InputError> {
        let guard = self.ledger.deadline(self.options.max_hold);
        let until = until.into_iter().chain(guard).min();
        let woken = self.mailbox.wake.wait(self.sink.event_source(), until);
        if woken.display {
            self.sink.pump()?;
        }
        self.release_expired()
    }

    fn release_expired(&mut self) -> Result<(), InputError> {
        let expired = self.ledger.expired(Instant::now(), self.options.max_hold);
        if expired.is_empty() {
            return Ok(());
        }
        tracing::warn!(count = expired.len(), "released what was held for too long");
        self.release(&expired)?;
        self.sink.sync()?;
        self.publish();
        Ok(())
    }

    /// An error is fatal; others go to the caller alone.
    fn job(&mut self, job: Job) -> Result<(), InputError> {
        match job {
            Job::Perform(perform) => self.perform(perform),
            Job::Hold(hold) => self.serve_unit(hold),
            Job::Held(reply) => answer(reply, self.held()),
            Job::Reset(reply) => {
                let result = self.reset();
                answer(reply, result)
            }
        }
    }

    fn perform(&mut self, perform: Perform) -> Result<(), InputError> {
        let Perform {
            action, declared, ..
        } = &perform;
        let result = self.do_action(action, *declared, &mut None, &perform.cancel);
        let (result, end) = told(result);
        let _ = perform.reply.send(result);
        end
    }

    /// Does what the holder of the unit orders, and nothing else, until it ends the unit, goes away or is
    /// called off. Meanwhile the guard works and questions are answered.
    fn serve_unit(&mut self, hold: Hold) -> Result<(), InputError> {
        let Hold {
            orders,
            cancel,
            turn,
        } = hold;
        if turn.send(Ok(())).is_err() {
            return Ok(());
        }
        loop {
            match orders.try_recv() {
                Ok(Order::Perform { series, reply }) => {
                    let (done, end) = self.do_series(&series, &cancel);
                    let _ = reply.send(Ok(done));
                    end?;
                }
                Ok(Order::End { keep, reply }) => {
                    let called_off = cancel.check();
                    if called_off.is_err() || !keep {
                        self.release_all()?;
                    }
                    let _ = reply.send(called_off);
                    return Ok(());
                }
                Err(TryRecvError::Disconnected) => return self.release_all(),
                Err(TryRecvError::Empty) => {
                    if cancel.check().is_err() {
                        return self.release_all();
                    }
                    self.answer_questions()?;
                    self.pause(None)?;
                }
            }
        }
    }

    /// One action after the other, between which the guard works and questions are answered. It ends early after a
    /// failure when that is wanted, or the unit was called off, or the display is gone: only that is an error.
    fn do_series(
        &mut self,
        series: &Series,
        cancel: &Cancel,
    ) -> (Vec<Performed>, Result<(), InputError>) {
        let mut done = Vec::with_capacity(series.actions.len());
        let mut size = None;
        for action in &series.actions {
            let begin = Instant::now();
            let (result, end) = told(self.do_action(action, series.declared, &mut size, cancel));
            let ends = result.is_err() && (!series.go_on || cancel.check().is_err());
            let elapsed = begin.elapsed();
            done.push(Performed { result, elapsed });
            let end = end
                .and_then(|()| self.answer_questions())
                .and_then(|()| self.release_expired());
            if ends || end.is_err() {
                return (done, end);
            }
        }
        (done, Ok(()))
    }

    /// One action, whole. What it pressed and did not keep is released, and after a failure everything is. `size` is that
    /// of the screen when the action before has just ended.
    fn do_action(
        &mut self,
        action: &Action,
        declared: (i64, i64),
        size: &mut Option<Size>,
        cancel: &Cancel,
    ) -> Result<Outcome, Failure> {
        let begin = Instant::now();
        let frame = self.frame(declared, size.take());
        let frame = frame.map_err(Failure::Before)?;
        let result = self.act(action, &frame, cancel);
        let clean = if result.is_ok() {
            self.release(&self.ledger.transient())
        } else {
            self.release(&self.ledger.all())
        };
        let clean = clean.and_then(|()| self.sink.sync_size());
        self.metrics
            .input_action_seconds
            .observe(begin.elapsed().as_secs_f64());
        self.publish();
        (self.options.on_moved)();
        result
            .and_then(|outcome| {
                *size = Some(clean?);
                Ok(outcome)
            })
            .map_err(Failure::During)
    }

    fn release_all(&mut self) -> Result<(), InputError> {
        self.release(&self.ledger.all())?;
        self.sink.sync()?;
        self.publish();
        Ok(())
    }

    /// The frame that an action's points are in, on the screen as it is now; asked for, unless it is known.
    fn frame(&mut self, declared: (i64, i64), size: Option<Size>) -> Result<Frame, InputError> {
        self.sink.pump()?;
        let size = size.map_or_else(|| self.sink.native_size(), Ok)?;
        Ok(Frame::new(declared.0, declared.1, size))
    }

    /// Runs the steps; the last round trip proves that the display has taken them.
    fn act(
        &mut self,
        action: &Action,
        frame: &Frame,
        cancel: &Cancel,
    ) -> Result<Outcome, InputError> {
        let mut outcome = Outcome::Done;
        let pointer = if begins_at_pointer(action) {
            self.sink.pointer()?
        } else {
            Point { x: 0, y: 0 }
        };
        for step in plan(action, frame, pointer)? {
            cancel.check()?;
            if let Some(other) = self.step(step, frame, cancel)? {
                outcome = other;
            }
        }
        Ok(outcome)
    }

    fn step(
        &mut self,
        step: Step,
        frame: &Frame,
        cancel: &Cancel,
    ) -> Result<Option<Outcome>, InputError> {
        self.metrics.input_steps.inc();
        match step {
            Step::Move(to) => {
                self.sink.motion(to)?;
                (self.options.on_moved)();
            }
            Step::Press(button) => self.press(Item::Button(button), || button.name().to_owned())?,
            Step::Release(button) => self.release(&[Item::Button(button)])?,
            Step::Combo(keys) => {
                self.keys_down(&keys, cancel)?;
                self.release(&self.ledger.transient())?;
            }
            Step::KeysDown(keys) => self.keys_down(&keys, cancel)?,
            Step::KeysUp(keys) => {
                let strokes = self.sink.resolve(&keys, cancel)?;
                let codes = strokes.iter().rev().map(|stroke| Item::Key(stroke.code));
                self.release(&codes.collect::<Vec<_>>())?;
            }
            Step::Wait(duration) => self.wait(duration, cancel)?,
            Step::Text(text) => {
                let report = self.sink.text(&text, cancel)?;
                self.metrics.input_steps.inc_by(report.characters as u64);
                return Ok(Some(Outcome::Typed(report)));
            }
            Step::Pointer => {
                let pointer = frame.to_declared(self.sink.pointer()?);
                return Ok(Some(Outcome::Pointer(pointer)));
            }
            Step::Keep => {
                // A caller who is gone would never release it.
                self.sink.sync()?;
                cancel.check()?;
                self.ledger.keep();
            }
        }
        Ok(None)
    }

    fn keys_down(&mut self, keys: &[Keysym], cancel: &Cancel) -> Result<(), InputError> {
        let strokes = self.sink.resolve(keys, cancel)?;
        for (key, KeyStroke { code, modifiers }) in keys.iter().zip(strokes) {
            for modifier in modifiers {
                self.press(Item::Key(modifier), || format!("modifier of {key}"))?;
            }
            self.press(Item::Key(code), || key.name())?;
        }
        Ok(())
    }

    /// Noted before it is sent, so that no error can lose it.
    fn press(&mut self, item: Item, name: impl FnOnce() -> String) -> Result<(), InputError> {
        if !self.ledger.press(item, name(), Instant::now()) {
            return Ok(());
        }
        match item {
            Item::Key(code) => self.sink.key(code, true),
            Item::Button(button) => self.sink.button(button, true),
        }
    }

    fn release(&mut self, items: &[Item]) -> Result<(), InputError> {
        for item in items {
            match *item {
                Item::Key(code) => self.sink.key(code, false)?,
                Item::Button(button) => self.sink.button(button, false)?,
            }
            self.ledger.release(*item);
        }
        Ok(())
    }

    /// The wait within an action. Ends at once when the action is called off; meanwhile the guard works
    /// and questions are answered.
    fn wait(&mut self, duration: Duration, cancel: &Cancel) -> Result<(), InputError> {
        self.sink.sync()?;
        self.publish();
        let until = Instant::now() + duration;
        loop {
            cancel.check()?;
            if Instant::now() >= until {
                return Ok(());
            }
            self.answer_questions()?;
            self.pause(Some(until))?;
        }
    }

    fn answer_questions(&mut self) -> Result<(), InputError> {
        while let Some(reply) = self.mailbox.next_question() {
            answer(reply, self.held())?;
        }
        Ok(())
    }

    fn held(&mut self) -> Result<HeldReport, InputError> {
        let server = self.sink.server_held()?;
        let buttons = server.buttons.iter().map(|button| button.name().to_owned());
        let server = Held {
            buttons: buttons.collect(),
            keys: server.keys.into_iter().map(|(_, name)| name).collect(),
        };
        Ok(HeldReport {
            ours: self.ledger.report(),
            server,
        })
    }

    fn reset(&mut self) -> Result<HeldReport, InputError> {
        self.release(&self.ledger.all())?;
        let server = self.sink.server_held()?;
        let keys = server.keys.iter().map(|(code, _)| Item::Key(*code));
        let buttons = server.buttons.iter().map(|button| Item::Button(*button));
        self.release(&keys.chain(buttons).collect::<Vec<_>>())?;
        self.sink.sync()?;
        self.publish();
        (self.options.on_moved)();
        self.held()
    }

    fn publish(&self) {
        self.any_held
            .store(!self.ledger.is_empty(), Ordering::Release);
    }
}

/// What the caller is told, and the thread. An error that ends the thread before anything was done is told as
/// [`InputError::Stopped`]: on another display the action may be tried again.
fn told(result: Result<Outcome, Failure>) -> (Result<Outcome, InputError>, Result<(), InputError>) {
    match result {
        Err(Failure::Before(error)) if error.is_fatal() => (Err(InputError::Stopped), Err(error)),
        Err(Failure::Before(error) | Failure::During(error)) => {
            let end = if error.is_fatal() {
                Err(error.clone())
            } else {
                Ok(())
            };
            (Err(error), end)
        }
        Ok(outcome) => (Ok(outcome), Ok(())),
    }
}

/// Gives the result to the caller, who may be gone; gives a fatal error to the thread, too.
fn answer<T>(
    reply: oneshot::Sender<Result<T, InputError>>,
    result: Result<T, InputError>,
) -> Result<(), InputError> {
    let fatal = result
        .as_ref()
        .err()
        .filter(|error| error.is_fatal())
        .cloned();
    let _ = reply.send(result);
    fatal.map_or(Ok(()), Err)
}
