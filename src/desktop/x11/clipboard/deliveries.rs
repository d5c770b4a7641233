//! Large contents on their way to other programs, piece by piece (ICCCM 2.7.2).

use std::time::{Duration, Instant};

use bytes::Bytes;
use x11rb::{
    errors::ConnectionError,
    protocol::xproto::{
        Atom, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, PropMode, Window,
    },
    wrapper::ConnectionExt as _,
};

use super::{Seat, offer::LoanId};
use crate::desktop::clipboard::transfer::Outgoing;

/// A reader that takes no piece for so long is given up.
const PATIENCE: Duration = Duration::from_secs(10);
/// Deliveries at once; more are refused. Those of one content share its bytes.
const MOST: usize = 256;
/// Contents that are no longer on the selection, but still being delivered; with more, the oldest is given up.
const MOST_CONTENTS: usize = 4;

/// Where a content goes, and as what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Destination {
    pub(super) requestor: Window,
    pub(super) property: Atom,
    pub(super) type_: Atom,
}

struct Delivery {
    to: Destination,
    outgoing: Outgoing,
    /// Tells contents apart.
    start: *const u8,
    until: Instant,
    loan: Option<LoanId>,
}

/// A delivery that is over: the loan it was of, and whether all was taken.
pub(super) struct Over {
    pub(super) loan: Option<LoanId>,
    pub(super) whole: bool,
}

/// Those under way, the oldest first.
#[derive(Default)]
pub(super) struct Deliveries(Vec<Delivery>);

impl Deliveries {
    /// Announces a content; `false` when there are too many. The requestor is watched from here on.
    pub(super) fn begin(
        &mut self,
        seat: &Seat,
        to: Destination,
        bytes: &Bytes,
        loan: Option<LoanId>,
        over: &mut Vec<Over>,
    ) -> Result<bool, ConnectionError> {
        self.end(over, |other| {
            (other.to.requestor, other.to.property) == (to.requestor, to.property)
        });
        if self.0.len() >= MOST {
            return Ok(false);
        }
        self.bound_contents(bytes.as_ptr(), over);
        watch(
            seat,
            to.requestor,
            EventMask::PROPERTY_CHANGE | EventMask::STRUCTURE_NOTIFY,
        )?;
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let (requestor, property) = (to.requestor, to.property);
        seat.connection.change_property32(
            PropMode::REPLACE,
            requestor,
            property,
            seat.atoms.INCR,
            &[length],
        )?;
        self.0.push(Delivery {
            to,
            outgoing: Outgoing::new(bytes.clone()),
            start: bytes.as_ptr(),
            until: Instant::now() + PATIENCE,
            loan,
        });
        Ok(true)
    }

    /// A requestor has taken what was in the property: the next piece goes there.
    pub(super) fn advance(
        &mut self,
        seat: &Seat,
        requestor: Window,
        property: Atom,
        over: &mut Vec<Over>,
    ) -> Result<(), ConnectionError> {
        let at = (requestor, property);
        let found = self
            .0
            .iter_mut()
            .find(|delivery| (delivery.to.requestor, delivery.to.property) == at);
        let Some(delivery) = found else {
            return Ok(());
        };
        if let Some(piece) = delivery.outgoing.next_piece() {
            delivery.until = Instant::now() + PATIENCE;
            seat.connection.change_property8(
                PropMode::REPLACE,
                requestor,
                property,
                delivery.to.type_,
                &piece,
            )?;
        }
        if delivery.outgoing.is_over() {
            self.end(over, |other| (other.to.requestor, other.to.property) == at);
            self.unwatch(seat, requestor)?;
        }
        Ok(())
    }

    /// Gives up those to a window that is gone.
    pub(super) fn forget(&mut self, requestor: Window, over: &mut Vec<Over>) {
        self.end(over, |delivery| delivery.to.requestor == requestor);
    }

    /// Gives up those whose readers stalled.
    pub(super) fn expire(
        &mut self,
        seat: &Seat,
        now: Instant,
        over: &mut Vec<Over>,
    ) -> Result<(), ConnectionError> {
        let stalled = |delivery: &Delivery| delivery.until <= now;
        let windows: Vec<Window> = self
            .0
            .iter()
            .filter(|delivery| stalled(delivery))
            .map(|delivery| delivery.to.requestor)
            .collect();
        self.end(over, stalled);
        for window in windows {
            self.unwatch(seat, window)?;
        }
        Ok(())
    }

    /// When the next one expires.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.iter().map(|delivery| delivery.until).min()
    }

    /// So that old contents that nobody takes to the end do not pile up.
    fn bound_contents(&mut self, new: *const u8, over: &mut Vec<Over>) {
        let mut contents: Vec<*const u8> = Vec::new();
        for start in self.0.iter().map(|delivery| delivery.start).chain([new]) {
            if !contents.contains(&start) {
                contents.push(start);
            }
        }
        if contents.len() > MOST_CONTENTS + 1 {
            let oldest = contents[0];
            self.end(over, |delivery| delivery.start == oldest);
        }
    }

    fn end(&mut self, over: &mut Vec<Over>, which: impl Fn(&Delivery) -> bool) {
        let ended = self.0.extract_if(.., |delivery| which(delivery));
        over.extend(ended.map(|delivery| Over {
            whole: delivery.outgoing.is_over(),
            loan: delivery.loan,
        }));
    }

    fn unwatch(&self, seat: &Seat, requestor: Window) -> Result<(), ConnectionError> {
        if self
            .0
            .iter()
            .any(|delivery| delivery.to.requestor == requestor)
        {
            return Ok(());
        }
        watch(seat, requestor, EventMask::NO_EVENT)
    }
}

fn watch(seat: &Seat, window: Window, events: EventMask) -> Result<(), ConnectionError> {
    let attributes = ChangeWindowAttributesAux::new().event_mask(events);
    seat.connection
        .change_window_attributes(window, &attributes)?;
    Ok(())
}
