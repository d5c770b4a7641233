//! What lies on a clipboard, in which kinds, and by which targets X programs ask for it (ICCCM 2.6.2). Pure.

use std::fmt;

use bytes::Bytes;

/// Most bytes of everything that lies on one selection, in either direction.
pub const MAX_BYTES: usize = 10_000_000;

/// One of the two selections that people copy with (ICCCM 2.6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Selection {
    /// What ctrl+c and ctrl+v use.
    Clipboard,
    /// What was marked last; the middle button inserts it.
    Primary,
}

impl Selection {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Clipboard, Self::Primary];

    /// `clipboard` or `primary`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clipboard => "clipboard",
            Self::Primary => "primary",
        }
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What something on the clipboard is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8.
    Text,
    /// HTML in UTF-8.
    Html,
    /// A PNG file.
    Png,
    /// Whatever a program calls by this target; kept to be put back, and never looked into.
    Other(String),
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Targets that give text, the best first. UTF-8 in the first three, by convention; the others are what old programs
/// have.
const TEXT_TARGETS: [&str; 6] = [
    "UTF8_STRING",
    "text/plain;charset=utf-8",
    "text/plain;charset=UTF-8",
    "text/plain",
    "STRING",
    "TEXT",
];
/// The targets by which we offer text.
const OFFERED_TEXT: [&str; 5] = [
    "UTF8_STRING",
    "text/plain;charset=utf-8",
    "text/plain",
    "TEXT",
    "STRING",
];
/// Targets that do something or speak of the selection itself (ICCCM 2.6.2, 2.6.3, and the clipboard manager's), and
/// text in an encoding that nothing prefers to those above.
const NOT_CONTENT: [&str; 14] = [
    "TARGETS",
    "TIMESTAMP",
    "MULTIPLE",
    "DELETE",
    "INSERT_SELECTION",
    "INSERT_PROPERTY",
    "SAVE_TARGETS",
    "COMPOUND_TEXT",
    "C_STRING",
    "LENGTH",
    "LIST_LENGTH",
    "HOST_NAME",
    "USER",
    "PIXMAP",
];
/// Longest name of a target that is kept.
const MAX_NAME: usize = 256;

impl Kind {
    /// Media type, or the name of the target.
    pub fn name(&self) -> &str {
        match self {
            Self::Text => "text/plain",
            Self::Html => "text/html",
            Self::Png => "image/png",
            Self::Other(target) => target,
        }
    }

    /// What a target of this name gives; `None` when it is no content.
    pub fn of_target(name: &str) -> Option<Self> {
        match name {
            _ if TEXT_TARGETS.contains(&name) => Some(Self::Text),
            "text/html" => Some(Self::Html),
            "image/png" => Some(Self::Png),
            _ if NOT_CONTENT.contains(&name) || name.is_empty() || name.len() > MAX_NAME => None,
            _ => Some(Self::Other(name.to_owned())),
        }
    }

    /// The targets to ask for it by, the best first.
    pub fn targets(&self) -> &[&str] {
        match self {
            Self::Text => &TEXT_TARGETS,
            Self::Html => &["text/html"],
            Self::Png => &["image/png"],
            Self::Other(_) => &[],
        }
    }

    /// Turns what an owner gave into what this kind promises. `latin1` says that the owner called it `STRING`, which is
    /// ISO 8859-1; many programs put UTF-8 there all the same, so that is looked for first.
    pub fn decode(&self, bytes: Vec<u8>, latin1: bool) -> Bytes {
        let text = match self {
            Self::Png | Self::Other(_) => return bytes.into(),
            Self::Html if bytes.starts_with(&[0xff, 0xfe]) => {
                utf16(&bytes[2..], u16::from_le_bytes)
            }
            Self::Html if bytes.starts_with(&[0xfe, 0xff]) => {
                utf16(&bytes[2..], u16::from_be_bytes)
            }
            Self::Text | Self::Html => match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) if latin1 => error.as_bytes().iter().copied().map(char::from).collect(),
                Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
            },
        };
        text.into()
    }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .map(|letter| letter.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// One kind of what was copied.
#[derive(Clone, PartialEq, Eq)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// The thing itself.
    pub bytes: Bytes,
}

/// What lies there is a secret, and stays out of logs.
impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item")
            .field("kind", &self.kind)
            .field("length", &self.bytes.len())
            .finish()
    }
}

/// One thing that was copied, in all its kinds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// At most one a kind.
    pub items: Vec<Item>,
}

