//! The codec against an encoder of its own: every message, any fragmentation, any rubbish.

mod encoder;
mod handshake;

use proptest::{collection::vec, prelude::*};

use self::encoder::Message;
use super::{
    message::{EXTENDED_MOUSE_BUTTONS, HEADER_MAX, Measured, Shape, measure},
    *,
};

fn message() -> impl Strategy<Value = Message> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(Message::PixelFormat),
        (any::<u16>(), vec(any::<[u8; 6]>(), 0..4)).prop_map(|(a, b)| Message::ColourMap(a, b)),
        vec(
            prop_oneof![any::<i32>(), Just(EXTENDED_MOUSE_BUTTONS)],
            0..6
        )
        .prop_map(Message::Encodings),
        any::<(bool, [u16; 4])>().prop_map(|(a, b)| Message::UpdateRequest(a, b)),
        (any::<bool>(), 0..4_u32).prop_map(|(a, b)| Message::Key(a, b)),
        any::<(u8, u16, u16)>().prop_map(|(a, b, c)| Message::Pointer(a, b, c)),
        (0..512_u16, any::<u16>(), any::<u16>())
            .prop_map(|(a, b, c)| Message::LongPointer(a, b, c)),
        vec(any::<u8>(), 0..60).prop_map(Message::CutText),
        (any::<u32>(), vec(any::<u8>(), 0..60)).prop_map(|(a, b)| Message::Clipboard(a, b)),
        any::<(bool, [u16; 4])>().prop_map(|(a, b)| Message::ContinuousUpdates(a, b)),
        (any::<u32>(), vec(any::<u8>(), 0..=64)).prop_map(|(a, b)| Message::Fence(a, b)),
        any::<u8>().prop_map(Message::Xvp),
        (any::<u16>(), any::<u16>(), vec(any::<[u8; 16]>(), 0..4))
            .prop_map(|(a, b, c)| Message::DesktopSize(a, b, c)),
        (any::<bool>(), 0..4_u32, 0..4_u32).prop_map(|(a, b, c)| Message::QemuKey(a, b, c)),
        Just(Message::AudioOn),
        Just(Message::AudioOff),
        any::<(u8, u8, u32)>().prop_map(|(a, b, c)| Message::AudioFormat(a, b, c)),
    ]
}

/// Messages of one client: the long pointer form only while it has announced it, the marker bit never else.
fn conversation() -> impl Strategy<Value = Vec<Message>> {
    vec(message(), 0..30).prop_map(|messages| {
        let mut long = false;
        let keep = |message: Message| {
            match &message {
                Message::Encodings(list) => long = list.contains(&EXTENDED_MOUSE_BUTTONS),
                Message::LongPointer(..) if !long => return None,
                Message::Pointer(mask, x, y) if long => {
                    return Some(Message::Pointer(mask & 0x7f, *x, *y));
                }
                _ => {}
            }
            Some(message)
        };
        messages.into_iter().filter_map(keep).collect()
    })
}

/// Feeds `input` cut at `cuts` and gives what is forwarded, and how it ended.
fn feed(
    reader: &mut ClientReader,
    input: &[u8],
    cuts: &[usize],
) -> (Vec<u8>, Activity, Result<(), CodecError>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    let (mut out, mut activity, mut verdicts) =
        (Vec::new(), Activity::default(), Verdicts::default());
    for cut in cuts.windows(2) {
        let piece = &input[cut[0]..cut[1]];
        let result = reader.read(piece, &mut verdicts);
        out.extend(verdicts.pieces(piece).flatten());
        match result {
            Ok(seen) => activity |= seen,
            Err(error) => return (out, activity, Err(error)),
        }
    }
    (out, activity, Ok(()))
}

fn encode(messages: &[Message]) -> Vec<u8> {
    messages.iter().flat_map(Message::encode).collect()
}

