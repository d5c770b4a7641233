//! Which temporary key holds which character: the bookkeeping behind texts. Pure.
//!
//! A temporary key has the levels of a key type that the map has anyway: one, two by Shift, or four by Shift and
//! the modifier of the third level. Keys are filled a level at a time, so that a short text needs no modifiers.
//! None of the types heeds Caps Lock or Num Lock.

use std::collections::{BTreeMap, HashSet};

use x11rb::protocol::xkb;

use super::keymap::TemporaryType;
use crate::desktop::keys::Keysym;

/// Spare keys that we gave symbols.
#[derive(Clone, Debug, Default)]
pub(super) struct TemporaryKeys {
    /// Symbols of each key by level; 0 where there is none yet.
    keys: BTreeMap<u8, Vec<Keysym>>,
}

/// What a key shall hold instead of what it holds.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) code: u8,
    pub(super) old: Vec<Keysym>,
    pub(super) new: xkb::KeySymMap,
}

/// A part of a text that one set of temporary keys serves.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Characters, from the begin.
    pub(super) length: usize,
    /// Temporary keys that it needs.
    pub(super) needed: HashSet<Keysym>,
    /// Of these, what the map does not hold yet; in the order of the text.
    pub(super) missing: Vec<Keysym>,
}

/// Where a symbol comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Layout,
    Temporary,
    Nowhere,
}

const EMPTY: Keysym = Keysym(0);

