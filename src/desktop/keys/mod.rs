//! Key names as people and models write them, to keysyms. Pure.
//!
//! A text like `ctrl+shift+t` or `Down Down Return` becomes a list of [`Combo`]s: combinations run in
//! order, the keys of one are held together. Names match in any case: X keysym names, the usual
//! aliases, single characters. In a combination a capital letter means its key (`ctrl+L` is ctrl+l).

mod table;

use std::{collections::HashMap, fmt, sync::OnceLock};

/// Combinations that one text may hold.
pub const MAX_COMBOS: usize = 1000;

/// Added to a code point to make the keysym of a character that has no older one (X protocol, appendix A).
const UNICODE: u32 = 0x0100_0000;

/// Names that are not keysym names, lower case, without `_`. `None` of these shadows a keysym name.
const ALIASES: &[(&str, &str)] = &[
    ("ctrl", "Control_L"),
    ("control", "Control_L"),
    ("lctrl", "Control_L"),
    ("rctrl", "Control_R"),
    ("shift", "Shift_L"),
    ("lshift", "Shift_L"),
    ("rshift", "Shift_R"),
    ("alt", "Alt_L"),
    ("lalt", "Alt_L"),
    ("ralt", "Alt_R"),
    ("option", "Alt_L"),
    ("opt", "Alt_L"),
    ("altgr", "ISO_Level3_Shift"),
    ("cmd", "Super_L"),
    ("command", "Super_L"),
    ("super", "Super_L"),
    ("meta", "Super_L"),
    ("win", "Super_L"),
    ("windows", "Super_L"),
    ("hyper", "Hyper_L"),
    ("esc", "Escape"),
    ("enter", "Return"),
    ("newline", "Return"),
    ("del", "Delete"),
    ("ins", "Insert"),
    ("pgup", "Page_Up"),
    ("pgdn", "Page_Down"),
    ("pgdown", "Page_Down"),
    ("arrowup", "Up"),
    ("arrowdown", "Down"),
    ("arrowleft", "Left"),
    ("arrowright", "Right"),
    ("uparrow", "Up"),
    ("downarrow", "Down"),
    ("leftarrow", "Left"),
    ("rightarrow", "Right"),
    ("spacebar", "space"),
    ("bksp", "BackSpace"),
    ("caps", "Caps_Lock"),
    ("printscreen", "Print"),
    ("prtsc", "Print"),
    ("prtscn", "Print"),
    ("break", "Break"),
    ("apps", "Menu"),
    ("contextmenu", "Menu"),
    ("backtick", "grave"),
    ("dash", "minus"),
    ("hyphen", "minus"),
    ("dot", "period"),
    ("equals", "equal"),
    ("quote", "apostrophe"),
    ("volumeup", "XF86AudioRaiseVolume"),
    ("volumedown", "XF86AudioLowerVolume"),
    ("mute", "XF86AudioMute"),
    ("volumemute", "XF86AudioMute"),
    ("playpause", "XF86AudioPlay"),
];

/// A symbol of a key, as the X protocol numbers them (appendix A and `keysymdef.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Keysym(pub u32);

impl Keysym {
    /// Return, what a newline is typed as.
    pub const RETURN: Self = Self(0xff0d);
    /// Tab.
    pub const TAB: Self = Self(0xff09);
    /// Num Lock.
    pub const NUM_LOCK: Self = Self(0xff7f);

    /// The keysym of a character: Latin-1 as it is, everything else by its code point.
    pub fn from_char(c: char) -> Self {
        let code = u32::from(c);
        match code {
            0x20..=0x7e | 0xa0..=0xff => Self(code),
            _ => Self(UNICODE + code),
        }
    }

    /// The character that a press of this keysym enters, also for the keysyms from before Unicode.
    /// `None` for keys that enter no character of their own, such as `Return`, `KP_0` and dead keys.
    pub fn to_char(self) -> Option<char> {
        match self.0 {
            0x20..=0x7e | 0xa0..=0xff => char::from_u32(self.0),
            UNICODE..=0x0110_ffff => char::from_u32(self.0 - UNICODE),
            _ => names().characters.get(&self.0).copied(),
        }
    }

