//! Whose turn it is on the keyboard that texts and persons share.
//!
//! The keys of viewers come by our relay, which asks the gate before it writes them. A part of a text is typed behind
//! the closed gate: what passed before has been written by then, and the server has read it before it tells the state
//! that the part relies on. The gate stays closed until the next part's round trip, or the last one, shows that the
//! server has taken the part. While nobody types, that is no more than a round trip a part.
//!
//! ```text
//!          ┌──────────── typed on, modifiers down, somebody waits ───────────┐
//!          v                                                                 │
//! give way: gate open, wait for quiet and for the modifiers ──> close and look ──at rest──> part ──> close and look
//! ```
//!
//! Nobody waits for ever: who types without a pause, or leans on Shift, is overridden after a while, but gets the keys
//! through between two parts. Viewers that connect to the RFB server itself pass no gate.

use std::time::{Duration, Instant};

use x11rb::{
    cookie::Cookie,
    errors::ReplyError,
    protocol::{
        xkb::{self, ConnectionExt as _},
        xproto::{ConnectionExt as _, KEY_PRESS_EVENT, Window},
        xtest::ConnectionExt as _,
    },
};

use super::inject::{KEYBOARD, XtestSink, lost, reply};
use crate::desktop::{
    gate::{Closer, Gate},
    input::{Cancel, InputError},
};

/// Somebody who has not touched a key for so long has finished the word.
const QUIET: Duration = Duration::from_millis(150);

/// How long a text waits for somebody who types and makes no pause.
const COURTESY: Duration = Duration::from_secs(5);

/// How long a text waits for a person to let go of Shift, Control and the like.
const HELD: Duration = Duration::from_secs(2);

/// What a text still grants to others. Dropping it opens the gate.
#[derive(Debug)]
pub(super) struct Turn {
    /// Closed while the keyboard is ours.
    gate: Closer,
    /// How long the text may still wait for modifiers.
    patience: Duration,
    /// How long the text may still wait for somebody who types without a pause.
    courtesy: Duration,
}

impl Turn {
    pub(super) fn new(gate: &Gate) -> Self {
        Self {
            gate: gate.closer(),
            patience: HELD,
            courtesy: COURTESY,
        }
    }

    /// Lets others type until the next part.
    pub(super) fn pause(&mut self) {
        self.gate.open();
    }

    /// Whether others may type.
    pub(super) fn is_shared(&self) -> bool {
        self.gate.is_used()
    }
}

impl XtestSink {
    /// Closes the gate on a keyboard at rest, unless others have had their time. Tells the state that it is in.
    pub(super) fn take_turn(
        &mut self,
        cancel: &Cancel,
        turn: &mut Turn,
    ) -> Result<xkb::GetStateReply, InputError> {
        let mut gave_way = false;
        loop {
            let state = self.close_and_look(turn)?;
            let typed = self.is_typed_on(turn);
            let held = u16::from(state.base_mods) != 0;
            let for_keys = typed && !(gave_way && turn.courtesy.is_zero());
            let for_modifiers = held && !turn.patience.is_zero();
            if !for_keys && !for_modifiers {
                if !typed {
                    turn.courtesy = COURTESY;
                }
                return Ok(state);
            }
            gave_way = true;
            self.give_way(cancel, turn)?;
        }
    }

    fn close_and_look(&mut self, turn: &mut Turn) -> Result<xkb::GetStateReply, InputError> {
        self.close_gate(turn)?;
        let (focus, state) = self.focus_and_state()?;
        self.witness.typed(focus);
        self.others_typed()?;
        Ok(state)
    }

    /// Closes the gate. Whether nobody types or holds a modifier.
    pub(super) fn is_at_rest(&mut self, turn: &mut Turn) -> Result<bool, InputError> {
        let state = self.close_and_look(turn)?;
        Ok(!self.is_typed_on(turn) && u16::from(state.base_mods) == 0)
    }

    /// Whether others type, or typed a moment ago.
    fn is_typed_on(&self, turn: &Turn) -> bool {
        turn.gate.is_awaited() || self.others.is_some_and(|at| at.elapsed() < QUIET)
    }

    /// Closes the gate; the server has taken the keys of all that passed.
    pub(super) fn close_gate(&self, turn: &mut Turn) -> Result<(), InputError> {
        if turn.gate.close() {
            self.let_viewers_be_read()?;
        }
        Ok(())
    }

    /// Has the server take the keys that viewers have sent, before it goes on with our requests.
    ///
    /// A round trip does not: the server reads on from a client that it is at work for, and one in four requests came
    /// before a key that was written before it; up to ten round trips in a row did. A delay of XTEST makes the server
    /// put us aside ("no other requests from this client are processed", XTEST extension, `FakeInput`) and look at all
    /// its sockets, those of viewers at once and those of clients after them. It refuses a key 0, but after the delay.
    fn let_viewers_be_read(&self) -> Result<(), InputError> {
        let (kind, no_key, delay_ms) = (KEY_PRESS_EVENT, 0, 1);
        let faked = self
            .connection
            .xtest_fake_input(kind, no_key, delay_ms, x11rb::NONE, 0, 0, 0);
        match faked.map_err(lost("a pause"))?.check() {
            Ok(()) | Err(ReplyError::X11Error(_)) => Ok(()),
            Err(ReplyError::ConnectionError(source)) => Err(lost("a pause")(source)),
        }
    }

    /// Both in one round trip, which also tells that the server has taken the part before.
    fn focus_and_state(&self) -> Result<(Window, xkb::GetStateReply), InputError> {
        let focus = self.connection.get_input_focus();
        let state = self.connection.xkb_get_state(KEYBOARD);
        let focus = reply("the focus", focus.map(Cookie::reply))?.focus;
        Ok((
            focus,
            reply("the keyboard state", state.map(Cookie::reply))?,
        ))
    }

    /// Opens, and waits until nobody types or holds a modifier.
    fn give_way(&mut self, cancel: &Cancel, turn: &mut Turn) -> Result<(), InputError> {
        let begin = Instant::now();
        turn.gate.let_through();
        self.let_viewers_be_read()?;
        self.await_quiet(cancel, begin + turn.courtesy)?;
        turn.courtesy = turn.courtesy.saturating_sub(begin.elapsed());
        let begin = Instant::now();
        self.await_release(cancel, begin + turn.patience)?;
        turn.patience = turn.patience.saturating_sub(begin.elapsed());
        Ok(())
    }

    /// Lets somebody who types finish the word.
    fn await_quiet(&mut self, cancel: &Cancel, until: Instant) -> Result<(), InputError> {
        loop {
            self.others_typed()?;
            let quiet = self.others.map(|at| at + QUIET);
            let until = quiet.map_or(until, |quiet| quiet.min(until));
            if quiet.is_none() || until <= Instant::now() {
                return Ok(());
            }
            cancel.wait_for(self.connection.stream(), until)?;
        }
    }

    /// Waits until nobody holds a modifier.
    fn await_release(&mut self, cancel: &Cancel, until: Instant) -> Result<(), InputError> {
        self.watch_modifiers(true)?;
        loop {
            self.take_events()?;
            let state = self.state()?;
            if u16::from(state.base_mods) == 0 || Instant::now() >= until {
                break;
            }
            cancel.wait_for(self.connection.stream(), until)?;
        }
        self.watch_modifiers(false)
    }
}
