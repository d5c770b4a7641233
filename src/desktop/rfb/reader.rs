//! Reads a client's messages in any fragmentation and says which bytes go on.

use std::ops::{BitOrAssign, Range};

use super::{
    CodecError, HeldInput, Kind,
    message::{EXTENDED_MOUSE_BUTTONS, HEADER_MAX, Measured, Shape, measure},
};

/// What forwarded messages did, for whoever must know that a person is at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// The pointer moved or a button changed.
    pub pointer: bool,
    /// A key went down or up.
    pub key: bool,
    /// The clipboard changed hands.
    pub clipboard: bool,
}

impl Activity {
    /// Whether anything was done at all.
    pub const fn any(self) -> bool {
        self.pointer || self.key || self.clipboard
    }
}

impl BitOrAssign for Activity {
    fn bitor_assign(&mut self, other: Self) {
        self.pointer |= other.pointer;
        self.key |= other.key;
        self.clipboard |= other.clipboard;
    }
}

/// The bytes to forward out of one call of [`ClientReader::read`]. Made to be used again and again.
#[derive(Clone, Debug, Default)]
pub struct Verdicts {
    head: Head,
    ranges: Vec<Range<usize>>,
}

impl Verdicts {
    /// The bytes to forward, in order; `input` is what was given to the call.
    pub fn pieces<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let head = Some(self.head.bytes()).filter(|head| !head.is_empty());
        let ranges = self.ranges.iter().map(|range| &input[range.clone()]);
        head.into_iter().chain(ranges)
    }

    fn clear(&mut self) {
        self.head.clear();
        self.ranges.clear();
    }

    /// Neighbouring ranges become one, so that a chunk of which nothing is dropped is one piece.
    fn forward(&mut self, range: Range<usize>) {
        match self.ranges.last_mut() {
            _ if range.is_empty() => {}
            Some(last) if last.end == range.start => last.end = range.end,
            _ => self.ranges.push(range),
        }
    }
}

/// The first bytes of a message that arrived in pieces, held back until its shape is known.
#[derive(Clone, Copy, Debug, Default)]
struct Head {
    bytes: [u8; HEADER_MAX],
    length: usize,
}

impl Head {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.length..][..bytes.len()].copy_from_slice(bytes);
        self.length += bytes.len();
    }

    fn clear(&mut self) {
        self.length = 0;
    }
}

/// Rest of a message whose header has been judged.
#[derive(Clone, Copy, Debug)]
struct Payload {
    left: usize,
    forward: bool,
    /// Set for `SetEncodings`.
    list: Option<EncodingList>,
}

/// Looks for one number in a list of encodings that arrives in pieces.
#[derive(Clone, Copy, Debug, Default)]
struct EncodingList {
    word: u32,
    filled: u8,
    found: bool,
}

impl EncodingList {
    fn scan(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.word = self.word << 8 | u32::from(byte);
            self.filled = (self.filled + 1) % 4;
            self.found |= self.filled == 0 && self.word.cast_signed() == EXTENDED_MOUSE_BUTTONS;
        }
    }
}

/// Reads everything a client sends after the handshake.
///
/// Memory is constant: a header of at most 20 bytes is held back when a chunk ends within it; payloads
/// pass through with the verdict of their header. So half a message is only ever forwarded when its
/// header was whole; [`ClientReader::at_boundary`] tells.
#[derive(Clone, Debug)]
pub struct ClientReader {
    view_only: bool,
    long_pointer: bool,
    head: Head,
    payload: Option<Payload>,
    held: HeldInput,
}

impl ClientReader {
    /// A reader for a client that has just sent `ClientInit`. With `view_only`, messages that act on the
    /// desktop ([`Kind::acts_on_desktop`]) are dropped and count as nothing.
    pub fn new(view_only: bool) -> Self {
        Self {
            view_only,
            long_pointer: false,
            head: Head::default(),
            payload: None,
            held: HeldInput::default(),
        }
    }

