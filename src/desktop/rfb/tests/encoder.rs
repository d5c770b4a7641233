//! Client messages as their documents describe them, written out by hand: the codec's counterpart.

use super::super::Kind;

/// A client message as its documents describe it.
#[derive(Clone, Debug)]
pub(super) enum Message {
    PixelFormat([u8; 16]),
    ColourMap(u16, Vec<[u8; 6]>),
    Encodings(Vec<i32>),
    UpdateRequest(bool, [u16; 4]),
    Key(bool, u32),
    Pointer(u8, u16, u16),
    LongPointer(u16, u16, u16),
    CutText(Vec<u8>),
    Clipboard(u32, Vec<u8>),
    ContinuousUpdates(bool, [u16; 4]),
    Fence(u32, Vec<u8>),
    Xvp(u8),
    DesktopSize(u16, u16, Vec<[u8; 16]>),
    QemuKey(bool, u32, u32),
    AudioOn,
    AudioOff,
    AudioFormat(u8, u8, u32),
}

impl Message {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::PixelFormat(_) => Kind::SetPixelFormat,
            Self::ColourMap(..) => Kind::FixColourMapEntries,
            Self::Encodings(_) => Kind::SetEncodings,
            Self::UpdateRequest(..) => Kind::FramebufferUpdateRequest,
            Self::Key(..) => Kind::KeyEvent,
            Self::Pointer(..) | Self::LongPointer(..) => Kind::PointerEvent,
            Self::CutText(_) => Kind::ClientCutText,
            Self::Clipboard(..) => Kind::ExtendedClipboard,
            Self::ContinuousUpdates(..) => Kind::EnableContinuousUpdates,
            Self::Fence(..) => Kind::ClientFence,
            Self::Xvp(_) => Kind::Xvp,
            Self::DesktopSize(..) => Kind::SetDesktopSize,
            Self::QemuKey(..) => Kind::QemuKeyEvent,
            Self::AudioOn | Self::AudioOff | Self::AudioFormat(..) => Kind::QemuAudio,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm a message")]
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::PixelFormat(format) => parts(&mut out, &[&[0, 0, 0, 0], format]),
            Self::ColourMap(first, colours) => {
                let count = u16::try_from(colours.len()).expect("short").to_be_bytes();
                parts(&mut out, &[&[1, 0], &first.to_be_bytes(), &count]);
                out.extend(colours.iter().flatten());
            }
            Self::Encodings(list) => {
                let count = u16::try_from(list.len()).expect("short").to_be_bytes();
                parts(&mut out, &[&[2, 0], &count]);
                out.extend(list.iter().flat_map(|encoding| encoding.to_be_bytes()));
            }
            Self::UpdateRequest(flag, area) => {
                out.extend([3, u8::from(*flag)]);
                out.extend(area.iter().flat_map(|number| number.to_be_bytes()));
            }
            Self::Key(down, keysym) => {
                parts(
                    &mut out,
                    &[&[4, u8::from(*down), 0, 0], &keysym.to_be_bytes()],
                );
            }
            Self::Pointer(mask, x, y) => {
                parts(&mut out, &[&[5, *mask], &x.to_be_bytes(), &y.to_be_bytes()]);
            }
            Self::LongPointer(mask, x, y) => {
                let low = 0x80 | mask.to_be_bytes()[1] & 0x7f;
                let high = (mask >> 7).to_be_bytes()[1];
                parts(
                    &mut out,
                    &[&[5, low], &x.to_be_bytes(), &y.to_be_bytes(), &[high]],
                );
            }
            Self::CutText(text) => {
                let length = u32::try_from(text.len()).expect("short").to_be_bytes();
                parts(&mut out, &[&[6, 0, 0, 0], &length, text]);
            }
            Self::Clipboard(flags, data) => {
                let length = -i32::try_from(data.len() + 4).expect("short");
                let head = [6, 0, 0, 0];
                let (length, flags) = (length.to_be_bytes(), flags.to_be_bytes());
                parts(&mut out, &[&head, &length, &flags, data]);
            }
            Self::ContinuousUpdates(flag, area) => {
                out.extend([150, u8::from(*flag)]);
                out.extend(area.iter().flat_map(|number| number.to_be_bytes()));
            }
            Self::Fence(flags, data) => {
                let length = u8::try_from(data.len()).expect("short");
                parts(
                    &mut out,
                    &[&[248, 0, 0, 0], &flags.to_be_bytes(), &[length], data],
                );
            }
            Self::Xvp(code) => out.extend([250, 0, 1, *code]),
            Self::DesktopSize(width, height, screens) => {
                let count = u8::try_from(screens.len()).expect("short");
                let (width, height) = (width.to_be_bytes(), height.to_be_bytes());
                parts(&mut out, &[&[251, 0], &width, &height, &[count, 0]]);
                out.extend(screens.iter().flatten());
            }
            Self::QemuKey(down, keysym, keycode) => {
                let (keysym, keycode) = (keysym.to_be_bytes(), keycode.to_be_bytes());
                parts(
                    &mut out,
                    &[&[255, 0, 0, u8::from(*down)], &keysym, &keycode],
                );
            }
            Self::AudioOn => out.extend([255, 1, 0, 0]),
            Self::AudioOff => out.extend([255, 1, 0, 1]),
            Self::AudioFormat(format, channels, frequency) => {
                parts(
                    &mut out,
                    &[
                        &[255, 1, 0, 2, *format, *channels],
                        &frequency.to_be_bytes(),
                    ],
                );
            }
        }
        out
    }
}

fn parts(out: &mut Vec<u8>, parts: &[&[u8]]) {
    out.extend(parts.concat());
}
