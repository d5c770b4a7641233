//! Types texts exactly: levels with real modifiers, temporary keys for what the layout lacks.
//!
//! How programs read a change of the keyboard map, found by typing into each (xterm 379, GTK 3.24, GTK 4.8, Qt 5.15,
//! Chromium 156, Firefox 153; layouts `us`, `de`, `fr`, `ru`, `us(dvorak)`):
//!
//! - The server sends the event of the change before the events of the keys that follow, and all of these programs have
//!   a map as new as that event, or newer, when they look such a key up. So **a symbol on a level that was empty may be
//!   typed at once**: none of them missed one in thousands of texts, each with a fresh change and no wait.
//! - They look a key up in the map as it is when they come to it, not as it was when the key was pressed. So **a level
//!   that gets another symbol, or loses its own, rewrites the keys that wait in a program's queue**. These may be many:
//!   an entry of GTK that holds 5 000 characters needs 7 ms for each further one. With a fixed wait of 100 ms the long
//!   text came wrong in GTK 3, GTK 4 and Qt 5, from the 1 546th, 1 608th and 4 800th character on. `witness` has the
//!   proof that makes it right.
//! - Qt 5 asks the server for the modifiers when it learns of a change, and takes them for those of the next key, which
//!   may be older. So **the map changes while no modifier is down**, and as long as there are viewers, none goes down
//!   until the program knows of it. Without that, a person's first capital letter came small in every run under load.
//! - All go by the modifiers that come with the key, and read Shift and the third level's modifier alike. So a change
//!   carries four symbols a key. `FOUR_LEVEL` heeds no lock, but programs raise letters of such keys by themselves when
//!   Caps Lock is on, so locks are off while a text is typed.
//!
//! Thus: empty levels are given out at once; when none is left, those are given out again that have been read; a while
//! after the last text all temporary keys go away, and the map is what it was.
//!
//! A person may type by VNC meanwhile, and shares state and map with us. We press the keys of the VNC server's own
//! keyboard (see `inject`) and leave it some spare keys for what the layout lacks. A text goes in small parts, each with
//! its modifiers pressed and released in it, which the server takes in one go unless its clock ticks. Before each part
//! nobody may have typed for a moment, and no modifier may be down; during it the keys of viewers wait (see `turn`).

use std::{collections::BTreeSet, sync::Arc, time::Instant};

use x11rb::{
    connection::Connection,
    protocol::{
        xkb::{self, ConnectionExt as _},
        xproto::ModMask,
    },
};

use super::{
    inject::{KEYBOARD, XtestSink, lost},
    keymap::Position,
    temporary::{self, Origin, Stretch},
    turn::Turn,
};
use crate::desktop::{
    input::{Cancel, InputError, InputSink, TextReport},
    keys::Keysym,
};

/// Presses and releases that are sent in one part. The server looks at the viewers between two reads (of at least
/// 4 KiB, 113 of these requests) and when a client had its share of time, so the shorter the better.
const PART: usize = 48;

/// Keys that we take of those that are spare, 19 as a rule, from the lowest on. The VNC server takes from the highest
/// on for what viewers type and the layout lacks; without any left, it loses that.
const OURS: usize = 14;

/// Every real modifier.
const ALL: u16 = 0xff;

/// What stood in the way of a text, to be put back after it. A latch is used up, as by any key.
#[derive(Debug)]
struct Suspended {
    locked: u16,
    /// Modifiers that we held.
    keys: Vec<u8>,
    /// Modifiers that somebody else held for longer than anybody should wait, and when they were released.
    foreign: Vec<u8>,
    lifted: Option<Instant>,
    turn: Turn,
}

/// The keysym that a character of a text is typed as.
fn keysym_of(c: char) -> Keysym {
    match c {
        '\n' => Keysym::RETURN,
        '\t' => Keysym::TAB,
        _ => Keysym::from_char(c),
    }
}

impl XtestSink {
    pub(super) fn type_text(
        &mut self,
        text: &str,
        cancel: &Cancel,
    ) -> Result<TextReport, InputError> {
        let mut report = TextReport::default();
        let mut suspended = self.suspend()?;
        let typed = self.type_all(text, cancel, &mut suspended, &mut report);
        let restored = self.restore(&mut suspended);
        match typed.and(restored) {
            Ok(()) => Ok(report),
            Err(error) if report.characters == 0 => Err(error),
            Err(error) => Err(InputError::TextBroke {
                report,
                source: Arc::new(error),
            }),
        }
    }

