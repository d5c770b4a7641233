//! What the driver tells everyone else: the snapshot that requests wait on, and the status that people see.

use std::sync::Arc;

use super::{Driver, Snapshot};
use crate::desktop::{LastError, Status, state::Phase};

impl Driver {
    /// Publishes what is. Whoever hears that a run is over finds nothing of it published any more.
    pub(super) fn publish(&mut self) {
        let phase = self.machine.phase();
        let over = if phase == Phase::Running {
            None
        } else {
            self.running.take()
        };
        let snapshot = Snapshot {
            phase,
            retry: self.machine.retry(),
            running: self.running.clone(),
            failure: self.failure.clone(),
        };
        self.context
            .metrics
            .desktops
            .set(i64::from(phase == Phase::Running));
        let same = |old: &Snapshot| {
            old.phase == snapshot.phase
                && old.retry == snapshot.retry
                && same_arc(old.running.as_ref(), snapshot.running.as_ref())
                && same_arc(old.failure.as_ref(), snapshot.failure.as_ref())
        };
        self.status
            .send_if_modified(|status| replace(status, self.status_now(phase)));
        if !same(&self.snapshot.borrow()) {
            self.snapshot.send_replace(snapshot);
        }
        if let Some(running) = over {
            running.ended.cancel();
        }
    }

    fn status_now(&self, phase: Phase) -> Status {
        let live = self.live.as_ref();
        Status {
            state: phase,
            provider: live
                .map(|live| live.provider)
                .or(self.context.config.provider),
            display: live.map(|live| live.place.address.display.clone()),
            xauthority: live.and_then(|live| live.place.xauthority.clone()),
            pid: live
                .and_then(|live| live.parts.server.as_ref())
                .map(|server| server.pid()),
            started_at: live.map(|live| live.since),
            restarts: self.restarts,
            last_error: self.failure.as_ref().map(|error| LastError {
                message: error.sentence(),
                log_tail: error.log_tail().to_owned(),
            }),
        }
    }
}

fn same_arc<T>(one: Option<&Arc<T>>, other: Option<&Arc<T>>) -> bool {
    one.map(Arc::as_ptr) == other.map(Arc::as_ptr)
}

fn replace<T: PartialEq>(old: &mut T, new: T) -> bool {
    let changed = *old != new;
    *old = new;
    changed
}
