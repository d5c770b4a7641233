//! Changes the keyboard map: gives spare keys symbols, takes them away again, and remembers them beyond our death.

use std::time::{Duration, Instant};

use x11rb::{
    connection::Connection,
    cookie::Cookie,
    protocol::{
        xkb::{self, ConnectionExt as _},
        xproto::{Atom, AtomEnum, ConnectionExt as _, PropMode},
    },
    wrapper::ConnectionExt as _,
};

use super::{
    inject::{KEYBOARD, XtestSink, lost, read_map, refused, reply},
    keymap::TemporaryType,
    temporary::{Change, Stretch, TemporaryKeys},
    turn::Turn,
    witness::PATIENCE,
};
use crate::desktop::{
    input::{Cancel, InputError, InputSink},
    keys::Keysym,
};

/// How long temporary keys stay after their last use: the next text often needs the same.
const IDLE: Duration = Duration::from_secs(2);

/// How long the end of the sink may be held up by a program that does not read its keys.
const FAREWELL: Duration = Duration::from_millis(500);

/// How long the keys of viewers are held up by a program that does not learn of a change of the map.
const MOMENT: Duration = Duration::from_millis(500);

/// Property of the root window that lists the temporary keys for who comes after us: code, number of symbols, symbols.
const PROPERTY: &[u8] = b"_DESKD_TEMPORARY_KEYS";

/// Words of the property that are read: 256 keys of 4 symbols, twice.
const PROPERTY_WORDS: u32 = 4096;

impl XtestSink {
    /// Gives the missing symbols spare keys, in one change of the map, with the gate closed. Only when none is left fresh
    /// are those reused that the stretch does not need, after the programs have read them.
    pub(super) fn make_temporary(
        &mut self,
        stretch: &Stretch,
        cancel: &Cancel,
        turn: &mut Turn,
    ) -> Result<(), InputError> {
        let (spare, levels) = self.places();
        let reuses = stretch.missing.len() > self.temporary.room(&spare, levels);
        if reuses && stretch.needed.len() > self.temporary.capacity(&spare, levels) {
            return Err(InputError::NoKey(stretch.missing[0]));
        }
        if reuses && !self.witness.is_done() {
            // They may take long: others may type meanwhile.
            turn.pause();
            if !self.await_readers(Some(cancel), PATIENCE)? {
                tracing::warn!("a program does not read its keys; it may get others instead");
            }
        }
        self.take_turn(cancel, turn)?;
        let kind = self.map.temporary_type(&self.layout);
        let before = self.temporary.clone();
        let changes = self.temporary.place(stretch, &spare, levels);
        let changes: Vec<Change> = changes
            .into_iter()
            .map(|code| Change {
                code,
                old: before.symbols(code).to_vec(),
                new: self.temporary.key(code, kind),
            })
            .collect();
        self.remember(&before)?;
        self.witness.touch();
        self.change_map(&changes)?;
        self.emptied |= reuses;
        self.tell(cancel, turn)
    }

    /// Waits until the program that has the keyboard knows of the change of the map, where that matters.
    ///
    /// Who still goes by the old map would enter old symbols. From empty levels nothing wrong can come, and no program
    /// was seen to lose a key on them. But Qt 5 asks for the modifiers when it learns of the change, and takes the answer
    /// for what they were at the next key that it had not read yet: while it does, nobody may press Shift.
    pub(super) fn tell(&mut self, cancel: &Cancel, turn: &mut Turn) -> Result<(), InputError> {
        if !self.emptied && !turn.is_shared() {
            return Ok(());
        }
        let mut knows = self.await_news(Some(cancel), MOMENT)?;
        if !knows && self.emptied {
            turn.pause();
            knows = self.await_news(Some(cancel), PATIENCE)?;
        }
        self.emptied &= !knows;
        self.untold = false;
        Ok(())
    }

    /// Writes keys that appeared in the shared map into the maps of all keyboards. Xvnc makes such a key in the shared
    /// one alone, and it would be gone with the next key of another keyboard.
    pub(super) fn share_foreign(&mut self) -> Result<(), InputError> {
        let codes = std::mem::take(&mut self.foreign);
        let changes = codes.into_iter().filter_map(|code| {
            let key = self.map.key(code)?.clone();
            let old = key.syms.iter().copied().map(Keysym).collect();
            Some(Change {
                code,
                old,
                new: key,
            })
        });
        let changes: Vec<Change> = changes.collect();
        self.change_map(&changes)
    }