    /// Its X name; for one without a name `U` and the code point, else the number.
    pub fn name(self) -> String {
        if let Some(name) = names().by_value.get(&self.0) {
            return (*name).to_owned();
        }
        match self.to_char() {
            Some(c) if c.is_ascii_graphic() => c.to_string(),
            Some(c) => format!("U{:04X}", u32::from(c)),
            None => format!("0x{:x}", self.0),
        }
    }
}

impl fmt::Display for Keysym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Keys that are held together, in the order of their presses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Combo {
    /// Never empty.
    pub keys: Vec<Keysym>,
}

/// Why a text names no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyNameError {
    /// Nothing was written.
    #[error("no key is named")]
    Empty,
    /// A part of a combination is empty, as in `ctrl++c`.
    #[error("{0:?} has an empty part; write `plus` for the + key")]
    EmptyPart(String),
    /// No key has this name.
    #[error("unknown key {name:?}, did you mean {nearest:?}?")]
    Unknown {
        /// What was written.
        name: String,
        /// The nearest name that exists.
        nearest: String,
    },
    /// More than [`MAX_COMBOS`] combinations.
    #[error("{0} combinations are too many, at most {MAX_COMBOS} run at once")]
    TooMany(usize),
}

/// Reads a sequence of combinations separated by blanks. Blanks alone are the space key.
pub fn parse(text: &str) -> Result<Vec<Combo>, KeyNameError> {
    if text.is_empty() {
        return Err(KeyNameError::Empty);
    }
    let words = words(text);
    if words.is_empty() {
        let space = Keysym(0x20);
        return Ok(vec![Combo { keys: vec![space] }]);
    }
    if words.len() > MAX_COMBOS {
        return Err(KeyNameError::TooMany(words.len()));
    }
    words.iter().map(|word| parse_combo(word)).collect()
}

/// Splits at blanks, and joins what was written as `ctrl + c`.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut join = false;
    let mut parts = text.split_whitespace().peekable();
    while let Some(part) = parts.next() {
        let between = part == "+" && !words.is_empty() && parts.peek().is_some();
        match words.last_mut() {
            Some(last) if between || join => last.push_str(part),
            _ => words.push(part.to_owned()),
        }
        join = between;
    }
    words
}

fn parse_combo(word: &str) -> Result<Combo, KeyNameError> {
    let mut parts: Vec<&str> = word.split('+').collect();
    if parts.len() > 1 && parts.last() == Some(&"") {
        // A trailing `+` is the key itself: `+`, `ctrl+` and `ctrl++` alike.
        parts.pop();
        if parts.last() == Some(&"") {
            parts.pop();
        }
        parts.push("plus");
    }
    if parts.contains(&"") {
        return Err(KeyNameError::EmptyPart(shortened(word)));
    }
    let together = parts.len() > 1;
    let keys = parts.into_iter().map(|part| parse_key(part, together));
    Ok(Combo {
        keys: keys.collect::<Result<_, _>>()?,
    })
}

/// One key by name. `together`: it stands in a combination, where a capital letter means its key.
fn parse_key(name: &str, together: bool) -> Result<Keysym, KeyNameError> {
    let mut characters = name.chars();
    if let (Some(c), None) = (characters.next(), characters.next())
        && !c.is_control()
    {
        return Ok(Keysym::from_char(if together { lower(c) } else { c }));
    }
    let names = names();
    let folded = fold(name);
    names
        .exact
        .get(name)
        .filter(|_| !names.aliases.contains_key(folded.as_str()))
        .or_else(|| names.aliases.get(folded.as_str()))
        .or_else(|| names.folded.get(&folded))
        .copied()
        .map(Keysym)
        .or_else(|| parse_code(name))
        .ok_or_else(|| KeyNameError::Unknown {
            name: shortened(name),
            nearest: nearest(&folded),
        })
}

