//! Types texts exactly: levels with real modifiers, temporary keys for what the layout lacks.
//!
//! Programs learn of a changed map by an event and fetch the map later. A key that is typed before
//! that is read with the old map, and a code that is used again rewrites the keys that still wait in a
//! program's queue. No server-side request waits for that, so the map is changed at most once for each
//! batch of new characters, a code is given away again only after [`SETTLE`], and typing goes on only
//! [`SETTLE`] after a change: the time that xterm and GTK were measured to need.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use x11rb::{
    connection::Connection,
    protocol::{
        xkb::{self, ConnectionExt as _},
        xproto::{ConnectionExt as _, ModMask},
    },
};

use super::{
    inject::{KEYBOARD, Temporary, XtestSink, lost, read_map},
    keymap::Position,
};
use crate::desktop::{
    input::{Cancel, InputError, InputSink, TextReport},
    keys::Keysym,
};

/// What programs need to read a changed map.
pub(super) const SETTLE: Duration = Duration::from_millis(100);

/// Characters between two looks at the cancellation, each with a round trip.
const BATCH: usize = 64;

/// Every real modifier.
const ALL: u16 = 0xff;

/// What stood in the way of a text, to be put back after it. A latch is used up, as by any key.
#[derive(Debug)]
struct Suspended {
    locked: u16,
    latched: bool,
    keys: Vec<u8>,
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
        let suspended = self.suspend(&mut report)?;
        let typed = self.type_all(text, cancel, &mut report);
        let restored = self.restore(&suspended);
        typed.and(restored).map(|()| report)
    }

    /// Turns locks and latches off and lets go of held modifiers.
    fn suspend(&mut self, report: &mut TextReport) -> Result<Suspended, InputError> {
        let state = self.state()?;
        let group = if state.latched_group == 0 {
            state.group
        } else {
            state.locked_group
        };
        self.refresh(u8::from(group), false)?;
        let mut suspended = Suspended {
            locked: u16::from(state.locked_mods),
            latched: u16::from(state.latched_mods) != 0 || state.latched_group != 0,
            keys: Vec::new(),
        };
        if suspended.is_latched_or_locked() {
            self.lock(0)?;
        }
        if u16::from(state.base_mods) != 0 {
            let down = self.keys_down()?;
            suspended.keys = down
                .into_iter()
                .filter(|code| self.map.modifiers_of(*code) != 0)
                .collect();
            for code in &suspended.keys {
                self.fake_key(*code, false)?;
            }
            report.foreign_modifiers = u16::from(self.state()?.base_mods) != 0;
        }
        Ok(suspended)
    }

    fn restore(&mut self, suspended: &Suspended) -> Result<(), InputError> {
        for code in &suspended.keys {
            self.fake_key(*code, true)?;
        }
        if suspended.is_latched_or_locked() {
            self.lock(suspended.locked)?;
        }
        self.sync()
    }

    /// Sets the locks and clears the latches.
    fn lock(&self, locked: u16) -> Result<(), InputError> {
        let (all, locked) = (ModMask::from(ALL), ModMask::from(locked));
        self.connection
            .xkb_latch_lock_state(KEYBOARD, all, locked, false, xkb::Group::M1, all, true, 0)
            .map(drop)
            .map_err(lost("locks"))
    }

    /// In stretches that need no more temporary keys than there are.
    fn type_all(
        &mut self,
        text: &str,
        cancel: &Cancel,
        report: &mut TextReport,
    ) -> Result<(), InputError> {
        let keysyms: Vec<Keysym> = text.chars().map(keysym_of).collect();
        let mut rest = &keysyms[..];
        while !rest.is_empty() {
            let (length, needed, missing) = self.stretch(rest);
            if length == 0 {
                return Err(InputError::NoKey(rest[0]));
            }
            if !missing.is_empty() {
                let group = self.layout.group;
                self.make_temporary(&missing, &needed, cancel)?;
                self.refresh(group, false)?;
                report.map_changes += 1;
            }
            if !needed.is_empty() {
                self.settle(cancel)?;
            }
            self.type_stretch(&rest[..length], cancel, report)?;
            rest = &rest[length..];
        }
        Ok(())
    }

    /// How far one set of temporary keys reaches, what it holds, and which of it is new.
    fn stretch(&self, keysyms: &[Keysym]) -> (usize, HashSet<Keysym>, Vec<Keysym>) {
        let room = self.temporary.len() + self.map.spare().len();
        let (mut needed, mut missing) = (HashSet::new(), Vec::new());
        for (length, keysym) in keysyms.iter().enumerate() {
            let position = self.position(*keysym);
            if position.is_some_and(|at| !self.is_temporary(at)) || needed.contains(keysym) {
                continue;
            }
            if needed.len() == room {
                return (length, needed, missing);
            }
            needed.insert(*keysym);
            if position.is_none() {
                missing.push(*keysym);
            }
        }
        (keysyms.len(), needed, missing)
    }

    fn position(&self, keysym: Keysym) -> Option<Position> {
        let position = self.layout.keysym(keysym)?;
        self.layout.keys_for(position.modifiers).map(|_| position)
    }

    fn is_temporary(&self, position: Position) -> bool {
        self.temporary.iter().any(|key| key.code == position.code)
    }

    fn type_stretch(
        &mut self,
        keysyms: &[Keysym],
        cancel: &Cancel,
        report: &mut TextReport,
    ) -> Result<(), InputError> {
        let mut on: Vec<u8> = Vec::new();
        let mut typed = Ok(());
        for batch in keysyms.chunks(BATCH) {
            typed = cancel
                .check()
                .and_then(|()| self.type_batch(batch, &mut on, report));
            if typed.is_err() {
                break;
            }
        }
        for code in on.iter().rev() {
            self.fake_key(*code, false)?;
        }
        typed.and(self.sync())
    }

    fn type_batch(
        &mut self,
        keysyms: &[Keysym],
        on: &mut Vec<u8>,
        report: &mut TextReport,
    ) -> Result<(), InputError> {
        for keysym in keysyms {
            let position = self.position(*keysym).ok_or(InputError::NoKey(*keysym))?;
            let wanted = self.layout.keys_for(position.modifiers).unwrap_or_default();
            if wanted != *on {
                for code in on.iter().filter(|code| !wanted.contains(code)) {
                    self.fake_key(*code, false)?;
                }
                for code in wanted.iter().filter(|code| !on.contains(code)) {
                    self.fake_key(*code, true)?;
                }
                *on = wanted;
            }
            self.fake_key(position.code, true)?;
            self.fake_key(position.code, false)?;
            report.characters += 1;
            if self.is_temporary(position) {
                report.by_temporary += 1;
                self.touch(position.code);
            } else {
                report.by_layout += 1;
            }
        }
        self.sync()
    }

    /// Notes a use: the key moves to the end of the line.
    fn touch(&mut self, code: u8) {
        if let Some(index) = self.temporary.iter().position(|key| key.code == code) {
            let mut key = self.temporary.remove(index);
            key.used = Instant::now();
            self.temporary.push(key);
        }
    }

    /// Gives keysyms spare keys, in one change of the map, and waits until programs can have read it.
    /// Codes that nobody uses come first, then those of ours that were used longest ago.
    pub(super) fn make_temporary(
        &mut self,
        keysyms: &[Keysym],
        needed: &HashSet<Keysym>,
        cancel: &Cancel,
    ) -> Result<(), InputError> {
        let mut wanted = keysyms.to_vec();
        wanted.sort_unstable();
        wanted.dedup();
        let mut spare = self.map.spare().into_iter();
        let mut chosen = Vec::new();
        for keysym in wanted {
            let code = spare.next().or_else(|| self.oldest(needed, &chosen));
            let code = code.ok_or(InputError::NoKey(keysym))?;
            chosen.push((code, keysym));
        }
        if let Some(pressed) = self.last_use(&chosen) {
            cancel.wait(SETTLE.saturating_sub(pressed.elapsed()))?;
        }
        self.change_map(&chosen)?;
        let used = Instant::now();
        for (code, keysym) in chosen {
            self.temporary.retain(|key| key.code != code);
            self.temporary.push(Temporary { code, keysym, used });
        }
        self.stale = true;
        self.changed = Some(used);
        self.settle(cancel)
    }

    /// Waits until programs can have read the last change of ours, also one whose own wait was called off.
    pub(super) fn settle(&mut self, cancel: &Cancel) -> Result<(), InputError> {
        if let Some(changed) = self.changed {
            cancel.wait(SETTLE.saturating_sub(changed.elapsed()))?;
            self.changed = None;
        }
        Ok(())
    }

    /// The temporary key to give away: not one of the chosen, nor one that the same text needs.
    fn oldest(&self, needed: &HashSet<Keysym>, chosen: &[(u8, Keysym)]) -> Option<u8> {
        let free = |key: &&Temporary| {
            !needed.contains(&key.keysym) && chosen.iter().all(|(code, _)| *code != key.code)
        };
        self.temporary.iter().find(free).map(|key| key.code)
    }

    fn last_use(&self, chosen: &[(u8, Keysym)]) -> Option<Instant> {
        let reused = self
            .temporary
            .iter()
            .filter(|key| chosen.iter().any(|(code, _)| *code == key.code));
        reused.map(|key| key.used).max()
    }

    /// Sets the only symbol of keys (0 takes it away) by one `SetMap` over the range they span, so that
    /// programs get one event. The keys between keep what they have: the server is grabbed meanwhile.
    fn change_map(&self, changes: &[(u8, Keysym)]) -> Result<(), InputError> {
        let (Some(first), Some(last)) = (
            changes.iter().map(|(code, _)| *code).min(),
            changes.iter().map(|(code, _)| *code).max(),
        ) else {
            return Ok(());
        };
        self.connection
            .grab_server()
            .map_err(lost("the keyboard map"))?;
        let changed = self.set_symbols(first, last, changes);
        self.connection
            .ungrab_server()
            .map_err(lost("the keyboard map"))?;
        self.connection.flush().map_err(lost("the keyboard map"))?;
        changed
    }

    fn set_symbols(&self, first: u8, last: u8, changes: &[(u8, Keysym)]) -> Result<(), InputError> {
        let map = read_map(&self.connection)?;
        let (low, high) = (
            map.first,
            map.codes()
                .map(|(code, _)| code)
                .last()
                .unwrap_or(map.first),
        );
        let in_range = map
            .codes()
            .filter(|(code, _)| (first..=last).contains(code));
        let syms: Vec<xkb::KeySymMap> = in_range
            .map(
                |(code, key)| match changes.iter().find(|(changed, _)| *changed == code) {
                    Some((_, keysym)) => only_symbol(*keysym),
                    None => key.clone(),
                },
            )
            .collect();
        let total = syms.iter().map(|key| key.syms.len()).sum::<usize>();
        let total =
            u16::try_from(total).expect("256 keys of at most 4 groups and 64 levels, rarely full");
        let count = last - first + 1;
        let values = xkb::SetMapAux::new().syms(syms);
        let flags = xkb::SetMapFlags::default();
        let vmods = xkb::VMod::default();
        self.connection
            .xkb_set_map(
                KEYBOARD, flags, low, high, 0, 0, first, count, total, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0, 0, 0, 0, 0, 0, vmods, &values,
            )
            .map_err(lost("the keyboard map"))?
            .check()
            .map_err(|source| super::inject::refused("the keyboard map", source))
    }

    /// Takes our temporary keys out of the map.
    pub fn unmap_temporary(&mut self) -> Result<(), InputError> {
        if self.temporary.is_empty() {
            return Ok(());
        }
        let none = self.temporary.drain(..).map(|key| (key.code, Keysym(0)));
        let none: Vec<(u8, Keysym)> = none.collect();
        self.stale = true;
        self.change_map(&none)
    }
}

impl Suspended {
    fn is_latched_or_locked(&self) -> bool {
        self.locked != 0 || self.latched
    }
}

/// One group of one level (key type 0, which XKB fixes as `ONE_LEVEL`): no modifier changes it.
fn only_symbol(keysym: Keysym) -> xkb::KeySymMap {
    let syms = if keysym.0 == 0 {
        Vec::new()
    } else {
        vec![keysym.0]
    };
    let groups = u8::from(!syms.is_empty());
    xkb::KeySymMap {
        kt_index: [0; 4],
        group_info: groups,
        width: groups,
        syms,
    }
}

impl Drop for XtestSink {
    fn drop(&mut self) {
        // On a broken connection there is no map of ours left to clean.
        let _ = self.unmap_temporary();
    }
}
