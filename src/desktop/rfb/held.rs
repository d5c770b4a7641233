//! Keys and buttons that one viewer has down, and the messages that release them.

use super::{
    CodecError,
    message::{Kind, long, short},
};

/// Most keys of one viewer that may be down at once.
const KEYS_MAX: usize = 256;

/// A key that is down. `keycode` is the scan code of the QEMU form, or none for a plain `KeyEvent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeldKey {
    keysym: u32,
    keycode: Option<u32>,
}

/// What a viewer holds down, as its forwarded messages say.
#[derive(Clone, Debug, Default)]
pub struct HeldInput {
    keys: Vec<HeldKey>,
    buttons: u16,
    at: (u16, u16),
}

impl HeldInput {
    /// Whether nothing is down.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.buttons == 0
    }

    /// RFB messages that release everything: keys in the reverse order of their presses, then the buttons
    /// where the pointer was last. Empty when nothing is down.
    pub fn release_messages(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for key in self.keys.iter().rev() {
            match key.keycode {
                None => out.extend([4, 0, 0, 0]),
                Some(_) => out.extend([255, 0, 0, 0]),
            }
            out.extend(key.keysym.to_be_bytes());
            out.extend(key.keycode.map(u32::to_be_bytes).into_iter().flatten());
        }
        if self.buttons != 0 {
            out.extend([5, 0]);
            out.extend(self.at.0.to_be_bytes());
            out.extend(self.at.1.to_be_bytes());
        }
        out
    }

    /// Takes in the header of a message of `kind`; kinds without keys or buttons change nothing.
    pub(super) fn note(&mut self, kind: Kind, header: &[u8]) -> Result<(), CodecError> {
        match kind {
            Kind::KeyEvent => self.note_key(header[0], header[1] != 0, long(header, 4), None),
            Kind::QemuKeyEvent => {
                let (keysym, keycode) = (long(header, 4), long(header, 8));
                self.note_key(header[0], short(header, 2) != 0, keysym, Some(keycode))
            }
            Kind::PointerEvent => {
                self.buttons = u16::from(header[1]);
                if let Some(&high) = header.get(6) {
                    self.buttons = self.buttons & 0x7f | u16::from(high) << 7;
                }
                self.at = (short(header, 2), short(header, 4));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A release is matched by scan code where both have one, else by keysym: what a key means may have
    /// changed while it was down (Shift released first), the key itself has not.
    fn note_key(
        &mut self,
        message_type: u8,
        down: bool,
        keysym: u32,
        keycode: Option<u32>,
    ) -> Result<(), CodecError> {
        let known = self
            .keys
            .iter()
            .position(|key| match (key.keycode, keycode) {
                (Some(held), Some(code)) => held == code,
                _ => key.keysym == keysym,
            });
        match (down, known) {
            (true, None) if self.keys.len() == KEYS_MAX => Err(CodecError::TooManyKeys {
                message_type,
                limit: KEYS_MAX,
            }),
            (true, None) => {
                self.keys.push(HeldKey { keysym, keycode });
                Ok(())
            }
            (false, Some(index)) => {
                self.keys.remove(index);
                Ok(())
            }
            (true, Some(_)) | (false, None) => Ok(()), // autorepeat, or a release of nothing
        }
    }
}