proptest! {
    #[test]
    fn every_message_measures_as_it_was_encoded(message in message()) {
        let bytes = message.encode();
        let long = matches!(message, Message::LongPointer(..));
        let mut prefix = 0;
        let shape = loop {
            match measure(&bytes[..prefix], long).expect("a valid message") {
                Measured::Needs(needed) => {
                    prop_assert!(needed > prefix && needed <= HEADER_MAX);
                    prefix = needed;
                }
                Measured::Whole(shape) => break shape,
            }
        };
        let payload = u32::try_from(bytes.len() - shape.header).expect("short");
        prop_assert_eq!(shape, Shape { kind: message.kind(), header: prefix, payload });
    }

    #[test]
    fn a_viewer_in_control_is_forwarded_unaltered(
        messages in conversation(), cuts in vec(any::<usize>(), 0..40),
    ) {
        let input = encode(&messages);
        let mut reader = ClientReader::new(false);
        let (out, _, result) = feed(&mut reader, &input, &cuts);
        prop_assert_eq!(result, Ok(()));
        prop_assert!(reader.at_boundary());
        prop_assert_eq!(out, input);
    }

    #[test]
    fn view_only_drops_whole_messages_and_nothing_else(
        messages in conversation(), cuts in vec(any::<usize>(), 0..40),
    ) {
        let mut reader = ClientReader::new(true);
        let (out, activity, result) = feed(&mut reader, &encode(&messages), &cuts);
        let kept: Vec<_> = messages.into_iter().filter(|m| !m.kind().acts_on_desktop()).collect();
        prop_assert_eq!(result, Ok(()));
        prop_assert_eq!(out, encode(&kept));
        prop_assert!(!activity.any());
        prop_assert!(reader.held().is_empty());
    }

    #[test]
    fn rubbish_is_judged_the_same_in_any_fragmentation(
        start in conversation(), rubbish in vec(any::<u8>(), 0..200),
        cuts in vec(any::<usize>(), 0..40), view_only: bool,
    ) {
        let mut input = encode(&start);
        input.extend(rubbish);
        let whole = feed(&mut ClientReader::new(view_only), &input, &[]);
        let cut = feed(&mut ClientReader::new(view_only), &input, &cuts);
        prop_assert_eq!(&whole.0, &cut.0);
        prop_assert_eq!(&whole.2, &cut.2);
    }

    #[test]
    fn rubbish_in_the_handshake_is_judged_the_same_in_any_fragmentation(
        bytes in vec(any::<u8>(), 0..80), cut in any::<usize>(), version in 0..3_usize, of_server: bool,
    ) {
        let version = [&b"RFB 003.003\n"[..], b"RFB 003.007\n", b"RFB 003.008\n"][version];
        let run = |cut: usize| {
            let mut handshake = Handshake::default();
            handshake.read_server(b"RFB 003.008\n")?;
            handshake.read_client(version)?;
            let (one, two) = bytes.split_at(cut);
            for part in [one, two] {
                if of_server {
                    handshake.read_server(part)?;
                } else {
                    handshake.read_client(part)?;
                }
            }
            Ok::<_, CodecError>(format!("{handshake:?}"))
        };
        prop_assert_eq!(run(0), run(cut % (bytes.len() + 1)));
    }

    #[test]
    fn release_messages_release_everything(messages in conversation()) {
        let mut reader = ClientReader::new(false);
        feed(&mut reader, &encode(&messages), &[]).2.expect("valid messages");
        let release = reader.held().release_messages();
        prop_assert_eq!(release.is_empty(), reader.held().is_empty());
        feed(&mut reader, &release, &[]).2.expect("valid messages");
        prop_assert!(reader.held().is_empty());
    }
}

fn refused(input: &[u8]) -> CodecError {
    let (out, _, result) = feed(&mut ClientReader::new(false), input, &[]);
    assert_eq!(out, b"", "nothing of a refused message is forwarded");
    result.expect_err("a refused message")
}

#[test]
fn unknown_types_and_forms_are_errors() {
    for message_type in
        (0..=255).filter(|t| ![0, 1, 2, 3, 4, 5, 6, 150, 248, 250, 251, 255].contains(t))
    {
        assert_eq!(
            refused(&[message_type]),
            CodecError::UnknownMessage { message_type }
        );
    }
    let unknown = |form| CodecError::UnknownForm {
        message_type: 255,
        form,
    };
    assert_eq!(refused(&[255, 2]), unknown(2));
    assert_eq!(refused(&[255, 1, 0, 3]), unknown(3));
}

