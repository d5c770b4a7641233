//! Following a process: what was printed from a cursor on, its ending, the end of its output; each once and in order.

use std::sync::Arc;

use tokio::sync::watch;

use super::{
    entry::Entry,
    excerpt::whole_start,
    history::{Piece, View},
    record::{State, Status},
};

/// Bytes that are held for one reader.
const HELD: usize = 64 << 10;

/// What a follower sees next.
#[derive(Clone, Debug)]
pub enum Event {
    /// Bytes.
    Output(Piece),
    /// Bytes that are gone.
    Gap {
        /// The first of them.
        from: u64,
        /// The first one that is there again.
        to: u64,
    },
    /// The main process has ended; all that stood in its pipes came before.
    Exit(Box<Status>),
    /// Nothing follows.
    Closed,
}

/// A reader of one view of one process. It slows nobody: the files are its buffer.
#[derive(Debug)]
pub struct Follower {
    entry: Arc<Entry>,
    status: watch::Receiver<Status>,
    view: View,
    cursor: u64,
    /// Characters are kept whole.
    text: bool,
    ready: Option<Piece>,
    told_exit: bool,
}

impl Follower {
    /// From this cursor on; `text` holds back an incomplete character until it is complete or never will be.
    pub fn new(entry: Arc<Entry>, view: View, cursor: u64, text: bool) -> Self {
        Self {
            status: entry.subscribe(),
            entry,
            view,
            cursor,
            text,
            ready: None,
            told_exit: false,
        }
    }

    /// Waits for the next event. May be dropped and called again: nothing is lost and nothing comes twice.
    pub async fn next(&mut self) -> Event {
        loop {
            if let Some(piece) = self.ready.take() {
                self.cursor = piece.end();
                return Event::Output(piece);
            }
            let status = self.status.borrow_and_update().clone();
            if let Some(event) = self.look(&status).await {
                return event;
            }
            if !self.told_exit && status.state != State::Running {
                self.told_exit = true;
                return Event::Exit(Box::new(status));
            }
            if status.state == State::Exited {
                return Event::Closed;
            }
            // The entry, which is ours, has the other end.
            let _ = self.status.changed().await;
        }
    }

    async fn look(&mut self, status: &Status) -> Option<Event> {
        let total = Entry::total(status, self.view);
        if self.cursor >= total {
            return None;
        }
        let mut piece = self.entry.read(status, self.view, self.cursor, HELD).await;
        let last = status.state == State::Exited && piece.end() == total;
        if self.text && !last {
            cut(&mut piece);
            if piece.bytes.is_empty() && piece.start == self.cursor && piece.start + 4 > total {
                return None;
            }
        }
        if piece.bytes.is_empty() && piece.start == self.cursor {
            piece.start = total;
        }
        let from = self.cursor;
        if piece.start > from {
            let to = piece.start;
            self.cursor = to;
            self.ready = Some(piece).filter(|piece| !piece.bytes.is_empty());
            return Some(Event::Gap { from, to });
        }
        self.cursor = piece.end();
        Some(Event::Output(piece))
    }
}

/// Leaves out an incomplete character at the end.
fn cut(piece: &mut Piece) {
    let mut over = piece.bytes.len() - whole_start(&piece.bytes);
    piece.bytes.truncate(piece.bytes.len() - over);
    while over > 0
        && let Some((_, last)) = piece.runs.last_mut()
    {
        let less = over.min(*last);
        *last -= less;
        over -= less;
        if *last == 0 {
            piece.runs.pop();
        }
    }
}
