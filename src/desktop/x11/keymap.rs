//! The keyboard map of the server, as XKB describes it: which key and which modifiers enter what. Pure.
//!
//! Source of the rules: The X Keyboard Extension, protocol specification, sections 7 (state and key
//! types) and 12 (the map). A key has up to four groups; the current group's key type says which level
//! the real modifiers select.

use std::collections::HashMap;

use x11rb::protocol::{
    xkb::{GetMapReply, KeyModMap, KeySymMap, KeyType},
    xproto::ModMask,
};

use crate::desktop::keys::Keysym;

/// Real modifiers by bit: Shift, Lock, Control, Mod1 to Mod5.
const SHIFT: u8 = 1 << 0;
const LOCK: u8 = 1 << 1;
const CONTROL: u8 = 1 << 2;
/// Mod2, Mod3 and Mod5, which layouts choose levels by; Mod1 and Mod4 are Alt and Super by convention.
const LEVELS: u8 = (1 << 4) | (1 << 5) | (1 << 7);

/// The whole map, all groups.
#[derive(Debug)]
pub(crate) struct RawMap {
    /// First keycode of `keys`.
    pub(crate) first: u8,
    /// Symbols of each keycode, in order.
    pub(crate) keys: Vec<KeySymMap>,
    types: Vec<KeyType>,
    modifiers: Vec<KeyModMap>,
}

/// A key and the real modifiers that must be on for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) code: u8,
    pub(crate) modifiers: u8,
}

/// The key type of temporary keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TemporaryType {
    pub(crate) index: u8,
    pub(crate) levels: u8,
}

/// What each key enters in one group, without locks.
#[derive(Debug, Default)]
pub(crate) struct Layout {
    /// Effective group it was made for.
    pub(crate) group: u8,
    /// Whether Num Lock was on.
    pub(crate) num_lock_on: bool,
    /// Modifier bit of Num Lock, 0 without one.
    pub(crate) num_lock: u8,
    /// For each real modifier a key that is on only while it is held.
    pub(crate) modifier_keys: [Option<u8>; 8],
    by_keysym: HashMap<Keysym, Position>,
    by_character: HashMap<char, Position>,
}

impl TemporaryType {
    /// Of a key that has no levels.
    pub(crate) const NONE: Self = Self {
        index: 0,
        levels: 0,
    };
}

impl RawMap {
    /// Takes types, symbols and the modifier map of a reply that has them.
    pub(crate) fn from_reply(reply: GetMapReply) -> Self {
        Self {
            first: reply.first_key_sym,
            keys: reply.map.syms_rtrn.unwrap_or_default(),
            types: reply.map.types_rtrn.unwrap_or_default(),
            modifiers: reply.map.modmap_rtrn.unwrap_or_default(),
        }
    }

    /// Keycodes with their symbols.
    pub(crate) fn codes(&self) -> impl Iterator<Item = (u8, &KeySymMap)> {
        (self.first..=u8::MAX).zip(&self.keys)
    }

    /// Keycodes that enter nothing and modify nothing: free for temporary keys.
    pub(crate) fn spare(&self) -> Vec<u8> {
        let free = |key: &KeySymMap| key.syms.iter().all(|sym| *sym == 0);
        let codes = self.codes().filter(|(_, key)| free(key));
        codes
            .map(|(code, _)| code)
            .filter(|code| self.modifiers_of(*code) == 0)
            .collect()
    }

    /// Real modifiers that the key switches.
    pub(crate) fn modifiers_of(&self, code: u8) -> u8 {
        let entries = self.modifiers.iter().filter(|entry| entry.keycode == code);
        entries.fold(0, |bits, entry| {
            bits | u8::try_from(u16::from(entry.mods)).unwrap_or(0)
        })
    }

    /// Symbol of the key in the given group without modifiers: what the key is called.
    pub(crate) fn base_symbol(&self, code: u8, group: u8) -> Option<Keysym> {
        let key = self.keys.get(usize::from(code.checked_sub(self.first)?))?;
        let group = effective_group(key, group)?;
        let sym = key.syms.get(usize::from(group) * usize::from(key.width))?;
        (*sym != 0).then_some(Keysym(*sym))
    }