    /// Judges the next bytes. `verdicts` is overwritten; after an error it still names what may be forwarded
    /// from before the message that is wrong, and the reader must not be used again.
    pub fn read(&mut self, input: &[u8], verdicts: &mut Verdicts) -> Result<Activity, CodecError> {
        verdicts.clear();
        let mut activity = Activity::default();
        let mut at = 0;
        while at < input.len() {
            if self.payload.is_some() {
                at += self.read_payload(&input[at..], at, verdicts);
            } else if self.head.length > 0 {
                at += self.read_held_back(&input[at..], verdicts, &mut activity)?;
            } else {
                match measure(&input[at..], self.long_pointer)? {
                    Measured::Needs(_) => {
                        self.head.push(&input[at..]);
                        at = input.len();
                    }
                    Measured::Whole(shape) => {
                        let end = at + shape.header;
                        if self.judge(shape, &input[at..end], &mut activity)? {
                            verdicts.forward(at..end);
                        }
                        at = end;
                    }
                }
            }
        }
        Ok(activity)
    }

    /// What the client holds down now.
    pub fn held(&self) -> &HeldInput {
        &self.held
    }

    /// Whether everything forwarded so far ends with a whole message, so that one may be added.
    pub fn at_boundary(&self) -> bool {
        self.payload.is_none_or(|payload| !payload.forward)
    }

    /// Completes a header of which a part was held back; returns how many bytes it took.
    fn read_held_back(
        &mut self,
        rest: &[u8],
        verdicts: &mut Verdicts,
        activity: &mut Activity,
    ) -> Result<usize, CodecError> {
        let mut taken = 0;
        loop {
            match measure(self.head.bytes(), self.long_pointer)? {
                Measured::Needs(_) if taken == rest.len() => return Ok(taken),
                Measured::Needs(needed) => {
                    let end = rest.len().min(taken + needed - self.head.length);
                    self.head.push(&rest[taken..end]);
                    taken = end;
                }
                Measured::Whole(shape) => {
                    let head = self.head;
                    self.head.clear();
                    if self.judge(shape, head.bytes(), activity)? {
                        verdicts.head = head;
                    }
                    return Ok(taken);
                }
            }
        }
    }

    /// Passes payload on; returns how many bytes it took.
    fn read_payload(&mut self, rest: &[u8], at: usize, verdicts: &mut Verdicts) -> usize {
        let Some(payload) = &mut self.payload else {
            return 0;
        };
        let taken = rest.len().min(payload.left);
        payload.left -= taken;
        if payload.forward {
            verdicts.forward(at..at + taken);
        }
        if let Some(list) = &mut payload.list {
            list.scan(&rest[..taken]);
        }
        if payload.left == 0 {
            if let Some(list) = payload.list {
                self.long_pointer = list.found;
            }
            self.payload = None;
        }
        taken
    }

    /// Decides on a message by its header: whether it goes on, and what it changes here.
    fn judge(
        &mut self,
        shape: Shape,
        header: &[u8],
        activity: &mut Activity,
    ) -> Result<bool, CodecError> {
        let forward = !(self.view_only && shape.kind.acts_on_desktop());
        if forward {
            self.held.note(shape.kind, header)?;
            note_activity(shape.kind, activity);
        }
        let list = (shape.kind == Kind::SetEncodings).then(EncodingList::default);
        if shape.payload > 0 {
            self.payload = Some(Payload {
                left: shape.payload as usize,
                forward,
                list,
            });
        } else if list.is_some() {
            self.long_pointer = false; // an empty list takes back what an earlier one announced
        }
        Ok(forward)
    }
}

fn note_activity(kind: Kind, activity: &mut Activity) {
    match kind {
        Kind::PointerEvent => activity.pointer = true,
        Kind::KeyEvent | Kind::QemuKeyEvent => activity.key = true,
        Kind::ClientCutText => activity.clipboard = true,
        // The extended clipboard is also how a viewer answers the server's offers, unasked.
        _ => {}
    }
}
