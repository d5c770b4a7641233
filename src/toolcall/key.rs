//! Which tool call a request is of, and the name it has in paths.

use std::time::Duration;

use sha2::{Digest as _, Sha256};
use uuid::{Uuid, uuid};

/// Namespace of the names of tool calls; the clients have the same.
const NAMESPACE: Uuid = uuid!("c5773f4c-0b3f-57bc-9147-36daf7921a1b");

/// A SHA-256.
pub type Digest = [u8; 32];

/// A tool call: one of a message of a chat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The chat.
    pub chat: Uuid,
    /// The message that made the call; above 0, and later messages have higher ones.
    pub message: u64,
    /// The call's id within its message: any bytes, not empty.
    pub id: Box<[u8]>,
}

impl Key {
    /// Its name: version 5 over the chat's 16 bytes, the message as 8 bytes big-endian, and the id.
    pub fn uuid(&self) -> Uuid {
        let message = self.message.to_be_bytes();
        let name = [&self.chat.as_bytes()[..], &message, &self.id].concat();
        Uuid::new_v5(&NAMESPACE, &name)
    }
}

/// A request of a tool call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Whose.
    pub key: Key,
    /// Time since the call was committed, as the client measured it when it sent the request.
    pub age: Duration,
}

/// Digest of parts in their order; no two lists of parts have the same.
pub fn digest(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_clients_compute() {
        let name = |message, id: &str| {
            let chat = uuid!("6f1c0a52-3b6e-4f0a-9d53-0c6a1de0b7aa");
            let id = id.as_bytes().into();
            Key { chat, message, id }.uuid().to_string()
        };
        assert_eq!(name(1, "call_1"), "eab4e1a8-9269-53bb-9528-a3134c2c3346");
        let odd = name(4242, "tool/use #7 é");
        assert_eq!(odd, "1af91b3f-e850-501c-a454-e11ec67d54dc");
    }

    #[test]
    fn a_byte_that_changes_its_part_changes_the_digest() {
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_ne!(digest(&[b"", b"a"]), digest(&[b"a", b""]));
        assert_eq!(digest(&[b"a", b"b"]), digest(&[b"a", b"b"]));
    }
}
