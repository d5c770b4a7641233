//! Handshake: any conversation of the two sides is followed the same however it is cut.
//!
//! Input: turns, each one byte (bit 7: the client speaks; bits 0 to 6: how many bytes) and its bytes.
#![no_main]

use deskd::desktop::rfb::{CodecError, Handshake};
use libfuzzer_sys::fuzz_target;

fn play(mut data: &[u8], piece: usize) -> Result<(bool, bool, Option<String>), CodecError> {
    let mut handshake = Handshake::default();
    while let [turn, rest @ ..] = data {
        let (bytes, rest) = rest.split_at(rest.len().min(usize::from(turn & 0x7f)));
        for bytes in bytes.chunks(piece) {
            let read = if turn & 0x80 != 0 {
                handshake.read_client(bytes)?
            } else {
                handshake.read_server(bytes)?
            };
            assert!(read <= bytes.len());
        }
        data = rest;
    }
    Ok((
        handshake.client_is_over(),
        handshake.server_is_over(),
        handshake.refusal(),
    ))
}

fuzz_target!(|data: &[u8]| {
    assert_eq!(play(data, 128), play(data, 1));
});
