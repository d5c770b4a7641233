//! The environment of a process, in layers; a later one wins.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
};

use uuid::Uuid;

/// Names with which a process is told its chat.
const CHAT: [&str; 2] = ["CODER_CHAT_ID", "DESKD_CHAT_ID"];
/// What names a display.
const DISPLAY: [&str; 3] = ["DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY"];

/// Pairs.
pub type Variables = Vec<(OsString, OsString)>;

/// Where the variables come from.
#[derive(Debug)]
pub struct Layers<'a> {
    /// The daemon's own.
    pub inherited: &'a [(OsString, OsString)],
    /// Whether the daemon's own display is the desktop.
    pub keep_display: bool,
    /// Configured.
    pub configured: &'a [(String, String)],
    /// Of the running desktop.
    pub desktop: &'a [(OsString, OsString)],
    /// What other parameters of the start imply.
    pub implied: &'a [(&'static str, OsString)],
    /// Of the request.
    pub requested: &'a BTreeMap<String, String>,
    /// Whose process it is.
    pub chat: Option<Uuid>,
}

impl Layers<'_> {
    /// All of them, one value for each name.
    pub fn flatten(&self) -> Variables {
        let mut all: BTreeMap<OsString, OsString> = self
            .inherited
            .iter()
            .filter(|(name, _)| self.is_inherited(name))
            .cloned()
            .collect();
        let own = |text: &str| OsString::from(text);
        all.extend(self.configured.iter().map(|(n, v)| (own(n), own(v))));
        for name in CHAT {
            all.remove(OsStr::new(name));
        }
        all.extend(self.desktop.iter().cloned());
        all.extend(self.implied.iter().map(|(n, v)| (own(n), v.clone())));
        all.extend(self.requested.iter().map(|(n, v)| (own(n), own(v))));
        if let Some(chat) = self.chat {
            for name in CHAT {
                all.insert(own(name), own(&chat.to_string()));
            }
        }
        all.into_iter().collect()
    }

    fn is_inherited(&self, name: &OsStr) -> bool {
        let is = |known: &str| name == OsStr::new(known);
        let starts = |prefix: &str| name.as_bytes().starts_with(prefix.as_bytes());
        !(starts("DESKD_")
            || starts("LISTEN_")
            || is("NOTIFY_SOCKET")
            || DISPLAY.into_iter().any(is) && !self.keep_display)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(all: &[(&str, &str)]) -> Variables {
        all.iter().map(|(n, v)| (n.into(), v.into())).collect()
    }

    #[test]
    fn later_layers_win_and_secrets_stay_behind() {
        let inherited = pairs(&[
            ("A", "inherited"),
            ("B", "inherited"),
            ("C", "inherited"),
            ("DESKD_TOKEN_FILE", "x"),
            ("NOTIFY_SOCKET", "x"),
            ("LISTEN_FDS", "1"),
            ("DISPLAY", ":7"),
            ("CODER_CHAT_ID", "x"),
        ]);
        let requested = [("C", "requested"), ("DESKD_CHAT_ID", "mine")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
        let chat = Uuid::from_u128(7);
        let mut layers = Layers {
            inherited: &inherited,
            keep_display: false,
            configured: &[("B".to_owned(), "configured".to_owned())],
            desktop: &pairs(&[("DISPLAY", ":1")]),
            implied: &[("PWD", "/".into())],
            requested: &requested,
            chat: Some(chat),
        };
        let id = chat.to_string();
        let due = [
            ("A", "inherited"),
            ("B", "configured"),
            ("C", "requested"),
            ("CODER_CHAT_ID", &id),
            ("DESKD_CHAT_ID", &id),
            ("DISPLAY", ":1"),
            ("PWD", "/"),
        ];
        assert_eq!(layers.flatten(), pairs(&due));
        layers.chat = None;
        layers.desktop = &[];
        let without = layers.flatten();
        let names: Vec<_> = without.iter().map(|(n, _)| n.to_str()).collect();
        let due = ["A", "B", "C", "DESKD_CHAT_ID", "PWD"].map(Some);
        assert_eq!(names, due, "what was requested stays");
    }
}