    /// Turns latches off and lets go of what we hold.
    fn suspend(&mut self) -> Result<Suspended, InputError> {
        self.take_events()?;
        let state = self.state()?;
        let latched = u16::from(state.latched_mods) != 0 || state.latched_group != 0;
        if latched {
            self.lock(u16::from(state.locked_mods))?;
        }
        let modifies = |code: &u8| self.map.modifiers_of(*code) != 0;
        let keys: Vec<u8> = self.pressed.iter().copied().filter(modifies).collect();
        for code in &keys {
            self.fake_key(*code, false)?;
        }
        Ok(Suspended {
            locked: 0,
            keys,
            foreign: Vec::new(),
            lifted: None,
            turn: Turn::new(&self.gate),
        })
    }

    fn restore(&mut self, suspended: &mut Suspended) -> Result<(), InputError> {
        self.close_gate(&mut suspended.turn)?;
        self.sync()?;
        self.others_typed()?;
        // Whoever touched a key since may have let go of those, too; pressing them would leave them down for good.
        let untouched = suspended.lifted.is_some() && self.others <= suspended.lifted;
        let foreign = suspended.foreign.iter().filter(|_| untouched);
        for code in suspended.keys.iter().chain(foreign) {
            self.fake_key(*code, true)?;
        }
        if suspended.locked != 0 {
            self.lock(suspended.locked)?;
        }
        self.sync()
    }

    /// Makes the keyboard ready for a part of a text, with the gate closed. Whether that took longer than a moment, or the
    /// layout is another than before.
    fn prepare(
        &mut self,
        cancel: &Cancel,
        suspended: &mut Suspended,
        report: &mut TextReport,
    ) -> Result<bool, InputError> {
        let mut state = self.take_turn(cancel, &mut suspended.turn)?;
        if u16::from(state.base_mods) != 0 {
            self.release_foreign(suspended)?;
            state = self.state()?;
            report.foreign_modifiers = u16::from(state.base_mods) != 0;
        }
        let locked = u16::from(state.locked_mods);
        if locked != 0 {
            // Whoever locks or unlocks meanwhile means the lock as it was.
            suspended.locked ^= locked;
            self.lock(0)?;
        }
        let changed = self.refresh(u8::from(state.group), false)?;
        self.share_foreign()?;
        let told = self.untold && suspended.turn.is_shared();
        if told {
            self.tell(cancel, &mut suspended.turn)?;
        }
        Ok(changed || told)
    }

    /// Lets go of modifiers that others hold by the keyboard that is ours too. Those of other keyboards stay.
    fn release_foreign(&mut self, suspended: &mut Suspended) -> Result<(), InputError> {
        let mut down = self.keys_down()?;
        down.retain(|code| self.map.modifiers_of(*code) != 0);
        for code in down {
            self.fake_key(code, false)?;
            suspended.foreign.push(code);
        }
        suspended.foreign.dedup();
        self.sync()?;
        self.others_typed()?;
        suspended.lifted = Some(Instant::now());
        Ok(())
    }

    /// Sets the locks and clears the latches.
    fn lock(&self, locked: u16) -> Result<(), InputError> {
        let (all, locked) = (ModMask::from(ALL), ModMask::from(locked));
        self.connection
            .xkb_latch_lock_state(KEYBOARD, all, locked, false, xkb::Group::M1, all, true, 0)
            .map(drop)
            .map_err(lost("locks"))
    }

    fn type_all(
        &mut self,
        text: &str,
        cancel: &Cancel,
        suspended: &mut Suspended,
        report: &mut TextReport,
    ) -> Result<(), InputError> {
        let keysyms: Vec<Keysym> = text.chars().map(keysym_of).collect();
        let mut rest = &keysyms[..];
        // How far the map as it is serves.
        let mut served = 0;
        while !rest.is_empty() {
            cancel.check()?;
            if self.prepare(cancel, suspended, report)? || served == 0 {
                served = self.serve(rest, cancel, &mut suspended.turn, report)?;
                // That took its time, in which anybody may have pressed Shift.
                continue;
            }
            let length = self.type_part(&rest[..served], report)?;
            (rest, served) = (&rest[length..], served - length);
        }
        Ok(())
    }

