//! Owns selections and serves them (ICCCM 2.1 to 2.3): one thread, one connection, both selections.
//!
//! ```text
//!          write, lend                    lend                      write: kept for afterwards
//! Others' -------------> Ours(content) ----------> Ours(lent, before) ---.
//!    ^                     |     ^                    |   |   ^----------'
//!    |  another took it    |     | before was content |   | another took it, or nothing was before
//!    `---------------------'     `---- given back ----'   `----------------> Others'
//! ```
//!
//! `Ours` holds the content, since when it is ours and, while a text is lent, what was there before and what the program
//! with the keyboard has fetched. Deliveries of large contents go on whatever becomes of the selection.

use std::{
    collections::VecDeque,
    sync::{OnceLock, mpsc},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;
use x11rb::{
    connection::Connection,
    protocol::{
        Event,
        xproto::{Atom, AtomEnum, ConnectionExt as _, PropMode, Property, Timestamp, Window},
    },
    wrapper::ConnectionExt as _,
};

pub(in crate::desktop) use super::offer::LoanId;
use super::{
    Seat,
    deliveries::{Deliveries, Over},
    lost,
    offer::{Held, Lent},
};
use crate::desktop::{
    clipboard::{ClipboardError, Content, Item, Kind, Selection, taking::Taking},
    x11::{
        Address,
        events::{Wake, next_event, wait},
    },
};

/// Events that are served before the next look at the jobs.
const BATCH: usize = 64;
/// How long the server may take for what it answers at once.
const ROUND_TRIP: Duration = Duration::from_secs(5);
type Reply<T> = oneshot::Sender<Result<T, ClipboardError>>;

/// What the owner is asked.
#[derive(Debug)]
pub(in crate::desktop) enum Job {
    /// What we hold ourselves.
    Peek(Selection, Reply<Owned>),
    /// Own this from now on.
    Write(Selection, Content, Reply<()>),
    /// Own this text until the loan is over. `owner` is whose `before` is: with another one by now, nothing is done.
    Lend {
        selection: Selection,
        text: Content,
        before: Option<Content>,
        owner: Option<Window>,
        loan: LoanId,
        reply: Reply<bool>,
    },
    /// Tell when the lent text was taken, at the latest at the time given.
    Taken(LoanId, Instant, oneshot::Sender<bool>),
    /// Put back what was there before.
    GiveBack(LoanId, Reply<()>),
}

/// Whose a selection is.
#[derive(Clone, Debug)]
pub(in crate::desktop) enum Owned {
    /// Ours, with this content; without what is lent.
    Us(Option<Content>),
    /// Somebody else's, or nobody's.
    Others,
}

impl Owned {
    /// What is wanted of our own content; `None` when it is not ours to answer.
    pub(in crate::desktop) fn read(
        self,
        selection: Selection,
        wanted: &[Kind],
    ) -> Option<Result<Item, ClipboardError>> {
        match self {
            Self::Others => None,
            Self::Us(None) => Some(Err(ClipboardError::Empty(selection))),
            Self::Us(Some(content)) => Some(match content.first_of(wanted) {
                Some(item) => Ok(item.clone()),
                None => Err(ClipboardError::NoSuchKind {
                    selection,
                    offered: content.kinds(),
                }),
            }),
        }
    }
}

/// Serves until all senders of jobs are gone, or the connection breaks. A failure is left in `failure`; jobs that wait
/// then are dropped.
pub(in crate::desktop) fn serve(
    address: &Address,
    jobs: &mpsc::Receiver<Job>,
    wake: &Wake,
    failure: &OnceLock<ClipboardError>,
) {
    let served = Seat::open(address).and_then(|seat| Owner::new(seat).run(jobs, wake));
    if let Err(error) = served {
        let _ = failure.set(error);
    }
}

pub(super) struct Owner {
    pub(super) seat: Seat,
    pub(super) held: [Option<Held>; Selection::ALL.len()],
    pub(super) deliveries: Deliveries,
    /// Events that came while an answer was waited for.
    later: VecDeque<Event>,
}

impl Owner {
    fn new(seat: Seat) -> Self {
        Self {
            seat,
            held: [None, None],
            deliveries: Deliveries::default(),
            later: VecDeque::new(),
        }
    }

    fn run(mut self, jobs: &mpsc::Receiver<Job>, wake: &Wake) -> Result<(), ClipboardError> {
        loop {
            self.take_events(BATCH)?;
            self.end_loans()?;
            loop {
                match jobs.try_recv() {
                    Ok(job) => {
                        // A loan that was dropped before this was asked is over before this is done.
                        self.end_loans()?;
                        self.job(job)?;
                    }
                    Err(mpsc::TryRecvError::Empty) => break,
                    Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
                }
            }
            self.look_at_the_time()?;
            self.seat.connection.flush().map_err(lost("sending"))?;
            if self.take_events(1)? == 0 {
                let until = self.deadline();
                wait(&self.seat.connection, Some(wake), until).map_err(lost("waiting"))?;
            }
        }
    }

    fn take_events(&mut self, most: usize) -> Result<usize, ClipboardError> {
        for taken in 0..most {
            let event = match self.later.pop_front() {
                Some(event) => Some(event),
                None => self
                    .seat
                    .connection
                    .poll_for_event()
                    .map_err(lost("waiting"))?,
            };
            match event {
                Some(event) => self.event(event)?,
                None => return Ok(taken),
            }
        }
        Ok(most)
    }

    fn event(&mut self, event: Event) -> Result<(), ClipboardError> {
        let mut over = Vec::new();
        match event {
            Event::SelectionRequest(request) => self.answer_request(&request, &mut over)?,
            Event::SelectionClear(event) => self.cleared(event.selection)?,
            Event::PropertyNotify(event) if event.state == Property::DELETE => self
                .deliveries
                .advance(&self.seat, event.window, event.atom, &mut over)
                .map_err(lost("sending a piece"))?,
            Event::DestroyNotify(event) => self.deliveries.forget(event.window, &mut over),
            // Of the requestor's window, which is gone.
            Event::Error(error) => self.deliveries.forget(error.bad_value, &mut over),
            _ => {}
        }
        self.note(over);
        Ok(())
    }

    fn job(&mut self, job: Job) -> Result<(), ClipboardError> {
        match job {
            Job::Peek(selection, reply) => {
                // Another program may have taken it, and the news still be on its way.
                let ours = self.seat.owner_of(selection)? == self.seat.window;
                let held = self.held[index(selection)].as_ref().filter(|_| ours);
                let owned = held.map_or(Owned::Others, |held| {
                    Owned::Us(match &held.lent {
                        Some(lent) => lent.before.clone(),
                        None => Some(held.content.clone()),
                    })
                });
                let _ = reply.send(Ok(owned));
            }
            Job::Write(selection, content, reply) => {
                let done = self.write(selection, content);
                return tell(reply, done);
            }
            Job::Lend {
                selection,
                text,
                before,
                owner,
                loan,
                reply,
            } => {
                let done = self.lend(selection, text, before, owner, loan);
                return tell(reply, done);
            }
            Job::Taken(loan, until, reply) => match self.lent(&loan) {
                Some(lent) => lent.waiter = Some((reply, until)),
                None => drop(reply.send(false)),
            },
            Job::GiveBack(loan, reply) => {
                loan.end();
                let done = self.end_loans();
                return tell(reply, done);
            }
        }
        Ok(())
    }

    /// While a text is lent, what is written waits until it is given back.
    fn write(&mut self, selection: Selection, content: Content) -> Result<(), ClipboardError> {
        if let Some(lent) = self.held[index(selection)]
            .as_mut()
            .and_then(|held| held.lent.as_mut())
            && self.seat.owner_of(selection)? == self.seat.window
        {
            lent.before = Some(content);
            return Ok(());
        }
        self.acquire(selection, content, None)
    }

    fn lend(
        &mut self,
        selection: Selection,
        text: Content,
        before: Option<Content>,
        owner: Option<Window>,
        id: LoanId,
    ) -> Result<bool, ClipboardError> {
        let expected = owner.unwrap_or(self.seat.window);
        if self.seat.owner_of(selection)? != expected {
            return Ok(false);
        }
        let lent = Lent {
            id,
            before,
            taking: Taking::default(),
            waiter: None,
        };
        self.acquire(selection, text, Some(lent))?;
        Ok(true)
    }

    fn acquire(
        &mut self,
        selection: Selection,
        content: Content,
        lent: Option<Lent>,
    ) -> Result<(), ClipboardError> {
        let mut held = Held::prepare(&self.seat, content)?;
        held.since = self.server_time()?;
        held.lent = lent;
        let (window, since) = (self.seat.window, held.since);
        self.seat
            .connection
            .set_selection_owner(window, self.seat.atom_of(selection), since)
            .map_err(lost("taking the selection"))?;
        if self.seat.owner_of(selection)? != window {
            return Err(ClipboardError::Contested(selection));
        }
        self.held[index(selection)] = Some(held);
        Ok(())
    }

    /// Puts back what lay there before each loan that is over.
    fn end_loans(&mut self) -> Result<(), ClipboardError> {
        for selection in Selection::ALL {
            let held = &mut self.held[index(selection)];
            let over = |held: &Held| held.lent.as_ref().is_some_and(|lent| lent.id.is_over());
            let Some(mut held) = held.take_if(|held| over(held)) else {
                continue;
            };
            if self.seat.owner_of(selection)? != self.seat.window {
                continue;
            }
            let Some(before) = held.lent.take().and_then(|lent| lent.before) else {
                let atom = self.seat.atom_of(selection);
                self.seat
                    .connection
                    .set_selection_owner(x11rb::NONE, atom, held.since)
                    .map_err(lost("giving the selection up"))?;
                continue;
            };
            match self.acquire(selection, before, None) {
                // Somebody copied something newer.
                Ok(()) | Err(ClipboardError::Contested(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn lent(&mut self, loan: &LoanId) -> Option<&mut Lent> {
        let all = self.held.iter_mut().flatten();
        all.filter_map(|held| held.lent.as_mut())
            .find(|lent| lent.id.is(loan))
    }

    fn note(&mut self, over: Vec<Over>) {
        for Over { loan, whole } in over {
            if let Some(lent) = loan.and_then(|loan| self.lent(&loan)) {
                lent.taking.ended(whole, Instant::now());
            }
        }
    }

    /// Another program took a selection, unless we took it back meanwhile.
    fn cleared(&mut self, atom: Atom) -> Result<(), ClipboardError> {
        for selection in Selection::ALL {
            if self.seat.atom_of(selection) == atom
                && self.seat.owner_of(selection)? != self.seat.window
            {
                self.held[index(selection)] = None;
            }
        }
        Ok(())
    }

    fn look_at_the_time(&mut self) -> Result<(), ClipboardError> {
        let (now, mut over) = (Instant::now(), Vec::new());
        self.deliveries
            .expire(&self.seat, now, &mut over)
            .map_err(lost("giving a delivery up"))?;
        self.note(over);
        for lent in self
            .held
            .iter_mut()
            .flatten()
            .filter_map(|held| held.lent.as_mut())
        {
            let taken = lent.taking.over_at().is_some_and(|at| at <= now);
            if let Some((reply, _)) = lent.waiter.take_if(|(_, until)| taken || *until <= now) {
                let _ = reply.send(taken);
            }
        }
        Ok(())
    }

    fn deadline(&self) -> Option<Instant> {
        let lent = self
            .held
            .iter()
            .flatten()
            .filter_map(|held| held.lent.as_ref());
        let waits = lent.filter_map(|lent| {
            let (_, until) = lent.waiter.as_ref()?;
            Some(lent.taking.over_at().map_or(*until, |at| at.min(*until)))
        });
        waits.chain(self.deliveries.deadline()).min()
    }

    /// A time of the server, by a property that changes to nothing (ICCCM 2.1).
    fn server_time(&mut self) -> Result<Timestamp, ClipboardError> {
        let (property, window) = (self.seat.atoms.DESKD_TIME, self.seat.window);
        let kind = AtomEnum::INTEGER;
        self.seat
            .connection
            .change_property8(PropMode::REPLACE, window, property, kind, &[])
            .map_err(lost("asking for the time"))?;
        let until = Instant::now() + ROUND_TRIP;
        loop {
            match next_event(&self.seat.connection, until).map_err(lost("asking for the time"))? {
                Some(Event::PropertyNotify(event)) if event.atom == property => {
                    return Ok(event.time);
                }
                Some(event) => self.later.push_back(event),
                None => {
                    let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                    return Err(lost("asking for the time")(late.into()));
                }
            }
        }
    }
}

pub(super) fn index(selection: Selection) -> usize {
    match selection {
        Selection::Clipboard => 0,
        Selection::Primary => 1,
    }
}

/// Tells the caller; a broken connection ends the thread as well.
fn tell<T>(reply: Reply<T>, done: Result<T, ClipboardError>) -> Result<(), ClipboardError> {
    let broken = match &done {
        Err(error @ ClipboardError::ConnectionLost { .. }) => Some(error.clone()),
        _ => None,
    };
    let _ = reply.send(done);
    broken.map_or(Ok(()), Err)
}