impl TemporaryKeys {
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    pub(super) fn contains(&self, code: u8) -> bool {
        self.keys.contains_key(&code)
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = u8> {
        self.keys.keys().copied()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u8, &[Keysym])> {
        self.keys
            .iter()
            .map(|(code, symbols)| (*code, &symbols[..]))
    }

    /// Symbols of a key of ours by level; none for one that is not ours.
    pub(super) fn symbols(&self, code: u8) -> &[Keysym] {
        self.keys.get(&code).map_or(&[], Vec::as_slice)
    }

    /// Takes a key over that is in the map already.
    pub(super) fn adopt(&mut self, code: u8, symbols: Vec<Keysym>) {
        if symbols.iter().any(|sym| *sym != EMPTY) {
            self.keys.insert(code, symbols);
        }
    }

    /// Forgets the keys for which this does not hold.
    pub(super) fn retain(&mut self, mut keep: impl FnMut(u8, &[Keysym]) -> bool) {
        self.keys.retain(|code, symbols| keep(*code, symbols));
    }

    /// Symbols that can be added without touching what a program may not have read yet.
    pub(super) fn room(&self, spare: &[u8], levels: usize) -> usize {
        let used = self.keys.values().flatten().filter(|sym| **sym != EMPTY);
        (self.all(spare).count() * levels).saturating_sub(used.count())
    }

    /// How many symbols there can be in all.
    pub(super) fn capacity(&self, spare: &[u8], levels: usize) -> usize {
        self.all(spare).count() * levels
    }

    /// Places symbols on empty levels and, once these are used up, on those whose symbol is not needed. Gives what
    /// changes. The caller has made sure that there is room, and for a reuse that programs have read the old ones.
    pub(super) fn place(&mut self, stretch: &Stretch, spare: &[u8], levels: usize) -> Vec<u8> {
        let codes: Vec<u8> = self.all(spare).collect();
        let mut slots = Vec::new();
        for reuse in [false, true] {
            for level in 0..levels {
                slots.extend(codes.iter().map(|code| (reuse, level, *code)));
            }
        }
        let mut slots = slots.into_iter();
        let mut changed = Vec::new();
        for keysym in &stretch.missing {
            let slot = slots.find(|(reuse, level, code)| {
                let old = self.symbol(*code, *level);
                (old == EMPTY) != *reuse && (!reuse || !stretch.needed.contains(&old))
            });
            let Some((_, level, code)) = slot else { break };
            let symbols = self.keys.entry(code).or_default();
            symbols.resize(symbols.len().max(levels), EMPTY);
            symbols[level] = *keysym;
            changed.push(code);
        }
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// The key as the map shall have it.
    pub(super) fn key(&self, code: u8, kind: TemporaryType) -> xkb::KeySymMap {
        let symbols = self.symbols(code);
        let used = symbols.iter().rposition(|sym| *sym != EMPTY);
        let (width, index) = match used {
            None => (0, 0),
            // ONE_LEVEL: no modifier changes it, whoever holds it.
            Some(0) => (1, 0),
            Some(_) => (kind.levels, kind.index),
        };
        xkb::KeySymMap {
            kt_index: [index; 4],
            group_info: u8::from(width != 0),
            width,
            syms: symbols
                .iter()
                .take(usize::from(width))
                .map(|sym| sym.0)
                .collect(),
        }
    }

    fn symbol(&self, code: u8, level: usize) -> Keysym {
        self.symbols(code).get(level).copied().unwrap_or(EMPTY)
    }

    /// Codes of ours and those that nobody uses.
    fn all(&self, spare: &[u8]) -> impl Iterator<Item = u8> {
        let others = spare.iter().copied().filter(|code| !self.contains(*code));
        self.codes().chain(others)
    }
}

/// The longest begin of `keysyms` that needs no more than `needed` temporary symbols, of which `missing` are new.
pub(super) fn stretch(
    keysyms: &[Keysym],
    origin: impl Fn(Keysym) -> Origin,
    needed: usize,
    missing: usize,
) -> Stretch {
    let mut found = Stretch::default();
    for keysym in keysyms {
        let from = origin(*keysym);
        if from != Origin::Layout && !found.needed.contains(keysym) {
            let new = usize::from(from == Origin::Nowhere);
            if found.needed.len() == needed || found.missing.len() + new > missing {
                return found;
            }
            found.needed.insert(*keysym);
            found.missing.extend((new == 1).then_some(*keysym));
        }
        found.length += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPARE: [u8; 2] = [8, 93];
    const FOUR: TemporaryType = TemporaryType {
        index: 20,
        levels: 4,
    };

    fn keysyms(text: &str) -> Vec<Keysym> {
        text.chars().map(Keysym::from_char).collect()
    }

    /// ASCII is the layout's.
    fn next(keys: &TemporaryKeys, text: &[Keysym], missing: usize) -> Stretch {
        let held: HashSet<Keysym> = keys.iter().flat_map(|(_, held)| held.to_vec()).collect();
        let origin = |keysym: Keysym| match keysym {
            Keysym(0..=0x7e) => Origin::Layout,
            other if held.contains(&other) => Origin::Temporary,
            _ => Origin::Nowhere,
        };
        stretch(text, origin, keys.capacity(&SPARE, 4), missing)
    }

    #[test]
    fn a_stretch_ends_before_the_first_character_without_a_place() {
        let keys = TemporaryKeys::default();
        let found = next(&keys, &keysyms("aäbäöcü"), 2);
        assert_eq!(found.length, 6);
        assert_eq!(found.missing, keysyms("äö"));
        assert_eq!(next(&keys, &keysyms("äa"), 0).length, 0);
        assert_eq!(next(&keys, &keysyms("abc"), 0).length, 3);
    }

    #[test]
    fn first_levels_are_filled_first_and_nothing_moves() {
        let mut keys = TemporaryKeys::default();
        assert_eq!(
            keys.place(&next(&keys, &keysyms("äö"), 8), &SPARE, 4),
            [8, 93]
        );
        assert_eq!(keys.key(8, FOUR).syms, [0xe4]);
        assert_eq!(
            keys.key(8, FOUR).kt_index[0],
            0,
            "ONE_LEVEL while it has one"
        );
        assert_eq!(keys.room(&[], 4), 6);
        assert_eq!(keys.place(&next(&keys, &keysyms("ü"), 6), &[], 4), [8]);
        assert_eq!(keys.key(8, FOUR).syms, [0xe4, 0xfc, 0, 0]);
        assert_eq!(keys.key(8, FOUR).kt_index[0], 20);
    }

    #[test]
    fn only_what_is_not_needed_is_given_away() {
        let mut keys = TemporaryKeys::default();
        keys.place(&next(&keys, &keysyms("абвгдежз"), 8), &SPARE, 4);
        assert_eq!(keys.room(&[], 4), 0);
        let found = next(&keys, &keysyms("аийклмноп"), 8);
        assert_eq!(found.length, 8, "one is kept, seven are new");
        keys.place(&found, &[], 4);
        let held: HashSet<Keysym> = keys.iter().flat_map(|(_, held)| held.to_vec()).collect();
        assert_eq!(held, keysyms("аийклмно").into_iter().collect());
    }

    #[test]
    fn a_key_without_symbols_is_no_key() {
        let key = TemporaryKeys::default().key(8, TemporaryType::NONE);
        assert_eq!((key.group_info, key.width, key.syms.len()), (0, 0, 0));
    }
}