    /// When temporary keys should go, if nothing else happens.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        if self.temporary.is_empty() {
            return None;
        }
        self.postponed.max(self.witness.sent()).map(|at| at + IDLE)
    }

    /// Takes the temporary keys away when they have been read; otherwise tries again later.
    pub(super) fn remove_idle(&mut self) -> Result<(), InputError> {
        let now = Instant::now();
        if self.idle_since().is_none_or(|due| due > now) {
            return Ok(());
        }
        self.postponed = Some(now);
        let down = self.keys_down()?;
        let held = down.iter().any(|code| self.temporary.contains(*code));
        if held || !self.await_readers(None, FAREWELL)? {
            return Ok(());
        }
        let mut turn = Turn::new(&self.gate);
        if self.is_at_rest(&mut turn)? {
            self.unmap_temporary()?;
            self.emptied = !(turn.is_shared() && self.await_news(None, MOMENT)?);
        }
        Ok(())
    }

    /// Sets keys by one `SetMap` over the range they span, so that programs get one event. The keys between keep what
    /// they have, and so does one that somebody else has taken: the server is grabbed meanwhile.
    fn change_map(&mut self, changes: &[Change]) -> Result<(), InputError> {
        let codes = || changes.iter().map(|change| change.code);
        let (Some(first), Some(last)) = (codes().min(), codes().max()) else {
            return Ok(());
        };
        (self.stale, self.untold) = (true, true);
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

    fn set_symbols(&self, first: u8, last: u8, changes: &[Change]) -> Result<(), InputError> {
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
                |(code, key)| match changes.iter().find(|change| change.code == code) {
                    Some(change) if map.holds(code, &change.old) => change.new.clone(),
                    _ => key.clone(),
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
            .map_err(|source| refused("the keyboard map", source))
    }

    /// Takes our temporary keys out of the map.
    pub fn unmap_temporary(&mut self) -> Result<(), InputError> {
        if self.temporary.is_empty() {
            return Ok(());
        }
        let gone = std::mem::take(&mut self.temporary);
        self.postponed = None;
        let changes: Vec<Change> = gone
            .codes()
            .map(|code| Change {
                code,
                old: gone.symbols(code).to_vec(),
                new: self.temporary.key(code, TemporaryType::NONE),
            })
            .collect();
        self.change_map(&changes)?;
        let property = self.property()?;
        self.connection
            .delete_property(self.root, property)
            .map_err(lost("the keyboard map"))?;
        self.sync()
    }

    /// Lists what is in the map and what will be, so that the keys are known whenever we die.
    fn remember(&self, before: &TemporaryKeys) -> Result<(), InputError> {
        let mut words = Vec::new();
        for (code, symbols) in before.iter().chain(self.temporary.iter()) {
            words.push(u32::from(code));
            words.push(u32::try_from(symbols.len()).expect("at most four levels"));
            words.extend(symbols.iter().map(|sym| sym.0));
        }
        let property = self.property()?;
        self.connection
            .change_property32(
                PropMode::REPLACE,
                self.root,
                property,
                AtomEnum::CARDINAL,
                &words,
            )
            .map(drop)
            .map_err(lost("the keyboard map"))
    }

    /// Takes over the temporary keys of one who was killed; they go away like our own.
    pub(super) fn inherit(&mut self) -> Result<(), InputError> {
        let property = self.property()?;
        let (kind, words) = (AtomEnum::CARDINAL, PROPERTY_WORDS);
        let asked = self
            .connection
            .get_property(false, self.root, property, kind, 0, words);
        let found = reply("setup", asked.map(Cookie::reply))?;
        let words: Vec<u32> = found.value32().into_iter().flatten().collect();
        let mut rest = &words[..];
        while let [code, count, symbols @ ..] = rest {
            let Some((symbols, later)) = symbols.split_at_checked(*count as usize) else {
                break;
            };
            rest = later;
            let symbols: Vec<Keysym> = symbols.iter().copied().map(Keysym).collect();
            if let Ok(code) = u8::try_from(*code)
                && self.map.holds(code, &symbols)
            {
                self.temporary.adopt(code, symbols);
            }
        }
        if !self.temporary.is_empty() {
            self.postponed = Some(Instant::now());
        }
        Ok(())
    }

    fn property(&self) -> Result<Atom, InputError> {
        let atom = self
            .connection
            .intern_atom(false, PROPERTY)
            .map(Cookie::reply);
        Ok(reply("setup", atom)?.atom)
    }
}

impl Drop for XtestSink {
    fn drop(&mut self) {
        // On a broken connection there is no map of ours left to clean.
        let read = if self.temporary.is_empty() {
            Ok(true)
        } else {
            self.await_readers(None, FAREWELL)
        };
        let _ = read.and_then(|_| self.unmap_temporary());
    }
}
