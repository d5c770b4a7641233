//! Cursors of listings: where a traversal was, as a text that a client sends back. They hold their whole state, so they work after
//! a restart, and a checksum over the question, so they fit no other.
//!
//! ```text
//!   base64url( checksum 8 | level*: behind 1 | value 16, little end first | length 1 | name )
//! ```

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::{path::Name, traverse::Key};

const CHECKSUM: usize = 8;

/// A text that is no cursor, or one of another question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the cursor does not belong to this request")]
pub struct BadCursor;

/// A position as text. `question` is whatever must be the same when it comes back.
pub fn encode(position: &[Key], question: &str) -> String {
    let mut bytes = vec![0; CHECKSUM];
    for key in position {
        let name = key.name.as_bytes();
        bytes.push(u8::from(key.behind));
        bytes.extend_from_slice(&key.value.to_le_bytes());
        bytes.push(u8::try_from(name.len()).expect("a name has at most 255 bytes"));
        bytes.extend_from_slice(name);
    }
    let sum = checksum(&bytes[CHECKSUM..], question);
    bytes[..CHECKSUM].copy_from_slice(&sum);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The position that a text holds.
pub fn decode(text: &str, question: &str) -> Result<Vec<Key>, BadCursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
    let (sum, mut rest) = bytes.split_at_checked(CHECKSUM).ok_or(BadCursor)?;
    if sum != checksum(rest, question) {
        return Err(BadCursor);
    }
    let mut position = Vec::new();
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(18).ok_or(BadCursor)?;
        let value: [u8; 16] = head[1..17].try_into().expect("16 bytes");
        let length = usize::from(head[17]);
        let (name, after) = after.split_at_checked(length).ok_or(BadCursor)?;
        position.push(Key {
            behind: head[0] != 0,
            value: i128::from_le_bytes(value),
            name: Name::new(name).map_err(|_| BadCursor)?,
        });
        rest = after;
    }
    Ok(position)
}

fn checksum(bytes: &[u8], question: &str) -> [u8; CHECKSUM] {
    let mut hash = Sha256::new();
    hash.update(question.as_bytes());
    hash.update([0]);
    hash.update(bytes);
    hash.finalize()[..CHECKSUM].try_into().expect("32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_and_fits_its_own_question_only() {
        let key = |value, name: &[u8]| Key {
            behind: true,
            value,
            name: Name::new(name).expect("a name"),
        };
        let position = [key(-1, b"a\xff"), key(1 << 70, &[b'n'; 255])];
        let text = encode(&position, "q");
        assert_eq!(decode(&text, "q"), Ok(position.to_vec()));
        assert_eq!(decode(&text, "r"), Err(BadCursor));
        assert_eq!(decode(&text[..text.len() - 2], "q"), Err(BadCursor));
        for bad in ["", "!", "AAAA", "AAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(decode(bad, "q"), Err(BadCursor), "{bad}");
        }
    }
}
