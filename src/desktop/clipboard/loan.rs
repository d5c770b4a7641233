//! A text that lies on a selection for one paste.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    error::ClipboardError,
    line::{Line, Push},
};
use crate::desktop::x11::clipboard::{Job, LoanId};

/// What was there before comes back when this is given back, or, soon after, when it is dropped; but never over what
/// another program copied meanwhile.
#[derive(Debug)]
pub struct Loan {
    line: Arc<Line>,
    id: LoanId,
    permit: Option<OwnedSemaphorePermit>,
}

impl Loan {
    pub(super) fn new(line: Arc<Line>, id: LoanId) -> Self {
        Self {
            line,
            id,
            permit: None,
        }
    }

    /// The next loan waits for this one.
    pub(super) fn keep(&mut self, permit: OwnedSemaphorePermit) {
        self.permit = Some(permit);
    }

    /// Waits until the program that has the keyboard has fetched the text in full and has then asked for nothing for
    /// 100 ms ([`super::taking::QUIET`]); at most so long. Whether it has. Other programs that fetch it, such as clipboard
    /// managers, do not count. Also `false`, at once, when another program takes the selection. May be dropped and called
    /// again.
    pub async fn taken(&mut self, limit: Duration) -> bool {
        let (reply, answer) = oneshot::channel();
        let until = Instant::now() + limit;
        let pushed = self.line.push(Job::Taken(self.id.clone(), until, reply));
        pushed == Push::Done && answer.await.unwrap_or(false)
    }

    /// Puts the old content back and waits until it is there. Where nothing was before, nobody owns the selection then.
    /// Dropping the future does not call it off.
    pub async fn give_back(self) -> Result<(), ClipboardError> {
        let (reply, answer) = oneshot::channel();
        match self.line.push(Job::GiveBack(self.id.clone(), reply)) {
            Push::Done => answer.await.unwrap_or_else(|_| Err(self.line.failure())),
            Push::Full => Err(ClipboardError::Busy),
            Push::Ended => Err(self.line.failure()),
        }
    }
}

impl Drop for Loan {
    /// The thread puts the old content back before it does anything that is asked of it from now on.
    fn drop(&mut self) {
        self.id.end();
        self.line.wake();
    }
}
