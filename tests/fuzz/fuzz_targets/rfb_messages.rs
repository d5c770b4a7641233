//! Client messages: any bytes, cut anywhere, are judged the same; what a viewer in control sends is unaltered.
//!
//! Input: one byte of flags (bit 0: view only), one byte of piece length, then the stream.
#![no_main]

use deskd::desktop::rfb::{ClientReader, CodecError, Verdicts};
use libfuzzer_sys::fuzz_target;

fn feed(view_only: bool, stream: &[u8], piece: usize) -> (Vec<u8>, Result<Vec<u8>, CodecError>) {
    let mut reader = ClientReader::new(view_only);
    let mut verdicts = Verdicts::default();
    let mut out = Vec::new();
    for bytes in stream.chunks(piece.max(1)) {
        let result = reader.read(bytes, &mut verdicts);
        out.extend(verdicts.pieces(bytes).flatten());
        if let Err(error) = result {
            return (out, Err(error));
        }
    }
    (out, Ok(reader.held().release_messages()))
}

fuzz_target!(|data: &[u8]| {
    let [flags, piece, stream @ ..] = data else {
        return;
    };
    let view_only = flags & 1 != 0;
    let whole = feed(view_only, stream, stream.len());
    assert_eq!(whole, feed(view_only, stream, usize::from(*piece)));
    if view_only {
        assert!(whole.1.is_err() || whole.1 == Ok(Vec::new()), "view-only holds nothing");
    } else {
        assert!(stream.starts_with(&whole.0), "forwarded bytes are a prefix");
    }
});