    /// Makes the temporary keys that the text needs next, and gives the number of characters that they serve.
    fn serve(
        &mut self,
        keysyms: &[Keysym],
        cancel: &Cancel,
        turn: &mut Turn,
        report: &mut TextReport,
    ) -> Result<usize, InputError> {
        let stretch = self.stretch(keysyms);
        if stretch.length == 0 {
            return Err(InputError::NoKey(keysyms[0]));
        }
        if !stretch.missing.is_empty() {
            self.make_temporary(&stretch, cancel, turn)?;
            self.refresh(self.layout.group, false)?;
            report.map_changes += 1;
        }
        Ok(stretch.length)
    }

    /// As far as fresh symbols reach, for which nobody waits; without any, as far as all reach.
    fn stretch(&self, keysyms: &[Keysym]) -> Stretch {
        let (spare, levels) = self.places();
        let room = self.temporary.room(&spare, levels);
        let capacity = self.temporary.capacity(&spare, levels);
        let origin = |keysym| self.origin(keysym);
        let fresh = temporary::stretch(keysyms, origin, capacity, room);
        if fresh.length > 0 {
            return fresh;
        }
        temporary::stretch(keysyms, origin, capacity, capacity)
    }

    /// Codes that nobody uses and we may, and the levels that a temporary key has.
    pub(super) fn places(&self) -> (Vec<u8>, usize) {
        let levels = self.map.temporary_type(&self.layout).levels;
        let mut spare = self.map.spare();
        spare.truncate(OURS.saturating_sub(self.temporary.codes().count()));
        (spare, usize::from(levels))
    }

    fn origin(&self, keysym: Keysym) -> Origin {
        match self.position(keysym) {
            Some(at) if self.is_temporary(at) => Origin::Temporary,
            Some(_) => Origin::Layout,
            None => Origin::Nowhere,
        }
    }

    fn position(&self, keysym: Keysym) -> Option<Position> {
        let position = self.layout.keysym(keysym)?;
        self.layout.keys_for(position.modifiers).map(|_| position)
    }

    fn is_temporary(&self, position: Position) -> bool {
        self.temporary.contains(position.code)
    }

    /// Sends as many characters as go into one part, and gives their number.
    fn type_part(
        &mut self,
        keysyms: &[Keysym],
        report: &mut TextReport,
    ) -> Result<usize, InputError> {
        let (mut length, mut steps) = (0, Vec::new());
        let mut on: Vec<u8> = Vec::new();
        for keysym in keysyms {
            let before = steps.len();
            let position = self.position(*keysym).ok_or(InputError::NoKey(*keysym))?;
            self.press_only(position.modifiers, &mut on, &mut steps);
            steps.extend([(position.code, true), (position.code, false)]);
            if steps.len() + on.len() > PART {
                steps.truncate(before);
                break;
            }
            length += 1;
            report.characters += 1;
            if self.is_temporary(position) {
                report.by_temporary += 1;
            } else {
                report.by_layout += 1;
            }
        }
        let mut down = BTreeSet::new();
        for (code, press) in &steps {
            if *press {
                down.insert(*code)
            } else {
                down.remove(code)
            };
        }
        steps.extend(down.into_iter().map(|code| (code, false)));
        for (code, press) in steps {
            self.fake_key(code, press)?;
        }
        self.connection.flush().map_err(lost("a text"))?;
        self.witness.touch();
        Ok(length)
    }

    /// The steps from the modifier keys that are `on` to those for `modifiers`.
    fn press_only(&self, modifiers: u8, on: &mut Vec<u8>, steps: &mut Vec<(u8, bool)>) {
        let wanted = self.layout.keys_for(modifiers).unwrap_or_default();
        let released = on.iter().filter(|code| !wanted.contains(code));
        steps.extend(released.map(|code| (*code, false)));
        let pressed = wanted.iter().filter(|code| !on.contains(code));
        steps.extend(pressed.map(|code| (*code, true)));
        *on = wanted;
    }
}