/// As much of a client's text as an error repeats.
fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A character as the one key it comes from, where lower case is one character, too.
fn lower(c: char) -> char {
    let mut lower = c.to_lowercase();
    match (lower.next(), lower.next()) {
        (Some(l), None) => l,
        _ => c,
    }
}

/// `U20AC` and `U+20AC` (the `+` is gone here), as X names characters.
fn parse_code(name: &str) -> Option<Keysym> {
    let digits = name.strip_prefix(['U', 'u'])?;
    if !(4..=6).contains(&digits.len()) {
        return None;
    }
    let code = u32::from_str_radix(digits, 16).ok()?;
    char::from_u32(code)
        .filter(|c| !c.is_control())
        .map(Keysym::from_char)
}

fn fold(name: &str) -> String {
    let name = name.to_lowercase().replace('_', "");
    match name.strip_prefix("numpad") {
        Some(rest) if !rest.is_empty() => format!("kp{rest}"),
        _ => name,
    }
}

/// The table, read once.
struct Names {
    exact: HashMap<&'static str, u32>,
    folded: HashMap<String, u32>,
    aliases: HashMap<&'static str, u32>,
    by_value: HashMap<u32, &'static str>,
    characters: HashMap<u32, char>,
}

fn names() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(read_table)
}

fn read_table() -> Names {
    let mut names = Names {
        exact: HashMap::new(),
        folded: HashMap::new(),
        aliases: HashMap::new(),
        by_value: HashMap::new(),
        characters: HashMap::new(),
    };
    for entry in table::TABLE.split_ascii_whitespace() {
        let (name, rest) = entry.split_once('=').expect("each entry has a value");
        let (value, character) = rest.split_once(':').unwrap_or((rest, ""));
        let value = u32::from_str_radix(value, 16).expect("values are hexadecimal");
        names.exact.entry(name).or_insert(value);
        names.folded.entry(fold(name)).or_insert(value);
        names.by_value.entry(value).or_insert(name);
        if let Some(c) = u32::from_str_radix(character, 16)
            .ok()
            .and_then(char::from_u32)
        {
            names.characters.entry(value).or_insert(c);
        }
    }
    for (alias, name) in ALIASES {
        names.aliases.insert(alias, names.exact[name]);
    }
    names
}

/// The name with the fewest edits to the folded one; on a tie the shorter, then the first by alphabet.
fn nearest(folded: &str) -> String {
    let short = shortened(folded);
    let aliases = ALIASES.iter().map(|(alias, _)| *alias);
    let candidates = names().exact.keys().copied().chain(aliases);
    candidates
        .min_by_key(|name| (distance(&short, &fold(name)), name.len(), *name))
        .expect("the table is not empty")
        .to_owned()
}

