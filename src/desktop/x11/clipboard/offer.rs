//! What we own on one selection: the content with its targets as atoms, and whether it is lent.

use std::{
    cell::OnceCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::oneshot;
use x11rb::{
    connection::Connection,
    cookie::Cookie,
    protocol::xproto::{Atom, ConnectionExt as _, Timestamp, Window},
};

use super::{Seat, answer, lost};
use crate::desktop::clipboard::{
    ClipboardError, Content,
    content::{Encoding, latin1},
    taking::Taking,
};

/// Names a loan, and ends it when set.
#[derive(Clone, Debug, Default)]
pub(in crate::desktop) struct LoanId(Arc<AtomicBool>);

impl LoanId {
    /// The owner puts the old content back at its next wake-up.
    pub(in crate::desktop) fn end(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// What was there before, and what became of the lent text.
pub(super) struct Lent {
    pub(super) id: LoanId,
    pub(super) before: Option<Content>,
    pub(super) taking: Taking,
    /// Who waits until it is taken, and until when.
    pub(super) waiter: Option<(oneshot::Sender<bool>, Instant)>,
}

/// A target as it is answered.
struct Line {
    target: Atom,
    answer: Atom,
    item: usize,
    encoding: Encoding,
}

/// What we own.
pub(super) struct Held {
    /// Since when, on the server's clock.
    pub(super) since: Timestamp,
    pub(super) content: Content,
    pub(super) lent: Option<Lent>,
    lines: Vec<Line>,
    latin1: OnceCell<Bytes>,
}

impl Held {
    /// Names the targets. The selection is not ours before it was taken at `since`.
    pub(super) fn prepare(seat: &Seat, content: Content) -> Result<Self, ClipboardError> {
        let mut asked = Vec::new();
        for offer in content.offers() {
            let intern = |name: &str| seat.connection.intern_atom(false, name.as_bytes());
            let target = intern(offer.target).map_err(lost("naming targets"))?;
            let answer = intern(offer.answer).map_err(lost("naming targets"))?;
            asked.push((target, answer, offer.item, offer.encoding));
        }
        let mut lines = Vec::new();
        for (target, type_, item, encoding) in asked {
            let atom = |cookie: Cookie<'_, _, _>| answer("naming targets", Ok(cookie.reply()));
            lines.push(Line {
                target: atom(target)?.atom,
                answer: atom(type_)?.atom,
                item,
                encoding,
            });
        }
        Ok(Self {
            since: x11rb::CURRENT_TIME,
            content,
            lent: None,
            lines,
            latin1: OnceCell::new(),
        })
    }

    /// The targets that are offered.
    pub(super) fn targets(&self) -> impl Iterator<Item = Atom> {
        self.lines.iter().map(|line| line.target)
    }

    /// Type and bytes of the answer for a target.
    pub(super) fn answer(&self, target: Atom) -> Option<(Atom, Bytes)> {
        let line = self.lines.iter().find(|line| line.target == target)?;
        let bytes = &self.content.items[line.item].bytes;
        let bytes = match line.encoding {
            Encoding::Plain => bytes,
            Encoding::Latin1 => self.latin1.get_or_init(|| latin1(bytes)),
        };
        Some((line.answer, bytes.clone()))
    }

    /// Whether it was ours at a time that a request names (ICCCM 2.2), by a clock that runs over.
    pub(super) fn was_ours_at(&self, time: Timestamp) -> bool {
        time == x11rb::CURRENT_TIME || time.wrapping_sub(self.since) < 1 << 31
    }
}

/// Who sees a lent text: the requestor's client has the keyboard, or nobody has.
pub(super) fn has_focus(seat: &Seat, requestor: Window) -> Result<bool, ClipboardError> {
    let cookie = seat.connection.get_input_focus();
    let focus = answer("asking for the focus", cookie.map(Cookie::reply))?.focus;
    let setup = seat.connection.setup();
    let nobody = focus <= 1 || setup.roots.iter().any(|screen| screen.root == focus);
    Ok(nobody || seat.client_of(focus) == seat.client_of(requestor))
}