#[test]
fn lengths_have_limits() {
    let too_long = |message_type, length, limit| CodecError::TooLong {
        message_type,
        length,
        limit,
    };
    assert_eq!(refused(&[2, 0, 4, 1]), too_long(2, 1025, 1024));
    assert_eq!(
        refused(&[248, 0, 0, 0, 0, 0, 0, 0, 65]),
        too_long(248, 65, 64)
    );
    assert_eq!(refused(&[251, 0, 0, 1, 0, 1, 65, 0]), too_long(251, 65, 64));
    let over = u64::from(CUT_TEXT_MAX) + 1;
    let length = (CUT_TEXT_MAX + 1).to_be_bytes();
    assert_eq!(
        refused(&[&[6, 0, 0, 0][..], &length].concat()),
        too_long(6, over, CUT_TEXT_MAX.into())
    );
    assert_eq!(
        refused(&[6, 0, 0, 0, 0x80, 0, 0, 0]),
        too_long(6, 1 << 31, CUT_TEXT_MAX.into())
    );
    assert_eq!(
        refused(&[6, 0, 0, 0, 0xff, 0xff, 0xff, 0xfd]),
        CodecError::ClipboardTooShort { length: 3 }
    );
}

#[test]
fn a_long_clipboard_streams_without_being_kept() {
    let mut reader = ClientReader::new(false);
    let mut verdicts = Verdicts::default();
    let head = [&[6, 0, 0, 0][..], &(10_u32 << 20).to_be_bytes()].concat();
    let seen = reader.read(&head, &mut verdicts).expect("within the limit");
    assert!(seen.clipboard);
    let chunk = vec![b'x'; 1 << 20];
    for left in (0..10).rev() {
        reader.read(&chunk, &mut verdicts).expect("payload");
        assert!(
            verdicts.pieces(&chunk).eq([&chunk[..]]),
            "passed on as it is"
        );
        assert_eq!(reader.at_boundary(), left == 0);
    }
}

#[test]
fn the_marker_bit_means_something_only_to_those_who_announced_it() {
    let plain = [5, 0xff, 0, 1, 0, 2];
    let long = [5, 0x81, 0, 1, 0, 2, 1];
    let mut reader = ClientReader::new(false);
    feed(&mut reader, &plain, &[])
        .2
        .expect("button 8 of a plain pointer");
    assert!(reader.at_boundary());
    let announce = Message::Encodings(vec![0, EXTENDED_MOUSE_BUTTONS]).encode();
    feed(&mut reader, &announce, &[3, 5, 9])
        .2
        .expect("encodings");
    feed(&mut reader, &long, &[6])
        .2
        .expect("button 8 of a long pointer");
    feed(&mut reader, &Message::Encodings(vec![]).encode(), &[])
        .2
        .expect("encodings");
    feed(&mut reader, &plain, &[]).2.expect("plain again");
    assert_eq!(reader.held().release_messages(), [5, 0, 0, 1, 0, 2]);
}

#[test]
fn held_keys_are_released_in_reverse_each_in_its_form() {
    let mut reader = ClientReader::new(false);
    let messages = [
        Message::Key(true, 0xffe1),
        Message::QemuKey(true, u32::from(b'A'), 30),
        Message::Key(true, 0xffe3),
        Message::Key(true, 0xffe3),
        Message::Key(false, 0xffe3),
    ];
    feed(&mut reader, &encode(&messages), &[]).2.expect("keys");
    let expected = [
        Message::QemuKey(false, u32::from(b'A'), 30),
        Message::Key(false, 0xffe1),
    ];
    assert_eq!(reader.held().release_messages(), encode(&expected));
    // Shift went up first, so the same key now means another keysym.
    let lower = [
        Message::Key(false, 0xffe1),
        Message::QemuKey(false, u32::from(b'a'), 30),
    ];
    feed(&mut reader, &encode(&lower), &[]).2.expect("keys");
    assert!(reader.held().is_empty());
}

#[test]
fn nobody_holds_more_keys_than_can_be_remembered() {
    let presses: Vec<_> = (0..300).map(|keysym| Message::Key(true, keysym)).collect();
    let (out, _, result) = feed(&mut ClientReader::new(false), &encode(&presses), &[]);
    assert_eq!(out, encode(&presses[..256]));
    assert_eq!(
        result,
        Err(CodecError::TooManyKeys {
            message_type: 4,
            limit: 256
        })
    );
}
