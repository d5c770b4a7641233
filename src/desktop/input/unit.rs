//! Several actions as one unit: a hold of the queue.
//!
//! ```text
//! Input::unit() --its turn--> Holding --end()--> over; what was kept stays down
//!                                |
//!                                +-- abandon(), dropped, called off, or the display gone: everything is released
//! ```

use std::{sync::mpsc::SyncSender, time::Duration};

use tokio::sync::oneshot;

use super::{
    Action, Cancel, InputError, Outcome, Performed,
    mailbox::{CancelOnDrop, Order, Series},
};

/// A hold of the queue: nobody else's action runs until it ends. Dropping it calls the running action off and
/// releases everything that is held.
#[derive(Debug)]
pub struct Unit {
    orders: SyncSender<Order>,
    guard: CancelOnDrop,
}

impl Unit {
    pub(super) fn new(orders: SyncSender<Order>, cancel: Cancel) -> Self {
        let over = false;
        Self {
            orders,
            guard: CancelOnDrop { cancel, over },
        }
    }

    /// Does one action of the unit, like [`super::Input::perform`]. Dropping the future calls the whole unit off.
    ///
    /// # Errors
    /// [`InputError::Cancelled`] once the unit was called off. After a failure nothing is held down; the unit goes
    /// on and may be used further.
    pub async fn perform(
        &mut self,
        action: Action,
        declared: (i64, i64),
    ) -> Result<Outcome, InputError> {
        let mut done = self.perform_all(vec![action], declared, false).await;
        done.pop().expect("one action, one result").result
    }

    /// Does several actions of the unit, like [`Unit::perform`] one after the other, but answers when all are done. One
    /// result an action, in their order; unless it shall `go_on`, the first failure is the last result.
    pub async fn perform_all(
        &mut self,
        actions: Vec<Action>,
        declared: (i64, i64),
        go_on: bool,
    ) -> Vec<Performed> {
        let count = actions.len().min(if go_on { usize::MAX } else { 1 });
        let (reply, answer) = oneshot::channel();
        let series = Series {
            actions,
            declared,
            go_on,
        };
        // Until it is answered: a future that is dropped half way takes the unit with it.
        let mut half_way = CancelOnDrop {
            cancel: self.guard.cancel.clone(),
            over: false,
        };
        let done = self.order(Order::Perform { series, reply }, answer).await;
        half_way.over = true;
        let mut done = done.unwrap_or_default();
        while done.len() < count {
            done.push(Performed {
                result: Err(self.gone()),
                elapsed: Duration::ZERO,
            });
        }
        done
    }

    /// Ends the unit; what its actions kept down stays down.
    ///
    /// # Errors
    /// [`InputError::Cancelled`] when it had been called off: then nothing is down.
    pub async fn end(self) -> Result<(), InputError> {
        self.finish(true).await
    }

    /// Ends the unit and answers when everything that was held is released.
    ///
    /// # Errors
    /// As [`Unit::end`].
    pub async fn abandon(self) -> Result<(), InputError> {
        self.finish(false).await
    }

    async fn finish(mut self, keep: bool) -> Result<(), InputError> {
        let (reply, answer) = oneshot::channel();
        let result = self.order(Order::End { keep, reply }, answer).await;
        self.guard.over = true;
        result
    }

    /// [`InputError::Cancelled`] once the unit was called off.
    pub fn check(&self) -> Result<(), InputError> {
        self.guard.cancel.check()
    }

    async fn order<T>(
        &self,
        order: Order,
        answer: oneshot::Receiver<Result<T, InputError>>,
    ) -> Result<T, InputError> {
        // One order is under way at a time, so there is room; it is refused when the thread has let go of the unit.
        self.orders.try_send(order).map_err(|_| self.gone())?;
        self.guard.cancel.wake();
        answer.await.unwrap_or_else(|_| Err(self.gone()))
    }

    /// Why the thread has let go of the unit.
    fn gone(&self) -> InputError {
        self.check().err().unwrap_or(InputError::Stopped)
    }
}