    /// The key with this code.
    pub(crate) fn key(&self, code: u8) -> Option<&KeySymMap> {
        self.keys.get(usize::from(code.checked_sub(self.first)?))
    }

    /// Those of the codes that are spare no more.
    pub(crate) fn taken(&self, spare: &[u8]) -> impl Iterator<Item = u8> {
        let now = self.spare();
        spare
            .iter()
            .copied()
            .filter(move |code| !now.contains(code))
    }

    /// Whether the key has these symbols and no others, level by level.
    pub(crate) fn holds(&self, code: u8, symbols: &[Keysym]) -> bool {
        self.key(code).is_some_and(|key| {
            let has = |level: usize| key.syms.get(level).copied().unwrap_or(0);
            (0..symbols.len().max(key.syms.len()))
                .all(|level| has(level) == symbols.get(level).map_or(0, |sym| sym.0))
        })
    }

    /// The type for temporary keys: of those that only Shift and one modifier of `layout` choose by, the one with the
    /// most levels.
    pub(crate) fn temporary_type(&self, layout: &Layout) -> TemporaryType {
        let usable = usable_modifiers(layout);
        let four = self.types.iter().zip(0_u8..).find_map(|(kind, index)| {
            let third = low_bits(kind.mods_mask) & !SHIFT;
            let levels = [0, SHIFT, third, SHIFT | third];
            let fits = kind.num_levels == 4
                && third.is_power_of_two()
                && levels.iter().all(|set| usable.contains(set))
                && levels
                    .iter()
                    .zip(0..)
                    .all(|(set, level)| level_of(kind, *set) == level);
            fits.then_some(TemporaryType { index, levels: 4 })
        });
        // XKB fixes types 0 and 1 as ONE_LEVEL and TWO_LEVEL.
        four.unwrap_or(if usable.contains(&SHIFT) {
            TemporaryType {
                index: 1,
                levels: 2,
            }
        } else {
            TemporaryType {
                index: 0,
                levels: 1,
            }
        })
    }

    /// Where everything is in `group`. With `num_lock_on` the keypad is looked at as it is then.
    pub(crate) fn layout(&self, group: u8, num_lock_on: bool) -> Layout {
        let mut layout = Layout {
            group,
            num_lock_on,
            num_lock: self.num_lock(),
            modifier_keys: self.modifier_keys(group),
            ..Layout::default()
        };
        let locked = if num_lock_on { layout.num_lock } else { 0 };
        let usable = usable_modifiers(&layout);
        for (code, key) in self.codes() {
            let Some(group) = effective_group(key, group) else {
                continue;
            };
            let Some(kind) = self
                .types
                .get(usize::from(key.kt_index[usize::from(group)]))
            else {
                continue;
            };
            for modifiers in &usable {
                let level = level_of(kind, modifiers | locked);
                let index = usize::from(group) * usize::from(key.width) + usize::from(level);
                let in_group = level < key.width;
                if let Some(sym) = key.syms.get(index).filter(|sym| in_group && **sym != 0) {
                    let modifiers = *modifiers;
                    layout.add(Keysym(*sym), Position { code, modifiers });
                }
            }
        }
        layout
    }

    /// Modifier bit of the key with the symbol `Num_Lock`.
    fn num_lock(&self) -> u8 {
        let code = self
            .codes()
            .find(|(_, key)| key.syms.contains(&Keysym::NUM_LOCK.0));
        code.map_or(0, |(code, _)| self.modifiers_of(code))
    }

    /// A key for each modifier that does not lock; the symbol tells the kinds apart.
    fn modifier_keys(&self, group: u8) -> [Option<u8>; 8] {
        let mut keys = [None; 8];
        for (code, _) in self.codes() {
            let bits = self.modifiers_of(code);
            let holds = self.base_symbol(code, group).is_some_and(holds_a_modifier);
            if bits.is_power_of_two() && holds {
                keys[bits.trailing_zeros() as usize].get_or_insert(code);
            }
        }
        keys
    }
}