/// By what an owner answers for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The bytes as they are.
    Plain,
    /// ISO 8859-1, with `?` for what it lacks.
    Latin1,
}

/// A target that is offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer<'a> {
    /// Name of the target.
    pub target: &'a str,
    /// Name of the type of the answer's property.
    pub answer: &'a str,
    /// Which of [`Content::items`].
    pub item: usize,
    /// How it is written.
    pub encoding: Encoding,
}

impl Content {
    /// A text.
    pub fn text(text: impl Into<Bytes>) -> Self {
        Self::one(Kind::Text, text)
    }

    /// A thing of one kind.
    pub fn one(kind: Kind, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            items: vec![Item { kind, bytes }],
        }
    }

    /// Bytes of all kinds together.
    pub fn size(&self) -> usize {
        self.items.iter().map(|item| item.bytes.len()).sum()
    }

    /// The first of these kinds that is there, and its bytes.
    pub fn first_of(&self, wanted: &[Kind]) -> Option<&Item> {
        let find = |kind: &Kind| self.items.iter().find(|item| item.kind == *kind);
        wanted.iter().find_map(find)
    }

    /// The kinds that are there.
    pub fn kinds(&self) -> Vec<Kind> {
        self.items.iter().map(|item| item.kind.clone()).collect()
    }

    /// Every target that this is offered by, beside `TARGETS`, `TIMESTAMP` and `MULTIPLE`.
    pub fn offers(&self) -> Vec<Offer<'_>> {
        let mut offers = Vec::new();
        for (item, Item { kind, .. }) in self.items.iter().enumerate() {
            let offer = |target, answer, encoding| Offer {
                target,
                answer,
                item,
                encoding,
            };
            match kind {
                Kind::Text => offers.extend(OFFERED_TEXT.map(|target| match target {
                    // The owner chooses the encoding of TEXT and says it by the type.
                    "TEXT" => offer(target, "UTF8_STRING", Encoding::Plain),
                    "STRING" => offer(target, target, Encoding::Latin1),
                    _ => offer(target, target, Encoding::Plain),
                })),
                Kind::Html | Kind::Png | Kind::Other(_) => {
                    offers.push(offer(kind.name(), kind.name(), Encoding::Plain));
                }
            }
        }
        offers
    }
}

/// A text in ISO 8859-1. ASCII is the same there, and is not copied.
pub fn latin1(text: &Bytes) -> Bytes {
    if text.is_ascii() {
        return text.clone();
    }
    let text = String::from_utf8_lossy(text);
    let letters = text.chars().map(|c| u8::try_from(c).unwrap_or(b'?'));
    letters.collect::<Vec<u8>>().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_name_kinds() {
        assert_eq!(Kind::of_target("UTF8_STRING"), Some(Kind::Text));
        assert_eq!(Kind::of_target("text/html"), Some(Kind::Html));
        let other = "chromium/x-web-custom-data";
        assert_eq!(Kind::of_target(other), Some(Kind::Other(other.to_owned())));
        for name in ["TARGETS", "DELETE", "", &"x".repeat(MAX_NAME + 1)] {
            assert_eq!(Kind::of_target(name), None, "{name}");
        }
    }

    #[test]
    fn what_owners_give_becomes_utf8() {
        let text = |bytes: &[u8], latin1| Kind::Text.decode(bytes.to_vec(), latin1);
        assert_eq!(text("ö".as_bytes(), true), "ö");
        assert_eq!(text(b"\xf6", true), "ö");
        assert_eq!(text(b"a\xffb", false), "a\u{fffd}b");
        let html = Kind::Html.decode(b"\xff\xfe<\0b\0>\0".to_vec(), false);
        assert_eq!(html, "<b>");
        assert_eq!(Kind::Png.decode(vec![0xff, 0], false), &[0xff, 0][..]);
    }

    #[test]
    fn text_is_offered_under_every_name() {
        let content = Content::text("€");
        let names: Vec<_> = content.offers().iter().map(|offer| offer.target).collect();
        assert_eq!(names, OFFERED_TEXT);
        assert_eq!(latin1(&"aö€".into()), &b"a\xf6?"[..]);
        let same = Bytes::from("plain");
        assert_eq!(latin1(&same).as_ptr(), same.as_ptr());
    }

    #[test]
    fn what_lies_there_is_not_printed() {
        assert!(!format!("{:?}", Content::text("secret")).contains("secret"));
    }
}
