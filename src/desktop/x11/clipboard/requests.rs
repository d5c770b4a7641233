//! Answers what other programs ask of a selection that is ours (ICCCM 2.2, 2.6.2).

use std::time::Instant;

use x11rb::{
    cookie::Cookie,
    protocol::xproto::{
        Atom, AtomEnum, ConnectionExt as _, EventMask, PropMode, SELECTION_NOTIFY_EVENT,
        SelectionNotifyEvent, SelectionRequestEvent, Window,
    },
    wrapper::ConnectionExt as _,
};

use super::{
    answer,
    deliveries::{Destination, Over},
    lost,
    offer::{LoanId, has_focus},
    owner::{Owner, index},
};
use crate::desktop::clipboard::{ClipboardError, Selection, transfer::PIECE};

/// Conversions that one `MULTIPLE` may ask for.
const MAX_PAIRS: u32 = 64;

impl Owner {
    pub(super) fn answer_request(
        &mut self,
        request: &SelectionRequestEvent,
        over: &mut Vec<Over>,
    ) -> Result<(), ClipboardError> {
        // Old programs leave the property to us (ICCCM 2.2).
        let property = match request.property {
            x11rb::NONE => request.target,
            property => property,
        };
        let done = self.convert_for(request, property, over)?;
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor: request.requestor,
            selection: request.selection,
            target: request.target,
            property: if done { property } else { x11rb::NONE },
        };
        self.seat
            .connection
            .send_event(false, request.requestor, EventMask::NO_EVENT, event)
            .map_err(lost("answering a request"))?;
        Ok(())
    }

    /// Puts what is asked for where it is asked for; whether it could.
    fn convert_for(
        &mut self,
        request: &SelectionRequestEvent,
        property: Atom,
        over: &mut Vec<Over>,
    ) -> Result<bool, ClipboardError> {
        let ours = |selection: &Selection| self.seat.atom_of(*selection) == request.selection;
        let Some(selection) = Selection::ALL.into_iter().find(ours) else {
            return Ok(false);
        };
        let at = index(selection);
        let Some(held) = self.held[at]
            .as_mut()
            .filter(|held| held.was_ours_at(request.time))
        else {
            return Ok(false);
        };
        let mut loan = None;
        if let Some(lent) = &mut held.lent {
            // A loan is for the program with the keyboard, not for viewers.
            if self.seat.is_servers(request.requestor) {
                return Ok(false);
            }
            if has_focus(&self.seat, request.requestor)? {
                lent.taking.asked(Instant::now());
                loan = Some(lent.id.clone());
            }
        }
        if request.target == self.seat.atoms.MULTIPLE {
            return self.convert_multiple(at, request.requestor, property, loan.as_ref(), over);
        }
        self.convert(at, request.requestor, property, request.target, loan, over)
    }

    fn convert(
        &mut self,
        at: usize,
        requestor: Window,
        property: Atom,
        target: Atom,
        loan: Option<LoanId>,
        over: &mut Vec<Over>,
    ) -> Result<bool, ClipboardError> {
        let Some(held) = &mut self.held[at] else {
            return Ok(false);
        };
        let (connection, atoms, replace) =
            (&self.seat.connection, &self.seat.atoms, PropMode::REPLACE);
        let put = if target == atoms.TARGETS {
            let own = [atoms.TARGETS, atoms.TIMESTAMP, atoms.MULTIPLE];
            let all: Vec<Atom> = own.into_iter().chain(held.targets()).collect();
            connection.change_property32(replace, requestor, property, AtomEnum::ATOM, &all)
        } else if target == atoms.TIMESTAMP {
            let since = [held.since];
            connection.change_property32(replace, requestor, property, AtomEnum::INTEGER, &since)
        } else if let Some((type_, bytes)) = held.answer(target) {
            let lent = held.lent.as_mut().filter(|_| loan.is_some());
            if bytes.len() > PIECE {
                let to = Destination {
                    requestor,
                    property,
                    type_,
                };
                let begun = self.deliveries.begin(&self.seat, to, &bytes, loan, over);
                let begun = begun.map_err(lost("answering a request"))?;
                if let (Some(lent), true) = (lent, begun) {
                    lent.taking.began();
                }
                return Ok(begun);
            }
            if let Some(lent) = lent {
                lent.taking.began();
                lent.taking.ended(true, Instant::now());
            }
            connection.change_property8(replace, requestor, property, type_, &bytes)
        } else {
            return Ok(false);
        };
        put.map_err(lost("answering a request"))?;
        Ok(true)
    }

    /// Several targets in one request; those that cannot be had are marked in the list (ICCCM 2.6.2).
    fn convert_multiple(
        &mut self,
        at: usize,
        requestor: Window,
        property: Atom,
        loan: Option<&LoanId>,
        over: &mut Vec<Over>,
    ) -> Result<bool, ClipboardError> {
        let pairs = self.seat.atoms.ATOM_PAIR;
        let words = 2 * MAX_PAIRS;
        let cookie =
            self.seat
                .connection
                .get_property(false, requestor, property, AtomEnum::ANY, 0, words);
        let list = match answer("reading a request", cookie.map(Cookie::reply)) {
            Ok(reply) => reply,
            // The requestor is gone.
            Err(ClipboardError::Refused { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let Some(mut list) = list.value32().map(Iterator::collect::<Vec<Atom>>) else {
            return Ok(false);
        };
        for pair in list.chunks_exact_mut(2) {
            let target = pair[0];
            let may = target != self.seat.atoms.MULTIPLE && pair[1] != x11rb::NONE;
            if !may || !self.convert(at, requestor, pair[1], target, loan.cloned(), over)? {
                pair[1] = x11rb::NONE;
            }
        }
        self.seat
            .connection
            .change_property32(PropMode::REPLACE, requestor, property, pairs, &list)
            .map_err(lost("answering a request"))?;
        Ok(true)
    }
}
