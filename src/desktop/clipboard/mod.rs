//! The clipboard: what programs on the desktop copied, and what we put there. No program helps: our own X connections own
//! and ask.
//!
//! [`Clipboard`] is a handle. What another program owns is read by an errand of its own. What we own is served by one
//! thread, which starts with the first write and follows this machine for each selection (drawn with its states in
//! `x11/clipboard/owner`):
//!
//! ```text
//!          write, lend                 lend
//! Others' ------------> Ours(content) ------> Ours(lent, before) --given back--> Ours(before) or nobody's
//!    ^  another program took it  |                     |
//!    `---------------------------'---------------------'
//! ```
//!
//! The thread ends with the handle or with the display, and the next write starts another; what we owned is then gone, as
//! it is with any program that ends.

pub mod content;
pub mod error;
mod line;
mod loan;
pub mod taking;
pub mod transfer;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{Semaphore, oneshot};

use self::line::{Line, Push};
pub use self::{
    content::{Content, Item, Kind, MAX_BYTES, Selection},
    error::ClipboardError,
    loan::Loan,
};
use super::{
    errand::{Errands, Turned},
    x11::{
        Address,
        clipboard::{self as selections, Job, LoanId, Owned},
    },
};

/// How long the owner of the old content may take when a text is lent.
const SNAPSHOT: Duration = Duration::from_millis(500);
/// How often something is tried when the connection breaks, or another program takes the selection meanwhile.
const TRIES: usize = 3;

/// Handle on the selections of one display. Clones share the thread, which ends with the last of them.
#[derive(Clone, Debug)]
pub struct Clipboard {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    address: Address,
    errands: Errands,
    /// The thread that owns, once there is one. The lock is held for an instant, never across an await.
    line: Mutex<Option<Arc<Line>>>,
    /// A loan at a time, for each selection.
    loans: [Arc<Semaphore>; 2],
}

impl Clipboard {
    /// Of the display at this address. Connects with the first use.
    pub fn new(address: Address) -> Self {
        let one = || Arc::new(Semaphore::new(1));
        Self {
            shared: Arc::new(Shared {
                address,
                errands: Errands::new("clip-read"),
                line: Mutex::new(None),
                loans: [one(), one()],
            }),
        }
    }

    /// What lies on the selection, in this kind. Text and HTML are valid UTF-8. Bounded: an owner has 5 s for each step
    /// and 30 s for all of it. Dropping the future abandons the answer.
    ///
    /// # Errors
    /// [`ClipboardError::Empty`], [`ClipboardError::NoSuchKind`] with what is there, and how the owner failed.
    pub async fn read(&self, selection: Selection, kind: Kind) -> Result<Bytes, ClipboardError> {
        Ok(self.read_first(selection, vec![kind]).await?.bytes)
    }

    /// The same in the first of these kinds that is there.
    pub async fn read_first(
        &self,
        selection: Selection,
        wanted: Vec<Kind>,
    ) -> Result<Item, ClipboardError> {
        if let Some(answer) = self.peek(selection).await?.read(selection, &wanted) {
            return answer;
        }
        self.errand(move |address| selections::read(address, selection, &wanted))
            .await
    }

    /// The kinds that the owner offers: text, HTML and PNG first.
    pub async fn kinds(&self, selection: Selection) -> Result<Vec<Kind>, ClipboardError> {
        match self.peek(selection).await? {
            Owned::Us(Some(content)) => Ok(content.kinds()),
            Owned::Us(None) => Err(ClipboardError::Empty(selection)),
            Owned::Others => {
                self.errand(move |address| selections::kinds(address, selection))
                    .await
            }
        }
    }

    /// Owns the selection from now on, with this content. While a text is lent, the content waits behind it. Dropping
    /// the future does not call it off.
    ///
    /// # Errors
    /// [`ClipboardError::TooLarge`] before anything is done.
    pub async fn write(
        &self,
        selection: Selection,
        content: Content,
    ) -> Result<(), ClipboardError> {
        check(&content)?;
        self.ask(|reply| Job::Write(selection, content.clone(), reply))
            .await
    }

    /// Lends `text` on CLIPBOARD for one paste: see [`Clipboard::lend_on`].
    pub async fn lend(&self, text: String) -> Result<Loan, ClipboardError> {
        self.lend_on(Selection::Clipboard, text).await
    }