impl Layout {
    /// The position that needs the fewest modifiers is added first and stays.
    fn add(&mut self, keysym: Keysym, position: Position) {
        let cheaper = |old: &Position| position.modifiers.count_ones() < old.modifiers.count_ones();
        let old = self.by_keysym.entry(keysym).or_insert(position);
        if cheaper(old) {
            *old = position;
        }
        if let Some(c) = keysym.to_char() {
            let old = self.by_character.entry(c).or_insert(position);
            if cheaper(old) {
                *old = position;
            }
        }
    }

    /// Where a keysym, or one that enters the same character, is.
    pub(crate) fn keysym(&self, keysym: Keysym) -> Option<Position> {
        let same = || self.by_character.get(&keysym.to_char()?);
        self.by_keysym.get(&keysym).or_else(same).copied()
    }

    /// Keys to hold for a set of modifiers; `None` when one has no key.
    pub(crate) fn keys_for(&self, modifiers: u8) -> Option<Vec<u8>> {
        let bits = (0..8).filter(|bit| modifiers & (1 << bit) != 0);
        bits.map(|bit| self.modifier_keys[bit]).collect()
    }
}

/// Shift, `AltGr` and the like: the key is on while it is held, and only then.
fn holds_a_modifier(symbol: Keysym) -> bool {
    // Shift_L/R, Control_L/R, Meta to Hyper, Mode_switch, ISO_Level3_Shift, ISO_Level5_Shift.
    matches!(symbol.0, 0xffe1..=0xffe4 | 0xffe7..=0xffee | 0xff7e | 0xfe03 | 0xfe11)
}

/// The sets of modifiers that a character may ask for: those with a key, neither Control nor a lock,
/// and none that programs take as a command (Alt, Super). The fewest first.
fn usable_modifiers(layout: &Layout) -> Vec<u8> {
    let excluded = LOCK | CONTROL | layout.num_lock;
    let has_key = |bits: u8| layout.keys_for(bits).is_some();
    let mut sets: Vec<u8> = (0..=u8::MAX)
        .filter(|bits| bits & excluded == 0 && bits & !(SHIFT | LEVELS) == 0)
        .filter(|bits| has_key(*bits))
        .collect();
    sets.sort_by_key(|bits| bits.count_ones());
    sets
}

/// The group a key is in when the keyboard is in `group`; `None` for a key without groups.
fn effective_group(key: &KeySymMap, group: u8) -> Option<u8> {
    let groups = key.group_info & 0x0f;
    if groups == 0 {
        return None;
    }
    if group < groups {
        return Some(group);
    }
    Some(match key.group_info & 0xc0 {
        0x40 => groups - 1,
        0x80 => Some((key.group_info >> 4) & 3)
            .filter(|to| *to < groups)
            .unwrap_or(0),
        _ => group % groups,
    })
}

/// The eight real modifiers of a mask.
fn low_bits(mask: ModMask) -> u8 {
    u8::try_from(u16::from(mask) & 0xff).expect("eight bits")
}

/// The level that a key type selects for the real modifiers that are on.
fn level_of(kind: &KeyType, modifiers: u8) -> u8 {
    let on = modifiers & low_bits(kind.mods_mask);
    let entry = kind
        .map
        .iter()
        .find(|entry| entry.active && low_bits(entry.mods_mask) == on);
    entry.map_or(0, |entry| entry.level)
}

#[cfg(test)]
mod tests {
    use x11rb::protocol::xkb::KTMapEntry;

    use super::*;

    const MOD5: u16 = 1 << 7;

    fn kind(mask: u16, levels: u8, map: &[(u16, u8)]) -> KeyType {
        let entry = |(mods, level): &(u16, u8)| KTMapEntry {
            active: true,
            mods_mask: ModMask::from(*mods),
            level: *level,
            mods_mods: ModMask::from(*mods),
            mods_vmods: 0_u16.into(),
        };
        KeyType {
            mods_mask: ModMask::from(mask),
            mods_mods: ModMask::from(mask),
            mods_vmods: 0_u16.into(),
            num_levels: levels,
            has_preserve: false,
            map: map.iter().map(entry).collect(),
            preserve: Vec::new(),
        }
    }

