//! Client messages: what they are called, how long they are, and what they do to the desktop.

use super::CodecError;

/// Longest clipboard message: 10 MiB of text and room for what compression and flags add.
pub const CUT_TEXT_MAX: u32 = (10 << 20) + (64 << 10);
/// Most encodings in one `SetEncodings`; noVNC sends about 30.
pub const ENCODINGS_MAX: u16 = 1024;
/// Longest payload of a fence, by its definition.
pub const FENCE_MAX: u8 = 64;
/// Most screens in one `SetDesktopSize`.
pub const SCREENS_MAX: u8 = 64;

/// Longest header of any message: nothing longer is ever held back.
pub(super) const HEADER_MAX: usize = 20;
/// Pseudo-encoding by which a client says that it may send the longer `PointerEvent`.
pub(super) const EXTENDED_MOUSE_BUTTONS: i32 = -316;

/// A client message. RFC 6143 §7.5 unless another source is named; `rfbproto` is the community's document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 0
    SetPixelFormat,
    /// 1, RFB 3.3 only; no server in use acts on it.
    FixColourMapEntries,
    /// 2
    SetEncodings,
    /// 3
    FramebufferUpdateRequest,
    /// 4
    KeyEvent,
    /// 5, with one more byte of buttons when the client negotiated it and set the marker bit (rfbproto).
    PointerEvent,
    /// 6
    ClientCutText,
    /// 6 with a negative length (rfbproto).
    ExtendedClipboard,
    /// 150 (rfbproto)
    EnableContinuousUpdates,
    /// 248 (rfbproto)
    ClientFence,
    /// 250: shut down, reboot or reset the machine (rfbproto).
    Xvp,
    /// 251 (rfbproto)
    SetDesktopSize,
    /// 255, 0: a key with its scan code (rfbproto).
    QemuKeyEvent,
    /// 255, 1: what sound to send (rfbproto).
    QemuAudio,
}

impl Kind {
    /// Whether the message does something to the desktop rather than to the viewer's own picture of it.
    ///
    /// Besides keys, pointer and clipboard these are `SetDesktopSize`, which resizes the screen under
    /// everyone, and `Xvp`, which can end the machine. A viewer that may only look may do none of it.
    pub const fn acts_on_desktop(self) -> bool {
        match self {
            Self::KeyEvent
            | Self::PointerEvent
            | Self::ClientCutText
            | Self::ExtendedClipboard
            | Self::Xvp
            | Self::SetDesktopSize
            | Self::QemuKeyEvent => true,
            Self::SetPixelFormat
            | Self::FixColourMapEntries
            | Self::SetEncodings
            | Self::FramebufferUpdateRequest
            | Self::EnableContinuousUpdates
            | Self::ClientFence
            | Self::QemuAudio => false,
        }
    }
}

/// What a header says about its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) kind: Kind,
    /// Bytes of the header, at most [`HEADER_MAX`].
    pub(super) header: usize,
    /// Bytes that follow the header.
    pub(super) payload: u32,
}

/// Result of [`measure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    /// The decision needs this many bytes from the start of the message, and not one more.
    Needs(usize),
    /// The header is there.
    Whole(Shape),
}

/// Measures the message that begins with `bytes`, which may be any prefix of it or run past its end.
pub(super) fn measure(bytes: &[u8], long_pointer: bool) -> Result<Measured, CodecError> {
    let Some(&message_type) = bytes.first() else {
        return Ok(Measured::Needs(1));
    };
    let fixed = |kind, header| whole(bytes, kind, header, |_| Ok(0));
    match message_type {
        0 => fixed(Kind::SetPixelFormat, 20),
        1 => whole(bytes, Kind::FixColourMapEntries, 6, |head| {
            Ok(u32::from(short(head, 4)) * 6)
        }),
        2 => whole(bytes, Kind::SetEncodings, 4, |head| {
            let count = short(head, 2);
            limited(message_type, count.into(), ENCODINGS_MAX.into()).map(|count| count * 4)
        }),
        3 => fixed(Kind::FramebufferUpdateRequest, 10),
        4 => fixed(Kind::KeyEvent, 8),
        5 => match bytes.get(1) {
            None => Ok(Measured::Needs(2)),
            Some(mask) if long_pointer && mask & 0x80 != 0 => fixed(Kind::PointerEvent, 7),
            Some(_) => fixed(Kind::PointerEvent, 6),
        },
        6 => measure_cut_text(bytes),
        150 => fixed(Kind::EnableContinuousUpdates, 10),
        248 => whole(bytes, Kind::ClientFence, 9, |head| {
            limited(message_type, head[8].into(), FENCE_MAX.into())
        }),
        250 => fixed(Kind::Xvp, 4),
        251 => whole(bytes, Kind::SetDesktopSize, 8, |head| {
            limited(message_type, head[6].into(), SCREENS_MAX.into()).map(|count| count * 16)
        }),
        255 => measure_qemu(bytes),
        _ => Err(CodecError::UnknownMessage { message_type }),
    }
}

/// A positive length is Latin-1 text; a negative one is the extended clipboard, at least four bytes of flags.
fn measure_cut_text(bytes: &[u8]) -> Result<Measured, CodecError> {
    let Some(head) = bytes.get(..8) else {
        return Ok(Measured::Needs(8));
    };
    let length = i32::from_be_bytes([head[4], head[5], head[6], head[7]]);
    let kind = match length {
        0.. => Kind::ClientCutText,
        -3..0 => {
            return Err(CodecError::ClipboardTooShort {
                length: length.unsigned_abs(),
            });
        }
        _ => Kind::ExtendedClipboard,
    };
    whole(bytes, kind, 8, |_| {
        limited(6, length.unsigned_abs(), CUT_TEXT_MAX)
    })
}

fn measure_qemu(bytes: &[u8]) -> Result<Measured, CodecError> {
    let unknown = |form| CodecError::UnknownForm {
        message_type: 255,
        form,
    };
    match bytes.get(1) {
        None => Ok(Measured::Needs(2)),
        Some(0) => whole(bytes, Kind::QemuKeyEvent, 12, |_| Ok(0)),
        Some(1) if bytes.len() < 4 => Ok(Measured::Needs(4)),
        Some(1) => match short(bytes, 2) {
            0 | 1 => whole(bytes, Kind::QemuAudio, 4, |_| Ok(0)), // on, off
            2 => whole(bytes, Kind::QemuAudio, 10, |_| Ok(0)), // sample format, channels, frequency
            operation => Err(unknown(operation)),
        },
        Some(&form) => Err(unknown(form.into())),
    }
}

/// The shape of a message with a header of `header` bytes, once these are there.
fn whole(
    bytes: &[u8],
    kind: Kind,
    header: usize,
    payload: impl FnOnce(&[u8]) -> Result<u32, CodecError>,
) -> Result<Measured, CodecError> {
    match bytes.get(..header) {
        None => Ok(Measured::Needs(header)),
        Some(head) => Ok(Measured::Whole(Shape {
            kind,
            header,
            payload: payload(head)?,
        })),
    }
}

fn limited(message_type: u8, length: u32, limit: u32) -> Result<u32, CodecError> {
    if length > limit {
        return Err(CodecError::TooLong {
            message_type,
            length: length.into(),
            limit: limit.into(),
        });
    }
    Ok(length)
}

/// The big-endian 16-bit number at `at`.
pub(super) fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// The big-endian 32-bit number at `at`.
pub(super) fn long(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