    /// Offers a text for one paste, and keeps what was there: all kinds that its owner gives within 500 ms and
    /// [`MAX_BYTES`]. An owner that gives nothing counts as none. Waits while another text is lent. Viewers do not see
    /// what is lent. Dropping the future puts the old content back.
    pub async fn lend_on(
        &self,
        selection: Selection,
        text: String,
    ) -> Result<Loan, ClipboardError> {
        let text = Content::text(text);
        check(&text)?;
        let place = match selection {
            Selection::Clipboard => &self.shared.loans[0],
            Selection::Primary => &self.shared.loans[1],
        };
        let permit = Arc::clone(place).acquire_owned().await;
        let permit = permit.expect("it is never closed");
        let mut failure = ClipboardError::Contested(selection);
        for _ in 0..TRIES {
            let (owner, before) = match self.peek(selection).await? {
                Owned::Us(content) => (None, content),
                Owned::Others => {
                    let work =
                        move |address: &Address| selections::snapshot(address, selection, SNAPSHOT);
                    let snapshot = self.errand(work).await?;
                    (Some(snapshot.owner), snapshot.content)
                }
            };
            let line = self.line()?;
            let (id, (reply, answer)) = (LoanId::default(), oneshot::channel());
            // From here on a drop ends the loan.
            let mut loan = Loan::new(Arc::clone(&line), id.clone());
            let job = Job::Lend {
                selection,
                text: text.clone(),
                before,
                owner,
                loan: id,
                reply,
            };
            match self.put(&line, job, answer).await {
                Ok(Ok(true)) => {
                    loan.keep(permit);
                    return Ok(loan);
                }
                Ok(Ok(false)) => {}
                Ok(Err(error)) => return Err(error),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// What we own ourselves, without starting the thread for it.
    async fn peek(&self, selection: Selection) -> Result<Owned, ClipboardError> {
        let line = self.lock().clone();
        let Some(line) = line else {
            return Ok(Owned::Others);
        };
        let (reply, answer) = oneshot::channel();
        match self.put(&line, Job::Peek(selection, reply), answer).await {
            Ok(owned) => owned,
            // The thread is gone, and what it owned with it.
            Err(_) => Ok(Owned::Others),
        }
    }

    /// Reading changes nothing, so it is tried again when the connection breaks.
    async fn errand<T: Send + 'static>(
        &self,
        work: impl Fn(&Address) -> Result<T, ClipboardError> + Send + Sync + 'static,
    ) -> Result<T, ClipboardError> {
        let work = Arc::new(work);
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let (work, address) = (Arc::clone(&work), self.shared.address.clone());
            match self.shared.errands.run(move || work(&address)).await {
                Ok(Err(ClipboardError::ConnectionLost { .. })) if tries > 0 => {}
                Ok(done) => return done,
                Err(Turned::Away) => return Err(ClipboardError::Busy),
                Err(Turned::Failed(source)) => {
                    return Err(ClipboardError::Refused {
                        operation: "a thread",
                        source: Arc::new(source),
                    });
                }
            }
        }
    }

    /// What is asked here may be done twice with the same result, so it is asked again when the connection breaks.
    async fn ask<T>(
        &self,
        job: impl Fn(oneshot::Sender<Result<T, ClipboardError>>) -> Job,
    ) -> Result<T, ClipboardError> {
        let mut failure = ClipboardError::Busy;
        for _ in 0..TRIES {
            let line = self.line()?;
            let (reply, answer) = oneshot::channel();
            match self.put(&line, job(reply), answer).await {
                Ok(Err(error @ ClipboardError::ConnectionLost { .. })) | Err(error) => {
                    failure = error;
                }
                Ok(done) => return done,
            }
            if failure.is_unreachable() || matches!(failure, ClipboardError::Busy) {
                break;
            }
        }
        Err(failure)
    }

    /// Gives the thread a job and waits; an error means that the thread has ended, or is full.
    async fn put<T>(
        &self,
        line: &Arc<Line>,
        job: Job,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, ClipboardError> {
        match line.push(job) {
            Push::Full => return Err(ClipboardError::Busy),
            Push::Done => {
                if let Ok(done) = answer.await {
                    return Ok(done);
                }
            }
            Push::Ended => {}
        }
        self.lock().take_if(|current| Arc::ptr_eq(current, line));
        Err(line.failure())
    }

    /// The thread that owns, started if need be.
    fn line(&self) -> Result<Arc<Line>, ClipboardError> {
        let mut current = self.lock();
        if let Some(line) = &*current {
            return Ok(Arc::clone(line));
        }
        let line = Line::start(self.shared.address.clone());
        let line = Arc::new(line.map_err(|source| ClipboardError::Refused {
            operation: "a thread",
            source: Arc::new(source),
        })?);
        Ok(Arc::clone(current.insert(line)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Arc<Line>>> {
        let lock = self.shared.line.lock();
        // Nothing panics while it is held.
        lock.unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn check(content: &Content) -> Result<(), ClipboardError> {
    if content.size() > MAX_BYTES {
        return Err(ClipboardError::TooLarge { limit: MAX_BYTES });
    }
    Ok(())
}