    fn key(kind: u8, groups: u8, width: u8, syms: &[u32]) -> KeySymMap {
        KeySymMap {
            kt_index: [kind; 4],
            group_info: groups,
            width,
            syms: syms.to_vec(),
        }
    }

    /// A small German keyboard with a second, Russian group on one key.
    fn map() -> RawMap {
        let modifier = |keycode, mods: u16| KeyModMap {
            keycode,
            mods: ModMask::from(mods),
        };
        RawMap {
            first: 8,
            types: vec![
                kind(0, 1, &[]),
                kind(1, 2, &[(1, 1)]),
                kind(3, 2, &[(1, 1), (2, 1)]),
                kind(1 | 16, 2, &[(1, 1), (16, 1)]),
                kind(1 | MOD5, 4, &[(1, 1), (MOD5, 2), (1 | MOD5, 3)]),
            ],
            keys: vec![
                key(0, 0, 0, &[]),                         // 8: spare
                key(2, 2, 2, &[0x61, 0x41, 0x6c6, 0x6e6]), // 9: a A, ф Ф
                key(4, 1, 4, &[0x71, 0x51, 0x40, 0x7d9]),  // 10: q Q @ Ω (legacy)
                key(0, 1, 1, &[0xffe1]),                   // 11: Shift_L
                key(0, 1, 1, &[0xfe03]),                   // 12: AltGr
                key(0, 1, 1, &[0xffe5]),                   // 13: Caps_Lock
                key(0, 1, 1, &[0xff7f]),                   // 14: Num_Lock
                key(3, 1, 2, &[0xff9e, 0xffb0]),           // 15: KP_Insert KP_0
                key(1, 1, 2, &[0, 0]),                     // 16: spare
                key(0, 1, 1, &[0x40]),                     // 17: @ without modifiers
            ],
            modifiers: vec![
                modifier(11, 1),
                modifier(12, MOD5),
                modifier(13, 2),
                modifier(14, 16),
            ],
        }
    }

    fn at(code: u8, modifiers: u16) -> Position {
        let modifiers = u8::try_from(modifiers).expect("eight bits");
        Position { code, modifiers }
    }

    #[test]
    fn levels_are_found_with_the_fewest_modifiers() {
        let layout = map().layout(0, false);
        assert_eq!(layout.keysym(Keysym::from_char('a')), Some(at(9, 0)));
        assert_eq!(layout.keysym(Keysym::from_char('A')), Some(at(9, 1)));
        assert_eq!(layout.keysym(Keysym::from_char('@')), Some(at(17, 0)));
        assert_eq!(
            layout.keysym(Keysym::from_char('Ω')),
            Some(at(10, 1 | MOD5))
        );
        assert_eq!(layout.keysym(Keysym::from_char('z')), None);
        assert_eq!(layout.keysym(Keysym(0x0100_03a9)), Some(at(10, 1 | MOD5)));
    }

    #[test]
    fn the_current_group_counts() {
        let layout = map().layout(1, false);
        assert_eq!(layout.keysym(Keysym::from_char('ф')), Some(at(9, 0)));
        assert_eq!(layout.keysym(Keysym::from_char('a')), None);
        assert_eq!(
            layout.keysym(Keysym::from_char('q')),
            Some(at(10, 0)),
            "one group wraps"
        );
    }

    #[test]
    fn locks_are_no_way_to_a_character() {
        let layout = map().layout(0, false);
        assert_eq!(
            layout.keysym(Keysym(0xffb0)),
            Some(at(15, 1)),
            "by Shift, not by Num Lock"
        );
        assert_eq!(layout.modifier_keys[1], None, "Caps Lock is not held");
        let layout = map().layout(0, true);
        assert_eq!(layout.keysym(Keysym(0xffb0)), Some(at(15, 0)));
    }

    #[test]
    fn spare_codes_enter_and_modify_nothing() {
        assert_eq!(map().spare(), [8, 16]);
        assert_eq!(map().layout(0, false).keys_for(0x81), Some(vec![11, 12]));
        assert_eq!(map().layout(0, false).keys_for(0x08), None);
        assert_eq!(map().base_symbol(9, 1), Some(Keysym(0x6c6)));
    }
}