/// Edits (insert, remove, replace a character, swap two neighbours) from one word to the other: the
/// optimal string alignment distance.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        rows[i][0] = i;
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(rows[i][j - 1] + 1).min(rows[i - 1][j] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = least;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(text: &str) -> String {
        let combos = parse(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let combos = combos.iter().map(|combo| {
            let keys: Vec<String> = combo.keys.iter().map(|key| key.name()).collect();
            keys.join("+")
        });
        combos.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn names_as_models_write_them() {
        for (text, keys) in [
            ("Return", "Return"),
            ("ENTER", "Return"),
            ("ctrl+c", "Control_L+c"),
            ("CTRL+SHIFT+T", "Control_L+Shift_L+t"),
            ("ctrl+L", "Control_L+l"),
            ("L", "L"),
            ("cmd+Option+ESC", "Super_L+Alt_L+Escape"),
            ("Meta+a", "Super_L+a"),
            ("Meta_L", "Meta_L"),
            ("Alt_L+F4", "Alt_L+F4"),
            ("f24", "F24"),
            ("pgup PAGE_UP pageup Prior", "Prior Prior Prior Prior"),
            ("page_down", "Next"),
            ("arrowup Up ARROWLEFT", "Up Up Left"),
            ("kp_0 KP_Enter numpad5", "KP_0 KP_Enter KP_5"),
            ("ctrl++", "Control_L+plus"),
            ("ctrl+", "Control_L+plus"),
            ("+", "plus"),
            ("plus", "plus"),
            ("shift + Tab", "Shift_L+Tab"),
            ("ctrl+a Delete", "Control_L+a Delete"),
            ("  Down\tDown\n", "Down Down"),
            (" ", "space"),
            ("space", "space"),
            ("del backspace", "Delete BackSpace"),
            ("capslock NumLock", "Caps_Lock Num_Lock"),
            (
                "XF86AudioMute volumeup",
                "XF86AudioMute XF86AudioRaiseVolume",
            ),
            ("é ctrl+É", "eacute Control_L+eacute"),
            ("eacute Eacute", "eacute Eacute"),
            ("ж", "U0436"),
            ("Cyrillic_zhe", "Cyrillic_zhe"),
            ("EuroSign U20AC", "EuroSign U20AC"),
            ("dead_acute", "dead_acute"),
            ("/ ? -", "slash question minus"),
            ("altgr+q", "ISO_Level3_Shift+q"),
        ] {
            assert_eq!(shown(text), keys, "{text:?}");
        }
    }

    #[test]
    fn unknown_names_name_the_nearest() {
        for (text, name, nearest) in [
            ("Retrun", "Retrun", "Return"),
            ("ctrl+Escpe", "Escpe", "Escape"),
            ("contrl+c", "contrl", "control"),
            ("F36", "F36", "F3"),
            ("U110000", "U110000", "F10"),
        ] {
            match parse(text).expect_err("no such key") {
                KeyNameError::Unknown {
                    name: n,
                    nearest: near,
                } => {
                    assert_eq!(n, name);
                    if text != "U110000" {
                        assert_eq!(near, nearest, "{text:?}");
                    }
                }
                other => panic!("{other}"),
            }
        }
        assert_eq!(parse(""), Err(KeyNameError::Empty));
        assert!(matches!(parse("ctrl++c"), Err(KeyNameError::EmptyPart(_))));
        assert_eq!(parse(&"a ".repeat(1001)), Err(KeyNameError::TooMany(1001)));
    }

    #[test]
    fn characters_and_keysyms() {
        assert_eq!(Keysym::from_char('a'), Keysym(0x61));
        assert_eq!(Keysym::from_char('ß'), Keysym(0xdf));
        assert_eq!(Keysym::from_char('你'), Keysym(0x0100_4f60));
        assert_eq!(Keysym(0x6c1).to_char(), Some('а'), "Cyrillic_a");
        assert_eq!(Keysym(0x7e1).to_char(), Some('α'), "Greek_alpha");
        assert_eq!(Keysym(0x20ac).to_char(), Some('€'), "EuroSign");
        assert_eq!(Keysym(0x1b1).to_char(), Some('ą'), "aogonek");
        for keysym in [0xff0d, 0xffb0, 0xfe51, 0xffe1] {
            assert_eq!(Keysym(keysym).to_char(), None);
        }
    }

    #[test]
    fn every_name_in_the_table_reads_back() {
        for (name, value) in &names().exact {
            if names().aliases.contains_key(fold(name).as_str()) {
                continue;
            }
            assert_eq!(
                parse(name).expect("a known name")[0].keys[0],
                Keysym(*value),
                "{name}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            if let Ok(combos) = parse(&text) {
                prop_assert!(combos.iter().all(|combo| !combo.keys.is_empty()));
            }
        }

        #[test]
        fn characters_survive(c in any::<char>()) {
            prop_assume!(!c.is_control());
            prop_assert_eq!(Keysym::from_char(c).to_char(), Some(c));
        }
    }
}
